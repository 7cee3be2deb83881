#!/usr/bin/python3
"""Holes that others had: what has crashed Redis and its kin, let a script out of its cage or filled their memory (the CVE beside
each), tried on the box. Whatever it answers, it is the same process afterwards, serves, and has the data that it had.

The box has no password when this starts, and gets back what it had."""
import os
import socket
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "conformance")]
import tap  # noqa: E402
import wire  # noqa: E402

suite = tap.Tap("old-holes")
LEAST, MOST = str(-2**63), str(2**63 - 1)


def connect(options):
    return wire.Connection("%s:%d" % (options.host, options.port))


class Whole:
    """The box before and after: one process, the same data."""

    def __init__(self, options):
        self.options, self.admin = options, connect(options)
        self.admin.command("FLUSHALL")
        self.admin.command("SCRIPT", "FLUSH")
        self.admin.command("SET", "kept", "as it was")
        self.process = self.field("run_id")

    def field(self, name):
        info = self.admin.command("INFO", "everything").raw.decode("latin1")
        return next(line.split(":", 1)[1] for line in info.split("\r\n") if line.startswith(name + ":"))

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            return
        self.admin.close()
        self.admin = connect(self.options)
        assert self.field("run_id") == self.process, "the box has been started anew"
        assert self.admin.command("GET", "kept").raw == b"$9\r\nas it was\r\n"
        self.admin.command("FUNCTION", "FLUSH")
        self.admin.command("FLUSHALL")
        self.admin.close()


# -- scripts

OUT = {  # what is to be refused or to be nothing
    "bytecode (CVE-2015-4335)": ["return loadstring('\\27Lua\\81\\0\\1\\4\\8\\4\\8\\0') and 'out'", "return load(function() return '\\27Lua' end) and 'out'",
                                 "local f = loadstring(string.dump(function() end)) return f and 'out'"],
    "libraries (CVE-2022-0543)": [f"return {name} and 'out'" for name in (
        "package", "io", "os.execute", "os.getenv", "os.exit", "os.remove", "require", "dofile", "loadfile", "module", "newproxy", "debug", "getfenv", "setfenv",
        "redis.breakpoint and nil or package.loadlib", "string.dump(print)", "coroutine.wrap(function() return io end)()", "_G.io", "rawget(_G, 'package')")],
    "unpack (CVE-2025-46817)": [f"return unpack({args}) and 'out'" for args in ("{}, 0, 2147483647", "{}, -2147483648, 2147483647", "{1}, 1, 1e9", "{}, -1e15, 1e15")],
    "a name that is collected (CVE-2025-49844)": [
        "for i = 1, 200 do local n = 0 pcall(load, function() n = n + 1 collectgarbage() return n < 20 and 'local a' .. i .. '_' .. n .. ' = ' .. n .. ' ' or nil end, string.rep('x', 100) .. i) end"],
    "long brackets (CVE-2025-46819)": ["return loadstring('return [' .. string.rep('=', 1000000)) and 'out'", "return loadstring('return [' .. string.rep('=', 300000) .. '[' .. string.rep(']', 300000)) and 'out'"],
    "bit.tohex (CVE-2024-31449)": ["return #bit.tohex(65535, -2147483648) > 8 and 'out'", "return #bit.tohex(1, 2147483647) > 8 and 'out'"],
    "struct (CVE-2018-11219, CVE-2020-14147)": [f"return struct.{call} and 'out'" for call in (
        "pack('>I2147483648', 10)", "pack('!2147483648i', 1)", "unpack('>I33', string.rep('a', 80))", "unpack('s', 'no zero')", "unpack('i4', 'abcd', -1)",
        "unpack('i4', 'abcd', 2147483647)", "unpack('c4294967295', 'abcd')", "unpack('bc0', '\\127')", "pack('c2147483647', 'a')", "size('i99999999999999999999')")],
    "cmsgpack (CVE-2018-11218)": [f"return cmsgpack.unpack({text}) and 'out'" for text in (
        "string.rep('\\145', 300000)", "'\\221\\255\\255\\255\\255'", "'\\223\\255\\255\\255\\255'", "'\\219\\255\\255\\255\\255a'", "'\\198\\255\\255\\255\\255'",
        "'\\201\\255\\255\\255\\255'", "''")] + ["local t = {} for i = 1, 200000 do t = {t} end cmsgpack.pack(t)", "local t = {} t[1] = t cmsgpack.pack(t)"],
    "cjson (CVE-2022-24834)": ["return cjson.decode(string.rep('[', 500000)) and 'out'", "return cjson.decode(string.rep('{\"a\":', 200000)) and 'out'",
                               "local t = {} for i = 1, 5000 do t = {t} end return cjson.encode(t) and 'out'", "local t = {} t[1] = t return cjson.encode(t) and 'out'",
                               "return cjson.encode({[2^40] = 1}) and #cjson.encode({[2^40] = 1}) > 100 and 'out'", "cjson.encode(string.rep('\\0', 3000000))",
                               "return cjson.decode('\"\\\\ud800\\\\u') and 'out'"],
    "patterns that eat the stack": ["string.find(string.rep('a', 300000), string.rep('a?', 300000) .. 'b')", "string.match(string.rep('(', 100), string.rep('(', 100))",
                                    "string.gsub(string.rep('x', 1000), '%f', '')", "string.format('%99999d', 1)", "string.format(string.rep('%s', 1000), 1)"],
    "depth": ["local function f() return f() + 1 end f()", "local function f() pcall(f) end f()", "return loadstring('return ' .. string.rep('(', 100000) .. '1') and 'out'",
              "return loadstring(string.rep('do ', 100000)) and 'out'", "local s = setmetatable({}, {}) getmetatable(s).__index = s return s.x and 'out'"],
}


@suite.test("scripts: no way out, no crash", limit=200)
def _(options):
    with Whole(options) as box:
        for what, texts in OUT.items():
            for text in texts:
                raw = box.admin.command("EVAL", text, "0").raw
                assert b"out\r\n" not in raw[:20], (what, text, raw[:100])
                assert box.admin.command("PING").raw == b"+PONG\r\n", (what, text)


POISON = ["getmetatable('').__index = function() return function() return 'poison' end end", "getmetatable('').__index.rep = function() return 'poison' end",
          "string.rep = function() return 'poison' end", "rawset(string, 'rep', function() return 'poison' end)", "redis.call = function() return {ok = 'poison'} end",
          "rawset(redis, 'call', function() return {ok = 'poison'} end)", "setmetatable(redis, {__index = function() return function() return {ok = 'poison'} end end})",
          "getmetatable(redis).__index = {call = function() return {ok = 'poison'} end}", "table.concat = function() return 'poison' end", "_G.tostring = function() return 'poison' end",
          "rawset(_G, 'tostring', function() return 'poison' end)", "setmetatable(_G, {__index = function() return 'poison' end})", "getmetatable(_G).__index = function() return 'poison' end",
          "getmetatable(_G).__newindex = nil poison = 1", "KEYS = nil rawset(_G, 'ARGV', {'poison'})", "table.insert(table, 1, 'poison')", "for k in pairs(_G) do pcall(rawset, _G, k, 'poison') end",
          "coroutine.wrap(function() tostring = function() return 'poison' end end)()", "loadstring('tostring = function() return \"poison\" end')()",
          "cjson.encode = function() return 'poison' end", "redis.setresp(3)", "math.randomseed(1) math.random = nil", "table.sort(string)", "next(string); string[1] = 'poison'",
          "table.remove(redis)", "table.foreach and table.foreach(redis, function(k) redis[k] = nil end)"]
HONEST = ("return ('ab'):rep(2) .. redis.call('PING').ok .. table.concat({'x', 'y'}) .. tostring(17) .. ARGV[1] .. cjson.encode({{{a = {1}}}}) .. "
          "tostring(poison == nil and true or pcall(function() return poison end))")
WANTED = b"ababPONGxy17word[[{\"a\":[1]}]]"


@suite.test("scripts: none changes what another user's script sees (CVE-2025-46818)")
def _(options):
    with Whole(options) as box:
        wanted = box.admin.command("EVAL", HONEST.split(" .. tostring(poison")[0], "0", "word").raw
        assert WANTED in wanted, wanted
        box.admin.command("ACL", "SETUSER", "thief", "reset", "on", "nopass", "~*", "+@scripting", "+ping", "+reset")
        thief = connect(options)
        thief.command("AUTH", "thief", "x")
        for text in POISON:
            thief.command("EVAL", text, "0", "poison")
            thief.command("EVAL", f"pcall(function() {text} end) error('x')", "0", "poison")
            assert box.admin.command("EVAL", HONEST.split(" .. tostring(poison")[0], "0", "word").raw == wanted, text
            assert b"nonexistent global variable 'poison'" in box.admin.command("EVAL", "return poison", "0").raw, text
        box.admin.command("ACL", "DELUSER", "thief")


# -- numbers

NUMBERS = """
HRANDFIELD h {least} WITHVALUES|HRANDFIELD h {most}|ZRANDMEMBER z {least} WITHSCORES|SRANDMEMBER set {least}|SRANDMEMBER set -4611686018427387905|SPOP set {least}|SPOP set {most}
XAUTOCLAIM x g me 0 0 COUNT {most}|XAUTOCLAIM x g me 0 0 COUNT 4611686018427387904|XCLAIM x g me {most} 1-1|XCLAIM x g me 0 1-1 IDLE {least}|XREAD COUNT {least} STREAMS x 0|XRANGE x - + COUNT {least}
XADD x MAXLEN {least} * a b|XADD x MAXLEN ~ {most} LIMIT {most} * a b|XTRIM x MAXLEN ~ 0 LIMIT {least}|XADD x 18446744073709551615-18446744073709551615 a b|XADD x 18446744073709551615-* a b|XSETID x 1-1 ENTRIESADDED {least}
SETRANGE s {most} a|SETRANGE s 536870912 a|SETRANGE s {least} a|GETRANGE s {least} {most}|SETBIT s 4294967296 1|SETBIT s {most} 1|BITCOUNT s {least} {most} BIT|BITPOS s 0 {least} {most} BIT
BITFIELD s SET u8 #{most} 1|BITFIELD s SET u63 {most} 1|BITFIELD s INCRBY i64 0 {least}|BITFIELD s OVERFLOW SAT INCRBY i64 0 {most}|BITFIELD s GET u64 0|BITFIELD s GET i0 0|BITFIELD s SET i64 4294967295 1
LPOS l a RANK {least}|LPOS l a COUNT {most} MAXLEN {most}|LRANGE l {least} {most}|LTRIM l {most} {least}|LINDEX l {least}|LSET l {least} x|LPOP l {most}|LPOP l {least}|LREM l {least} a|LMPOP {most} l LEFT|LMPOP 1 l LEFT COUNT {most}
SORT l LIMIT {least} {most}|SORT l LIMIT {most} {most}|SORT l LIMIT 1 {least}|ZRANGE z {least} {most}|ZRANGEBYSCORE z -inf +inf LIMIT {most} {most}|ZRANGEBYSCORE z -inf +inf LIMIT 0 {least}|ZPOPMIN z {most}|ZUNION {most} z
SINTERCARD 1 set LIMIT {most}|ZINTERCARD {most} z|SCAN {most} COUNT {most}|SCAN 18446744073709551615|SSCAN set {most} COUNT {most}|HSCAN h 9 COUNT {least}|EXPIRE s {most}|PEXPIRE s {least}|PEXPIREAT s {most}|SET s 1 EX {most}|SET s 1 PX {least}|GETEX s EXAT {most}
INCRBY n {most}|DECRBY n {least}|INCRBYFLOAT n nan|INCRBYFLOAT n inf|INCRBYFLOAT n 1e400|HINCRBYFLOAT h f nan|HINCRBYFLOAT h f -inf|HINCRBY h n {most}|ZINCRBY z nan a|ZADD z nan a|ZADD z INCR -inf a|ZADD z INCR inf a|ZADD z INCR -inf a
LCS s s MINMATCHLEN {least} IDX|GEOSEARCH g FROMLONLAT 0 0 BYRADIUS 1e308 km COUNT {most}|GEORADIUS g 0 0 nan km|GEOADD g nan nan a|GEOADD g 1e308 0 a|GEOSEARCH g FROMLONLAT 180 85.05 BYBOX 1e300 1e300 km|GEOHASH g a
OBJECT FREQ s|MEMORY USAGE l SAMPLES {most}|MEMORY USAGE l SAMPLES {least}|CLIENT KILL ID {least}|CLIENT PAUSE {least}|CLIENT REPLY x|CLIENT TRACKING on REDIRECT {most}|CLIENT UNBLOCK {most}|SLOWLOG GET {most}|SLOWLOG GET {least}|LATENCY GRAPH x|ACL LOG {most}|ACL GENPASS {most}|ACL GENPASS {least}
EVAL x {most}|EVAL x {least}|EVAL x -1|FCALL f {most}|BLMPOP 0.01 {most} l LEFT|BLPOP l {least}|BLPOP none nan|BLPOP none 1e400|WAIT {most} -1|WAITAOF {most} {most} -1|DEBUG STRINGMATCH-LEN 1 x|DEBUG SLEEP -1|LOLWUT VERSION 5 {most} {most} {most}|OBJECT HELP
RESTORE r {most} x|RESTORE r {least} x|COPY s t DB {most}|MOVE s {most}|SELECT {least}|SWAPDB {most} {least}|CONFIG SET maxmemory {least}|CONFIG SET maxmemory-samples {most}|CONFIG SET proto-max-bulk-len {least}|CLUSTER GETKEYSINSLOT {most} {most}|CLUSTER COUNTKEYSINSLOT {least}|CLUSTER KEYSLOT x
COMMAND GETKEYS EVAL x {most}|COMMAND GETKEYS ZUNION {least} z|COMMAND GETKEYS XREAD STREAMS|COMMAND GETKEYS MIGRATE a b|COMMAND GETKEYSANDFLAGS SORT a STORE|COMMAND GETKEYS ZUNIONSTORE a {most} b|COMMAND GETKEYS LMPOP {most} l LEFT|COMMAND DOCS {most}
""".replace("\n", "|")


@suite.test("numbers at the ends of their range (CVE-2022-35951, CVE-2023-22458, CVE-2023-25155, CVE-2023-28856)", limit=120)
def _(options):
    with Whole(options) as box:
        c = connect(options)
        attempts = [line.format(least=LEAST, most=MOST).split() for line in NUMBERS.split("|") if line]
        assert len(attempts) > 128
        for args in attempts:
            for words in (["SET", "s", "text"], ["SET", "n", "1"], ["HSET", "h", "f", "1", "n", "1"], ["DEL", "l", "set", "z", "x", "g", "r", "t"], ["RPUSH", "l", "a", "b", "c"],
                          ["SADD", "set", "a", "b"], ["ZADD", "z", "1", "a", "2", "b"], ["XADD", "x", "1-1", "f", "v"], ["XGROUP", "CREATE", "x", "g", "0"], ["GEOADD", "g", "1", "1", "a"]):
                c.command(*words)
            try:
                assert len(c.command(*args).raw) < 1 << 20, args
            except wire.Broken:  # so many were asked for that nobody can have them
                assert args[0] in ("HRANDFIELD", "ZRANDMEMBER", "SRANDMEMBER"), args
                c = connect(options)
            assert box.admin.command("PING").raw == b"+PONG\r\n", args


# -- values made by hand

def hyperloglog(runs, cached=b"\0" * 7 + b"\x80", encoding=1):
    return b"HYLL" + bytes([encoding, 0, 0, 0]) + cached + runs


@suite.test("counters of distinct elements made by hand (CVE-2019-10192, CVE-2019-10193, CVE-2025-32023)")
def _(options):
    with Whole(options) as box:
        c = connect(options)
        zeros = b"\x7f\xff"  # 16384 registers
        made = [hyperloglog(runs) for runs in (b"", zeros + zeros, zeros * 131072, zeros[:1], b"\x7f\xfe\x80", b"\x80" * 20000, b"\xff" * 5000, zeros + b"\xff", b"\x3f" * 300,
                                               b"\x40", b"\x7f", b"\xfe" * 4096 + b"\x83", b"\x00" * 16384, b"\x7f\xf0" + b"\xff" * 9)]
        made += [hyperloglog(b"\xff" * n, encoding=0) for n in (0, 1, 12287, 12288, 12289)] + [hyperloglog(zeros, encoding=e) for e in (2, 255)] + [hyperloglog(zeros, b"\xff" * 8), b"HYLL", b"HYLL\1"]
        for value in made:
            c.command("SET", "h", value)
            c.command("PFADD", "other", "x")
            for args in (["PFCOUNT", "h"], ["PFCOUNT", "h", "other"], ["PFMERGE", "to", "h", "other"], ["PFADD", "h", "a", "b", "c"], ["PFADD", "h"], ["PFCOUNT", "h"], ["PFMERGE", "h", "other"]):
                assert c.command(*args).raw[:1] in b"-:+", (value[:40], args)
            assert box.admin.command("PING").raw == b"+PONG\r\n", value[:40]


@suite.test("values of RESTORE made by hand: lengths that lie, none is stored (CVE-2021-32761, CVE-2022-24735, CVE-2023-41056)")
def _(options):
    with Whole(options) as box:
        c = connect(options)
        c.command("RPUSH", "l", *range(50))
        good = wire_bytes(c.command("DUMP", "l"))
        for at in range(len(good)):
            for byte in (0, 0x7f, 0x80, 0xff):
                c.command("RESTORE", "r", "0", good[:at] + bytes([byte]) + good[at + 1:], "REPLACE")
        for kind in range(30):
            for length in (b"\xbf", b"\x80\xff\xff\xff\xff", b"\x81" + b"\xff" * 8, b"\x81\x7f" + b"\xff" * 7, b"\xc3\x01\x80\xff\xff\xff\xff"):
                body = bytes([kind]) + length + b"x" * 20 + struct.pack("<H", 10)
                assert c.command("RESTORE", "r", "0", body + struct.pack("<Q", crc64(body)), "REPLACE").raw[:1] == b"-", (kind, length)
        assert box.admin.command("PING").raw == b"+PONG\r\n"


def wire_bytes(reply):
    return reply.tree[1]


def crc64(data):
    """Jones' polynomial, as DUMP has it."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x95ac9329ac4bc9b5 if crc & 1 else 0)
    return crc


# -- words

@suite.test("patterns that take for ever or the whole stack (CVE-2022-36021, CVE-2024-31228)", limit=240)
def _(options):
    with Whole(options) as box:
        c = connect(options)
        name = "a" * 300
        c.command("SET", name, "1")
        c.command("HSET", "h", name, "1")
        for pattern in ("a*" * 80 + "b", "*a" * 80 + "b", "*?" * 500 + "b", "[" * 60000, "\\" * 60001, "*" * 60000 + "b", "[a-" * 20000, "a*?" * 60 + "[^a]"):
            for args in (["KEYS", pattern], ["SCAN", "0", "MATCH", pattern], ["HSCAN", "h", "0", "MATCH", pattern], ["CONFIG", "GET", pattern], ["COMMAND", "LIST", "FILTERBY", "PATTERN", pattern],
                         ["PUBSUB", "CHANNELS", pattern], ["FUNCTION", "LIST", "LIBRARYNAME", pattern], ["PSUBSCRIBE", pattern], ["PUBLISH", name, "x"], ["PUNSUBSCRIBE"]):
                begin = time.monotonic()
                c.command(*args)
                assert time.monotonic() - begin < 20, (pattern[:20], args[0])
            c.command("RESET")
            assert box.admin.command("PING").raw == b"+PONG\r\n", pattern[:20]


@suite.test("rules that are cut short (CVE-2024-51741)")
def _(options):
    with Whole(options) as box:
        for rule in ("(", ")", "()", "(~a", "~a)", "(%R", "%", "%R", "%~a", "%RR~a", "%X~a", "(()", "((+get))", "(+get)(", "( )", "(+@all -get ~* &*", "~", "&", "+", "-", "+@", "-@", "+get|", "+|get", "+config|", "+config|get|x", ">",
                     "<", "#", "#" + "z" * 64, "!", "!" + "0" * 63, "(clearselectors)", "(on)", "(>x)", "(reset)", "(nopass)", "\0", "+\0", "~\0(", "(~\0)", "%R~", "%W~\0", "x" * 60000, "(" * 60000, "+" + "a" * 60000):
            box.admin.command("ACL", "SETUSER", "broken", rule)
            box.admin.command("ACL", "SETUSER", "broken", "on", "nopass", rule, "+get")
            box.admin.command("ACL", "DRYRUN", "broken", "GET", "a")
            for args in (["ACL", "LIST"], ["ACL", "GETUSER", "broken"], ["PING"]):
                assert box.admin.command(*args).raw[:1] in b"*+%$", (rule[:20], args)
        box.admin.command("ACL", "DELUSER", "broken")


@suite.test("a browser that is made to speak to the port says nothing that is executed (CVE-2016-10517)")
def _(options):
    with Whole(options) as box:
        for words in (b"POST / HTTP/1.1\r\nX: y\r\n\r\nSET hacked 1\r\n", b"GET /x HTTP/1.1\r\nHost: box\r\n\r\nSET hacked 1\r\n", b"get / HTTP/1.1\r\nhost: box\r\nSET hacked 1\r\n"):
            with socket.create_connection((options.host, options.port), 10) as s:
                s.sendall(words)
                s.shutdown(socket.SHUT_WR)
                while s.recv(4096):
                    pass
            assert box.admin.command("EXISTS", "hacked").raw == b":0\r\n", words


@suite.test("nobody fills the memory without a password by not reading (CVE-2025-21605)", limit=180)
def _(options):
    with Whole(options) as box:
        assert box.admin.command("CONFIG", "SET", "requirepass", "geheim").raw == b"+OK\r\n"
        before, sockets = int(box.field("used_memory")), []
        try:
            for _ in range(4):
                s = socket.create_connection((options.host, options.port), 10)
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                s.settimeout(1.5)
                sockets.append(s)
                try:
                    for _ in range(16):  # 4 MB of requests, 20 MB of refusals
                        s.sendall(b"PING\r\n" * 43690)
                except (TimeoutError, ConnectionError):
                    pass
            more = int(box.field("used_memory")) - before
            print(f"# {more} bytes more")
            assert more < 8 << 20, more
        finally:
            for s in sockets:
                s.close()
            box.admin.command("CONFIG", "SET", "requirepass", "")


if __name__ == "__main__":
    suite.main()

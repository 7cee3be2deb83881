#!/usr/bin/python3
"""Attempts to get in through the data port: without a password, and with a user's who may do little. What must not
happen is said as facts about the data (the treasure is not in any reply, nothing outside the user's keys changes), not
as a list of error texts; those are compared with redis-server's by tests/conformance/acl.py.

The box has no password when this starts, has enable-debug-command yes, and gets it back as it was."""
import os
import socket
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "conformance")]
import tap  # noqa: E402
import wire  # noqa: E402

suite = tap.Tap("access")
TREASURE = b"TREASURE-3141592653"
WORD = b"open-sesame-2718281828"
BEFORE_LOGIN = {b"auth", b"hello", b"quit", b"reset"}
THIEF = ["reset", "on", ">w", "~mine:*", "&mine", "+@all", "-@admin", "-@dangerous", "+sort", "+info", "+restore",
         "+object", "+memory|usage", "+migrate"]


def connect(options, user=None, word="w", proto=2):
    c = wire.Connection("%s:%d" % (options.host, options.port))
    if user:
        assert c.command("AUTH", user, word).raw == b"+OK\r\n"
    if proto == 3:
        c.command("HELLO", "3")
    return c


def ok(reply):
    assert reply.raw == b"+OK\r\n", reply.text(300)


def names_of(admin):
    """Every command and sub-command: (words, arity)."""
    found = []
    for row in admin.command("COMMAND").tree[1]:
        name, arity, subs = row[1][0][1], row[1][1][1], row[1][9][1]
        found.append(([name], arity))
        for sub in subs or []:
            found.append((sub[1][0][1].split(b"|", 1), sub[1][1][1]))
    assert len(found) > 300
    return found


# -- nobody

class Locked:
    """A box whose default user has a password."""

    def __init__(self, options):
        self.admin = connect(options)
        ok(self.admin.command("CONFIG", "SET", "requirepass", WORD))

    def __enter__(self):
        return self.admin

    def __exit__(self, *_):
        ok(self.admin.command("CONFIG", "SET", "requirepass", ""))
        self.admin.close()


@suite.test("without a password no command runs but AUTH, HELLO, QUIT and RESET")
def _(options):
    with Locked(options) as admin:
        names = names_of(admin)
        containers = {words[0] for words, _ in names if len(words) == 2}
        for words, arity in names:
            if words[0].lower() in BEFORE_LOGIN or words[0] in containers and len(words) == 1:
                continue  # a container alone is no command: an unknown sub-command is told before anything is asked
            args = words + [b"1"] * (abs(arity) - len(words))
            c = connect(options)
            reply = c.command(*args)
            wanted = b"-EXECABORT Transaction discarded because of: NOAUTH" if words == [b"exec"] else b"-NOAUTH"
            assert reply.raw == wanted + b" Authentication required.\r\n", (args, reply.text(200))
            c.close()


@suite.test("without a password: transactions, inline requests, HELLO and RESET open no way")
def _(options):
    with Locked(options) as admin:
        c = connect(options)
        for line in (b"MULTI\r\n", b"SET a 1\r\n", b"EXEC\r\n", b"get a\r\n", b"*1\r\n$6\r\nDBSIZE\r\n"):
            c.send_raw(line)
            assert b"NOAUTH Authentication required" in c.reply().raw[:80], line
        for args in (["HELLO", "3"], ["HELLO", "3", "SETNAME", "x"], ["HELLO", "3", "AUTH", "default", "no"],
                     ["AUTH", "no"], ["AUTH", "default", ""], ["AUTH", ""], ["AUTH", WORD[:-1]], ["AUTH", WORD + b"\0"],
                     ["AUTH", WORD + b"x"], ["AUTH", b"default\0", WORD], ["AUTH", b"DEFAULT", WORD]):
            reply = c.command(*args).raw
            assert reply[:1] == b"-", (args, reply)
            assert c.command("GET", "a").raw.startswith(b"-NOAUTH"), args
        c.command("RESET")
        assert c.command("GET", "a").raw.startswith(b"-NOAUTH")
        assert c.command("AUTH", WORD).raw == b"+OK\r\n"
        assert c.command("PING").raw == b"+PONG\r\n"
        c.command("RESET")
        assert c.command("GET", "a").raw.startswith(b"-NOAUTH")
        assert admin.command("EXISTS", "a").raw == b":0\r\n"


@suite.test("without a password: long requests are refused before they take memory")
def _(options):
    with Locked(options):
        for line, wanted in ((b"*11\r\n", b"unauthenticated multibulk length"),
                             (b"*2\r\n$3\r\nSET\r\n$16385\r\n", b"unauthenticated bulk length"),
                             (b"*1000000\r\n", b"unauthenticated multibulk length")):
            c = connect(options)
            c.send_raw(line)
            assert wanted in c.reply().raw, line
            c.close()


@suite.test("protected mode: nobody is served who is not local, until there is a password")
def _(options):
    admin = connect(options)
    ok(admin.command("CONFIG", "SET", "protected-mode", "yes"))
    try:
        with socket.create_connection((options.host, options.port), 10) as s:
            assert tap.read_line(s).startswith(b"-DENIED ")
            assert s.recv(1) == b""
        ok(admin.command("CONFIG", "SET", "requirepass", WORD))
        c = connect(options)
        assert c.command("AUTH", WORD).raw == b"+OK\r\n"
        c.close()
        ok(admin.command("CONFIG", "SET", "requirepass", ""))
        ok(admin.command("ACL", "SETUSER", "default", ">" + WORD.decode()))
        c = connect(options)
        assert c.command("AUTH", WORD).raw == b"+OK\r\n"
        c.close()
    finally:
        ok(admin.command("CONFIG", "SET", "protected-mode", "no"))
        ok(admin.command("ACL", "SETUSER", "default", "resetpass", "nopass"))
        admin.close()


# -- a user who may do little

class Vault:
    """A thief's connections, an admin's, and keys that are not the thief's."""

    def __init__(self, options, rules=THIEF):
        self.options = options
        self.admin = connect(options)
        ok(self.admin.command("FLUSHALL"))
        ok(self.admin.command("ACL", "SETUSER", "thief", *rules))
        self.fill()
        self.before = self.digest()

    def fill(self):
        do = self.admin.command
        do("SET", "secret:s", TREASURE)
        do("SET", "secret:n", "5")
        do("HSET", "secret:h", "f", TREASURE)
        do("RPUSH", "secret:l", TREASURE, "2")
        do("SADD", "secret:set", TREASURE, "x")
        do("ZADD", "secret:z", "1", TREASURE)
        do("GEOADD", "secret:g", "1", "1", TREASURE)
        do("XADD", "secret:x", "1-1", "f", TREASURE)
        do("XGROUP", "CREATE", "secret:x", "group", "0")
        do("PFADD", "secret:p", TREASURE)
        do("SET", "secret:by", "1")
        do("RPUSH", "mine:l", "s", "by", "1")
        do("SET", "mine:s", "own")
        do("SADD", "mine:set", "x")
        do("ZADD", "mine:z", "1", "x")
        do("HSET", "mine:h", "f", "v")
        do("XADD", "mine:x", "1-1", "f", "v")
        do("XGROUP", "CREATE", "mine:x", "group", "0")

    def digest(self):
        keys = sorted(key[1] for key in self.admin.command("KEYS", "*").tree[1] if not key[1].startswith(b"mine:"))
        return keys, self.admin.command("DEBUG", "DIGEST-VALUE", *keys).raw

    def thief(self, proto=2):
        return connect(self.options, "thief", proto=proto)

    def check(self, args, raw):
        assert TREASURE not in raw, (args, raw[:200])
        now = self.digest()
        assert now == self.before, (args, raw[:200], [k for k in now[0] + self.before[0] if (k in now[0]) != (k in self.before[0])])

    def close(self):
        self.admin.command("ACL", "DELUSER", "thief")
        self.admin.command("FUNCTION", "FLUSH")
        self.admin.command("FLUSHALL")
        self.admin.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


ATTEMPTS = [["" if word == "EMPTY" else word for word in line.split()] for line in """
GET secret:s|GETRANGE secret:s 0 -1|SUBSTR secret:s 0 -1|GETEX secret:s|GETDEL secret:s|GETSET secret:s x|STRLEN secret:s
SET secret:s x|SET secret:new x|SETNX secret:new x|SETEX secret:new 9 x|PSETEX secret:new 9 x|APPEND secret:s x|SETRANGE secret:s 0 x
SET secret:s x GET|MGET mine:s secret:s|MSET mine:a 1 secret:new 2|MSETNX mine:b 1 secret:new 2|INCR secret:n|DECR secret:n|INCRBY secret:n 3
INCRBYFLOAT secret:n 1|GETBIT secret:s 1|SETBIT secret:s 1 1|BITCOUNT secret:s|BITPOS secret:s 1|BITFIELD secret:s GET u8 0|BITFIELD_RO secret:s GET u8 0
BITOP AND mine:o secret:s|BITOP AND secret:new mine:s|BITOP OR mine:o mine:s secret:s|LCS mine:s secret:s|DEL secret:s|DEL mine:a secret:s|UNLINK secret:s
EXISTS secret:s|TYPE secret:s|TTL secret:s|PTTL secret:s|EXPIRE secret:s 1|PEXPIRE secret:s 1|EXPIREAT secret:s 1|PEXPIREAT secret:s 1|PERSIST secret:s
EXPIRETIME secret:s|PEXPIRETIME secret:s|TOUCH secret:s|DUMP secret:s|RESTORE secret:new 0 x|OBJECT ENCODING secret:s|OBJECT FREQ secret:s|OBJECT REFCOUNT secret:s
OBJECT IDLETIME secret:s|MEMORY USAGE secret:s|RENAME secret:s mine:r|RENAME mine:s secret:new|RENAMENX secret:s mine:r|RENAMENX mine:s secret:new
COPY secret:s mine:c|COPY mine:s secret:new|COPY secret:s mine:c DB 0 REPLACE|MOVE secret:s 1|SORT secret:l ALPHA|SORT_RO secret:l ALPHA|SORT mine:l STORE secret:new ALPHA
SORT mine:l BY nosort GET secret:*|SORT_RO mine:l BY nosort GET secret:*|SORT mine:l BY secret:* ALPHA|SORT mine:l BY secret:h->f ALPHA GET #|SORT mine:l BY mine:* GET # GET secret:* ALPHA
SORT mine:l BY nosort GET secret:h->f|SORT mine:l BY nosort GET secret:* STORE mine:stolen|SORT_RO mine:l BY nosort GET *
HGET secret:h f|HGETALL secret:h|HMGET secret:h f|HVALS secret:h|HKEYS secret:h|HSET secret:h g 1|HDEL secret:h f|HSCAN secret:h 0|HRANDFIELD secret:h 1 WITHVALUES|HSTRLEN secret:h f
HEXISTS secret:h f|HLEN secret:h|HSETNX secret:h g 1|HINCRBY secret:h g 1|HINCRBYFLOAT secret:h g 1|HMSET secret:h g 1|HEXPIRE secret:h 1 FIELDS 1 f|HTTL secret:h FIELDS 1 f
LRANGE secret:l 0 -1|LPOP secret:l|RPOP secret:l|LINDEX secret:l 0|LPOS secret:l x|LSET secret:l 0 x|LREM secret:l 0 2|LTRIM secret:l 1 1|LPUSH secret:l x|RPUSHX secret:l x|LINSERT secret:l BEFORE 2 x
LMOVE secret:l mine:l LEFT LEFT|LMOVE mine:l secret:l LEFT LEFT|RPOPLPUSH secret:l mine:l|LMPOP 2 mine:none secret:l LEFT|LLEN secret:l
SMEMBERS secret:set|SPOP secret:set|SRANDMEMBER secret:set|SISMEMBER secret:set x|SMISMEMBER secret:set x|SADD secret:set y|SREM secret:set x|SCARD secret:set|SSCAN secret:set 0
SMOVE secret:set mine:set x|SMOVE mine:set secret:set x|SINTER mine:set secret:set|SUNION mine:set secret:set|SDIFF secret:set mine:set|SINTERCARD 2 mine:set secret:set
SUNIONSTORE mine:o secret:set|SUNIONSTORE secret:new mine:set|SINTERSTORE mine:o secret:set|SDIFFSTORE mine:o secret:set
ZRANGE secret:z 0 -1|ZREVRANGE secret:z 0 -1|ZRANGEBYSCORE secret:z 0 9|ZRANGEBYLEX secret:z - +|ZPOPMIN secret:z|ZPOPMAX secret:z|ZMPOP 2 mine:none secret:z MIN|ZADD secret:z 2 x|ZREM secret:z x
ZRANGESTORE mine:o secret:z 0 -1|ZRANGESTORE secret:new mine:z 0 -1|ZUNION 2 mine:z secret:z|ZUNIONSTORE mine:o 1 secret:z|ZUNIONSTORE secret:new 1 mine:z|ZINTERSTORE mine:o 1 secret:z|ZDIFFSTORE mine:o 1 secret:z
ZDIFF 1 secret:z|ZINTER 1 secret:z|ZINTERCARD 1 secret:z|ZRANDMEMBER secret:z 1|ZSCAN secret:z 0|ZSCORE secret:z x|ZMSCORE secret:z x|ZRANK secret:z x|ZCOUNT secret:z 0 9|ZINCRBY secret:z 1 x|ZREMRANGEBYRANK secret:z 0 9
GEOSEARCH secret:g FROMLONLAT 1 1 BYRADIUS 100 km|GEOSEARCHSTORE mine:o secret:g FROMLONLAT 1 1 BYRADIUS 100 km|GEORADIUS secret:g 1 1 100 km|GEORADIUS secret:g 1 1 100 km STORE mine:o|GEORADIUS_RO secret:g 1 1 100 km
GEOPOS secret:g x|GEOHASH secret:g x|GEODIST secret:g x y|GEOADD secret:g 1 1 x|GEORADIUSBYMEMBER secret:g x 1 km
XRANGE secret:x - +|XREVRANGE secret:x + -|XREAD STREAMS mine:x secret:x 0 0|XREADGROUP GROUP group me STREAMS mine:x secret:x > >|XADD secret:x * f v|XDEL secret:x 1-1|XTRIM secret:x MAXLEN 0|XLEN secret:x
XINFO STREAM secret:x FULL|XINFO GROUPS secret:x|XGROUP CREATE secret:x other 0|XGROUP DESTROY secret:x group|XCLAIM secret:x group me 0 1-1|XAUTOCLAIM secret:x group me 0 0|XPENDING secret:x group|XACK secret:x group 1-1|XSETID secret:x 9-9
PFCOUNT mine:p secret:p|PFMERGE mine:o secret:p|PFMERGE secret:new mine:p|PFADD secret:p x|WATCH secret:s|MIGRATE 127.0.0.1 1 secret:s 0 10 COPY|MIGRATE 127.0.0.1 1 EMPTY 0 10 KEYS mine:s secret:s
BLPOP mine:none secret:l 1|BRPOP secret:l 1|BLMOVE secret:l mine:l LEFT LEFT 1|BLMOVE mine:l secret:new LEFT LEFT 1|BRPOPLPUSH secret:l mine:l 1|BLMPOP 1 2 mine:none secret:l LEFT|BZPOPMIN secret:z 1|BZPOPMAX mine:none secret:z 1|BZMPOP 1 1 secret:z MIN
XREAD BLOCK 9 STREAMS secret:x 0|XREADGROUP GROUP group me BLOCK 9 STREAMS secret:x >
PUBLISH secret x|SPUBLISH secret x|FLUSHALL|FLUSHDB|SWAPDB 0 1|KEYS *|DEBUG OBJECT secret:s|DEBUG DIGEST-VALUE secret:s|DEBUG RELOAD|CONFIG GET *|CONFIG SET maxmemory 1|CONFIG REWRITE|CONFIG RESETSTAT
ACL LIST|ACL GETUSER default|ACL SETUSER thief +@all ~*|ACL SETUSER default off|ACL DELUSER default|ACL LOAD|ACL SAVE|ACL LOG|ACL USERS|ACL DRYRUN default GET secret:s
CLIENT LIST|CLIENT KILL ID 1|CLIENT KILL TYPE normal|CLIENT PAUSE 100 ALL|CLIENT UNPAUSE|CLIENT UNBLOCK 1|CLIENT NO-EVICT on|SHUTDOWN NOSAVE|SLOWLOG GET|LATENCY LATEST|LATENCY RESET|LATENCY HISTOGRAM|MODULE LIST
SAVE|BGSAVE|BGREWRITEAOF|REPLICAOF NO ONE|SLAVEOF NO ONE|FAILOVER|PSYNC ? -1|SYNC|REPLCONF x y|CLUSTER RESET|CLUSTER MEET 1 1|MEMORY PURGE|PFDEBUG ENCODING secret:p|PFSELFTEST
""".replace("\n", "|").split("|") if line]


@suite.test("a user without rights to a key: every command, alone", limit=120)
def _(options):
    with Vault(options) as v:
        c = v.thief()
        for args in ATTEMPTS:
            raw = c.command(*args).raw
            assert raw[:1] == b"-" and b"permissions" in raw, (args, raw[:200])
            v.check(args, raw)
        assert len(ATTEMPTS) > 230


@suite.test("the same in MULTI, where EXEC must not run it", limit=120)
def _(options):
    with Vault(options) as v:
        c = v.thief()
        for args in ATTEMPTS:
            raw = b"".join(c.command(*words).raw for words in (["MULTI"], args, ["EXEC"]))
            c.command("DISCARD")
            c.command("UNWATCH")
            v.check(args, raw)


LUA = {"undeclared": ("return redis.%s(unpack(ARGV))", 0), "declared": ("return redis.%s(unpack(ARGV))", 2),
       "built": ("local a = {} for i, w in ipairs(ARGV) do a[i] = w:gsub('', '') end return redis.%s(unpack(a))", 0)}


@suite.test("the same from scripts, keys declared or not, and by functions that an administrator wrote", limit=240)
def _(options):
    with Vault(options) as v:
        c = v.thief()
        v.admin.command("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('run', function(k, a) return redis.call(unpack(a)) end)")
        sha = v.admin.command("SCRIPT", "LOAD", "return redis.call(unpack(ARGV))").tree[1]
        for args in ATTEMPTS:
            raw = b""
            for text, keys in LUA.values():
                for call in ("call", "pcall"):
                    raw += c.command("EVAL", text % call, keys, *["secret:s", "mine:s"][:keys], *args).raw
            raw += c.command("EVALSHA", sha, 0, *args).raw + c.command("FCALL", "run", 0, *args).raw
            raw += c.command("EVAL_RO", "return redis.call(unpack(ARGV))", 0, *args).raw
            v.check(args, raw)
        for args in (["EVAL", "return 1", "1", "secret:s"], ["FCALL", "run", "1", "secret:s", "PING"], ["EVALSHA", sha, "1", "secret:s", "PING"]):
            assert c.command(*args).raw.startswith(b"-NOPERM"), args
        assert c.command("EVAL", "return redis.setresp(3)", 0).raw[:1] in b"_$-*"
        for text in ("return redis.acl_check_cmd('GET', 'secret:s')", "return redis.acl_check_cmd('CONFIG', 'GET', '*')"):
            assert c.command("EVAL", "return (" + text[7:] + ") and 1 or 0", 0).raw == b":0\r\n"


@suite.test("names that look like one's own: odd bytes, other cases, patterns that are cut short")
def _(options):
    with Vault(options) as v:
        rows = [("~mine:*", [b"mine", b"Mine:s", b"MINE:s", b" mine:s", b"\0mine:s", b"secret:s\0mine:x", b"secret:s", b"", b"\xff"]),
                ("~a", [b"a\0", b"a\0b", b"A", b"aa", b"", b"\0a", b"a\n"]),
                ("~a\\*", [b"ab", b"a", b"a\\", b"a\\*", b"a*b"]), ("~a[b-d]", [b"aa", b"ae", b"a[b-d]", b"ab\0"]),
                ("~\xff?", [b"\xff", b"\xfe1", b"?", b"\xff\xff\xff"]), ("~[^a]", [b"a", b"", b"bb"]), ("~[", [b"", b"a", b"[["]),
                ("~\\", [b"", b"a", b"\\\\"]), ("%R~a", [b"ab"]), ("~a?c", [b"ac", b"abbc", b"a\0\0c"])]
        for pattern, names in rows:
            pattern = pattern.encode("latin1")
            ok(v.admin.command("ACL", "SETUSER", "thief", "resetkeys", pattern))
            c = v.thief()
            for name in names:
                for args in (["SET", name, "x"], ["GET", name], ["EVAL", "return redis.call('set', ARGV[1], 'x')", "0", name]):
                    assert b"NOPERM" in c.command(*args).raw, (pattern, args)
        ok(v.admin.command("ACL", "SETUSER", "thief", "resetkeys", "%R~secret:*"))
        c = v.thief()
        for args in (["SET", "secret:s", "x"], ["GETDEL", "secret:s"], ["GETEX", "secret:s", "PERSIST"], ["SET", "secret:s", "x", "GET"],
                     ["COPY", "secret:s", "secret:t"], ["LMOVE", "secret:l", "secret:l", "LEFT", "RIGHT"], ["EXPIRE", "secret:s", "9"]):
            assert c.command(*args).raw.startswith(b"-NOPERM"), args
        ok(v.admin.command("ACL", "SETUSER", "thief", "resetkeys", "%W~secret:*"))
        c = v.thief()
        for args in (["GET", "secret:s"], ["SET", "secret:s", "x", "GET"], ["GETDEL", "secret:s"], ["COPY", "secret:s", "secret:t"], ["DUMP", "secret:s"],
                     ["BITFIELD", "secret:s", "GET", "u8", "0"], ["SPOP", "secret:set"], ["LPOP", "secret:l"], ["SORT", "secret:l", "STORE", "secret:t"]):
            assert TREASURE not in c.command(*args).raw, args


@suite.test("a pattern made to take for ever ends soon")
def _(options):
    with Vault(options) as v:
        ok(v.admin.command("ACL", "SETUSER", "thief", "resetkeys", "~" + "a*" * 60 + "b"))
        c = v.thief()
        begin = time.monotonic()
        assert c.command("GET", "a" * 200).raw.startswith(b"-NOPERM")
        assert time.monotonic() - begin < 5


@suite.test("channels: no message, no subscription, no pattern that is wider, no list of them")
def _(options):
    with Vault(options) as v:
        for proto in (2, 3):
            for args in (["SUBSCRIBE", "secret"], ["SUBSCRIBE", "mine", "secret"], ["PSUBSCRIBE", "*"], ["PSUBSCRIBE", "s*"], ["PSUBSCRIBE", "mine*"],
                         ["SSUBSCRIBE", "secret"], ["SUBSCRIBE", b"mine\0"], ["SUBSCRIBE", "__keyspace@0__:secret:s"], ["SUBSCRIBE", "__redis__:invalidate"],
                         ["PUBLISH", "secret", "x"], ["SPUBLISH", "secret", "x"], ["MONITOR"]):
                c = v.thief(proto)
                assert c.command(*args).raw.startswith(b"-NOPERM"), (proto, args)
                assert v.admin.command("PUBLISH", "secret", TREASURE).raw == b":0\r\n"
                c.close()
            c = v.thief(proto)
            assert b"-" not in c.command("SUBSCRIBE", "mine").raw[:1]
            assert v.admin.command("PUBLISH", "mine", "x").raw == b":1\r\n"
            c.close()
        raw = v.thief().command("EVAL", "return redis.call('publish', 'secret', 'x')", 0).raw
        assert b"NOPERM" in raw, raw


# -- what is taken away is taken away

@suite.test("rights that are taken away: from open connections, queued commands and waiting ones", limit=60)
def _(options):
    with Vault(options) as v:
        queued, waits, listens = v.thief(), v.thief(), v.thief()
        ok(queued.command("MULTI"))
        queued.command("GET", "mine:s")
        waits.send([b"BLPOP", b"mine:queue", b"0"])
        listens.command("SUBSCRIBE", "mine")
        assert tap.until(lambda: b"blocked_clients:1" in v.admin.command("INFO", "clients").raw)
        ok(v.admin.command("ACL", "SETUSER", "thief", "resetkeys", "resetchannels"))
        assert b"NOPERM" in queued.command("EXEC").raw or queued.command("GET", "mine:s").raw.startswith(b"-NOPERM")
        v.admin.command("RPUSH", "mine:queue", TREASURE)
        assert waits.reply().raw.startswith(b"-NOPERM")
        assert v.admin.command("LLEN", "mine:queue").raw == b":1\r\n"
        assert v.admin.command("PUBLISH", "mine", TREASURE).raw == b":0\r\n"
        try:
            listens.reply()
            raise AssertionError("a subscriber without rights was told something")
        except wire.Broken:
            pass


@suite.test("a user that is gone: its connections end, its queue is not run, a new one of its name does not get them")
def _(options):
    with Vault(options) as v:
        c, waits = v.thief(), v.thief()
        ok(c.command("MULTI"))
        c.command("SET", "mine:late", "x")
        waits.send([b"BLPOP", b"mine:queue", b"0"])
        assert tap.until(lambda: b"blocked_clients:1" in v.admin.command("INFO", "clients").raw)
        v.admin.command("ACL", "DELUSER", "thief")
        ok(v.admin.command("ACL", "SETUSER", "thief", *THIEF))
        try:
            assert c.command("EXEC").raw[:1] == b"-"
            assert c.command("SET", "mine:late", "x").raw.startswith(b"-NOAUTH")
        except wire.Broken:
            pass
        assert v.admin.command("EXISTS", "mine:late").raw == b":0\r\n"
        v.admin.command("RPUSH", "mine:queue", "x")
        assert v.admin.command("LLEN", "mine:queue").raw == b":1\r\n"


@suite.test("passwords: old ones end at once, none fits by its prefix or with more bytes, off is off")
def _(options):
    with Vault(options) as v:
        ok(v.admin.command("ACL", "SETUSER", "thief", "resetpass", b">pass\0word", ">"))
        c = connect(options)
        for word in (b"pass", b"pass\0", b"pass\0wor", b"pass\0word ", b"PASS\0WORD", b"w", b"password"):
            assert c.command("AUTH", "thief", word).raw.startswith(b"-WRONGPASS"), word
        ok(c.command("AUTH", "thief", b"pass\0word"))
        ok(c.command("AUTH", "thief", b""))
        ok(v.admin.command("ACL", "SETUSER", "thief", b"<pass\0word"))
        assert c.command("AUTH", "thief", b"pass\0word").raw.startswith(b"-WRONGPASS")
        ok(v.admin.command("ACL", "SETUSER", "thief", "off"))
        assert connect(options).command("AUTH", "thief", "").raw.startswith(b"-WRONGPASS")
        for name in (b"nobody", b"", b"thief ", b"Thief", b"thief\0", b"*", b"\n"):
            assert c.command("AUTH", name, "").raw.startswith(b"-WRONGPASS"), name


# -- secrets do not leak

@suite.test("no password is shown by MONITOR, SLOWLOG, CLIENT LIST, ACL LOG or COMMAND GETKEYS")
def _(options):
    admin, monitor, c = connect(options), connect(options), connect(options)
    before = admin.command("CONFIG", "GET", "slowlog-log-slower-than").tree[1][1][1]
    ok(admin.command("CONFIG", "SET", "slowlog-log-slower-than", "0"))
    ok(monitor.command("MONITOR"))
    c.send_raw(b"AUTH default " + WORD + b"\r\n")
    c.reply()
    for args in (["AUTH", WORD], ["AUTH", "nobody", WORD], ["HELLO", "2", "AUTH", "nobody", WORD], ["ACL", "SETUSER", "thief", b">" + WORD, "on"],
                 ["ACL", "SETUSER", "thief", b"<" + WORD], ["CONFIG", "SET", "requirepass", WORD], ["AUTH", WORD], ["CONFIG", "SET", "requirepass", ""],
                 ["CONFIG", "SET", "masterauth", WORD], ["CONFIG", "SET", "masterauth", ""],
                 ["MIGRATE", "127.0.0.1", "1", "none", "0", "10", "AUTH", WORD], ["MIGRATE", "127.0.0.1", "1", "none", "0", "10", "AUTH2", "u", WORD]):
        c.command(*args)
    c.command("SET", "the-end", "x")
    seen = b""
    while b"the-end" not in seen:
        seen += monitor.reply().raw
    shown = b"".join(admin.command(*args).raw for args in (["SLOWLOG", "GET", "-1"], ["CLIENT", "LIST"], ["ACL", "LOG"], ["ACL", "LIST"], ["INFO", "everything"]))
    ok(admin.command("CONFIG", "SET", "slowlog-log-slower-than", before))
    admin.command("ACL", "DELUSER", "thief")
    admin.command("DEL", "the-end")
    for line in (seen + shown).splitlines():
        assert WORD not in line, line


if __name__ == "__main__":
    suite.main()

#!/usr/bin/python3
"""Snapshots that are loaded at start: files of redis-server with every type, files of every older form, damage, kills,
clients meanwhile. Prints TAP. Run by load.sh."""
import json
import os
import random
import struct
import subprocess
import sys
import time

import redis

from box import Box, Oracle, Tap, until
from rdb_file import File, crc64, integer, intset, length, listpack, lzf, stream, string, ziplist, zipmap

QUICK = "--quick" in sys.argv
KILLS = int(os.environ.get("KILLS", 3 if QUICK else 10))


def fill(r, seed=1):
    """Every type, small and large, with and without a time."""
    rng = random.Random(seed)
    word = lambda: bytes(rng.randrange(256) for _ in range(rng.randrange(1, 30)))
    p = r.pipeline(transaction=False)
    for i in range(300):
        p.set(f"s:{i}", rng.choice([i, -i, 2**40 + i, word(), b"a" * rng.randrange(5000)]))
        if i % 3 == 0:
            p.pexpire(f"s:{i}", 10**8 + i)
    for size in (1, 5, 100, 600, 3000):
        p.rpush(f"l:{size}", *(word() for _ in range(size)))
        p.sadd(f"st:{size}", *(word() for _ in range(size)))
        p.sadd(f"si:{size}", *(rng.randrange(-10**6, 10**12) for _ in range(size)))
        p.hset(f"h:{size}", mapping={word(): word() for _ in range(size)})
        p.zadd(f"z:{size}", {word(): rng.choice([rng.random(), rng.randrange(1000), float("inf")]) for _ in range(size)})
        for i in range(size):
            p.xadd(f"x:{size}", {word(): word(), "f": i}, id=f"{1000 + i // 3}-{i}")
        p.xgroup_create(f"x:{size}", "g", "0")
        p.xreadgroup("g", "c1", {f"x:{size}": ">"}, count=size // 2 + 1)
        p.xdel(f"x:{size}", "1000-0")
    p.set("big", b"x" * 3_000_000)
    p.set("noise", rng.randbytes(300_000))
    p.hset("long", mapping={f"f{i}": "v" * 200 for i in range(500)})
    p.execute()
    r.execute_command("SELECT", 0)
    r.function_load("#!lua name=lib\nredis.register_function('f', function(k, a) return a[1] end)\n" + "-- filler\n" * 20, replace=True)
    return r


def digest(r):
    return r.execute_command("DEBUG", "DIGEST")


def with_box(test, data=None, **directives):
    box = Box(**directives)
    try:
        if data is not None:
            box.dump.write_bytes(data)
        return test(box)
    finally:
        box.remove()


def same_as_redis(workers, options=()):
    def test(box):
        oracle = Oracle(*options)
        try:
            fill(oracle.client)
            other = redis.Redis("127.0.0.1", oracle.port, db=7)
            other.set("in-seven", 1)
            oracle.save(box.dump)
            box.start()
            r = box.client()
            assert digest(r) == digest(oracle.client), "digests differ"
            assert r.dbsize() == oracle.client.dbsize()
            assert box.client(db=7).get("in-seven") == b"1"
            before, ours, after = oracle.client.pttl("s:3"), r.pttl("s:3"), oracle.client.pttl("s:3")
            assert after - 2000 < ours < before + 2000, (before, ours, after)
            assert r.fcall("f", 0, "hello") == b"hello"
            for key in ("h:5", "h:3000", "z:5", "z:3000", "si:5", "x:5", "s:0", "big"):
                assert r.object("encoding", key) == oracle.client.object("encoding", key), key
            info = r.info("persistence")
            assert info["loading"] == 0 and info["rdb_last_load_keys_loaded"] == r.dbsize() + 1, (info, r.dbsize())
        finally:
            oracle.remove()
    return lambda: with_box(test, workers=workers)


def of_redis():
    same_as_redis(1)()


OLD = {
    "ql1": (14, length(2) + string(ziplist("a", 1, -5)) + string(ziplist("b", 100000))),
    "zl": (10, string(ziplist("x", "y" * 300, 7, 1 << 40))),
    "list": (1, length(3) + string("a") + integer(-300) + lzf(b"abc" * 30)),
    "set": (2, length(2) + string("m") + integer(5)),
    "zset1": (3, length(3) + string("a") + b"\x031.5" + string("b") + b"\xfe" + string("c") + b"\xff"),
    "zset2": (5, length(2) + string("a") + struct.pack("<d", 2.5) + string("b") + struct.pack("<d", -1)),
    "hash": (4, length(2) + string("f") + string("v") + string("g") + integer(70000)),
    "zipmap": (9, string(zipmap([(b"f", b"v"), (b"gg", b"ww")]))),
    "intset2": (11, string(intset(2, -3, 4))),
    "intset4": (11, string(intset(4, -3, 70000))),
    "intset8": (11, string(intset(8, -3, 1 << 40))),
    "zset-zl": (12, string(ziplist("a", 1, "b", "2.5"))),
    "hash-zl": (13, string(ziplist("f", "v", "g", 5))),
    "hash-lzf": (13, lzf(ziplist("f", "v" * 60, "g", 5))),
    "hash-lp": (16, string(listpack("f", "v", "g", 5))),
    "zset-lp": (17, string(listpack("a", 1, "b", 2))),
    "ql2": (18, length(2) + length(2) + string(listpack("a", 1)) + length(1) + string("plain")),
    "set-lp": (20, string(listpack("a", "b", 3))),
    "hash-ttl": (24, struct.pack("<Q", 33_000_000_000_000) + length(2) + length(1) + string("f") + string("v") + length(0) + string("g") + string("w")),
    "hash-lpex": (25, struct.pack("<Q", 33_000_000_000_000) + string(listpack("f", "v", 33_000_000_000_000, "g", "w", 0))),
    "stream1": (15, stream(1, [((5, 1), "f", "a"), ((6, 0), "f", "b")])),
    "stream2": (19, stream(2, [((5, 1), "f", "a"), ((6, 0), "f", "b")])),
    "stream3": (21, stream(3, [((5, 1), "f", "a"), ((6, 0), "f", "b")])),
    "str": (0, string("value")),
    "int": (0, integer(-129)),
    "lzf": (0, lzf(b"hello" * 50)),
}


def check_old(r):
    assert r.lrange("ql1", 0, -1) == [b"a", b"1", b"-5", b"b", b"100000"]
    assert r.lrange("zl", 0, -1) == [b"x", b"y" * 300, b"7", b"%d" % (1 << 40)]
    assert r.lrange("list", 0, -1) == [b"a", b"-300", b"abc" * 30]
    assert r.smembers("set") == {b"m", b"5"}
    assert r.zrange("zset1", 0, -1, withscores=True) == [(b"c", float("-inf")), (b"a", 1.5), (b"b", float("inf"))]
    assert r.zrange("zset2", 0, -1, withscores=True) == [(b"b", -1), (b"a", 2.5)]
    assert r.hgetall("hash") == {b"f": b"v", b"g": b"70000"}
    assert r.hgetall("zipmap") == {b"f": b"v", b"gg": b"ww"}
    assert r.smembers("intset2") == {b"-3", b"4"} and r.object("encoding", "intset2") == b"intset"
    assert r.smembers("intset4") == {b"-3", b"70000"} and r.smembers("intset8") == {b"-3", b"%d" % (1 << 40)}
    assert r.zrange("zset-zl", 0, -1, withscores=True) == [(b"a", 1), (b"b", 2.5)]
    assert r.hgetall("hash-zl") == {b"f": b"v", b"g": b"5"} and r.hget("hash-lzf", "f") == b"v" * 60
    assert r.hgetall("hash-lp") == {b"f": b"v", b"g": b"5"}
    assert r.zrange("zset-lp", 0, -1, withscores=True) == [(b"a", 1), (b"b", 2)]
    assert r.lrange("ql2", 0, -1) == [b"a", b"1", b"plain"]
    assert r.smembers("set-lp") == {b"a", b"b", b"3"}
    for name in ("hash-ttl", "hash-lpex"):
        assert r.hgetall(name) == {b"f": b"v", b"g": b"w"}, name
        times = r.execute_command("HPEXPIRETIME", name, "FIELDS", 2, "f", "g")
        assert times == [33_000_000_000_000, -1], times
    for name in ("stream1", "stream2", "stream3"):
        assert r.xrange(name) == [(b"5-1", {b"f": b"a"}), (b"6-0", {b"f": b"b"})]
    assert r.get("str") == b"value" and r.get("int") == b"-129" and r.get("lzf") == b"hello" * 50


def old_file(version=12):
    f = File(version).aux("redis-ver", "9.9.9").aux("redis-bits", "64")
    f.put(b"\xf7" + length(1 << 40) + length(2) + length(1) + length(5) + string("module data") + length(0))  # module's AUX
    f.select(0).put(b"\xfb" + length(len(OLD)) + length(0)).put(b"\xf4" + length(1) + length(2) + length(0))
    for name, (kind, value) in OLD.items():
        f.key(name, kind, value)
    return f


def old_forms():
    def test(box):
        box.start()
        check_old(box.client())
    with_box(test, old_file().end())


def times_and_access():
    now = int(time.time() * 1000)
    f = File(9).select(0)
    f.key("ms", 0, string("v"), ms=now + 10**7).key("s", 0, string("v"), seconds=now // 1000 + 10**4)
    f.key("over", 0, string("v"), ms=now - 5).key("before-1970", 0, string("v"), ms=-7).key("idle", 0, string("v"), idle=5000)
    f.key(integer(12345), 0, string("v")).key(lzf(b"k" * 40), 0, string("v"))

    def test(box):
        box.start()
        r = box.client()
        assert abs(r.pttl("ms") - 10**7) < 60000 and abs(r.ttl("s") - 10**4) < 60
        assert not r.exists("over") and not r.exists("before-1970")
        assert r.info("persistence")["rdb_last_load_keys_expired"] == 2
        assert 4990 < r.object("idletime", "idle") < 5100
        assert r.get("12345") == b"v" and r.get("k" * 40) == b"v"
    with_box(test, f.end(), maxmemory_policy="allkeys-lru")


def valkey():
    f = File(80, b"VALKEY").select(0)
    f.key("h", 22, length(2) + string("f") + string("v") + struct.pack("<q", 33_000_000_000_000) + string("g") + string("w") + struct.pack("<q", -1))

    def test(box):
        box.start()
        r = box.client()
        assert r.hgetall("h") == {b"f": b"v", b"g": b"w"}
        assert r.execute_command("HPEXPIRETIME", "h", "FIELDS", 2, "f", "g") == [33_000_000_000_000, -1]
    with_box(test, f.end())


def versions():
    def test(box, version, summed):
        f = File(version).select(0).key("a", 0, string("1")).key("l", 1, length(1) + string("x"))
        box.dump.write_bytes(f.end(summed))
        box.start()
        assert box.client().get("a") == b"1"
    for version, summed in ((1, True), (6, True), (11, False)):
        with_box(lambda box: test(box, version, summed))

    def imported(box):
        """Every version, with every form from 6 on, into one box that serves."""
        box.start()
        r, path = box.client(), box.folder / "versioned.rdb"
        for version in range(1, 13):
            path.write_bytes(old_file(version).end() if version >= 6 else File(version).select(0).key("str", 0, string("value")).end())
            code, text = box.sluice("snapshot", "import", path)
            assert code == 0, (version, text)
            assert r.get("str") == b"value", version
            if version >= 6:
                check_old(r)
            r.flushall()
        path.write_bytes(File(13).select(0).key("str", 0, string("value")).end())
        code, text = box.sluice("snapshot", "import", path)
        assert code != 0 and not r.exists("str"), text
    with_box(imported)


def is_refused(text, **directives):
    """Data -> a box that says LOADING, with the reason."""
    def run(data):
        def test(box):
            box.start("load-failed")
            detail = box.status()["dataplane"]["detail"]
            assert text in detail, detail
            r = box.client()
            for words in (("PING",), ("GET", "a"), ("SET", "a", 1), ("FLUSHALL",)):
                try:
                    r.execute_command(*words)
                    raise AssertionError(f"{words}: no error")
                except redis.BusyLoadingError:
                    pass
            assert r.info("persistence")["loading"] == 1
            assert box.status()["health"]["ok"] is False
        with_box(test, data, **directives)
    return run


def damage():
    good = File(10).select(0).key("a", 0, string("1")).key("hurt", 16, string(listpack("f", "v"))).end()
    wrong_sum = good[:-1] + bytes([good[-1] ^ 1])
    is_refused("checksum")(wrong_sum)
    is_refused("'hurt'")(File(10).select(0).key("hurt", 16, string(listpack("f", "v")[:-1] + b"\0")).end())
    is_refused("has only")(good[:-14])
    is_refused("unknown type 99")(File(10).select(0).key("new", 99, b"").end())
    is_refused("not so many")(File(10).select(99).key("far", 0, string("1")).end())
    is_refused("does not begin")(b"this is no RDB file at all")


def no_memory():
    f = File(10).select(0)
    for i in range(2000):
        f.key(f"k{i}", 0, string(random.Random(i).randbytes(5000)))
    data = f.end(summed=False)
    is_refused("no memory", maxmemory="5mb", maxmemory_policy="noeviction")(data)

    def test(box):
        box.start()
        assert 100 < box.client().dbsize() < 2000
    with_box(test, data, maxmemory="5mb", maxmemory_policy="allkeys-random")


def no_file():
    def test(box):
        box.start()
        assert box.client().dbsize() == 0
    with_box(test)


def large_file(keys):
    f = File(10).select(0)
    parts = [bytes([0]) + string(f"key:{i:09}") + string(f"value-{i}" * 4) for i in range(keys)]
    f.put(b"".join(parts))
    return f.end(summed=False)


def clients_meanwhile():
    """LOADING with progress in INFO; what may run runs; then all of it is there."""
    keys = 300_000

    def test(box):
        box.start_control()
        seen, pongs = 0, 0
        until(60, lambda: box.state() in ("loading", "serving"), box.state)
        r = box.client()
        while box.state() == "loading":
            info = r.info("persistence")
            if info["loading"]:
                assert info["loading_total_bytes"] > 10**6 and 0 <= info["loading_loaded_perc"] <= 100
                seen += 1
            try:
                r.get("key:000000001")
            except redis.BusyLoadingError:
                pongs += 1
            assert r.client_id() > 0
        assert r.dbsize() == keys and r.get("key:000299999") == b"value-299999" * 4
        return f"{seen} times INFO, {pongs} times LOADING"
    return with_box(test, large_file(keys), workers=2)


def kills():
    """Control and dataplane are killed while it is loaded; in the end all of it is there."""
    keys, rng = 300_000, random.Random(5)

    def test(box):
        box.start_control()
        for i in range(KILLS):
            until(60, lambda: box.state() in ("loading", "serving"), box.state)
            time.sleep(rng.random() * 0.3)
            if i % 2 == 0:
                box.kill_control()
                box.start_control()
            elif box.dataplane_pid():
                box.kill_dataplane()
                time.sleep(0.1)
        box.wait("serving", 120)
        r = box.client()
        assert r.dbsize() == keys, r.dbsize()
    with_box(test, large_file(keys), workers=2)


def cut_everywhere():
    """`sluice snapshot verify` of a file that ends at any byte: damaged, and never keys that are not there."""
    data = old_file().end()
    box = Box()
    try:
        for n in range(0, len(data), 7 if QUICK else 1):
            box.dump.write_bytes(data[:n])
            code, text = box.sluice("snapshot", "verify", box.dump, "--json")
            report = json.loads(text)
            assert code != 0 and report["ok"] is False and report.get("keys", 0) <= len(OLD), (n, text)
            assert report["error"].startswith("at byte "), report["error"]
        box.dump.write_bytes(data)
        code, text = box.sluice("snapshot", "verify", box.dump, "--json")
        assert code == 0 and json.loads(text)["keys"] == len(OLD), text
        for place in range(9, len(data) - 9, 97 if QUICK else 13):  # one bit is another: the checksum says so at the least
            hurt = bytearray(data)
            hurt[place] ^= 1 << place % 8
            box.dump.write_bytes(hurt)
            assert box.sluice("snapshot", "verify", box.dump)[0] != 0, place
    finally:
        box.remove()


def verify_as_redis():
    """Counts beside DBSIZE and TYPE of redis-server; redis-check-rdb agrees."""
    box, oracle = Box(), Oracle()
    try:
        fill(oracle.client)
        oracle.save(box.dump)
        report = json.loads(box.sluice("snapshot", "verify", box.dump, "--json")[1])
        assert report["ok"] and report["keys"] == oracle.client.dbsize() and report["functions"] == 1
        count = {}
        for key in oracle.client.scan_iter(count=1000):
            kind = oracle.client.type(key).decode()
            count[kind] = count.get(kind, 0) + 1
        assert {k: v["keys"] for k, v in report["types"].items()} == count, report["types"]
        assert report["expires"] == oracle.client.info("keyspace")["db0"]["expires"]
        assert subprocess.run(["redis-check-rdb", box.dump], capture_output=True).returncode == 0
        box.dump.write_bytes(box.dump.read_bytes()[:-30000])
        assert box.sluice("snapshot", "verify", box.dump)[0] != 0
        assert subprocess.run(["redis-check-rdb", box.dump], capture_output=True).returncode != 0
    finally:
        box.remove()
        oracle.remove()


def imports():
    """Into a box that serves, over its keys or beside them, while a client writes."""
    def test(box):
        box.start()
        r = box.client()
        r.set("a", "ours")
        r.rpush("mine", 1)
        extra = box.folder / "extra.rdb"
        f = File(10).select(0).key("a", 0, string("theirs")).key("over", 0, string("x"), ms=5)
        f.put(b"".join(bytes([0]) + string(f"k{i}") + string("v" * 50) for i in range(50_000)))
        f.key("list", 14, length(3000) + string(ziplist(*(b"x" * 50 for _ in range(100)))) * 3000)
        extra.write_bytes(f.end(summed=False))
        code, text = box.sluice("snapshot", "import", extra, "keep")
        assert code == 0 and "1 were left" in text and r.get("a") == b"ours", text
        assert r.dbsize() == 50_003 and r.llen("list") == 300_000, (r.dbsize(), r.llen("list"))
        with subprocess.Popen([sys.executable, "-c", WRITER]) as writer:
            code, text = box.sluice("snapshot", "import", extra)
            writer.terminate()
        assert code == 0 and r.get("a") == b"theirs" and r.lrange("mine", 0, -1) == [b"1"], text
        assert r.llen("list") == 300_000
        extra.write_bytes(extra.read_bytes()[:-100])
        code, text = box.sluice("snapshot", "import", extra)
        assert code != 0 and "at byte" in text, text
        assert r.ping() and box.state() == "serving"
        assert box.sluice("snapshot", "import", extra, "salvage")[0] != 0
        assert box.sluice("snapshot", "abandon")[0] != 0
        code, text = box.sluice("snapshot", "list")
        assert code == 0 and "dump.rdb" not in text, text
    with_box(test, workers=2)


WRITER = """
import redis
r = redis.Redis("10.44.0.2", 6379)
while True:
    p = r.pipeline()
    for i in range(100):
        p.incr("counter")
        p.lrange("list", 0, 5)
    p.execute()
"""


def rescue():
    """A box that could not load: another file, what is sound of its own, or nothing."""
    good = File(10).select(0).key("a", 0, string("1")).key("b", 0, string("2")).end()

    def test(box):
        box.start("load-failed")
        other = box.folder / "other.rdb"
        other.write_bytes(good)
        assert box.sluice("snapshot", "import", box.dump, "keep")[0] != 0
        code, text = box.sluice("snapshot", "import", box.dump)
        assert code != 0 and box.state() == "load-failed", text
        code, text = box.sluice("snapshot", "import", other)
        box.wait("serving", 10)
        assert code == 0 and box.client().dbsize() == 2, text
    with_box(test, good[:-1] + b"x")

    def salvage(box):
        box.start("load-failed")
        code, text = box.sluice("snapshot", "import", box.dump, "salvage")
        box.wait("serving", 10)
        assert code == 0 and box.client().dbsize() == 1, text
    with_box(salvage, good[:-12])

    def abandon(box):
        box.start("load-failed")
        code, text = box.sluice("snapshot", "abandon")
        box.wait("serving", 10)
        r = box.client()
        assert code == 0 and r.dbsize() == 0 and r.set("x", 1), text
    with_box(abandon, good[:-12])


def round_trip():
    """What the box has saved is there after a restart, after a kill; a box that has not loaded saves nothing over its file."""
    def test(box):
        oracle = Oracle()
        try:
            fill(oracle.client)
            oracle.save(box.dump)
            wanted = digest(oracle.client)
        finally:
            oracle.remove()
        box.directives["warm-restart"] = "no"  # else the keys outlive the kill
        box.start()
        r = box.client()
        assert r.set("new", 1) and r.save()
        wanted = digest(r)
        r.set("lost", 1)
        box.kill_dataplane()
        until(60, lambda: box.status().get("dataplane", {}).get("restarts", 0) == 1 and box.state() == "serving", box.log)
        assert digest(box.client()) == wanted and box.client().fcall("f", 0, "x") == b"x"
        good = box.dump.read_bytes()
        hurt = good[:-9] + b"x" + good[-8:]
        box.stop()
        box.dump.write_bytes(hurt)
        box.directives["save"] = "1 1"
        box.start("load-failed")
        time.sleep(3)
        try:
            box.client().execute_command("SHUTDOWN", "SAVE")
        except redis.RedisError:
            pass
        box.stop()
        assert box.dump.read_bytes() == hurt, "a store that was not loaded was saved over its file"
    with_box(test)


def main():
    tap = Tap()
    only = [word for word in sys.argv[1:] if word != "--quick"]
    if only:
        for name in only:
            tap.run(name, globals()[name])
        return tap.end()
    tap.run("there is no file: the box begins empty", no_file)
    tap.run("every older form of values", old_forms)
    tap.run("times, access, packed names", times_and_access)
    tap.run("Valkey's version 80", valkey)
    tap.run("versions 1 to 12, and no checksum", versions)
    for workers in (1, 2):
        tap.run(f"a file of redis-server, {workers} workers", same_as_redis(workers))
    tap.run("a file of redis-server without compression and checksum", same_as_redis(1, ("--rdbcompression", "no", "--rdbchecksum", "no")))
    tap.run("damage is told and the box stays closed", damage)
    tap.run("no memory for all of it", no_memory)
    tap.run("clients while it is loaded", clients_meanwhile)
    tap.run("control and dataplane killed while it is loaded", kills)
    tap.run("verify: every cut, bits", cut_everywhere)
    tap.run("verify counts as redis-server does", verify_as_redis)
    tap.run("import while it serves", imports)
    tap.run("another file, salvage, nothing", rescue)
    tap.run("saved, killed, loaded; never over what was not loaded", round_trip)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())

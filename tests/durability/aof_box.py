"""What tests of the append-only log share: random changes of all types, the log's folder and its check by redis-check-aof."""
import contextlib
import subprocess

import redis

from box import Box, until


def digest(r):
    return r.execute_command("DEBUG", "DIGEST")


def log_folder(box):
    return box.data / "appendonlydir"


def check(box):
    done = subprocess.run(["redis-check-aof", log_folder(box) / "appendonly.aof.manifest"], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "All AOF files and manifest are valid" in done.stdout, done.stdout + done.stderr


def changes_of_strings(run, key, word, rng):
    return [
        lambda: run("SET", key("s"), word()),
        lambda: run("SET", key("s"), word(), "PX", rng.randrange(1000000, 2000000), rng.choice(["NX", "XX", "GET"])),
        lambda: run("SET", key("s"), word(), "KEEPTTL"),
        lambda: run("SETEX", key("s"), 5000, word()),
        lambda: run("PSETEX", key("s"), 5000000, word()),
        lambda: run("GETEX", key("s"), *rng.choice([("EX", 4000), ("PERSIST",), ("PXAT", 4_000_000_000_000), ()])),
        lambda: run("EXPIRE", key(rng.choice("slthzx")), rng.choice([5000, 5000, 5000, -1]), *rng.choice([(), ("NX",), ("GT",)])),
        lambda: run("PEXPIRE", key(rng.choice("slthzx")), 5000000),
        lambda: run("PERSIST", key(rng.choice("slthzx"))),
        lambda: run("SET", "n", rng.randrange(100)) and run("INCRBY", "n", 7) and run("INCRBYFLOAT", "n", "0.1"),
        lambda: run("APPEND", key("s"), word()),
        lambda: run("SETRANGE", key("s"), rng.randrange(20), word()),
        lambda: run("SETBIT", "bits", rng.randrange(200), 1),
        lambda: run("PFADD", "hll", word()),
        lambda: run("MSET", key("s"), word(), key("s"), word()),
        lambda: run("DEL", key(rng.choice("slthzx")), key(rng.choice("sl"))),
    ]


def changes_of_collections(run, key, word, rng):
    return [
        lambda: run("RPUSH", key("l"), word(), word()),
        lambda: run("LPOP", key("l"), 2),
        lambda: run("LMOVE", key("l"), key("l"), "LEFT", "RIGHT"),
        lambda: run("BLPOP", key("l"), key("l"), 0.01),
        lambda: run("BLMOVE", key("l"), key("l"), "RIGHT", "LEFT", 0.01),
        lambda: run("BLMPOP", 0.01, 2, key("l"), key("l"), "LEFT", "COUNT", 2),
        lambda: run("LTRIM", key("l"), 0, 20),
        lambda: run("SADD", key("t"), word(), word(), rng.randrange(100)),
        lambda: run("SPOP", key("t")),
        lambda: run("SPOP", key("t"), rng.randrange(4)),
        lambda: run("SUNIONSTORE", key("t"), key("t"), key("t")),
        lambda: run("HSET", key("h"), word(), word(), word(), word()),
        lambda: run("HINCRBYFLOAT", key("h"), "float", "1.25"),
        lambda: run("HDEL", key("h"), word()),
        lambda: run("ZADD", key("z"), rng.random(), word(), rng.randrange(9), word()),
        lambda: run("ZINCRBY", key("z"), 0.3, word()),
        lambda: run("ZPOPMIN", key("z"), 2),
        lambda: run("BZPOPMAX", key("z"), key("z"), 0.01),
        lambda: run("ZRANGESTORE", key("z"), key("z"), 0, 3),
        lambda: run("GEOADD", "geo", rng.random(), rng.random(), word()),
    ]


def changes_of_streams(run, key, word, rng):
    return [
        lambda: run("XADD", key("x"), "*", "f", word()),
        lambda: run("XADD", key("x"), "NOMKSTREAM", "MAXLEN", "~", 5, "*", "f", word(), "g", word()),
        lambda: run("XTRIM", key("x"), "MAXLEN", "~", 3),
        lambda: run("XGROUP", "CREATE", key("x"), "g", rng.choice(["$", "0"]), "MKSTREAM"),
        lambda: run("XREADGROUP", "GROUP", "g", rng.choice("AB"), "COUNT", 3, "STREAMS", key("x"), ">"),
        lambda: run("XREADGROUP", "GROUP", "g", rng.choice("AB"), "NOACK", "STREAMS", key("x"), ">"),
        lambda: run("XREADGROUP", "GROUP", "g", rng.choice("AB"), "STREAMS", key("x"), "0"),
        lambda: run("XAUTOCLAIM", key("x"), "g", "C", 0, "0", "COUNT", 2),
        lambda: run("XGROUP", "DELCONSUMER", key("x"), "g", "B"),
    ]


def changes_of_keys(run, key, word, rng):
    return [
        lambda: run("COPY", key("s"), key("s"), "REPLACE"),
        lambda: run("RENAME", key("l"), key("l")),
        lambda: run("MOVE", key("s"), 3),
        lambda: run("SORT", key("l"), "ALPHA", "STORE", key("l")),
        lambda: run("EVAL", "redis.call('SET', KEYS[1], ARGV[1]) redis.call('RPUSH', KEYS[2], ARGV[1]) return redis.call('TIME')", 2,
                    key("s"), key("l"), word()),
        lambda: run("EVAL", "if redis.call('EXISTS', KEYS[1]) == 1 then return redis.call('SPOP', KEYS[1]) end", 1, key("t")),
        lambda: run("SET", "short", 1, "PX", 1),
        lambda: run("INCR", "short"),
        lambda: run("FUNCTION", "LOAD", "REPLACE", "#!lua name=lib\nredis.register_function('f', function(k, a) return redis.call('INCR', k[1]) end)"),
        lambda: run("FCALL", "f", 1, "counter"),
    ]


def write(r, rng, n):
    """Random changes of all types; what redis-server 7.0 knows."""
    key = lambda kind: f"{kind}{rng.randrange(12)}"
    word = lambda: rng.choice(["a", "b", "c", "x" * 50, bytes(rng.randrange(256) for _ in range(9)), rng.randrange(1000)])

    def run(*words):
        try:
            return r.execute_command(*words)
        except redis.ResponseError:
            return None

    def transaction():
        p = r.pipeline(transaction=True)
        for _ in range(rng.randrange(1, 6)):
            p.execute_command("SET", key("s"), word(), "EX", rng.randrange(1000, 2000))
            p.execute_command("RPUSH", key("l"), word())
            p.execute_command("SPOP", key("t"))
        try:
            p.execute()
        except redis.ResponseError:
            pass

    changes = [change for kind in (changes_of_strings, changes_of_collections, changes_of_streams, changes_of_keys) for change in kind(run, key, word, rng)]
    changes.append(transaction)
    for _ in range(n):
        rng.choice(changes)()


def streams(r):
    """What the digest does not look at."""
    found = {}
    for i in range(12):
        try:
            found[i] = [(g["name"], g["last-delivered-id"], g["pending"], g["entries-read"],
                         [(p["message_id"], p["consumer"], p["times_delivered"]) for p in r.xpending_range(f"x{i}", g["name"], "-", "+", 1000)],
                         sorted(c["name"] for c in r.xinfo_consumers(f"x{i}", g["name"]))) for g in r.xinfo_groups(f"x{i}")]
        except redis.ResponseError:
            pass
    return found


def settled(box, r):
    """All that was done is in the file."""
    until(30, lambda: r.execute_command("WAITAOF", 1, 0, 0) == [1, 0], lambda: "the log on the disk")


def writes_again(r, seconds):
    """Until writes are taken, which MISCONF has refused."""
    def taken():
        try:
            return r.set("again", 1)
        except redis.ResponseError:
            return False
    until(seconds, taken, lambda: "writes to be taken again")


def with_box(test, **directives):
    directives.setdefault("appendonly", "yes")
    box = Box(**directives)
    try:
        return test(box)
    finally:
        box.remove()


@contextlib.contextmanager
def small_disk(box):
    """The box's files on a disk of 2 MB; gives what makes it large enough."""
    box.data.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "aof", box.data], check=True)
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", box.data], check=True)
    finally:
        box.stop()
        subprocess.run(["umount", "-l", box.data], check=False)

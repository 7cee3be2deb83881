#!/usr/bin/python3
"""The ready users of board/roles.acl: each may send what its programs send, and nothing that its role is to keep from it.
Needs a box without password. Lists of commands: redis_exporter 1.6x (exporter/*.go), RedisInsight 2.x (its browser, slow
log and analysis panes), Redis Commander 0.8 and the client libraries' handshakes."""
import os
import shlex
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "integration"), os.path.join(HERE, "..", "conformance")]
import tap  # noqa: E402
import wire  # noqa: E402

suite = tap.Tap("roles")
HANDSHAKE = ["HELLO 2", "CLIENT SETNAME x", "CLIENT SETINFO lib-name x", "CLIENT ID", "PING", "SELECT 0", "ACL WHOAMI"]
DATA = ["SET k 1", "GET k", "DEL k", "EXPIRE h 100", "TTL h", "HSET h f v", "HGETALL h", "SCAN 0", "TYPE h", "OBJECT ENCODING h", "MEMORY USAGE h",
        "EVAL 'return redis.call(\"get\", KEYS[1])' 1 k", "XADD x 1-1 f v", "XLEN x", "PUBLISH c m", "MULTI", "INCR n", "EXEC", "SORT l", "INFO", "DUMP h"]
PEEK = ["INFO", "DBSIZE", "CONFIG GET maxmemory", "SLOWLOG GET 10", "SLOWLOG LEN", "LATENCY LATEST", "LATENCY HISTOGRAM", "CLIENT LIST", "MODULE LIST"]
BROWSE = ["SCAN 0 MATCH * COUNT 500", "TYPE h", "TTL h", "MEMORY USAGE h", "HLEN h", "HSCAN h 0", "STRLEN k", "LLEN l", "LRANGE l 0 9", "SSCAN s 0", "ZRANGE z 0 9 WITHSCORES",
          "XRANGE x - + COUNT 9", "XINFO STREAM x", "OBJECT ENCODING h", "COMMAND COUNT", "COMMAND DOCS GET", "PUBSUB CHANNELS", "MEMORY DOCTOR", "FUNCTION LIST"]
KEPT = ["CONFIG SET maxmemory 1", "CONFIG REWRITE", "ACL LIST", "ACL SETUSER x on", "ACL DELUSER x", "ACL GETUSER default", "FLUSHALL", "FLUSHDB", "SHUTDOWN NOSAVE",
        "DEBUG JMAP", "CLIENT KILL ID 999999", "CLIENT PAUSE 1", "REPLICAOF NO ONE", "SAVE", "BGSAVE", "SWAPDB 0 1", "MIGRATE 127.0.0.1 1 k 0 1", "ACL LOG", "CLUSTER RESET",
        "FAILOVER"]
ROLES = {
    "application": (HANDSHAKE + DATA + ["KEYS *", "BLPOP l 0.01", "WATCH k", "UNWATCH", "SUBSCRIBE c"], KEPT + ["CONFIG GET *", "CLIENT LIST", "SLOWLOG GET", "MONITOR"]),
    "exporter": (HANDSHAKE + PEEK + ["LATENCY HISTORY command", "MEMORY STATS", "COMMAND COUNT"], KEPT + ["GET k", "SET k 1", "SCAN 0", "KEYS *", "TYPE h", "MONITOR", "SUBSCRIBE c", "EVAL 'return 1' 0"]),
    "gui-viewer": (HANDSHAKE + PEEK + BROWSE + ["GET k", "HGETALL h", "MULTI", "GET k", "EXEC", "SUBSCRIBE c"],
                   KEPT + ["SET k 1", "DEL k", "EXPIRE h 1", "PUBLISH c m", "EVAL 'return redis.call(\"set\", \"k\", 1)' 0", "SORT l STORE t", "GETDEL k", "MONITOR", "RESTORE t 0 x"]),
    "gui-editor": (HANDSHAKE + PEEK + BROWSE + DATA + ["KEYS *", "SLOWLOG RESET", "MONITOR"], KEPT),
}


def lines():
    with open(os.path.join(HERE, "..", "..", "board", "roles.acl")) as file:
        return {line.split()[1]: line.split()[2:] for line in file if line.startswith("user ")}


def prepared(options, role):
    admin = wire.Connection("%s:%d" % (options.host, options.port))
    reply = admin.command("ACL", "SETUSER", role, "reset", *lines()[role], ">" + role)
    assert reply.raw == b"+OK\r\n", reply.text()
    for line in ("DEL k h l s z x n", "SET k 1", "HSET h f v", "RPUSH l 1 2", "SADD s a", "ZADD z 1 a", "XADD x 0-1 f v"):
        admin.command(*line.split())
    return admin


def one(options, role):
    admin = prepared(options, role)
    may, kept = ROLES[role]
    address = "%s:%d" % (options.host, options.port)
    c = wire.Connection(address)
    assert c.command("AUTH", role, role).raw == b"+OK\r\n"
    for line in may:
        reply = c.command(*shlex.split(line))
        assert b"-NOPERM" not in reply.raw and not reply.raw.startswith(b"-"), (line, reply.text(200))
    c.close()
    for line in kept:
        c = wire.Connection(address)
        c.command("AUTH", role, role)
        reply = c.command(*shlex.split(line))
        assert b"NOPERM" in reply.raw, (line, reply.text(200))
        c.close()
    admin.command("ACL", "DELUSER", role)
    admin.command("DEL", *"k h l s z x n t".split())


for name in ROLES:
    suite.test(f"{name}: what its programs send, and nothing it is to be kept from")(lambda options, role=name: one(options, role))


def run(options, role, *words, limit=20):
    done = subprocess.run(["redis-cli", "-h", options.host, "-p", str(options.port), "--user", role, "--pass", role, "--no-auth-warning", *words],
                          capture_output=True, text=True, timeout=limit)
    assert done.returncode == 0 and "NOPERM User" not in done.stdout + done.stderr, (words, done.stdout[-300:], done.stderr[-300:])
    return done.stdout


@suite.test("redis-cli as gui-viewer: --bigkeys, --memkeys, --scan and INFO")
def _(options):
    admin = prepared(options, "gui-viewer")
    run(options, "gui-viewer", "--bigkeys")
    run(options, "gui-viewer", "--memkeys")
    assert "h" in run(options, "gui-viewer", "--scan").split()
    assert "redis_version" in run(options, "gui-viewer", "INFO")
    admin.command("ACL", "DELUSER", "gui-viewer")


@suite.test("redis-py as application: its recipes of locks, pipelines, scripts and streams")
def _(options):
    try:
        import redis
    except ImportError as why:
        raise tap.Skip("no redis-py") from why
    admin = prepared(options, "application")
    r = redis.Redis(options.host, options.port, username="application", password="application")
    with r.lock("the-lock", timeout=5):
        pass
    with r.pipeline() as p:
        p.watch("n")
        p.multi()
        p.incr("n")
        p.execute()
    assert r.register_script("return redis.call('get', KEYS[1])")(keys=["n"]) == b"1"
    r.xgroup_create("x", "g", id="0")
    assert r.xreadgroup("g", "c", {"x": ">"})
    r.delete("x", "n")
    admin.command("ACL", "DELUSER", "application")


if __name__ == "__main__":
    suite.main()

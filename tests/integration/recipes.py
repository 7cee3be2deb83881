#!/usr/bin/python3
"""recipes.py: what five public set-up guides tell people to do with Redis, line by line, by the client that each names: redis-cli
(G3 an AI stack with n8n, G1 a configurator's sessions, G4 a response cache), redis-py (G2 a dashboard, G3, G4), redis.asyncio
(G1). G0's clients are Node's: sessions.js, limits.js, cache.js. Empties the server."""

import asyncio
import contextlib
import json
import shlex
import subprocess
import threading
import time

import redis
import redis.asyncio

from redis_cli import cli, command
from tap import Skip, Tap, until

tap = Tap("recipes")
SESSION = '{"user_id": "user123", "context": "..."}'


def url(o, user=""):
    login = f"{user}:{o.password}@" if o.password else ""
    return f"redis://{login}{o.host}:{o.port}/0"


def says(o, line, *want):
    """One line of a guide, as redis-cli shows its reply on a terminal."""
    got = cli(o, "--no-raw", *shlex.split(line)).decode().splitlines()
    assert got == list(want), f"{line}: {got}"


def lives(o, key, seconds):
    """Its TTL, given a moment ago."""
    assert seconds - 30 < int(cli(o, "TTL", key)) <= seconds, key


def shell(o, text):
    """A recipe of several commands for the shell; redis-cli stands for redis-cli with address and password."""
    auth = f"--no-auth-warning -a {shlex.quote(o.password)}" if o.password else ""
    prefix = f'redis-cli() {{ command redis-cli -h {o.host} -p {o.port} {auth} "$@"; }}; export -f redis-cli\n'
    done = subprocess.run(["bash", "-c", prefix + text], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done
    return done.stdout.splitlines()


@contextlib.contextmanager
def configured(o, **directives):
    """CONFIG SET for the time of a check."""
    r = redis.Redis.from_url(url(o))
    before = {}
    for name, value in directives.items():
        name = name.replace("_", "-")
        before[name] = r.config_get(name)[name]
        assert r.config_set(name, value)
    try:
        yield r
    finally:
        for name, value in before.items():
            r.config_set(name, value)


@tap.test("G3 basic operations and data structures by redis-cli")
def _(o):
    cli(o, "flushall")
    says(o, 'SET key "value"', "OK")
    says(o, "GET key", '"value"')
    says(o, 'SETEX session:user123 3600 "user-data"', "OK")
    says(o, "EXISTS key", "(integer) 1")
    says(o, "DEL key", "(integer) 1")
    says(o, "EXISTS key", "(integer) 0")
    says(o, 'LPUSH mylist "item1"', "(integer) 1")
    says(o, 'LPUSH mylist "item2"', "(integer) 2")
    says(o, "LRANGE mylist 0 -1", '1) "item2"', '2) "item1"')
    says(o, 'SADD myset "member1"', "(integer) 1")
    says(o, 'SADD myset "member2"', "(integer) 1")
    assert set(cli(o, "SMEMBERS", "myset").split()) == {b"member1", b"member2"}
    says(o, 'HSET user:1 name "Alice"', "(integer) 1")
    says(o, 'HSET user:1 email "alice@example.com"', "(integer) 1")
    says(o, "HGETALL user:1", '1) "name"', '2) "Alice"', '3) "email"', '4) "alice@example.com"')
    says(o, 'ZADD leaderboard 100 "player1"', "(integer) 1")
    says(o, 'ZADD leaderboard 200 "player2"', "(integer) 1")
    says(o, "ZRANGE leaderboard 0 -1 WITHSCORES", '1) "player1"', '2) "100"', '3) "player2"', '4) "200"')


@tap.test("G3 use cases: sessions, cached answers, rate limits, a queue, counters")
def _(o):
    cli(o, "flushall")
    says(o, f"SETEX session:abc123 3600 '{SESSION}'", "OK")
    assert json.loads(cli(o, "GET", "session:abc123")) == json.loads(SESSION)
    says(o, 'SET cache:prompt:hash "LLM response" EX 86400', "OK")
    lives(o, "cache:prompt:hash", 86400)
    says(o, "INCR rate:user123:minute", "(integer) 1")
    says(o, "EXPIRE rate:user123:minute 60", "(integer) 1")
    says(o, "INCR rate:user123:minute", "(integer) 2")
    lives(o, "rate:user123:minute", 60)
    says(o, """LPUSH queue:tasks '{"task": "process_document", "id": 123}'""", "(integer) 1")
    says(o, "RPOP queue:tasks", r'"{\"task\": \"process_document\", \"id\": 123}"')
    says(o, "RPOP queue:tasks", "(nil)")
    says(o, "INCR analytics:page_views:2024-12-02", "(integer) 1")
    says(o, "HINCRBY analytics:user:123 clicks 1", "(integer) 1")


@tap.test("G3 Pub/Sub, transaction and script by redis-cli")
def _(o):
    listener = subprocess.Popen(["stdbuf", "-oL", *command(o, "SUBSCRIBE", "notifications")], stdout=subprocess.PIPE)
    try:
        assert [listener.stdout.readline() for _ in range(3)] == [b"subscribe\n", b"notifications\n", b"1\n"]
        says(o, 'PUBLISH notifications "New message"', "(integer) 1")
        assert [listener.stdout.readline() for _ in range(3)] == [b"message\n", b"notifications\n", b"New message\n"]
    finally:
        listener.terminate()
        listener.communicate(timeout=60)
    assert cli(o, stdin=b'MULTI\nSET key1 "value1"\nSET key2 "value2"\nEXEC\n').split() == [
        b"OK", b"QUEUED", b"QUEUED", b"OK", b"OK"]
    says(o, """EVAL "return redis.call('SET', KEYS[1], ARGV[1])" 1 mykey myvalue""", "OK")
    says(o, "GET mykey", '"myvalue"')


@tap.test("G1 keys of sessions: KEYS, SCAN, GET, TYPE, TTL, MEMORY USAGE, EXPIRE, PERSIST")
def _(o):
    cli(o, "flushall")
    r = redis.Redis.from_url(url(o))
    for n in range(1000):
        r.setex(f"session:abc-{n}", 3600, SESSION)
        r.set(f"user:{n}", n)
    says(o, "DBSIZE", "(integer) 2000")
    assert len(cli(o, "KEYS", "session:*").split()) == 1000
    assert sorted(cli(o, "KEYS", "session:abc-99?").split()) == [b"session:abc-99%d" % n for n in range(10)]
    cursor, *keys = cli(o, "SCAN", 0, "MATCH", "session:*", "COUNT", 100).split()
    assert int(cursor) > 0 and keys and all(key.startswith(b"session:") for key in keys)
    says(o, "TYPE session:abc-123", "string")
    lives(o, "session:abc-123", 3600)
    assert 60 < int(cli(o, "MEMORY", "USAGE", "session:abc-123")) < 300
    says(o, "EXPIRE session:abc-123 7200", "(integer) 1")
    lives(o, "session:abc-123", 7200)
    says(o, "PERSIST session:abc-123", "(integer) 1")
    says(o, "TTL session:abc-123", "(integer) -1")
    says(o, "TTL session:none", "(integer) -2")
    says(o, "FLUSHALL", "OK")
    says(o, "DBSIZE", "(integer) 0")


@tap.test("G1 finds keys without a TTL and sets one; G4 deletes what KEYS finds by xargs")
def _(o):
    cli(o, "flushall")
    shell(o, "for n in 1 2 3; do redis-cli SET forever:$n x; redis-cli SET brief:$n x EX 100; redis-cli SET temp:$n x; done")
    found = shell(o, """
        redis-cli --scan --pattern "*" | while read key; do
          ttl=$(redis-cli TTL "$key" </dev/null)
          if [ "$ttl" == "-1" ]; then
            echo "No TTL: $key"
            redis-cli EXPIRE "$key" 3600 </dev/null >/dev/null
          fi
        done""")
    assert sorted(found) == [f"No TTL: {name}:{n}" for name in ("forever", "temp") for n in (1, 2, 3)]
    lives(o, "forever:1", 3600)
    assert shell(o, 'redis-cli KEYS "temp:*" | xargs -n 100 bash -c \'redis-cli DEL "$@"\' _') == ["3"]
    assert shell(o, 'redis-cli KEYS "temp:*"') in ([], [""])


@tap.test("G0-G4 INFO: the fields that the guides look for, with values that mean something")
def _(o):
    cli(o, "flushall")
    r = redis.Redis.from_url(url(o))
    r.config_resetstat()
    r.set("here", "x" * 100, ex=100)
    [r.get("here") for _ in range(30)]
    [r.get("not here") for _ in range(10)]
    r.hgetall("none")
    stats, memory = r.info("stats"), r.info("memory")
    assert (stats["keyspace_hits"], stats["keyspace_misses"]) == (30, 11), stats
    assert stats["evicted_keys"] == 0 and stats["total_commands_processed"] >= 42 and stats["expired_keys"] == 0
    for name in ("used_memory_human", "maxmemory_human", "mem_fragmentation_ratio", "used_memory_peak_human", "used_memory_rss"):
        assert name in memory, name
    assert memory["used_memory"] > 0 and memory["maxmemory_policy"] == "noeviction"
    assert r.info("clients")["connected_clients"] >= 1
    assert r.info("keyspace")["db0"]["keys"] == 1 and r.info("keyspace")["db0"]["expires"] == 1
    commands = shell(o, 'redis-cli INFO commandstats | grep -iE "KEYS|SMEMBERS|HGETALL"')
    assert commands and commands[0].startswith("cmdstat_hgetall:calls=1,usec="), commands
    assert r.info("replication")["role"] == "master" and r.info("replication")["connected_slaves"] == 0
    whole = r.info()
    assert whole["redis_version"].startswith("7.") and whole["uptime_in_seconds"] >= 0 and whole["tcp_port"] == o.port


@tap.test("G1 G3 CLIENT LIST, SLOWLOG GET 10, --latency")
def _(o):
    with configured(o, slowlog_log_slower_than=0) as r:
        r.slowlog_reset()
        r.set("slow", "x")
        entries = r.slowlog_get(10)
        assert any(entry["command"].startswith(b"SET slow") for entry in entries) and len(entries) <= 10, entries
    assert b"SET\nslow" in cli(o, "SLOWLOG", "GET", 10)
    r = redis.Redis(connection_pool=redis.ConnectionPool.from_url(url(o), client_name="dashboard"))
    r.ping()
    line, = [line for line in cli(o, "CLIENT", "LIST").decode().splitlines() if "name=dashboard" in line]
    fields = dict(word.split("=", 1) for word in line.split())
    assert fields["cmd"] == "ping" and fields["db"] == "0" and fields["user"] == "default" and int(fields["age"]) >= 0, line


@tap.test("G1 G4 CONFIG GET and SET of what the guides name")
def _(o):
    names = ("maxmemory", "maxmemory-policy", "requirepass", "appendonly", "save")
    before = {name: cli(o, "CONFIG", "GET", name).splitlines() for name in names}
    assert all(lines[0].decode() == name for name, lines in before.items()), before
    with configured(o, maxmemory_policy="allkeys-lru"):
        says(o, "CONFIG GET maxmemory-policy", '1) "maxmemory-policy"', '2) "allkeys-lru"')
    assert before == {name: cli(o, "CONFIG", "GET", name).splitlines() for name in names}


@tap.test("G4 out of memory: the error that it names; with allkeys-lru the old keys go", limit=90)
def _(o):
    cli(o, "flushall")
    r = redis.Redis.from_url(url(o))
    room = r.info("memory")["used_memory"] + (4 << 20)
    with configured(o, maxmemory=room, maxmemory_policy="noeviction"):
        try:
            for n in range(10000):
                r.set(f"fill:{n}", "x" * 10000)
            raise AssertionError("100 MB went into 4 MB")
        except redis.ResponseError as e:
            assert str(e).endswith("command not allowed when used memory > 'maxmemory'."), e
        refused = b"OOM command not allowed when used memory > 'maxmemory'."
        assert until(lambda: refused in cli(o, "SET", f"cli:{time.time()}", "x" * 10000), 20)
        assert r.get("fill:1") == b"x" * 10000 and n > 100, n
        r.config_set("maxmemory-policy", "allkeys-lru")
        r.config_resetstat()
        assert all(r.set(f"more:{n}", "x" * 10000) for n in range(1000))
        assert r.get("more:999") and r.info("stats")["evicted_keys"] > 500
        assert r.info("memory")["used_memory"] <= room
    r.flushall()


@tap.test("G1 G2 G4 a password: NOAUTH without it, in the URL, rotated")
def _(o):
    if o.password:
        raise Skip("the server has one already")
    plain = redis.Redis.from_url(url(o))
    plain.config_set("requirepass", "esab_redis_password")
    try:
        fresh = redis.Redis.from_url(url(o))
        try:
            fresh.ping()
            raise AssertionError("no password was asked for")
        except redis.AuthenticationError as e:
            assert "Authentication required" in str(e), e
        assert cli(o, "ping", check=False).stdout == b"NOAUTH Authentication required.\n\n"
        assert cli(o, "-a", "esab_redis_password", "--no-auth-warning", "ping") == b"PONG"
        for login in (":esab_redis_password", "default:esab_redis_password"):
            address = f"redis://{login}@{o.host}:{o.port}/0"
            assert redis.from_url(address).ping()
        assert subprocess.run(["redis-cli", "-u", address, "ping"], capture_output=True).stdout == b"PONG\n"
        assert plain.config_set("requirepass", "the next one")
        assert redis.from_url(url(o), password="the next one").ping()
    finally:
        plain.config_set("requirepass", "")


@tap.test("G3 G4 Python: pool of 10, values with a TTL, hashes instead of JSON")
def _(o):
    pool = redis.ConnectionPool.from_url(url(o), max_connections=10, socket_timeout=30)
    r = redis.Redis(connection_pool=pool)
    r.flushall()
    assert r.ping()
    r.set("test_key", "Hello HERMES", ex=60)
    assert r.get("test_key").decode() == "Hello HERMES" and 0 < r.ttl("test_key") <= 60
    r.delete("test_key")
    assert r.setex("cache_key", 300, "x" * 5000) and 270 < r.ttl("cache_key") <= 300
    user = {"name": "Alice", "email": "alice@example.com", "visits": 7, "score": 1.5}
    assert r.hset("user:123", mapping=user) == 4
    assert r.hgetall("user:123") == {str(k).encode(): str(v).encode() for k, v in user.items()}
    text = redis.Redis(host=o.host, port=o.port, password=o.password or None, decode_responses=True)
    assert text.set("key", "value") and text.get("key") == "value" and text.setex("session", 3600, "data")

    def work(who):
        for n in range(100):
            r.setex(f"job:{who}:{n}", 100, n)
    threads = [threading.Thread(target=work, args=[who]) for who in range(10)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert len(list(r.scan_iter("job:*"))) == 1000
    pool.disconnect()


@tap.test("G1 redis.asyncio: sessions that each access puts off, SCAN instead of KEYS, a lock, a health key")
def _(o):
    async def session(r, n):
        key = f"esabcfg:session:{n}"
        await r.set(key, SESSION, ex=3600)
        await r.expire(key, 10)
        assert json.loads(await r.get(key))["user_id"] == "user123" and await r.expire(key, 3600)
        assert 3590 < await r.ttl(key) <= 3600

    async def whole():
        r = redis.asyncio.Redis.from_url(url(o, "default"), max_connections=100, socket_timeout=30, socket_connect_timeout=30,
                                         decode_responses=True)
        try:
            await r.flushall()
            assert await r.set("esabcfg:health", "ok", ex=10) and await r.get("esabcfg:health") == "ok"
            await asyncio.gather(*(session(r, n) for n in range(90)))
            cursor, keys = 0, []
            while True:
                cursor, part = await r.scan(cursor, match="esabcfg:session:*", count=100)
                keys.extend(part)
                if cursor == 0:
                    break
            assert len(set(keys)) == 90
            inside = []

            async def locked(n):
                async with r.lock("esabcfg:lock:report", timeout=30, sleep=0.005):
                    inside.append(n)
                    assert len(inside) == 1
                    await asyncio.sleep(0)
                    inside.remove(n)
            await asyncio.gather(*(locked(n) for n in range(30)))
            assert not await r.exists("esabcfg:lock:report")
        finally:
            await r.close()
    asyncio.run(whole())


@tap.test("leaderboards: scores that change, the best, one's own rank, around oneself, ties, seasons")
def _(o):
    r = redis.Redis.from_url(url(o), decode_responses=True)
    r.delete("board", "season:1", "season:2", "all")
    players = {f"player{n:04}": (n * 7919) % 5003 for n in range(2000)}
    assert r.zadd("board", players) == 2000
    p = r.pipeline(transaction=False)
    for n in range(0, 2000, 3):
        name = f"player{n:04}"
        players[name] += n
        p.zincrby("board", n, name)
    assert p.execute()[-1] == players["player1998"]
    order = sorted(players.items(), key=lambda one: (one[1], one[0]), reverse=True)
    assert r.zrevrange("board", 0, 9, withscores=True) == order[:10]
    assert r.zrange("board", 0, -1, desc=True) == [name for name, _ in order]
    me = "player1234"
    rank = r.zrevrank("board", me)
    assert order[rank][0] == me and r.zscore("board", me) == players[me]
    assert r.zrevrange("board", rank - 2, rank + 2) == [name for name, _ in order[rank - 2:rank + 3]]
    assert r.zcount("board", 1000, 2000) == sum(1000 <= score <= 2000 for score in players.values())
    assert r.zrangebyscore("board", "(4900", "+inf") == [name for name, score in reversed(order) if score > 4900]
    r.zadd("season:1", {"a": 1, "b": 2})
    r.zadd("season:2", {"b": 5, "c": 3})
    assert r.zunionstore("all", ["season:1", "season:2"]) == 3
    assert r.zrevrange("all", 0, -1, withscores=True) == [("b", 7.0), ("c", 3.0), ("a", 1.0)]
    assert r.zremrangebyrank("board", 0, -101) == 1900 and r.zcard("board") == 100
    assert r.zadd("board", {order[0][0]: 1}, lt=True, ch=True) == 1


@tap.test("rate limits: a counter a minute, a sliding window of a sorted set, against the clock")
def _(o):
    r = redis.Redis.from_url(url(o))

    def counted(user, limit, seconds):
        p = r.pipeline()
        p.incr(f"rate:{user}")
        p.expire(f"rate:{user}", seconds, nx=True)
        return p.execute()[0] <= limit

    def sliding(user, limit, seconds):
        now = time.time()
        p = r.pipeline()
        p.zremrangebyscore(f"window:{user}", 0, now - seconds)
        p.zcard(f"window:{user}")
        p.zadd(f"window:{user}", {f"{now:.7f}": now})
        p.expire(f"window:{user}", 10)
        return p.execute()[1] < limit
    for limiter in (counted, sliding):
        r.flushall()
        begin = time.time()
        assert [limiter("ann", 10, 1) for _ in range(15)] == [True] * 10 + [False] * 5
        assert limiter("bob", 10, 1)
        if limiter is sliding:
            r.delete("window:ann")
            begin = time.time()
            assert all(limiter("ann", 10, 1) for _ in range(10))
        assert until(lambda: r.zremrangebyscore("window:ann", 0, time.time() - 1) or limiter is counted and limiter("ann", 10, 1), 5)
        assert time.time() - begin > 0.9


@tap.test("queues: LPUSH and BRPOP with workers, LMOVE to a list of work in hand, jobs with a time in a sorted set", limit=90)
def _(o):
    r = redis.Redis.from_url(url(o))
    r.flushall()
    done = []

    def work():
        mine = redis.Redis.from_url(url(o))
        while (task := mine.blmove("queue:tasks", "queue:doing", 1, "RIGHT", "LEFT")) is not None:
            done.append(json.loads(task)["id"])
            mine.lrem("queue:doing", 1, task)
    threads = [threading.Thread(target=work) for _ in range(4)]
    [t.start() for t in threads]
    for n in range(500):
        r.lpush("queue:tasks", json.dumps({"task": "process_document", "id": n}))
    [t.join(30) for t in threads]
    assert sorted(done) == list(range(500)) and r.llen("queue:doing") == 0
    now = time.time()
    r.zadd("queue:later", {f"job{n}": now + (n - 50) for n in range(100)})
    due = r.zrangebyscore("queue:later", "-inf", now)
    assert due == [b"job%d" % n for n in range(51)] and r.zrem("queue:later", *due) == 51
    assert r.zpopmin("queue:later") == [(b"job51", now + 1)]


@tap.test("G0 G1 G2 MONITOR shows what others send")
def _(o):
    watcher = subprocess.Popen(["stdbuf", "-oL", *command(o, "MONITOR")], stdout=subprocess.PIPE)
    try:
        if (line := watcher.stdout.readline()) != b"OK\n":
            raise Skip(line.decode().strip())
        cli(o, "SET", "seen", "by monitor")
        assert b'"SET" "seen" "by monitor"' in watcher.stdout.readline()
    finally:
        watcher.terminate()
        watcher.communicate(timeout=60)


@tap.test("G0-G3 BGSAVE, LASTSAVE")
def _(o):
    r = redis.Redis.from_url(url(o))
    try:
        r.bgsave()
    except redis.ResponseError as e:
        raise Skip(f"BGSAVE: {e}") from None
    assert until(lambda: not r.info("persistence")["rdb_bgsave_in_progress"])
    before = r.lastsave()
    assert until(lambda: time.time() > before.timestamp() + 1)  # LASTSAVE counts in seconds
    assert r.bgsave() and until(lambda: r.lastsave() > before)


@tap.test("G1 ACL: a viewer that may read, an application that has its own keys")
def _(o):
    r = redis.Redis.from_url(url(o))
    try:
        r.execute_command(*"ACL SETUSER viewer on >secret ~* +@read -@write -@admin".split())
    except redis.ResponseError as e:
        raise Skip(f"ACL SETUSER: {e}") from None
    r.execute_command(*"ACL SETUSER appuser on >secret ~esabcfg:* +@all -@dangerous".split())
    viewer = redis.Redis(host=o.host, port=o.port, username="viewer", password="secret")
    application = redis.Redis(host=o.host, port=o.port, username="appuser", password="secret")
    r.set("esabcfg:k", "v")
    assert viewer.get("esabcfg:k") == b"v" and application.set("esabcfg:k", "w")
    for refused in (lambda: viewer.set("k", 1), lambda: application.set("other", 1), lambda: application.flushall()):
        try:
            refused()
            raise AssertionError("the ACL let it through")
        except redis.exceptions.NoPermissionError:
            pass
    assert r.execute_command("ACL", "DELUSER", "viewer", "appuser") == 2


if __name__ == "__main__":
    tap.main()

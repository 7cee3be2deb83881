#!/usr/bin/python3
"""redis_py.py: Debian's python3-redis, the blocking client. Empties the server."""

import os
import threading
import time

import redis

from tap import Skip, Tap, until

tap = Tap("redis-py")


def client(o, **options):
    return redis.Redis(host=o.host, port=o.port, password=o.password or None, socket_timeout=20, **options)


def url(o, db=0):
    login = f":{o.password}@" if o.password else ""
    return f"redis://{login}{o.host}:{o.port}/{db}"


def raises(error, call, *arguments, text=""):
    try:
        call(*arguments)
    except error as e:
        assert text in str(e), e
        return
    raise AssertionError(f"{call} did not raise {error.__name__}")


@tap.test("PING, ECHO, INFO as a dictionary")
def _(o):
    r = client(o)
    assert r.flushall() and r.ping() and r.echo("x") == b"x"
    info = r.info()
    assert info["redis_version"] and info["loading"] == 0 and info["role"] == "master"
    assert info["used_memory"] >= 0 and info["maxmemory_policy"]
    assert r.info("keyspace") == {}


@tap.test("from_url with a database, decode_responses")
def _(o):
    r = redis.Redis.from_url(url(o, 2), decode_responses=True)
    assert r.set("name", "grün") and r.get("name") == "grün"
    assert client(o, db=2).get("name") == "grün".encode() and client(o).get("name") is None


@tap.test("a connection pool of 10 shared by 30 threads", limit=90)
def _(o):
    pool = redis.BlockingConnectionPool(host=o.host, port=o.port, password=o.password or None, max_connections=10,
                                        timeout=30)
    def work():
        r = redis.Redis(connection_pool=pool)
        for _ in range(50):
            r.incr("pool")
    threads = [threading.Thread(target=work) for _ in range(30)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert redis.Redis(connection_pool=pool).get("pool") == b"1500"
    pool.disconnect()


@tap.test("a pipeline of 10000 commands keeps its order")
def _(o):
    p = client(o).pipeline(transaction=False)
    for i in range(5000):
        p.set(f"p{i}", i)
        p.get(f"p{i}")
    out = p.execute()
    assert out[0::2] == [True] * 5000 and out[1::2] == [b"%d" % i for i in range(5000)]


def waiting(o, call, *arguments, **options):
    """Starts a blocking call on a connection of its own; its thread, the list its result comes into, its client id."""
    r = client(o, single_connection_client=True)
    number, results = r.client_id(), []

    def work():
        try:
            results.append(getattr(r, call)(*arguments, **options))
        except redis.RedisError as e:
            results.append(e)
    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: any(c["id"] == str(number) and "b" in c["flags"] for c in client(o).client_list()))
    return thread, results, number


@tap.test("BLPOP, BRPOP, BLMOVE, BLMPOP, BZPOPMIN, BZMPOP wait and are served in their order")
def _(o):
    r = client(o)
    r.flushall()
    calls = [("blpop", ["q1", "q2"], 0), ("brpop", ["q2"], 0), ("blmove", "q2", "q3", 0, "LEFT", "RIGHT"),
             ("execute_command", "BLMPOP", 0, 2, "q2", "q4", "RIGHT", "COUNT", 2),
             ("bzpopmin", ["z1"], 0), ("execute_command", "BZMPOP", 0, 2, "z2", "z1", "MIN")]
    waiters = [waiting(o, *call) for call in calls]
    assert r.info("clients")["blocked_clients"] == len(calls)
    r.rpush("q2", "a", "b", "c")
    r.rpush("q2", "d", "e", "f")
    r.zadd("z1", {"m": 2, "n": 1})
    for thread, results, _ in waiters:
        thread.join(10)
    assert [results for _, results, _ in waiters] == [
        [(b"q2", b"a")], [(b"q2", b"c")], [b"b"], [[b"q2", [b"f", b"e"]]], [(b"z1", b"n", 1.0)],
        [[b"z1", [[b"m", b"2"]]]]], [results for _, results, _ in waiters]
    assert r.lrange("q3", 0, -1) == [b"b"] and r.lrange("q2", 0, -1) == [b"d"]
    assert r.info("clients")["blocked_clients"] == 0


@tap.test("timeouts of blocking calls, CLIENT UNBLOCK, a client that goes while it waits")
def _(o):
    r = client(o)
    r.delete("nothing", "list")
    begin = time.monotonic()
    assert r.blpop(["nothing"], 0.3) is None and 0.29 < time.monotonic() - begin < 3
    assert r.bzpopmax(["nothing"], 0.01) is None and r.blmove("nothing", "list", 0.01) is None
    thread, results, number = waiting(o, "brpop", ["nothing"], 0)
    assert r.client_unblock(number) == 1
    thread.join(10)
    assert results == [None] and r.client_unblock(number) == 0
    thread, results, number = waiting(o, "brpop", ["nothing"], 100)
    assert r.client_unblock(number, error=True) == 1
    thread.join(10)
    assert "UNBLOCKED" in str(results[0])
    thread, results, number = waiting(o, "blpop", ["list"], 0)
    assert r.client_kill_filter(_id=number) == 1
    thread.join(10)
    assert isinstance(results[0], redis.ConnectionError)
    until(lambda: r.info("clients")["blocked_clients"] == 0)
    assert r.rpush("list", "x") == 1 and r.lpop("list") == b"x"


@tap.test("ten threads take 2000 elements of one list, each once", limit=90)
def _(o):
    r, taken = client(o), []

    def work():
        mine = client(o)
        while True:
            _, element = mine.blpop(["work:1", "work:2"], 0)
            if element == b"end":
                return
            taken.append(int(element))
    threads = [threading.Thread(target=work) for _ in range(10)]
    [t.start() for t in threads]
    for n in range(2000):
        r.rpush("work:%d" % (n % 2 + 1), n)
    until(lambda: r.llen("work:1") + r.llen("work:2") == 0)
    r.rpush("work:1", *["end"] * 10)
    [t.join(20) for t in threads]
    assert sorted(taken) == list(range(2000)), len(taken)


@tap.test("errors inside a pipeline stay at their place")
def _(o):
    p = client(o).pipeline(transaction=False)
    p.set("word", "abc").incr("word").get("word")
    out = p.execute(raise_on_error=False)
    assert out[0] is True and isinstance(out[1], redis.ResponseError) and out[2] == b"abc"


@tap.test("binary keys and values of all sizes")
def _(o):
    r = client(o)
    for size in (0, 1, 63, 64, 1460, 4096, 65536, 1 << 20, 8 << 20):
        value = os.urandom(size)
        key = b"bin:\x00\xff\r\n%d" % size
        assert r.set(key, value) and r.get(key) == value and r.strlen(key) == size


@tap.test("SET options and the TTL family")
def _(o):
    r = client(o)
    r.delete("k")
    assert r.set("k", "1", nx=True) and r.set("k", "2", nx=True) is None
    assert r.set("k", "3", xx=True, ex=100) and 98 <= r.ttl("k") <= 100
    assert r.set("k", "4", keepttl=True) and r.ttl("k") > 0
    assert r.set("k", "5", get=True) == b"4" and r.ttl("k") == -1
    assert r.expire("k", 1000) and r.pttl("k") > 990000 and r.persist("k") and r.ttl("k") == -1
    assert r.getex("k", px=5000) == b"5" and 0 < r.pttl("k") <= 5000 and r.getdel("k") == b"5"
    assert r.ttl("k") == -2 and r.psetex("k", 40, "x") and until(lambda: r.get("k") is None, 5)


@tap.test("scan_iter sees every key once")
def _(o):
    r = client(o, db=5)
    r.flushdb()
    r.mset({f"s:{i}": i for i in range(3000)})
    keys = list(r.scan_iter(match="s:*", count=100))
    assert set(keys) == {b"s:%d" % i for i in range(3000)}
    assert r.dbsize() == 3000 and r.info("keyspace")["db5"]["keys"] == 3000


@tap.test("error classes")
def _(o):
    r = client(o)
    r.set("word", "abc")
    raises(redis.ResponseError, r.incr, "word", text="value is not an integer or out of range")
    raises(redis.ResponseError, r.execute_command, "NOSUCH", text="unknown command")
    raises(redis.ResponseError, r.execute_command, "GET", text="wrong number of arguments for 'get' command")
    raises(redis.ResponseError, r.execute_command, "SET", "a", "b", "EX", "0", text="invalid expire time in 'set'")
    stranger = redis.Redis(host=o.host, port=o.port, username="nobody", password="wrong")
    raises(redis.ResponseError, stranger.ping, text="WRONGPASS invalid username-password pair")


@tap.test("CONFIG, COMMAND, CLIENT, MEMORY, SLOWLOG as the library parses them")
def _(o):
    r = client(o)
    r.set("k", "v")
    assert r.config_get("maxmemory*")["maxmemory-policy"] and r.config_get("databases") == {"databases": "16"}
    assert r.command_count() > 50 and r.command()["get"]["arity"] == 2
    r.client_setname("py")
    assert r.client_getname() in ("py", b"py")
    assert any(c["name"] == "py" and int(c["id"]) == r.client_id() for c in r.client_list())
    assert r.memory_usage("k") > 0 and r.memory_stats()["keys.count"] > 0
    assert isinstance(r.slowlog_get(), list) and r.lastsave() and len(r.time()) == 2
    assert r.object("encoding", "k") == b"embstr"


@tap.test("health checks and reconnects after the server has closed the connection")
def _(o):
    r = client(o, health_check_interval=1, retry_on_error=[redis.ConnectionError])
    other = client(o)
    assert r.set("h", 1)
    for _ in range(5):
        assert other.client_kill_filter(_id=r.client_id()) == 1
        assert r.get("h") == b"1"


@tap.test("a read time-out leaves the client usable")
def _(o):
    r = client(o)
    slow = redis.Redis(host=o.host, port=o.port, password=o.password or None, socket_timeout=0.2)
    try:
        if r.execute_command("DEBUG", "SLEEP", "0") != b"OK":
            raise Skip("DEBUG SLEEP is not allowed")
    except redis.ResponseError:
        raise Skip("DEBUG SLEEP is not allowed") from None
    raises(redis.TimeoutError, slow.execute_command, "DEBUG", "SLEEP", "3")

    def answers():
        try:
            return slow.ping()
        except redis.TimeoutError:
            return False
    assert client(o).ping() and until(answers)


@tap.test("RESP3 (protocol=3): maps, sets, doubles, nulls")
def _(o):
    try:
        r = client(o, protocol=3, decode_responses=True)
    except TypeError:
        raise Skip(f"python3-redis {redis.__version__} has no RESP3") from None
    assert r.ping() and r.config_get("databases") == {"databases": "16"}
    r.delete("h", "s", "z")
    assert r.hset("h", mapping={"a": 1}) == 1 and r.hgetall("h") == {"a": "1"} and r.hget("h", "b") is None
    assert r.sadd("s", "a", "b") == 2 and set(r.smembers("s")) == {"a", "b"}
    assert r.zadd("z", {"m": 1.5}) == 1 and r.zscore("z", "m") == 1.5
    assert r.zrange("z", 0, -1, withscores=True) == [["m", 1.5]] and r.execute_command("HELLO")["proto"] == 3
    assert r.pipeline().set("t", 1).incr("t").execute() == [True, 2]


@tap.test("pipeline(transaction=True): all or nothing, errors at their place, EXECABORT")
def _(o):
    r = client(o)
    r.delete("t")
    assert r.pipeline().set("t", 1).incr("t").execute() == [True, 2]
    out = r.pipeline().set("t", "x").incr("t").get("t").execute(raise_on_error=False)
    assert out[0] is True and isinstance(out[1], redis.ResponseError) and out[2] == b"x"
    refused = r.pipeline().set("t", "never")
    refused.execute_command("NOSUCH")
    raises(redis.ResponseError, refused.execute, text="unknown command")
    assert r.get("t") == b"x"
    big = r.pipeline()
    for i in range(3000):
        big.set(f"t{i}", i)
    assert big.execute() == [True] * 3000 and r.mget("t0", "t2999") == [b"0", b"2999"]


@tap.test("WATCH: the loser starts anew; ten threads that add 20 each lose nothing", limit=90)
def _(o):
    r = client(o)
    r.set("balance", 0)
    with r.pipeline() as p:
        p.watch("balance")
        r.set("balance", 5)
        p.multi()
        p.set("balance", 99)
        raises(redis.WatchError, p.execute)
    r.set("balance", 0)

    def add(p):
        value = int(p.get("balance"))
        p.multi()
        p.set("balance", value + 1)

    def work():
        mine = client(o)
        for _ in range(20):
            mine.transaction(add, "balance")
    threads = [threading.Thread(target=work) for _ in range(10)]
    [t.start() for t in threads]
    [t.join(60) for t in threads]
    assert r.get("balance") == b"200"


@tap.test("a Pub/Sub thread: channels, patterns, handlers, and the end")
def _(o):
    r, got = client(o), []
    listener = client(o).pubsub(ignore_subscribe_messages=True)
    listener.subscribe(**{"news": lambda m: got.append(("news", m["data"]))})
    listener.psubscribe(**{"n?ws": lambda m: got.append(("n?ws", m["channel"], m["data"]))})
    thread = listener.run_in_thread(sleep_time=0.01)
    try:
        until(lambda: r.publish("news", "first") == 2)
        assert [r.publish("news", n) for n in range(500)] == [2] * 500
        assert until(lambda: ("n?ws", b"news", b"499") in got)
    finally:
        thread.stop()
        thread.join(10)
    assert [data for kind, data in (one for one in got if len(one) == 2)][-500:] == [b"%d" % n for n in range(500)]
    assert until(lambda: r.publish("news", "nobody") == 0)


@tap.test("a lock that eight threads want: one at a time; one that was lost is not released")
def _(o):
    inside, most = [], []

    def work():
        mine = client(o)
        for _ in range(5):
            with mine.lock("lock:shared", timeout=20, sleep=0.002):
                inside.append(1)
                most.append(len(inside))
                inside.pop()
    threads = [threading.Thread(target=work) for _ in range(8)]
    [t.start() for t in threads]
    [t.join(30) for t in threads]
    assert most == [1] * 40
    r = client(o)
    lost = r.lock("lock:lost", timeout=0.05)
    assert lost.acquire() and until(lambda: not r.exists("lock:lost"))
    assert r.lock("lock:lost", timeout=60).acquire()
    raises(redis.exceptions.LockError, lost.release)
    assert r.exists("lock:lost") and r.delete("lock:lost")


@tap.test("scripts: register_script, pipelines of them, Lock")
def _(o):
    r = client(o)
    r.script_flush()
    count = r.register_script(
        "local n=redis.call('incrby',KEYS[1],ARGV[1]) redis.call('pexpire',KEYS[1],ARGV[2]) return n"
    )
    assert [count(keys=["script:a"], args=[5, 10000]) for _ in range(3)] == [5, 10, 15]
    p = r.pipeline()
    count(keys=["script:a"], args=[1, 10000], client=p)
    p.get("script:a")
    assert p.execute() == [16, b"16"]
    with r.lock("script:lock", timeout=5) as lock:
        assert lock.locked() and lock.extend(3)
        assert not r.lock("script:lock", blocking=False).acquire()
    assert not r.exists("script:lock")
    assert r.eval("return redis.call('get',ARGV[1])", 0, "script:a") == b"16"
    raises(redis.ResponseError, r.eval, "return redis.call('nosuch')", 0, text="Unknown Redis command called from script")


if __name__ == "__main__":
    tap.main()

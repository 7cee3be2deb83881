#!/usr/bin/python3
"""migrate.py: MIGRATE between the box and redis-servers that it starts beside its own address, both ways. The box must allow DEBUG;
it is emptied."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import redis

from tap import Skip, Tap, until

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from values import KINDS, Values

PASSWORD = "open sesame"
SEED = int(os.environ.get("SEED", "7"))
tap = Tap("migrate")


def connect(host, port, password=None, db=0):
    r = redis.Redis(host=host, port=port, password=password or None, socket_timeout=30, db=db)
    r.host, r.port, r.target_password = host, port, password
    return r


def own_address(o):
    """Our address as the box sees it, and a port there that is free."""
    with socket.create_connection((o.host, o.port), timeout=10) as s:
        address = s.getsockname()[0]
    with socket.socket() as s:
        s.bind((address, 0))
        return address, s.getsockname()[1]


@contextlib.contextmanager
def server(o, *options):
    if not shutil.which("redis-server"):
        raise Skip("redis-server is not installed")
    address, port = own_address(o)
    password = options[1] if options[:1] == ("--requirepass",) else None
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(["redis-server", "--bind", address, "--port", str(port), "--save", "", "--dir", folder, "--protected-mode",
                                    "no", "--enable-debug-command", "yes", *options], stdout=subprocess.DEVNULL)
        try:
            r = connect(address, port, password)
            r.process = process
            assert until(lambda: answers(r), 60), "redis-server does not start"
            yield r
        finally:
            process.kill()
            process.wait()


def answers(r):
    try:
        return r.ping()
    except redis.ConnectionError:
        return False


def box(o):
    r = connect(o.host, o.port, o.password)
    r.flushall()
    return r


def migrate(source, target, *words, key="k", db=0, timeout=20000):
    login = ["AUTH", target.target_password] if target.target_password else []
    return source.execute_command("MIGRATE", target.host, target.port, key, db, timeout, *login, *words)


def error_of(call, *arguments, **words):
    try:
        return f"no error but {call(*arguments, **words)}"
    except redis.RedisError as e:
        return str(e)


def digest(r, key):
    return r.execute_command("DEBUG", "DIGEST-VALUE", key)[0]


def fill(r, count):
    """Random values of all types; their digests by key."""
    values = Values(random.Random(SEED))
    pipe = r.pipeline(transaction=False)
    keys = [f"{KINDS[i % len(KINDS)]}:{i}" for i in range(count)]
    for key in keys:
        for command in getattr(values, key.split(":")[0])()[0]:
            pipe.execute_command(*(key if word == "k" else word for word in command))
    pipe.execute()
    return {key: digest(r, key) for key in keys}


def all_types(source, target):
    before = fill(source, 140)
    for key in before:
        assert migrate(source, target, key=key) == b"OK"
    assert source.dbsize() == 0 and target.dbsize() == len(before)
    assert {key: digest(target, key) for key in before} == before


@tap.test("values of all types from the box to redis-server")
def _(o):
    with server(o) as other:
        all_types(box(o), other)


@tap.test("values of all types from redis-server to the box")
def _(o):
    with server(o) as other:
        all_types(other, box(o))


@tap.test("thousands of keys with one command, there and back")
def _(o):
    b, count = box(o), 5000
    with server(o) as other:
        b.mset({f"key:{i}": f"value {i}" for i in range(count)})
        keys = [f"key:{i}" for i in range(count)]
        assert migrate(b, other, "KEYS", "none", *keys, key="") == b"OK"
        assert b.dbsize() == 0 and other.dbsize() == count and other.get("key:77") == b"value 77"
        assert migrate(other, b, "KEYS", *keys, key="") == b"OK"
        assert b.dbsize() == count and other.dbsize() == 0 and b.get("key:4999") == b"value 4999"


@tap.test("values of megabytes, there and back", limit=120)
def _(o):
    b = box(o)
    with server(o) as other:
        b.set("string", os.urandom(1 << 20) * 20)
        pipe = b.pipeline(transaction=False)
        for i in range(100):
            pipe.rpush("list", *(f"{i} {j} {'x' * (j % 50)}" for j in range(1000)))
            pipe.hset("hash", mapping={f"field {i} {j}": j for j in range(1000)})
            pipe.zadd("zset", {f"member {i} {j}": j / 7 for j in range(1000)})
        pipe.execute()
        keys = ["string", "list", "hash", "zset"]
        before = [digest(b, key) for key in keys]
        assert migrate(b, other, "KEYS", *keys, key="") == b"OK"
        assert b.dbsize() == 0 and [digest(other, key) for key in keys] == before
        assert migrate(other, b, "KEYS", *keys, key="") == b"OK"
        assert other.dbsize() == 0 and [digest(b, key) for key in keys] == before


@tap.test("times to live, databases, COPY, REPLACE, AUTH")
def _(o):
    b = box(o)
    with server(o, "--requirepass", PASSWORD) as other:
        b.set("k", "1", ex=100)
        assert migrate(b, other, db=9) == b"OK"
        nine = connect(other.host, other.port, PASSWORD, db=9)
        assert 90 < nine.ttl("k") <= 100 and not b.exists("k")
        b.set("k", "2")
        assert migrate(b, other, "COPY", "REPLACE", db=9) == b"OK"
        assert nine.get("k") == b"2" and nine.ttl("k") == -1 and b.get("k") == b"2"
        assert b.execute_command("MIGRATE", other.host, other.port, "k", 8, 1000, "AUTH2", "default", PASSWORD) == b"OK"
        assert connect(other.host, other.port, PASSWORD, db=8).get("k") == b"2"


# (What is left at a target that refuses AUTH or SELECT differs: the box sends no key there.)
@tap.test("errors are those of redis-server")
def _(o):
    def told(source, target):
        def outcome(words):
            source.mset({"k": 1, "a": 2, "b": 3})
            target.flushall()
            target.set("k", 9)
            return error_of(source.execute_command, *words), source.exists("k", "a", "b")
        nobody = (target.host, own_address(o)[1])
        tries = [("MIGRATE",), ("MIGRATE", "h", 1, "none", 0, 10), ("MIGRATE", "h", 1, "k", "x", 10), ("MIGRATE", "h", 1, "k", 0, "x"),
                 ("MIGRATE", "h", 1, "k", 0, 10, "AUTH"), ("MIGRATE", "h", 1, "k", 0, 10, "AUTH2", "u"), ("MIGRATE", "h", 1, "k", 0, 10, "NO"),
                 ("MIGRATE", "h", 1, "k", 0, 10, "KEYS", "a"), ("MIGRATE", "h", 1, "", 0, 10, "KEYS"),
                 ("MIGRATE", *nobody, "k", 0, 1000), ("MIGRATE", target.host, target.port, "k", 99, 1000),
                 ("MIGRATE", target.host, target.port, "k", 0, 1000, "AUTH", "x"),
                 ("MIGRATE", target.host, target.port, "k", 0, 1000, "AUTH2", "u", "x"),
                 ("MIGRATE", target.host, target.port, "k", 0, 1000, "COPY"), ("MIGRATE", target.host, target.port, "k", 0, 1000),
                 ("MIGRATE", target.host, target.port, "", 0, 1000, "KEYS", "a", "k", "b"),
                 ("MIGRATE", target.host, target.port, "", 0, 1000, "COPY", "KEYS", "k", "k"),
                 ("MIGRATE", target.host, target.port, "k", 0, 1000, "REPLACE")]
        return [outcome(words) for words in tries]
    with server(o) as other, server(o) as third:
        expected = told(other, third)
        got = told(box(o), third)
        for i, (mine, theirs) in enumerate(zip(got, expected)):
            assert mine == theirs, f"{i}: {mine!r}, redis-server: {theirs!r}"


@tap.test("a target that hangs: the time limit; others are served")
def _(o):
    b = box(o)
    with server(o) as other:
        b.mset({"k": 1, "x": 2})
        other.process.send_signal(signal.SIGSTOP)
        waiting = threading.Thread(target=lambda: errors.append(error_of(migrate, b, other, timeout=1000)))
        errors, again = [], connect(o.host, o.port, o.password)
        begin = time.monotonic()
        waiting.start()
        served = 0
        while waiting.is_alive():
            assert again.get("x") == b"2"
            served += 1
        assert errors == ["IOERR error or timeout reading to target instance"] and time.monotonic() - begin > 0.9, errors
        assert served >= 5, "another client waited"
        assert b.get("k") == b"1"


@tap.test("connections are kept for ten seconds")
def _(o):
    b = box(o)
    with server(o) as other:
        cached = lambda: b.info()["migrate_cached_sockets"]
        assert until(lambda: cached() == 0, 15)
        for i in range(20):
            b.set("k", i)
            assert migrate(b, other, "REPLACE") == b"OK"
        workers = len(b.info("server").get("workers", "")) or 1
        assert cached() <= max(workers, 2)
        assert other.info()["total_connections_received"] < 10
        assert until(lambda: cached() == 0, 15)


@tap.test("many at once while clients write", limit=120)
def _(o):
    b, count = box(o), 400
    with server(o) as other:
        def work(me):
            mine = connect(o.host, o.port, o.password)
            for i in range(count):
                mine.set(f"{me}:{i}", i)
                assert migrate(mine, other, key=f"{me}:{i}") == b"OK"
                assert mine.incr(f"{me}:{i}:more") == 1
        failed = []
        threads = [threading.Thread(target=lambda me=me: guarded(work, me, failed)) for me in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert not failed, failed
        assert other.dbsize() == 8 * count and b.dbsize() == 8 * count


def guarded(work, me, failed):
    try:
        work(me)
    except Exception as e:
        failed.append(repr(e))


if __name__ == "__main__":
    tap.main()

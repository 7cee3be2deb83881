#!/usr/bin/python3
"""redis_py_async.py: Debian's python3-redis under asyncio. Empties the server."""

import asyncio

import redis.asyncio as redis

from tap import Tap

tap = Tap("redis-py asyncio")


def client(o, **options):
    return redis.Redis(host=o.host, port=o.port, password=o.password or None, **options)


def asynchronous(name, limit=60):
    """A check that is a coroutine and gets a client."""
    def register(run):
        async def whole(o):
            r = client(o)
            try:
                await run(o, r)
            finally:
                await r.close(close_connection_pool=True)
        tap.test(name, limit)(lambda o: asyncio.run(whole(o)))
        return run
    return register


@asynchronous("PING, SET, GET, from_url with decode_responses")
async def _(o, r):
    await r.flushall()
    assert await r.ping() and await r.set("k", "v") and await r.get("k") == b"v"
    login = f":{o.password}@" if o.password else ""
    text = redis.from_url(f"redis://{login}{o.host}:{o.port}/0", decode_responses=True)
    assert await text.get("k") == "v"
    await text.close(close_connection_pool=True)


@asynchronous("1000 tasks over a pool")
async def _(o, r):
    pool = redis.BlockingConnectionPool(host=o.host, port=o.port, password=o.password or None, max_connections=20,
                                        timeout=30)
    shared = redis.Redis(connection_pool=pool)
    out = await asyncio.gather(*(shared.incr("tasks") for _ in range(1000)))
    assert sorted(out) == list(range(1, 1001))
    await pool.disconnect()


@asynchronous("pipelines at the same time")
async def _(o, r):
    async def one(n):
        p = r.pipeline(transaction=False)
        for i in range(500):
            p.set(f"{n}:{i}", i)
        for i in range(500):
            p.get(f"{n}:{i}")
        return (await p.execute())[500:]
    want = [b"%d" % i for i in range(500)]
    assert await asyncio.gather(*(one(n) for n in range(20))) == [want] * 20


@asynchronous("scan_iter, MSET and MGET of 1000 keys")
async def _(o, r):
    await r.flushdb()
    await r.mset({f"k{i}": i for i in range(1000)})
    assert await r.mget([f"k{i}" for i in range(1000)]) == [b"%d" % i for i in range(1000)]
    assert {k async for k in r.scan_iter(count=50)} == {b"k%d" % i for i in range(1000)}


@asynchronous("errors and reconnect after CLIENT KILL")
async def _(o, r):
    await r.set("word", "abc")
    try:
        await r.incr("word")
        raise AssertionError("INCR of a word went through")
    except redis.ResponseError as e:
        assert "not an integer" in str(e)
    victim = client(o, single_connection_client=True, retry_on_timeout=True)
    number = await victim.client_id()
    assert await r.client_kill_filter(_id=number) == 1
    try:
        await victim.ping()
    except redis.ConnectionError:
        pass
    assert await victim.ping()
    await victim.close(close_connection_pool=True)


@asynchronous("a cancelled command does not disturb the next client")
async def _(o, r):
    task = asyncio.ensure_future(r.mget([f"k{i}" for i in range(1000)]))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        pass
    fresh = client(o)
    assert await fresh.echo("still here") == b"still here"
    await fresh.close(close_connection_pool=True)


if __name__ == "__main__":
    tap.main()

#!/usr/bin/python3
"""rediss:// URLs as guides write them, in redis-py (also asyncio), against a box with a password and a certificate of its own
authority. Prints TAP."""
import asyncio
import os
import subprocess
import sys

import redis
import redis.asyncio
from tls_tap import Certificates

tap = Certificates("tls-urls")
PASSWORD = "guide-password"


def urls(t):
    return [f"rediss://:{PASSWORD}@{t.host}:{t.port}/0", f"rediss://default:{PASSWORD}@{t.host}:{t.port}",
            f"rediss://:{PASSWORD}@{t.host}:{t.port}/3"]


@tap.test("redis.from_url with the authority")
def _(t):
    for url in urls(t):
        with redis.from_url(url, ssl_ca_certs=f"{t.certificates}/ca.pem", ssl_check_hostname=True) as r:
            assert r.ping() and r.set("tls:url", url) and r.get("tls:url").decode() == url


@tap.test("redis.asyncio: decode_responses, ssl_cert_reqs=\"required\"")
def _(t):
    async def go(url):
        r = redis.asyncio.Redis.from_url(url, decode_responses=True, ssl_cert_reqs="required", ssl_ca_certs=f"{t.certificates}/ca.pem")
        assert await r.ping() is True
        assert [await r.set(f"tls:{i}", i) for i in range(50)] == [True] * 50
        assert await r.get("tls:49") == "49"
        await r.close()
    for url in urls(t):
        asyncio.run(go(url))


# They shake hands one a turn of this one program, for which the box gives each of them ten seconds.
@tap.test("twenty clients of asyncio.gather, all connected before the first of them shakes hands")
def _(t):
    async def one(i):
        r = redis.asyncio.Redis.from_url(urls(t)[0], ssl_ca_certs=f"{t.certificates}/ca.pem")
        assert await r.set(f"tls:gather:{i}", i) and await r.get(f"tls:gather:{i}") == b"%d" % i
        await r.close()

    async def go():
        await asyncio.gather(*[one(i) for i in range(20)])
    asyncio.run(go())


@tap.test("the URL alone, the authority among the machine's (SSL_CERT_FILE)")
def _(t):
    code = "import os, redis; print(redis.from_url(os.environ['REDIS_URL']).ping())"
    for trusted, good in ((f"{t.certificates}/ca.pem", True), (f"{t.certificates}/stranger.pem", False)):
        done = subprocess.run([sys.executable, "-c", code], env=dict(os.environ, REDIS_URL=urls(t)[0], SSL_CERT_FILE=trusted),
                              capture_output=True, text=True, timeout=100)
        if good:
            assert done.stdout == "True\n", done.stderr
        else:
            assert "certificate verify failed" in done.stderr, done.stderr


@tap.test("ssl_cert_reqs=none in the URL: no authority is needed")
def _(t):
    assert redis.from_url(urls(t)[0] + "?ssl_cert_reqs=none").ping()


@tap.test("a wrong password, and none")
def _(t):
    for login, error in ((":wrong@", "WRONGPASS"), ("", "Authentication required")):
        try:
            redis.from_url(f"rediss://{login}{t.host}:{t.port}/0?ssl_cert_reqs=none").ping()
        except redis.RedisError as said:
            assert error in str(said) or "AUTH" in str(said), said
            continue
        raise AssertionError(f"'{login}' was let in")


@tap.test("redis:// on the port with TLS")
def _(t):
    try:
        redis.from_url(f"redis://{t.host}:{t.port}/0").ping()
    except redis.RedisError as error:
        assert "this port speaks TLS" in str(error), error
        return
    raise AssertionError("it was answered")


if __name__ == "__main__":
    tap.main()

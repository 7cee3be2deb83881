#!/usr/bin/python3
"""bad_input.py: what a broken or hostile client sends. Every check ends with a fresh client that gets its PONG.
Error texts are those of Redis (networking.c). Sends at most some hundred megabytes; empties the server."""

import os
import socket
import time

from tap import Skip, Tap, encode, fresh_ping, raw_connection, read_line, until

tap = Tap("bad input")


def hostile(name, limit=60):
    """A check after which the server has to answer a fresh client."""
    def register(run):
        def whole(o):
            run(o)
            fresh_ping(o)
        tap.test(name, limit)(whole)
        return run
    return register


def drained(s, seconds=10.0):
    """Everything that comes until the server closes; fails if it does not."""
    s.settimeout(seconds)
    out = b""
    try:
        while True:
            part = s.recv(65536)
            if not part:
                return out
            out += part
    except ConnectionResetError:
        return out
    except socket.timeout:
        raise AssertionError(f"still open, last bytes {out[-100:]!r}") from None


def answer(o, request, seconds=10.0):
    """What the server says to a request that makes it close the connection."""
    with raw_connection(o) as s:
        s.sendall(request)
        return drained(s, seconds)


def setting(o, name):
    """A directive's value, or None if the server does not tell."""
    with raw_connection(o) as s:
        s.sendall(encode("CONFIG", "GET", name))
        if read_line(s) != b"*2":
            return None
        read_line(s), read_line(s), read_line(s)
        return read_line(s).decode()


PROTOCOL_ERRORS = [
    (b"*-x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*99999999999999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n"),
    (b"*1\r\n*1\r\n", b"-ERR Protocol error: expected '$', got '*'\r\n"),
    (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$9999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$99999999999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"SET \"a b\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"x" * 70000, b"-ERR Protocol error: too big inline request\r\n"),
    (b"*" + b"1" * 70000, b"-ERR Protocol error: too big mbulk count string\r\n"),
    (b"*1\r\n$" + b"1" * 70000, b"-ERR Protocol error: too big bulk count string\r\n"),
]


@hostile("protocol errors are named and end the connection")
def _(o):
    for request, want in PROTOCOL_ERRORS:
        got = answer(o, request)
        assert got == want, (request[:40], got)


@hostile("replies due before a protocol error are sent")
def _(o):
    got = answer(o, encode("PING") * 100 + b"*1\r\n!\r\n")
    assert got == b"+PONG\r\n" * 100 + b"-ERR Protocol error: expected '$', got '!'\r\n", got[-100:]


@hostile("empty and null requests are skipped")
def _(o):
    with raw_connection(o) as s:
        s.sendall(b"\r\n\r\n*0\r\n*-1\r\n\r\nPING\r\n")
        assert read_line(s) == b"+PONG"


@hostile("a huge array announced before authentication or not filled")
def _(o):
    with raw_connection(o) as s:
        s.sendall(b"*1000000\r\n" + b"$1\r\nx\r\n" * 1000)
        fresh_ping(o)
    with raw_connection(o) as s:
        s.sendall(b"*1048577\r\n")
        s.settimeout(0.5)
        try:
            s.recv(100)
        except socket.timeout:
            pass  # Redis up to 7 takes INT_MAX arguments, later ones refuse: both are fine


@hostile("strangers may send little")
def _(o):
    if not o.password:
        raise Skip("the server has no password")
    for request, want in ((b"*11\r\n", b"-ERR Protocol error: unauthenticated multibulk length\r\n"),
                          (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", b"-ERR Protocol error: unauthenticated bulk length\r\n")):
        with socket.create_connection((o.host, o.port), timeout=10) as s:
            s.sendall(request)
            assert drained(s) == want
    with socket.create_connection((o.host, o.port), timeout=10) as s:
        s.sendall(encode("GET", "k") + encode("AUTH", "wrong") + encode("QUIT"))
        assert drained(s) == (b"-NOAUTH Authentication required.\r\n-WRONGPASS invalid username-password pair or user "
                              b"is disabled.\r\n+OK\r\n")


@hostile("a bulk of 512 MB announced and not sent, by 50 clients")
def _(o):
    clients = [socket.create_connection((o.host, o.port)) for _ in range(50)]
    for s in clients:
        if o.password:
            s.sendall(encode("AUTH", o.password))
            read_line(s)
        s.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n" + b"x" * 1000)
    fresh_ping(o)
    for s in clients:
        s.close()


@hostile("one byte at a time", limit=120)
def _(o):
    request = encode("SET", "slow", "value\r\n$5\r\n") + b"GET slow\r\n" + encode("ECHO", "x" * 100)
    with raw_connection(o) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(request)):
            s.sendall(request[i:i + 1])
            time.sleep(0.0005)
        assert read_line(s) == b"+OK"
        assert read_line(s) == b"$11" and s.recv(13, socket.MSG_WAITALL) == b"value\r\n$5\r\n\r\n"
        assert read_line(s) == b"$100" and read_line(s) == b"x" * 100


@hostile("requests cut at every place between two segments")
def _(o):
    request = encode("SET", "cut", "v" * 20) + encode("GET", "cut")
    for cut in range(1, len(request)):
        with raw_connection(o) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            s.sendall(request[:cut])
            s.sendall(request[cut:])
            assert read_line(s) == b"+OK" and read_line(s) == b"$20" and read_line(s) == b"v" * 20


@hostile("garbage of all kinds")
def _(o):
    samples = [os.urandom(n) for n in (1, 2, 100, 1500, 100000)]
    samples += [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"POST / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                b"SSH-2.0-x\r\n", b"\0" * 5000, b"*" * 5000, b"$" * 5000, b"\r" * 5000, b"\n" * 5000, b"-ERR\r\n:1\r\n"]
    for sample in samples:
        with raw_connection(o) as s:
            try:
                s.sendall(sample)
                s.settimeout(0.1)
                while s.recv(65536):
                    pass
            except (socket.timeout, ConnectionError):
                pass
        fresh_ping(o)


@hostile("HTTP requests are refused at once")
def _(o):
    got = answer(o, b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert b"PONG" not in got


@hostile("a client that asks for much and never reads", limit=120)
def _(o):
    with raw_connection(o) as s:
        s.sendall(encode("SET", "large", b"x" * (1 << 20)))
        assert read_line(s) == b"+OK"
    with raw_connection(o) as s:
        s.settimeout(0.2)
        try:
            for _ in range(200):
                s.sendall(encode("GET", "large"))
        except (socket.timeout, ConnectionError):
            pass
        for _ in range(5):
            fresh_ping(o)
    with raw_connection(o) as s:
        s.sendall(encode("DEL", "large"))
        assert read_line(s) == b":1"


@hostile("a client that reads slowly gets every byte", limit=120)
def _(o):
    value = os.urandom(1 << 20)
    with raw_connection(o) as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.sendall(encode("SET", "slow", value) + encode("GET", "slow") * 3)
        assert read_line(s) == b"+OK"
        for _ in range(3):
            assert read_line(s) == b"$1048576"
            got = bytearray()
            while len(got) < len(value) + 2:
                got += s.recv(min(20000, len(value) + 2 - len(got)))
                time.sleep(0.0005)
            assert bytes(got[:-2]) == value


@hostile("half-open: the client ends its side and still gets its replies")
def _(o):
    with raw_connection(o) as s:
        s.sendall(encode("PING") * 1000)
        s.shutdown(socket.SHUT_WR)
        assert drained(s) in (b"+PONG\r\n" * 1000, b""), "some replies were lost"


@hostile("connections closed in the middle of a request")
def _(o):
    request = encode("SET", "half", "x" * 1000)
    for cut in range(1, len(request), 37):
        with raw_connection(o) as s:
            s.sendall(request[:cut])


@hostile("connections reset in the middle of a reply")
def _(o):
    for _ in range(50):
        with raw_connection(o) as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            s.sendall(encode("INFO") * 20)


@hostile("2000 connections that come and go")
def _(o):
    for _ in range(2000):
        socket.create_connection((o.host, o.port), timeout=10).close()


@hostile("maxclients is kept and refused clients are told", limit=180)
def _(o):
    limit = setting(o, "maxclients")
    if limit is None:
        raise Skip("the server does not tell maxclients")
    limit, before = int(limit), None
    with raw_connection(o) as admin:
        if limit > 300:
            admin.sendall(encode("CONFIG", "SET", "maxclients", 100))
            if read_line(admin) != b"+OK":
                raise Skip(f"maxclients is {limit} and cannot be changed here")
            limit, before = 100, limit
        clients = []
        try:
            for _ in range(limit + 20):
                clients.append(socket.create_connection((o.host, o.port), timeout=10))
            refused = served = 0
            for s in clients:
                try:
                    s.sendall(encode("AUTH", o.password) if o.password else b"PING\r\n")
                    line = read_line(s)
                except ConnectionError:
                    line = b""
                refused += line in (b"-ERR max number of clients reached", b"")
                served += line in (b"+PONG", b"+OK")
            assert refused >= 20 and served >= limit - 20 and served < limit + 1, (refused, served, limit)
        finally:
            for s in clients:
                s.close()
            if before:
                admin.sendall(encode("CONFIG", "SET", "maxclients", before))
                assert read_line(admin) == b"+OK"
    assert until(lambda: setting(o, "maxclients") is not None)


@hostile("arguments beyond every limit of a command")
def _(o):
    with raw_connection(o) as s:
        s.sendall(encode("GET", *range(1000)))
        assert read_line(s).startswith(b"-ERR wrong number of arguments for 'get'")
        s.sendall(encode("SETRANGE", "k", 1 << 40, "x"))
        assert read_line(s).startswith(b"-ERR string exceeds maximum allowed size")
        s.sendall(encode("x" * 100000))
        assert read_line(s).startswith(b"-ERR unknown command 'xxx")
        s.sendall(encode("GET", b"k" * (1 << 20)))
        assert read_line(s) == b"$-1"
        s.sendall(encode("FLUSHALL"))
        assert read_line(s) == b"+OK"


if __name__ == "__main__":
    tap.main()

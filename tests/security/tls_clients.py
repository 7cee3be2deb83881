#!/usr/bin/python3
"""redis-py over TLS: every byte of large and of pipelined values; what a client sees that trusts the wrong authority, expects
another name, or shows no certificate. Prints TAP."""
import os
import ssl
import threading

import redis
from tls_tap import Certificates


tap = Certificates("tls-clients")


def client(t, **more):
    options = {"ssl": True, "ssl_ca_certs": f"{t.certificates}/ca.pem", "ssl_check_hostname": True}
    options.update(more)
    return redis.Redis(host=t.host, port=t.port, **options)


def fails(expected, run):
    try:
        run()
    except redis.ConnectionError as error:
        assert expected in str(error), f"wanted {expected!r} in: {error}"
        return
    raise AssertionError(f"no error where {expected!r} was to be one")


@tap.test("rediss:// with the address checked against the certificate")
def _(t):
    url = f"rediss://{t.host}:{t.port}/0?ssl_ca_certs={t.certificates}/ca.pem&ssl_check_hostname=true"
    assert redis.Redis.from_url(url).ping()


@tap.test("values of all sizes about a record, byte by byte")
def _(t):
    r = client(t)
    for size in (0, 1, 100, 1023, 1024, 4096, 16383, 16384, 16385, 32768, 65537, 1000003, 20000000):
        value = os.urandom(size)
        r.set("tls:value", value)
        assert r.get("tls:value") == value, size
        assert r.getrange("tls:value", size // 2, -1) == value[size // 2:], size


@tap.test("pipelines of thousands of requests and replies")
def _(t):
    r = client(t)
    values = [os.urandom(i * 131 % 6000) for i in range(4000)]
    p = r.pipeline(transaction=False)
    for i, value in enumerate(values):
        p.set(f"tls:{i}", value)
        p.get(f"tls:{i}")
    assert p.execute()[1::2] == values


@tap.test("a reply is read while requests are still being sent")
def _(t):
    r = client(t)
    value = os.urandom(3000000)
    r.set("tls:big", value)
    seen = []

    def fetch():
        own = client(t)
        seen.append(all(own.get("tls:big") == value for _ in range(5)))

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for each in threads:
        each.start()
    for _ in range(200):
        r.set("tls:other", value[:10000])
    for each in threads:
        each.join()
    assert seen == [True] * 4


@tap.test("MULTI, blocking, messages and scripts")
def _(t):
    r, other = client(t), client(t)
    assert r.pipeline().set("tls:k", 1).incr("tls:k").execute() == [True, 2]
    threading.Timer(0.2, lambda: other.lpush("tls:list", "x")).start()
    assert r.blpop("tls:list", timeout=60) == (b"tls:list", b"x")
    p = r.pubsub()
    p.subscribe("tls:channel")
    assert p.get_message(timeout=60)["type"] == "subscribe"
    other.publish("tls:channel", os.urandom(100000))
    message = p.get_message(timeout=60)
    assert message and len(message["data"]) == 100000
    assert r.eval("return string.rep('x', 1000000)", 0) == b"x" * 1000000


@tap.test("many clients, one after the other and at once", limit=240)
def _(t):
    clients = [client(t) for _ in range(25)]
    assert all(c.ping() for c in clients)
    for _ in range(40):
        c = client(t)
        assert c.ping()
        c.close()


@tap.test("an authority that the client does not know")
def _(t):
    fails("certificate verify failed", client(t, ssl_ca_certs=f"{t.certificates}/stranger.pem").ping)


@tap.test("a name that the certificate does not have")
def _(t):
    context = ssl.create_default_context(cafile=f"{t.certificates}/ca.pem")
    import socket
    with socket.create_connection((t.host, t.port), timeout=10) as s:
        try:
            context.wrap_socket(s, server_hostname="elsewhere.example")
        except ssl.SSLCertVerificationError as error:
            assert "ostname mismatch" in str(error), error
            return
    raise AssertionError("elsewhere.example was believed")


@tap.test("the certificate's DNS name, whatever SNI and ALPN say")
def _(t):
    import socket
    context = ssl.create_default_context(cafile=f"{t.certificates}/ca.pem")
    context.set_alpn_protocols(["h2", "redis"])
    with socket.create_connection((t.host, t.port), timeout=10) as s:
        with context.wrap_socket(s, server_hostname="box.example") as tls:
            assert tls.selected_alpn_protocol() is None
            tls.sendall(b"PING\r\n")
            assert tls.recv(100) == b"+PONG\r\n"


@tap.test("both sides say that they end")
def _(t):
    import socket
    context = ssl.create_default_context(cafile=f"{t.certificates}/ca.pem")
    with socket.create_connection((t.host, t.port), timeout=10) as s:
        with context.wrap_socket(s, server_hostname="box.example", suppress_ragged_eofs=False) as tls:
            tls.sendall(b"PING\r\nQUIT\r\n")
            got = b""
            while part := tls.recv(100):  # raises if the box ends without close_notify
                got += part
            assert got == b"+PONG\r\n+OK\r\n", got
    with socket.create_connection((t.host, t.port), timeout=10) as s:
        with context.wrap_socket(s, server_hostname="box.example") as tls:
            tls.sendall(b"PING\r\n")
            assert tls.recv(100) == b"+PONG\r\n"
            tls.unwrap()  # our close_notify, and the wait for the box'


if __name__ == "__main__":
    tap.main()

#!/usr/bin/python3
"""Clients that do not mean well: garbage, cut and slow handshakes, spoiled records, a storm. After each the box serves as before
and has closed what was to be closed. Prints TAP."""
import os
import random
import socket
import ssl
import threading
import time

from tls_tap import Certificates


tap = Certificates("tls-hostile")


def connect(t):
    s = socket.create_connection((t.host, t.port), timeout=15)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


class Memory:
    """A client whose records pass our hands."""

    def __init__(self, t):
        context = ssl.create_default_context(cafile=f"{t.certificates}/ca.pem")
        self.input, self.output = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.input, self.output, server_hostname="box.example")
        self.socket = connect(t)

    def shake(self):
        while True:
            try:
                self.tls.do_handshake()
                self.socket.sendall(self.output.read())
                return self
            except ssl.SSLWantReadError:
                self.socket.sendall(self.output.read())
                self.input.write(self.socket.recv(65536))

    def records(self, data):
        self.tls.write(data)
        return self.output.read()

    def read(self):
        while True:
            try:
                return self.tls.read(65536)
            except ssl.SSLWantReadError:
                part = self.socket.recv(65536)
                if not part:
                    return None
                self.input.write(part)


def hello(t):
    context = ssl.create_default_context()
    context.check_hostname = False
    output = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), output)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return output.read()


def serves(t):
    m = Memory(t).shake()
    m.socket.sendall(m.records(b"PING\r\n"))
    assert m.read() == b"+PONG\r\n"
    m.socket.close()


def closed(s):
    try:
        while s.recv(65536):
            pass
        return True
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False


@tap.test("damaged hellos are answered or closed", limit=120)
def _(t):
    rng = random.Random(141)
    bytes_ = hello(t)
    for i in range(300):
        damaged = bytearray(bytes_)
        for _ in range(rng.randrange(1, 8)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        s = connect(t)
        s.sendall(damaged[:rng.randrange(1, len(damaged) + 1)] if i % 2 else damaged)
        s.shutdown(socket.SHUT_WR)
        assert closed(s), bytes(damaged).hex()
        s.close()
    serves(t)


@tap.test("noise is closed", limit=120)
def _(t):
    for i in range(200):
        s = connect(t)
        try:
            s.sendall(b"\x16\x03\x01" + os.urandom(400) if i % 2 else os.urandom(300))
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        assert closed(s)
        s.close()
    serves(t)


@tap.test("a hello in pieces of one byte is understood")
def _(t):
    s = connect(t)
    for byte in hello(t):
        s.send(bytes([byte]))
    assert s.recv(5)[:1] == b"\x16"
    s.close()


@tap.test("a record cut off is not executed, and its connection ends")
def _(t):
    serves(t)
    for cut in (1, 5, 10, 20):
        m = Memory(t).shake()
        record = m.records(b"SET tls:cut yes\r\n")
        m.socket.sendall(record[:-cut])
        m.socket.shutdown(socket.SHUT_WR)
        assert closed(m.socket)
    m = Memory(t).shake()
    m.socket.sendall(m.records(b"EXISTS tls:cut\r\n"))
    assert m.read() == b":0\r\n"


@tap.test("a spoiled record ends its connection and nothing of it is executed")
def _(t):
    for at in (0, 1, 3, 5, 9, -1):
        m = Memory(t).shake()
        record = bytearray(m.records(b"SET tls:spoiled yes\r\n"))
        record[at] ^= 0x40
        m.socket.sendall(record)
        m.socket.shutdown(socket.SHUT_WR)
        assert closed(m.socket), at
    m = Memory(t).shake()
    m.socket.sendall(m.records(b"EXISTS tls:spoiled\r\n"))
    assert m.read() == b":0\r\n"


@tap.test("a record that came before, again, is not executed again")
def _(t):
    m = Memory(t).shake()
    m.socket.sendall(m.records(b"DEL tls:count\r\n"))
    m.read()
    record = m.records(b"INCR tls:count\r\n")
    m.socket.sendall(record)
    m.read()
    m.socket.sendall(record)
    m.socket.shutdown(socket.SHUT_WR)
    assert closed(m.socket)
    m = Memory(t).shake()
    m.socket.sendall(m.records(b"GET tls:count\r\n"))
    assert m.read() == b"$1\r\n1\r\n"


@tap.test("requests cut anywhere between records")
def _(t):
    request = b"*3\r\n$3\r\nSET\r\n$5\r\ntls:x\r\n$10\r\n0123456789\r\n"
    m = Memory(t).shake()
    for at in range(1, len(request)):
        m.socket.sendall(m.records(request[:at]) + m.records(request[at:] + b"PING\r\n"))
        got = b""
        while len(got) < 12:
            got += m.read()
        assert got == b"+OK\r\n+PONG\r\n", (at, got)


@tap.test("a client that does not go on shaking hands is closed after ten seconds", limit=90)
def _(t):
    slow, mute = connect(t), connect(t)
    slow.settimeout(50)
    begin = time.monotonic()
    slow.sendall(hello(t)[:100])
    assert closed(slow)
    assert 5 < time.monotonic() - begin, time.monotonic() - begin
    mute.sendall(hello(t))  # it has not said anything before: that may take a minute
    assert mute.recv(1) == b"\x16"


@tap.test("established clients go on through a storm of handshakes", limit=90)
def _(t):
    m = Memory(t).shake()
    over = threading.Event()
    shaken = [0]

    def storm():
        while not over.is_set():
            try:
                s = connect(t)
                s.sendall(hello(t))
                s.recv(1)
                s.close()
                shaken[0] += 1
            except OSError:
                pass

    def rate(seconds):
        end, n, worst = time.monotonic() + seconds, 0, 0.0
        while time.monotonic() < end:
            begin = time.monotonic()
            m.socket.sendall(m.records(b"PING\r\n"))
            assert m.read() == b"+PONG\r\n"
            worst = max(worst, time.monotonic() - begin)
            n += 1
        return n / seconds, worst

    alone, _ = rate(3)
    threads = [threading.Thread(target=storm) for _ in range(6)]
    for each in threads:
        each.start()
    during, worst = rate(4)
    over.set()
    for each in threads:
        each.join()
    print(f"# {alone:.0f} PING a second alone, {during:.0f} with {shaken[0] / 4:.0f} handshakes a second beside; longest {worst * 1000:.0f} ms")
    assert worst < 10
    serves(t)


if __name__ == "__main__":
    tap.main()

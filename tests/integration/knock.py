#!/usr/bin/env python3
"""knock.py: what a client with a given source address meets at the box's port. Says one word.

    knock.py tcp HOST SOURCE                    PONG, refused (at once), or silence (for a second)
    knock.py udp HOST SOURCE                    refused, prohibited or silence
    knock.py burst HOST SOURCE N SECONDS        how many of N connections begun at once stand after SECONDS
    knock.py ended HOST SOURCE COMMAND...       a connection that stands when COMMAND has run: ended or alive
"""
import errno
import select
import socket
import subprocess
import sys
import time

PORT, WAIT = 6379, 1.0


def plug(kind, host, source):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    s.bind((source, 0))
    return s


def connected(host, source):
    s = plug(socket.SOCK_STREAM, host, source)
    s.settimeout(WAIT)
    s.connect((host, PORT))
    return s


def tcp(host, source):
    begin = time.monotonic()
    try:
        s = connected(host, source)
    except ConnectionRefusedError:
        return "refused" if time.monotonic() - begin < WAIT / 2 else "refused late"
    except TimeoutError:
        return "silence"
    s.sendall(b"PING\r\n")
    return s.recv(100).decode().strip("+\r\n")


def udp(host, source):
    s = plug(socket.SOCK_DGRAM, host, source)
    s.settimeout(WAIT)
    s.connect((host, 53))
    s.send(b"anybody there?")
    try:
        return s.recv(1).decode()
    except TimeoutError:
        return "silence"
    except OSError as e:
        return {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "prohibited", errno.EACCES: "prohibited"}.get(e.errno, str(e))


def burst(host, source, n, seconds):
    poll, sockets = select.poll(), []
    for _ in range(int(n)):
        s = plug(socket.SOCK_STREAM, host, source)
        s.setblocking(False)
        s.connect_ex((host, PORT))
        poll.register(s, select.POLLOUT)
        sockets.append(s)
    end, stand = time.monotonic() + float(seconds), set()
    while (left := end - time.monotonic()) > 0 and len(stand) < len(sockets):
        for fd, _ in poll.poll(left * 1000):
            stand.add(fd)
            poll.unregister(fd)
    return str(len(stand))


def ended(host, source, *command):
    s = connected(host, source)
    s.sendall(b"PING\r\n")
    s.recv(100)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    s.settimeout(5 * WAIT)
    try:
        return "ended" if s.recv(1) == b"" else "alive"
    except ConnectionResetError:
        return "ended"
    except TimeoutError:
        return "alive"


if __name__ == "__main__":
    print({"tcp": tcp, "udp": udp, "burst": burst, "ended": ended}[sys.argv[1]](*sys.argv[2:]))

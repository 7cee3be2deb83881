#!/usr/bin/env python3
"""knock.py: what a client with a given source address meets at the box's port. Says one word.

    knock.py tcp HOST SOURCE                    PONG, refused (at once), or silence
    knock.py udp HOST SOURCE                    refused, prohibited or silence
    knock.py burst HOST SOURCE N LEAST          how many of N connections begun at once stand, once it is LEAST and no more come for a moment;
                                                SOURCE may be several with commas between them, N for each
    knock.py ended HOST SOURCE COMMAND...       a connection that stands when COMMAND has run: ended or alive

Silence is what lasts SILENCE seconds of the environment (1): who expects a word gives more.
"""
import errno
import os
import select
import socket
import subprocess
import sys
import time

PORT, SILENCE, AT_ONCE = 6379, float(os.environ.get("SILENCE", 1)), 0.5


def plug(kind, host, source):
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    s.bind((source, 0))
    return s


def connected(host, source):
    s = plug(socket.SOCK_STREAM, host, source)
    s.settimeout(SILENCE)
    s.connect((host, PORT))
    return s


def tcp(host, source):
    for _ in range(5):  # a busy machine may hold one of them up, but not each
        begin = time.monotonic()
        try:
            s = connected(host, source)
            break
        except ConnectionRefusedError:
            if time.monotonic() - begin < AT_ONCE:
                return "refused"
        except TimeoutError:
            return "silence"
    else:
        return "refused late"
    s.sendall(b"PING\r\n")
    return s.recv(100).decode().strip("+\r\n")


def udp(host, source):
    s = plug(socket.SOCK_DGRAM, host, source)
    s.settimeout(SILENCE)
    s.connect((host, 53))
    s.send(b"anybody there?")
    try:
        return s.recv(1).decode()
    except TimeoutError:
        return "silence"
    except OSError as e:
        return {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "prohibited", errno.EACCES: "prohibited"}.get(e.errno, str(e))


def burst(host, sources, n, least):
    poll, sockets = select.poll(), []
    for source in sources.split(",") * int(n):
        s = plug(socket.SOCK_STREAM, host, source)
        s.setblocking(False)
        s.connect_ex((host, PORT))
        poll.register(s, select.POLLOUT)
        sockets.append(s)
    end, stand = time.monotonic() + 30, set()
    while len(stand) < len(sockets) and time.monotonic() < end:
        more = poll.poll(300 if len(stand) >= int(least) else 1000)
        if not more and len(stand) >= int(least):
            break
        for fd, _ in more:
            stand.add(fd)
            poll.unregister(fd)
    return str(len(stand))


def ended(host, source, *command):
    s = connected(host, source)
    s.sendall(b"PING\r\n")
    s.recv(100)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    s.settimeout(5 * SILENCE)
    try:
        return "ended" if s.recv(1) == b"" else "alive"
    except ConnectionResetError:
        return "ended"
    except TimeoutError:
        return "alive"


if __name__ == "__main__":
    print({"tcp": tcp, "udp": udp, "burst": burst, "ended": ended}[sys.argv[1]](*sys.argv[2:]))

#!/usr/bin/python3
"""gap.py ADDRESS PORT: what one client sees of an outage. Writes and reads its own keys, one request at a time, and connects again at
once whenever it must, until its standard input ends; then they are deleted. Prints {"gap": seconds between the two replies that are furthest apart, "replies",
"connections", "wrong": keys that have not what was acknowledged last}."""
import json
import select
import socket
import sys
import time

KEYS = 1000
PATIENCE = 0.05  # for a reply or a connection: a server that is not there answers nothing


def request(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in map(str.encode, words))


class Client:
    def __init__(self, address, port):
        self.at, self.socket, self.buffer, self.connections = (address, port), None, b"", 0

    def ask(self, patience, *words):
        """The reply's first line and, of a string, its second; OSError after the time."""
        if not self.socket:
            self.buffer = b""
            self.socket = socket.create_connection(self.at, patience)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections += 1
        try:
            self.socket.settimeout(patience)
            self.socket.sendall(request(*words))
            head = self.line()
            return self.line() if head[:1] == b"$" and head != b"$-1" else head
        except OSError:
            self.socket.close()
            self.socket = None
            raise

    def line(self):
        while b"\r\n" not in self.buffer:
            chunk = self.socket.recv(65536)
            if not chunk:
                raise ConnectionError("closed")
            self.buffer += chunk
        found, self.buffer = self.buffer.split(b"\r\n", 1)
        return found


def main():
    client, acknowledged, n = Client(sys.argv[1], int(sys.argv[2])), {}, 0
    gap, last, over, good = 0, None, False, False
    print("ready", flush=True)
    while not (over and good):  # the last gap has an end, too
        over = over or bool(select.select([sys.stdin], [], [], 0)[0])
        key = f"gap:{n % KEYS}"
        try:
            good = client.ask(PATIENCE, "SET", key, str(n)) == b"+OK"  # LOADING is no service
        except OSError:
            good = False
        if not good:
            time.sleep(0.001)
            continue
        now = time.monotonic()
        acknowledged[key] = n
        gap, last, n = max(gap, now - last if last else 0), now, n + 1
    sent = {f"gap:{n % KEYS}": n}  # whose reply was lost, or never came: it may be there, too
    wrong = sum(client.ask(10, "GET", key) not in (b"%d" % value, b"%d" % sent.get(key, value)) for key, value in acknowledged.items())
    client.ask(10, "DEL", *acknowledged)
    print(json.dumps({"gap": gap, "replies": n, "connections": client.connections, "wrong": wrong}))


if __name__ == "__main__":
    main()

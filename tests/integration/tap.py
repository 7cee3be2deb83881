"""tap.py: a list of checks against one server, reported as TAP (ok, not ok, # SKIP).

    tap = Tap("redis-py")

    @tap.test("PING answers PONG")
    def _(t):
        assert ...

    tap.main()

Every script takes --host and --port (and --password), prints TAP and exits with 1 if a check failed. A check may
raise Skip("why"); each has to end within its limit of seconds (SLUICE_PATIENCE times that, as all bounds)."""

import argparse
import contextlib
import os
import signal
import socket
import sys
import time
import traceback


PATIENCE = int(os.environ.get("SLUICE_PATIENCE", 1))  # as wait_until


class Skip(Exception):
    """The check cannot be done here; the text says why."""


class TooLong(Exception):
    """The check did not end within its limit."""


def _on_alarm(signum, frame):
    raise TooLong()


class Tap:
    def __init__(self, suite):
        self.suite = suite
        self.tests = []
        self.options = None

    def test(self, name, limit=180):
        def register(run):
            self.tests.append((name, run, limit))
            return run
        return register

    def arguments(self):
        parser = argparse.ArgumentParser(description=f"{self.suite} against a server")
        parser.add_argument("--host", default="127.0.77.2")
        parser.add_argument("--port", type=int, default=6379)
        parser.add_argument("--password", default="")
        parser.add_argument("--only", default="", help="run only the checks whose name contains this")
        parser.add_argument("--modules", default="", help="folder with node_modules (Node's scripts only)")
        return parser

    def main(self):
        self.options = self.arguments().parse_args()
        chosen = [t for t in self.tests if self.options.only in t[0]]
        signal.signal(signal.SIGALRM, _on_alarm)
        print(f"TAP version 13\n1..{len(chosen)}")
        failed = 0
        for number, (name, run, limit) in enumerate(chosen, 1):
            failed += not self._one(number, name, run, limit)
        sys.exit(1 if failed else 0)

    def _one(self, number, name, run, limit):
        title = f"{number} - {self.suite}: {name}"
        limit *= PATIENCE
        try:
            signal.alarm(limit)
            run(self.options)
        except Skip as why:
            print(f"ok {title} # SKIP {why}", flush=True)
            return True
        except TooLong:
            print(f"not ok {title}\n# no end after {limit} s", flush=True)
            return False
        except Exception:
            print(f"not ok {title}")
            for line in traceback.format_exc().splitlines():
                print(f"# {line}", flush=True)
            return False
        finally:
            signal.alarm(0)
        print(f"ok {title}", flush=True)
        return True


def until(condition, seconds=30.0):
    """Waits until condition() is true, looking often; False if it never was."""
    end = time.monotonic() + seconds * PATIENCE
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


def encode(*words):
    """A request as RESP array of bulk strings."""
    out = b"*%d\r\n" % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b"$%d\r\n%s\r\n" % (len(word), word)
    return out


@contextlib.contextmanager
def raw_connection(options, timeout=10.0):
    """A plain socket to the server, logged in if a password was given."""
    s = socket.create_connection((options.host, options.port), timeout=timeout * PATIENCE)
    try:
        if options.password:
            s.sendall(encode("AUTH", options.password))
            assert read_line(s) == b"+OK"
        yield s
    finally:
        s.close()


def read_line(s):
    """One line of a reply without CRLF; the text so far if the server closes."""
    line = b""
    while not line.endswith(b"\r\n"):
        byte = s.recv(1)
        if not byte:
            return line
        line += byte
    return line[:-2]


def fresh_ping(options):
    """Asserts that the server answers a new client."""
    with raw_connection(options) as s:
        s.sendall(b"PING\r\n")
        assert read_line(s) == b"+PONG", "no PONG for a fresh client"

#!/usr/bin/python3
"""redis_cli.py: redis-cli's modes as operators use them. Empties the server."""

import os
import re
import select
import subprocess
import time

from tap import Skip, Tap, encode

tap = Tap("redis-cli")


def command(o, *words):
    auth = ["--no-auth-warning", "-a", o.password] if o.password else []
    return ["redis-cli", "-h", o.host, "-p", str(o.port), *auth, *map(str, words)]


def cli(o, *words, stdin=b"", check=True, timeout=50):
    """Output of one run of redis-cli without the last line end."""
    done = subprocess.run(command(o, *words), input=stdin, capture_output=True, timeout=timeout)
    if check:
        assert done.returncode == 0, (words, done.returncode, done.stdout[-300:], done.stderr[-300:])
    return done.stdout.rstrip(b"\n") if check else done


def cut_off(o, *words, enough):
    """Output of a mode that never ends by itself, ended when there is enough of it or after half a minute."""
    with subprocess.Popen(["stdbuf", "-oL", *command(o, *words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        out, end = b"", time.monotonic() + 30
        while not enough(out) and (left := end - time.monotonic()) > 0:
            if select.select([process.stdout], [], [], left)[0]:
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                out += piece
        process.kill()
    return out


@tap.test("ping")
def _(o):
    cli(o, "flushall")
    assert cli(o, "ping") == b"PONG"
    assert cli(o, "ping", "hello world") == b"hello world"


@tap.test("a URL chooses host, port and database")
def _(o):
    login = f"default:{o.password}@" if o.password else ""
    url = f"redis://{login}{o.host}:{o.port}/3"
    done = subprocess.run(["redis-cli", "-u", url, "set", "url", "1"], capture_output=True, timeout=20)
    assert done.stdout.strip() == b"OK", done
    assert cli(o, "-n", 3, "get", "url") == b"1"
    assert cli(o, "-n", 0, "get", "url") == b""


@tap.test("-n keeps databases apart")
def _(o):
    for db in range(16):
        cli(o, "-n", db, "set", "where", db)
    assert [cli(o, "-n", db, "get", "where") for db in range(16)] == [b"%d" % db for db in range(16)]
    assert b"out of range" in cli(o, "-n", 16, "get", "where", check=False).stdout + cli(
        o, "-n", 16, "get", "where", check=False).stderr


@tap.test("commands from standard input, repeats and errors")
def _(o):
    assert cli(o, stdin=b"set a 1\nget a\nping\n") == b"OK\n1\nPONG"
    assert cli(o, "-r", 20, "incr", "n").splitlines()[-1] == b"20"
    assert cli(o, "-e", "nosuchcommand", check=False).returncode != 0
    assert b"unknown command" in cli(o, "-e", "nosuchcommand", check=False).stdout + cli(
        o, "-e", "nosuchcommand", check=False).stderr


@tap.test("-x sends 4 MB of bytes and gets them back")
def _(o):
    value = bytes(range(256)) * (4 * 4096)
    assert cli(o, "-x", "set", "big", stdin=value) == b"OK"
    assert cli(o, "strlen", "big") == b"%d" % len(value)
    assert subprocess.run(command(o, "--raw", "get", "big"), capture_output=True).stdout == value + b"\n"


@tap.test("-3 speaks RESP3")
def _(o):
    hello = cli(o, "-3", "hello").decode()
    assert re.search(r"proto\W+3", hello), hello
    assert b"maxmemory" in cli(o, "-3", "config", "get", "maxmemory")
    assert cli(o, "--json", "config", "get", "databases") == b'{"databases":"16"}'


@tap.test("--pipe inserts 100000 keys", limit=120)
def _(o):
    stream = b"".join(encode("SET", f"pipe:{i}", i) for i in range(100000))
    out = cli(o, "--pipe", stdin=stream, timeout=110)
    assert b"errors: 0, replies: 100000" in out, out
    assert cli(o, "get", "pipe:99999") == b"99999"


@tap.test("--scan finds every key", limit=120)
def _(o):
    keys = cli(o, "--scan", "--pattern", "pipe:*", timeout=110).split()
    assert len(keys) >= 100000 and len(set(keys)) == 100000, len(keys)
    assert len(set(cli(o, "--scan", "--pattern", "pipe:9999?").split())) == 10


@tap.test("--bigkeys names the largest string", limit=120)
def _(o):
    out = cli(o, "--bigkeys", timeout=110)
    assert re.search(rb'Biggest string found \S*"big\S* has 4194304 bytes', out), out[-800:]


@tap.test("--memkeys names the largest key", limit=120)
def _(o):
    out = cli(o, "--memkeys", timeout=110)
    assert re.search(rb'Biggest string found \S*"big\S* has \d+ bytes', out), out[-800:]


@tap.test("--stat prints a line an interval")
def _(o):
    lines = lambda out: [line for line in out.splitlines() if re.match(rb"^\d+ +\d\S+ +\d+ ", line)]
    out = cut_off(o, "-i", "0.2", "--stat", enough=lambda out: len(lines(out)) >= 3)
    assert b"keys" in out and len(lines(out)) >= 3, out


@tap.test("--latency measures round trips")
def _(o):
    out = cli(o, "--raw", "-i", "1", "--latency", timeout=20)
    low, high, mean, count = out.split()[:4]
    assert int(count) >= 3 and float(low) <= float(mean) <= float(high), out


@tap.test("-a gives the password")
def _(o):
    if o.password:
        assert cli(o, "ping") == b"PONG"
        wrong = subprocess.run(["redis-cli", "-h", o.host, "-p", str(o.port), "-a", "wrong", "ping"],
                               capture_output=True, timeout=20)
        assert b"WRONGPASS" in wrong.stderr + wrong.stdout and b"NOAUTH" in wrong.stdout, wrong
        return
    if cli(o, "config", "set", "requirepass", "s3cret") != b"OK":
        raise Skip("CONFIG SET requirepass is not possible here")
    try:
        assert b"NOAUTH" in cli(o, "ping", check=False).stdout
        assert cli(o, "-a", "s3cret", "--no-auth-warning", "ping") == b"PONG"
    finally:
        cli(o, "-a", "s3cret", "--no-auth-warning", "config", "set", "requirepass", "")


@tap.test("interactive help data: COMMAND DOCS and INFO SERVER are there")
def _(o):
    assert b"summary" in cli(o, "command", "docs", "get")
    assert b"redis_version:" in cli(o, "info", "server")
    cli(o, "flushall")


if __name__ == "__main__":
    tap.main()

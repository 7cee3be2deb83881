#!/usr/bin/python3
"""oracle_fields.py: INFO has every field, in every section and in the order, of the redis-server installed here, and CONFIG GET *
every directive that it has. The oracle runs on a private port in a directory of its own."""

import contextlib
import shutil
import socket
import subprocess
import tempfile

import redis

from tap import Skip, Tap, until

tap = Tap("oracle's fields")

# Directives of the oracle that mean nothing on the box: of its allocator, its process, its build or a distribution's patches.
NOT_OURS = {"maxmemory-eviction-tenacity", "jemalloc-bg-thread"}


@contextlib.contextmanager
def oracle():
    if not shutil.which("redis-server"):
        raise Skip("redis-server is not installed")
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                                   stdout=subprocess.DEVNULL)
        r = redis.Redis(port=port, decode_responses=True)
        try:
            def ready():
                with contextlib.suppress(redis.ConnectionError):
                    return r.ping()
            assert until(ready), "the oracle does not start"
            yield r
        finally:
            process.terminate()
            process.wait()


def box(o):
    return redis.Redis(host=o.host, port=o.port, password=o.password or None, decode_responses=True)


def sections(r):
    """{"Server": ["redis_version", ...], ...} without lines that depend on what clients did."""
    found, title = {}, None
    connection = r.connection_pool.get_connection("INFO")
    connection.send_command("INFO", "default")
    text = connection.read_response()
    connection.disconnect()
    for line in text.split("\r\n"):
        if line.startswith("# "):
            title = line[2:]
            found[title] = []
        elif line and not line.startswith(("errorstat_", "db")):
            found[title].append(line.split(":")[0])
    return found


@tap.test("INFO has the oracle's sections and fields in its order")
def _(o):
    ours = sections(box(o))
    with oracle() as r:
        theirs = sections(r)
    assert list(ours) == list(theirs), (list(ours), list(theirs))
    for title, fields in theirs.items():
        kept = [f for f in ours[title] if f in set(fields)]
        assert kept == fields, (title, [f for f in fields if f not in kept])


@tap.test("the types of INFO's values are the oracle's")
def _(o):
    ours = box(o).info("all")
    with oracle() as r:
        theirs = r.info("all")
    number = (int, float)
    wrong = {name: (ours[name], value) for name, value in theirs.items() if name in ours and isinstance(value, number)
             and not isinstance(ours[name], number) and name not in ("redis_git_sha1", "redis_build_id")}
    assert not wrong, wrong


@tap.test("CONFIG GET * has the oracle's directives")
def _(o):
    ours = box(o).config_get("*")
    with oracle() as r:
        theirs = r.config_get("*")
    missing = sorted(set(theirs) - set(ours) - NOT_OURS)
    assert not missing, missing


if __name__ == "__main__":
    tap.main()

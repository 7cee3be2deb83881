#!/usr/bin/python3
"""redis_benchmark.py: redis-benchmark runs through, with and without pipelining, and its figures make sense."""

import csv
import io
import subprocess

from tap import Tap

tap = Tap("redis-benchmark")
TESTS = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"}


def benchmark(o, *words, timeout=110):
    auth = ["-a", o.password] if o.password else []
    done = subprocess.run(["redis-benchmark", "-h", o.host, "-p", str(o.port), *auth, *map(str, words)],
                          capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert "Error" not in done.stdout, done.stdout[-500:]
    return done.stdout


def rates(o, *words):
    rows = list(csv.DictReader(io.StringIO(benchmark(o, "--csv", *words))))
    return {row["test"]: float(row["rps"]) for row in rows}


def check_rates(o, pipeline):
    result = rates(o, "-t", "ping,set,get,incr,mset", "-c", 50, "-n", 20000, "-P", pipeline)
    assert set(result) == TESTS, result
    assert all(rate > 0 for rate in result.values()), result
    print("# " + ", ".join(f"{name} {rate:.0f}/s" for name, rate in result.items()))


@tap.test("ping, set, get, incr, mset by 50 clients", limit=120)
def _(o):
    check_rates(o, 1)


@tap.test("the same, pipelined by 16", limit=120)
def _(o):
    check_rates(o, 16)


@tap.test("-q prints a line a test")
def _(o):
    lines = [line for line in benchmark(o, "-q", "-t", "set,get", "-c", 10, "-n", 5000).replace("\r", "\n").split("\n")
             if "requests per second" in line and "p50" in line]
    assert len(lines) == 2, lines


@tap.test("random keys, 1 KB values, RESP3")
def _(o):
    assert len(rates(o, "-3", "-t", "set,get", "-c", 20, "-n", 10000, "-r", 1000, "-d", 1024)) == 2


if __name__ == "__main__":
    tap.main()

#!/usr/bin/python3
"""requests.py: a client that asks on and on, over an old connection and over new ones, until it gets SIGTERM; then it says
how many requests it made. Ends at once, with status 1, if one goes wrong."""

import argparse
import signal
import sys
import time

import redis

going_on = True


def stop(_signum, _frame):
    global going_on
    going_on = False


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, stop)
    old = redis.Redis(host=options.host, socket_timeout=20)
    count, longest = 0, 0.0
    while going_on:
        fresh = redis.Redis(host=options.host, socket_timeout=20, socket_connect_timeout=20)
        start = time.monotonic()
        for client in (old, fresh):
            value = f"{count}-{time.monotonic()}".encode() * 20
            client.set("requests", value)
            assert client.get("requests") == value, "another value came back"
            count += 2
        fresh.close()
        longest = max(longest, time.monotonic() - start)
        if count == 4:
            print("# asking", flush=True)
    print(f"# {count} requests, the longest four took {longest * 1000:.0f} ms")
    sys.exit(0)


main()

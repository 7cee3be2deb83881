#!/usr/bin/python3
"""certificates_load.py HOST PORT CA STOP REPORT: clients over TLS while certificates change, until the file STOP is there: some that stay
connected and check every value, one that connects anew each time. Writes REPORT; its last
line is "good" if none of them saw an error."""
import os
import sys
import threading

import redis

host, port, ca, stop, report = sys.argv[1], int(sys.argv[2]), *sys.argv[3:6]
counts = {"requests": 0, "connections": 0}
errors = []
lock = threading.Lock()


def client():
    # A connection that ends is an error here, not something to try again.
    return redis.Redis(host, port, ssl=True, ssl_ca_certs=ca, socket_timeout=20, retry=None, retry_on_timeout=False, retry_on_error=[])


def count(name, n):
    with lock:
        counts[name] += n


def stays(number):
    r = client()
    first = r.client_id()
    with r.client() as connection:
        mine = connection.client_id()
        i = 0
        while not os.path.exists(stop):
            i += 1
            pipe = connection.pipeline(transaction=False)
            for k in range(20):
                pipe.set(f"load:{number}:{k}", f"{i}:{k}" * 50)
                pipe.get(f"load:{number}:{k}")
            got = pipe.execute()
            if got[1::2] != [(f"{i}:{k}" * 50).encode() for k in range(20)]:
                raise ValueError("a wrong value")
            if connection.client_id() != mine:
                raise ValueError("the connection was another one")
            count("requests", 41)
    return first


def comes_and_goes():
    while not os.path.exists(stop):
        r = client()
        r.ping()
        r.close()
        count("connections", 1)


def run(what, *arguments):
    try:
        what(*arguments)
    except Exception as e:  # the report names it
        errors.append(f"{what.__name__}: {type(e).__name__}: {e}")


threads = [threading.Thread(target=run, args=(stays, n)) for n in range(4)] + [threading.Thread(target=run, args=(comes_and_goes,))]
for t in threads:
    t.start()
open(report + ".running", "w").close()
for t in threads:
    t.join()
with open(report + ".part", "w") as f:
    good = not errors and counts["requests"] and counts["connections"]
    print(counts, *errors, "good" if good else "bad", sep="\n", file=f)
os.rename(report + ".part", report)

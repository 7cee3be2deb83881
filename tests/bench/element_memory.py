#!/usr/bin/python3
"""element_memory.py ENGINE_SERVER [ROW ...]: bytes an element of a collection takes, in redis-server and in the box's
engine (tests/conformance/engine_server), with the same data. Both are started on free ports of 127.0.0.1.

A figure is the growth of used_memory by all keys of a row, divided by their elements: the key, its share of the keyspace
and the allocator's rounding are in it."""
import hashlib
import os
import subprocess
import sys

import redis

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'conformance'))
import against_engine  # noqa: E402



def digits(i):
    """64 hexadecimal ones, always the same of i, that have nothing in common with those of another."""
    return hashlib.sha256(b'%d' % i).hexdigest()


ROWS = [  # name, keys, elements a key, command, its words for element i
    ('hash, 20 fields of 8 with values of 10', 2000, 20, 'HSET', lambda i: ('field:%02d' % i, 'value-%04d' % i)),
    ('hash, 20 fields of 8 with numbers', 2000, 20, 'HSET', lambda i: ('field:%02d' % i, 1000 + i * 7)),
    ('hash, 100000 fields of 16 with values of 16', 1, 100000, 'HSET', lambda i: ('field:%010d' % i, 'value:%010d' % i)),
    ('hash, 100000 fields of 16 with times in ms', 1, 100000, 'HSET', lambda i: ('field:%010d' % i, 1700000000000 + i)),
    ('list, 10 elements of 8', 5000, 10, 'RPUSH', lambda i: ('e%07d' % i,)),
    ('list, 100 elements of 20', 1000, 100, 'RPUSH', lambda i: ('element-of-text-%04d' % i,)),
    ('list, 100 integers below 128', 1000, 100, 'RPUSH', lambda i: (i,)),
    ('list, 100 integers of 6 digits', 1000, 100, 'RPUSH', lambda i: (100000 + i * 77,)),
    ('list, 100000 elements of 8', 1, 100000, 'RPUSH', lambda i: ('e%07d' % i,)),
    ('list, 50000 elements of 100', 1, 50000, 'LPUSH', lambda i: ('%0100d' % i,)),
    ('set, 400 integers below 2^31', 500, 400, 'SADD', lambda i: (70000 + i * 1000,)),
    ('set, 50 members of 12', 2000, 50, 'SADD', lambda i: ('member:%05d' % i,)),
    ('set, 100000 members of 16', 1, 100000, 'SADD', lambda i: ('member:%09d' % i,)),
    ('zset, 20 members of 11, small scores', 2000, 20, 'ZADD', lambda i: (i, 'member:%04d' % i)),
    ('zset, 100000 members of 14, times as scores', 1, 100000, 'ZADD', lambda i: (1700000000 + i * 7, 'member:%07d' % i)),
    ('stream, 20 entries of a field and 64 random digits', 1000, 20, 'XADD', lambda i: ('field', digits(i))),
    ('stream, 20000 entries of a field and 64 random digits', 1, 20000, 'XADD', lambda i: ('field', digits(i))),
    ('stream, 20000 entries of a field and 64 bytes, 60 alike', 1, 20000, 'XADD', lambda i: ('field', '%064d' % i)),
    ('stream, 20000 entries of 2 fields of 12 random digits', 1, 20000, 'XADD',
     lambda i: ('temperature', digits(i)[:12], 'pressure', digits(i)[12:24])),
    ('stream, 20000 entries of 5 fields, numbers', 1, 20000, 'XADD',
     lambda i: [word for f in range(5) for word in ('field:%d' % f, i * 7919 * (f + 1) % 1000000)]),
]


def used(server):
    return server.info('memory')['used_memory']


def fill(server, keys, elements, command, words):
    pipe = server.pipeline(transaction=False)
    for key in range(keys):
        if command == 'XADD':  # takes one entry at a time
            for i in range(elements):
                pipe.execute_command(command, 'key:%06d' % key, '%d-1' % (1700000000000 + i), *words(i))
            if len(pipe) > 200:
                pipe.execute()
            continue
        args = [word for i in range(elements) for word in words(i)]
        for at in range(0, len(args), 200):
            pipe.execute_command(command, 'key:%06d' % key, *args[at:at + 200])
        if len(pipe) > 200:
            pipe.execute()
    pipe.execute()


def settled(server):
    """What is flushed comes back in slices, between two commands."""
    last, now = None, used(server)
    while now != last:
        last = now
        for _ in range(20):
            now = used(server)
    return now


def measure(server, row):
    server.flushall()
    before = settled(server)
    fill(server, *row[1:])
    return (used(server) - before) / (row[1] * row[2])


def main():
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    ports = [against_engine.free_port() for _ in range(2)]
    started = [against_engine.start(['redis-server', '--port', str(ports[0]), '--save', ''], ports[0], subprocess.DEVNULL)]
    try:
        started.append(against_engine.start([sys.argv[1], str(ports[1]), 'arena-size 512mb'], ports[1], subprocess.DEVNULL))
        servers = [redis.Redis(port=port) for port in ports]
        floor = used(servers[1])
        print('%-58s %8s %8s %7s' % ('bytes an element', 'redis', 'sluice', 'ratio'))
        for row in ROWS:
            if len(sys.argv) > 2 and not any(word in row[0] for word in sys.argv[2:]):
                continue
            theirs, ours = [measure(server, row) for server in servers]
            print('%-58s %8.1f %8.1f %7.2f' % (row[0], theirs, ours, ours / theirs), flush=True)
            servers[1].flushall()
            if settled(servers[1]) != floor:
                raise SystemExit('element_memory: FLUSHALL leaves %d bytes' % (used(servers[1]) - floor))
    finally:
        for process in started:
            against_engine.stop(process)


if __name__ == '__main__':
    main()

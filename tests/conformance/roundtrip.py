#!/usr/bin/python3
"""roundtrip.py: values of all types between redis-server and the box as DUMP and RESTORE carry them, in every form, sound
and damaged. Values are compared by DEBUG DIGEST-VALUE, which both servers compute alike, and dumps byte for byte where
both keep a value in the same encoding. Both servers are emptied; both must allow DEBUG.

  roundtrip.py --oracle 127.0.0.1:6380 --box 127.0.0.1:6379 --seed 7 --count 300 [--tap]
"""
import argparse
import random
import sys

import forms
import payload
import wire
from values import KINDS, Values

BAD = b'ERR Bad data format'


class Different(Exception):
    pass


class Servers:
    """The oracle and the box, and a value's way between them."""

    def __init__(self, options):
        self.both = [wire.Connection(options.oracle), wire.Connection(options.box)]
        self.oracle, self.box = self.both
        if self.oracle.command('CONFIG', 'SET', 'sanitize-dump-payload', 'yes').tree[0] != '+': # the box always does
            raise SystemExit('no CONFIG SET sanitize-dump-payload')

    @staticmethod
    def digest(server, key='k'):
        tree = server.command('DEBUG', 'DIGEST-VALUE', key).tree
        if tree[0] != '*':
            raise SystemExit('DEBUG is not allowed: %r' % (tree,))
        return tree[1][0][1]

    @staticmethod
    def dump(server, key='k'):
        return server.command('DUMP', key).tree[1]

    @staticmethod
    def restore(server, key, bytes_):
        return server.command('RESTORE', key, 0, bytes_, 'REPLACE').tree[1]

    def empty(self):
        for server in self.both:
            server.command('FLUSHALL')

    def make(self, commands):
        self.empty()
        for command in commands:
            for server in self.both:
                server.command(*command)


def require(condition, *what):
    if not condition:
        raise Different(' '.join(str(w) for w in what))


# -- checks

def same_encoding(kind, names):
    """Where both servers have it as one encoding a dump has the same bytes."""
    oracle, box = names
    if kind in ('list', 'stream'):
        return True
    return oracle == box and box != b'hashtable'


def both_ways(servers, kind, commands):
    """The same commands make the same dump; each server's dump makes the same value in the other."""
    servers.make(commands)
    digests = [servers.digest(s) for s in servers.both]
    dumps = [servers.dump(s) for s in servers.both]
    names = [s.command('OBJECT', 'ENCODING', 'k').tree[1] for s in servers.both]
    require(digests[0] == digests[1], 'digests', digests)
    if same_encoding(kind, names):
        require(dumps[0] == dumps[1], 'dumps', names, dumps)
    for server, other in (servers.both, servers.both[::-1]):
        require(servers.restore(server, 'other', dumps[server is servers.oracle]) == b'OK', 'refused the dump of the', kind)
        require(servers.digest(server, 'other') == digests[0], 'the other one\'s dump is another value')
        require(servers.digest(other) == digests[0], 'the value itself changed')
    if kind in ('list', 'stream'):
        require(servers.dump(servers.box, 'other') == dumps[0], 'another dump of the oracle\'s value')


def every_form(servers, kind, commands, made):
    """The same value, in whatever form it comes; and what the box makes of it, the oracle takes."""
    servers.make(commands)
    value = servers.digest(servers.oracle)
    for form, body in made:
        bytes_ = payload.sound(bytes([form]) + body)
        known = [servers.box] if form in forms.NEW else servers.both
        for server in known:
            require(servers.restore(server, 'f', bytes_) == b'OK', 'form', form, 'refused by',
                    'the box' if server is servers.box else 'redis-server', bytes_)
            require(servers.digest(server, 'f') == value, 'form', form, 'is another value:', bytes_)
        again = servers.dump(servers.box, 'f')
        require(servers.restore(servers.oracle, 'again', again) == b'OK', 'form', form, ': own dump refused', again)
        require(servers.digest(servers.oracle, 'again') == value, 'form', form, ': own dump is another value')
        if kind == 'stream' and form == forms.STREAM_2:
            # Tombstones apart, groups and all.
            first, second = servers.dump(servers.oracle, 'again'), again
            require(first == second, 'form', form, ': groups changed', first, second)


def stricter(form, replies, short):
    """Redis reads on into version and checksum where a value was cut off, takes scores that are no numbers for 0, and
    entries of a stream in whatever order."""
    lenient = form in (forms.ZSET_LISTPACK, forms.ZSET_ZIPLIST, forms.STREAM, forms.STREAM_2)
    return (lenient or short) and replies == [b'OK', BAD]


def damage(servers, made, values):
    """What is damaged is refused by both, without a change, or is the same value to both."""
    refused = 0
    for form, body in made:
        if form in forms.NEW:
            continue
        form, body, short = forms.damaged(form, body, values.random)
        servers.empty()
        for server in servers.both:
            server.command('SET', 'f', 'old')
        bytes_ = payload.sound(bytes([form]) + body)
        replies = [servers.restore(s, 'f', bytes_) for s in servers.both]
        refused += replies[1] != b'OK'
        if stricter(form, replies, short):
            continue
        require(replies[0] == replies[1], 'damaged form', form, replies, bytes_)
        require(servers.digest(servers.oracle, 'f') == servers.digest(servers.box, 'f'), 'damaged form', form, bytes_)
    return refused


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--oracle', required=True, metavar='HOST:PORT')
    parser.add_argument('--box', required=True, metavar='HOST:PORT')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=300)
    parser.add_argument('--tap', action='store_true')
    options = parser.parse_args()
    servers, good, refused = Servers(options), True, 0
    for number, kind in enumerate(KINDS, 1):
        values = Values(random.Random('%s %d' % (kind, options.seed)))
        for i in range(options.count // len(KINDS)):
            commands, made = getattr(values, kind)()
            made = list(made)
            try:
                both_ways(servers, kind, commands)
                every_form(servers, kind, commands, made)
                refused += damage(servers, made, values)
            except Different as error:
                good = False
                print('not ok %d - round trip of %s' % (number, kind))
                print('# seed %d, value %d: %s' % (options.seed, i, str(error)[:2000]))
                break
        else:
            print('ok %d - round trip of %s' % (number, kind))
    print('# roundtrip: %d values of each type, %d damaged ones refused' % (options.count // len(KINDS), refused))
    if options.tap:
        print('1..%d' % len(KINDS))
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())

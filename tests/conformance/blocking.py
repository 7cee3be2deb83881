#!/usr/bin/python3
"""Several connections at once to a redis-server and to a box: who waits for keys, who is served, in which order and with
what. Random, seeded; after every step both servers must have the same clients waiting and have told the others the
same."""
import functools
import random
import select
import sys
import time

import several
import wire
from several import Different

KEYS = [b'a', b'b', b'c', b'd', b'e', b'f']
STREAMS = [b's', b't']  # never deleted: what a reader of a group is told then is newer than the oracle
PATIENCE = 5


class Side:
    """One server, seen by a control connection and by clients that may wait."""

    def __init__(self, address, proto, clients):
        self.address, self.proto = address, proto
        self.control = self.connect()[0]
        self.client = [self.connect() for _ in range(clients)]

    def connect(self):
        connection = wire.Connection(self.address)
        if self.proto == 3:
            connection.command('HELLO', '3')
        return connection, connection.command('CLIENT', 'ID').tree[1]

    def flags(self):
        """Of each client by its id."""
        text = self.control.command('CLIENT', 'LIST').tree[1]
        text = text[1] if isinstance(text, tuple) else text
        if text.startswith(b'txt:'):
            text = text[4:]
        lines = [dict(f.split(b'=', 1) for f in line.split(b' ') if b'=' in f) for line in text.splitlines() if line]
        return {int(line[b'id']): line[b'flags'] for line in lines}

    def waits(self, i):
        return b'b' in self.flags().get(self.client[i][1], b'')

    def has_reply(self, i):
        connection = self.client[i][0]
        return len(connection.buffer) > connection.at or bool(select.select([connection.socket], [], [], 0)[0])

    def settle(self, i):
        """Until client i waits (None) or has its reply."""
        end = time.time() + PATIENCE
        while time.time() < end:
            if self.has_reply(i):
                return self.client[i][0].reply().raw
            if self.waits(i):
                return None
        return b'(neither waits nor has a reply)'

    def replace(self, i):
        connection, number = self.client[i]
        connection.close()
        end = time.time() + PATIENCE
        while number in self.flags() and time.time() < end:
            time.sleep(0.001)
        if number in self.flags():
            raise Different('%s: client %d is still there' % (self.address, number))
        self.client[i] = self.connect()


class Run:
    def __init__(self, options, proto, history):
        self.random = random.Random(options.seed * 2 + proto)
        self.sides = [Side(options.oracle, proto, options.clients), Side(options.box, proto, options.clients)]
        self.waiting, self.history, self.served = set(), history, 0
        self.numbers = 0
        for side in self.sides:
            side.control.command('FLUSHALL')
            for stream in STREAMS:
                side.control.command('XGROUP', 'CREATE', stream, 'g', '$', 'MKSTREAM')

    def close(self):
        for side in self.sides:
            for connection in [side.control] + [c for c, _ in side.client]:
                connection.close()

    def value(self):
        self.numbers += 1
        return b'%d' % self.numbers if self.random.random() < .8 else b'v' * self.random.choice([1, 70, 900])

    def keys(self, most):
        return [self.random.choice(KEYS) for _ in range(self.random.randint(1, most))]

    def blocking(self):
        r = self.random
        timeout = r.choice([b'0', b'0', b'0', b'10000', b'0.02'])
        kind = r.random()
        ends = [r.choice([b'LEFT', b'RIGHT']) for _ in range(2)]
        keys = self.keys(3)
        count = r.choice([[], [], [b'COUNT', b'%d' % r.randint(1, 4)]])
        if kind > .8 and r.random() < .5:
            streams = r.choice([[b's'], [b't'], [b's', b't']])
            block = count + [b'BLOCK', r.choice([b'0', b'10000000'])]
            if r.random() < .5:
                ids = [r.choice([b'$', b'$', b'%d' % (self.numbers - 1), b'999999']) for _ in streams]
                return [b'XREAD'] + block + [b'STREAMS'] + streams + ids
            ids = [r.choice([b'>', b'>', b'>', b'0']) for _ in streams]
            return [b'XREADGROUP', b'GROUP', b'g', r.choice([b'me', b'you'])] + block + [b'STREAMS'] + streams + ids
        if kind < .45:
            return [r.choice([b'BLPOP', b'BRPOP'])] + keys + [timeout]
        if kind < .6:
            return [b'BLMOVE', r.choice(KEYS), r.choice(KEYS)] + ends + [timeout]
        if kind < .65:
            return [b'BRPOPLPUSH', r.choice(KEYS), r.choice(KEYS), timeout]
        if kind < .75:
            return [b'BLMPOP', timeout, b'%d' % len(keys)] + keys + [ends[0]] + count
        if kind < .9:
            return [r.choice([b'BZPOPMIN', b'BZPOPMAX'])] + keys + [timeout]
        return [b'BZMPOP', timeout, b'%d' % len(keys)] + keys + [r.choice([b'MIN', b'MAX'])] + count

    def plain(self):
        r = self.random
        kind, key = r.random(), r.choice(KEYS)
        if kind < .5:
            return [r.choice([b'RPUSH', b'LPUSH']), key] + [self.value() for _ in range(r.choice([1, 1, 1, 2, 3, 6]))]
        if kind < .65:
            pairs = [(b'%d' % r.randint(0, 9), self.value()) for _ in range(r.randint(1, 3))]
            return [b'ZADD', key] + [word for pair in pairs for word in pair]
        if kind < .7:
            return [r.choice([b'RENAME', b'COPY']), key, r.choice(KEYS)]
        if kind < .75:
            return [b'LMOVE', key, r.choice(KEYS), b'LEFT', b'RIGHT']
        if kind < .77:
            return [b'SET', key, b'x']
        if kind < .8:
            return [b'ZUNIONSTORE', key, b'1', r.choice(KEYS)]
        if kind < .805:
            return [b'DEL'] + KEYS
        if kind < .88:
            self.numbers += 1
            return [b'XADD', r.choice(STREAMS), b'%d-1' % self.numbers, b'f', self.value()]
        return [r.choice([b'DEL', b'DEL', b'LPOP', b'UNLINK', b'ZPOPMIN']), key]

    def both(self, args, ids=None):
        replies = [side.control.command(*[a if a is not None else str(side.client[ids][1]) for a in args]).raw
                   for side in self.sides]
        if replies[0] != replies[1]:
            raise Different('oracle: %r\nbox:    %r' % tuple(replies))

    def hand_out(self):
        """Those who wait no more at the oracle have the same reply here, the others wait here too."""
        oracle, box = self.sides
        flags = oracle.flags()
        for i in sorted(self.waiting):
            if b'b' in flags.get(oracle.client[i][1], b''):
                continue
            self.waiting.discard(i)
            self.served += 1
            replies = [side.client[i][0].reply().raw for side in self.sides]
            if replies[0] != replies[1]:
                raise Different('client %d, oracle: %r\nclient %d, box:    %r' % (i, replies[0][:300], i, replies[1][:300]))
        flags = box.flags()
        for i in self.waiting:
            if b'b' not in flags.get(box.client[i][1], b'') or box.has_reply(i):
                raise Different('client %d waits at the oracle, but not here' % i)

    def step(self):
        free = [i for i in range(len(self.sides[0].client)) if i not in self.waiting]
        chance = self.random.random()
        if self.waiting and chance < .03:
            i = self.random.choice(sorted(self.waiting))
            self.history.append((i, [b'(hangs up)']))
            self.waiting.discard(i)
            for side in self.sides:
                side.replace(i)
        elif self.waiting and chance < .08:
            i = self.random.choice(sorted(self.waiting))
            args = ['CLIENT', 'UNBLOCK', None] + self.random.choice([[], ['TIMEOUT'], ['ERROR']])
            self.history.append((i, args))
            self.both(args, i)
        elif free and chance < .55:
            i, args = self.random.choice(free), self.blocking()
            self.history.append((i, args))
            for side in self.sides:
                side.client[i][0].send(args)
            got = [side.settle(i) for side in self.sides]
            short = b'0.02' in args[1:]
            if short and None in got:
                got = [g if g is not None else side.client[i][0].reply().raw for g, side in zip(got, self.sides)]
            if got[0] != got[1]:
                raise Different('client %d, oracle: %r\nclient %d, box:    %r' % (i, got[0], i, got[1]))
            if got[0] is None:
                self.waiting.add(i)
        else:
            args = self.plain()
            self.history.append(('control', args))
            self.both(args)
        self.hand_out()

    def state(self):
        for key in KEYS:
            kind = self.sides[0].control.command('TYPE', key).tree[1]
            self.both([b'TYPE', key])
            if kind == b'list':
                self.both([b'LRANGE', key, b'0', b'-1'])
            elif kind == b'zset':
                self.both([b'ZRANGE', key, b'0', b'-1', b'WITHSCORES'])
        for stream in STREAMS:
            self.both([b'XRANGE', stream, b'-', b'+'])
            self.both([b'XPENDING', stream, b'g'])


def one_run(options, proto, history):
    run = Run(options, proto, history)
    try:
        for n in range(options.count):
            run.step()
            if n % 50 == 49:
                run.state()
        run.state()
        return '%d steps, %d served' % (options.count, run.served)
    finally:
        run.close()


def main():
    parser = several.parser(__doc__, 1000, 'steps')
    parser.add_argument('--clients', type=int, default=6)
    options = parser.parse_args()
    return several.run_all([('blocking commands of several clients, RESP%d' % proto, functools.partial(one_run, options, proto))
                            for proto in (2, 3)], options.seed)


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
"""Several connections at once to a redis-server and to a box: MULTI, EXEC, DISCARD and WATCH among random commands of every
family (grammar.py). Who watches what is often what others change or only seem to change, so that EXEC tells whether
both servers see the same changes. Random, seeded; every reply is compared, of EXEC each of its own command."""
import functools
import random
import sys

import differences
import grammar
import several
import wire
from several import Different

NOW_AND_THEN = [[b'FLUSHDB'], [b'FLUSHALL'], [b'SWAPDB', b'0', b'1'], [b'SWAPDB', b'0', b'0'], [b'FLUSHDB', b'ASYNC']]


class Run:
    def __init__(self, options, family, proto, history):
        self.random = random.Random('%s %d %d' % (family, options.seed, proto))
        self.grammar = grammar.Grammar('%s %d %d' % (family, options.seed, proto), [family])
        self.sides = [[wire.Connection(address) for _ in range(options.clients)] for address in (options.oracle, options.box)]
        self.queued = [None] * options.clients  # of who has MULTI open
        self.history, self.done, self.aborted = history, 0, 0
        for side in self.sides:
            side[0].command('FLUSHALL')
            side[0].command('RPUSH', grammar.OTHER_TYPE_KEY, 'x')
            for connection in side if proto == 3 else []:
                connection.command('HELLO', '3')

    def close(self):
        for side in self.sides:
            for connection in side:
                connection.close()

    def both(self, i, args):
        self.history.append((i, args))
        replies = [side[i].command(*args) for side in self.sides]
        self.compare(args, *replies)
        return replies[0]

    @staticmethod
    def compare(args, oracle, box):
        if differences.same(args, oracle, box) is None:
            raise Different('%s\noracle: %s\nbox:    %s' % (wire.show_line(args), oracle.text(300), box.text(300)))

    def execute(self, i):
        args = [b'EXEC']
        self.history.append((i, args))
        oracle, box = [side[i].command(*args) for side in self.sides]
        commands, self.queued[i] = self.queued[i], None
        trees = [reply.tree for reply in (oracle, box)]
        if trees[0][0] != '*' or trees[0][1] is None or trees[1][0] != '*' or trees[1][1] is None:
            self.aborted += 1
            self.compare(args, oracle, box)
            return
        self.done += 1
        if not len(trees[0][1]) == len(trees[1][1]) == len(commands):
            raise Different('%d commands, %d and %d replies' % (len(commands), len(trees[0][1]), len(trees[1][1])))
        for command, a, b in zip(commands, trees[0][1], trees[1][1]):
            self.compare(command, *[wire.Reply(repr(tree).encode(), tree) for tree in (a, b)])

    def one(self):
        """PFDEBUG changes a key's form without telling who watches it; ours tells."""
        while True:
            args = self.grammar.command()
            if args[0].upper() != b'PFDEBUG':
                return args

    def command(self):
        return self.random.choice(NOW_AND_THEN) if self.random.random() < .01 else self.one()

    def keys(self):
        return [self.random.choice(grammar.KEYS[:5] if self.random.random() < .8 else grammar.KEYS)
                for _ in range(self.random.choice([1, 1, 1, 2, 3]))]

    def queue(self, i, args):
        """What one of them cannot queue, being of another version, ends the transaction."""
        self.history.append((i, args))
        oracle, box = [side[i].command(*args) for side in self.sides]
        self.compare(args, oracle, box)
        if oracle.raw == box.raw == b'+QUEUED\r\n':
            self.queued[i].append(args)
        elif oracle.raw != box.raw:
            self.both(i, [b'DISCARD'])
            self.queued[i] = None

    def in_multi(self, i):
        chance = self.random.random()
        if chance < .35:
            self.execute(i)
        elif chance < .40:
            self.both(i, [b'DISCARD'])
            self.queued[i] = None
        elif chance < .43:
            self.both(i, self.random.choice([[b'MULTI'], [b'WATCH', b'a'], [b'EXEC', b'x'], [b'SAVE'], [b'NOSUCH']]))
            if self.history[-1][1] == [b'EXEC', b'x']:
                self.queued[i] = None
        else:
            args = self.command() if chance < .95 else self.random.choice([[b'UNWATCH'], [b'PING'], [b'SELECT', b'1'],
                                                                           [b'BLPOP', b'a', b'0'], [b'ECHO', b'x'], [b'SELECT', b'0']])
            self.queue(i, args)

    def step(self):
        i = self.random.randrange(len(self.queued))
        chance = self.random.random()
        if self.queued[i] is not None:
            self.in_multi(i)
        elif chance < .25:
            self.both(i, [b'WATCH'] + self.keys())
        elif chance < .27:
            self.both(i, [b'UNWATCH'])
        elif chance < .28:
            self.both(i, [b'SELECT', self.random.choice([b'0', b'0', b'1'])])
        elif chance < .29:
            self.both(i, self.random.choice([[b'EXEC'], [b'DISCARD']]))
        elif chance < .55:
            self.both(i, [b'MULTI'])
            self.queued[i] = []
        else:
            self.both(i, self.command())

    def watched_command(self):
        """One client watches a key, another one runs a command: have both servers seen the same?"""
        for i in range(len(self.queued)):
            if self.queued[i] is not None:
                self.both(i, [b'DISCARD'])
                self.queued[i] = None
        command = self.one()
        keys = [word for word in command[1:] if word in grammar.KEYS]
        self.both(0, [b'UNWATCH'])
        for i in (0, 1):
            self.both(i, [b'SELECT', b'0'])
        self.both(0, [b'WATCH', self.random.choice(keys or grammar.KEYS[:5])])
        refused = self.both(1, command).raw[:1] == b'-'
        if refused and command[0].upper() == b'PFADD':
            return  # of a broken value it changes a part, which is not told by the oracle
        self.both(0, [b'MULTI'])
        self.queued[0] = []
        self.execute(0)


def one_run(options, family, proto, history):
    run = Run(options, family, proto, history)
    try:
        for _ in range(options.count // 4):
            for _ in range(3):
                run.step()
            run.watched_command()
        return '%d executed, %d not' % (run.done, run.aborted)
    finally:
        run.close()


def main():
    parser = several.parser(__doc__, 600, 'steps a family', several.FAMILIES)
    parser.add_argument('--clients', type=int, default=3)
    options = parser.parse_args()
    families = several.FAMILIES if options.family == 'all' else [options.family]
    return several.run_all([('transactions of several clients, %s, RESP%d' % (family, proto), functools.partial(one_run, options, family, proto))
                            for family in families for proto in (2, 3)], options.seed)


if __name__ == '__main__':
    sys.exit(main())

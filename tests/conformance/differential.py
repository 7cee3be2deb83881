#!/usr/bin/python3
"""differential.py: sends the same commands to Debian's redis-server (the oracle) and to the box and compares every
reply byte for byte: the scripts of scripts/*.txt in RESP2 and RESP3, then seeded random commands (grammar.py). What
may differ, and why, is in differences.py.

    differential.py --oracle 127.0.0.1:6380 --box 127.0.77.2:6379 --family strings --seed 7 --count 5000

Both servers are emptied. Exit status: 0 all equal, 1 differences, 2 a server cannot be reached.

A script is a line a command, quoted as in redis-cli; {TEXT*N} repeats TEXT. Lines that start with @:
    @connection N   the next commands go over connection N (opened when first named; 0 is the first)
    @sleep MS       both sides wait
    @clock MS       the clock that both sides share, and that stands still in a script with this line, moves on; without such a
                    clock the rest of the script is not run
    @scan ARGS      iterates SCAN with ARGS to the end on both sides and compares the sets of keys
    @raw "BYTES"    sends bytes as they are and compares one reply (inline commands, broken requests)
    @closed         both sides must have closed the connection
    @resp2, @resp3  the rest of the script runs only in that protocol"""
import argparse
import contextlib
import glob
import os
import sys
import time

import batches
import coverage
import differences
import rules
import wire

# SORT has keys of its own: what it makes of a set that others have changed depends on the order of hash tables.
MIXED = [family for family in rules.RULES if family != 'sort']
WRITTEN = ['scripting']  # families that have scripts/FAMILY_*.txt alone
FAMILIES = list(rules.RULES) + WRITTEN + ['mixed']
HERE = os.path.dirname(os.path.abspath(__file__))


class Different(Exception):
    pass


class Pair:
    """The same conversation with both servers."""

    def __init__(self, oracle, box, proto):
        self.addresses = (oracle, box)
        self.proto = proto
        self.allowed = {}
        self.compared = 0
        self.open()

    def open(self):
        self.sides = []
        for address in self.addresses:
            side = wire.Connection(address)
            self.sides.append(side)
            if self.proto == 3:
                side.command('HELLO', '3')

    def close(self):
        for side in self.sides:
            side.close()

    def run(self, args):
        for side in self.sides:
            side.send(args)
        return self.compare(args)

    def run_raw(self, data):
        for side in self.sides:
            side.send_raw(data)
        return self.compare([data])

    def compare(self, args):
        oracle, box = [self.reply_of(side) for side in self.sides]
        self.compared += 1
        reason = differences.same(args, oracle, box)
        if reason is None:
            raise Different('  oracle: %s\n  box:    %s' % (oracle.text(), box.text()))
        if reason:
            self.allowed[reason] = self.allowed.get(reason, 0) + 1
        return oracle

    @staticmethod
    def reply_of(side):
        try:
            return side.reply()
        except wire.Broken as error:
            return wire.Reply(('(%s)' % error).encode(), ('closed', None))

    def scan(self, args):
        sets = []
        for side in self.sides:
            keys, cursor = set(), b'0'
            while True:
                reply = side.command('SCAN', cursor, *args).tree
                if reply[0] != '*':
                    break
                cursor = reply[1][0][1]
                keys.update(key[1] for key in reply[1][1][1])
                if cursor == b'0':
                    break
            sets.append(keys)
        self.compared += 1
        if sets[0] != sets[1]:
            raise Different('  oracle only: %r\n  box only:    %r' % (sets[0] - sets[1], sets[1] - sets[0]))

    def closed(self):
        ends = [self.reply_of(side).tree[0] for side in self.sides]
        self.compared += 1
        if ends != ['closed', 'closed']:
            raise Different('  oracle: %s\n  box:    %s' % tuple(ends))


def empty(address):
    """Removes every key, with FLUSHALL or key by key where there is none."""
    side = wire.Connection(address)
    if side.command('FLUSHALL').tree[0] == '-':
        for db in range(16):
            if side.command('SELECT', db).tree[0] == '-' and db:
                break
            for key in side.command('KEYS', '*').tree[1] or []:
                side.command('DEL', key[1])
    side.close()


class Run:
    def __init__(self, options):
        self.options = options
        self.lines = self.random = 0
        self.failures = []
        self.parts = 0
        self.random_seconds = 0
        self.allowed = {}

    def say(self, text):
        mark = '# ' if self.options.tap else ''
        print('\n'.join(mark + line for line in text.split('\n')), flush=True)

    def fail(self, where, line, error):
        self.failures.append(where)
        self.say('DIFFERENT %s: %s\n%s' % (where, line, error))

    def part(self, name, work, *args):
        """One script or one random run in one protocol: a line of TAP."""
        before = len(self.failures)
        work(*args)
        self.parts += 1
        if self.options.tap:
            print('%s %d - %s' % ('ok' if len(self.failures) == before else 'not ok', self.parts, name), flush=True)

    def pair(self, proto):
        for address in (self.options.oracle, self.options.box):
            empty(address)
        return Pair(self.options.oracle, self.options.box, proto)

    def done(self, pair):
        for reason, count in pair.allowed.items():
            self.allowed[reason] = self.allowed.get(reason, 0) + count
        pair.close()

    # -- scripts --

    def script(self, path, proto):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        with contextlib.ExitStack() as stack:
            if self.clock and '\n@clock' not in text:
                stack.enter_context(self.clock.running())
            self.script_lines(path, text.split('\n'), proto)

    def script_lines(self, path, lines, proto):
        pairs = {0: self.pair(proto)}
        now = pairs[0]
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith('#'):
                continue
            words = wire.split_line(line)
            if line.startswith('@connection'):
                index = int(words[1])
                if index not in pairs:
                    pairs[index] = Pair(self.options.oracle, self.options.box, proto)
                now = pairs[index]
                continue
            if line.startswith('@resp'):
                if int(line[5]) != proto:
                    break
                continue
            if line.startswith('@clock'):
                if not self.clock:
                    break
                self.clock.move(int(words[1]))
                continue
            self.lines += 1
            try:
                self.script_line(now, words)
            except Different as error:
                self.fail('%s:%d (RESP%d)' % (os.path.basename(path), number, proto), line, error)
                if not self.options.all_differences:
                    break
        for pair in pairs.values():
            self.done(pair)

    @staticmethod
    def script_line(pair, words):
        if words[0] == b'@sleep':
            time.sleep(int(words[1]) / 1000)
        elif words[0] == b'@scan':
            pair.scan(words[1:])
        elif words[0] == b'@raw':
            pair.run_raw(words[1])
        elif words[0] == b'@closed':
            pair.closed()
        else:
            pair.run(words)

    # -- random commands --

    def random_commands(self, name, families, proto, count):
        options = self.options
        talk = batches.Conversation((options.oracle, options.box), proto, self.clock, self.thresholds)
        stream = batches.Random(talk, families, '%s %d %d' % (name, proto, options.seed), self.known)
        kinds, start = set(), time.monotonic()
        while stream.sent < count:
            failure = stream.run(count - stream.sent, start + options.seconds)
            if not failure:
                break
            if failure.kind() in kinds:
                continue
            kinds.add(failure.kind())
            self.fail('random %s seed %d command %d (RESP%d)' % (name, options.seed, stream.sent, proto),
                      wire.show_line(failure.args), failure.text)
            if failure.kind() == (b'(BROKEN)',):
                self.save(name, proto, failure.lines)
                break
            lines = batches.minimised(failure, lambda lines, kind=failure.kind(): self.again(talk, lines, kind))
            self.save(name, proto, lines)
            if not options.all_differences:
                break
        self.random += stream.sent
        self.random_seconds += time.monotonic() - start
        self.done(talk)

    @staticmethod
    def again(talk, lines, kind):
        talk.begin()
        try:
            talk.play(lines, kind[0] == b'(STATE)')
        except batches.Different as error:
            return batches.Failure(lines, error).kind() == kind
        except wire.Broken:
            return False
        return False

    def save(self, name, proto, lines):
        """As a script that shows the difference."""
        text = '\n'.join(['@resp%d' % proto] + [wire.show_line(line) for line in lines])
        if not self.options.save:
            self.say('  script:\n' + text)
            return
        path = os.path.join(self.options.save, '%s_%d_%d_%d.txt' % (name, proto, self.options.seed, len(self.failures)))
        with open(path, 'w', encoding='ascii') as file:
            file.write(text + '\n')
        self.say('  script, %d lines: %s\n%s' % (len(lines), path, text if len(lines) < 20 else ''))

    def prepare(self):
        """What the box can do and what its thresholds are; the oracle's, which may have been another box's before, are the same."""
        self.clock = batches.SharedClock(self.options.clock) if self.options.clock else None
        box, oracle = wire.Connection(self.options.box), wire.Connection(self.options.oracle)
        self.known = {name[1].decode() for name in box.command('COMMAND', 'LIST').tree[1]}
        self.thresholds = {}
        for name in list(batches.THRESHOLDS) + list(batches.FIXED):
            value = box.command('CONFIG', 'GET', name).tree[1]
            if value:
                self.thresholds[name] = value[1][1]
                oracle.command('CONFIG', 'SET', name, value[1][1])
        box.close()
        oracle.close()

    def covered(self):
        box = wire.Connection(self.options.box)
        stray = [name for name in os.listdir(os.path.join(HERE, 'scripts')) if name.split('_')[0] not in FAMILIES]
        for line in coverage.missing(box) + ['%s: of no family, so it never runs' % name for name in stray]:
            self.failures.append(line)
            self.say(line)
        box.close()

    def run(self):
        self.prepare()
        options = self.options
        if options.family == 'all':
            self.part('random commands are made of every command and option, or coverage.py says why not', self.covered)
        wanted = FAMILIES if options.family == 'all' else [options.family]
        for family in wanted:
            for path in sorted(glob.glob(os.path.join(HERE, 'scripts', family + '_*.txt')) if not options.no_scripts else []):
                for proto in (2, 3):
                    self.part('%s RESP%d' % (os.path.basename(path), proto), self.script, path, proto)
            for proto in (2, 3) if family not in WRITTEN else ():
                self.part('random %s RESP%d' % (family, proto), self.random_commands, family,
                          MIXED if family == 'mixed' else [family], proto, options.count // 2)
        for reason, count in sorted(self.allowed.items()):
            self.say('allowed: %d replies, %s' % (count, reason))
        self.say('differential: %d script lines, %d random commands (%d a second), %d differences' %
                 (self.lines, self.random, self.random / max(self.random_seconds, 0.001), len(self.failures)))
        if self.options.tap:
            print('1..%d' % self.parts)
        return 1 if self.failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--oracle', required=True, metavar='HOST:PORT')
    parser.add_argument('--box', required=True, metavar='HOST:PORT')
    parser.add_argument('--family', default='all', choices=FAMILIES + ['all'])
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=2000, help='random commands a family')
    parser.add_argument('--seconds', type=float, default=1e9, help='random commands of a family end after that')
    parser.add_argument('--all-differences', action='store_true', help='go on after the first difference of a run')
    parser.add_argument('--clock', metavar='FILE', help='the clock of both servers (clock_shim.c): expiry in random commands')
    parser.add_argument('--no-scripts', action='store_true', help='random commands alone')
    parser.add_argument('--save', metavar='DIR', help='where scripts go that show a difference')
    parser.add_argument('--tap', action='store_true', help='report as TAP, one line a script or random run')
    options = parser.parse_args()
    try:
        return Run(options).run()
    except OSError as error:
        print('differential: %s' % error, file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())

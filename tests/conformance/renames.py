#!/usr/bin/python3
"""renames.py ENGINE_SERVER: a redis-server and the in-process engine with the same random rename-command directives: random commands by old and
new names, alone, in MULTI, in scripts, in rules and verdicts of ACL, and as COMMAND tells of them. Prints TAP."""
import argparse
import random
import shutil
import subprocess
import sys
import tempfile

import against_engine
import differences
import grammar
import several
import wire

KEPT = {'acl', 'command', 'eval', 'flushall', 'rpush'}  # by which the test itself works
KEPT |= {'hset', 'hmset', 'xread', 'xreadgroup'}  # which 7.0 tells apart by the letters of the name that came
NEWER = {b'zrank', b'zrevrank', b'wait', b'client', b'xautoclaim', b'xclaim'}  # other arguments or categories since 7.2
UNTOLD = {b'SPOP', b'RANDOMKEY', b'PFDEBUG', b'SCAN', b'DUMP', b'TTL', b'PTTL', b'EXPIRETIME', b'PEXPIRETIME', b'OBJECT'}


class Pair:
    """Both servers with one random table of names."""

    def __init__(self, engine, folder, choose, history):
        self.random, self.history = choose, history
        names = sorted({name.decode() for name in grammar.NAMES} - KEPT - {'nosuchcommand'}) + ['config', 'debug', 'multi', 'ping', 'select', 'script']
        self.now = {name: choose.choice(['', 'x_' + name, name.upper() + '2', 'q%d' % i]) for i, name in enumerate(choose.sample(names, 40))}
        ports = [against_engine.free_port() for _ in range(2)]
        self.log = open(folder + '/engine.log', 'wb')
        words = ['%s %s' % (old, new or '""') for old, new in sorted(self.now.items())]
        conf = folder + '/redis.conf'
        with open(conf, 'w', encoding='ascii') as file:
            file.write(''.join('rename-command %s\n' % word for word in words))
        self.processes = [against_engine.start(['redis-server', conf, '--port', str(ports[0]), '--save', '', '--dir', folder], ports[0], self.log),
                          against_engine.start([engine, str(ports[1])] + ['rename-command ' + word for word in words], ports[1], self.log)]
        self.sides = [wire.Connection('127.0.0.1:%d' % port) for port in ports]

    def stop(self):
        for side in self.sides:
            side.close()
        status = [against_engine.stop(process) for process in self.processes]
        self.log.close()
        return status[1] == 0

    def both(self, *args, old=None):
        """old: what its first word is called where nobody has renamed it."""
        self.history.append(('client', list(args)))
        oracle, box = [side.command(*args) for side in self.sides]
        if differences.of_rights([old or args[0], *args[1:]], oracle, box, NEWER) is None:
            raise several.Different('%s\noracle: %s\nbox:    %s' % (wire.show_line(args), oracle.text(400), box.text(400)))
        return box

    def named(self, word):
        """The command by its old name, by its new one, or in other letters; mostly by one that works."""
        old = word.decode().lower()
        name = self.now.get(old, old) if self.random.random() < .75 else old
        name = name or old
        return (name.upper() if self.random.random() < .3 else name).encode()


def arguments(pair, made):
    """A command and whether 7.0 and 7.2 agree on what it answers."""
    while True:
        args = made.command()
        if args[0].lower() not in NEWER and args[0].upper() not in UNTOLD and not {b'BLOCK', b'*'} & {word.upper() for word in args} \
                and args[0][:1].upper() != b'B':
            return args[0].lower(), [pair.named(args[0])] + args[1:40]


def step(pair, made):
    """One command by one of its names in one of the places where names count. Returns whether it was unknown there."""
    old, args = arguments(pair, made)
    place = pair.random.randrange(8)
    if place < 3 and old not in (b'multi', b'exec', b'select'):
        if old in (b'sort', b'sort_ro'):
            args = args[:1]
        reply = pair.both(*args, old=old)
    elif place == 3:
        reply = pair.both(b'EVAL', b'return redis.pcall(unpack(ARGV)) and 1', b'0', args[0])
    elif place == 4:
        reply = pair.both(b'ACL', b'DRYRUN', b'default', *args)
    elif place == 5:
        reply = pair.both(b'ACL', b'SETUSER', b'u', pair.random.choice([b'+', b'-']) + pair.random.choice([args[0], old]), b'~*')
        pair.both(b'ACL', b'DRYRUN', b'u', *args)
    elif place == 6:
        found = [side.command(b'COMMAND', b'GETKEYS', *args) for side in pair.sides]  # which keys: compared elsewhere
        known = [b'nvalid command' not in reply.raw for reply in found]
        if known[0] != known[1]:
            raise several.Different('COMMAND GETKEYS %s\noracle: %s\nbox:    %s' % (wire.show_line(args), *[reply.text(400) for reply in found]))
        reply = found[1]
    else:
        known = [side.command('COMMAND', 'INFO', args[0]).tree[1] for side in pair.sides]
        facts = [[row[1][i] for row in rows if row[1] for i in (0, 1, 3, 4, 5)] for rows in known]
        if facts[0] != facts[1]:
            raise several.Different('COMMAND INFO %r\noracle: %r\nbox:    %r' % (args[0], *facts))
        return not facts[0]
    return reply.raw[:1] == b'-' and (b'nknown' in reply.raw or b'not found' in reply.raw or b'nvalid command' in reply.raw)


def one_table(options, folder, table, history):
    choose = random.Random('renames %d %d' % (options.seed, table))
    made = grammar.Grammar('renames %d %d' % (options.seed, table), several.FAMILIES)
    pair = Pair(options.engine, folder, choose, history)
    unknown = 0
    try:
        multi = pair.now.get('multi', 'multi')
        for i in range(options.count):
            if i % 300 == 0:
                pair.both(b'FLUSHALL')
                pair.both(b'RPUSH', grammar.OTHER_TYPE_KEY, b'x')
            unknown += step(pair, made)
            if multi and i % 20 == 0:
                pair.both(multi.encode())
                pair.both(pair.named(b'get'), b'a')
                pair.both(pair.now.get('exec') or b'exec')
                pair.both(pair.now.get('discard') or b'discard')
        if not 0 < unknown < options.count:
            raise several.Different('%d of %d commands were unknown' % (unknown, options.count))
    finally:
        clean = pair.stop()
    if not clean:
        raise several.Different('the engine has not ended cleanly')
    return '%d commands, %d of them by names that nobody has' % (options.count, unknown)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('engine')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=1200, help='commands a table')
    parser.add_argument('--tables', type=int, default=4)
    options = parser.parse_args()
    if not shutil.which('redis-server'):
        print('1..1\nok 1 - renamed commands # SKIP no redis-server')
        return 0
    with tempfile.TemporaryDirectory(prefix='sluice-renames-') as folder:
        return several.run_all([('table %d of names' % table, lambda history, table=table: one_table(options, folder, table, history))
                                for table in range(1, options.tables + 1)], options.seed)


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
"""interleaved.py ENGINE_SERVER [--seed N] [--count N]: several connections send a command each at the same moment, to an engine
whose long commands give way at every element (ENGINE_INTERLEAVED), and to a redis-server one after the other. As what is
read or written by one waits for the other, or does not meet it, the replies must be the same. Random, seeded. Prints TAP."""
import argparse
import functools
import os
import random
import subprocess
import sys
import tempfile

import against_engine
import differences
import grammar
import several
import wire

CLIENTS = 3
# What sees keys that it does not name has no order with a command that runs meanwhile.
SEE_ALL = {b'KEYS', b'SCAN', b'RANDOMKEY', b'DBSIZE', b'FLUSHALL', b'FLUSHDB', b'SWAPDB', b'PFDEBUG', b'WAIT', b'DEBUG', b'INFO', b'COMMAND',
           b'MOVE', b'OBJECT', b'MEMORY', b'MULTI', b'TOUCH'}


def is_good(args):
    name = args[0].upper()
    blocks = name.startswith(b'B') and name not in (b'BITCOUNT', b'BITFIELD', b'BITFIELD_RO', b'BITOP', b'BITPOS') or b'BLOCK' in [a.upper() for a in args]
    reaches = name.startswith(b'SORT') and any(b'*' in a for a in args[2:])
    return name not in SEE_ALL and not blocks and not reaches and any(a in grammar.KEYS for a in args[1:])


def one_run(options, family, oracle, box, history):
    choose = random.Random('%s %d' % (family, options.seed))
    make = grammar.Grammar('%s %d' % (family, options.seed), [family])
    sides = [[wire.Connection(address) for _ in range(CLIENTS)] for address in (oracle, box)]
    for side in sides:
        side[0].command('FLUSHALL')
    try:
        for _ in range(options.count):
            commands = [args for args in (make.command() for _ in range(choose.randrange(2, CLIENTS + 1))) if is_good(args)]
            for i, args in enumerate(commands):
                sides[1][i].send(args)
            history[:] = enumerate(commands)
            replies = [side.command(*args) for side, args in zip(sides[0], commands)]
            for args, expected, connection in zip(commands, replies, sides[1]):
                got = connection.reply()
                if differences.same(args, expected, got) is None:
                    raise several.Different('%s\noracle: %s\nbox:    %s' % (wire.show_line(args), expected.text(300), got.text(300)))
        return '%d rounds' % options.count
    finally:
        for connection in sides[0] + sides[1]:
            connection.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('engine')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=400, help='rounds a family')
    options = parser.parse_args()
    ports = [against_engine.free_port() for _ in range(2)]
    with tempfile.TemporaryDirectory(prefix='sluice-interleaved-') as folder:
        oracle = against_engine.start(['redis-server', '--port', str(ports[0]), '--save', '', '--dir', folder], ports[0], subprocess.DEVNULL)
        os.environ['ENGINE_INTERLEAVED'] = '1'
        with open(os.path.join(folder, 'log'), 'w+', encoding='utf8', errors='replace') as log:
            try:
                box = against_engine.start([options.engine, str(ports[1]), 'workers 1'], ports[1], log)
                try:
                    good = [several.passes(number, 'commands at the same moment, ' + family, options.seed,
                                           functools.partial(one_run, options, family, *['127.0.0.1:%d' % port for port in ports]))
                            for number, family in enumerate(several.FAMILIES, 1)]
                finally:
                    good.append(against_engine.stop(box) == 0)
            finally:
                against_engine.stop(oracle)
            log.seek(0)
            for line in [] if good[-1] else log.read().splitlines()[-30:]:
                print('# ' + line)
    print('%s %d - the engine ends cleanly\n1..%d' % ('ok' if good[-1] else 'not ok', len(good), len(good)))
    return 0 if all(good) else 1


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
"""Client-side caching of a redis-server and of a box, each with several connections: clients track in random modes, read and
write random commands of every family, redirect to each other, and must be told the same. The box has to be one with
workers (engine_server has none)."""
import functools
import random
import sys

import grammar
import several
import wire
from several import Different

CHANNEL = b'__redis__:invalidate'
MARKS = [b'mark%d' % i for i in range(12)]  # of many slots: what a worker has sent comes before its reply for its mark
TRACKERS = (1, 2, 3)
LISTENER = 4  # in RESP2, subscribed
PREFIXES = [b'', b'k', b'key', b'a', b'x:', b'y:', b'{', b'l', b's', b'z', b'h']
# Not by a command alone: what other databases have, or what 7.2 does otherwise; a swapped database is flushed, as far as caches go.
LEFT_OUT = {b'SWAPDB', b'DEBUG', b'SELECT', b'PFDEBUG', b'MOVE', b'COPY', b'MIGRATE', b'CLIENT', b'RESET', b'HELLO', b'WAIT', b'QUIT', b'OBJECT'}
UNLIKE = {b'SPOP', b'RESTORE', b'HRANDFIELD', b'SRANDMEMBER', b'XAUTOCLAIM', b'XCLAIM', b'ZRANDMEMBER', b'RANDOMKEY'}


class Side:
    def __init__(self, address):
        self.clients = [wire.Connection(address) for _ in range(5)]
        self.clients[0].command('FLUSHALL')
        self.ids = [client.command('CLIENT', 'ID').tree[1] for client in self.clients]
        for i in TRACKERS:
            self.clients[i].command('HELLO', '3')
        listener = self.clients[LISTENER]
        listener.send([b'SUBSCRIBE', CHANNEL] + MARKS)
        for _ in range(1 + len(MARKS)):
            listener.reply()

    def close(self):
        for client in self.clients:
            client.close()

    def args(self, args):
        """Numbers of clients stand for their ids."""
        return [b'%d' % self.ids[arg] if isinstance(arg, int) else arg for arg in args]

    def said(self, tree, names_clients=True):
        """What a client was told, with its number in place of a client's id."""
        kind, value = tree
        if isinstance(value, list):
            return [self.said(item, names_clients) for item in value]
        if names_clients and kind == ':' and value in self.ids:
            return b'client %d' % self.ids.index(value)
        return kind if kind == '_' or value is None else value


def settle(side):
    """What each client has been told since the last time, and the replies to its commands in between."""
    got = {i: [] for i in TRACKERS + (LISTENER,)}
    for _ in range(2):  # an invalidation that is redirected makes two hops
        for i in TRACKERS:
            for mark in MARKS:
                side.clients[i].send([b'PERSIST', mark])
            left = len(MARKS)
            while left:
                tree = side.clients[i].reply().tree
                if tree == (':', 0):
                    left -= 1
                else:
                    got[i].append(side.said(tree))
    for mark in MARKS:
        side.clients[0].command('PUBLISH', mark, '')
    left = len(MARKS)
    while left:
        text = side.said(side.clients[LISTENER].reply().tree)
        if text[1] in MARKS:
            left -= 1
        else:
            got[LISTENER].append(text)
    return got


def keys_told(texts):
    """With several workers the order of keys is another one, and BCAST mode may tell of them apart, or twice."""
    found = set()
    for text in texts:
        rest = text[-1] if isinstance(text, list) else text
        for key in rest if isinstance(rest, list) else [rest]:
            found.add(repr((text[0] if isinstance(text, list) else '', key)))
    return sorted(found)


def mode(choose):
    """Options of CLIENT TRACKING."""
    args = [choose.choice([b'ON', b'ON', b'ON', b'on', b'OFF'])]
    if choose.random() < .4:
        args += [b'REDIRECT', choose.choice([1, 2, LISTENER, LISTENER, b'0', b'123456', b'x'])]
    if choose.random() < .4:
        args += [b'BCAST']
    for _ in range(choose.choice([0, 0, 1, 2]) if b'BCAST' in args or choose.random() < .1 else 0):
        args += [b'PREFIX', choose.choice(PREFIXES)]
    for word, chance in ((b'NOLOOP', .3), (b'OPTIN', .25), (b'OPTOUT', .25), (b'PREFIX', .03), (b'nonsense', .02)):
        if choose.random() < chance:
            args.append(word)
    return args


def step(choose, stream):
    """Requests of one client that are sent together."""
    chance = choose.random()
    if chance < .12:
        first = [[b'CLIENT', b'TRACKING', b'OFF']] if choose.random() < .6 else []
        return first + [[b'CLIENT', b'TRACKING'] + mode(choose)]
    if chance < .18:
        return [[b'CLIENT', choose.choice([b'TRACKINGINFO', b'GETREDIR'])]]
    if chance < .2:
        return [choose.choice([[b'FLUSHALL'], [b'FLUSHDB'], [b'FLUSHALL', b'ASYNC']])]
    commands = []
    while not commands:
        commands = [args for args in stream.commands() if args[0].upper() not in LEFT_OUT]
    if chance < .35:
        return [[b'CLIENT', b'CACHING', choose.choice([b'YES', b'NO', b'x'])]] + commands
    if chance < .45:
        return [[b'MULTI']] + commands + [[b'EXEC']]
    return commands


def replies_of(side, i, requests):
    """Replies to requests, and what came between them."""
    found, told = [], []
    while len(found) < len(requests):
        tree = side.clients[i].reply().tree
        if tree[0] == '>':
            told.append(side.said(tree))
        else:
            found.append(side.said(tree, requests[len(found)][0].upper() == b'CLIENT'))
    return found, told


def tracking(options, family, history):
    choose = random.Random('tracking %s %d' % (family, options.seed))
    stream = grammar.Grammar('tracking %s %d' % (family, options.seed), [family])
    sides = [Side(address) for address in (options.oracle, options.box)]
    told_all = 0
    try:
        for number in range(options.count):
            i = choose.choice(TRACKERS)
            requests = step(choose, stream)
            history += [(i, [b'%d' % arg if isinstance(arg, int) else arg for arg in args]) for args in requests]
            between = []
            replies = []
            for side in sides:
                side.clients[i].send_raw(b''.join(wire.request(side.args(args)) for args in requests))
                found, told = replies_of(side, i, requests)
                replies.append(found)
                between.append(told)
            got = [settle(side) for side in sides]
            for told, more in zip(between, got):
                more[i] = told + more[i]
            told_all += sum(len(texts) for texts in got[0].values())
            same = all(keys_told(got[0][c]) == keys_told(got[1][c]) if options.loose else got[0][c] == got[1][c] for c in got[0])
            names = {args[0].upper() for args in requests}
            if names == {b'CLIENT'} and replies[0] != replies[1]:
                raise Different('oracle: %r\nbox:    %r' % tuple(replies))
            if not same and (names & UNLIKE or [r for r in replies[0] if r != b'OK'] != [r for r in replies[1] if r != b'OK']):
                same = True  # the servers have other data, or are of another version: begin anew
                anew(sides)
            if not same:
                raise Different('\n'.join('client %d, oracle: %r\nclient %d, box:    %r' % (c, got[0][c], c, got[1][c])
                                          for c in got[0] if got[0][c] != got[1][c]))
            if names & UNLIKE or replies[0] != replies[1]:
                anew(sides)
        return '%d messages' % told_all
    finally:
        for side in sides:
            side.close()


def anew(sides):
    for side in sides:
        for i in TRACKERS:
            side.clients[i].send([b'CLIENT', b'TRACKING', b'OFF'])
            replies_of(side, i, [[b'CLIENT']])
        side.clients[0].command('FLUSHALL')
        settle(side)


def main():
    parser = several.parser(__doc__, 300, 'steps a family', several.FAMILIES)
    parser.add_argument('--loose', action='store_true', help='the box has several workers: only what concerns one key has an order')
    options = parser.parse_args()
    runs = [('tracking with %s' % family, functools.partial(tracking, options, family))
            for family in (several.FAMILIES if options.family == 'all' else [options.family])]
    return several.run_all(runs, options.seed)


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
"""Pub/Sub of a redis-server and of a box, each with several connections: random subscriptions and messages, every reply and
every message compared; and keyspace notifications: of each random command of every family (grammar.py) both must tell the
same. The box has to be one with workers (engine_server has none)."""
import functools
import random
import sys

import grammar
import several
import wire
from several import Different

NAMES = [b'a', b'b', b'ab', b'abc', b'', b'x y', b'\x00\xff', b'{t}1']
PATTERNS = [b'*', b'a*', b'[ab]', b'?', b'nothing', b'\\a', b'a?c']
JOIN = [b'SUBSCRIBE', b'PSUBSCRIBE', b'SSUBSCRIBE']
LEAVE = [b'UNSUBSCRIBE', b'PUNSUBSCRIBE', b'SUNSUBSCRIBE']
MARK = b'__keyspace@0__:mark'
MARKS = [b'__keyspace@0__:mark%d' % i for i in range(12)]
# Changes a form without telling; ours tells.
SILENT = {b'PFDEBUG'}


def texts(tree):
    """A reply without the difference between RESP2 and RESP3, lists of names sorted."""
    kind, value = tree
    return [texts(item) for item in value] if isinstance(value, list) else value


class Side:
    def __init__(self, address, proto, clients):
        self.clients = [wire.Connection(address) for _ in range(clients)]
        self.clients[0].command('FLUSHALL')
        for client in self.clients if proto == 3 else []:
            client.command('HELLO', '3')

    def close(self):
        for client in self.clients:
            client.close()


def sync(side, number):
    """What has come to each listening client until a message that all get."""
    got = [[] for _ in side.clients[1:]]
    for client, mine in zip(side.clients[1:], got):
        client.send([b'PSUBSCRIBE', MARK])
        while True:
            tree = texts(client.reply().tree)
            if tree[:2] == [b'psubscribe', MARK]:
                break
            mine.append(tree)
    side.clients[0].command('PUBLISH', MARK, b'%d' % number)
    for client, mine in zip(side.clients[1:], got):
        while True:
            reply = client.reply()
            tree = texts(reply.tree)
            if isinstance(tree, list) and tree[0] == b'pmessage' and tree[1] == MARK:
                break
            if not (isinstance(tree, list) and len(tree) == 4 and tree[2] == MARK) and not (
                    isinstance(tree, list) and len(tree) == 3 and tree[1] == MARK):
                mine.append(tree)
        client.send([b'PUNSUBSCRIBE', MARK])
        while True:
            tree = texts(client.reply().tree)
            if isinstance(tree, list) and tree[0] == b'punsubscribe' and tree[1] == MARK:
                break
    return got


def told(side, number):
    """Events since the last mark; client 1 hears all. Marks of many slots: each comes behind what its slot's worker had to tell."""
    for home in MARKS + [MARK]:
        side.clients[2].command('PUBLISH', home, b'%d' % number)
    found = []
    while True:
        tree = texts(side.clients[1].reply().tree)
        if tree[2] == MARK:
            return found
        if tree[2] not in MARKS:
            found.append((tree[2], tree[3]))


def by_channel(events):
    """Events of one key in their order, those of one name in any: with several workers there is no other."""
    found = {}
    for channel, text in events:
        found.setdefault(channel, []).append(text)
    return {channel: sorted(texts) if channel.startswith(b'__keyevent') else texts for channel, texts in found.items()}


def notifications(options, family, proto, history):
    stream = grammar.Grammar('events %s %d %d' % (family, options.seed, proto), [family])
    sides = [Side(address, proto, 3) for address in (options.oracle, options.box)]
    count = 0
    try:
        for side in sides:
            side.clients[0].command('CONFIG', 'SET', 'notify-keyspace-events', 'KEAn' if family == 'sort' else 'KEAnm')
            side.clients[1].command('PSUBSCRIBE', '__key*')
            side.clients[0].command('RPUSH', grammar.OTHER_TYPE_KEY, 'x')
        for side in sides:
            told(side, 0)
        for number in range(options.count):
            args = stream.command()
            if args[0].upper() in SILENT:
                continue
            history.append((0, args))
            replies = [side.clients[0].command(*args) for side in sides]
            events = [told(side, number) for side in sides]
            count += len(events[0])
            if replies[0].raw[:1] == b'-' or replies[1].raw[:1] == b'-':
                if (replies[0].raw[:1] == b'-') != (replies[1].raw[:1] == b'-'):
                    for side in sides:  # of another version: begin anew
                        side.clients[0].command('FLUSHALL')
                        told(side, 0)
                    continue
            if args[0].upper() in (b'SPOP', b'RESTORE', b'HRANDFIELD', b'SRANDMEMBER') and replies[0].raw != replies[1].raw:
                for side in sides:
                    side.clients[0].command('FLUSHALL')
                    told(side, 0)
                continue
            if args[0].upper() in (b'XCLAIM', b'XAUTOCLAIM') and not events[0]:
                continue  # 7.2 makes the consumer also when there is nothing to claim
            same = by_channel(events[0]) == by_channel(events[1]) if options.loose else events[0] == events[1]
            if not same:
                raise Different('oracle: %r\nbox:    %r' % tuple(events))
        return '%d events' % count
    finally:
        for side in sides:
            side.close()


def messages(options, proto, history):
    """Client 0 publishes and asks, the others listen."""
    choose = random.Random('pubsub %d %d' % (options.seed, proto))
    sides = [Side(address, proto, 4) for address in (options.oracle, options.box)]
    try:
        for number in range(options.count):
            chance, i = choose.random(), 0
            if chance < .35:
                i, kind = choose.randrange(1, 4), choose.randrange(3)
                args = [JOIN[kind]] + choose.choices(PATTERNS if kind == 1 else NAMES, k=choose.choice([1, 1, 2, 3]))
            elif chance < .55:
                i, kind = choose.randrange(1, 4), choose.randrange(3)
                args = [LEAVE[kind]] + choose.choices(PATTERNS if kind == 1 else NAMES, k=choose.choice([1, 1, 2]))
            elif chance < .9:
                args = [choose.choice([b'PUBLISH', b'SPUBLISH']), choose.choice(NAMES), b'%d' % number * choose.choice([0, 1, 1, 50, 3000])]
            else:
                args = choose.choice([[b'PUBSUB', b'NUMSUB'] + NAMES, [b'PUBSUB', b'NUMPAT'], [b'PUBSUB', b'CHANNELS'],
                                      [b'PUBSUB', b'SHARDCHANNELS', b'a*'], [b'PUBSUB', b'SHARDNUMSUB'] + NAMES, [b'PUBSUB', b'CHANNELS', b'[ab]*'],
                                      [b'PUBSUB', b'NUMSUB'], [b'PUBSUB', b'NUMPAT', b'x'], [b'PUBSUB', b'CHANNELS', b'a', b'b'], [b'PUBSUB', b'NOSUCH']])
            history.append((i, args))
            if i:
                for side in sides:
                    side.clients[i].send(args)
            else:
                replies = [texts(side.clients[0].command(*args).tree) for side in sides]
                if args[0] == b'PUBSUB':
                    replies = [sorted(r) if args[1].endswith(b'CHANNELS') and isinstance(r, list) else r for r in replies]
                if replies[0] != replies[1]:
                    raise Different('oracle: %r\nbox:    %r' % tuple(replies))
            if i or args[0] != b'PUBSUB':
                got = [sync(side, number) for side in sides]
                # Which of several patterns comes first is not said anywhere; with several workers, neither is it of clients.
                if [[sorted(map(repr, mine)) for mine in g] for g in got[:1]] != [[sorted(map(repr, mine)) for mine in g] for g in got[1:]]:
                    raise Different('oracle: %r\nbox:    %r' % tuple(got))
        return '%d steps' % options.count
    finally:
        for side in sides:
            side.close()


def main():
    parser = several.parser(__doc__, 300, 'commands a family', ['messages'] + several.FAMILIES)
    parser.add_argument('--loose', action='store_true', help='the box has several workers: only what concerns one key has an order')
    options = parser.parse_args()
    runs = []
    for family in ['messages'] + several.FAMILIES if options.family == 'all' else [options.family]:
        for proto in (2, 3):
            if family == 'messages':
                runs.append(('messages, RESP%d' % proto, functools.partial(messages, options, proto)))
            else:
                runs.append(('notifications of %s, RESP%d' % (family, proto), functools.partial(notifications, options, family, proto)))
    return several.run_all(runs, options.seed)


if __name__ == '__main__':
    sys.exit(main())

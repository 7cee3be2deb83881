#!/usr/bin/python3
"""Pub/Sub of a redis-server and of a box, each with several connections: random subscriptions and messages, every reply and
every message compared; and keyspace notifications: of each random command of every family (grammar.py) both must tell the
same. The box has to be one with workers (engine_server has none)."""
import argparse
import random
import sys

import grammar
import wire

FAMILIES = ['strings', 'bits', 'generic', 'hashes', 'sets', 'lists', 'zsets', 'geo', 'sort', 'streams', 'hll']
NAMES = [b'a', b'b', b'ab', b'abc', b'', b'x y', b'\x00\xff', b'{t}1']
PATTERNS = [b'*', b'a*', b'[ab]', b'?', b'nothing', b'\\a', b'a?c']
JOIN = [b'SUBSCRIBE', b'PSUBSCRIBE', b'SSUBSCRIBE']
LEAVE = [b'UNSUBSCRIBE', b'PUNSUBSCRIBE', b'SUNSUBSCRIBE']
MARK = b'__keyspace@0__:mark'
OUR_OWN = {b'hexpired'}
# Not told by the oracle although it is a change, or told although it is none; each as 7.2 or the documentation has it.
SILENT = {b'PFDEBUG'}


class Different(Exception):
    pass


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
    got = []
    for client in side.clients[1:]:
        client.send([b'PSUBSCRIBE', MARK])
    side.clients[0].send([b'PUBLISH', MARK, b'%d' % number])
    for client in side.clients[1:]:
        mine = []
        while True:
            reply = client.reply()
            tree = texts(reply.tree)
            if isinstance(tree, list) and tree[0] == b'pmessage' and tree[1] == MARK:
                break
            if isinstance(tree, list) and tree[0] == b'psubscribe' and tree[1] == MARK:
                continue
            if not (isinstance(tree, list) and len(tree) == 4 and tree[2] == MARK) and not (
                    isinstance(tree, list) and len(tree) == 3 and tree[1] == MARK):
                mine.append(tree)
        client.send([b'PUNSUBSCRIBE', MARK])
        while True:
            tree = texts(client.reply().tree)
            if isinstance(tree, list) and tree[0] == b'punsubscribe' and tree[1] == MARK:
                break
        got.append(mine)
    return got


def told(side, number):
    """Events since the last mark; client 1 hears all."""
    side.clients[2].command('PUBLISH', MARK, b'%d' % number)
    found = []
    while True:
        tree = texts(side.clients[1].reply().tree)
        if tree[2] == MARK:
            return found
        found.append((tree[2], tree[3]))


def by_channel(events):
    """Events of one key, or of one name, in their order; with several workers there is no other."""
    found = {}
    for channel, text in events:
        found.setdefault(channel, []).append(text)
    return found


def notifications(options, family, proto):
    stream = grammar.Grammar('events %s %d %d' % (family, options.seed, proto), [family])
    sides = [Side(address, proto, 3) for address in (options.oracle, options.box)]
    history, count = [], 0
    try:
        for side in sides:
            side.clients[0].command('CONFIG', 'SET', 'notify-keyspace-events', 'KEA' + ('nm' if options.seed % 2 else 'n'))
            side.clients[1].command('PSUBSCRIBE', '__key*')
            side.clients[0].command('RPUSH', grammar.OTHER_TYPE_KEY, 'x')
        for side in sides:
            told(side, 0)
        for number in range(options.count):
            args = stream.command()
            if args[0].upper() in SILENT:
                continue
            history.append(args)
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
            same = by_channel(events[0]) == by_channel(events[1]) if options.loose else events[0] == events[1]
            if not same:
                raise Different('oracle: %r\nbox:    %r' % tuple(events))
        return 'notifications of %s, RESP%d' % (family, proto), None, '%d events' % count
    except (Different, wire.Broken, OSError) as error:
        return 'notifications of %s, RESP%d' % (family, proto), ['%s' % wire.show_line(a) for a in history[-8:]] + str(error).split('\n'), ''
    finally:
        for side in sides:
            side.close()


def messages(options, proto):
    """Client 0 publishes and asks, the others listen."""
    choose = random.Random('pubsub %d %d' % (options.seed, proto))
    sides = [Side(address, proto, 4) for address in (options.oracle, options.box)]
    history = []
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
        return 'messages, RESP%d' % proto, None, '%d steps' % options.count
    except (Different, wire.Broken, OSError) as error:
        return 'messages, RESP%d' % proto, ['%d: %s' % (i, wire.show_line(a)) for i, a in history[-12:]] + str(error).split('\n'), ''
    finally:
        for side in sides:
            side.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--oracle', required=True, metavar='HOST:PORT')
    parser.add_argument('--box', required=True, metavar='HOST:PORT')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=300, help='commands a family')
    parser.add_argument('--family', choices=FAMILIES + ['messages', 'all'], default='all')
    parser.add_argument('--loose', action='store_true', help='the box has several workers: only what concerns one key has an order')
    options = parser.parse_args()
    wanted = ['messages'] + FAMILIES if options.family == 'all' else [options.family]
    good = number = 0
    for family in wanted:
        for proto in (2, 3):
            number += 1
            name, wrong, note = messages(options, proto) if family == 'messages' else notifications(options, family, proto)
            good += not wrong
            print('%s %d - %s%s' % ('not ok' if wrong else 'ok', number, name, ': ' + note if note else ', seed %d' % options.seed))
            for line in wrong or []:
                print('# ' + line[:1500])
            sys.stdout.flush()
    print('1..%d' % number)
    return 0 if good == number else 1


if __name__ == '__main__':
    sys.exit(main())

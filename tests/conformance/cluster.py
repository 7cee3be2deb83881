#!/usr/bin/python3
"""cluster.py ENGINE_SERVER [--seed N] [--count N]: a node of the box' cluster view beside a node of a Redis Cluster: CLUSTER's texts, MOVED and
CROSSSLOT, what a cluster does not have, scripts, and random commands and transactions of every family. With one node, and with two, of which the
first is asked. Starts the servers on free ports. Random, seeded. Prints TAP."""
import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
import time

import against_engine
import differences
import grammar
import several
import wire

BUS = 10000  # the port of the bus is that much higher
TEXTS = ['INFO', 'NODES', 'SLOTS', 'SHARDS', 'MYID', 'LINKS', 'SAVECONFIG', 'KEYSLOT a', 'KEYSLOT {a}b', 'KEYSLOT {}a', 'KEYSLOT', 'NOSUCH', '',
         'COUNTKEYSINSLOT 15495', 'COUNTKEYSINSLOT 3300', 'COUNTKEYSINSLOT 16384', 'COUNTKEYSINSLOT -1', 'COUNTKEYSINSLOT x', 'GETKEYSINSLOT 3300 10',
         'GETKEYSINSLOT 3300 0', 'GETKEYSINSLOT 15495 5', 'GETKEYSINSLOT 3300 -1', 'GETKEYSINSLOT 16384 1', 'GETKEYSINSLOT x 1', 'GETKEYSINSLOT 1 x',
         'REPLICAS nobody', 'SLAVES nobody', 'COUNT-FAILURE-REPORTS nobody', 'REPLICAS me', 'SLAVES me', 'COUNT-FAILURE-REPORTS me']
# b has slot 3300 and is the first of two nodes' (as {b}x, foo is not), a has 15495.
LINES = ['READONLY', 'READWRITE', 'ASKING', 'READONLY x', 'SELECT 0', 'SELECT 1', 'SELECT x', 'SELECT 99', 'SWAPDB 0 1', 'SWAPDB x y',
         'MOVE b 1', 'MOVE b x', 'COPY b {b}c DB 0', 'COPY b {b}c DB 1', 'COPY b {b}c DB 99', 'SORT b BY w_*', 'SORT b BY nosort', 'SORT b GET #',
         'SORT b GET w_* BY w_*', 'SORT b STORE a', 'MGET b a', 'MGET b {b}c', 'MSET b 1 {b}c 2', 'GET a', 'GET b', 'INFO cluster', 'DEL a b', 'GET',
         'EVAL return\\x201 0', 'WATCH a b', 'WATCH b {b}c', 'UNWATCH', 'KEYS *', 'DBSIZE', 'RANDOMKEY', 'SCAN 0', 'HELLO 3', 'HELLO 2', 'RESET',
         'SSUBSCRIBE', 'SPUBLISH b x', 'SPUBLISH a x', 'SUNSUBSCRIBE a b', 'PUBLISH a x', 'RENAME a b', 'RENAME b {b}c', 'SINTERSTORE b a {a}b',
         'XREAD STREAMS a b 0 0', 'XREAD STREAMS b 0', 'XREAD STREAMS b', 'BLPOP a b 1', 'BLPOP {b}q .01', 'EVAL x 2 a', 'ZUNIONSTORE b 2 a {a}b', 'FLUSHALL', 'DBSIZE',
         'MIGRATE 127.0.0.1 1 "" 0 10 KEYS a b', 'PFMERGE b a', 'LCS a b', 'OBJECT ENCODING a', 'OBJECT ENCODING b', 'MEMORY USAGE a']
SCRIPTS = ['#!lua\nreturn redis.call("set", KEYS[1], "v")', '#!lua flags=no-cluster\nreturn 1', '#!lua flags=allow-cross-slot-keys\nreturn 1']
CALLS = ['return redis.call("get", "b")', 'return redis.call("get", "a")', 'redis.call("set", "b", 1); return redis.call("get", "{c}1")',
         'return redis.call("mget", "b", "{b}c")', 'return redis.call("mget", "b", "{c}1")', 'return redis.call("dbsize")', 'return redis.call("select", 1)',
         'return redis.pcall("get", "a")', 'return redis.call("swapdb", 0, 1)', 'return redis.call("mget", "b", "a")']
SHEBANGS = ['', '#!lua\n', '#!lua flags=allow-cross-slot-keys\n', '#!lua flags=no-cluster\n', '#!lua flags=no-writes\n']
IDS = re.compile(rb'[0-9a-f]{40}')


class Servers:
    """An oracle of so many nodes and the engine with as many shards; the first node of each is asked."""

    def __init__(self, engine, nodes, folder):
        self.processes, self.ports = [], []
        self.nodes = nodes
        try:
            for node in range(nodes):
                home = os.path.join(folder, '%d-%d' % (nodes, node))
                os.mkdir(home)
                while True:
                    port = against_engine.free_port()
                    if port + BUS < 65536:
                        break
                self.ports.append(port)
                self.start(['redis-server', '--bind', '127.0.0.1', '--port', str(port), '--cluster-enabled', 'yes', '--save', '', '--dir', home,
                            '--cluster-announce-ip', '127.0.0.1', '--enable-debug-command', 'yes'], port)
                first, last = round(node * 16384 / nodes), round((node + 1) * 16384 / nodes) - 1
                self.ask(node, 'CLUSTER', 'ADDSLOTSRANGE', str(first), str(last))
                self.ask(node, 'CLUSTER', 'SET-CONFIG-EPOCH', str(node + 1))
            for node in range(1, nodes):
                self.ask(0, 'CLUSTER', 'MEET', '127.0.0.1', str(self.ports[node]))
            self.until(lambda: self.ask(0, 'CLUSTER', 'INFO').raw.find(b'cluster_state:ok') > 0)
            self.box_port = against_engine.free_port()
            self.start([engine, str(self.box_port), 'workers %d' % nodes, 'cluster-view workers', 'enable-debug-command yes'], self.box_port)
        except BaseException:
            self.stop()
            raise

    def start(self, command, port):
        self.processes.append(against_engine.start(command, port, subprocess.DEVNULL))

    def ask(self, node, *args):
        connection = wire.Connection('127.0.0.1:%d' % self.ports[node])
        try:
            return connection.command(*args)
        finally:
            connection.close()

    @staticmethod
    def until(done):
        end = time.monotonic() + 30
        while not done():
            if time.monotonic() > end:
                raise SystemExit('the nodes of the oracle do not meet')
            time.sleep(.05)

    def connect(self):
        return [wire.Connection('127.0.0.1:%d' % port) for port in (self.ports[0], self.box_port)]

    def stop(self):
        """True if the engine ended cleanly."""
        return [against_engine.stop(process) for process in self.processes][-1:] == [0]


class Pair:
    """A connection to each; the replies are compared without what names a node."""

    def __init__(self, servers, history):
        self.servers, self.history = servers, history
        self.sides = servers.connect()
        self.me = [side.command('CLUSTER', 'MYID').tree[1] for side in self.sides]

    def close(self):
        for side in self.sides:
            side.close()

    def plain(self, tree):
        """A reply's tree without IDs, addresses, times and counts of messages."""
        kind, value = tree
        if isinstance(value, list):
            if len(value) == 4 and value[0][1] in (b'127.0.0.1', b'127.0.77.2'):  # a node of CLUSTER SLOTS
                value = [('$', b'host'), (':', b'port')] + value[2:]
            fields = [self.plain(item) for item in value]
            for at, field in enumerate(fields[:-1]):
                if field[1] == b'port':
                    fields[at + 1] = (':', b'port')
            return kind, sorted(fields, key=repr) if self.sorted(value) else fields
        if isinstance(value, bytes):
            value = IDS.sub(b'ID', value)
            value = re.sub(rb'^127\.0\.(0\.1|77\.2)$', b'host', value)
            value = re.sub(rb'127\.0\.(0\.1|77\.2):\d+(@\d+)?', rb'host:port', value)
            value = re.sub(rb'master - \d+ \d+ ', b'master - ping pong ', value)
            value = re.sub(rb'cluster_stats_messages_\w+:\d+\r\n', b'', value)
            if b'master - ' in value:
                value = b'\n'.join(sorted(value[value.startswith(b'txt:') and 4:].split(b'\n')))
        return kind, value

    @staticmethod
    def sorted(value):
        """Shards come in no order."""
        return all(isinstance(item[1], list) and item[1] and item[1][0][1] == b'slots' for item in value)

    def both(self, *args):
        args = [arg.encode() if isinstance(arg, str) else arg for arg in args]
        self.history.append(('all', args))
        replies = []
        for side, me in zip(self.sides, self.me):
            replies.append(side.command(*[me if arg == b'me' else arg for arg in args]))
        if differences.same(args, *replies) is None and self.plain(replies[0].tree) != self.plain(replies[1].tree):
            raise several.Different('oracle: %s\nbox:    %s' % tuple(reply.text(1500) for reply in replies))
        return replies[0]


def texts(servers, history):
    for proto in ('2', '3'):
        pair = Pair(servers, history)
        pair.both('HELLO', proto)
        pair.both('CLUSTER', 'HELP')
        pair.both('FLUSHALL')
        for name in ('b', '{b}1', '{b}2'):
            pair.both('SET', name, 'x')
        for line in TEXTS:
            pair.both('CLUSTER', *line.split())
        for line in LINES:
            pair.both(*[word.encode().decode('unicode_escape').strip('"') for word in line.split()])
        pair.close()
    return 'equal'


def scripts(servers, history):
    pair = Pair(servers, history)
    for text in SCRIPTS:
        for keys in (['0'], ['1', 'b'], ['1', 'a'], ['2', 'a', 'b'], ['2', 'b', '{b}c']):
            pair.both('EVAL', text, *keys)
    for shebang in SHEBANGS:
        for call in CALLS:
            for keys in (['0'], ['1', 'b']):
                if 'dbsize' not in call:
                    pair.both('EVAL', shebang + call, *keys)
    pair.close()
    return 'equal'


def transactions(servers, history):
    pair = Pair(servers, history)
    for queued in (['SET b 1', 'SET {b}c 2', 'MGET b {b}c'], ['SET b 1', 'SET {c}d 2'], ['GET a', 'GET b'], ['MGET a b'], ['PING', 'DBSIZE'],
                   ['SELECT 1', 'GET b'], ['SPUBLISH b x', 'GET b'], ['SPUBLISH b x', 'GET {c}d'], ['FLUSHALL', 'KEYS *']):
        pair.both('MULTI')
        for line in queued:
            pair.both(*line.split())
        pair.both('EXEC')
        pair.both('EXEC')
    pair.close()
    return 'equal'


def family(name, options, servers, history):
    """Random commands whose keys mostly have one slot."""
    choose = random.Random('%s %d' % (name, options.seed))
    make = grammar.Grammar('%s %d' % (name, options.seed), [name])
    pair = Pair(servers, history)
    pair.both('FLUSHALL')
    redirected = 0
    for _ in range(options.count):
        args = make.command()
        if args[0].upper() in (b'SCAN', b'RANDOMKEY', b'PFDEBUG', b'INFO', b'OBJECT'):
            continue
        if choose.random() < .7:
            args = [b'{b}' + arg if at and arg in grammar.KEYS else arg for at, arg in enumerate(args)]
        reply = pair.both(*args)
        redirected += reply.raw.startswith((b'-MOVED', b'-CROSSSLOT'))
    pair.close()
    if not redirected and options.count >= 300:
        raise several.Different('no command has met another slot')
    return '%d commands, %d redirected or refused' % (options.count, redirected)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n', maxsplit=1)[0])
    parser.add_argument('engine')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--count', type=int, default=300, help='commands a family')
    options = parser.parse_args()
    good, number = True, 0
    with tempfile.TemporaryDirectory(prefix='sluice-cluster-') as folder:
        for nodes in (1, 2):
            servers = Servers(options.engine, nodes, folder)
            try:
                runs = [('texts', texts), ('scripts', scripts), ('transactions', transactions)]
                runs += [(name, lambda s, h, name=name: family(name, options, s, h)) for name in several.FAMILIES]
                for name, body in runs:
                    number += 1
                    good &= several.passes(number, 'cluster view, %d nodes, %s' % (nodes, name), options.seed,
                                           lambda history, body=body, servers=servers: body(servers, history))
            finally:
                clean = servers.stop()
            number += 1
            good &= clean
            print('%s %d - engine with %d shards ends cleanly' % ('ok' if clean else 'not ok', number, nodes))
    print('1..%d' % number)
    return 0 if good else 1


if __name__ == '__main__':
    sys.exit(main())

#!/usr/bin/python3
"""What clients of a redis-server and of a box see while a script takes long, alone and inside EXEC: who is told BUSY, what is allowed,
how it is ended, and how the rest of EXEC goes on. Byte for byte. Prints TAP."""
import re
import select
import sys
import time

import several
import wire
from several import Different

PATIENCE = 120  # seconds, for whatever has to come
ENDLESS = 'while true do end'
SOME_TIME = "local x=0 for i=1,%d do x=x+i end " % 10**8  # it writes, waits to be looked at, and ends by itself
LIBRARY = "#!lua name=lib\nredis.register_function('endless',function(keys,args) while true do end end)"
# Each with arguments that are right, or that are refused by the command itself.
ASKED = ['PING', 'ECHO x', 'GET k', 'SET k v', 'WATCH k other', 'UNWATCH', 'MULTI', 'GET k', 'DISCARD', 'EXEC', 'SELECT 1', 'SELECT 0', 'INFO server',
         'CLIENT ID', 'CLIENT LIST', 'CLIENT PAUSE 1', 'CONFIG GET port', 'DBSIZE', 'KEYS *', 'FLUSHALL', 'SUBSCRIBE', 'PUBLISH c m', 'EVAL "return 1" 0',
         'SCRIPT EXISTS x', 'SCRIPT LOAD "return 2"', 'FUNCTION LIST', 'FUNCTION STATS', 'HELLO 2', 'AUTH x', 'COMMAND COUNT', 'OBJECT HELP', 'NOSUCH', 'GET',
         'DEBUG SLEEP', 'LATENCY HISTORY x', 'SLOWLOG LEN', 'MGET k other', 'BLPOP l 1', 'XREAD STREAMS s 0', 'ACL WHOAMI', 'SCRIPT HELP', 'RESET']


def until(what, is_so):
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end:
            raise Different('never: ' + what)
        time.sleep(0.01)


class Side:
    """A server with four clients, and what they have been told."""

    def __init__(self, address):
        self.address = address
        self.clients = [wire.Connection(address, PATIENCE) for _ in range(4)]
        self.said = []
        for line in ('CONFIG SET busy-reply-threshold 60', 'FLUSHALL', 'SCRIPT FLUSH', 'FUNCTION FLUSH'):
            self.clients[0].command(*line.split())
        self.clients[0].command('FUNCTION', 'LOAD', LIBRARY)

    def close(self):
        self.clients[-1].command('CONFIG', 'SET', 'busy-reply-threshold', '5000')
        for client in self.clients:
            client.close()

    def send(self, who, *lines):
        for line in lines:
            self.clients[who].send([word.encode() if isinstance(word, str) else word for word in (wire.split_line(line) if isinstance(line, str) else line)])

    def hear(self, who, count=1):
        for _ in range(count):
            self.note('client %d' % who, self.clients[who].reply().raw)

    def note(self, who, raw):
        for name, value in ((rb"id\r\n", rb":\d+"), (rb"version\r\n", rb"\$\d\r\n[0-9.]+")):  # of HELLO
            raw = re.sub(name + value, name + b"-", raw)
        self.said.append('%s: %s' % (who, raw))

    def ask(self, who, *lines):
        for line in lines:
            self.send(who, line)
            self.hear(who)

    def becomes_busy(self):
        until('BUSY', lambda: self.clients[3].command('PING').raw.startswith(b'-BUSY'))

    def kill_all(self, kill):
        """Ends script after script until client 0 has been told something."""
        self.ask(3, kill)
        until('the end', lambda: select.select([self.clients[0].socket], [], [], 0.01)[0] or not self.clients[3].command(*kill.split()))

    def queue(self, who, *commands):
        self.ask(who, 'MULTI', *commands)
        self.send(who, 'EXEC')


def endless(*commands, kill='SCRIPT KILL'):
    """An EXEC of these, in which each of the scripts is killed."""
    def play(side):
        side.queue(0, *commands)
        side.becomes_busy()
        side.kill_all(kill)
        side.hear(0)
        side.ask(1, 'MGET k n other')
    return play


def asked_meanwhile(side):
    side.queue(0, 'SET k v', ['EVAL', ENDLESS, '1', 'k'], 'INCR n')
    side.becomes_busy()
    side.ask(1, *ASKED)
    side.ask(2, 'FUNCTION KILL', 'SCRIPT KILL')
    side.hear(0)
    side.ask(2, 'MGET k n', 'SCRIPT KILL', 'FUNCTION KILL')


def asked_by_a_script_alone(side):
    side.send(0, ['EVAL', ENDLESS, '0'])
    side.becomes_busy()
    side.ask(1, *ASKED)
    side.ask(2, 'SCRIPT KILL')
    side.hear(0)


def asked_by_a_function(side):
    side.queue(0, 'FCALL endless 1 k a', 'INCR n')
    side.becomes_busy()
    side.ask(1, *[line for line in ASKED if line != 'FUNCTION STATS'])
    side.ask(1, 'SCRIPT KILL', 'FUNCTION KILL')
    side.hear(0)
    side.ask(1, 'GET n')


UNASKED = {b'script|kill', b'function|kill',  # they end what the others are asked in
           b'module|load', b'module|loadex', b'module|unload', b'psync', b'replconf', b'sync'}  # the box has them not
commands = []  # all names and sub-commands of the oracle, each with as many arguments as it wants


def learn(client):
    """Of COMMAND: name, arity, and what the sub-commands are, the tenth."""
    def take(rows):
        for _, row in rows[1]:
            (_, name), (_, arity), subs = row[0], row[1], row[9]
            take(subs)
            if name not in UNASKED and not subs[1]:
                words = abs(arity) - len(name.split(b'|'))
                commands.append(name.split(b'|') + [b'x'] * (max(words, 1) if name == b'shutdown' else words))
    take(client.command('COMMAND').tree)
    commands.sort()


def every_command(side):
    """Each on a connection of its own: BUSY, or what it says to arguments that are mostly wrong."""
    if not commands:
        learn(side.clients[3])
    side.send(0, ['EVAL', ENDLESS, '0'])
    side.becomes_busy()
    for command in commands:
        client = wire.Connection(side.address, PATIENCE)
        client.send(command)
        side.note(b' '.join(command).decode(), client.reply().raw)
        client.close()
    side.ask(2, 'SCRIPT KILL')
    side.hear(0)


def who_waits_is_told(side):
    side.send(2, 'BLPOP l 0')
    side.queue(0, 'RPUSH l a', ['EVAL', ENDLESS, '0'], 'LPOP l', 'RPUSH l b')
    side.send(1, 'GET k', 'INCR n')
    side.becomes_busy()
    side.ask(3, 'SCRIPT KILL')
    side.hear(0)
    side.hear(2)
    side.clients[1].reply()  # told, or served before the threshold: it was on its way
    side.clients[1].reply()
    side.ask(3, 'LLEN l')


def written(side):
    """Not to be killed: it ends by itself. Who watches meanwhile sees what it does afterwards."""
    side.queue(0, 'SET k v', ['EVAL', "redis.call('set','n',1) " + SOME_TIME + "redis.call('set','other',2) return 3", '0'], 'GET n')
    side.becomes_busy()
    side.ask(1, 'SCRIPT KILL', 'FUNCTION KILL', 'WATCH other')
    side.ask(2, 'WATCH k')
    side.hear(0)
    for who in (1, 2):
        side.ask(who, 'MULTI', 'MGET k n other', 'EXEC')


def goes_away(side):
    side.queue(0, 'SET k v', ['EVAL', ENDLESS, '0'], 'SET n w')
    side.becomes_busy()
    side.clients[0].close()
    side.ask(1, 'SCRIPT KILL')
    until('the end', lambda: side.clients[3].command('PING').raw == b'+PONG\r\n')
    side.ask(1, 'MGET k n')
    side.clients.pop(0)


def watched(side):
    side.ask(0, 'WATCH k')
    side.ask(1, 'SET k v')
    side.queue(0, ['EVAL', ENDLESS, '0'], 'SET n w')
    side.hear(0)
    side.ask(0, 'WATCH k')
    side.queue(0, ['EVAL', "return redis.call('get','k')", '0'], 'SET n w')
    side.hear(0)
    side.ask(1, 'GET n')


def compare(options, play, _):
    sides = []
    for address in (options.oracle, options.box):
        side = Side(address)
        sides.append(side)
        try:
            play(side)
        except wire.Broken as error:
            raise Different('%s: %s, after\n%s' % (address, error, '\n'.join(side.said[-5:]))) from error
        finally:
            side.clients[-1].command('SCRIPT', 'KILL')
            side.clients[-1].command('FUNCTION', 'KILL')
            side.close()
    unlike = ['oracle: %s\nbox:    %s' % pair for pair in zip(sides[0].said, sides[1].said) if pair[0] != pair[1]]
    if unlike or len(sides[0].said) != len(sides[1].said):
        raise Different('\n'.join(unlike))
    return '%d replies' % len(sides[0].said)


SCRIPT = ['EVAL', ENDLESS, '1', 'k']
PLAYS = [
    ('EXEC with a script that is killed', endless('SET k v', SCRIPT, 'INCR n')),
    ('three scripts in an EXEC', endless(SCRIPT, ['EVAL', ENDLESS, '0'], ['EVAL_RO', ENDLESS, '0'], 'SET k v')),
    ('a function in an EXEC', endless('SET k v', 'FCALL endless 0', 'FCALL_RO endless 0', 'FCALL endless 1 k', 'INCR n', kill='FUNCTION KILL')),
    ('EVALSHA in another database', endless('SELECT 3', ['EVALSHA', '694a5fe1ddb97a4c6a1bf299d9537c7d3d0f84e7', '0'], ['EVAL', ENDLESS, '0'], 'SET k v', 'SELECT 0')),
    ('an error before and behind', endless('SET k v', 'LPUSH k a', SCRIPT, 'INCR k', 'GET k')),
    ('what is asked during an EXEC', asked_meanwhile),
    ('what is asked during a script', asked_by_a_script_alone),
    ('every command of COMMAND during a script', every_command),
    ('what is asked during a function in an EXEC', asked_by_a_function),
    ('who waits', who_waits_is_told),
    ('a script in an EXEC that has written', written),
    ('a client that goes away', goes_away),
    ('WATCH before EXEC', watched),
]


def main():
    options = several.parser(__doc__, 1, '').parse_args()
    return several.run_all([(name, lambda history, play=play: compare(options, play, history)) for name, play in PLAYS], options.seed)


if __name__ == '__main__':
    sys.exit(main())

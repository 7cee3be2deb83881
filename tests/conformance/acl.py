#!/usr/bin/python3
"""ACL of a redis-server and of a box: random rules for random users, then what these may do: every verdict on random commands
of every family (ACL DRYRUN), and commands of connections that have logged in, in MULTI and in scripts, with users that change
and go meanwhile. Errors, ACL GETUSER and ACL LOG are compared as well; texts as 7.2 has them."""
import functools
import random
import re
import sys

import differences
import grammar
import several
import wire
from several import Different

USERS = [b'alice', b'bob', b'carl', b'default2', b'\xc3\xa4']
PATTERNS = [b'*', b'a*', b'[ab]', b'{t}*', b'?', b'a', b'b', b'k*k', b'', b'list', b'[^a]*', b'\xff*']
CHANNELS = [b'*', b'a*', b'a', b'news.?', b'[ab]*', b'']
PASSWORDS = [b'secret', b'x', b'', b'pass word', b'\x00\xff']
HASH = b'2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b'  # of "secret"
CATEGORIES = (b'keyspace read write set sortedset list hash string bitmap hyperloglog geo stream pubsub admin fast slow blocking dangerous '
              b'connection transaction scripting all').split()
CONTAINERS = [b'config|get', b'config|set', b'config', b'client|list', b'client', b'object|encoding', b'xinfo|stream', b'memory|usage',
              b'script|load', b'acl', b'acl|whoami', b'select|0', b'get|x', b'debug', b'pubsub|channels']
SPOILT = [b'+nosuch', b'-nosuch', b'+@nosuch', b'-@', b'+', b'~a b', b'%~a', b'%', b'%RX~a', b'%RR~a', b'&a b', b'#12', b'!12', b'<nosuch', b'(+get',
          b'+get)', b'nonsense', b'+config|get|x', b'+config|nosuch', b'-config|nosuch', b'-select|0', b'+select|', b'(nonsense)', b'()', b'', b'>']
PLAIN = [b'on', b'off', b'nopass', b'resetpass', b'allkeys', b'resetkeys', b'allchannels', b'resetchannels', b'allcommands', b'nocommands',
         b'reset', b'clearselectors', b'skip-sanitize-payload', b'sanitize-payload']
NEW_TEXTS = [
    (rb"User \S+ has no permissions to run the '([^']*)' command", rb"this user has no permissions to run the '\1' command"),
    (rb'NOPERM No permissions to access a (key|channel)', rb'NOPERM this user has no permissions to access one of the \1s used as arguments'),
    (rb"User \S+ has no permissions to access the '(.*)' (key|channel)", rb"this user has no permissions to access the '\1' \2"),
]
SCRIPTED = [(b'to run the', b'run this command or subcommand'), (b'a key', b'access at least one of the keys mentioned in the command arguments'),
            (b'a channel', b'publish to the channel mentioned in the command')]


def older(text):
    """A reply's text as 7.0 puts it."""
    for pattern, old in NEW_TEXTS:
        text = re.sub(pattern, old, text, flags=re.S)
    hit = re.match(rb'-NOPERM ACL failure in script: (.*?) script: (.*)', text, re.S)
    if hit:
        said = next(old for new, old in SCRIPTED if new in hit[1])
        return b"-ERR The user executing the script can't " + said + b' script: ' + hit[2]
    return text


class Run:
    def __init__(self, options, proto, history):
        self.random = random.Random('acl %d %d' % (options.seed, proto))
        self.options, self.proto, self.history = options, proto, history
        self.addresses = (options.oracle, options.box)
        self.admin = [wire.Connection(address) for address in self.addresses]
        self.clients = [None] * 3
        arity = [{row[1][0][1]: row[1][1][1] for row in admin.command('COMMAND').tree[1]} for admin in self.admin]
        known = {name.decode() for name in arity[0]}
        self.names = sorted(arity[0].keys() & arity[1].keys())
        self.newer = {name for name in self.names if arity[0][name] != arity[1][name]}  # 7.2 takes more arguments
        self.grammar = grammar.Grammar('acl %d %d' % (options.seed, proto), several.FAMILIES, known=known)
        self.verdicts = self.commands = self.denied = 0
        for admin in self.admin:
            admin.command('ACL', 'DELUSER', *USERS)
            admin.command('ACL', 'LOG', 'RESET')
            admin.command('FLUSHALL')
            admin.command('RPUSH', grammar.OTHER_TYPE_KEY, 'x')

    def close(self):
        for client in self.clients:
            for side in client or []:
                side.close()
        for admin in self.admin:
            admin.command('ACL', 'DELUSER', *USERS)
            admin.close()

    def compare(self, args, oracle, box):
        raw = older(box.raw) if box.raw[:1] == b'-' else box.raw
        if oracle.raw == raw or (b'DRYRUN' in args[:2] and box.tree[1] and older(box.tree[1]).lower() == oracle.tree[1].lower()):
            return
        if args[0] == b'EVAL' and not any(b'NOPERM' in text or b'The user executing' in text for text in (oracle.raw, raw)):
            return  # what else a script says is compared elsewhere
        if b'DRYRUN' in args[:2] and len(oracle.raw) > 300 and older(box.tree[1])[:200].lower() == oracle.tree[1][:200].lower():
            return  # the box cuts long names off
        if b'wrong number of arguments' in oracle.raw and any(b"'%s'" % name in oracle.raw for name in self.newer):
            return
        if raw[:1] != b'-' and oracle.raw[:1] != b'-' and differences.same(args, oracle, box) is not None:
            return
        if raw[:1] == oracle.raw[:1] == b'-' and b'NOPERM' not in raw + oracle.raw and differences.same(args, oracle, box) is not None:
            return
        raise Different('%s\noracle: %s\nbox:    %s' % (wire.show_line(args), oracle.text(400), box.text(400)))

    def both(self, args, who=None):
        self.history.append(('admin' if who is None else who, args))
        replies = [side.command(*args) for side in (self.admin if who is None else self.clients[who])]
        self.compare(args, *replies)
        return replies

    # -- users

    def rule(self, depth=0):
        pick, chance = self.random.choice, self.random.random()
        if chance < .25:
            return pick([b'+', b'-']) + b'@' + pick(CATEGORIES)
        if chance < .45:
            return pick([b'+', b'-']) + pick(self.names if self.random.random() < .7 else CONTAINERS)
        if chance < .60:
            return pick([b'~', b'%R~', b'%W~', b'%RW~', b'%r~']) + pick(PATTERNS)
        if chance < .66:
            return b'&' + pick(CHANNELS)
        if chance < .74:
            return pick([b'>', b'>', b'<']) + pick(PASSWORDS)
        if chance < .77:
            return pick([b'#', b'!']) + HASH
        if chance < .84 and not depth:
            return b'(' + b' '.join(rule for rule in (self.rule(1) for _ in range(self.random.randrange(4))) if b' ' not in rule and rule) + b')'
        if chance < .88:
            return pick(SPOILT)
        rule = pick(PLAIN)
        return rule if self.random.random() < .9 else rule.upper()

    def set_user(self):
        user = self.random.choice(USERS)
        rules = [self.rule() for _ in range(self.random.randrange(6))]
        if self.random.random() < .3:
            rules += [b'on', b'>secret']
        if self.random.random() < .05:
            i = self.random.randrange(len(rules) + 1)
            rules[i:i] = [b'(+get', b'~a)']
        self.both([b'ACL', b'SETUSER', user] + rules)
        self.show(user)

    def show(self, user):
        """All but the rules of commands, which 7.2 tells as they were given; the verdicts compare those."""
        args = [b'ACL', b'GETUSER', user]
        self.history.append(('admin', args))
        shown = [self.fields(admin.command(*args)) for admin in self.admin]
        if shown[0] != shown[1]:
            raise Different('%s\noracle: %r\nbox:    %r' % (wire.show_line(args), *shown))

    def fields(self, reply):
        def tidy(words):
            made = {}
            for name, (_, value) in zip(words[::2], words[1::2]):
                if name[1] == b'flags':
                    made[b'flags'] = sorted(flag[1] for flag in value if b'sanitize' not in flag[1])
                elif name[1] == b'selectors':
                    made[b'selectors'] = [tidy(each[1]) for each in value]
                elif name[1] == b'commands':
                    made[b'all'] = value[:5]
                else:
                    made[name[1]] = value
            return made
        return tidy(reply.tree[1]) if reply.tree[1] is not None else None

    # -- verdicts

    def command(self):
        chance, pick = self.random.random(), self.random.choice
        if chance < .8:
            return self.grammar.command()
        if chance < .9:
            channel = pick([b'a', b'ab', b'news.1', b'b*', b'*', b''])
            return pick([[b'PUBLISH', channel, b'x'], [b'SUBSCRIBE', b'a', channel], [b'PSUBSCRIBE', channel], [b'SSUBSCRIBE', channel],
                         [b'SPUBLISH', channel, b'x'], [b'UNSUBSCRIBE', channel]])
        return pick([[b'CONFIG', b'GET', b'maxmemory'], [b'SELECT', b'0'], [b'SELECT', b'1'], [b'ACL', b'WHOAMI'], [b'AUTH', b'x'], [b'CLIENT', b'ID'],
                     [b'EVAL', b'return 1', b'1', pick(grammar.KEYS)], [b'EVAL', b'', b'0'], [b'EVAL_RO', b'return 1', b'2', b'a', pick(grammar.KEYS)],
                     [b'MEMORY', b'USAGE', pick(grammar.KEYS)], [b'MIGRATE', b'h', b'1', b'', b'0', b'1', b'KEYS', b'a', pick(grammar.KEYS)],
                     [b'FLUSHALL'], [b'MULTI'], [b'PING'], [b'FCALL', b'f', b'1', pick(grammar.KEYS)], [b'XREAD', b'STREAMS', b'a', b'b', b'0', b'0']])

    def judge(self):
        requests = [[b'ACL', b'DRYRUN', self.random.choice(USERS)] + self.command() for _ in range(100)]
        for admin in self.admin:
            admin.send_raw(b''.join(wire.request(args) for args in requests))
        for args in requests:
            replies = [admin.reply() for admin in self.admin]
            self.history.append(('admin', args))
            self.compare(args, *replies)
            self.verdicts += 1
            self.denied += replies[0].raw[:1] == b'$'

    # -- clients

    def connect(self, i):
        for side in self.clients[i] or []:
            side.close()
        self.clients[i] = [wire.Connection(address) for address in self.addresses]
        if self.proto == 3:
            for side in self.clients[i]:
                side.command('HELLO', '3')

    def login(self, i):
        word = self.random.choice(PASSWORDS + [b'secret'] * 3)
        self.both([b'AUTH', self.random.choice(USERS), word], i)

    def plain(self):
        while True:
            args = self.grammar.command()
            if args[0].upper() not in (b'PFDEBUG', b'BLPOP', b'BRPOP', b'BLMOVE', b'BRPOPLPUSH', b'BZPOPMIN', b'BZPOPMAX', b'BLMPOP', b'BZMPOP', b'XREAD', b'XREADGROUP'):
                return args

    def act(self, i):
        chance = self.random.random()
        self.commands += 1
        if chance < .6:
            self.both(self.plain(), i)
        elif chance < .75:
            args = self.plain()
            self.both([b'EVAL', b'return redis.call(unpack(ARGV))', b'0'] + args[:50], i)
        elif chance < .8:
            args = self.plain()
            self.both([b'EVAL', b'return redis.acl_check_cmd(unpack(ARGV))', b'0'] + args[:50], i)
        else:
            self.transaction(i)

    def transaction(self, i):
        if self.both([b'MULTI'], i)[0].raw[:1] == b'-':
            return
        queued = []
        for _ in range(self.random.randrange(4)):
            args = self.plain()
            if self.both(args, i)[0].raw == b'+QUEUED\r\n':
                queued.append(args)
        if self.random.random() < .3:
            self.set_user()
        self.history.append((i, [b'EXEC']))
        oracle, box = [side.command('EXEC') for side in self.clients[i]]
        if oracle.tree[0] != '*' or box.tree[0] != '*':
            self.compare([b'EXEC'], oracle, box)
            if b'NOPERM' in oracle.raw:
                self.both([b'DISCARD'], i)
            return
        for command, a, b in zip(queued, oracle.tree[1], box.tree[1]):
            if a[0] == '-' or b[0] == '-':
                if a[:1] != b[:1] or (b'NOPERM' in str(a).encode()) != (b'NOPERM' in str(b).encode()):
                    raise Different('%s in EXEC\noracle: %r\nbox:    %r' % (wire.show_line(command), a, b))

    def delete(self):
        user = self.random.choice(USERS)
        self.both([b'ACL', b'DELUSER', user, b'nobody'])
        for i, client in enumerate(self.clients):
            gone = []
            for side in client or []:
                try:
                    gone.append(side.command('PING').raw[:1] == b'' )
                except (wire.Broken, OSError):
                    gone.append(True)
            if client and gone[0] != gone[1]:
                raise Different('DELUSER %r: connection %d ends: %r' % (user, i, gone))
            if client and gone[0]:
                self.connect(i)

    def log(self):
        """What is in it: several workers know the order to the millisecond, and find more that is alike."""
        logs = []
        for admin in self.admin:
            entries = admin.command('ACL', 'LOG', '1000').tree[1]
            rows = {}
            for _, words in entries:
                row = {name[1]: value[1] for name, value in zip(words[::2], words[1::2])}
                what = (row[b'reason'], row[b'context'], row[b'object'], row[b'username'])
                if row[b'object'] in self.newer:
                    continue  # one of them has refused it for its arity
                rows[what] = rows.get(what, 0) + row[b'count']
            logs.append(rows)
            admin.command('ACL', 'LOG', 'RESET')
        if logs[0] != logs[1]:
            raise Different('ACL LOG\nonly oracle: %r\nonly box:    %r' % (*[sorted(set(mine.items()) - set(other.items())) for mine, other in (logs, logs[::-1])],))

    def step(self):
        for _ in range(2):
            self.set_user()
        self.judge()
        for i in range(len(self.clients)):
            if self.clients[i] is None or self.random.random() < .1:
                self.connect(i)
            if self.random.random() < .5:
                self.login(i)
            for _ in range(4):
                self.act(i)
        self.both([b'ACL', b'USERS'])
        if self.random.random() < .2:
            self.delete()
        self.log()


def one_run(options, proto, history):
    run = Run(options, proto, history)
    try:
        for admin in run.admin:
            admin.command('CONFIG', 'SET', 'acllog-max-len', '1000')
        while run.verdicts < options.count:
            run.step()
        return '%d verdicts, %d of them no; %d commands' % (run.verdicts, run.denied, run.commands)
    finally:
        run.close()


def main():
    options = several.parser(__doc__, 3000, 'verdicts a protocol').parse_args()
    return several.run_all([('users and rules, RESP%d' % proto, functools.partial(one_run, options, proto)) for proto in (2, 3)], options.seed)


if __name__ == '__main__':
    sys.exit(main())

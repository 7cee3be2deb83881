#!/usr/bin/python3
"""ACL of a redis-server and of a box: random rules for random users, then what these may do: every verdict on random commands
of every family (ACL DRYRUN), and commands of connections that have logged in, in MULTI and in scripts, with users that change
and go meanwhile. Errors, ACL GETUSER and ACL LOG are compared as well; texts as 7.2 has them."""
import collections
import functools
import random
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


WAITS = set(b'BLPOP BRPOP BLMOVE BRPOPLPUSH BZPOPMIN BZPOPMAX BLMPOP BZMPOP XREAD XREADGROUP'.split())
CHANCE = set(b'PFDEBUG SPOP SCAN HSCAN SSCAN ZSCAN XAUTOCLAIM XCLAIM TTL PTTL EXPIRETIME PEXPIRETIME'.split())
CHOSEN = [({b'XADD'}, {b'*'}), ({b'SORT', b'SORT_RO'}, {b'STORE', b'BY'}), ({b'EXPIRE', b'PEXPIRE'}, {b'GT', b'LT'})]
WORDS = [b'a', b'b', b'ab', b'', b'list', b'{t}1', b'0', b'1', b'2', b'2', b'-1', b'1.5', b'x', b'9' * 20, b'STORE', b'STREAMS', b'KEYS', b'BY', b'GET',
         b'COUNT', b'LIMIT', b'WEIGHTS', b'MATCH', b'GROUP', b'STOREDIST', b'USAGE', b'*', b'a*', b'$', b'\x00\xff\r\n', b'k' * 300]


def arities(rows):
    """{name: arity} of COMMAND's reply, sub-commands ("config|get") as well."""
    found = {}
    for _, row in rows:
        found[row[0][1]] = row[1][1]
        found.update(arities(row[9][1]) if len(row) > 9 else {})
    return found


class Run:
    def __init__(self, options, proto, history):
        self.random = random.Random('acl %d %d' % (options.seed, proto))
        self.options, self.proto, self.history = options, proto, history
        self.addresses = (options.oracle, options.box)
        self.admin = [wire.Connection(address) for address in self.addresses]
        self.clients = [None] * 3
        arity = [arities(admin.command('COMMAND').tree[1]) for admin in self.admin]
        known = {name.decode() for name in arity[0]}
        self.arity = {name: least for name, least in sorted(arity[0].items()) if name in arity[1]}
        self.names = [name for name in self.arity if b'|' not in name]
        self.newer = {name for name in self.arity if arity[0][name] != arity[1][name]}  # 7.2 takes more arguments
        self.grammar = grammar.Grammar('acl %d %d' % (options.seed, proto), several.FAMILIES, known=known)
        self.verdicts = self.commands = self.denied = self.refused = 0
        self.explained = collections.Counter()
        self.has_channels = self.admin[1].command('UNSUBSCRIBE', 'x').raw[:1] != b'-'  # engine_server has none
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
        reason = differences.of_rights(args, oracle, box, self.newer)
        if reason is None:
            raise Different('%s\noracle: %s\nbox:    %s' % (wire.show_line(args), oracle.text(400), box.text(400)))
        if reason:
            self.explained[reason] += 1

    def both(self, args, who=None):
        self.history.append(('admin' if who is None else who, args))
        replies = [side.command(*args) for side in (self.admin if who is None else self.clients[who])]
        self.compare(args, *replies)
        self.refused += who is not None and (b'NOPERM' in replies[1].raw or b'NOAUTH' in replies[1].raw)
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
        if self.random.random() < .4:  # one who may do much, so that no and yes are about as many
            rules[:0] = self.random.choice([[b'+@all', b'~*'], [b'+@all', b'allkeys', b'&*'], [b'+@all', b'~*', b'-@dangerous'], [b'+@all'], [b'~*', b'+@read']])
        if self.random.random() < .7:
            rules += [b'on', b'>secret']
        if self.random.random() < .05:
            i = self.random.randrange(len(rules) + 1)
            rules[i:i] = [b'(+get', b'~a)']
        if differences.opens_again(rules):
            return
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
        if chance < .5:
            return self.grammar.command()
        if chance < .8:
            return self.any_command()
        if chance < .9:
            channel = pick([b'a', b'ab', b'news.1', b'b*', b'*', b''])
            return pick([[b'PUBLISH', channel, b'x'], [b'SUBSCRIBE', b'a', channel], [b'PSUBSCRIBE', channel], [b'SSUBSCRIBE', channel],
                         [b'SPUBLISH', channel, b'x'], [b'UNSUBSCRIBE', channel]])
        return pick([[b'CONFIG', b'GET', b'maxmemory'], [b'SELECT', b'0'], [b'SELECT', b'1'], [b'ACL', b'WHOAMI'], [b'AUTH', b'x'], [b'CLIENT', b'ID'],
                     [b'EVAL', b'return 1', b'1', pick(grammar.KEYS)], [b'EVAL', b'', b'0'], [b'EVAL_RO', b'return 1', b'2', b'a', pick(grammar.KEYS)],
                     [b'MEMORY', b'USAGE', pick(grammar.KEYS)], [b'MIGRATE', b'h', b'1', b'', b'0', b'1', b'KEYS', b'a', pick(grammar.KEYS)],
                     [b'FLUSHALL'], [b'MULTI'], [b'PING'], [b'FCALL', b'f', b'1', pick(grammar.KEYS)], [b'XREAD', b'STREAMS', b'a', b'b', b'0', b'0']])

    def any_command(self):
        """Any name that there is, with arguments that may be nonsense: which of them are keys?"""
        name = self.random.choice(list(self.arity))
        words, least = name.split(b'|'), self.arity[name]
        more = self.random.randrange(7) if least < 0 else 0
        return words + [self.random.choice(WORDS) for _ in range(abs(least) + more - len(words))]

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
        word = self.random.choice(PASSWORDS + [b'secret'] * 20)
        self.both([b'AUTH', self.random.choice(USERS), word], i)

    def plain(self):
        """A command to be run: none that waits, or leaves what chance, the clock or the order of a set has chosen."""
        while True:
            args = self.grammar.command()
            words = {word.upper() for word in args}
            chosen = any(words & commands and words & options for commands, options in CHOSEN)
            if args[0].upper() not in WAITS | CHANCE and args[0].lower() not in self.newer and not chosen:
                return args

    def act(self, i):
        chance = self.random.random()
        self.commands += 1
        if chance < .15:
            self.row(i)
        elif chance < .25 and self.has_channels:
            self.listen(i)
        elif chance < .6:
            self.both(self.plain(), i)
        elif chance < .75:
            args = self.plain()
            self.both([b'EVAL', b'return redis.call(unpack(ARGV))', b'0'] + args[:50], i)
        elif chance < .8:
            args = self.plain()[:50] if self.random.random() < .5 else self.any_command()
            if self.arity.get(args[0].lower(), 0) > 0 and self.random.random() < .2:
                args = args[:self.random.randrange(1, len(args) + 1)]  # nobody looks at their number here
            self.both([b'EVAL', b'return redis.acl_check_cmd(unpack(ARGV))', b'0'] + args, i)
        else:
            self.transaction(i)

    def row(self, i):
        """GETs in one piece: the box has a way of its own for them."""
        requests = [[b'GET', self.random.choice(grammar.KEYS[:5] + [b'ab', b'list', b'k' * 70, b''])] for _ in range(self.random.randrange(2, 40))]
        for side in self.clients[i]:
            side.send_raw(b''.join(wire.request(args) for args in requests))
        for args in requests:
            self.history.append((i, args))
            self.compare(args, *[side.reply() for side in self.clients[i]])
        self.commands += len(requests) - 1

    def listen(self, i):
        """A channel or a pattern, and not any more."""
        kind, channel = self.random.choice([b'', b'P', b'S']), self.random.choice([b'a', b'ab', b'news.1', b'b*', b'*', b''])
        self.both([kind + b'SUBSCRIBE', channel], i)
        self.both([kind + b'UNSUBSCRIBE', channel], i)

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
                denied = [tree[0] == '-' and b'NOPERM' in tree[1] for tree in (a, b)]
                self.refused += denied[1]
                if (a[0] != b[0] and not differences.stale_errno(command, a, b)) or denied[0] != denied[1] or (denied[0] and differences.older(b'-' + b[1]) != b'-' + a[1]):
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
                if row[b'object'] in self.newer | differences.MOVED:
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
            for _ in range(12):
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
        for reason, times in run.explained.most_common():
            print('# %d replies: %s' % (times, reason))
        return '%d verdicts, %d of them no; %d commands, %d denied' % (run.verdicts, run.denied, run.commands, run.refused)
    finally:
        run.close()


def main():
    options = several.parser(__doc__, 3000, 'verdicts a protocol').parse_args()
    return several.run_all([('users and rules, RESP%d' % proto, functools.partial(one_run, options, proto)) for proto in (2, 3)], options.seed)


if __name__ == '__main__':
    sys.exit(main())

"""batches.py: random commands to two servers in pipelines. The bytes of a whole batch are compared at once; only where they
differ are they taken apart into replies. Lines that are no commands:

    @clock MS [sweep]    the clock that both servers share (clock_shim.c) moves on; sweep: expired keys are looked at, and so
                         removed, before anything else is"""
import contextlib
import mmap
import random
import struct
import threading
import time

import differences
import dumps
import grammar
import wire

BATCH = 150
BATCHES_A_RUN = 12  # then both are emptied: what led to a difference stays short enough to be minimised
DATABASES = (b'0', b'1', b'2', b'15')
MARKER = b'$9\r\n~the end~\r\n'
VALUE_OF = {b'string': [b'GET', None], b'hash': [b'HGETALL', None], b'set': [b'SMEMBERS', None],
            b'list': [b'LRANGE', None, b'0', b'-1'], b'zset': [b'ZRANGE', None, b'0', b'-1', b'WITHSCORES'],
            b'stream': [b'XINFO', b'STREAM', None, b'FULL', b'COUNT', b'0']}
# Directives that both servers have, with values that small collections cross.
THRESHOLDS = {
    b'hash-max-listpack-entries': [b'0', b'3', b'6', b'512'], b'hash-max-listpack-value': [b'0', b'5', b'20', b'64'],
    b'set-max-intset-entries': [b'0', b'3', b'6', b'512'], b'zset-max-listpack-entries': [b'0', b'3', b'6', b'128'],
    b'zset-max-listpack-value': [b'0', b'5', b'20', b'64'], b'list-max-listpack-size': [b'1', b'3', b'5', b'-1', b'-2', b'128'],
    b'list-compress-depth': [b'0', b'1'], b'stream-node-max-entries': [b'0', b'1', b'3', b'100'], b'hll-sparse-max-bytes': [b'0', b'100', b'3000'],
}

CONTAINERS = (b'OBJECT', b'XGROUP', b'XINFO', b'CLIENT', b'PFDEBUG', b'COMMAND', b'MEMORY', b'ACL', b'CONFIG', b'SLOWLOG', b'LATENCY')
COUNTING = (b'DBSIZE', b'MEMORY')  # Redis counts what has expired until it is looked at
FIXED = {b'maxmemory': b'0', b'stream-node-max-bytes': b'0'}  # a node's bytes are those of our form, which is another one


class Different(Exception):
    def __init__(self, at, args, text):
        super().__init__(text)
        self.at, self.args_of = at, args


class SharedClock:
    """Milliseconds in a file that both servers have mapped."""

    def __init__(self, path, start=1_800_000_000_000):
        with open(path, 'a+b') as file:
            if not file.tell():
                file.write(struct.pack('<Q', start))
                file.flush()
            self.memory = mmap.mmap(file.fileno(), 8)

    def now(self):
        return struct.unpack('<Q', self.memory[:8])[0]

    def move(self, ms):
        self.memory[:8] = struct.pack('<Q', self.now() + ms)

    @contextlib.contextmanager
    def running(self):
        """Goes on by itself for a while, as clocks do."""
        stop = threading.Event()

        def tick():
            last = time.monotonic()
            while not stop.wait(0.002):
                ms = int((time.monotonic() - last) * 1000)
                last += ms / 1000
                self.move(ms)
        thread = threading.Thread(target=tick)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


class Conversation:
    """The same commands to both servers, over one connection to each; another one looks at what has come of them."""

    def __init__(self, addresses, proto, clock=None, thresholds=None):
        self.addresses, self.proto, self.clock = addresses, proto, clock
        self.thresholds = thresholds or {}
        self.look = [wire.Connection(address) for address in addresses]
        self.sides = []
        self.allowed = {}
        self.compared = 0

    def begin(self):
        """Everything as at the start."""
        self.said, self.names = set(), set()
        for side in self.sides:
            side.close()
        self.sides = []
        for side, address in zip(self.look, self.addresses):
            for name, value in list(self.thresholds.items()) + list(FIXED.items()):
                side.command('CONFIG', 'SET', name, value)
            side.command('FLUSHALL')
            self.sides.append(wire.Connection(address))
            if self.proto == 3:
                self.sides[-1].command('HELLO', '3')

    def close(self):
        """Leaves both servers with the thresholds of the start, as the scripts expect them."""
        for side in self.look:
            with contextlib.suppress(OSError, wire.Broken): # it may have gone
                for name, value in self.thresholds.items():
                    side.command('CONFIG', 'SET', name, value)
        for side in self.sides + self.look:
            side.close()

    def play(self, lines, look=True):
        """Raises Different at the first difference, wire.Broken if a server has gone."""
        at = 0
        while at < len(lines):
            if lines[at][0] == b'@clock':
                self.clock.move(int(lines[at][1]))
                if len(lines[at]) > 2:
                    self.keys()
                at += 1
                continue
            end = at
            while end < len(lines) and end - at < 2 * BATCH and lines[end][0] != b'@clock':  # not amid what belongs together
                end += 1
            self.said.update(line[0].upper() for line in lines[at:end])
            self.names.update(word for line in lines[at:end] for word in line[1:3])
            self.exchange(self.sides, lines[at:end], at)
            at = end
        if look:
            self.state(len(lines))

    def exchange(self, sides, commands, first=0):
        if b'MULTI' in self.said:  # one that was left open would keep the end to itself
            commands = commands + [[b'DISCARD']]
        requests = b''.join(map(wire.request, commands)) + wire.request([b'ECHO', b'~the end~'])
        try:
            oracle, box = wire.pipeline(sides, requests, MARKER, self.stalled)
        except wire.Closed as error:
            who = 'oracle' if error.side is sides[0] else 'box'
            at = self.count(error.data)
            raise Different(first + at, commands[min(at, len(commands) - 1)], '  %s: %s' % (who, error)) from error
        self.compared += len(commands)
        return oracle if oracle == box else self.compare(sides, commands, oracle, box, first)

    def stalled(self, waiting):
        """Are these connections slow, or do their commands wait? Then the time is let pass that they wait for."""
        if not self.clock:
            return
        looks = [look for look, side in zip(self.look, self.sides) if side in waiting]
        if looks and all(b'blocked_clients:0' not in look.command('INFO', 'clients').raw for look in looks):
            self.clock.move(5000)

    @staticmethod
    def count(data):
        at = replies = 0
        try:
            while at < len(data):
                at = wire.skip(data, at)
                replies += 1
        except (ValueError, IndexError):
            pass
        return replies

    def compare(self, sides, commands, oracle, box, first):
        at = other = 0
        queue = []  # of an open transaction
        db = None  # that is selected, where it is said
        for number, args in enumerate(commands):
            try:
                end, other_end = wire.skip(oracle, at), wire.skip(box, other)
            except (ValueError, IndexError) as error:
                raise Different(first + number, args, '  a reply is missing') from error
            theirs, ours = oracle[at:end], box[other:other_end]
            db = args[1] if args[0] == b'SELECT' and theirs == b'+OK\r\n' else db
            if ours != theirs and sides is self.look and args[:2] == [b'XINFO', b'STREAM'] and not self.nodes_follow(db, args[2], theirs, ours):
                raise Different(first + number, args, '  another number of nodes:\n  oracle: %s\n  box:    %s' %
                                tuple(wire.Reply(raw, None).text() for raw in (theirs, ours)))
            if ours != theirs and not self.alike(args, theirs, ours) and not (
                    args[0].upper() == b'EXEC' and self.same_results(queue, theirs, ours)):
                raise Different(first + number, args, '  oracle: %s\n  box:    %s' %
                                tuple(wire.Reply(raw, None).text() for raw in (theirs, ours)))
            queue = queue + [args] if theirs == b'+QUEUED\r\n' else [] if args[0].upper() in (b'EXEC', b'DISCARD', b'RESET') else queue
            at, other = end, other_end
        return oracle

    def alike(self, args, theirs, ours):
        """Is the difference allowed?"""
        reason = differences.same(args, wire.Reader(theirs).reply(), wire.Reader(ours).reply(), self.clock is not None, self.said)
        if reason:
            self.allowed[reason] = self.allowed.get(reason, 0) + 1
        return reason is not None

    def nodes_follow(self, db, key, theirs, ours):
        """Has a stream those of the oracle's nodes that have a live entry?"""
        theirs, ours = [differences.nodes(wire.Reader(raw).reply().tree)[0] for raw in (theirs, ours)]
        if ours == theirs:
            return True
        self.look[0].command('SELECT', db)
        return ours == theirs - dumps.empty_nodes(self.look[0].command('DUMP', key).tree[1])

    def same_results(self, queue, theirs, ours):
        """EXEC's replies, each as its command's."""
        results = [wire.parts(raw) for raw in (theirs, ours)]
        return len(results[0]) == len(results[1]) == len(queue) and all(
            x == y or self.alike(args, x, y) for args, x, y in zip(queue, *results))

    def keys(self):
        """All keys, by database. Those that may have expired are looked for, and so removed."""
        found = [b'EXISTS', grammar.OTHER_TYPE_KEY] + sorted(self.names)
        ask = [line for db in DATABASES for line in ([b'SELECT', db], found, [b'KEYS', b'*'], [b'DBSIZE'])]
        reader = wire.Reader(self.exchange(self.look, ask))
        replies = [reader.reply().tree[1] for _ in ask]
        return [(db, sorted(key[1] for key in replies[i * 4 + 2])) for i, db in enumerate(DATABASES)]

    def state(self, at):
        """Type, encoding, expiry and value of every key."""
        try:
            found = self.keys()
            ask = []
            for db, keys in found:
                ask.append([b'SELECT', db])
                for key in keys:
                    ask += [[b'TYPE', key], [b'OBJECT', b'ENCODING', key], [b'PEXPIRETIME', key]]
            reader = wire.Reader(self.exchange(self.look, ask))
            values = []
            for args in ask:
                reply = reader.reply().tree
                if args[0] == b'SELECT':
                    values.append(args)
                elif args[0] == b'TYPE':
                    values.append([args[1] if word is None else word for word in VALUE_OF[reply[1]]])
            self.exchange(self.look, values)
        except Different as error:
            raise Different(at, [b'(state)'] + error.args_of, str(error)) from error


class Failure:
    def __init__(self, lines, error):
        self.lines, self.args, self.text = lines, error.args_of, str(error)

    def kind(self):
        """What two failures have in common that are probably one."""
        words = [word.upper() for word in self.args]
        if words[0] == b'(STATE)':
            return tuple(words[:2])
        return tuple(words[:2]) if words[0] in CONTAINERS else (words[0],)


class Random:
    """A seeded run of random commands of some families."""

    def __init__(self, conversation, families, seed, known=None, changing=True):
        self.conversation, self.clock = conversation, conversation.clock
        self.random = random.Random(seed)
        self.grammar = grammar.Grammar(seed, families, self.clock and self.clock.now, known)
        self.changing = changing  # thresholds and maxmemory too
        self.without_memory = self.refused_or_reading()
        self.sent = 0

    def refused_or_reading(self):
        """Commands that do the same for both when there is no memory. Redis lets the others (EXPIRE, RENAME, SMOVE ...) go
        over the limit, which is exact here: what needs memory is refused."""
        commands = self.conversation.look[0].command('COMMAND').tree[1]
        flags = {info[1][0][1]: {flag[1] for flag in info[1][2][1]} for info in commands}
        return {name for name, has in flags.items() if b'denyoom' in has or b'readonly' in has} | {b'del', b'unlink'}

    def run(self, count, until):
        """Until so many commands were sent or it is that late, or the first Failure, which is returned."""
        end = self.sent + count
        while self.sent < end and time.monotonic() < until:
            self.conversation.begin()
            lines = [[b'RPUSH', grammar.OTHER_TYPE_KEY, b'x']]
            done = 0
            try:
                for _ in range(BATCHES_A_RUN):
                    self.add_batch(lines)
                    part, done = lines[done:], len(lines)
                    self.sent += len(part)
                    self.conversation.play(part)
                    if self.sent >= end:
                        break
            except Different as error:
                return Failure(lines, error)
            except wire.Broken as error:
                return Failure(lines, Different(0, [b'(broken)'], str(error)))
        return None

    def add_batch(self, lines):
        chance = self.random.random
        poor = self.changing and chance() < 0.03
        swept = True
        if self.clock and chance() < 0.3:
            swept = chance() < 0.5
            lines.append([b'@clock', b'%d' % self.random.choice([1, 10, 200, 1000, 3000, 10000, 60000])] + [b'sweep'] * swept)
        if self.changing and chance() < 0.15:
            name = self.random.choice(list(THRESHOLDS))
            lines.append([b'CONFIG', b'SET', name, self.random.choice(THRESHOLDS[name])])
        if poor:  # every shard has something, or it would not be over its limit
            lines += [[b'MSET'] + [word for i in range(16) for word in (b'filler%d' % i, b'x')], [b'CONFIG', b'SET', b'maxmemory', b'1']]
        batch = []
        while len(batch) < BATCH:
            commands = self.grammar.commands()
            if not poor or all(args[0].lower() in self.without_memory for args in commands):
                batch += commands
        if not swept or any(args[0].upper().startswith((b'BL', b'BR', b'BZ', b'XREAD')) for args in batch):
            batch = [args for args in batch if args[0].upper() not in COUNTING]
        lines += batch
        if poor:
            lines.append([b'CONFIG', b'SET', b'maxmemory', b'0'])


def minimised(failure, again, seconds=60):
    """The fewest lines, and the fewest words in them, that again(lines) says fail the same way: ever smaller parts are left
    out."""
    end = time.monotonic() + seconds
    lines, size = failure.lines, max(len(failure.lines) // 2, 1)
    while size and time.monotonic() < end:
        at, shorter = len(lines), False
        while at > 0 and time.monotonic() < end:
            at = max(at - size, 0)
            rest = lines[:at] + lines[at + size:]
            if rest and again(rest):
                lines, shorter = rest, True
        size = size // 2 if size > 1 else int(shorter and len(lines) < 60)
    for i in range(len(lines) if len(lines) < 40 else 0):
        for j in range(len(lines[i]) - 1, 0 if lines[i][0][:1] != b'@' else len(lines[i]), -1):
            rest = lines[:i] + [lines[i][:j] + lines[i][j + 1:]] + lines[i + 1:]
            if time.monotonic() < end and again(rest):
                lines = rest
    return lines

"""wire.py: a RESP connection that keeps the exact bytes of every reply, and script lines as argument lists."""
import select
import socket
import time


class Broken(Exception):
    """The peer closed the connection or sent something that is no RESP."""


class Closed(Broken):
    """One side closed or said nothing more, after some bytes."""

    def __init__(self, side, data, what='closed the connection'):
        super().__init__(what)
        self.side, self.data = side, data


class Reply:
    """One reply: its bytes, and a tree of (type byte, value) pairs."""

    def __init__(self, raw, tree):
        self.raw = raw
        self.tree = tree

    def text(self, limit=2000):
        shown = self.raw if len(self.raw) <= limit else self.raw[:limit] + b'... (%d bytes)' % len(self.raw)
        return repr(shown)[1:]


def request(args):
    return b'*%d\r\n%s' % (len(args), b''.join([b'$%d\r\n%s\r\n' % (len(arg), arg) for arg in args]))


def skip(data, at):
    """Where the reply that begins at a place ends; ValueError if it is cut off."""
    wanted = 1
    while wanted:
        wanted -= 1
        kind, end = data[at], data.index(b'\r\n', at)
        if kind in b'$=!':
            length = int(data[at + 1:end])
            end += length + 2 if length >= 0 else 0
        elif kind in b'*~>':
            wanted += max(int(data[at + 1:end]), 0)
        elif kind in b'%|':
            wanted += 2 * int(data[at + 1:end])
        at = end + 2
    return at


def parts(data):
    """The replies that an array is made of; none of anything else."""
    if data[:1] != b'*' or data[:2] == b'*-':
        return []
    found, at = [], data.index(b'\r\n') + 2
    while at < len(data):
        end = skip(data, at)
        found.append(data[at:end])
        at = end
    return found


def pipeline(sides, requests, marker, stalled=None, patience=60):
    """Sends each connection the same bytes, whose last reply is the marker, and returns what each has replied. When nothing
    comes for some time stalled() gets the connections that have not replied to everything."""
    waiting = {side.socket: [side, requests, side.buffer[side.at:]] for side in sides}
    got = {}
    end = time.monotonic() + patience
    while waiting:
        readable, writable, _ = select.select(list(waiting), [s for s in waiting if waiting[s][1]], [], 0.01)
        for sock in writable:
            try:
                waiting[sock][1] = waiting[sock][1][sock.send(waiting[sock][1], socket.MSG_DONTWAIT):]
            except OSError as error:
                raise Broken(str(error)) from error
        for sock in readable:
            try:
                data = sock.recv(1 << 20)
            except OSError as error:
                raise Broken(str(error)) from error
            side = waiting[sock]
            side[2] += data
            if not data:
                raise Closed(side[0], side[2])
            if side[2].endswith(marker):
                got[sock] = side[2][:-len(marker)]
                side[0].buffer, side[0].at = b'', 0
                del waiting[sock]
        if readable or writable:
            end = time.monotonic() + patience
        elif time.monotonic() > end:
            side, _, data = next(iter(waiting.values()))
            raise Closed(side, data, 'no reply')
        elif stalled:
            stalled([side for side, _, _ in waiting.values()])
    return [got[side.socket] for side in sides]


class Reader:
    """Replies out of bytes that are all there."""

    def __init__(self, data):
        self.buffer = data
        self.at = 0

    def _fill(self):
        raise Broken('cut off')

    def _receive(self, count):
        raise Broken('cut off')

    def reply(self):
        start = self.at
        tree = self._read()
        return Reply(self.buffer[start:self.at], tree)

    def _line(self):
        while True:
            end = self.buffer.find(b'\r\n', self.at)
            if end >= 0:
                line = self.buffer[self.at:end]
                self.at = end + 2
                return line
            self._fill()

    def _bytes(self, count):
        missing = self.at + count + 2 - len(self.buffer)
        if missing > 0:
            self.buffer += self._receive(missing)
        data = self.buffer[self.at:self.at + count]
        self.at += count + 2
        return data

    def _read(self):
        line = self._line()
        kind, rest = line[:1].decode('latin1'), line[1:]
        if kind in '+-,#(_' and kind:
            return (kind, rest)
        if kind == ':':
            return (kind, int(rest))
        if kind in '$=!' and kind:
            count = int(rest)
            return (kind, None if count < 0 else self._bytes(count))
        if kind in '*~>%|' and kind:
            count = int(rest) * (2 if kind in '%|' else 1)
            return (kind, None if count < 0 else [self._read() for _ in range(count)])
        raise Broken('not RESP: %r' % line[:80])

class Connection(Reader):
    def __init__(self, address, timeout=60):
        host, _, port = address.rpartition(':')
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(b'')

    def close(self):
        self.socket.close()

    def send(self, args):
        self.send_raw(request(args))

    def send_raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Broken(str(error)) from error

    def command(self, *args):
        self.send([a if isinstance(a, bytes) else str(a).encode() for a in args])
        return self.reply()

    def reply(self):
        self.buffer = self.buffer[self.at:]
        self.at = 0
        return super().reply()

    def _fill(self):
        try:
            data = self.socket.recv(1 << 16)
        except OSError as error:
            raise Broken(str(error)) from error
        if not data:
            raise Broken('connection closed')
        self.buffer += data

    def _receive(self, count):
        parts = []
        while count > 0:
            try:
                data = self.socket.recv(min(count, 1 << 20))
            except OSError as error:
                raise Broken(str(error)) from error
            if not data:
                raise Broken('connection closed')
            parts.append(data)
            count -= len(data)
        return b''.join(parts)


ESCAPES = {'n': b'\n', 'r': b'\r', 't': b'\t', 'b': b'\b', 'a': b'\a', '0': b'\0'}


def split_line(line):
    """Words of a script line: bare, 'single' or "double" quoted (\\n \\xHH ...); TEXT*COUNT in braces repeats."""
    words, i = [], 0
    while i < len(line):
        if line[i] in ' \t':
            i += 1
            continue
        word = b''
        quote = line[i] if line[i] in '"\'' else ''
        i += len(quote)
        while i < len(line) and (line[i] != quote if quote else line[i] not in ' \t'):
            if quote == '"' and line[i] == '\\':
                if line[i + 1] == 'x':
                    word += bytes([int(line[i + 2:i + 4], 16)])
                    i += 4
                    continue
                word += ESCAPES.get(line[i + 1], line[i + 1].encode())
                i += 2
                continue
            word += line[i].encode()
            i += 1
        i += len(quote)
        if not quote and word.startswith(b'{') and word.endswith(b'}') and b'*' in word:
            text, _, count = word[1:-1].rpartition(b'*')
            word = text * int(count)
        words.append(word)
    return words


def show_line(args):
    """The inverse of split_line, for messages."""
    words = []
    for arg in args:
        plain = arg and all(33 <= c < 127 and c not in b'"\'\\{' for c in arg)
        if plain and len(arg) < 200:
            words.append(arg.decode())
            continue
        if len(arg) > 60 and arg == arg[:1] * len(arg) and 33 <= arg[0] < 127:
            words.append('{%c*%d}' % (arg[0], len(arg)))
            continue
        text = ''.join(chr(c) if 32 <= c < 127 and c not in b'"\\' else '\\x%02x' % c for c in arg)
        words.append('"%s"' % text)
    return ' '.join(words)

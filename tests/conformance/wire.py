"""wire.py: a RESP connection that keeps the exact bytes of every reply, and script lines as argument lists."""
import socket


class Broken(Exception):
    """The peer closed the connection or sent something that is no RESP."""


class Reply:
    """One reply: its bytes, and a tree of (type byte, value) pairs."""

    def __init__(self, raw, tree):
        self.raw = raw
        self.tree = tree

    def text(self, limit=2000):
        shown = self.raw if len(self.raw) <= limit else self.raw[:limit] + b'... (%d bytes)' % len(self.raw)
        return repr(shown)[1:]


class Connection:
    def __init__(self, address, timeout=20):
        host, _, port = address.rpartition(':')
        self.socket = socket.create_connection((host, int(port)), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b''
        self.at = 0

    def close(self):
        self.socket.close()

    def send(self, args):
        parts = [b'*%d\r\n' % len(args)]
        for arg in args:
            parts.append(b'$%d\r\n%s\r\n' % (len(arg), arg))
        self.send_raw(b''.join(parts))

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
        tree = self._read()
        return Reply(self.buffer[:self.at], tree)

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

"""values.py: random values of all types, for roundtrip.py and grammar.py."""
import forms


class Values:
    """Each kind: the commands that make it under the key k, and its forms."""

    def __init__(self, source, longest=1 << 20):
        self.random = source
        self.longest = longest # bytes of an element

    def text(self):
        return self.any_text()[:self.longest]

    def any_text(self):
        r = self.random
        kind = r.randrange(9)
        if kind == 0:
            return b'%d' % r.randrange(-200, 300)
        if kind == 1:
            return b'%d' % r.randrange(-2 ** r.randrange(1, 64), 2 ** r.randrange(1, 64))
        if kind == 2:
            return r.randbytes(r.randrange(70))
        if kind == 3:
            return b'x' * r.randrange(200)
        if kind == 4 and r.random() < 0.04:
            return r.randbytes(r.choice([4095, 4096, 5000, 9000, 16378, 16379, 16380, 16383, 16384]))
        return bytes(r.choice(b'abcdefgh') for _ in range(r.randrange(12)))

    def score(self):
        r = self.random
        return r.choice([0.0, 1.0, -1.0, 0.5, 3.14, 1e17, 1e18 * r.randrange(10), float('inf'), float('-inf'), r.random(),
                         float(r.randrange(-10 ** 6, 10 ** 6)), r.random() * 10 ** r.randrange(-20, 30)])

    def size(self):
        return self.random.choice([1, 1, 2, 5, 20, 60, 127, 130, 300, 600])

    def texts(self):
        return [self.text() for _ in range(self.size())]

    def string(self):
        text = self.text() * self.random.choice([1, 1, 30])
        return [('SET', 'k', text)], [(0, forms.string(text, self.random))]

    def hash(self):
        pairs = dict((self.text(), self.text()) for _ in range(self.size()))
        return [('HSET', 'k', *p) for p in pairs.items()], forms.hash_forms(list(pairs.items()), self.random)

    def set(self):
        members = list(set(self.texts()))
        return [('SADD', 'k', *members)], forms.set_forms(members, self.random)

    def numbers(self):
        width = self.random.choice([6, 14, 30, 62])
        members = list({b'%d' % self.random.randrange(-2 ** width, 2 ** width) for _ in range(self.size())})
        return [('SADD', 'k', *members)], forms.set_forms(members, self.random)

    def zset(self):
        pairs = {text: self.score() for text in self.texts()}
        return ([('ZADD', 'k', '%.17g' % score, member) for member, score in pairs.items()],
                forms.zset_forms(list(pairs.items()), self.random))

    def list(self):
        elements = self.texts()
        return [('RPUSH', 'k', e) for e in elements], forms.list_forms(elements, self.random)

    def entries(self):
        ms, seq, shape, out = self.random.choice([1, 1700000000000]), 1, [b'name', b'12'], []
        for _ in range(self.size()):
            ms, seq = (ms, seq + 1) if self.random.random() < 0.5 else (ms + self.random.choice([1, 200, 10 ** 6]), self.random.randrange(300))
            if self.random.random() < 0.1:
                shape = [self.text() for _ in range(self.random.randint(1, 4))]
            out.append((ms, seq, [word for field in shape for word in (field, self.text())], self.random.random() < 0.1))
        return out

    def groups(self, entries):
        out = []
        for name in self.random.sample([b'g', b'', b'77', b'group' * 9], self.random.randrange(3)):
            owned = {b'c': [], b'consumer-2': [], b'3': []}
            for ms, seq, _, _ in entries:
                if self.random.random() < 0.3:
                    owned[self.random.choice(list(owned))].append(((ms, seq), 1700000000000 + seq, self.random.randrange(1, 200)))
            out.append((name, entries[-1][:2], self.random.choice([-1, len(entries)]), owned))
        return sorted(out)

    def stream(self):
        entries = self.entries()
        live = [e for e in entries if not e[3]]
        commands = [('XADD', 'k', '%d-%d' % e[:2], *e[2]) for e in live] or [('XGROUP', 'CREATE', 'k', 'x', 0, 'MKSTREAM')]
        return commands, forms.stream_forms(entries, self.groups(entries), self.random)


KINDS = ['string', 'hash', 'set', 'numbers', 'zset', 'list', 'stream']

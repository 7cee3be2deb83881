"""grammar.py: seeded random commands. A rule is a list of words; a word that names a generator is replaced by what
that makes, [..] is optional, (..|..) is a choice, X* is none to three times X."""
import random

import payload

KEYS = [b'a', b'b', b'c', b'{t}1', b'{t}2', b'key with blank', b'', b'\x00\xff\r\n', b'k' * 70]
OTHER_TYPE_KEY = b'list'
INTEGERS = [0, 1, -1, 2, -2, 7, 8, 9, 10, 100, 1000, 44, 45, 255, 256, 2 ** 31 - 1, 2 ** 31, -2 ** 31, 2 ** 32, 2 ** 63 - 1,
            -2 ** 63, 2 ** 63, -2 ** 63 - 1, 2 ** 62, 9223372036854775]
ODD_NUMBERS = [b'', b' 1', b'1 ', b'+1', b'-0', b'00', b'01', b'0x10', b'1.5', b'-1.5', b'1e3', b'abc', b'1\x00', b'--1', b'-',
               b'inf', b'-inf', b'nan', b'NaN', b'+inf', b'Infinity', b'1e400', b'-1e-400', b'3.0e-5', b'0.1', b'1e17',
               b'5.0', b'.5', b'5.', b'1e', b'0.00000000000000001', b'1' * 40]
VALUES = [b'', b'v', b'foo', b'foobar', b'12345', b'-7', b'hello world', b'\x00', b'\xff\xf0\x00', b'\xff' * 9, b'\x00' * 12,
          b'x' * 44, b'x' * 45, b'0123456789' * 30, b'ohmytext', b'mynewtext', b'\x00\x00\x01', b'10', b'3.25']
FIELDS = [b'u1', b'u8', b'i8', b'i5', b'u63', b'i64', b'u4', b'i16', b'u32', b'i1']
BAD_FIELDS = [b'u64', b'i65', b'u0', b'i0', b'x8', b'u', b'', b'U8', b'u-1', b'u 8', b'8']
PATTERNS = [b'*', b'?', b'a*', b'[a-c]', b'[^a]', b'{t}*', b'k*k', b'\\a', b'[', b'[a', b'**', b'', b'*\xff*', b'key*']


class Grammar:
    def __init__(self, seed, families, wrong_types):
        self.random = random.Random(seed)
        self.wrong_types = wrong_types
        rules = [rule for family in families for rule in RULES.get(family, [])]
        self.rules = [(weight, parse(text)) for weight, text in rules]
        self.weights = [weight for weight, _ in self.rules]

    def command(self):
        tree = self.random.choices(self.rules, self.weights)[0][1]
        words = []
        for node in tree:
            self.expand(node, words)
        if self.random.random() < 0.02:
            self.spoil(words)
        return words

    def spoil(self, words):
        """A word too many, too few or out of place: arity and syntax errors."""
        action = self.random.randrange(3)
        if action == 0 and len(words) > 1:
            words.pop()
        elif action == 1:
            words.append(self.random.choice([b'NX', b'EX', b'1', b'junk', b'']))
        elif len(words) > 2:
            i = self.random.randrange(1, len(words))
            words[i] = self.random.choice(ODD_NUMBERS + VALUES)

    def expand(self, node, words):
        kind, body = node
        if kind == 'word':
            make = getattr(self, 'make_' + body, None) if body.islower() else None
            words.append(make() if make else self.mixed_case(body))
        elif kind == 'choice':
            for part in self.random.choice(body):
                self.expand(part, words)
        elif kind == 'optional':
            if self.random.random() < 0.4:
                for part in body:
                    self.expand(part, words)
        else:
            for _ in range(self.random.randrange(4)):
                self.expand(body, words)

    def mixed_case(self, word):
        return (word.lower() if self.random.random() < 0.2 else word).encode()

    def make_key(self):
        if self.wrong_types and self.random.random() < 0.04:
            return OTHER_TYPE_KEY
        return self.random.choice(KEYS[:5] if self.random.random() < 0.8 else KEYS)

    def make_value(self):
        if self.random.random() < 0.3:
            return self.make_int()
        return self.random.choice(VALUES + ODD_NUMBERS)

    def make_int(self):
        if self.random.random() < 0.05:
            return self.random.choice(ODD_NUMBERS)
        if self.random.random() < 0.3:
            return str(self.random.choice(INTEGERS)).encode()
        return str(self.random.randint(-20, 300)).encode()

    def make_float(self):
        if self.random.random() < 0.3:
            return self.random.choice(ODD_NUMBERS)
        return self.random.choice(['%.3f', '%e', '%.10g', '%.17g']).__mod__(self.random.uniform(-1e4, 1e4)).encode()

    def make_index(self):
        return str(self.random.randint(-70, 70)).encode() if self.random.random() < 0.9 else self.make_int()

    def make_offset(self):
        """Small on purpose: every offset may make a string that long."""
        if self.random.random() < 0.08: # 2^32 is beyond the end as a byte and as a bit
            return self.random.choice([b'-1', b'4294967296', b'abc', b'', b'99999999999999999999', b'9223372036854775807'])
        return str(self.random.randint(0, 300)).encode()

    def make_bit(self):
        return self.random.choice([b'0', b'1', b'1', b'0', b'2', b'-1', b'x']) if self.random.random() < 0.2 else \
            self.random.choice([b'0', b'1'])

    def make_field(self):
        return self.random.choice(BAD_FIELDS if self.random.random() < 0.04 else FIELDS)

    def make_fieldoffset(self):
        hashed = b'#' if self.random.random() < 0.3 else b''
        return hashed + self.make_offset()

    def make_seconds(self):
        """Far from now, or long past: nothing may expire while the two servers answer."""
        if self.random.random() < 0.15:
            return self.random.choice([b'0', b'-1', b'-100', b'9223372036854775807', b'-9223372036854775808', b'x',
                                       b'9223372036854776', b'1.5', b''])
        return str(self.random.randint(10 ** 4, 10 ** 6)).encode()

    def make_millis(self):
        if self.random.random() < 0.15:
            return self.make_seconds()
        return str(self.random.randint(10 ** 7, 10 ** 9)).encode()

    def make_unixseconds(self):
        if self.random.random() < 0.15:
            return self.random.choice([b'1', b'0', b'-1', b'1000000000', b'9223372036854776', b'y'])
        return str(self.random.randint(4 * 10 ** 9, 6 * 10 ** 9)).encode()

    def make_unixmillis(self):
        if self.random.random() < 0.15:
            return self.random.choice([b'1', b'0', b'-1', b'1000000000000', b'9223372036854775807', b'z'])
        return str(self.random.randint(4 * 10 ** 12, 6 * 10 ** 12)).encode()

    def make_db(self):
        if self.random.random() < 0.1:
            return self.random.choice([b'16', b'-1', b'x', b'2147483648', b'9223372036854775808', b''])
        return self.random.choice([b'0', b'0', b'1', b'2', b'15'])

    def make_pattern(self):
        return self.random.choice(PATTERNS)

    def make_elements(self):
        """Names of a batch, so that values become sparse, full and dense: many registers at once."""
        return b'%d' % self.random.randrange(10 ** self.random.randrange(1, 7))

    def make_payload(self):
        return payload.payload(self.random, self.make_value() * self.random.choice([1, 1, 1, 3, 30]))

    def make_small(self):
        return self.random.choice([b'0', b'1', b'2', b'4', b'-1', b'x', b'1000'])


def parse(text):
    """The text of a rule as a list of nodes."""
    for mark in '[]()|':
        text = text.replace(mark, ' %s ' % mark)
    tokens = text.split()
    nodes, rest = sequence(tokens, 0)
    assert rest == len(tokens), text
    return nodes


def sequence(tokens, i):
    nodes = []
    while i < len(tokens) and tokens[i] not in (']', ')', '|'):
        if tokens[i] == '[':
            body, i = sequence(tokens, i + 1)
            node = ('optional', body)
        elif tokens[i] == '(':
            branches = []
            while tokens[i] != ')':
                body, i = sequence(tokens, i + 1)
                branches.append(body)
            node = ('choice', branches)
        else:
            node = ('word', tokens[i].rstrip('*'))
            if tokens[i].endswith('*'):
                node = ('many', node)
        i += 1
        if i < len(tokens) and tokens[i] == '*':
            node = ('many', node)
            i += 1
        nodes.append(node)
    return nodes, i


LIFE = '(EX seconds|PX millis|EXAT unixseconds|PXAT unixmillis|KEEPTTL)'

RULES = {
    'strings': [
        (6, 'GET key'), (10, 'SET key value'), (8, 'SET key value [(NX|XX)] [GET] [%s]' % LIFE),
        (2, 'SET key value (NX|XX|GET|%s|PERSIST)*' % LIFE[1:-1]), (2, 'SETNX key value'), (2, 'SETEX key seconds value'),
        (2, 'PSETEX key millis value'), (2, 'GETSET key value'), (2, 'GETDEL key'),
        (4, 'GETEX key [(EX seconds|PX millis|EXAT unixseconds|PXAT unixmillis|PERSIST)]'),
        (1, 'GETEX key (EX seconds|PERSIST|PXAT unixmillis|KEEPTTL|NX)*'), (2, 'MGET key key*'),
        (2, 'MSET key value key value'), (1, 'MSET key value (key value)*'), (1, 'MSETNX key value (key value)*'),
        (4, 'APPEND key value'), (3, 'STRLEN key'), (4, 'SETRANGE key offset value'), (4, 'GETRANGE key index index'),
        (1, 'SUBSTR key index index'), (4, 'INCR key'), (3, 'DECR key'), (4, 'INCRBY key int'), (3, 'DECRBY key int'),
        (4, 'INCRBYFLOAT key float'), (4, 'LCS key key [(LEN|IDX [MINMATCHLEN int] [WITHMATCHLEN])]'),
        (1, 'LCS key key (LEN|IDX|WITHMATCHLEN|MINMATCHLEN int)*'), (2, 'OBJECT ENCODING key'), (2, 'DEL key'),
        (1, 'PTTL key'), (1, 'SET key int'),
    ],
    'bits': [
        (6, 'SET key value'), (6, 'SETBIT key offset bit'), (4, 'GETBIT key offset'),
        (6, 'BITCOUNT key [index index [(BYTE|BIT)]]'), (1, 'BITCOUNT key int int* BIT*'),
        (6, 'BITPOS key bit [index [index [(BYTE|BIT)]]]'), (1, 'BITPOS key bit int int* BIT*'),
        (6, 'BITOP (AND|OR|XOR) key key key*'), (2, 'BITOP NOT key key'), (1, 'BITOP (NOT|NAND) key key key*'),
        (6, 'BITFIELD key (GET field fieldoffset|SET field fieldoffset int|INCRBY field fieldoffset int'
            '|OVERFLOW (WRAP|SAT|FAIL))*'),
        (6, 'BITFIELD key OVERFLOW (WRAP|SAT|FAIL) (SET field fieldoffset int|INCRBY field fieldoffset int) '
            'GET field fieldoffset'),
        (3, 'BITFIELD_RO key (GET field fieldoffset)*'), (1, 'BITFIELD_RO key (SET field offset int|OVERFLOW SAT|GET u8 0)'),
        (2, 'GET key'), (1, 'DEL key'), (1, 'STRLEN key'), (1, 'OBJECT ENCODING key'), (1, 'EXPIRE key seconds'),
        (1, 'PTTL key'), (1, 'SETRANGE key offset value'), (1, 'INCR key'),
    ],
    'generic': [
        (8, 'SET key value [%s]' % LIFE), (3, 'DEL key key*'), (2, 'UNLINK key key*'), (4, 'EXISTS key key*'),
        (2, 'TOUCH key key*'), (3, 'TYPE key'), (2, 'KEYS pattern'), (1, 'SCAN small [MATCH pattern] [COUNT small] [TYPE key]'),
        (1, 'RANDOMKEY'), (4, 'RENAME key key'), (3, 'RENAMENX key key'), (5, 'COPY key key [DB db] [REPLACE]'),
        (3, 'MOVE key db'), (5, 'EXPIRE key seconds [(NX|XX|GT|LT)]'), (4, 'PEXPIRE key millis [(NX|XX|GT|LT)]'),
        (5, 'EXPIREAT key unixseconds [(NX|XX|GT|LT)]'), (5, 'PEXPIREAT key unixmillis [(NX|XX|GT|LT)]'),
        (1, 'EXPIREAT key unixseconds (NX|XX|GT|LT)*'), (4, 'TTL key'), (3, 'PTTL key'), (3, 'EXPIRETIME key'),
        (3, 'PEXPIRETIME key'), (3, 'PERSIST key'), (3, 'OBJECT (ENCODING|REFCOUNT|FREQ|IDLETIME|NOSUCH) key'),
        (1, 'OBJECT HELP'), (2, 'GET key'), (1, 'INCR key'), (1, 'APPEND key value'), (2, 'SELECT db'),
    ],
    'connection': [
        (2, 'PING [value]'), (2, 'ECHO value'), (2, 'SELECT db'), (1, 'SET key value'), (1, 'GET key'),
        (1, 'CLIENT (GETNAME|SETNAME value|REPLY ON|NO-EVICT (ON|OFF)|HELP)'), (1, 'HELP'),
    ],
    'hll': [
        (20, 'PFADD key (elements)*'), (20, 'PFADD key' + ' elements' * 12), (2, 'PFADD key' + ' elements' * 150),
        (6, 'PFCOUNT key'), (4, 'PFCOUNT key key key*'), (4, 'PFMERGE key key*'), (2, 'PFDEBUG (ENCODING|DECODE|TODENSE) key'),
        (1, 'PFDEBUG GETREG key'), (1, 'PFDEBUG (NOSUCH|GETREG|DECODE) key'), (8, 'GET key'), (2, 'DEL key'),
        (1, 'SET key value'), (2, 'COPY key key REPLACE'), (1, 'SETRANGE key offset value'), (1, 'APPEND key value'),
        (1, 'STRLEN key'), (1, 'EXPIRE key seconds'), (1, 'OBJECT ENCODING key'),
    ],
    'dump': [
        (8, 'SET key value'), (2, 'APPEND key value'), (1, 'PFADD key' + ' elements' * 9), (10, 'DUMP key'), (3, 'DEL key'),
        (10, 'RESTORE key 0 payload [REPLACE]'), (2, 'RESTORE-ASKING key 0 payload REPLACE'), (6, 'GET key'),
        (4, 'RESTORE key (0|millis) payload (REPLACE|IDLETIME small|FREQ small)*'), (2, 'OBJECT ENCODING key'),
        (2, 'RESTORE key (0|unixmillis) payload ABSTTL [REPLACE]'), (1, 'PTTL key'), (1, 'OBJECT IDLETIME key'),
        (1, 'RESTORE key int value'),
    ],
    'server': [
        (3, 'SET key value'), (2, 'DBSIZE'), (1, 'FLUSHDB [(SYNC|ASYNC)]'), (1, 'FLUSHALL [(SYNC|ASYNC)]'),
        (2, 'SWAPDB db db'), (2, 'SELECT db'), (2, 'GET key'), (1, 'COMMAND COUNT value'), (1, 'COMMAND GETKEYS GET key'),
        (1, 'COMMAND GETKEYS MSET key value key value'),
    ],
}

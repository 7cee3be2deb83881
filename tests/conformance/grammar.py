"""grammar.py: seeded random commands. A rule is a list of words; a word that names a generator is replaced by what
that makes, [..] is optional, (..|..) is a choice, X* is none to three times X."""
import random

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


HASH_FIELDS = [b'f%d' % i for i in range(12)] + [b'1', b'22', b'-333', b'70000', b'9999999999', b'', b'\x00\xff', b'y' * 30]
LONG_FIELD = b'L' * 65


MEMBERS = [b'm%d' % i for i in range(14)] + [b'1', b'22', b'-333', b'70000', b'9999999999', b'', b'\x00\xff', b'z' * 30, b'a', b'ab', b'b']
SCORES = [b'0', b'1', b'-1', b'2', b'3', b'3', b'1.5', b'-2.25', b'0.1', b'1e17', b'-0', b'inf', b'-inf', b'3.3333333333333335',
          b'1e-7', b'123456789.125', b'9007199254740993', b'100000000000000000000', b'1.7976931348623157e308', b'4.9e-324']

PLACES = [(b'13.361389', b'38.115556'), (b'15.087269', b'37.502669'), (b'-122.27652', b'37.805186'), (b'2.349014', b'48.864716'),
          (b'0', b'0'), (b'180', b'85.05112878'), (b'-180', b'-85.05112878'), (b'179.99', b'-17.8'), (b'-179.99', b'-17.8'),
          (b'18.95', b'69.65'), (b'-68.3', b'-54.8'), (b'13.4', b'38.1'), (b'13.5', b'38.2')]


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
        if self.random.random() < 0.02 and not words[1:2][:1] in ([b'{t}l1'], [b'{t}l2']):
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
            words[i] = self.random.choice([self.make_oddnumber(), self.random.choice(VALUES)])

    def expand(self, node, words):
        kind, body = node
        if kind == 'word':
            make = getattr(self, 'make_' + body, None) if body.islower() else None
            words.extend(make().split(b' ') if body in ('place', 'length') else [make() if make else self.mixed_case(body)])
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

    def make_element(self):
        """Few different ones, so that they are found again, and now and then one that fills a chunk."""
        chance = self.random.random()
        if chance < 0.02:
            return bytes([self.random.choice(b'xyz')]) * self.random.choice([100, 127, 128, 1000, 3000, 9000, 20000])
        if chance < 0.3:
            return str(self.random.choice([0, 1, 7, 127, 128, -1, 4095, 4096, 70000, 2 ** 40])).encode()
        return self.make_value() if chance < 0.4 else self.random.choice([b'a', b'b', b'c', b'', b'foo', b'x' * 40, b'y' * 70])

    def make_oddnumber(self):
        """None that strtod finds out of range: Redis does not reset errno, and fails every SORT from then on. None with a
        zero byte: what is behind it does not count, and equal ones come in any order."""
        return self.random.choice([odd for odd in ODD_NUMBERS if b'e400' not in odd and b'e-400' not in odd and b'\0' not in odd])

    def make_number(self):
        if self.random.random() < 0.01:
            return self.make_oddnumber()
        return str(self.random.choice([self.random.randint(-5, 20), self.random.randint(0, 3), 1.5, 1e3, -2.25])).encode()

    def make_weight(self):
        return b'w_' + self.make_number()

    def make_hash(self):
        return b'h_' + self.make_number()

    def make_by(self):
        return self.random.choice([b'w_*', b'w_*', b'h_*->f', b'h_*->g', b'w_*->f', b'h_*', b'*', b'nosort', b'h_*->', b''])

    def make_star(self):
        return self.random.choice([b'w_*', b'h_*->f'])

    def make_get(self):
        return self.random.choice([b'#', b'w_*', b'h_*->f', b'h_*->1', b'*', b'nostar', b'h_*', b'w_*->f'])

    def make_spot(self):
        if self.random.random() < 0.05:
            return self.make_int()
        return str(self.random.choice([0, 1, 2, 3, 5, 10, 50, -1, -2, -3, -10, -50, self.random.randint(-150, 150)])).encode()

    def make_zmember(self):
        return LONG_FIELD if self.random.random() < 0.01 else self.random.choice(MEMBERS)

    def make_score(self):
        if self.random.random() < 0.03:
            return self.random.choice(ODD_NUMBERS)
        if self.random.random() < 0.4:
            return str(self.random.randint(-5, 12)).encode()
        return self.random.choice(SCORES)

    def make_scoreend(self):
        return (b'(' if self.random.random() < 0.3 else b'') + self.make_score()

    def make_lexend(self):
        if self.random.random() < 0.3:
            return self.random.choice([b'-', b'+', b'+', b'-', b'x', b'', b'(', b'[', b'+1'])
        return self.random.choice([b'(', b'[']) + self.make_zmember()

    def make_lexkey(self):
        """Only elements of equal scores: other ranges of members are not defined."""
        return self.random.choice([b'{t}l1', b'{t}l2'])

    def make_near(self):
        return str(self.random.randint(-8, 12)).encode() if self.random.random() < 0.95 else self.make_int()

    def make_place(self):
        if self.random.random() < 0.02:
            return self.random.choice([b'181 0', b'0 86', b'x 1', b'1 x', b'nan 1', b'-180.1 85.06'])
        if self.random.random() < 0.5:
            return b' '.join(self.random.choice(PLACES))
        return b'%.6f %.6f' % (self.random.uniform(-180, 180), self.random.uniform(-85, 85))

    def make_length(self):
        if self.random.random() < 0.04:
            return self.random.choice([b'-1 m', b'x km', b'1 foo', b'0 m', b'1'])
        return b'%.3f ' % (10 ** self.random.uniform(0, 4.4)) + self.random.choice([b'km', b'km', b'km', b'mi', b'KM', b'm', b'ft'])

    def make_hashfield(self):
        return LONG_FIELD if self.random.random() < 0.01 else self.random.choice(HASH_FIELDS)

    def make_member(self):
        if self.random.random() < 0.6:
            return self.random.choice([b'%d' % i for i in range(-3, 9)] + [b'300', b'-70000', b'5000000000', b'9223372036854775807'])
        return self.make_hashfield()

    def make_numkeys(self):
        return b'2' if self.random.random() < 0.95 else self.make_small()

    def make_width(self):
        return b'%.2f' % (10 ** self.random.uniform(0, 4.4)) if self.random.random() < 0.97 else self.make_small()

    def make_count(self):
        return str(self.random.randint(1, 5)).encode() if self.random.random() < 0.95 else self.make_small()

    def make_id(self):
        """Few and small ones, so that they meet; the whole range now and then."""
        chance = self.random.random()
        if chance < 0.03:
            return self.random.choice([b'-', b'+', b'x', b'1-x', b'', b'-1', b'01-1', b'+3', b' 4', b'1--1', b'1-+2', b'5-', b'$', b'>',
                                       b'18446744073709551615', b'18446744073709551615-18446744073709551615',
                                       b'18446744073709551616', b'3-18446744073709551615', b'9' * 130])
        if chance < 0.5:
            return b'%d' % self.random.randint(0, 40)
        return b'%d-%d' % (self.random.randint(0, 40), self.random.randint(0, 3))

    def make_nextid(self):
        """For XADD: rising slowly over a run, so that most are accepted."""
        self.clock = getattr(self, 'clock', 0) + self.random.choice([0, 0, 0, 1])
        if self.random.random() < 0.1:
            return self.make_id()
        return self.random.choice([b'%d-*' % (self.clock // 8), b'%d-%d' % divmod(self.clock, 8), b'%d' % (self.clock // 8)])

    def make_startid(self):
        return self.random.choice([b'-', b'-', b'0', b'(' + self.make_id(), self.make_id()])

    def make_endid(self):
        return self.random.choice([b'+', b'+', b'(' + self.make_id(), self.make_id()])

    def make_group(self):
        return self.random.choice([b'g', b'g', b'g', b'h', b'', b'group with blank'])

    def make_consumer(self):
        return self.random.choice([b'c', b'c', b'd', b'e', b'', b'c' * 30])

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

# Sets and sorted sets have keys of their own: a set's own order is nobody's business. Not BY, ALPHA and LIMIT together: Redis sorts only the part that is wanted then, and equal weights in any order.
SORT = '((BY by|GET get|ASC|DESC|ALPHA)*|(GET get|ASC|DESC|ALPHA|LIMIT spot spot)*|(BY by|GET get|ASC|DESC|LIMIT spot spot)*)'
LPOS = '(RANK spot|COUNT small|MAXLEN spot)'

TRIM = '(MAXLEN [=] small|MAXLEN ~ small [LIMIT small]|MINID [=] id|MINID ~ id [LIMIT small]|MAXLEN = 30)'

RULES = {
    'streams': [
        (14, 'XADD key nextid value value'), (8, 'XADD key nextid F value'), (3, 'XADD key nextid F value G value (value value)*'),
        (2, 'XADD key [NOMKSTREAM] [%s] nextid value value' % TRIM), (1, 'XADD key (%s|NOMKSTREAM|LIMIT int)* nextid F int' % TRIM[1:-1]),
        (2, 'XTRIM key %s' % TRIM), (3, 'XDEL key id id*'), (2, 'XLEN key'),
        (4, '(XRANGE) key startid endid [COUNT small]'), (4, 'XREVRANGE key endid startid [COUNT small]'),
        (3, 'XREAD [COUNT small] STREAMS key id'), (3, 'XREAD [COUNT small] STREAMS key key id id'), (1, 'XREAD STREAMS key $'),
        (4, 'XGROUP CREATE key group (id|$|0|0) [MKSTREAM] [ENTRIESREAD small]'), (1, 'XGROUP DESTROY key group'),
        (2, 'XGROUP SETID key group (id|$|0) [ENTRIESREAD small]'), (2, 'XGROUP CREATECONSUMER key group consumer'),
        (2, 'XGROUP DELCONSUMER key group consumer'), (12, 'XREADGROUP GROUP group consumer [COUNT small] [NOACK] STREAMS key >'),
        (4, 'XREADGROUP GROUP group consumer [COUNT small] STREAMS key (id|0)'),
        (3, 'XREADGROUP GROUP g consumer [COUNT small] STREAMS key key (>|id) (>|id)'), (6, 'XACK key group id id*'),
        (3, 'XPENDING key group'), (4, 'XPENDING key group [IDLE (0|10000000)] startid endid (10|small) [consumer]'),
        (5, 'XCLAIM key group consumer (0|0|10000000) id id id* [JUSTID] [FORCE] [RETRYCOUNT small] [LASTID id]'),
        (2, 'XCLAIM key group consumer 0 id (JUSTID|FORCE|RETRYCOUNT int|LASTID id|IDLE int|TIME int)*'),
        (5, 'XAUTOCLAIM key group consumer (0|0|10000000) startid [COUNT small] [JUSTID]'), (1, 'XSETID key (41|42|id x) [ENTRIESADDED 2000] [MAXDELETEDID id]'),
        (3, 'XINFO STREAM key [FULL [COUNT small]]'), (3, 'XINFO GROUPS key'), (2, 'XINFO CONSUMERS key group'),
        (1, 'DEL key'), (1, 'COPY key key [REPLACE]'), (1, 'RENAME key key'), (1, 'OBJECT ENCODING key'), (1, 'SET key value'),
    ],
    'sort': [
        (10, 'RPUSH key number number number'), (1, 'RPUSH key oddnumber number'), (3, 'LPOP key small'), (2, 'DEL key'),
        (2, 'SET weight oddnumber'), (4, 'SET weight number'), (4, 'HSET hash (f|g|1) number'), (1, 'HSET hash f oddnumber'),
        (2, 'DEL weight'), (1, 'DEL hash'), (9, 'SORT key %s' % SORT),
        (3, 'SORT_RO key %s' % SORT),
        (3, 'SORT key [ALPHA] [DESC] [BY by] [GET get] [GET get] [STORE key]'), (3, 'SORT key LIMIT spot spot [DESC] [ALPHA]'),
        (3, 'SORT key BY nosort [LIMIT spot spot] [DESC] [STORE key]'), (1, 'SORT key %s (STORE key|JUNK)' % SORT),
        (1, 'LRANGE key 0 -1'), (1, 'EXPIRE key seconds'), (1, 'TTL key'),
        (6, 'SADD {t}set number number number'), (2, 'SREM {t}set number'), (2, 'DEL ({t}set|{t}zset)'),
        (6, 'ZADD {t}zset -1 number 1 number 1 number 2 number'), (2, 'ZREM {t}zset number'),
        (6, 'SORT ({t}set|{t}zset) [ALPHA] [DESC] [GET get] [LIMIT spot spot] [STORE key]'),
        (5, 'SORT ({t}set|{t}zset) BY star [DESC] [GET get] [LIMIT spot spot] [STORE key]'),
        (4, 'SORT {t}zset BY nosort [DESC] [GET get] [LIMIT spot spot] [STORE key]'), (2, 'SORT {t}set BY nosort [DESC] STORE key'),
    ],
    'lists': [
        (12, '(LPUSH|RPUSH) key element'), (8, '(LPUSH|RPUSH) key element element element*'),
        (3, '(LPUSH|RPUSH) key element* element* element* element* element* element* element* element* element* element'),
        (3, '(LPUSHX|RPUSHX) key element (element)*'), (6, '(LPOP|RPOP) key'), (4, '(LPOP|RPOP) key small'), (2, 'LLEN key'),
        (4, 'LRANGE key spot spot'), (3, 'LINDEX key spot'), (4, 'LSET key spot element'),
        (5, 'LINSERT key (BEFORE|AFTER) element element'), (4, 'LREM key spot element'), (1, 'LTRIM key spot spot'),
        (2, 'LTRIM key (0|1|2) (-1|-2|-3)'), (4, 'LPOS key element %s*' % LPOS), (5, 'LMOVE key key (LEFT|RIGHT) (LEFT|RIGHT)'),
        (2, 'RPOPLPUSH key key'), (1, 'LMPOP 1 key (LEFT|RIGHT) [COUNT small]'),
        (2, 'LMPOP 2 key key (LEFT|RIGHT) [COUNT small]'), (1, 'LMPOP spot key key (LEFT|RIGHT|COUNT) [COUNT spot]'),
        (2, 'LRANGE key 0 -1'), (1, 'DEL key'), (1, 'COPY key key [REPLACE]'), (1, 'RENAME key key'), (1, 'OBJECT ENCODING key'),
        (1, 'EXPIRE key seconds'), (1, 'TTL key'), (1, 'SET key value'), (1, 'TYPE key'),
    ],
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
    'hashes': [
        (10, 'HSET key hashfield value'), (6, 'HSET key hashfield value hashfield value [hashfield value]'),
        (1, 'HSET key (hashfield value)* hashfield'), (3, 'HSETNX key hashfield value'),
        (2, 'HMSET key hashfield value (hashfield value)*'), (8, 'HGET key hashfield'),
        (4, 'HMGET key hashfield hashfield*'), (8, 'HDEL key hashfield hashfield*'), (3, 'HLEN key'), (3, 'HSTRLEN key hashfield'),
        (3, 'HEXISTS key hashfield'), (2, 'HKEYS key'), (2, 'HVALS key'), (3, 'HGETALL key'), (8, 'HINCRBY key hashfield int'),
        (5, 'HINCRBYFLOAT key hashfield float'), (1, 'HSET key hashfield int'),
        (4, 'HRANDFIELD key [small [WITHVALUES]]'), (1, 'HRANDFIELD key small WITHVALUES junk'),
        (1, 'HRANDFIELD key 1000 [WITHVALUES]'),
        (3, 'HSCAN key (0|0|0|small) [MATCH pattern] [COUNT 1000]'), (1, 'HSCAN key small [COUNT small] [TYPE hash] [junk]'),
        (2, 'OBJECT ENCODING key'), (1, 'TYPE key'), (1, 'COPY key key [REPLACE]'), (1, 'RENAME key key'), (1, 'DEL key'),
        (1, 'EXPIRE key seconds'), (1, 'PERSIST key'), (1, 'GET key'), (1, 'SET key value'), (1, 'MOVE key db'),
        (1, 'APPEND key value'), (1, 'GETSET key value'), (1, 'SETBIT key offset bit'), (1, 'BITCOUNT key'),
    ],
    'sets': [
        (10, 'SADD key member member*'), (4, 'SADD key member (member member)*'), (7, 'SREM key member member*'),
        (5, 'SISMEMBER key member'), (3, 'SMISMEMBER key member member*'), (3, 'SCARD key'), (3, 'SMEMBERS key'),
        (5, 'SMOVE key key member'), (1, 'SPOP key 0 junk'),
        (3, 'SRANDMEMBER key [small]'), (2, 'SRANDMEMBER key 1000'), (1, 'SRANDMEMBER key 1 junk'),
        (3, 'SSCAN key (0|0|0|small) [MATCH pattern] [COUNT 1000]'), (1, 'SSCAN key small [COUNT small] [TYPE set] [junk]'),
        (4, '(SINTER|SUNION|SDIFF) key key*'), (5, '(SINTERSTORE|SUNIONSTORE|SDIFFSTORE) key key key*'),
        (3, 'SINTERCARD (1|2|2|3|small) key key [key] [LIMIT small]'), (2, 'SINTERCARD 2 key key [LIMIT small]'),
        (2, 'OBJECT ENCODING key'), (1, 'TYPE key'), (1, 'COPY key key [REPLACE]'), (1, 'RENAME key key'), (1, 'DEL key'),
        (1, 'EXPIRE key seconds'), (1, 'PERSIST key'), (1, 'GET key'), (1, 'SET key value'), (1, 'MOVE key db'),
    ],
    'zsets': [
        (12, 'ZADD key score zmember'), (8, 'ZADD key score zmember score zmember (score zmember)*'),
        (8, 'ZADD key [(NX|XX)] [(GT|LT)] [CH] [INCR] score zmember'), (2, 'ZADD key (NX|XX|GT|LT|CH|INCR)* score zmember (score zmember)*'),
        (6, 'ZINCRBY key score zmember'), (8, 'ZREM key zmember zmember*'), (3, 'ZCARD key'), (6, 'ZSCORE key zmember'),
        (3, 'ZMSCORE key zmember zmember*'), (5, '(ZRANK|ZREVRANK) key zmember'), (1, '(ZRANK|ZREVRANK) key zmember WITHSCORE'),
        (4, 'ZCOUNT key scoreend scoreend'), (6, '(ZRANGE|ZREVRANGE) key near near [WITHSCORES]'),
        (4, 'ZRANGE key near near [REV] [WITHSCORES]'), (4, 'ZRANGE key scoreend scoreend BYSCORE [REV] [LIMIT near near] [WITHSCORES]'),
        (2, 'ZRANGE key scoreend scoreend (BYSCORE|REV|LIMIT near near|WITHSCORES)*'), (1, 'ZRANGE lexkey lexend lexend (BYLEX|REV|LIMIT near near|WITHSCORES|BYSCORE)*'),
        (4, '(ZRANGEBYSCORE|ZREVRANGEBYSCORE) key scoreend scoreend [WITHSCORES] [LIMIT near near]'),
        (3, 'ZRANGEBYSCORE key -inf +inf WITHSCORES'), (2, 'ZRANGESTORE key key near near [REV]'),
        (3, 'ZRANGESTORE key key scoreend scoreend BYSCORE [REV] [LIMIT near near]'),
        (2, 'ZREMRANGEBYRANK key near near'), (2, 'ZREMRANGEBYSCORE key scoreend scoreend'),
        (4, 'ZADD lexkey 0 zmember 0 zmember (0 zmember)*'), (2, 'ZREM lexkey zmember zmember*'), (3, 'ZLEXCOUNT lexkey lexend lexend'),
        (3, '(ZRANGEBYLEX|ZREVRANGEBYLEX) lexkey lexend lexend [LIMIT near near]'),
        (3, 'ZRANGE lexkey lexend lexend BYLEX [REV] [LIMIT near near] [WITHSCORES]'),
        (1, 'ZRANGESTORE key lexkey lexend lexend BYLEX'), (1, 'ZREMRANGEBYLEX lexkey lexend lexend'),
        (2, '(ZPOPMIN|ZPOPMAX) key [small]'), (3, 'ZMPOP numkeys key key (MIN|MAX) [COUNT small]'), (1, 'ZMPOP small key (MIN|MAX|COUNT small)*'),
        (2, 'ZRANDMEMBER key [small [WITHSCORES]]'), (1, 'ZRANDMEMBER key 1000 [WITHSCORES]'), (1, 'ZRANDMEMBER key small WITHSCORES junk'),
        (2, 'ZSCAN key (0|0|0|small) [MATCH pattern] [COUNT 1000]'), (1, 'ZSCAN key small [COUNT small] [junk]'),
        (4, '(ZUNION|ZINTER) numkeys key key [WEIGHTS score score] [AGGREGATE (SUM|MIN|MAX)] [WITHSCORES]'),
        (3, '(ZUNIONSTORE|ZINTERSTORE) key numkeys key key [WEIGHTS score score] [AGGREGATE (SUM|MIN|MAX)]'),
        (2, '(ZUNION|ZINTER|ZDIFF) small key key* (WEIGHTS score|AGGREGATE SUM|WITHSCORES)*'), (2, 'ZDIFF numkeys key key [WITHSCORES]'),
        (2, 'ZDIFFSTORE key numkeys key key'), (2, 'ZINTERCARD numkeys key key [LIMIT small]'), (1, '(ZUNION|ZINTER) 3 key key key WITHSCORES'),
        (2, 'OBJECT ENCODING key'), (1, 'COPY key key [REPLACE]'), (1, 'RENAME key key'), (1, 'DEL key'), (1, 'EXPIRE key seconds'),
        (1, 'PERSIST key'), (1, 'GET key'), (1, 'SET key value'), (1, 'MOVE key db'), (2, 'SADD key zmember zmember zmember'),
    ],
    'geo': [
        (10, 'GEOADD key place zmember'), (10, 'GEOADD key [(NX|XX)] [CH] place zmember place zmember (place zmember)*'),
        (1, 'GEOADD key (NX|XX|CH|GT|INCR)* place zmember'), (4, 'GEOPOS key zmember zmember*'), (4, 'GEOHASH key zmember zmember*'),
        (6, 'GEODIST key zmember zmember [(m|km|ft|mi|foo)]'), (2, 'ZSCORE key zmember'), (2, 'ZREM key zmember zmember'),
        (8, 'GEOSEARCH key (FROMLONLAT place|FROMMEMBER zmember) BYRADIUS length [(ASC|DESC)] [COUNT count [ANY]] '
            '[WITHDIST] [WITHHASH] [WITHCOORD]'),
        (8, 'GEOSEARCH key (FROMLONLAT place|FROMMEMBER zmember) BYBOX width length [(ASC|DESC)] [COUNT count [ANY]] '
            '[WITHDIST] [WITHHASH] [WITHCOORD]'),
        (2, 'GEOSEARCH key (FROMLONLAT place|FROMMEMBER zmember|BYRADIUS length|BYBOX width length|ASC|COUNT small|ANY|STOREDIST|WITHDIST)*'),
        (4, 'GEOSEARCHSTORE key key (FROMLONLAT place|FROMMEMBER zmember) (BYRADIUS length|BYBOX width length) [COUNT count ANY] '
            '[STOREDIST]'),
        (5, 'GEORADIUS key place length [WITHDIST] [WITHHASH] [WITHCOORD] [COUNT count [ANY]] [(ASC|DESC)]'),
        (3, 'GEORADIUS key place length [COUNT count ANY] (STORE|STOREDIST) key'),
        (5, 'GEORADIUSBYMEMBER key zmember length [WITHDIST] [WITHCOORD] [COUNT count] [DESC]'),
        (2, 'GEORADIUSBYMEMBER key zmember length [ASC] STOREDIST key'), (1, 'GEORADIUSBYMEMBER key zmember length COUNT count STORE key WITHDIST'),
        (2, 'GEORADIUS_RO key place length [WITHDIST] [COUNT count] [STORE key]'),
        (2, 'GEORADIUSBYMEMBER_RO key zmember length [WITHHASH] [ASC]'), (1, 'ZADD key score zmember'), (1, 'DEL key'),
        (2, 'ZRANGE key 0 -1 WITHSCORES'), (1, 'SET key value'), (1, 'ZADD a 0 zmember 4503599627370495 zmember'),
    ],
    'connection': [
        (2, 'PING [value]'), (2, 'ECHO value'), (2, 'SELECT db'), (1, 'SET key value'), (1, 'GET key'),
        (1, 'CLIENT (GETNAME|SETNAME value|REPLY ON|NO-EVICT (ON|OFF)|HELP)'), (1, 'HELP'),
    ],
    'server': [
        (3, 'SET key value'), (2, 'DBSIZE'), (1, 'FLUSHDB [(SYNC|ASYNC)]'), (1, 'FLUSHALL [(SYNC|ASYNC)]'),
        (2, 'SWAPDB db db'), (2, 'SELECT db'), (2, 'GET key'), (1, 'COMMAND COUNT value'), (1, 'COMMAND GETKEYS GET key'),
        (1, 'COMMAND GETKEYS MSET key value key value'),
    ],
}

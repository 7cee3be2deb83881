"""grammar.py: seeded random commands. A rule (rules.py) is a list of words; a word that names a generator is replaced by
what that makes, [..] is optional, (..|..) is a choice, X* is none to three times X. ; separates commands that
belong together: what chance or a waiting client would leave different is taken away at once."""
import functools
import itertools
import random

import forms
import payload
from rules import RULES
from values import KINDS, Values

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


def names(text):
    """The commands of a rule, in lower case."""
    found = []
    for part in text.split(';'):
        first = part.split()[0]
        found += [name for name in first.strip('()').lower().split('|') if first != 'anycommand']
    return found


SEPARATOR = b';'
NAMES = sorted({name.encode() for family in RULES for _, text in RULES[family] for name in names(text)
                if family not in ('connection', 'server')} - {b'zrank', b'zrevrank', b'wait', b'client'})  # other rows since 7.2


class Grammar:
    """Commands of some families, the same ones for the same seed. With a clock (a function that tells ms) expiries are near
    and may be reached; without one none is reached while two servers answer."""

    def __init__(self, seed, families, clock=None, known=None):
        self.random = random.Random(seed)
        self.clock = clock
        self.first_key = None
        self.names = [name for name in NAMES if known is None or name.decode() in known]
        wanted = [(weight, text) for family in families for weight, text in RULES[family]
                  if known is None or set(names(text)) <= known]
        self.rules = [compiled(text) for _, text in wanted]
        self.weights = list(itertools.accumulate(weight for weight, _ in wanted))
        self.single = [compiled(text) for _, text in wanted if ';' not in text and 'anycommand' not in text]

    def commands(self):
        """The commands of one rule: nearly always one."""
        self.first_key = None
        words = []
        self.random.choices(self.rules, cum_weights=self.weights)[0](self, words)
        if SEPARATOR in words:
            return [list(part) for is_end, part in itertools.groupby(words, lambda word: word is SEPARATOR) if not is_end]
        if self.random.random() < 0.02 and not words[1:2][:1] in ([b'{t}l1'], [b'{t}l2']):
            self.spoil(words)
        return [words]

    def command(self):
        """One that stands alone."""
        self.first_key = None
        words = self.make_anycommand()
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
            words[i] = self.random.choice([self.make_oddnumber(), self.random.choice(VALUES)])

    def make_key(self):
        key = OTHER_TYPE_KEY
        if self.random.random() > 0.04:
            key = self.random.choice(KEYS[:5] if self.random.random() < 0.8 else KEYS)
        if self.first_key is None:
            self.first_key = key
        return key

    def make_same(self):
        """The first key of the rule again."""
        return self.first_key

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
        return b'%d' % (self.random.randint(1, 20) if self.near() else self.random.randint(10 ** 4, 10 ** 6))

    def near(self):
        return self.clock and self.random.random() < 0.5

    def make_millis(self):
        if self.random.random() < 0.15:
            return self.make_seconds()
        return b'%d' % (self.random.randint(1, 9000) if self.near() else self.random.randint(10 ** 7, 10 ** 9))

    def make_unixseconds(self):
        if self.random.random() < 0.15:
            return self.random.choice([b'1', b'0', b'-1', b'1000000000', b'9223372036854776', b'y'])
        if self.near():
            return b'%d' % (self.clock() // 1000 + self.random.randint(-2, 20))
        return b'%d' % self.random.randint(4 * 10 ** 9, 6 * 10 ** 9)

    def make_unixmillis(self):
        if self.random.random() < 0.15:
            return self.random.choice([b'1', b'0', b'-1', b'1000000000000', b'9223372036854775807', b'z'])
        if self.near():
            return b'%d' % (self.clock() + self.random.randint(-1000, 9000))
        return b'%d' % self.random.randint(4 * 10 ** 12, 6 * 10 ** 12)

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
            return self.random.choice([b'181 0', b'0 86', b'x 1', b'1 x', b'nan 1', b'-180.1 85.06']).split()
        if self.random.random() < 0.5:
            return self.random.choice(PLACES)
        return [b'%.6f' % self.random.uniform(-180, 180), b'%.6f' % self.random.uniform(-85, 85)]

    def make_length(self):
        if self.random.random() < 0.04:
            return self.random.choice([b'-1 m', b'x km', b'1 foo', b'0 m', b'1']).split()
        return [b'%.3f' % (10 ** self.random.uniform(0, 4.4)), self.random.choice([b'km', b'km', b'km', b'mi', b'KM', b'm', b'ft'])]

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
        self.steps = getattr(self, 'steps', 0) + self.random.choice([0, 0, 0, 1])
        if self.random.random() < 0.1:
            return self.make_id()
        return self.random.choice([b'%d-*' % (self.steps // 8), b'%d-%d' % divmod(self.steps, 8), b'%d' % (self.steps // 8)])

    def make_auto(self):
        return b'*'

    def make_startid(self):
        return self.random.choice([b'-', b'-', b'0', b'(' + self.make_id(), self.make_id()])

    def make_endid(self):
        return self.random.choice([b'+', b'+', b'(' + self.make_id(), self.make_id()])

    def make_group(self):
        return self.random.choice([b'g', b'g', b'g', b'h', b'', b'group with blank'])

    def make_consumer(self):
        return self.random.choice([b'c', b'c', b'd', b'e', b'', b'c' * 30])

    def make_elements(self):
        """Names of a batch, so that values become sparse, full and dense: many registers at once."""
        return b'%d' % self.random.randrange(10 ** self.random.randrange(1, 7))

    def make_collection(self):
        """A payload of a form that redis-server 7.0 knows, sound; without long elements, which Redis leaves in listpacks
        that come with them."""
        _, made = getattr(Values(self.random, 18), self.random.choice(KINDS))()
        form, body = self.random.choice([m for m in made if m[0] not in forms.NEW])
        return payload.sound(bytes([form]) + body)

    def make_payload(self):
        return payload.payload(self.random, self.make_value() * self.random.choice([1, 1, 1, 3, 30]))

    def make_anycommand(self):
        """Another command of these families."""
        words = []
        self.random.choice(self.single)(self, words)
        return words

    def make_name(self):
        """Of a command, maybe of one that there is not."""
        name = self.random.choice(self.names) if self.random.random() < 0.95 else self.random.choice(VALUES)
        return name.upper() if self.random.random() < 0.3 else name

    def make_timeout(self):
        if self.random.random() < 0.1:
            return self.random.choice([b'-1', b'x', b'', b'1e400', b'nan', b'9223372036854775807', b'inf'])
        return self.random.choice([b'0.01', b'0.5', b'1', b'1e-3', b'0x1'] if self.clock else [b'0.01', b'1e-3'])

    def make_small(self):
        return self.random.choice([b'0', b'1', b'2', b'4', b'-1', b'x', b'1000'])


@functools.lru_cache(None)
def compiled(text):
    """The text of a rule as a function of a grammar and a list, to which it appends words."""
    for mark in '[]()|;':
        text = text.replace(mark, ' %s ' % mark)
    tokens = text.split()
    make, rest = sequence(tokens, 0)
    assert rest == len(tokens), text
    return make


def sequence(tokens, i):
    parts = []
    while i < len(tokens) and tokens[i] not in (']', ')', '|'):
        if tokens[i] == '[':
            body, i = sequence(tokens, i + 1)
            make = optional(body)
        elif tokens[i] == '(':
            branches = []
            while tokens[i] != ')':
                body, i = sequence(tokens, i + 1)
                branches.append(body)
            make = choice(branches)
        else:
            make = word(tokens[i].rstrip('*') or '*')
            if tokens[i].endswith('*'):
                make = many(make)
        i += 1
        if i < len(tokens) and tokens[i] == '*':
            make = many(make)
            i += 1
        parts.append(make)

    def all_of(grammar, words):
        for part in parts:
            part(grammar, words)
    return (parts[0] if len(parts) == 1 else all_of), i


def word(text):
    if text == ';':
        return lambda grammar, words: words.append(SEPARATOR)
    name = 'make_' + text
    if text in ('place', 'length', 'anycommand'):
        return lambda grammar, words: words.extend(getattr(grammar, name)())
    if text.islower() and hasattr(Grammar, name):
        return lambda grammar, words: words.append(getattr(grammar, name)())
    upper, lower = text.encode(), text.lower().encode()
    return lambda grammar, words: words.append(lower if grammar.random.random() < 0.2 else upper)


def choice(branches):
    return lambda grammar, words: grammar.random.choice(branches)(grammar, words)


def optional(body):
    return lambda grammar, words: body(grammar, words) if grammar.random.random() < 0.4 else None


def many(body):
    def some(grammar, words):
        for _ in range(grammar.random.randrange(4)):
            body(grammar, words)
    return some

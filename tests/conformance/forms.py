"""forms.py: collections in every form that RDB files have had, made by hand: what redis-server of any version may send,
and the same damaged. https://rdb.fnordig.de/file_format.html, Redis' rdb.c, listpack.c, ziplist.c, zipmap.c, intset.c"""
import struct

from payload import length, lzf

LIST, SET, ZSET, HASH, ZSET_2 = 1, 2, 3, 4, 5
HASH_ZIPMAP, LIST_ZIPLIST, SET_INTSET, ZSET_ZIPLIST, HASH_ZIPLIST, LIST_QUICKLIST, STREAM = 9, 10, 11, 12, 13, 14, 15
HASH_LISTPACK, ZSET_LISTPACK, LIST_QUICKLIST_2, STREAM_2, SET_LISTPACK, STREAM_3 = 16, 17, 18, 19, 20, 21
HASH_METADATA, HASH_LISTPACK_EX = 24, 25
NEW = (SET_LISTPACK, STREAM_3) # 7.2's


def number(text):
    """The integer that a text is the canonical form of, or None."""
    if len(text) > 20 or not text.lstrip(b'-').isdigit():
        return None
    value = int(text)
    return value if b'%d' % value == text and -2 ** 63 <= value < 2 ** 63 else None


def signed(value, size):
    return value.to_bytes(size, 'little', signed=True)


# -- packed forms

def listpack_element(text):
    value = number(text)
    if value is None:
        n = len(text)
        head = bytes([0x80 | n]) if n < 64 else bytes([0xe0 | n >> 8, n & 255]) if n < 4096 else b'\xf0' + struct.pack('<I', n)
        body = head + text
    elif 0 <= value < 128:
        body = bytes([value])
    elif -4096 <= value < 4096:
        body = bytes([0xc0 | value >> 8 & 31, value & 255])
    else:
        size = next(s for s in (2, 3, 4, 8) if -2 ** (8 * s - 1) <= value < 2 ** (8 * s - 1))
        body = bytes([{2: 0xf1, 3: 0xf2, 4: 0xf3, 8: 0xf4}[size]]) + signed(value, size)
    n, back = len(body), []
    bytes_back = 1 + sum(n >= most for most in (128, 16383, 2097151, 268435455))
    for i in range(bytes_back):
        back.insert(0, (n >> 7 * i & 127) | (128 if i + 1 < bytes_back else 0))
    return body + bytes(back)


def listpack(elements, count=None):
    body = b''.join(map(listpack_element, elements))
    return struct.pack('<IH', len(body) + 7, min(len(elements) if count is None else count, 65535)) + body + b'\xff'


def ziplist_value(text):
    value = number(text)
    if value is None:
        n = len(text)
        head = bytes([n]) if n < 64 else bytes([0x40 | n >> 8, n & 255]) if n < 16384 else b'\x80' + n.to_bytes(4, 'big')
        return head + text
    if 0 <= value <= 12:
        return bytes([0xf1 + value])
    size = next(s for s in (1, 2, 3, 4, 8) if -2 ** (8 * s - 1) <= value < 2 ** (8 * s - 1))
    return {1: b'\xfe', 2: b'\xc0', 3: b'\xf0', 4: b'\xd0', 8: b'\xe0'}[size] + signed(value, size)


def ziplist(elements, count=None):
    body, previous, tail = b'', 0, 10
    for text in elements:
        tail = 10 + len(body)
        entry = (bytes([previous]) if previous < 254 else b'\xfe' + struct.pack('<I', previous)) + ziplist_value(text)
        body += entry
        previous = len(entry)
    n = min(len(elements) if count is None else count, 65535)
    return struct.pack('<IIH', len(body) + 11, tail, n) + body + b'\xff'


def zipmap(elements, count=None):
    body = b''
    for i, text in enumerate(elements):
        size = bytes([len(text)]) if len(text) < 254 else b'\xfe' + struct.pack('<I', len(text))
        spare = len(text) % 3 if i % 2 else 0
        body += size + (bytes([spare]) if i % 2 else b'') + text + b'\0' * spare
    n = len(elements) // 2 if count is None else count
    return bytes([min(n, 254)]) + body + b'\xff'


def intset(numbers, count=None):
    widest = max(map(abs, numbers), default=0)
    size = 2 if widest < 2 ** 15 else 4 if widest < 2 ** 31 else 8
    return struct.pack('<II', size, len(numbers) if count is None else count) + b''.join(signed(v, size) for v in sorted(numbers))


# -- bodies: a type's byte and what follows

def string(text, random):
    """In any form that says the same."""
    if text and random.random() < 0.2:
        packed = lzf(text)
        return b'\xc3' + length(len(packed)) + length(len(text)) + packed
    value = number(text)
    if value is not None and abs(value) < 2 ** 31 and random.random() < 0.7:
        size = next(s for s in (1, 2, 4) if -2 ** (8 * s - 1) <= value < 2 ** (8 * s - 1))
        return {1: b'\xc0', 2: b'\xc1', 4: b'\xc2'}[size] + signed(value, size)
    return length(len(text), random.choice([None, None, 14, 32]) if len(text) < 16384 else None) + text


def old_score(score):
    if score in (float('inf'), float('-inf')):
        return b'\xfe' if score > 0 else b'\xff'
    text = b'%.17g' % score
    return bytes([len(text)]) + text


def strings(elements, random):
    return b''.join(string(e, random) for e in elements)


def flat(pairs):
    return [word for pair in pairs for word in pair]


def score_text(score):
    return b'%d' % score if abs(score) < 2 ** 62 and score == int(score) else b'%.17g' % score


def pieces(elements, random):
    """Cut into nodes."""
    at = 0
    while at < len(elements):
        n = random.randint(1, 40)
        yield elements[at:at + n]
        at += n


def hash_forms(pairs, random):
    words = flat(pairs)
    yield HASH, length(len(pairs)) + strings(words, random)
    yield HASH_ZIPMAP, string(zipmap(words), random)
    yield HASH_ZIPLIST, string(ziplist(words), random)
    yield HASH_LISTPACK, string(listpack(words), random)


def timed_hash_forms(rows, random):
    """7.4's. rows: (field, value, time in ms or 0)."""
    soonest = min(time for _, _, time in rows if time)
    yield HASH_METADATA, struct.pack('<Q', soonest) + length(len(rows)) + b''.join(
        length(time - soonest + 1 if time else 0) + string(field, random) + string(value, random) for field, value, time in rows)
    yield HASH_LISTPACK_EX, struct.pack('<Q', soonest) + string(
        listpack([word for field, value, time in rows for word in (field, value, b'%d' % time)]), random)


def set_forms(members, random):
    yield SET, length(len(members)) + strings(members, random)
    yield SET_LISTPACK, string(listpack(members), random)
    numbers = list(map(number, members))
    if None not in numbers:
        yield SET_INTSET, string(intset(numbers), random)


def zset_forms(pairs, random):
    texts = flat((member, score_text(score)) for member, score in sorted(pairs, key=lambda p: (p[1], p[0])))
    yield ZSET, length(len(pairs)) + b''.join(string(m, random) + old_score(s) for m, s in pairs)
    yield ZSET_2, length(len(pairs)) + b''.join(string(m, random) + struct.pack('<d', s) for m, s in pairs)
    yield ZSET_ZIPLIST, string(ziplist(texts), random)
    yield ZSET_LISTPACK, string(listpack(texts), random)


def list_forms(elements, random):
    nodes = list(pieces(elements, random))
    yield LIST, length(len(elements)) + strings(elements, random)
    yield LIST_ZIPLIST, string(ziplist(elements), random)
    yield LIST_QUICKLIST, length(len(nodes)) + b''.join(string(ziplist(n), random) for n in nodes)
    mixed = [(b'\x01' + string(n[0], random)) if len(n) == 1 and n[0] else (b'\x02' + string(listpack(n), random)) for n in nodes]
    yield LIST_QUICKLIST_2, length(len(nodes)) + b''.join(mixed)


def stream_node(entries):
    """entries: (ms, seq, fields and values, deleted)."""
    first = entries[0]
    fields = first[2][::2]
    live = [e for e in entries if not e[3]]
    words = [len(live), len(entries) - len(live), len(fields)] + fields + [0]
    for ms, seq, pairs, deleted in entries:
        same = pairs[::2] == fields
        words += [(2 if same else 0) + deleted, ms - first[0], seq - first[1]]
        words += pairs[1::2] if same else [len(pairs) // 2] + pairs
        words += [len(pairs) // 2 + 3 if same else len(pairs) + 4]
    return (first[0] << 64 | first[1]).to_bytes(16, 'big'), listpack([w if isinstance(w, bytes) else b'%d' % w for w in words])


def long(value):
    return length(value, 64) if value >= 2 ** 32 else length(value)


def stream_forms(entries, groups, random):
    """groups: (name, last, entries_read, {consumer: [(id, delivered, deliveries)]})."""
    nodes = [stream_node(n) for n in pieces(entries, random)]
    live = [e for e in entries if not e[3]]
    last = entries[-1][:2] if entries else (0, 0)
    first = live[0][:2] if live else (0, 0)
    gone = max((e[:2] for e in entries if e[3]), default=(0, 0))
    for form in (STREAM, STREAM_2, STREAM_3):
        body = length(sum(1 for k, n in nodes)) + b''.join(string(k, random) + string(n, random) for k, n in nodes)
        body += long(len(live)) + long(last[0]) + long(last[1])
        if form != STREAM:
            body += b''.join(map(long, first + gone)) + long(len(entries))
        body += length(len(groups))
        for name, delivered, read, consumers in groups:
            pending = sorted(p for owned in consumers.values() for p in owned)
            body += string(name, random) + long(delivered[0]) + long(delivered[1])
            body += long(read % 2 ** 64) if form != STREAM else b''
            body += length(len(pending)) + b''.join(struct.pack('>QQ', *i) + struct.pack('<q', t) + length(n) for i, t, n in pending)
            body += length(len(consumers))
            for consumer, owned in sorted(consumers.items()):
                body += string(consumer, random) + struct.pack('<q', 1700000000000)
                body += struct.pack('<q', 1700000000001) if form == STREAM_3 else b''
                body += length(len(owned)) + b''.join(struct.pack('>QQ', *i) for i, t, n in sorted(owned))
        yield form, body


# -- damage: what both servers must refuse, or take alike

def damaged(form, body, random):
    """Type, body, and whether it may end too early: what the end of a payload reads as there is chance."""
    kind = random.randrange(8)
    if kind == 0:
        return form, body[:random.randrange(len(body) + 1)], True
    if kind == 1: # a length that promises more
        return form, length(random.choice([0, 1, 2, 2 ** 16])) + body[1:], True
    if kind == 2:
        return random.choice([6, 7, 8, 22, 99, 255]), body, False
    words = [b'a', b'1', b'a', b'2'] if kind == 3 else [] if kind == 4 else [b'a', b'1', b'b']
    pack = random.choice([listpack, ziplist])(words)
    if kind == 6:
        pack = random.choice([listpack, ziplist])([b'a', b'1', b'b', b'2'], random.choice([0, 2, 3, 5, 7]))
    if kind == 7:
        pack = bytearray(random.choice([listpack, ziplist])([b'abc', b'12345', b'x' * 70, b'-1']))
        pack[random.randrange(len(pack))] ^= 1 << random.randrange(8)
    forms = [HASH_LISTPACK, ZSET_LISTPACK] if pack[4:6] != b'\x0a\x00' else [HASH_ZIPLIST, ZSET_ZIPLIST]
    return random.choice(forms), string(bytes(pack), random), False

"""dumps.py: reads DUMP payloads of version 10, for where two servers have one value in two orders: what the value is,
without the order of a table, the cuts of a list, the tombstones of a stream and the times of its consumers."""
import struct

import forms


class Input:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, n):
        part = self.data[self.at:self.at + n]
        if len(part) < n:
            raise ValueError('cut off')
        self.at += n
        return part

    def length(self):
        first = self.take(1)[0]
        if first >> 6 == 0:
            return first & 63
        if first >> 6 == 1:
            return (first & 63) << 8 | self.take(1)[0]
        if first >> 6 == 2:
            return int.from_bytes(self.take(8 if first & 1 else 4), 'big')
        return -1 - (first & 63)

    def string(self):
        n = self.length()
        if n >= 0:
            return self.take(n)
        if n >= -3:
            return b'%d' % int.from_bytes(self.take(1 << (-1 - n)), 'little', signed=True)
        packed, size = self.length(), self.length()
        text = unpacked(self.take(packed))
        if len(text) != size:
            raise ValueError('LZF of another length')
        return text


def unpacked(data):
    out, i = bytearray(), 0
    while i < len(data):
        control = data[i]
        i += 1
        if control < 32:
            out += data[i:i + control + 1]
            i += control + 1
            continue
        count = control >> 5
        if count == 7:
            count += data[i]
            i += 1
        back = (control & 31) << 8 | data[i]
        i += 1
        for _ in range(count + 2):
            out.append(out[-1 - back])
    return bytes(out)


def listpack(data):
    """Elements, as texts."""
    out, at = [], 6
    while data[at] != 0xff:
        first = data[at]
        if first < 0x80:
            size, value = 1, b'%d' % first
        elif first < 0xc0:
            size, value = 1 + (first & 63), data[at + 1:at + 1 + (first & 63)]
        elif first < 0xe0:
            number = (first & 31) << 8 | data[at + 1]
            size, value = 2, b'%d' % (number - 8192 if number >= 4096 else number)
        elif first < 0xf0:
            n = (first & 15) << 8 | data[at + 1]
            size, value = 2 + n, data[at + 2:at + 2 + n]
        elif first == 0xf0:
            n = struct.unpack('<I', data[at + 1:at + 5])[0]
            size, value = 5 + n, data[at + 5:at + 5 + n]
        else:
            n = {0xf1: 2, 0xf2: 3, 0xf3: 4, 0xf4: 8}[first]
            size, value = 1 + n, b'%d' % int.from_bytes(data[at + 1:at + 1 + n], 'little', signed=True)
        out.append(value)
        at += size + 1 + sum(size >= most for most in (128, 16383, 2097151, 268435455))
    return out


def entries_of(key, words):
    first = struct.unpack('>QQ', key)
    numbers = iter(words)
    live, _, n = (int(next(numbers)) for _ in range(3))
    fields = [next(numbers) for _ in range(n)]
    next(numbers)
    out = []
    for flags in numbers:
        ms, seq = int(next(numbers)), int(next(numbers))
        if int(flags) & 2:
            pairs = [word for field in fields for word in (field, next(numbers))]
        else:
            pairs = [next(numbers) for _ in range(2 * int(next(numbers)))]
        next(numbers)
        if not int(flags) & 1:
            out.append((first[0] + ms, first[1] + seq, pairs))
    if len(out) != live:
        raise ValueError('another number of entries')
    return out


def group_of(data):
    name, last, read = data.string(), (data.length(), data.length()), data.length()
    pending, consumers = [], []
    for _ in range(data.length()):
        entry = data.take(16)
        data.take(8)
        pending.append((entry, data.length()))
    for _ in range(data.length()):
        consumer = data.string()
        data.take(8)
        owned = [data.take(16) for _ in range(data.length())]
        if owned: # 7.2 makes a consumer where 7.0 does not, when there is nothing to read
            consumers.append((consumer, owned))
    return name, last, read, pending, consumers


def empty_nodes(payload):
    """How many nodes of a stream have only deleted entries."""
    data = Input(payload[1:-10])
    return sum(not entries_of(data.string(), listpack(data.string())) for _ in range(data.length()))


def stream(data):
    entries = [e for _ in range(data.length()) for e in entries_of(data.string(), listpack(data.string()))]
    facts = [data.length() for _ in range(8)]
    if not entries:
        facts[3:5] = [0, 0]  # the ID of the first entry: Redis has 2^64-1 where a node is left, with deleted ones alone
    return entries, facts, [group_of(data) for _ in range(data.length())]


def quicklist(data):
    out = []
    for _ in range(data.length()):
        plain = data.length() == 1
        out += [data.string()] if plain else listpack(data.string())
    return out


def value(payload):
    """What may be compared with ==; payloads of other types as they are."""
    data = Input(payload[:-10])
    form = data.take(1)[0]
    if form == forms.SET:
        return 'set', sorted(data.string() for _ in range(data.length()))
    if form == forms.HASH:
        return 'hash', sorted((data.string(), data.string()) for _ in range(data.length()))
    if form == forms.HASH_LISTPACK:
        words = listpack(data.string())
        return 'hash', sorted(zip(words[::2], words[1::2]))
    if form == forms.LIST_QUICKLIST_2:
        return 'list', quicklist(data)
    if form == forms.STREAM_2:
        return 'stream', stream(data)
    return form, payload

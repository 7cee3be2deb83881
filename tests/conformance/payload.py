"""payload.py: DUMP payloads made by hand, for RESTORE: every form a string can have, and damaged ones."""


def crc_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = (i >> 1) ^ (0x95ac9329ac4bc9b5 if i & 1 else 0)
        table.append(i)
    return table


CRC = crc_table()


def crc64(data):
    crc = 0
    for byte in data:
        crc = CRC[(crc ^ byte) & 0xff] ^ (crc >> 8)
    return crc


def length(n, form=None):
    """A length in the shortest form, or in a longer one that says the same."""
    if form is None:
        form = 6 if n < 64 else 14 if n < 16384 else 32
    return {6: lambda: bytes([n & 63]), 14: lambda: ((n & 0x3fff) | 0x4000).to_bytes(2, 'big'),
            32: lambda: b'\x80' + n.to_bytes(4, 'big'), 64: lambda: b'\x81' + n.to_bytes(8, 'big')}[form]()


def lzf(text):
    """LZF by hand: runs of one byte as a literal and a reference, everything else as literals."""
    out, i = b'', 0
    while i < len(text):
        run = 1
        while i + run < len(text) and text[i + run] == text[i] and run < 265:
            run += 1
        if run > 10:
            out += bytes([0, text[i], 7 << 5, run - 1 - 9, 0])
            i += run
        else:
            part = text[i:i + min(run, 32)]
            out += bytes([len(part) - 1]) + part
            i += len(part)
    return out


def string(random, value):
    """A string's body in one of its forms."""
    form = random.randrange(8)
    if form == 0:
        return b'\xc0' + random.randbytes(1)
    if form == 1:
        return b'\xc1' + random.randbytes(2)
    if form == 2:
        return b'\xc2' + random.randbytes(4)
    if form == 3 and value:
        packed = lzf(value)
        return b'\xc3' + length(len(packed)) + length(len(value)) + packed
    return length(len(value), random.choice([None, None, 14, 32, 64])) + value


def damage(random, body):
    """What both servers must refuse, or read alike: nothing that reads a few bytes beyond the value."""
    kind = random.randrange(6)
    if kind == 0:
        return body + random.randbytes(random.randrange(5)) # what follows the value is nobody's
    if kind == 1:
        return b'\x00' + length(10 ** random.randrange(3, 9), 32) + b'short'
    if kind == 2:
        return b'\x00' + bytes([random.choice([0xc4, 0xff, 0x82, 0xbf])]) + bytes(12)
    if kind == 3:
        return b'\x00\xc3' + length(5) + length(random.choice([1000, 10 ** 6, 0])) + b'\x04abcd'
    if kind == 4:
        return b'\x00\xc3' + length(3) + length(20) + bytes([0xe0, 11, 200]) # a reference before the beginning
    return bytes([random.choice([22, 99, 255])]) + bytes(10)


def sound(body):
    """With version 10 and its checksum."""
    body += (10).to_bytes(2, 'little')
    return body + crc64(body).to_bytes(8, 'little')


def payload(random, value):
    body = b'\x00' + string(random, value)
    if random.random() < 0.25:
        body = damage(random, body)
    version = random.choice([10, 10, 10, 9, 1, 0]) if random.random() < 0.95 else random.choice([13, 256, 65535])
    body += version.to_bytes(2, 'little')
    crc = crc64(body) ^ (1 << random.randrange(64) if random.random() < 0.05 else 0)
    return body + crc.to_bytes(8, 'little')

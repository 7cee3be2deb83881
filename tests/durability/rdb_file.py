"""Writes RDB files as old and other servers did: every encoding from version 1 to Valkey's 80, a record at a time."""
import struct

POLY = 0x95AC9329AC4BC9B5
TABLE = []
for i in range(256):
    c = i
    for _ in range(8):
        c = c >> 1 ^ (POLY if c & 1 else 0)
    TABLE.append(c)


def crc64(data):
    crc = 0
    for byte in data:
        crc = TABLE[(crc ^ byte) & 255] ^ crc >> 8
    return crc


def length(n):
    if n < 64:
        return bytes([n])
    if n < 16384:
        return bytes([0x40 | n >> 8, n & 255])
    return b"\x80" + struct.pack(">I", n) if n < 1 << 32 else b"\x81" + struct.pack(">Q", n)


def string(s):
    s = s if isinstance(s, bytes) else str(s).encode()
    return length(len(s)) + s


def integer(n):
    """A number as a string of 8, 16 or 32 bits."""
    for kind, code, most in ((0, "<b", 7), (1, "<h", 15), (2, "<i", 31)):
        if -(1 << most) <= n < 1 << most:
            return bytes([0xC0 | kind]) + struct.pack(code, n)
    raise ValueError(n)


def lzf(plain):
    """Packed by literals alone, which is LZF too."""
    out = b"".join(bytes([len(plain[i:i + 32]) - 1]) + plain[i:i + 32] for i in range(0, len(plain), 32))
    return b"\xc3" + length(len(out)) + length(len(plain)) + out


def ziplist(*elements):
    body, before, last = b"", 0, 10
    for e in elements:
        if isinstance(e, int):
            for code, fmt, bits in ((0xFE, "<b", 7), (0xC0, "<h", 15), (0xD0, "<i", 31), (0xE0, "<q", 63)):
                if -(1 << bits) <= e < 1 << bits:
                    data = bytes([0xF1 + e]) if 0 <= e <= 12 else bytes([code]) + struct.pack(fmt, e)
                    break
        else:
            e = e.encode() if isinstance(e, str) else e
            n = len(e)
            data = (bytes([n]) if n < 64 else bytes([0x40 | n >> 8, n & 255]) if n < 16384 else b"\x80" + struct.pack(">I", n)) + e
        item = (bytes([before]) if before < 254 else b"\xfe" + struct.pack("<I", before)) + data
        last = 10 + len(body)
        body += item
        before = len(item)
    return struct.pack("<IIH", len(body) + 11, last, len(elements)) + body + b"\xff"


def listpack(*elements):
    body = b""
    for e in elements:
        if isinstance(e, int):
            data = bytes([e]) if 0 <= e < 128 else b"\xf4" + struct.pack("<q", e)
        else:
            e = e.encode() if isinstance(e, str) else e
            data = (bytes([0x80 | len(e)]) if len(e) < 64 else bytes([0xE0 | len(e) >> 8, len(e) & 255])) + e
        n, back = len(data), []
        while True:
            back.insert(0, n & 127)
            n >>= 7
            if not n:
                break
        body += data + bytes([b | (128 if i else 0) for i, b in enumerate(back)])
    return struct.pack("<IH", len(body) + 7, len(elements)) + body + b"\xff"


def zipmap(pairs):
    out = bytes([len(pairs)])
    for field, value in pairs:
        out += bytes([len(field)]) + field + bytes([len(value), 0]) + value
    return out + b"\xff"


def intset(width, *numbers):
    code = {2: "<h", 4: "<i", 8: "<q"}[width]
    return struct.pack("<II", width, len(numbers)) + b"".join(struct.pack(code, n) for n in numbers)


def stream(form, entries, groups=b"\0"):
    """Entries of one field: ((ms, seq), field, value) ..."""
    (ms, seq), field, _ = entries[0]
    items = [len(entries), 0, 1, field, 0]
    for (m, s), _, value in entries:
        items += [2, m - ms, s - seq, value, 4]
    out = length(1) + string(struct.pack(">QQ", ms, seq)) + string(listpack(*items))
    last = entries[-1][0]
    out += length(len(entries)) + length(last[0]) + length(last[1])
    if form >= 2:
        out += length(ms) + length(seq) + length(0) + length(0) + length(len(entries))
    return out + groups


class File:
    def __init__(self, version=10, magic=b"REDIS"):
        self.version, self.data = version, magic + str(version).encode().rjust(9 - len(magic), b"0")

    def put(self, data):
        self.data += data
        return self

    def select(self, db):
        return self.put(b"\xfe" + length(db))

    def aux(self, name, value):
        return self.put(b"\xfa" + string(name) + string(value))

    def key(self, name, kind, value, ms=None, seconds=None, idle=None, freq=None):
        if ms is not None:
            self.put(b"\xfc" + struct.pack("<q", ms))
        if seconds is not None:
            self.put(b"\xfd" + struct.pack("<i", seconds))
        if idle is not None:
            self.put(b"\xf8" + length(idle))
        if freq is not None:
            self.put(b"\xf9" + bytes([freq]))
        return self.put(bytes([kind]) + (name if isinstance(name, bytes) and name[:1] >= b"\xc0" else string(name)) + value)

    def end(self, summed=True):
        self.put(b"\xff")
        if self.version >= 5:
            self.put(struct.pack("<Q", crc64(self.data) if summed else 0))
        return self.data

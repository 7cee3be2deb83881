#!/usr/bin/python3
"""seeds.py FOLDER: first inputs for the fuzzers, so that a run begins inside connections and not at random bytes.
The operations are those of fuzz_box.c, in its order. What a run adds is kept in corpus/ (see README.md)."""
import pathlib
import random
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "conformance"))
import forms  # noqa: E402

OPEN, REQUEST, DATA, STRAY, OPTIONS, SACK, FIN, RESET, TIME, MANNER, RAW, PACKET, NEIGHBOUR, ERROR, FRAGMENTS = range(15)
GET_LONG = 5
LONG = bytes([OPEN, 0, 0, REQUEST, 0, 3])  # a connection, and a key of 70 000 bytes

BOX = {
    "requests": bytes([OPEN, 0, 0, REQUEST, 0, 0, REQUEST, 0, 2, REQUEST, 0, 1, TIME, 20, FIN, 0, TIME, 50]),
    "wrap": bytes([OPEN, 0, 1]) + bytes([REQUEST, 0, 2]) * 12 + bytes([RESET, 0, 0]),
    "sack": LONG + bytes([MANNER, 0, 0, REQUEST, 0, GET_LONG, SACK, 0, 1, 20, 10, 40, 15, TIME, 12, SACK, 0, 0, 10, 30, TIME, 14]),
    "rto": LONG + bytes([MANNER, 0, 0, REQUEST, 0, GET_LONG]) + bytes([TIME, 0x91]) * 8 + bytes([MANNER, 0, 9, TIME, 16]),
    "zero-window": LONG + bytes([MANNER, 0, 3, REQUEST, 0, GET_LONG, TIME, 0x91, TIME, 0x91, MANNER, 0, 7, 255, 255, TIME, 16]),
    "out-of-order": bytes([OPEN, 0, 0]) + b"".join(bytes([STRAY, 0, 16, shift, 0, 5]) for shift in (60, 30, 90, 1, 20)) + bytes([TIME, 40]),
    "strays": bytes([OPEN, 0, 0]) + b"".join(bytes([STRAY, 0, flags, 0xb0, 3, 1]) for flags in (1, 2, 4, 3, 6, 16, 17, 18, 20, 63)),
    "options": bytes([OPEN, 0, 0, OPTIONS, 0, 16, 0, 0, 12, 1, 1, 8, 10, 0, 0, 9, 9, 0, 0, 0, 1, OPTIONS, 0, 16, 0, 0, 3, 253, 1, 0]),
    "plain": bytes([OPEN, 0, 8, REQUEST, 0, 0, FIN, 0, RESET, 0, 0]),
    "six": bytes([OPEN, 3, 0, REQUEST, 3, 0, ERROR, 3, 1, 0, 5, 0, 0, FIN, 3, TIME, 40]),
    "too-big": LONG + bytes([MANNER, 0, 0, REQUEST, 0, GET_LONG, ERROR, 0, 0, 4, 2, 64, 0, TIME, 20, ERROR, 0, 128, 4, 5, 0, 10]),
    "fragments": bytes([OPEN, 0, 0]) + b"".join(bytes([FRAGMENTS, how, 1]) for how in (0, 9, 0x1a, 0x2c)) + bytes([TIME, 0x91]),
    "neighbours": b"".join(bytes([NEIGHBOUR, how]) for how in (0, 1, 2, 0x12, 0x32, 0x52, 0x72)) + bytes([NEIGHBOUR, 5, 30, 9]),
    "echo": bytes([PACKET, 2, 0, 0, 0, 12, 8, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4, PACKET, 3, 0, 1, 0, 12, 128, 0, 0, 0, 0, 1, 0, 1, 1, 2, 3, 4]),
    "extensions": bytes([PACKET, 3, 0, 4, 0, 16, 59, 0, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, PACKET, 3, 0, 3, 0, 8, 6, 0, 0, 0, 0, 0, 0, 1]),
    "raw": bytes([RAW, 0, 59]) + bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 8, 0, 0x45]) + bytes(45),
    "half-open": bytes([OPEN, 0, 0, OPEN, 0, 0, OPEN, 1, 0, DATA, 1, 9]) + b"*1\r\n$9\r\nx" + bytes([TIME, 49]),
}
TCP_HEADER = {
    "syn": bytes.fromhex("4e2018eb000003e800000000a002fffe00000000" "020405b40402080a00000001000000000103030a"),
    "sack": bytes.fromhex("4e2018eb000003e800000001b010fffe00000000" "0101080a0000000100000002" "0101050a0000000a00000014"),
    "plain": bytes.fromhex("4e2018eb000003e8000000015018fffe00000000") + b"PING",
    "end": bytes.fromhex("4e2018eb000003e8000000016010fffe00000000" "00ffffff"),
}
RDB = {  # the first byte: options
    "text": b"\1\0\x05hello",
    "int8": b"\1\0\xc0\x05",
    "int16": b"\1\0\xc1\x7f\x80",
    "int32": b"\1\0\xc2\0\0\0\x80",
    "lzf": b"\1\0\xc3\x09\x40\xc8\x01ab\xe0\xbb\x01\x01ab",
    "long": b"\1\0\x40\x50" + b"0123456789" * 8,
    "length-64": b"\1\0\x81\0\0\0\0\0\0\0\x02xy",
}


def collections():
    """A small value in each form."""
    chance = random.Random(1)
    pairs = [(b"name", b"value"), (b"12", b"-7"), (b"long" * 20, b"70000")]
    entries = [(5, 1, [b"f", b"v"], False), (5, 2, [b"f", b"12"], True), (9, 0, [b"g", b"v", b"h", b"9"], False)]
    groups = [(b"g", (5, 1), 1, {b"c": [((5, 1), 1700000000000, 2)], b"d": []})]
    made = {
        "hash": forms.hash_forms(pairs, chance),
        "timed": forms.timed_hash_forms([(b"f", b"v", 1800000000000), (b"12", b"-7", 0), (b"g", b"w", 1800000000500)], chance),
        "set": forms.set_forms([b"a", b"bc", b"-5"], chance),
        "numbers": forms.set_forms([b"1", b"-70000", b"5000000000"], chance),
        "zset": forms.zset_forms([(b"a", -1.5), (b"b", 3.0), (b"c", float("inf"))], chance),
        "list": forms.list_forms([b"a", b"12", b"long" * 20] * 3, chance),
        "stream": forms.stream_forms(entries, groups, chance),
    }
    return {"%s-%d" % (name, form): b"\1" + bytes([form]) + body for name, rows in made.items() for form, body in rows}


RDB.update(collections())
RESP = {
    "array": b"\0\x05*3\r\n$3\r\nSET\r\n$1\r\na\r\n$5\r\nhello\r\n*1\r\n$4\r\nPING\r\n",
    "inline": b"\x02\x02SET k \"a\\x41\\n\" 'b\\'c'\r\nPING\n\r\n",
    "early": b"\x01\x03*11\r\n",
    "long": b"\x03\x20" + b"x" * 70,
    "errors": b"\0\x09*1\r\n:5\r\n",
}


def message(*fields):
    body = b"".join(fields)
    return len(body).to_bytes(2, "big") + body


def text(word):
    return len(word).to_bytes(4, "little") + word


def number(value, size):
    return value.to_bytes(size, "little")


HELLO = message(b"\1", number(1, 4), number(7, 8), text(b"0.1"))
CHANNEL = {
    "hello": b"\0" + HELLO + message(b"\6"),
    "config": b"\0" + HELLO + message(b"\2", number(1, 8), b"\1", number(2, 4), text(b"port"), text(b"7"), text(b"maxclients"), text(b"9")),
    "exec": b"\0" + HELLO + message(b"\3", number(1, 8), number(2, 4), text(b"GET"), text(b"a")) + message(b"\4", number(1, 8), text(b"+OK\r\n")),
    "fact": b"\0" + HELLO + message(b"\5", text(b"version"), text(b"1")),
    "ring": b"\1\0\0\0\0\0\x14\0" + number(4, 4) + b"abcd" + number(8, 4) + b"abcdefgh",
    "ring-broken": b"\1\0\0\0\0\xff\xff\1\x01",
}
CONFIG = {
    "usual": b"port 6379\nprotected-mode no  # note\nmaxmemory 100mb\nmaxmemory-policy allkeys-lru\nsave \"\"\nworkers 2\n",
    "links": b"link-type tap\nlink-name slu0\nlink-address 10.0.0.2/24\nlink-address fd00::2/64\narena-size 64mb\nhugepages auto\n",
    "limits": b"client-output-buffer-limit normal 0 0 0\nclient-output-buffer-limit pubsub 32mb 8mb 60\nsave 3600 1\nsave 300 100\n",
    "quotes": b"requirepass \"a\\x41\\n\"\nrename-command FLUSHALL \"\"\nuser default on nopass ~* +@all\n",
    "wrong": b"port x\nnosuch 1\n\"\nmaxmemory 5parsecs\n",
}
BOARD = {  # six bytes of shape, five of wish, one for the NIC, one for a named core; then files
    "two-sockets": bytes([1, 0, 3, 1, 100, 1, 3, 0, 1, 1, 2, 1]),
    "flat": bytes([0, 0, 3, 0, 9, 0, 1, 0, 1, 0, 0, 1]),
    "parts": bytes([1, 1, 3, 1, 200, 1, 6, 1, 2, 1, 3, 0, 9]),
    "strange": bytes([1, 0, 1, 1, 9, 1, 2, 2, 0, 1, 2, 1, 0, 0]) + b"0-2,9\xff" + bytes([0, 20]) + b"3-1\n\xff" + bytes([0, 30]) + b"-1\xff",
}

LINE, PASSES = 160, 240  # of fuzz_log.c: lines in its order, and 49 ms
LOG = {
    "bytes": b"\0*2\r\n$6\r\nSELECT\r\n$1\r\n1\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\n1\r\n*3\r\n$9\r\nPEXPIREAT\r\n$1\r\nk\r\n$1\r\n5\r\n",
    "fields": bytes([1, LINE, LINE + 1, PASSES, LINE + 4, LINE, LINE + 2, PASSES, LINE + 13, LINE + 14]),
    "all": bytes([1]) + bytes(LINE + i for i in range(57)),
    "all-in-time": bytes([1]) + b"".join(bytes([LINE + i, 225]) for i in range(57)),
    "commands": bytes([1]) + b"".join(bytes([1, i, 0, 1, 2, 3]) for i in range(120)),
}


def main():
    folder = pathlib.Path(sys.argv[1])
    for target, seeds in (("box", BOX), ("tcp_header", TCP_HEADER), ("resp", RESP), ("rdb", RDB), ("channel", CHANNEL), ("config", CONFIG), ("board", BOARD), ("log", LOG)):
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in seeds.items():
            (folder / target / name).write_bytes(data)


main()

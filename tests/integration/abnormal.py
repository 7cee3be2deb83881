#!/usr/bin/python3
"""abnormal.py: abnormal segments and packets to the box, each with the answer that is expected, and the same to a kernel
listener; prints TAP, and with --table FILE the differences between the two. Run by peers.sh in a network namespace with
the box behind eth0 (10.77.0.2, fd77::2) and a kernel with redis-server behind ref0 (10.78.0.2, fd78::2)."""

import argparse
import random
import re
import sys
import time
import traceback

from abnormal_wire import IP, TCP, Connection, Target, checksummed, summary
from scapy.all import UDP, IPOption, IPOption_RR, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, Raw, \
    fragment

PROBES = []  # (name, expected answer of the box as a regular expression, run, families, why the kernel may differ)


def probe(name, expected, families="46", why=""):
    def register(run):
        PROBES.append((name, expected, run, families, why))
        return run
    return register


def segment(target, flags, port=6379, source=None, **fields):
    ip = {"src": source} if source else {}
    return target.ip(**ip) / TCP(sport=target.next_port(), dport=port, flags=flags, seq=1000, ack=fields.pop("ack", 0), **fields)


def stateless(name, flags, expected, port=6379, why="", **fields):
    PROBES.append((name, expected, lambda t: summary(t.probe(segment(t, flags, port=port, **fields))), "46", why))


def inside(name, expected, flags, families="46", why="", connection=None, **fields):
    """A segment into a connection that is open."""
    PROBES.append((name, expected, lambda t: Connection(t, **(connection or {})).probe(flags, **fields), families, why))


# -- no connection: RFC 9293 section 3.10.7.1 (CLOSED) and 3.10.7.2 (LISTEN)

stateless("closed port, SYN", "S", "RA", port=6380)
stateless("closed port, ACK", "A", "R", port=6380, ack=5)
stateless("closed port, FIN", "F", "RA", port=6380)
stateless("closed port, no flags", "", "RA", port=6380)
stateless("closed port, FIN PSH URG (xmas)", "FPU", "RA", port=6380)
stateless("closed port, SYN FIN", "SF", "RA", port=6380)
stateless("closed port, RST", "R", "nothing", port=6380)
stateless("listening, SYN", "S", "SA")
stateless("listening, SYN with data", "S", "SA")
stateless("listening, SYN PSH URG", "SPU", "SA")
stateless("listening, SYN ECE CWR", "SEC", "SA|SAE", why="tcp_ecn is 2 by default: Linux agrees to ECN when asked")
stateless("listening, SYN FIN", "SF", "nothing")
stateless("listening, SYN RST", "SR", "nothing")
stateless("listening, FIN", "F", "nothing")
stateless("listening, no flags", "", "nothing")
stateless("listening, FIN PSH URG (xmas)", "FPU", "nothing")
stateless("listening, RST", "R", "nothing")
stateless("listening, ACK", "A", "R", ack=77)
stateless("listening, SYN ACK", "SA", "R", ack=77)
stateless("listening, FIN ACK", "FA", "R", ack=77)
stateless("SYN with a wrong checksum", "S", "nothing", chksum=0x1234)
stateless("SYN with data offset 4", "S", "nothing", dataofs=4)
stateless("SYN with data offset 15 and no such header", "S", "nothing", dataofs=15)


@probe("LAND: SYN from the target's own address and port", "nothing")
def land(t):
    return summary(t.probe(t.ip(src=t.address) / TCP(sport=6379, dport=6379, flags="S")))


for where, address in (("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("a multicast address", "224.0.0.1"),
                       ("127.0.0.1", "127.0.0.1")):
    PROBES.append((f"SYN from {where}", "nothing", lambda t, a=address: summary(t.probe(segment(t, "S", source=a))), "4", ""))
for where, address in (("::", "::"), ("a multicast address", "ff02::1"), ("::1", "::1")):
    PROBES.append((f"SYN from {where}", "nothing", lambda t, a=address: summary(t.probe(segment(t, "S", source=a))), "6", ""))


@probe("SYN in a broadcast frame", "nothing")
def syn_broadcast_frame(t):
    return summary(t.probe(segment(t, "S"), mac="ff:ff:ff:ff:ff:ff"))


@probe("SYN to the broadcast address", "nothing", "4")
def syn_broadcast(t):
    return summary(t.probe(t.ip(dst=t.broadcast) / TCP(sport=t.next_port(), dport=6379, flags="S"), mac="ff:ff:ff:ff:ff:ff"))


@probe("SYN to a multicast address", "nothing")
def syn_multicast(t):
    group, mac = ("ff02::1", "33:33:00:00:00:01") if t.v6 else ("224.0.0.1", "01:00:5e:00:00:01")
    return summary(t.probe(t.ip(dst=group) / TCP(sport=t.next_port(), dport=6379, flags="S"), mac=mac))


@probe("SYN to another host's address in our frame", "nothing")
def syn_not_ours(t):
    other = t.address[:-1] + "7"
    return summary(t.probe(t.ip(dst=other) / TCP(sport=t.next_port(), dport=6379, flags="S")))


# -- IP (RFC 791, 1122, 8200)

def edited(t, **fields):
    """A SYN whose IP header has these fields, its checksum right all the same."""
    return checksummed(t.ip(**fields) / TCP(sport=t.next_port(), dport=6379, flags="S"))


for name, fields in (("version 5", {"version": 5}), ("header length 4", {"ihl": 4}), ("total length beyond the frame", {"len": 400}),
                     ("total length below the header", {"len": 10})):
    PROBES.append((f"IPv4 {name}", "nothing", lambda t, f=fields: summary(t.probe(bytes(t.ether(type=0x800)) + edited(t, **f))),
                   "4", ""))


@probe("IPv4 header longer than the packet", "nothing", "4")
def ihl_15(t):
    raw = bytearray(bytes(t.ip() / TCP(sport=t.next_port(), dport=6379, flags="S")))
    raw[0] = 0x4f
    return summary(t.probe(bytes(t.ether(type=0x800)) + bytes(raw)))


@probe("IPv4 with a wrong header checksum", "nothing", "4")
def ip_checksum(t):
    return summary(t.probe(t.ip(chksum=0x1111) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("IPv6 with version 4", "nothing", "6")
def six_version(t):
    return summary(t.probe(t.ether(type=0x86dd) / t.ip(version=4) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("IPv6 payload length beyond the frame", "nothing", "6")
def six_length(t):
    return summary(t.probe(t.ip(plen=400) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("loose source route", "nothing", "4")
def source_route(t):
    option = IPOption(b"\x83\x07\x04\x0a\x4d\x00\x07\x00")
    return summary(t.probe(t.ip(options=[option]) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("record route", "SA|nothing", "4")
def record_route(t):
    return summary(t.probe(t.ip(options=[IPOption_RR(routers=["0.0.0.0"])]) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("TTL 0", "SA|nothing", "4")
def ttl_zero(t):
    return summary(t.probe(t.ip(ttl=0) / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("tiny fragments of a SYN", "SA|nothing", "4", "a stack may refuse first fragments that cut the TCP header (RFC 1858)")
def tiny_fragments(t):
    whole = t.ip(id=random.getrandbits(16)) / TCP(sport=t.next_port(), dport=6379, flags="S", options=[("MSS", 1460)])
    for part in fragment(whole, 8):
        t.send(part)
    return summary(t.answers())


@probe("overlapping fragments", "nothing", "4", "the kernel drops the whole packet too (CVE-2018-5391)")
def overlapping_fragments(t):
    raw = bytes(TCP(sport=t.next_port(), dport=6379, flags="S", options=[("MSS", 1460)] * 6))
    number = random.getrandbits(16)
    for flags, at, part in ((1, 0, raw[:24]), (1, 1, raw[8:32]), (0, 4, raw[32:])):
        t.send(t.ip(id=number, flags=flags, frag=at, proto=6) / Raw(part))
    return summary(t.answers())


@probe("a transport that nobody knows", "nothing|icmp 3/2|icmp6 4/1", why="protocol unreachable is a SHOULD of RFC 1122")
def unknown_protocol(t):
    packet = t.ip(nh=253) if t.v6 else t.ip(proto=253)
    return summary(t.probe(packet / Raw(b"x" * 20)))


@probe("UDP to a port without a listener", "nothing|icmp 3/3|icmp6 1/4", why="port unreachable is a SHOULD of RFC 1122")
def udp(t):
    return summary(t.probe(t.ip() / UDP(sport=t.next_port(), dport=9) / b"x"))


@probe("hop-by-hop and destination options", "SA", "6")
def six_options(t):
    return summary(t.probe(t.ip() / IPv6ExtHdrHopByHop() / IPv6ExtHdrDestOpt() / TCP(sport=t.next_port(), dport=6379, flags="S")))


@probe("routing header type 0 with segments left", "nothing|icmp6 4/0", "6", "RFC 5095: parameter problem is asked for")
def six_routing(t):
    return summary(t.probe(t.ip() / IPv6ExtHdrRouting(type=0, addresses=["fd77::9"]) /
                           TCP(sport=t.next_port(), dport=6379, flags="S")))


# -- in a connection (RFC 9293 section 3.10.7.4, RFC 5961)

inside("open, SYN inside the window", "A; lives", "S")
inside("open, SYN outside the window", "A; lives", "S", seq=1 << 30)
inside("open, SYN ACK", "A; lives", "SA")
inside("open, SYN FIN", "A; lives", "SF")
inside("open, RST at the next byte", "nothing; gone", "R")
inside("open, RST inside the window", "A; lives", "R", seq=5)
inside("open, RST outside the window", "nothing; lives", "R", seq=1 << 30)
inside("open, RST one below the window", "nothing; lives", "R", seq=-1)
inside("open, RST ACK at the next byte", "nothing; gone", "RA")
inside("open, no flags", "nothing; lives", "")
inside("open, data without ACK", "nothing; lives", "P", data=b"PING\r\n")
inside("open, FIN PSH URG (xmas)", "nothing; lives", "FPU")
inside("open, data beyond the window", "A; lives", "A", seq=1 << 30, data=b"x" * 100)
inside("open, data below the window", "A; lives", "A", seq=-100, data=b"x" * 100)
inside("open, keepalive probe", "A; lives", "A", seq=-1)
inside("open, an ACK of the future", "A; lives", "A", ack=100000, data=b"QUIT\r\n")
inside("open, an old ACK", "A; lives|nothing; lives", "A", ack=-1,
       why="RFC 5961 section 5.2: acceptable and a duplicate: ignored; Linux answers a timestamp that repeats")
inside("open, an ACK far below the window", "A; lives", "A", ack=-(1 << 30), data=b"QUIT\r\n")
inside("open, wrong checksum", "nothing; lives", "PA", data=b"QUIT\r\n", chksum=0x4321)
inside("open, data offset 4", "nothing; lives", "PA", data=b"QUIT\r\n", dataofs=4)
inside("open, timestamp of the past (PAWS)", "A; lives", "PA", data=b"QUIT\r\n", options=[("Timestamp", (1, 0))])
inside("open, timestamp missing", "nothing; lives", "PA", data=b"QUIT\r\n", options=[],
       why="RFC 7323 section 3.2: SHOULD silently drop; Linux takes the segment, and QUIT closes the connection")
inside("open, urgent pointer beyond the data", "A; lives", "AU", seq=1, data=b"x", urgptr=60000)


@probe("sequence numbers wrap in the middle of a request", "answered")
def wrap(t):
    c = Connection(t, isn=-10)
    c.send(b"*2\r\n$4\r\nECHO\r\n$20\r\n01234567890123456789\r\n")
    return "answered" if c.read(27) == b"$20\r\n01234567890123456789\r\n" else "not answered"


@probe("overlapping segments with different bytes", r"first|last|mixed", why="RFC 9293 leaves it open")
def overlap(t):
    """Out of order: bytes 4-11 as A, then 0-15 as B, behind a hole of one byte. Who is believed?"""
    c = Connection(t)
    head = b"*2\r\n$4\r\nECHO\r\n$16\r\n"
    c.send(head[:-1])
    t.send(c.segment("A", seq=1 + 4, data=b"A" * 8))
    t.send(c.segment("A", seq=1, data=b"B" * 16))
    t.send(c.segment("A", seq=0, data=head[-1:]))
    c.seq += 17
    c.send(b"\r\n")
    got = c.read(23)[5:21]
    return {b"B" * 4 + b"A" * 8 + b"B" * 4: "first", b"B" * 16: "last"}.get(got, f"mixed {got!r}")


@probe("data behind a FIN", "nothing|A|R|FA|FA, R|A, FA|A, FA, R|FA, R, R|FA, A|A, FA, A", why="either may answer by ACK or by RST")
def behind_fin(t):
    c = Connection(t)
    t.send(c.segment("FA"))
    t.send(c.segment("PA", seq=1, data=b"PING\r\n"))
    heard = [f for f in t.answers() if TCP in f and f[TCP].dport == c.sport]
    assert not any(b"PONG" in bytes(f[TCP].payload) for f in heard), "data behind a FIN was executed"
    return summary(heard)


@probe("handshake with a wrong ACK", "R")
def handshake_wrong_ack(t):
    port = t.next_port()
    t.send(t.ip() / TCP(sport=port, dport=6379, flags="S", seq=1))
    answer = t.wait_for(lambda tcp: tcp.dport == port)
    heard = t.probe(t.ip() / TCP(sport=port, dport=6379, flags="A", seq=2, ack=(answer.seq + 1000) & 0xffffffff))
    return summary([f for f in heard if TCP in f and f[TCP].dport == port and not f[TCP].flags & 2])


@probe("SYN again in the handshake", "SA, the same")
def handshake_again(t):
    port = t.next_port()
    syn = t.ip() / TCP(sport=port, dport=6379, flags="S", seq=1)
    t.send(syn)
    first = t.wait_for(lambda tcp: tcp.dport == port)
    t.send(syn)
    again = t.wait_for(lambda tcp: tcp.dport == port)
    t.send(t.ip() / TCP(sport=port, dport=6379, flags="R", seq=2))
    return "SA, the same" if again is not None and again.seq == first.seq else f"{again!r}"


@probe("RST in the handshake", "nothing, and a new SYN is answered")
def handshake_reset(t):
    port = t.next_port()
    t.send(t.ip() / TCP(sport=port, dport=6379, flags="S", seq=1))
    t.wait_for(lambda tcp: tcp.dport == port)
    heard = summary(t.probe(t.ip() / TCP(sport=port, dport=6379, flags="R", seq=2)))
    t.send(t.ip() / TCP(sport=port, dport=6379, flags="S", seq=5000))
    answer = t.wait_for(lambda tcp: tcp.dport == port)
    t.send(t.ip() / TCP(sport=port, dport=6379, flags="R", seq=5001))
    return f"{heard}, and a new SYN is {'answered' if answer is not None and answer.ack == 5001 else 'not answered'}"


OPTION_KINDS = list(range(0, 9)) + [30, 34, 254, 255]


def option_answers(t):
    """SYNs with one option of every kind and every length field from 0 to 40, as far as they fit: kind, length -> answer."""
    answers = {}
    for kind in OPTION_KINDS:
        port = {}
        for length in range(41):
            body = bytes([kind, length]) + bytes(max(0, min(length, 40) - 2))
            body = (body + b"\1" * (-len(body) % 4))[:40]
            sport = t.next_port()
            port[sport] = (kind, length)
            raw = bytes(TCP(sport=sport, dport=6379, flags="S", seq=1, dataofs=5 + len(body) // 4)) + body
            t.send(t.ip(**({"nh": 6} if t.v6 else {"proto": 6})) / TCP(raw))
        for frame in t.answers():
            if TCP in frame and frame[TCP].dport in port:
                answers[port[frame[TCP].dport]] = str(frame[TCP].flags)
        for sport in port:
            t.send(t.ip() / TCP(sport=sport, dport=6379, flags="R", seq=2))
    return answers


@probe("SYN with options of every kind and length", r"\d+ of \d+ taken",
       why="RFC 9293 MUST-7: an option whose length is no length may be dropped or skipped")
def options(t):
    taken = option_answers(t)
    t.taken = taken
    assert all(flags in ("SA", "SAE") for flags in taken.values()), "an answer that is no SYN-ACK"
    return f"{len(taken)} of {len(OPTION_KINDS) * 41} taken"


# -- running them

def run_one(run, target):
    target.new_probe()
    try:
        return run(target), ""
    except AssertionError as e:
        return f"failed: {e}", traceback.format_exc()


def why_of(why, differs):
    return why or ("see the expected answer" if differs else "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--table", help="write the comparison with the kernel here (Markdown)")
    parser.add_argument("--only", default="")
    parser.add_argument("--no-kernel", action="store_true")
    options = parser.parse_args()
    seed = random.randrange(1 << 31)
    random.seed(seed)
    print(f"# seed {seed}")
    rows, number, failed = [], 0, 0
    for family in "46":
        box = Target("box", "eth0", "10.77.0", "fd77", family == "6")
        kernel = None if options.no_kernel else Target("kernel", "ref0", "10.78.0", "fd78", family == "6")
        for name, expected, run, families, why in PROBES:
            if family not in families or options.only not in name:
                continue
            start = time.monotonic()
            answer, trace = run_one(run, box)
            other, _ = run_one(run, kernel) if kernel else ("", "")
            good = re.fullmatch(expected, answer) is not None
            number += 1
            failed += not good
            print(f"{'' if good else 'not '}ok {number} - abnormal: IPv{family}: {name}", flush=True)
            if time.monotonic() - start > 1:
                print(f"# {time.monotonic() - start:.1f} s")
            if not good:
                print(f"# wanted {expected}, got {answer}; the kernel: {other}")
                for line in trace.splitlines():
                    print(f"# {line}")
            rows.append((family, name, answer, other, why))
    print(f"1..{number}")
    if options.table:
        with open(options.table, "w", encoding="utf-8") as out:
            out.write("| IP | probe | the box | Linux | why |\n|---|---|---|---|---|\n")
            for family, name, answer, other, why in rows:
                if answer != other:
                    out.write(f"| {family} | {name} | {answer} | {other} | {why} |\n".replace(" |  |", " | |"))
    sys.exit(1 if failed else 0)


main()

"""abnormal_wire.py: frames by hand (scapy) to one target on one interface, from addresses that no kernel owns, so that
nobody but us answers. Every wait ends with the echo of a ping that was sent behind the probe: what the target had to
say has been said by then."""

import random
import select
import socket
import struct
import time

from scapy.all import (ARP, ICMP, IP, TCP, Ether, ICMPv6EchoRequest, ICMPv6EchoReply, ICMPv6ND_NA, ICMPv6ND_NS,
                       ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6)

OUR_MAC = "02:00:00:77:00:50"
M32 = 0xFFFFFFFF


class Target:
    """One end of a wire: the box, or a kernel with redis-server."""

    def __init__(self, name, interface, prefix4, prefix6, v6=False):
        self.name, self.v6 = name, v6
        self.address = f"{prefix6}::2" if v6 else f"{prefix4}.2"
        self.source = f"{prefix6}::50" if v6 else f"{prefix4}.50"
        self.broadcast = f"{prefix4}.255"
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((interface, 0))
        self.echo_id = random.randrange(1, 65535)
        self.echoes = 0
        self.port = random.randrange(20000, 40000)
        self.ports = set()
        self.mac = None
        self.mac = self._resolve()

    # -- sending

    def ether(self, **fields):
        return Ether(src=OUR_MAC, dst=fields.pop("mac", self.mac or "ff:ff:ff:ff:ff:ff"), **fields)

    def ip(self, **fields):
        fields.setdefault("src", self.source)
        fields.setdefault("dst", self.address)
        return (IPv6 if self.v6 else IP)(**fields)

    def send(self, packet, mac=None):
        frame = packet if isinstance(packet, (bytes, Ether)) else self.ether(**({"mac": mac} if mac else {})) / packet
        self.socket.send(bytes(frame))

    def next_port(self):
        self.port = 20000 + (self.port - 19999) % 20000
        self.ports.add(self.port)
        return self.port

    # -- hearing

    def hear(self, seconds=3.0):
        """The next packet to our address, other stations' questions answered on the way; None: nothing came."""
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return None
            data, where = self.socket.recvfrom(65535)
            if where[2] == socket.PACKET_OUTGOING:
                continue
            frame = Ether(data)
            if not self._resolved(frame) and self.mac and self._for_us(frame):
                return frame

    def new_probe(self):
        """From now on, only what is said to ports taken from here on is heard: an earlier probe's SYN-ACK may come again."""
        self.ports = set()

    def _for_us(self, frame):
        layer = frame.getlayer(IPv6 if self.v6 else IP)
        if layer is None or layer.dst != self.source:
            return False
        return not isinstance(layer.payload, TCP) or layer.payload.dport in self.ports

    def _resolved(self, frame):
        if ARP in frame and frame[ARP].op == 1 and frame[ARP].pdst == self.source:
            self.socket.send(bytes(Ether(src=OUR_MAC, dst=frame.src) / ARP(
                op=2, hwsrc=OUR_MAC, psrc=self.source, hwdst=frame[ARP].hwsrc, pdst=frame[ARP].psrc)))
            return True
        if ICMPv6ND_NS in frame and frame[ICMPv6ND_NS].tgt == self.source:
            self.socket.send(bytes(Ether(src=OUR_MAC, dst=frame.src) / IPv6(src=self.source, dst=frame[IPv6].src) /
                                   ICMPv6ND_NA(tgt=self.source, S=1, O=1) / ICMPv6NDOptDstLLAddr(lladdr=OUR_MAC)))
            return True
        return False

    def _resolve(self):
        for _ in range(20):
            if self.v6:
                group = "ff02::1:ff00:2"
                self.socket.send(bytes(Ether(src=OUR_MAC, dst="33:33:ff:00:00:02") / IPv6(src=self.source, dst=group) /
                                       ICMPv6ND_NS(tgt=self.address) / ICMPv6NDOptSrcLLAddr(lladdr=OUR_MAC)))
            else:
                self.socket.send(bytes(Ether(src=OUR_MAC, dst="ff:ff:ff:ff:ff:ff") /
                                       ARP(hwsrc=OUR_MAC, psrc=self.source, pdst=self.address)))
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                if not select.select([self.socket], [], [], 0.1)[0]:
                    continue
                frame = Ether(self.socket.recv(65535))
                if ICMPv6ND_NA in frame and frame[ICMPv6ND_NA].tgt == self.address:
                    return frame.src
                if ARP in frame and frame[ARP].op == 2 and frame[ARP].psrc == self.address:
                    return frame[ARP].hwsrc
                self._resolved(frame)
        raise AssertionError(f"{self.name}: no answer to the question for {self.address}")

    def ping(self):
        """Sends an echo request; returns its sequence number."""
        self.echoes += 1
        number = self.echoes & 0xFFFF
        kind = ICMPv6EchoRequest if self.v6 else ICMP
        self.send(self.ip() / kind(id=self.echo_id, seq=number))
        return number

    def _is_echo(self, frame, number):
        kind = ICMPv6EchoReply if self.v6 else ICMP
        return kind in frame and (self.v6 or frame[ICMP].type == 0) and frame[kind].id == self.echo_id and \
            frame[kind].seq == number

    def answers(self):
        """Everything the target sends to us until it has answered two pings, one after the other: within one round the
        box may answer a ping before the segment that came with it."""
        heard = []
        for _ in range(2):
            number = self.ping()
            while True:
                frame = self.hear()
                assert frame is not None, f"{self.name} does not answer a ping any more"
                if self._is_echo(frame, number):
                    break
                heard.append(frame)
        for frame in heard:
            if isinstance(frame.payload.payload, TCP) and frame[TCP].flags & 0x12 == 0x12:
                self.send(self.ip() / TCP(sport=frame[TCP].dport, dport=frame[TCP].sport, flags="R", seq=frame[TCP].ack))
        return heard

    def probe(self, packet, mac=None):
        self.send(packet, mac)
        return self.answers()

    def wait_for(self, wanted, seconds=2.0):
        """The first TCP segment for which wanted(tcp) is true, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            frame = self.hear(end - time.monotonic())
            if frame is not None and TCP in frame and wanted(frame[TCP]):
                return frame[TCP]
        return None


def payload(segment):
    """Without what scapy takes for payload but is Ethernet's padding."""
    layer = segment.underlayer
    if isinstance(layer, IP):
        length = layer.len - layer.ihl * 4 - segment.dataofs * 4
    else:
        length = layer.plen - segment.dataofs * 4
    return bytes(segment.payload)[:max(length, 0)]


def summary(frames):
    """"nothing", or flags of segments and types of ICMP messages in order."""
    words = []
    for frame in frames:
        if TCP in frame and frame.getlayer(IP, 1) and ICMP in frame:
            words.append(f"icmp {frame[ICMP].type}/{frame[ICMP].code}")
        elif ICMP in frame:
            words.append(f"icmp {frame[ICMP].type}/{frame[ICMP].code}")
        elif TCP in frame and frame.payload.payload.name == "TCP":
            words.append(str(frame[TCP].flags).replace("P", "") + ("+data" if payload(frame[TCP]) else ""))
        elif IPv6 in frame:
            kind = bytes(frame[IPv6].payload)
            words.append(f"icmp6 {kind[0]}/{kind[1]}" if frame[IPv6].nh == 58 else f"next header {frame[IPv6].nh}")
        else:
            words.append(frame.summary())
    return ", ".join(words) or "nothing"


class Connection:
    """A TCP connection by hand: seq and ack are the numbers of the next regular segment."""

    def __init__(self, target, isn=None, timestamps=True, window=65535, port=6379):
        self.target, self.window, self.ts = target, window, 1000
        self.sport, self.dport = target.next_port(), port
        self.seq = (random.getrandbits(32) if isn is None else isn) & M32
        self.peer_ts = 0
        self.timestamps = timestamps
        target.send(self.segment("S", options=[("MSS", 1460), ("SAckOK", b"")] + self._ts() + [("WScale", 2)]))
        answer = target.wait_for(self._mine)
        assert answer is not None and answer.flags & 0x12 == 0x12, f"{target.name}: no SYN-ACK: {answer!r}"
        self.seq = (self.seq + 1) & M32
        self.ack = (answer.seq + 1) & M32
        self._learn(answer)
        target.send(self.segment("A"))

    ack = 0

    def _mine(self, tcp):
        return tcp.dport == self.sport and tcp.sport == self.dport

    def _ts(self):
        return [("Timestamp", (self.ts, self.peer_ts))] if self.timestamps else []

    def _learn(self, tcp):
        for name, value in tcp.options:
            if name == "Timestamp":
                self.peer_ts = value[0]

    def segment(self, flags, seq=0, ack=0, data=b"", options=None, absolute=False, **fields):
        """seq and ack are offsets from what is regular."""
        self.ts += 1
        number = (ack if absolute else self.ack + ack) & M32
        tcp = TCP(sport=self.sport, dport=self.dport, flags=flags, seq=(self.seq + seq) & M32,
                  ack=number if "A" in flags else 0, window=self.window,
                  options=self._ts() if options is None else options, **fields)
        return self.target.ip() / tcp / data if data else self.target.ip() / tcp

    def probe(self, flags, **fields):
        """What the target answers on this connection, and whether it lives on."""
        heard = self.target.probe(self.segment(flags, **fields))
        heard = [f for f in heard if TCP not in f or self._mine(f[TCP])]
        return summary(heard) + ("; lives" if self.lives() else "; gone")

    def send(self, data):
        self.target.send(self.segment("PA", data=data))
        self.seq = (self.seq + len(data)) & M32

    def read(self, size, seconds=2.0):
        """In-order bytes, acknowledged; less if no more come."""
        data = b""
        while len(data) < size:
            tcp = self.target.wait_for(lambda t: self._mine(t) and (t.flags & 4 or payload(t)), seconds)
            if tcp is None or tcp.flags & 4:
                break
            if tcp.seq == self.ack:
                data += payload(tcp)
                self.ack = (self.ack + len(payload(tcp))) & M32
                self._learn(tcp)
                self.target.send(self.segment("A"))
        return data

    def lives(self):
        self.send(b"PING\r\n")
        return self.read(7) == b"+PONG\r\n"

    def drop(self):
        self.target.send(self.segment("R"))


def checksummed(packet):
    """Raw bytes of an IPv4 packet whose header was edited: the IP checksum made right."""
    raw = bytearray(bytes(packet))
    length = (raw[0] & 15) * 4
    raw[10:12] = b"\0\0"
    total = sum(struct.unpack(f"!{length // 2}H", raw[:length]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    raw[10:12] = struct.pack("!H", ~total & 0xFFFF)
    return bytes(raw)

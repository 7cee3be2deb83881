/* frame.c: see frame.h. */
#include "frame.h"

enum { IP4 = 20, IP6 = 40, TYPE_IP4 = 0x0800, TYPE_IP6 = 0x86dd, TYPE_ARP = 0x0806 };

static const uint8_t box_mac[6] = {2, 0, 0, 0, 0, 2}, our_mac[6] = {2, 0, 0, 0, 0, 3};

static uint32_t sum(uint32_t start, const uint8_t *p, size_t len)
{
    for (size_t i = 0; i + 1 < len; i += 2)
        start += be16(p + i);
    return len & 1 ? start + (uint32_t)(p[len - 1] << 8) : start;
}

static uint16_t fold(uint32_t s)
{
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    return (uint16_t)~s;
}

/* RFC 9293 section 3.1, RFC 8200 section 8.1: over addresses, protocol, length and the segment. */
static uint16_t transport_sum(const uint8_t *addresses, size_t addresses_len, uint8_t protocol,
                              const uint8_t *p, size_t len)
{
    uint32_t s = protocol == ICMP4 ? 0 : sum(protocol + (uint32_t)len, addresses, addresses_len);
    return fold(sum(s, p, len));
}

static size_t checksum_at(uint8_t protocol)
{
    return protocol == TCP ? 16 : 2;
}

static void seal(uint8_t *l4, size_t len, const uint8_t *addresses, size_t addresses_len, uint8_t protocol)
{
    size_t at = checksum_at(protocol);
    if ((protocol != TCP && protocol != ICMP4 && protocol != ICMP6) || len < at + 2)
        return;
    to16(l4 + at, 0);
    to16(l4 + at, transport_sum(addresses, addresses_len, protocol, l4, len));
}

void frame_repair(struct frame *f)
{
    uint8_t *ip = f->p + ETHER;
    if (f->len >= ETHER + IP4 && be16(f->p + 12) == TYPE_IP4) {
        size_t header = (size_t)(ip[0] & 15) * 4, len = f->len - ETHER;
        if (header < IP4 || header > len)
            return;
        to16(ip + 2, (unsigned)len);
        to16(ip + 10, 0);
        to16(ip + 10, fold(sum(0, ip, header)));
        if ((be16(ip + 6) & 0x3fff) == 0)
            seal(ip + header, len - header, ip + 12, 8, ip[9]);
    } else if (f->len >= ETHER + IP6 && be16(f->p + 12) == TYPE_IP6) {
        size_t len = f->len - ETHER - IP6;
        to16(ip + 4, (unsigned)len);
        seal(ip + IP6, len, ip + 8, 32, ip[6]);
    }
}

static void begin(struct frame *f, uint16_t type)
{
    memset(f, 0, ETHER + IP6);
    memcpy(f->p, box_mac, 6);
    memcpy(f->p + 6, our_mac, 6);
    to16(f->p + 12, type);
}

void frame_ip(struct frame *f, bool v6, uint8_t host, uint8_t protocol, const uint8_t *p, size_t len)
{
    uint8_t *ip = f->p + ETHER;
    size_t header = v6 ? IP6 : IP4;
    begin(f, v6 ? TYPE_IP6 : TYPE_IP4);
    if (len > FRAME_MAX - ETHER - header)
        len = FRAME_MAX - ETHER - header;
    if (v6) {
        ip[0] = 0x60;
        ip[6] = protocol;
        ip[7] = 255;
        ip[8] = ip[24] = 0xfd;
        ip[23] = host;
        ip[39] = 2;
    } else {
        static const uint8_t box[4] = {10, 0, 0, 2};
        ip[0] = 0x45;
        ip[8] = 64;
        ip[9] = protocol;
        memcpy(ip + 12, box, 4);
        ip[15] = host;
        memcpy(ip + 16, box, 4);
    }
    memmove(ip + header, p, len);
    f->len = ETHER + header + len;
    frame_repair(f);
}

void frame_tcp(struct frame *f, const struct segment *s)
{
    uint8_t t[FRAME_MAX] = {0};
    size_t options = s->options < 40 ? s->options : 40, header = 20 + (options + 3) / 4 * 4;
    size_t room = FRAME_MAX - ETHER - IP6 - header, len = s->payload_len < room ? s->payload_len : room;
    to16(t, s->sport);
    to16(t + 2, s->dport);
    to32(t + 4, s->seq);
    to32(t + 8, s->ack);
    t[12] = (uint8_t)(header / 4 << 4);
    t[13] = s->flags;
    to16(t + 14, s->window);
    to16(t + 18, s->urgent);
    if (options)
        memcpy(t + 20, s->option, options);
    if (len)
        memcpy(t + header, s->payload, len);
    frame_ip(f, s->v6, s->host, TCP, t, header + len);
    f->p[ETHER + (s->v6 ? 0 : 1)] |= s->v6 ? 0 : s->ecn & 3;
    frame_repair(f);
}

/* -- what the box sends
 * ------------------------------------------------------------------------------------------- */

bool frame_resolve(const struct frame *f, struct frame *answer)
{
    const uint8_t *b = f->p + ETHER;
    if (be16(f->p + 12) == TYPE_ARP && f->len >= ETHER + 28 && be16(b + 6) == 1) {
        begin(answer, TYPE_ARP);
        uint8_t *a = answer->p + ETHER;
        memcpy(a, b, 8);
        a[7] = 2;
        memcpy(a + 8, our_mac, 6);
        memcpy(a + 14, b + 24, 4);
        memcpy(a + 18, b + 8, 10);
        answer->len = ETHER + 28;
        return b[27] != 2; /* not for the box's own announcement or probe */
    }
    if (be16(f->p + 12) != TYPE_IP6 || f->len < ETHER + IP6 + 24 || b[6] != ICMP6 || b[40] != 135 ||
        b[63] == 2)
        return false;
    uint8_t na[32] = {136};
    na[4] = 0x60; /* solicited, override */
    memcpy(na + 8, b + 48, 16);
    na[24] = 2;
    na[25] = 1;
    memcpy(na + 26, our_mac, 6);
    frame_ip(answer, true, b[63], ICMP6, na, sizeof na);
    return b[48] == 0xfd;
}

/* The part of the frame behind the IP header; NULL if it is no IP packet. */
static const uint8_t *payload(const struct frame *f, uint8_t *protocol, size_t *len,
                              const uint8_t **addresses)
{
    const uint8_t *ip = f->p + ETHER;
    bool v6 = be16(f->p + 12) == TYPE_IP6;
    if (!v6 && be16(f->p + 12) != TYPE_IP4)
        return NULL;
    size_t header = v6 ? IP6 : IP4, total;
    MUST(f->len >= ETHER + header, "the box sends a truncated packet");
    total = v6 ? (size_t)be16(ip + 4) + IP6 : be16(ip + 2);
    MUST(ip[0] >> 4 == (v6 ? 6 : 4), "the box sends a wrong version");
    MUST(total >= header && total <= f->len - ETHER, "the box sends a wrong IP length");
    if (!v6) {
        header = (size_t)(ip[0] & 15) * 4;
        MUST(header >= IP4 && header <= total, "the box sends a wrong IP header length");
        MUST(fold(sum(0, ip, header)) == 0, "the box sends a wrong IP checksum");
        if (be16(ip + 6) & 0x3fff)
            return NULL;
    }
    *protocol = v6 ? ip[6] : ip[9];
    *addresses = v6 ? ip + 8 : ip + 12;
    *len = total - header;
    return ip + header;
}

void frame_check(const struct frame *f)
{
    MUST(f->len >= ETHER, "the box sends less than an Ethernet header");
    uint8_t protocol;
    size_t len;
    const uint8_t *addresses, *l4 = payload(f, &protocol, &len, &addresses);
    if (!l4 || (protocol != TCP && protocol != ICMP4 && protocol != ICMP6))
        return;
    size_t addresses_len = be16(f->p + 12) == TYPE_IP6 ? 32 : 8;
    MUST(len >= checksum_at(protocol) + 2, "the box sends a truncated transport header");
    MUST(transport_sum(addresses, addresses_len, protocol, l4, len) == 0, "the box sends a wrong checksum");
    if (protocol == TCP)
        MUST(l4[12] >> 4 >= 5 && (size_t)(l4[12] >> 4) * 4 <= len, "the box sends a wrong data offset");
}

const uint8_t *frame_find_tcp(const struct frame *f, size_t *len)
{
    uint8_t protocol;
    const uint8_t *addresses, *l4 = payload(f, &protocol, len, &addresses);
    return l4 && protocol == TCP && *len >= 20 ? l4 : NULL;
}

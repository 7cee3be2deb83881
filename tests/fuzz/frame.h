/* frame.h: frames by hand, correct lengths and checksums filled in, so that a fuzzer's bytes get further than
 * the first check. RFC 791, 8200, 9293, 4443, 826. */
#pragma once
#include "fuzz.h"

enum { FRAME_MAX = 1514, ETHER = 14, ICMP4 = 1, TCP = 6, ICMP6 = 58 };

struct frame {
    uint8_t p[FRAME_MAX];
    size_t len;
};

struct segment { /* host byte order */
    bool v6;
    uint8_t host; /* last byte of the sender's address: 10.0.0.x or fd00::x */
    uint16_t sport, dport, window, urgent;
    uint32_t seq, ack;
    uint8_t flags, ecn;
    const uint8_t *option, *payload; /* borrowed */
    size_t options, payload_len;     /* options: padded here to a multiple of four, at most 40 */
};

/* The addresses of the rig: the box is 10.0.0.2, fd00::2 and 02:00:00:00:00:02. */
void frame_tcp(struct frame *f, const struct segment *s);
/* A packet of any protocol to the box. */
void frame_ip(struct frame *f, bool v6, uint8_t host, uint8_t protocol, const uint8_t *p, size_t len);
/* Writes lengths and checksums of what looks like IP (and TCP or ICMP in it) as they have to be. */
void frame_repair(struct frame *f);
/* The answer to an ARP request or neighbour solicitation of the box; false if f is none. */
bool frame_resolve(const struct frame *f, struct frame *answer);
/* A frame of the box must be sound: lengths and checksums; else a finding. */
void frame_check(const struct frame *f);
/* The TCP header of an unfragmented packet of the box, or NULL; *len with its payload. */
const uint8_t *frame_find_tcp(const struct frame *f, size_t *len);

static inline uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t be32(const uint8_t *p)
{
    return (uint32_t)be16(p) << 16 | be16(p + 2);
}
static inline void to16(uint8_t *p, unsigned v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}
static inline void to32(uint8_t *p, uint32_t v)
{
    to16(p, v >> 16);
    to16(p + 2, v & 0xffff);
}

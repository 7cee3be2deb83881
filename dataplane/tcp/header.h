/* header.h: the TCP header and its options on the wire (RFC 9293 section 3.1, 7323, 2018). Parsing is bounded
 * by the length that is passed in; nothing here knows a connection. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

enum tcp_flag {
    TCP_FIN = 1,
    TCP_SYN = 2,
    TCP_RST = 4,
    TCP_PSH = 8,
    TCP_ACK = 16,
    TCP_URG = 32,
    TCP_ECE = 64, /* RFC 3168 section 6.1 */
    TCP_CWR = 128
};

enum {
    TCP_HEADER = 20,     /* without options */
    TCP_HEADER_MAX = 60, /* data offset 15 */
    TCP_TS_SPACE = 12,   /* two NOPs and the timestamp option, as everyone sends it */
    TCP_SACK_BLOCKS = 4,
    TCP_WSCALE_MAX = 14, /* RFC 7323 section 2.3 */
    TCP_NOP_NOP_TS = 0x0101080a /* what stands before a timestamp so sent */
};

/* Which options a segment carries. */
enum tcp_option {
    TCP_OPT_MSS = 1,
    TCP_OPT_WSCALE = 2,
    TCP_OPT_SACK_OK = 4,
    TCP_OPT_TS = 8,
    TCP_OPT_SACK = 16
};

struct tcp_range { /* sequence numbers [from, to) */
    uint32_t from, to;
};

struct tcp_segment { /* host byte order */
    uint16_t src_port, dst_port;
    uint32_t seq, ack;
    uint16_t window; /* as on the wire, not scaled */
    uint8_t flags;   /* enum tcp_flag */
    uint8_t header;  /* bytes up to the payload */
    uint8_t options; /* enum tcp_option */
    uint8_t wscale, sacks;
    uint8_t ecn; /* of the IP header; filled by the caller where it matters, not read when writing */
    uint16_t mss;
    uint32_t ts_val, ts_ecr;
    struct tcp_range sack[TCP_SACK_BLOCKS];
    uint32_t payload; /* bytes; filled by the caller, who knows the segment's length */
};

enum tcp_parse { TCP_PARSED, TCP_TRUNCATED, TCP_BAD_OPTIONS };

/* Writes header and options of seg at h (TCP_HEADER_MAX bytes of room) with a zero checksum; as many SACK
 * blocks as fit. Returns the header's length, a multiple of four. seg->header and seg->payload are not read.
 */
unsigned tcp_header_write(uint8_t *h, const struct tcp_segment *seg);

static inline uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap16(v);
}

static inline uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

static inline void put16(uint8_t *p, uint16_t v)
{
    v = __builtin_bswap16(v);
    memcpy(p, &v, sizeof v);
}

static inline void put32(uint8_t *p, uint32_t v)
{
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

/* The options of a header whose other fields stand in out. */
enum tcp_parse tcp_header_options(const uint8_t *h, struct tcp_segment *out);

/* What every header has, but for its length. */
static inline void tcp_header_fixed(const uint8_t *h, struct tcp_segment *out)
{
    out->src_port = get16(h);
    out->dst_port = get16(h + 2);
    out->seq = get32(h + 4);
    out->ack = get32(h + 8);
    out->flags = h[13];
    out->window = get16(h + 14);
}

/* Timestamps that follow it behind two NOPs. */
static inline void tcp_header_timestamps(const uint8_t *h, struct tcp_segment *out)
{
    out->ts_val = get32(h + 24);
    out->ts_ecr = get32(h + 28);
    out->options = TCP_OPT_TS;
}

/* Reads the header at h. have: bytes that may be read, at least the whole header if the segment is sound. An
 * option that runs over the end or is shorter than its own two bytes is TCP_BAD_OPTIONS; a known option of a
 * wrong length is skipped, as if unknown (RFC 9293 MUST-6, MUST-7). out is defined only for TCP_PARSED. */
static inline enum tcp_parse tcp_header_parse(const uint8_t *h, uint32_t have, struct tcp_segment *out)
{
    if (have < TCP_HEADER)
        return TCP_TRUNCATED;
    unsigned header = (h[12] >> 4) * 4u;
    if (header < TCP_HEADER || header > have)
        return TCP_TRUNCATED;
    tcp_header_fixed(h, out);
    out->header = (uint8_t)header;
    out->options = 0;
    out->sacks = 0;
    out->ts_val = 0;
    if (header == TCP_HEADER)
        return TCP_PARSED;
    if (header != TCP_HEADER + TCP_TS_SPACE || get32(h + TCP_HEADER) != TCP_NOP_NOP_TS)
        return tcp_header_options(h, out);
    tcp_header_timestamps(h, out);
    return TCP_PARSED;
}

/* header.c: TCP header and option codec (RFC 9293 section 3.1 and 3.2, RFC 7323 sections 2.2 and 3.2, RFC
 * 2018 sections 2 and 3). */
#include "tcp/header.h"

enum {
    KIND_END = 0,
    KIND_NOP = 1,
    KIND_MSS = 2,
    KIND_WSCALE = 3,
    KIND_SACK_OK = 4,
    KIND_SACK = 5,
    KIND_TS = 8
};

static void read_sack(const uint8_t *value, unsigned len, struct tcp_segment *out)
{
    unsigned blocks = len / 8;
    if (len % 8 || blocks == 0 || blocks > TCP_SACK_BLOCKS)
        return;
    for (unsigned i = 0; i < blocks; i++)
        out->sack[i] = (struct tcp_range){get32(value + 8 * i), get32(value + 8 * i + 4)};
    out->sacks = (uint8_t)blocks;
    out->options |= TCP_OPT_SACK;
}

/* One option of a known or unknown kind; len counts the value alone. */
static void read_option(uint8_t kind, const uint8_t *value, unsigned len, struct tcp_segment *out)
{
    if (kind == KIND_MSS && len == 2) {
        out->mss = get16(value);
        out->options |= TCP_OPT_MSS;
    } else if (kind == KIND_WSCALE && len == 1) {
        out->wscale = value[0] > TCP_WSCALE_MAX ? TCP_WSCALE_MAX : value[0];
        out->options |= TCP_OPT_WSCALE;
    } else if (kind == KIND_SACK_OK && len == 0) {
        out->options |= TCP_OPT_SACK_OK;
    } else if (kind == KIND_TS && len == 8) {
        out->ts_val = get32(value);
        out->ts_ecr = get32(value + 4);
        out->options |= TCP_OPT_TS;
    } else if (kind == KIND_SACK) {
        read_sack(value, len, out);
    }
}

static enum tcp_parse read_options(const uint8_t *p, const uint8_t *end, struct tcp_segment *out)
{
    while (p < end) {
        uint8_t kind = *p++;
        if (kind == KIND_END)
            break;
        if (kind == KIND_NOP)
            continue;
        if (p == end || *p < 2 || *p - 1 > end - p)
            return TCP_BAD_OPTIONS;
        unsigned len = *p - 2u;
        read_option(kind, p + 1, len, out);
        p += 1 + len;
    }
    return TCP_PARSED;
}

enum tcp_parse tcp_header_options(const uint8_t *h, struct tcp_segment *out)
{
    return read_options(h + TCP_HEADER, h + out->header, out);
}

static uint8_t *write_sack(uint8_t *p, const uint8_t *limit, const struct tcp_segment *seg)
{
    unsigned room = (unsigned)(limit - p);
    unsigned blocks = room < 12 ? 0 : (room - 4) / 8;
    if (blocks > seg->sacks)
        blocks = seg->sacks;
    if (blocks == 0)
        return p;
    *p++ = KIND_NOP;
    *p++ = KIND_NOP;
    *p++ = KIND_SACK;
    *p++ = (uint8_t)(2 + 8 * blocks);
    for (unsigned i = 0; i < blocks; i++, p += 8) {
        put32(p, seg->sack[i].from);
        put32(p + 4, seg->sack[i].to);
    }
    return p;
}

unsigned tcp_header_write(uint8_t *h, const struct tcp_segment *seg)
{
    uint8_t *p = h + TCP_HEADER;
    if (seg->options & TCP_OPT_MSS) {
        p[0] = KIND_MSS;
        p[1] = 4;
        put16(p + 2, seg->mss);
        p += 4;
    }
    if (seg->options & TCP_OPT_SACK_OK) {
        const uint8_t pair[4] = {KIND_NOP, KIND_NOP, KIND_SACK_OK, 2};
        memcpy(p, pair, sizeof pair);
        p += sizeof pair;
    }
    if (seg->options & TCP_OPT_TS) {
        put32(p, TCP_NOP_NOP_TS);
        put32(p + 4, seg->ts_val);
        put32(p + 8, seg->ts_ecr);
        p += TCP_TS_SPACE;
    }
    if (seg->options & TCP_OPT_WSCALE) {
        const uint8_t scale[4] = {KIND_NOP, KIND_WSCALE, 3, seg->wscale};
        memcpy(p, scale, sizeof scale);
        p += sizeof scale;
    }
    if (seg->options & TCP_OPT_SACK)
        p = write_sack(p, h + TCP_HEADER_MAX, seg);
    unsigned header = (unsigned)(p - h);
    put16(h, seg->src_port);
    put16(h + 2, seg->dst_port);
    put32(h + 4, seg->seq);
    put32(h + 8, seg->ack);
    h[12] = (uint8_t)(header / 4 << 4);
    h[13] = seg->flags;
    put16(h + 14, seg->window);
    put32(h + 16, 0); /* checksum is net's, urgent pointer unused */
    return header;
}

/* pcapng.c: blocks of draft-ietf-opsawg-pcapng: section header (4.1), interface description (4.2), enhanced
 * packet (4.3), interface statistics (4.6), and their options. */
#include "control/pcapng.h"

#include <string.h>

enum block_type { BLOCK_INTERFACE = 1, BLOCK_STATISTICS = 5, BLOCK_PACKET = 6, BLOCK_SECTION = 0x0a0d0d0a };

enum { /* options, each of its block */
       OPTION_END = 0,
       SECTION_APPLICATION = 4,
       INTERFACE_NAME = 2,
       INTERFACE_DESCRIPTION = 3,
       INTERFACE_RESOLUTION = 9,
       INTERFACE_FILTER = 11,
       PACKET_FLAGS = 2,
       PACKET_QUEUE = 6,
       STATISTICS_START = 2,
       STATISTICS_END = 3,
       STATISTICS_RECEIVED = 4,
       STATISTICS_MATCHED = 6,
       STATISTICS_DROPPED = 7,
       STATISTICS_DELIVERED = 8
};

enum { BYTE_ORDER_MAGIC = 0x1a2b3c4d, LINKTYPE_ETHERNET = 1, NANOSECONDS = 9 };

static void add_u16(struct text *out, uint16_t v)
{
    const uint8_t bytes[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    text_add_n(out, (const char *)bytes, sizeof bytes);
}

static void add_u32(struct text *out, uint32_t v)
{
    add_u16(out, (uint16_t)v);
    add_u16(out, (uint16_t)(v >> 16));
}

static void add_padded(struct text *out, const void *bytes, size_t len)
{
    static const char zero[4];
    text_add_n(out, bytes, len);
    text_add_n(out, zero, -len & 3);
}

/* A time: the upper half first. */
static void add_time(struct text *out, uint64_t ns)
{
    add_u32(out, (uint32_t)(ns >> 32));
    add_u32(out, (uint32_t)ns);
}

static size_t begin(struct text *out, enum block_type type)
{
    size_t start = out->len;
    add_u32(out, type);
    add_u32(out, 0); /* the length, known at the end */
    return start;
}

static void end(struct text *out, size_t start)
{
    uint32_t len = (uint32_t)(out->len - start) + 4;
    add_u32(out, len);
    memcpy(out->p + start + 4, out->p + out->len - 4, 4);
}

static void option(struct text *out, uint16_t code, const void *value, size_t len)
{
    if (len > UINT16_MAX)
        len = UINT16_MAX;
    add_u16(out, code);
    add_u16(out, (uint16_t)len);
    add_padded(out, value, len);
}

static void option_text(struct text *out, uint16_t code, const char *value)
{
    option(out, code, value, strlen(value));
}

static void option_u32(struct text *out, uint16_t code, uint32_t v)
{
    add_u16(out, code);
    add_u16(out, 4);
    add_u32(out, v);
}

static void option_u64(struct text *out, uint16_t code, uint64_t v)
{
    add_u16(out, code);
    add_u16(out, 8);
    add_u32(out, (uint32_t)v);
    add_u32(out, (uint32_t)(v >> 32));
}

static void option_time(struct text *out, uint16_t code, uint64_t ns)
{
    add_u16(out, code);
    add_u16(out, 8);
    add_time(out, ns);
}

static void begin_section(struct text *out, const struct pcapng_source *source)
{
    size_t start = begin(out, BLOCK_SECTION);
    add_u32(out, BYTE_ORDER_MAGIC);
    add_u16(out, 1); /* version 1.0 */
    add_u16(out, 0);
    add_u32(out, UINT32_MAX); /* the section's length is not known: a stream */
    add_u32(out, UINT32_MAX);
    option_text(out, SECTION_APPLICATION, source->application);
    add_u32(out, OPTION_END);
    end(out, start);
}

void pcapng_begin(struct text *out, const struct pcapng_source *source)
{
    const uint8_t resolution = NANOSECONDS;
    begin_section(out, source);
    size_t start = begin(out, BLOCK_INTERFACE);
    add_u16(out, LINKTYPE_ETHERNET);
    add_u16(out, 0);
    add_u32(out, source->snaplen);
    option_text(out, INTERFACE_NAME, source->name);
    option_text(out, INTERFACE_DESCRIPTION, "data port");
    option(out, INTERFACE_RESOLUTION, &resolution, 1);
    if (*source->filter) {
        struct text filter = {0};
        text_add_n(&filter, "", 1); /* 0: the text is of pcap-filter(7) */
        text_add(&filter, source->filter);
        option(out, INTERFACE_FILTER, filter.p, filter.len);
        text_free(&filter);
    }
    add_u32(out, OPTION_END);
    end(out, start);
}

void pcapng_add(struct text *out, const struct pcapng_packet *packet)
{
    size_t start = begin(out, BLOCK_PACKET);
    add_u32(out, 0); /* interface */
    add_time(out, packet->ns);
    add_u32(out, packet->caught);
    add_u32(out, packet->length);
    add_padded(out, packet->bytes, packet->caught);
    option_u32(out, PACKET_FLAGS, packet->direction & 3);
    option_u32(out, PACKET_QUEUE, packet->queue);
    add_u32(out, OPTION_END);
    end(out, start);
}

void pcapng_end(struct text *out, const struct pcapng_totals *totals)
{
    size_t start = begin(out, BLOCK_STATISTICS);
    add_u32(out, 0); /* interface */
    add_time(out, totals->end_ns);
    option_time(out, STATISTICS_START, totals->start_ns);
    option_time(out, STATISTICS_END, totals->end_ns);
    option_u64(out, STATISTICS_RECEIVED, totals->seen);
    option_u64(out, STATISTICS_MATCHED, totals->matched);
    option_u64(out, STATISTICS_DROPPED, totals->dropped);
    option_u64(out, STATISTICS_DELIVERED, totals->delivered);
    add_u32(out, OPTION_END);
    end(out, start);
}

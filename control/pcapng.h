/* pcapng.h: writing a capture file: draft-ietf-opsawg-pcapng (PCAP Next Generation). One section, one
 * Ethernet interface, little endian, times in nanoseconds. Each function appends whole blocks. */
#pragma once
#include "control/text.h"

#include <stdint.h>

struct pcapng_source {
    const char *application; /* who writes it */
    const char *name;        /* of the interface */
    const char *filter;      /* pcap-filter(7); "" = none */
    uint32_t snaplen;
};

struct pcapng_packet {
    uint64_t ns; /* since 1970 */
    uint32_t queue;
    unsigned direction; /* 1 in, 2 out */
    uint32_t length, caught;
    const uint8_t *bytes;
};

struct pcapng_totals {
    uint64_t start_ns, end_ns;
    uint64_t seen, matched, dropped, delivered;
};

/* Section header and interface description. */
void pcapng_begin(struct text *out, const struct pcapng_source *source);
void pcapng_add(struct text *out, const struct pcapng_packet *packet);
/* Interface statistics, the last block. */
void pcapng_end(struct text *out, const struct pcapng_totals *totals);

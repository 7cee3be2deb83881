/* tap.h: a capture of the frames of all workers: a filter (the classic BPF of pcap-filter(7)) and a bounded
 * ring for each worker, from which the main thread reads. A worker never waits for a reader: what finds no
 * room is dropped and counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rte_mbuf;
struct tap;

enum tap_direction { TAP_IN = 1, TAP_OUT = 2 };

enum {
    TAP_MEMORY = 16 << 20, /* bytes of all rings of a capture together */
    TAP_PROGRAM_MAX = 512, /* instructions; classic BPF has no loops, so this bounds the time of a frame */
    TAP_INSTRUCTION_BYTES = 8, /* u16 code, u8 jt, u8 jf, u32 k, little endian */
};

struct tap_request {
    uint32_t snaplen;       /* bytes kept of a frame, at least 1 */
    uint8_t directions;     /* enum tap_direction, or-ed */
    const uint8_t *program; /* classic BPF for Ethernet frames; 0 bytes: every frame */
    size_t program_len;
};

/* NULL and one line in error: a program that is not valid, or no memory. */
struct tap *tap_new(const struct tap_request *request, unsigned workers, char *error, size_t size);
/* When no worker holds it any more. */
void tap_free(struct tap *t);

/* A worker's frames as they come from or go to the port; they are only read. The call of worker `worker`
 * alone. wall_ns: time of day, for all of them. */
void tap_frames(struct tap *t, unsigned worker, enum tap_direction direction, struct rte_mbuf **frames,
                unsigned n, uint64_t wall_ns);

/* -- for the main thread ------------------------------------------------------------------------------ */

struct tap_packet {
    uint64_t wall_ns;
    unsigned worker;
    enum tap_direction direction;
    uint32_t length; /* of the frame */
    uint32_t caught; /* bytes that were kept, at `bytes` until tap_release */
    const uint8_t *bytes;
};

/* The oldest packet that has not been taken, over all workers' rings. False: there is none. */
bool tap_peek(struct tap *t, struct tap_packet *out);
/* The packet that tap_peek gave is taken: the next one follows. */
void tap_take(struct tap *t, const struct tap_packet *packet);
/* What was taken has been used: its room is free. */
void tap_release(struct tap *t);
/* What was taken since the last release has not been used: it comes again. */
void tap_rewind(struct tap *t);

struct tap_totals {
    uint64_t seen, matched, dropped; /* frames; dropped ones matched, but found no room */
};
void tap_totals(const struct tap *t, struct tap_totals *out);

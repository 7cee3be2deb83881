/* memwire.h: an in-memory Ethernet wire for tests: two ends, frames in virtual time, with loss, reordering,
 * duplication, corruption and delay from a seeded generator, so that a run can be repeated. */
#pragma once
#include "net/net.h"

struct memwire;

struct memwire_fault { /* probabilities in 1/1,000,000 a frame */
    uint32_t loss, duplicate, corrupt, reorder;
    uint64_t delay_us, jitter_us; /* one way */
    uint64_t hold_us;             /* what a reordered frame waits more; 0 = drawn for each */
    uint64_t rate_bps;            /* 0 = no limit */
    uint32_t queue_frames;        /* frames waiting for the rate, beyond: dropped; 0 = 1000 */
};

/* What both ends' ports do with arriving frames. Frames sent with the flags of NET_TX_TCP_CSUM and NET_TX_TSO
 * are finished and cut up in any case, and suffer the faults piece by piece. */
struct memwire_port {
    bool verify; /* checksums: right ones are marked as such */
    bool gather; /* segments of one burst that follow each other arrive as one chained frame; needs verify */
    uint32_t piece; /* without gather: bytes a receive buffer holds, 0 = any frame */
};

struct memwire *memwire_new(struct rte_mempool *pool, uint64_t seed, const struct memwire_fault *fault);
void memwire_free(struct memwire *w);
/* False if out of memory: the faults are unchanged then. NULL = a perfect wire. */
bool memwire_set_fault(struct memwire *w, const struct memwire_fault *fault);
/* Until then: none of it. */
void memwire_set_port(struct memwire *w, const struct memwire_port *port);
/* The wire of end 0 or 1: give it to net_if_new. now is taken from memwire_set_time. */
const struct wire *memwire_end(struct memwire *w, unsigned end);
void memwire_set_time(struct memwire *w, uint64_t now_us);
/* Frames that have arrived at end by now (caller owns them). */
unsigned memwire_receive(struct memwire *w, unsigned end, struct rte_mbuf **frames, unsigned n);
/* Time of the next arrival at either end, UINT64_MAX if the wire is empty. */
uint64_t memwire_next(const struct memwire *w);

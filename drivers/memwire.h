/* memwire.h: an in-memory Ethernet wire for tests: two ends, frames in virtual time, with loss, reordering,
 * duplication, corruption and delay from a seeded generator, so that a run can be repeated. */
#pragma once
#include "net/net.h"

struct memwire;

struct memwire_fault { /* probabilities in 1/1,000,000 a frame */
    uint32_t loss, duplicate, corrupt, reorder;
    uint64_t delay_us, jitter_us; /* one way */
    uint64_t rate_bps;            /* 0 = no limit */
    uint32_t queue_frames;        /* frames waiting for the rate, beyond: dropped; 0 = 1000 */
};

struct memwire *memwire_new(struct rte_mempool *pool, uint64_t seed, const struct memwire_fault *fault);
void memwire_free(struct memwire *w);
/* False if out of memory: the faults are unchanged then. NULL = a perfect wire. */
bool memwire_set_fault(struct memwire *w, const struct memwire_fault *fault);
/* The wire of end 0 or 1: give it to net_if_new. now is taken from memwire_set_time. */
const struct wire *memwire_end(struct memwire *w, unsigned end);
void memwire_set_time(struct memwire *w, uint64_t now_us);
/* Frames that have arrived at end by now (caller owns them). */
unsigned memwire_receive(struct memwire *w, unsigned end, struct rte_mbuf **frames, unsigned n);
/* Time of the next arrival at either end, UINT64_MAX if the wire is empty. */
uint64_t memwire_next(const struct memwire *w);
/* Called for every frame that is sent, before faults (a trace for failing tests). */
void memwire_tap(struct memwire *w,
                 void (*fn)(void *ctx, unsigned from, const struct rte_mbuf *m, uint64_t now_us), void *ctx);

/* wiretime.h: how long requests are on their way through a worker, from the burst that brought them to the
 * burst that takes their replies away (base/times.h). The clock is read once a stage of a round or batch,
 * never for a request: those of a batch were received, executed and sent together. A request leaves its
 * family; what has the same times is entered at once when the round ends.
 *
 * A session keeps when the burst came that made it readable. Usually that is this round's; of what has waited
 * (behind a hop, a long pipeline, a pause) it was an earlier one, and its times count from there. */
#pragma once
#include "base/times.h"

#include <stdbool.h>

struct wiretime_group { /* requests with the same times, of the TSC */
    uint64_t since, begin, end;
    uint32_t n;
    uint8_t family;
    bool late, elsewhere;
};
enum { WIRETIME_GROUPS = 256, WIRETIME_UNIT_BITS = 7 };

enum { WIRETIME_BATCH = 32 };
struct wiretime_batch { /* part of a batch */
    uint8_t family[WIRETIME_BATCH];
    uint32_t late, undone; /* a bit a request: since[] has its time; it was not executed, or has not ended */
    uint32_t since[WIRETIME_BATCH];
};

struct wiretime {                /* one a worker */
    struct family_times *family; /* in shared memory */
    uint64_t start, delivered;   /* of this round */
    uint32_t now;                /* start as sessions keep it: units of 128 cycles, wraps; never 0 */
    uint64_t ns_per_cycle, most; /* 2^-20 ns; cycles that are TIME_MOST_NS */
    unsigned groups, closed;     /* those behind `closed` are of the batch that runs */
    struct wiretime_group group[WIRETIME_GROUPS];
};

void wiretime_init(struct wiretime *t, struct family_times *family, double tsc_hz);

/* A round begins: its burst has come. */
static inline void wiretime_round(struct wiretime *t, uint64_t tsc)
{
    t->start = tsc;
    t->now = (uint32_t)(tsc >> WIRETIME_UNIT_BITS) | 1;
}

/* Requests from ... to - 1 of the batch are of a session that was readable before this round. */
void wiretime_late(struct wiretime_batch *b, unsigned from, unsigned to, uint32_t since);
/* The batch of n requests that began at `begin` has ended. */
void wiretime_batch(struct wiretime *t, const struct wiretime_batch *b, unsigned n, uint64_t begin,
                    uint64_t end);
/* The reply to a request that did not end in its batch is there. */
void wiretime_elsewhere(struct wiretime *t, uint32_t since, unsigned family, uint64_t now);
/* The round's TX burst has left. */
void wiretime_sent(struct wiretime *t, uint64_t now);
/* The round has ended; it had work to do. */
void wiretime_loop(struct wiretime *t, uint64_t now);

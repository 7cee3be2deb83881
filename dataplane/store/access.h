/* access.h: how long ago and how often a key was used, in the 24 bits that an entry has for it. Private to
 * the store.
 *
 *   LRU policies (and noeviction)   ┌ used again:1 ┬ tick:23 ────────────────┐
 *   LFU policies                    ├ tick:16 ─────┴──────────┬ counter:8 ───┤
 *
 * A tick is a second (LRU) or a minute (LFU), as in Redis, while nothing is evicted. A cache that turns over
 * in seconds would then hold nothing but equals, so under eviction ticks become shorter: about a 64th of the
 * time in which as many keys are evicted as are held, so that the counter laps itself only after very many
 * turnovers. What tick was when is kept as a short list of epochs; so OBJECT IDLETIME and the decay of OBJECT
 * FREQ are right whatever the ticks' length was. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { EPOCHS = 12, LRU_BITS = 23, LFU_BITS = 16 };
#define ACCESS_LRU_MASK ((1u << LRU_BITS) - 1)
#define ACCESS_AGAIN    (1u << LRU_BITS)
enum { ACCESS_ONCE_SHIFT = 2 }; /* a key that was not used since it was stored counts as idle four times as long */

struct entry;
struct shard;

/* From this time on ticks have one length. */
struct epoch {
    uint64_t ms, tick;
};

struct access_clock {
    uint64_t tick;
    unsigned step; /* ms a tick */
    unsigned epochs;
    uint64_t evicted, since_ms; /* evictions since then, for the next choice of step */
    struct epoch epoch[EPOCHS];
};

/* After the shard's time was set. */
void access_set_time(struct shard *s, uint64_t before_ms);
/* After the policy was changed; also the first time. */
void access_start(struct shard *s);
/* For each evicted key. */
void access_evicted(struct shard *s);

/* The higher, the sooner a key should go. */
uint64_t access_score(struct shard *s, struct entry *e);
/* Gives an entry of another shard the same age here. */
void access_carry(const struct shard *from, const struct entry *e, const struct shard *to,
                  struct entry *made);

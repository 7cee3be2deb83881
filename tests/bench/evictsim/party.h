/* party.h: a cache that a trace is played against: ours in process, or a redis-server behind a socket. */
#pragma once
#include "trace.h"
#include <stddef.h>

enum { BATCH = 64 }; /* requests that are under way together */

struct party {
    void *self;
    /* Asks for n <= BATCH keys and says in hit[] which were there. False if the other side is gone. */
    bool (*get)(void *self, const uint64_t *key, unsigned n, bool *hit);
    /* Stores n keys. ttl_ms: 0 = none, else each key has a time of its own around that. */
    bool (*set)(void *self, const uint64_t *key, unsigned n, uint64_t ttl_ms);
    /* Keys held, bytes used as the cache itself counts them, keys evicted so far. */
    bool (*facts)(void *self, uint64_t *keys, uint64_t *used, uint64_t *evicted);
    void (*close)(void *self);
};

struct result {
    uint64_t asked, hits, keys, used, evicted;
    double seconds;
};

/* Our store: `rate` requests a second go by on its clock. */
bool party_ours(struct party *p, const char *policy, uint64_t maxmemory, unsigned samples, uint64_t rate);
/* An empty redis-server on 127.0.0.1 that is configured already. */
bool party_redis(struct party *p, unsigned port);

/* Cache-aside: what was missed is stored. Requests of the trace's warm-up do not count. */
bool play(struct party *p, struct trace *t, uint64_t ttl_ms, struct result *out);

/* When a key expires: spread over the second half of ttl_ms to its one and a half. */
static inline uint64_t ttl_of(uint64_t key, uint64_t ttl_ms)
{
    return ttl_ms ? ttl_ms / 2 + key * 0x9e3779b97f4a7c15u % ttl_ms : 0;
}

/* eviction.h: which key goes when memory is short: Redis' sampled policies with a pool of the best candidates
 * seen. Private to the store. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { POOL_SIZE = 16, SAMPLES_MAX = 64 };

struct entry;
struct shard;

/* A key that was worth evicting when it was seen; checked against the index before it is believed. */
struct candidate {
    struct entry *e;
    uint64_t hash, score; /* as far as a sample knows it (index.h); the highest score goes first */
    unsigned db;
};

struct pool {
    unsigned n;
    struct candidate best[POOL_SIZE]; /* by rising score */
    uint64_t next[2];                 /* the next two samples, being prefetched */
    unsigned seen;                    /* candidates seen beyond those that past evictions asked for */
    unsigned databases, until_look;   /* those with a number below hold all keys; evictions until that is
                                         looked at again */
};

/* An evicted key's entry that may be had as it is, if its allocation is of that many bytes and it has nothing beside it. */
struct reuse {
    uint64_t bytes;
    struct entry *e; /* NULL: it was of another size, and is freed */
};

/* Evicts one key by the policy. False if nothing can go. reuse: for a caller who can use the memory; NULL: none. */
bool evict_one(struct shard *s, struct reuse *reuse);

/* eviction.h: which key goes when memory is short: Redis' policies, by sweeps of a hand that goes round the index. Private to
 * the store. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "store/index.h"

enum { VICTIMS = 16, SAMPLES_MAX = 64, SEEN_MOST = 128, SEEN_ROOM = SEEN_MOST + SWEEP_MORE };

struct entry;
struct shard;

/* A key that is to go; checked against the index before it is believed. */
struct victim {
    struct sampled seen;
    uint64_t score; /* as it was when it was chosen */
    unsigned db;
};

/* Keys that the hand has come by. */
struct swept {
    unsigned n;
    struct sampled found[SEEN_ROOM];
    uint16_t db[SEEN_ROOM];
};

/* Victims chosen together, so that the misses of looking for them overlap. */
struct pool {
    unsigned n;
    struct victim next[VICTIMS + VICTIMS / 4]; /* the last one goes first */
    uint64_t bar;                   /* whoever is above it went in the last sweeps (eviction.c) */
    unsigned databases, until_look; /* those with a number below hold all keys; sweeps until that is looked at
                                       again */
    struct swept seen;               /* policies by idle time: what the next sweep chooses from; its memory is asked for. Some
                                       of it may be gone by then: no more is read of it than a word */
};

/* An evicted key's entry that may be had as it is, if its allocation is of that many bytes and it has nothing beside it. */
struct reuse {
    uint64_t bytes;
    struct entry *e; /* NULL: it was of another size, and is freed */
};

/* Does the policy spare keys without an expiry? */
bool evicts_volatile(const struct shard *s);

/* Whatever was seen or chosen means nothing any more: databases were swapped, or the policy is another one. */
void eviction_forget(struct shard *s);

/* The straight way of evict_one() under allkeys-lru: the memory of the next victim, if it is a short string whose allocation is of so many
 * bytes, and nobody waits for keys, has some, or reads any. NULL: there is none, or it is not such a one, and nothing is done. */
struct entry *evict_alike(struct shard *s, uint64_t bytes);

/* Evicts one key by the policy. False if nothing can go. reuse: for a caller who can use the memory; NULL: none. */
bool evict_one(struct shard *s, struct reuse *reuse);

/* expiry.h: active expiry, one timer wheel a database. Private to the store.
 *
 *   level 0: 256 slots of 64 ms   level 1: 256 of 16 s   level 2: 256 of 70 min   level 3: 256 of 12 days
 *   slot ──▶ chunk (41 items of 6 bytes) ──▶ chunk ──▶ …
 *
 * An item is 32 bits of a key's hash (which find the entry wherever it has moved to) and 16 bits of its time
 * below the slot's. Firing an item looks at the few index slots that agree with those bits, removes the entry
 * if it is due, or those fields of a hash that are, and files the item again if there is more to come or its time was
 * put off. Rule: an entry with an expiry before the horizon, its own or that of a hash's field, has an item that fires
 * no later than a tick after the soonest of them. So putting an expiry off adds nothing, and removing a key leaves a
 * stale item. When stale items outnumber the live ones, or an item was lost for want of memory, the wheel is thrown
 * away and filled again by a walk of the index, in slices.
 *
 * The horizon is never if few keys expire, or a small share of them. Otherwise it is nine minutes away, and what is
 * due later has no item: every four minutes a walk over the index, at leisure, files what comes near. So a key that
 * lives for an hour takes six bytes here for the end of its life only, and a store of it touches no slot. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { WHEEL_LEVELS = 4, WHEEL_SLOTS = 256, TICK_SHIFT = 6, CHUNK_ITEMS = 41 };

struct wheel_chunk {
    struct wheel_chunk *next;
    uint16_t n;
    uint16_t fine[CHUNK_ITEMS];
    uint32_t id[CHUNK_ITEMS];
};

struct wheel {
    uint64_t tick; /* the next to fire; a tick is 64 ms since 1970 */
    uint64_t items;
    bool lost;                                     /* an item could not be filed */
    uint64_t horizon;                              /* a tick: what is due then or later has no item */
    bool walking;                                  /* being filled from the index ... */
    uint64_t cursor, from;                         /* ... here, with what is due at this tick or later */
    struct wheel *old;                             /* thrown away, not yet freed */
    uint64_t busy[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* bits: slots that may hold something */
    struct wheel_chunk *coming[WHEEL_LEVELS];      /* to be filed on a lower level before the tick fires */
    struct wheel_chunk *slot[WHEEL_LEVELS][WHEEL_SLOTS];
};

struct shard;
struct db;
struct entry;

/* Files an item for a key that is to expire at expire_at, if it has `before` (0 = none) as expiry now. To be
 * called before the entry is changed: STORE_OOM is then free of consequences. May evict. False without
 * memory. */
bool expiry_add(struct shard *s, struct db *db, uint64_t hash, uint64_t before, uint64_t expire_at);

/* Fires what is due in one database; takes what it used from *budget. True if there is more to do. */
bool expiry_run(struct shard *s, struct db *db, unsigned *budget);

/* Has every entry with an expiry, however far away, its item? Then expiry_sample() finds them. */
bool expiry_knows_all(const struct db *db);

/* An entry with an expiry: soonest first, or from a random slot. NULL if a few tries find none. */
struct entry *expiry_sample(struct shard *s, struct db *db, bool soonest, uint64_t random);

/* Frees a wheel and its chunks, up to *budget of them. True when it is gone. */
bool expiry_free(struct shard *s, struct wheel *w, unsigned *budget);

/* pins.h: the keys of a shard that commands under way read or change, or wait for (dataplane/turns.h). What
 * is pinned is neither evicted, nor expired, nor moved, and its collection's elements are not either.
 *
 * Keys are told apart by their hash alone: two that share one merely wait for each other. The table is on the
 * heap; it is nearly always empty. */
#pragma once
#include "store/store.h"

#include <stdatomic.h>

struct pin_key {
    struct pin_key *next;
    uint64_t hash;
    uint32_t pins;                             /* in all */
    uint32_t readers, writers;                 /* who have it; more than one writer is one command */
    uint32_t waiting_readers, waiting_writers; /* who came later */
    uint64_t walk;    /* of turns.c: somebody earlier in this walk waits for it, ... */
    bool walk_writer; /* ... to write */
};

struct pins {
    uint64_t pins;    /* in all; 0: nothing below means anything */
    uint64_t held;    /* of them, by who have their keys, ... */
    uint64_t writing; /* ... and change them */
    uint64_t elder;   /* of those held, what was so when a database was flushed: they read what is gone */
    uint64_t flushes; /* while some were held */
    unsigned
        everything; /* commands under way that read all keys; each counts as one of `pins` and of `held` */
    unsigned alone; /* a command under way that has the shard to itself; counts in `writing`, too */
    const char *busy; /* what others are told, because that one takes long; NULL: they wait */
    unsigned whole; /* commands on the whole keyspace that wait: no long one begins */
    bool freed;     /* some were given back since the owner last looked */
    _Atomic(uint64_t) given_up; /* how often that was, for those who wait on other workers */
    struct pin_key **bucket;
    uint64_t buckets, keys;
};

/* One key of a request. */
struct pin {
    struct pin_key *key; /* NULL: not in a table */
    uint32_t shard;
    bool write, held;
    uint64_t flushes; /* when it became held */
};

struct pins *shard_pins(struct shard *s);

/* Who waits is to look again. By the owner, or with all workers stopped. */
static inline void pins_given_up(struct pins *p)
{
    p->freed = true;
    atomic_store_explicit(&p->given_up, atomic_load_explicit(&p->given_up, memory_order_relaxed) + 1, memory_order_relaxed);
}

/* Adds a pin, whose shard and write are set, that waits. False if out of memory. */
bool pins_add(struct pins *p, uint64_t hash, struct pin *pin);
/* It has its key from now on. */
void pins_hold(struct pins *p, struct pin *pin);
/* A database is flushed: what is held reads what is freed only when `elder` is 0 again. */
void pins_flush(struct pins *p);
/* A command that reads all keys begins, or ends. */
void pins_hold_all(struct pins *p);
void pins_remove_all(struct pins *p);
/* A command that may change any key begins, or ends: between its turns nobody else sees one. What it does to
 * a key is over before it takes a turn, so keys may be evicted, but by nobody else. */
void pins_hold_shard(struct pins *p);
void pins_remove_shard(struct pins *p);
/* It has a turn, and is not in its own way meanwhile; and has had it. */
void pins_lift_shard(struct pins *p);
void pins_lower_shard(struct pins *p);
/* Takes it out; nothing if it is in no table. */
void pins_remove(struct pins *p, struct pin *pin);
/* NULL if nobody has or wants it. */
struct pin_key *pins_find(const struct pins *p, uint64_t hash);
void pins_free(struct pins *p);

/* Does a command under way have this key? One that has the shard to itself has all, but during its turns. */
bool pins_holds(const struct pins *p, uint64_t hash);
static inline bool pinned(const struct pins *p, uint64_t hash)
{
    return __builtin_expect(p->held != 0, 0) && pins_holds(p, hash);
}

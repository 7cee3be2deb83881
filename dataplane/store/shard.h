/* shard.h: a shard as the store's own files see it. Private to the store and to value-type modules. */
#pragma once
#include "base/turn.h"
#include "store/access.h"
#include "store/arena.h"
#include "store/big.h"
#include "store/compact.h"
#include "store/entry.h"
#include "store/eviction.h"
#include "store/expiry.h"
#include "store/index.h"
#include "store/midway.h"
#include "store/pins.h"
#include "store/slab.h"
#include "store/snapshot.h"
#include "store/store.h"
#include "store/waits.h"

/* One database of one shard. */
struct db {
    struct index index;
    struct wheel *wheel;   /* NULL while no key has an expiry */
    uint64_t expires;      /* keys with an expiry ... */
    uint64_t expire_total; /* ... and the sum of their times, for the mean (wraps, as sums may) */
    uint64_t timed;        /* hashes with fields that have one */
    uint64_t data;         /* key and value bytes as the user counts them */
    uint64_t hand;         /* where eviction looks next (index_sweep) */
};

/* A database that was flushed and is freed in slices. */
struct trash {
    struct trash *next;
    struct db db;
    uint32_t segment; /* the next one to free */
};

enum { GUARDS = sizeof((struct shard_turn *)0)->guard / sizeof(void *) };

struct shard {
    struct slab_heap heap;
    uint64_t seed, now_ms;
    uint64_t limit, peak;
    uint64_t limit_wanted; /* below `limit` while upkeep evicts what is too much */
    enum maxmemory_policy policy;
    unsigned samples, lfu_log_factor, lfu_decay_time;
    uint64_t random;  /* state of shard_random() */
    uint64_t dirty;   /* changes of keys so far */
    uint64_t changes; /* raised when entries, or segments of an index, were freed or moved, or segments made, behind a caller's back */
    struct counters *counters;
    struct trash *trash, *spare;
    unsigned spares;         /* at most one a database */
    struct body *bodies;     /* large values that are freed in slices ... */
    uint64_t bodies_waiting; /* ... and how many */
    struct collection_limits limits;
    const void *guard[GUARDS]; /* memory that the running operation reads: its entries are not evicted */
    unsigned guards;
    unsigned databases;
    bool keeps_expired;  /* DEBUG SET-ACTIVE-EXPIRE 0: expired keys wait for an access */
    uint32_t list_chunk; /* DEBUG QUICKLIST-PACKED-THRESHOLD: bytes of a chunk of a list; 0 = as configured */
    unsigned upkeep_db;  /* where upkeep goes on */
    struct compaction compaction;
    struct pool pool;
    struct waits waits;
    struct pins pins;
    struct turn *turn; /* of the command that runs, if it is one in slices */
    struct access_clock access;
    struct db *db;   /* `databases` of them, and one for drafts (draft.h) */
    uint64_t drafts; /* begun so far */
    struct big_keys big;
    struct snapshot *snapshot; /* under way; NULL = none */
    unsigned snapshot_trash;   /* flushed databases that it is still to see */
    bool marked;               /* there may be marks of one in the index */
    uint64_t freed_from, freed_to; /* between these values of `changes` single entries were freed, and nothing else */
    uint64_t midway __attribute__((aligned(64))); /* midway.h: of the worker that has this shard */
};

/* warm.c: a shard and its databases, in extents of the arena. NULL if there is no room. */
struct shard *shard_place(const struct keyspace *ks, unsigned number);
/* Those of another process, as far as this one needs it; shard_configure() is to follow. */
bool keyspace_adopt(struct keyspace *ks, const struct config *conf, struct counters *const *counters,
                    const struct arena_files *files, bool wanted, struct keyspace_past *past);
/* examine.c: whether tables, slabs and indexes of an arena that a crash has left agree, counts included; its cost is that of
 * reading the index, not the keys. NULL, or what does not: one line. As many threads as there are shards. */
const char *keyspace_examine(struct arena *a, struct shard *const *shard, unsigned shards);
/* warm.c: a note of a flushed database that lies in the arena. */
bool shard_has_note(const struct shard *s, const struct trash *t);
/* When whatever the shards have outside the arena is freed: what a later process takes over is whole. */
void keyspace_seal(struct keyspace *ks);

/* Memory for entries and for value types, within the limit: evicts by policy if it must. NULL if neither
 * memory nor anything to evict is left; other entries of the shard may be gone after any call. */
void *shard_alloc(struct shard *s, uint64_t size, enum slab_kind kind);
/* The same without evicting anything: for the index and the wheel, which are being changed at that moment. */
void *shard_alloc_quietly(struct shard *s, uint64_t size, enum slab_kind kind);
void shard_free(struct shard *s, void *p);

uint64_t shard_random(struct shard *s);

/* Protects what p points to (if it lies in the store) from eviction until shard_unguard(). An element of a
 * collection is protected by entry_hold(). */
void shard_guard(struct shard *s, const void *p);
void shard_unguard(struct shard *s);
bool entry_guarded(const struct shard *s, const struct entry *e);
/* Does a command under way have its key? */
static inline bool entry_pinned(const struct shard *s, const struct entry *e)
{
    return __builtin_expect(s->pins.held != 0, 0) && pins_holds(&s->pins, key_hash(entry_key(e), s->seed));
}

/* Keeps an entry with its value where it is, whatever is allocated, until entry_release(). */
static inline void entry_hold(struct entry *e)
{
    e->head |= ENTRY_HELD;
}

static inline void entry_release(struct entry *e)
{
    e->head &= (uint8_t)~ENTRY_HELD;
}

static inline bool access_is_lfu(const struct shard *s)
{
    return s->policy == POLICY_ALLKEYS_LFU || s->policy == POLICY_VOLATILE_LFU;
}

/* access_score() of a key with this stamp where the policy is none of LFU. */
static inline uint32_t access_idle_score(const struct shard *s, uint32_t stamp)
{
    return (((uint32_t)s->access.tick - stamp) & ACCESS_LRU_MASK) << (stamp & ACCESS_AGAIN ? 0 : ACCESS_ONCE_SHIFT);
}

/* What entry_touch() does under an LFU policy. */
void entry_count_use(struct shard *s, struct entry *e);

/* Stamps the access clock. What is used in the same tick in which it was stored is one use: a reader that stores what
 * it missed. */
static inline __attribute__((always_inline)) void entry_touch(struct shard *s, struct entry *e)
{
    uint32_t tick = (uint32_t)(s->access.tick & ACCESS_LRU_MASK);
    if (__builtin_expect(access_is_lfu(s), 0))
        entry_count_use(s, e);
    else if (stamp_read(e) != tick)
        stamp_write(e, tick | ACCESS_AGAIN);
}
/* The stamp of what is stored under an LFU policy. */
uint32_t access_new_count(const struct shard *s);
/* The stamp of what is stored now. */
static inline uint32_t access_new_stamp(const struct shard *s)
{
    return __builtin_expect(access_is_lfu(s), 0) ? access_new_count(s) : (uint32_t)(s->access.tick & ACCESS_LRU_MASK);
}
static inline void entry_new_clock(const struct shard *s, struct entry *e)
{
    stamp_write(e, access_new_stamp(s));
}
/* RESTORE's IDLETIME (seconds) and FREQ: the one that the policy reads; -1 = leave it. */
void entry_set_access(struct shard *s, struct entry *e, int64_t idle, int64_t frequency);

/* The bytes of a value of k as the user counts them were `before` and are `now` (0 = none). Noted in steps of a
 * sixteenth. */
static inline void big_grew(struct shard *s, unsigned db, const struct key *k, enum value_type type, uint64_t before,
                            uint64_t now)
{
    if (__builtin_expect(now > s->big.floor[type], 0) && (before ^ now) > now / 16)
        big_note(s, db, k, type, now);
}

/* Frees an entry that no index points to, with its value. */
void entry_free(struct shard *s, struct entry *e);
/* The live entry of a key and its place; one whose time has come is removed. */
struct entry *db_find(struct shard *s, struct db *db, const struct key *k, struct place *at);
/* index_reserve(), evicting if it must. */
bool shard_reserve(struct shard *s, struct index *ix, uint64_t hash);
/* Tells those who wait for an entry's key, or watch it, that it comes to be, grows, changes or goes. */
void db_tell_key(struct shard *s, const struct db *db, const struct entry *e, enum wait_event event);
/* store_changed(), where every instruction counts. */
static inline void shard_changed(struct shard *s, unsigned db, const struct key *k)
{
    s->dirty++;
    if (__builtin_expect(s->waits.nodes != 0, 0))
        waits_note(&s->waits, db, k->name, k->hash, KEY_CHANGED, TYPE_STRING);
}
static inline void db_note_key(struct shard *s, const struct db *db, const struct entry *e,
                               enum wait_event event)
{
    s->dirty++;
    if (__builtin_expect(s->waits.nodes != 0, 0))
        db_tell_key(s, db, e, event);
}
/* Takes the entry at a place out of its database; its memory and its value's are the caller's. */
void db_take_out(struct shard *s, struct db *db, struct place *at, const struct entry *e);
/* The same, and frees it. */
void db_remove(struct shard *s, struct db *db, struct place *at, struct entry *e);
/* The same because its time has come; counts that. */
void db_expire(struct shard *s, struct db *db, struct place *at, struct entry *e);
/* Has a key that is new, and expires then (0: never), nothing to be filed for it (expiry_add)? */
static inline bool expiry_is_far(const struct db *db, uint64_t expire_at)
{
    return !expire_at || (db->wheel && expire_at >> TICK_SHIFT >= db->wheel->horizon);
}
/* Notes that a key of a database got, lost or changed its expiry. */
void db_note_expiry(struct db *db, uint64_t before, uint64_t now);
/* The same for the next time of a hash's fields. */
static inline void db_note_timed(struct db *db, uint64_t before, uint64_t now)
{
    db->timed += (now != 0) - (uint64_t)(before != 0);
}
/* The figures of a database with, or without, an entry. */
void db_count(struct db *db, const struct entry *e);
void db_uncount(struct db *db, const struct entry *e);

/* Its time has come, or that of all fields of a hash. */
bool entry_is_over(const struct shard *s, const struct entry *e);

static inline bool entry_expired(const struct shard *s, const struct entry *e)
{
    return __builtin_expect(e->head & (ENTRY_TTL | ENTRY_RICH), 0) && entry_is_over(s, e);
}

/* Evicts up to `budget` keys and follows with the limit, after maxmemory has become less. True if it is not
 * yet as wanted. */
bool shard_shrink(struct shard *s, unsigned budget);
/* Is there so much below the limit? */
static inline bool shard_fits(const struct shard *s, uint64_t bytes)
{
    return s->heap.used <= s->limit && bytes <= s->limit - s->heap.used;
}
/* An entry was freed to which no slot points any more; no other entry and no segment was. */
static inline void shard_entry_freed(struct shard *s)
{
    if (s->freed_to != s->changes)
        s->freed_from = s->changes;
    s->freed_to = ++s->changes;
}
/* Is that all that was freed or moved since `changes` had this value? Segments are where they were then. */
static inline bool shard_only_freed(const struct shard *s, uint64_t changes)
{
    return s->freed_to == s->changes && changes - s->freed_from <= s->freed_to - s->freed_from;
}
/* ahead.c: does a slot point to what a hint of another time has found? */
bool ahead_kept(const struct shard *s, const struct ahead *a);
/* ahead.c: is there certainly no key of this hash, also among those that were stored since the hint's steps? */
bool ahead_missed(const struct shard *s, unsigned db, uint64_t hash, const struct ahead *a);
/* What a hint has found, if it is still there; or NULL. */
static inline struct entry *ahead_fresh(const struct shard *s, unsigned db, const struct ahead *a)
{
    if (!a->e || a->s != s || a->db != db)
        return NULL;
    if (__builtin_expect(a->changes != s->changes, 0) && !ahead_kept(s, a))
        return NULL;
    return (struct entry *)(uintptr_t)a->e;
}

/* Was what the hint is for refused for want of memory? One that is for nothing (s is NULL) says nothing else. */
static inline bool ahead_refused(const struct ahead *a)
{
    return a && a->s && __builtin_expect(a->changes == AHEAD_REFUSED, 0);
}

/* The same, of this key and live; or NULL: look it up. */
static inline struct entry *ahead_hit(const struct shard *s, unsigned db, const struct key *k,
                                      const struct ahead *a)
{
    struct entry *e = a ? ahead_fresh(s, db, a) : NULL;
    return e && entry_key_is(e, k->name) && !entry_expired(s, e) ? e : NULL;
}

/* Frees a database that nothing points to any more, about *budget entries of it. True when it is done. */
bool trash_slice(struct shard *s, struct trash *t, unsigned *budget);
/* Frees a slice of what was flushed. Returns true if there is more. */
bool trash_empty(struct shard *s, unsigned budget);
/* A note, zero, of the spare ones if there is any (as many as there are databases lie in the arena); NULL without
 * memory. */
struct trash *trash_new(struct shard *s);
void trash_return(struct shard *s, struct trash *t);
/* What is flushed stays while commands in slices, or a snapshot, read it. */
static inline bool trash_waits(const struct shard *s)
{
    return s->pins.elder > 0 || s->snapshot_trash > 0;
}

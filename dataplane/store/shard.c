/* shard.c: a shard's memory within its limit, and the few steps that every operation is made of. */
#include "store/hash_forms.h"
#include <stdlib.h>

/* xorshift64* (Vigna 2016): eviction samples and LFU chances need no secret. */
uint64_t shard_random(struct shard *s)
{
    s->random ^= s->random >> 12;
    s->random ^= s->random << 25;
    s->random ^= s->random >> 27;
    return s->random * 0x2545f4914f6cdd1dULL;
}

void shard_guard(struct shard *s, const void *p)
{
    if (s->guards < GUARDS && arena_holds(s->heap.arena, p))
        s->guard[s->guards++] = p;
}

void shard_unguard(struct shard *s)
{
    s->guards = 0;
}

enum { LARGE = 65536 }; /* to make room for so much takes turns */

/* A look-up's place is not good any more then. */
static void give_way(struct shard *s)
{
    if (!s->turn)
        return;
    s->changes++;
    turn_take(s->turn);
    s->changes++;
}

/* What was flushed goes before anything is evicted. */
static bool free_something(struct shard *s, struct reuse *reuse)
{
    if ((s->trash && !trash_waits(s)) || s->bodies) {
        trash_empty(s, 256);
        return true;
    }
    return evict_one(s, reuse);
}

enum store_result shard_make_room(struct shard *s, uint64_t bytes)
{
    if (bytes > s->limit)
        return STORE_OOM; /* before everything is evicted in vain */
    while (!shard_fits(s, bytes)) {
        if (!free_something(s, NULL))
            return STORE_OOM;
        if (bytes > LARGE)
            give_way(s);
    }
    return STORE_OK;
}

/* Memory of an evicted key for one of the same size: as much is used as before. NULL if the key that went was of another. */
static struct entry *take_over(struct shard *s, uint64_t bytes)
{
    struct reuse reuse = {.bytes = bytes};
    if (s->heap.fail_in || s->heap.used > s->limit)
        return NULL;
    return free_something(s, &reuse) ? reuse.e : NULL;
}

bool shard_shrink(struct shard *s, unsigned budget)
{
    bool some = true;
    for (; some && !s->bodies && budget > 0 && s->heap.used > s->limit_wanted; budget--)
        some = evict_one(s, NULL);
    s->limit = some && s->heap.used > s->limit_wanted ? s->heap.used : s->limit_wanted;
    return s->limit > s->limit_wanted;
}

static void note_peak(struct shard *s)
{
    if (s->heap.used > s->peak)
        s->peak = s->heap.used;
}

void *shard_alloc_quietly(struct shard *s, uint64_t size, enum slab_kind kind)
{
    void *p = shard_fits(s, slab_size(size)) ? slab_alloc(&s->heap, size, kind) : NULL;
    note_peak(s);
    return p;
}

/* The limit leaves room that the arena has not, as slabs of other sizes hold it. One walk that brings it
 * together. */
static void *alloc_compacting(struct shard *s, uint64_t size, enum slab_kind kind)
{
    void *p = NULL;
    if (s->heap.fail_in || s->heap.reserved - s->heap.used < s->heap.reserved / 32)
        return NULL;
    compact_begin(s);
    while (!p && compact_run(s, 8 * SEGMENT_KEYS)) {
        p = slab_alloc(&s->heap, size, kind);
        if (!p && size > LARGE)
            give_way(s);
    }
    return p;
}

/* Evicts some more then, but not without end, for a long run of extents may not come together at all. */
static void *alloc_evicting(struct shard *s, uint64_t size, enum slab_kind kind)
{
    uint64_t give_up = 4 * slab_size(size) + (1 << 20);
    void *p = NULL;
    while (!p && give_up > 0) {
        uint64_t before = s->heap.used;
        if (!free_something(s, NULL))
            return NULL;
        uint64_t freed = before > s->heap.used ? before - s->heap.used : 1;
        give_up -= freed < give_up ? freed : give_up;
        p = slab_alloc(&s->heap, size, kind);
        if (!p && size > LARGE)
            give_way(s);
    }
    return p;
}

void *shard_alloc(struct shard *s, uint64_t size, enum slab_kind kind)
{
    uint64_t bytes = slab_size(size);
    if (kind == SLAB_ENTRY && size <= SLAB_LARGEST && !shard_fits(s, bytes)) {
        void *taken = take_over(s, bytes);
        if (taken)
            return taken;
    }
    if (bytes < size || shard_make_room(s, bytes) != STORE_OK)
        return NULL;
    void *p = slab_alloc(&s->heap, size, kind);
    if (!p)
        p = alloc_compacting(s, size, kind);
    if (!p)
        p = alloc_evicting(s, size, kind);
    note_peak(s);
    return p;
}

void shard_free(struct shard *s, void *p)
{
    slab_free(&s->heap, p);
}

enum { RESERVE_TRIES = 64 };

bool shard_reserve(struct shard *s, struct index *ix, uint64_t hash)
{
    for (unsigned i = 0; i < RESERVE_TRIES; i++) {
        if (index_reserve(s, ix, hash))
            return true;
        if (shard_make_room(s, index_reserve_size(ix, hash)) != STORE_OK && !evict_one(s, NULL))
            return false;
    }
    return false;
}

void entry_free(struct shard *s, struct entry *e)
{
    if (entry_is_apart(e))
        shard_free(s, entry_apart(e).p);
    else if (entry_is_body(e))
        body_release(s, entry_body(e));
    shard_free(s, e);
}

void db_note_expiry(struct db *db, uint64_t before, uint64_t now)
{
    db->expires += (now != 0) - (uint64_t)(before != 0);
    db->expire_total += now - before;
}

void db_count(struct db *db, const struct entry *e)
{
    db_note_expiry(db, 0, entry_expire_at(e));
    db_note_timed(db, 0, hash_next_time(e));
    db->data += entry_user_bytes(e);
}

void db_uncount(struct db *db, const struct entry *e)
{
    if (__builtin_expect(entry_type_of(e) == TYPE_STRING && !entry_is_apart(e) && entry_encoding_of(e) != STRING_INT, 1)) {
        struct parts parts = entry_parts(e);
        db_note_expiry(db, entry_has_ttl(e) ? entry_expiry(parts.expiry) : 0, 0);
        db->data -= parts.key_len + parts.value_len;
        return;
    }
    db_note_expiry(db, entry_expire_at(e), 0);
    db_note_timed(db, hash_next_time(e), 0);
    db->data -= entry_user_bytes(e);
}

uint64_t entry_due(const struct entry *e)
{
    uint64_t at = entry_expire_at(e), fields = hash_next_time(e);
    return !at || (fields && fields < at) ? fields : at;
}

bool entry_is_over(const struct shard *s, const struct entry *e)
{
    if (entry_has_ttl(e) && entry_expire_at(e) < s->now_ms)
        return true;
    return entry_may_be_timed(e) && hash_is_over(s, e);
}

void db_tell_key(struct shard *s, const struct db *db, const struct entry *e, enum wait_event event)
{
    const struct key k = {entry_key(e), key_hash(entry_key(e), s->seed)};
    unsigned number = (unsigned)(db - s->db);
    if (event == KEY_GONE)
        snapshot_key(s, number, &k);
    else if (event == KEY_MADE)
        snapshot_made(s, number, &k);
    waits_note(&s->waits, number, k.name, k.hash, event, entry_type_of(e));
}

void db_take_out(struct shard *s, struct db *db, struct place *at, const struct entry *e)
{
    db_note_key(s, db, e, KEY_GONE);
    index_remove(s, &db->index, at);
    db_uncount(db, e);
    shard_entry_freed(s);
}

void db_remove(struct shard *s, struct db *db, struct place *at, struct entry *e)
{
    db_take_out(s, db, at, e);
    entry_free(s, e);
}

/* A hash that goes with its last fields counts them, not itself (INFO of Redis 7.4). */
void db_expire(struct shard *s, struct db *db, struct place *at, struct entry *e)
{
    bool own = entry_has_ttl(e) && entry_expire_at(e) < s->now_ms;
    if (own)
        count_one(s->counters, COUNTER_expired_keys);
    else
        count_add(s->counters, COUNTER_expired_subkeys, hash_fields(e));
    if (__builtin_expect(s->waits.nodes != 0, 0)) {
        if (!own)
            waits_tell(&s->waits, EVENT_FIELDS_EXPIRED, (unsigned)(db - s->db), entry_key(e));
        waits_tell(&s->waits, own ? EVENT_EXPIRED : EVENT_EMPTIED, (unsigned)(db - s->db), entry_key(e));
    }
    db_remove(s, db, at, e);
}

static void free_visited(struct entry *e, void *arg)
{
    entry_free(arg, e);
}

struct trash *trash_new(struct shard *s)
{
    struct trash *t = s->spare;
    if (!t)
        return calloc(1, sizeof *t);
    s->spare = t->next;
    s->spares--;
    *t = (struct trash){0};
    return t;
}

void trash_return(struct shard *s, struct trash *t)
{
    bool own = arena_holds(s->heap.arena, t);
    if (s->spares >= s->databases && !own) {
        free(t);
        return;
    }
    t->next = s->spare;
    s->spare = t;
    s->spares++;
}

bool store_may_flush(struct shard *s)
{
    if (s->pins.writing || s->pins.everything)
        return false;
    while (s->pins.held && s->spares < s->databases) {
        struct trash *t = calloc(1, sizeof *t);
        if (!t)
            return false;
        trash_return(s, t);
    }
    return true;
}

bool trash_slice(struct shard *s, struct trash *t, unsigned *budget)
{
    for (; t->segment < t->db.index.segments; t->segment++) {
        if (*budget == 0)
            return false;
        index_drop_segment(s, &t->db.index, t->segment, free_visited, s);
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
    }
    if (t->db.wheel && !expiry_free(s, t->db.wheel, budget))
        return false;
    t->db.wheel = NULL;
    index_drop(s, &t->db.index);
    return true;
}

bool trash_empty(struct shard *s, unsigned budget)
{
    if (!bodies_slice(s, &budget))
        return true;
    while (s->trash && budget > 0 && !trash_waits(s)) {
        struct trash *t = s->trash;
        if (!trash_slice(s, t, &budget))
            return true;
        s->trash = t->next;
        count_add(s->counters, COUNTER_lazyfreed_objects, t->db.index.keys);
        trash_return(s, t);
    }
    return (s->trash && !trash_waits(s)) || s->bodies;
}

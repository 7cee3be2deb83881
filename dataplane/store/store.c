/* store.c: look-up, removal, expiry times, flushing, walking and upkeep of a shard's databases. */
#include "store/store.h"
#include "store/shard.h"
#include <limits.h>

struct entry *db_find(struct shard *s, struct db *db, const struct key *k, struct place *at)
{
    struct entry *e = index_find(s, &db->index, k, at);
    if (!e || !entry_expired(s, e))
        return e;
    if (pinned(&s->pins, k->hash)) /* whoever has it began earlier, and goes by that time */
        return NULL;
    db_expire(s, db, at, e);
    return NULL;
}

struct entry *store_find(struct shard *s, unsigned db, const struct key *k, unsigned how)
{
    return store_find_ahead(s, db, k, how, NULL);
}

static __attribute__((noinline)) struct entry *find(struct shard *s, unsigned db, const struct key *k, unsigned how)
{
    struct place at;
    struct entry *e = db_find(s, &s->db[db], k, &at);
    if (!(how & (LOOK_WRITE | LOOK_NOSTAT))) {
        count_one(s->counters, e ? COUNTER_keyspace_hits : COUNTER_keyspace_misses);
        if (!e && !(how & LOOK_QUIET) && __builtin_expect(s->waits.nodes != 0, 0))
            waits_tell(&s->waits, EVENT_MISSED, db, k->name);
    }
    if (e && !(how & LOOK_NOTOUCH))
        entry_touch(s, e);
    return e;
}

struct entry *store_find_ahead(struct shard *s, unsigned db, const struct key *k, unsigned how,
                               const struct ahead *a)
{
    struct entry *e = ahead_hit(s, db, k, a);
    if (__builtin_expect(!e, 0))
        return find(s, db, k, how);
    if (!(how & (LOOK_WRITE | LOOK_NOSTAT)))
        count_one(s->counters, COUNTER_keyspace_hits);
    if (!(how & LOOK_NOTOUCH))
        entry_touch(s, e);
    return e;
}

const struct entry *store_peek(const struct shard *s, unsigned db, const struct key *k)
{
    struct place at;
    return index_find(s, &s->db[db].index, k, &at);
}

bool store_delete(struct shard *s, unsigned number, const struct key *k)
{
    struct db *db = &s->db[number];
    struct place at;
    struct entry *e = db_find(s, db, k, &at);
    if (e)
        db_remove(s, db, &at, e);
    return e != NULL;
}

void store_changed(struct shard *s, unsigned db, const struct key *k)
{
    shard_changed(s, db, k);
}

/* The same entry with or without room for an expiry, in memory of its own. The value moves along. */
static struct entry *remake(struct shard *s, const struct entry *e, uint64_t expire_at)
{
    struct parts parts = entry_parts(e);
    struct entry_plan plan = {.key = {parts.key, parts.key_len},
                              .type = entry_type_of(e),
                              .encoding = entry_encoding_of(e),
                              .expire_at = expire_at,
                              .value_len = parts.value_len};
    struct entry *made = shard_alloc(s, entry_plan_size(&plan), SLAB_ENTRY);
    if (!made)
        return NULL;
    memcpy(entry_write(made, &plan), parts.value, parts.value_len);
    memcpy(made->clock, e->clock, sizeof made->clock);
    return made;
}

static enum store_result change_expiry(struct shard *s, struct db *db, const struct key *k,
                                       uint64_t expire_at)
{
    struct place at;
    struct entry *e = db_find(s, db, k, &at);
    if (!e)
        return STORE_OK;
    uint64_t before = entry_expire_at(e);
    shard_guard(s, e);
    shard_guard(s, k->name.p);
    if (!expiry_add(s, db, k->hash, before, expire_at))
        return STORE_OOM;
    if (before && expire_at) {
        entry_write_expiry(entry_parts(e).expiry, expire_at);
    } else if (before != expire_at) {
        struct entry *made = remake(s, e, expire_at);
        if (!made)
            return STORE_OOM;
        index_find_entry(s, &db->index, k->hash, e, &at); /* allocation may have moved it */
        index_replace(s, &at, made);
        shard_free(s, e); /* not entry_free: the value lives on */
        s->changes++;
    }
    db_note_expiry(db, before, expire_at);
    if (before || expire_at)
        shard_changed(s, (unsigned)(db - s->db), k);
    return STORE_OK;
}

enum store_result store_set_expire(struct shard *s, unsigned db, const struct key *k, uint64_t expire_at)
{
    uint64_t ms = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at;
    enum store_result result = change_expiry(s, &s->db[db], k, ms);
    shard_unguard(s);
    return result;
}

/* -- whole databases -- */

struct databases {
    struct shard *s;
    unsigned a, b;
};

/* What has expired is removed, for nobody is to find it gone later. */
static bool is_in_either(void *arg, const struct key *k)
{
    const struct databases *d = arg;
    struct place at;
    bool in_a = db_find(d->s, &d->s->db[d->a], k, &at), in_b = db_find(d->s, &d->s->db[d->b], k, &at);
    return in_a || in_b;
}

/* Database `a` is to be emptied (b is the same), or to be exchanged with b. */
static void note_database(struct shard *s, unsigned a, unsigned b)
{
    struct databases both = {s, a, b};
    waits_change_all(&s->waits, a, is_in_either, &both);
    waits_note_all(&s->waits, a);
}

/* Without memory for the note that it is to be freed, it is freed at once; while somebody reads it there is
 * memory for that (store_may_flush). */
static uint64_t flush_one(struct shard *s, struct db *db)
{
    if (db->index.segments == 0 && !db->wheel)
        return 0;
    note_database(s, (unsigned)(db - s->db), (unsigned)(db - s->db));
    uint64_t keys = db->index.keys;
    struct trash at_once = {.db = *db}, *t = &at_once;
    bool needed = snapshot_needs(s, (unsigned)(db - s->db));
    if (keys > SEGMENT_KEYS || s->pins.held || needed)
        t = trash_new(s);
    if (needed)
        snapshot_flushed(s, (unsigned)(db - s->db), t);
    memset(db, 0, sizeof *db);
    s->changes++;
    s->dirty += keys;
    if (t && t != &at_once) {
        pins_flush(&s->pins);
        *t = at_once;
        t->next = s->trash;
        s->trash = t;
        return keys;
    }
    unsigned budget = UINT_MAX;
    trash_slice(s, &at_once, &budget);
    return keys;
}

uint64_t store_flush(struct shard *s, unsigned db)
{
    if (db != UINT_MAX)
        return flush_one(s, &s->db[db]);
    uint64_t keys = 0;
    for (unsigned i = 0; i < s->databases; i++)
        keys += flush_one(s, &s->db[i]);
    return keys;
}

void store_swap(struct shard *s, unsigned a, unsigned b)
{
    note_database(s, a, b);
    note_database(s, b, a);
    struct db db = s->db[a];
    s->db[a] = s->db[b];
    s->db[b] = db;
    snapshot_swapped(s, a, b);
    eviction_forget(s);
    big_swap(&s->big, a, b);
    s->changes++;
}

/* -- walking -- */

struct scan {
    struct shard *s;
    void (*visit)(struct entry *e, void *arg);
    void *arg;
    unsigned passed;
};

static void scan_visit(struct entry *e, void *arg)
{
    struct scan *scan = arg;
    if (entry_expired(scan->s, e))
        return;
    scan->passed++;
    scan->visit(e, scan->arg);
}

uint64_t store_scan(struct shard *s, unsigned db, uint64_t cursor, unsigned want,
                    void (*visit)(struct entry *e, void *arg), void *arg)
{
    struct scan scan = {.s = s, .visit = visit, .arg = arg};
    uint64_t steps = (uint64_t)want * 10 + 16; /* an emptied database must not stop the world */
    do
        cursor = index_scan(s, &s->db[db].index, cursor, scan_visit, &scan);
    while (cursor && scan.passed < want && --steps > 0);
    return cursor;
}

/* Entries that have expired are removed on the way, so it ends. */
struct entry *store_random(struct shard *s, unsigned number, uint64_t random)
{
    struct db *db = &s->db[number];
    struct entry *e;
    while ((e = index_sample(s, &db->index, random))) {
        if (!entry_expired(s, e) || entry_pinned(s, e))
            return e;
        struct place at;
        index_find_entry(s, &db->index, key_hash(entry_key(e), s->seed), e, &at);
        db_expire(s, db, &at, e);
        random = random * 0x9e3779b97f4a7c15u + 1;
    }
    return NULL;
}

/* -- upkeep -- */

void shard_set_active_expiry(struct shard *s, bool on)
{
    s->keeps_expired = !on;
}

void shard_set_list_chunk(struct shard *s, uint32_t bytes)
{
    s->list_chunk = bytes;
}

bool shard_upkeep(struct shard *s, unsigned budget)
{
    bool had_trash = s->trash || s->bodies, more = trash_empty(s, budget);
    if (had_trash && !s->trash && !s->bodies)
        slab_trim(&s->heap); /* each class keeps its last slab otherwise */
    if (s->pins.alone)
        return more;
    if (s->limit > s->limit_wanted)
        more |= shard_shrink(s, budget / 4);
    for (unsigned i = 0; i < s->databases && budget > 0 && !s->keeps_expired; i++) {
        more |= expiry_run(s, &s->db[s->upkeep_db], &budget);
        if (budget > 0) /* otherwise it goes on here the next time */
            s->upkeep_db = s->upkeep_db + 1 < s->databases ? s->upkeep_db + 1 : 0;
    }
    big_check(s);
    return compact_run(s, budget) || more;
}

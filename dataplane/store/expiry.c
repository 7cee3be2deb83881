/* expiry.c: the timer wheels of expiry.h, after Varghese and Lauck (1987), scheme 7. */
#include "store/eviction.h"
#include "store/expiry.h"
#include "store/hash_forms.h"

enum { SLOT_BITS = 8, TICKS_A_UNIT = 16, LATEST_ITEMS = 4 };
enum { NEAR_TICKS = 1 << 13, FAR_LEAST = 1 << 12 /* keys that expire, before one of them has no item */ };
#define NO_HORIZON UINT64_MAX

static uint32_t id_of(uint64_t hash)
{
    return (uint32_t)(hash << 8) | (uint32_t)(hash >> 56);
}

/* The bits of a hash that an id stands for, in their places. */
static uint64_t id_hash(uint32_t id)
{
    return (uint64_t)(id & 0xff) << 56 | id >> 8;
}

/* -- filing -- */

static unsigned level_of(const struct wheel *w, uint64_t tick)
{
    unsigned level = 0;
    while (level < WHEEL_LEVELS - 1 && tick >> (level + 1) * SLOT_BITS != w->tick >> (level + 1) * SLOT_BITS)
        level++;
    return level;
}

/* Bits of a tick below its slot's, as an item keeps them: level 3 drops the lowest eight. */
static uint16_t fine_of(unsigned level, uint64_t tick)
{
    static const uint32_t mask[WHEEL_LEVELS] = {0, 0xff, 0xffff, 0xffffff};
    return (uint16_t)((tick & mask[level]) >> (level == 3 ? SLOT_BITS : 0));
}

static uint64_t tick_from(const struct wheel *w, unsigned level, uint16_t fine)
{
    uint64_t base = w->tick >> level * SLOT_BITS << level * SLOT_BITS;
    return base | (level == 3 ? (uint64_t)fine << SLOT_BITS | 0xff : fine);
}

static void set_busy(struct wheel *w, unsigned level, unsigned slot, bool busy)
{
    uint64_t bit = 1ULL << slot % 64, *word = &w->busy[level][slot / 64];
    *word = busy ? *word | bit : *word & ~bit;
}

/* The first slot from `at` on that may hold something, WHEEL_SLOTS if there is none. */
static unsigned next_busy(const struct wheel *w, unsigned level, unsigned at)
{
    while (at < WHEEL_SLOTS && w->busy[level][at / 64] >> at % 64 == 0)
        at = (at | 63) + 1;
    return at < WHEEL_SLOTS ? at + (unsigned)__builtin_ctzll(w->busy[level][at / 64] >> at % 64) : at;
}

typedef void *chunk_source(struct shard *s, uint64_t size, enum slab_kind kind);

/* Among the latest ones only: that every SET looks through the whole chunk costs more than it saves. */
static bool same_item(const struct wheel_chunk *c, uint32_t id, uint16_t fine)
{
    for (unsigned i = c->n > LATEST_ITEMS ? c->n - LATEST_ITEMS : 0; i < c->n; i++)
        if (c->id[i] == id && c->fine[i] == fine)
            return true;
    return false;
}

/* An item that was filed there just before is not filed twice: a key whose expiry goes to and fro.
 */
static bool expiry_file(struct shard *s, struct wheel *w, uint32_t id, uint64_t tick, chunk_source *source)
{
    uint64_t latest = ((w->tick >> 3 * SLOT_BITS) + WHEEL_SLOTS - 1) << 3 * SLOT_BITS;
    tick = tick < w->tick ? w->tick : tick > latest ? latest : tick;
    unsigned level = level_of(w, tick);
    uint16_t fine = fine_of(level, tick);
    struct wheel_chunk **slot = &w->slot[level][tick >> level * SLOT_BITS & (WHEEL_SLOTS - 1)], *c = *slot;
    if (c && same_item(c, id, fine))
        return true;
    if (!c || c->n == CHUNK_ITEMS) {
        c = source(s, sizeof *c, SLAB_OTHER);
        if (!c)
            return false;
        c->next = *slot; /* read after the allocation, which may have evicted but files nothing */
        c->n = 0;
        *slot = c;
    }
    c->id[c->n] = id;
    c->fine[c->n++] = fine;
    w->items++;
    set_busy(w, level, tick >> level * SLOT_BITS & (WHEEL_SLOTS - 1), true);
    return true;
}

static struct wheel *expiry_new(struct shard *s, chunk_source *source)
{
    struct wheel *w = source(s, sizeof *w, SLAB_OTHER);
    if (w) {
        memset(w, 0, sizeof *w);
        w->tick = s->now_ms >> TICK_SHIFT;
        w->horizon = NO_HORIZON;
    }
    return w;
}

bool expiry_add(struct shard *s, struct db *db, uint64_t hash, uint64_t before, uint64_t expire_at)
{
    if (expire_at == 0 || (before && before <= expire_at))
        return true;
    if (!db->wheel) {
        struct wheel *w = expiry_new(s, shard_alloc);
        if (!w)
            return false;
        db->wheel = w;
    }
    if (expire_at > EXPIRY_LATEST)
        expire_at = EXPIRY_LATEST;
    uint64_t tick = expire_at >> TICK_SHIFT;
    return tick >= db->wheel->horizon || expiry_file(s, db->wheel, id_of(hash), tick, shard_alloc);
}

/* -- firing -- */

struct firing {
    struct shard *s;
    uint32_t id;
    unsigned n;
    struct entry *e[16];
};

/* True if the wheel has an item for the entry. */
static bool is_filed(const struct entry *e)
{
    return e->head & ENTRY_RICH ? entry_due(e) != 0 : entry_has_ttl(e);
}

static void collect_match(struct entry *e, void *arg)
{
    struct firing *f = arg;
    if (f->n < 16 && is_filed(e) && id_of(key_hash(entry_key(e), f->s->seed)) == f->id)
        f->e[f->n++] = e;
}

/* An item of a key that is due at some time (0: never), not before a tick. */
static void file_again(struct shard *s, struct db *db, const struct key *k, uint64_t due, uint64_t soonest)
{
    uint64_t tick = due >> TICK_SHIFT;
    if (due && tick < db->wheel->horizon &&
        !expiry_file(s, db->wheel, id_of(k->hash), tick < soonest ? soonest : tick, shard_alloc_quietly))
        db->wheel->lost = true;
}

/* Removes the entry if it is due, or as many of its fields as the budget has. If that is not all, or its expiry was
 * put off, or the item is stale: files it again. */
static void settle(struct shard *s, struct db *db, struct entry *e, unsigned *budget)
{
    struct key k = {entry_key(e), key_hash(entry_key(e), s->seed)};
    uint64_t due;
    if (!(e->head & (ENTRY_RICH | ENTRY_HELD)) && (due = entry_expire_at(e)) >= s->now_ms && !s->pins.held) {
        file_again(s, db, &k, due, db->wheel->tick);
        return;
    }
    struct value_at v = {s, (unsigned)(db - s->db), &k, e, false};
    struct place at;
    bool kept = pinned(&s->pins, k.hash);
    if (!kept && entry_expired(s, e)) {
        if (index_find_entry(s, &db->index, k.hash, e, &at))
            db_expire(s, db, &at, e);
        return;
    }
    bool held = kept || e->head & ENTRY_HELD;
    if (!held)
        hash_collect(&v, budget);
    file_again(s, db, &k, entry_due(v.e), db->wheel->tick + held);
}

static void fire(struct shard *s, struct db *db, uint32_t id, unsigned *budget)
{
    struct firing f = {.s = s, .id = id};
    index_neighbours(s, &db->index, id_hash(id), collect_match, &f);
    for (unsigned i = 0; i < f.n; i++)
        settle(s, db, f.e[i], budget);
}

/* Takes the last item of a list of chunks. False if it is empty. */
static bool pop_item(struct shard *s, struct wheel *w, struct wheel_chunk **list, uint32_t *id,
                     uint16_t *fine)
{
    struct wheel_chunk *c = *list;
    if (!c)
        return false;
    c->n--;
    *id = c->id[c->n];
    *fine = c->fine[c->n];
    w->items--;
    if (c->n == 0) {
        *list = c->next;
        shard_free(s, c);
    }
    return true;
}

static bool cascade(struct shard *s, struct wheel *w, unsigned *budget)
{
    uint32_t id;
    uint16_t fine;
    for (unsigned level = WHEEL_LEVELS - 1; level > 0; level--)
        while (*budget > 0 && pop_item(s, w, &w->coming[level], &id, &fine)) {
            --*budget;
            if (!expiry_file(s, w, id, tick_from(w, level, fine), shard_alloc_quietly))
                w->lost = true;
        }
    return *budget > 0;
}

/* On to the next tick of level 0 that may hold something, the last one before the next cascade, or the last
 * one that is due. */
static void skip_empty_ticks(struct wheel *w, uint64_t due)
{
    unsigned start = w->tick & (WHEEL_SLOTS - 1), at = next_busy(w, 0, start);
    at = at < WHEEL_SLOTS ? at : WHEEL_SLOTS - 1;
    uint64_t next = w->tick + (at - start);
    w->tick = next < due ? next : due - 1;
}

static void next_tick(struct wheel *w)
{
    set_busy(w, 0, w->tick & (WHEEL_SLOTS - 1), false);
    w->tick++;
    for (unsigned level = 1; level < WHEEL_LEVELS && (w->tick & ((1ULL << level * SLOT_BITS) - 1)) == 0;
         level++) {
        unsigned at = w->tick >> level * SLOT_BITS & (WHEEL_SLOTS - 1);
        w->coming[level] = w->slot[level][at];
        w->slot[level][at] = NULL;
        set_busy(w, level, at, false);
    }
}

/* -- throwing away and filling again -- */

static bool free_list(struct shard *s, struct wheel_chunk **list, unsigned *budget)
{
    for (; *list && *budget > 0; --*budget) {
        struct wheel_chunk *c = *list;
        *list = c->next;
        shard_free(s, c);
    }
    return *list == NULL;
}

bool expiry_free(struct shard *s, struct wheel *w, unsigned *budget)
{
    if (w->old && !expiry_free(s, w->old, budget))
        return false;
    w->old = NULL;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        if (!free_list(s, &w->coming[level], budget))
            return false;
        for (unsigned i = 0; i < WHEEL_SLOTS; i++)
            if (!free_list(s, &w->slot[level][i], budget))
                return false;
    }
    shard_free(s, w);
    return true;
}

/* Entries that the wheel has to know (those with an expiry of both kinds are counted twice). */
static uint64_t mortals(const struct db *db)
{
    return db->expires + db->timed;
}

bool expiry_knows_all(const struct db *db)
{
    return db->wheel && db->wheel->horizon == NO_HORIZON && !db->wheel->walking;
}

/* Where keys that expire are rare eviction finds them by the wheel (sweep_db), also where hashes with times hide that. */
static bool wants_all_filed(const struct shard *s, const struct db *db)
{
    uint64_t live = mortals(db), keys = db->index.keys;
    if ((evicts_volatile(s) && db->expires * 4 < keys) || live < keys / 4 || live < FAR_LEAST / 2)
        return true;
    return db->wheel->horizon == NO_HORIZON && (live < FAR_LEAST || live < keys / 3);
}

static bool wants_rebuild(const struct shard *s, const struct db *db)
{
    const struct wheel *w = db->wheel;
    uint64_t live = mortals(db);
    return !w->walking && !w->old &&
           (w->lost || w->items > live + live / 2 + db->index.keys / 8 + 1024 || (!live && w->items) ||
            (w->horizon == NO_HORIZON && !wants_all_filed(s, db)));
}

static uint64_t new_horizon(const struct shard *s, const struct db *db)
{
    return wants_all_filed(s, db) ? NO_HORIZON : (s->now_ms >> TICK_SHIFT) + NEAR_TICKS;
}

/* Is the horizon no further away than that? */
static bool horizon_within(const struct shard *s, uint64_t horizon, uint64_t ticks)
{
    return horizon != NO_HORIZON && horizon < (s->now_ms >> TICK_SHIFT) + ticks;
}

/* Sets out to file what has come near. */
static void look_further(struct shard *s, struct db *db)
{
    struct wheel *w = db->wheel;
    if (w->walking || w->old || w->horizon == NO_HORIZON ||
        !(horizon_within(s, w->horizon, NEAR_TICKS / 2) || wants_all_filed(s, db)))
        return;
    w->from = w->horizon;
    w->horizon = new_horizon(s, db);
    w->walking = true;
    w->cursor = 0;
}

/* What is filed in upkeep is not filed at the cost of keys, whose entries it has at hand. So that it is not lost where memory
 * is full, room is made before: stale items would take more of it than a few keys. */
static void make_room(struct shard *s, uint64_t bytes)
{
    (void)shard_make_room(s, bytes); /* if there is none it is lost, and the wheel knows */
}

/* False without memory: another time, then. */
static bool rebuild(struct shard *s, struct db *db)
{
    make_room(s, slab_size(sizeof(struct wheel)));
    struct wheel *w = expiry_new(s, shard_alloc_quietly);
    if (!w)
        return false;
    w->old = db->wheel;
    w->walking = mortals(db) > 0;
    w->horizon = new_horizon(s, db);
    db->wheel = w;
    return true;
}

enum { WALK_CHUNKS = 8 }; /* that one step of a walk may begin */

struct walk {
    unsigned n;
    struct entry *e[128];
};

static void collect_ttl(struct entry *e, void *arg)
{
    struct walk *walk = arg;
    if (walk->n < 128 && is_filed(e))
        walk->e[walk->n++] = e;
}

/* Removes what is due on the way, as the wheel cannot know it. */
static void walk_on(struct shard *s, struct db *db, unsigned *budget)
{
    struct wheel *w = db->wheel;
    while (*budget > 0 && w->walking) {
        struct walk walk = {0};
        make_room(s, WALK_CHUNKS * slab_size(sizeof(struct wheel_chunk)));
        w->cursor = index_scan(s, &db->index, w->cursor, collect_ttl, &walk);
        w->walking = w->cursor != 0;
        w->lost |= walk.n == 128;
        index_scan_prefetch(s, &db->index, w->cursor); /* arrives while these are being settled */
        for (unsigned i = 0; i < walk.n; i++)
            if (entry_due(walk.e[i]) >> TICK_SHIFT >= w->from)
                settle(s, db, walk.e[i], budget);
        *budget -= walk.n + 1 < *budget ? walk.n + 1 : *budget;
    }
}

/* Goes on with a walk: with half of the budget if there is time. True if it should not wait. */
static bool walk_at_leisure(struct shard *s, struct db *db, unsigned *budget)
{
    const struct wheel *w = db->wheel;
    bool hurry = !w->from || w->horizon == NO_HORIZON || horizon_within(s, w->from, NEAR_TICKS / 4);
    unsigned share = hurry ? *budget : *budget / 2, left = share;
    walk_on(s, db, &left);
    *budget -= share - left;
    return w->walking && hurry;
}

/* Fires ticks that are over, as far as the budget goes. True if some are left. */
static bool fire_due(struct shard *s, struct db *db, unsigned *budget)
{
    struct wheel *w = db->wheel;
    uint64_t due = s->now_ms >> TICK_SHIFT; /* this tick is not over yet */
    for (unsigned steps = 1; w->tick < due && cascade(s, w, budget); steps++) {
        uint32_t id;
        uint16_t fine;
        skip_empty_ticks(w, due);
        while (*budget > 0 && pop_item(s, w, &w->slot[0][w->tick & (WHEEL_SLOTS - 1)], &id, &fine)) {
            --*budget;
            fire(s, db, id, budget);
        }
        if (*budget == 0)
            return true;
        next_tick(w);
        *budget -= steps % TICKS_A_UNIT == 0;
    }
    return w->tick < due;
}

bool expiry_run(struct shard *s, struct db *db, unsigned *budget)
{
    if (!db->wheel)
        return false;
    bool stuck = wants_rebuild(s, db) && !rebuild(s, db);
    look_further(s, db);
    struct wheel *w = db->wheel;
    if (w->old && expiry_free(s, w->old, budget))
        w->old = NULL;
    if (!w->old && !w->items && !mortals(db)) {
        unsigned all = UINT32_MAX;
        expiry_free(s, w, &all);
        db->wheel = NULL;
        return false;
    }
    bool hurry = walk_at_leisure(s, db, budget);
    return fire_due(s, db, budget) || hurry || w->old || (!w->items && !mortals(db)) ||
           (!stuck && wants_rebuild(s, db));
}

/* -- a sample for eviction -- */

/* An entry of the list's first chunk, a key with an expiry of its own. Stale items that are met are dropped, or they
 * would hide what lies behind. */
static struct entry *sample_list(struct shard *s, struct db *db, struct wheel_chunk **list, uint64_t random)
{
    for (unsigned tries = 0; *list && tries < 2 * CHUNK_ITEMS; tries++) {
        struct wheel_chunk *c = *list;
        unsigned at = (unsigned)((random + tries) % c->n);
        struct firing f = {.s = s, .id = c->id[at]};
        index_neighbours(s, &db->index, id_hash(f.id), collect_match, &f);
        if (f.n && entry_has_ttl(f.e[random % f.n]))
            return f.e[random % f.n];
        if (f.n)
            continue;
        uint32_t id = c->id[c->n - 1];
        uint16_t fine = c->fine[c->n - 1];
        c->id[at] = id;
        c->fine[at] = fine;
        pop_item(s, db->wheel, list, &id, &fine);
    }
    return NULL;
}

struct entry *expiry_sample(struct shard *s, struct db *db, bool soonest, uint64_t random)
{
    struct wheel *w = db->wheel;
    if (!w || db->expires == 0)
        return NULL;
    unsigned first_level = soonest ? 0 : random % WHEEL_LEVELS, tries = 4;
    for (unsigned l = 0; l < WHEEL_LEVELS; l++) {
        unsigned level = (first_level + l) % WHEEL_LEVELS;
        uint64_t start = soonest ? w->tick >> level * SLOT_BITS : random >> 8;
        if (w->coming[level]) {
            struct entry *e = sample_list(s, db, &w->coming[level], random >> 16);
            if (e)
                return e;
        }
        unsigned begin = start % WHEEL_SLOTS, at = next_busy(w, level, begin);
        for (bool wrapped = false; tries > 0; at = next_busy(w, level, at + 1)) {
            if (at == WHEEL_SLOTS && !wrapped) {
                wrapped = true;
                at = next_busy(w, level, 0);
            }
            if (at == WHEEL_SLOTS || (wrapped && at >= begin))
                break;
            struct wheel_chunk **list = &w->slot[level][at];
            tries -= *list != NULL;
            struct entry *e = sample_list(s, db, list, random >> 16);
            if (e)
                return e;
        }
    }
    return NULL;
}

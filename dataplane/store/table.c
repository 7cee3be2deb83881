/* table.c: elements in an index of their own (table.h). */
#include "store/table.h"
#include "base/number.h"
#include "store/shard.h"
#include <stdlib.h>

struct table *table_new(struct shard *s, enum value_type type)
{
    return (struct table *)(void *)body_new(s, type);
}

static struct table *table_of(struct body *b)
{
    return (struct table *)(void *)b;
}

static struct key field_key(const struct shard *s, struct slice field)
{
    return (struct key){field, key_hash(field, s->seed)};
}

struct entry *table_find(const struct shard *s, const struct table *t, struct slice field)
{
    struct key k = field_key(s, field);
    struct place at;
    return index_find(s, &t->index, &k, &at);
}

/* -- an element's value: text, or eight bytes if that is shorter -- */

enum { INT_SHORTEST = 9, INT_LONGEST = 20 };

struct stored {
    unsigned encoding;
    struct slice bytes;
    int64_t number;
};

static void store_as(struct slice value, struct stored *out)
{
    *out = (struct stored){.encoding = STRING_RAW, .bytes = value};
    if (value.len < INT_SHORTEST || value.len > INT_LONGEST || !parse_i64(value, &out->number))
        return;
    out->encoding = STRING_INT;
    out->bytes = (struct slice){(const uint8_t *)&out->number, sizeof out->number};
}

static struct entry_plan plan_of(struct slice field, const struct stored *value, uint64_t expire_at)
{
    return (struct entry_plan){.key = field,
                               .type = TYPE_STRING,
                               .encoding = value->encoding,
                               .expire_at = expire_at,
                               .value_len = (uint32_t)value->bytes.len};
}

static void write_element(struct entry *e, const struct entry_plan *plan, const struct stored *value)
{
    uint8_t *at = entry_write(e, plan);
    if (value->bytes.len)
        memmove(at, value->bytes.p, value->bytes.len);
}

static void count_element(struct table *t, const struct entry *e, int sign)
{
    uint64_t data = entry_user_bytes(e), memory = slab_size(entry_size(e));
    t->body.data += sign > 0 ? data : 0 - data;
    t->body.memory += sign > 0 ? memory : 0 - memory;
}

/* -- changes -- */

/* An element by this plan in memory of its own. NULL without memory. */
static struct entry *make_element(struct shard *s, const struct entry_plan *plan, const struct stored *value)
{
    unsigned guards = s->guards;
    shard_guard(s, plan->key.p);
    shard_guard(s, value->bytes.p);
    struct entry *e = shard_alloc(s, entry_plan_size(plan), SLAB_ENTRY);
    s->guards = guards;
    if (!e)
        return NULL;
    memset(e->clock, 0, sizeof e->clock);
    write_element(e, plan, value);
    return e;
}

static struct entry *add_element(struct shard *s, struct table *t, const struct key *k,
                                 const struct stored *value, uint64_t expire_at)
{
    struct entry_plan plan = plan_of(k->name, value, expire_at);
    struct entry *e = make_element(s, &plan, value);
    if (e && !shard_reserve(s, &t->index, k->hash)) {
        shard_free(s, e);
        e = NULL;
    }
    if (!e)
        return NULL;
    index_insert(s, &t->index, k->hash, e);
    count_element(t, e, 1);
    return e;
}

static void exchange(struct shard *s, struct table *t, struct place *at, struct entry *old,
                     struct entry *made)
{
    count_element(t, old, -1);
    index_replace(s, at, made);
    shard_free(s, old);
    count_element(t, made, 1);
}

static struct entry *replace_element(struct shard *s, struct table *t, const struct key *k, struct entry *old,
                                     struct place *at, const struct stored *value)
{
    struct entry_plan plan = plan_of(k->name, value, entry_expire_at(old));
    if (slab_size(entry_size(old)) == slab_size(entry_plan_size(&plan))) {
        count_element(t, old, -1);
        plan.key = entry_key(old);
        write_element(old, &plan, value);
        count_element(t, old, 1);
        return old;
    }
    struct entry *e = make_element(s, &plan, value);
    if (e)
        exchange(s, t, at, old, e);
    return e;
}

struct entry *table_put(struct shard *s, struct table *t, struct slice field, struct slice value, bool *added)
{
    struct key k = field_key(s, field);
    struct place at;
    struct stored stored;
    store_as(value, &stored);
    struct entry *old = index_find(s, &t->index, &k, &at);
    if (added)
        *added = !old;
    return old ? replace_element(s, t, &k, old, &at, &stored) : add_element(s, t, &k, &stored, 0);
}

struct entry *table_add_until(struct shard *s, struct table *t, struct slice field, struct slice value,
                              uint64_t expire_at)
{
    struct key k = field_key(s, field);
    struct stored stored;
    store_as(value, &stored);
    return add_element(s, t, &k, &stored, expire_at);
}

struct entry *table_add(struct shard *s, struct table *t, struct slice field, struct slice value)
{
    return table_add_until(s, t, field, value, 0);
}

struct entry *table_make(struct shard *s, struct slice field, struct slice value, uint64_t expire_at)
{
    struct stored stored;
    store_as(value, &stored);
    struct entry_plan plan = plan_of(field, &stored, expire_at);
    return make_element(s, &plan, &stored);
}

void table_exchange(struct shard *s, struct table *t, struct entry *old, struct entry *made)
{
    struct key k = field_key(s, entry_key(old));
    struct place at;
    index_find_entry(s, &t->index, k.hash, old, &at);
    exchange(s, t, &at, old, made);
}

bool table_remove(struct shard *s, struct table *t, struct slice field)
{
    struct key k = field_key(s, field);
    struct place at;
    struct entry *e = index_find(s, &t->index, &k, &at);
    if (!e)
        return false;
    index_remove(s, &t->index, &at);
    count_element(t, e, -1);
    shard_free(s, e);
    s->changes++;
    return true;
}

/* -- walks -- */

struct scan {
    void (*visit)(struct entry *e, void *arg);
    void *arg;
    uint64_t passed;
};

static void scan_visit(struct entry *e, void *arg)
{
    struct scan *scan = arg;
    scan->passed++;
    scan->visit(e, scan->arg);
}

uint64_t table_scan(const struct shard *s, const struct table *t, uint64_t cursor, uint64_t want,
                    void (*visit)(struct entry *e, void *arg), void *arg)
{
    struct scan scan = {.visit = visit, .arg = arg};
    do {
        cursor = index_scan(s, &t->index, cursor, scan_visit, &scan);
        turn_take(s->turn);
    } while (cursor && scan.passed < want);
    return cursor;
}

struct entry *table_next(const struct shard *s, const struct table *t, struct table_cursor *cursor)
{
    while (cursor->segment < t->index.segments) {
        struct entry *e = index_next_in_segment(s, &t->index, cursor->segment, &cursor->slot);
        if (e)
            return e;
        cursor->segment++;
        cursor->slot = 0;
    }
    return NULL;
}

struct entry *table_random(struct shard *s, const struct table *t)
{
    return index_random(s, &t->index);
}

/* Many of them: one walk that takes each element with the chance that is left for it. */
static void sample_walking(struct shard *s, const struct table *t, uint64_t n,
                           void (*visit)(struct entry *e, void *arg), void *arg)
{
    struct table_cursor cursor = {0};
    uint64_t left = table_count(t);
    for (; n > 0; left--) {
        turn_take(s->turn);
        struct entry *e = table_next(s, t, &cursor);
        if (shard_random(s) % left >= n)
            continue;
        visit(e, arg);
        n--;
    }
}

/* Few of them: drawn until n different ones have come. seen is open addressing over `cap` words, a power of
 * two. */
static void sample_drawing(struct shard *s, const struct table *t, uint64_t n, struct entry **seen,
                           uint64_t cap, void (*visit)(struct entry *e, void *arg), void *arg)
{
    while (n > 0) {
        turn_take(s->turn);
        struct entry *e = index_random(s, &t->index);
        uint64_t at = ((uintptr_t)e >> 3) * 0x9e3779b97f4a7c15u >> 32 & (cap - 1);
        while (seen[at] && seen[at] != e)
            at = (at + 1) & (cap - 1);
        if (seen[at])
            continue;
        seen[at] = e;
        visit(e, arg);
        n--;
    }
}

enum { SAMPLE_WALKING = 4, SAMPLE_ROOM = 64 };

bool table_sample(struct shard *s, const struct table *t, uint64_t n,
                  void (*visit)(struct entry *e, void *arg), void *arg)
{
    struct entry *room[SAMPLE_ROOM] = {NULL}, **seen = room;
    uint64_t count = table_count(t), cap = SAMPLE_ROOM;
    n = n < count ? n : count;
    if (n > count / SAMPLE_WALKING) {
        sample_walking(s, t, n, visit, arg);
        return true;
    }
    while (cap < n * 2)
        cap *= 2;
    if (cap > SAMPLE_ROOM)
        seen = calloc(cap, sizeof(struct entry *));
    if (!seen)
        return false;
    sample_drawing(s, t, n, seen, cap, visit, arg);
    if (seen != room)
        free(seen);
    return true;
}

/* -- as a body -- */

static void free_element(struct entry *e, void *arg)
{
    shard_free(arg, e);
}

bool table_free(struct shard *s, struct body *b, unsigned *budget)
{
    struct table *t = table_of(b);
    for (; t->dropped < t->index.segments; t->dropped++) {
        if (*budget == 0)
            return false;
        index_drop_segment(s, &t->index, t->dropped, free_element, s);
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
    }
    index_drop(s, &t->index);
    return true;
}

struct body *table_clone(struct shard *to, const struct body *b)
{
    const struct table *from = (const struct table *)(const void *)b;
    struct table *t = table_new(to, b->type);
    struct table_cursor cursor = {0};
    struct entry *e;
    char scratch[24];
    if (!t)
        return NULL;
    for (; (e = table_next(to, from, &cursor)); turn_take(to->turn))
        if (!table_add(to, t, entry_key(e), entry_string(e, scratch))) {
            body_release(to, &t->body);
            return NULL;
        }
    return &t->body;
}

uint64_t table_overhead(const struct body *b)
{
    return index_memory(&((const struct table *)(const void *)b)->index);
}

static void compact_element(struct entry **slot, void *arg)
{
    struct entry *moved = compact_move(arg, *slot, entry_size(*slot), SLAB_ENTRY);
    if (moved)
        *slot = moved;
}

bool table_compact(struct shard *s, struct body *b, uint64_t *cursor, unsigned *budget)
{
    struct index *ix = &table_of(b)->index;
    for (; *cursor < ix->segments; ++*cursor) {
        uint64_t size;
        if (*budget == 0)
            return false;
        struct bucket *seg = index_segment(s, ix, (uint32_t)*cursor, &size);
        struct bucket *moved = seg ? compact_move(s, seg, size, SLAB_OTHER) : NULL;
        if (moved)
            index_segment_moved(s, ix, (uint32_t)*cursor, moved);
        if (seg)
            index_each_slot(s, ix, (uint32_t)*cursor, compact_element, s);
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
    }
    return true;
}

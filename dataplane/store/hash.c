/* hash.c: reading hashes in all their forms (hash.h, hash_forms.h). A field that is gone is no field. */
#include "store/hash_forms.h"

/* -- one field -- */

static uint64_t pack_live(const struct shard *s, const struct hash_pack *h)
{
    uint64_t n = pack_count(h->pk) / h->stride;
    if (h->stride == 3)
        for (uint32_t at = h->first; at < pack_end(h->pk);
             at = pack_next(h->pk, pack_next(h->pk, pack_next(h->pk, at))))
            n -= hash_time_over(s, hash_pack_time(h, at));
    return n;
}

uint64_t hash_count(const struct shard *s, const struct entry *e)
{
    if (entry_is_body(e)) {
        const struct ordered *o = hash_table_of(e);
        return table_count(&o->table) - hash_table_gone(s, o);
    }
    struct hash_pack h = hash_pack_of(e);
    return pack_live(s, &h);
}

/* *near, of a pack, is where to look first and where it was found. */
static bool get(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
                char scratch[HASH_TEXT], uint64_t *expire_at, uint32_t *near)
{
    if (entry_is_body(e)) {
        const struct entry *element = table_find(s, &hash_table_of(e)->table, field);
        if (!element || hash_time_over(s, entry_expire_at(element)))
            return false;
        *value = entry_string(element, scratch);
        *expire_at = entry_expire_at(element);
        return true;
    }
    struct hash_pack h = hash_pack_of(e);
    struct item item = item_of(field);
    uint32_t at = hash_pack_find(&h, &item, *near);
    if (at == PACK_NOWHERE)
        return false;
    *near = at;
    *expire_at = hash_pack_time(&h, at);
    if (hash_time_over(s, *expire_at))
        return false;
    pack_get(h.pk, pack_next(h.pk, at), &item);
    *value = item_text(&item, scratch);
    return true;
}

bool hash_get_until(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
                    char scratch[HASH_TEXT], uint64_t *expire_at)
{
    uint32_t near = 0;
    return get(s, e, field, value, scratch, expire_at, &near);
}

bool hash_get_near(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
                   char scratch[HASH_TEXT], uint32_t *near)
{
    uint64_t expire_at;
    return get(s, e, field, value, scratch, &expire_at, near);
}

bool hash_get(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
              char scratch[HASH_TEXT])
{
    uint32_t near = 0;
    return hash_get_near(s, e, field, value, scratch, &near);
}

/* -- pairs -- */

static void pair_of_element(const struct entry *element, struct hash_pair *pair)
{
    pair->field = entry_key(element);
    pair->value = entry_string(element, pair->value_text);
    pair->expire_at = entry_expire_at(element);
}

/* Returns the place of the next pair. */
static uint32_t pair_of_pack(const struct hash_pack *h, uint32_t at, struct hash_pair *pair)
{
    struct item field, value;
    uint32_t next = at;
    pack_get(h->pk, next, &field);
    next += field.size;
    pack_get(h->pk, next, &value);
    next += value.size;
    pair->field = item_text(&field, pair->field_text);
    pair->value = item_text(&value, pair->value_text);
    pair->expire_at = hash_pack_time(h, at);
    return h->stride == 3 ? pack_next(h->pk, next) : next;
}

static bool next_of_table(const struct shard *s, const struct entry *e, struct hash_cursor *cursor,
                          struct hash_pair *pair)
{
    struct table_cursor at = {(uint32_t)(cursor->at >> 32), (uint32_t)cursor->at};
    const struct entry *element;
    do
        element = table_next(s, &hash_table_of(e)->table, &at);
    while (element && hash_time_over(s, entry_expire_at(element)));
    cursor->at = (uint64_t)at.segment << 32 | at.slot;
    if (element)
        pair_of_element(element, pair);
    return element != NULL;
}

static bool next_of_pack(const struct shard *s, const struct hash_pack *h, struct hash_cursor *cursor,
                         struct hash_pair *pair)
{
    if (cursor->at < h->first)
        cursor->at = h->first;
    while (cursor->at < pack_end(h->pk)) {
        cursor->at = pair_of_pack(h, (uint32_t)cursor->at, pair);
        if (!hash_time_over(s, pair->expire_at))
            return true;
    }
    return false;
}

bool hash_next(const struct shard *s, const struct entry *e, struct hash_cursor *cursor,
               struct hash_pair *pair)
{
    if (entry_is_body(e))
        return next_of_table(s, e, cursor, pair);
    struct hash_pack h = hash_pack_of(e);
    return next_of_pack(s, &h, cursor, pair);
}

bool hash_run(const struct entry *e, struct pack_run *run)
{
    if (!entry_is_compact(e, VALUE_PACK))
        return false;
    *run = pack_run_from(hash_pack_of(e).pk, 0);
    return true;
}

/* -- scanning and sampling -- */

struct visitor {
    const struct shard *s;
    hash_visit *visit;
    void *arg;
};

static void visit_element(struct entry *element, void *arg)
{
    const struct visitor *v = arg;
    struct hash_pair pair;
    if (hash_time_over(v->s, entry_expire_at(element)))
        return;
    pair_of_element(element, &pair);
    v->visit(&pair, v->arg);
}

uint64_t hash_scan(const struct shard *s, const struct entry *e, uint64_t cursor, uint64_t want,
                   hash_visit *visit, void *arg)
{
    if (entry_is_body(e)) {
        struct visitor v = {s, visit, arg};
        return table_scan(s, &hash_table_of(e)->table, cursor, want, visit_element, &v);
    }
    struct hash_cursor at = {0};
    struct hash_pair pair;
    while (hash_next(s, e, &at, &pair))
        visit(&pair, arg);
    return 0;
}

/* One of the first n that are not gone. */
static void nth_pair(const struct shard *s, const struct entry *e, uint64_t n, struct hash_pair *pair)
{
    struct hash_cursor at = {0};
    while (hash_next(s, e, &at, pair) && n-- > 0)
        ;
}

enum { RANDOM_TRIES = 64 };

/* Where hardly a field is left, which upkeep soon changes, the walk ends the search. */
static void random_of_table(struct shard *s, const struct entry *e, struct hash_pair *pair)
{
    for (unsigned i = 0; i < RANDOM_TRIES; i++) {
        const struct entry *element = table_random(s, &hash_table_of(e)->table);
        if (hash_time_over(s, entry_expire_at(element)))
            continue;
        pair_of_element(element, pair);
        return;
    }
    nth_pair(s, e, 0, pair); /* long: */
}

void hash_random(struct shard *s, const struct entry *e, struct hash_pair *pair)
{
    if (entry_is_body(e)) {
        random_of_table(s, e, pair);
        return;
    }
    struct hash_pack h = hash_pack_of(e);
    uint64_t chosen = (shard_random(s) >> 32) * pack_live(s, &h) >> 32;
    if (h.stride == 2)
        pair_of_pack(&h, pack_seek(h.pk, (int64_t)chosen * 2), pair);
    else
        nth_pair(s, e, chosen, pair);
}

bool hash_sample(struct shard *s, const struct entry *e, uint64_t n, hash_visit *visit, void *arg)
{
    if (entry_is_body(e) && hash_table_gone(s, hash_table_of(e)) == 0) {
        struct visitor v = {s, visit, arg};
        return table_sample(s, &hash_table_of(e)->table, n, visit_element, &v);
    }
    struct hash_cursor at = {0};
    struct hash_pair pair;
    for (uint64_t left = hash_count(s, e); n > 0 && hash_next(s, e, &at, &pair); left--) /* long: */
        if ((shard_random(s) >> 32) * left >> 32 < n) {
            visit(&pair, arg);
            n--;
        }
    return true;
}

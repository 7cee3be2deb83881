/* hash.c: hashes as packs and as tables (hash.h). */
#include "store/hash.h"
#include "store/pack.h"
#include "store/shard.h"
#include "store/table.h"

#define PACK_LONGEST (1u << 30) /* a longer pack becomes a table, whatever the limits say */

static struct table *table_in(const struct entry *e)
{
    return (struct table *)(void *)entry_body(e);
}

static struct pack pack_in(const struct entry *e)
{
    uint64_t len;
    uint8_t *p = entry_value_bytes(e, &len);
    return (struct pack){p, (uint32_t)len};
}

/* -- reading -- */

uint64_t hash_count(const struct entry *e)
{
    return entry_is_body(e) ? table_count(table_in(e)) : pack_count(pack_in(e)) / 2;
}

bool hash_get(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
              char scratch[HASH_TEXT])
{
    if (entry_is_body(e)) {
        const struct entry *element = table_find(s, table_in(e), field);
        if (element)
            *value = entry_string(element, scratch);
        return element != NULL;
    }
    struct pack pk = pack_in(e);
    struct item item = item_of(field);
    uint32_t at = pack_find(pk, 0, &item, 2);
    if (at == PACK_NOWHERE)
        return false;
    pack_get(pk, pack_next(pk, at), &item);
    *value = item_text(&item, scratch);
    return true;
}

static void pair_of_element(const struct entry *element, struct hash_pair *pair)
{
    pair->field = entry_key(element);
    pair->value = entry_string(element, pair->value_text);
}

/* Returns the place of the next pair. */
static uint32_t pair_of_pack(struct pack pk, uint32_t at, struct hash_pair *pair)
{
    struct item field, value;
    pack_get(pk, at, &field);
    at += field.size;
    pack_get(pk, at, &value);
    pair->field = item_text(&field, pair->field_text);
    pair->value = item_text(&value, pair->value_text);
    return at + value.size;
}

bool hash_next(const struct shard *s, const struct entry *e, struct hash_cursor *cursor,
               struct hash_pair *pair)
{
    if (entry_is_body(e)) {
        struct table_cursor at = {(uint32_t)(cursor->at >> 32), (uint32_t)cursor->at};
        const struct entry *element = table_next(s, table_in(e), &at);
        cursor->at = (uint64_t)at.segment << 32 | at.slot;
        if (element)
            pair_of_element(element, pair);
        return element != NULL;
    }
    struct pack pk = pack_in(e);
    if (cursor->at >= pack_end(pk))
        return false;
    cursor->at = pair_of_pack(pk, (uint32_t)cursor->at, pair);
    return true;
}

/* -- scanning and sampling -- */

struct visitor {
    hash_visit *visit;
    void *arg;
};

static void visit_element(struct entry *element, void *arg)
{
    const struct visitor *v = arg;
    struct hash_pair pair;
    pair_of_element(element, &pair);
    v->visit(&pair, v->arg);
}

uint64_t hash_scan(const struct shard *s, const struct entry *e, uint64_t cursor, uint64_t want,
                   hash_visit *visit, void *arg)
{
    if (entry_is_body(e)) {
        struct visitor v = {visit, arg};
        return table_scan(s, table_in(e), cursor, want, visit_element, &v);
    }
    struct hash_cursor at = {0};
    struct hash_pair pair;
    while (hash_next(s, e, &at, &pair))
        visit(&pair, arg);
    return 0;
}

void hash_random(struct shard *s, const struct entry *e, struct hash_pair *pair)
{
    if (entry_is_body(e)) {
        pair_of_element(table_random(s, table_in(e)), pair);
        return;
    }
    struct pack pk = pack_in(e);
    uint64_t n = pack_count(pk) / 2, chosen = (shard_random(s) >> 32) * n >> 32;
    pair_of_pack(pk, pack_seek(pk, (int64_t)chosen * 2), pair);
}

bool hash_sample(struct shard *s, const struct entry *e, uint64_t n, hash_visit *visit, void *arg)
{
    if (entry_is_body(e)) {
        struct visitor v = {visit, arg};
        return table_sample(s, table_in(e), n, visit_element, &v);
    }
    struct pack pk = pack_in(e);
    uint64_t left = pack_count(pk) / 2;
    uint32_t at = 0;
    for (; n > 0 && left > 0; left--) {
        struct hash_pair pair;
        uint32_t next = pack_next(pk, pack_next(pk, at));
        if ((shard_random(s) >> 32) * left >> 32 < n) {
            pair_of_pack(pk, at, &pair);
            visit(&pair, arg);
            n--;
        }
        at = next;
    }
    return true;
}

/* -- changing -- */

/* The pack's pairs in a new table, which becomes the value. */
static enum store_result become_table(struct value_at *v)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    if (v->e)
        entry_hold(v->e);
    struct table *t = table_new(v->s, TYPE_HASH);
    bool ok = t != NULL;
    while (ok && v->e && hash_next(v->s, v->e, &at, &pair))
        ok = table_add(v->s, t, pair.field, pair.value) != NULL;
    if (v->e)
        entry_release(v->e);
    if (ok && value_set_body(v, &t->body) == STORE_OK)
        return STORE_OK;
    if (t)
        body_release(v->s, &t->body);
    return STORE_OOM;
}

static enum store_result set_in_table(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    struct table *t = table_in(v->e);
    uint64_t before = t->body.data;
    entry_hold(v->e);
    struct entry *element = table_put(v->s, t, field, value, added);
    entry_release(v->e);
    value_body_changed(v, before);
    return element ? STORE_OK : STORE_OOM;
}

/* A first pair in a table leaves no key behind if it fails. */
static enum store_result set_in_new_table(struct value_at *v, struct slice field, struct slice value,
                                          bool *added)
{
    bool created = !v->e;
    if (become_table(v) != STORE_OK)
        return STORE_OOM;
    if (set_in_table(v, field, value, added) == STORE_OK)
        return STORE_OK;
    if (created)
        value_remove(v);
    return STORE_OOM;
}

static bool make_room(struct value_at *v, struct pack *pk, uint64_t len)
{
    uint8_t *p = value_resize(v, TYPE_HASH, VALUE_PACK, len);
    if (p && !pk->p)
        *pk = pack_init(p);
    pk->p = p;
    return p != NULL;
}

static enum store_result replace_in_pack(struct value_at *v, struct pack pk, uint32_t at,
                                         const struct item *value)
{
    uint64_t len = pack_len_after(pk, value->size, pack_next(pk, at) - at, 0);
    if (len > pk.len && !make_room(v, &pk, len))
        return STORE_OOM;
    pack_replace(&pk, at, value);
    value_resize(v, TYPE_HASH, VALUE_PACK, len);
    return STORE_OK;
}

static enum store_result set_in_pack(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    const struct collection_limits *limits = &v->s->limits;
    struct pack pk = v->e ? pack_in(v->e) : (struct pack){NULL, PACK_EMPTY};
    struct item items[2] = {item_of(field), item_of(value)};
    uint32_t at = v->e ? pack_find(pk, 0, &items[0], 2) : PACK_NOWHERE;
    uint64_t count = (v->e ? pack_count(pk) / 2 : 0) + (at == PACK_NOWHERE);
    uint64_t len = v->e ? pack_len_after(pk, (uint64_t)items[0].size + items[1].size, 0, 2)
                        : PACK_EMPTY + (uint64_t)items[0].size + items[1].size;
    if (count > limits->hash_entries || len > PACK_LONGEST)
        return set_in_new_table(v, field, value, added);
    if (added)
        *added = at == PACK_NOWHERE;
    if (at != PACK_NOWHERE)
        return replace_in_pack(v, pk, pack_next(pk, at), &items[1]);
    if (!make_room(v, &pk, len))
        return STORE_OOM;
    pack_insert(&pk, pack_end(pk), &items[0]);
    pack_insert(&pk, pack_end(pk), &items[1]);
    return STORE_OK;
}

enum store_result hash_expect(struct value_at *v, size_t longest)
{
    if (!v->e || entry_is_body(v->e) || longest <= v->s->limits.hash_value)
        return STORE_OK;
    return become_table(v);
}

enum store_result hash_set(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    size_t longest = field.len > value.len ? field.len : value.len;
    if (v->e && entry_is_body(v->e))
        return set_in_table(v, field, value, added);
    if (longest > v->s->limits.hash_value)
        return set_in_new_table(v, field, value, added);
    return set_in_pack(v, field, value, added);
}

static bool delete_in_table(struct value_at *v, struct slice field)
{
    struct table *t = table_in(v->e);
    uint64_t before = t->body.data;
    if (!table_remove(v->s, t, field))
        return false;
    value_body_changed(v, before);
    if (table_count(t) == 0)
        value_remove(v);
    return true;
}

bool hash_delete(struct value_at *v, struct slice field)
{
    if (!v->e || entry_is_body(v->e))
        return v->e && delete_in_table(v, field);
    struct pack pk = pack_in(v->e);
    struct item item = item_of(field);
    uint32_t at = pack_find(pk, 0, &item, 2);
    if (at == PACK_NOWHERE)
        return false;
    if (pack_count(pk) == 2) {
        value_remove(v);
        return true;
    }
    pack_delete(&pk, at, 2);
    value_resize(v, TYPE_HASH, VALUE_PACK, pk.len);
    return true;
}

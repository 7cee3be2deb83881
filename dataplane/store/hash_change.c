/* hash_change.c: changing hashes: fields, their values and the times at which they expire, and from one form
 * to the next (hash.h, hash_forms.h). */
#include "store/hash_forms.h"

#define PACK_LONGEST (1u << 30) /* a longer pack becomes a table, whatever the limits say */

/* What is to become of the time a field has. */
enum field_time { FORGET_TIME, KEEP_TIME };

static void note_times(const struct value_at *v, uint64_t before)
{
    db_note_timed(&v->s->db[v->db], before, hash_next_time(v->e));
}

/* -- from one form to the next -- */

/* The pack's pairs in a new table, which becomes the value. */
static enum store_result become_table(struct value_at *v)
{
    struct hash_cursor at = {0};
    struct hash_pair pair;
    if (v->e)
        entry_hold(v->e);
    struct ordered *o = (struct ordered *)(void *)body_new(v->s, TYPE_HASH);
    bool ok = o != NULL;
    while (ok && v->e && hash_next(v->s, v->e, &at, &pair))
        ok = hash_table_add(v->s, o, &pair);
    if (v->e)
        entry_release(v->e);
    if (ok && value_set_body(v, &o->table.body) == STORE_OK)
        return STORE_OK;
    if (o)
        body_release(v->s, &o->table.body);
    return STORE_OOM;
}

/* Appends a field with its time to a timed pack that has room. */
static void append(struct hash_pack *h, const struct item *field, const struct item *value,
                   uint64_t expire_at)
{
    struct item time = hash_time_item(expire_at);
    pack_insert(&h->pk, pack_end(h->pk), field);
    pack_insert(&h->pk, pack_end(h->pk), value);
    pack_insert(&h->pk, pack_end(h->pk), &time);
}

/* The pack with times, of which only `named` has one. */
static enum store_result become_timed(struct value_at *v, struct slice named, uint64_t expire_at)
{
    struct hash_pack from = hash_pack_of(v->e), to = {.stride = 3};
    struct item field, value, next = hash_time_item(expire_at), wanted = item_of(named);
    uint32_t n = pack_count(from.pk) / 2;
    uint64_t len = pack_len_after(from.pk, (uint64_t)next.size * 2 + n - 1, 0, n + 1);
    entry_hold(v->e);
    uint8_t *p = shard_alloc(v->s, len, SLAB_OTHER);
    entry_release(v->e);
    if (!p)
        return STORE_OOM;
    to.pk = pack_init(p);
    pack_insert(&to.pk, 0, &next);
    for (uint32_t at = 0; at < pack_end(from.pk); at += value.size) {
        pack_get(from.pk, at, &field);
        at += field.size;
        pack_get(from.pk, at, &value);
        append(&to, &field, &value, item_eq(&field, &wanted) ? expire_at : 0);
    }
    if (value_adopt(v, TYPE_HASH, VALUE_TIMED, p, to.pk.len) == STORE_OK)
        return STORE_OK;
    shard_free(v->s, p);
    return STORE_OOM;
}

/* -- setting, in a table -- */

static enum store_result set_in_table(struct value_at *v, struct slice field, struct slice value,
                                      enum field_time how, bool *added)
{
    struct ordered *o = hash_table_of(v->e);
    uint64_t data = o->table.body.data, next = hash_next_time(v->e);
    struct entry *old = next ? table_find(v->s, &o->table, field) : NULL;
    bool timed = old && entry_has_ttl(old), gone = timed && hash_time_over(v->s, entry_expire_at(old)), ok;
    entry_hold(v->e);
    if (!timed)
        ok = table_put(v->s, &o->table, field, value, added) != NULL;
    else if (how == KEEP_TIME && !gone)
        ok = hash_table_put(v->s, o, old, value) != NULL;
    else
        ok = hash_table_set_time(v->s, o, old, &value, 0);
    entry_release(v->e);
    if (timed && added)
        *added = gone;
    value_body_changed(v, data);
    if (timed)
        note_times(v, next);
    return ok ? STORE_OK : STORE_OOM;
}

/* A first pair in a table leaves no key behind if it fails. */
static enum store_result set_in_new_table(struct value_at *v, struct slice field, struct slice value,
                                          enum field_time how, bool *added)
{
    bool created = !v->e;
    if (become_table(v) != STORE_OK)
        return STORE_OOM;
    if (set_in_table(v, field, value, how, added) == STORE_OK)
        return STORE_OK;
    if (created)
        value_remove(v);
    return STORE_OOM;
}

/* -- setting, in a pack -- */

static enum value_encoding form_of(const struct hash_pack *h)
{
    return h->stride == 3 ? VALUE_TIMED : VALUE_PACK;
}

static bool make_room(struct value_at *v, struct hash_pack *h, uint64_t len)
{
    uint8_t *p = value_resize(v, TYPE_HASH, form_of(h), len);
    if (p && !h->pk.p)
        h->pk = pack_init(p);
    h->pk.p = p;
    return p != NULL;
}

/* Puts another value, another time, or both (NULL: it stays) in the place of the field's. */
static enum store_result replace_in_pack(struct value_at *v, struct hash_pack *h, uint32_t at,
                                         const struct item *value, const struct item *time)
{
    uint32_t value_at = pack_next(h->pk, at), time_at = pack_next(h->pk, value_at);
    uint64_t added = 0, removed = 0, next = hash_next_time(v->e);
    if (value) {
        added = value->size;
        removed = time_at - value_at;
    }
    if (time) {
        added += time->size;
        removed += pack_next(h->pk, time_at) - time_at;
    }
    uint64_t len = pack_len_after(h->pk, added, removed, 0);
    if (len > h->pk.len && !make_room(v, h, len))
        return STORE_OOM;
    if (time)
        pack_replace(&h->pk, time_at, time);
    if (value)
        pack_replace(&h->pk, value_at, value);
    if (time)
        hash_pack_settle(h);
    value_resize(v, TYPE_HASH, form_of(h), len);
    note_times(v, next);
    return STORE_OK;
}

static enum store_result add_to_pack(struct value_at *v, struct hash_pack *h, const struct item *field,
                                     const struct item *value, uint64_t len)
{
    if (!make_room(v, h, len))
        return STORE_OOM;
    if (h->stride == 3) {
        append(h, field, value, 0);
        return STORE_OK;
    }
    pack_insert(&h->pk, pack_end(h->pk), field);
    pack_insert(&h->pk, pack_end(h->pk), value);
    return STORE_OK;
}

static enum store_result set_in_pack(struct value_at *v, struct slice field, struct slice value,
                                     enum field_time how, bool *added)
{
    struct hash_pack h = {.pk = {NULL, PACK_EMPTY}, .stride = 2};
    struct item items[2] = {item_of(field), item_of(value)}, none = hash_time_item(0);
    uint32_t at = PACK_NOWHERE;
    uint64_t count = 0, size = (uint64_t)items[0].size + items[1].size, len = PACK_EMPTY + size;
    if (v->e) {
        h = hash_pack_of(v->e);
        at = hash_pack_find(&h, &items[0], 0);
        count = hash_fields(v->e);
        len = pack_len_after(h.pk, size + (h.stride == 3 ? none.size : 0), 0, h.stride);
    }
    if (count + (at == PACK_NOWHERE) > v->s->limits.hash_entries || len > PACK_LONGEST)
        return set_in_new_table(v, field, value, how, added);
    uint64_t time = at == PACK_NOWHERE ? 0 : hash_pack_time(&h, at);
    bool gone = hash_time_over(v->s, time);
    if (added)
        *added = at == PACK_NOWHERE || gone;
    if (at == PACK_NOWHERE)
        return add_to_pack(v, &h, &items[0], &items[1], len);
    return replace_in_pack(v, &h, at, &items[1], time && (gone || how == FORGET_TIME) ? &none : NULL);
}

/* -- the functions of hash.h -- */

enum store_result hash_expect(struct value_at *v, size_t longest)
{
    if (!v->e || entry_is_body(v->e) || longest <= v->s->limits.hash_value)
        return STORE_OK;
    return become_table(v);
}

static enum store_result set_field(struct value_at *v, struct slice field, struct slice value, size_t longest,
                                   enum field_time how, bool *added)
{
    if (v->e && entry_is_body(v->e))
        return set_in_table(v, field, value, how, added);
    if (longest > v->s->limits.hash_value)
        return set_in_new_table(v, field, value, how, added);
    return set_in_pack(v, field, value, how, added);
}

static size_t longer(struct slice field, struct slice value)
{
    return field.len > value.len ? field.len : value.len;
}

enum store_result hash_set(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    return set_field(v, field, value, longer(field, value), FORGET_TIME, added);
}

enum store_result hash_update(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    return set_field(v, field, value, longer(field, value), KEEP_TIME, added);
}

enum store_result hash_load(struct value_at *v, struct slice field, struct slice value, bool *added)
{
    return set_field(v, field, value, 0, FORGET_TIME, added);
}

static enum store_result expire_in_table(struct value_at *v, struct slice field, uint64_t expire_at)
{
    struct ordered *o = hash_table_of(v->e);
    struct entry *element = table_find(v->s, &o->table, field);
    uint64_t next = hash_next_time(v->e);
    if (!expire_at && !entry_has_ttl(element))
        return STORE_OK;
    entry_hold(v->e);
    bool ok = hash_table_set_time(v->s, o, element, NULL, expire_at);
    entry_release(v->e);
    note_times(v, next);
    return ok ? STORE_OK : STORE_OOM;
}

static enum store_result expire_in_pack(struct value_at *v, struct slice field, uint64_t expire_at)
{
    struct hash_pack h = hash_pack_of(v->e);
    struct item item = item_of(field), time = hash_time_item(expire_at);
    if (h.stride == 2)
        return expire_at ? become_timed(v, field, expire_at) : STORE_OK;
    return replace_in_pack(v, &h, hash_pack_find(&h, &item, 0), NULL, &time);
}

/* The wheel comes by in time; not for a draft (draft.h), which gets its item when it is placed. */
static bool file(const struct value_at *v, uint64_t expire_at)
{
    if (v->db == v->s->databases)
        return true;
    entry_hold(v->e);
    bool filed = expiry_add(v->s, &v->s->db[v->db], v->key->hash, hash_next_time(v->e), expire_at);
    entry_release(v->e);
    return filed;
}

enum store_result hash_expire(struct value_at *v, struct slice field, uint64_t expire_at)
{
    if (!file(v, expire_at))
        return STORE_OOM;
    return (entry_is_body(v->e) ? expire_in_table : expire_in_pack)(v, field, expire_at);
}

/* True if the hash has no field but one that is about to go: the others are gone. */
static bool is_last(const struct value_at *v, uint64_t next)
{
    return hash_time_over(v->s, next) ? hash_count(v->s, v->e) == 1 : hash_fields(v->e) == 1;
}

static bool delete_in_table(struct value_at *v, struct slice field)
{
    struct ordered *o = hash_table_of(v->e);
    struct entry *element = table_find(v->s, &o->table, field);
    uint64_t data = o->table.body.data, next = hash_next_time(v->e);
    if (!element || hash_time_over(v->s, entry_expire_at(element)))
        return false;
    if (is_last(v, next)) {
        value_remove(v);
        return true;
    }
    hash_table_remove(v->s, o, element);
    value_body_changed(v, data);
    note_times(v, next);
    return true;
}

bool hash_delete(struct value_at *v, struct slice field)
{
    if (!v->e || entry_is_body(v->e))
        return v->e && delete_in_table(v, field);
    struct hash_pack h = hash_pack_of(v->e);
    struct item item = item_of(field);
    uint32_t at = hash_pack_find(&h, &item, 0);
    uint64_t next = hash_next_time(v->e);
    if (at == PACK_NOWHERE || hash_time_over(v->s, hash_pack_time(&h, at)))
        return false;
    if (is_last(v, next)) {
        value_remove(v);
        return true;
    }
    pack_delete(&h.pk, at, h.stride);
    hash_pack_settle(&h);
    value_resize(v, TYPE_HASH, form_of(&h), h.pk.len);
    note_times(v, next);
    return true;
}

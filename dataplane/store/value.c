/* value.c: the entry of a collection: its value grows, shrinks, goes apart or becomes a body (value.h). */
#include "store/value.h"
#include "store/chunk.h"
#include "store/hash_forms.h"
#include "store/stream_body.h"
#include "store/table.h"
#include "store/zset_body.h"

enum {
    BACK_INLINE = ENTRY_INLINE * 3 / 4, /* a value apart that got this short comes back into the entry */
    FREE_AT_ONCE = 64                   /* elements */
};

/* -- reading -- */

uint8_t *entry_value_bytes(const struct entry *e, uint64_t *len)
{
    if (entry_is_apart(e)) {
        struct apart root = entry_apart(e);
        *len = root.len;
        return root.p;
    }
    struct parts parts = entry_parts(e);
    *len = parts.value_len;
    return parts.value;
}

uint8_t *value_bytes(const struct value_at *v, uint64_t *len)
{
    *len = 0;
    return v->e ? entry_value_bytes(v->e, len) : NULL;
}

bool entry_is_compact(const struct entry *e, enum value_encoding form)
{
    return (entry_encoding_of(e) & ~1u) == (unsigned)form;
}

/* -- the entry's tail -- */

static struct db *db_of(const struct value_at *v)
{
    return &v->s->db[v->db];
}

static uint64_t user_bytes(const struct value_at *v)
{
    return v->e ? entry_user_bytes(v->e) : 0;
}

static uint64_t next_time(const struct value_at *v)
{
    return v->e ? hash_next_time(v->e) : 0;
}

static void account(const struct value_at *v, uint64_t before)
{
    uint64_t now = user_bytes(v);
    db_of(v)->data += now - before;
    big_grew(v->s, v->db, v->key, entry_type(v->e), before, now);
}

/* What an operation is about to make of the entry: value_len and what it is kept of the old value. */
struct tail {
    struct entry_plan plan;
    uint32_t keep;
};

/* Writes the entry over where it lies; the length fields may come or go. */
static void rewrite_in_place(struct entry *e, const struct tail *t)
{
    struct parts parts = entry_parts(e);
    uint8_t held = e->head & ENTRY_HELD;
    bool was_long = parts.value_len >= ENTRY_LONG, is_long = t->plan.value_len >= ENTRY_LONG;
    if (is_long && !was_long)
        memmove(parts.value + 4, parts.value, t->keep);
    uint8_t *value = entry_write(e, &t->plan);
    if (was_long && !is_long)
        memmove(value, parts.value, t->keep);
    e->head |= held;
}

/* The entry in other memory, or a new one, in the index. False without memory. */
static bool rewrite_elsewhere(struct value_at *v, const struct tail *t, bool quiet)
{
    struct shard *s = v->s;
    struct index *ix = &db_of(v)->index;
    struct entry *old = v->e;
    uint64_t size = entry_plan_size(&t->plan);
    unsigned guards = s->guards;
    shard_guard(s, v->key->name.p);
    uint8_t held = old ? old->head & ENTRY_HELD : 0;
    if (old)
        entry_hold(old);
    struct entry *e = quiet ? shard_alloc_quietly(s, size, SLAB_ENTRY) : shard_alloc(s, size, SLAB_ENTRY);
    if (e && !old && !shard_reserve(s, ix, v->key->hash)) {
        shard_free(s, e);
        e = NULL;
    }
    s->guards = guards;
    if (old && !held)
        entry_release(old);
    if (!e)
        return false;
    uint8_t *value = entry_write(e, &t->plan);
    if (old) {
        struct place at;
        memcpy(value, entry_parts(old).value, t->keep);
        memcpy(e->clock, old->clock, sizeof e->clock);
        e->head |= held;
        index_find_entry(s, ix, v->key->hash, old, &at);
        index_replace(s, &at, e);
        shard_free(s, old);
        s->changes++;
    } else {
        entry_new_clock(s, e);
        index_insert(s, ix, v->key->hash, e);
    }
    v->e = e;
    return true;
}

enum effort { MAY_EVICT, QUIETLY };

/* Gives the entry a value of len bytes of which the first `keep` are the old ones. It never fails if the
 * entry does not grow. */
static bool make_tail(struct value_at *v, unsigned type, unsigned encoding, uint32_t len, uint32_t keep,
                      enum effort effort)
{
    uint64_t expire_at = v->e ? entry_expire_at(v->e) : 0;
    struct tail t = {.plan = {.key = v->e ? entry_key(v->e) : v->key->name,
                              .type = type,
                              .encoding = encoding,
                              .expire_at = v->persist ? 0 : expire_at,
                              .value_len = len},
                     .keep = keep};
    uint64_t now = v->e ? entry_size(v->e) : 0, then = entry_plan_size(&t.plan);
    bool made =
        !v->e; /* as in Redis, a value that takes another's place wakes nobody who waits for its type */
    if (!made && entry_type_of(v->e) != type)
        db_note_key(v->s, db_of(v), v->e, KEY_GONE);
    if (slab_size(now) != slab_size(then) || !v->e) {
        bool moved = rewrite_elsewhere(v, &t, effort == QUIETLY || then < now);
        if (!moved && then > now)
            return false;
        if (!moved)
            rewrite_in_place(v->e, &t);
    } else {
        rewrite_in_place(v->e, &t);
    }
    db_note_expiry(db_of(v), expire_at, t.plan.expire_at);
    if (made)
        db_note_key(v->s, db_of(v), v->e, KEY_MADE);
    return true;
}

/* -- compact forms -- */

/* The value in memory of its own, of at least len bytes, with what it had. NULL without memory. */
static uint8_t *copy_apart(struct value_at *v, uint64_t len)
{
    uint8_t held = v->e ? v->e->head & ENTRY_HELD : ENTRY_HELD;
    if (!held)
        entry_hold(v->e);
    uint8_t *p = shard_alloc(v->s, len, SLAB_OTHER);
    if (!held)
        entry_release(v->e);
    uint64_t had;
    const uint8_t *old = value_bytes(v, &had);
    if (p && had)
        memcpy(p, old, had < len ? had : len);
    return p;
}

static uint8_t *set_root(struct value_at *v, struct apart root)
{
    memcpy(entry_parts(v->e).value, &root, sizeof root);
    return root.p;
}

/* From the entry, or from nothing, to memory of its own. */
static uint8_t *go_apart(struct value_at *v, unsigned type, unsigned form, uint64_t len)
{
    uint8_t *p = copy_apart(v, len);
    if (!p)
        return NULL;
    if (!make_tail(v, type, form + 1, sizeof(struct apart), 0, MAY_EVICT)) {
        shard_free(v->s, p);
        return NULL;
    }
    return set_root(v, (struct apart){p, len, slab_size(len)});
}

static uint8_t *resize_apart(struct value_at *v, unsigned type, unsigned form, uint64_t len)
{
    struct apart root = entry_apart(v->e);
    if (len <= BACK_INLINE && len < root.len && make_tail(v, type, form, (uint32_t)len, 0, QUIETLY)) {
        uint8_t *value = entry_parts(v->e).value;
        memcpy(value, root.p, len);
        shard_free(v->s, root.p);
        return value;
    }
    bool grows = len > root.cap, shrinks = slab_size(len) < root.cap / 4 * 3;
    uint8_t *p = grows ? copy_apart(v, len) : shrinks ? shard_alloc_quietly(v->s, len, SLAB_OTHER) : NULL;
    if (grows && !p)
        return NULL;
    if (shrinks && p)
        memcpy(p, root.p, len);
    if (p) {
        shard_free(v->s, root.p);
        root.p = p;
        root.cap = slab_size(len);
    }
    root.len = len;
    return set_root(v, root);
}

uint8_t *value_resize(struct value_at *v, enum value_type type, enum value_encoding form, uint64_t len)
{
    uint64_t before = user_bytes(v), had;
    uint8_t *bytes = value_bytes(v, &had);
    if (bytes && had == len && entry_is_compact(v->e, form)) {
        value_changed(v);
        return bytes;
    }
    uint32_t keep = (uint32_t)(had < len ? had : len);
    if (len > UINT32_MAX)
        bytes = NULL;
    else if (v->e && entry_is_apart(v->e))
        bytes = resize_apart(v, type, form, len);
    else if (len > ENTRY_INLINE)
        bytes = go_apart(v, type, form, len);
    else if (make_tail(v, type, form, (uint32_t)len, keep, MAY_EVICT))
        bytes = entry_parts(v->e).value;
    else
        bytes = NULL;
    if (bytes) {
        account(v, before);
        value_changed(v);
    }
    return bytes;
}

/* What the old value pointed to, to be freed when the new one is in place. */
struct replaced {
    uint8_t *p;
    struct body *body;
};

static struct replaced replaced_by(const struct value_at *v)
{
    struct replaced r = {0};
    if (v->e && entry_is_apart(v->e))
        r.p = entry_apart(v->e).p;
    else if (v->e && entry_is_body(v->e))
        r.body = entry_body(v->e);
    return r;
}

static void free_replaced(struct shard *s, const struct replaced *r)
{
    if (r->p)
        shard_free(s, r->p);
    if (r->body)
        body_release(s, r->body);
}

enum store_result value_adopt(struct value_at *v, enum value_type type, enum value_encoding form, uint8_t *p,
                              uint64_t len)
{
    uint64_t before = user_bytes(v), next = next_time(v);
    struct replaced old = replaced_by(v);
    bool apart = len > ENTRY_INLINE;
    if (!make_tail(v, type, form + apart, apart ? sizeof(struct apart) : (uint32_t)len, 0, MAY_EVICT))
        return STORE_OOM;
    if (apart) {
        set_root(v, (struct apart){p, len, slab_size(len)});
    } else {
        memcpy(entry_parts(v->e).value, p, len);
        shard_free(v->s, p);
    }
    account(v, before);
    value_changed(v);
    db_note_timed(db_of(v), next, next_time(v));
    free_replaced(v->s, &old);
    return STORE_OK;
}

enum store_result value_set_body(struct value_at *v, struct body *b)
{
    uint64_t before = user_bytes(v), next = next_time(v);
    struct replaced old = replaced_by(v);
    if (!make_tail(v, b->type, VALUE_BODY, sizeof b, 0, MAY_EVICT))
        return STORE_OOM;
    memcpy(entry_parts(v->e).value, &b, sizeof b);
    account(v, before);
    db_note_timed(db_of(v), next, next_time(v));
    free_replaced(v->s, &old);
    return STORE_OK;
}

void value_changed(const struct value_at *v)
{
    db_note_key(v->s, db_of(v), v->e, KEY_CHANGED);
}

void value_grew(const struct value_at *v)
{
    db_note_key(v->s, db_of(v), v->e, KEY_GREW);
}

void value_body_changed(const struct value_at *v, uint64_t before)
{
    const struct body *b = entry_body(v->e);
    db_of(v)->data += b->data - before;
    big_grew(v->s, v->db, v->key, b->type, before, b->data);
    value_changed(v);
}

void value_remove(struct value_at *v)
{
    struct place at;
    index_find_entry(v->s, &db_of(v)->index, v->key->hash, v->e, &at);
    db_remove(v->s, db_of(v), &at, v->e);
    v->e = NULL;
}

/* What an element may cost beside its bytes: header, size class, a slot of the index, a word of an order; and an index
 * or a node that grows is there twice for a moment. */
enum { ELEMENT_COST = 72, GROWING = 2 * SEGMENT_BUCKETS * 64 };

enum store_result store_room_for(struct value_at *v, const struct slice *texts, size_t n)
{
    uint64_t bytes = 0, elements = n, len = 0;
    for (size_t i = 0; i < n; i++)
        bytes += texts[i].len;
    if (v->e && !entry_is_body(v->e)) {
        const uint8_t *p = value_bytes(v, &len);
        bool ints = entry_is_compact(v->e, VALUE_INTS);
        elements += ints ? len : pack_count((struct pack){(uint8_t *)(uintptr_t)p, (uint32_t)len});
    }
    bytes += len;
    if (v->e)
        store_hold(v->e);
    enum store_result result =
        shard_make_room(v->s, bytes + bytes / 8 + elements * ELEMENT_COST + GROWING);
    if (v->e)
        store_release(v->e);
    return result;
}

void store_hold(struct entry *e)
{
    entry_hold(e);
}

void store_release(struct entry *e)
{
    entry_release(e);
}

/* -- bodies: one row a type -- */

static const struct body_ops ops[TYPE_STREAM + 1] = {
    [TYPE_LIST] = {.encoding = "quicklist",
                   .size = sizeof(struct list),
                   .free = list_free_slice,
                   .clone = list_clone,
                   .compact = list_compact_slice},
    [TYPE_SET] = {.encoding = "hashtable",
                  .size = sizeof(struct table),
                  .free = table_free,
                  .clone = table_clone,
                  .overhead = table_overhead,
                  .compact = table_compact},
    [TYPE_HASH] = {.encoding = "hashtable",
                   .size = sizeof(struct ordered),
                   .free = ordered_free,
                   .clone = hash_table_clone,
                   .overhead = ordered_overhead,
                   .compact = hash_table_compact},
    [TYPE_ZSET] = {.encoding = "skiplist",
                   .size = sizeof(struct zset_body),
                   .free = ordered_free,
                   .clone = zset_body_clone,
                   .overhead = ordered_overhead,
                   .compact = zset_body_compact},
    [TYPE_STREAM] = {.encoding = "stream",
                     .size = sizeof(struct stream_body),
                     .free = stream_body_free,
                     .clone = stream_body_clone,
                     .overhead = stream_body_overhead,
                     .compact = stream_body_compact},
};

const char *value_encoding_name(const struct entry *e)
{
    if (entry_is_body(e) && !entry_body(e)->listpack)
        return ops[entry_type_of(e)].encoding;
    return entry_is_compact(e, VALUE_INTS)    ? "intset"
           : entry_is_compact(e, VALUE_TIMED) ? "listpackex"
                                              : "listpack";
}

const struct body_ops *body_ops_of(const struct body *b)
{
    return &ops[b->type];
}

struct body *body_new(struct shard *s, enum value_type type)
{
    struct body *b = shard_alloc(s, ops[type].size, SLAB_OTHER);
    if (b) {
        memset(b, 0, ops[type].size);
        b->type = (uint8_t)type;
    }
    return b;
}

void body_release(struct shard *s, struct body *b)
{
    unsigned budget = FREE_AT_ONCE;
    if (body_ops_of(b)->free(s, b, &budget)) {
        shard_free(s, b);
        return;
    }
    b->next = s->bodies;
    s->bodies = b;
    s->bodies_waiting++;
}

bool bodies_slice(struct shard *s, unsigned *budget)
{
    while (s->bodies && *budget > 0) {
        struct body *b = s->bodies;
        if (!body_ops_of(b)->free(s, b, budget))
            return false;
        s->bodies = b->next;
        s->bodies_waiting--;
        count_one(s->counters, COUNTER_lazyfreed_objects);
        shard_free(s, b);
    }
    return !s->bodies;
}

struct body *body_clone(struct shard *to, const struct body *b)
{
    return body_ops_of(b)->clone(to, b);
}

uint64_t body_memory(const struct body *b)
{
    const struct body_ops *o = body_ops_of(b);
    return slab_size(o->size) + b->memory + (o->overhead ? o->overhead(b) : 0);
}

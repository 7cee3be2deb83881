/* move.c: RENAME, MOVE and COPY, between databases and shards; values that are made aside (draft.h). */
#include "store/draft.h"
#include "store/hash_forms.h"

struct transfer {
    struct shard *from, *to;
    struct db *from_db, *to_db;
    const struct key *a, *b;
    bool move;
    uint64_t expire_at; /* that it has then */
};

/* What an entry's value points to, or its copy. */
struct pointed {
    struct apart root;
    struct body *body;
};

static struct pointed pointed_by(const struct entry *e)
{
    struct pointed p = {0};
    if (entry_is_apart(e))
        p.root = entry_apart(e);
    else if (entry_is_body(e))
        p.body = entry_body(e);
    return p;
}

/* Memory of its own for the copy's value; within a shard a moved value is handed over. */
static bool clone_value(const struct transfer *t, const struct entry *e, struct pointed *made)
{
    const struct pointed from = pointed_by(e);
    *made = from;
    if (t->move && t->from == t->to)
        return true;
    if (from.body)
        return (made->body = body_clone(t->to, from.body)) != NULL;
    if (!from.root.p)
        return true;
    made->root.cap = slab_size(from.root.len);
    made->root.p = shard_alloc(t->to, from.root.len, SLAB_OTHER);
    if (made->root.p)
        turn_copy(t->to->turn, made->root.p, from.root.p, from.root.len);
    return made->root.p != NULL;
}

static void drop_clone(const struct transfer *t, const struct entry *e, const struct pointed *made)
{
    const struct pointed from = pointed_by(e);
    if (made->root.p && made->root.p != from.root.p)
        shard_free(t->to, made->root.p);
    if (made->body && made->body != from.body)
        body_release(t->to, made->body);
}

/* The copy in memory of `to`, in no index yet, and room for it in the index. NULL without memory. */
static struct entry *make_copy(const struct transfer *t, const struct entry *e)
{
    struct parts parts = entry_parts(e);
    struct entry_plan plan = {.key = t->b->name,
                              .type = entry_type_of(e),
                              .encoding = entry_encoding_of(e),
                              .expire_at = t->expire_at,
                              .value_len = parts.value_len};
    struct pointed own = {0};
    struct place at;
    if (!expiry_add(t->to, t->to_db, t->b->hash, 0, t->expire_at) ||
        !expiry_add(t->to, t->to_db, t->b->hash, t->expire_at, hash_next_time(e)))
        return NULL;
    struct entry *made = shard_alloc(t->to, entry_plan_size(&plan), SLAB_ENTRY);
    bool ok = made && clone_value(t, e, &own) &&
              (index_find(t->to, &t->to_db->index, t->b, &at) ||
               shard_reserve(t->to, &t->to_db->index, t->b->hash));
    if (!ok) {
        drop_clone(t, e, &own);
        if (made)
            shard_free(t->to, made);
        return NULL;
    }
    uint8_t *value = entry_write(made, &plan);
    if (entry_is_apart(e))
        memcpy(value, &own.root, sizeof own.root);
    else if (entry_is_body(e))
        memcpy(value, &own.body, sizeof own.body);
    else
        memcpy(value, parts.value, parts.value_len);
    access_carry(t->from, e, t->to, made);
    return made;
}

static void place_copy(const struct transfer *t, struct entry *made)
{
    struct place at;
    struct entry *old = index_find(t->to, &t->to_db->index, t->b, &at);
    if (old) {
        db_note_key(t->to, t->to_db, old, KEY_GONE);
        index_replace(t->to, &at, made);
        db_uncount(t->to_db, old);
        entry_free(t->to, old);
    } else {
        index_insert(t->to, &t->to_db->index, t->b->hash, made);
    }
    db_note_key(t->to, t->to_db, made, KEY_MADE);
    db_count(t->to_db, made);
    big_grew(t->to, (unsigned)(t->to_db - t->to->db), t->b, entry_type(made), 0, entry_user_bytes(made));
    t->to->changes++;
}

/* Its value has moved on if the shard is the same. */
static void drop_source(const struct transfer *t, struct entry *e)
{
    struct place at;
    index_find_entry(t->from, &t->from_db->index, t->a->hash, e, &at);
    if (t->from != t->to) {
        db_remove(t->from, t->from_db, &at, e);
        return;
    }
    db_note_key(t->from, t->from_db, e, KEY_GONE);
    index_remove(t->from, &t->from_db->index, &at);
    db_uncount(t->from_db, e);
    shard_free(t->from, e);
    t->from->changes++;
}

static enum store_result transfer(const struct transfer *t, struct entry *e)
{
    entry_hold(e);
    shard_guard(t->to, t->a->name.p);
    shard_guard(t->to, t->b->name.p);
    struct entry *made = make_copy(t, e);
    shard_unguard(t->to);
    entry_release(e);
    if (!made)
        return STORE_OOM;
    place_copy(t, made);
    if (t->move)
        drop_source(t, e);
    return STORE_OK;
}

static enum store_result transfer_key(struct transfer *t)
{
    struct place at;
    struct entry *e = db_find(t->from, t->from_db, t->a, &at);
    if (!e || (t->from_db == t->to_db && slice_eq(t->a->name, t->b->name)))
        return STORE_OK;
    t->expire_at = entry_expire_at(e);
    return transfer(t, e);
}

enum store_result store_rename(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                               unsigned to_db, const struct key *b)
{
    struct transfer t = {from, to, &from->db[from_db], &to->db[to_db], a, b, true, 0};
    return transfer_key(&t);
}

enum store_result store_copy(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                             unsigned to_db, const struct key *b)
{
    struct transfer t = {from, to, &from->db[from_db], &to->db[to_db], a, b, false, 0};
    return transfer_key(&t);
}

/* -- drafts */

void draft_begin(struct draft *d, struct shard *s)
{
    d->number = s->drafts++;
    d->key.name = (struct slice){(const uint8_t *)&d->number, sizeof d->number};
    d->key.hash = key_hash(d->key.name, s->seed);
    d->v = (struct value_at){.s = s, .db = s->databases, .key = &d->key};
}

enum store_result draft_place(struct draft *d, unsigned db, const struct key *k, uint64_t expire_at)
{
    struct shard *s = d->v.s;
    uint64_t ms = expire_at > EXPIRY_LATEST ? EXPIRY_LATEST : expire_at;
    struct transfer t = {s, s, &s->db[d->v.db], &s->db[db], &d->key, k, true, ms};
    enum store_result result = transfer(&t, d->v.e);
    if (result != STORE_OK)
        draft_drop(d);
    return result;
}

void draft_drop(struct draft *d)
{
    if (d->v.e)
        value_remove(&d->v);
}

/* move.c: RENAME, MOVE and COPY, between databases and shards. */
#include "store/shard.h"

struct transfer {
    struct shard *from, *to;
    struct db *from_db, *to_db;
    const struct key *a, *b;
    bool move;
};

/* Memory of its own for the copy's value; within a shard a moved value is handed over. */
static bool clone_value(const struct transfer *t, const struct entry *e, struct apart *root)
{
    if (!entry_is_apart(e))
        return true;
    *root = entry_apart(e);
    if (t->move && t->from == t->to)
        return true;
    const uint8_t *text = root->p;
    root->cap = slab_size(root->len);
    root->p = shard_alloc(t->to, root->len, SLAB_OTHER);
    if (root->p)
        memcpy(root->p, text, root->len);
    return root->p != NULL;
}

static void drop_clone(const struct transfer *t, const struct entry *e, const struct apart *root)
{
    if (entry_is_apart(e) && root->p && root->p != entry_apart(e).p)
        shard_free(t->to, root->p);
}

/* The copy in memory of `to`, in no index yet, and room for it in the index. NULL without memory. */
static struct entry *make_copy(const struct transfer *t, const struct entry *e)
{
    struct parts parts = entry_parts(e);
    struct entry_plan plan = {.key = t->b->name,
                              .type = entry_type_of(e),
                              .encoding = entry_encoding_of(e),
                              .expire_at = entry_expire_at(e),
                              .value_len = parts.value_len};
    struct apart root = {0};
    struct place at;
    if (!expiry_add(t->to, t->to_db, t->b->hash, 0, plan.expire_at))
        return NULL;
    struct entry *made = shard_alloc(t->to, entry_plan_size(&plan), SLAB_ENTRY);
    bool ok = made && clone_value(t, e, &root) &&
              (index_find(t->to, &t->to_db->index, t->b, &at) || db_reserve(t->to, t->to_db, t->b->hash));
    if (!ok) {
        drop_clone(t, e, &root);
        if (made)
            shard_free(t->to, made);
        return NULL;
    }
    uint8_t *value = entry_write(made, &plan);
    if (entry_is_apart(e))
        memcpy(value, &root, sizeof root);
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
        index_replace(t->to, &at, made);
        db_note_expiry(t->to_db, entry_expire_at(old), 0);
        t->to_db->data -= entry_user_bytes(old);
        entry_free(t->to, old);
    } else {
        index_insert(t->to, &t->to_db->index, t->b->hash, made);
    }
    db_note_expiry(t->to_db, 0, entry_expire_at(made));
    t->to_db->data += entry_user_bytes(made);
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
    index_remove(t->from, &t->from_db->index, &at);
    db_note_expiry(t->from_db, entry_expire_at(e), 0);
    t->from_db->data -= entry_user_bytes(e);
    shard_free(t->from, e);
    t->from->changes++;
}

static enum store_result transfer(const struct transfer *t)
{
    struct place at;
    struct entry *e = db_find(t->from, t->from_db, t->a, &at);
    if (!e || (t->from_db == t->to_db && slice_eq(t->a->name, t->b->name)))
        return STORE_OK;
    shard_guard(t->to, e);
    shard_guard(t->to, t->a->name.p);
    shard_guard(t->to, t->b->name.p);
    struct entry *made = make_copy(t, e);
    shard_unguard(t->to);
    if (!made)
        return STORE_OOM;
    place_copy(t, made);
    if (t->move)
        drop_source(t, e);
    return STORE_OK;
}

enum store_result store_rename(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                               unsigned to_db, const struct key *b)
{
    struct transfer t = {from, to, &from->db[from_db], &to->db[to_db], a, b, true};
    return transfer(&t);
}

enum store_result store_copy(struct shard *from, unsigned from_db, const struct key *a, struct shard *to,
                             unsigned to_db, const struct key *b)
{
    struct transfer t = {from, to, &from->db[from_db], &to->db[to_db], a, b, false};
    return transfer(&t);
}

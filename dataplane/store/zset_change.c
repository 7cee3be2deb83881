/* zset_change.c: changing a sorted set, in either form (zset.h). */
#include "store/zset_body.h"
#include <math.h>

static struct pack pack_at(const struct value_at *v)
{
    uint64_t len;
    uint8_t *p = value_bytes(v, &len);
    return (struct pack){p, (uint32_t)len};
}

/* What the flags make of a wish for a score, for a member that has the score *have (NULL: none). */
static enum zset_outcome decide(const double *have, double *score, unsigned flags)
{
    if (!have)
        return flags & ZSET_XX ? ZSET_REFUSED : ZSET_ADDED;
    if (flags & ZSET_NX)
        return ZSET_REFUSED;
    if (flags & ZSET_INCR) {
        *score += *have;
        if (isnan(*score))
            return ZSET_NAN;
    }
    if ((flags & ZSET_LT && *score >= *have) || (flags & ZSET_GT && *score <= *have))
        return ZSET_REFUSED;
    return *score == *have ? ZSET_SAME : ZSET_UPDATED;
}

/* -- the compact form
 * ------------------------------------------------------------------------------------------ */

/* Inserts an element in its place; the buffer has room. */
static void insert_packed(struct pack *pk, const struct zset_element *e, const struct item *member,
                          const struct item *score)
{
    uint32_t at = zset_packed_place(*pk, e);
    pack_insert(pk, at, member);
    pack_insert(pk, at + member->size, score);
}

/* Adds the element, or gives the member at `at` its score. */
static bool put_packed(struct value_at *v, uint32_t at, const struct zset_element *e)
{
    struct score_text text;
    struct item member = item_of(e->member), score = zset_score_item(e->score, &text);
    struct pack pk = v->e ? pack_at(v) : (struct pack){NULL, PACK_EMPTY};
    uint32_t before = v->e ? pk.len : 0, removed = 0;
    bool there = at != PACK_NOWHERE;
    if (there)
        removed = pack_next(pk, pack_next(pk, at)) - at;
    uint8_t empty[PACK_EMPTY];
    if (!v->e)
        pk = pack_init(empty);
    uint64_t len = pack_len_after(pk, member.size + score.size, removed, there ? 0 : 2);
    if (len > before) {
        uint8_t *p = value_resize(v, TYPE_ZSET, VALUE_PACK, len);
        if (!p)
            return false;
        pk = before ? (struct pack){p, before} : pack_init(p);
    }
    if (there)
        pack_delete(&pk, at, 2);
    insert_packed(&pk, e, &member, &score);
    if (len <= before)
        value_resize(v, TYPE_ZSET, VALUE_PACK, len);
    return true;
}

/* -- from one form to the other
 * -------------------------------------------------------------------------------- */

static void hold(const struct value_at *v)
{
    if (v->e)
        entry_hold(v->e);
}

static void release(const struct value_at *v)
{
    if (v->e)
        entry_release(v->e);
}

/* A body of the elements of a pack (NULL: none) and one more. NULL without memory. The key is held. */
static struct zset_body *make_body(struct shard *s, const struct pack *pk, const struct zset_element *more)
{
    struct zset_body *b = (struct zset_body *)(void *)body_new(s, TYPE_ZSET);
    bool ok = b && zset_body_add(s, b, more);
    char text[PACK_TEXT];
    struct zset_element e;
    for (uint32_t at = 0; ok && pk && at < pack_end(*pk);) {
        at = zset_packed(*pk, at, &e, text);
        ok = zset_body_add(s, b, &e);
    }
    if (b && !ok)
        body_release(s, &b->table.body);
    return ok ? b : NULL;
}

/* Adds a member for which the compact form has no room. */
static bool grow_into_body(struct value_at *v, const struct zset_element *e)
{
    struct pack pk = {0};
    if (v->e)
        pk = pack_at(v);
    hold(v);
    struct zset_body *b = make_body(v->s, v->e ? &pk : NULL, e);
    release(v);
    if (b && value_set_body(v, &b->table.body) != STORE_OK) {
        body_release(v->s, &b->table.body);
        return false;
    }
    if (b)
        value_changed(v);
    return b;
}

/* -- adding
 * ---------------------------------------------------------------------------------------------------- */

static bool stays_compact(const struct shard *s, uint64_t count, size_t longest)
{
    return count <= s->limits.zset_entries && longest <= s->limits.zset_value;
}

static enum zset_outcome add_packed(struct value_at *v, struct slice member, double *score, unsigned flags)
{
    struct pack pk = {0};
    uint32_t at = PACK_NOWHERE;
    struct zset_element have, e = {member, 0};
    char text[PACK_TEXT];
    if (v->e) {
        pk = pack_at(v);
        at = zset_packed_find(pk, member);
    }
    bool there = at != PACK_NOWHERE;
    if (there)
        zset_packed(pk, at, &have, text);
    enum zset_outcome outcome = decide(there ? &have.score : NULL, score, flags);
    if (outcome != ZSET_ADDED && outcome != ZSET_UPDATED)
        return outcome;
    e.score = *score;
    uint64_t count = v->e ? pack_count(pk) / 2 + 1 : 1;
    bool compact = there || stays_compact(v->s, count, flags & ZSET_ANY_LENGTH ? 0 : member.len);
    bool ok = compact ? put_packed(v, at, &e) : grow_into_body(v, &e);
    return ok ? outcome : ZSET_OOM;
}

static enum zset_outcome add_to_body(struct value_at *v, struct slice member, double *score, unsigned flags)
{
    struct zset_body *b = zset_body_of(v->e);
    struct entry *there = table_find(v->s, &b->table, member);
    struct zset_element e = {member, 0};
    if (there)
        e = zset_element_of(there);
    enum zset_outcome outcome = decide(there ? &e.score : NULL, score, flags);
    if (outcome != ZSET_ADDED && outcome != ZSET_UPDATED)
        return outcome;
    uint64_t data = b->table.body.data;
    e.score = *score;
    hold(v);
    bool ok = there ? zset_body_move(v->s, b, there, *score) : zset_body_add(v->s, b, &e);
    release(v);
    value_body_changed(v, data);
    return ok ? outcome : ZSET_OOM;
}

enum zset_outcome zset_add(struct value_at *v, struct slice member, double *score, unsigned flags)
{
    return v->e && entry_is_body(v->e) ? add_to_body(v, member, score, flags)
                                       : add_packed(v, member, score, flags);
}

/* -- removing
 * -------------------------------------------------------------------------------------------------- */

static void remove_packed(struct value_at *v, uint32_t at, uint64_t count)
{
    struct pack pk = pack_at(v);
    if (count * 2 >= pack_count(pk)) {
        value_remove(v);
        return;
    }
    pack_delete(&pk, at, (uint32_t)count * 2);
    value_resize(v, TYPE_ZSET, VALUE_PACK, pk.len);
}

static void remove_from_body(struct value_at *v, uint64_t first, uint64_t count)
{
    struct zset_body *b = zset_body_of(v->e);
    if (count >= b->order.count) {
        value_remove(v); /* in slices */
        return;
    }
    uint64_t data = b->table.body.data;
    for (; count-- > 0; turn_take(v->s->turn))
        zset_body_remove(v->s, b, first);
    value_body_changed(v, data);
}

bool zset_remove(struct value_at *v, struct slice member)
{
    if (v->e && entry_is_body(v->e)) {
        struct zset z;
        uint64_t rank;
        double score;
        zset_open(&z, v->s, v->e);
        bool there = zset_rank(&z, member, &rank, &score);
        if (there)
            remove_from_body(v, rank, 1);
        return there;
    }
    uint32_t at = v->e ? zset_packed_find(pack_at(v), member) : PACK_NOWHERE;
    if (at != PACK_NOWHERE)
        remove_packed(v, at, 1);
    return at != PACK_NOWHERE;
}

void zset_remove_ranks(struct value_at *v, uint64_t first, uint64_t end)
{
    if (!v->e || first >= end)
        return;
    if (entry_is_body(v->e))
        remove_from_body(v, first, end - first);
    else
        remove_packed(v, zset_packed_at(pack_at(v), first), end - first);
}

/* -- replacing
 * ------------------------------------------------------------------------------------------------- */

static uint64_t packed_size(const struct zset_element *e)
{
    struct score_text text;
    return (uint64_t)item_of(e->member).size + zset_score_item(e->score, &text).size;
}

static void pack_add(struct pack *pk, const struct zset_element *e)
{
    struct score_text text;
    struct item member = item_of(e->member), score = zset_score_item(e->score, &text);
    pack_insert(pk, pack_end(*pk), &member);
    pack_insert(pk, pack_end(*pk), &score);
}

/* pk, memory of the shard, becomes the value; STORE_OOM: it is freed. */
static enum store_result adopt_pack(struct value_at *v, struct pack pk)
{
    if (value_adopt(v, TYPE_ZSET, VALUE_PACK, pk.p, pk.len) == STORE_OK)
        return STORE_OK;
    shard_free(v->s, pk.p);
    return STORE_OOM;
}

static enum store_result replace_by_pack(struct value_at *v, const struct zset_element *e, uint64_t count)
{
    uint64_t size = 0;
    for (uint64_t i = 0; i < count; i++)
        size += packed_size(&e[i]);
    hold(v);
    uint8_t *p = shard_alloc(v->s, size + PACK_OVERHEAD, SLAB_OTHER);
    release(v);
    if (!p)
        return STORE_OOM;
    struct pack pk = pack_init(p);
    for (uint64_t i = 0; i < count; i++)
        pack_add(&pk, &e[i]);
    return adopt_pack(v, pk);
}

static enum store_result replace_by_body(struct value_at *v, const struct zset_element *e,
                                         uint64_t count)
{
    hold(v);
    struct zset_body *b = make_body(v->s, NULL, &e[0]);
    bool ok = b;
    for (uint64_t i = 1; ok && i < count; i++, turn_take(v->s->turn))
        ok = zset_body_add(v->s, b, &e[i]);
    release(v);
    if (ok && value_set_body(v, &b->table.body) == STORE_OK) {
        value_changed(v);
        return STORE_OK;
    }
    if (b)
        body_release(v->s, &b->table.body);
    return STORE_OOM;
}

enum store_result zset_replace(struct value_at *v, const struct zset_element *e, uint64_t count)
{
    size_t longest = 0;
    for (uint64_t i = 0; i < count; i++, turn_take(v->s->turn))
        longest = e[i].member.len > longest ? e[i].member.len : longest;
    v->persist = true;
    return stays_compact(v->s, count, longest) ? replace_by_pack(v, e, count) : replace_by_body(v, e, count);
}

/* -- adopting
 * -------------------------------------------------------------------------------------------------- */

static enum store_result adopt_as_pack(struct value_at *v, const struct zset_body *b)
{
    struct order_cursor c;
    uint64_t size = PACK_OVERHEAD;
    for (uint64_t word = order_at(&b->order, 0, &c); word; word = order_next(&c)) {
        struct zset_element e = zset_element_of((const struct entry *)(uintptr_t)word);
        size += packed_size(&e);
    }
    uint8_t *p = shard_alloc(v->s, size, SLAB_OTHER);
    if (!p)
        return STORE_OOM;
    struct pack pk = pack_init(p);
    for (uint64_t word = order_at(&b->order, 0, &c); word; word = order_next(&c)) {
        struct zset_element e = zset_element_of((const struct entry *)(uintptr_t)word);
        pack_add(&pk, &e);
    }
    return adopt_pack(v, pk);
}

enum store_result zset_adopt_body(struct value_at *v, struct zset_body *b, size_t longest)
{
    if (!stays_compact(v->s, b->order.count, longest))
        return value_set_body(v, &b->table.body);
    enum store_result result = adopt_as_pack(v, b);
    if (result == STORE_OK)
        body_release(v->s, &b->table.body);
    return result;
}

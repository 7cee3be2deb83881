/* zset_body.c: the indexed form of a sorted set: a table and an order above it (zset_body.h). */
#include "store/zset_body.h"

static int compare_word(const void *key, uint64_t word)
{
    struct zset_element there = zset_element_of((const struct entry *)(uintptr_t)word);
    return zset_compare(key, &there);
}

static uint64_t hint_of_word(uint64_t word)
{
    return zset_hint(zset_element_of((const struct entry *)(uintptr_t)word).score);
}

const struct order_kind zset_order = {compare_word, hint_of_word};

bool zset_body_add(struct shard *s, struct zset_body *b, const struct zset_element *el)
{
    struct slice score = {(const uint8_t *)&el->score, sizeof el->score};
    struct entry *e = table_add(s, &b->table, el->member, score);
    if (!e)
        return false;
    if (order_insert(s, &b->order, &zset_order, zset_key(el), ordered_word(e), NULL))
        return true;
    table_remove(s, &b->table, el->member);
    return false;
}

static void set_score(struct entry *e, double score)
{
    memcpy(entry_parts(e).value, &score, sizeof score);
}

/* True if the element would stay between its neighbours. */
static bool stays(const struct order_cursor *c, const struct zset_element *to)
{
    struct order_cursor before = *c, after = *c;
    uint64_t word = order_prev(&before);
    if (word && compare_word(to, word) < 0)
        return false;
    word = order_next(&after);
    return !word || compare_word(to, word) < 0;
}

bool zset_body_move(struct shard *s, struct zset_body *b, struct entry *e, double score)
{
    struct zset_element from = zset_element_of(e), to = {from.member, score};
    struct order_cursor c;
    uint64_t word = ordered_word(e), rank;
    uint64_t old = order_find(&b->order, &zset_order, zset_key(&from), word, &c);
    if (stays(&c, &to)) {
        set_score(e, score);
        order_replace(&c, &zset_order, word);
        return true;
    }
    if (!order_insert(s, &b->order, &zset_order, zset_key(&to), word, &rank))
        return false;
    set_score(e, score);
    order_remove_at(s, &b->order, &zset_order, rank <= old ? old + 1 : old);
    return true;
}

void zset_body_remove(struct shard *s, struct zset_body *b, uint64_t rank)
{
    struct entry *e = (struct entry *)(uintptr_t)order_remove_at(s, &b->order, &zset_order, rank);
    table_remove(s, &b->table, entry_key(e));
}

/* -- what the store does with a body
 * -------------------------------------------------------------------------------- */

struct body *zset_body_clone(struct shard *to, const struct body *body)
{
    const struct zset_body *from = (const struct zset_body *)(const void *)body;
    struct zset_body *b = (struct zset_body *)(void *)body_new(to, TYPE_ZSET);
    struct order_cursor c;
    uint64_t word = b ? order_at(&from->order, 0, &c) : 0;
    for (; word; word = order_next(&c)) {
        turn_take(to->turn);
        struct zset_element e = zset_element_of((const struct entry *)(uintptr_t)word);
        if (!zset_body_add(to, b, &e)) {
            body_release(to, &b->table.body);
            return NULL;
        }
    }
    return b ? &b->table.body : NULL;
}

static bool find_word(const struct ordered *o, const struct entry *e, struct order_cursor *cursor)
{
    struct zset_element el = zset_element_of(e);
    order_find(&o->order, &zset_order, zset_key(&el), ordered_word(e), cursor);
    return true;
}

bool zset_body_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget)
{
    return ordered_compact(s, body, &zset_order, find_word, cursor, budget);
}

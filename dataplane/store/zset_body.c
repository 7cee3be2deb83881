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

static uint64_t word_of(const struct entry *e)
{
    return (uint64_t)(uintptr_t)e;
}

bool zset_body_add(struct shard *s, struct zset_body *b, const struct zset_element *el)
{
    struct slice score = {(const uint8_t *)&el->score, sizeof el->score};
    struct entry *e = table_add(s, &b->table, el->member, score);
    if (!e)
        return false;
    if (order_insert(s, &b->order, &zset_order, zset_key(el), word_of(e), NULL))
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
    uint64_t word, rank, old = order_seek(&b->order, &zset_order, zset_key(&from), &c, &word);
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

bool zset_body_free(struct shard *s, struct body *body, unsigned *budget)
{
    struct zset_body *b = (struct zset_body *)(void *)body;
    return order_drop(s, &b->order, budget) && table_free(s, body, budget);
}

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

uint64_t zset_body_overhead(const struct body *body)
{
    const struct zset_body *b = (const struct zset_body *)(const void *)body;
    return b->order.bytes + table_overhead(body);
}

struct compacting {
    struct shard *s;
    struct zset_body *b;
};

static void compact_element(struct entry **slot, void *arg)
{
    struct compacting *c = arg;
    struct entry *e = *slot, *moved;
    struct zset_element el = zset_element_of(e);
    struct order_cursor cursor;
    uint64_t word;
    if (!slab_is_sparse(&c->s->heap, e))
        return;
    order_seek(&c->b->order, &zset_order, zset_key(&el), &cursor, &word);
    moved = compact_move(c->s, e, entry_size(e), SLAB_ENTRY);
    if (!moved)
        return;
    order_replace(&cursor, &zset_order, word_of(moved));
    *slot = moved;
}

static void compact_segment(struct compacting *c, uint32_t number)
{
    struct index *ix = &c->b->table.index;
    uint64_t size;
    struct bucket *seg = index_segment(c->s, ix, number, &size);
    struct bucket *moved = seg ? compact_move(c->s, seg, size, SLAB_OTHER) : NULL;
    if (moved)
        index_segment_moved(c->s, ix, number, moved);
    if (seg)
        index_each_slot(c->s, ix, number, compact_element, c);
}

/* The cursor is twice a segment of the table, and then twice a rank of the order and one more. */
bool zset_body_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget)
{
    struct zset_body *b = (struct zset_body *)(void *)body;
    struct compacting c = {s, b};
    while (*budget > 0) {
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
        if (*cursor & 1) {
            uint64_t rank = order_compact(s, &b->order, *cursor >> 1);
            *cursor = rank << 1 | 1;
            if (rank == 0)
                return true;
            continue;
        }
        uint32_t number = (uint32_t)(*cursor >> 1), segments = b->table.index.segments;
        if (number < segments)
            compact_segment(&c, number);
        *cursor = number + 1u < segments ? *cursor + 2 : 1;
    }
    return false;
}

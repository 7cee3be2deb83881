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

static struct key key_of(const struct shard *s, struct slice member)
{
    return (struct key){member, key_hash(member, s->seed)};
}

struct entry *zset_body_find(const struct shard *s, const struct zset_body *b, struct slice member,
                             struct place *at)
{
    struct key k = key_of(s, member);
    return index_find(s, &b->index, &k, at);
}

static void count_in(struct zset_body *b, const struct entry *e)
{
    b->body.data += entry_user_bytes(e);
    b->body.memory += slab_size(entry_size(e));
}

static void count_out(struct zset_body *b, const struct entry *e)
{
    b->body.data -= entry_user_bytes(e);
    b->body.memory -= slab_size(entry_size(e));
}

bool zset_body_add(struct shard *s, struct zset_body *b, const struct zset_element *el)
{
    struct key k = key_of(s, el->member);
    struct entry_plan plan = {.key = el->member, .type = TYPE_ZSET, .value_len = sizeof el->score};
    struct entry *e = shard_alloc(s, entry_plan_size(&plan), SLAB_ENTRY);
    if (!e)
        return false;
    memset(e->clock, 0, sizeof e->clock);
    memcpy(entry_write(e, &plan), &el->score, sizeof el->score);
    if (!shard_reserve(s, &b->index, k.hash) ||
        !order_insert(s, &b->order, &zset_order, zset_key(el), word_of(e), NULL)) {
        shard_free(s, e);
        return false;
    }
    index_insert(s, &b->index, k.hash, e);
    count_in(b, e);
    return true;
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
    struct place at;
    index_find_entry(s, &b->index, key_of(s, entry_key(e)).hash, e, &at);
    index_remove(s, &b->index, &at);
    count_out(b, e);
    shard_free(s, e);
}

/* -- what the store does with a body
 * -------------------------------------------------------------------------------- */

static void free_element(struct entry *e, void *arg)
{
    shard_free(arg, e);
}

/* The order goes first, for the table can be dropped from its last segment on at any time. */
bool zset_body_free(struct shard *s, struct body *body, unsigned *budget)
{
    struct zset_body *b = (struct zset_body *)(void *)body;
    if (!order_drop(s, &b->order, budget))
        return false;
    for (; b->index.segments > 0; b->index.segments--) {
        if (*budget == 0)
            return false;
        index_drop_segment(s, &b->index, b->index.segments - 1, free_element, s);
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
    }
    index_drop(s, &b->index);
    return true;
}

struct body *zset_body_clone(struct shard *to, const struct body *body) /* long: */
{
    const struct zset_body *from = (const struct zset_body *)(const void *)body;
    struct zset_body *b = (struct zset_body *)(void *)body_new(to, TYPE_ZSET);
    struct order_cursor c;
    uint64_t word = b ? order_at(&from->order, 0, &c) : 0;
    for (; word; word = order_next(&c)) {
        struct zset_element e = zset_element_of((const struct entry *)(uintptr_t)word);
        if (!zset_body_add(to, b, &e)) {
            body_release(to, &b->body);
            return NULL;
        }
    }
    return b ? &b->body : NULL;
}

uint64_t zset_body_overhead(const struct body *body)
{
    const struct zset_body *b = (const struct zset_body *)(const void *)body;
    return b->order.bytes;
}

struct compacting {
    struct shard *s;
    struct zset_body *b;
};

static void compact_element(struct entry **slot, void *arg)
{
    struct compacting *c = arg;
    struct entry *e = *slot;
    if (!slab_is_sparse(&c->s->heap, e))
        return;
    struct entry *moved = shard_alloc_quietly(c->s, entry_size(e), SLAB_ENTRY);
    if (!moved)
        return;
    struct order_cursor cursor;
    uint64_t word;
    struct zset_element el = zset_element_of(e);
    order_seek(&c->b->order, &zset_order, zset_key(&el), &cursor, &word);
    memcpy(moved, e, entry_size(e));
    order_replace(&cursor, &zset_order, word_of(moved));
    shard_free(c->s, e);
    *slot = moved;
    c->s->changes++;
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
        uint32_t number = (uint32_t)(*cursor >> 1);
        uint64_t size;
        if (number < b->index.segments && index_segment(s, &b->index, number, &size))
            index_each_slot(s, &b->index, number, compact_element, &c);
        *cursor = number + 1u < b->index.segments ? *cursor + 2 : 1;
    }
    return false;
}

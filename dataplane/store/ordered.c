/* ordered.c: freeing, counting and compacting a table with an order above it (ordered.h). */
#include "store/ordered.h"
#include "store/shard.h"

bool ordered_free(struct shard *s, struct body *body, unsigned *budget)
{
    struct ordered *o = (struct ordered *)(void *)body;
    return order_drop(s, &o->order, budget) && table_free(s, body, budget);
}

uint64_t ordered_overhead(const struct body *body)
{
    return ((const struct ordered *)(const void *)body)->order.bytes + table_overhead(body);
}

struct compacting {
    struct shard *s;
    struct ordered *o;
    const struct order_kind *kind;
    ordered_find *find;
};

static void compact_element(struct entry **slot, void *arg)
{
    struct compacting *c = arg;
    struct entry *e = *slot, *moved;
    struct order_cursor cursor;
    if (!slab_is_sparse(&c->s->heap, e))
        return;
    bool in_order = c->find(c->o, e, &cursor);
    moved = compact_move(c->s, e, entry_size(e), SLAB_ENTRY);
    if (!moved)
        return;
    if (in_order)
        order_replace(&cursor, c->kind, ordered_word(moved));
    *slot = moved;
}

static void compact_segment(struct compacting *c, uint32_t number)
{
    struct index *ix = &c->o->table.index;
    uint64_t size;
    struct bucket *seg = index_segment(c->s, ix, number, &size);
    struct bucket *moved = seg ? compact_move(c->s, seg, size, SLAB_OTHER) : NULL;
    if (moved)
        index_segment_moved(c->s, ix, number, moved);
    if (seg)
        index_each_slot(c->s, ix, number, compact_element, c);
}

/* The cursor is twice a segment of the table, and then twice a rank of the order and one more. */
bool ordered_compact(struct shard *s, struct body *body, const struct order_kind *kind, ordered_find *find,
                     uint64_t *cursor, unsigned *budget)
{
    struct ordered *o = (struct ordered *)(void *)body;
    struct compacting c = {s, o, kind, find};
    while (*budget > 0) {
        *budget -= *budget < SEGMENT_KEYS ? *budget : SEGMENT_KEYS;
        if (*cursor & 1) {
            uint64_t rank = o->order.count ? order_compact(s, &o->order, *cursor >> 1) : 0;
            *cursor = rank << 1 | 1;
            if (rank == 0)
                return true;
            continue;
        }
        uint32_t number = (uint32_t)(*cursor >> 1), segments = o->table.index.segments;
        if (number < segments)
            compact_segment(&c, number);
        *cursor = number + 1u < segments ? *cursor + 2 : 1;
    }
    return false;
}

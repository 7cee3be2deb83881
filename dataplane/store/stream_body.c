/* stream_body.c: what the store does with a stream whatever is in it (value.h): freeing, copying, compacting.
 */
#include "store/stream_body.h"

static struct stream_body *of(const struct body *body)
{
    return (struct stream_body *)(uintptr_t)body;
}

/* -- freeing, from the end
 * ------------------------------------------------------------------------------------- */

bool stream_body_free(struct shard *s, struct body *body, unsigned *budget)
{
    struct stream_body *b = of(body);
    struct stream *st = &b->st;
    for (; st->nodes.count; --*budget) {
        if (*budget == 0)
            return false;
        struct stream_node *n =
            node_of(order_remove_at(s, &st->nodes, &stream_node_order, st->nodes.count - 1));
        stream_free(s, b, n, node_size(n));
    }
    while (st->groups.count && !b->doomed) {
        b->doomed = (struct stream_group *)(uintptr_t)order_remove_at(s, &st->groups, &stream_group_order,
                                                                      st->groups.count - 1);
        if (!group_free(s, b, b->doomed, budget))
            return false;
        b->doomed = NULL;
    }
    if (b->doomed && !group_free(s, b, b->doomed, budget))
        return false;
    b->doomed = NULL;
    return st->groups.count == 0;
}

/* -- copying
 * --------------------------------------------------------------------------------------------------- */

static bool clone_nodes(struct shard *to, struct stream_body *b, const struct stream *from)
{
    struct order_cursor cursor;
    uint64_t word = order_at(&from->nodes, 0, &cursor);
    for (; word; word = order_next(&cursor)) {
        const struct stream_node *n = node_of(word);
        struct stream_node *copy = stream_alloc(to, b, node_size(n));
        if (!copy)
            return false;
        memcpy(copy, n, sizeof *n + n->len);
        if (!order_insert(to, &b->st.nodes, &stream_node_order, stream_id_key(&copy->first), word_of(copy),
                          NULL)) {
            stream_free(to, b, copy, node_size(copy));
            return false;
        }
        b->body.data += copy->len;
    }
    return true;
}

static bool clone_consumer(struct shard *to, struct stream_body *b, struct stream_group *g,
                           const struct stream_consumer *from)
{
    struct stream_consumer *c = consumer_add(to, b, g, stream_consumer_name(from));
    struct order_cursor cursor;
    uint64_t word = c ? order_at(&from->pending, 0, &cursor) : 0;
    if (!c)
        return false;
    c->seen = from->seen;
    c->active = from->active;
    for (; word; word = order_next(&cursor)) {
        turn_take(to->turn);
        const struct stream_pending *p = (const struct stream_pending *)(uintptr_t)word;
        struct stream_pending *copy = pending_add(to, b, g, c, p->id);
        if (!copy)
            return false;
        *copy = *p;
        copy->consumer = c;
    }
    return true;
}

static bool clone_group(struct shard *to, struct stream_body *b, const struct stream_group *from)
{
    struct stream_group *g = group_add(to, b, stream_group_name(from));
    if (!g)
        return false;
    g->last = from->last;
    g->entries_read = from->entries_read;
    const struct stream_consumer *c;
    for (uint64_t i = 0; (c = stream_consumer_at(from, i)) != NULL; i++)
        if (!clone_consumer(to, b, g, c))
            return false;
    return true;
}

struct body *stream_body_clone(struct shard *to, const struct body *body)
{
    const struct stream *from = &of(body)->st;
    struct stream_body *b = of(body_new(to, TYPE_STREAM));
    if (!b)
        return NULL;
    bool ok = clone_nodes(to, b, from);
    const struct stream_group *g;
    for (uint64_t i = 0; ok && (g = stream_group_at(from, i)) != NULL; i++)
        ok = clone_group(to, b, g);
    if (!ok) {
        body_release(to, &b->body);
        return NULL;
    }
    struct order nodes = b->st.nodes, groups = b->st.groups;
    b->st = *from;
    b->st.nodes = nodes;
    b->st.groups = groups;
    return &b->body;
}

/* -- memory
 * ---------------------------------------------------------------------------------------------------- */

static uint64_t trees_of(const struct stream_group *g)
{
    uint64_t bytes = g->pending.bytes + g->consumers.bytes;
    const struct stream_consumer *c;
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++)
        bytes += c->pending.bytes;
    return bytes;
}

uint64_t stream_body_overhead(const struct body *body)
{
    const struct stream *st = &of(body)->st;
    uint64_t bytes = st->nodes.bytes + st->groups.bytes;
    const struct stream_group *g;
    for (uint64_t i = 0; (g = stream_group_at(st, i)) != NULL; i++)
        bytes += trees_of(g);
    return bytes;
}

uint64_t group_memory(const struct stream_group *g)
{
    uint64_t bytes =
        slab_size(sizeof *g + g->name_len) + g->pending.count * slab_size(sizeof(struct stream_pending));
    const struct stream_consumer *c;
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++)
        bytes += slab_size(sizeof *c + c->name_len);
    return bytes;
}

/* -- compacting: nodes, then the tree above them, then what is pending. Groups and consumers stay: they are
 * few.
 */

static void compact_node(struct shard *s, struct stream *st, uint64_t rank)
{
    struct order_cursor at;
    struct stream_node *n = node_of(order_at(&st->nodes, rank, &at));
    struct stream_node *moved = compact_move(s, n, node_size(n), SLAB_OTHER);
    if (moved)
        order_replace(&at, &stream_node_order, word_of(moved));
}

static void compact_pending(struct shard *s, struct stream_group *g, uint64_t rank)
{
    struct order_cursor in_group, in_consumer;
    struct stream_pending *p = (struct stream_pending *)(uintptr_t)order_at(&g->pending, rank, &in_group);
    if (!slab_is_sparse(&s->heap, p))
        return;
    stream_pending_seek(&p->consumer->pending, p->id, &in_consumer, NULL);
    struct stream_pending *moved = compact_move(s, p, sizeof *p, SLAB_OTHER);
    if (!moved)
        return;
    order_replace(&in_group, &stream_pending_order, word_of(moved));
    order_replace(&in_consumer, &stream_pending_order, word_of(moved));
}

enum { AT_NODES, AT_TREE, AT_PENDING, STAGE_BITS = 2, RANK_BITS = 38 };

/* One step from a place on: a rank, and the group's for AT_PENDING. False at the end of the stage. */
static bool compact_step(struct shard *s, struct stream *st, unsigned stage, uint64_t *place)
{
    if (stage == AT_NODES) {
        if (*place >= st->nodes.count)
            return false;
        compact_node(s, st, (*place)++);
        return true;
    }
    if (stage == AT_TREE) {
        *place = order_compact(s, &st->nodes, *place);
        return *place != 0;
    }
    uint64_t rank = *place & ((1ULL << RANK_BITS) - 1);
    struct stream_group *g = stream_group_at(st, *place >> RANK_BITS);
    if (!g)
        return false;
    if (rank < g->pending.count) {
        compact_pending(s, g, rank);
        ++*place;
    } else {
        *place = ((*place >> RANK_BITS) + 1) << RANK_BITS;
    }
    return true;
}

/* The cursor is a place and, in its lowest bits, the stage. */
bool stream_body_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget)
{
    for (; *budget > 0; --*budget) {
        unsigned stage = *cursor & ((1u << STAGE_BITS) - 1);
        uint64_t place = *cursor >> STAGE_BITS;
        if (!compact_step(s, &of(body)->st, stage, &place)) {
            if (stage++ == AT_PENDING)
                return true;
            place = 0;
        }
        *cursor = place << STAGE_BITS | stage;
    }
    return false;
}

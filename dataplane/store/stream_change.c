/* stream_change.c: adding, deleting and trimming entries of a stream (stream.h). */
#include "store/stream_body.h"

enum { PACK_MOST = STREAM_BYTES_MOST, MANY_NODES = 4, GROWTH = 8 };

void *stream_alloc(struct shard *s, struct stream_body *b, uint64_t size)
{
    void *p = shard_alloc(s, size, SLAB_OTHER);
    if (p)
        b->body.memory += slab_size(size);
    return p;
}

void stream_free(struct shard *s, struct stream_body *b, void *p, uint64_t size)
{
    b->body.memory -= slab_size(size);
    shard_free(s, p);
}

/* -- nodes
 * ----------------------------------------------------------------------------------------------------- */

/* The cap of a node that has room for `len` bytes: all that its allocation has. */
static uint32_t cap_for(uint64_t len)
{
    return (uint32_t)(slab_size(sizeof(struct stream_node) + len) - sizeof(struct stream_node));
}

/* Puts p, which is as long as cap says, in the node's place. */
static struct stream_node *replace_node(struct shard *s, struct stream_body *b,
                                        const struct order_cursor *cursor, struct stream_node *n, void *p,
                                        uint32_t cap)
{
    struct stream_node *moved = p;
    memcpy(moved, n, sizeof *n + n->len);
    moved->cap = cap;
    order_replace(cursor, &stream_node_order, word_of(moved));
    stream_free(s, b, n, node_size(n));
    return moved;
}

static void shrink_node(struct shard *s, struct stream_body *b, const struct order_cursor *cursor,
                        struct stream_node *n)
{
    uint32_t cap = cap_for(n->len);
    void *p = cap < n->cap ? shard_alloc_quietly(s, sizeof *n + cap, SLAB_OTHER) : NULL;
    if (!p)
        return;
    b->body.memory += sizeof *n + cap;
    replace_node(s, b, cursor, n, p, cap);
}

static void drop_node(struct shard *s, struct stream_body *b, uint64_t rank)
{
    struct stream_node *n = node_of(order_remove_at(s, &b->st.nodes, &stream_node_order, rank));
    b->body.data -= n->len;
    stream_free(s, b, n, node_size(n));
}

/* -- adding
 * ---------------------------------------------------------------------------------------------------- */

static uint64_t bytes_of(const struct slice *pair, uint32_t pairs)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < pairs * 2; i++)
        bytes += pair[i].len;
    return bytes;
}

static bool is_full(const struct shard *s, const struct stream_node *n, uint64_t bytes)
{
    uint64_t most = s->limits.stream_bytes, entries = s->limits.stream_entries;
    if (most == 0 || most > PACK_MOST)
        most = PACK_MOST;
    return node_listpack_len(n) + bytes >= most || (entries && n->added >= entries);
}

/* A node of a long stream has at once what the one before it took in the end: it gives back what is too much. */
static uint64_t first_cap(const struct stream_body *b, uint64_t len)
{
    const struct order *nodes = &b->st.nodes;
    uint64_t before = nodes->count > MANY_NODES ? node_of(order_at(nodes, nodes->count - 1, NULL))->len : 0;
    return len > before ? len : before;
}

static struct stream_node *new_node(struct shard *s, struct stream_body *b, struct stream_id id,
                                    const struct slice *pair, uint32_t pairs)
{
    uint64_t len = first_cap(b, node_first_len(pair, pairs));
    uint32_t cap = cap_for(len);
    struct stream_node *n = len <= INT32_MAX ? stream_alloc(s, b, sizeof *n + cap) : NULL;
    if (!n)
        return NULL;
    n->cap = cap;
    node_init(n, id, pair, pairs);
    if (!order_insert(s, &b->st.nodes, &stream_node_order, stream_id_key(&id), word_of(n), NULL)) {
        stream_free(s, b, n, node_size(n));
        return NULL;
    }
    b->body.data += n->len;
    struct order_cursor cursor;
    uint64_t word = b->st.nodes.count > 1 ? order_at(&b->st.nodes, b->st.nodes.count - 2, &cursor) : 0;
    if (word)
        shrink_node(s, b, &cursor, node_of(word));
    return n;
}

/* The node with room for len bytes, an eighth more than before at least. */
static struct stream_node *grow_node(struct shard *s, struct stream_body *b,
                                     const struct order_cursor *cursor, struct stream_node *n, uint64_t len)
{
    if (len <= n->cap)
        return n;
    uint64_t more = (uint64_t)n->cap + n->cap / GROWTH;
    uint32_t cap = cap_for(len > more ? len : more);
    void *p = len <= INT32_MAX ? stream_alloc(s, b, sizeof *n + cap) : NULL;
    return p ? replace_node(s, b, cursor, n, p, cap) : NULL;
}

/* Adds the entry to the last node, which the cursor is at. False without memory. */
static bool put_entry(struct shard *s, struct stream_body *b, const struct order_cursor *cursor,
                      struct stream_node *n, struct stream_id id, const struct slice *pair, uint32_t pairs)
{
    struct stream *st = &b->st;
    struct node_draft draft = node_plan(n, id, pair, pairs);
    n = grow_node(s, b, cursor, n, node_len_after(n, &draft));
    if (!n)
        return false;
    uint64_t before = n->len;
    node_append(n, &draft);
    b->body.data += n->len - before;
    if (st->length++ == 0)
        st->first = id;
    st->last = id;
    return true;
}

bool stream_body_begin(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                       uint32_t pairs)
{
    return new_node(s, b, id, pair, pairs) != NULL;
}

bool stream_body_put(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                     uint32_t pairs)
{
    struct order_cursor cursor;
    uint64_t word = order_at(&b->st.nodes, b->st.nodes.count - 1, &cursor);
    return put_entry(s, b, &cursor, node_of(word), id, pair, pairs);
}

bool stream_body_add(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                     uint32_t pairs)
{
    struct stream *st = &b->st;
    struct order_cursor cursor;
    uint64_t word = st->nodes.count ? order_at(&st->nodes, st->nodes.count - 1, &cursor) : 0;
    struct stream_node *n = word ? node_of(word) : NULL;
    if (!n || is_full(s, n, bytes_of(pair, pairs)))
        n = new_node(s, b, id, pair, pairs); /* with room for this entry: the cursor is not needed */
    if (!n || !put_entry(s, b, &cursor, n, id, pair, pairs))
        return false;
    st->entries_added++;
    return true;
}

enum store_result stream_create(struct value_at *v)
{
    struct body *b = body_new(v->s, TYPE_STREAM);
    if (!b)
        return STORE_OOM;
    if (value_set_body(v, b) == STORE_OK)
        return STORE_OK;
    body_release(v->s, b);
    return STORE_OOM;
}

enum store_result stream_add(struct value_at *v, struct stream_id id, const struct slice *pair,
                             uint32_t pairs)
{
    if (!v->e) {
        struct stream_body *made = (struct stream_body *)(void *)body_new(v->s, TYPE_STREAM);
        if (made && stream_body_add(v->s, made, id, pair, pairs) &&
            value_set_body(v, &made->body) == STORE_OK)
            return STORE_OK;
        if (made)
            body_release(v->s, &made->body);
        return STORE_OOM;
    }
    struct stream_body *b = stream_body_of(v);
    uint64_t data = b->body.data;
    bool held = stream_hold(v);
    bool ok = stream_body_add(v->s, b, id, pair, pairs);
    if (held)
        stream_release(v);
    value_body_changed(v, data);
    if (ok)
        value_grew(v);
    return ok ? STORE_OK : STORE_OOM;
}

/* -- removing
 * -------------------------------------------------------------------------------------------------- */

static void find_first(struct stream *st)
{
    struct stream_walk w;
    stream_walk(&w, st, STREAM_ID_MIN, STREAM_ID_MAX, false);
    st->first = stream_walk_next(&w) ? w.id : STREAM_ID_MIN;
}

/* Deletes some entries of a node, not all, and gives back memory if half of it is of no use any more. */
static void delete_in_node(struct shard *s, struct stream_body *b, const struct order_cursor *cursor,
                           struct stream_node *n, uint32_t from, uint32_t to, uint32_t entries)
{
    uint32_t before = n->len;
    node_delete(n, from, to, entries);
    b->body.data -= before - n->len;
    if (n->len < n->cap / 2)
        shrink_node(s, b, cursor, n);
}

bool stream_delete(struct value_at *v, struct stream_id id)
{
    struct stream_body *b = stream_body_of(v);
    struct stream *st = &b->st;
    struct order_cursor cursor;
    struct node_entry e;
    uint64_t rank, data = b->body.data;
    struct stream_node *n = stream_node_for(st, id, &rank, &cursor);
    if (!n || !node_find(n, id, &e))
        return false;
    if (n->live == 1)
        drop_node(v->s, b, rank);
    else
        delete_in_node(v->s, b, &cursor, n, e.at, e.end, 1);
    st->length--;
    if (stream_id_compare(id, st->max_deleted) > 0)
        st->max_deleted = id;
    if (stream_id_compare(id, st->first) == 0)
        find_first(st);
    value_body_changed(v, data);
    return true;
}

/* -- trimming
 * -------------------------------------------------------------------------------------------------- */

static bool whole_node_goes(const struct stream *st, const struct stream_node *n,
                            const struct stream_trim *how)
{
    if (how->by_id)
        return stream_id_compare(n->last, how->least) < 0;
    return st->length - n->live >= how->keep;
}

/* The oldest entries of the first node, as many as must go. */
static uint64_t trim_node(struct shard *s, struct stream_body *b, const struct order_cursor *cursor,
                          struct stream_node *n, const struct stream_trim *how)
{
    uint32_t begin = n->begin, at = begin, count = 0;
    struct node_entry e;
    while (node_entry_at(n, at, &e)) {
        if (how->by_id ? stream_id_compare(e.id, how->least) >= 0 : b->st.length - count <= how->keep)
            break;
        at = e.end;
        count++;
    }
    if (count == n->live) /* what is beyond has been deleted before */
        drop_node(s, b, 0);
    else if (count)
        delete_in_node(s, b, cursor, n, begin, at, count);
    b->st.length -= count;
    return count;
}

uint64_t stream_trim(struct value_at *v, const struct stream_trim *how)
{
    struct stream_body *b = stream_body_of(v);
    struct stream *st = &b->st;
    uint64_t removed = 0, data = b->body.data;
    while (st->nodes.count && (how->by_id || st->length > how->keep)) {
        struct order_cursor cursor;
        turn_take(v->s->turn);
        struct stream_node *n = node_of(order_at(&st->nodes, 0, &cursor));
        if (how->limit && removed + n->live > how->limit)
            break;
        if (whole_node_goes(st, n, how)) {
            removed += n->live;
            st->length -= n->live;
            drop_node(v->s, b, 0);
            continue;
        }
        if (!how->approximate)
            removed += trim_node(v->s, b, &cursor, n, how);
        break;
    }
    if (removed) {
        find_first(st);
        value_body_changed(v, data);
    }
    return removed;
}

/* rdb_stream_read.c: streams from RDB's forms 1 (Redis 5), 2 (7.0) and 3 (7.2). Entries must rise, counts
 * must be true, and whatever is pending must be so for one consumer. Redis' rdb.c, t_stream.c */
#include "store/rdb_stream.h"

#include <stdlib.h>

static struct stream_id take_id(struct rdb_reader *r)
{
    uint64_t ms = rdb_take_len(r);
    return (struct stream_id){ms, rdb_take_len(r)};
}

static struct stream_id take_raw_id(struct rdb_reader *r)
{
    const uint8_t *p = rdb_take(r, STREAM_KEY);
    return p ? stream_key_id(p) : STREAM_ID_MIN;
}

static int64_t take_time(struct rdb_reader *r)
{
    int64_t ms = 0;
    const uint8_t *p = rdb_take(r, sizeof ms);
    if (p)
        memcpy(&ms, p, sizeof ms);
    return ms;
}

/* -- nodes -- */

/* Fields and values by turns, with room for the digits of numbers. */
struct pairs {
    struct slice *pair;
    char (*digits)[PACK_TEXT];
    uint64_t room; /* pairs */
};

struct node_reader {
    struct shard *s;
    struct stream_body *b;
    struct turn *turn;
    struct packed in;
    struct stream_id first;   /* the node's key */
    struct pairs node, entry; /* the node's fields, with the first entry's values if it has these fields; an
                                 entry's */
    uint32_t fields;          /* of the node */
    bool begun;               /* the node is in the stream */
    bool no_memory;
};

static bool make_room(struct node_reader *n, struct pairs *pairs, uint64_t count)
{
    if (count <= pairs->room)
        return true;
    struct slice *pair = realloc(pairs->pair, count * 2 * sizeof *pair);
    if (pair)
        pairs->pair = pair;
    char(*digits)[PACK_TEXT] = realloc(pairs->digits, count * 2 * sizeof *digits);
    if (digits)
        pairs->digits = digits;
    n->no_memory = !pair || !digits;
    if (n->no_memory)
        return false;
    pairs->room = count;
    return true;
}

static void pairs_free(struct pairs *pairs)
{
    free(pairs->pair);
    free(pairs->digits);
}

static bool next_number(struct node_reader *n, uint64_t *number)
{
    struct item item;
    if (!packed_next(&n->in, &item) || !item.is_number)
        return false;
    *number = (uint64_t)item.number;
    return true;
}

/* How many fields come, each of `each` elements: no more than what is left can be. */
static bool next_count(struct node_reader *n, uint64_t each, uint64_t *count)
{
    enum { ELEMENT_LEAST = 2 };
    return next_number(n, count) && *count <= (uint64_t)(n->in.end - n->in.p) / ELEMENT_LEAST / each;
}

static bool next_text(struct node_reader *n, struct pairs *pairs, uint64_t i)
{
    struct item item;
    if (!packed_next(&n->in, &item))
        return false;
    pairs->pair[i] = item_text(&item, pairs->digits[i]);
    return true;
}

static bool read_fields(struct node_reader *n)
{
    uint64_t fields, zero;
    if (!next_count(n, 1, &fields) || !make_room(n, &n->node, fields))
        return false;
    n->fields = (uint32_t)fields;
    for (uint64_t i = 0; i < fields; i++) {
        if (!next_text(n, &n->node, i * 2))
            return false;
        n->node.pair[i * 2 + 1] = (struct slice){0};
    }
    return next_number(n, &zero) && zero == 0;
}

/* An entry's fields and values. */
static bool read_pairs(struct node_reader *n, bool same, uint64_t *pairs)
{
    *pairs = n->fields;
    if (!same && !next_count(n, 2, pairs))
        return false;
    if (!make_room(n, &n->entry, *pairs))
        return false;
    for (uint64_t i = 0; i < *pairs; i++) {
        if (same)
            n->entry.pair[i * 2] = n->node.pair[i * 2];
        else if (!next_text(n, &n->entry, i * 2))
            return false;
        if (!next_text(n, &n->entry, i * 2 + 1))
            return false;
    }
    return true;
}

static bool store_entry(struct node_reader *n, struct stream_id id, uint64_t pairs, bool same)
{
    struct stream *st = &n->b->st;
    bool rises = stream_id_compare(id, n->first) >= 0 && stream_id_compare(id, st->last) > 0;
    if (!rises || pairs == 0 || (!n->begun && st->length && stream_id_compare(n->first, st->last) <= 0))
        return false;
    for (uint64_t i = 0; i < pairs && same && !n->begun; i++)
        n->node.pair[i * 2 + 1] = n->entry.pair[i * 2 + 1];
    n->no_memory = (!n->begun && !stream_body_begin(n->s, n->b, n->first, n->node.pair, n->fields)) ||
                   !stream_body_put(n->s, n->b, id, n->entry.pair, (uint32_t)pairs);
    n->begun = true;
    return !n->no_memory;
}

static bool read_entry(struct node_reader *n, uint64_t *live, uint64_t *deleted)
{
    uint64_t flags, ms, seq, pairs, elements;
    if (!next_number(n, &flags) || !next_number(n, &ms) || !next_number(n, &seq))
        return false;
    bool same = flags & STREAM_SAME_FIELDS;
    if (!read_pairs(n, same, &pairs) || !next_number(n, &elements) ||
        elements != (same ? pairs + 3 : pairs * 2 + 4))
        return false;
    uint64_t *left = flags & STREAM_DELETED ? deleted : live;
    if ((*left)-- == 0)
        return false;
    struct stream_id id = {n->first.ms + ms, n->first.seq + seq};
    return flags & STREAM_DELETED || store_entry(n, id, pairs, same);
}

/* All entries of a node that are not deleted. */
static bool read_node(struct node_reader *n)
{
    uint64_t live, deleted;
    if (!next_number(n, &live) || !next_number(n, &deleted) || !read_fields(n))
        return false;
    for (; n->in.p < n->in.end; turn_take(n->turn))
        if (!read_entry(n, &live, &deleted))
            return false;
    struct item none;
    return live == 0 && deleted == 0 && !packed_next(&n->in, &none) && !n->in.bad;
}

static enum rdb_result take_node(struct rdb_reader *r, struct node_reader *n)
{
    struct rdb_text key, bytes = {{0}};
    bool ok = rdb_take_string(r, &key) && key.s.len == STREAM_KEY;
    if (ok)
        n->first = stream_key_id(key.s.p);
    rdb_text_free(&key);
    n->begun = false;
    ok = ok && rdb_take_string(r, &bytes) && packed_open(&n->in, PACKED_LISTPACK, bytes.s) && read_node(n);
    rdb_text_free(&bytes);
    return ok ? RDB_OK : n->no_memory || r->no_memory ? RDB_OOM : RDB_BAD;
}

static enum rdb_result take_nodes(struct rdb_reader *r, struct shard *s, struct stream_body *b)
{
    struct node_reader n = {.s = s, .b = b, .turn = r->turn};
    enum rdb_result result = RDB_OK;
    for (uint64_t nodes = rdb_take_len(r); result == RDB_OK && nodes > 0; nodes--)
        result = take_node(r, &n);
    pairs_free(&n.node);
    pairs_free(&n.entry);
    return result;
}

/* -- groups -- */

static enum rdb_result take_pending(struct rdb_reader *r, struct shard *s, struct stream_body *b,
                                    struct stream_group *g)
{
    for (uint64_t n = rdb_take_len(r); n > 0; n--, turn_take(r->turn)) {
        struct stream_id id = take_raw_id(r);
        int64_t delivered = take_time(r), deliveries = (int64_t)rdb_take_len(r);
        if (r->bad || stream_pending_find(g, id))
            return RDB_BAD;
        struct stream_pending *p = pending_new(s, b, g, id);
        if (!p)
            return RDB_OOM;
        p->delivered = delivered;
        p->deliveries = deliveries;
    }
    return rdb_verdict(r);
}

/* What of the group's is pending for a consumer. */
static enum rdb_result take_owned(struct rdb_reader *r, struct shard *s, struct stream_group *g,
                                  struct stream_consumer *c)
{
    for (uint64_t n = rdb_take_len(r); n > 0; n--, turn_take(r->turn)) {
        struct stream_id id = take_raw_id(r);
        struct stream_pending *p = r->bad ? NULL : stream_pending_find(g, id);
        if (!p || p->consumer)
            return RDB_BAD;
        if (!pending_own(s, c, p))
            return RDB_OOM;
    }
    return rdb_verdict(r);
}

static enum rdb_result take_consumer(struct rdb_reader *r, unsigned form, struct shard *s,
                                     struct stream_body *b, struct stream_group *g, uint64_t *owned)
{
    struct rdb_text name;
    if (!rdb_take_string(r, &name))
        return rdb_verdict(r);
    bool again = stream_consumer_find(g, name.s);
    struct stream_consumer *c = again ? NULL : consumer_add(s, b, g, name.s);
    rdb_text_free(&name);
    if (!c)
        return again ? RDB_BAD : RDB_OOM;
    c->seen = take_time(r);
    c->active = form >= 3 ? take_time(r) : c->seen;
    enum rdb_result result = take_owned(r, s, g, c);
    *owned += c->pending.count;
    return result;
}

static struct stream_group *take_name(struct rdb_reader *r, struct shard *s, struct stream_body *b,
                                      enum rdb_result *result)
{
    struct rdb_text name;
    if (!rdb_take_string(r, &name)) {
        *result = rdb_verdict(r);
        return NULL;
    }
    bool again = stream_group_find(&b->st, name.s);
    struct stream_group *g = again ? NULL : group_add(s, b, name.s);
    rdb_text_free(&name);
    *result = g ? RDB_OK : again ? RDB_BAD : RDB_OOM;
    return g;
}

static enum rdb_result take_group(struct rdb_reader *r, unsigned form, struct shard *s, struct stream_body *b)
{
    enum rdb_result result;
    struct stream_group *g = take_name(r, s, b, &result);
    if (!g)
        return result;
    g->last = take_id(r);
    g->entries_read = form >= 2 ? (int64_t)rdb_take_len(r) : stream_entries_until(&b->st, g->last);
    uint64_t owned = 0;
    result = take_pending(r, s, b, g);
    for (uint64_t n = result == RDB_OK ? rdb_take_len(r) : 0; result == RDB_OK && n > 0; n--)
        result = take_consumer(r, form, s, b, g, &owned);
    return result == RDB_OK && owned != g->pending.count ? RDB_BAD : result;
}

/* -- all of it -- */

/* What is told beside the entries; the first one's ID is known better. */
static enum rdb_result take_facts(struct rdb_reader *r, unsigned form, struct stream *st)
{
    uint64_t length = rdb_take_len(r);
    struct stream_id last = take_id(r);
    st->entries_added = length;
    if (form >= 2) {
        take_id(r);
        st->max_deleted = take_id(r);
        st->entries_added = rdb_take_len(r);
    }
    if (r->bad || length != st->length || stream_id_compare(last, st->last) < 0)
        return rdb_verdict(r) == RDB_OK ? RDB_BAD : rdb_verdict(r);
    st->last = last;
    return RDB_OK;
}

static enum rdb_result take_body(struct rdb_reader *r, unsigned form, struct shard *s, struct stream_body *b)
{
    enum rdb_result result = take_nodes(r, s, b);
    if (result == RDB_OK)
        result = take_facts(r, form, &b->st);
    for (uint64_t n = result == RDB_OK ? rdb_take_len(r) : 0; result == RDB_OK && n > 0; n--)
        result = take_group(r, form, s, b);
    return result == RDB_OK ? rdb_verdict(r) : result;
}

static enum rdb_result take_stream(struct rdb_reader *r, unsigned form, struct value_at *v)
{
    struct stream_body *b = (struct stream_body *)(void *)body_new(v->s, TYPE_STREAM);
    if (!b)
        return RDB_OOM;
    enum rdb_result result = take_body(r, form, v->s, b);
    if (result == RDB_OK && value_set_body(v, &b->body) != STORE_OK)
        result = RDB_OOM;
    if (result != RDB_OK)
        body_release(v->s, &b->body);
    return result;
}

enum rdb_result rdb_take_stream_1(struct rdb_reader *r, enum source source, struct value_at *v)
{
    (void)source;
    return take_stream(r, 1, v);
}

enum rdb_result rdb_take_stream_2(struct rdb_reader *r, enum source source, struct value_at *v)
{
    (void)source;
    return take_stream(r, 2, v);
}

enum rdb_result rdb_take_stream_3(struct rdb_reader *r, enum source source, struct value_at *v)
{
    (void)source;
    return take_stream(r, 3, v);
}

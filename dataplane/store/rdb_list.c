/* rdb_list.c: lists in RDB's form: quicklists, as redis-server 7.0 makes them of elements that are added at
 * the tail. Redis' rdb.c, quicklist.c */
#include "store/chunk.h"
#include "store/rdb_value.h"

enum { NODE_PLAIN = 1, NODE_PACKED = 2 };
enum {
    ADDS_AT_MOST = 8, /* what Redis takes an element to add to a listpack beside its text */
    SAFE_BYTES = 8192 /* of a node whose elements are counted */
};
#define PLAIN_FROM (1u << 30) /* bytes of an element that gets a node for itself */

/* quicklistNodeLimit of list-max-listpack-size. */
struct node_limit {
    uint64_t bytes, count;
};

static struct node_limit node_limit_of(int size)
{
    if (size >= 0)
        return (struct node_limit){SAFE_BYTES, size ? (uint64_t)size : 1};
    return (struct node_limit){2048ull << (size < -5 ? 5 : -size), UINT64_MAX};
}

/* The node that is being written. */
struct node {
    struct rdb_writer aside;
    uint64_t count;
};

static void end_node(struct rdb_writer *w, struct node *node, uint64_t *nodes)
{
    if (node->count == 0)
        return;
    listpack_end(&node->aside, 0, node->count);
    rdb_put_len(w, NODE_PACKED);
    w->failed |= node->aside.failed;
    if (!w->failed)
        rdb_put_string(w, (struct slice){node->aside.p, node->aside.len});
    node->aside.len = 0;
    node->count = 0;
    ++*nodes;
}

static void put_plain(struct rdb_writer *w, struct slice text)
{
    rdb_put_len(w, NODE_PLAIN);
    rdb_put_string(w, text);
}

static void put_in_node(struct rdb_writer *w, struct node *node, struct node_limit limit,
                        const struct item *item, uint64_t *nodes)
{
    size_t len = item_text_len(item);
    if (node->count && (node->aside.len + 1 + len + ADDS_AT_MOST > limit.bytes || node->count >= limit.count))
        end_node(w, node, nodes);
    if (len >= PLAIN_FROM) {
        end_node(w, node, nodes);
        put_plain(w, item->text);
        ++*nodes;
        return;
    }
    if (node->count++ == 0)
        listpack_begin(&node->aside);
    listpack_put(&node->aside, item);
}

void rdb_put_list(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    struct node_limit limit = node_limit_of(s->limits.list_size);
    struct node node = {0};
    struct list_cursor c;
    struct item item;
    uint64_t nodes = 0;
    rdb_put_type(w, RDB_LIST_QUICKLIST_2);
    size_t at = w->len;
    list_seek(e, 0, &c, NULL);
    while (list_next(&c, &item)) /* long: */
        put_in_node(w, &node, limit, &item, &nodes);
    end_node(w, &node, &nodes);
    rdb_writer_free(&node.aside);
    rdb_put_len_at(w, at, nodes);
}

/* -- reading: into a list that becomes the value as a whole -- */

static enum rdb_result push(struct shard *s, struct list *l, struct slice element)
{
    struct item item = item_of(element);
    return list_draft_add(s, l, &item) ? RDB_OK : RDB_OOM;
}

static enum rdb_result take_elements(struct rdb_reader *r, enum source source, struct shard *s,
                                     struct list *l)
{
    struct elements els;
    struct slice element;
    enum rdb_result result = RDB_OK;
    elements_open(&els, r, source, 1);
    while (result == RDB_OK && elements_next(&els, &element))
        result = push(s, l, element);
    return elements_close(&els, result);
}

static enum rdb_result take_plain(struct rdb_reader *r, struct shard *s, struct list *l)
{
    struct rdb_text text;
    if (!rdb_take_element(r, &text))
        return rdb_verdict(r);
    enum rdb_result result = text.s.len ? push(s, l, text.s) : RDB_BAD; /* an empty one is in a listpack */
    rdb_text_free(&text);
    return result;
}

static enum rdb_result take_nodes(struct rdb_reader *r, enum source source, struct shard *s, struct list *l)
{
    enum rdb_result result = RDB_OK;
    for (uint64_t nodes = rdb_take_len(r); result == RDB_OK && !r->bad && nodes > 0; nodes--) {
        uint64_t kind = source == SOURCE_LISTPACK ? rdb_take_len(r) : NODE_PACKED;
        if (kind == NODE_PLAIN)
            result = take_plain(r, s, l);
        else if (kind == NODE_PACKED)
            result = take_elements(r, source, s, l);
        else
            result = RDB_BAD;
    }
    return result == RDB_OK ? rdb_verdict(r) : result;
}

static enum rdb_result take(struct rdb_reader *r, enum source source, struct value_at *v,
                            enum rdb_result (*fill)(struct rdb_reader *r, enum source source, struct shard *s,
                                                    struct list *l))
{
    struct list *l = list_draft(v->s);
    if (!l)
        return RDB_OOM;
    enum rdb_result result = fill(r, source, v->s, l);
    if (result == RDB_OK && l->count == 0)
        result = RDB_BAD;
    if (result == RDB_OK && list_draft_store(v, l) != STORE_OK)
        result = RDB_OOM;
    if (result != RDB_OK)
        list_draft_drop(v->s, l);
    return result;
}

enum rdb_result rdb_take_list(struct rdb_reader *r, enum source source, struct value_at *v)
{
    return take(r, source, v, take_elements);
}

enum rdb_result rdb_take_quicklist(struct rdb_reader *r, enum source source, struct value_at *v)
{
    return take(r, source, v, take_nodes);
}

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

/* The nodes that are being written, or only counted. */
struct nodes {
    struct rdb_writer *to; /* NULL: counted */
    struct node_limit limit;
    struct rdb_writer aside; /* the last one */
    uint64_t count;          /* its elements */
    uint64_t nodes;
};

static void end_node(struct nodes *n)
{
    if (n->count == 0)
        return;
    listpack_end(&n->aside, 0, n->count);
    if (n->to) {
        rdb_put_len(n->to, NODE_PACKED);
        n->to->failed |= n->aside.failed;
        if (!n->to->failed)
            rdb_put_string(n->to, (struct slice){n->aside.p, n->aside.len});
    }
    n->aside.len = 0;
    n->count = 0;
    n->nodes++;
}

static void put_plain(struct nodes *n, struct slice text)
{
    end_node(n);
    if (n->to) {
        rdb_put_len(n->to, NODE_PLAIN);
        rdb_put_string(n->to, text);
    }
    n->nodes++;
}

static void put_in_node(struct nodes *n, const struct item *item)
{
    size_t len = item_text_len(item);
    if (len >= PLAIN_FROM) {
        put_plain(n, item->text);
        return;
    }
    if (n->count && (n->aside.len + 1 + len + ADDS_AT_MOST > n->limit.bytes || n->count >= n->limit.count))
        end_node(n);
    if (n->count++ == 0)
        listpack_begin(&n->aside);
    listpack_put(&n->aside, item);
}

/* How many they are. */
static uint64_t put_nodes(struct rdb_writer *to, const struct shard *s, const struct entry *e, struct turn *turn)
{
    struct nodes n = {.to = to, .limit = node_limit_of(s->limits.list_size)};
    struct list_cursor c;
    struct item item;
    list_seek(e, 0, &c, NULL);
    while (list_next(&c, &item)) { /* long: */
        put_in_node(&n, &item);
        turn_take(turn);
    }
    end_node(&n);
    rdb_writer_free(&n.aside);
    return n.nodes;
}

/* What is drained cannot be told of its number later. */
void rdb_put_list(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    rdb_put_type(w, RDB_LIST_QUICKLIST_2);
    size_t at = w->len;
    if (w->drain) {
        rdb_put_len(w, put_nodes(NULL, s, e, w->turn));
        put_nodes(w, s, e, w->turn);
    } else {
        rdb_put_len_at(w, at, put_nodes(w, s, e, w->turn));
    }
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

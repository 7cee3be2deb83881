/* rdb_stream.c: streams in RDB's form, as redis-server 7.0 writes them: nodes as listpacks, then groups with
 * what is pending. Redis' rdb.c, t_stream.c */
#include "store/rdb_stream.h"

static void put_id(struct rdb_writer *w, struct stream_id id)
{
    rdb_put_len(w, id.ms);
    rdb_put_len(w, id.seq);
}

/* -- nodes -- */

struct node_writer {
    struct rdb_writer aside;
    uint64_t elements;
};

static void put_number(struct node_writer *w, uint64_t number)
{
    listpack_put_number(&w->aside, (int64_t)number);
    w->elements++;
}

static void put_item(struct node_writer *w, const struct item *item)
{
    listpack_put(&w->aside, item);
    w->elements++;
}

static void put_entry(struct node_writer *w, const struct stream_node *n, const struct node_entry *e)
{
    struct node_pairs pairs = node_pairs(n, e);
    struct item field, value;
    uint8_t scratch[STREAM_SCRATCH];
    put_number(w, e->same ? STREAM_SAME_FIELDS : 0);
    put_number(w, e->id.ms - n->first.ms);
    put_number(w, e->id.seq - n->first.seq);
    if (!e->same)
        put_number(w, e->fields);
    while (node_pair_next(&pairs, &field, &value, scratch)) {
        if (!e->same)
            put_item(w, &field);
        put_item(w, &value);
    }
    put_number(w, e->same ? e->fields + 3ull : e->fields * 2ull + 4);
}

static void put_node(struct rdb_writer *out, const struct stream_node *n)
{
    uint8_t key[STREAM_KEY];
    struct node_writer w = {0};
    struct node_names names = node_names(n);
    struct node_entry e;
    struct item name;
    size_t begin = listpack_begin(&w.aside);
    put_number(&w, n->live);
    put_number(&w, 0); /* deleted ones are not kept */
    put_number(&w, names.left);
    while (node_name_next(n, &names, &name))
        put_item(&w, &name);
    put_number(&w, 0);
    for (uint32_t at = n->begin; node_entry_at(n, at, &e); at = e.end) /* long: at most what a node holds */
        put_entry(&w, n, &e);
    listpack_end(&w.aside, begin, w.elements);
    stream_key(n->first, key);
    rdb_put_string(out, (struct slice){key, sizeof key});
    rdb_put_aside(out, &w.aside);
}

/* -- groups -- */

static void put_raw_id(struct rdb_writer *w, struct stream_id id)
{
    uint8_t key[STREAM_KEY];
    stream_key(id, key);
    rdb_put(w, key, sizeof key);
}

static void put_time(struct rdb_writer *w, int64_t ms)
{
    rdb_put(w, &ms, sizeof ms);
}

/* with_times: a group's list says when and how often, a consumer's only which. */
static void put_pending(struct rdb_writer *w, const struct order *pending, bool with_times)
{
    struct order_cursor cursor;
    uint64_t word = order_at(pending, 0, &cursor);
    rdb_put_len(w, pending->count);
    for (; word; word = order_next(&cursor)) { /* long: */
        const struct stream_pending *p = (const struct stream_pending *)(uintptr_t)word;
        put_raw_id(w, p->id);
        if (!with_times)
            continue;
        put_time(w, p->delivered);
        rdb_put_len(w, (uint64_t)p->deliveries);
    }
}

static void put_group(struct rdb_writer *w, const struct stream_group *g)
{
    const struct stream_consumer *c;
    rdb_put_string(w, stream_group_name(g));
    put_id(w, g->last);
    rdb_put_len(w, (uint64_t)g->entries_read);
    put_pending(w, &g->pending, true);
    rdb_put_len(w, g->consumers.count);
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++) {
        rdb_put_string(w, stream_consumer_name(c));
        put_time(w, c->seen);
        put_pending(w, &c->pending, false);
    }
}

void rdb_put_stream(struct rdb_writer *w, const struct shard *s, const struct entry *e)
{
    const struct stream *st = &((const struct stream_body *)(const void *)entry_body(e))->st;
    const struct stream_group *g;
    struct order_cursor cursor;
    (void)s;
    rdb_put_type(w, RDB_STREAM_LISTPACKS_2);
    rdb_put_len(w, st->nodes.count);
    for (uint64_t word = order_at(&st->nodes, 0, &cursor); word; word = order_next(&cursor)) /* long: */
        put_node(w, node_of(word));
    rdb_put_len(w, st->length);
    put_id(w, st->last);
    put_id(w, st->first);
    put_id(w, st->max_deleted);
    rdb_put_len(w, st->entries_added);
    rdb_put_len(w, st->groups.count);
    for (uint64_t i = 0; (g = stream_group_at(st, i)) != NULL; i++)
        put_group(w, g);
}

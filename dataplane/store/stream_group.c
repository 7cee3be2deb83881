/* stream_group.c: consumer groups and their consumers (stream.h). */
#include "store/stream_body.h"

/* Groups and consumers end alike, and so one order does for both. */
static struct slice group_name(uint64_t word)
{
    return stream_group_name((const struct stream_group *)(uintptr_t)word);
}

static struct slice consumer_name(uint64_t word)
{
    return stream_consumer_name((const struct stream_consumer *)(uintptr_t)word);
}

static int compare_names(const struct slice *a, struct slice b)
{
    size_t len = a->len < b.len ? a->len : b.len;
    int c = len ? memcmp(a->p, b.p, len) : 0;
    return c ? c : a->len < b.len ? -1 : a->len > b.len;
}

static int compare_group(const void *key, uint64_t word)
{
    return compare_names(key, group_name(word));
}

static int compare_consumer(const void *key, uint64_t word)
{
    return compare_names(key, consumer_name(word));
}

const struct order_kind stream_group_order = {compare_group, NULL};
const struct order_kind stream_consumer_order = {compare_consumer, NULL};

/* -- groups
 * ---------------------------------------------------------------------------------------------------- */

struct stream_group *stream_group_find(const struct stream *st, struct slice name)
{
    struct order_cursor cursor;
    uint64_t word;
    order_seek(&st->groups, &stream_group_order, (struct order_key){&name, 0}, &cursor, &word);
    return word && slice_eq(group_name(word), name) ? (struct stream_group *)(uintptr_t)word : NULL;
}

struct stream_group *stream_group_at(const struct stream *st, uint64_t rank)
{
    return (struct stream_group *)(uintptr_t)order_at(&st->groups, rank, NULL);
}

struct stream_group *group_add(struct shard *s, struct stream_body *b, struct slice name)
{
    uint64_t size = sizeof(struct stream_group) + name.len;
    struct stream_group *g = stream_alloc(s, b, size);
    if (!g)
        return NULL;
    *g = (struct stream_group){.name_len = (uint32_t)name.len};
    if (name.len)
        memcpy(g->name, name.p, name.len);
    if (order_insert(s, &b->st.groups, &stream_group_order, (struct order_key){&name, 0}, word_of(g), NULL))
        return g;
    stream_free(s, b, g, size);
    return NULL;
}

struct stream_group *stream_group_add(struct value_at *v, struct slice name, struct stream_id last,
                                      int64_t entries_read)
{
    bool held = stream_hold(v);
    struct stream_group *g = group_add(v->s, stream_body_of(v), name);
    if (held)
        stream_release(v);
    if (g) {
        g->last = last;
        g->entries_read = entries_read;
    }
    return g;
}

bool group_free(struct shard *s, struct stream_body *b, struct stream_group *g, unsigned *budget)
{
    for (; g->pending.count; --*budget) {
        if (*budget == 0)
            return false;
        uint64_t word = order_remove_at(s, &g->pending, &stream_pending_order, g->pending.count - 1);
        stream_free(s, b, (void *)(uintptr_t)word, sizeof(struct stream_pending));
    }
    while (g->consumers.count) {
        struct stream_consumer *c = stream_consumer_at(g, g->consumers.count - 1);
        if (!order_drop(s, &c->pending, budget) || *budget == 0)
            return false;
        --*budget;
        order_remove_at(s, &g->consumers, &stream_consumer_order, g->consumers.count - 1);
        stream_free(s, b, c, sizeof *c + c->name_len);
    }
    stream_free(s, b, g, sizeof *g + g->name_len);
    return true;
}

/* A large group is freed as the only thing that a body has. */
void stream_group_remove(struct value_at *v, struct stream_group *g)
{
    struct stream_body *b = stream_body_of(v);
    struct slice name = stream_group_name(g);
    uint64_t rank = order_seek(&b->st.groups, &stream_group_order, (struct order_key){&name, 0}, NULL, NULL);
    order_remove_at(v->s, &b->st.groups, &stream_group_order, rank);
    value_grew(v); /* its readers wait in vain */
    unsigned budget = 64;
    if (group_free(v->s, b, g, &budget))
        return;
    bool held = stream_hold(v);
    struct stream_body *grave = (struct stream_body *)(void *)body_new(v->s, TYPE_STREAM);
    if (held)
        stream_release(v);
    if (grave) {
        uint64_t bytes = group_memory(g);
        b->body.memory -= bytes;
        grave->body.memory += bytes;
        grave->doomed = g;
        body_release(v->s, &grave->body);
        return;
    }
    budget = UINT32_MAX; /* long: there is no memory, so it is freed at once */
    while (!group_free(v->s, b, g, &budget))
        budget = UINT32_MAX;
}

/* -- counts
 * ---------------------------------------------------------------------------------------------------- */

static bool id_is_zero(struct stream_id id)
{
    return id.ms == 0 && id.seq == 0;
}

/* True if something from an ID on may have been deleted by XDEL. */
static bool deleted_from(const struct stream *st, struct stream_id id)
{
    return st->length && !id_is_zero(st->max_deleted) && stream_id_compare(st->first, st->max_deleted) <= 0 &&
           stream_id_compare(id, st->max_deleted) <= 0;
}

/* How many entries were added up to an ID, it included; false if that cannot be known. */
static bool added_until(const struct stream *st, struct stream_id id, int64_t *count)
{
    int last = stream_id_compare(id, st->last), first = stream_id_compare(id, st->first);
    bool whole = id_is_zero(st->max_deleted) || stream_id_compare(st->max_deleted, st->first) < 0;
    *count = (int64_t)st->entries_added;
    if (!st->entries_added || (!st->length && last <= 0) || last == 0)
        return true;
    if (last > 0 || !whole || first > 0)
        return false;
    *count -= (int64_t)st->length - (first == 0);
    return true;
}

int64_t stream_entries_until(const struct stream *st, struct stream_id id)
{
    int64_t count;
    return added_until(st, id, &count) ? count : ENTRIES_READ_UNKNOWN;
}

bool stream_group_lag(const struct stream *st, const struct stream_group *g, int64_t *lag)
{
    int64_t read = g->entries_read;
    *lag = 0;
    if (!st->entries_added)
        return true;
    if ((read == ENTRIES_READ_UNKNOWN || deleted_from(st, g->last)) && !added_until(st, g->last, &read))
        return false;
    *lag = (int64_t)st->entries_added - read;
    return true;
}

void stream_group_advance(const struct stream *st, struct stream_group *g, struct stream_id id)
{
    if (stream_id_compare(id, g->last) <= 0)
        return;
    if (g->entries_read != ENTRIES_READ_UNKNOWN && !deleted_from(st, id))
        g->entries_read++;
    else if (st->entries_added)
        g->entries_read = stream_entries_until(st, id);
    g->last = id;
}

/* -- consumers
 * ------------------------------------------------------------------------------------------------- */

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct slice name)
{
    struct order_cursor cursor;
    uint64_t word;
    order_seek(&g->consumers, &stream_consumer_order, (struct order_key){&name, 0}, &cursor, &word);
    return word && slice_eq(consumer_name(word), name) ? (struct stream_consumer *)(uintptr_t)word : NULL;
}

struct stream_consumer *stream_consumer_at(const struct stream_group *g, uint64_t rank)
{
    return (struct stream_consumer *)(uintptr_t)order_at(&g->consumers, rank, NULL);
}

struct stream_consumer *consumer_add(struct shard *s, struct stream_body *b, struct stream_group *g,
                                     struct slice name)
{
    uint64_t size = sizeof(struct stream_consumer) + name.len;
    struct stream_consumer *c = stream_alloc(s, b, size);
    if (!c)
        return NULL;
    *c = (struct stream_consumer){.active = -1, .name_len = (uint32_t)name.len};
    if (name.len)
        memcpy(c->name, name.p, name.len);
    if (order_insert(s, &g->consumers, &stream_consumer_order, (struct order_key){&name, 0}, word_of(c),
                     NULL))
        return c;
    stream_free(s, b, c, size);
    return NULL;
}

struct stream_consumer *stream_consumer_add(struct value_at *v, struct stream_group *g, struct slice name)
{
    bool held = stream_hold(v);
    struct stream_consumer *c = consumer_add(v->s, stream_body_of(v), g, name);
    if (held)
        stream_release(v);
    if (c)
        c->seen = (int64_t)shard_time(v->s);
    return c;
}

void stream_consumer_remove(struct value_at *v, struct stream_group *g, struct stream_consumer *c) /* long: */
{
    struct stream_body *b = stream_body_of(v);
    struct slice name = stream_consumer_name(c);
    while (c->pending.count) {
        uint64_t word = order_at(&c->pending, c->pending.count - 1, NULL);
        stream_pending_remove(v, g, ((const struct stream_pending *)(uintptr_t)word)->id);
    }
    uint64_t rank =
        order_seek(&g->consumers, &stream_consumer_order, (struct order_key){&name, 0}, NULL, NULL);
    order_remove_at(v->s, &g->consumers, &stream_consumer_order, rank);
    stream_free(v->s, b, c, sizeof *c + c->name_len);
}

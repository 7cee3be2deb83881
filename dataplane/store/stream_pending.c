/* stream_pending.c: what was delivered to a consumer and not acknowledged yet (stream.h). */
#include "store/stream_body.h"

static struct stream_pending *pending_of(uint64_t word)
{
    return (struct stream_pending *)(uintptr_t)word;
}

static int compare_pending(const void *key, uint64_t word)
{
    return stream_id_compare(*(const struct stream_id *)key, pending_of(word)->id);
}

static uint64_t pending_hint(uint64_t word)
{
    return pending_of(word)->id.ms;
}

const struct order_kind stream_pending_order = {compare_pending, pending_hint};

struct stream_pending *stream_pending_seek(const struct order *pending, struct stream_id id,
                                           struct order_cursor *cursor, uint64_t *rank)
{
    struct order_cursor own;
    uint64_t word, before = order_seek(pending, &stream_pending_order, stream_id_key(&id),
                                       cursor ? cursor : &own, &word);
    if (rank)
        *rank = before;
    return pending_of(word);
}

static struct stream_pending *find(const struct order *pending, struct stream_id id)
{
    struct stream_pending *p = stream_pending_seek(pending, id, NULL, NULL);
    return p && stream_id_compare(p->id, id) == 0 ? p : NULL;
}

struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id)
{
    return find(&g->pending, id);
}

static bool put_in(struct shard *s, struct order *pending, struct stream_pending *p)
{
    return order_insert(s, pending, &stream_pending_order, stream_id_key(&p->id), word_of(p), NULL);
}

static void take_out(struct shard *s, struct order *pending, const struct stream_pending *p)
{
    uint64_t rank = order_seek(pending, &stream_pending_order, stream_id_key(&p->id), NULL, NULL);
    order_remove_at(s, pending, &stream_pending_order, rank);
}

struct stream_pending *pending_new(struct shard *s, struct stream_body *b, struct stream_group *g,
                                   struct stream_id id)
{
    struct stream_pending *p = stream_alloc(s, b, sizeof *p);
    if (!p)
        return NULL;
    *p = (struct stream_pending){.id = id};
    if (put_in(s, &g->pending, p))
        return p;
    stream_free(s, b, p, sizeof *p);
    return NULL;
}

bool pending_own(struct shard *s, struct stream_consumer *c, struct stream_pending *p)
{
    if (!put_in(s, &c->pending, p))
        return false;
    p->consumer = c;
    return true;
}

struct stream_pending *pending_add(struct shard *s, struct stream_body *b, struct stream_group *g,
                                   struct stream_consumer *c, struct stream_id id)
{
    struct stream_pending *p = pending_new(s, b, g, id);
    if (!p || put_in(s, &c->pending, p))
        return p;
    take_out(s, &g->pending, p);
    stream_free(s, b, p, sizeof *p);
    return NULL;
}

static bool reserve(struct value_at *v, struct stream_group *g, struct stream_consumer *c,
                    struct stream_id id, bool make)
{
    struct stream_pending *p = stream_pending_find(g, id);
    if (!p)
        return !make || pending_add(v->s, stream_body_of(v), g, c, id);
    return find(&c->pending, id) || put_in(v->s, &c->pending, p);
}

enum store_result stream_pending_reserve(struct value_at *v, struct stream_group *g,
                                         struct stream_consumer *c, struct stream_id id, bool make)
{
    bool held = stream_hold(v);
    bool ok = reserve(v, g, c, id, make);
    if (held)
        stream_release(v);
    return ok ? STORE_OK : STORE_OOM;
}

void stream_pending_take(struct value_at *v, struct stream_consumer *c, struct stream_pending *p)
{
    if (p->consumer && p->consumer != c)
        take_out(v->s, &p->consumer->pending, p);
    p->consumer = c;
}

void stream_pending_settle(struct value_at *v, struct stream_group *g, struct stream_consumer *c,
                           struct stream_id id)
{
    struct stream_pending *p = find(&c->pending, id);
    if (!p || p->consumer == c)
        return;
    take_out(v->s, &c->pending, p);
    if (p->consumer)
        return;
    take_out(v->s, &g->pending, p);
    stream_free(v->s, stream_body_of(v), p, sizeof *p);
}

bool stream_pending_remove(struct value_at *v, struct stream_group *g, struct stream_id id)
{
    struct stream_pending *p = stream_pending_find(g, id);
    if (!p)
        return false;
    take_out(v->s, &g->pending, p);
    take_out(v->s, &p->consumer->pending, p);
    stream_free(v->s, stream_body_of(v), p, sizeof *p);
    return true;
}

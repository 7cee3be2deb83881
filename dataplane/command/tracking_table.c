/* tracking_table.c: which clients have read which keys (tracking.h). A key is one of all databases, as in
 * Redis. */
#include "command/tracking.h"

#include "command/command.h"

#include <stdlib.h>

enum {
    MANY_LEAST = 4,
    POSITIONS = 64,    /* keys of a command that are looked up without memory of their own */
    UPKEEP_KEYS = 256, /* of a slice */
    BYTES_LEAST = 64 << 20
};

/* -- the clients of a key -- */

static uint32_t place(uint64_t ref, uint32_t cap)
{
    return (uint32_t)(ref * 0x9e3779b97f4a7c15 >> 32) & (cap - 1);
}

static bool put(uint64_t *many, uint32_t cap, uint64_t ref)
{
    uint32_t i = place(ref, cap);
    while (many[i] && many[i] != ref)
        i = (i + 1) & (cap - 1);
    bool is_new = !many[i];
    many[i] = ref;
    return is_new;
}

static bool grow(struct tracking *t, struct tracked *k)
{
    uint32_t cap = k->cap ? 2 * k->cap : MANY_LEAST;
    uint64_t *many = calloc(cap, sizeof *many);
    if (!many)
        return false;
    for (uint32_t i = 0; i < k->cap; i++)
        if (k->ref.many[i])
            put(many, cap, k->ref.many[i]);
    if (!k->cap)
        put(many, cap, k->ref.only);
    else
        free(k->ref.many);
    t->bytes += (cap - k->cap) * sizeof *many;
    k->ref.many = many;
    k->cap = cap;
    return true;
}

/* False if out of memory. */
static bool add_ref(struct tracking *t, struct tracked *k, uint64_t ref)
{
    if (k->n == 0)
        k->ref.only = ref;
    else if (!k->cap && k->ref.only == ref)
        return true;
    else if (k->n + 1 > k->cap / 4 * 3 && !grow(t, k))
        return false;
    else if (!put(k->ref.many, k->cap, ref))
        return true;
    k->n++;
    t->items++;
    return true;
}

/* The i-th of its places; 0: it is free. */
static uint64_t ref_at(const struct tracked *k, uint32_t i)
{
    return k->cap ? k->ref.many[i] : k->ref.only;
}

static uint32_t places(const struct tracked *k)
{
    return k->cap ? k->cap : 1;
}

/* -- keys -- */

static uint64_t size_of(const struct tracked *k)
{
    return sizeof *k + k->len + 2 * sizeof(void *) + k->cap * sizeof *k->ref.many;
}

static struct slice name_of(const struct tracked *k)
{
    return (struct slice){k->name, k->len};
}

static struct tracked *find(const struct tracking *t, struct slice name, uint64_t hash)
{
    for (struct chain_node *n = chains_at(&t->keys, hash); n; n = n->next) {
        struct tracked *k = (struct tracked *)n;
        if (n->hash == hash && slice_eq(name_of(k), name))
            return k;
    }
    return NULL;
}

static struct tracked *make(struct tracking *t, struct slice name, uint64_t hash)
{
    struct tracked *k = name.len <= UINT32_MAX / 2 ? calloc(1, sizeof *k + name.len) : NULL;
    if (!k)
        return NULL;
    k->node.hash = hash;
    k->len = (uint32_t)name.len;
    if (name.len)
        memcpy(k->name, name.p, name.len);
    if (!chains_add(&t->keys, &k->node)) {
        free(k);
        return NULL;
    }
    t->bytes += size_of(k);
    return k;
}

static void key_free(struct tracked *k)
{
    if (k->cap)
        free(k->ref.many);
    free(k);
}

static void forget(struct tracking *t, struct tracked *k)
{
    t->bytes -= size_of(k);
    t->items -= k->n;
    chains_remove(&t->keys, &k->node);
    key_free(k);
}

/* Whoever has read it is to know, and it is not tracked any more. */
static void invalidate(struct tracking *t, struct tracked *k, uint64_t origin)
{
    struct tracking *writer = tracking_writer(t);
    uint32_t all = places(k), left = k->n;
    for (unsigned w = 0; left && w < t->common->workers; w++) {
        uint32_t n = 0;
        for (uint32_t i = 0; i < all; i++)
            n += ref_at(k, i) && (ref_at(k, i) & 0xff) == w;
        struct note *note = n ? note_add(writer, w, NOTE_KEY, n, name_of(k)) : NULL;
        left -= n;
        n = 0;
        for (uint32_t i = 0; note && i < all; i++)
            if (ref_at(k, i) && (ref_at(k, i) & 0xff) == w)
                note->id[n++] = ref_at(k, i) >> 8;
        if (note)
            note->origin = origin;
    }
    forget(t, k);
}

void tracking_changed(void *ctx, struct slice name, uint64_t hash, bool by_itself)
{
    struct tracking *t = ctx, *writer = tracking_writer(t);
    struct tracked *k = t->keys.n ? find(t, name, hash) : NULL;
    for (unsigned w = 0; w < t->common->workers; w++) {
        if (!prefix_any(t->common->of[w], name))
            continue;
        struct note *note = note_add(writer, w, NOTE_BCAST, 0, name);
        if (note)
            note->origin = by_itself ? 0 : writer->current;
    }
    if (k)
        invalidate(t, k, writer->current);
}

/* -- its bounds -- */

/* A worker's part of tracking-table-max-keys. */
static uint64_t keys_max(const struct tracking *t)
{
    uint64_t all = t->env->conf->tracking_table_max_keys;
    return all ? (all + t->common->workers - 1) / t->common->workers : UINT64_MAX;
}

/* As for what the clients of a worker hold: its part of a quarter of the memory for data. */
static uint64_t bytes_max(const struct tracking *t)
{
    uint64_t all = t->env->conf->maxmemory ? t->env->conf->maxmemory : keyspace_arena_size(t->env->ks);
    uint64_t part = all / 4 / t->common->workers;
    return part > BYTES_LEAST ? part : BYTES_LEAST;
}

static bool is_full(const struct tracking *t)
{
    return t->keys.n > keys_max(t) || t->bytes > bytes_max(t);
}

/* True if that was enough. */
static bool evict(struct tracking *t, unsigned keys)
{
    while (t->keys.n && is_full(t) && keys--)
        invalidate(t, (struct tracked *)chains_any(&t->keys, env_random(t->env)), 0);
    return !is_full(t);
}

/* -- reading -- */

/* Without memory the client is told at once that it must not keep it. */
static void remember(struct tracking *t, struct slice name, uint64_t hash, uint64_t ref)
{
    struct tracked *k = find(t, name, hash);
    if (!k)
        k = make(t, name, hash);
    if (k && add_ref(t, k, ref)) {
        evict(t, 2);
        return;
    }
    if (k && k->n == 0)
        forget(t, k);
    struct note *note = note_add(tracking_writer(t), ref & 0xff, NOTE_KEY, 1, name);
    if (note)
        note->id[0] = ref >> 8;
}

/* A script reads all keys that it declares, with the first one that it reads itself. */
void tracking_remember(const struct request *rq)
{
    const struct request *reader = rq->client->flags & CLIENT_SCRIPT ? rq->env->caller : rq;
    int few[POSITIONS], *position = few;
    if (!reader || rq->cmd->acl & ACL_SCRIPTING || reader->cmd->flags & CMD_PUBSUB ||
        !(reader->client->flags & CLIENT_TRACKS))
        return;
    struct keyspace *ks = rq->env->ks;
    struct tracking_common *common = rq->env->tracking->common;
    int n = command_keys(reader->cmd, reader->argc, reader->argv, few, POSITIONS);
    if (n > POSITIONS && (position = malloc((size_t)n * sizeof *position)))
        n = command_keys(reader->cmd, reader->argc, reader->argv, position, n);
    if (!position)
        atomic_store(&common->of[reader->client->worker]->lost, true);
    for (int i = 0; position && i < n; i++) {
        struct key k = keyspace_key(ks, reader->argv[position[i]]);
        unsigned shard = keyspace_shard_of(ks, k.name);
        /* A script may declare keys of other shards and not touch them. */
        if (shard == rq->env->self || common->runner || common->workers == 1)
            remember(common->of[shard], k.name, k.hash, tracking_ref(reader->client));
    }
    if (position != few)
        free(position);
}

/* -- all of them -- */

static bool free_flushed(struct tracking *t, unsigned keys)
{
    for (; t->flushed_at < t->flushed.buckets && keys; t->flushed_at++)
        for (struct chain_node *n = chains_bucket(&t->flushed, t->flushed_at), *next; n; n = next) {
            next = n->next;
            key_free((struct tracked *)n);
            keys -= keys > 0;
        }
    if (t->flushed_at < t->flushed.buckets)
        return false;
    chains_free(&t->flushed);
    t->flushed_at = 0;
    return true;
}

/* The table is freed in slices. */
static void empty(struct tracking *t)
{
    free_flushed(t, UINT32_MAX); /* the one before */
    t->flushed = t->keys;
    t->keys = (struct chains){0};
    t->items = t->bytes = 0;
}

void tracked_free_all(struct tracking *t)
{
    empty(t);
    free_flushed(t, UINT32_MAX);
}

void tracking_flushed(struct command_env *env)
{
    if (!env->tracking)
        return;
    struct tracking_common *common = env->tracking->common;
    for (unsigned w = 0; w < common->workers; w++) {
        if (atomic_load(&common->clients) && common->of[w]->first)
            note_add(env->tracking, w, NOTE_ALL, 0, (struct slice){0});
        empty(common->of[w]);
    }
}

/* Of clients that have all left: one that tracks again would still be told, for a while. */
static bool is_stale(struct tracking *t)
{
    enum { KEPT_MS = 60000 };
    if (atomic_load(&t->common->clients))
        t->unused_ms = 0;
    else if (!t->unused_ms)
        t->unused_ms = t->env->now_ms;
    return t->unused_ms && t->env->now_ms > t->unused_ms + KEPT_MS;
}

bool tracking_upkeep(struct tracking *t)
{
    if (is_stale(t))
        empty(t);
    bool enough = evict(t, UPKEEP_KEYS);
    bool freed = free_flushed(t, UPKEEP_KEYS);
    if (atomic_load_explicit(&t->lost, memory_order_relaxed) &&
        note_add(t, t->env->self, NOTE_ALL, 0, (struct slice){0}))
        atomic_store(&t->lost, false);
    return !enough || !freed || t->keys.n || atomic_load(&t->common->clients);
}

void tracking_totals(const struct command_env *env, uint64_t *keys, uint64_t *items, uint64_t *prefixes)
{
    const struct tracking_common *common = env->tracking->common;
    *keys = *items = *prefixes = 0;
    for (unsigned w = 0; w < common->workers; w++) {
        *keys += common->of[w]->keys.n;
        *items += common->of[w]->items;
        *prefixes += prefix_count(common, w);
    }
}

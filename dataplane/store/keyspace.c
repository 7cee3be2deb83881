/* keyspace.c: setting a keyspace up and taking it down, limits, and the accounts. */
#include "store/shard.h"
#include <stdio.h>
#include <stdlib.h>

static struct shard *shard_new(const struct keyspace *ks, unsigned number, struct counters *counters)
{
    struct shard *s = shard_place(ks, number);
    if (!s)
        return NULL;
    slab_init(&s->heap, ks->arena, ks->arena->shard_zone[number]);
    s->seed = ks->seed;
    s->random = (ks->seed ^ 0x9e3779b97f4a7c15u * (number + 1)) | 1;
    s->counters = counters;
    big_init(&s->big);
    return s;
}

static bool make_anew(struct keyspace *ks, const struct config *conf, const int *node, struct counters *const *counters,
                      const struct arena_files *files, char *error, size_t size)
{
    unsigned shards = conf->workers ? conf->workers : 1;
    ks->arena = arena_make(conf->arena_size, conf->hugepages, shards, node, files, error, size);
    if (!ks->arena)
        return false;
    for (; ks->shards < shards; ks->shards++) {
        ks->shard[ks->shards] = shard_new(ks, ks->shards, counters[ks->shards]);
        if (!ks->shard[ks->shards]) {
            snprintf(error, size, "no room for shard %u in the arena", ks->shards);
            return false;
        }
    }
    return true;
}

struct keyspace *keyspace_open(const struct config *conf, const int *node, uint64_t seed,
                               struct counters *const *counters, const struct arena_files *files,
                               bool wanted, struct keyspace_past *past, char *error, size_t size)
{
    struct keyspace *ks = calloc(1, sizeof *ks);
    unsigned shards = conf->workers ? conf->workers : 1;
    if (ks)
        ks->shard = calloc(shards, sizeof(struct shard *));
    if (!ks || !ks->shard) {
        snprintf(error, size, "no memory for the keyspace");
        keyspace_free(ks);
        return NULL;
    }
    ks->databases = conf->databases ? conf->databases : 1;
    ks->seed = seed;
    *past = (struct keyspace_past){0};
    past->taken = files && keyspace_adopt(ks, conf, counters, files, wanted, past);
    if (!past->taken && !make_anew(ks, conf, node, counters, files, error, size)) {
        keyspace_free(ks);
        return NULL;
    }
    for (unsigned i = 0; i < shards; i++)
        shard_configure(ks->shard[i], conf);
    return ks;
}

struct keyspace *keyspace_new(const struct config *conf, const int *node, uint64_t seed,
                              struct counters *const *counters, char *error, size_t size)
{
    struct keyspace_past past;
    return keyspace_open(conf, node, seed, counters, NULL, false, &past, error, size);
}

static void trash_free(const struct shard *s, struct trash *t)
{
    for (struct trash *next; t; t = next) {
        next = t->next;
        if (!arena_holds(s->heap.arena, t))
            free(t);
    }
}

static void shard_close(struct shard *s)
{
    snapshot_end(s);
    waits_free(&s->waits);
    pins_free(&s->pins);
    big_free(&s->big);
}

void keyspace_free(struct keyspace *ks)
{
    if (!ks)
        return;
    for (unsigned i = 0; i < ks->shards; i++) {
        struct shard *s = ks->shard[i];
        shard_close(s);
        trash_free(s, s->trash);
        trash_free(s, s->spare);
    }
    if (ks->arena)
        arena_free(ks->arena);
    free(ks->shard);
    free(ks);
}

void keyspace_leave(struct keyspace *ks)
{
    for (unsigned i = 0; i < ks->shards; i++)
        shard_close(ks->shard[i]);
    keyspace_seal(ks);
    for (unsigned i = 0; i < ks->shards; i++)
        trash_free(ks->shard[i], ks->shard[i]->spare);
    arena_free(ks->arena);
    free(ks->shard);
    free(ks);
}

bool keyspace_hugepages(const struct keyspace *ks)
{
    return ks->arena->hugepages;
}

uint64_t keyspace_arena_size(const struct keyspace *ks)
{
    return ks->arena->size;
}

void shard_configure(struct shard *s, const struct config *conf)
{
    unsigned shards = conf->workers ? conf->workers : 1;
    uint64_t capacity = arena_capacity(s->heap.arena);
    uint64_t limit = conf->maxmemory && conf->maxmemory < capacity ? conf->maxmemory : capacity;
    s->limit = s->limit_wanted = limit / shards;
    if (conf->maxmemory_policy != POLICY_NOEVICTION && s->heap.used > s->limit)
        s->limit = s->heap.used;
    if (s->policy != conf->maxmemory_policy || s->access.epochs == 0) {
        eviction_forget(s);
        s->policy = conf->maxmemory_policy;
        access_start(s);
    }
    s->samples = conf->maxmemory_samples < 1             ? 5
                 : conf->maxmemory_samples > SAMPLES_MAX ? SAMPLES_MAX
                                                         : conf->maxmemory_samples;
    s->lfu_log_factor = conf->lfu_log_factor;
    s->lfu_decay_time = conf->lfu_decay_time;
    s->limits = conf->limits;
}

void shard_set_time(struct shard *s, uint64_t now_ms)
{
    uint64_t before = s->now_ms;
    s->now_ms = now_ms;
    access_set_time(s, before);
}

struct waits *shard_waits(struct shard *s)
{
    return &s->waits;
}

void shard_swap_turn(struct shard *s, struct shard_turn *t)
{
    struct shard_turn now = {.turn = s->turn, .now_ms = s->now_ms, .guards = s->guards};
    memcpy(now.guard, s->guard, sizeof now.guard);
    s->turn = t->turn;
    s->now_ms = t->now_ms; /* the access clock goes on: it knows no way back */
    s->guards = t->guards;
    memcpy(s->guard, t->guard, sizeof t->guard);
    *t = now;
}

uint64_t shard_swap_time(struct shard *s, uint64_t now_ms)
{
    uint64_t was = s->now_ms;
    s->now_ms = now_ms;
    return was;
}

void shard_set_turn(struct shard *s, struct turn *turn)
{
    s->turn = turn;
}

struct pins *shard_pins(struct shard *s)
{
    return &s->pins;
}

uint64_t shard_changes(const struct shard *s)
{
    return s->dirty;
}

uint64_t shard_time(const struct shard *s)
{
    return s->now_ms;
}

void shard_account(const struct shard *s, struct store_account *out)
{
    *out = (struct store_account){.used = s->heap.used,
                                  .peak = s->peak,
                                  .reserved = s->heap.reserved,
                                  .limit = s->limit,
                                  .slab_free = s->heap.reserved - s->heap.used,
                                  .changes = s->dirty,
                                  .lazy = s->bodies_waiting};
    for (const struct trash *t = s->trash; t; t = t->next)
        out->lazy += t->db.index.keys;
    for (unsigned i = 0; i < s->databases; i++) {
        out->keys += s->db[i].index.keys;
        out->data += s->db[i].data;
    }
    out->overhead = out->used - out->data;
}

void shard_db_size(const struct shard *s, unsigned number, uint64_t *keys, uint64_t *expires,
                   uint64_t *avg_ttl_ms)
{
    const struct db *db = &s->db[number];
    *keys = db->index.keys;
    *expires = db->expires;
    uint64_t mean = db->expires ? db->expire_total / db->expires : 0;
    *avg_ttl_ms = mean > s->now_ms ? mean - s->now_ms : 0;
}

uint64_t keyspace_db_size(const struct keyspace *ks, unsigned number, uint64_t *expires)
{
    uint64_t keys = 0, mortal = 0;
    for (unsigned i = 0; i < ks->shards; i++) {
        uint64_t k, e, ttl;
        shard_db_size(ks->shard[i], number, &k, &e, &ttl);
        keys += k;
        mortal += e;
    }
    if (expires)
        *expires = mortal;
    return keys;
}

uint64_t shard_db_timed(const struct shard *s, unsigned number)
{
    return s->db[number].timed;
}

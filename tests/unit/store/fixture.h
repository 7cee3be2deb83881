/* fixture.h: a small keyspace for the store's tests. */
#pragma once
#include "store/shard.h"
#include "unit.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

struct fixture {
    struct config conf;
    struct counters counters[4], *list[4];
    struct keyspace *ks;
    struct shard *s; /* the first one */
    struct arena_files files; /* fixture_keep() */
};

enum { T0 = 1700000000 };

static inline void fixture_open(struct fixture *f, uint64_t arena, uint64_t maxmemory,
                                enum maxmemory_policy policy, unsigned shards)
{
    char error[256] = "";
    memset(f, 0, sizeof *f);
    f->conf = (struct config){.maxmemory = maxmemory,
                              .maxmemory_policy = policy,
                              .maxmemory_samples = 5,
                              .lfu_log_factor = 10,
                              .lfu_decay_time = 1,
                              .databases = 16,
                              .workers = shards,
                              .arena_size = arena,
                              .limits = {.hash_entries = 128,
                                         .hash_value = 64,
                                         .set_ints = 512,
                                         .set_entries = 128,
                                         .set_value = 64,
                                         .zset_entries = 128,
                                         .zset_value = 64,
                                         .list_size = -2,
                                         .stream_bytes = 4096,
                                         .stream_entries = 100}};
    for (unsigned i = 0; i < 4; i++)
        f->list[i] = &f->counters[i];
    f->ks = keyspace_new(&f->conf, NULL, 0x1234567890abcdef, f->list, error, sizeof error);
    if (!f->ks) {
        fprintf(stderr, "%s\n", error);
        abort();
    }
    f->s = f->ks->shard[0];
    for (unsigned i = 0; i < shards; i++)
        shard_set_time(f->ks->shard[i], T0 * 1000ull);
}

static inline void fixture_close(struct fixture *f)
{
    keyspace_free(f->ks);
    if (f->files.small > 0)
        close(f->files.small);
}

/* A fresh one in a file, and from then on one that was left and taken over. */
static inline void fixture_keep(struct fixture *f)
{
    f->files = (struct arena_files){-1, memfd_create("test", 0)};
    keyspace_free(f->ks);
    f->s = NULL;
    struct keyspace_past past;
    char error[256] = "";
    f->ks = keyspace_open(&f->conf, NULL, 0x1234567890abcdef, f->list, &f->files, true, &past, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->ks);
    CU_ASSERT_FALSE(past.taken);
    f->s = f->ks->shard[0];
    for (unsigned i = 0; i < f->ks->shards; i++)
        shard_set_time(f->ks->shard[i], T0 * 1000ull);
}

static inline void fixture_reopen(struct fixture *f)
{
    struct keyspace_past past;
    char error[256] = "";
    uint64_t now = shard_time(f->s);
    keyspace_leave(f->ks);
    f->ks = keyspace_open(&f->conf, NULL, 99, f->list, &f->files, true, &past, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(f->ks);
    CU_ASSERT_TRUE_FATAL(past.taken);
    f->s = f->ks->shard[0];
    for (unsigned i = 0; i < f->ks->shards; i++)
        shard_set_time(f->ks->shard[i], now);
}

static inline struct key key_of(struct fixture *f, const char *text)
{
    return keyspace_key(f->ks, slice_str(text));
}

static inline enum store_result set(struct fixture *f, unsigned db, const char *key, const char *value,
                                    uint64_t expire_at)
{
    struct key k = key_of(f, key);
    return store_set_string(f->s, db, &k, slice_str(value), expire_at, 0);
}

static inline struct entry *get(struct fixture *f, unsigned db, const char *key)
{
    struct key k = key_of(f, key);
    return store_find(f->s, db, &k, LOOK_READ);
}

static inline bool holds(struct fixture *f, unsigned db, const char *key, const char *value)
{
    char scratch[24];
    struct entry *e = get(f, db, key);
    return value ? e && slice_eq(entry_string(e, scratch), slice_str(value)) : !e;
}

static inline uint64_t used(const struct shard *s)
{
    struct store_account a;
    shard_account(s, &a);
    return a.used;
}

static inline uint64_t keys_in(const struct shard *s, unsigned db)
{
    uint64_t keys, expires, ttl;
    shard_db_size(s, db, &keys, &expires, &ttl);
    return keys;
}

static inline void upkeep_all(struct shard *s)
{
    while (shard_upkeep(s, 1000))
        ;
}

/* A deterministic stream of numbers. */
static inline uint64_t next_random(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = *state;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

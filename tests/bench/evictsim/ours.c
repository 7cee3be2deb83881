/* ours.c: our store as a party of the eviction simulation. */
#include "party.h"
#include "store/shard.h"
#include <stdlib.h>

struct ours {
    struct keyspace *ks;
    struct shard *s;
    struct counters counters;
    uint64_t rate, requests, limit;
};

enum { START_MS = 1700000000 };

static bool policy_by_name(const char *name, enum maxmemory_policy *out)
{
    static const struct {
        const char *name;
        enum maxmemory_policy policy;
    } names[] = {{"allkeys-lru", POLICY_ALLKEYS_LRU},         {"allkeys-lfu", POLICY_ALLKEYS_LFU},
                 {"allkeys-random", POLICY_ALLKEYS_RANDOM},   {"volatile-lru", POLICY_VOLATILE_LRU},
                 {"volatile-lfu", POLICY_VOLATILE_LFU},       {"volatile-ttl", POLICY_VOLATILE_TTL},
                 {"volatile-random", POLICY_VOLATILE_RANDOM}, {"noeviction", POLICY_NOEVICTION}};
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].policy;
            return true;
        }
    return false;
}

static struct key key_made(const struct ours *o, uint64_t key, uint8_t text[KEY_LEN])
{
    key_text(key, text);
    return keyspace_key(o->ks, (struct slice){text, KEY_LEN});
}

static bool ours_get(void *self, const uint64_t *key, unsigned n, bool *hit)
{
    struct ours *o = self;
    uint8_t text[KEY_LEN];
    o->requests += n;
    shard_set_time(o->s, START_MS * 1000ull + o->requests * 1000 / o->rate);
    shard_upkeep(o->s, 32);
    for (unsigned i = 0; i < n; i++) {
        struct key k = key_made(o, key[i], text);
        hit[i] = store_find(o->s, 0, &k, LOOK_READ) != NULL;
    }
    return true;
}

static bool ours_set(void *self, const uint64_t *key, unsigned n, uint64_t ttl_ms)
{
    struct ours *o = self;
    static const uint8_t value[VALUE_LEN];
    uint8_t text[KEY_LEN];
    bool ok = true;
    for (unsigned i = 0; i < n; i++) {
        struct key k = key_made(o, key[i], text);
        uint64_t ttl = ttl_of(key[i], ttl_ms);
        ok &= store_set_string(o->s, 0, &k, (struct slice){value, VALUE_LEN},
                               ttl ? shard_time(o->s) + ttl : 0, 0) == STORE_OK;
    }
    return ok && o->s->heap.used <= o->limit;
}

static bool ours_facts(void *self, uint64_t *keys, uint64_t *used, uint64_t *evicted)
{
    struct ours *o = self;
    struct store_account a;
    shard_account(o->s, &a);
    *keys = a.keys;
    *used = a.used;
    *evicted = o->counters.v[COUNTER_evicted_keys];
    return true;
}

static void ours_close(void *self)
{
    struct ours *o = self;
    keyspace_free(o->ks);
    free(o);
}

bool party_ours(struct party *p, const char *policy, uint64_t maxmemory, unsigned samples, uint64_t rate)
{
    struct ours *o = calloc(1, sizeof *o);
    struct config conf = {.databases = 16,
                          .workers = 1,
                          .arena_size = 2 * maxmemory + (16 << 20),
                          .maxmemory = maxmemory,
                          .maxmemory_samples = samples,
                          .lfu_log_factor = 10,
                          .lfu_decay_time = 1};
    char error[200];
    int node = -1;
    struct counters *list[] = {o ? &o->counters : NULL};
    if (o && policy_by_name(policy, &conf.maxmemory_policy))
        o->ks = keyspace_new(&conf, &node, 7, list, error, sizeof error);
    if (!o || !o->ks) {
        free(o);
        return false;
    }
    o->s = o->ks->shard[0];
    o->rate = rate;
    o->limit = maxmemory;
    shard_set_time(o->s, START_MS * 1000ull);
    *p = (struct party){o, ours_get, ours_set, ours_facts, ours_close};
    return true;
}

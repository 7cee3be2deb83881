/* eviction.c: the eight maxmemory policies (Redis: maxmemory-policy, maxmemory-samples, lfu-log-factor,
 * lfu-decay-time) and the access clock they read. */
#include "store/eviction.h"
#include "store/shard.h"

enum { LFU_INIT = 5, CLOCK_BITS = 24, SPARSE_TRIES = 32 };

/* -- the access clock -- */

static bool is_lfu(const struct shard *s)
{
    return s->policy == POLICY_ALLKEYS_LFU || s->policy == POLICY_VOLATILE_LFU;
}

static bool is_volatile(const struct shard *s)
{
    return s->policy >= POLICY_VOLATILE_LRU;
}

static uint32_t clock_read(const struct entry *e)
{
    uint32_t v = 0;
    memcpy(&v, e->clock, sizeof e->clock);
    return v;
}

static void clock_write(struct entry *e, uint32_t v)
{
    if (clock_read(e) != v) /* a read should not make the line dirty */
        memcpy(e->clock, &v, sizeof e->clock);
}

static uint32_t lru_now(const struct shard *s)
{
    return (uint32_t)(s->now_ms / 1000) & ((1u << CLOCK_BITS) - 1);
}

static uint32_t minutes_now(const struct shard *s)
{
    return (uint32_t)(s->now_ms / 60000) & 0xffff;
}

unsigned lfu_decayed(const struct shard *s, const struct entry *e)
{
    uint32_t v = clock_read(e), counter = v & 0xff;
    if (s->lfu_decay_time == 0)
        return counter;
    uint32_t periods = ((minutes_now(s) - (v >> 8)) & 0xffff) / s->lfu_decay_time;
    return periods > counter ? 0 : counter - periods;
}

/* Counts with a chance of 1 / ((counter - LFU_INIT) * factor + 1). */
static unsigned lfu_counted(struct shard *s, unsigned counter)
{
    if (counter == 255)
        return counter;
    uint64_t base = counter > LFU_INIT ? counter - LFU_INIT : 0;
    return counter + (shard_random(s) % (base * s->lfu_log_factor + 1) == 0);
}

void entry_touch(struct shard *s, struct entry *e)
{
    clock_write(e, is_lfu(s) ? minutes_now(s) << 8 | lfu_counted(s, lfu_decayed(s, e)) : lru_now(s));
}

void entry_new_clock(const struct shard *s, struct entry *e)
{
    clock_write(e, is_lfu(s) ? minutes_now(s) << 8 | LFU_INIT : lru_now(s));
}

uint64_t entry_idle_seconds(const struct shard *s, const struct entry *e)
{
    return (lru_now(s) - clock_read(e)) & ((1u << CLOCK_BITS) - 1);
}

unsigned entry_frequency(const struct shard *s, const struct entry *e)
{
    return lfu_decayed(s, e);
}

/* -- the pool -- */

static uint64_t score_of(struct shard *s, const struct entry *e)
{
    switch (s->policy) {
    case POLICY_ALLKEYS_LRU:
    case POLICY_VOLATILE_LRU:
        return entry_idle_seconds(s, e);
    case POLICY_ALLKEYS_LFU:
    case POLICY_VOLATILE_LFU:
        return 255 - lfu_decayed(s, e);
    case POLICY_VOLATILE_TTL:
        return UINT64_MAX - entry_expire_at(e);
    default:
        return shard_random(s);
    }
}

static void pool_offer(struct shard *s, unsigned db, struct entry *e)
{
    struct pool *pool = &s->pool;
    uint64_t score = score_of(s, e);
    if (pool->n == POOL_SIZE && score <= pool->best[0].score)
        return;
    for (unsigned i = 0; i < pool->n; i++)
        if (pool->best[i].e == e)
            return;
    if (pool->n == POOL_SIZE)
        memmove(pool->best, pool->best + 1, --pool->n * sizeof pool->best[0]);
    unsigned i = pool->n++;
    for (; i > 0 && pool->best[i - 1].score > score; i--)
        pool->best[i] = pool->best[i - 1];
    pool->best[i] =
        (struct candidate){.e = e, .hash = key_hash(entry_key(e), s->seed), .score = score, .db = db};
}

/* The random number of a sample whose entries have been prefetched while earlier ones were used. It finds what the
 * index holds now: nothing is remembered that may be gone. */
static uint64_t next_sample(struct shard *s, const struct db *db)
{
    struct pool *pool = &s->pool;
    uint64_t random = pool->next[0];
    pool->next[0] = pool->next[1];
    pool->next[1] = shard_random(s);
    index_sample_prefetch(s, &db->index, pool->next[1], false, s->samples);
    index_sample_prefetch(s, &db->index, pool->next[0], true, s->samples);
    return random;
}

/* Where keys with an expiry are rare, the wheel finds them and chance would not. */
static void sample_db(struct shard *s, unsigned number)
{
    struct db *db = &s->db[number];
    struct entry *found[SAMPLES_MAX];
    unsigned n = 0;
    bool sparse = is_volatile(s) && (db->expires * 4 < db->index.keys || s->policy == POLICY_VOLATILE_TTL);
    if (!sparse)
        n = index_sample(s, &db->index, next_sample(s, db), found, s->samples);
    else
        for (unsigned i = 0; i < s->samples; i++) {
            struct entry *e = wheel_sample(s, db, s->policy == POLICY_VOLATILE_TTL, shard_random(s));
            if (e)
                found[n++] = e;
        }
    for (unsigned i = 0; i < n; i++)
        if (!is_volatile(s) || entry_has_ttl(found[i]))
            pool_offer(s, number, found[i]);
}

static bool guarded(const struct shard *s, const struct entry *e)
{
    for (unsigned i = 0; i < s->guards; i++)
        if (entry_covers(e, s->guard[i]))
            return true;
    return false;
}

static bool evict(struct shard *s, unsigned number, uint64_t hash, struct entry *e)
{
    struct db *db = &s->db[number];
    struct place at;
    if (!index_find_entry(s, &db->index, hash, e, &at) || (is_volatile(s) && !entry_has_ttl(e)) || guarded(s, e))
        return false;
    db_remove(s, db, &at, e);
    count_one(s->counters, COUNTER_evicted_keys);
    return true;
}

static bool evict_from_pool(struct shard *s)
{
    while (s->pool.n > 0) {
        struct candidate c = s->pool.best[--s->pool.n];
        if (!evict(s, c.db, c.hash, c.e))
            continue;
        if (s->pool.n > 0) { /* the next victim's bucket and entry, for the next time */
            const struct candidate *next = &s->pool.best[s->pool.n - 1];
            index_prefetch_bucket(s, &s->db[next->db].index, next->hash);
            __builtin_prefetch(next->e);
        }
        return true;
    }
    return false;
}

/* -- the last resort -- */

struct search {
    struct shard *s;
    struct entry *found;
};

static void search_victim(struct entry *e, void *arg)
{
    struct search *search = arg;
    if (!search->found && (!is_volatile(search->s) || entry_has_ttl(e)) && !guarded(search->s, e))
        search->found = e;
}

/* Sampling found nothing: looks at everything, so that OOM is only answered when nothing can go. */
static bool evict_by_search(struct shard *s)
{
    for (unsigned number = 0; number < s->databases; number++) {
        struct db *db = &s->db[number];
        struct search search = {.s = s};
        uint64_t cursor = 0;
        if (is_volatile(s) && db->expires == 0)
            continue;
        do
            cursor = index_scan(s, &db->index, cursor, search_victim, &search);
        while (cursor && !search.found);
        if (search.found && evict(s, number, key_hash(entry_key(search.found), s->seed), search.found))
            return true;
    }
    return false;
}

bool evict_one(struct shard *s)
{
    if (s->policy == POLICY_NOEVICTION)
        return false;
    for (unsigned try = 0; try < SPARSE_TRIES; try++) {
        bool any = false;
        for (unsigned number = 0; number < s->databases; number++) {
            const struct db *db = &s->db[number];
            if (is_volatile(s) ? db->expires == 0 : db->index.keys == 0)
                continue;
            sample_db(s, number);
            any = true;
        }
        if (!any)
            return false;
        if (evict_from_pool(s))
            return true;
    }
    return evict_by_search(s);
}

/* eviction.c: the eight maxmemory policies (Redis: maxmemory-policy, maxmemory-samples, lfu-log-factor,
 * lfu-decay-time): samples and the pool of candidates. */
#include "store/eviction.h"
#include "store/index_layout.h"

enum { SPARSE_TRIES = 32, LOOK_EVERY = 64 };

static bool is_volatile(const struct shard *s)
{
    return s->policy >= POLICY_VOLATILE_LRU;
}

/* -- the pool -- */

/* The sooner a key expires, the higher. Times left that differ by less than a quarter of a power of two are
 * as good as equal: of those the key that is not used goes first. */
static uint64_t ttl_score(struct shard *s, struct entry *e)
{
    enum { SOONEST = 1 << 12, QUARTERS = 2 };
    uint64_t at = entry_expire_at(e), left = at > s->now_ms ? at - s->now_ms : 0, step = left;
    if (left >= 1 << QUARTERS) {
        unsigned shift = 63 - QUARTERS - (unsigned)__builtin_clzll(left);
        step = ((uint64_t)shift << QUARTERS) + (left >> shift);
    }
    return (SOONEST - step) << 32 | access_score(s, e);
}

static inline uint64_t score_of(struct shard *s, struct entry *e)
{
    switch (s->policy) {
    case POLICY_ALLKEYS_LRU:
    case POLICY_VOLATILE_LRU:
    case POLICY_ALLKEYS_LFU:
    case POLICY_VOLATILE_LFU:
        return access_score(s, e);
    case POLICY_VOLATILE_TTL:
        return ttl_score(s, e);
    default:
        return shard_random(s);
    }
}

/* Among equals the one that has waited goes first: its bucket and entry have been prefetched. */
static __attribute__((noinline)) void pool_insert(struct pool *pool, struct entry *e, uint64_t hash, uint64_t score,
                                                  unsigned db)
{
    unsigned at = 0;
    for (unsigned i = 0; i < pool->n; i++) {
        if (pool->best[i].e == e)
            return;
        at += pool->best[i].score < score;
    }
    if (pool->n == POOL_SIZE)
        memmove(pool->best, pool->best + 1, --at * sizeof pool->best[0]);
    else
        memmove(pool->best + at + 1, pool->best + at, (pool->n++ - at) * sizeof pool->best[0]);
    pool->best[at] = (struct candidate){.e = e, .hash = hash, .score = score, .db = db};
}

static inline bool pool_wants(const struct pool *pool, uint64_t score)
{
    return pool->n < POOL_SIZE || score > pool->best[0].score;
}

static inline void pool_offer(struct shard *s, unsigned db, const struct sampled *found)
{
    uint64_t score = score_of(s, found->e);
    if (pool_wants(&s->pool, score))
        pool_insert(&s->pool, found->e, found->hash, score, db);
}

/* The random number of a sample whose entries have been prefetched while earlier ones were used. It finds
 * what the index holds now: nothing is remembered that may be gone. */
static uint64_t next_sample(struct shard *s, const struct db *db)
{
    struct pool *pool = &s->pool;
    uint64_t random = pool->next[0];
    pool->next[0] = pool->next[1];
    pool->next[1] = shard_random(s);
    index_sample_prefetch(s, &db->index, pool->next[1], false);
    index_sample_prefetch(s, &db->index, pool->next[0], true);
    return random;
}

static unsigned sample_wheel(struct shard *s, struct db *db, struct sampled *found)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->samples && i < BUCKET_SLOTS; i++) {
        struct entry *e = expiry_sample(s, db, s->policy == POLICY_VOLATILE_TTL, shard_random(s));
        if (e)
            found[n++] = (struct sampled){e, key_hash(entry_key(e), s->seed)};
    }
    return n;
}

static unsigned offer_all(struct shard *s, unsigned number, const struct sampled *found, unsigned n)
{
    unsigned offered = 0;
    for (unsigned i = 0; i < n; i++)
        if (!is_volatile(s) || entry_has_ttl(found[i].e)) {
            pool_offer(s, number, &found[i]);
            offered++;
        }
    return offered;
}

/* Policies that go by idle time read nothing of an entry but its first word. Returns how many keys that may go were seen. */
static unsigned offer_idle(struct shard *s, unsigned number, uint64_t random)
{
    struct pool *pool = &s->pool;
    const uint32_t asked = is_volatile(s) ? ENTRY_TTL : 0;
    uint8_t *const base = s->heap.arena->base;
    uint32_t segment;
    unsigned offered = 0;
    const struct bucket *b = index_sample_at(s, &s->db[number].index, random, &segment);
    for (unsigned full = bucket_empty(b) ^ 0xff; full; full &= full - 1) {
        unsigned i = (unsigned)__builtin_ctz(full);
        struct entry *e = entry_at(base, b, i);
        uint32_t word = bytes_load4((const uint8_t *)e), score = access_idle_score(s, word >> 8);
        if ((word & asked) != asked)
            continue;
        offered++;
        if (pool_wants(pool, score))
            pool_insert(pool, e, slot_hash(b, i, segment), score, number);
    }
    return offered;
}

static unsigned sample_bucket(struct shard *s, unsigned number)
{
    const struct db *db = &s->db[number];
    uint64_t random = next_sample(s, db);
    struct sampled found[BUCKET_SLOTS];
    if (s->policy == POLICY_ALLKEYS_LRU || s->policy == POLICY_VOLATILE_LRU) {
        unsigned seen = offer_idle(s, number, random);
        if (seen)
            return seen;
    }
    return offer_all(s, number, found, index_sample_bucket(s, &db->index, random, found));
}

/* Where keys with an expiry are rare, the wheel finds them and chance would not. It also knows the soonest,
 * but only to the slot: within a slot chance does better. Returns how many keys that may go were seen. */
static unsigned sample_db(struct shard *s, unsigned number)
{
    struct db *db = &s->db[number];
    struct sampled found[BUCKET_SLOTS];
    unsigned seen = 0;
    bool rare = is_volatile(s) && db->expires * 4 < db->index.keys;
    if (rare || s->policy == POLICY_VOLATILE_TTL)
        seen = offer_all(s, number, found, sample_wheel(s, db, found));
    return rare ? seen : sample_bucket(s, number);
}

bool entry_guarded(const struct shard *s, const struct entry *e)
{
    if (e->head & ENTRY_HELD)
        return true;
    for (unsigned i = 0; i < s->guards; i++)
        if (entry_covers(e, s->guard[i]))
            return true;
    return false;
}

static inline bool is_reusable(const struct entry *e, const struct reuse *reuse)
{
    return reuse && slab_size(entry_size(e)) == reuse->bytes && !entry_is_apart(e) && !entry_is_body(e);
}

static bool evict(struct shard *s, unsigned number, uint64_t hash, struct entry *e, struct reuse *reuse)
{
    struct db *db = &s->db[number];
    struct place at;
    if (!index_find_entry(s, &db->index, hash, e, &at) || (is_volatile(s) && !entry_has_ttl(e)) ||
        entry_guarded(s, e) || entry_pinned(s, e))
        return false;
    if (__builtin_expect(s->waits.nodes != 0, 0))
        waits_tell(&s->waits, EVENT_EVICTED, number, entry_key(e));
    db_take_out(s, db, &at, e);
    if (is_reusable(e, reuse))
        reuse->e = e;
    else
        entry_free(s, e);
    count_one(s->counters, COUNTER_evicted_keys);
    access_evicted(s);
    return true;
}

static bool evict_from_pool(struct shard *s, struct reuse *reuse)
{
    while (s->pool.n > 0) {
        struct candidate c = s->pool.best[--s->pool.n];
        if (!evict(s, c.db, c.hash, c.e, reuse))
            continue;
        if (s->pool.n > 0) { /* the next victim's bucket and entry, for the next time */
            const struct candidate *next = &s->pool.best[s->pool.n - 1];
            index_prefetch_removal(s, &s->db[next->db].index, next->hash);
            __builtin_prefetch(next->e, 1);
            __builtin_prefetch((const uint8_t *)next->e + 64, 1); /* the next key is often written there */
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
    if (!search->found && (!is_volatile(search->s) || entry_has_ttl(e)) && !entry_guarded(search->s, e) &&
        !entry_pinned(search->s, e))
        search->found = e;
}

/* Sampling found nothing: looks at everything, so that OOM is only answered when nothing can go. */
static bool evict_by_search(struct shard *s, struct reuse *reuse)
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
        if (search.found && evict(s, number, key_hash(entry_key(search.found), s->seed), search.found, reuse))
            return true;
    }
    return false;
}

static bool db_has_victims(const struct shard *s, const struct db *db)
{
    return is_volatile(s) ? db->expires > 0 : db->index.keys > 0;
}

/* One sample of every database that has something to give, as Redis does. The mean number of candidates in
 * *seen. False if there was no such database. */
static bool sample_round(struct shard *s, unsigned *seen)
{
    unsigned sampled = 0, total = 0;
    for (unsigned number = 0; number < s->pool.databases; number++)
        if (db_has_victims(s, &s->db[number])) {
            total += sample_db(s, number);
            sampled++;
        }
    *seen += sampled ? total / sampled : 0;
    return sampled > 0;
}

/* Most of the databases are never used. */
static void look_for_databases(struct shard *s)
{
    s->pool.databases = s->databases;
    while (s->pool.databases > 0 && !db_has_victims(s, &s->db[s->pool.databases - 1]))
        s->pool.databases--;
    s->pool.until_look = LOOK_EVERY;
}

/* Candidates to be seen anew for each eviction: half of maxmemory-samples, for the pool holds the best of
 * those before. Each costs a cache line from memory; the whole number gains 0.1 to 0.3 % of hit ratio
 * (tests/bench/eviction). By time to live a key is
 * never worth more than it was: there the whole number counts. What a bucket held beyond that is good for the
 * next eviction as well. */
static unsigned fresh_samples(const struct shard *s)
{
    return s->policy == POLICY_VOLATILE_TTL ? s->samples : (s->samples + 1) / 2;
}

bool evict_one(struct shard *s, struct reuse *reuse)
{
    struct pool *pool = &s->pool;
    unsigned fresh = fresh_samples(s);
    if (s->policy == POLICY_NOEVICTION)
        return false;
    if (pool->until_look-- == 0)
        look_for_databases(s);
    for (unsigned try = 0; try < SPARSE_TRIES; try++) {
        if (pool->seen < fresh || pool->n == 0) {
            if (!sample_round(s, &pool->seen)) {
                look_for_databases(s);
                if (pool->databases == 0)
                    return false;
            }
            if (pool->seen < fresh)
                continue;
        }
        pool->seen -= fresh;
        if (evict_from_pool(s, reuse))
            return true;
    }
    return evict_from_pool(s, reuse) || evict_by_search(s, reuse);
}

/* eviction.c: the eight maxmemory policies (Redis: maxmemory-policy, maxmemory-samples, lfu-log-factor,
 * lfu-decay-time): what a sweep sees, how it is ranked, and the victims that it finds. */
#include "store/eviction.h"
#include "store/ahead_steps.h"

enum { SPARSE_TRIES = 32, LOOK_EVERY = 8, PLACE_BITS = 8 /* of a key among those that a sweep has seen */ };

bool evicts_volatile(const struct shard *s)
{
    return s->policy >= POLICY_VOLATILE_LRU;
}

/* -- scores -- */

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
        return access_idle_score(s, stamp_read(e));
    case POLICY_ALLKEYS_LFU:
    case POLICY_VOLATILE_LFU:
        return access_score(s, e);
    case POLICY_VOLATILE_TTL:
        return ttl_score(s, e);
    default:
        return shard_random(s) >> PLACE_BITS;
    }
}

/* -- a sweep -- */

/* What a sweep chooses from: keys that may go, and their scores (the bits above the eighth) with their places. */
struct sweep {
    struct swept *seen;
    unsigned scored;
    uint64_t ranked[SEEN_ROOM];
};

static bool goes_by_idle(const struct shard *s)
{
    return s->policy == POLICY_ALLKEYS_LRU || s->policy == POLICY_VOLATILE_LRU;
}

/* Policies that go by idle time read nothing of an entry but its first word. Whoever is above the bar comes first, the others behind
 * them; how many are above. Without a branch that depends on what is compared, which would be guessed wrong every other time. */
static unsigned rank_idle(const struct shard *s, struct sweep *w)
{
    const uint32_t asked = evicts_volatile(s) ? ENTRY_TTL : 0;
    const uint64_t bar = s->pool.bar;
    const struct swept *seen = w->seen;
    uint64_t below[SEEN_ROOM];
    unsigned n = 0, m = 0;
    for (unsigned i = 0; i < seen->n; i++) {
        uint32_t word = bytes_load4((const uint8_t *)seen->found[i].e);
        uint64_t ranked = (uint64_t)access_idle_score(s, word >> 8) << PLACE_BITS | i;
        bool may = (word & asked) == asked, above = ranked > bar;
        w->ranked[n] = below[m] = ranked;
        n += may & above;
        m += may & !above;
    }
    memcpy(w->ranked + n, below, m * sizeof below[0]);
    w->scored = n + m;
    return n;
}

/* How many of the first are above the bar, and all others are not; 0 where nobody asks. */
static unsigned rank(struct shard *s, struct sweep *w)
{
    const struct swept *seen = w->seen;
    if (goes_by_idle(s))
        return rank_idle(s, w);
    for (unsigned i = 0; i < seen->n; i++)
        if (!evicts_volatile(s) || entry_has_ttl(seen->found[i].e))
            w->ranked[w->scored++] = score_of(s, seen->found[i].e) << PLACE_BITS | i;
    return 0;
}

/* Brings the highest `best` of n, all of them different, to the front, in no order (Hoare 1961). Parted without a branch that
 * depends on what is compared, which would be guessed wrong every other time. */
static void select_best(uint64_t *v, unsigned n, unsigned best)
{
    unsigned from = 0, end = n;
    while (best > from && best < end) {
        const unsigned last = end - 1, middle = (from + end) / 2;
        const uint64_t pivot = v[middle];
        unsigned higher = from;
        v[middle] = v[last];
        for (unsigned i = from; i < last; i++) {
            const uint64_t x = v[i];
            v[i] = v[higher];
            v[higher] = x;
            higher += x > pivot;
        }
        v[last] = v[higher];
        v[higher] = pivot;
        if (best <= higher)
            end = higher;
        else
            from = higher + 1;
    }
}

/* By rising score: where few keys are seen, all of which may not be wanted for long. */
static void sort_few(uint64_t *v, unsigned n)
{
    for (unsigned i = 1; i < n; i++) {
        uint64_t x = v[i];
        unsigned at = i;
        for (; at > 0 && v[at - 1] > x; at--)
            v[at] = v[at - 1];
        v[at] = x;
    }
}

enum { FEW = 6, BAR_STEP = 6 /* it goes up or down by a 64th */ };

/* The best n of what was seen, or as many as are above the bar if these are nearly so many: it is where the best n of the sweeps before
 * began, so that those who go are the best of all and not of forty. How many are chosen. */
static unsigned choose_best(struct pool *pool, struct sweep *w, unsigned n, unsigned above)
{
    if (n > FEW && above <= n + n / 4 && above >= n - n / 4) {
        pool->bar += (above > n ? 1 : -1) * (int64_t)(pool->bar >> BAR_STEP);
        return above;
    }
    select_best(w->ranked, w->scored, n);
    pool->bar = UINT64_MAX;
    for (unsigned i = 0; i < n; i++)
        pool->bar = w->ranked[i] < pool->bar ? w->ranked[i] : pool->bar;
    if (n <= FEW)
        sort_few(w->ranked, n);
    return n;
}

/* Those who go, two of `for_two` keys, and where the next keys will often be written is asked for. */
static void choose(struct shard *s, struct sweep *w, unsigned for_two, unsigned above)
{
    struct pool *pool = &s->pool;
    unsigned n = (w->scored * 2 + for_two - 1) / for_two;
    n = n < w->scored ? n : w->scored;
    pool->n = choose_best(pool, w, n < VICTIMS ? n : VICTIMS, above);
    for (unsigned i = 0; i < pool->n; i++) {
        unsigned place = w->ranked[i] & ((1u << PLACE_BITS) - 1);
        const struct sampled *found = &w->seen->found[place];
        __builtin_prefetch((const uint8_t *)found->e + 64, 1);
        pool->next[i] = (struct victim){*found, w->ranked[i] >> PLACE_BITS, w->seen->db[place]};
    }
}

static void see(struct shard *s, struct swept *w, struct entry *e, unsigned number)
{
    for (unsigned i = 0; i < w->n; i++)
        if (w->found[i].e == e)
            return;
    if (index_see(s, &s->db[number].index, e, &w->found[w->n]))
        w->db[w->n++] = (uint16_t)number;
}

/* Some keys that the wheel knows, each once: those that expire soonest, or any. */
static void sweep_wheel(struct shard *s, unsigned number, unsigned want, struct swept *w)
{
    bool soonest = s->policy == POLICY_VOLATILE_TTL;
    for (; want > 0 && w->n < SEEN_MOST; want--) {
        struct entry *e = expiry_sample(s, &s->db[number], soonest, shard_random(s));
        if (e)
            see(s, w, e, number);
    }
}

/* Where keys with an expiry are rare, the wheel finds them and chance would not. */
static void sweep_db(struct shard *s, unsigned number, unsigned want, struct swept *w)
{
    struct db *db = &s->db[number];
    bool rare = db->expires * 4 < db->index.keys;
    if (evicts_volatile(s) && rare && (!db->expires || expiry_knows_all(db))) {
        sweep_wheel(s, number, want, w);
        return;
    }
    uint64_t all = evicts_volatile(s) ? want * db->index.keys / db->expires : want;
    const unsigned room = SEEN_MOST - w->n;
    unsigned found = index_sweep(s, &db->index, &db->hand, all < room ? (unsigned)all : room, &w->found[w->n]);
    for (unsigned i = 0; i < found; i++)
        w->db[w->n + i] = (uint16_t)number;
    w->n += found;
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

/* Was it used, or its time put off, since it was chosen? */
static bool is_spared(struct shard *s, const struct victim *v)
{
    bool random = s->policy == POLICY_ALLKEYS_RANDOM || s->policy == POLICY_VOLATILE_RANDOM;
    return !random && score_of(s, v->seen.e) < v->score;
}

static bool evict(struct shard *s, const struct victim *v, struct reuse *reuse)
{
    struct db *db = &s->db[v->db];
    struct entry *e = v->seen.e;
    struct place at;
    if (!index_find_seen(s, &db->index, &v->seen, &at) || (evicts_volatile(s) && !entry_has_ttl(e)) || is_spared(s, v) ||
        entry_guarded(s, e) || entry_pinned(s, e))
        return false;
    if (__builtin_expect(s->waits.nodes != 0, 0))
        waits_tell(&s->waits, EVENT_EVICTED, v->db, entry_key(e));
    db_take_out(s, db, &at, e);
    if (is_reusable(e, reuse))
        reuse->e = e;
    else
        entry_free(s, e);
    count_one(s->counters, COUNTER_evicted_keys);
    access_evicted(s);
    return true;
}

/* Is it a short string that nobody holds? By its first word, as usual_text() looks at it, but for who is held. */
static inline bool is_short_text(uint64_t word)
{
    return !(((word & (0xff & ~ENTRY_TTL)) - USUAL_KIND) & ~(uint64_t)USUAL_KIND) && (word >> 32 & 0xff) != ENTRY_LONG && (word >> 40 & 0xff) != ENTRY_LONG;
}

struct entry *evict_alike(struct shard *s, uint64_t bytes)
{
    struct pool *pool = &s->pool;
    if (pool->n == 0 || s->policy != POLICY_ALLKEYS_LRU || (s->waits.nodes | s->pins.held | s->guards))
        return NULL;
    const struct victim *v = &pool->next[pool->n - 1];
    struct db *db = &s->db[v->db];
    struct entry *e = v->seen.e;
    struct place at;
    if (!index_find_seen(s, &db->index, &v->seen, &at))
        return NULL;
    const uint64_t word = bytes_load8((const uint8_t *)e), user_bytes = (word >> 32 & 0xff) + (word >> 40 & 0xff);
    const uint64_t size = ENTRY_HEADER + (word & ENTRY_TTL ? ENTRY_EXPIRY : 0) + user_bytes;
    if (!is_short_text(word) || slab_size(size) != bytes || access_idle_score(s, (uint32_t)word >> 8) < v->score)
        return NULL;
    if (word & ENTRY_TTL) {
        db->expires--;
        db->expire_total -= entry_expiry(e->more);
    }
    db->data -= user_bytes;
    pool->n--;
    s->dirty++;
    index_remove(s, &db->index, &at);
    shard_entry_freed(s);
    count_one(s->counters, COUNTER_evicted_keys);
    access_evicted(s);
    return e;
}

static bool evict_from_pool(struct shard *s, struct reuse *reuse)
{
    while (s->pool.n > 0)
        if (evict(s, &s->pool.next[--s->pool.n], reuse))
            return true;
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
    if (!search->found && (!evicts_volatile(search->s) || entry_has_ttl(e)) && !entry_guarded(search->s, e) &&
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
        if (evicts_volatile(s) && db->expires == 0)
            continue;
        do
            cursor = index_scan(s, &db->index, cursor, search_victim, &search);
        while (cursor && !search.found);
        struct victim found = {.db = number};
        if (search.found && index_see(s, &db->index, search.found, &found.seen) && evict(s, &found, reuse))
            return true;
    }
    return false;
}

/* Keys of a database that may go. */
static uint64_t mortals_of(const struct shard *s, const struct db *db)
{
    return evicts_volatile(s) ? db->expires : db->index.keys;
}

/* Most of the databases are never used. */
static void look_for_databases(struct shard *s)
{
    s->pool.databases = s->databases;
    while (s->pool.databases > 0 && mortals_of(s, &s->db[s->pool.databases - 1]) == 0)
        s->pool.databases--;
    s->pool.until_look = LOOK_EVERY;
}

/* Keys to be seen for two that go: as many as maxmemory-samples, for the hand sees each key once in a round, where of as
 * many seen by chance some come again and others not for long. By time to live a key is never worth more than it was:
 * there it is twice the number. */
static unsigned seen_for_two(const struct shard *s)
{
    return s->policy == POLICY_VOLATILE_TTL ? 2 * s->samples : s->samples;
}

/* Sees as much of each database as it has of all keys that may go, `want` in all. */
static void see_all(struct shard *s, unsigned want, uint64_t all, struct swept *seen)
{
    seen->n = 0;
    for (unsigned number = 0; number < s->pool.databases && seen->n < SEEN_MOST; number++) {
        struct db *db = &s->db[number];
        uint64_t mortals = mortals_of(s, db), share = want;
        if (mortals < all) /* what is left of the division goes by chance */
            share = (mortals * want + (shard_random(s) >> 32) % all) / all;
        if (share)
            sweep_db(s, number, (unsigned)(share < mortals ? share : mortals), seen);
    }
}

/* Chooses victims. False if there are none. By idle time of what was seen the last time, whose first lines have come in
 * meanwhile; the other policies read more than a word, which is to be a key's. */
static bool sweep_all(struct shard *s)
{
    const unsigned for_two = seen_for_two(s), all_seen = for_two * VICTIMS / 2;
    const unsigned want = all_seen < SEEN_MOST ? all_seen : SEEN_MOST;
    struct sweep w;
    w.seen = &s->pool.seen;
    w.scored = 0;
    uint64_t all = 0;
    for (unsigned number = 0; number < s->pool.databases; number++)
        all += mortals_of(s, &s->db[number]);
    if (all == 0)
        return false;
    if (!goes_by_idle(s) || w.seen->n == 0)
        see_all(s, want, all, w.seen);
    choose(s, &w, for_two, rank(s, &w));
    if (goes_by_idle(s))
        see_all(s, want, all, w.seen);
    for (unsigned number = 0; number < s->pool.databases; number++)
        if (s->db[number].index.keys)
            index_sweep_prefetch(s, &s->db[number].index, s->db[number].hand, want);
    return true;
}

void eviction_forget(struct shard *s)
{
    s->pool.n = s->pool.seen.n = 0;
}

bool evict_one(struct shard *s, struct reuse *reuse)
{
    if (s->policy == POLICY_NOEVICTION)
        return false;
    for (unsigned try = 0; try < SPARSE_TRIES; try++) {
        if (evict_from_pool(s, reuse))
            return true;
        if (s->pool.until_look-- == 0)
            look_for_databases(s);
        if (!sweep_all(s)) {
            look_for_databases(s);
            if (s->pool.databases == 0)
                return false;
        }
    }
    return evict_from_pool(s, reuse) || evict_by_search(s, reuse);
}

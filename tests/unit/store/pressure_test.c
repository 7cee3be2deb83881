/* pressure_test.c: random operations at full memory under all eight policies. The limit is never passed; no
 * key is lost that the policy must spare; each key that was made is there, deleted, evicted or expired, and
 * the counters say so exactly; OOM is answered when, and only when, nothing can go. */
#include "fixture.h"

enum { KEYS = 4000, STEPS = 60000, LIMIT = 400000, DATABASES = 2 };

/* The last thing done to a key; an evicted one may be gone. */
struct cell {
    bool there;
    uint64_t expire_at;
    unsigned len;
    char first;
};

struct run {
    struct fixture f;
    struct shard *s;
    enum maxmemory_policy policy;
    uint64_t random, made, deleted, oom;
    struct cell cell[DATABASES][KEYS];
};

static bool is_volatile(enum maxmemory_policy p)
{
    return p >= POLICY_VOLATILE_LRU;
}

static struct key name(struct run *r, unsigned id, char text[32])
{
    snprintf(text, 32, "key:%u", id);
    return key_of(&r->f, text);
}

static struct entry *look(struct run *r, unsigned db, const struct key *k)
{
    return store_find(r->s, db, k, LOOK_NOTOUCH | LOOK_NOSTAT);
}

static uint64_t volatile_keys(const struct run *r)
{
    uint64_t sum = 0;
    for (unsigned db = 0; db < DATABASES; db++)
        sum += r->s->db[db].expires;
    return sum;
}

/* Either what was last stored, or gone by right. */
static void check(struct run *r, unsigned db, unsigned id)
{
    char text[32], scratch[24];
    struct key k = name(r, id, text);
    struct cell *c = &r->cell[db][id];
    struct entry *e = look(r, db, &k);
    if (e) {
        struct slice v = entry_string(e, scratch);
        CU_ASSERT_TRUE_FATAL(c->there && v.len == c->len && (v.len == 0 || (char)v.p[0] == c->first));
        CU_ASSERT_EQUAL_FATAL(entry_expire_at(e), c->expire_at);
        return;
    }
    bool expired = c->expire_at && c->expire_at <= shard_time(r->s);
    bool may_be_evicted = r->policy != POLICY_NOEVICTION && (!is_volatile(r->policy) || c->expire_at);
    CU_ASSERT_TRUE_FATAL(!c->there || expired || may_be_evicted);
    c->there = false;
}

/* `spared`: a key that the operation itself reads may be the only volatile one. */
static void check_oom(struct run *r, enum store_result result, bool spared)
{
    CU_ASSERT_TRUE_FATAL(r->s->heap.used <= LIMIT);
    if (result == STORE_OK)
        return;
    r->oom++;
    CU_ASSERT_TRUE_FATAL(r->policy == POLICY_NOEVICTION || is_volatile(r->policy));
    if (is_volatile(r->policy))
        CU_ASSERT_TRUE_FATAL(volatile_keys(r) <= spared);
}

static void do_set(struct run *r, unsigned db, unsigned id, uint64_t ttl)
{
    static char bytes[2000];
    char text[32];
    struct key k = name(r, id, text);
    struct cell *c = &r->cell[db][id];
    unsigned len = (unsigned)(next_random(&r->random) % (next_random(&r->random) % 16 ? 120 : sizeof bytes));
    bool was = look(r, db, &k) != NULL;
    memset(bytes, 'a' + (int)(next_random(&r->random) % 26), len);
    uint64_t expire_at = ttl ? shard_time(r->s) + ttl : 0;
    enum store_result result =
        store_set_string(r->s, db, &k, (struct slice){(uint8_t *)bytes, len}, expire_at, 0);
    check_oom(r, result, was);
    if (result == STORE_OK) {
        r->made += !was;
        *c = (struct cell){true, expire_at, len, bytes[0]};
    }
}

static void do_delete(struct run *r, unsigned db, unsigned id)
{
    char text[32];
    struct key k = name(r, id, text);
    if (store_delete(r->s, db, &k)) {
        r->deleted++;
        r->cell[db][id].there = false;
    }
}

static void do_expire(struct run *r, unsigned db, unsigned id, uint64_t ttl)
{
    char text[32];
    struct key k = name(r, id, text);
    if (!look(r, db, &k))
        return;
    uint64_t expire_at = ttl ? shard_time(r->s) + ttl : 0;
    enum store_result result = store_set_expire(r->s, db, &k, expire_at);
    check_oom(r, result, true);
    if (result == STORE_OK)
        r->cell[db][id].expire_at = expire_at;
}

static void do_grow(struct run *r, unsigned db, unsigned id)
{
    char text[32];
    uint8_t *bytes;
    struct key k = name(r, id, text);
    struct entry *e = look(r, db, &k);
    struct cell *c = &r->cell[db][id];
    if (!e || c->len == 0 || c->len > 3000)
        return;
    enum store_result result = store_string_grow(r->s, db, &k, c->len + 50, &bytes);
    check_oom(r, result, true);
    c->len += result == STORE_OK ? 50 : 0;
}

static void step(struct run *r, unsigned i, bool with_expiry)
{
    unsigned db = (unsigned)(next_random(&r->random) % 8 == 0),
             id = (unsigned)(next_random(&r->random) % KEYS);
    unsigned what = (unsigned)(next_random(&r->random) % 16);
    uint64_t ttl = with_expiry && next_random(&r->random) % 2 ? 1 + next_random(&r->random) % 60000 : 0;
    if (what < 9)
        do_set(r, db, id, ttl);
    else if (what == 9)
        do_delete(r, db, id);
    else if (what == 10)
        do_expire(r, db, id, ttl);
    else if (what == 11)
        do_grow(r, db, id);
    check(r, db, id);
    if (i % 4 == 0) {
        shard_set_time(r->s, shard_time(r->s) + next_random(&r->random) % 20);
        shard_upkeep(r->s, 4);
    }
    CU_ASSERT_TRUE_FATAL(r->s->heap.used <= LIMIT);
}

static void check_counters(struct run *r)
{
    const uint64_t *v = r->f.counters[0].v;
    for (unsigned db = 0; db < DATABASES; db++)
        for (unsigned id = 0; id < KEYS; id++)
            check(r, db, id);
    uint64_t held = keys_in(r->s, 0) + keys_in(r->s, 1);
    CU_ASSERT_EQUAL(r->made, held + r->deleted + v[COUNTER_evicted_keys] + v[COUNTER_expired_keys]);
}

static void play(enum maxmemory_policy policy, bool with_expiry)
{
    static struct run r;
    r = (struct run){.policy = policy, .random = policy + 1};
    fixture_open(&r.f, 16 << 20, LIMIT, policy, 1);
    r.s = r.f.s;
    for (unsigned i = 0; i < STEPS; i++)
        step(&r, i, with_expiry);
    check_counters(&r);
    uint64_t evicted = r.f.counters[0].v[COUNTER_evicted_keys];
    bool can_evict = policy != POLICY_NOEVICTION && (!is_volatile(policy) || with_expiry);
    CU_ASSERT_TRUE(can_evict ? evicted > 100 : evicted == 0 && r.oom > 100);
    CU_ASSERT_TRUE((r.f.counters[0].v[COUNTER_expired_keys] > 0) == with_expiry);
    fixture_close(&r.f);
}

static const enum maxmemory_policy policies[] = {
    POLICY_NOEVICTION,   POLICY_ALLKEYS_LRU,  POLICY_ALLKEYS_LFU,     POLICY_ALLKEYS_RANDOM,
    POLICY_VOLATILE_LRU, POLICY_VOLATILE_LFU, POLICY_VOLATILE_RANDOM, POLICY_VOLATILE_TTL};

static void test_with_expiry(void)
{
    for (unsigned p = 0; p < sizeof policies / sizeof *policies; p++)
        play(policies[p], true);
}

static void test_with_nothing_volatile(void)
{
    for (unsigned p = 0; p < sizeof policies / sizeof *policies; p++)
        play(policies[p], false);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_with_expiry), UNIT(test_with_nothing_volatile), {NULL, NULL}};
    return unit_main(argc, argv, "store/pressure", tests);
}

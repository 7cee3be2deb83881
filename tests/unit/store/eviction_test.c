/* eviction_test.c: the limit is never passed, the policies choose as they say, what is in use stays, and
 * failing allocations change nothing. */
#include "fixture.h"

static const enum maxmemory_policy policies[] = {
    POLICY_NOEVICTION,   POLICY_ALLKEYS_LRU,  POLICY_ALLKEYS_LFU,     POLICY_ALLKEYS_RANDOM,
    POLICY_VOLATILE_LRU, POLICY_VOLATILE_LFU, POLICY_VOLATILE_RANDOM, POLICY_VOLATILE_TTL};
enum { POLICIES = sizeof policies / sizeof *policies };

static void test_the_limit_is_never_passed(void)
{
    static uint8_t bytes[300000];
    for (unsigned p = 0; p < POLICIES; p++) {
        struct fixture f;
        uint64_t random = p, limit = 4 << 20, oom = 0;
        fixture_open(&f, 16 << 20, limit, policies[p], 1);
        for (unsigned i = 0; i < 30000; i++) {
            char text[40];
            snprintf(text, sizeof text, "key:%u", (unsigned)(next_random(&random) % 20000));
            struct key k = key_of(&f, text);
            size_t len = next_random(&random) % (i % 500 == 0 ? sizeof bytes : i % 20 == 0 ? 5000 : 200);
            uint64_t ttl = next_random(&random) % 2 ? 0 : shard_time(f.s) + 1 + next_random(&random) % 50000;
            oom += store_set_string(f.s, i % 3, &k, (struct slice){bytes, len}, ttl, 0) == STORE_OOM;
            CU_ASSERT_TRUE_FATAL(used(f.s) <= limit);
            shard_set_time(f.s, shard_time(f.s) + 1);
            shard_upkeep(f.s, 5);
        }
        CU_ASSERT_TRUE(policies[p] == POLICY_NOEVICTION ? oom > 0
                                                        : f.counters[0].v[COUNTER_evicted_keys] > 0);
        if (policies[p] >= POLICY_ALLKEYS_LRU && policies[p] <= POLICY_ALLKEYS_RANDOM)
            CU_ASSERT_EQUAL(oom, 0);
        store_flush(f.s, UINT_MAX);
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(used(f.s), 0);
        fixture_close(&f);
    }
}

static unsigned fill(struct fixture *f, unsigned from, unsigned n, uint64_t ttl)
{
    unsigned stored = 0;
    for (unsigned i = from; i < from + n; i++) {
        char text[40];
        snprintf(text, sizeof text, "key:%u", i);
        stored += set(f, 0, text, "0123456789012345678901234567890123456789", ttl) == STORE_OK;
    }
    return stored;
}

static unsigned count(struct fixture *f, unsigned from, unsigned n)
{
    unsigned found = 0;
    for (unsigned i = from; i < from + n; i++) {
        char text[40];
        snprintf(text, sizeof text, "key:%u", i);
        struct key k = key_of(f, text);
        found += store_find(f->s, 0, &k, LOOK_NOTOUCH | LOOK_NOSTAT) != NULL;
    }
    return found;
}

static void test_noeviction_answers_oom_and_changes_nothing(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_NOEVICTION, 1);
    unsigned stored = fill(&f, 0, 100000, 0);
    CU_ASSERT_TRUE(stored > 8000 && stored < 100000);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), stored);
    uint64_t before = used(f.s);
    CU_ASSERT_EQUAL(shard_make_room(f.s, 100000), STORE_OOM);
    CU_ASSERT_EQUAL(used(f.s), before);
    struct key k = key_of(&f, "key:0");
    CU_ASSERT_TRUE(store_delete(f.s, 0, &k)); /* what frees memory works */
    CU_ASSERT_EQUAL(set(&f, 0, "key:0", "v", 0), STORE_OK);
    fixture_close(&f);
}

static void test_lru_keeps_what_was_read(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_ALLKEYS_LRU, 1);
    fill(&f, 0, 10000, 0);
    unsigned before = count(&f, 0, 1000);
    shard_set_time(f.s, shard_time(f.s) + 100000);
    for (unsigned i = 0; i < 1000; i++) {
        char text[40];
        snprintf(text, sizeof text, "key:%u", i);
        get(&f, 0, text);
    }
    shard_set_time(f.s, shard_time(f.s) + 1000);
    fill(&f, 20000, 6000, 0);
    CU_ASSERT_TRUE(count(&f, 0, 1000) > before * 95 / 100);
    CU_ASSERT_TRUE(count(&f, 20000, 6000) > 5000);
    fixture_close(&f);
}

static void test_lfu_keeps_what_is_read_often(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_ALLKEYS_LFU, 1);
    fill(&f, 0, 10000, 0);
    unsigned before = count(&f, 0, 500);
    for (unsigned round = 0; round < 100; round++)
        for (unsigned i = 0; i < 500; i++) {
            char text[40];
            snprintf(text, sizeof text, "key:%u", i);
            get(&f, 0, text);
        }
    fill(&f, 20000, 6000, 0);
    CU_ASSERT_TRUE(count(&f, 0, 500) > before * 95 / 100);
    struct entry *e = get(&f, 0, "key:3");
    CU_ASSERT_TRUE(!e || entry_frequency(f.s, e) > 8);
    fixture_close(&f);
}

/* Of the keys that wait for their turn to go those that are used meanwhile stay, under LRU and LFU policies alike. */
static void test_a_victim_that_is_used_is_spared(void)
{
    static const enum maxmemory_policy some[] = {POLICY_ALLKEYS_LRU, POLICY_ALLKEYS_LFU};
    for (unsigned p = 0; p < 2; p++) {
        struct fixture f;
        char used_key[VICTIMS][40];
        unsigned n = 0;
        fixture_open(&f, 16 << 20, 1 << 20, some[p], 1);
        f.s->lfu_log_factor = 0; /* each use counts */
        fill(&f, 0, 5000, 0);
        shard_set_time(f.s, shard_time(f.s) + 100000);
        for (unsigned i = 10000; f.counters[0].v[COUNTER_evicted_keys] == 0 || f.s->pool.n < VICTIMS / 2; i++)
            fill(&f, i, 1, 0);
        for (unsigned i = 0; i < f.s->pool.n; i += 2, n++) {
            struct slice key = entry_key(f.s->pool.next[i].seen.e);
            snprintf(used_key[n], sizeof used_key[n], "%.*s", (int)key.len, (const char *)key.p);
        }
        for (unsigned i = 0; i < n; i++)
            CU_ASSERT_PTR_NOT_NULL_FATAL(get(&f, 0, used_key[i]));
        uint64_t before = f.counters[0].v[COUNTER_evicted_keys];
        for (unsigned i = 50000; f.counters[0].v[COUNTER_evicted_keys] < before + VICTIMS; i++)
            fill(&f, i, 1, 0);
        for (unsigned i = 0; i < n; i++)
            CU_ASSERT_PTR_NOT_NULL(get(&f, 0, used_key[i]));
        CU_ASSERT_TRUE(n >= VICTIMS / 4);
        fixture_close(&f);
    }
}

static void test_volatile_policies_spare_keys_without_expiry(void)
{
    for (unsigned p = 0; p < POLICIES; p++) {
        struct fixture f;
        if (policies[p] < POLICY_VOLATILE_LRU)
            continue;
        fixture_open(&f, 16 << 20, 1 << 20, policies[p], 1);
        CU_ASSERT_EQUAL(fill(&f, 0, 5000, 0), 5000);
        CU_ASSERT_EQUAL(fill(&f, 10000, 20000, shard_time(f.s) + 500000), 20000);
        CU_ASSERT_EQUAL(count(&f, 0, 5000), 5000);
        unsigned more = fill(&f, 100000, 20000, 0); /* pushes all the volatile ones out, then OOM */
        CU_ASSERT_TRUE(more > 1000 && more < 20000);
        CU_ASSERT_EQUAL(count(&f, 0, 5000), 5000);
        CU_ASSERT_EQUAL(count(&f, 10000, 20000), 0);
        fixture_close(&f);
    }
}

static void test_ttl_policy_takes_the_soonest(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_VOLATILE_TTL, 1);
    fill(&f, 0, 3000, shard_time(f.s) + 900000);
    fill(&f, 10000, 3000, shard_time(f.s) + 10000);
    for (unsigned i = 20000; f.counters[0].v[COUNTER_evicted_keys] < 1000; i++)
        fill(&f, i, 1, shard_time(f.s) + 900000);
    CU_ASSERT_TRUE(count(&f, 0, 3000) > 2950);
    CU_ASSERT_TRUE(count(&f, 10000, 3000) < 2100);
    fixture_close(&f);
}

enum { IN_FEW_SLOTS = 8000 };

/* Times to live that fall into few slots of the wheel: an eighth of the keys goes. How many of those were of the quarter that
 * expires soonest, and how many were not. */
static void evict_an_eighth(unsigned seed, unsigned *soon, unsigned *late)
{
    enum { N = IN_FEW_SLOTS };
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_VOLATILE_TTL, 1);
    f.s->samples = 10;
    while (seed-- > 0)
        shard_random(f.s);
    for (unsigned i = 0; i < N; i++)
        fill(&f, i, 1, shard_time(f.s) + 3600000 + i * 7919 % N * 900);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_evicted_keys], 0);
    for (unsigned i = 20000; f.counters[0].v[COUNTER_evicted_keys] < N / 8; i++)
        fill(&f, i, 1, shard_time(f.s) + 900000000);
    *soon = *late = 0;
    for (unsigned i = 0; i < N; i++)
        *(i * 7919 % N < N / 4 ? soon : late) += !count(&f, i, 1);
    fixture_close(&f);
}

/* 990 and 10 with each of these seeds; by chance it would be 250 and 750. */
static void test_ttl_policy_tells_within_a_slot(void)
{
    for (unsigned seed = 0; seed < 20; seed++) {
        unsigned soon, late;
        evict_an_eighth(seed, &soon, &late);
        CU_ASSERT_TRUE(soon > IN_FEW_SLOTS / 9 && late < IN_FEW_SLOTS / 100);
    }
}

/* The value lies in an entry of the same shard, and making room must not take it away. */
static void test_the_source_of_a_value_is_not_evicted(void)
{
    struct fixture f;
    static uint8_t bytes[60000];
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_ALLKEYS_RANDOM, 1);
    memset(bytes, 's', sizeof bytes);
    for (unsigned i = 0; i < 300; i++) {
        char scratch[24], text[40];
        fill(&f, 0, 100, 0);
        struct key k = key_of(&f, "source");
        store_set_string(f.s, 0, &k, (struct slice){bytes, sizeof bytes}, 0, 0);
        struct slice v = entry_string(get(&f, 0, "source"), scratch);
        snprintf(text, sizeof text, "copy:%u", i);
        struct key to = key_of(&f, text);
        CU_ASSERT_EQUAL_FATAL(store_set_string(f.s, 0, &to, v, 0, 0), STORE_OK);
        CU_ASSERT_TRUE_FATAL(
            slice_eq(entry_string(get(&f, 0, text), scratch), (struct slice){bytes, sizeof bytes}));
        CU_ASSERT_PTR_NOT_NULL(get(&f, 0, "source"));
        uint8_t *grown;
        CU_ASSERT_EQUAL(store_string_grow(f.s, 0, &to, 200000, &grown), STORE_OK);
        CU_ASSERT_EQUAL(grown[59999], 's');
        snprintf(text, sizeof text, "moved:%u", i);
        struct key moved = key_of(&f, text);
        CU_ASSERT_EQUAL(store_copy(f.s, 0, &to, f.s, 1, &moved), STORE_OK);
        CU_ASSERT_EQUAL(store_rename(f.s, 1, &moved, f.s, 2, &to), STORE_OK);
    }
    fixture_close(&f);
}

/* Half of those that go had a time to live, and none of those that come; their entries are of one size class. */
static void test_a_victim_and_who_takes_its_place_are_accounted_for(void)
{
    enum { KEYS = 20000, EVEN = 2, LONG = 46, SHORT = 40 };
    static const char value[] = "0123456789012345678901234567890123456789012345";
    uint64_t keys, expires, ttl, with_ttl = 0;
    struct store_account a;
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_ALLKEYS_LRU, 1);
    for (unsigned i = 0; i < KEYS; i++) {
        char text[40];
        snprintf(text, sizeof text, "key:%05u", i);
        bool timed = i < KEYS / EVEN && i % EVEN;
        struct key k = key_of(&f, text);
        CU_ASSERT_EQUAL_FATAL(store_set_string(f.s, 0, &k, (struct slice){(const uint8_t *)value, timed ? SHORT : LONG},
                                               timed ? shard_time(f.s) + 60000 : 0, 0), STORE_OK);
        CU_ASSERT_TRUE_FATAL(used(f.s) <= 1 << 20);
        shard_set_time(f.s, shard_time(f.s) + 1);
    }
    for (unsigned i = 0; i < KEYS / EVEN; i++) {
        char text[40];
        snprintf(text, sizeof text, "key:%05u", i);
        with_ttl += i % EVEN && holds(&f, 0, text, NULL) == false;
    }
    shard_account(f.s, &a);
    shard_db_size(f.s, 0, &keys, &expires, &ttl);
    CU_ASSERT_EQUAL(keys, KEYS - f.counters[0].v[COUNTER_evicted_keys]);
    CU_ASSERT_EQUAL(expires, with_ttl);
    CU_ASSERT_EQUAL(a.data, keys * (strlen("key:00000") + LONG) - expires * (LONG - SHORT));
    CU_ASSERT_TRUE(keys > 10000 && keys < KEYS - 1000);
    fixture_close(&f);
}

/* -- the Nth allocation fails -- */

struct state {
    uint64_t used, data, keys, expires;
    char value[8000];
    size_t len;
};

static void take_state(struct fixture *f, struct state *state)
{
    struct store_account a;
    uint64_t ttl;
    char scratch[24];
    memset(state, 0, sizeof *state);
    shard_account(f->s, &a);
    shard_db_size(f->s, 0, &state->keys, &state->expires, &ttl);
    state->data = a.data;
    struct entry *e = get(f, 0, "k");
    if (e) {
        struct slice v = entry_string(e, scratch);
        state->len = v.len;
        memcpy(state->value, v.p, v.len < sizeof state->value ? v.len : sizeof state->value);
    }
}

static enum store_result operation(struct fixture *f, unsigned what)
{
    static uint8_t bytes[7000];
    struct key k = key_of(f, "k"), other = key_of(f, "other");
    uint8_t *grown;
    uint64_t when = shard_time(f->s) + 9000;
    switch (what) {
    case 0:
        return store_set_string(f->s, 0, &k, (struct slice){bytes, 7000}, when, 0);
    case 1:
        return store_set_string(f->s, 0, &k, (struct slice){bytes, 500}, when, 0);
    case 2:
        return store_set_string(f->s, 0, &k, (struct slice){bytes, 5}, 0, SET_KEEPTTL);
    case 3:
        return store_string_grow(f->s, 0, &k, 6000, &grown);
    case 4:
        return store_set_expire(f->s, 0, &k, when);
    case 5:
        return store_rename(f->s, 0, &k, f->s, 3, &other);
    case 6:
        return store_copy(f->s, 0, &k, f->s, 0, &other);
    default:
        return store_set_int(f->s, 0, &k, 5);
    }
}

static void test_each_allocation_may_fail(void)
{
    static struct state before, after;
    for (unsigned what = 0; what < 8; what++)
        for (unsigned start = 0; start < 3; start++)
            for (unsigned nth = 1; nth < 12; nth++) {
                struct fixture f;
                fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
                if (start > 0)
                    fill(&f, 0, start == 1 ? 200 : 96 * 40, 0);
                if (start > 0)
                    set(&f, 0, "k", "some value of the key", start == 2 ? shard_time(f.s) + 10000 : 0);
                take_state(&f, &before);
                f.s->heap.fail_in = nth;
                enum store_result result = operation(&f, what);
                f.s->heap.fail_in = 0;
                take_state(&f, &after);
                if (result == STORE_OOM)
                    CU_ASSERT_EQUAL_FATAL(memcmp(&before, &after, sizeof before), 0);
                store_flush(f.s, UINT_MAX);
                upkeep_all(f.s);
                CU_ASSERT_EQUAL_FATAL(used(f.s), 0);
                fixture_close(&f);
            }
}

/* One allocation in eight fails, for a long time; nothing is lost but what was answered with OOM. */
static void test_many_allocations_fail(void)
{
    enum { N = 20000 };
    static bool there[N];
    struct fixture f;
    uint64_t random = 77;
    memset(there, 0, sizeof there);
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < 200000; i++) {
        char text[40];
        unsigned id = (unsigned)(next_random(&random) % N);
        snprintf(text, sizeof text, "key:%u", id);
        f.s->heap.fail_in = 1 + next_random(&random) % 15;
        if (next_random(&random) % 3) {
            there[id] |=
                set(&f, 0, text, text, next_random(&random) % 2 ? 0 : shard_time(f.s) + 1000000) == STORE_OK;
        } else {
            struct key k = key_of(&f, text);
            CU_ASSERT_EQUAL_FATAL(store_delete(f.s, 0, &k), there[id]);
            there[id] = false;
        }
        shard_upkeep(f.s, 3);
    }
    f.s->heap.fail_in = 0;
    for (unsigned id = 0; id < N; id++) {
        char text[40];
        snprintf(text, sizeof text, "key:%u", id);
        CU_ASSERT_TRUE_FATAL(holds(&f, 0, text, there[id] ? text : NULL));
        struct key k = key_of(&f, text);
        store_delete(f.s, 0, &k);
    }
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_a_flush_is_immediate_and_freed_in_slices(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    fill(&f, 0, 50000, shard_time(f.s) + 100000);
    uint64_t before = used(f.s);
    CU_ASSERT_EQUAL(store_flush(f.s, 0), 50000);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_TRUE(used(f.s) >= before);
    fill(&f, 0, 100, 0);
    unsigned calls = 0;
    while (shard_upkeep(f.s, 1000))
        calls++;
    CU_ASSERT_TRUE(calls > 30);
    CU_ASSERT_EQUAL(count(&f, 0, 50000), 100);
    store_flush(f.s, 0);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* What was flushed makes room before anything alive is evicted. */
static void test_flushed_memory_is_used_first(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 1 << 20, POLICY_NOEVICTION, 1);
    unsigned stored = fill(&f, 0, 100000, 0);
    store_flush(f.s, 0);
    CU_ASSERT_TRUE(fill(&f, 0, stored, 0) > stored * 97 / 100);
    fixture_close(&f);
}

/* What the hand has seen is chosen from one sweep later: by then its memory may be another key's, or no key's. Keys that were stored
 * are there or were evicted, each once. */
static void test_what_was_seen_may_be_gone(void)
{
    static const char *const lengths[] = {"", "0123456789", "0123456789012345678901234567890123456789", "01234567890123456789"};
    enum { KEYS = 40000, ROUNDS = 12 };
    for (unsigned p = 0; p < 2; p++) {
        struct fixture f;
        fixture_open(&f, 16 << 20, 1 << 20, p ? POLICY_VOLATILE_LRU : POLICY_ALLKEYS_LRU, 1);
        for (unsigned round = 0; round < ROUNDS; round++) {
            uint64_t before = f.counters[0].v[COUNTER_evicted_keys], stored = 0;
            for (unsigned i = 0; i < KEYS; i++) {
                char text[40];
                snprintf(text, sizeof text, "key:%u:%u", round, i);
                stored += set(&f, round % 2, text, lengths[(round + i / 5000) % 4], shard_time(f.s) + 1000000) == STORE_OK;
                CU_ASSERT_TRUE_FATAL(used(f.s) <= 1 << 20);
            }
            CU_ASSERT_EQUAL(stored, KEYS);
            CU_ASSERT_EQUAL(keys_in(f.s, round % 2) + f.counters[0].v[COUNTER_evicted_keys] - before, stored);
            if (round % 3 == 0)
                store_swap(f.s, 0, 1);
            store_flush(f.s, UINT_MAX);
            upkeep_all(f.s);
            CU_ASSERT_EQUAL(used(f.s), 0);
        }
        fixture_close(&f);
    }
}

/* In whatever is left below the limit, another key's memory included. */
static void test_an_empty_database_begins_at_full_memory(void)
{
    for (unsigned p = 0; p < 2; p++) {
        struct fixture f;
        unsigned stored = 0, refused = 0;
        fixture_open(&f, 16 << 20, 1 << 20, p ? POLICY_ALLKEYS_LRU : POLICY_NOEVICTION, 1);
        fill(&f, 0, 100000, 0);
        for (unsigned i = 0; i < 600; i++) {
            char text[40];
            snprintf(text, sizeof text, "key:%u", i);
            struct key k = key_of(&f, text);
            if (p == 0 && i % 15 == 0)
                store_delete(f.s, 0, &k);
            const unsigned db = 1 + i % 15;
            enum store_result result = set(&f, db, text, "0123456789", 0);
            CU_ASSERT_TRUE(used(f.s) <= 1 << 20);
            if (result == STORE_OK)
                CU_ASSERT_PTR_NOT_NULL(get(&f, db, text));
            stored += result == STORE_OK;
            refused += result == STORE_OOM;
            store_flush(f.s, db);
            upkeep_all(f.s);
        }
        CU_ASSERT_EQUAL(stored + refused, 600);
        CU_ASSERT_TRUE(stored > 100 && (p == 1) == (refused == 0));
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_limit_is_never_passed),
                                             UNIT(test_noeviction_answers_oom_and_changes_nothing),
                                             UNIT(test_lru_keeps_what_was_read),
                                             UNIT(test_lfu_keeps_what_is_read_often),
                                             UNIT(test_a_victim_that_is_used_is_spared),
                                             UNIT(test_volatile_policies_spare_keys_without_expiry),
                                             UNIT(test_ttl_policy_takes_the_soonest),
                                             UNIT(test_ttl_policy_tells_within_a_slot),
                                             UNIT(test_the_source_of_a_value_is_not_evicted),
                                             UNIT(test_a_victim_and_who_takes_its_place_are_accounted_for),
                                             UNIT(test_each_allocation_may_fail),
                                             UNIT(test_many_allocations_fail),
                                             UNIT(test_a_flush_is_immediate_and_freed_in_slices),
                                             UNIT(test_flushed_memory_is_used_first),
                                             UNIT(test_what_was_seen_may_be_gone),
                                             UNIT(test_an_empty_database_begins_at_full_memory),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/eviction", tests);
}

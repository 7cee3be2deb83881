/* access_test.c: idle times and frequencies are right whatever the length of a tick. */
#include "fixture.h"

static void pass(struct fixture *f, uint64_t ms)
{
    shard_set_time(f->s, shard_time(f->s) + ms);
}

/* Reading it would touch it. */
static struct entry *peek(struct fixture *f, const char *name)
{
    struct key k = key_of(f, name);
    return store_find(f->s, 0, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
}

static uint64_t idle(struct fixture *f, const char *name)
{
    struct entry *e = peek(f, name);
    return e ? entry_idle_seconds(f->s, e) : UINT64_MAX;
}

static void test_idle_seconds_without_eviction(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 1);
    set(&f, 0, "k", "v", 0);
    for (uint64_t s = 0; s < 100; s++, pass(&f, 1000))
        CU_ASSERT_EQUAL(idle(&f, "k"), s);
    pass(&f, 86400000ull * 60 - 100000);
    CU_ASSERT_EQUAL(idle(&f, "k"), 86400 * 60);
    get(&f, 0, "k");
    CU_ASSERT_EQUAL(idle(&f, "k"), 0);
    fixture_close(&f);
}

/* A key with no expiry stays while thousands of volatile ones a second go; then all is quiet again. */
static void test_idle_seconds_while_the_cache_turns_over(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 200000, POLICY_VOLATILE_LRU, 1);
    set(&f, 0, "stays", "v", 0);
    pass(&f, 10000);
    uint64_t passed = 10000, shortest = 1000;
    for (unsigned i = 0; i < 200000; i++) {
        char text[32];
        uint64_t ms = i < 100000 ? i % 20 == 0 : i % 4 * 2; /* 20 a millisecond, then one every 3 */
        snprintf(text, sizeof text, "key:%u", i);
        set(&f, 0, text, "0123456789012345678901234567890123456789", shard_time(f.s) + 3600000);
        pass(&f, ms);
        passed += ms;
        shortest = f.s->access.step < shortest ? f.s->access.step : shortest;
        uint64_t got = idle(&f, "stays") + 1;
        CU_ASSERT_TRUE_FATAL(got >= passed / 1000 && got <= passed / 1000 + 2);
    }
    CU_ASSERT_TRUE(shortest < 20);
    for (unsigned i = 0; i < 1000; i++, passed += 100)
        pass(&f, 100);
    CU_ASSERT_EQUAL(f.s->access.step, 1000);
    uint64_t got = idle(&f, "stays") + 1;
    CU_ASSERT_TRUE(got >= passed / 1000 && got <= passed / 1000 + 2);
    set(&f, 0, "late", "v", 0);
    pass(&f, 5000);
    CU_ASSERT_TRUE(idle(&f, "late") == 5 || idle(&f, "late") == 4);
    fixture_close(&f);
}

static void test_each_step_grows_back(void)
{
    for (unsigned step = 1000; step >= 7; step /= 2) {
        struct fixture f;
        fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 1);
        f.s->access.step = step;
        for (unsigned i = 0; i < 100; i++)
            pass(&f, 1000);
        CU_ASSERT_EQUAL(f.s->access.step, 1000);
        fixture_close(&f);
    }
}

static void test_a_clock_put_back_leaves_ages(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 1);
    set(&f, 0, "k", "v", 0);
    pass(&f, 20000);
    shard_set_time(f.s, shard_time(f.s) - 3600000);
    CU_ASSERT_EQUAL(idle(&f, "k"), 20);
    pass(&f, 5000);
    CU_ASSERT_EQUAL(idle(&f, "k"), 25);
    fixture_close(&f);
}

static void test_access_can_be_given(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 1);
    set(&f, 0, "k", "v", 0);
    for (int64_t want = 0; want < 1000000; want = want * 3 + 1) {
        entry_set_access(f.s, peek(&f, "k"), want, -1);
        CU_ASSERT_EQUAL(idle(&f, "k"), (uint64_t)want);
    }
    fixture_close(&f);
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LFU, 1);
    set(&f, 0, "k", "v", 0);
    CU_ASSERT_EQUAL(entry_frequency(f.s, peek(&f, "k")), 5);
    entry_set_access(f.s, peek(&f, "k"), -1, 200);
    CU_ASSERT_EQUAL(entry_frequency(f.s, peek(&f, "k")), 200);
    fixture_close(&f);
}

static void test_frequency_decays_by_the_minute(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LFU, 1);
    f.s->lfu_decay_time = 1;
    set(&f, 0, "k", "v", 0);
    entry_set_access(f.s, peek(&f, "k"), -1, 100);
    for (unsigned minute = 0; minute < 150; minute++, pass(&f, 60000))
        CU_ASSERT_EQUAL(entry_frequency(f.s, peek(&f, "k")), minute < 100 ? 100 - minute : 0);
    fixture_close(&f);
}

/* What was asked for all the time and then no more does not come back with the counter's next lap, if a
 * sample has seen it meanwhile. */
static void test_old_frequency_is_forgotten(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LFU, 1);
    f.s->lfu_decay_time = 1;
    set(&f, 0, "old", "v", 0);
    entry_set_access(f.s, peek(&f, "old"), -1, 20);
    pass(&f, 30 * 60000);
    access_score(f.s, peek(&f, "old"));
    pass(&f, 65506ull * 60000); /* 2^16 minutes in all */
    CU_ASSERT_EQUAL(entry_frequency(f.s, peek(&f, "old")), 0);
    fixture_close(&f);
}

static void test_ages_go_along_to_another_shard(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 2);
    set(&f, 0, "k", "v", 0);
    shard_set_time(f.s, shard_time(f.s) + 30000);
    shard_set_time(f.ks->shard[1], shard_time(f.s));
    access_start(f.ks->shard[1]); /* the same time is another tick there */
    struct key a = key_of(&f, "k"), b = key_of(&f, "to");
    CU_ASSERT_EQUAL(store_copy(f.s, 0, &a, f.ks->shard[1], 0, &b), STORE_OK);
    struct entry *e = store_find(f.ks->shard[1], 0, &b, LOOK_NOTOUCH | LOOK_NOSTAT);
    CU_ASSERT_TRUE_FATAL(e != NULL);
    CU_ASSERT_EQUAL(entry_idle_seconds(f.ks->shard[1], e), 30);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_idle_seconds_without_eviction),
                                             UNIT(test_idle_seconds_while_the_cache_turns_over),
                                             UNIT(test_each_step_grows_back),
                                             UNIT(test_a_clock_put_back_leaves_ages),
                                             UNIT(test_access_can_be_given),
                                             UNIT(test_frequency_decays_by_the_minute),
                                             UNIT(test_old_frequency_is_forgotten),
                                             UNIT(test_ages_go_along_to_another_shard),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/access", tests);
}

/* expiry_test.c: active expiry by the wheel, put off, cancelled, in bulk, and far away. */
#include "fixture.h"

static void advance(struct fixture *f, uint64_t ms)
{
    shard_set_time(f->s, shard_time(f->s) + ms);
}

static struct wheel *expiry_of(struct fixture *f)
{
    return f->s->db[0].wheel;
}

static void test_expired_on_access(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "k", "v", shard_time(f.s) + 10);
    advance(&f, 10);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "v"));
    advance(&f, 1);
    CU_ASSERT_TRUE(holds(&f, 0, "k", NULL));
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_keys], 1);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    fixture_close(&f);
}

/* From milliseconds to weeks: gone by upkeep alone within a tick (far ones within the 16 s that level 3
 * drops), never early. */
static void test_every_distance(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    for (uint64_t ttl = 1; ttl < 20ull * 86400 * 1000; ttl = ttl * 3 + 7) {
        set(&f, 0, "k", "v", shard_time(f.s) + ttl);
        for (unsigned i = 0; i < 4; i++) {
            advance(&f, ttl / 4);
            upkeep_all(f.s);
            CU_ASSERT_EQUAL(keys_in(f.s, 0), ttl / 4 * (i + 1) < ttl);
        }
        advance(&f, 200 + ttl % 4 + (ttl > 600000 ? 17000 : 0));
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    }
    CU_ASSERT_EQUAL(used(f.s), 0);
    set(&f, 0, "k", "v", UINT64_MAX); /* as good as never */
    advance(&f, 1000ull * 86400 * 365);
    upkeep_all(f.s);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "v"));
    fixture_close(&f);
}

static void test_many_in_one_second_go_in_slices(void)
{
    enum { N = 100000 };
    struct fixture f;
    char text[32];
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < N; i++) {
        snprintf(text, sizeof text, "k%u", i);
        set(&f, 0, text, "v", shard_time(f.s) + 60000 + i % 1000);
    }
    advance(&f, 62000);
    unsigned calls = 0;
    uint64_t left = N;
    while (shard_upkeep(f.s, 500)) {
        CU_ASSERT_TRUE(left - keys_in(f.s, 0) <= 600);
        left = keys_in(f.s, 0);
        calls++;
    }
    CU_ASSERT_TRUE(calls >= N / 600 && calls < N / 500 * 4);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_keys], N);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_put_off_and_cancelled(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    set(&f, 0, "k", "v", shard_time(f.s) + 1000);
    store_set_expire(f.s, 0, &k, shard_time(f.s) + 100000);
    advance(&f, 50000);
    upkeep_all(f.s);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "v"));
    advance(&f, 51000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    set(&f, 0, "k", "v", shard_time(f.s) + 1000);
    store_set_expire(f.s, 0, &k, 0);
    advance(&f, 50000);
    upkeep_all(f.s);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "v"));
    fixture_close(&f);
}

static void test_sliding_expiry_adds_no_items(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    set(&f, 0, "k", "v", shard_time(f.s) + 60000);
    for (unsigned i = 0; i < 10000; i++) {
        advance(&f, 10);
        store_set_expire(f.s, 0, &k, shard_time(f.s) + 60000);
        shard_upkeep(f.s, 10);
    }
    CU_ASSERT_TRUE(expiry_of(&f)->items <= 2);
    fixture_close(&f);
}

/* A lock pattern: SET EX, DEL. Stale items are cleared away although their time is far. */
static void test_stale_items_are_bounded(void)
{
    struct fixture f;
    char text[32];
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "stays", "v", shard_time(f.s) + 3600000);
    for (unsigned i = 0; i < 100000; i++) {
        snprintf(text, sizeof text, "lock%u", i);
        set(&f, 0, text, "v", shard_time(f.s) + 3600000);
        struct key k = key_of(&f, text);
        store_delete(f.s, 0, &k);
        shard_upkeep(f.s, 10);
    }
    CU_ASSERT_TRUE(expiry_of(&f)->items < 10000);
    advance(&f, 3601000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* The wheel cannot get memory: items are lost, but the walk finds the keys later. */
static void test_lost_items_are_found_again(void)
{
    struct fixture f;
    char text[32];
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(text, sizeof text, "k%u", i);
        set(&f, 0, text, "v", shard_time(f.s) + 30000 + i * 10);
    }
    f.s->limit = 0; /* nothing more from now on */
    advance(&f, 29000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 2000);
    advance(&f, 30000);
    f.s->limit = 64 << 20;
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void set_many(struct fixture *f, unsigned n, uint64_t ttl)
{
    char text[32];
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, "k%u", i);
        set(f, 0, text, "v", shard_time(f->s) + ttl + i % 60000);
    }
}

/* Lets time pass in steps, with the upkeep of an idle worker in each. */
static void live_on(struct fixture *f, uint64_t ms, uint64_t step)
{
    for (uint64_t i = 0; i < ms; i += step) {
        advance(f, step);
        for (unsigned k = 0; k < step / 10; k++)
            shard_upkeep(f->s, 64);
        upkeep_all(f->s);
    }
}

static void test_what_is_far_has_no_item_until_it_comes_near(void)
{
    enum { N = 120000, A_SECOND = N / 60 };
    struct fixture f;
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    set_many(&f, N, 3600000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 0);
    set(&f, 0, "near", "v", shard_time(f.s) + 500000);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 1);
    live_on(&f, 600000, 10000);
    CU_ASSERT_TRUE(holds(&f, 0, "near", NULL));
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 0);
    live_on(&f, 3000000, 10000);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), N);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, N);
    for (unsigned i = 1; i <= 60; i++) { /* a sixtieth of them each second, none two ticks late */
        live_on(&f, 1000, 1000);
        uint64_t left = keys_in(f.s, 0), due = N - A_SECOND * i;
        CU_ASSERT_TRUE(left >= due && left <= due + A_SECOND / 7);
    }
    live_on(&f, 1000, 1000);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Time that jumps beyond the horizon: the walk finds what is over. */
static void test_what_is_far_goes_after_a_jump_of_time(void)
{
    struct fixture f;
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    set_many(&f, 140000, 3600000);
    upkeep_all(f.s);
    advance(&f, 4000000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_all_are_filed_when_few_are_left_under_any_policy(void)
{
    enum { N = 140000 };
    struct fixture f;
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    set_many(&f, N, 3600000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 0);
    f.s->policy = POLICY_VOLATILE_TTL; /* which finds them by the index while they are many */
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 0);
    for (unsigned i = 0; i < N - 100; i++) {
        char text[32];
        snprintf(text, sizeof text, "k%u", i);
        struct key k = key_of(&f, text);
        store_set_expire(f.s, 0, &k, 0);
    }
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(expiry_of(&f)->items, 100);
    fixture_close(&f);
}

/* Keys come, go, are put off and called sooner at random while the horizon moves over them: none goes early, and when
 * time has passed none is left that is over. */
static void test_random_lives_against_a_model(void)
{
    enum { N = 120000, ROUNDS = 700 };
    struct fixture f;
    uint64_t random = 5, *due = calloc(N, sizeof *due), late = 0;
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t now = shard_time(f.s), live = 0, over = 0;
        for (unsigned i = 0; i < (round ? 500 : N); i++) {
            unsigned at = round ? next_random(&random) % N : i;
            uint64_t pick = next_random(&random) % 8;
            uint64_t life = next_random(&random) % (pick < 3 ? 30000 : pick < 6 ? 1500000 : 7200000) + 1;
            char text[32];
            snprintf(text, sizeof text, "k%u", at);
            struct key k = key_of(&f, text);
            bool alive = due[at] > now;
            if (alive && next_random(&random) % 4 == 0) {
                CU_ASSERT_TRUE(store_delete(f.s, 0, &k));
                due[at] = 0;
            } else if (alive && next_random(&random) % 2) {
                CU_ASSERT_TRUE(store_set_expire(f.s, 0, &k, now + life) == STORE_OK);
                due[at] = now + life;
            } else {
                set(&f, 0, text, "v", now + life);
                due[at] = now + life;
            }
            if (i % 32 == 0)
                shard_upkeep(f.s, 64);
        }
        live_on(&f, 8000, 4000);
        now = shard_time(f.s);
        for (unsigned i = 0; i < N; i++) {
            live += due[i] > now;
            over += due[i] && due[i] <= now && due[i] + 200 > now;
        }
        uint64_t keys = keys_in(f.s, 0);
        CU_ASSERT_TRUE(keys >= live);
        late += keys > live + over;
    }
    CU_ASSERT_EQUAL(late, 0);
    free(due);
    fixture_close(&f);
}

static void test_mean_life(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    uint64_t keys, expires, mean;
    shard_db_size(f.s, 0, &keys, &expires, &mean);
    CU_ASSERT_EQUAL(mean, 0);
    set(&f, 0, "a", "v", shard_time(f.s) + 1000);
    set(&f, 0, "b", "v", shard_time(f.s) + 3000);
    set(&f, 0, "c", "v", 0);
    shard_db_size(f.s, 0, &keys, &expires, &mean);
    CU_ASSERT_TRUE(keys == 3 && expires == 2 && mean == 2000);
    fixture_close(&f);
}

static void test_swap_and_flush_take_the_wheel_along(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "a", "v", shard_time(f.s) + 1000);
    store_swap(f.s, 0, 5);
    CU_ASSERT_TRUE(holds(&f, 5, "a", "v"));
    advance(&f, 1100);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 5), 0);
    set(&f, 5, "a", "v", shard_time(f.s) + 1000);
    CU_ASSERT_EQUAL(store_flush(f.s, UINT_MAX), 1);
    CU_ASSERT_EQUAL(store_flush(f.s, UINT_MAX), 0);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_expired_on_access),
                                             UNIT(test_every_distance),
                                             UNIT(test_many_in_one_second_go_in_slices),
                                             UNIT(test_put_off_and_cancelled),
                                             UNIT(test_sliding_expiry_adds_no_items),
                                             UNIT(test_stale_items_are_bounded),
                                             UNIT(test_lost_items_are_found_again),
                                             UNIT(test_what_is_far_has_no_item_until_it_comes_near),
                                             UNIT(test_what_is_far_goes_after_a_jump_of_time),
                                             UNIT(test_all_are_filed_when_few_are_left_under_any_policy),
                                             UNIT(test_random_lives_against_a_model),
                                             UNIT(test_mean_life),
                                             UNIT(test_swap_and_flush_take_the_wheel_along),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/expiry", tests);
}

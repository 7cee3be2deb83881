/* index_test.c: growth, emptying, SCAN while the index grows, random entries. */
#include "fixture.h"
#include "store/hash.h"
#include "store/index_layout.h"

enum { KEYS = 60000 };

static void name(unsigned id, char *text)
{
    snprintf(text, 32, "k%07u", id);
}

static void add(struct fixture *f, unsigned id)
{
    char text[32];
    name(id, text);
    CU_ASSERT_EQUAL_FATAL(set(f, 0, text, "v", 0), STORE_OK);
}

static bool del(struct fixture *f, unsigned id)
{
    char text[32];
    name(id, text);
    struct key k = key_of(f, text);
    return store_delete(f->s, 0, &k);
}

static unsigned id_of_entry(const struct entry *e)
{
    char text[9] = "";
    memcpy(text, entry_key(e).p, 8);
    return (unsigned)atoi(text + 1);
}

static void count_seen(struct entry *e, void *arg)
{
    ((uint8_t *)arg)[id_of_entry(e)] = 1;
}

static void test_growing_and_emptying(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned id = 0; id < KEYS; id++)
        add(&f, id);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), KEYS);
    char text[32];
    for (unsigned id = 0; id < KEYS; id++) {
        name(id, text);
        CU_ASSERT_TRUE_FATAL(holds(&f, 0, text, "v"));
    }
    CU_ASSERT_FALSE(del(&f, KEYS));
    for (unsigned id = 0; id < KEYS; id++)
        CU_ASSERT_TRUE_FATAL(del(&f, id));
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_index_costs_ten_bytes_a_key(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    double total = 0;
    unsigned samples = 0;
    for (unsigned id = 0; id < KEYS; id++) {
        add(&f, id);
        if (id % 1000 == 999 && id > 5000) {
            total += (double)used(f.s) / (id + 1) - 16; /* an entry: 6 + 8 + 1, rounded */
            samples++;
        }
    }
    CU_ASSERT_TRUE(total / samples < 10);
    printf("# index: %.2f bytes a key, mean over growth\n", total / samples);
    fixture_close(&f);
}

static void test_scan_sees_what_stays_while_the_index_grows(void)
{
    struct fixture f;
    static uint8_t seen[KEYS * 2];
    memset(seen, 0, sizeof seen);
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned id = 0; id < 3000; id++)
        add(&f, id);
    uint64_t cursor = 0;
    unsigned next = 3000, steps = 0;
    do {
        cursor = store_scan(f.s, 0, cursor, 10, count_seen, seen);
        for (unsigned i = 0; i < 25 && next < KEYS; i++)
            add(&f, next++);
        steps++;
    } while (cursor);
    CU_ASSERT_TRUE(next > 10000);
    CU_ASSERT_TRUE(steps > 300);
    for (unsigned id = 0; id < 3000; id++)
        CU_ASSERT_TRUE_FATAL(seen[id]);
    fixture_close(&f);
}

static void test_scan_sees_what_stays_while_the_index_shrinks(void)
{
    struct fixture f;
    static uint8_t seen[KEYS];
    memset(seen, 0, sizeof seen);
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned id = 0; id < KEYS; id++)
        add(&f, id);
    uint64_t cursor = 0;
    unsigned next = 1;
    do {
        cursor = store_scan(f.s, 0, cursor, 10, count_seen, seen);
        for (unsigned i = 0; i < 30 && next < KEYS; i++, next++)
            if (next % 100)
                del(&f, next);
    } while (cursor);
    for (unsigned id = 0; id < KEYS; id += 100)
        CU_ASSERT_TRUE_FATAL(seen[id]);
    fixture_close(&f);
}

static void test_scan_takes_any_cursor(void)
{
    struct fixture f;
    static uint8_t seen[KEYS];
    uint64_t random = 1;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    CU_ASSERT_EQUAL(store_scan(f.s, 0, 12345678, 10, count_seen, seen), 0);
    for (unsigned id = 0; id < 1000; id++)
        add(&f, id);
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t cursor = next_random(&random);
        unsigned steps = 0;
        do
            cursor = store_scan(f.s, 0, cursor, 1000, count_seen, seen);
        while (cursor && ++steps < 100);
        CU_ASSERT_TRUE(steps < 100);
    }
    fixture_close(&f);
}

static void test_random_entries_are_spread(void)
{
    enum { N = 1500, DRAWS = 150000 };
    struct fixture f;
    static unsigned hits[N];
    uint64_t random = 3;
    memset(hits, 0, sizeof hits);
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    CU_ASSERT_PTR_NULL(store_random(f.s, 0, 1));
    for (unsigned id = 0; id < N; id++)
        add(&f, id);
    for (unsigned i = 0; i < DRAWS; i++)
        hits[id_of_entry(store_random(f.s, 0, next_random(&random)))]++;
    unsigned rare = 0;
    for (unsigned id = 0; id < N; id++) {
        CU_ASSERT_TRUE(hits[id] > 0 && hits[id] < DRAWS / N * 8);
        rare += hits[id] < DRAWS / N / 4;
    }
    CU_ASSERT_TRUE(rare < N / 10);
    fixture_close(&f);
}

static void test_prefetching_is_harmless(void)
{
    struct fixture f;
    struct ahead_row ahead;
    uint64_t random = 3;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned id = 0; id < 3000; id++) {
        unsigned n = id % (AHEAD_ROW + 1);
        ahead_begin(&ahead);
        for (unsigned i = 0; i < n; i++) {
            uint64_t hash = next_random(&random);
            store_ahead(f.s, &ahead, id % 16, hash);
        }
        add(&f, id); /* the index may grow in between */
        for (unsigned i = 0; i < n; i++) {
            store_look_ahead(f.s, &ahead, i);
            if (id % 3 == 0 && i == 20)
                del(&f, id / 2);
        }
    }
    fixture_close(&f);
}

/* Keys whose values are collections, strings of all lengths, and nothing, come and go between hint and look-up. */
static void put_any(struct fixture *f, unsigned id, uint64_t random)
{
    static uint8_t bytes[5000];
    char text[32];
    bool added;
    name(id, text);
    struct key k = key_of(f, text);
    struct value_at v = {f->s, 0, &k, store_find(f->s, 0, &k, LOOK_WRITE), false};
    if (random % 4 == 0) {
        store_delete(f->s, 0, &k);
    } else if (random % 4 == 1 || (v.e && entry_type(v.e) == TYPE_HASH)) {
        if (v.e && entry_type(v.e) != TYPE_HASH) {
            store_delete(f->s, 0, &k);
            v.e = NULL;
        }
        for (unsigned i = 0; i < random % 300; i++)
            CU_ASSERT_EQUAL_FATAL(hash_set(&v, (struct slice){(uint8_t *)&i, 4}, slice_str("value"), &added), STORE_OK);
    } else {
        memset(bytes, (int)random, sizeof bytes);
        CU_ASSERT_EQUAL_FATAL(store_set_string(f->s, 0, &k, (struct slice){bytes, random % sizeof bytes}, 0, 0), STORE_OK);
    }
}

static void test_looking_ahead_at_what_changes_is_harmless(void)
{
    enum { SOME = 200, STEPS = 2000, ROW = AHEAD_ROW };
    struct fixture f;
    struct ahead_row ahead;
    unsigned id[ROW];
    uint64_t random = 5;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned step = 0; step < STEPS; step++) {
        char text[32];
        unsigned row = 1 + step % ROW;
        ahead_begin(&ahead);
        for (unsigned i = 0; i < row; i++) {
            name(id[i] = (unsigned)(next_random(&random) % SOME), text);
            store_ahead(f.s, &ahead, 0, key_of(&f, text).hash);
        }
        for (unsigned i = 0; i < row; i++) {
            store_look_ahead(f.s, &ahead, i);
            name(id[i], text);
            struct key k = key_of(&f, text);
            CU_ASSERT_PTR_EQUAL(store_find_ahead(f.s, 0, &k, LOOK_READ, &ahead.at[i]), store_peek(f.s, 0, &k));
            put_any(&f, (unsigned)(next_random(&random) % SOME), next_random(&random));
        }
        upkeep_all(f.s);
    }
    fixture_close(&f);
}

/* As long as the index stays as it is: with one segment, and with many of which some were split and others were not. */
static void test_a_hand_sees_each_entry_once_in_a_round(void)
{
    static const unsigned sizes[] = {1, 5, 90, 1000, 20000};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct fixture f;
        struct sampled out[40 + SWEEP_MORE];
        uint64_t hand = 0, seen = 0, sum = 0, all = 0;
        fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
        for (unsigned id = 0; id < sizes[i]; id++) {
            char text[32], number[16];
            name(id, text);
            snprintf(number, sizeof number, "%u", id + 1);
            CU_ASSERT_EQUAL_FATAL(set(&f, 0, text, number, 0), STORE_OK);
            all += id + 1;
        }
        const struct index *ix = &f.s->db[0].index;
        CU_ASSERT_EQUAL(index_sweep(f.s, &f.s->db[1].index, &hand, 40, out), 0); /* an empty one */
        hand = 0;
        for (uint64_t steps = 0; seen < sizes[i] && steps < 2 * sizes[i] + 100; steps++) {
            unsigned n = index_sweep(f.s, ix, &hand, 1, out);
            for (unsigned k = 0; k < n; k++) {
                struct place at;
                int64_t number = 0;
                CU_ASSERT_TRUE_FATAL(index_find_seen(f.s, ix, &out[k], &at) && entry_int(out[k].e, &number));
                sum += (uint64_t)number;
            }
            seen += n;
            index_sweep_prefetch(f.s, ix, hand, 40);
        }
        CU_ASSERT_EQUAL(seen, sizes[i]);
        CU_ASSERT_EQUAL(sum, all);
        fixture_close(&f);
    }
}

/* One sweep is short where hardly a key is left of many; whoever goes on sees each of them once in a round. */
static void test_a_hand_is_quick_where_few_keys_are_left(void)
{
    enum { MANY_KEYS = 600000, LEFT = 60 };
    struct fixture f;
    struct sampled out[8 + SWEEP_MORE];
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned id = 0; id < MANY_KEYS; id++) {
        char text[32];
        name(id, text);
        CU_ASSERT_EQUAL_FATAL(set(&f, 0, text, "v", 0), STORE_OK);
    }
    for (unsigned id = LEFT; id < MANY_KEYS; id++) {
        char text[32];
        name(id, text);
        struct key k = key_of(&f, text);
        CU_ASSERT_TRUE_FATAL(store_delete(f.s, 0, &k));
    }
    const struct index *ix = &f.s->db[0].index;
    CU_ASSERT_TRUE_FATAL(ix->segments > SWEEP_STEPS); /* the directory does not become smaller */
    uint64_t hand = 0, seen = 0, before = 0;
    unsigned sweeps = 0;
    for (; hand >= before && sweeps < 1000; sweeps++) { /* one round */
        before = hand;
        index_sweep_prefetch(f.s, ix, hand, 8);
        seen += index_sweep(f.s, ix, &hand, 8, out);
        CU_ASSERT_TRUE(hand < before || hand / 16 - before / 16 <= SWEEP_STEPS);
    }
    CU_ASSERT_TRUE(seen >= LEFT && seen < LEFT + 8 + SWEEP_MORE); /* the last sweep may have begun the next round */
    CU_ASSERT_TRUE(sweeps <= ix->segments / (SWEEP_STEPS / 2) + LEFT / 8 + 1);
    fixture_close(&f);
}

static void check_buckets(const struct fixture *f)
{
    const struct index *ix = &f->s->db[0].index;
    for (uint32_t number = 0; number < ix->segments; number++) {
        const uint64_t word = *directory_at(ix, number);
        const struct bucket *b = word_segment(f->s, word);
        for (unsigned i = 0; i < word_buckets(word); i++, b++)
            for (unsigned slot = 0; slot < BUCKET_SLOTS; slot++)
                CU_ASSERT_FALSE_FATAL(bucket_empty(b) && b->high[slot] & HIGH_SPILL);
    }
}

/* However keys come and go, a bucket with room says that nothing has gone on from it, and each key is found, and no other. */
static void test_a_bucket_with_room_has_nothing_behind_it(void)
{
    enum { IDS = 3000, ROUNDS = 8, STEPS = 4000 };
    struct fixture f;
    static bool there[IDS];
    uint64_t random = 1;
    char text[32];
    memset(there, 0, sizeof there);
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned step = 0; step < STEPS; step++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            const unsigned id = (unsigned)(random >> 33) % IDS;
            if (there[id])
                CU_ASSERT_TRUE_FATAL(del(&f, id));
            if (!there[id])
                add(&f, id);
            there[id] = !there[id];
        }
        check_buckets(&f);
        for (unsigned id = 0; id < IDS; id++) {
            name(id, text);
            CU_ASSERT_EQUAL_FATAL(holds(&f, 0, text, "v"), there[id]);
        }
    }
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_growing_and_emptying),
                                             UNIT(test_index_costs_ten_bytes_a_key),
                                             UNIT(test_scan_sees_what_stays_while_the_index_grows),
                                             UNIT(test_scan_sees_what_stays_while_the_index_shrinks),
                                             UNIT(test_scan_takes_any_cursor),
                                             UNIT(test_random_entries_are_spread),
                                             UNIT(test_prefetching_is_harmless),
                                             UNIT(test_looking_ahead_at_what_changes_is_harmless),
                                             UNIT(test_a_hand_sees_each_entry_once_in_a_round),
                                             UNIT(test_a_hand_is_quick_where_few_keys_are_left),
                                             UNIT(test_a_bucket_with_room_has_nothing_behind_it),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/index", tests);
}

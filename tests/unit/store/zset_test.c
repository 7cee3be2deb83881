/* zset_test.c: sorted sets against a sorted array, in both forms, without memory, copied, compacted. */
#include "fixture.h"
#include "store/zset_body.h"
#include <math.h>

enum { MOST = 600 };

struct member {
    char name[24];
    double score;
};

static struct fixture f;
static struct member model[MOST]; /* in order */
static unsigned count;
static uint64_t seed;
static struct key key;

static void open_with(uint64_t entries)
{
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    f.conf.limits.zset_entries = entries;
    f.conf.limits.zset_value = 20;
    shard_configure(f.s, &f.conf);
    key = key_of(&f, "z");
    count = 0;
    seed = 7;
}

static struct value_at value(void)
{
    return (struct value_at){f.s, 0, &key, store_find(f.s, 0, &key, LOOK_WRITE)};
}

static struct zset_element element_of(const struct member *m)
{
    return (struct zset_element){slice_str(m->name), m->score};
}

static int find_name(const char *name)
{
    for (unsigned i = 0; i < count; i++)
        if (strcmp(model[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void model_remove(unsigned at, unsigned n)
{
    memmove(&model[at], &model[at + n], (count - at - n) * sizeof model[0]);
    count -= n;
}

static void model_add(const struct member *m)
{
    struct zset_element e = element_of(m);
    unsigned at = 0;
    for (; at < count; at++) {
        struct zset_element there = element_of(&model[at]);
        if (zset_compare(&there, &e) > 0)
            break;
    }
    memmove(&model[at + 1], &model[at], (count - at) * sizeof model[0]);
    model[at] = *m;
    count++;
}

static void any_name(char name[24])
{
    unsigned id = (unsigned)(next_random(&seed) % MOST);
    if (id % 3)
        snprintf(name, 24, "m%u", id);
    else
        snprintf(name, 24, "%d", (int)id * 1001 - 300000);
}

static double any_score(void)
{
    static const double odd[] = {1.5,      -0.25,
                                 0.1,      1e300,
                                 -1e17,    9007199254740993.0,
                                 1e18,     0x1.3131313131313p+1,
                                 INFINITY, 3.3333333333333335};
    uint64_t r = next_random(&seed);
    return r % 4 ? (double)(r >> 8 & 31) - 5 : odd[(r >> 8) % (sizeof odd / sizeof odd[0])];
}

static void check(void)
{
    upkeep_all(f.s);
    struct value_at v = value();
    struct zset z;
    struct zset_walk w;
    struct zset_element e;
    CU_ASSERT_EQUAL_FATAL(v.e != NULL, count > 0);
    zset_open(&z, f.s, v.e);
    CU_ASSERT_EQUAL_FATAL(zset_count(&z), count);
    zset_walk(&w, &z, 0, false);
    for (unsigned i = 0; i < count; i++) {
        uint64_t rank;
        double score;
        struct zset_element want = element_of(&model[i]);
        CU_ASSERT_TRUE_FATAL(zset_next(&w, &e));
        CU_ASSERT_TRUE_FATAL(slice_eq(e.member, want.member) && e.score == want.score);
        CU_ASSERT_TRUE_FATAL(zset_rank(&z, want.member, &rank, &score) && rank == i && score == want.score);
    }
    CU_ASSERT_FALSE_FATAL(zset_next(&w, &e));
    zset_walk(&w, &z, (uint64_t)count - 1, true);
    for (unsigned i = count; i-- > 0;)
        CU_ASSERT_TRUE_FATAL(zset_next(&w, &e) && slice_eq(e.member, slice_str(model[i].name)));
    CU_ASSERT_FALSE_FATAL(zset_next(&w, &e));
    if (v.e && entry_is_body(v.e)) {
        const struct zset_body *b = zset_body_of(v.e);
        CU_ASSERT_EQUAL_FATAL(table_count(&b->table), count);
        CU_ASSERT_EQUAL_FATAL(used(f.s), slab_size(entry_size(v.e)) + body_memory(&b->table.body) +
                                             index_memory(&f.s->db[0].index));
    }
}

static void check_bounds(void)
{
    struct value_at v = value();
    struct zset z;
    double score = any_score();
    unsigned before = 0, upto = 0;
    for (unsigned i = 0; i < count; i++) {
        before += model[i].score < score;
        upto += model[i].score <= score;
    }
    zset_open(&z, f.s, v.e);
    CU_ASSERT_EQUAL_FATAL(zset_rank_of_score(&z, score, false), before);
    CU_ASSERT_EQUAL_FATAL(zset_rank_of_score(&z, score, true), upto);
}

/* A wish carried out on the sorted set and on the model. False if there was no memory. */
static bool add(const struct member *m, unsigned flags)
{
    struct value_at v = value();
    struct member now = *m;
    int there = find_name(m->name);
    enum zset_outcome outcome = zset_add(&v, slice_str(m->name), &now.score, flags);
    if (outcome == ZSET_OOM)
        return false;
    bool refused = there < 0 ? flags & ZSET_XX : flags & ZSET_NX;
    if (there >= 0 && !refused) {
        double want = flags & ZSET_INCR ? model[there].score + m->score : m->score;
        refused = (flags & ZSET_GT && want <= model[there].score) ||
                  (flags & ZSET_LT && want >= model[there].score);
        now.score = want;
    }
    CU_ASSERT_EQUAL_FATAL(outcome == ZSET_REFUSED, refused);
    if (!refused) {
        if (there >= 0)
            model_remove((unsigned)there, 1);
        model_add(&now);
    }
    return true;
}

static void remove_some(void)
{
    struct value_at v = value();
    char name[24];
    any_name(name);
    int there = find_name(name);
    CU_ASSERT_EQUAL_FATAL(zset_remove(&v, slice_str(name)), there >= 0);
    if (there >= 0)
        model_remove((unsigned)there, 1);
    if (count > 0 && next_random(&seed) % 40 == 0) {
        unsigned first = (unsigned)(next_random(&seed) % count);
        unsigned n = (unsigned)(next_random(&seed) % 30 + 1);
        n = n < count - first ? n : count - first;
        v = value();
        zset_remove_ranks(&v, first, first + n);
        model_remove(first, n);
    }
}

static void random_changes(uint64_t entries, unsigned steps, bool failing)
{
    static const unsigned flags[] = {0,       0,       0,       0,         ZSET_NX,
                                     ZSET_XX, ZSET_GT, ZSET_LT, ZSET_INCR, ZSET_INCR | ZSET_GT};
    open_with(entries);
    unsigned failures = 0;
    for (unsigned step = 0; step < steps; step++) {
        bool growing = step / 1500 % 2 == 0;
        if (next_random(&seed) % 10 < (growing ? 8u : 3u)) {
            struct member m;
            any_name(m.name);
            unsigned how = flags[next_random(&seed) % 10];
            m.score = how & ZSET_INCR ? 1.25 : any_score();
            f.s->heap.fail_in = failing ? 1 + next_random(&seed) % 4 : 0;
            bool ok = add(&m, how);
            f.s->heap.fail_in = 0;
            failures += !ok;
            if (!ok)
                check();
        } else {
            remove_some();
        }
        if (step % 100 == 0)
            check();
        check_bounds();
    }
    CU_ASSERT_EQUAL(failures > 0, failing);
    store_delete(f.s, 0, &key);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_a_pack_equals_a_sorted_array(void)
{
    random_changes(MOST, 6000, false);
}

static void test_a_tree_equals_a_sorted_array(void)
{
    random_changes(0, 6000, false);
}

static void test_a_pack_becomes_a_tree(void)
{
    random_changes(60, 6000, false);
}

static void test_without_memory_nothing_changes(void)
{
    random_changes(MOST, 3000, true);
    random_changes(0, 3000, true);
    random_changes(60, 3000, true);
}

static void fill(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct member m;
        snprintf(m.name, sizeof m.name, "m%u", i);
        m.score = any_score();
        CU_ASSERT_TRUE_FATAL(add(&m, 0));
    }
}

static void test_a_copy_is_its_own(void)
{
    for (unsigned large = 0; large < 2; large++) {
        open_with(large ? 0 : MOST);
        fill(300);
        struct key copy = key_of(&f, "copy");
        CU_ASSERT_EQUAL(store_copy(f.s, 0, &key, f.s, 0, &copy), STORE_OK);
        struct value_at v = value();
        zset_remove_ranks(&v, 0, 200);
        key = copy;
        v = value();
        struct zset z;
        zset_open(&z, f.s, v.e);
        CU_ASSERT_EQUAL(zset_count(&z), 300);
        for (unsigned i = 0; i < 300; i++) {
            double score;
            CU_ASSERT_TRUE_FATAL(zset_score(&z, slice_str(model[i].name), &score) && score == model[i].score);
        }
        fixture_close(&f);
    }
}

static void test_replacing_takes_the_order_as_it_is(void)
{
    for (unsigned large = 0; large < 2; large++) {
        open_with(large ? 0 : MOST);
        CU_ASSERT_EQUAL(set(&f, 0, "z", "a string", T0 * 1000ull + 5000), STORE_OK);
        static struct zset_element list[MOST];
        static char names[MOST][24];
        for (unsigned i = 0; i < MOST; i++) {
            snprintf(names[i], 24, "m%03u", i);
            list[i] = (struct zset_element){slice_str(names[i]), i / 10};
            struct member m = {.score = i / 10};
            memcpy(m.name, names[i], 24);
            model[i] = m;
        }
        for (uint64_t nth = 1;; nth++) {
            struct value_at v = value();
            f.s->heap.fail_in = nth;
            enum store_result result = zset_replace(&v, list, MOST);
            f.s->heap.fail_in = 0;
            if (result == STORE_OK)
                break;
            CU_ASSERT_TRUE_FATAL(holds(&f, 0, "z", "a string"));
            upkeep_all(f.s);
            nth += nth > 20 ? 37 : 0;
        }
        count = MOST;
        check();
        CU_ASSERT_EQUAL(entry_expire_at(value().e), 0);
        fixture_close(&f);
    }
}

/* What is evicted for the new value is never the key that it is for, nor a key that is being changed. */
static void test_eviction_spares_the_key_at_work(void)
{
    static struct zset_element list[MOST];
    static char names[MOST][24];
    for (unsigned i = 0; i < MOST; i++) {
        snprintf(names[i], 24, "m%03u", i);
        list[i] = (struct zset_element){slice_str(names[i]), i};
    }
    for (unsigned large = 0; large < 2; large++) {
        fixture_open(&f, 64 << 20, 256 << 10, POLICY_ALLKEYS_RANDOM, 1);
        f.conf.limits.zset_entries = large ? 0 : MOST;
        shard_configure(f.s, &f.conf);
        seed = 3;
        for (unsigned i = 0; i < 400; i++) {
            char name[24];
            snprintf(name, sizeof name, "z%u", i % 37);
            key = key_of(&f, name);
            struct value_at v = value();
            unsigned n = (unsigned)(next_random(&seed) % 100) + 1;
            CU_ASSERT_EQUAL_FATAL(zset_replace(&v, list, n), STORE_OK);
            for (unsigned k = 0; k < 50; k++) {
                double score = (double)(next_random(&seed) % 1000);
                v = value();
                CU_ASSERT_NOT_EQUAL_FATAL(zset_add(&v, list[next_random(&seed) % MOST].member, &score, 0),
                                          ZSET_OOM);
            }
            struct zset z;
            zset_open(&z, f.s, value().e);
            CU_ASSERT_TRUE_FATAL(zset_count(&z) >= n);
        }
        CU_ASSERT_TRUE(used(f.s) <= 256 << 10);
        fixture_close(&f);
    }
}

/* Elements and nodes move while everything stays findable. */
static void test_compaction_keeps_table_and_order_together(void)
{
    open_with(0);
    fill(MOST);
    for (unsigned i = 0; i < 400; i++)
        remove_some();
    uint64_t cursor = 0;
    unsigned budget = 50;
    struct value_at v = value();
    while (!zset_body_compact(f.s, entry_body(v.e), &cursor, &budget))
        budget = 50;
    check();
    fixture_close(&f);
}

static void seen_once(const struct zset_element *e, void *arg)
{
    uint8_t *seen = arg;
    char name[24] = "";
    memcpy(name, e->member.p, e->member.len);
    seen[atoi(name + 1)]++;
}

static void test_a_scan_sees_each(void)
{
    open_with(0);
    fill(500);
    uint8_t seen[500] = {0};
    struct zset z;
    uint64_t cursor = 0;
    unsigned steps = 0;
    zset_open(&z, f.s, value().e);
    do {
        cursor = zset_scan(&z, cursor, 10, seen_once, seen);
        steps++;
    } while (cursor);
    for (unsigned i = 0; i < 500; i++)
        CU_ASSERT_TRUE(seen[i] == 1);
    CU_ASSERT_TRUE(steps > 20);
    fixture_close(&f);
}

static double bytes_an_element(unsigned n)
{
    uint64_t before = used(f.s);
    for (unsigned i = 0; i < n; i++) {
        char name[24];
        double score = (double)(next_random(&seed) % 1000000);
        snprintf(name, sizeof name, "member:%07u", i);
        struct value_at v = value();
        CU_ASSERT_EQUAL_FATAL(zset_add(&v, slice_str(name), &score, 0), ZSET_ADDED);
    }
    return (double)(used(f.s) - before) / n;
}

static void test_an_element_costs_less_than_half_of_a_skiplists(void)
{
    open_with(128);
    double large = bytes_an_element(100000);
    fixture_close(&f);
    open_with(128);
    double small = bytes_an_element(100);
    fixture_close(&f);
    printf("# members of 14 bytes: %.1f bytes an element of 100000, %.1f of 100\n", large, small);
    CU_ASSERT_TRUE(large < 56);
    CU_ASSERT_TRUE(small < 32);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_pack_equals_a_sorted_array),
                                             UNIT(test_a_tree_equals_a_sorted_array),
                                             UNIT(test_a_pack_becomes_a_tree),
                                             UNIT(test_without_memory_nothing_changes),
                                             UNIT(test_a_copy_is_its_own),
                                             UNIT(test_replacing_takes_the_order_as_it_is),
                                             UNIT(test_eviction_spares_the_key_at_work),
                                             UNIT(test_compaction_keeps_table_and_order_together),
                                             UNIT(test_a_scan_sees_each),
                                             UNIT(test_an_element_costs_less_than_half_of_a_skiplists),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/zset", tests);
}

/* churn_test.c: values of all types come and go at full memory while their sizes change: what slabs hold
 * beyond what lives in them stays bounded, and nothing is left when all is flushed. `test_store_churn measure
 * [SCALE]` prints the figures, for SCALE times as much memory. */
#include "fixture.h"
#include "store/hash.h"
#include "store/list.h"
#include "store/set.h"
#include "store/stream.h"
#include "store/zset.h"

enum { KEYS = 200000, LIMIT = 24 << 20, ARENA = 48 << 20 };
/* Beside a share of what lives each of some 150 classes has a slab that is partly empty. */
enum { SHARE = 8, CLASSES = 150 * EXTENT_SIZE };

static struct fixture f;
static uint64_t seed;
static unsigned scale = 1; /* of all sizes and numbers */
static bool measures;

static unsigned any(unsigned most)
{
    return (unsigned)(next_random(&seed) % most);
}

static struct slice word(char text[300], unsigned number, unsigned len)
{
    int n = snprintf(text, 300, "%0*u", (int)len, number);
    text[0] = 'w'; /* no number */
    return (struct slice){(const uint8_t *)text, (size_t)n};
}

/* One element more, of about `len` bytes. */
static void grow(const struct key *k, unsigned type, unsigned i, unsigned len)
{
    char text[2][300];
    struct slice pair[2] = {word(text[0], i, 9), word(text[1], i, len)};
    struct value_at v = {f.s, 0, k, store_find(f.s, 0, k, LOOK_WRITE)};
    bool added;
    if (v.e && entry_type(v.e) != type)
        store_delete(f.s, 0, k);
    v.e = store_find(f.s, 0, k, LOOK_WRITE);
    enum store_result r = STORE_OK;
    if (type == TYPE_HASH)
        r = hash_set(&v, pair[0], pair[1], &added);
    else if (type == TYPE_LIST)
        r = list_push(&v, i % 2 ? LIST_HEAD : LIST_TAIL, &pair[1], 1);
    else if (type == TYPE_SET)
        r = set_add(&v, pair[1], &added);
    else if (type == TYPE_STREAM)
        r = stream_add(&v, (struct stream_id){shard_time(f.s) + i, 1}, pair, 1);
    else
        r = store_set_string(f.s, 0, k, pair[1], 0, 0);
    CU_ASSERT_EQUAL_FATAL(r, STORE_OK);
}

/* Replaces keys at random by values of some elements of some bytes. */
static void phase(const char *what, unsigned steps, unsigned elements, unsigned bytes)
{
    static const unsigned types[] = {TYPE_STRING, TYPE_HASH, TYPE_LIST, TYPE_SET, TYPE_STREAM};
    struct store_account a;
    for (unsigned i = 0; i < steps * scale; i++) {
        char name[32];
        snprintf(name, sizeof name, "key:%u", any(KEYS * scale));
        struct key k = key_of(&f, name);
        store_delete(f.s, 0, &k);
        unsigned type = types[any(5)], n = 1 + any(elements), len = 10 + any(bytes);
        for (unsigned j = 0; j < n; j++)
            grow(&k, type, j, len);
        shard_set_time(f.s, shard_time(f.s) + 1);
        shard_upkeep(f.s, 200);
        CU_ASSERT_TRUE_FATAL(f.s->heap.used <= f.s->limit);
    }
    upkeep_all(f.s);
    shard_account(f.s, &a);
    if (measures)
        printf("%-18s %8llu keys, used %10llu, reserved %10llu, %.3f\n", what, (unsigned long long)a.keys,
               (unsigned long long)a.used, (unsigned long long)a.reserved,
               (double)a.reserved / (double)a.used);
    CU_ASSERT_TRUE(a.reserved < a.used + a.used / SHARE + CLASSES);
}

static void test_fragmentation_stays_bounded_and_nothing_is_left(void)
{
    struct store_account a;
    fixture_open(&f, (uint64_t)ARENA * scale, (uint64_t)LIMIT * scale, POLICY_ALLKEYS_LRU, 1);
    seed = 3;
    phase("small", 300000, 5, 40);
    phase("small again", 200000, 5, 40);
    phase("medium", 20000, 60, 60);
    phase("large", 6000, 300, 200);
    phase("small after large", 300000, 5, 40);
    phase("all sizes", 20000, 100, 100);
    store_flush(f.s, UINT_MAX);
    upkeep_all(f.s);
    shard_account(f.s, &a);
    CU_ASSERT_EQUAL(a.used, 0);
    CU_ASSERT_EQUAL(a.reserved, 0);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_fragmentation_stays_bounded_and_nothing_is_left),
                                             {NULL, NULL}};
    if (argc > 2)
        scale = (unsigned)strtoul(argv[2], NULL, 10);
    measures = argc > 1 && strcmp(argv[1], "measure") == 0;
    return unit_main(measures ? 1 : argc, argv, "store/churn", tests);
}

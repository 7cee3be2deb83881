/* big_test.c: the biggest keys of a shard (store/big.c). */
#include "store/hash.h"
#include "store/list.h"

#include "fixture.h"

static struct fixture f;
static struct {
    char name[64];
    unsigned db;
    uint64_t bytes, elements;
} seen[BIG_ROWS];
static unsigned n;

static void note(const struct entry *e, const struct key *k, unsigned db, void *arg)
{
    (void)arg;
    snprintf(seen[n].name, sizeof seen[n].name, "%.*s", (int)k->name.len, (const char *)k->name.p);
    seen[n].db = db;
    seen[n].bytes = entry_user_bytes(e);
    seen[n++].elements = entry_elements(f.s, e);
}

/* Where the key stands; -1: nowhere. */
static int find(enum value_type type, const char *name)
{
    n = 0;
    store_each_big(f.s, type, note, NULL);
    for (unsigned i = 0; i < n; i++)
        if (strcmp(seen[i].name, name) == 0)
            return (int)i;
    return -1;
}

static void set_long(const char *name, size_t len)
{
    struct key k = key_of(&f, name);
    uint8_t *p = calloc(1, len);
    CU_ASSERT_EQUAL(store_set_string(f.s, 0, &k, (struct slice){p, len}, 0, 0), STORE_OK);
    free(p);
}

static void open_f(void)
{
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
}

static void test_the_biggest_of_many_stay(void)
{
    char name[16];
    open_f();
    for (unsigned i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "k%u", i * 7919 % 1000);
        set_long(name, 1500 + 16 * (i * 7919 % 1000));
    }
    for (unsigned i = 1000 - BIG_ROWS; i < 1000; i++) {
        snprintf(name, sizeof name, "k%u", i);
        CU_ASSERT(find(TYPE_STRING, name) >= 0);
    }
    CU_ASSERT_EQUAL(n, BIG_ROWS);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "k0"), -1);
    CU_ASSERT_EQUAL(store_biggest(f.s), 4 + 1500 + 16 * 999);
    fixture_close(&f);
}

static void test_small_ones_are_not_noted(void)
{
    open_f();
    set_long("small", 900);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "small"), -1);
    set_long("big", 5000);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "big"), 0);
    set_long("big", 10);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "big"), -1);
    fixture_close(&f);
}

static void test_what_goes_is_not_shown_and_makes_room(void)
{
    char name[16];
    open_f();
    for (unsigned i = 0; i < BIG_ROWS; i++) {
        snprintf(name, sizeof name, "k%u", i);
        set_long(name, 100000);
    }
    for (unsigned i = 0; i < BIG_ROWS; i++) {
        struct key k = (snprintf(name, sizeof name, "k%u", i), key_of(&f, name));
        CU_ASSERT(store_delete(f.s, 0, &k));
    }
    for (unsigned i = 0; i < BIG_TYPES * BIG_CHECK_EACH * (BIG_ROWS + 2); i++)
        shard_upkeep(f.s, 64);
    set_long("less", 2000);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "less"), 0);
    CU_ASSERT_EQUAL(n, 1);
    fixture_close(&f);
}

static void test_names_and_databases_follow(void)
{
    open_f();
    set_long("a", 5000);
    struct key a = key_of(&f, "a"), b = key_of(&f, "b");
    CU_ASSERT_EQUAL(store_rename(f.s, 0, &a, f.s, 0, &b), STORE_OK);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "a"), -1);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "b"), 0);
    store_swap(f.s, 0, 3);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "b"), 0);
    CU_ASSERT_EQUAL(seen[0].db, 3);
    CU_ASSERT_EQUAL(store_copy(f.s, 3, &b, f.s, 5, &a), STORE_OK);
    CU_ASSERT(find(TYPE_STRING, "a") >= 0);
    CU_ASSERT_EQUAL(n, 2);
    store_set_expire(f.s, 3, &b, (uint64_t)T0 * 1000 + 10);
    shard_set_time(f.s, (uint64_t)T0 * 1000 + 20);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "b"), -1);
    store_flush(f.s, UINT_MAX);
    CU_ASSERT_EQUAL(find(TYPE_STRING, "a"), -1);
    fixture_close(&f);
}

static void test_collections_are_noted_as_they_grow(void)
{
    char text[32];
    open_f();
    struct key k = key_of(&f, "list"), hk = key_of(&f, "hash");
    for (unsigned i = 0; i < 2000; i++) {
        struct value_at v = {.s = f.s, .key = &k, .e = store_find(f.s, 0, &k, LOOK_WRITE)};
        snprintf(text, sizeof text, "element-%u", i);
        CU_ASSERT_EQUAL(list_push(&v, LIST_TAIL, &(struct slice){(const uint8_t *)text, strlen(text)}, 1), STORE_OK);
        v = (struct value_at){.s = f.s, .key = &hk, .e = store_find(f.s, 0, &hk, LOOK_WRITE)};
        bool made;
        CU_ASSERT_EQUAL(hash_set(&v, slice_str(text), slice_str("v"), &made), STORE_OK);
    }
    CU_ASSERT_EQUAL(find(TYPE_LIST, "list"), 0);
    CU_ASSERT_EQUAL(seen[0].elements, 2000);
    CU_ASSERT_EQUAL(find(TYPE_HASH, "hash"), 0);
    CU_ASSERT_EQUAL(seen[0].elements, 2000);
    uint64_t known = f.s->big.row[TYPE_HASH][0].size, is = seen[0].bytes;
    CU_ASSERT_EQUAL(known, is); /* brought up to date when it was shown */
    set(&f, 0, "hash", "no more", 0);
    CU_ASSERT_EQUAL(find(TYPE_HASH, "hash"), -1);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_biggest_of_many_stay),
                                             UNIT(test_small_ones_are_not_noted),
                                             UNIT(test_what_goes_is_not_shown_and_makes_room),
                                             UNIT(test_names_and_databases_follow),
                                             UNIT(test_collections_are_noted_as_they_grow),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/big", tests);
}

/* value_test.c: the entry of a compact collection grows, shrinks, goes apart and comes back; what it holds,
 * the accounts and the expiry stay right, with the Nth allocation failing as well. */
#include "fixture.h"
#include "store/value.h"

static struct value_at at(struct fixture *f, const struct key *k)
{
    return (struct value_at){f->s, 0, k, store_find(f->s, 0, k, LOOK_WRITE)};
}

static uint64_t data_of(const struct fixture *f)
{
    struct store_account a;
    shard_account(f->s, &a);
    return a.data;
}

static void fill(uint8_t *p, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        p[i] = (uint8_t)(i * 7 + i / 251);
}

static bool filled(const uint8_t *p, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++)
        if (p[i] != (uint8_t)(i * 7 + i / 251))
            return false;
    return true;
}

/* Lengths at random; every growth is tried with an allocation that fails first. */
static void test_resize(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    uint64_t random = 1, len = 0, start = used(f.s);
    struct key k = key_of(&f, "a key");
    for (unsigned round = 0; round < 20000; round++) {
        uint64_t r = next_random(&random), want = 1 + (r >> 8) % ((r & 7) ? 300 : 5000);
        struct value_at v = at(&f, &k);
        uint64_t before = used(f.s), had;
        f.s->heap.fail_in = r >> 40 & 3;
        uint8_t *p = value_resize(&v, TYPE_HASH, VALUE_PACK, want);
        f.s->heap.fail_in = 0;
        if (!p) {
            CU_ASSERT_TRUE_FATAL(want > len);
            CU_ASSERT_TRUE_FATAL(!v.e || entry_value_bytes(v.e, &had));
            CU_ASSERT_TRUE_FATAL(!v.e || (had == len && filled(value_bytes(&v, &had), len)));
            CU_ASSERT_TRUE_FATAL(!v.e || used(f.s) == before);
            continue;
        }
        CU_ASSERT_TRUE_FATAL(filled(p, len < want ? len : want));
        fill(p, len < want ? len : want, want);
        len = want;
        v = at(&f, &k);
        CU_ASSERT_TRUE_FATAL(value_bytes(&v, &had) == p && had == len && filled(p, len));
        CU_ASSERT_EQUAL_FATAL(data_of(&f), len + 5);
        if ((r >> 50) % 64 == 0)
            CU_ASSERT_EQUAL_FATAL(store_set_expire(f.s, 0, &k, r >> 60 ? 0 : T0 * 2000ull), STORE_OK);
    }
    store_delete(f.s, 0, &k);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(data_of(&f), 0);
    CU_ASSERT_TRUE(used(f.s) < start + 4096); /* the wheel stays */
    fixture_close(&f);
}

/* COPY and RENAME of a value in its entry and of one apart; a string over it frees it. */
static void test_copied_and_replaced(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    struct key a = key_of(&f, "a"), b = key_of(&f, "b");
    for (uint64_t len = 10; len < 10000; len *= 10) {
        uint64_t had;
        struct value_at v = at(&f, &a);
        fill(value_resize(&v, TYPE_HASH, VALUE_PACK, len), 0, len);
        CU_ASSERT_EQUAL(store_copy(f.s, 0, &a, f.ks->shard[1], 3, &b), STORE_OK);
        CU_ASSERT_EQUAL(store_rename(f.ks->shard[1], 3, &b, f.s, 0, &b), STORE_OK);
        CU_ASSERT_EQUAL(store_rename(f.s, 0, &a, f.s, 0, &b), STORE_OK);
        v = at(&f, &b);
        CU_ASSERT_TRUE_FATAL(v.e && entry_type(v.e) == TYPE_HASH);
        CU_ASSERT_TRUE(value_bytes(&v, &had) && had == len && filled(value_bytes(&v, &had), len));
        CU_ASSERT_STRING_EQUAL(entry_encoding(v.e), "listpack");
        CU_ASSERT_EQUAL(set(&f, 0, "b", "text", 0), STORE_OK);
        CU_ASSERT_EQUAL(data_of(&f), 5);
        store_delete(f.s, 0, &b);
        CU_ASSERT_EQUAL(used(f.s), 0);
        CU_ASSERT_EQUAL(used(f.ks->shard[1]), 0);
    }
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_resize), UNIT(test_copied_and_replaced), {NULL, NULL}};
    return unit_main(argc, argv, "store/value", tests);
}

/* hash_upkeep_test.c: fields of hashes that expire, and the rest of the store: upkeep in slices, compaction, eviction, other
 * shards, RDB's forms, what a time takes. Against a model: hash_times_test.c. */
#include "hash_fields.h"
#include "store/hash_forms.h"
#include "store/rdb_value.h"

static void fill(struct fixture *f, const struct key *k, unsigned n, uint64_t at, uint64_t step_ms)
{
    char field[32];
    struct value_at v = {f->s, 0, k, store_find(f->s, 0, k, LOOK_WRITE), false};
    for (unsigned i = 0; i < n; i++) {
        CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(i, field), slice_str("value"), NULL), STORE_OK);
        CU_ASSERT_EQUAL_FATAL(hash_expire(&v, field_number(i, field), at + i * step_ms), STORE_OK);
    }
}

/* Half of the fields of a large hash go at one time: in slices, and nobody sees one of them meanwhile. */
static void test_upkeep_takes_fields_in_slices(void)
{
    enum { N = 20000 };
    struct fixture f;
    struct key k;
    uint64_t t = T0 * 1000ull;
    unsigned slices = 0;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    k = key_of(&f, "large");
    fill(&f, &k, N, t + 5000, 0);
    fill(&f, &k, N / 2, t + 900000, 0); /* these again, for later */
    shard_set_time(f.s, t + 5001);
    CU_ASSERT_EQUAL(hash_count(f.s, get(&f, 0, "large")), N / 2);
    shard_set_time(f.s, t + 6001);
    while (shard_upkeep(f.s, 500)) {
        CU_ASSERT_EQUAL(hash_count(f.s, get(&f, 0, "large")), N / 2);
        slices++;
    }
    CU_ASSERT_TRUE(slices >= N / 2 / 500);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_subkeys], N / 2);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 1);
    shard_set_time(f.s, t + 900064);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_subkeys], N);
    CU_ASSERT_EQUAL(f.counters[0].v[COUNTER_expired_keys], 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Nothing but upkeep looks at these, and it takes each field when its time has come. */
static void test_upkeep_alone(void)
{
    struct fixture f;
    char name[16];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "k%u", i);
        struct key k = key_of(&f, name);
        fill(&f, &k, 10, t + 1000 + i * 7, 500);
    }
    for (unsigned ms = 0; ms < 7000; ms += 10) {
        shard_set_time(f.s, t + ms);
        upkeep_all(f.s);
        uint64_t gone = 0, soon = 0, expired = f.counters[0].v[COUNTER_expired_subkeys];
        for (unsigned i = 0; i < 1000; i++) {
            uint64_t at = 1000 + i / 10 * 7 + i % 10 * 500;
            gone += at + 64 <= ms;
            soon += at < ms;
        }
        CU_ASSERT_TRUE_FATAL(expired >= gone && expired <= soon);
    }
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Compaction moves elements that lie in the order of times. */
static void test_compaction(void)
{
    enum { N = 20000 };
    struct fixture f;
    char field[32];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "large");
    fill(&f, &k, N, t + 100000, 3);
    struct value_at v = {f.s, 0, &k, get(&f, 0, "large"), false};
    for (unsigned i = 0; i < N; i++)
        if (i % 16)
            CU_ASSERT_TRUE(hash_delete(&v, field_number(i, field)));
    uint64_t changes = f.s->changes;
    compact_begin(f.s);
    while (compact_run(f.s, 1000))
        ;
    CU_ASSERT_TRUE(f.s->changes - changes > N / 32);
    v.e = get(&f, 0, "large");
    for (unsigned i = 0; i < N; i += 32)
        CU_ASSERT_EQUAL_FATAL(hash_expire(&v, field_number(i, field), t + 5000), STORE_OK);
    shard_set_time(f.s, t + 6000);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(hash_fields(get(&f, 0, "large")), N / 32);
    for (unsigned i = 16; i < N; i += 32) {
        shard_set_time(f.s, t + 100000 + i * 3 + 1);
        struct entry *e = get(&f, 0, "large");
        CU_ASSERT_EQUAL_FATAL(e ? hash_count(f.s, e) : 0, N / 32 - 1 - i / 32);
    }
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* Keys with field times are not keys with an expiry: a volatile policy leaves them alone, and the wheel does
 * not forget them meanwhile. */
static void test_volatile_eviction_passes_them_by(void)
{
    struct fixture f;
    char name[16];
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_VOLATILE_TTL, 1);
    for (unsigned i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "k%u", i);
        struct key k = key_of(&f, name);
        fill(&f, &k, 3, t + 1000000, 1);
        snprintf(name, sizeof name, "s%u", i);
        set(&f, 0, name, "x", t + 2000000);
    }
    for (unsigned i = 0; i < 50; i++)
        CU_ASSERT_TRUE(evict_one(f.s, NULL));
    CU_ASSERT_FALSE(evict_one(f.s, NULL));
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 50);
    CU_ASSERT_EQUAL(f.s->db[0].timed, 50);
    shard_set_time(f.s, t + 1000200);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(keys_in(f.s, 0), 0);
    fixture_close(&f);
}

/* -- between shards, and what it takes -- */

static void test_copy_to_another_shard(void)
{
    struct fixture f;
    uint64_t t = T0 * 1000ull;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    for (unsigned n = 5; n < 1000; n *= 10) {
        struct key a = key_of(&f, "a"), b = key_of(&f, "b");
        fill(&f, &a, n, t + 1000, 1000);
        CU_ASSERT_EQUAL_FATAL(store_copy(f.s, 0, &a, f.ks->shard[1], 3, &b), STORE_OK);
        shard_set_time(f.ks->shard[1], t + 2001);
        struct entry *e = store_find(f.ks->shard[1], 3, &b, LOOK_READ);
        CU_ASSERT_EQUAL(hash_count(f.ks->shard[1], e), n - 2);
        CU_ASSERT_EQUAL(f.ks->shard[1]->db[3].timed, 1);
        shard_set_time(f.ks->shard[1], t + 2000000);
        upkeep_all(f.ks->shard[1]);
        CU_ASSERT_EQUAL(keys_in(f.ks->shard[1], 3), 0);
        CU_ASSERT_EQUAL(used(f.ks->shard[1]), 0);
        shard_set_time(f.ks->shard[1], t);
        store_delete(f.s, 0, &a);
    }
    fixture_close(&f);
}

/* -- RDB's forms -- */

static enum rdb_result take(struct fixture *f, const uint8_t *p, size_t n)
{
    struct key k = key_of(f, "h");
    struct rdb_reader r = {.p = p, .left = n};
    struct rdb_target to = {f->s, 0, &k, 0};
    enum rdb_result result = rdb_take_value(&r, &to);
    return result == RDB_OK && r.left ? RDB_BAD : result;
}

/* Both forms of two fields with times and one without, or what `spoil` makes of them. */
static void write_form(struct rdb_writer *w, bool listpack, unsigned spoil)
{
    static const char *const names[] = {"one", "22", "none"};
    uint64_t t = T0 * 1000ull + 5000, at[] = {t, t + 77, 0};
    struct rdb_writer aside = {0};
    size_t begin = listpack_begin(&aside);
    at[1] = spoil == 1 ? HASH_LATEST + 1 : at[1];
    rdb_put_byte(w, listpack ? RDB_HASH_LISTPACK_EX : RDB_HASH_METADATA);
    rdb_put(w, &t, sizeof t);
    if (!listpack)
        rdb_put_len(w, 3);
    for (unsigned i = 0; i < 3; i++) {
        struct item name = item_of(slice_str(names[spoil == 2 ? 0 : i])),
                    time = item_of_number((int64_t)at[i]), value = item_of(slice_str("value"));
        if (spoil == 3)
            time = value;
        listpack_put(&aside, &name);
        listpack_put(&aside, &value);
        if (spoil != 4 || i < 2)
            listpack_put(&aside, &time);
        if (!listpack) {
            rdb_put_len(w, at[i] ? at[i] - t + 1 : 0);
            rdb_put_string(w, slice_str(names[spoil == 2 ? 0 : i]));
            rdb_put_string(w, slice_str("value"));
        }
    }
    listpack_end(&aside, begin, spoil == 4 ? 8 : 9);
    if (listpack)
        rdb_put_aside(w, &aside);
    rdb_writer_free(&aside);
}

static void test_rdb_forms_are_read(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned listpack = 0; listpack < 2; listpack++) {
        struct rdb_writer w = {0};
        struct slice value;
        char scratch[HASH_TEXT];
        uint64_t at, t = T0 * 1000ull + 5000;
        write_form(&w, listpack, 0);
        for (size_t n = 0; n < w.len; n++) {
            CU_ASSERT_EQUAL(take(&f, w.p, n), RDB_BAD);
            CU_ASSERT_PTR_NULL(get(&f, 0, "h"));
        }
        CU_ASSERT_EQUAL(take(&f, w.p, w.len), RDB_OK);
        struct entry *e = get(&f, 0, "h");
        CU_ASSERT_STRING_EQUAL(entry_encoding(e), "listpackex");
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("one"), &value, scratch, &at) && at == t);
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("22"), &value, scratch, &at) && at == t + 77);
        CU_ASSERT_TRUE(hash_get_until(f.s, e, slice_str("none"), &value, scratch, &at) && at == 0);
        CU_ASSERT_TRUE(slice_eq(value, slice_str("value")));
        shard_set_time(f.s, t + 77 + 128); /* the wheel knows of it */
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(hash_fields(get(&f, 0, "h")), 1);
        shard_set_time(f.s, T0 * 1000ull);
        store_flush(f.s, 0);
        upkeep_all(f.s);
        CU_ASSERT_EQUAL(used(f.s), 0);
        rdb_writer_free(&w);
        for (unsigned spoil = 1; spoil <= (listpack ? 4 : 2); spoil++) {
            w = (struct rdb_writer){0};
            write_form(&w, listpack, spoil);
            CU_ASSERT_EQUAL(take(&f, w.p, w.len), RDB_BAD);
            CU_ASSERT_EQUAL(used(f.s), 0);
            rdb_writer_free(&w);
        }
    }
    fixture_close(&f);
}

/* MEMORY USAGE beside the same hash without times: at most 8 bytes a field and 8 in a pack (before the
 * rounding to a size class), 18 in a table. */
static void test_bytes_a_field(void)
{
    static const unsigned counts[] = {10, 100, 1000, 100000};
    for (unsigned i = 0; i < 4; i++) {
        struct fixture f;
        unsigned n = counts[i];
        char field[32];
        fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
        struct key a = key_of(&f, "a"), b = key_of(&f, "b");
        struct value_at v = {f.s, 0, &a, NULL, false};
        for (unsigned k = 0; k < n; k++)
            CU_ASSERT_EQUAL_FATAL(hash_set(&v, field_number(k, field), slice_str("value"), NULL), STORE_OK);
        fill(&f, &b, n, T0 * 1000ull + 100000, 17);
        double with = (double)entry_memory(get(&f, 0, "b")), without = (double)entry_memory(get(&f, 0, "a"));
        CU_ASSERT_TRUE((with - without) / n <= (n > 128 ? 18 : 8 + without / n / 4));
        if (getenv("MEASURE"))
            printf("# %u fields: %.1f bytes a field, with times %.1f\n", n, without / n, with / n);
        fixture_close(&f);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_upkeep_takes_fields_in_slices),
                                             UNIT(test_upkeep_alone),
                                             UNIT(test_volatile_eviction_passes_them_by),
                                             UNIT(test_compaction),
                                             UNIT(test_copy_to_another_shard),
                                             UNIT(test_rdb_forms_are_read),
                                             UNIT(test_bytes_a_field),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/hash_upkeep", tests);
}

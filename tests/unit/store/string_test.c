/* string_test.c: encodings, growth, values that lie in the store, long keys and values, moves between shards.
 */
#include "fixture.h"

static const char *encoding(struct fixture *f, const char *key)
{
    struct entry *e = get(f, 0, key);
    return e ? entry_encoding(e) : "none";
}

static void test_encodings_are_redis(void)
{
    static const struct {
        const char *value, *encoding;
    } rows[] = {{"12345", "int"},
                {"-9223372036854775808", "int"},
                {"9223372036854775807", "int"},
                {"9223372036854775808", "embstr"},
                {"-0", "embstr"},
                {"007", "embstr"},
                {"+1", "embstr"},
                {" 1", "embstr"},
                {"", "embstr"},
                {"-", "embstr"},
                {"0", "int"},
                {"99999999999999999999", "embstr"},
                {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "embstr"},
                {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", "raw"}};
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        set(&f, 0, "k", rows[i].value, 0);
        CU_ASSERT_STRING_EQUAL(encoding(&f, "k"), rows[i].encoding);
        CU_ASSERT_TRUE(holds(&f, 0, "k", rows[i].value));
    }
    struct key k = key_of(&f, "k");
    store_set_string(f.s, 0, &k, slice_str("12"), 0, SET_RAW);
    CU_ASSERT_STRING_EQUAL(encoding(&f, "k"), "raw");
    int64_t v = 0;
    CU_ASSERT_TRUE(entry_int(get(&f, 0, "k"), &v));
    CU_ASSERT_EQUAL(v, 12);
    fixture_close(&f);
}

static void test_growth_keeps_bytes_and_zeroes_new_ones(void)
{
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    uint8_t *bytes;
    set(&f, 0, "k", "77", 0);
    for (size_t len = 2; len < 400000; len += 1 + len / 50) {
        CU_ASSERT_EQUAL_FATAL(store_string_grow(f.s, 0, &k, len, &bytes), STORE_OK);
        CU_ASSERT_TRUE(bytes[0] == '7' && bytes[len - 1] == (len > 2 ? 0 : '7'));
        CU_ASSERT_STRING_EQUAL(encoding(&f, "k"), "raw");
        memset(bytes + 2, 'x', len - 2);
        if (len > 2)
            CU_ASSERT_EQUAL(bytes[len - 2], len > 3 ? 'x' : '7');
        memset(bytes + 2, 0, len - 2);
    }
    char scratch[24];
    size_t before = entry_string(get(&f, 0, "k"), scratch).len;
    CU_ASSERT_EQUAL(store_string_grow(f.s, 0, &k, 1, &bytes), STORE_OK); /* never shorter */
    CU_ASSERT_EQUAL(entry_string(get(&f, 0, "k"), scratch).len, before);
    store_delete(f.s, 0, &k);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

/* The value is a slice of the very string that it replaces, or of another key's. */
static void test_a_value_may_lie_in_the_store(void)
{
    static char text[200000];
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    for (size_t len = 1; len < sizeof text; len = len * 3 + 1) {
        for (size_t from = 0; from < len; from += 1 + len / 3) {
            for (size_t i = 0; i < len; i++)
                text[i] = (char)('a' + i % 23);
            struct key k = key_of(&f, "key"), other = key_of(&f, "other");
            store_set_string(f.s, 0, &k, (struct slice){(uint8_t *)text, len}, 0, 0);
            char scratch[24];
            struct slice v = entry_string(get(&f, 0, "key"), scratch);
            v.p += from;
            v.len -= from;
            CU_ASSERT_EQUAL(store_set_string(f.s, 0, &other, v, 0, 0), STORE_OK);
            v = entry_string(get(&f, 0, "key"), scratch);
            v.p += from;
            v.len -= from;
            CU_ASSERT_EQUAL(store_set_string(f.s, 0, &k, v, from % 2 ? shard_time(f.s) + 5 : 0, 0), STORE_OK);
            struct slice want = {(uint8_t *)text + from, len - from};
            CU_ASSERT_TRUE(slice_eq(entry_string(get(&f, 0, "key"), scratch), want));
            CU_ASSERT_TRUE(slice_eq(entry_string(get(&f, 0, "other"), scratch), want));
        }
    }
    fixture_close(&f);
}

static void test_a_key_may_be_the_stored_one(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "some key", "v", 0);
    struct key k = keyspace_key(f.ks, entry_key(get(&f, 0, "some key")));
    store_set_string(f.s, 0, &k, slice_str("another value, longer than the first one"), shard_time(f.s) + 9,
                     0);
    k = keyspace_key(f.ks, entry_key(get(&f, 0, "some key")));
    store_set_expire(f.s, 0, &k, 0);
    k = keyspace_key(f.ks, entry_key(get(&f, 0, "some key")));
    CU_ASSERT_TRUE(store_delete(f.s, 0, &k));
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_long_keys_and_values(void)
{
    static const size_t lens[] = {0,    1,    15,   16,    17,    254,    255,    256,    1023,
                                  1024, 1025, 4096, 65535, 65536, 262144, 262145, 5 << 20};
    enum { N = sizeof lens / sizeof *lens };
    struct fixture f;
    uint8_t *big = malloc(5 << 20);
    memset(big, 'b', 5 << 20);
    fixture_open(&f, 128 << 20, 0, POLICY_NOEVICTION, 1);
    for (unsigned i = 0; i < N; i++)
        for (unsigned j = 0; j < N; j++) {
            struct key k = keyspace_key(f.ks, (struct slice){big, lens[i]});
            struct slice value = {big, lens[j]};
            char scratch[24];
            CU_ASSERT_EQUAL_FATAL(store_set_string(f.s, 0, &k, value, j % 3 ? 0 : shard_time(f.s) + 1000, 0),
                                  STORE_OK);
            struct entry *e = store_find(f.s, 0, &k, LOOK_READ);
            CU_ASSERT_TRUE_FATAL(e && slice_eq(entry_key(e), k.name) &&
                                 slice_eq(entry_string(e, scratch), value));
            struct key to = key_of(&f, "renamed");
            CU_ASSERT_EQUAL(store_rename(f.s, 0, &k, f.s, 1, &to), STORE_OK);
            CU_ASSERT_EQUAL(store_rename(f.s, 1, &to, f.s, 0, &k), STORE_OK);
            CU_ASSERT_EQUAL(keys_in(f.s, 1), 0);
        }
    CU_ASSERT_EQUAL(keys_in(f.s, 0), N);
    store_flush(f.s, UINT_MAX);
    upkeep_all(f.s);
    CU_ASSERT_EQUAL(used(f.s), 0);
    free(big);
    fixture_close(&f);
}

static void test_a_value_of_512_mb(void)
{
    struct fixture f;
    uint8_t *bytes;
    fixture_open(&f, 1600ull << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    CU_ASSERT_EQUAL_FATAL(store_string_grow(f.s, 0, &k, 1, &bytes), STORE_OK);
    bytes[0] = 'x';
    /* SETRANGE k 536870911 y */
    CU_ASSERT_EQUAL_FATAL(store_string_grow(f.s, 0, &k, 512 << 20, &bytes), STORE_OK);
    CU_ASSERT_TRUE(bytes[0] == 'x' && bytes[(512 << 20) - 1] == 0);
    CU_ASSERT_TRUE(store_delete(f.s, 0, &k));
    CU_ASSERT_EQUAL(used(f.s), 0);
    fixture_close(&f);
}

static void test_between_shards(void)
{
    static uint8_t text[5000];
    struct fixture f;
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 2);
    struct shard *a = f.ks->shard[0], *b = f.ks->shard[1];
    for (size_t len = 0; len < sizeof text; len += 1 + len) {
        struct key k = key_of(&f, "from"), to = key_of(&f, "to");
        char scratch[24];
        store_set_string(a, 0, &k, (struct slice){text, len}, shard_time(a) + 5000, 0);
        CU_ASSERT_EQUAL(store_copy(a, 0, &k, b, 2, &to), STORE_OK);
        CU_ASSERT_EQUAL(store_rename(a, 0, &k, b, 2, &to), STORE_OK);
        struct entry *e = store_find(b, 2, &to, LOOK_READ);
        CU_ASSERT_TRUE_FATAL(e && entry_string(e, scratch).len == len);
        CU_ASSERT_EQUAL(entry_expire_at(e), shard_time(a) + 5000);
        CU_ASSERT_EQUAL(keys_in(a, 0), 0);
    }
    shard_set_time(b, shard_time(b) + 6000);
    upkeep_all(a);
    upkeep_all(b);
    CU_ASSERT_EQUAL(used(a), 0);
    CU_ASSERT_EQUAL(used(b), 0);
    fixture_close(&f);
}

static void test_keepttl_and_integers(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    uint64_t when = shard_time(f.s) + 1000;
    set(&f, 0, "k", "1", when);
    CU_ASSERT_EQUAL(store_set_int(f.s, 0, &k, -42), STORE_OK);
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "k")), when);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "-42"));
    store_set_string(f.s, 0, &k, slice_str("text that is not a number"), 0, SET_KEEPTTL);
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "k")), when);
    store_set_int(f.s, 0, &k, INT64_MIN);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "-9223372036854775808"));
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "k")), when);
    set(&f, 0, "k", "v", 0);
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "k")), 0);
    fixture_close(&f);
}

/* A look-up that is skipped, as of a key of another shard, writes no more of its hint than that. */
static void test_a_hint_of_nothing_says_nothing(void)
{
    struct fixture f;
    struct ahead_row row;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    struct key k = key_of(&f, "k");
    memset(&row, 0xff, sizeof row);
    ahead_begin(&row);
    store_ahead_skip(&row);
    CU_ASSERT_EQUAL(store_set_string_ahead(f.s, 0, &k, slice_str("some text"), 0, 0, &row.at[0]), STORE_OK);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "some text"));
    fixture_close(&f);
}

/* What a row could not store for want of memory answers so in the general way, too, wherever in the row it stands. */
static void test_what_a_row_refused_is_not_tried_again(void)
{
    for (unsigned bad = 0; bad < AHEAD_ROW; bad++) {
        struct fixture f;
        struct ahead_row row;
        char text[AHEAD_ROW][16];
        fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
        ahead_begin(&row);
        for (unsigned i = 0; i < AHEAD_ROW; i++) {
            snprintf(text[i], sizeof text[i], "key:%u", i);
            store_ahead(f.s, &row, 0, key_of(&f, text[i]).hash);
        }
        for (unsigned i = 0; i < AHEAD_ROW; i++) {
            struct key k = key_of(&f, text[i]);
            if (i == bad)
                f.s->heap.fail_in = 1;
            CU_ASSERT_EQUAL(store_put_ahead(f.s, 0, &row, i, k.name, slice_str("some text"), 0), i != bad);
            if (i != bad)
                continue;
            CU_ASSERT_EQUAL(f.s->heap.fail_in, 0);
            store_look_ahead(f.s, &row, i);
            CU_ASSERT_EQUAL(store_set_string_ahead(f.s, 0, &k, slice_str("some text"), 0, 0, &row.at[i]), STORE_OOM);
            CU_ASSERT_PTR_NULL(get(&f, 0, text[i]));
        }
        CU_ASSERT_EQUAL(keys_in(f.s, 0), AHEAD_ROW - 1);
        fixture_close(&f);
    }
}

/* One of a row of 32, which may be the key of another, and whose key may go before its turn. */
static void row_turn(struct fixture *f, struct ahead_row *row, unsigned i, const char *text, unsigned what, const char *value)
{
    struct key k = key_of(f, text);
    uint64_t now = shard_time(f->s);
    uint64_t expire_at = what == 2 ? 0 : now + 60000;
    bool good = true;
    if (what == 0)
        store_delete(f->s, 0, &k);
    else if (what == 1)
        store_set_expire(f->s, 0, &k, now + 1);
    else if (row)
        good = store_put_ahead(f->s, 0, row, i, k.name, slice_str(value), expire_at);
    else
        good = store_set_string(f->s, 0, &k, slice_str(value), expire_at, 0) == STORE_OK;
    CU_ASSERT_TRUE_FATAL(good);
}

static uint64_t same_in_both(struct fixture *f, unsigned keys)
{
    uint64_t found = 0;
    for (unsigned id = 0; id < keys; id++) {
        char text[32], scratch[2][24];
        snprintf(text, sizeof text, "key:%u", id);
        struct key k = key_of(&f[0], text);
        const struct entry *a = store_peek(f[0].s, 0, &k), *b = store_peek(f[1].s, 0, &k);
        CU_ASSERT_EQUAL_FATAL(a == NULL, b == NULL);
        if (!a)
            continue;
        found++;
        struct slice one = entry_string(a, scratch[0]), other = entry_string(b, scratch[1]);
        CU_ASSERT_TRUE(one.len == other.len && memcmp(one.p, other.p, one.len) == 0);
        CU_ASSERT_EQUAL(entry_expire_at(a), entry_expire_at(b));
    }
    return found;
}

/* In rows, with hints that know which keys are not there, the same keys are stored and evicted as one by one. */
static void test_rows_store_what_single_ones_do(void)
{
    enum { KEYS = 60000, ROWS = 3000 };
    struct fixture f[2];
    struct ahead_row row;
    unsigned id[AHEAD_ROW];
    uint64_t random = 11;
    for (unsigned i = 0; i < 2; i++)
        fixture_open(&f[i], 16 << 20, 1 << 20, POLICY_ALLKEYS_LRU, 1);
    for (unsigned n = 0; n < ROWS; n++) {
        char text[32], value[80];
        ahead_begin(&row);
        for (unsigned i = 0; i < AHEAD_ROW; i++) {
            id[i] = i % 4 == 3 ? id[i - 1 - next_random(&random) % 3] : (unsigned)(next_random(&random) % KEYS);
            snprintf(text, sizeof text, "key:%u", id[i]);
            store_ahead(f[0].s, &row, 0, key_of(&f[0], text).hash);
        }
        for (unsigned i = 0; i < AHEAD_ROW; i++) {
            unsigned what = (unsigned)(next_random(&random) % 16);
            snprintf(text, sizeof text, "key:%u", id[i]);
            snprintf(value, sizeof value, "%0*u", what < 8 ? 64 : (int)what, id[i]);
            row_turn(&f[0], &row, i, text, what, value);
            row_turn(&f[1], NULL, i, text, what, value);
            CU_ASSERT_TRUE_FATAL(used(f[0].s) <= 1 << 20);
        }
        for (unsigned i = 0; i < 2; i++) {
            shard_set_time(f[i].s, shard_time(f[i].s) + 20);
            shard_upkeep(f[i].s, 64);
        }
    }
    CU_ASSERT_TRUE(f[0].counters[0].v[COUNTER_evicted_keys] > ROWS * AHEAD_ROW / 4);
    CU_ASSERT_EQUAL(f[0].counters[0].v[COUNTER_evicted_keys], f[1].counters[0].v[COUNTER_evicted_keys]);
    CU_ASSERT_EQUAL(used(f[0].s), used(f[1].s));
    CU_ASSERT_EQUAL(same_in_both(f, KEYS), keys_in(f[0].s, 0));
    for (unsigned i = 0; i < 2; i++)
        fixture_close(&f[i]);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_encodings_are_redis),
                                             UNIT(test_growth_keeps_bytes_and_zeroes_new_ones),
                                             UNIT(test_a_value_may_lie_in_the_store),
                                             UNIT(test_a_key_may_be_the_stored_one),
                                             UNIT(test_long_keys_and_values),
                                             UNIT(test_a_value_of_512_mb),
                                             UNIT(test_between_shards),
                                             UNIT(test_keepttl_and_integers),
                                             UNIT(test_a_hint_of_nothing_says_nothing),
                                             UNIT(test_what_a_row_refused_is_not_tried_again),
                                             UNIT(test_rows_store_what_single_ones_do),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/string", tests);
}

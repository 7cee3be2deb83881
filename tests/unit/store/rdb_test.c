/* rdb_test.c: the RDB form of values: lengths, strings in all their forms, DUMP payloads; what is damaged or
 * cut off is refused and changes nothing; allocation that fails. */
#include "base/crc64.h"
#include "fixture.h"
#include "store/rdb.h"

static uint64_t state;
static uint64_t next(uint64_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % below;
}

static void test_checksum_is_redis(void)
{
    CU_ASSERT_EQUAL(crc64(0, "123456789", 9), 0xe9c6d914c4b8d9caull);
    CU_ASSERT_EQUAL(crc64(crc64(0, "1234", 4), "56789", 5), 0xe9c6d914c4b8d9caull);
}

static void test_lengths_read_back_in_the_shortest_form(void)
{
    static const struct {
        uint64_t len;
        size_t bytes;
    } rows[] = {{0, 1},     {63, 1},         {64, 2},         {16383, 2},
                {16384, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}, {UINT64_MAX, 9}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rdb_writer w = {0};
        rdb_put_len(&w, rows[i].len);
        CU_ASSERT_EQUAL(w.len, rows[i].bytes);
        struct rdb_reader r = {.p = w.p, .left = w.len};
        CU_ASSERT_EQUAL(rdb_take_len(&r), rows[i].len);
        CU_ASSERT_TRUE(!r.bad && r.left == 0);
        rdb_writer_free(&w);
    }
}

static size_t random_text(uint8_t *to, size_t room)
{
    size_t len = next(next(2) ? 24 : room);
    unsigned letters = 1 + (unsigned)next(next(2) ? 3 : 255);
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(next(2) ? '0' + next(letters > 10 ? 10 : letters) : next(letters));
    if (next(3) == 0)
        len = (size_t)snprintf((char *)to, room, "%lld",
                               (long long)(next(1ull << 31) << next(33)) - (int)next(400));
    return len;
}

/* Reading ends exactly where writing did, and no shorter input is taken. */
static void test_strings_read_back_and_no_cut_is_taken(void)
{
    static uint8_t text[3000];
    state = 7;
    for (int round = 0; round < 400; round++) {
        struct slice s = {text, random_text(text, sizeof text)};
        struct rdb_writer w = {.compress = round % 2};
        struct rdb_text back;
        rdb_put_string(&w, s);
        struct rdb_reader r = {.p = w.p, .left = w.len};
        CU_ASSERT_TRUE(rdb_take_string(&r, &back) && slice_eq(back.s, s) && r.left == 0);
        rdb_text_free(&back);
        for (size_t cut = 0; cut < w.len; cut += 1 + cut / 8) {
            uint8_t *part = malloc(cut ? cut : 1); /* of its own: a read beyond the end shows */
            memcpy(part, w.p, cut);
            r = (struct rdb_reader){.p = part, .left = cut};
            CU_ASSERT_FALSE(rdb_take_string(&r, &back));
            CU_ASSERT_PTR_NULL(back.own);
            free(part);
        }
        rdb_writer_free(&w);
    }
}

static struct slice dumped(struct fixture *f, struct rdb_writer *w, const char *key)
{
    rdb_put_value(w, f->s, get(f, 0, key));
    rdb_put_footer(w);
    CU_ASSERT_FALSE(w->failed);
    return (struct slice){w->p, w->len};
}

static void test_any_flipped_bit_fails_the_checksum(void)
{
    struct fixture f;
    struct rdb_writer w = {.compress = true};
    struct slice body;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "k", "some text of a value", 0);
    struct slice payload = dumped(&f, &w, "k");
    CU_ASSERT_TRUE(rdb_check_payload(payload, &body, NULL));
    CU_ASSERT_EQUAL(body.len, payload.len - 10);
    for (size_t bit = 0; bit < 8 * payload.len; bit++) {
        w.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        CU_ASSERT_FALSE(rdb_check_payload(payload, &body, NULL));
        w.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < payload.len; len++)
        CU_ASSERT_FALSE(rdb_check_payload((struct slice){w.p, len}, &body, NULL));
    rdb_writer_free(&w);
    fixture_close(&f);
}

static enum rdb_result restored(struct fixture *f, const char *key, struct slice body)
{
    struct key k = key_of(f, key);
    struct rdb_reader r = {.p = body.p, .left = body.len};
    return rdb_take_value(&r,
                          &(struct rdb_target){.shard = f->s, .key = &k, .expire_at = T0 * 1000ull + 5000});
}

static void test_a_value_that_cannot_be_read_leaves_the_old_one(void)
{
    static const char *const bad[] = {"",
                                      "\x00",
                                      "\xff",
                                      "\x06"
                                      "abc",
                                      "\x00\x05"
                                      "abc",
                                      "\x00\xc4",
                                      "\x00\xc2\x01",
                                      "\x00\xc3\x05\x0a"
                                      "ab",
                                      "\x00\xc3\x02\x81\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                                      "a",
                                      "\x00\xc3\x03\x14\xe0\x0b\xc8"};
    static const size_t len[] = {0, 1, 1, 4, 5, 2, 3, 6, 14, 7};
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_NOEVICTION, 1);
    set(&f, 0, "k", "old", 0);
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        CU_ASSERT_EQUAL(restored(&f, "k", (struct slice){(const uint8_t *)bad[i], len[i]}), RDB_BAD);
        CU_ASSERT_TRUE(holds(&f, 0, "k", "old"));
    }
    CU_ASSERT_EQUAL(restored(&f, "k", SLICE_LIT("\x00\x03new")), RDB_OK);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "new"));
    CU_ASSERT_EQUAL(entry_expire_at(get(&f, 0, "k")), T0 * 1000ull + 5000);
    fixture_close(&f);
}

static void test_no_memory_leaves_the_old_value(void)
{
    enum { BIG = 300000 };
    struct fixture f;
    fixture_open(&f, 16 << 20, 200000, POLICY_NOEVICTION, 1);
    set(&f, 0, "k", "old", 0);
    struct rdb_writer w = {.compress = true};
    uint8_t *text = calloc(1, BIG);
    rdb_put_byte(&w, RDB_STRING);
    rdb_put_string(&w, (struct slice){text, BIG});
    CU_ASSERT_TRUE(w.len < BIG / 10);
    CU_ASSERT_EQUAL(restored(&f, "k", (struct slice){w.p, w.len}), RDB_OOM);
    CU_ASSERT_TRUE(holds(&f, 0, "k", "old"));
    rdb_writer_free(&w);
    free(text);
    fixture_close(&f);
}

static void test_access_clock_as_the_policy_keeps_it(void)
{
    struct fixture f;
    fixture_open(&f, 16 << 20, 0, POLICY_ALLKEYS_LRU, 1);
    set(&f, 0, "k", "v", 0);
    struct key k = key_of(&f, "k");
    struct entry *e = store_find(f.s, 0, &k, LOOK_NOTOUCH);
    entry_set_access(f.s, e, 1000, 77);
    CU_ASSERT_EQUAL(entry_idle_seconds(f.s, e), 1000);
    entry_set_access(f.s, e, -1, 77);
    CU_ASSERT_EQUAL(entry_idle_seconds(f.s, e), 1000);
    entry_set_access(f.s, e, INT64_MAX, -1);
    CU_ASSERT_EQUAL(entry_idle_seconds(f.s, e), (1 << 23) - 1); /* 97 days */
    f.conf.maxmemory_policy = POLICY_ALLKEYS_LFU;
    shard_configure(f.s, &f.conf);
    entry_set_access(f.s, e, 1000, 77);
    CU_ASSERT_EQUAL(entry_frequency(f.s, e), 77);
    fixture_close(&f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_checksum_is_redis),
                                             UNIT(test_lengths_read_back_in_the_shortest_form),
                                             UNIT(test_strings_read_back_and_no_cut_is_taken),
                                             UNIT(test_any_flipped_bit_fails_the_checksum),
                                             UNIT(test_a_value_that_cannot_be_read_leaves_the_old_one),
                                             UNIT(test_no_memory_leaves_the_old_value),
                                             UNIT(test_access_clock_as_the_policy_keeps_it),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/rdb", tests);
}

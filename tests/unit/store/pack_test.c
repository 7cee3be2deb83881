/* pack_test.c: packs: the sizes that pack.h promises, both directions, and random changes against an array.
 */
#include "store/pack.h"
#include "base/number.h"
#include "fixture.h"

enum { ROOM = 1 << 16, MODEL = 700 };

static uint8_t buffer[ROOM];

static uint32_t size_of(const char *text)
{
    return item_of(slice_str(text)).size;
}

/* The redis listpack takes one byte more for 0..127 and the same otherwise. */
static void test_sizes_are_those_of_a_listpack_or_smaller(void)
{
    static const struct {
        const char *text;
        uint32_t size;
    } cases[] = {{"0", 1},
                 {"127", 1},
                 {"128", 3},
                 {"-1", 3},
                 {"4095", 3},
                 {"-4096", 3},
                 {"4096", 4},
                 {"-4097", 4},
                 {"32767", 4},
                 {"-32768", 4},
                 {"32768", 5},
                 {"8388607", 5},
                 {"8388608", 6},
                 {"-8388608", 5},
                 {"2147483647", 6},
                 {"2147483648", 7},
                 {"-2147483649", 7},
                 {"9223372036854775807", 10},
                 {"-9223372036854775808", 10},
                 {"9223372036854775808", 21},
                 {"", 2},
                 {"a", 3},
                 {"007", 5},
                 {"-0", 4},
                 {"+1", 4},
                 {" 1", 4},
                 {"1.5", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        CU_ASSERT_EQUAL(size_of(cases[i].text), cases[i].size);
}

static void test_text_of_every_length_is_read_from_both_ends(void)
{
    static uint8_t text[70000], big[80000];
    memset(text, 'x', sizeof text);
    static const uint32_t lengths[] = {0,    1,    62,   63,    64,    109,   110,  111,
                                       112,  113,  366,  367,   3949,  3950,  3951, 4094,
                                       4095, 4096, 4097, 20000, 65535, 65536, 70000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct pack pk = pack_init(big);
        struct item in = item_of((struct slice){text, lengths[i]}), seven = item_of_number(7), out;
        pack_insert(&pk, 0, &seven);
        pack_insert(&pk, 1, &in);
        pack_insert(&pk, pack_end(pk), &seven);
        CU_ASSERT_TRUE(pack_check(pk.p, pk.len));
        CU_ASSERT_EQUAL(pack_next(pk, 1), 1 + in.size);
        CU_ASSERT_EQUAL(pack_prev(pk, 1 + in.size), 1);
        CU_ASSERT_TRUE(pack_get(pk, 1, &out) && item_eq(&in, &out) && out.size == in.size);
        CU_ASSERT_EQUAL(pack_find(pk, 0, &in, 1), 1);
    }
}

static void test_numbers_come_back(void)
{
    for (unsigned shift = 0; shift < 64; shift++)
        for (int around = -2; around <= 2; around++)
            for (int sign = 0; sign < 2; sign++) {
                uint64_t raw = (1ull << shift) + (uint64_t)(int64_t)around;
                int64_t v = (int64_t)(sign ? 0 - raw : raw);
                struct pack pk = pack_init(buffer);
                struct item in = item_of_number(v), out;
                char text[PACK_TEXT];
                pack_insert(&pk, 0, &in);
                CU_ASSERT_TRUE(pack_get(pk, 0, &out) && out.is_number && out.number == v);
                CU_ASSERT_EQUAL(pack_prev(pk, pack_end(pk)), 0);
                struct item again = item_of(item_text(&out, text));
                CU_ASSERT_TRUE(item_eq(&again, &in) && again.size == in.size);
                CU_ASSERT_TRUE(pack_check(pk.p, pk.len));
            }
}

static void test_find_before_a_place_stops_there(void)
{
    struct pack pk = pack_init(buffer);
    struct item a = item_of(slice_str("a")), b = item_of(slice_str("b"));
    pack_insert(&pk, 0, &a);
    pack_insert(&pk, a.size, &b);
    CU_ASSERT_EQUAL(pack_find_before(pk, 0, a.size, &a, 1), 0);
    CU_ASSERT_EQUAL(pack_find_before(pk, 0, a.size, &b, 1), PACK_NOWHERE);
    CU_ASSERT_EQUAL(pack_find_before(pk, 0, 0, &a, 1), PACK_NOWHERE);
}

static void test_find_with_a_stride_looks_at_fields_only(void)
{
    struct pack pk = pack_init(buffer);
    static const char *const elements[] = {"b", "a", "a", "1", "1", "b"};
    for (unsigned i = 0; i < 6; i++) {
        struct item item = item_of(slice_str(elements[i]));
        pack_insert(&pk, pack_end(pk), &item);
    }
    struct item a = item_of(slice_str("a")), one = item_of(slice_str("1")), c = item_of(slice_str("c"));
    CU_ASSERT_EQUAL(pack_find(pk, 0, &a, 1), pack_seek(pk, 1));
    CU_ASSERT_EQUAL(pack_find(pk, 0, &a, 2), pack_seek(pk, 2));
    CU_ASSERT_EQUAL(pack_find(pk, 0, &one, 2), pack_seek(pk, 4));
    CU_ASSERT_EQUAL(pack_find(pk, pack_seek(pk, 4), &one, 2), pack_seek(pk, 4));
    CU_ASSERT_EQUAL(pack_find(pk, 0, &c, 1), PACK_NOWHERE);
}

static void test_what_is_malformed_is_refused(void)
{
    static const struct {
        uint8_t bytes[12];
        uint64_t len;
    } bad[] = {{{0}, 0},                           /* nothing at all */
               {{1}, 1},                           /* counts an element that is not there */
               {{5, 0}, 2},                        /* does not count one that is */
               {{0x81, 'a', 0x80, 1}, 4},          /* wrong step back */
               {{0x81, '7', 0x81, 1}, 4},          /* a number as text */
               {{0xc0, 7, 0x81, 1}, 4},            /* a small number in a long form */
               {{0xf0, 7, 0x81, 1}, 4},            /* the same */
               {{0xe0, 1, 'a', 0x82, 1}, 5},       /* a short string in a long form */
               {{0xf9, 1, 2, 3, 4, 5, 1}, 7},      /* no such tag */
               {{0xf8, 255, 255, 255, 255, 1}, 6}, /* longer than the pack */
               {{0xf8, 1}, 2},                     /* the length is cut */
               {{1, 0, 0, 0, 255}, 5}};            /* a small count in the long form */
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CU_ASSERT_FALSE(pack_check(bad[i].bytes, bad[i].len));
    static const uint8_t good[] = {0x81, 'a', 0x81, 5, 2};
    CU_ASSERT_TRUE(pack_check(good, sizeof good));
}

/* -- random changes against an array of texts */

struct model {
    unsigned count;
    char text[MODEL][400];
    size_t len[MODEL];
};
static struct model model;

static size_t random_text(uint64_t *seed, char *text)
{
    uint64_t r = next_random(seed);
    switch (r % 4) {
    case 0:
        return format_i64(text, (int64_t)(r >> 8 & 255) - 20);
    case 1:
        return format_i64(text, (int64_t)next_random(seed) >> (r >> 8 & 63));
    case 2:
        memset(text, 'a' + (int)(r >> 8 & 3), 3);
        return r >> 16 & 3;
    default:
        memset(text, 'x', 400);
        return (r >> 8) % 400;
    }
}

static void compare(struct pack pk)
{
    struct item item;
    char scratch[PACK_TEXT];
    unsigned i = 0;
    uint32_t at = pack_first(pk), places[MODEL];
    CU_ASSERT_EQUAL(pack_count(pk), model.count);
    for (; pack_get(pk, at, &item) && i < model.count; at += item.size, i++) {
        places[i] = at;
        CU_ASSERT_TRUE(slice_eq(item_text(&item, scratch),
                                (struct slice){(const uint8_t *)model.text[i], model.len[i]}));
    }
    CU_ASSERT_EQUAL(i, model.count);
    CU_ASSERT_EQUAL(at, pack_end(pk));
    while ((at = pack_prev(pk, at)) != PACK_NOWHERE) {
        i--;
        CU_ASSERT_EQUAL(at, places[i]);
        CU_ASSERT_EQUAL(at, pack_seek(pk, i));
        CU_ASSERT_EQUAL(at, pack_seek(pk, (int64_t)i - model.count));
    }
    CU_ASSERT_EQUAL(i, 0);
    CU_ASSERT_EQUAL(pack_seek(pk, model.count), PACK_NOWHERE);
    CU_ASSERT_EQUAL(pack_seek(pk, -(int64_t)model.count - 1), PACK_NOWHERE);
    CU_ASSERT_TRUE(pack_check(pk.p, pk.len));
}

static void model_open(unsigned i, const char *text, size_t len)
{
    memmove(model.text[i + 1], model.text[i], sizeof model.text[0] * (model.count - i));
    memmove(model.len + i + 1, model.len + i, sizeof model.len[0] * (model.count - i));
    model.count++;
    memcpy(model.text[i], text, len);
    model.len[i] = len;
}

static void step(struct pack *pk, uint64_t *seed, unsigned most)
{
    char text[400];
    size_t len = random_text(seed, text);
    struct item item = item_of((struct slice){(const uint8_t *)text, len});
    uint64_t r = next_random(seed), expect;
    unsigned at = (unsigned)((r >> 8) % (model.count + 1));
    uint32_t place = at < model.count ? pack_seek(*pk, at) : pack_end(*pk);
    if (r % 8 < 5 && model.count < most) {
        expect = pack_len_after(*pk, item.size, 0, 1);
        pack_insert(pk, place, &item);
        model_open(at, text, len);
    } else if (r % 8 < 7 && at < model.count) {
        expect = pack_len_after(*pk, item.size, pack_next(*pk, place) - place, 0);
        pack_replace(pk, place, &item);
        memcpy(model.text[at], text, len);
        model.len[at] = len;
    } else {
        unsigned n = (unsigned)((r >> 40) % (model.count - at + 1));
        uint32_t to = place;
        for (unsigned i = 0; i < n; i++)
            to = pack_next(*pk, to);
        expect = pack_len_after(*pk, 0, to - place, -(int64_t)n);
        pack_delete(pk, place, n);
        model.count -= n;
        memmove(model.text[at], model.text[at + n], sizeof model.text[0] * (model.count - at));
        memmove(model.len + at, model.len + at + n, sizeof model.len[0] * (model.count - at));
    }
    CU_ASSERT_EQUAL(pk->len, expect);
}

static void test_random_changes_match_an_array(void)
{
    uint64_t seed = 1;
    struct pack pk = pack_init(buffer);
    static uint8_t larger[400 * MODEL];
    model.count = 0;
    for (unsigned i = 0; i < 3000; i++) {
        step(&pk, &seed, 20);
        compare(pk);
    }
    /* Beyond the short form of the count and back. */
    memcpy(larger, pk.p, pk.len);
    pk.p = larger;
    for (unsigned i = 0; i < 3000; i++) {
        step(&pk, &seed, 300 + i / 10);
        if (i % 10 == 0)
            compare(pk);
    }
}

static void test_raw_insertion_moves_elements_between_packs(void)
{
    static uint8_t other[1000];
    struct pack from = pack_init(buffer), to = pack_init(other);
    for (int64_t i = 0; i < 300; i++) {
        struct item item = item_of_number(i);
        pack_insert(&from, pack_end(from), &item);
    }
    uint32_t half = pack_seek(from, 150);
    pack_insert_raw(&to, 0, from, half, pack_end(from) - half, 150);
    pack_insert_raw(&to, 0, from, 0, half, 150);
    CU_ASSERT_EQUAL(pack_count(to), 300);
    CU_ASSERT_TRUE(to.len == from.len && memcmp(to.p, from.p, to.len) == 0);
    pack_insert_raw(&to, 0, from, 0, 0, 0);
    CU_ASSERT_EQUAL(pack_count(to), 300);
}

static void test_the_front_grows_and_shrinks_in_place(void)
{
    struct pack pk = pack_init(buffer + 5000);
    for (int64_t i = 0; i < 300; i++) {
        struct item item = item_of_number(i * 1000), out;
        uint64_t expect = pack_len_after(pk, item.size, 0, 1);
        pack_push_front(&pk, &item);
        CU_ASSERT_EQUAL(pk.len, expect);
        CU_ASSERT_TRUE(pack_get(pk, pack_first(pk), &out) && item_eq(&item, &out));
        CU_ASSERT_TRUE(pack_check(pk.p, pk.len));
    }
    for (uint32_t left = 300, n; left > 0; left -= n) {
        struct item out;
        n = left % 3 + 1 < left ? left % 3 + 1 : left;
        pack_drop_front(&pk, n);
        CU_ASSERT_TRUE(pack_check(pk.p, pk.len));
        CU_ASSERT_EQUAL(pack_count(pk), left - n);
        CU_ASSERT_TRUE(!pack_get(pk, 0, &out) || out.number == (pack_count(pk) - 1) * 1000);
    }
    CU_ASSERT_EQUAL(pk.len, PACK_EMPTY);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_sizes_are_those_of_a_listpack_or_smaller),
                                             UNIT(test_text_of_every_length_is_read_from_both_ends),
                                             UNIT(test_numbers_come_back),
                                             UNIT(test_find_before_a_place_stops_there),
                                             UNIT(test_find_with_a_stride_looks_at_fields_only),
                                             UNIT(test_what_is_malformed_is_refused),
                                             UNIT(test_random_changes_match_an_array),
                                             UNIT(test_raw_insertion_moves_elements_between_packs),
                                             UNIT(test_the_front_grows_and_shrinks_in_place),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/pack", tests);
}

/* bits_test.c: the loops over bits against slow, obvious ones, and what BITOP does with its operands. */
#include <stdlib.h>

#include "command/bits.h"
#include "engine.h"
#include "unit.h"

static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
    return unit_random(&seed);
}

static bool bit_at(const uint8_t *p, uint64_t i)
{
    return p[i / 8] >> (7 - i % 8) & 1;
}

/* A heap block of exactly n bytes, so that ASan sees a step too far. Sparse in zeros or ones. */
static uint8_t *random_bytes(size_t n)
{
    uint8_t *p = malloc(n ? n : 1);
    uint64_t kind = next() % 3;
    for (size_t i = 0; i < n; i++)
        p[i] = kind == 0 ? (uint8_t)next() : next() % 40 ? (uint8_t)(kind == 1 ? 0 : 0xff) : (uint8_t)next();
    return p;
}

static void test_count_and_find_agree_with_single_bits(void)
{
    for (size_t n = 0; n < 150; n++) {
        uint8_t *p = random_bytes(n);
        uint64_t ones = 0, first[2] = {n * 8, n * 8};
        for (uint64_t i = n * 8; i-- > 0;) {
            ones += bit_at(p, i);
            first[bit_at(p, i)] = i;
        }
        CU_ASSERT_EQUAL(bits_count(p, n), ones);
        CU_ASSERT_EQUAL(bits_find(p, n, false), first[0]);
        CU_ASSERT_EQUAL(bits_find(p, n, true), first[1]);
        free(p);
    }
}

static void test_combine_agrees_with_single_bytes(void)
{
    for (size_t n = 0; n < 80; n++)
        for (unsigned op = BITS_AND; op <= BITS_NOT; op++) {
            uint8_t *a = random_bytes(n), *b = random_bytes(n), *d = random_bytes(n);
            memcpy(d, a, n);
            bits_combine((enum bit_op)op, d, b, n);
            for (size_t i = 0; i < n; i++) {
                uint8_t want[] = {a[i] & b[i], a[i] | b[i], a[i] ^ b[i], (uint8_t)~b[i]};
                CU_ASSERT_EQUAL(d[i], want[op]);
            }
            free(a);
            free(b);
            free(d);
        }
}

static void test_fields_read_back_and_leave_their_neighbours(void)
{
    for (unsigned width = 1; width <= 64; width++)
        for (uint64_t offset = 0; offset < 20; offset++) {
            size_t n = (offset + width + 7) / 8;
            uint8_t *p = random_bytes(n), *before = malloc(n);
            uint64_t value = next() >> (64 - width);
            memcpy(before, p, n);
            bits_put(p, offset, width, value);
            CU_ASSERT_EQUAL(bits_get(p, n, offset, width), value);
            for (uint64_t i = 0; i < n * 8; i++)
                CU_ASSERT((i >= offset && i < offset + width) || bit_at(p, i) == bit_at(before, i));
            free(p);
            free(before);
        }
}

static void test_fields_beyond_the_end_are_zero(void)
{
    static const uint8_t ones[] = {0xff, 0xff};
    CU_ASSERT_EQUAL(bits_get(ones, 2, 12, 8), 0xf0);
    CU_ASSERT_EQUAL(bits_get(ones, 2, 16, 64), 0);
    CU_ASSERT_EQUAL(bits_get(NULL, 0, 4000000000, 1), 0);
}

static void test_bitop_over_shards_and_onto_a_source(void)
{
    struct engine *e = engine_new("workers 4\n");
    EXPECT(e, "MSET a abc b \"\\xff\\xff\\x00\\xff\" c x d d", "+OK\r\n");
    EXPECT(e, "BITOP AND b a b", ":4\r\n");
    EXPECT(e, "GET b", "$4\r\nab");
    CU_ASSERT(memcmp(e->reply, "$4\r\nab\0\0\r\n", 10) == 0);
    EXPECT(e, "BITOP OR b none1 none2", ":0\r\n");
    EXPECT(e, "EXISTS b", ":0\r\n");
    engine_free(e);
}

static void test_large_bitop_matches_small_steps(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "SETBIT a 100000 1", ":0\r\n");
    EXPECT(e, "SETBIT b 99999 1", ":0\r\n");
    EXPECT(e, "BITOP XOR c a b", ":12501\r\n");
    EXPECT(e, "BITCOUNT c", ":2\r\n");
    EXPECT(e, "BITPOS c 1", ":99999\r\n");
    EXPECT(e, "BITOP NOT c c", ":12501\r\n");
    EXPECT(e, "BITCOUNT c", ":100006\r\n");
    EXPECT(e, "BITPOS c 0 12500", ":100000\r\n");
    EXPECT(e, "BITPOS c 0 99999 -1 BIT", ":99999\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_count_and_find_agree_with_single_bits),
                                             UNIT(test_combine_agrees_with_single_bytes),
                                             UNIT(test_fields_read_back_and_leave_their_neighbours),
                                             UNIT(test_fields_beyond_the_end_are_zero),
                                             UNIT(test_bitop_over_shards_and_onto_a_source),
                                             UNIT(test_large_bitop_matches_small_steps),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/bits", tests);
}

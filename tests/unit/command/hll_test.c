/* hll_test.c: HyperLogLog values against plain registers: sparse and dense agree whatever is raised; values
 * of any bytes are refused or stay within bounds. That the bytes are Redis' own is shown by the differential
 * tests. */
#include <stdlib.h>

#include "command/hll.h"
#include "engine.h"
#include "unit.h"

static uint64_t seed = 88172645463325252u;

static uint64_t next(void)
{
    return unit_random(&seed);
}

static bool registers_are(const struct hll *h, const uint8_t *model)
{
    uint8_t max[HLL_REGISTERS] = {0};
    return hll_merge(max, (struct slice){h->bytes, h->len}) && memcmp(max, model, sizeof max) == 0;
}

/* Neighbours are raised more often than chance would, so that runs split and join. */
static void test_raised_registers_are_those_of_a_model(void)
{
    for (unsigned round = 0; round < 30; round++) {
        uint8_t *bytes = malloc(HLL_LONGEST + 4), model[HLL_REGISTERS] = {0};
        struct hll h = {.bytes = bytes, .sparse_max = round % 3 ? 3000 : HLL_LONGEST};
        unsigned near = (unsigned)(next() % HLL_REGISTERS);
        hll_init(&h);
        for (unsigned i = 0; i < 1500; i++) {
            unsigned index = (next() % 4 ? near + (unsigned)(next() % 9) : (unsigned)next()) % HLL_REGISTERS;
            unsigned value = 1 + (unsigned)(next() % (round % 5 ? 4 : 32));
            bool raised = value > model[index];
            CU_ASSERT_EQUAL(hll_raise(&h, index, value), raised ? HLL_CHANGED : HLL_SAME);
            model[index] = raised ? (uint8_t)value : model[index];
            if (i % 50 == 0) {
                near = (unsigned)(next() % HLL_REGISTERS);
                CU_ASSERT_TRUE_FATAL(registers_are(&h, model));
            }
        }
        CU_ASSERT_TRUE(registers_are(&h, model));
        uint64_t sparse = 0, dense = 1;
        CU_ASSERT_TRUE(hll_count((struct slice){h.bytes, h.len}, &sparse));
        hll_to_dense(&h);
        CU_ASSERT_TRUE(registers_are(&h, model) && h.len == HLL_DENSE_SIZE);
        CU_ASSERT_TRUE(hll_count((struct slice){h.bytes, h.len}, &dense) && sparse == dense);
        free(bytes);
    }
}

static void test_a_value_too_high_or_too_long_becomes_dense(void)
{
    uint8_t bytes[HLL_LONGEST + 4];
    struct hll h = {.bytes = bytes, .sparse_max = 20};
    hll_init(&h);
    CU_ASSERT_EQUAL(hll_raise(&h, 5, 32), HLL_CHANGED);
    CU_ASSERT_FALSE(hll_is_dense(bytes));
    CU_ASSERT_EQUAL(hll_raise(&h, 7, 1), HLL_CHANGED); /* 18 and 4 bytes more would be too many */
    CU_ASSERT_TRUE(hll_is_dense(bytes));
    hll_init(&h);
    CU_ASSERT_EQUAL(hll_raise(&h, 5, 33), HLL_CHANGED);
    CU_ASSERT_TRUE(hll_is_dense(bytes));
}

static void test_any_bytes_are_refused_or_stay_within_bounds(void)
{
    for (unsigned round = 0; round < 3000; round++) {
        size_t len = HLL_HEADER + next() % (round % 10 ? 60 : HLL_LONGEST - HLL_HEADER);
        uint8_t *bytes = malloc(HLL_LONGEST + 4), max[HLL_REGISTERS] = {0};
        struct hll h = {.bytes = bytes, .len = len, .sparse_max = 3000};
        hll_init(&h);
        h.len = len;
        for (size_t i = HLL_HEADER; i < len; i++)
            bytes[i] = (uint8_t)(next() % 5 ? 0x7f : next());
        uint8_t *exact = malloc(len); /* so that ASan sees a step too far */
        memcpy(exact, bytes, len);
        uint64_t cardinality;
        CU_ASSERT_EQUAL(hll_count((struct slice){exact, len}, &cardinality),
                        hll_merge(max, (struct slice){exact, len}));
        for (unsigned i = 0; i < 8; i++)
            hll_raise(&h, next() % HLL_REGISTERS, 1 + (unsigned)(next() % HLL_MAX_VALUE));
        CU_ASSERT_TRUE(h.len <= HLL_LONGEST + 4);
        free(exact);
        free(bytes);
    }
}

static void test_elements_hash_as_in_redis(void)
{
    static const struct {
        const char *element;
        unsigned index, value;
    } rows[] = {{"", 5938, 2}, {"a", 12711, 2}, {"foobar", 1910, 4}, {"0123456789abcdef", 5949, 1}};
    for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned value, index = hll_hash(slice_str(rows[i].element), &value);
        CU_ASSERT_EQUAL(index, rows[i].index);
        CU_ASSERT_EQUAL(value, rows[i].value);
    }
}

static void test_replies(void)
{
    struct engine *e = engine_new("maxmemory 1mb\n");
    EXPECT(e, "PFADD h a b c", ":1\r\n");
    EXPECT(e, "PFADD h a", ":0\r\n");
    EXPECT(e, "PFCOUNT h", ":3\r\n");
    EXPECT(e, "PFMERGE m h none", "+OK\r\n");
    EXPECT(e, "PFCOUNT m h", ":3\r\n");
    EXPECT(e, "PFDEBUG ENCODING m", "+sparse\r\n");
    EXPECT(e, "PFDEBUG TODENSE m", ":1\r\n");
    EXPECT(e, "STRLEN m", ":12304\r\n");
    EXPECT(e, "PFSELFTEST", "+OK\r\n");
    EXPECT(e, "APPEND h x", ":28\r\n");
    EXPECT(e, "PFDEBUG TODENSE h", "-INVALIDOBJ Corrupted HLL object detected\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_raised_registers_are_those_of_a_model),
                                             UNIT(test_a_value_too_high_or_too_long_becomes_dense),
                                             UNIT(test_any_bytes_are_refused_or_stay_within_bounds),
                                             UNIT(test_elements_hash_as_in_redis),
                                             UNIT(test_replies),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/hll", tests);
}

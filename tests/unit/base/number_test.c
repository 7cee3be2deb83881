/* number_test.c: numbers read and printed as Redis does (values checked against redis-server and printf). */
#include "base/number.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool i64(const char *text, int64_t *v)
{
    return parse_i64(slice_str(text), v);
}

static void test_integers_read(void)
{
    static const char *const bad[] = {"",
                                      "-",
                                      "-0",
                                      "+1",
                                      "01",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "abc",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999",
                                      "-01",
                                      "1a"};
    int64_t v = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT(!i64(bad[i], &v));
    CU_ASSERT(i64("0", &v) && v == 0);
    CU_ASSERT(i64("9223372036854775807", &v) && v == INT64_MAX);
    CU_ASSERT(i64("-9223372036854775808", &v) && v == INT64_MIN);
}

static void test_integers_round_trip(void)
{
    uint64_t x = 1;
    for (int i = 0; i < 100000; i++) {
        x = x * 6364136223846793005 + 1442695040888963407;
        int64_t v = (int64_t)x >> (x % 64), back = 0;
        char text[24], want[24];
        size_t n = format_i64(text, v);
        CU_ASSERT_EQUAL((int)n, snprintf(want, sizeof want, "%lld", (long long)v));
        CU_ASSERT(memcmp(text, want, n) == 0);
        CU_ASSERT(parse_i64((struct slice){(uint8_t *)text, n}, &back) && back == v);
    }
    char text[24], want[24];
    for (uint64_t power = 1; power; power = power > UINT64_MAX / 10 ? 0 : power * 10)
        for (int around = -1; around <= 1; around++) {
            uint64_t v = power + (uint64_t)(int64_t)around;
            size_t n = format_u64(text, v);
            CU_ASSERT_EQUAL((int)n, snprintf(want, sizeof want, "%llu", (unsigned long long)v));
            CU_ASSERT(memcmp(text, want, n) == 0);
        }
    CU_ASSERT_EQUAL(format_i64(text, INT64_MIN), 20);
    CU_ASSERT_EQUAL(format_u64(text, UINT64_MAX), 20);
}

static void test_doubles_read(void)
{
    static const char *const bad[] = {"", " 1", "1 ", "abc", "nan", "1e400", "1..2", "1e-5000", "0x"};
    double v;
    long double l;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT(!parse_double(slice_str(bad[i]), &v));
    CU_ASSERT(parse_double(slice_str("-inf"), &v) && isinf(v) && v < 0);
    CU_ASSERT(parse_double(slice_str("+inf"), &v) && isinf(v));
    CU_ASSERT(parse_double(slice_str("3.25e2"), &v) && v == 325);
    CU_ASSERT(parse_long_double(slice_str("1e400"), &l) && l > 1e300L);
    CU_ASSERT(!parse_long_double(slice_str("nan"), &l) && !parse_long_double(slice_str("1e5000"), &l));
    CU_ASSERT(!parse_double((struct slice){(const uint8_t *)"1\0", 2}, &v));
}

/* The quick way for short decimals must give what the library gives, to the bit, the sign of zero included.
 */
static void test_plain_decimals_are_read_as_strtod_reads_them(void)
{
    static const char digits[] = "0123456789.-";
    uint64_t random = 1;
    unsigned accepted = 0;
    for (unsigned i = 0; i < 200000; i++) {
        char text[32], *end;
        unsigned n = 0;
        random = random * 6364136223846793005 + 1442695040888963407;
        for (unsigned left = 1 + (random >> 33) % 17; n < left; n++) {
            random = random * 6364136223846793005 + 1442695040888963407;
            text[n] = digits[(random >> 33) % (n ? 11 : 12)];
        }
        text[n] = 0;
        double ours, theirs = strtod(text, &end);
        bool good = parse_double(slice_str(text), &ours);
        CU_ASSERT_EQUAL(good, *end == 0);
        CU_ASSERT_TRUE(!good || memcmp(&ours, &theirs, sizeof ours) == 0);
        accepted += good;
    }
    CU_ASSERT_TRUE(accepted > 50000);
}

static void test_doubles_printed_as_redis_7_2(void)
{
    static const struct {
        double v;
        const char *text;
    } facts[] = {{3, "3"},
                 {0.1, "0.1"},
                 {-0.5, "-0.5"},
                 {1e15, "1000000000000000"},
                 {1e18, "1000000000000000000"},
                 {1e19, "1e+19"},
                 {1e21, "1e+21"},
                 {1.5e300, "1.5e+300"},
                 {1e-6, "0.000001"},
                 {1e-7, "1e-7"},
                 {1.25e-10, "1.25e-10"},
                 {3.14159265358979, "3.14159265358979"},
                 {17179869184.5, "17179869184.5"},
                 {5e-324, "5e-324"},
                 {1.7976931348623157e308, "1.7976931348623157e+308"},
                 {INFINITY, "inf"},
                 {-INFINITY, "-inf"},
                 {NAN, "nan"},
                 {0.0, "0"},
                 {-0.0, "-0"}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        char text[DOUBLE_TEXT] = "";
        text[format_double(text, facts[i].v)] = 0;
        CU_ASSERT_STRING_EQUAL(text, facts[i].text);
    }
}

static void test_doubles_read_back(void)
{
    uint64_t x = 7;
    for (int i = 0; i < 50000; i++) {
        double v, back;
        x = x * 6364136223846793005 + 1442695040888963407;
        memcpy(&v, &x, sizeof v);
        if (isnan(v) || isinf(v))
            continue;
        char text[DOUBLE_TEXT];
        size_t n = format_double(text, v);
        CU_ASSERT(n < sizeof text);
        text[n] = 0;
        back = strtod(text, NULL);
        CU_ASSERT(back == v);
    }
}

static void test_long_doubles_printed_as_incrbyfloat(void)
{
    static const struct {
        long double v;
        const char *text;
    } facts[] = {
        {10.5L, "10.5"}, {5200, "5200"},   {0.1L, "0.1"},    {-0.0L, "0"}, {1e-17L, "0.00000000000000001"},
        {1e-18L, "0"},   {3.0e3L, "3000"}, {-1.25L, "-1.25"}};
    static char text[NUMBER_TEXT];
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        CU_ASSERT_EQUAL(format_long_double(text, facts[i].v), strlen(facts[i].text));
        CU_ASSERT_STRING_EQUAL(text, facts[i].text);
    }
    CU_ASSERT_EQUAL(format_long_double(text, 1e4932L), 4933);
    long double back; /* what INCRBYFLOAT has stored it also reads */
    CU_ASSERT(parse_long_double(slice_str(text), &back) && back == 1e4932L);
}

static void test_memory_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
    } facts[] = {{"5", 5},        {"100k", 100000}, {"1kb", 1024},      {"64mb", 64 << 20},
                 {"2M", 2000000}, {"1gb", 1 << 30}, {"3G", 3000000000}, {"7B", 7}};
    static const char *const bad[] = {
        "", "k", "1x", "-1", "1 kb", "99999999999999999999", "18446744073709551615gb"};
    uint64_t v;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        CU_ASSERT(parse_memory(facts[i].text, &v) && v == facts[i].bytes);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT(!parse_memory(bad[i], &v));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_integers_read),
                                             UNIT(test_integers_round_trip),
                                             UNIT(test_doubles_read),
                                             UNIT(test_plain_decimals_are_read_as_strtod_reads_them),
                                             UNIT(test_doubles_printed_as_redis_7_2),
                                             UNIT(test_doubles_read_back),
                                             UNIT(test_long_doubles_printed_as_incrbyfloat),
                                             UNIT(test_memory_sizes),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/number", tests);
}

/* loadgen_test.c: the generator's own arithmetic: keys, values, replies, skew and quantiles. */
#include <stdlib.h>

#include "checksum.h"
#include "histogram.h"
#include "options.h"
#include "unit.h"
#include "workload.h"

static struct workload make(struct workload_config conf)
{
    struct workload w;
    CU_ASSERT_TRUE_FATAL(workload_init(&w, &conf));
    return w;
}

static const struct workload_config plain = {.keys = 1000, .key_size = 16, .value_size = 64, .seed = 7};

static void test_requests_are_what_redis_clients_send(void)
{
    struct workload_config conf = plain;
    conf.value_size = 3;
    conf.ttl_s = 90;
    struct workload w = make(conf);
    char text[128] = "";
    CU_ASSERT_EQUAL(request_size(&w, 5), 36);
    request_write(&w, 5, (uint8_t *)text);
    CU_ASSERT_NSTRING_EQUAL(text, "*2\r\n$3\r\nGET\r\n$16\r\n", 18);
    CU_ASSERT_STRING_EQUAL(text + 34, "\r\n");
    memset(text, 0, sizeof text);
    request_write(&w, REQUEST_SET | 5, (uint8_t *)text);
    CU_ASSERT_NSTRING_EQUAL(text, "*5\r\n$3\r\nSET\r\n$16\r\n", 18);
    CU_ASSERT_NSTRING_EQUAL(text + 34, "\r\n$3\r\n", 6);
    CU_ASSERT_STRING_EQUAL(text + 43, "\r\n$2\r\nEX\r\n$2\r\n90\r\n");
    CU_ASSERT_EQUAL(strlen(text + 43) + 43, request_size(&w, REQUEST_SET | 5));
}

static void test_keys_are_sixteen_hexadecimal_digits_and_all_different(void)
{
    struct workload w = make(plain);
    char seen[1000][17];
    for (uint32_t i = 0; i < 1000; i++) {
        uint8_t text[64];
        request_write(&w, i, text);
        memcpy(seen[i], text + 18, 16);
        seen[i][16] = 0;
        CU_ASSERT_EQUAL(strspn(seen[i], "0123456789abcdef"), 16);
    }
    qsort(seen, 1000, sizeof *seen, (int (*)(const void *, const void *))strcmp);
    for (uint32_t i = 1; i < 1000; i++)
        CU_ASSERT_STRING_NOT_EQUAL(seen[i - 1], seen[i]);
}

static void test_a_wrong_byte_anywhere_in_a_reply_is_noticed(void)
{
    static const unsigned sizes[] = {1, 7, 8, 64, 65, 1000};
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        struct workload_config conf = plain;
        conf.value_size = sizes[k];
        struct workload w = make(conf);
        uint8_t reply[1024];
        reply_write(&w, 3, reply);
        CU_ASSERT_TRUE(reply_equal(&w, 3, reply));
        CU_ASSERT_FALSE(sizes[k] >= 8 && reply_equal(&w, 4, reply));
        for (unsigned i = 0; i < reply_size(&w, 3); i++) {
            reply[i] ^= 1;
            CU_ASSERT_FALSE(reply_equal(&w, 3, reply));
            reply[i] ^= 1;
        }
    }
}

static void test_the_mix_is_what_was_asked_for(void)
{
    struct workload w = make(plain);
    static const unsigned percents[] = {0, 25, 50, 100};
    for (unsigned k = 0; k < 4; k++) {
        workload_mix(&w, percents[k]);
        unsigned sets = 0;
        for (unsigned i = 0; i < 100000; i++) {
            uint32_t request = workload_next(&w);
            sets += request >> 31;
            CU_ASSERT_TRUE((request & REQUEST_KEY) < 1000);
        }
        CU_ASSERT_TRUE(sets + 1000 > percents[k] * 1000 && sets < percents[k] * 1000 + 1000);
        CU_ASSERT_TRUE(percents[k] % 100 != 0 || sets == percents[k] * 1000);
    }
}

static void test_zipf_draws_follow_the_law(void)
{
    struct workload_config conf = plain;
    conf.zipf = 0.99;
    struct workload w = make(conf);
    unsigned count[1000] = {0}, n = 1000000;
    for (unsigned i = 0; i < n; i++)
        count[workload_next(&w) & REQUEST_KEY]++;
    /* The harmonic sum of 1000 ranks at 0.99 is 7.73: the first has 12.9 %, the second half of that. */
    CU_ASSERT_DOUBLE_EQUAL(count[0] / (double)n, 0.129, 0.003);
    CU_ASSERT_DOUBLE_EQUAL(count[1] / (double)n, 0.065, 0.003);
    CU_ASSERT_TRUE(count[999] < count[0] / 200);
    workload_free(&w);
}

static void test_quantiles_are_right_within_two_percent(void)
{
    static struct histogram h;
    histogram_reset(&h);
    CU_ASSERT_EQUAL(histogram_quantile(&h, .99), 0);
    for (uint64_t v = 1; v <= 1000000; v++)
        histogram_add(&h, v);
    CU_ASSERT_DOUBLE_EQUAL((double)histogram_quantile(&h, .5), 500000, 10000);
    CU_ASSERT_DOUBLE_EQUAL((double)histogram_quantile(&h, .999), 999000, 20000);
    CU_ASSERT_EQUAL(histogram_quantile(&h, 1), 1000000);
    histogram_add(&h, UINT64_MAX);
    CU_ASSERT_EQUAL(histogram_quantile(&h, 1), UINT64_MAX);
}

static void test_checksums_are_those_of_rfc_1071(void)
{
    /* The example of RFC 1071, section 3, in its normal order. */
    static const uint8_t example[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t sum = (uint16_t)sum_bytes(example, sizeof example);
    CU_ASSERT_EQUAL(memcmp(&sum, (uint8_t[]){0xdd, 0xf2}, 2), 0);
    /* Any length, against the plain definition. */
    uint8_t bytes[70];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(0xff - i * 37);
    for (unsigned n = 0; n <= sizeof bytes; n++) {
        uint32_t slow = 0;
        for (unsigned i = 0; i < n; i++)
            slow += i % 2 ? (uint32_t)bytes[i] << 8 : bytes[i];
        CU_ASSERT_EQUAL(sum_fold(sum_bytes(bytes, n)), sum_fold(slow));
    }
}

static const char rows[] = "# a comment\n"
                           "row A 2\n"
                           "once FLUSHALL => +OK\n"
                           "fill HSET h:{key} f:{element} {value} => :1\n"
                           "send HGET h:{key} f:{element} => $64 {value}\n"
                           "send X {salt} => *3 {any*2} :{int}\n"
                           "row B 3 sequential\n"
                           "send Y {key+1} {cycle} => {any}\n";

static struct script *script(const char *text, uint32_t elements)
{
    char error[200] = "";
    struct script *s = script_read(NULL, text, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    script_size(s, elements);
    return s;
}

static void test_a_script_writes_what_its_lines_say(void)
{
    struct script *s = script(rows, 10);
    const struct script_row *a = &s->row[0], *b = &s->row[1];
    char text[256] = "", want[64] = "";
    CU_ASSERT_EQUAL(a->keys, 5);
    CU_ASSERT_EQUAL(script_count(a, &a->line[1]), 10);
    uint32_t request = script_fill(a, 1, 7);
    script_write(a, request, (uint8_t *)text);
    CU_ASSERT_EQUAL(script_request_size(a, request), 4 + 10 + 25 + 12 + 71);
    CU_ASSERT_NSTRING_EQUAL(text, "*4\r\n$4\r\nHSET\r\n$18\r\nh:", 21);
    key_text(3, (uint8_t *)want);
    CU_ASSERT_NSTRING_EQUAL(text + 21, want, 16);
    CU_ASSERT_NSTRING_EQUAL(text + 37, "\r\n$6\r\nf:0001\r\n$64\r\n", 19);
    memset(text, 0, sizeof text);
    script_write(b, script_next(b, 3, 12345), (uint8_t *)text);
    key_text((3 % b->keys * 7919 + 1) % b->keys, (uint8_t *)want);
    CU_ASSERT_EQUAL(b->keys, 3);
    CU_ASSERT_NSTRING_EQUAL(text, "*3\r\n$1\r\nY\r\n$16\r\n", 16);
    CU_ASSERT_STRING_EQUAL(text + 32, "\r\n$6\r\n000002\r\n");
    CU_ASSERT_NSTRING_EQUAL(text + 16, want, 16);
    script_free(s);
}

static void test_a_script_tells_right_replies_from_wrong_and_unfinished_ones(void)
{
    struct script *s = script(rows, 10);
    const struct script_row *a = &s->row[0];
    uint32_t get = script_next(a, 0, 99), x = script_next(a, 1, 99);
    uint8_t reply[256], key[16];
    char text[256] = "";
    script_write(a, get, (uint8_t *)text);
    memcpy(key, strstr(text, "h:") + 2, 16);
    unsigned size = (unsigned)sprintf((char *)reply, "$64\r\n");
    value_write(value_seed(key), reply + size, 64);
    memcpy(reply + size + 64, "\r\n", 2);
    size += 66;
    for (unsigned n = 0; n < size; n++) {
        CU_ASSERT_EQUAL(script_match(a, get, reply, n), 0);
        reply[n] ^= 1;
        CU_ASSERT_EQUAL(script_match(a, get, reply, size), -1);
        reply[n] ^= 1;
    }
    CU_ASSERT_EQUAL(script_match(a, get, reply, size), (int)size);
    static const char any[] = "*3\r\n*2\r\n:1\r\n$-1\r\n$2\r\nab\r\n:-17\r\n";
    for (unsigned n = 0; n < sizeof any - 1; n++)
        CU_ASSERT_EQUAL(script_match(a, x, (const uint8_t *)any, n), 0);
    CU_ASSERT_EQUAL(script_match(a, x, (const uint8_t *)any, sizeof any - 1), (int)sizeof any - 1);
    CU_ASSERT_EQUAL(script_match(a, x, (const uint8_t *)"*3\r\n-ERR no\r\n", 14), -1);
    CU_ASSERT_EQUAL(script_match(a, x, (const uint8_t *)"-ERR no\r\n", 9), -1);
    script_free(s);
}

static void test_a_script_that_cannot_be_understood_is_refused(void)
{
    static const char *const bad[] = {"",
                                      "send GET a => +OK\n",
                                      "row A\nsend GET a => +OK\n",
                                      "row A 0\nsend GET a => +OK\n",
                                      "row A 1\n",
                                      "row A 1\nsend GET a\n",
                                      "row A 1\nsend => +OK\n",
                                      "row A 1\nsend GET {nonsense} => +OK\n",
                                      "row A 1\nsend GET {key => +OK\n",
                                      "row A 1\nsend GET a => +OK\nfill SET a b => +OK\n"};
    char error[200];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_PTR_NULL(script_read(NULL, bad[i], error, sizeof error));
    CU_ASSERT_PTR_NULL(script_read("/nonexistent/file", NULL, error, sizeof error));
}

static void test_options_are_checked(void)
{
    static const char *const bad[][3] = {
        {"--keys", "0"},     {"--pipeline", "1025"},  {"--set-percent", "0,101"}, {"--zipf", "nan"},
        {"--link", "tap"},   {"--local", "10.77.0"},  {"--seconds", "1x"},        {"--nonsense", "1"},
        {"--port", "65536"}, {"--set-percent", "1,"}, {"--value-size", "1.5"}};
    struct options o;
    char error[200];
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        char word[32], value[32],
            *argv[] = {(char[]){"x"}, (char[]){"--link"}, (char[]){"tap:a"}, word, value};
        strcpy(word, bad[i][0]);
        strcpy(value, bad[i][1]);
        CU_ASSERT_FALSE(options_parse(&o, 5, argv, error, sizeof error));
        CU_ASSERT_NOT_EQUAL(error[0], 0);
        CU_ASSERT_FALSE(options_parse(&o, 4, argv, error, sizeof error));
    }
    char *good[] = {(char[]){"x"}, (char[]){"--link"}, (char[]){"vhost:/s"}, (char[]){"--set-percent"},
                    (char[]){"0,100,50"}};
    CU_ASSERT_TRUE(options_parse(&o, 5, good, error, sizeof error));
    CU_ASSERT_EQUAL(o.parts, 3);
    CU_ASSERT_EQUAL(o.set_percent[2], 50);
    CU_ASSERT_STRING_EQUAL(o.link_arg, "/s");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_requests_are_what_redis_clients_send),
        UNIT(test_keys_are_sixteen_hexadecimal_digits_and_all_different),
        UNIT(test_a_wrong_byte_anywhere_in_a_reply_is_noticed),
        UNIT(test_the_mix_is_what_was_asked_for),
        UNIT(test_zipf_draws_follow_the_law),
        UNIT(test_quantiles_are_right_within_two_percent),
        UNIT(test_checksums_are_those_of_rfc_1071),
        UNIT(test_a_script_writes_what_its_lines_say),
        UNIT(test_a_script_tells_right_replies_from_wrong_and_unfinished_ones),
        UNIT(test_a_script_that_cannot_be_understood_is_refused),
        UNIT(test_options_are_checked),
        {NULL, NULL}};
    return unit_main(argc, argv, "bench/loadgen", tests);
}

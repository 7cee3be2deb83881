/* test_rate.c: token buckets of source prefixes (tcp/rate.h). */
#include "tcp/rate.h"
#include "unit.h"

#include <stdio.h>

static struct ip_addr address(const char *format, unsigned a, unsigned b)
{
    char text[ENDPOINT_TEXT];
    struct ip_addr ip = {{0}};
    snprintf(text, sizeof text, format, a, b);
    CU_ASSERT_TRUE_FATAL(ip_parse(text, &ip));
    return ip;
}

static struct tcp_rate rate_of(unsigned per_second, unsigned burst, unsigned bits4, unsigned bits6)
{
    struct tcp_rate r;
    CU_ASSERT_TRUE_FATAL(tcp_rate_new(&r, (struct tcp_secret){1, 2}));
    tcp_rate_set(&r, per_second, burst, bits4, bits6);
    return r;
}

/* One source tries every `every` microseconds for `us`; how often it got through. */
static unsigned passed(struct tcp_rate *r, const struct ip_addr *ip, uint64_t from, uint64_t us,
                       uint64_t every)
{
    unsigned n = 0;
    for (uint64_t t = from; t < from + us; t += every)
        n += tcp_rate_take(r, ip, t);
    return n;
}

static void test_no_limit(void)
{
    struct tcp_rate r = rate_of(0, 0, 32, 64);
    struct ip_addr a = address("10.0.%u.%u", 0, 1);
    CU_ASSERT_EQUAL(passed(&r, &a, 0, 1000, 1), 1000);
    tcp_rate_free(&r);
}

static void test_rate_and_burst(void)
{
    struct tcp_rate r = rate_of(100, 20, 32, 64);
    struct ip_addr a = address("10.0.%u.%u", 0, 1);
    CU_ASSERT_EQUAL(passed(&r, &a, 1000000, 20, 1), 20); /* at once */
    CU_ASSERT_EQUAL(passed(&r, &a, 1000020, 9900, 100), 0);
    CU_ASSERT_EQUAL(passed(&r, &a, 1010000, 9999990, 100), 1000); /* ten seconds */
    CU_ASSERT_EQUAL(passed(&r, &a, 60000000, 20, 1), 20);         /* full again */
    tcp_rate_free(&r);
}

static void test_a_prefix_is_one_source(void)
{
    struct tcp_rate r = rate_of(1, 1, 24, 64);
    struct ip_addr a = address("10.0.%u.%u", 1, 1), b = address("10.0.%u.%u", 1, 200),
                   c = address("10.0.%u.%u", 2, 1), d = address("2001:db8:%x::%x", 1, 1),
                   e = address("2001:db8:%x::%x", 1, 77), f = address("2001:db8:%x::%x", 2, 1);
    CU_ASSERT_TRUE(tcp_rate_take(&r, &a, 5));
    CU_ASSERT_FALSE(tcp_rate_take(&r, &b, 5));
    CU_ASSERT_TRUE(tcp_rate_take(&r, &c, 5));
    CU_ASSERT_TRUE(tcp_rate_take(&r, &d, 5));
    CU_ASSERT_FALSE(tcp_rate_take(&r, &e, 5));
    CU_ASSERT_TRUE(tcp_rate_take(&r, &f, 5));
    tcp_rate_set(&r, 1, 1, 32, 64); /* at run time: other prefixes are other sources */
    CU_ASSERT_TRUE(tcp_rate_take(&r, &b, 5));
    tcp_rate_free(&r);
}

/* A hundred thousand sources, one connection each, do not reset the bucket of one that is at its limit, as
 * long as theirs are full first. */
static void test_full_buckets_make_room_first(void)
{
    struct tcp_rate r = rate_of(10, 10, 32, 64);
    struct ip_addr loud = address("192.0.%u.%u", 2, 1);
    unsigned through = passed(&r, &loud, 1000000, 10, 1);
    for (unsigned i = 0; i < 100000; i++) {
        struct ip_addr quiet = address("10.1.%u.%u", i / 250 % 250, i % 250);
        uint64_t now = 1000010 + i; /* in a tenth of a second: each is full after that */
        CU_ASSERT_TRUE(tcp_rate_take(&r, &quiet, now) || i >= 62500);
        through += tcp_rate_take(&r, &loud, now);
    }
    CU_ASSERT_TRUE(through <= 11);
    tcp_rate_free(&r);
}

static void test_the_table_stays_bounded_when_all_are_loud(void)
{
    struct tcp_rate r = rate_of(1, 1, 32, 64);
    for (unsigned i = 0; i < 60000; i++) {
        struct ip_addr a = address("10.1.%u.%u", i / 250, i % 250);
        CU_ASSERT_TRUE(tcp_rate_take(&r, &a, 1000)); /* newcomers are served: the oldest made room */
    }
    tcp_rate_free(&r);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_no_limit),
                                             UNIT(test_rate_and_burst),
                                             UNIT(test_a_prefix_is_one_source),
                                             UNIT(test_full_buckets_make_room_first),
                                             UNIT(test_the_table_stays_bounded_when_all_are_loud),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "tcp/rate", tests);
}

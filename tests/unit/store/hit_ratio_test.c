/* hit_ratio_test.c: the policies against the traces of tests/bench/eviction, in process. The store is seeded,
 * so the figures move only when the policies do; each floor is 0.6 below. */
#include "../../bench/evictsim/party.h"
#include "fixture.h"

enum { KEYS = 62500, BYTES = 1000000, REQUESTS = 150000, RATE = 200000 };

static double ratio(const char *trace, const char *policy, uint64_t ttl_ms)
{
    struct party p;
    struct trace t;
    struct result r;
    CU_ASSERT_TRUE_FATAL(party_ours(&p, policy, BYTES, 10, RATE));
    CU_ASSERT_TRUE_FATAL(trace_open(&t, trace, KEYS, REQUESTS));
    CU_ASSERT_TRUE_FATAL(play(&p, &t, ttl_ms, &r)); /* false if the limit was ever passed */
    CU_ASSERT_TRUE(r.used <= BYTES && r.evicted > 0);
    trace_close(&t);
    p.close(p.self);
    double got = 100.0 * (double)r.hits / (double)r.asked;
    printf("# %-8s %-15s %.2f\n", trace, policy, got);
    return got;
}

static void test_lru(void)
{
    CU_ASSERT_TRUE(ratio("zipf0.7", "allkeys-lru", 0) > 47.1);
    CU_ASSERT_TRUE(ratio("zipf0.9", "allkeys-lru", 0) > 68.8);
    CU_ASSERT_TRUE(ratio("zipf0.99", "allkeys-lru", 0) > 77.7);
    CU_ASSERT_TRUE(ratio("zipf1.1", "allkeys-lru", 0) > 85.9);
    CU_ASSERT_TRUE(ratio("scan", "allkeys-lru", 0) > 41.2);
    CU_ASSERT_TRUE(ratio("shifting", "allkeys-lru", 0) > 70.8);
    CU_ASSERT_TRUE(ratio("oldhot", "allkeys-lru", 0) > 74.4);
}

static void test_lfu(void)
{
    CU_ASSERT_TRUE(ratio("zipf0.7", "allkeys-lfu", 0) > 48.4);
    CU_ASSERT_TRUE(ratio("zipf0.9", "allkeys-lfu", 0) > 69.8);
    CU_ASSERT_TRUE(ratio("zipf0.99", "allkeys-lfu", 0) > 78.6);
    CU_ASSERT_TRUE(ratio("zipf1.1", "allkeys-lfu", 0) > 87.2);
    CU_ASSERT_TRUE(ratio("scan", "allkeys-lfu", 0) > 41.7);
    CU_ASSERT_TRUE(ratio("shifting", "allkeys-lfu", 0) > 66.8);
    CU_ASSERT_TRUE(ratio("oldhot", "allkeys-lfu", 0) > 73.2);
}

static void test_volatile(void)
{
    CU_ASSERT_TRUE(ratio("zipf0.99", "volatile-lru", 7200000) > 76.7);
    CU_ASSERT_TRUE(ratio("zipf0.99", "volatile-lfu", 7200000) > 77.3);
    CU_ASSERT_TRUE(ratio("zipf0.99", "volatile-ttl", 7200000) > 63.2);
    CU_ASSERT_TRUE(ratio("zipf0.99", "volatile-random", 7200000) > 71.3);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_lru), UNIT(test_lfu), UNIT(test_volatile), {NULL, NULL}};
    return unit_main(argc, argv, "store/hit_ratio", tests);
}

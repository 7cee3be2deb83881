/* times_test.c: the buckets of times. */
#include "base/times.h"
#include "unit.h"

#include <string.h>

static void test_every_time_is_in_the_bucket_that_ends_next(void)
{
    for (unsigned i = 0; i < TIME_BUCKETS; i++) {
        uint64_t end = time_bucket_end(i);
        CU_ASSERT_EQUAL(time_bucket(end), i);
        if (i + 1 < TIME_BUCKETS)
            CU_ASSERT_EQUAL(time_bucket(end + 1), i + 1);
    }
    CU_ASSERT_EQUAL(time_bucket(0), 0);
    CU_ASSERT_EQUAL(time_bucket(1), 0);
    CU_ASSERT_EQUAL(time_bucket_end(TIME_BUCKETS - 1), TIME_MOST_NS);
    CU_ASSERT_EQUAL(time_bucket(TIME_MOST_NS + 1), TIME_BUCKETS - 1);
    CU_ASSERT_EQUAL(time_bucket(UINT64_MAX), TIME_BUCKETS - 1);
}

static void test_a_bucket_is_an_eighth_wide_at_most(void)
{
    for (unsigned i = 1; i < TIME_BUCKETS; i++) {
        uint64_t first = time_bucket_end(i - 1) + 1, last = time_bucket_end(i);
        CU_ASSERT(8 * (last - first) < first);
    }
}

static void test_sum_and_maximum(void)
{
    static struct histogram h;
    memset(&h, 0, sizeof h);
    histogram_add(&h, 1000, 3);
    histogram_add(&h, 10, 1);
    CU_ASSERT_EQUAL(h.sum, 3010);
    CU_ASSERT_EQUAL(h.max, 1000);
    CU_ASSERT_EQUAL(h.bucket[time_bucket(1000)], 3);
}

static void test_groups_have_families(void)
{
    CU_ASSERT_STRING_EQUAL(time_family_name(time_family_of("sorted-set")), "sorted-set");
    CU_ASSERT_EQUAL(time_family_of("string"), TIME_FIRST_GROUP);
    CU_ASSERT_EQUAL(time_family_of("loop"), TIME_OTHER);
    CU_ASSERT_EQUAL(time_family_of(NULL), TIME_OTHER);
    CU_ASSERT_STRING_EQUAL(time_family_name(TIME_FAMILIES - 1), "");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_time_is_in_the_bucket_that_ends_next),
                                             UNIT(test_a_bucket_is_an_eighth_wide_at_most),
                                             UNIT(test_sum_and_maximum),
                                             UNIT(test_groups_have_families),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/times", tests);
}

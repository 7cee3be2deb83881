/* tickets_test.c: workers that look at the clock at different times come to the same keys. */
#include "tls/tickets.h"
#include "unit.h"

#include <string.h>

static const uint8_t secret[TICKET_SECRET] = "a secret of thirty-two bytes....";

static void test_workers_agree_however_seldom_they_look(void)
{
    struct tickets often, seldom;
    tickets_init(&often, secret, 1000, 300);
    tickets_init(&seldom, secret, 1000, 300);
    for (uint64_t t = 1000; t < 100000; t += 37)
        tickets_follow(&often, t);
    tickets_follow(&often, 100000);
    tickets_follow(&seldom, 100000);
    CU_ASSERT(memcmp(&often.now, &seldom.now, sizeof often.now) == 0);
    CU_ASSERT(memcmp(&often.before, &seldom.before, sizeof often.before) == 0);
    CU_ASSERT(memcmp(&often.now, &often.before, sizeof often.now) != 0);
}

static void test_a_key_lasts_its_period_and_one_more(void)
{
    struct tickets t;
    tickets_init(&t, secret, 1000, 300);
    struct ticket_key first = t.now;
    tickets_follow(&t, 1299);
    CU_ASSERT(memcmp(&t.now, &first, sizeof first) == 0);
    tickets_follow(&t, 1300);
    CU_ASSERT(memcmp(&t.now, &first, sizeof first) != 0);
    CU_ASSERT(memcmp(&t.before, &first, sizeof first) == 0);
    tickets_follow(&t, 1600);
    CU_ASSERT(memcmp(&t.before, &first, sizeof first) != 0);
}

static void test_a_clock_set_back_changes_nothing(void)
{
    struct tickets t;
    tickets_init(&t, secret, 1000, 300);
    tickets_follow(&t, 2000);
    struct ticket_key now = t.now;
    tickets_follow(&t, 0);
    CU_ASSERT(memcmp(&t.now, &now, sizeof now) == 0);
}

static void test_the_secret_is_replaced(void)
{
    struct tickets t;
    tickets_init(&t, secret, 1000, 300);
    tickets_follow(&t, 1300);
    CU_ASSERT(memcmp(t.secret, secret, sizeof secret) != 0);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_workers_agree_however_seldom_they_look),
                                             UNIT(test_a_key_lasts_its_period_and_one_more),
                                             UNIT(test_a_clock_set_back_changes_nothing),
                                             UNIT(test_the_secret_is_replaced),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "tls/tickets", tests);
}

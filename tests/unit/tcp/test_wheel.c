/* test_wheel.c: the timer wheel against a plain list. */
#include <stdlib.h>

#include "tcp/wheel.h"
#include "unit.h"

enum { TICK = 1 << WHEEL_TICK_SHIFT, NODES = 200 };

static uint64_t random_state = 1;

static uint64_t draw(uint64_t below)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (random_state >> 20) % below;
}

static void test_fires_at_the_first_tick_not_before_its_time(void)
{
    static const uint64_t times[] = {0, 1, 255, 256, 257, 16383, 16384, 16385, 1048575, 1048576, 67108864, 4000000000};
    for (unsigned i = 0; i < sizeof times / sizeof *times; i++) {
        struct wheel w;
        struct wheel_node n = {0};
        wheel_init(&w, 0);
        wheel_add(&w, &n, times[i]);
        uint64_t due = (times[i] + TICK - 1) / TICK * TICK;
        if (due)
            CU_ASSERT_PTR_NULL(wheel_expire(&w, due - 1));
        CU_ASSERT_PTR_EQUAL(wheel_expire(&w, due), &n);
        CU_ASSERT_PTR_NULL(wheel_expire(&w, due));
        CU_ASSERT_EQUAL(wheel_next(&w), UINT64_MAX);
    }
}

static void test_next_is_never_late(void)
{
    struct wheel w;
    struct wheel_node n = {0};
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t start = draw(1ull << 33), at = start + draw(1ull << draw(32));
        wheel_init(&w, start);
        wheel_add(&w, &n, at);
        unsigned steps = 0;
        uint64_t now = start;
        while (!wheel_expire(&w, now) && ++steps < 10)
            now = wheel_next(&w);
        CU_ASSERT(now + TICK > at && now <= at + TICK && steps <= WHEEL_LEVELS);
    }
}

/* Many nodes, random steps and random re-arming: each fires in the step in which it is due, not before. */
static void test_agrees_with_a_plain_list(void)
{
    static struct wheel_node node[NODES];
    static uint64_t at[NODES];
    struct wheel w;
    uint64_t now = 123456789;
    unsigned wrong = 0;
    wheel_init(&w, now);
    for (unsigned i = 0; i < NODES; i++) {
        at[i] = now + draw(1ull << draw(30));
        wheel_add(&w, &node[i], at[i]);
    }
    for (unsigned step = 0; step < 20000; step++) {
        now += draw(1ull << draw(26));
        for (struct wheel_node *n; (n = wheel_expire(&w, now));) {
            unsigned i = (unsigned)(n - node);
            wrong += at[i] > now;
            at[i] = UINT64_MAX;
        }
        for (unsigned i = 0; i < NODES; i++)
            wrong += at[i] != UINT64_MAX && at[i] + TICK <= now;
        for (unsigned k = 0; k < 8; k++) {
            unsigned i = (unsigned)draw(NODES);
            at[i] = draw(5) ? now + draw(1ull << draw(31)) : UINT64_MAX;
            if (at[i] == UINT64_MAX)
                wheel_remove(&w, &node[i]);
            else
                wheel_add(&w, &node[i], at[i]);
        }
    }
    CU_ASSERT_EQUAL(wrong, 0);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_fires_at_the_first_tick_not_before_its_time),
                                             UNIT(test_next_is_never_late),
                                             UNIT(test_agrees_with_a_plain_list),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "tcp/wheel", tests);
}

/* unit.h: a list of tests run by CUnit and reported as TAP (one line a test), which `meson test` and tests/run read.
 *
 *     static void test_ping_answers_pong(void) { CU_ASSERT_EQUAL(...); }
 *     int main(int argc, char **argv)
 *     {
 *         static const struct unit_test tests[] = {UNIT(test_ping_answers_pong), {NULL, NULL}};
 *         return unit_main(argc, argv, "resp/reader", tests);
 *     }
 *
 * A test may call unit_skip("why") and return: it is reported as skipped. An argument on the command line runs only the tests
 * whose name contains it. */
#pragma once
#include <CUnit/CUnit.h>

#include <stdint.h>

struct unit_test {
    const char *name;
    void (*run)(void);
};

#define UNIT(fn) {#fn, fn}

int unit_main(int argc, char **argv, const char *suite, const struct unit_test *tests);
void unit_skip(const char *why);

/* The next of a row of numbers that look random, the same in every run (xorshift64, Marsaglia 2003). *state is not 0. */
static inline uint64_t unit_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

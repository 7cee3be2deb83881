/* bytes_test.c: comparing and moving a few bytes, of every length, against the C library; in exact allocations, so
 * that a byte too far is found. */
#include "base/bytes.h"
#include "unit.h"

#include <stdlib.h>

enum { LONGEST = 140 };

static void fill(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (uint8_t)(i * 37 + 11);
}

static void test_same_finds_every_byte_that_differs(void)
{
    for (size_t n = 0; n <= LONGEST; n++) {
        uint8_t *a = malloc(n ? n : 1), *b = malloc(n ? n : 1);
        fill(a, n);
        fill(b, n);
        CU_ASSERT_TRUE(bytes_same(a, b, n));
        for (size_t i = 0; i < n; i++) {
            b[i] ^= 0x80;
            CU_ASSERT_FALSE(bytes_same(a, b, n));
            b[i] ^= 0x80;
        }
        free(a);
        free(b);
    }
}

static void test_move_is_memmove_at_every_distance(void)
{
    for (size_t n = 0; n <= LONGEST; n++)
        for (size_t distance = 0; distance <= n + 1; distance++)
            for (unsigned back = 0; back < 2; back++) {
                size_t size = n + distance;
                uint8_t *got = malloc(size ? size : 1), *want = malloc(size ? size : 1);
                fill(got, size);
                fill(want, size);
                bytes_move(got + (back ? 0 : distance), got + (back ? distance : 0), n);
                memmove(want + (back ? 0 : distance), want + (back ? distance : 0), n);
                CU_ASSERT_TRUE_FATAL(memcmp(got, want, size) == 0);
                free(got);
                free(want);
            }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_same_finds_every_byte_that_differs),
                                             UNIT(test_move_is_memmove_at_every_distance),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/bytes", tests);
}

/* lzf_test.c: LZF with turns against liblzf: packs the same bytes, unpacks what it packs, refuses what is
 * damaged. */
#include "store/lzf_turns.h"
#include "base/turn.h"
#include "unit.h"

#include <lzf.h>
#include <stdlib.h>

enum { MOST = 200000 };

static uint64_t state;
static uint64_t next(uint64_t below)
{
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return (state >> 33) % below;
}

/* liblzf finds what its table had in it before: nothing, here. */
static __attribute__((noinline)) void clear_stack(void)
{
    volatile char table[768 << 10];
    for (size_t i = 0; i < sizeof table; i++)
        table[i] = 0;
}

/* Words of few letters, repeated near and far, and stretches of noise. */
static size_t random_text(uint8_t *to, size_t len)
{
    size_t at = 0;
    unsigned letters = 2 + (unsigned)next(20);
    while (at < len) {
        size_t n = 1 + next(next(8) ? 40 : 600), back = 1 + next(next(2) ? 300 : 9000);
        bool noise = next(6) == 0, again = next(3) && back <= at;
        for (; n && at < len; n--, at++)
            to[at] = again ? to[at - back] : (uint8_t)(noise ? next(256) : 'a' + next(letters));
    }
    return len;
}

static unsigned looks;
static void look(struct turn *t)
{
    looks++;
    t->left = 1;
}

static void test_packs_as_liblzf_and_unpacks_with_turns(void)
{
    static uint8_t text[MOST], ours[MOST], theirs[MOST], back[MOST];
    state = 5;
    for (int round = 0; round < 150; round++) {
        struct slice s = {text, random_text(text, 1 + next(round % 3 ? MOST : 40000))};
        size_t room = next(3) ? s.len - 1 : next(s.len) + 1;
        struct turn turn = {.left = 1, .look = look};
        looks = 0;
        clear_stack();
        size_t wanted = lzf_compress(s.p, (unsigned)s.len, theirs, (unsigned)room);
        clear_stack();
        size_t n = lzf_pack(s, ours, room, &turn);
        CU_ASSERT_EQUAL(n, wanted);
        CU_ASSERT_EQUAL(memcmp(ours, theirs, n), 0);
        if (n == 0)
            continue;
        CU_ASSERT_TRUE(s.len <= 16384 || looks >= s.len / 600);
        CU_ASSERT_TRUE(lzf_unpack((struct slice){ours, n}, back, s.len, &turn));
        CU_ASSERT_EQUAL(memcmp(back, text, s.len), 0);
        CU_ASSERT_FALSE(lzf_unpack((struct slice){ours, n - 1}, back, s.len, NULL));
        CU_ASSERT_FALSE(lzf_unpack((struct slice){ours, n}, back, s.len - 1, NULL));
    }
}

/* Each in memory of its own, so that reading or writing beside it would show. */
static void test_damaged_bytes_do_what_liblzf_does(void)
{
    state = 11;
    for (int round = 0; round < 20000; round++) {
        size_t n = next(40), len = next(200);
        uint8_t *packed = malloc(n + 1), *theirs = calloc(1, len + 1);
        for (size_t i = 0; i < n; i++)
            packed[i] = (uint8_t)next(next(2) ? 256 : 40);
        uint8_t *exact = n ? malloc(n) : NULL, *to = len ? malloc(len) : NULL;
        if (n)
            memcpy(exact, packed, n);
        bool good = n && len && lzf_unpack((struct slice){exact, n}, to, len, NULL);
        bool wanted = n && len && lzf_decompress(packed, (unsigned)n, theirs, (unsigned)len) == len;
        CU_ASSERT_EQUAL(good, wanted);
        CU_ASSERT_TRUE(!good || memcmp(to, theirs, len) == 0);
        free(packed);
        free(theirs);
        free(exact);
        free(to);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_packs_as_liblzf_and_unpacks_with_turns),
                                             UNIT(test_damaged_bytes_do_what_liblzf_does),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "store/lzf", tests);
}

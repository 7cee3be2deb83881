/* glob_test.c: glob patterns, facts from redis-server's KEYS and CONFIG GET. */
#include "base/glob.h"
#include "unit.h"

#include <stdlib.h>

static bool match(const char *pattern, const char *text)
{
    return glob_match(slice_str(pattern), slice_str(text), false);
}

static void test_matches(void)
{
    static const char *const pairs[][2] = {{"*", "a"},
                                           {"a*", "a"},
                                           {"*a", "a"},
                                           {"h?llo", "hello"},
                                           {"h*llo", "hllo"},
                                           {"h[ae]llo", "hallo"},
                                           {"h[^e]llo", "hallo"},
                                           {"h[a-b]llo", "hbllo"},
                                           {"h[b-a]llo", "hbllo"},
                                           {"a\\*b", "a*b"},
                                           {"[abc", "b"},
                                           {"[^", "x"},
                                           {"\\", "\\"},
                                           {"**a**b**", "xaxbx"},
                                           {"[\\]]", "]"},
                                           {"*.*.c", "a.b.c"},
                                           {"", ""},
                                           {"[a-]", "^"},
                                           {"?", "*"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        CU_ASSERT(match(pairs[i][0], pairs[i][1]));
    }
}

static void test_mismatches(void)
{
    static const char *const pairs[][2] = {
        {"a", "b"}, {"a", ""}, {"*", ""},   {"a*b", "ac"}, {"h[^e]llo", "hello"}, {"h[ae]llo", "hillo"},
        {"?", ""},  {"", "a"}, {"a[", "a"}, {"a[", "ab"},  {"a\\*b", "axb"},      {"A", "a"}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        CU_ASSERT(!match(pairs[i][0], pairs[i][1]));
}

static void test_case(void)
{
    CU_ASSERT(glob_match(slice_str("MAX*[A-Z]"), slice_str("maxmemory"), true));
    CU_ASSERT(!glob_match(slice_str("MAX*"), slice_str("maxmemory"), false));
}

/* Many stars over a long text that fails at its last byte: exponential if each star were retried. */
static void test_many_stars_end_soon(void)
{
    char pattern[2001], text[20001];
    for (int i = 0; i < 1000; i++) {
        pattern[2 * i] = '*';
        pattern[2 * i + 1] = 'a';
    }
    pattern[1999] = 'b';
    pattern[2000] = 0;
    memset(text, 'a', 20000);
    text[20000] = 0;
    CU_ASSERT(!match(pattern, text));
    text[19999] = 'b';
    CU_ASSERT(match(pattern, text));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_matches),
                                             UNIT(test_mismatches),
                                             UNIT(test_case),
                                             UNIT(test_many_stars_end_soon),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "base/glob", tests);
}

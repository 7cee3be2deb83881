/* acl_patterns_test.c: the short ways by which key patterns are matched say what glob_match() says. */
#include "engine.h"
#include "unit.h"

#include "base/glob.h"
#include "command/acl_rights.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEYS = 12, ROUNDS = 20000, LONGEST = 19 };

static const char letters[] = "aaaaaaaabbc*?[]\\^-\xff";
static unsigned seed = 11;

/* Often the beginning of a text that they all share, so that some match. */
static struct slice random_text(uint8_t *room, unsigned kinds)
{
    static const char shared[] = "abcabcabcabcabcabcabc";
    size_t len = (size_t)rand_r(&seed) % (LONGEST + 1), same = (size_t)rand_r(&seed) % (2 * LONGEST);
    for (size_t i = 0; i < len; i++)
        room[i] = i < same ? (uint8_t)shared[i] : (uint8_t)letters[(size_t)rand_r(&seed) % kinds];
    return (struct slice){room, len};
}

/* A user with these key patterns, the last one for reading alone; the first may be in a selector. */
static struct rights user_with(const struct slice *pattern, unsigned n)
{
    struct rights r;
    bool selector = rand_r(&seed) % 2;
    CU_ASSERT_FATAL(rights_init(&r, false));
    CU_ASSERT_FATAL(rights_rule(&r, SLICE_LIT("+get"), false) == RULE_GOOD);
    for (unsigned i = 0; i < n; i++) {
        uint8_t rule[LONGEST + 16] = "(+get %R~";
        size_t at = i == 0 && selector ? 9 : 3;
        memcpy(rule, at == 9 ? "(+get %R~" : "%R~", at);
        memcpy(rule + at, pattern[i].p, pattern[i].len);
        rule[at + pattern[i].len] = ')';
        struct slice whole = {rule, at + pattern[i].len + (at == 9)};
        CU_ASSERT_FATAL(rights_rule(&r, whole, false) == RULE_GOOD);
    }
    return r;
}

static bool any_matches(const struct slice *pattern, unsigned n, struct slice key)
{
    bool found = false;
    for (unsigned i = 0; i < n; i++)
        found |= glob_match(pattern[i], key, false);
    return found;
}

static void test_patterns_say_what_globs_say(void)
{
    const struct command *get = command_lookup(1, (struct slice[]){SLICE_LIT("get")});
    uint8_t texts[3][LONGEST], names[KEYS][LONGEST];
    struct slice pattern[3], argv[KEYS][2];
    unsigned allowed = 0, rows = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = 1 + (unsigned)rand_r(&seed) % 3, first_bad = KEYS;
        for (unsigned i = 0; i < n; i++) {
            pattern[i] = random_text(texts[i], sizeof letters - 1);
            if (pattern[i].len && rand_r(&seed) % 2)
                texts[i][pattern[i].len - 1] = '*';
        }
        struct rights r = user_with(pattern, n);
        for (unsigned k = 0; k < KEYS; k++) {
            int position;
            argv[k][0] = SLICE_LIT("get");
            argv[k][1] = random_text(names[k], 11);
            bool may = any_matches(pattern, n, argv[k][1]);
            CU_ASSERT(may == (rights_verdict(&r, get, 2, argv[k], &position) == VERDICT_MAY));
            CU_ASSERT(rights_in_row(&r, get, &argv[k][1], 2, 1) == may);
            CU_ASSERT(may || position == 1);
            allowed += may;
            if (!may && first_bad == KEYS)
                first_bad = k;
        }
        CU_ASSERT(rights_in_row(&r, get, &argv[0][1], 2, KEYS) == first_bad);
        CU_ASSERT(rights_in_row(&r, get, &argv[0][1], 2, 0) == 0);
        rows += first_bad > 1 && first_bad < KEYS;
        rights_free(&r);
    }
    printf("# %u of %u allowed, %u rows in parts\n", allowed, ROUNDS * KEYS, rows);
    CU_ASSERT(allowed > ROUNDS / 4 && allowed < ROUNDS * (KEYS - 1) && rows > ROUNDS / 200);
}

static void test_rows_of_who_may_not_or_may_all(void)
{
    const struct command *get = command_lookup(1, (struct slice[]){SLICE_LIT("get")});
    static const struct {
        const char *rules[3];
        unsigned may;
    } rows[] = {{{"+get", "~a*", "-get"}, 0}, {{"+get", "%W~a*", ""}, 0},   {{"+get", "~*", ""}, 3}, {{"+get", "%R~*", ""}, 2},
                {{"-get", "~*", ""}, 0},      {{"+get", "(~* +get)", ""}, 3}, {{"~*", "(+get)", ""}, 0}};
    struct slice keys[3] = {SLICE_LIT("a"), SLICE_LIT("abcdefghijkl"), SLICE_LIT("")};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct rights r;
        CU_ASSERT_FATAL(rights_init(&r, false));
        for (unsigned k = 0; k < 3; k++)
            CU_ASSERT_FATAL(rights_rule(&r, slice_str(rows[i].rules[k]), false) == RULE_GOOD);
        CU_ASSERT(rights_in_row(&r, get, keys, 1, 3) == rows[i].may);
        rights_free(&r);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_patterns_say_what_globs_say), UNIT(test_rows_of_who_may_not_or_may_all), {NULL, NULL}};
    struct engine *e = engine_new(NULL);
    if (!e)
        return 1;
    int status = unit_main(argc, argv, "command/acl_patterns", tests);
    engine_free(e);
    return status;
}

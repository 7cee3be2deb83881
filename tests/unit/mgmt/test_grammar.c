/* test_grammar.c: one table gives parsing, help and completion; words and quotes of a typed line. */
#include "mgmt/grammar.h"
#include "mgmt/words.h"
#include "unit.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char error[256];
static struct words words; /* of the line that was parsed last */
static struct invocation in;

static bool parse(const char *line)
{
    static char *moved[WORDS_MAX]; /* parsing moves words about */
    words_free(&words);
    in = (struct invocation){0};
    *error = 0;
    if (!words_split(&words, line))
        return false;
    memcpy(moved, words.p, sizeof moved);
    return grammar_parse(grammar, &in, moved, words.n, error, sizeof error);
}

static void good(const char *line, const char *op, const char *what, int argc)
{
    CU_ASSERT(parse(line));
    CU_ASSERT(strcmp(in.leaf->op, op) == 0 && strcmp(in.leaf->what, what) == 0);
    CU_ASSERT_EQUAL(in.argc, argc);
}

static void bad(const char *line, const char *why)
{
    CU_ASSERT_FALSE(parse(line));
    if (!strstr(error, why))
        printf("# %s: %s\n", line, error);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, why));
}

static void test_commands_and_unambiguous_beginnings(void)
{
    good("show status", "show", "status", 0);
    good("sh link", "show", "links", 0);
    good("show config max*", "show", "config", 1);
    good("config set a 1 b 2", "config", "set", 4);
    good("stop", "stop", "", 0);
    good("show conn", "show", "connections", 0);
    good("show topology", "show", "topology", 0);
    good("sh pl", "show", "plan", 0);
    good("ping 10.0.0.1", "ping", "start", 1);
    good("cert install a b c", "certificate", "install", 3);
    good("certificate rotate a", "certificate", "rotate", 1);
    good("certificate self a --san x,y --days 3", "certificate", "self-signed", 1);
}

static void test_mistakes_are_named(void)
{
    bad("", "not complete");
    bad("show", "not complete");
    bad("show s", "ambiguous");
    bad("nonsense", "unknown here");
    bad("show status x", "one word too many");
    bad("config get", "NAME is missing");
    bad("config set a", "VALUE is missing");
    bad("config set a 1 b", "VALUE is missing for 'b'");
    bad("show status --nonsense", "unknown option");
    bad("show log --lines", "needs a value");
    bad("ping", "ADDRESS is missing");
    bad("ping a b", "one word too many");
}

static void test_options_stand_anywhere(void)
{
    CU_ASSERT(parse("--json show --lines=5 log --level warning --match x --socket /s"));
    CU_ASSERT(in.json && strcmp(in.lines, "5") == 0 && strcmp(in.level, "warning") == 0 &&
              strcmp(in.match, "x") == 0 && strcmp(in.socket, "/s") == 0);
    CU_ASSERT(parse("show connections --limit 5 --detail=1.2.3.4:5"));
    CU_ASSERT(strcmp(in.limit, "5") == 0 && strcmp(in.detail, "1.2.3.4:5") == 0);
    CU_ASSERT(parse("ping --count 3 --size 0 --interval 20 ::1"));
    CU_ASSERT(strcmp(in.count, "3") == 0 && strcmp(in.size, "0") == 0 && strcmp(in.interval, "20") == 0);
}

static void test_values_may_begin_with_dashes_after_a_double_dash(void)
{
    CU_ASSERT(parse("config set requirepass -- --secret"));
    CU_ASSERT(in.argc == 2 && strcmp(in.argv[1], "--secret") == 0);
}

/* depth: levels of words below, the leaves' included. */
static void has_help(const struct node *table, unsigned depth)
{
    for (const struct node *n = table; n->word; n++) {
        CU_ASSERT(n->help && !n->next == (n->run != NULL));
        CU_ASSERT(!n->next || depth > 1);
        if (n->next && depth > 1)
            has_help(n->next, depth - 1);
    }
}

static void completes(const char *before, const char *prefix, const char *first, const char *second)
{
    static char maxclients[] = "maxclients", maxmemory[] = "maxmemory", server[] = "server",
                *directives[] = {maxclients, maxmemory, NULL}, *certificates[] = {server, NULL};
    static const struct known_names known = {directives, certificates, NULL};
    struct words w;
    words_split(&w, before);
    const char *a = grammar_complete(grammar, w.p, w.n, prefix, 0, &known),
               *b = grammar_complete(grammar, w.p, w.n, prefix, 1, &known);
    CU_ASSERT(first ? a && strcmp(a, first) == 0 : !a);
    CU_ASSERT(second ? b && strcmp(b, second) == 0 : !b);
    words_free(&w);
}

static void test_completion_follows_the_table(void)
{
    completes("", "s", "show", "snapshot");
    completes("show", "st", "status", "stats");
    completes("config set", "max", "maxclients", "maxmemory");
    completes("config set maxmemory 1", "maxc", "maxclients", NULL);
    completes("certificate rotate", "", "server", NULL);
    completes("certificate", "s", "show", "self-signed");
    completes("upgrade remove", "", "dataplane", NULL);
    CU_ASSERT_PTR_NULL(grammar_complete(grammar, (char *[]){NULL}, 0, "x", 0, &(struct known_names){0}));
}

static void test_options_are_offered_where_they_are_known(void)
{
    completes("show log", "--l", "--level", "--lines");
    completes("show status", "--l", NULL, NULL);
    completes("ping", "--co", "--count", NULL);
    completes("audit show", "--l", "--lines", NULL);
    completes("show log --level warning", "--j", "--json", NULL);
}

/* No command that an option is said to be of is misspelled: its whole name is found. */
static void test_options_belong_to_commands(void)
{
    for (const struct option *o = options; o->name; o++)
        for (const char *of = o->of; of && *of; of += strcspn(of, ","), of += *of == ',') {
            char path[GRAMMAR_PATH], line[GRAMMAR_PATH];
            struct words w;
            snprintf(line, sizeof line, "%.*s", (int)strcspn(of, ","), of);
            CU_ASSERT(words_split(&w, line));
            const struct node *leaf = grammar_path(grammar, w.p, w.n, path);
            CU_ASSERT(leaf && leaf->run && strcmp(path, line) == 0);
            words_free(&w);
        }
}

static void printed(const char *s, const char *expected, int columns)
{
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    print_safe(f, s);
    fclose(f);
    if (strcmp(text, expected) != 0)
        printf("# %s\n", text);
    CU_ASSERT_STRING_EQUAL(text, expected);
    CU_ASSERT_EQUAL(text_columns(s), columns);
    free(text);
}

/* C1 controls as UTF-8 or as bytes, cut and overlong characters, directions. */
static void test_nothing_commands_the_terminal(void)
{
    setlocale(LC_CTYPE, "C.UTF-8");
    printed("plain", "plain", 5);
    printed("a\033[31mb\177", "a?[31mb?", 8);
    printed("gr\303\274n \346\235\261", "gr\303\274n \346\235\261", 7); /* U+00FC, and U+6771 of two columns */
    printed("\302\233" "2J", "?2J", 3);
    printed("\2332J \303", "?2J ?", 5);
    printed("\300\257 \364\220", "?? ??", 5);
    printed("a\342\200\256b", "a?b", 3);
}

static void test_every_leaf_has_help_and_something_to_run(void)
{
    has_help(grammar, 3);
}

static void test_words_and_quotes(void)
{
    struct words w;
    CU_ASSERT(words_split(&w, " a \"b \\\"c\" 'd e' f\"g h\" \"\""));
    CU_ASSERT(w.n == 5 && strcmp(w.p[1], "b \"c") == 0 && strcmp(w.p[2], "d e") == 0 &&
              strcmp(w.p[3], "fg h") == 0 && !*w.p[4]);
    words_free(&w);
    CU_ASSERT_FALSE(words_split(&w, "a \"b"));
    words_free(&w);
    char long_line[4 * WORDS_MAX];
    memset(long_line, 0, sizeof long_line);
    for (unsigned i = 0; i < WORDS_MAX + 1; i++)
        strcat(long_line, "a ");
    CU_ASSERT_FALSE(words_split(&w, long_line));
    words_free(&w);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_commands_and_unambiguous_beginnings),
                                             UNIT(test_mistakes_are_named),
                                             UNIT(test_options_stand_anywhere),
                                             UNIT(test_values_may_begin_with_dashes_after_a_double_dash),
                                             UNIT(test_completion_follows_the_table),
                                             UNIT(test_options_are_offered_where_they_are_known),
                                             UNIT(test_options_belong_to_commands),
                                             UNIT(test_nothing_commands_the_terminal),
                                             UNIT(test_every_leaf_has_help_and_something_to_run),
                                             UNIT(test_words_and_quotes),
                                             {NULL, NULL}};
    int result = unit_main(argc, argv, "mgmt/grammar", tests);
    words_free(&words);
    return result;
}

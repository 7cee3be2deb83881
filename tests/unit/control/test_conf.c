/* test_conf.c: the grammar of configuration files and every kind of mistake with its line. What concerns whole files:
 * test_conf_file.c. */
#include "control/conffile.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct settings *parse(const char *text, struct report *r)
{
    struct settings *s = settings_defaults();
    memset(r, 0, sizeof *r);
    conf_parse("f.conf", text, strlen(text), s, NULL, r);
    return s;
}

/* One line of configuration gives this value, without a word of complaint. */
static void gives(const char *line, const char *name, const char *value)
{
    struct report r;
    struct settings *s = parse(line, &r);
    if (r.errors || strcmp(settings_get(s, name), value) != 0)
        printf("# %s: '%s' %s", line, settings_get(s, name), text_str(&r.lines));
    CU_ASSERT_EQUAL(r.errors, 0);
    CU_ASSERT_STRING_EQUAL(settings_get(s, name), value);
    settings_free(s);
    report_free(&r);
}

/* A text ends in exactly this report. */
static void reports(const char *text, const char *lines)
{
    struct report r;
    struct settings *s = parse(text, &r);
    if (strcmp(text_str(&r.lines), lines) != 0)
        printf("# got: %s", text_str(&r.lines));
    CU_ASSERT_STRING_EQUAL(text_str(&r.lines), lines);
    settings_free(s);
    report_free(&r);
}

/* -- grammar ------------------------------------------------------------------------------------------ */

static void splits(const char *line, unsigned n, ...)
{
    struct words w = {0};
    char *comment;
    va_list expected;
    CU_ASSERT(line_split(line, &w, ~0u, &comment));
    CU_ASSERT_EQUAL(w.n, n);
    va_start(expected, n);
    for (unsigned i = 0; i < n; i++) {
        const char *word = va_arg(expected, const char *);
        CU_ASSERT(i < w.n && strcmp(w.p[i], word) == 0);
    }
    va_end(expected);
    words_free(&w);
}

static void test_words_and_quotes_as_sdssplitargs(void)
{
    splits("", 0);
    splits("  a\tb  ", 2, "a", "b");
    splits("a \"b c\" 'd e'", 3, "a", "b c", "d e");
    splits("a \"\" ''", 3, "a", "", "");
    splits("\"\\x41\\n\\r\\t\\b\\a\\\\\\\"\\q\"", 1, "A\n\r\t\b\a\\\"q");
    splits("'it\\'s \\n'", 1, "it's \\n");
    splits("foo\"bar\"", 1, "foobar");
    splits("\\x41", 1, "\\x41");
}

static void test_unbalanced_quotes_are_refused(void)
{
    static const char *const bad[] = {"\"",   "'",     "\"a",     "'a",       "\"a\"b",
                                      "'a'b", "a \"b", "\"a\\\"", "\"\\x00\""};
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct words w = {0};
        char *comment;
        CU_ASSERT_FALSE(line_split(bad[i], &w, ~0u, &comment));
        words_free(&w);
    }
}

static void test_a_word_printed_reads_back(void)
{
    for (unsigned c = 1; c < 256; c++) {
        char word[4] = {'x', (char)c, 'y', 0}, *comment;
        struct text t = {0};
        struct words w = {0};
        text_add_word(&t, word);
        CU_ASSERT(line_split(t.p, &w, ~0u, &comment));
        CU_ASSERT(w.n == 1 && strcmp(w.p[0], word) == 0);
        words_free(&w);
        text_free(&t);
    }
}

static void test_values_take_their_canonical_form(void)
{
    gives("maxmemory 1gb", "maxmemory", "1073741824");
    gives("MAXMEMORY 100k", "maxmemory", "100000");
    gives("appendonly YES", "appendonly", "yes");
    gives("maxmemory-policy ALLKEYS-LRU", "maxmemory-policy", "allkeys-lru");
    gives("requirepass \"a b\"", "requirepass", "a b");
    gives("requirepass #secret", "requirepass", "#secret");
    gives("hash-max-ziplist-entries 7", "hash-max-listpack-entries", "7");
    gives("slaveof 10.0.0.1 6379", "replicaof", "10.0.0.1 6379");
    gives("unixsocketperm 0700", "unixsocketperm", "700");
    gives("maxmemory-clients 5%", "maxmemory-clients", "5%");
    gives("notify-keyspace-events KEA", "notify-keyspace-events", "AKE");
    gives("notify-keyspace-events Elg$", "notify-keyspace-events", "g$lE");
    gives("latency-tracking-info-percentiles 50 99.9 100", "latency-tracking-info-percentiles",
          "50 99.9 100");
    gives("bind 127.0.0.1 ::1", "bind", "127.0.0.1 ::1");
    gives("worker-cores 2 3 4", "worker-cores", "2 3 4");
    gives("log-level debug", "loglevel", "debug");
    gives("link-mac 02:00:00:00:00:01", "link-mac", "02:00:00:00:00:01");
}

static void test_save_lines_gather_and_replace_the_default(void)
{
    gives("save 900 1\nsave 300 10", "save", "900 1 300 10");
    gives("save 900 1 300 10", "save", "900 1 300 10");
    gives("save \"\"", "save", "");
    gives("port 1", "save", "3600 1 300 100 60 10000");
}

static void test_output_limits_gather_by_class(void)
{
    gives("client-output-buffer-limit normal 1kb 2kb 3\nclient-output-buffer-limit replica 1 2 3",
          "client-output-buffer-limit", "normal 1024 2048 3 slave 1 2 3 pubsub 33554432 8388608 60");
}

static void test_repeated_directives_keep_every_value(void)
{
    struct report r;
    struct settings *s = parse("link-address 10.0.0.1/24\nlink-address fe80::1/64\nrename-command FLUSHALL "
                               "\"\"\nuser a on #aa >b ~* +@all\n",
                               &r);
    CU_ASSERT_EQUAL(r.errors + r.warnings, 0);
    CU_ASSERT_EQUAL(s->value[directive_find("link-address")].n, 2);
    CU_ASSERT_STRING_EQUAL(settings_get(s, "rename-command"), "FLUSHALL \"\"");
    CU_ASSERT_STRING_EQUAL(settings_get(s, "user"), "a on #aa >b ~* +@all");
    settings_free(s);
    report_free(&r);
}

/* -- mistakes ----------------------------------------------------------------------------------------- */

static void test_every_mistake_names_line_word_and_remedy(void)
{
    reports("maxmemroy 1gb", "f.conf:1: maxmemroy: unknown directive; did you mean maxmemory?\n");
    reports("# c\n\nxyzzy 1", "f.conf:3: xyzzy: unknown directive; remove the line or correct the name\n");
    reports(
        "maxmemory abc",
        "f.conf:1: maxmemory: 'abc': argument must be a memory value; write a size such as 100mb or 2gb\n");
    reports("port 70000", "f.conf:1: port: '70000': argument must be between 0 and 65535 inclusive; write a "
                          "whole number from 0 to 65535\n");
    reports("port 6e3", "f.conf:1: port: '6e3': argument couldn't be parsed into an integer; write a whole "
                        "number from 0 to 65535\n");
    reports("appendonly maybe",
            "f.conf:1: appendonly: 'maybe': argument must be 'yes' or 'no'; write yes or no\n");
    reports("appendfsync often",
            "f.conf:1: appendfsync: 'often': argument(s) must be one of the following: everysec, always, no; "
            "choose one of these, for example appendfsync everysec\n");
    reports("port", "f.conf:1: port: wrong number of arguments: a value is missing; write a whole number "
                    "from 0 to 65535\n");
    reports("timeout 1 2",
            "f.conf:1: timeout: wrong number of arguments; write a whole number from 0 to 2147483647\n");
    reports("requirepass \"abc", "f.conf:1: requirepass: unbalanced quotes; close the quote and put a blank "
                                 "behind it, or write \\\" for a quote inside\n");
    reports(
        "save 900",
        "f.conf:1: save: '900': Invalid save parameters; write for example: save 3600 1 300 100 60 10000\n");
    reports("link-address 10.0.0.300", "f.conf:1: link-address: '10.0.0.300': not an address with its prefix "
                                       "length; write for example: link-address 127.0.77.2/24\n");
    reports("link-address 10.0.0.1/33", "f.conf:1: link-address: '10.0.0.1/33': not an address with its "
                                        "prefix length; write for example: link-address 127.0.77.2/24\n");
    reports("include", "f.conf:1: include: wrong number of arguments; write include and one file name\n");
    reports("include /nonexistent/x", "f.conf:1: /nonexistent/x: cannot read /nonexistent/x: No such file or "
                                      "directory; correct the name or its permissions\n");
}

static void test_all_mistakes_of_a_file_are_reported(void)
{
    struct report r;
    struct settings *s = parse("port x\nmaxmemory y\ntimeout 5\nfoo\n", &r);
    CU_ASSERT_EQUAL(r.errors, 3);
    settings_free(s);
    report_free(&r);
}

static void test_a_password_is_not_printed_in_an_error(void)
{
    struct report r;
    struct settings *s = parse("requirepass geheim wort", &r);
    CU_ASSERT_EQUAL(r.errors, 1);
    CU_ASSERT_PTR_NULL(strstr(text_str(&r.lines), "geheim"));
    settings_free(s);
    report_free(&r);
}

static void test_a_comment_after_a_value_is_accepted_with_a_warning(void)
{
    gives("maxmemory 1gb # don't panic", "maxmemory", "1073741824");
    reports("maxmemory 1gb # c", "f.conf:1: warning: maxmemory: the comment after the value was taken off; "
                                 "Redis would refuse this line\n");
    gives("rename-command FLUSHALL #x # c", "rename-command", "FLUSHALL \"#x\"");
}

static void test_directives_without_effect_are_said_once(void)
{
    reports("daemonize no", "");
    reports("daemonize yes", "f.conf:1: warning: daemonize: accepted, but without effect on Sluice\n");
    reports("lua-replicate-commands no", "f.conf:1: warning: lua-replicate-commands: this directive of older "
                                         "Redis versions has no effect any more; remove the line\n");
}

static void test_garbage_is_reported_and_harmless(void)
{
    unsigned random = 7;
    for (unsigned i = 0; i < 300; i++) {
        char text[400];
        struct report r = {0};
        struct settings *s = settings_defaults();
        for (unsigned k = 0; k < sizeof text; k++) {
            random = random * 1103515245 + 12345;
            text[k] = (char)(random >> 16);
        }
        conf_parse("garbage", text, sizeof text, s, NULL, &r);
        settings_free(s);
        report_free(&r);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_words_and_quotes_as_sdssplitargs),
                                             UNIT(test_unbalanced_quotes_are_refused),
                                             UNIT(test_a_word_printed_reads_back),
                                             UNIT(test_values_take_their_canonical_form),
                                             UNIT(test_save_lines_gather_and_replace_the_default),
                                             UNIT(test_output_limits_gather_by_class),
                                             UNIT(test_repeated_directives_keep_every_value),
                                             UNIT(test_every_mistake_names_line_word_and_remedy),
                                             UNIT(test_all_mistakes_of_a_file_are_reported),
                                             UNIT(test_a_password_is_not_printed_in_an_error),
                                             UNIT(test_a_comment_after_a_value_is_accepted_with_a_warning),
                                             UNIT(test_directives_without_effect_are_said_once),
                                             UNIT(test_garbage_is_reported_and_harmless),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/conf", tests);
}

/* test_conf.c: the grammar of configuration files, every kind of mistake with its line, the table's defaults,
 * and what CONFIG REWRITE makes of a file. */
#include "control/conffile.h"
#include "control/import.h"
#include "control/revisions.h"
#include "control/rewrite.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/control-conf-XXXXXX", path[64];

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

/* -- files -------------------------------------------------------------------------------------------- */

static void write_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    fputs(text, f);
    fclose(f);
}

static bool load(struct settings **s, struct report *r)
{
    *s = settings_defaults();
    memset(r, 0, sizeof *r);
    return conf_load(path, *s, NULL, r);
}

static void test_include_is_relative_to_its_file_and_later_lines_win(void)
{
    char other[80];
    struct settings *s;
    struct report r;
    snprintf(other, sizeof other, "%s/more.inc", folder);
    write_file(path, "timeout 1\ninclude more.inc\nport 7\n");
    write_file(other, "timeout 2\nport 6\n");
    CU_ASSERT(load(&s, &r));
    CU_ASSERT_STRING_EQUAL(settings_get(s, "timeout"), "2");
    CU_ASSERT_STRING_EQUAL(settings_get(s, "port"), "7");
    settings_free(s);
    write_file(other, "timeout 2\nbad\n");
    CU_ASSERT_FALSE(load(&s, &r));
    CU_ASSERT_PTR_NOT_NULL(strstr(text_str(&r.lines), "more.inc:2: bad: unknown directive"));
    settings_free(s);
    report_free(&r);
    unlink(other);
}

static void test_a_text_that_was_sent_includes_nothing(void)
{
    static const char *const texts[] = {"include %s/inc", "INCLUDE %s/inc", "\"include\" %s/inc", "\"\\x69nclude\" %s/inc",
                                        "inc\"lude\" %s/inc", "include\f%s/inc", "port 1\ninclude %s/in*"};
    char text[128];
    snprintf(text, sizeof text, "%s/inc", folder);
    write_file(text, "timeout 77\nsecret-word x\n");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct settings *s = settings_defaults();
        struct report r = {0};
        const int n = snprintf(text, sizeof text, texts[i], folder);
        CU_ASSERT_FALSE(conf_parse_alone("sent", text, (size_t)n, s, &r));
        CU_ASSERT_PTR_NULL(strstr(text_str(&r.lines), "secret"));
        CU_ASSERT_STRING_EQUAL(settings_get(s, "timeout"), "0");
        report_free(&r);
        settings_free(s);
    }
    /* Nor does a command line of a redis-server that is looked at: its words are no lines. */
    snprintf(text, sizeof text, "--timeout 1\ninclude %s/inc", folder);
    struct words w = {0};
    words_add(&w, must_copy(text));
    struct settings *s = settings_defaults();
    json_t *j = import_arguments(&w, s);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "errors")), 1);
    CU_ASSERT_STRING_EQUAL(settings_get(s, "timeout"), "0");
    json_decref(j);
    settings_free(s);
    words_free(&w);
    snprintf(text, sizeof text, "%s/inc", folder);
    unlink(text);
}

static void test_a_file_that_includes_itself_is_an_error(void)
{
    struct settings *s;
    struct report r;
    write_file(path, "include t.conf\n");
    CU_ASSERT_FALSE(load(&s, &r));
    CU_ASSERT_PTR_NOT_NULL(strstr(text_str(&r.lines), "includes itself"));
    settings_free(s);
    report_free(&r);
}

static void test_what_is_no_text_file_is_an_error(void)
{
    struct settings *s;
    struct report r = {0};
    s = settings_defaults();
    CU_ASSERT_FALSE(conf_load(folder, s, NULL, &r));
    CU_ASSERT_PTR_NOT_NULL(strstr(text_str(&r.lines), "not an ordinary file"));
    CU_ASSERT_FALSE(conf_load("/nonexistent", s, NULL, &r));
    settings_free(s);
    report_free(&r);
}

static bool override(struct settings *s, const char *command_line, struct report *r)
{
    struct words w = {0};
    char *comment;
    line_split(command_line, &w, ~0u, &comment);
    bool good = conf_overrides((int)w.n, w.p, s, r);
    words_free(&w);
    return good;
}

static void test_command_line_wins_over_the_file(void)
{
    struct report r;
    struct settings *s = parse("maxmemory 5mb\nsave 1 1\nlink-address 10.0.0.1/8\nrequirepass x", &r);
    CU_ASSERT(override(
        s, "--maxmemory 1gb --save 900 1 --save 300 10 '--link-address 10.0.0.9/8' --requirepass ''", &r));
    CU_ASSERT_STRING_EQUAL(settings_get(s, "maxmemory"), "1073741824");
    CU_ASSERT_STRING_EQUAL(settings_get(s, "save"), "900 1 300 10");
    CU_ASSERT_STRING_EQUAL(settings_get(s, "link-address"), "10.0.0.9/8");
    CU_ASSERT_STRING_EQUAL(settings_get(s, "requirepass"), "");
    CU_ASSERT_FALSE(override(s, "--prot 1 --timeout x", &r));
    CU_ASSERT_EQUAL(r.errors, 2);
    settings_free(s);
    report_free(&r);
}

/* -- rewriting ---------------------------------------------------------------------------------------- */

static void rewrites(const char *before, const char *name, const char *value, const char *after)
{
    struct settings *s;
    struct report r;
    char error[512] = "";
    write_file(path, before);
    CU_ASSERT(load(&s, &r));
    CU_ASSERT(settings_replace(s, directive_find(name), value, error, sizeof error));
    char *text = rewrite_text(path, s, error, sizeof error);
    if (!text || strcmp(text, after) != 0)
        printf("# got: %s %s\n", text ? text : "(null)", error);
    CU_ASSERT(text && strcmp(text, after) == 0);
    free(text);
    settings_free(s);
    report_free(&r);
}

static void test_rewrite_changes_only_what_changed(void)
{
    rewrites("# top\nport 1\n\n  timeout   5\n# end\n", "timeout", "5",
             "# top\nport 1\n\n  timeout   5\n# end\n");
    rewrites("# top\nport 1\ntimeout 5\n# end\n", "timeout", "6", "# top\nport 1\ntimeout 6\n# end\n");
    rewrites("port 1\n", "maxmemory", "2097152", "port 1\n# Written by CONFIG REWRITE\nmaxmemory 2mb\n");
    rewrites("maxmemory 1mb # note\nport 2\n", "maxmemory", "2mb", "# note\nmaxmemory 2mb\nport 2\n");
    rewrites("save 1 1\nport 1\nsave 2 2\n", "save", "3 3", "save 3 3\nport 1\n");
    rewrites("save 1 1\n", "save", "", "save \"\"\n");
    rewrites("port 1\n", "requirepass", "a \"b\"",
             "port 1\n# Written by CONFIG REWRITE\nrequirepass \"a \\\"b\\\"\"\n");
}

static void test_a_value_cannot_smuggle_a_line_into_the_file(void)
{
    rewrites("port 1\n", "bind", "1.1.1.1\nmaxclients 1",
             "port 1\n# Written by CONFIG REWRITE\nbind \"1.1.1.1\\nmaxclients\" 1\n");
    rewrites("port 1\n", "masteruser", "a\nb", "port 1\n# Written by CONFIG REWRITE\nmasteruser \"a\\nb\"\n");
}

static void test_rewrite_beats_a_later_include(void)
{
    char other[80];
    snprintf(other, sizeof other, "%s/more.inc", folder);
    write_file(other, "timeout 2\n");
    rewrites("timeout 1\ninclude more.inc\n", "timeout", "3",
             "timeout 3\ninclude more.inc\n# Written by CONFIG REWRITE\ntimeout 3\n");
    unlink(other);
}

static void test_every_default_written_reads_back(void)
{
    struct settings *s = settings_defaults(), *back = settings_defaults();
    struct report r = {0};
    char error[512];
    for (unsigned i = 0; i < directive_count(); i++) {
        const struct directive *d = &directives[i];
        if (!d->fallback)
            continue;
        CU_ASSERT(settings_replace(s, (int)i, d->fallback, error, sizeof error));
        if (strcmp(s->value[i].p[0], d->fallback) != 0)
            printf("# %s: %s\n", d->name, s->value[i].p[0]);
        CU_ASSERT_STRING_EQUAL(s->value[i].p[0], d->fallback);
    }
    settings_free(s);
    settings_free(back);
    report_free(&r);
}

static void test_names_are_unique(void)
{
    for (unsigned i = 0; i < directive_count(); i++) {
        CU_ASSERT_EQUAL(directive_find(directives[i].name), (int)i);
        if (directives[i].alias)
            CU_ASSERT_EQUAL(directive_find(directives[i].alias), (int)i);
    }
}

static void test_a_file_is_replaced_durably_with_its_mode(void)
{
    struct stat st;
    char error[256];
    write_file(path, "old\n");
    chmod(path, 0600);
    CU_ASSERT(write_durably(path, "new\n", error, sizeof error));
    CU_ASSERT(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == 4);
    CU_ASSERT_FALSE(write_durably("/nonexistent/x", "new\n", error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "/nonexistent/x"));
}

static void test_fifty_revisions_of_operators_and_of_clients_are_kept(void)
{
    char error[256], value[16], command[128];
    struct settings *s = settings_defaults();
    int d = directive_find("timeout");
    struct revisions *r = revisions_open(folder);
    for (unsigned i = 1; i <= 120; i++) { /* one of an operator, then two of clients, and so on */
        snprintf(value, sizeof value, "%u", i);
        CU_ASSERT(settings_replace(s, d, value, error, sizeof error));
        revisions_add(r, s, i % 3 == 1 ? "commit" : "CONFIG SET", "somebody", i == 118 ? "a \"comment\"" : "", i % 3 != 1,
                      false);
        revisions_add(r, s, "CONFIG SET", "somebody", "", true, false); /* the same again is none */
    }
    json_t *before = revisions_list(r);
    CU_ASSERT_EQUAL(json_array_size(before), 40 + 50);
    revisions_free(r);
    r = revisions_open(folder); /* as a control that starts again reads them */
    json_t *list = revisions_list(r), *about = NULL;
    CU_ASSERT(json_equal(before, list));
    json_decref(before);
    json_decref(list);
    struct settings *back = revisions_read(r, 2, &about, error, sizeof error);
    CU_ASSERT(back && strcmp(settings_get(back, "timeout"), "118") == 0);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(about, "comment")), "a \"comment\"");
    settings_free(back);
    json_decref(about);
    back = revisions_read(r, 89, NULL, error, sizeof error);
    CU_ASSERT(back && strcmp(settings_get(back, "timeout"), "1") == 0);
    settings_free(back);
    CU_ASSERT_PTR_NULL(revisions_read(r, 90, NULL, error, sizeof error));
    revisions_free(r);
    settings_free(s);
    snprintf(command, sizeof command, "rm -r %s/revisions", folder);
    CU_ASSERT_EQUAL(system(command), 0);
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
                                             UNIT(test_include_is_relative_to_its_file_and_later_lines_win),
                                             UNIT(test_a_text_that_was_sent_includes_nothing),
                                             UNIT(test_a_file_that_includes_itself_is_an_error),
                                             UNIT(test_what_is_no_text_file_is_an_error),
                                             UNIT(test_command_line_wins_over_the_file),
                                             UNIT(test_rewrite_changes_only_what_changed),
                                             UNIT(test_a_value_cannot_smuggle_a_line_into_the_file),
                                             UNIT(test_rewrite_beats_a_later_include),
                                             UNIT(test_every_default_written_reads_back),
                                             UNIT(test_names_are_unique),
                                             UNIT(test_a_file_is_replaced_durably_with_its_mode),
                                             UNIT(test_fifty_revisions_of_operators_and_of_clients_are_kept),
                                             {NULL, NULL}};
    if (!mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/t.conf", folder);
    int result = unit_main(argc, argv, "control/conf", tests);
    unlink(path);
    rmdir(folder);
    return result;
}

/* test_conf_file.c: files that include others, the command line over them, what CONFIG REWRITE makes of a file, and revisions. */
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
    struct settings *s;
    write_file(path, "maxmemory 5mb\nsave 1 1\nlink-address 10.0.0.1/8\nrequirepass x\n");
    CU_ASSERT(load(&s, &r));
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

#define MARK "# sluice-version " SLUICE_VERSION "\n"

static void rewrites(const char *before, const char *name, const char *value, const char *after)
{
    struct settings *s;
    struct report r;
    char error[512] = "";
    write_file(path, before);
    CU_ASSERT(load(&s, &r));
    CU_ASSERT(settings_replace(s, directive_find(name), value, error, sizeof error));
    char *text = rewrite_text(path, s, error, sizeof error);
    char *wanted = strcmp(before, after) != 0 ? must_print(MARK "%s", after) : must_copy(after); /* whoever changes it signs it */
    if (!text || strcmp(text, wanted) != 0)
        printf("# got: %s %s\n", text ? text : "(null)", error);
    CU_ASSERT(text && strcmp(text, wanted) == 0);
    free(wanted);
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
    static const struct unit_test tests[] = {UNIT(test_include_is_relative_to_its_file_and_later_lines_win),
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
    int result = unit_main(argc, argv, "control/conf_file", tests);
    unlink(path);
    rmdir(folder);
    return result;
}

/* test_versions.c: a configuration goes from version to version, forward and back (conffile.h). */
#include "control/conffile.h"
#include "control/rewrite.h"
#include "names_0_1_0.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK "# sluice-version " SLUICE_VERSION "\n"

static char path[] = "/tmp/control-versions-XXXXXX";

static struct settings *parse(const char *text, struct report *r)
{
    struct settings *s = settings_defaults();
    *r = (struct report){0};
    conf_parse("f.conf", text, strlen(text), s, NULL, r);
    return s;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_FATAL(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A later version wrote the file, or the revision, and the box has gone back to this one. */
static void test_what_a_newer_version_wrote_is_left_out(void)
{
    static const char unknown[] = "port 7\nshining-armour 3 yes\nmaxmemory-policy allkeys-wisest\ntimeout 5\n";
    static const char *const newer[] = {"# sluice-version 99.0.0\n", "# revision {}\n# sluice-version 0.1.1\n", "\n\n# sluice-version 0.2.0 (beta)\n"};
    static const char *const strict[] = {"", MARK, "# sluice-version 0.0.9\n", "# sluice-version next\n", "\n\n\n# sluice-version 99.0.0\n"};
    char text[512];
    struct report r;
    for (unsigned i = 0; i < sizeof newer / sizeof *newer; i++) {
        snprintf(text, sizeof text, "%s%s", newer[i], unknown);
        struct settings *s = parse(text, &r);
        CU_ASSERT_EQUAL(r.errors, 0);
        CU_ASSERT_EQUAL(r.warnings, 2);
        CU_ASSERT_STRING_EQUAL(settings_get(s, "port"), "7");
        CU_ASSERT_STRING_EQUAL(settings_get(s, "maxmemory-policy"), "noeviction");
        CU_ASSERT_STRING_EQUAL(settings_get(s, "timeout"), "5");
        settings_free(s);
        report_free(&r);
    }
    for (unsigned i = 0; i < sizeof strict / sizeof *strict; i++) {
        snprintf(text, sizeof text, "%s%s", strict[i], unknown);
        settings_free(parse(text, &r));
        CU_ASSERT_EQUAL(r.errors, 2);
        report_free(&r);
    }
    settings_free(parse("# sluice-version 99.0.0\nfilter never-heard-of\n", &r));
    CU_ASSERT_EQUAL(r.errors, 1); /* without it the box would be open */
    report_free(&r);
}

/* What it left out is there again for the newer one. */
static void test_a_rewrite_keeps_what_a_newer_version_wrote(void)
{
    static const char before[] = "# sluice-version 99.0.0\nport 1\nshining-armour 3\nmaxmemory-policy allkeys-wisest\n";
    static const char after[] = "# sluice-version 99.0.0\nport 2\nshining-armour 3\nmaxmemory-policy allkeys-wisest\n";
    struct settings *s = settings_defaults();
    struct report r = {0};
    char error[512] = "";
    write_file(before);
    CU_ASSERT(conf_load(path, s, NULL, &r));
    CU_ASSERT(settings_replace(s, directive_find("port"), "2", error, sizeof error));
    char *text = rewrite_text(path, s, error, sizeof error);
    CU_ASSERT(text && strcmp(text, after) == 0);
    free(text);
    settings_free(s);
    report_free(&r);
}

static void tells_of(const char *name)
{
    printf("# %s is not known any more\n", name);
    CU_FAIL("name");
}

/* A box that is upgraded starts with the file that it has. */
static void test_names_of_earlier_versions_are_taken(void)
{
    for (unsigned i = 0; i < sizeof names_0_1_0 / sizeof *names_0_1_0; i++)
        if (directive_find(names_0_1_0[i]) < 0 && !directive_obsolete(names_0_1_0[i]))
            tells_of(names_0_1_0[i]);
}

static void test_what_is_written_says_by_whom(void)
{
    struct settings *s = settings_defaults();
    struct report r = {0};
    char error[512] = "";
    write_file("# mine\n# sluice-version 0.0.9\nport 1\n");
    CU_ASSERT(conf_load(path, s, NULL, &r));
    CU_ASSERT(settings_replace(s, directive_find("port"), "2", error, sizeof error));
    char *text = rewrite_text(path, s, error, sizeof error);
    CU_ASSERT(text && strcmp(text, MARK "# mine\nport 2\n") == 0);
    free(text);
    settings_free(s);
    report_free(&r);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_what_a_newer_version_wrote_is_left_out),
                                             UNIT(test_a_rewrite_keeps_what_a_newer_version_wrote),
                                             UNIT(test_what_is_written_says_by_whom),
                                             UNIT(test_names_of_earlier_versions_are_taken),
                                             {NULL, NULL}};
    int fd = mkstemp(path), status = fd < 0 ? 1 : unit_main(argc, argv, "control/versions", tests);
    close(fd);
    unlink(path);
    return status;
}

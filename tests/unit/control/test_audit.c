/* test_audit.c: the audit log's chain: what was done to a line is found, what a crash leaves is taken off,
 * files follow each other. */
#include "control/audit.h"
#include "control/log.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/control-audit-XXXXXX";
static char path[64], copy[1 << 16];
static size_t copied;

static struct audit *opened(void)
{
    char error[256];
    struct audit *a = audit_open(folder, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    return a;
}

static void fill(unsigned lines)
{
    struct audit *a = opened();
    for (unsigned i = 0; i < lines; i++)
        audit_note(a, "uid 0 (root), pid 1", "management socket", "stop", json_pack("{s:i}", "i", (int)i),
                   "ok");
    audit_close(a);
}

static void empty(void)
{
    char *name;
    for (unsigned i = 1; i < 60; i++) {
        if (asprintf(&name, "%s/%06u.jsonl", folder, i) < 0)
            abort();
        unlink(name);
        free(name);
    }
}

static void load(void)
{
    FILE *f = fopen(path, "r");
    copied = f ? fread(copy, 1, sizeof copy, f) : 0;
    if (f)
        fclose(f);
}

static void store(const char *bytes, size_t len)
{
    FILE *f = fopen(path, "w");
    CU_ASSERT_EQUAL(fwrite(bytes, 1, len, f), len);
    fclose(f);
}

/* Does a log that is opened now verify? */
static bool good(json_int_t *lines)
{
    struct audit *a = opened();
    json_t *j = audit_verify(a);
    bool is = json_is_true(json_object_get(j, "good"));
    if (lines)
        *lines = json_integer_value(json_object_get(j, "lines"));
    json_decref(j);
    audit_close(a);
    return is;
}

static void test_lines_follow_each_other_over_restarts(void)
{
    json_int_t lines;
    struct stat st;
    empty();
    fill(3);
    fill(2);
    CU_ASSERT_TRUE(good(&lines));
    CU_ASSERT_EQUAL(lines, 5);
    CU_ASSERT_EQUAL(stat(path, &st), 0);
    CU_ASSERT_EQUAL(st.st_mode & 0777, 0600);
    struct audit *a = opened();
    json_t *last = audit_last(a, 2);
    CU_ASSERT_EQUAL(json_array_size(last), 2);
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(json_array_get(last, 1), "n")), 5);
    json_decref(last);
    audit_close(a);
}

static void test_every_byte_that_is_changed_is_found(void)
{
    empty();
    fill(4);
    load();
    unsigned missed = 0;
    for (size_t i = 0; i < copied; i++) {
        char was = copy[i];
        copy[i] = was == 'x' ? 'y' : 'x';
        store(copy, copied);
        copy[i] = was;
        missed += good(NULL);
    }
    CU_ASSERT_EQUAL(missed, 1); /* the very last line end: a line that is cut off is taken off at the start */
}

static void test_lines_taken_out_or_put_in_are_found(void)
{
    empty();
    fill(4);
    load();
    char *second = strchr(copy, '\n') + 1, *third = strchr(second, '\n') + 1;
    size_t rest = copied - (size_t)(third - copy);
    char *without = malloc(copied), *twice = malloc(2 * copied);
    memcpy(without, copy, (size_t)(second - copy));
    memcpy(without + (second - copy), third, rest);
    store(without, (size_t)(second - copy) + rest);
    CU_ASSERT_FALSE(good(NULL));
    memcpy(twice, copy, (size_t)(third - copy));
    memcpy(twice + (third - copy), second, copied - (size_t)(second - copy));
    store(twice, (size_t)(third - copy) + copied - (size_t)(second - copy));
    CU_ASSERT_FALSE(good(NULL));
    free(without);
    free(twice);
}

static void test_lines_cut_off_at_the_end_are_found_while_it_is_open(void)
{
    empty();
    fill(3);
    struct audit *a = opened();
    load();
    char *third = strchr(strchr(copy, '\n') + 1, '\n') + 1;
    CU_ASSERT_EQUAL(truncate(path, third - copy), 0);
    json_t *j = audit_verify(a);
    CU_ASSERT_FALSE(json_is_true(json_object_get(j, "good")));
    json_decref(j);
    audit_close(a);
}

static void test_what_a_crash_leaves_of_a_line_is_taken_off(void)
{
    empty();
    fill(3);
    load();
    char *third = strchr(strchr(copy, '\n') + 1, '\n') + 1;
    unsigned bad = 0;
    for (size_t cut = (size_t)(third - copy); cut < copied; cut += 7) {
        json_int_t lines;
        store(copy, cut);
        fill(1);
        bad += !good(&lines) || lines != 3;
    }
    CU_ASSERT_EQUAL(bad, 0);
}

static void test_a_new_file_follows_a_full_one(void)
{
    json_int_t lines;
    struct audit *a;
    char *big = malloc(1 << 20);
    memset(big, 'a', (1 << 20) - 1);
    big[(1 << 20) - 1] = 0;
    empty();
    a = opened();
    for (unsigned i = 0; i < 20; i++)
        audit_note(a, "x", "x", "x", json_pack("{s:s}", "big", big), "ok");
    audit_close(a);
    free(big);
    CU_ASSERT_TRUE(good(&lines));
    CU_ASSERT_EQUAL(lines, 20);
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), -1);
    path[strlen(path) - 7] = '2';
    CU_ASSERT_NOT_EQUAL(access(path, F_OK), -1);
    path[strlen(path) - 7] = '1';
}

static void test_texts_that_are_not_utf_8_do_no_harm(void)
{
    json_int_t lines;
    empty();
    struct audit *a = opened();
    audit_note(a, "user \xff\n\"}", "data port", "configuration", NULL, "\xfe");
    audit_close(a);
    CU_ASSERT_TRUE(good(&lines));
    CU_ASSERT_EQUAL(lines, 1);
}

static void test_secrets_are_not_told(void)
{
    char error[128];
    struct settings *before = settings_defaults(), *after = settings_defaults();
    CU_ASSERT_TRUE(settings_replace(after, directive_find("requirepass"), "sesame", error, sizeof error));
    CU_ASSERT_TRUE(settings_replace(after, directive_find("maxmemory"), "1gb", error, sizeof error));
    json_t *j = audit_changes(before, after);
    char *text = json_dumps(j, JSON_COMPACT);
    CU_ASSERT_PTR_NULL(strstr(text, "sesame"));
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(json_object_get(j, "requirepass"), "after")),
                           "(secret)");
    CU_ASSERT_EQUAL(json_object_size(j), 2);
    free(text);
    json_decref(j);
    settings_free(before);
    settings_free(after);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_lines_follow_each_other_over_restarts),
                                             UNIT(test_every_byte_that_is_changed_is_found),
                                             UNIT(test_lines_taken_out_or_put_in_are_found),
                                             UNIT(test_lines_cut_off_at_the_end_are_found_while_it_is_open),
                                             UNIT(test_what_a_crash_leaves_of_a_line_is_taken_off),
                                             UNIT(test_a_new_file_follows_a_full_one),
                                             UNIT(test_texts_that_are_not_utf_8_do_no_harm),
                                             UNIT(test_secrets_are_not_told),
                                             {NULL, NULL}};
    if (!mkdtemp(folder))
        return 2;
    snprintf(path, sizeof path, "%s/000001.jsonl", folder);
    log_set_file("/dev/null");
    int result = unit_main(argc, argv, "control/audit", tests);
    empty();
    rmdir(folder);
    return result;
}

/* test_aof_read.c: the reader of logs on a file that is cut at every place and damaged everywhere; the manifest. */
#include "control/aof_folder.h"
#include "control/aof_read.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char log_text[] = "#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n"
                               "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n"
                               "*2\r\n$4\r\nINCR\r\n$1\r\nc\r\n";

static int file_of(const void *p, size_t n)
{
    int fd = memfd_create("aof", MFD_CLOEXEC);
    if (write(fd, p, n) != (ssize_t)n)
        abort();
    return fd;
}

struct got {
    char text[512];
    size_t n;
    bool whole;
};

static void take(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole)
{
    struct got *g = ctx;
    (void)at;
    if (g->n + n < sizeof g->text)
        memcpy(g->text + g->n, p, n);
    g->n += n;
    g->whole = whole;
}

/* Where commands and transactions are whole. */
static bool is_end(size_t at)
{
    size_t n = sizeof log_text - 1;
    const char *multi = strstr(log_text, "*1\r\n$5\r\nMULTI"), *exec = strstr(log_text, "EXEC\r\n") + 6;
    size_t ends[] = {0, (size_t)(strstr(log_text, "*2") - log_text), (size_t)(strstr(log_text, "*3") - log_text),
                     (size_t)(multi - log_text), (size_t)(exec - log_text), n};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] == at)
            return true;
    return false;
}

static void cut_everywhere(void)
{
    for (size_t n = 0; n < sizeof log_text; n++) {
        struct aof_check check;
        int fd = file_of(log_text, n);
        bool sound = aof_check(fd, 0, &check);
        CU_ASSERT_EQUAL(sound, is_end(n));
        CU_ASSERT_TRUE(is_end(check.good) && check.good <= n);
        CU_ASSERT_TRUE(sound || check.truncated);
        struct got g = {.whole = true};
        CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g) && g.whole);
        close(fd);
    }
}

/* Behind a preamble of which nothing is looked at. */
static void from_the_middle(void)
{
    char text[sizeof log_text + 8] = "REDIS...";
    memcpy(text + 8, log_text, sizeof log_text);
    struct aof_check check;
    struct got whole = {.whole = true}, rest = {.whole = true};
    int fd = file_of(log_text, sizeof log_text - 1), other = file_of(text, sizeof log_text - 1 + 8);
    CU_ASSERT_FALSE(aof_check(other, 0, &check));
    CU_ASSERT_EQUAL(check.good, 0);
    CU_ASSERT_TRUE(aof_check(other, 8, &check));
    CU_ASSERT_EQUAL(check.good, sizeof log_text - 1 + 8);
    CU_ASSERT_TRUE(aof_read(fd, 0, sizeof log_text - 1, take, &whole));
    CU_ASSERT_TRUE(aof_read(other, 8, check.good, take, &rest));
    CU_ASSERT_EQUAL(whole.n, rest.n);
    CU_ASSERT_EQUAL(memcmp(whole.text, rest.text, whole.n), 0);
    close(fd);
    close(other);
}

static void without_multi(void)
{
    struct got g = {.n = 0};
    int fd = file_of(log_text, sizeof log_text - 1);
    CU_ASSERT_TRUE(aof_read(fd, 0, sizeof log_text - 1, take, &g));
    g.text[g.n < sizeof g.text ? g.n : 0] = 0;
    CU_ASSERT_PTR_NULL(strstr(g.text, "MULTI"));
    CU_ASSERT_PTR_NULL(strstr(g.text, "EXEC"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g.text, "DEL"));
    CU_ASSERT_TRUE(g.whole);
    close(fd);
}

static void damaged_everywhere(void)
{
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        char text[sizeof log_text];
        struct aof_check check;
        memcpy(text, log_text, sizeof text);
        for (int k = rand() % 3; k >= 0; k--)
            text[(size_t)rand() % (sizeof text - 1)] = (char)rand();
        int fd = file_of(text, sizeof text - 1);
        bool sound = aof_check(fd, 0, &check);
        CU_ASSERT_EQUAL(sound, check.good == sizeof text - 1);
        struct got g = {.whole = true};
        CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g) && g.whole);
        close(fd);
    }
}

static void long_command(void)
{
    enum { LONG = 1000000 };
    char *text = malloc(LONG + 200);
    if (!text)
        abort();
    sprintf(text, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", LONG);
    size_t n = strlen(text);
    memset(text + n, 'x', LONG);
    memcpy(text + n + LONG, "\r\n", 2);
    int fd = file_of(text, n + LONG + 2);
    struct aof_check check;
    struct got g = {.n = 0};
    CU_ASSERT_TRUE(aof_check(fd, 0, &check));
    CU_ASSERT_EQUAL(check.commands, 2);
    CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g));
    CU_ASSERT_EQUAL(g.n, n + LONG + 2);
    CU_ASSERT_TRUE(g.whole);
    close(fd);
    free(text);
}

static bool parses(const char *text)
{
    char *copy = strdup(text);
    struct aof_folder *f = aof_folder_new("d", "f", "appendonly.aof");
    bool good = aof_folder_parse(f, copy);
    aof_folder_free(f);
    free(copy);
    return good;
}

static void manifests(void)
{
    CU_ASSERT_TRUE(parses("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n"));
    CU_ASSERT_TRUE(parses("# a comment\nfile \"a b\" seq 3 type b\n"));
    CU_ASSERT_FALSE(parses(""));
    CU_ASSERT_FALSE(parses("file a seq 1 type x\n"));
    CU_ASSERT_FALSE(parses("file ../a seq 1 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 1 type b\nfile b seq 2 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 2 type i\nfile b seq 1 type i\n"));
    CU_ASSERT_FALSE(parses("file a seq 0 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 1 type b more\n"));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(cut_everywhere), UNIT(from_the_middle), UNIT(without_multi), UNIT(damaged_everywhere),
                                             UNIT(long_command),   UNIT(manifests),       {NULL, NULL}};
    return unit_main(argc, argv, "control/aof_read", tests);
}

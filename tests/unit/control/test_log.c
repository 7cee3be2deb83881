/* test_log.c: levels, the rate limit, and that no text from outside can leave its line. */
#include "control/log.h"
#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char path[] = "/tmp/control-log-XXXXXX";

static void count(const struct log_entry *e, void *arg)
{
    (void)e;
    ++*(unsigned *)arg;
}

static void find_suppressed(const struct log_entry *e, void *arg)
{
    *(bool *)arg = *(bool *)arg || strncmp(e->line, "suppressed ", 11) == 0;
}

static unsigned kept(enum log_level level)
{
    unsigned n = 0;
    log_recent(level, LOG_RING, count, &n);
    return n;
}

static void test_lines_below_the_level_are_dropped(void)
{
    CU_ASSERT(log_set_level("notice"));
    CU_ASSERT_FALSE(log_set_level("loud"));
    log_line(LOG_LEVEL_VERBOSE, "no");
    log_line(LOG_LEVEL_NOTICE, "yes");
    log_dataplane(7, 4, "a warning of the dataplane");
    log_dataplane(7, 7, "no");
    CU_ASSERT_EQUAL(kept(LOG_LEVEL_DEBUG), 2);
    CU_ASSERT_EQUAL(kept(LOG_LEVEL_WARNING), 1);
    log_release();
}

static void test_a_line_break_stays_inside_its_line(void)
{
    char text[256] = "";
    CU_ASSERT(log_set_file(path));
    log_line(LOG_LEVEL_WARNING, "a\nb\r\033[2J");
    FILE *f = fopen(path, "r");
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "# a b  [2J\n"));
    CU_ASSERT(strchr(text, '\n') == strrchr(text, '\n'));
    log_release();
}

static void test_a_flood_is_counted_instead_of_written(void)
{
    unsigned n = 0;
    CU_ASSERT(log_set_file("/dev/null"));
    log_set_rate(10);
    struct timespec start, t;
    clock_gettime(CLOCK_MONOTONIC, &start);
    do { /* into the next second, at least once around */
        log_line(LOG_LEVEL_WARNING, "again");
        n++;
        clock_gettime(CLOCK_MONOTONIC, &t);
    } while (t.tv_sec == start.tv_sec || n < 1000);
    log_tick();
    CU_ASSERT(kept(LOG_LEVEL_DEBUG) <= 10 * (unsigned)(t.tv_sec - start.tv_sec + 1) + 3);
    bool said = false;
    log_recent(LOG_LEVEL_WARNING, LOG_RING, find_suppressed, &said);
    CU_ASSERT(said);
    log_set_rate(0);
    log_release();
}

static void test_the_ring_keeps_the_newest(void)
{
    CU_ASSERT(log_set_file("/dev/null"));
    for (unsigned i = 0; i < LOG_RING + 500; i++)
        log_line(LOG_LEVEL_WARNING, "line %u", i);
    CU_ASSERT_EQUAL(kept(LOG_LEVEL_DEBUG), LOG_RING);
    unsigned n = 0;
    log_recent(LOG_LEVEL_DEBUG, 3, count, &n);
    CU_ASSERT_EQUAL(n, 3);
    log_release();
}

static void test_a_file_that_cannot_be_opened_keeps_the_old_target(void)
{
    CU_ASSERT_FALSE(log_set_file("/nonexistent/log"));
}

static void find_cut(const struct log_entry *e, void *arg)
{
    if (e->pid == 4711 && e->level == LOG_LEVEL_WARNING && e->role == 'C')
        snprintf(arg, 64, "%.20s|%zu", e->line, strlen(e->line));
}

/* What was written before the other end was closed comes, then the end. */
static void test_a_childs_lines_come_to_the_parents_log(void)
{
    int pipes[2];
    char found[64] = "";
    bool over = false;
    CU_ASSERT_EQUAL_FATAL(pipe2(pipes, O_CLOEXEC | O_DIRECT | O_NONBLOCK), 0);
    CU_ASSERT_FALSE(log_of_child(pipes[0], 4711, &over));
    CU_ASSERT_FALSE(over);
    log_set_rate(0);
    unsigned before = kept(LOG_LEVEL_WARNING);
    log_to_parent(pipes[1]);
    log_line(LOG_LEVEL_WARNING, "the first\nline");
    log_line(LOG_LEVEL_WARNING, "%08000d", 7); /* longer than a packet */
    log_to_parent(0);
    CU_ASSERT_EQUAL(kept(LOG_LEVEL_WARNING), before);
    close(pipes[1]);
    CU_ASSERT_TRUE(log_of_child(pipes[0], 4711, &over));
    log_recent(LOG_LEVEL_WARNING, 1, find_cut, found);
    CU_ASSERT_STRING_EQUAL(found, "the first line|14");
    CU_ASSERT_TRUE(log_of_child(pipes[0], 4711, &over));
    CU_ASSERT_FALSE(over);
    log_recent(LOG_LEVEL_WARNING, 1, find_cut, found);
    CU_ASSERT_EQUAL(strncmp(found, "00000000000000000000|40", 23), 0);
    CU_ASSERT_EQUAL(kept(LOG_LEVEL_WARNING), before + 2);
    CU_ASSERT_FALSE(log_of_child(pipes[0], 4711, &over));
    CU_ASSERT_TRUE(over);
    close(pipes[0]);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_lines_below_the_level_are_dropped),
                                             UNIT(test_a_line_break_stays_inside_its_line),
                                             UNIT(test_a_flood_is_counted_instead_of_written),
                                             UNIT(test_a_childs_lines_come_to_the_parents_log),
                                             UNIT(test_the_ring_keeps_the_newest),
                                             UNIT(test_a_file_that_cannot_be_opened_keeps_the_old_target),
                                             {NULL, NULL}};
    int fd = mkstemp(path);
    log_set_rate(0);
    int result = unit_main(argc, argv, "control/log", tests);
    close(fd);
    unlink(path);
    return result;
}

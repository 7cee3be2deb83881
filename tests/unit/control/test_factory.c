/* test_factory.c: the order of a factory reset, and that one which was ended in its middle is done again: a
 * limit on the size of files kills the process when it overwrites the snapshot behind it. */
#include "control/factory.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static const char *in(const char *name)
{
    static char path[4][128];
    static unsigned turn;
    char *p = path[turn++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(in(name), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static bool there(const char *name)
{
    return access(in(name), F_OK) == 0;
}

static bool holds(const char *name, const char *text)
{
    char read[512] = "";
    FILE *f = fopen(in(name), "r");
    size_t n = f ? fread(read, 1, sizeof read - 1, f) : 0;
    if (f)
        fclose(f);
    return n > 0 && strstr(read, text);
}

/* A box whose snapshot is of 4 MB, the first of what is named; everything lies in state-dir, as on the image.
 */
static void make_box(void)
{
    char pending[1024];
    strcpy(folder, "/tmp/factory-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    CU_ASSERT_EQUAL_FATAL(mkdir(in("certificates"), 0700), 0);
    put("sluice.conf", "requirepass sesame\n");
    put("tokens.json", "secret");
    put("certificates/management.pem", "secret");
    put("control.lock", "");
    put("dump.rdb", "REDIS");
    CU_ASSERT_EQUAL(truncate(in("dump.rdb"), 4 << 20), 0);
    snprintf(pending, sizeof pending,
             "{\"files\":[\"%s/dump.rdb\"],\"folders\":[\"%s\"],\"config\":\"%s/sluice.conf\",\"text\":\"# "
             "new\\n\","
             "\"by\":\"somebody\",\"keep_network\":true}",
             folder, folder, folder);
    put("factory-reset.pending", pending);
}

static void remove_box(void)
{
    unlink(in("sluice.conf"));
    unlink(in("control.lock"));
    unlink(in("factory-reset"));
    unlink(in("factory-reset.pending"));
    CU_ASSERT_EQUAL(rmdir(folder), 0); /* there was nothing else */
}

/* The signal that ended it. */
static int reset_with_files_up_to(rlim_t bytes)
{
    int status = 0;
    pid_t pid = fork();
    CU_ASSERT_FATAL(pid >= 0);
    if (pid == 0) {
        signal(SIGXFSZ, SIG_DFL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, bytes});
        factory_reset_resume(folder);
        _exit(0);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

static void test_secrets_go_before_data_and_an_ended_one_is_done_again(void)
{
    make_box();
    CU_ASSERT_EQUAL(reset_with_files_up_to(2 << 20), SIGXFSZ);
    CU_ASSERT(holds("sluice.conf", "# new"));
    CU_ASSERT_FALSE(there("tokens.json"));
    CU_ASSERT_FALSE(there("certificates"));
    CU_ASSERT(there("dump.rdb"));
    CU_ASSERT(there("factory-reset.pending"));
    CU_ASSERT_FALSE(there("factory-reset"));
    CU_ASSERT(factory_reset_resume(folder));
    CU_ASSERT_FALSE(there("dump.rdb"));
    CU_ASSERT_FALSE(there("factory-reset.pending"));
    CU_ASSERT(there("control.lock"));
    CU_ASSERT(holds("sluice.conf", "# new"));
    CU_ASSERT(holds("factory-reset", "\"by\":\"somebody\",\"keep_network\":true,\"left\":0"));
    CU_ASSERT_FALSE(factory_reset_resume(folder)); /* once */
    remove_box();
}

static void test_without_one_nothing_is_touched(void)
{
    make_box();
    put("factory-reset.pending", "{\"files\":");
    CU_ASSERT_FALSE(factory_reset_resume(folder));
    CU_ASSERT(holds("tokens.json", "secret"));
    CU_ASSERT(holds("sluice.conf", "sesame"));
    unlink(in("factory-reset.pending"));
    CU_ASSERT_FALSE(factory_reset_resume(folder));
    CU_ASSERT(holds("tokens.json", "secret"));
    unlink(in("tokens.json"));
    unlink(in("dump.rdb"));
    unlink(in("certificates/management.pem"));
    rmdir(in("certificates"));
    remove_box();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_secrets_go_before_data_and_an_ended_one_is_done_again),
                                             UNIT(test_without_one_nothing_is_touched),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "control/factory", tests);
}

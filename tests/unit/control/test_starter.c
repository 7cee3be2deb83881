/* test_starter.c: a dataplane that is told to end before it is one (control/starter.c). */
#include "control/starter.h"
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int told[2];

static void tell(int number)
{
    char byte = (char)number;
    (void)!write(told[1], &byte, 1);
}

/* Within a minute; otherwise it is ended. */
static bool ends(pid_t pid, int *status)
{
    const struct timespec pause = {0, 1000000};
    for (int i = 0; i < 60000; i++) {
        if (waitpid(pid, status, WNOHANG) == pid)
            return true;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, status, 0);
    return false;
}

/* Its signals are its own from the first moment on: what its parent does about them it does not do, and it ends by them. */
static void test_no_signal_of_a_child_is_its_parents(void)
{
    static const char *const argv[] = {"/bin/sleep", "600", NULL};
    const int kept[CHANNEL_KEEPS] = {-1, -1, -1};
    char byte;
    CU_ASSERT_FATAL(pipe2(told, O_NONBLOCK) == 0);
    void (*before)(int) = signal(SIGTERM, tell);
    for (int i = 0; i < 200; i++) {
        int status = 0;
        long pid = starter_fork(argv[0], argv, -1, kept);
        CU_ASSERT_FATAL(pid > 0);
        CU_ASSERT(kill((pid_t)pid, SIGTERM) == 0);
        CU_ASSERT_FATAL(ends((pid_t)pid, &status));
        CU_ASSERT_FATAL(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    }
    signal(SIGTERM, before);
    CU_ASSERT(read(told[0], &byte, 1) < 0 && errno == EAGAIN);
    close(told[0]);
    close(told[1]);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_no_signal_of_a_child_is_its_parents), {NULL, NULL}};
    return unit_main(argc, argv, "control/starter", tests);
}

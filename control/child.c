/* child.c: see child.h. close_range(2), prctl(2). */
#include "control/child.h"
#include "control/log.h"

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* From `first` on, up to the one before `end`. */
static void close_from(int first, int end)
{
    if (first < end && close_range((unsigned)first, (unsigned)end - 1, 0) < 0)
        _exit(1); /* a child that keeps our lock and ports is worse than none */
}

void child_begins(int parent, int *keep, unsigned n)
{
    int first = STDERR_FILENO + 1, log = log_fd();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    qsort(keep, n, sizeof *keep, by_number);
    for (unsigned i = 0; i < n; i++) {
        if (keep[i] < first)
            continue;
        if (log >= first && log < keep[i]) {
            close_from(first, log);
            first = log + 1;
        }
        close_from(first, keep[i]);
        first = keep[i] + 1;
    }
    if (log >= first) {
        close_from(first, log);
        first = log + 1;
    }
    close_from(first, INT_MAX);
}

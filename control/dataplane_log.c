/* dataplane_log.c: see dataplane_log.h. */
#include "control/dataplane_log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOG_FILE_MAX = 1 << 20 };

int dataplane_log_open(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd >= 0 && lseek(fd, 0, SEEK_END) > LOG_FILE_MAX)
        (void)!ftruncate(fd, 0);
    return fd;
}

void dataplane_log_last(const char *path, char *line, size_t size)
{
    char tail[512];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    off_t end = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    off_t from = end > (off_t)sizeof tail - 1 ? end - ((off_t)sizeof tail - 1) : 0;
    ssize_t n = fd >= 0 && end > 0 ? pread(fd, tail, (size_t)(end - from), from) : 0;
    if (fd >= 0)
        close(fd);
    while (n > 0 && (tail[n - 1] == '\n' || tail[n - 1] == 0))
        n--;
    ssize_t start = n > 0 ? n : 0;
    while (start > 0 && tail[start - 1] != '\n')
        start--;
    snprintf(line, size, "%.*s", n > 0 ? (int)(n - start) : 0, tail + start);
}

void dataplane_log_end(const char *path, long pid, const int *status, char *why, size_t size)
{
    char words[256];
    if (!status || (WIFEXITED(*status) && WEXITSTATUS(*status) == 0)) {
        snprintf(why, size, "The dataplane (pid %ld) ended", pid);
    } else if (WIFSIGNALED(*status)) {
        snprintf(why, size, "The dataplane (pid %ld) was killed by signal %d (%s)", pid, WTERMSIG(*status),
                 strsignal(WTERMSIG(*status)));
    } else {
        dataplane_log_last(path, words, sizeof words);
        snprintf(why, size, "The dataplane (pid %ld) exited with status %d%s%s", pid, WEXITSTATUS(*status),
                 *words ? ": " : "", words);
    }
}

/* starter.c: see starter.h. unix(7), pidfd_send_signal(2). */
#include "control/starter.h"
#include "control/programs.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ANSWER_MS = 5000, ARGS = 16, DESCRIPTORS = 1 + CHANNEL_KEEPS /* the log, and what is kept */ };

enum wish { WISH_START, WISH_SIGNAL, WISH_STATUS, WISH_LAYOUT };

struct request {
    int wish, pid, signal;
    unsigned which; /* of the programs */
};

struct answer {
    int result, error; /* a pid, a status; errno or 0 */
};

struct starter {
    int fd;
};

/* -- the dataplane's process -------------------------------------------------------------------------- */

enum { KEPT_FIRST = 3 }; /* the numbers of kept memory in the dataplane */
#define KEPT_NUMBERS "3,4,5"

/* Moves them to their numbers, by way of numbers that are above all of these. False if there are none. */
static bool hand_on(const int kept[CHANNEL_KEEPS])
{
    int aside[CHANNEL_KEEPS];
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++)
        if ((aside[i] = kept[i] < 0 ? -1 : fcntl(kept[i], F_DUPFD, KEPT_FIRST + CHANNEL_KEEPS)) < 0)
            return false;
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++)
        if (dup2(aside[i], (int)(KEPT_FIRST + i)) < 0)
            return false;
    return true;
}

/* In the child. Only async-signal-safe calls. */
_Noreturn static void become(const char *program, const char *const argv[], int log_fd, const int kept[CHANNEL_KEEPS])
{
    const char *words[ARGS + 3];
    unsigned n = 0;
    int null = open("/dev/null", O_RDWR);
    sigset_t none;
    while (argv[n] && n < ARGS) {
        words[n] = n ? argv[n] : program;
        n++;
    }
    setsid();
    dup2(null, 0);
    dup2(log_fd >= 0 ? log_fd : null, 1);
    dup2(log_fd >= 0 ? log_fd : null, 2);
    bool keeps = hand_on(kept);
    if (keeps) {
        words[n++] = "--memory";
        words[n++] = KEPT_NUMBERS;
    }
    words[n] = NULL;
    syscall(SYS_close_range, (unsigned)(keeps ? KEPT_FIRST + CHANNEL_KEEPS : KEPT_FIRST), ~0u, 0u);
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(words[0], (char *const *)(uintptr_t)words);
    static const char failed[] = "cannot execute the dataplane program\n";
    (void)!write(2, failed, sizeof failed - 1);
    _exit(127);
}

long starter_fork(const char *program, const char *const argv[], int log_fd, const int kept[CHANNEL_KEEPS])
{
    sigset_t all, before;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, &before); /* until exec its handlers are ours, and what they tell would be told to us */
    pid_t pid = fork();
    if (pid == 0)
        become(program, argv, log_fd, kept);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return pid;
}

/* -- in the starter ----------------------------------------------------------------------------------- */

/* Who controls control may end dataplanes and nothing else with our rights. */
static bool is_dataplane(int pid)
{
    char path[64], name[32] = "";
    snprintf(path, sizeof path, "/proc/%d/comm", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, name, sizeof name - 1) : -1;
    if (fd >= 0)
        close(fd);
    return n > 0 && strcmp(name, "sluice-dataplan\n") == 0;
}

static int send_signal(int pid, int number)
{
    int fd = pid > 1 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1, error = 0;
    if (fd < 0)
        return ESRCH;
    if (!is_dataplane(pid) || (number != SIGTERM && number != SIGKILL))
        error = EPERM;
    else if (syscall(SYS_pidfd_send_signal, fd, number, NULL, 0) < 0)
        error = errno;
    close(fd);
    return error;
}

/* A request, and the descriptors that came with it. False: control has gone. */
static bool receive(int fd, struct request *r, int fds[DESCRIPTORS])
{
    union {
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
        struct cmsghdr align;
    } control;
    struct iovec part = {r, sizeof *r};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
    ssize_t n;
    memset(fds, -1, DESCRIPTORS * sizeof *fds);
    do
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    const struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len > CMSG_LEN(0))
        memcpy(fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
    return n == sizeof *r;
}

/* Starts one, or has it tell its layout. The pid; -1 and errno. */
static long run(const struct request *r, const char *const argv[], const char *updates, const int fds[DESCRIPTORS])
{
    static const char *const layout[] = {"", "--layout", NULL};
    int none[CHANNEL_KEEPS];
    bool starts = r->wish == WISH_START;
    char *program = program_find(argv[0], updates, r->which);
    memset(none, -1, sizeof none);
    errno = ENOENT;
    long pid = program ? starter_fork(program, starts ? argv : layout, fds[0], starts ? fds + 1 : none) : -1;
    int error = errno;
    free(program);
    errno = error;
    return pid;
}

_Noreturn static void serve(int fd, const char *const argv[], const char *updates)
{
    struct request r;
    int fds[DESCRIPTORS], status;
    while (receive(fd, &r, fds)) {
        struct answer a = {-1, EINVAL};
        if (r.wish == WISH_START || r.wish == WISH_LAYOUT) {
            a.result = (int)run(&r, argv, updates, fds);
            a.error = a.result < 0 ? errno : 0;
        } else if (r.wish == WISH_SIGNAL) {
            a.error = send_signal(r.pid, r.signal);
        } else if (r.wish == WISH_STATUS) {
            a.error = r.pid > 0 && waitpid(r.pid, &status, WNOHANG) == r.pid ? 0 : ECHILD;
            a.result = a.error ? -1 : status;
        }
        for (unsigned i = 0; i < DESCRIPTORS; i++)
            if (fds[i] >= 0)
                close(fds[i]);
        (void)!send(fd, &a, sizeof a, MSG_NOSIGNAL);
    }
    _exit(0);
}

struct starter *starter_new(const char *const argv[], const char *updates)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return NULL;
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_NAME, "sluice-starter");
        setsid(); /* a signal to control's terminal is for control */
        close(pair[0]);
        serve(pair[1], argv, updates);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return NULL;
    }
    struct starter *s = must_alloc(1, sizeof *s);
    s->fd = pair[0];
    return s;
}

void starter_free(struct starter *s)
{
    if (s)
        close(s->fd);
    free(s);
}

/* -- in control --------------------------------------------------------------------------------------- */

/* False (errno): not done. The starter does nothing that waits; one that does not answer is as good as gone.
 */
static bool ask(struct starter *s, struct request r, unsigned n, const int fds[], int *result)
{
    union {
        char bytes[CMSG_SPACE(DESCRIPTORS * sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    struct iovec part = {&r, sizeof r};
    struct msghdr m = {.msg_iov = &part, .msg_iovlen = 1};
    struct pollfd ready = {.fd = s->fd, .events = POLLIN};
    struct answer a;
    if (n) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(n * sizeof(int));
        memcpy(CMSG_DATA(c), fds, n * sizeof(int));
    }
    if (sendmsg(s->fd, &m, MSG_NOSIGNAL) != (ssize_t)sizeof r || poll(&ready, 1, ANSWER_MS) != 1 ||
        recv(s->fd, &a, sizeof a, 0) != (ssize_t)sizeof a) {
        shutdown(s->fd, SHUT_RDWR); /* a late answer must not be taken for that to another question */
        errno = EPIPE;
        return false;
    }
    *result = a.result;
    errno = a.error;
    return a.error == 0;
}

long starter_start(struct starter *s, unsigned which, int log_fd, const int kept[CHANNEL_KEEPS])
{
    int fds[DESCRIPTORS] = {log_fd}, pid;
    unsigned n = log_fd >= 0;
    for (unsigned i = 0; n && i < CHANNEL_KEEPS && kept[i] >= 0; i++)
        fds[n++] = kept[i];
    return ask(s, (struct request){.wish = WISH_START, .which = which}, n, fds, &pid) ? pid : -1;
}

long starter_layout(struct starter *s, unsigned which, int out_fd)
{
    int pid;
    return ask(s, (struct request){.wish = WISH_LAYOUT, .which = which}, 1, &out_fd, &pid) ? pid : -1;
}

bool starter_signal(struct starter *s, long pid, int signal)
{
    int none;
    return ask(s, (struct request){.wish = WISH_SIGNAL, .pid = (int)pid, .signal = signal}, 0, NULL, &none);
}

bool starter_status(struct starter *s, long pid, int *status)
{
    return ask(s, (struct request){.wish = WISH_STATUS, .pid = (int)pid}, 0, NULL, status);
}

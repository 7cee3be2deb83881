/* supervise.c: one dataplane process, kept running. pidfd_open(2). */
#include "control/supervise.h"
#include "control/log.h"
#include "control/starter.h"
#include "control/text.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    BACKOFF_FIRST_MS = 200,
    BACKOFF_LAST_MS = 30000,
    GOOD_SERVICE_MS = 60000, /* after this long the back-off starts afresh */
    CONNECT_EVERY_MS = 50,
    KILL_AFTER_MS = 5000, /* from SIGTERM to SIGKILL */
    LOG_FILE_MAX = 1 << 20,
    FAULTS_MOST = 2, /* in a row, each within GOOD_SERVICE_MS: what is in its memory may be why */
};

enum wish { WISH_RUN, WISH_RESTART, WISH_STOP };

struct supervisor {
    struct event_base *base;
    struct link *link;
    struct supervise_options options;
    const struct supervise_ops *ops;
    void *ctx;
    struct supervise_status status;
    enum wish wish;
    bool child; /* our own child: to be reaped */
    bool fresh; /* started by us and not configured yet */
    int pidfd;
    int kept[CHANNEL_KEEPS]; /* -1 = none */
    unsigned faults;
    uint64_t served_ms; /* how long the last one was attached; 0: this one has not been yet */
    struct event *ended, *timer;
    unsigned stop_step;
};

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void after(struct supervisor *s, unsigned ms)
{
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    evtimer_add(s->timer, &t);
}

const char *supervise_phase_name(enum supervise_phase phase)
{
    static const char *const names[] = {"waiting", "starting", "attached", "stopping", "stopped"};
    return names[phase];
}

static void enter(struct supervisor *s, enum supervise_phase to)
{
    static const unsigned legal[] = {
        [PHASE_WAITING] = 1 << PHASE_STARTING | 1 << PHASE_STOPPED,
        [PHASE_STARTING] = 1 << PHASE_ATTACHED | 1 << PHASE_WAITING | 1 << PHASE_STOPPING |
                           1 << PHASE_STOPPED | 1 << PHASE_STARTING,
        [PHASE_ATTACHED] =
            1 << PHASE_STARTING | 1 << PHASE_WAITING | 1 << PHASE_STOPPING | 1 << PHASE_STOPPED,
        [PHASE_STOPPING] = 1 << PHASE_STARTING | 1 << PHASE_STOPPED | 1 << PHASE_STOPPING,
        [PHASE_STOPPED] = 1 << PHASE_STARTING | 1 << PHASE_STOPPED,
    };
    bool known = legal[s->status.phase] & 1u << to;
    assert(known);
    if (!known)
        log_line(LOG_LEVEL_WARNING, "supervision went from %s to %s, which should not happen",
                 supervise_phase_name(s->status.phase), supervise_phase_name(to));
    s->status.phase = to;
}

/* -- the process -------------------------------------------------------------------------------------- */

static void on_ended(evutil_socket_t fd, short what, void *arg);

static void write_pid(const struct supervisor *s)
{
    FILE *f = fopen(s->options.pid_file, "we");
    if (f) {
        fprintf(f, "%ld\n", s->status.pid);
        fclose(f);
    }
}

static bool watch(struct supervisor *s, long pid)
{
    s->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (s->pidfd < 0)
        return false;
    fcntl(s->pidfd, F_SETFD, FD_CLOEXEC);
    s->status.pid = pid;
    write_pid(s);
    s->ended = event_new(s->base, s->pidfd, EV_READ, on_ended, s);
    event_add(s->ended, NULL);
    return true;
}

static void unwatch(struct supervisor *s)
{
    if (s->ended)
        event_free(s->ended);
    if (s->pidfd >= 0)
        close(s->pidfd);
    s->ended = NULL;
    s->pidfd = -1;
    s->status.pid = 0;
    s->child = false;
}

static void drop_kept(struct supervisor *s)
{
    for (unsigned i = 0; i < CHANNEL_KEEPS; i++) {
        if (s->kept[i] >= 0)
            close(s->kept[i]);
        s->kept[i] = -1;
    }
}

void supervise_keep(struct supervisor *s, const int fds[CHANNEL_KEEPS])
{
    drop_kept(s);
    memcpy(s->kept, fds, sizeof s->kept);
}

static void try_again(struct supervisor *s, const char *reason)
{
    unsigned ms = s->status.backoff_ms;
    snprintf(s->status.reason, sizeof s->status.reason, "%s", reason);
    log_line(LOG_LEVEL_WARNING, "%s; starting it again in %u.%u s", reason, ms / 1000, ms % 1000 / 100);
    s->status.backoff_ms = ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : ms * 2;
    s->status.restarts++;
    enter(s, PHASE_WAITING);
    after(s, ms);
}

/* Its stdout and stderr. A dataplane that dies again and again must not fill the disk: beyond 1 MB it starts
 * afresh. */
static int open_log(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
    if (fd >= 0 && lseek(fd, 0, SEEK_END) > LOG_FILE_MAX)
        (void)!ftruncate(fd, 0);
    return fd;
}

static void spawn(struct supervisor *s)
{
    char why[256];
    enter(s, PHASE_STARTING);
    s->wish = WISH_RUN;
    if (access(s->options.argv[0], X_OK) < 0) {
        snprintf(why, sizeof why, "The dataplane program %.150s cannot be run: %s", s->options.argv[0],
                 strerror(errno));
        try_again(s, why);
        return;
    }
    int log_fd = open_log(s->options.log_file);
    s->served_ms = 0;
    long pid = s->options.starter ? starter_start(s->options.starter, log_fd, s->kept)
                                  : starter_fork(s->options.argv, log_fd, s->kept);
    if (log_fd >= 0)
        close(log_fd);
    if (pid < 0 || !watch(s, pid)) {
        snprintf(why, sizeof why, "The dataplane cannot be started: %s", strerror(errno));
        try_again(s, why);
        return;
    }
    s->child = true;
    s->fresh = true;
    log_line(LOG_LEVEL_NOTICE, "Started the dataplane %s, pid %ld", s->options.argv[0], pid);
    after(s, CONNECT_EVERY_MS);
}

/* The last line that the dataplane wrote to its log file: usually it says why it ended. */
static void last_words(const struct supervisor *s, char *line, size_t size)
{
    char tail[512];
    int fd = open(s->options.log_file, O_RDONLY | O_CLOEXEC);
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

static bool reap(const struct supervisor *s, int *status)
{
    pid_t pid = (pid_t)s->status.pid;
    if (s->options.starter)
        return starter_status(s->options.starter, pid, status);
    return waitpid(pid, status, WNOHANG) == pid;
}

/* Nobody's wish, but its own doing. */
static void note_fault(struct supervisor *s, int signal)
{
    bool own = signal && signal != SIGKILL && signal != SIGTERM && signal != SIGINT;
    uint64_t served_ms = s->status.attached_ms ? wall_ms() - s->status.attached_ms : s->served_ms;
    bool soon = served_ms < GOOD_SERVICE_MS;
    s->faults = !own ? 0 : soon ? s->faults + 1 : 1;
    if (s->faults < FAULTS_MOST)
        return;
    log_line(LOG_LEVEL_WARNING, "The dataplane has crashed %u times in a row: the next one begins without what is in its memory", s->faults);
    drop_kept(s);
    s->faults = 0;
}

static void describe_end(struct supervisor *s, char *why, size_t size)
{
    int status = 0;
    long pid = s->status.pid;
    char words[256];
    if (!s->child || !reap(s, &status))
        snprintf(why, size, "The dataplane (pid %ld) ended", pid);
    else if (WIFSIGNALED(status))
        snprintf(why, size, "The dataplane (pid %ld) was killed by signal %d (%s)", pid, WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else if (WEXITSTATUS(status) == 0)
        snprintf(why, size, "The dataplane (pid %ld) ended", pid);
    else {
        last_words(s, words, sizeof words);
        snprintf(why, size, "The dataplane (pid %ld) exited with status %d%s%s", pid, WEXITSTATUS(status),
                 *words ? ": " : "", words);
    }
    note_fault(s, WIFSIGNALED(status) ? WTERMSIG(status) : 0);
}

static void detach(struct supervisor *s)
{
    bool attached = s->status.attached_ms != 0;
    if (attached && wall_ms() - s->status.attached_ms > GOOD_SERVICE_MS)
        s->status.backoff_ms = BACKOFF_FIRST_MS;
    if (attached) /* its channel ends before it does */
        s->served_ms = wall_ms() - s->status.attached_ms;
    s->status.attached_ms = 0;
    s->status.state[0] = s->status.detail[0] = 0;
    link_close(s->link);
    if (attached)
        s->ops->detached(s->ctx);
}

static void on_ended(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    char why[512];
    (void)fd, (void)what;
    evtimer_del(s->timer);
    describe_end(s, why, sizeof why);
    unwatch(s);
    unlink(s->options.pid_file);
    unlink(s->options.socket); /* it has no right to */
    detach(s);
    if (s->wish == WISH_STOP) {
        drop_kept(s);
        log_line(LOG_LEVEL_NOTICE, "%s: %s", why, s->status.reason);
        enter(s, PHASE_STOPPED);
        s->ops->stopped(s->ctx);
    } else if (s->wish == WISH_RESTART) {
        log_line(LOG_LEVEL_NOTICE, "%s", why);
        s->status.restarts++;
        spawn(s);
    } else {
        try_again(s, why);
    }
}

/* -- stopping ----------------------------------------------------------------------------------------- */

static void send_signal(const struct supervisor *s, int number)
{
    pid_t pid = (pid_t)s->status.pid;
    bool sent = s->options.starter ? starter_signal(s->options.starter, pid, number) : kill(pid, number) == 0;
    if (!sent)
        log_line(LOG_LEVEL_WARNING, "Signal %d cannot be sent to the dataplane: %s", number, strerror(errno));
}

static void stop_step(struct supervisor *s)
{
    switch (s->stop_step++) {
    case 0: /* ask over the channel; while nobody reads that, SIGTERM is the orderly way */
        if (strcmp(s->status.state, "serving") != 0 || !link_stop(s->link))
            send_signal(s, SIGTERM);
        after(s, s->options.stop_seconds * 1000);
        break;
    case 1:
        log_line(LOG_LEVEL_WARNING, "The dataplane did not end in %u s: SIGTERM", s->options.stop_seconds);
        send_signal(s, SIGTERM);
        after(s, KILL_AFTER_MS);
        break;
    default:
        log_line(LOG_LEVEL_WARNING, "The dataplane does not react to SIGTERM: SIGKILL");
        send_signal(s, SIGKILL);
        after(s, KILL_AFTER_MS);
    }
}

static void end_process(struct supervisor *s)
{
    evtimer_del(s->timer);
    enter(s, PHASE_STOPPING);
    s->stop_step = 0;
    stop_step(s);
}

void supervise_stop(struct supervisor *s, const char *reason)
{
    s->wish = WISH_STOP;
    snprintf(s->status.reason, sizeof s->status.reason, "%s", reason);
    log_line(LOG_LEVEL_NOTICE, "Stopping the dataplane: %s", reason);
    if (s->status.pid) {
        end_process(s);
        return;
    }
    evtimer_del(s->timer);
    link_close(s->link);
    enter(s, PHASE_STOPPED);
    s->ops->stopped(s->ctx);
}

void supervise_restart(struct supervisor *s, const char *who)
{
    snprintf(s->status.reason, sizeof s->status.reason, "restarted by %s", who);
    log_line(LOG_LEVEL_NOTICE, "The dataplane is to be %s", s->status.reason);
    s->status.backoff_ms = BACKOFF_FIRST_MS;
    s->wish = WISH_RESTART;
    if (s->status.pid) {
        end_process(s);
        return;
    }
    evtimer_del(s->timer);
    link_close(s->link);
    spawn(s);
}

/* -- connecting --------------------------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    (void)fd, (void)what;
    if (s->status.phase == PHASE_WAITING) {
        supervise_start(s);
    } else if (s->status.phase == PHASE_STARTING) {
        /* Not listening yet: look again. Listening but busy with its start: its hello will come. */
        if (!link_opened(s->link))
            link_connect(s->link, s->options.socket);
        after(s, CONNECT_EVERY_MS);
    } else if (s->status.phase == PHASE_STOPPING) {
        stop_step(s);
    }
}

void supervise_start(struct supervisor *s)
{
    s->wish = WISH_RUN;
    if (link_connect(s->link, s->options.socket)) {
        enter(s, PHASE_STARTING);
        after(s, CONNECT_EVERY_MS);
    } else {
        spawn(s);
    }
}

void supervise_hello(struct supervisor *s, long pid, const char *build)
{
    if (!s->status.pid && !watch(s, pid))
        log_line(LOG_LEVEL_WARNING, "The dataplane's process %ld cannot be watched: %s", pid,
                 strerror(errno));
    evtimer_del(s->timer);
    snprintf(s->status.build, sizeof s->status.build, "%s", build);
    if (s->status.phase == PHASE_STOPPING) { /* it was asked to stop while we were still connecting */
        end_process(s);
        return;
    }
    enter(s, PHASE_ATTACHED);
    s->status.attached_ms = wall_ms();
    log_line(LOG_LEVEL_NOTICE, "Attached to the %s dataplane, pid %ld, version %s",
             s->fresh ? "new" : "running", pid, build);
    s->ops->attached(s->ctx, s->fresh);
    s->fresh = false;
}

void supervise_closed(struct supervisor *s, const char *why)
{
    bool was_attached = s->status.phase == PHASE_ATTACHED;
    detach(s);
    if (s->status.phase == PHASE_STOPPING)
        return; /* its end will be seen */
    if (was_attached)
        log_line(LOG_LEVEL_WARNING, "The channel to the dataplane closed: %s", why);
    else
        log_line(LOG_LEVEL_WARNING, "The dataplane does not accept this control: %s", why);
    if (s->status.pid) { /* alive: connect again (if it has ended, that will be seen first) */
        enter(s, PHASE_STARTING);
        after(s, CONNECT_EVERY_MS * 4);
    } else {
        snprintf(s->status.reason, sizeof s->status.reason, "%s", why);
        enter(s, PHASE_WAITING);
        after(s, s->status.backoff_ms);
        s->status.backoff_ms =
            s->status.backoff_ms * 2 > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : s->status.backoff_ms * 2;
    }
}

void supervise_state(struct supervisor *s, const char *state, const char *detail)
{
    bool news = strcmp(state, s->status.state) != 0;
    snprintf(s->status.state, sizeof s->status.state, "%s", state);
    snprintf(s->status.detail, sizeof s->status.detail, "%s", detail);
    if (news && *state)
        log_line(LOG_LEVEL_NOTICE, "The dataplane is %s%s%s", state, *detail ? ": " : "", detail);
}

const char *supervise_program(const struct supervisor *s)
{
    return s->options.argv[0];
}

struct starter *supervise_starter(const struct supervisor *s)
{
    return s->options.starter;
}

const struct supervise_status *supervise_status(const struct supervisor *s)
{
    return &s->status;
}

struct supervisor *supervise_new(struct event_base *base, struct link *link,
                                 const struct supervise_options *o, const struct supervise_ops *ops,
                                 void *ctx)
{
    struct supervisor *s = must_alloc(1, sizeof *s);
    s->base = base;
    s->link = link;
    s->options = *o;
    s->ops = ops;
    s->ctx = ctx;
    s->pidfd = -1;
    memset(s->kept, -1, sizeof s->kept);
    s->status.backoff_ms = BACKOFF_FIRST_MS;
    s->timer = evtimer_new(base, on_timer, s);
    return s;
}

void supervise_free(struct supervisor *s)
{
    if (!s)
        return;
    unwatch(s);
    drop_kept(s);
    event_free(s->timer);
    free(s);
}

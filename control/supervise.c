/* supervise.c: one dataplane process, kept running. pidfd_open(2). */
#include "control/supervise_private.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/dataplane_log.h"
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
    BACKOFF_SECOND_MS = 200,
    BACKOFF_LAST_MS = 30000,
    CONNECT_EVERY_MS = 50,
    KILL_AFTER_MS = 5000, /* from SIGTERM to SIGKILL */
};

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
    s->serving_ms = 0;
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

void supervise_keep(struct supervisor *s, const int fds[CHANNEL_KEEPS])
{
    supervise_drop(s);
    memcpy(s->kept, fds, sizeof s->kept);
}

/* And longer still the next time. */
static void wait_longer(struct supervisor *s)
{
    unsigned ms = s->status.backoff_ms, next = ms ? 2 * ms : BACKOFF_SECOND_MS;
    s->status.backoff_ms = next > BACKOFF_LAST_MS ? BACKOFF_LAST_MS : next;
    enter(s, PHASE_WAITING);
    after(s, ms);
}

static void try_again(struct supervisor *s, const char *reason)
{
    unsigned ms = s->status.backoff_ms;
    char when[32] = "at once";
    if (ms)
        snprintf(when, sizeof when, "in %u.%u s", ms / 1000, ms % 1000 / 100);
    snprintf(s->status.reason, sizeof s->status.reason, "%s", reason);
    log_line(LOG_LEVEL_WARNING, "%s; starting it again %s", reason, when);
    s->status.restarts++;
    wait_longer(s);
}

/* The first of the programs that has not failed. An update has a time to serve in. */
static unsigned choose_program(struct supervisor *s)
{
    char *path;
    unsigned which = programs_choose(s->options.programs, &path);
    snprintf(s->status.program, sizeof s->status.program, "%s", path);
    free(path);
    trial_begin(&s->trial, s->status.program);
    programs_found(s->options.programs, NULL);
    if (which != PROGRAM_OWN)
        supervise_bound(s, false);
    return which;
}

/* As good as an end before it has served; error: an errno. */
static void not_started(struct supervisor *s, int error, const char *why)
{
    bool of_machine = error == EAGAIN || error == ENOMEM || error == EMFILE || error == ENFILE; /* it would have met any program */
    evtimer_del(s->late);
    if (trial_ended(&s->trial, 0, !of_machine))
        (void)supervise_give_up(s, why);
    try_again(s, why);
}

static void spawn(struct supervisor *s)
{
    char why[768];
    enter(s, PHASE_STARTING);
    s->wish = WISH_RUN;
    unsigned which = choose_program(s);
    if (access(s->status.program, X_OK) < 0) {
        int error = errno;
        snprintf(why, sizeof why, "The dataplane program %s cannot be run: %s", s->status.program, strerror(error));
        not_started(s, error, why);
        return;
    }
    int log_fd = dataplane_log_open(s->options.log_file);
    long pid = s->options.starter ? starter_start(s->options.starter, which, log_fd, s->kept)
                                  : starter_fork(s->status.program, s->options.argv, log_fd, s->kept);
    bool runs = pid >= 0 && watch(s, pid);
    int error = errno;
    if (log_fd >= 0)
        close(log_fd);
    if (!runs) {
        snprintf(why, sizeof why, "The dataplane cannot be started: %s", strerror(error));
        not_started(s, error, why);
        return;
    }
    s->child = true;
    s->fresh = true;
    s->greeted = false;
    log_line(LOG_LEVEL_NOTICE, "Started the dataplane %s, pid %ld", s->status.program, pid);
    after(s, CONNECT_EVERY_MS);
}

static bool reap(const struct supervisor *s, int *status)
{
    pid_t pid = (pid_t)s->status.pid;
    if (s->options.starter)
        return starter_status(s->options.starter, pid, status);
    return waitpid(pid, status, WNOHANG) == pid;
}

/* Its status, 0 if nobody knows, and a line. */
static int describe_end(const struct supervisor *s, char *why, size_t size)
{
    int status = 0;
    bool known = s->child && reap(s, &status);
    dataplane_log_end(s->options.log_file, s->status.pid, known ? &status : NULL, why, size);
    return known ? status : 0;
}

static void detach(struct supervisor *s)
{
    bool attached = s->status.attached_ms != 0;
    if (attached) /* what it runs with is forgotten with it */
        s->reshaped = s->ops->reshapes && s->ops->reshapes(s->ctx);
    if (attached && supervise_served(s) > GOOD_SERVICE_MS)
        supervise_afresh(s);
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
    evtimer_del(s->late);
    supervise_note_end(s, describe_end(s, why, sizeof why), why);
    unwatch(s);
    unlink(s->options.pid_file);
    unlink(s->options.socket); /* it has no right to */
    detach(s);
    if (s->wish == WISH_STOP) {
        supervise_drop(s);
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
    supervise_afresh(s);
    programs_retry(s->options.programs);
    s->wish = WISH_RESTART;
    if (s->status.pid) {
        end_process(s);
        return;
    }
    evtimer_del(s->timer);
    link_close(s->link);
    spawn(s);
}

static bool is_up(const struct supervisor *s)
{
    return (s->status.phase == PHASE_STARTING || s->status.phase == PHASE_ATTACHED) && s->status.pid;
}

/* What runs will not serve: it is to end, and what is to be tried next begins. */
static void begin_again(struct supervisor *s)
{
    s->wish = WISH_RESTART;
    evtimer_del(s->timer);
    evtimer_del(s->late);
    enter(s, PHASE_STOPPING);
    send_signal(s, SIGTERM);
    s->stop_step = 2;
    after(s, KILL_AFTER_MS);
}

/* Another program in its place, if there is one. */
static void replace(struct supervisor *s, const char *why)
{
    if (is_up(s) && supervise_give_up(s, why))
        begin_again(s);
}

/* An update that does not come as far as to serve, or does not get on with loading keys. */
static void on_late(evutil_socket_t fd, short what, void *arg)
{
    struct supervisor *s = arg;
    (void)fd, (void)what;
    replace(s, *s->loaded ? "The dataplane did not get on with loading the keys" : "The dataplane did not serve in time");
}

/* It waits for the operator, who has to decide about the data; but first an update is to try twice, as what failed may have been control's
 * part of it (no process, no descriptors left), and then the other programs. If even the box's own cannot load it, it is the data's fault. */
static void cannot_load(struct supervisor *s)
{
    char why[512];
    snprintf(why, sizeof why, "The dataplane could not load the data: %s", s->status.detail);
    if (programs_is_own(s->options.programs, s->status.program))
        programs_excuse(s->options.programs);
    else if (s->none_serves || !is_up(s)) /* the box's own has been given up, too: the operator is waited for here */
        return;
    else if (trial_ended(&s->trial, 0, true))
        replace(s, why);
    else {
        log_line(LOG_LEVEL_WARNING, "%s; the update is tried once more", why);
        begin_again(s);
    }
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

/* An earlier control may have started it, and so the one that was chosen then. */
static void note_program(struct supervisor *s, long pid)
{
    char *path = s->child ? NULL : program_of(pid);
    if (!path)
        return;
    snprintf(s->status.program, sizeof s->status.program, "%s", path);
    free(path);
    trial_begin(&s->trial, s->status.program);
    programs_found(s->options.programs, s->status.program);
    if (!programs_is_own(s->options.programs, s->status.program))
        supervise_bound(s, true);
}

void supervise_hello(struct supervisor *s, long pid, const char *build)
{
    if (!s->status.pid && !watch(s, pid))
        log_line(LOG_LEVEL_WARNING, "The dataplane's process %ld cannot be watched: %s", pid,
                 strerror(errno));
    evtimer_del(s->timer);
    s->greeted = true;
    snprintf(s->status.build, sizeof s->status.build, "%s", build);
    note_program(s, pid);
    if (s->status.phase == PHASE_STOPPING) { /* it was asked to stop while we were still connecting */
        end_process(s);
        return;
    }
    enter(s, PHASE_ATTACHED);
    s->status.attached_ms = wall_clock_ms();
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
        wait_longer(s);
    }
}

void supervise_state(struct supervisor *s, const char *state, const char *detail)
{
    bool news = strcmp(state, s->status.state) != 0;
    snprintf(s->status.state, sizeof s->status.state, "%s", state);
    snprintf(s->status.detail, sizeof s->status.detail, "%s", detail);
    if (strcmp(s->status.state, "loading") == 0)
        supervise_loads(s, s->status.detail);
    else if (strcmp(s->status.state, "serving") == 0 || strcmp(s->status.state, "load-failed") == 0)
        evtimer_del(s->late); /* not at "failed" or "stopping": who hangs in his end is late, too */
    if (strcmp(s->status.state, "serving") == 0) {
        supervise_note_layout(s);
        s->serving_ms = s->serving_ms ? s->serving_ms : monotonic_ms();
        if (programs_served(s->options.programs) && !s->none_serves)
            s->hasty = true;
    }
    if (news && *state)
        log_line(LOG_LEVEL_NOTICE, "The dataplane is %s%s%s", state, *detail ? ": " : "", detail);
    if (news && strcmp(state, "load-failed") == 0)
        cannot_load(s);
}

struct programs *supervise_programs(const struct supervisor *s)
{
    return s->options.programs;
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
    s->late = evtimer_new(base, on_late, s);
    return s;
}

void supervise_free(struct supervisor *s)
{
    if (!s)
        return;
    unwatch(s);
    supervise_drop(s);
    event_free(s->timer);
    event_free(s->late);
    free(s);
}

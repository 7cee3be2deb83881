/* restart.c: see restart.h. Whether memory can be taken over is a question of the layout that the program on disk has
 * (`sluice-dataplane --layout`) and of the directives that give the store its shape. */
#include "control/restart.h"
#include "control/block.h"
#include "control/commit.h"
#include "control/directives.h"
#include "control/exec.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/snapshot.h"
#include "control/starter.h"
#include "control/supervise.h"
#include "control/text.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ANSWERS_MS = 10000,
    TICK_MS = 100,
    PAUSE_EVERY_MS = 10000, /* a third of PAUSE_MS */
    STILL_MS = 60000,       /* a snapshot without one more key for so long does not come about */
    QUEUE_MS = 300000,      /* for that of others */
    SCRIPTS_EVERY_MS = 250, /* are ended */
    SILENT_MAX = 3          /* a long script, or a machine under load, is no dataplane that hangs */
};
#define PAUSE_MS "30000" /* renewed: if control is killed, clients wait no longer than this */

/* Its end, which is near. */
static bool ended_well(struct starter *starter, pid_t pid)
{
    int status = -1;
    bool known = !starter && waitpid(pid, &status, 0) == pid;
    for (unsigned i = 0; starter && !known && i < ANSWERS_MS / 10; i++) {
        known = starter_status(starter, pid, &status);
        if (!known)
            poll(NULL, 0, 10);
    }
    return known && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* The layout of the program that is started next, as a gauge has it: 48 bits. 0: it does not say. A control that has given root up may not
 * execute it: its starter does. */
static uint64_t layout_of(const struct supervisor *supervisor)
{
    struct starter *starter = supervise_starter(supervisor);
    char *program;
    unsigned which = programs_choose(supervise_programs(supervisor), &program);
    const char *const words[] = {program, "--layout", NULL};
    int pipes[2], none[CHANNEL_KEEPS];
    char line[32] = "";
    if (pipe2(pipes, O_CLOEXEC) < 0) {
        free(program);
        return 0;
    }
    memset(none, -1, sizeof none);
    pid_t pid = (pid_t)(starter ? starter_layout(starter, which, pipes[1]) : starter_fork(program, words, pipes[1], none));
    free(program);
    close(pipes[1]);
    struct pollfd p = {.fd = pipes[0], .events = POLLIN};
    if (pid > 0 && (poll(&p, 1, ANSWERS_MS) != 1 || read(pipes[0], line, sizeof line - 1) <= 0)) {
        if (starter)
            starter_signal(starter, pid, SIGKILL);
        else
            kill(pid, SIGKILL);
    }
    close(pipes[0]);
    return pid > 0 && ended_well(starter, pid) ? strtoull(line, NULL, 16) & ((UINT64_C(1) << 48) - 1) : 0;
}

bool restart_reshapes(const struct control *c, char *why, size_t size)
{
    static const char *const shapes[] = {"workers", "arena-size", "databases", "hugepages", "warm-restart"};
    *why = 0;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes && !*why; i++)
        if (commit_waits(c->commit, directive_find(shapes[i])))
            snprintf(why, size, "%s is another one then", shapes[i]);
    return *why;
}

void restart_doubt(const struct control *c, char *why, size_t size)
{
    struct block b;
    double layout, kept;
    uint64_t next;
    if (restart_reshapes(c, why, size))
        return;
    if (!block_read(c->link, &b) || !block_gauge(&b, "arena_layout", &layout) || !block_gauge(&b, "arena_kept", &kept))
        snprintf(why, size, "the dataplane does not say how its memory is laid out");
    else if (kept == 0)
        snprintf(why, size, "its memory does not outlive it");
    else if (!(next = layout_of(c->supervisor)))
        snprintf(why, size, "the program on disk does not say how it lays out memory");
    else if ((uint64_t)layout != next)
        snprintf(why, size, "the program on disk lays out memory in another way");
}

/* -- the snapshot before the end ---------------------------------------------------------------------- */

/* One at a time, control->restart: others' snapshots are waited for, then writes wait, then it is written. Each step is
 * bounded: the dataplane answers to every PAUSE, and the snapshot gets on. */
struct restart {
    struct control *control;
    char *who, *lost;    /* lost: the dataplane does not answer, and why; or NULL */
    bool stops;          /* the box, not the dataplane alone */
    bool asked, writing; /* writes are to wait; the snapshot is ours */
    unsigned silent;     /* PAUSEs in a row without an answer */
    struct event *tick;
    uint64_t began_ms, asked_ms, moved_ms, scripts_ms, keys;
};

static void nothing(void *ctx, const char *resp, size_t len, const char *error)
{
    (void)ctx, (void)resp, (void)len, (void)error;
}

void restart_free(struct control *c)
{
    struct restart *r = c->restart;
    c->restart = NULL;
    if (!r)
        return;
    snapshot_forget(c->snapshot, r);
    event_free(r->tick);
    free(r->who);
    free(r->lost);
    free(r);
}

/* why: there is no snapshot; NULL: there is. */
static void go_on(struct restart *r, const char *why)
{
    struct control *c = r->control;
    char *who = must_copy(r->who);
    bool stops = r->stops;
    if (why)
        log_line(LOG_LEVEL_WARNING, "%s without a snapshot of its keys: %s",
                 stops ? "The box is stopped" : "The dataplane is restarted", why);
    restart_free(c);
    if (stops)
        c->stop_all(c);
    else
        supervise_restart(c->supervisor, who);
    free(who);
}

static void fail(struct restart *r, const char *error)
{
    static const char *const unpause[] = {"CLIENT", "UNPAUSE"};
    struct control *c = r->control;
    if (r->stops) { /* whoever stops the box wants it to end */
        go_on(r, error);
        return;
    }
    log_line(LOG_LEVEL_WARNING, "The dataplane is not restarted, as the snapshot of its keys failed: %s", error);
    bool asked = r->asked;
    restart_free(c);
    if (asked)
        exec_run(c->execs, 2, unpause, nothing, NULL);
}

static void saved(void *ctx, const char *error)
{
    if (error)
        fail(ctx, error);
    else
        go_on(ctx, NULL);
}

/* Who stops the box does not wait for a script that has not written and may have no end. */
static void end_scripts(struct restart *r)
{
    static const char *const script[] = {"SCRIPT", "KILL"}, *const function[] = {"FUNCTION", "KILL"};
    uint64_t now = monotonic_ms();
    if (!r->stops || now - r->scripts_ms < SCRIPTS_EVERY_MS)
        return;
    r->scripts_ms = now;
    exec_run(r->control->execs, 2, script, nothing, NULL);
    exec_run(r->control->execs, 2, function, nothing, NULL);
}

static void pause_writes(struct restart *r);

static void paused(void *ctx, const char *resp, size_t len, const char *error)
{
    struct control *c = ctx;
    struct restart *r = c->restart;
    if (!r)
        return;
    if (resp && len)
        r->silent = 0;
    if ((!resp || len == 0) && ++r->silent < SILENT_MAX && (r->stops || r->writing)) {
        end_scripts(r); /* with a high busy-reply-threshold, or none, nobody is told of one */
        pause_writes(r);
    } else if (!resp || len == 0) { /* for the next tick: we may be in the middle of its end */
        free(r->lost);
        r->lost = must_print("the dataplane does not answer (%s)", error ? error : "nothing");
    } else if (r->stops && strncmp(resp, "-BUSY ", 6) == 0) {
        end_scripts(r);
        r->asked = r->writing; /* if not, the next tick asks again */
    } else if (*resp == '-' && !r->stops) {
        fail(r, "writes could not be made to wait");
    } else if (!r->writing) {
        r->writing = true;
        if (!snapshot_make(c->snapshot, NULL, saved, r))
            r->writing = r->asked = false; /* somebody else was faster */
        snapshot_hurry(c->snapshot);
    }
}

static void pause_writes(struct restart *r)
{
    static const char *const wait[] = {"CLIENT", "PAUSE", PAUSE_MS, "WRITE"};
    r->asked = true;
    r->asked_ms = monotonic_ms();
    exec_run(r->control->execs, 4, wait, paused, r->control);
}

/* Whoever restarts one that hangs wants it to answer again. One that has ended is started again anyway, or was stopped. */
static void give_up(struct restart *r)
{
    if (r->stops || supervise_status(r->control->supervisor)->phase == PHASE_ATTACHED)
        go_on(r, r->lost);
    else
        restart_free(r->control);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct restart *r = arg;
    struct snapshot_status st;
    uint64_t now = monotonic_ms();
    (void)fd, (void)what;
    snapshot_hurry(r->control->snapshot); /* also another one, that is in the way */
    if (snapshot_meets_script(r->control->snapshot))
        end_scripts(r); /* also one that only reads, and so began after writes had been made to wait */
    snapshot_status(r->control->snapshot, &st);
    if (st.keys_written != r->keys) {
        r->keys = st.keys_written;
        r->moved_ms = now;
    }
    if (r->lost)
        give_up(r);
    else if (now - r->moved_ms > STILL_MS)
        fail(r, "it does not get on");
    else if (!r->writing && now - r->began_ms > QUEUE_MS)
        fail(r, "others are under way all the time");
    else if (r->asked ? now - r->asked_ms >= PAUSE_EVERY_MS : !snapshot_busy(r->control->snapshot))
        pause_writes(r);
}

static void begin(struct control *c, const char *who, bool stops)
{
    const struct timeval every = {.tv_usec = TICK_MS * 1000};
    struct restart *r = must_alloc(1, sizeof *r);
    uint64_t now = monotonic_ms();
    *r = (struct restart){.control = c, .who = must_copy(who), .stops = stops, .began_ms = now, .moved_ms = now};
    r->tick = event_new(c->base, -1, EV_PERSIST, on_tick, r);
    event_add(r->tick, &every);
    c->restart = r;
    on_tick(-1, 0, r);
}

static bool has_to_save(const struct control *c)
{
    return snapshot_is_wanted(c->snapshot) && snapshot_possible(c->snapshot);
}

enum restart_way restart_dataplane(struct control *c, const char *who)
{
    char why[128] = "";
    if (c->restart || c->leaving)
        return RESTART_BUSY;
    if (has_to_save(c))
        restart_doubt(c, why, sizeof why);
    if (*why) {
        log_line(LOG_LEVEL_NOTICE, "The keys cannot stay in memory (%s): a snapshot first", why);
        begin(c, who, false);
        return RESTART_SAVES;
    }
    supervise_restart(c->supervisor, who);
    return RESTART_NOW;
}

void restart_stop(struct control *c)
{
    bool before = c->leaving;
    c->leaving = true;
    if (c->restart) {
        c->restart->stops = true;
    } else if (!before && has_to_save(c)) {
        log_line(LOG_LEVEL_NOTICE, "The box is to be stopped: a snapshot first");
        begin(c, "", true);
    } else {
        c->stop_all(c);
    }
}

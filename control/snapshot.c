/* snapshot.c: see snapshot.h. */
#include "control/snapshot.h"
#include "control/log.h"
#include "control/resp.h"
#include "control/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    RETRY_SECONDS = 5, /* after a failure, as Redis' CONFIG_BGSAVE_RETRY_DELAY */
    AGAIN_MS = 50,     /* the dataplane is still at the end of the one before */
    AGAIN_TIMES = 100,
    DATABASES_MOST = 1 << 20
};

enum phase { IDLE, STARTING, WRITING };

struct snapshot {
    struct control *control;
    enum phase phase;
    struct event *tick, *again, *done;
    int done_fd;
    snapshot_told *begun, *over;
    void *ctx;
    unsigned tries;
    struct snapshot_file *file;
    struct snapshot_status status;
    uint64_t changes_then, changes_saved; /* at the instant of the one under way, of the last good one */
    uint64_t tried_ms;
};

static uint64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const struct settings *settings(const struct snapshot *s)
{
    return commit_running(s->control->commit);
}

static bool is_yes(const struct snapshot *s, const char *name)
{
    return strcmp(settings_get(settings(s), name), "yes") == 0;
}

bool snapshot_is_wanted(const struct snapshot *s)
{
    return settings_get(settings(s), "save")[0] != 0;
}

bool snapshot_busy(const struct snapshot *s)
{
    return s->phase != IDLE;
}

/* -- what the dataplane is told -- */

static void tell_number(struct snapshot *s, const char *name, uint64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    link_fact(s->control->link, name, text);
}

static void tell(struct snapshot *s)
{
    struct link *l = s->control->link;
    const struct snapshot_status *st = &s->status;
    if (!link_connected(l))
        return;
    bool refused = st->failed && snapshot_is_wanted(s) && is_yes(s, "stop-writes-on-bgsave-error");
    link_fact(l, "rdb_last_bgsave_status", st->failed ? "err" : "ok");
    link_fact(l, "writes_refused", refused ? "1" : "0");
    if (st->began_ms)
        tell_number(s, "rdb_began", st->began_ms / 1000);
    else
        link_fact(l, "rdb_began", "");
    if (st->saved_ms)
        tell_number(s, "rdb_last_save_time", st->saved_ms / 1000);
    if (st->saves + st->failures)
        tell_number(s, "rdb_last_bgsave_time_sec", st->took_ms / 1000);
    tell_number(s, "rdb_saves", st->saves);
    tell_number(s, "rdb_saved_changes", s->changes_saved);
    tell_number(s, "rdb_last_cow_size", st->aside);
    link_fact(l, "rdb_bgsave_in_progress", snapshot_busy(s) ? "1" : "0"); /* last: who sees the end sees its figures */
}

/* -- one snapshot -- */

static void ignore(void *ctx, const char *resp, size_t len, const char *error)
{
    (void)ctx, (void)resp, (void)len, (void)error;
}

static void say_end(struct snapshot *s)
{
    static const char *const words[] = {"%SNAPSHOT", "end"};
    if (link_connected(s->control->link))
        exec_run(s->control->execs, 2, words, ignore, NULL);
}

/* error NULL: it is there. */
static void end(struct snapshot *s, const char *error)
{
    snapshot_told *begun = s->begun, *over = s->over;
    bool started = s->phase == WRITING;
    s->status.took_ms = wall_ms() - s->status.began_ms;
    s->phase = IDLE;
    s->status.failed = error != NULL;
    s->status.busy = false;
    s->status.began_ms = 0;
    s->begun = s->over = NULL;
    if (error) {
        s->status.failures++;
        snprintf(s->status.error, sizeof s->status.error, "%s", error);
        log_line(LOG_LEVEL_WARNING, "Snapshot failed: %s; the one before is untouched", error);
    } else {
        s->status.saves++;
        s->status.saved_ms = wall_ms();
        s->status.error[0] = 0;
        s->changes_saved = s->changes_then;
        log_line(LOG_LEVEL_NOTICE,
                 "Snapshot of %llu keys, %llu bytes, on disk in %llu ms; kept aside at most %llu bytes",
                 (unsigned long long)s->status.keys, (unsigned long long)s->status.bytes,
                 (unsigned long long)s->status.took_ms, (unsigned long long)s->status.aside);
    }
    tell(s);
    if (!started && begun)
        begun(s->ctx, error);
    if (over)
        over(s->ctx, error);
}

static void on_done(evutil_socket_t fd, short what, void *arg)
{
    struct snapshot *s = arg;
    struct snapshot_totals t;
    char error[256];
    uint64_t n;
    (void)what;
    if (read(fd, &n, sizeof n) < 0 || !s->file)
        return;
    struct snapshot_file *f = s->file;
    s->file = NULL;
    bool good = snapshot_file_end(f, &t, error, sizeof error);
    s->status.aside = t.aside;
    if (good) {
        s->status.keys = t.keys;
        s->status.bytes = t.bytes;
    } else {
        say_end(s);
    }
    end(s, good ? NULL : error);
}

/* The dataplane's answer: numbers, databases, the head of the file. */
static bool start_file(struct snapshot *s, const char *p, size_t len, char *error, size_t size)
{
    struct message_reader r = {.p = (const uint8_t *)p, .left = len};
    uint64_t changes = get_u64(&r);
    uint64_t workers = get_u64(&r);
    uint64_t dbs = get_u64(&r);
    if (r.failed || workers == 0 || workers > CHANNEL_WORKERS || dbs > DATABASES_MOST || dbs > r.left / 24) {
        snprintf(error, size, "the dataplane's answer cannot be read");
        return false;
    }
    struct snapshot_db *db = must_alloc(dbs + 1, sizeof *db);
    for (uint64_t i = 0; i < dbs; i++) {
        db[i].number = get_u64(&r);
        db[i].keys = get_u64(&r);
        db[i].expires = get_u64(&r);
    }
    struct snapshot_plan plan = {.folder = settings_get(settings(s), "dir"),
                                 .name = settings_get(settings(s), "dbfilename"),
                                 .checksum = is_yes(s, "rdbchecksum"),
                                 .bulk = link_map_bulk(s->control->link),
                                 .workers = (unsigned)workers,
                                 .db = db,
                                 .dbs = (unsigned)dbs,
                                 .head = r.p,
                                 .head_len = r.left,
                                 .done_fd = s->done_fd};
    s->changes_then = changes;
    if (plan.bulk)
        s->file = snapshot_file_start(&plan, error, size);
    else
        snprintf(error, size, "the dataplane's rings cannot be mapped");
    free(db);
    return s->file != NULL;
}

static void on_started(void *ctx, const char *resp, size_t len, const char *error)
{
    const struct timeval soon = {.tv_usec = AGAIN_MS * 1000};
    struct snapshot *s = ctx;
    const char *value = "";
    char why[256];
    size_t n = 0;
    enum resp_kind kind = error ? RESP_NONE : resp_read(resp, len, &value, &n);
    if (s->phase != STARTING)
        return;
    if (kind == RESP_BULK && start_file(s, value, n, why, sizeof why)) {
        s->phase = WRITING;
        tell(s);
        if (s->begun)
            s->begun(s->ctx, NULL);
        return;
    }
    static const char ending[] = "ERR a snapshot is under way";
    bool waits = kind == RESP_ERROR && n == sizeof ending - 1 && memcmp(value, ending, n) == 0;
    if (waits && ++s->tries < AGAIN_TIMES) {
        evtimer_add(s->again, &soon);
        return;
    }
    if (kind != RESP_BULK)
        snprintf(why, sizeof why, "%.*s", kind == RESP_ERROR ? (int)n : 200, error ? error : value);
    say_end(s);
    end(s, why);
}

static void start(struct snapshot *s)
{
    static const char *const words[] = {"%SNAPSHOT", "begin"};
    exec_run(s->control->execs, 2, words, on_started, s);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    start(arg);
}

bool snapshot_possible(const struct snapshot *s)
{
    return strcmp(supervise_status(s->control->supervisor)->state, "serving") == 0;
}

bool snapshot_make(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    char error[256];
    if (s->phase != IDLE)
        return false;
    if (!snapshot_possible(s)) {
        static const char why[] = "the box does not serve, and so does not have all of its keys";
        if (begun)
            begun(ctx, why);
        if (over)
            over(ctx, why);
        return true;
    }
    s->phase = STARTING;
    s->status.busy = true;
    s->status.began_ms = s->tried_ms = wall_ms();
    s->begun = begun;
    s->over = over;
    s->ctx = ctx;
    s->tries = 0;
    if (!snapshot_file_try(settings_get(settings(s), "dir"), error, sizeof error)) {
        end(s, error);
        return true;
    }
    tell(s);
    start(s);
    return true;
}

/* -- save points -- */

static uint64_t changes_now(const struct snapshot *s)
{
    struct block b;
    double v;
    return block_read(s->control->link, &b) && block_gauge(&b, "key_changes", &v) && v > 0 ? (uint64_t)v : 0;
}

void snapshot_status(const struct snapshot *s, struct snapshot_status *out)
{
    uint64_t now = changes_now(s);
    *out = s->status;
    out->changes = now > s->changes_saved ? now - s->changes_saved : 0;
}

/* Seconds and changes, in turns. */
static bool save_point_reached(const struct snapshot *s, uint64_t changes, uint64_t seconds)
{
    const char *p = settings_get(settings(s), "save");
    for (char *rest; *p; p = rest) {
        uint64_t after = strtoull(p, &rest, 10);
        if (rest == p)
            return false;
        p = rest;
        uint64_t least = strtoull(p, &rest, 10);
        if (rest == p)
            return false;
        if (changes >= least && seconds > after)
            return true;
    }
    return false;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct snapshot *s = arg;
    struct snapshot_status st;
    (void)fd, (void)what;
    if (s->phase != IDLE || !link_connected(s->control->link) || !snapshot_possible(s))
        return;
    uint64_t now = wall_ms(), since = s->status.saved_ms ? s->status.saved_ms : s->control->started_ms;
    snapshot_status(s, &st);
    if (s->status.failed && now - s->tried_ms < RETRY_SECONDS * 1000)
        return;
    if (st.changes && save_point_reached(s, st.changes, now > since ? (now - since) / 1000 : 0)) {
        log_line(LOG_LEVEL_NOTICE, "%llu changes in %llu seconds. Saving...", (unsigned long long)st.changes,
                 (unsigned long long)((now - since) / 1000));
        snapshot_make(s, NULL, NULL, NULL);
    }
}

/* -- life -- */

void snapshot_attached(struct snapshot *s, bool fresh)
{
    if (fresh)
        s->changes_saved = 0;
    else
        s->changes_saved = changes_now(s); /* what an earlier control has saved is not known: as if all of it */
    say_end(s); /* what an earlier control may have begun */
    tell(s);
}

void snapshot_loaded(struct snapshot *s)
{
    s->changes_saved = changes_now(s);
    tell(s);
}

void snapshot_detached(struct snapshot *s)
{
    if (s->file)
        snapshot_file_stop(s->file, "the dataplane went away");
}

void snapshot_settings(struct snapshot *s)
{
    tell(s);
}

struct snapshot *snapshot_new(struct control *c)
{
    struct snapshot *s = must_alloc(1, sizeof *s);
    const struct timeval every = {.tv_sec = TICK_MS / 1000};
    s->control = c;
    s->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->done = event_new(c->base, s->done_fd, EV_READ | EV_PERSIST, on_done, s);
    s->tick = event_new(c->base, -1, EV_PERSIST, on_tick, s);
    s->again = evtimer_new(c->base, on_again, s);
    event_add(s->done, NULL);
    event_add(s->tick, &every);
    return s;
}

void snapshot_free(struct snapshot *s)
{
    struct snapshot_totals t;
    char error[256];
    if (!s)
        return;
    if (s->file) {
        snapshot_file_stop(s->file, "control ends");
        snapshot_file_end(s->file, &t, error, sizeof error);
    }
    event_free(s->done);
    event_free(s->tick);
    event_free(s->again);
    close(s->done_fd);
    free(s);
}

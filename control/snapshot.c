/* snapshot.c: see snapshot.h. */
#include "control/snapshot.h"
#include "control/log.h"
#include "control/resp.h"
#include "control/snapshot_due.h"
#include "control/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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
    struct snapshot_base base; /* of the one under way; folder NULL: it is a snapshot */
    unsigned tries;
    struct snapshot_file *file;
    struct snapshot_status status;
    uint64_t changes_then, changes_saved; /* at the instant of the one under way, of the last good one */
    uint64_t tried_ms, keys_before; /* keys_before: the dataplane's count of keys written, when this one began */
    bool keeps;                     /* the one under way gets a dated name */
    bool flushed;                   /* FLUSHALL ended the last one */
    uint64_t flushes;               /* FLUSHALLs at the instant of the last one */
    uint64_t scheduled_by_clients;  /* BGSAVEs in transactions, that have been seen to */
    struct due due;
    uint64_t changes_before; /* changes_saved of the dataplane before this one ... */
    bool fresh;              /* ... which may have left its keys in memory, and their count */
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

/* -- snapshots that stay -- */

static const char *folder_of(const struct snapshot *s)
{
    return settings_get(settings(s), "dir");
}

static const char *name_of(const struct snapshot *s)
{
    return settings_get(settings(s), "dbfilename");
}

static void trim(struct snapshot *s)
{
    s->status.kept = kept_trim(folder_of(s), name_of(s), (unsigned)settings_number(settings(s), "snapshot-keep"), NULL);
}

/* What is on disk gets a dated name. NULL, or why it does not. */
static const char *keep(struct snapshot *s)
{
    char error[256] = "", name[KEPT_NAME];
    if (kept_make(folder_of(s), name_of(s), (time_t)(s->status.began_ms / 1000), name, error, sizeof error)) {
        snprintf(s->status.kept_name, sizeof s->status.kept_name, "%s", name);
        log_line(LOG_LEVEL_NOTICE, "Snapshot kept as %s", name);
        trim(s);
    } else {
        log_line(LOG_LEVEL_WARNING, "Alarm: %s", error);
    }
    snprintf(s->status.keep_error, sizeof s->status.keep_error, "%s", error);
    return *error ? s->status.keep_error : NULL;
}

/* -- one snapshot -- */

static uint64_t counter(const struct snapshot *s, const char *name)
{
    struct block b;
    uint64_t v;
    return block_read(s->control->link, &b) && block_sum(&b, name, &v) ? v : 0;
}

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

static void note_failure(struct snapshot *s, const char *error)
{
    s->status.failures++;
    s->status.failed = true;
    snprintf(s->status.error, sizeof s->status.error, "%s", error);
    log_line(LOG_LEVEL_WARNING, "Snapshot failed: %s; the one before is untouched", error);
}

static void note_success(struct snapshot *s)
{
    s->status.saves++;
    s->status.failed = false;
    s->status.saved_ms = wall_ms();
    s->status.error[0] = 0;
    s->changes_saved = s->changes_then;
    log_line(LOG_LEVEL_NOTICE, "Snapshot of %llu keys, %llu bytes, on disk in %llu ms; kept aside at most %llu bytes",
             (unsigned long long)s->status.keys, (unsigned long long)s->status.bytes,
             (unsigned long long)s->status.took_ms, (unsigned long long)s->status.aside);
}

static void forget_base(struct snapshot *s)
{
    free(s->base.folder);
    free(s->base.name);
    s->base = (struct snapshot_base){0};
}

/* error NULL: it is there. */
static void end_base(struct snapshot *s, const char *error)
{
    snapshot_told *begun = s->begun, *over = s->over;
    bool started = s->phase == WRITING;
    s->phase = IDLE;
    s->begun = s->over = NULL;
    s->status.busy = false;
    s->status.began_ms = 0;
    forget_base(s);
    if (!started && begun)
        begun(s->ctx, error);
    if (over)
        over(s->ctx, error);
}

/* error NULL: it is there. */
static void end(struct snapshot *s, const char *error)
{
    snapshot_told *begun = s->begun, *over = s->over;
    bool started = s->phase == WRITING;
    if (s->base.folder) {
        end_base(s, error);
        return;
    }
    s->status.took_ms = wall_ms() - s->status.began_ms;
    s->phase = IDLE;
    s->flushed = error && strcmp(error, BULK_FLUSHED) == 0;
    if (s->flushed) /* as Redis kills the child: no failure */
        log_line(LOG_LEVEL_NOTICE, "FLUSHALL has ended the snapshot that was under way");
    else if (error)
        note_failure(s, error);
    else
        note_success(s);
    if (!error && s->keeps)
        error = keep(s);
    s->status.busy = s->keeps = false;
    s->status.began_ms = 0;
    s->begun = s->over = NULL;
    tell(s);
    if (!started && begun)
        begun(s->ctx, error);
    if (over)
        over(s->ctx, s->flushed ? "FLUSHALL has ended it" : error);
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
    if (good && !s->base.folder) {
        s->status.keys = t.keys;
        s->status.bytes = t.bytes;
    } else if (!good) {
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
    s->status.keys_all = 0;
    for (uint64_t i = 0; i < dbs; i++) {
        db[i].number = get_u64(&r);
        db[i].keys = get_u64(&r);
        db[i].expires = get_u64(&r);
        s->status.keys_all += db[i].keys;
    }
    struct snapshot_plan plan = {.folder = s->base.folder ? s->base.folder : folder_of(s),
                                 .name = s->base.folder ? s->base.name : name_of(s),
                                 .checksum = is_yes(s, "rdbchecksum"),
                                 .bulk = link_map_bulk(s->control->link),
                                 .workers = (unsigned)workers,
                                 .db = db,
                                 .dbs = (unsigned)dbs,
                                 .head = r.p,
                                 .head_len = r.left,
                                 .commands = s->base.commands,
                                 .done_fd = s->done_fd};
    if (!s->base.folder)
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
        if (!s->base.folder) {
            s->flushes = counter(s, "flushes_of_all"); /* one more since has ended it */
            tell(s);
        }
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
    char increment[24];
    const char *const words[] = {"%SNAPSHOT", "begin", increment};
    snprintf(increment, sizeof increment, "%llu", (unsigned long long)s->base.increment);
    exec_run(s->control->execs, s->base.increment ? 3 : 2, words, on_started, s);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    start(arg);
}

bool snapshot_make_base(struct snapshot *s, const struct snapshot_base *base, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    if (s->phase != IDLE || !snapshot_possible(s)) {
        free(base->folder);
        free(base->name);
        return false;
    }
    s->base = *base;
    s->phase = STARTING;
    s->begun = begun;
    s->over = over;
    s->ctx = ctx;
    s->tries = 0;
    start(s);
    return true;
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
    s->flushed = false;
    s->keys_before = counter(s, "snapshot_keys");
    s->status.keys_all = 0;
    if (!snapshot_file_try(folder_of(s), error, sizeof error)) {
        end(s, error);
        return true;
    }
    tell(s);
    start(s);
    return true;
}

void snapshot_forget(struct snapshot *s, const void *ctx)
{
    if (s->ctx != ctx)
        return;
    s->begun = s->over = NULL;
    s->ctx = NULL;
}

bool snapshot_make_kept(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    if (s->phase != IDLE)
        return false;
    s->keeps = true;
    bool taken = snapshot_make(s, begun, over, ctx);
    s->keeps = s->phase != IDLE;
    return taken;
}

/* -- save points -- */

static uint64_t changes_now(const struct snapshot *s)
{
    struct block b;
    double v;
    return block_read(s->control->link, &b) && block_gauge(&b, "key_changes", &v) && v > 0 ? (uint64_t)v : 0;
}

/* The first figures of a dataplane that has just been started: does it go on with the keys of the one before? */
static void follow_restart(struct snapshot *s)
{
    struct block b;
    double generation;
    if (!s->fresh || !block_read(s->control->link, &b) || !block_gauge(&b, "arena_generation", &generation))
        return;
    s->fresh = false;
    if (generation > 1)
        s->changes_saved = s->changes_before;
}

void snapshot_status(const struct snapshot *s, struct snapshot_status *out)
{
    struct schedule schedule;
    struct stat st;
    uint64_t now = changes_now(s), keys = counter(s, "snapshot_keys");
    time_t wall = time(NULL);
    *out = s->status;
    out->changes = now > s->changes_saved ? now - s->changes_saved : 0;
    out->keys_written = s->phase == WRITING && keys > s->keys_before ? keys - s->keys_before : 0;
    char *path = must_print("%s/%s", folder_of(s), name_of(s));
    if (stat(path, &st) == 0) {
        out->file_at = (uint64_t)st.st_mtime;
        out->file_bytes = (uint64_t)st.st_size;
    }
    free(path);
    if (!schedule_read(settings_get(settings(s), "snapshot-schedule"), &schedule) || !schedule.period)
        return;
    out->period = schedule.period;
    out->next = (uint64_t)schedule_next(&schedule, wall);
    out->overdue = due_long(&s->due, wall);
}

static void on_schedule(struct snapshot *s)
{
    time_t now = time(NULL);
    const char *text = settings_get(settings(s), "snapshot-schedule");
    if (!due_now(&s->due, text, folder_of(s), name_of(s), now))
        return;
    log_line(LOG_LEVEL_NOTICE, "A snapshot is due by snapshot-schedule %s", text);
    if (snapshot_make_kept(s, NULL, NULL, NULL) && s->phase != IDLE)
        due_done(&s->due, now);
}

/* FLUSHALL with save points is followed by a snapshot, as in Redis: or what was there would be back after a crash. */
static bool was_flushed(const struct snapshot *s)
{
    return snapshot_is_wanted(s) && (s->flushed || counter(s, "flushes_of_all") != s->flushes);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct snapshot *s = arg;
    struct snapshot_status st;
    (void)fd, (void)what;
    if (s->phase != IDLE || !link_connected(s->control->link) || !snapshot_possible(s))
        return;
    follow_restart(s);
    uint64_t now = wall_ms(), since = s->status.saved_ms ? s->status.saved_ms : s->control->started_ms;
    snapshot_status(s, &st);
    if (s->status.failed && now - s->tried_ms < RETRY_SECONDS * 1000)
        return;
    uint64_t asked = counter(s, "snapshots_scheduled");
    if (asked != s->scheduled_by_clients) {
        s->scheduled_by_clients = asked;
        snapshot_make(s, NULL, NULL, NULL);
    } else if (was_flushed(s)) {
        log_line(LOG_LEVEL_NOTICE, "All keys were flushed. Saving...");
        snapshot_make(s, NULL, NULL, NULL);
    } else if (st.changes && save_point_reached(settings_get(settings(s), "save"), st.changes, now > since ? (now - since) / 1000 : 0)) {
        log_line(LOG_LEVEL_NOTICE, "%llu changes in %llu seconds. Saving...", (unsigned long long)st.changes,
                 (unsigned long long)((now - since) / 1000));
        snapshot_make(s, NULL, NULL, NULL);
    }
    if (s->phase == IDLE)
        on_schedule(s);
}

/* -- life -- */

void snapshot_attached(struct snapshot *s, bool fresh)
{
    s->fresh = fresh;
    s->changes_before = s->changes_saved;
    if (fresh)
        s->changes_saved = 0;
    else
        s->changes_saved = changes_now(s); /* what an earlier control has saved is not known: as if all of it */
    s->status.loaded_s = wall_ms() / 1000;
    s->flushes = counter(s, "flushes_of_all");
    s->scheduled_by_clients = counter(s, "snapshots_scheduled");
    trim(s);
    say_end(s); /* what an earlier control may have begun */
    tell(s);
}

void snapshot_loaded(struct snapshot *s)
{
    s->changes_saved = changes_now(s);
    s->status.loaded_s = wall_ms() / 1000;
    s->flushes = counter(s, "flushes_of_all"); /* loading begins with one */
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
    forget_base(s);
    event_free(s->done);
    event_free(s->tick);
    event_free(s->again);
    close(s->done_fd);
    free(s);
}

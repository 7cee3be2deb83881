/* snapshot.c: see snapshot.h. */
#include "control/snapshot_private.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/resp.h"
#include "control/snapshot_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    AGAIN_MS = 50,     /* the dataplane is still at the end of the one before */
    AGAIN_TIMES = 100,
    SCRIPT_TIMES = 10, /* then a script takes really long: asked less often */
    SCRIPT_MS = 500,
    BEGIN_SECONDS = 30, /* nobody may be told of a script (busy-reply-threshold), and it is no failure */
    DATABASES_MOST = 1 << 20
};

bool snapshot_is_wanted(const struct snapshot *s)
{
    return settings_get(snapshot_config(s), "save")[0] != 0;
}

bool snapshot_busy(const struct snapshot *s)
{
    return s->phase != IDLE;
}

bool snapshot_meets_script(const struct snapshot *s)
{
    return s->phase == STARTING && (s->script || monotonic_ms() - s->asked_ms > EXEC_SECONDS * 1000);
}

/* -- snapshots that stay -- */

static void trim(struct snapshot *s)
{
    s->status.kept = kept_trim(snapshot_folder(s), snapshot_name(s), (unsigned)settings_number(snapshot_config(s), "snapshot-keep"), NULL);
}

/* What is on disk gets a dated name. NULL, or why it does not. */
static const char *keep(struct snapshot *s)
{
    char error[256] = "", name[KEPT_NAME];
    if (kept_make(snapshot_folder(s), snapshot_name(s), (time_t)(s->status.began_ms / 1000), name, error, sizeof error)) {
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

static void on_hurried(void *ctx, const char *resp, size_t len, const char *error)
{
    struct snapshot *s = ctx;
    const char *value;
    size_t n;
    s->hurry_asked = false;
    if (!error && resp_read(resp, len, &value, &n) == RESP_STATUS && s->phase == WRITING)
        s->hurry_heard = true;
}

/* If somebody waits, until the dataplane has heard it. */
void snapshot_say_hurry(struct snapshot *s)
{
    static const char *const words[] = {"%SNAPSHOT", "hurry"};
    if (s->phase != WRITING || !s->hurries || s->hurry_heard || s->hurry_asked || !link_connected(s->control->link))
        return;
    s->hurry_asked = true;
    exec_run(s->control->execs, 2, words, on_hurried, s);
}

void snapshot_hurry(struct snapshot *s)
{
    s->hurries = s->phase != IDLE;
    snapshot_say_hurry(s);
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
    s->status.saved_ms = snapshot_wall_ms();
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
    s->status.took_ms = snapshot_wall_ms() - s->status.began_ms;
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
    snapshot_tell(s);
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
    struct snapshot_plan plan = {.folder = s->base.folder ? s->base.folder : snapshot_folder(s),
                                 .name = s->base.folder ? s->base.name : snapshot_name(s),
                                 .checksum = snapshot_is_yes(s, "rdbchecksum"),
                                 .bulk = link_map_bulk(s->control->link),
                                 .workers = (unsigned)workers,
                                 .db = db,
                                 .dbs = (unsigned)dbs,
                                 .head = r.p,
                                 .head_len = r.left,
                                 .commands = s->base.commands,
                                 .read_soon = s->base.commands || s->control->restart,
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

/* Whoever stops the box ends the script, and does not wait for the next look. */
static void ask_again(struct snapshot *s)
{
    bool rarely = s->scripts > SCRIPT_TIMES && !s->control->leaving;
    const struct timeval then = {.tv_usec = (rarely ? SCRIPT_MS : AGAIN_MS) * 1000};
    evtimer_add(s->again, &then);
}

static void on_started(void *ctx, const char *resp, size_t len, const char *error)
{
    struct snapshot *s = ctx;
    const char *value = "";
    char why[256];
    size_t n = 0;
    enum resp_kind kind = error ? RESP_NONE : resp_read(resp, len, &value, &n);
    if (s->phase != STARTING)
        return;
    if (kind == RESP_BULK && start_file(s, value, n, why, sizeof why)) {
        s->phase = WRITING;
        snapshot_say_hurry(s);
        if (!s->base.folder) {
            s->flushes = snapshot_counter(s, "flushes_of_all"); /* one more since has ended it */
            snapshot_tell(s);
        }
        if (s->begun)
            s->begun(s->ctx, NULL);
        return;
    }
    static const char ending[] = "ERR a snapshot is under way", script[] = "BUSY ";
    bool waits = kind == RESP_ERROR && n == sizeof ending - 1 && memcmp(value, ending, n) == 0;
    s->script = kind == RESP_ERROR && n >= sizeof script - 1 && memcmp(value, script, sizeof script - 1) == 0;
    s->scripts += s->script;
    if (s->script || (waits && ++s->tries < AGAIN_TIMES)) { /* a script may take as long as it likes */
        ask_again(s);
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
    s->asked_ms = monotonic_ms();
    exec_run_for(s->control->execs, BEGIN_SECONDS, s->base.increment ? 3 : 2, words, on_started, s);
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    start(arg);
}

/* A snapshot, or a base, that nobody has been asked for yet. */
static void prepare(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    s->phase = STARTING;
    s->begun = begun;
    s->over = over;
    s->ctx = ctx;
    s->tries = s->scripts = 0;
    s->script = s->hurries = s->hurry_heard = false;
}

bool snapshot_make_base(struct snapshot *s, const struct snapshot_base *base, snapshot_told *begun, snapshot_told *over, void *ctx)
{
    if (s->phase != IDLE || !snapshot_possible(s)) {
        free(base->folder);
        free(base->name);
        return false;
    }
    s->base = *base;
    prepare(s, begun, over, ctx);
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
    prepare(s, begun, over, ctx);
    s->status.busy = true;
    s->status.began_ms = s->tried_ms = snapshot_wall_ms();
    s->flushed = false;
    s->keys_before = snapshot_counter(s, "snapshot_keys");
    s->status.keys_all = 0;
    if (!snapshot_file_try(snapshot_folder(s), error, sizeof error)) {
        end(s, error);
        return true;
    }
    snapshot_tell(s);
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

/* -- life -- */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    snapshot_tick(arg);
}

void snapshot_attached(struct snapshot *s, bool fresh)
{
    s->fresh = fresh;
    s->changes_before = s->changes_saved;
    if (fresh)
        s->changes_saved = 0;
    else
        s->changes_saved = snapshot_changes_now(s); /* what an earlier control has saved is not known: as if all of it */
    s->status.loaded_s = snapshot_wall_ms() / 1000;
    s->flushes = snapshot_counter(s, "flushes_of_all");
    s->scheduled_by_clients = snapshot_counter(s, "snapshots_scheduled");
    trim(s);
    say_end(s); /* what an earlier control may have begun */
    snapshot_tell(s);
}

void snapshot_loaded(struct snapshot *s)
{
    s->changes_saved = snapshot_changes_now(s);
    s->status.loaded_s = snapshot_wall_ms() / 1000;
    s->flushes = snapshot_counter(s, "flushes_of_all"); /* loading begins with one */
    snapshot_tell(s);
}

void snapshot_detached(struct snapshot *s)
{
    if (s->file)
        snapshot_file_stop(s->file, "the dataplane went away");
}

void snapshot_settings(struct snapshot *s)
{
    snapshot_tell(s);
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

void snapshot_leave(struct snapshot *s)
{
    snapshot_told *begun = s->phase == STARTING ? s->begun : NULL;
    s->phase = IDLE;
    s->begun = s->over = NULL;
    if (begun)
        begun(s->ctx, "control ends");
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

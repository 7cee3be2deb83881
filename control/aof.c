/* aof.c: see aof.h. */
#include "control/aof.h"
#include "control/aof_folder.h"
#include "control/aof_writer.h"
#include "control/load.h"
#include "control/log.h"
#include "control/snapshot.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TICK_MS = 1000, RETRY_SECONDS = 5, WAIT_MS = 5 };

enum phase { OFF, FIRST, ON };

struct aof {
    struct control *control;
    enum phase phase;
    bool rewriting, scheduled, loading;
    bool lost; /* the log has ended without being whole: until there is a new base, what it should have has no other place */
    struct aof_folder *folder;
    pthread_mutex_t lock; /* of the folder */
    struct aof_writer *writer;
    int done_fd;
    struct event *done, *tick;
    uint64_t base, increment; /* of the rewrite under way */
    uint64_t rewritten_bytes; /* after the last rewrite */
    uint64_t began, tried, took, rewrites, failures;
    bool rewrite_failed;
    char error[256];
};

static const struct settings *settings(const struct aof *a)
{
    return commit_running(a->control->commit);
}

static bool is_yes(const struct aof *a, const char *name)
{
    return strcmp(settings_get(settings(a), name), "yes") == 0;
}

bool aof_is_wanted(const struct aof *a)
{
    return is_yes(a, "appendonly");
}

static bool serves(const struct aof *a)
{
    return link_connected(a->control->link) && snapshot_possible(a->control->snapshot);
}

static uint64_t seconds(void)
{
    return (uint64_t)time(NULL);
}

/* -- what the dataplane is told -- */

static void tell_number(struct aof *a, const char *name, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    link_fact(a->control->link, name, text);
}

static uint64_t bytes_of(struct aof *a, uint64_t *base)
{
    pthread_mutex_lock(&a->lock);
    uint64_t bytes = a->folder ? aof_folder_bytes(a->folder, base) : (*base = 0);
    pthread_mutex_unlock(&a->lock);
    return bytes;
}

static void tell(struct aof *a)
{
    struct link *l = a->control->link;
    struct aof_writer_status st = {{0}};
    uint64_t base;
    if (!link_connected(l))
        return;
    if (a->writer)
        aof_writer_status(a->writer, &st);
    link_fact(l, "aof_enabled", a->phase != OFF ? "1" : "0");
    link_fact(l, "aof_rewrite_scheduled", a->scheduled ? "1" : "0");
    link_fact(l, "aof_last_bgrewrite_status", a->rewrite_failed ? "err" : "ok");
    link_fact(l, "aof_last_write_status", st.error[0] || st.broken[0] || a->lost ? "err" : "ok");
    link_fact(l, "aof_write_error", st.error[0] ? st.error : st.broken[0] || !a->lost ? st.broken : "the log has ended, a new one begins");
    if (a->rewrites + a->failures)
        tell_number(a, "aof_last_rewrite_time_sec", a->took);
    if (a->rewriting)
        tell_number(a, "aof_current_rewrite_time_sec", seconds() - a->began);
    else
        link_fact(l, "aof_current_rewrite_time_sec", "-1");
    tell_number(a, "aof_rewrites", a->rewrites);
    if (a->phase != OFF) {
        tell_number(a, "aof_current_size", bytes_of(a, &base));
        tell_number(a, "aof_base_size", a->rewritten_bytes);
        tell_number(a, "aof_delayed_fsync", st.delayed);
        link_fact(l, "aof_pending_rewrite", a->scheduled ? "1" : "0");
    }
    link_fact(l, "aof_rewrite_in_progress", a->rewriting ? "1" : "0"); /* last: who sees the end sees its figures */
}

/* -- the writer -- */

static void set_writer(struct aof *a)
{
    const char *policy = settings_get(settings(a), "appendfsync");
    if (a->writer)
        aof_writer_settings(a->writer,
                            strcmp(policy, "always") == 0 ? AOF_ALWAYS
                            : strcmp(policy, "no") == 0   ? AOF_NO
                                                          : AOF_EVERYSEC,
                            is_yes(a, "aof-timestamp-enabled"), is_yes(a, "no-appendfsync-on-rewrite") && snapshot_busy(a->control->snapshot));
}

static bool start_writer(struct aof *a, enum aof_begin how)
{
    char error[256] = "the dataplane's rings cannot be mapped";
    void *bulk = link_map_bulk(a->control->link);
    struct block b;
    unsigned workers = block_read(a->control->link, &b) ? b.head.workers : CHANNEL_WORKERS;
    aof_writer_stop(a->writer);
    a->writer = bulk ? aof_writer_start(a->folder, &a->lock, bulk, workers, how, a->done_fd, error, sizeof error) : NULL;
    if (!a->writer)
        log_line(LOG_LEVEL_WARNING, "The append-only log: %s", error);
    set_writer(a);
    return a->writer;
}

static void forget_writer(struct aof *a)
{
    aof_writer_stop(a->writer);
    a->writer = NULL;
}

static void new_folder(struct aof *a)
{
    char error[256];
    aof_folder_free(a->folder);
    a->folder = aof_folder_new(settings_get(settings(a), "dir"), settings_get(settings(a), "appenddirname"),
                               settings_get(settings(a), "appendfilename"));
    if (aof_folder_read(a->folder, error, sizeof error) < 0)
        a->folder->n = 0;
}

/* What was said last is in no file that is written, and need not be: no reply waits for it. */
static void on_log_ended(void *ctx, const char *resp, size_t len, const char *error)
{
    struct aof *a = ctx;
    void *bulk = a->lost || a->writer ? NULL : link_map_bulk(a->control->link);
    (void)resp, (void)len, (void)error;
    if (!bulk)
        return;
    struct channel_log *l = log_shared(bulk);
    __atomic_store_n(&l->synced, __atomic_load_n(&l->order, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    munmap(bulk, CHANNEL_BULK_SIZE);
}

/* The dataplane logs no more. */
static void end_log(struct aof *a)
{
    static const char *const words[] = {"%SNAPSHOT", "nolog"};
    exec_run(a->control->execs, 2, words, on_log_ended, a);
}

/* -- rewriting -- */

static void on_begun(void *ctx, const char *error)
{
    struct aof *a = ctx;
    if (error || !a->increment || a->phase == ON)
        return;
    if (!a->writer)
        start_writer(a, a->lost ? AOF_ANEW : AOF_FRESH);
}

/* One of that number, which no manifest names, is of a control that was killed. */
static void delete_increment(const struct aof *a)
{
    char name[AOF_NAME];
    aof_folder_incr_name(a->folder, a->increment, name);
    char *path = aof_folder_join(a->folder, name);
    if (a->increment)
        unlink(path);
    free(path);
}

/* Has the writer begun it? Until it has, the manifest must not name it. */
static bool has_increment(const struct aof *a)
{
    char name[AOF_NAME];
    aof_folder_incr_name(a->folder, a->increment, name);
    char *path = aof_folder_join(a->folder, name);
    bool has = access(path, F_OK) == 0;
    free(path);
    return has;
}

static void on_rewritten(void *ctx, const char *error)
{
    struct aof *a = ctx;
    char why[256];
    uint64_t base;
    a->rewriting = false;
    a->took = seconds() - a->began;
    if (!error) {
        pthread_mutex_lock(&a->lock);
        bool adds = a->increment && aof_folder_last(a->folder) < a->increment && has_increment(a);
        bool good = aof_folder_rebase(a->folder, a->base, a->increment ? a->increment : UINT64_MAX, adds, why, sizeof why);
        if (good && a->phase == FIRST && a->writer)
            aof_writer_named(a->writer); /* in the same step: it adds what it begins from now on */
        pthread_mutex_unlock(&a->lock);
        error = good ? NULL : why;
    }
    a->rewrite_failed = error != NULL;
    if (error) {
        a->failures++;
        if (a->phase == FIRST && !a->writer)
            end_log(a); /* nobody would read it; it begins anew with the next try */
        log_line(LOG_LEVEL_WARNING, "Background AOF rewrite failed: %s", error);
    } else {
        a->rewrites++;
        if (a->phase == FIRST && a->writer) {
            a->phase = ON;
            a->lost = false;
        }
        a->rewritten_bytes = bytes_of(a, &base);
        log_line(LOG_LEVEL_NOTICE, "Background AOF rewrite finished successfully: a base of %llu bytes", (unsigned long long)base);
    }
    tell(a);
}

static bool begin_rewrite(struct aof *a)
{
    char name[AOF_NAME];
    mkdir(a->folder->path, 0750);
    pthread_mutex_lock(&a->lock);
    uint64_t last = aof_folder_last(a->folder);
    a->base = aof_folder_base(a->folder) + 1;
    a->increment = a->phase == OFF ? 0 : (a->increment > last ? a->increment : last) + 1;
    delete_increment(a);
    aof_folder_base_name(a->folder, a->base, name);
    pthread_mutex_unlock(&a->lock);
    struct snapshot_base base = {strdup(a->folder->path), strdup(name), a->increment};
    a->began = a->tried = seconds();
    a->scheduled = false;
    a->rewriting = snapshot_make_base(a->control->snapshot, &base, on_begun, on_rewritten, a);
    if (a->rewriting)
        log_line(LOG_LEVEL_NOTICE, "Background AOF rewrite started");
    else
        a->scheduled = true;
    tell(a);
    return a->rewriting;
}

const char *aof_rewrite(struct aof *a)
{
    if (a->rewriting)
        return "-ERR Background append only file rewriting already in progress";
    if (snapshot_busy(a->control->snapshot)) {
        a->scheduled = true;
        tell(a);
        return "+Background append only file rewriting scheduled";
    }
    if (!a->folder)
        new_folder(a);
    return begin_rewrite(a) ? "+Background append only file rewriting started"
                            : "-ERR Can't execute an AOF background rewriting. Please check the server logs for more information.";
}

/* -- on and off -- */

static void turn_on(struct aof *a)
{
    if (a->rewriting)
        return; /* its numbers are in use; the tick comes again */
    forget_writer(a);
    end_log(a); /* of which we know no place in a file */
    new_folder(a);
    a->phase = FIRST;
    a->increment = 0;
    begin_rewrite(a);
}

static void turn_off(struct aof *a)
{
    struct aof_writer_status st = {{0}};
    a->phase = OFF;
    a->scheduled = false;
    if (a->writer)
        aof_writer_status(a->writer, &st);
    if (a->lost || st.broken[0])
        forget_writer(a); /* it would not come to the end */
    a->lost = false;
    end_log(a);
    tell(a);
}

void aof_settings(struct aof *a)
{
    set_writer(a);
    if (!serves(a) || a->loading)
        return;
    if (aof_is_wanted(a) && a->phase == OFF)
        turn_on(a);
    else if (!aof_is_wanted(a) && a->phase != OFF)
        turn_off(a);
}

/* -- at start -- */

/* Has the dataplane, which we have found, a log? And has the disk failed the control before us? */
static bool is_logging(const struct aof *a, bool *lost)
{
    void *bulk = link_map_bulk(a->control->link);
    struct channel_log *l = bulk ? log_shared(bulk) : NULL;
    bool is = l && __atomic_load_n(&l->begun, __ATOMIC_ACQUIRE);
    *lost = is && l->place[__atomic_load_n(&l->which, __ATOMIC_ACQUIRE) & 1].file == LOG_LOST;
    if (bulk)
        munmap(bulk, CHANNEL_BULK_SIZE);
    return is;
}

static void adopt(struct aof *a)
{
    bool lost, is = is_logging(a, &lost);
    uint64_t base;
    new_folder(a);
    if (is && !aof_is_wanted(a)) {
        end_log(a);
    } else if (is && aof_folder_base(a->folder) && start_writer(a, AOF_ADOPT)) {
        a->phase = ON;
        a->rewritten_bytes = bytes_of(a, &base);
        log_line(LOG_LEVEL_NOTICE, "The append-only log goes on where the control before has ended");
    } else if (aof_is_wanted(a)) {
        a->lost = lost;
        turn_on(a);
    }
    tell(a);
}

static void on_loaded(void *ctx, const struct load_result *r)
{
    static const char serves_already[] = "the box serves already";
    struct aof *a = ctx;
    uint64_t base;
    a->loading = false;
    if (r->why && strcmp(r->why, serves_already) == 0) {
        adopt(a);
        return;
    }
    if (r->why)
        return;
    snapshot_loaded(a->control->snapshot);
    if (start_writer(a, AOF_APPEND))
        a->phase = ON;
    a->rewritten_bytes = bytes_of(a, &base);
    tell(a);
}

void aof_load(struct aof *a)
{
    char error[512] = "";
    if (a->writer)
        return;
    char *dump = must_print("%s/%s", settings_get(settings(a), "dir"), settings_get(settings(a), "dbfilename"));
    new_folder(a);
    bool good = aof_folder_begin(a->folder, dump, error, sizeof error);
    char **path = must_alloc(a->folder->n + 1, sizeof *path);
    unsigned n = 0;
    static const char types[] = "bi";
    for (unsigned k = 0; k < 2 && good; k++)
        for (unsigned i = 0; i < a->folder->n; i++)
            if (a->folder->file[i].type == types[k])
                path[n++] = aof_folder_join(a->folder, a->folder->file[i].name);
    a->loading = true;
    load_log(a->control->load, a->folder->path, path, n, is_yes(a, "aof-load-truncated"), good ? NULL : error, on_loaded, a);
    while (n)
        free(path[--n]);
    free(path);
    free(dump);
}

/* One that has been found serving, and whose snapshot nobody offers it, is looked at as well. */
void aof_attached(struct aof *a)
{
    tell(a);
    if (!a->loading && serves(a) && a->phase == OFF)
        adopt(a);
}

void aof_detached(struct aof *a)
{
    forget_writer(a);
    a->phase = OFF;
    a->lost = false;
    a->rewriting = a->scheduled = a->loading = false;
}

/* -- life -- */

static void on_told(evutil_socket_t fd, short what, void *arg)
{
    struct aof *a = arg;
    struct aof_writer_status st;
    uint64_t n;
    (void)what;
    if (read(fd, &n, sizeof n) < 0 || !a->writer)
        return;
    aof_writer_status(a->writer, &st);
    if (strcmp(st.error, a->error) != 0 && st.error[0])
        log_line(LOG_LEVEL_WARNING, "The append-only log cannot be written: %s; writes are refused", st.error);
    else if (!st.error[0] && a->error[0])
        log_line(LOG_LEVEL_NOTICE, "The append-only log can be written again");
    snprintf(a->error, sizeof a->error, "%s", st.error);
    if (st.broken[0])
        log_line(LOG_LEVEL_WARNING, "The append-only log has ended: %s; a new one begins", st.broken);
    tell(a);
    if (st.ended)
        forget_writer(a);
}

/* auto-aof-rewrite-percentage and -min-size, as in Redis' serverCron. */
static bool has_grown(struct aof *a)
{
    uint64_t base, bytes = bytes_of(a, &base), before = a->rewritten_bytes ? a->rewritten_bytes : 1;
    uint64_t percentage = (uint64_t)settings_number(settings(a), "auto-aof-rewrite-percentage");
    uint64_t least = strtoull(settings_get(settings(a), "auto-aof-rewrite-min-size"), NULL, 10);
    return percentage && bytes > least && bytes > before && (bytes - before) * 100 / before >= percentage;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct aof *a = arg;
    struct aof_writer_status st = {{0}};
    (void)fd, (void)what;
    if (!serves(a) || a->loading)
        return;
    set_writer(a);
    aof_settings(a);
    if (a->writer)
        aof_writer_status(a->writer, &st);
    bool again = seconds() - a->tried >= RETRY_SECONDS;
    if (a->phase == ON && st.broken[0] && again && !a->rewriting && !snapshot_busy(a->control->snapshot)) {
        a->lost = true;
        turn_on(a);
        return;
    }
    bool wants = a->scheduled || (a->phase == FIRST && again) || (a->phase == ON && has_grown(a) && (!a->rewrite_failed || again));
    if (wants && !a->rewriting && !snapshot_busy(a->control->snapshot))
        begin_rewrite(a);
    if (a->phase != OFF)
        tell(a);
}

struct aof *aof_new(struct control *c)
{
    struct aof *a = must_alloc(1, sizeof *a);
    const struct timeval every = {.tv_sec = TICK_MS / 1000};
    a->control = c;
    pthread_mutex_init(&a->lock, NULL);
    a->done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->done = event_new(c->base, a->done_fd, EV_READ | EV_PERSIST, on_told, a);
    a->tick = event_new(c->base, -1, EV_PERSIST, on_tick, a);
    event_add(a->done, NULL);
    event_add(a->tick, &every);
    return a;
}

void aof_free(struct aof *a)
{
    if (!a)
        return;
    aof_writer_stop(a->writer);
    aof_folder_free(a->folder);
    event_free(a->done);
    event_free(a->tick);
    close(a->done_fd);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

void aof_status(struct aof *a, struct aof_status *out)
{
    *out = (struct aof_status){.on = a->phase != OFF, .rewriting = a->rewriting, .error = a->error};
    out->bytes = bytes_of(a, &out->base_bytes);
}

/* -- WAITAOF -- */

struct wait {
    struct aof *aof;
    struct event *timer;
    uint64_t order, until_ms; /* until_ms 0: for ever */
    bool whole_time;          /* what is waited for cannot come: replicas */
    aof_waited *done;
    void *ctx;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void on_wait(evutil_socket_t fd, short what, void *arg)
{
    const struct timeval soon = {.tv_usec = WAIT_MS * 1000};
    struct wait *w = arg;
    (void)fd, (void)what;
    bool gone = !w->aof->writer, synced = !gone && aof_writer_synced(w->aof->writer) >= w->order;
    bool over = w->until_ms && now_ms() >= w->until_ms;
    if (!gone && !over && (!synced || w->whole_time)) {
        evtimer_add(w->timer, &soon);
        return;
    }
    w->done(w->ctx, synced);
    event_free(w->timer);
    free(w);
}

bool aof_wait(struct aof *a, uint64_t ms, bool whole_time, aof_waited *done, void *ctx)
{
    if (!a->writer)
        return false;
    struct wait *w = must_alloc(1, sizeof *w);
    *w = (struct wait){.aof = a, .order = aof_writer_order(a->writer), .until_ms = ms ? now_ms() + ms : 0, .whole_time = whole_time,
                       .done = done, .ctx = ctx};
    w->timer = evtimer_new(a->control->base, on_wait, w);
    on_wait(-1, 0, w);
    return true;
}

/* aof.c: see aof.h. */
#include "control/aof_private.h"
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

enum { TICK_MS = 1000, RETRY_SECONDS = 5 };

const struct settings *aof_conf(const struct aof *a)
{
    return commit_running(a->control->commit);
}

bool aof_is_yes(const struct aof *a, const char *name)
{
    return strcmp(settings_get(aof_conf(a), name), "yes") == 0;
}

bool aof_is_wanted(const struct aof *a)
{
    return aof_is_yes(a, "appendonly");
}

bool aof_serves(const struct aof *a)
{
    return link_connected(a->control->link) && snapshot_possible(a->control->snapshot);
}

uint64_t aof_seconds(void)
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

uint64_t aof_bytes(struct aof *a, uint64_t *base)
{
    pthread_mutex_lock(&a->lock);
    uint64_t bytes = a->folder ? aof_folder_bytes(a->folder, base) : (*base = 0);
    pthread_mutex_unlock(&a->lock);
    return bytes;
}

void aof_tell(struct aof *a)
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
        tell_number(a, "aof_current_rewrite_time_sec", aof_seconds() - a->began);
    else
        link_fact(l, "aof_current_rewrite_time_sec", "-1");
    tell_number(a, "aof_rewrites", a->rewrites);
    if (a->phase != OFF) {
        tell_number(a, "aof_current_size", aof_bytes(a, &base));
        tell_number(a, "aof_base_size", a->rewritten_bytes);
        tell_number(a, "aof_delayed_fsync", st.delayed);
        link_fact(l, "aof_pending_rewrite", a->scheduled ? "1" : "0");
    }
    link_fact(l, "aof_rewrite_in_progress", a->rewriting ? "1" : "0"); /* last: who sees the end sees its figures */
}

/* -- the writer -- */

static void set_writer(struct aof *a)
{
    const char *policy = settings_get(aof_conf(a), "appendfsync");
    if (a->writer)
        aof_writer_settings(a->writer,
                            strcmp(policy, "always") == 0 ? AOF_ALWAYS
                            : strcmp(policy, "no") == 0   ? AOF_NO
                                                          : AOF_EVERYSEC,
                            aof_is_yes(a, "aof-timestamp-enabled"), aof_is_yes(a, "no-appendfsync-on-rewrite") && snapshot_busy(a->control->snapshot));
}

static void drop_bulk(struct aof *a)
{
    if (a->bulk)
        munmap(a->bulk, CHANNEL_BULK_SIZE);
    a->bulk = NULL;
}

bool aof_start_writer(struct aof *a, enum aof_begin how)
{
    char error[256] = "the dataplane's rings cannot be mapped";
    void *bulk = link_map_bulk(a->control->link);
    struct block b;
    unsigned workers = block_read(a->control->link, &b) ? b.head.workers : CHANNEL_WORKERS;
    aof_writer_stop(a->writer);
    drop_bulk(a);
    a->bulk = link_map_bulk(a->control->link);
    a->writer = bulk ? aof_writer_start(a->folder, &a->lock, bulk, workers, how, a->done_fd, error, sizeof error) : NULL;
    if (!a->writer)
        log_line(LOG_LEVEL_WARNING, "The append-only log: %s", error);
    set_writer(a);
    return a->writer;
}

bool aof_forget_writer(struct aof *a)
{
    bool whole = aof_writer_stop(a->writer);
    a->writer = NULL;
    return whole;
}

void aof_new_folder(struct aof *a)
{
    char error[256];
    aof_folder_free(a->folder);
    a->folder = aof_folder_new(settings_get(aof_conf(a), "dir"), settings_get(aof_conf(a), "appenddirname"),
                               settings_get(aof_conf(a), "appendfilename"));
    if (aof_folder_read(a->folder, error, sizeof error) < 0)
        a->folder->n = 0;
}

/* What was said last is in no file that is written, and need not be: no reply waits for it. */
static void release_replies(struct aof *a)
{
    void *bulk = a->lost || a->writer ? NULL : link_map_bulk(a->control->link);
    if (!bulk)
        return;
    struct channel_log *l = log_shared(bulk);
    __atomic_store_n(&l->synced, __atomic_load_n(&l->order, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    munmap(bulk, CHANNEL_BULK_SIZE);
}

static void on_log_ended(void *ctx, const char *resp, size_t len, const char *error)
{
    (void)resp, (void)len, (void)error;
    release_replies(ctx);
}

/* The dataplane logs no more. */
void aof_end_log(struct aof *a)
{
    static const char *const words[] = {"%SNAPSHOT", "nolog"};
    exec_run(a->control->execs, 2, words, on_log_ended, a);
}

/* -- on and off -- */

void aof_turn_on(struct aof *a)
{
    if (a->rewriting)
        return; /* its numbers are in use; the tick comes again */
    aof_forget_writer(a);
    a->unserved = false;
    aof_end_log(a); /* of which we know no place in a file */
    aof_new_folder(a);
    a->phase = FIRST;
    a->increment = 0;
    aof_begin_rewrite(a);
}

static void turn_off(struct aof *a)
{
    struct aof_writer_status st = {{0}};
    a->phase = OFF;
    a->scheduled = false;
    if (a->writer)
        aof_writer_status(a->writer, &st);
    if (a->lost || st.broken[0] || st.error[0])
        aof_forget_writer(a); /* it would not come to the end */
    a->lost = false;
    aof_end_log(a);
    aof_tell(a);
}

void aof_settings(struct aof *a)
{
    set_writer(a);
    if (!aof_serves(a) || a->loading)
        return;
    if (aof_is_wanted(a) && a->phase == OFF)
        aof_turn_on(a);
    else if (!aof_is_wanted(a) && a->phase != OFF)
        turn_off(a);
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
    aof_tell(a);
    if (!st.ended)
        return;
    aof_forget_writer(a);
    if (a->phase == OFF)
        release_replies(a);
}

/* auto-aof-rewrite-percentage and -min-size, as in Redis' serverCron. */
static bool has_grown(struct aof *a)
{
    uint64_t base, bytes = aof_bytes(a, &base), before = a->rewritten_bytes ? a->rewritten_bytes : 1;
    uint64_t percentage = (uint64_t)settings_number(aof_conf(a), "auto-aof-rewrite-percentage");
    uint64_t least = strtoull(settings_get(aof_conf(a), "auto-aof-rewrite-min-size"), NULL, 10);
    return percentage && bytes > least && bytes > before && (bytes - before) * 100 / before >= percentage;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct aof *a = arg;
    struct aof_writer_status st = {{0}};
    (void)fd, (void)what;
    if (!aof_serves(a) || a->loading)
        return;
    set_writer(a);
    aof_settings(a);
    if (a->writer)
        aof_writer_status(a->writer, &st);
    bool again = aof_seconds() - a->tried >= RETRY_SECONDS;
    if (a->phase == ON && st.broken[0] && again && !a->rewriting && !snapshot_busy(a->control->snapshot)) {
        a->lost = true;
        aof_turn_on(a);
        return;
    }
    bool wants = a->scheduled || (a->phase == FIRST && again) || (a->phase == ON && has_grown(a) && (!a->rewrite_failed || again));
    if (wants && !a->rewriting && !snapshot_busy(a->control->snapshot))
        aof_begin_rewrite(a);
    if (a->phase != OFF)
        aof_tell(a);
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
    aof_end_waits(a);
    aof_writer_stop(a->writer);
    drop_bulk(a);
    if (a->coming)
        munmap(a->coming, CHANNEL_BULK_SIZE);
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
    out->bytes = aof_bytes(a, &out->base_bytes);
}

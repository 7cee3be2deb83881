/* box_load.c: the life of a snapshot on its way through the main thread (box_load.h): phases, what control and clients are
 * told. What it consists of is taken in box_load_in.c. */
#include "box_load_in.h"

#include "facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum { TELL_EVERY_MS = 200 };

static bool at_start(const struct load *l)
{
    return l->mode == LOAD_AT_START || l->mode == LOAD_SALVAGE;
}

bool load_keeps_closed(const struct plane *p)
{
    const struct load *l = &p->load;
    return l->phase == LOAD_BROKEN || (l->phase != LOAD_IDLE && at_start(l));
}

/* -- telling -- */

static void tell_done(struct plane *p, uint64_t id, const char *why)
{
    const struct load *l = &p->load;
    uint8_t buffer[CHANNEL_MESSAGE_MAX];
    struct message_writer w;
    message_begin(&w, buffer, MSG_LOAD_DONE);
    put_u64(&w, id);
    put_text(&w, why);
    put_u64(&w, l->loaded);
    put_u64(&w, l->expired);
    put_u64(&w, l->kept);
    put_u64(&w, l->libraries);
    channel_send(p->channel, &w, true);
}

static void give_credit(struct plane *p, uint64_t bytes)
{
    uint8_t buffer[64];
    struct message_writer w;
    message_begin(&w, buffer, MSG_LOAD_MORE);
    put_u64(&w, p->load.id);
    put_u64(&w, bytes);
    channel_send(p->channel, &w, true);
}

static void fact_number(const char *name, uint64_t v)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)v);
    fact_set(name, text);
}

static uint64_t used_memory(const struct plane *p)
{
    uint64_t used = 0;
    for (unsigned i = 0; i < p->box.workers; i++) {
        struct store_account a;
        shard_account(p->box.ks->shard[i], &a);
        used += a.used;
    }
    return used;
}

/* INFO's fields and the status that control shows. */
static void tell_progress(struct plane *p, uint64_t now_ms)
{
    struct load *l = &p->load;
    char detail[256], percent[16];
    double part = l->total ? (double)l->at / (double)l->total : 0;
    uint64_t spent = now_ms - l->began_ms;
    uint64_t left = part > 0 ? (uint64_t)((double)spent / part * (1 - part) / 1000) : 0;
    snprintf(percent, sizeof percent, "%.2f", part * 100);
    fact_number("loading_loaded_bytes", l->at);
    fact_number("loading_rdb_used_mem", used_memory(p));
    fact_set("loading_loaded_perc", percent);
    fact_number("loading_eta_seconds", left);
    snprintf(detail, sizeof detail, "%.150s: %s %%, %llu keys, about %llu s more", l->name, percent,
             (unsigned long long)l->loaded, (unsigned long long)left);
    channel_state(p->channel, "loading", detail);
    l->next_tell_ms = now_ms + TELL_EVERY_MS;
}

/* -- its life -- */

void load_stop(struct plane *p, uint64_t id, const char *why)
{
    struct load *l = &p->load;
    if (id == l->id && l->phase != LOAD_IDLE && !*l->why)
        snprintf(l->why, sizeof l->why, "%s", why);
}

static void drop_parts(struct plane *p)
{
    struct load *l = &p->load;
    free(l->carry);
    free(l->open);
    free(l->log);
    l->carry = NULL;
    l->open = l->log = NULL;
    l->carried = 0;
    for (unsigned i = 0; i < CONFIG_WORKERS; i++) {
        free(l->batch[i]);
        l->batch[i] = NULL;
    }
}

void load_start(struct plane *p, const struct load_request *request)
{
    struct load *l = &p->load;
    bool busy = l->phase != LOAD_IDLE && l->phase != LOAD_BROKEN && l->phase != LOAD_DRAINING;
    bool first = request->mode == LOAD_AT_START || request->mode == LOAD_SALVAGE;
    bool serves = l->phase == LOAD_IDLE && p->serving;
    if (busy || serves == first) { /* control offers its file whenever it comes */
        tell_done(p, request->id,
                  busy     ? "another snapshot is being loaded"
                  : serves ? "the box serves already"
                           : "the box does not serve yet");
        return;
    }
    unsigned jobs = l->jobs;
    uint64_t under_way = l->under_way;
    drop_parts(p);
    *l = (struct load){.phase = LOAD_WAITING,
                       .id = request->id,
                       .mode = request->mode,
                       .logs = request->logs != LOAD_NO_LOG && first,
                       .memory = request->logs == LOAD_LOG_OF_MEMORY && first,
                       .total = request->bytes,
                       .jobs = jobs,
                       .under_way = under_way};
    snprintf(l->name, sizeof l->name, "%s", request->name);
}

void load_warm(struct plane *p, struct kept_texts *texts)
{
    struct load *l = &p->load;
    if (l->phase != LOAD_IDLE)
        tell_done(p, l->id, LOAD_TAKEN_OVER);
    *l = (struct load){.phase = texts->n ? LOAD_WAITING : LOAD_IDLE, .told = true, .warm = true, .goes_on = l->memory, .texts = *texts};
    *texts = (struct kept_texts){0};
}

static void begin_warm(struct plane *p)
{
    struct load *l = &p->load;
    const uint8_t *at = l->texts.bytes;
    for (uint32_t i = 0; i < l->texts.n; i++) {
        load_send_function(p, (struct slice){at, l->texts.len[i]});
        at += l->texts.len[i];
    }
    kept_texts_free(&l->texts);
    l->ended = true;
    l->phase = LOAD_RUNNING;
}

/* In an empty store, behind closed doors. */
static void begin(struct plane *p, uint64_t now_ms)
{
    const struct slice flushall[] = {SLICE_LIT("FLUSHALL"), SLICE_LIT("SYNC")},
                       functions[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("FLUSH"), SLICE_LIT("SYNC")};
    struct load *l = &p->load;
    l->carry = malloc(LOAD_CARRY);
    if (!l->carry)
        snprintf(l->why, sizeof l->why, "the main thread has no memory");
    l->began_ms = now_ms;
    l->phase = LOAD_CLEARING;
    plane_outlives(p, false);
    if (!at_start(l))
        return;
    fact_set("loading", "1");
    fact_number("loading_start_time", p->wall_s);
    fact_number("loading_total_bytes", l->total);
    tell_progress(p, now_ms);
    load_order_all(p, LOAD_CLOSE_DOORS);
    load_send_job(p, 0, JOB_EXEC, 2, flushall, NULL);
    load_send_job(p, 0, JOB_EXEC, 3, functions, NULL);
}

static void finish_warm(struct plane *p)
{
    p->load.phase = LOAD_IDLE;
    p->load.warm = p->load.goes_on = false;
    channel_state(p->channel, "serving", "Ready to accept connections");
}

static void finish(struct plane *p)
{
    struct load *l = &p->load;
    char line[768];
    if (l->warm) {
        finish_warm(p);
        return;
    }
    if (at_start(l)) {
        fact_set("loading", "0");
        fact_number("rdb_last_load_keys_loaded", l->loaded);
        fact_number("rdb_last_load_keys_expired", l->expired);
    }
    snprintf(line, sizeof line, "Loaded %.200s: %llu keys, %llu had expired, %llu libraries of functions%s%s",
             l->name, (unsigned long long)l->loaded, (unsigned long long)l->expired,
             (unsigned long long)l->libraries, *l->why ? "; then it ended: " : "", l->why);
    channel_log(p->channel, LOG_NOTICE, line);
    if (at_start(l))
        channel_state(p->channel, "serving", "Ready to accept connections");
    tell_done(p, l->id, l->mode == LOAD_SALVAGE ? "" : l->why);
    l->phase = LOAD_IDLE;
}

/* All that was under way is over. */
static void give_up(struct plane *p)
{
    struct load *l = &p->load;
    char line[768];
    if (l->mode == LOAD_SALVAGE && !l->told) {
        plane_outlives(p, true);
        load_order_all(p, LOAD_OPEN_DOORS);
        l->phase = LOAD_OPENING;
        return;
    }
    snprintf(line, sizeof line, "%.200s was not loaded: %s", l->name, l->why);
    channel_log(p->channel, LOG_ERR, line);
    if (at_start(l))
        channel_state(p->channel, l->told ? "loading" : "load-failed", line);
    if (!l->told)
        tell_done(p, l->id, l->why);
    l->phase = at_start(l) ? LOAD_BROKEN : LOAD_IDLE;
    if (l->phase == LOAD_IDLE)
        plane_outlives(p, true); /* it served all the time */
}

void load_forget(struct plane *p)
{
    struct load *l = &p->load;
    if (l->phase == LOAD_IDLE || l->phase == LOAD_BROKEN || l->phase == LOAD_OPENING || l->warm)
        return;
    l->told = true;
    if (!*l->why)
        snprintf(l->why, sizeof l->why, "control went away; it begins again when control is back");
    drop_parts(p);
    l->phase = LOAD_DRAINING;
}

static void warn_of_library(struct plane *p, struct slice reply)
{
    char line[320];
    snprintf(line, sizeof line, "A library of functions was lost at the restart: %.*s",
             (int)(reply.len > 200 ? 200 : reply.len), (const char *)reply.p);
    channel_log(p->channel, LOG_ERR, line);
}

bool load_takes(struct plane *p, struct job *j)
{
    struct load *l = &p->load;
    if (j->id != LOAD_JOB || (j->kind != JOB_LOAD && j->kind != JOB_EXEC))
        return false;
    l->jobs--;
    if (j->load) {
        l->under_way -= j->load->len;
        l->loaded += j->load->loaded;
        l->expired += j->load->expired;
        l->kept += j->load->kept;
        l->refused += j->load->failed;
        if (j->load->order == LOAD_RUN_LOG)
            l->db = j->load->db;
    }
    struct slice reply = job_reply(j);
    bool refused = j->kind == JOB_EXEC && (j->out.failed || !reply.len || reply.p[0] == '-');
    if (l->warm && refused)
        warn_of_library(p, reply);
    else if (j->kind == JOB_EXEC && l->phase == LOAD_RUNNING && !refused)
        l->libraries++;
    else if (refused && l->mode == LOAD_KEEPING)
        l->kept++;
    else if (refused && !*l->why)
        snprintf(l->why, sizeof l->why, "a library of functions, at about byte %llu, cannot be loaded: %.*s",
                 (unsigned long long)l->at, (int)(reply.len > 200 ? 200 : reply.len), (const char *)reply.p);
    else if (j->load && *j->load->why && !*l->why)
        snprintf(l->why, sizeof l->why, "%s", j->load->why);
    job_free(j);
    return true;
}

static void run(struct plane *p, uint64_t now_ms)
{
    struct load *l = &p->load;
    load_send_batches(p);
    load_send_log(p);
    if (l->ended && l->log && !l->log_whole && !*l->why)
        snprintf(l->why, sizeof l->why, "the log ended in the middle of a command");
    if (*l->why) {
        drop_parts(p);
        l->phase = LOAD_DRAINING;
        return;
    }
    if (l->ended && !l->jobs && !l->log) {
        drop_parts(p);
        l->phase = LOAD_OPENING;
        if (l->logs)
            worker_log_begin(&p->box);
        p->next_gauges_ms = 0; /* what control is told then must count all of it */
        plane_outlives(p, true);
        if (at_start(l))
            load_order_all(p, LOAD_OPEN_DOORS);
        return;
    }
    if (l->owed && l->under_way < LOAD_UNDER_WAY && (!l->log || l->log->len < 2 * LOAD_LOG_BATCH || !l->log_whole)) {
        give_credit(p, l->owed);
        l->owed = 0;
    }
    if (now_ms >= l->next_tell_ms && at_start(l))
        tell_progress(p, now_ms);
}

void load_turn(struct plane *p, uint64_t now_ms)
{
    struct load *l = &p->load;
    if (l->phase == LOAD_IDLE || l->phase == LOAD_BROKEN || !p->serving)
        return;
    if (l->phase == LOAD_RUNNING)
        run(p, now_ms);
    else if (l->jobs)
        return;
    else if (l->phase == LOAD_WAITING && l->warm)
        begin_warm(p);
    else if (l->phase == LOAD_WAITING)
        begin(p, now_ms);
    else if (l->phase == LOAD_DRAINING)
        give_up(p);
    else if (l->phase == LOAD_OPENING)
        finish(p);
    if (l->phase == LOAD_CLEARING && !l->jobs) {
        l->phase = *l->why ? LOAD_DRAINING : LOAD_RUNNING;
        give_credit(p, LOAD_WINDOW);
    }
}

void load_free(struct plane *p)
{
    kept_texts_free(&p->load.texts);
    drop_parts(p);
}

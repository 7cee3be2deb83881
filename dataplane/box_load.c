/* box_load.c: the way of a snapshot through the main thread (box_load.h). */
#include "box.h"

#include "channel/messages.h"
#include "facts.h"
#include "job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

enum { CARRY = LOAD_ITEM_HEADER + LOAD_ITEM_MAX, TELL_EVERY_MS = 200, LOG_BATCH = 128 * 1024 };
#define LOAD_JOB UINT64_MAX /* id of a JOB_EXEC of ours: control counts from below */

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

/* -- jobs -- */

static void send_job(struct plane *p, unsigned worker, enum job_kind kind, int argc, const struct slice *argv,
                     struct load_batch *batch)
{
    struct load *l = &p->load;
    struct client control;
    client_init(&control, 0, 0);
    control.flags |= CLIENT_AUTHENTICATED | CLIENT_INTERNAL;
    struct job *j = job_new(kind, fabric_main(p->box.fabric), &control, argc, argv);
    if (!j) {
        snprintf(l->why, sizeof l->why, "the main thread has no memory");
        free(batch);
        return;
    }
    j->id = LOAD_JOB;
    j->load = batch;
    l->jobs++;
    l->under_way += batch ? batch->len : 0;
    plane_give(p, worker, j);
}

static struct load_batch *batch_new(struct plane *p, enum load_order order, size_t room)
{
    struct load_batch *b = malloc(sizeof *b + room);
    if (b)
        *b = (struct load_batch){.order = order, .mode = p->load.mode, .logs = p->load.logs, .room = room};
    else
        snprintf(p->load.why, sizeof p->load.why, "the main thread has no memory for %zu bytes", room);
    return b;
}

static void send_batch(struct plane *p, unsigned worker, struct load_batch *b)
{
    const struct slice name = SLICE_LIT("load");
    send_job(p, worker, JOB_LOAD, 1, &name, b);
}

static void send_batches(struct plane *p)
{
    struct load *l = &p->load;
    for (unsigned i = 0; i < p->box.workers; i++)
        if (l->batch[i]) {
            send_batch(p, i, l->batch[i]);
            l->batch[i] = NULL;
        }
}

static void order_all(struct plane *p, enum load_order order)
{
    for (unsigned i = 0; i < p->box.workers; i++) {
        struct load_batch *b = batch_new(p, order, 0);
        if (b)
            send_batch(p, i, b);
    }
}

/* -- records -- */

static unsigned shard_of(const struct plane *p, const struct load_record *r, const uint8_t *body)
{
    return keyspace_shard_of(p->box.ks, (struct slice){body, r->name});
}

/* A record whose body is here goes into the batch of its shard. */
static void add_whole(struct plane *p, const struct load_record *r, const uint8_t *body)
{
    struct load *l = &p->load;
    unsigned shard = shard_of(p, r, body);
    size_t need = sizeof *r + r->body;
    struct load_batch **b = &l->batch[shard];
    if (*b && (*b)->room - (*b)->len < need) {
        send_batch(p, shard, *b);
        *b = NULL;
    }
    if (!*b)
        *b = batch_new(p, LOAD_RECORDS, need > LOAD_BATCH ? need : LOAD_BATCH);
    if (!*b)
        return;
    memcpy((*b)->bytes + (*b)->len, r, sizeof *r);
    memcpy((*b)->bytes + (*b)->len + sizeof *r, body, r->body);
    (*b)->len += need;
}

static bool add_bytes(struct plane *p, struct load_batch **to, const uint8_t *bytes, size_t n)
{
    struct load *l = &p->load;
    struct load_batch *b = *to;
    if (b->room - b->len < n) {
        size_t room = b->len + n + b->len / 2;
        b = realloc(b, sizeof *b + room);
        if (!b) {
            snprintf(l->why, sizeof l->why,
                     "the main thread has no memory for a value of more than %zu bytes", (*to)->len);
            return false;
        }
        b->room = room;
        *to = b;
    }
    memcpy(b->bytes + b->len, bytes, n);
    b->len += n;
    return true;
}

/* One that comes in parts begins. */
static void begin_record(struct plane *p, const struct load_record *r, const uint8_t *bytes, bool function)
{
    struct load *l = &p->load;
    l->open = batch_new(p, LOAD_RECORDS, sizeof *r + LOAD_ITEM_MAX);
    l->open_function = function;
    if (l->open && add_bytes(p, &l->open, (const uint8_t *)r, sizeof *r))
        add_bytes(p, &l->open, bytes, r->body);
}

static void send_function(struct plane *p, struct slice text)
{
    const struct slice load[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), text},
                       replace[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), SLICE_LIT("REPLACE"), text};
    bool over = p->load.mode == LOAD_REPLACING || p->load.goes_on; /* the log may have it already */
    send_job(p, 0, JOB_EXEC, over ? 4 : 3, over ? replace : load, NULL);
}

/* False: what has come was no record. */
static bool end_record(struct plane *p)
{
    struct load *l = &p->load;
    struct load_batch *b = l->open;
    struct load_record r;
    l->open = NULL;
    memcpy(&r, b->bytes, sizeof r);
    r.body = b->len - sizeof r;
    memcpy(b->bytes, &r, sizeof r);
    bool good = r.name < r.body || l->open_function;
    if (good && !l->open_function) {
        send_batch(p, shard_of(p, &r, b->bytes + sizeof r), b);
        return true;
    }
    if (good)
        send_function(p, (struct slice){b->bytes + sizeof r, r.body});
    free(b);
    return good;
}

/* -- the stream -- */

static bool on_key(struct plane *p, struct message_reader *r, bool whole)
{
    struct load_record record = {.at = get_u64(r)}; /* one by one: the order in which they are read counts */
    record.db = get_u32(r);
    record.expire_ms = get_u64(r);
    record.access = get_u8(r);
    record.access_number = get_u64(r);
    record.name = get_u64(r);
    record.body = r->left;
    if (r->failed || record.access > LOAD_FREQUENCY || (whole && record.name >= record.body))
        return false;
    p->load.at = record.at;
    if (whole)
        add_whole(p, &record, r->p);
    else
        begin_record(p, &record, r->p, false);
    return true;
}

static bool on_function(struct plane *p, struct message_reader *r)
{
    struct load_record record = {.at = get_u64(r)};
    record.body = r->left;
    if (r->failed)
        return false;
    p->load.at = record.at;
    begin_record(p, &record, r->p, true);
    return true;
}

/* -- commands of a log: in order, one batch at a time, behind all records -- */

static void send_log(struct plane *p)
{
    struct load *l = &p->load;
    struct load_batch *b = l->log;
    if (!b || !l->log_whole || l->jobs || (b->len < LOG_BATCH && !l->ended))
        return;
    b->db = l->db;
    b->at = l->at;
    l->log = NULL;
    send_batch(p, 0, b);
}

static bool on_commands(struct plane *p, struct message_reader *r, bool whole)
{
    struct load *l = &p->load;
    uint64_t at = get_u64(r);
    if (r->failed || !l->logs)
        return false;
    send_batches(p);
    if (!l->log)
        l->log = batch_new(p, LOAD_RUN_LOG, LOG_BATCH + LOAD_ITEM_MAX);
    if (!l->log)
        return true;
    if (add_bytes(p, &l->log, r->p, r->left)) {
        l->at = at;
        l->log_whole = whole;
        send_log(p);
    }
    return true;
}

/* False if it is none, or out of place. */
static bool on_item(struct plane *p, uint8_t kind, struct message_reader *r)
{
    struct load *l = &p->load;
    bool part = kind == LOAD_BYTES || kind == LOAD_LAST;
    if (l->ended || (part != (l->open != NULL) && kind != LOAD_FAILED))
        return false;
    switch (kind) {
    case LOAD_COMMANDS:
    case LOAD_BREAK:
        return on_commands(p, r, kind == LOAD_BREAK);
    case LOAD_KEY:
    case LOAD_WHOLE:
        return on_key(p, r, kind == LOAD_WHOLE);
    case LOAD_FUNCTION:
        return on_function(p, r);
    case LOAD_BYTES:
    case LOAD_LAST:
        add_bytes(p, &l->open, r->p, r->left);
        return kind == LOAD_BYTES || *l->why || end_record(p);
    case LOAD_FAILED:
        snprintf(l->why, sizeof l->why, "%.*s", (int)r->left, (const char *)r->p);
        l->ended = true;
        return true;
    case LOAD_END:
        l->ended = true;
        return r->left == 0;
    default:
        return false;
    }
}

/* The items that are whole. False: it is no such stream. */
static bool take_items(struct plane *p)
{
    struct load *l = &p->load;
    size_t at = 0;
    bool good = true;
    while (good && !*l->why && l->carried - at >= LOAD_ITEM_HEADER) {
        const uint8_t *item = l->carry + at;
        uint32_t n;
        memcpy(&n, item + 1, sizeof n);
        if (n > LOAD_ITEM_MAX)
            return false;
        if (l->carried - at < LOAD_ITEM_HEADER + n)
            break;
        struct message_reader r = {.p = item + LOAD_ITEM_HEADER, .left = n};
        good = on_item(p, item[0], &r);
        at += LOAD_ITEM_HEADER + n;
    }
    l->carried -= at;
    memmove(l->carry, l->carry + at, l->carried);
    return good;
}

void load_data(struct plane *p, uint64_t id, struct slice bytes)
{
    struct load *l = &p->load;
    if (id != l->id || l->phase != LOAD_RUNNING) /* of one that has failed meanwhile */
        return;
    l->owed += bytes.len;
    bool good = true;
    while (bytes.len && good && !*l->why) {
        size_t n = CARRY - l->carried < bytes.len ? CARRY - l->carried : bytes.len;
        memcpy(l->carry + l->carried, bytes.p, n);
        l->carried += n;
        bytes.p += n;
        bytes.len -= n;
        good = take_items(p);
    }
    if (!good)
        snprintf(l->why, sizeof l->why, "what control sends is no stream of records");
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
        send_function(p, (struct slice){at, l->texts.len[i]});
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
    l->carry = malloc(CARRY);
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
    order_all(p, LOAD_CLOSE_DOORS);
    send_job(p, 0, JOB_EXEC, 2, flushall, NULL);
    send_job(p, 0, JOB_EXEC, 3, functions, NULL);
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
        order_all(p, LOAD_OPEN_DOORS);
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
    send_batches(p);
    send_log(p);
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
            order_all(p, LOAD_OPEN_DOORS);
        return;
    }
    if (l->owed && l->under_way < LOAD_UNDER_WAY && (!l->log || l->log->len < 2 * LOG_BATCH || !l->log_whole)) {
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

/* box_load_in.c: the stream of a snapshot or log that control sends: items, the records in them, and the batches in which
 * workers get them (load.h). What becomes of the whole is box_load.c's. */
#include "box_load_in.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- jobs -- */

void load_send_job(struct plane *p, unsigned worker, enum job_kind kind, int argc, const struct slice *argv,
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
    load_send_job(p, worker, JOB_LOAD, 1, &name, b);
}

void load_send_batches(struct plane *p)
{
    struct load *l = &p->load;
    for (unsigned i = 0; i < p->box.workers; i++)
        if (l->batch[i]) {
            send_batch(p, i, l->batch[i]);
            l->batch[i] = NULL;
        }
}

void load_order_all(struct plane *p, enum load_order order)
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

void load_send_function(struct plane *p, struct slice text)
{
    const struct slice load[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), text},
                       replace[] = {SLICE_LIT("FUNCTION"), SLICE_LIT("LOAD"), SLICE_LIT("REPLACE"), text};
    bool over = p->load.mode == LOAD_REPLACING || p->load.goes_on; /* the log may have it already */
    load_send_job(p, 0, JOB_EXEC, over ? 4 : 3, over ? replace : load, NULL);
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
        load_send_function(p, (struct slice){b->bytes + sizeof r, r.body});
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

void load_send_log(struct plane *p)
{
    struct load *l = &p->load;
    struct load_batch *b = l->log;
    if (!b || !l->log_whole || l->jobs || (b->len < LOAD_LOG_BATCH && !l->ended))
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
    load_send_batches(p);
    if (!l->log)
        l->log = batch_new(p, LOAD_RUN_LOG, LOAD_LOG_BATCH + LOAD_ITEM_MAX);
    if (!l->log)
        return true;
    if (add_bytes(p, &l->log, r->p, r->left)) {
        l->at = at;
        l->log_whole = whole;
        load_send_log(p);
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
        size_t n = LOAD_CARRY - l->carried < bytes.len ? LOAD_CARRY - l->carried : bytes.len;
        memcpy(l->carry + l->carried, bytes.p, n);
        l->carried += n;
        bytes.p += n;
        bytes.len -= n;
        good = take_items(p);
    }
    if (!good)
        snprintf(l->why, sizeof l->why, "what control sends is no stream of records");
}

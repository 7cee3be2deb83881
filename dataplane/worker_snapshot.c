/* worker_snapshot.c: snapshots (store/snapshot.h) of all shards at one instant, on their way to control.
 *
 * Control asks by an EXEC that begins with a word no client can say (SNAPSHOT_WORD): BEGIN runs with all workers stopped
 * and answers with what the file begins with; from then on each worker walks its shard in slices and puts what it has
 * written into its bulk ring (channel/messages.h), which control empties. How often it has one while there are requests says
 * snapshot_pace.h; with none, all the time. A ring that is full stops the cursor; writers
 * fill the snapshot's buffer, and wait themselves (as by CLIENT PAUSE) when it is half full. A large value is written
 * by a command of the worker's own, which reads its key in slices (turns.h): writers of that key wait so long. END is
 * control's word that it wants nothing more; HURRY, that somebody waits for it: as if there were no requests. */
#include "worker.h"

#include "base/number.h"
#include "channel/messages.h"
#include "command/generic.h"
#include "command/key_rows.h"
#include "command/table.h"
#include "command/version.h"
#include "job.h"
#include "script/library.h"
#include "store/rdb.h"
#include "store/snapshot.h"

#include <rte_cycles.h>

#include <stdio.h>
#include <stdlib.h>

enum {
    SLICE_US = 20,
    EVERY_US = 200, /* while there are requests: what waits goes on its way */
    STEPS_A_LOOK = 4,
    AHEAD = 4 * SNAPSHOT_PIECE, /* bytes that the cursor may be ahead of the ring */
    SEND = 4 * SNAPSHOT_PIECE,  /* bytes that go into the ring at a time ... */
    SEND_LEAST = 1024,          /* ... a piece as if it had so many */
    MOST_LEAST = 64 << 20,
    MOST_PART = 8, /* of the memory for data */
    AUX_OPCODE = 0xfa,
    FUNCTION_OPCODE = 0xf5
};

/* -- begin, with all workers stopped -- */

static void put_aux(struct rdb_writer *w, const char *name, const char *value)
{
    rdb_put_byte(w, AUX_OPCODE);
    rdb_put_string(w, slice_str(name));
    rdb_put_string(w, slice_str(value));
}

/* What stands before the first database, as redis-server 7.0 writes it. */
static void put_head(struct rdb_writer *w, const struct box *box, uint64_t now_ms, uint64_t used, bool log)
{
    char text[32];
    bool newer = false;
    for (unsigned i = 0; i < box->workers; i++)
        newer |= snapshot_is_new(box->ks->shard[i]);
    snprintf(text, sizeof text, "REDIS%04d", newer ? RDB_NEWEST : RDB_VERSION);
    rdb_put(w, text, 9);
    put_aux(w, "redis-ver", REDIS_VERSION);
    put_aux(w, "redis-bits", "64");
    snprintf(text, sizeof text, "%llu", (unsigned long long)(now_ms / 1000));
    put_aux(w, "ctime", text);
    snprintf(text, sizeof text, "%llu", (unsigned long long)used);
    put_aux(w, "used-mem", text);
    put_aux(w, "aof-base", log ? "1" : "0");
    for (const struct library *l = libraries_first(scripts_libraries(box->scripts)); l; l = l->next) {
        rdb_put_byte(w, FUNCTION_OPCODE);
        rdb_put_string(w, l->code);
    }
}

static void put_number(struct rdb_writer *w, uint64_t v)
{
    rdb_put(w, &v, sizeof v);
}

/* The answer: u64 changes since the start, u64 workers, u64 databases that have keys, and of each u64 number, keys and
 * keys that expire; then what the file begins with. Little endian. */
static void put_answer(struct rdb_writer *w, const struct box *box, uint64_t now_ms, bool log)
{
    uint64_t changes = 0, used = 0, dbs = 0;
    for (unsigned i = 0; i < box->workers; i++) {
        struct store_account a;
        shard_account(box->ks->shard[i], &a);
        changes += a.changes;
        used += a.used;
    }
    put_number(w, changes);
    put_number(w, box->workers);
    size_t at = w->len;
    put_number(w, 0);
    for (unsigned db = 0; db < box->ks->databases; db++) {
        uint64_t expires, keys = keyspace_db_size(box->ks, db, &expires);
        if (!keys)
            continue;
        put_number(w, db);
        put_number(w, keys);
        put_number(w, expires);
        dbs++;
    }
    if (!w->failed)
        memcpy(w->p + at, &dbs, sizeof dbs);
    put_head(w, box, now_ms, used, log);
}

static uint64_t buffer_size(const struct worker *w)
{
    uint64_t data = w->conf->maxmemory ? w->conf->maxmemory : keyspace_arena_size(w->env.ks);
    uint64_t part = data / MOST_PART;
    return (part > MOST_LEAST ? part : MOST_LEAST) / w->box->workers;
}

static const char *begin_all(struct box *box, bool log)
{
    for (unsigned i = 0; i < box->workers; i++)
        if (shard_snapshot(box->ks->shard[i]))
            return "ERR a snapshot is under way";
    for (unsigned i = 0; i < box->workers; i++) {
        struct worker *w = box->worker[i];
        struct snapshot_options o = {
            .compress = dump_compresses(w->conf), .slices = true, .stays = log, .most = buffer_size(w)};
        shard_set_time(box->ks->shard[i], box->worker[0]->env.now_ms);
        if (!snapshot_begin(box->ks->shard[i], &o)) {
            while (i-- > 0)
                snapshot_end(box->ks->shard[i]);
            return "ERR out of memory for a snapshot";
        }
    }
    for (unsigned i = 0; i < box->workers; i++) {
        struct worker *w = box->worker[i];
        w->snapshot = (struct worker_snapshot){.ring = bulk_to_control(box->bulk, i), .active = true};
        pace_begin(&w->snapshot.pace, w->env.now_us);
        ring_reset(&w->snapshot.ring);
        w->env.observers |= OBSERVE_SNAPSHOT;
        w->next_upkeep_us = 0;
    }
    atomic_store(&box->snapshots, box->workers);
    atomic_store(&box->snapshot_unwanted, false);
    atomic_store(&box->snapshot_hurries, false);
    return NULL;
}

/* The base of a log: what follows goes into the increment of that number. */
static void mark_log(struct worker *self, uint64_t file)
{
    struct box *box = self->box;
    if (!(self->env.observers & OBSERVE_LOG)) {
        worker_log_begin(box);
        for (unsigned i = 0; i < box->workers; i++)
            worker_log_join(box->worker[i]);
    }
    worker_log_mark(self, file);
}

static void begin(struct request *rq)
{
    struct worker *self = rq->env->worker;
    struct rdb_writer w = {.compress = false};
    int64_t file = 0;
    bool log = rq->argc == 3 && parse_i64(rq->argv[2], &file) && file > 0;
    put_answer(&w, self->box, self->env.now_ms, log);
    const char *error = w.failed ? "ERR out of memory for a snapshot" : NULL;
    if (!error && log && self->env.observers & OBSERVE_LOG && worker_log_tells_broken(self->box))
        error = "ERR the log has broken, and control does not know yet";
    if (!error)
        error = begin_all(self->box, log);
    if (!error && log)
        mark_log(self, (uint64_t)file);
    if (error)
        reply_error(rq->out, error);
    else
        reply_bulk(rq->out, (struct slice){w.p, w.len});
    rdb_writer_free(&w);
}

static enum command_result run(struct request *rq)
{
    struct worker *self = rq->env->worker;
    if (rq->argc == 2 && slice_is(rq->argv[1], "nolog")) {
        if (self->env.observers & OBSERVE_LOG)
            worker_log_end(self);
        reply_ok(rq->out);
    } else if (rq->argc <= 3 && slice_is(rq->argv[1], "begin") && self->box->bulk) {
        begin(rq);
    } else if (rq->argc == 2 && slice_is(rq->argv[1], "end")) {
        atomic_store(&self->box->snapshot_unwanted, true);
        reply_ok(rq->out);
    } else if (rq->argc == 2 && slice_is(rq->argv[1], "hurry")) {
        atomic_store(&self->box->snapshot_hurries, true);
        reply_ok(rq->out);
    } else {
        reply_syntax_error(rq->out);
    }
    return CMD_DONE;
}

enum { ALL = CMD_ROUTE_ALL | CMD_WHOLE };
/* While a script takes long, control is told so and asks anew for a begin. */
static struct command begins = {.name = SNAPSHOT_WORD,
                                .full_name = SNAPSHOT_WORD,
                                .run = run,
                                .arity = -2,
                                .flags = ALL | CMD_ADMIN | CMD_NOSCRIPT | CMD_SKIP_MONITOR | CMD_SKIP_SLOWLOG | CMD_LOADING |
                                         CMD_STALE,
                                .acl = ACL_ADMIN | ACL_DANGEROUS};
/* Nobody looks at what these reply: the end of a log waits, and that a snapshot is not wanted any more is said at once. */
static struct command ends_log, ends;

static bool begins_in(const struct job *list)
{
    while (list && list->rq.cmd != &begins)
        list = list->next;
    return list;
}

/* The row of what control asks. What is said at once, end and hurry, does not overtake the begin that it is about. */
static const struct command *row_of(const struct worker *w, struct slice what)
{
    if (slice_is(what, "begin"))
        return &begins;
    bool waits = begins_in(w->barrier_first) || begins_in(w->turns.waiting_first);
    bool at_once = slice_is(what, "end") || slice_is(what, "hurry");
    return at_once && !waits ? &ends : &ends_log;
}

bool worker_snapshot_asked(const struct worker *w, struct job *j)
{
    if (!slice_eq(j->argv[0], slice_str(SNAPSHOT_WORD)))
        return false;
    j->rq.cmd = row_of(w, j->rq.argc > 1 ? j->argv[1] : SLICE_LIT(""));
    j->rq.bad_arity = false;
    j->rq.route = w->box->workers > 1 && j->rq.cmd != &ends ? ROUTE_ALL : ROUTE_HERE;
    return true;
}

/* -- a large value -- */

/* The key is still the one that the cursor waits for, unless databases were exchanged meanwhile: then it is asked again.
 */
static enum command_result write_large(struct request *rq)
{
    struct worker *w = rq->env->worker;
    struct snapshot *c = shard_snapshot(w->env.ks->shard[w->id]);
    unsigned db;
    struct slice key;
    bool same = c && snapshot_large(c, &db, &key) && db == rq->client->db && slice_eq(key, rq->argv[1]);
    if (same && turn_wanted(rq, UINT64_MAX))
        return CMD_LONG;
    if (same)
        snapshot_write_large(c, rq->turn);
    w->snapshot.slicing = false;
    return CMD_DONE;
}

static struct command large_row = {.name = "snapshot-value",
                                   .full_name = "snapshot-value",
                                   .run = write_large,
                                   .arity = 2,
                                   .flags = CMD_READONLY | CMD_SKIP_MONITOR | CMD_SKIP_SLOWLOG | CMD_LOADING |
                                            CMD_STALE | CMD_ALLOW_BUSY, /* waits instead, however long */
                                   .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
                                   .key_kind = COMMAND_ONE_KEY,
                                   .key_first = 1};

/* The statistics of all of them are those of a command that hardly anybody sends. */
void worker_snapshot_init(void)
{
    const struct slice name = SLICE_LIT("restore-asking");
    large_row.id = begins.id = command_lookup(1, &name)->id;
    ends = ends_log = begins;
    ends_log.flags |= CMD_ALLOW_BUSY;
    ends.flags = (begins.flags | CMD_ALLOW_BUSY) & ~(uint32_t)ALL;
}

/* Without memory for a job it is written here and now. */
static void begin_large(struct worker *w, struct snapshot *c, unsigned db, struct slice key)
{
    const struct slice argv[] = {slice_str(large_row.name), key};
    struct client nobody;
    client_init(&nobody, 0, 0);
    nobody.flags |= CLIENT_AUTHENTICATED | CLIENT_INTERNAL;
    nobody.db = db;
    struct job *j = job_new(JOB_HOP, w->id, &nobody, 2, argv);
    if (!j) {
        snapshot_write_large(c, NULL);
        return;
    }
    job_prepare(j, &w->env);
    j->rq.cmd = &large_row;
    j->rq.bad_arity = false;
    j->rq.route = ROUTE_SHARD;
    j->rq.shard = w->id;
    j->rq.key = keyspace_key(w->env.ks, j->argv[1]);
    w->snapshot.slicing = true;
    if (!worker_run_job(w, j))
        return;
    w->snapshot.slicing = false; /* it did it in one go, or was refused */
    worker_complete(w, j);
}

/* -- a worker's part -- */

/* What the ring takes, up to SEND. */
static void send_pieces(struct worker *w, struct snapshot *c)
{
    enum { HEAD = 6 };
    struct snapshot_piece *p;
    for (uint32_t sent = 0; sent < SEND && (p = snapshot_first(c));) {
        uint8_t *message = p->head + SNAPSHOT_HEAD - HEAD;
        message[0] = BULK_RECORDS;
        memcpy(message + 1, &p->db, sizeof p->db);
        message[5] = p->more;
        enum ring_result result = ring_put(&w->snapshot.ring, message, HEAD + p->len);
        if (result == RING_BROKEN)
            snapshot_fail(c, "the ring to control is damaged");
        if (result != RING_OK)
            return;
        sent += p->len > SEND_LEAST ? p->len : SEND_LEAST;
        snapshot_drop_first(c);
    }
}

/* The last word. False if the ring is full. */
static bool send_end(struct worker *w, const struct snapshot *c)
{
    uint8_t buffer[512];
    struct message_writer m;
    struct snapshot_figures f;
    const char *failed = snapshot_failed(c);
    snapshot_figures(c, &f);
    message_begin(&m, buffer, (enum message_type)BULK_END);
    put_text(&m, !failed ? "" : strcmp(failed, SNAPSHOT_FLUSHED) == 0 ? BULK_FLUSHED : failed);
    put_u64(&m, f.keys);
    put_u64(&m, f.bytes);
    put_u64(&m, f.kept_most);
    put_u64(&m, f.ahead);
    return ring_put(&w->snapshot.ring, buffer, m.len) != RING_FULL;
}

/* Writers wait while the buffer is more than half full. */
static void hold_writers(struct worker *w, const struct snapshot_figures *f)
{
    uint64_t most = buffer_size(w);
    if (f->kept > most / 2)
        w->snapshot.holds = true;
    else if (f->kept < most / 4)
        w->snapshot.holds = false;
    if (w->snapshot.holds)
        worker_follow_pause(w);
}

static void end(struct worker *w)
{
    snapshot_end(w->env.ks->shard[w->id]);
    atomic_fetch_sub(&w->box->snapshots, 1);
    w->snapshot = (struct worker_snapshot){0};
}

/* A slice of the cursor's, up to a large value, which is begun then. */
static void walk(struct worker *w, struct snapshot *c)
{
    struct snapshot_figures f;
    unsigned db;
    struct slice key;
    const uint64_t until = rte_rdtsc() + (uint64_t)(SLICE_US / w->us_per_cycle);
    snapshot_figures(c, &f);
    if (w->snapshot.walked || w->snapshot.slicing || f.waiting >= AHEAD)
        return;
    bool large = snapshot_large(c, &db, &key);
    bool over = large;
    while (!over) {
        for (unsigned i = 0; i < STEPS_A_LOOK && !w->snapshot.walked; i++)
            w->snapshot.walked = !snapshot_step(c);
        large = snapshot_large(c, &db, &key);
        snapshot_figures(c, &f);
        over = large || w->snapshot.walked || f.waiting >= AHEAD || rte_rdtsc() >= until;
    }
    if (large && f.waiting < AHEAD)
        begin_large(w, c, db, key);
}

/* What was written since, and what the cursor took for its part of it; 0: it has not had a slice. busy: while there were requests. */
static void count_written(struct worker *w, const struct snapshot_figures *f, uint64_t cycles, bool busy)
{
    struct worker_snapshot *s = &w->snapshot;
    const uint64_t keys = f->keys - s->keys, ahead = f->ahead - s->ahead, ns = (uint64_t)((double)cycles * w->us_per_cycle * 1000);
    count_add(w->counters, COUNTER_snapshot_keys, keys);
    pace_ahead(&s->pace, ahead);
    if (cycles)
        pace_took(&s->pace, w->env.now_us, ns, keys > ahead ? keys - ahead : 0, busy);
    s->keys = f->keys;
    s->ahead = f->ahead;
}

void worker_snapshot(struct worker *w)
{
    struct snapshot *c = shard_snapshot(w->env.ks->shard[w->id]);
    struct snapshot_figures f;
    const bool unwanted = atomic_load_explicit(&w->box->snapshot_unwanted, memory_order_relaxed);
    const bool idle = w->idle_rounds > 0 || atomic_load_explicit(&w->box->snapshot_hurries, memory_order_relaxed);
    uint64_t cycles = 0;
    if (unwanted)
        snapshot_fail(c, "control wants it no more");
    send_pieces(w, c);
    if (idle || snapshot_failed(c) || pace_due(&w->snapshot.pace, w->env.now_us)) { /* one that has failed is in the way of the next */
        uint64_t begin = rte_rdtsc();
        walk(w, c);
        cycles = rte_rdtsc() - begin;
    }
    snapshot_figures(c, &f);
    count_written(w, &f, cycles, !idle);
    hold_writers(w, &f);
    if (w->snapshot.walked && !snapshot_first(c) && (unwanted || send_end(w, c))) {
        end(w);
        return;
    }
    w->idle_rounds = 0; /* no sleep meanwhile */
    w->snapshot.next_us = w->env.now_us + (idle && f.waiting < AHEAD ? 0 : EVERY_US);
}

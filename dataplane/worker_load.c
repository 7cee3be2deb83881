/* worker_load.c: a batch of records of a snapshot stored in the worker's shard (load.h). */
#include "load.h"

#include "channel/messages.h"
#include "command/table.h"
#include "job.h"
#include "worker.h"
#include "store/rdb.h"

#include <ctype.h>
#include <stdio.h>

enum { BYTES_OF_WORK = 16 }; /* that take about as long as an element */

static void fail(struct load_batch *b, const struct load_record *r, const uint8_t *name, const char *why)
{
    char text[128];
    size_t n = 0;
    for (uint64_t i = 0; i < r->name && n + 8 < sizeof text; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, isprint(name[i]) ? "%c" : "\\x%02x", name[i]);
    text[n] = 0;
    snprintf(b->why, sizeof b->why, "in the key '%s' of database %u, which begins at byte %llu: %s", text,
             r->db, (unsigned long long)r->at, why);
}

/* Where it is to go, or why it goes nowhere. */
static bool is_wanted(struct load_batch *b, const struct load_record *r, const struct rdb_target *to,
                      uint64_t now_ms)
{
    if (r->expire_ms && r->expire_ms <= now_ms && !b->logs) {
        b->expired++;
        if (b->mode == LOAD_REPLACING)
            store_delete(to->shard, to->db, to->key);
        return false;
    }
    bool there =
        b->mode == LOAD_KEEPING && store_find(to->shard, to->db, to->key, LOOK_NOTOUCH | LOOK_NOSTAT);
    b->kept += there;
    return !there;
}

static void store_record(const struct request *rq, struct load_batch *b, const struct load_record *r,
                         const uint8_t *body)
{
    const struct keyspace *ks = rq->env->ks;
    struct shard *s = ks->shard[rq->shard];
    struct key k = keyspace_key(ks, (struct slice){body, r->name});
    struct rdb_target to = {.shard = s, .db = r->db, .key = &k, .expire_at = r->expire_ms};
    struct rdb_reader in = {.p = body + r->name, .left = r->body - r->name, .turn = rq->turn};
    if (r->db >= ks->databases) {
        fail(b, r, body, "there are not so many databases; raise `databases`");
        return;
    }
    if (!is_wanted(b, r, &to, rq->env->now_ms))
        return;
    uint64_t now_ms = shard_time(s);
    if (b->logs) /* what is over may still be wanted by what the log says */
        shard_swap_time(s, now_ms - LOAD_BEFORE_MS);
    enum rdb_result result = rdb_take_value(&in, &to);
    bool told = result == RDB_OK && r->access != LOAD_NO_ACCESS;
    struct entry *e = told ? store_find(s, r->db, &k, LOOK_NOTOUCH | LOOK_NOSTAT) : NULL;
    shard_swap_time(s, now_ms);
    if (result == RDB_OOM)
        fail(b, r, body, "there is no memory for it; raise `maxmemory` or choose a policy that evicts");
    else if (result != RDB_OK)
        fail(b, r, body, "its value is damaged");
    else if (in.left)
        fail(b, r, body, "bytes follow its value");
    else
        b->loaded++;
    if (e)
        entry_set_access(s, e, r->access == LOAD_IDLE_SECONDS ? (int64_t)r->access_number : -1,
                         r->access == LOAD_FREQUENCY ? (int64_t)r->access_number : -1);
}

/* Nothing is written before it would be logged. */
static void order_doors(struct request *rq, const struct load_batch *b)
{
    struct command_env *env = rq->env;
    bool closed = b->order == LOAD_CLOSE_DOORS;
    if (b->logs || !closed) /* those of a log may have been closed, and a snapshot opens them */
        shard_set_active_expiry(env->ks->shard[env->self], !closed);
    if (b->logs && !closed)
        worker_log_join(env->worker);
    env->observers = (env->observers & ~(unsigned)OBSERVE_LOADING) | (closed ? OBSERVE_LOADING : 0);
}

static enum command_result run_load(struct request *rq)
{
    struct job *j = (struct job *)((char *)rq - offsetof(struct job, rq));
    struct load_batch *b = j->load;
    struct load_record r;
    if (b->order == LOAD_RUN_LOG) {
        load_run_log(rq->env, b);
        return CMD_DONE;
    }
    if (b->order != LOAD_RECORDS) {
        order_doors(rq, b);
        return CMD_DONE;
    }
    if (turn_wanted(rq, b->len / BYTES_OF_WORK))
        return CMD_LONG;
    for (size_t at = 0; at < b->len && !*b->why; at += r.body) {
        memcpy(&r, b->bytes + at, sizeof r);
        at += sizeof r;
        store_record(rq, b, &r, b->bytes + at);
        turn_take(rq->turn);
    }
    return CMD_DONE;
}

static struct command row = {.name = "load",
                             .full_name = "load",
                             .run = run_load,
                             .arity = 1,
                             .flags = CMD_WRITE | CMD_WHOLE | CMD_SKIP_MONITOR | CMD_SKIP_SLOWLOG |
                                      CMD_ALLOW_BUSY}; /* waits for a script, however long it takes */

/* Its statistics are those of an internal command that hardly anybody sends. */
void load_init(void)
{
    const struct slice name = SLICE_LIT("restore-asking");
    row.id = command_lookup(1, &name)->id;
}

void load_prepare(struct job *j, struct command_env *env)
{
    struct request *rq = &j->rq;
    rq->env = env;
    rq->client = &j->client;
    rq->cmd = &row;
    rq->argv = j->argv;
    rq->route = j->load->order == LOAD_RUN_LOG && env->workers > 1 ? ROUTE_ALL : ROUTE_SHARD;
    rq->shard = env->self;
}

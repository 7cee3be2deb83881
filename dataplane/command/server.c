/* server.c: commands on the box and its databases as a whole.
 * https://redis.io/docs/latest/commands/?group=server */
#include "command/cluster.h"
#include "command/server.h"
#include "base/number.h"
#include "command/tracking.h"
#include "store/snapshot.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

/* -- shared
 * ---------------------------------------------------------------------------------------------------- */

enum { NAME_ROOM = 32 };

/* A command's name as people write it: CONFIG SET. */
static const char *as_written(const char *name, char upper[NAME_ROOM])
{
    size_t i = 0;
    for (; name[i] && i < NAME_ROOM - 1; i++)
        upper[i] = name[i] == '|' ? ' ' : (char)toupper((unsigned char)name[i]);
    upper[i] = 0;
    return upper;
}

/* Its first word. */
static const char *container_name(const struct request *rq, char upper[NAME_ROOM])
{
    return as_written(rq->cmd->parent ? rq->cmd->parent->name : rq->cmd->name, upper);
}

enum command_result server_help(struct request *rq, const char *const *lines)
{
    size_t n = 0;
    char upper[NAME_ROOM], usage[96];
    while (lines[n])
        n++;
    snprintf(usage, sizeof usage,
             "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container_name(rq, upper));
    reply_array(rq->out, n + 3);
    reply_simple(rq->out, usage);
    for (size_t i = 0; i < n; i++)
        reply_simple(rq->out, lines[i]);
    reply_simple(rq->out, "HELP");
    reply_simple(rq->out, "    Prints this help.");
    return CMD_DONE;
}

void server_unknown_subcommand(struct request *rq)
{
    char upper[NAME_ROOM];
    int shown = rq->argv[1].len > 128 ? 128 : (int)rq->argv[1].len;
    reply_errorf(rq->out, "ERR unknown subcommand or wrong number of arguments for '%.*s'. Try %s HELP.",
                 shown, (const char *)rq->argv[1].p, container_name(rq, upper));
}

enum command_result server_ask_control(struct request *rq, const char *consequence)
{
    if (rq->client->flags & CLIENT_DENY_BLOCKING) {
        char upper[NAME_ROOM];
        reply_errorf(rq->out, "ERR %s failed: it cannot be a part of a transaction, %s",
                     as_written(rq->cmd->full_name, upper), consequence);
        return CMD_DONE;
    }
    if (rq->env->box->ask_control(rq->env, rq->client, rq->argc, rq->argv)) {
        rq->client->flags |= CLIENT_WAITING;
        return CMD_WAIT;
    }
    reply_errorf(rq->out, "ERR control plane is not reachable, %s", consequence);
    return CMD_DONE;
}

const char *server_fact(struct command_env *env, const char *name, const char *fallback)
{
    const char *value = env->box->fact(env, name);
    return value ? value : fallback;
}

/* The peak is the sum of the shards' peaks, so at least the box's own. */
struct store_account server_account(const struct command_env *env)
{
    struct store_account sum = {0};
    for (unsigned i = 0; i < env->ks->shards; i++) {
        struct store_account one;
        shard_account(env->ks->shard[i], &one);
        sum.used += one.used;
        sum.peak += one.peak;
        sum.data += one.data;
        sum.overhead += one.overhead;
        sum.reserved += one.reserved;
        sum.limit += one.limit;
        sum.keys += one.keys;
        sum.slab_free += one.slab_free;
        sum.changes += one.changes;
        sum.lazy += one.lazy;
    }
    return sum;
}

uint64_t server_db_size(const struct request *rq, unsigned db, uint64_t *expires, uint64_t *avg_ttl_ms)
{
    const struct shard_span span = request_shards(rq);
    uint64_t keys = 0, mortal = 0, life = 0;
    for (unsigned i = span.first; i < span.end; i++) {
        uint64_t k, e, ttl;
        shard_db_size(rq->env->ks->shard[i], db, &k, &e, &ttl);
        keys += k;
        mortal += e;
        life += e * ttl;
    }
    if (expires)
        *expires = mortal;
    if (avg_ttl_ms)
        *avg_ttl_ms = mortal ? life / mortal : 0;
    return keys;
}

/* -- databases
 * ------------------------------------------------------------------------------------------------- */

enum command_result dbsize_run(struct request *rq)
{
    reply_int(rq->out, (int64_t)server_db_size(rq, rq->client->db, NULL, NULL));
    return CMD_DONE;
}

/* ASYNC and SYNC mean the same here: keys are gone at once, memory comes back in the background. */
static enum command_result flush(struct request *rq, unsigned db)
{
    if (rq->argc > 2 ||
        (rq->argc == 2 && !slice_is(rq->argv[1], "async") && !slice_is(rq->argv[1], "sync"))) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    const struct shard_span span = request_shards(rq);
    for (unsigned i = span.first; i < span.end; i++)
        store_flush(rq->env->ks->shard[i], db);
    tracking_flushed(rq->env);
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result flushdb_run(struct request *rq)
{
    return flush(rq, rq->client->db);
}

/* A snapshot that is under way ends, as Redis ends the child that writes it. */
enum command_result flushall_run(struct request *rq)
{
    const struct shard_span span = request_shards(rq);
    uint32_t errors = rq->out->errors;
    enum command_result result = flush(rq, UINT_MAX);
    if (rq->out->errors != errors)
        return result;
    count_one(rq->env->counters, COUNTER_flushes_of_all);
    for (unsigned i = span.first; i < span.end; i++)
        snapshot_flush_all(rq->env->ks->shard[i]);
    return result;
}

/* A number that fits an int, as Redis reads database numbers here. */
static bool parse_db(struct request *rq, int i, int64_t *db, const char *error)
{
    if (!request_int(rq, i, db, error))
        return false;
    if (*db < INT_MIN || *db > INT_MAX) {
        reply_error(rq->out, error);
        return false;
    }
    return true;
}

enum command_result swapdb_run(struct request *rq)
{
    int64_t a, b, databases = rq->env->ks->databases;
    if (cluster_refuses(rq, "ERR SWAPDB is not allowed in cluster mode"))
        return CMD_DONE;
    if (!parse_db(rq, 1, &a, "ERR invalid first DB index") ||
        !parse_db(rq, 2, &b, "ERR invalid second DB index"))
        return CMD_DONE;
    if (a < 0 || b < 0 || a >= databases || b >= databases) {
        reply_error(rq->out, "ERR DB index is out of range");
        return CMD_DONE;
    }
    for (unsigned i = 0; a != b && i < rq->env->ks->shards; i++)
        store_swap(rq->env->ks->shard[i], (unsigned)a, (unsigned)b);
    if (a != b)
        tracking_flushed(rq->env);
    reply_ok(rq->out);
    return CMD_DONE;
}

/* The worker's clock has milliseconds; the microseconds of the reply end in three zeros. */
enum command_result time_run(struct request *rq)
{
    reply_array(rq->out, 2);
    reply_bulk_int(rq->out, (int64_t)(rq->env->now_ms / 1000));
    reply_bulk_int(rq->out, (int64_t)(rq->env->now_ms % 1000 * 1000));
    return CMD_DONE;
}

/* -- replication: a box on its own
 * ------------------------------------------------------------------------------ */

enum command_result role_run(struct request *rq)
{
    reply_array(rq->out, 3);
    reply_bulk_str(rq->out, "master");
    reply_int(rq->out, 0);
    reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result replicaof_run(struct request *rq)
{
    int64_t port;
    if (slice_is(rq->argv[1], "no") && slice_is(rq->argv[2], "one"))
        reply_ok(rq->out);
    else if (!parse_i64(rq->argv[2], &port) || port < 0 || port > UINT16_MAX)
        reply_error(rq->out, "ERR Invalid master port");
    else
        reply_error(rq->out, "ERR replication is not supported yet, this box cannot become a replica");
    return CMD_DONE;
}

static bool wait_timeout_ok(struct request *rq, int i)
{
    int64_t timeout;
    if (!request_int(rq, i, &timeout, "ERR timeout is not an integer or out of range"))
        return false;
    if (timeout < 0)
        reply_error(rq->out, "ERR timeout is negative");
    return timeout >= 0;
}

/* No replica can come while the client waits, so it is told at once. */
enum command_result wait_run(struct request *rq)
{
    int64_t replicas;
    if (request_int(rq, 1, &replicas, NULL) && wait_timeout_ok(rq, 2))
        reply_int(rq->out, 0);
    return CMD_DONE;
}

enum command_result waitaof_run(struct request *rq)
{
    int64_t local, replicas;
    if (!request_int(rq, 1, &local, NULL) || !request_int(rq, 2, &replicas, NULL) || !wait_timeout_ok(rq, 3))
        return CMD_DONE;
    if (local < 0 || local > 1 || replicas < 0) {
        reply_error(rq->out, "ERR value is out of range, must be positive");
        return CMD_DONE;
    }
    if (local && rq->env->observers & OBSERVE_LOG)
        return server_ask_control(rq, "the log is not waited for");
    if (local) {
        reply_error(rq->out, "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
        return CMD_DONE;
    }
    reply_array(rq->out, 2);
    reply_int(rq->out, 0);
    reply_int(rq->out, 0);
    return CMD_DONE;
}

enum command_result failover_run(struct request *rq)
{
    if (rq->argc == 2 && slice_is(rq->argv[1], "abort"))
        reply_error(rq->out, "ERR No failover in progress.");
    else if (rq->argc == 2)
        reply_syntax_error(rq->out);
    else
        reply_error(rq->out, "ERR FAILOVER requires connected replicas.");
    return CMD_DONE;
}

/* -- persistence and the end: control's business
 * ------------------------------------------------------------------ */

/* Without a save so far Redis names the start of the server. */
enum command_result lastsave_run(struct request *rq)
{
    int64_t at;
    const char *saved = server_fact(rq->env, "rdb_last_save_time", "");
    reply_int(rq->out, parse_i64(slice_str(saved), &at) ? at : (int64_t)(rq->env->start_ms / 1000));
    return CMD_DONE;
}

enum command_result save_run(struct request *rq)
{
    return server_ask_control(rq, "nothing was saved");
}

enum command_result bgsave_run(struct request *rq)
{
    if (rq->argc > 2 || (rq->argc == 2 && !slice_is(rq->argv[1], "schedule"))) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (!(rq->client->flags & CLIENT_DENY_BLOCKING))
        return server_ask_control(rq, "nothing was saved");
    if (slice_is(slice_str(server_fact(rq->env, "rdb_bgsave_in_progress", "0")), "1")) {
        reply_error(rq->out, "ERR Background save already in progress");
        return CMD_DONE;
    }
    count_one(rq->env->counters, COUNTER_snapshots_scheduled); /* control looks at it each second */
    reply_simple(rq->out, "Background saving scheduled");
    return CMD_DONE;
}

enum command_result bgrewriteaof_run(struct request *rq)
{
    return server_ask_control(rq, "the append only file was not rewritten");
}

enum command_result shutdown_run(struct request *rq)
{
    static const char *const word[] = {"nosave", "save", "now", "force", "abort"};
    enum { NOSAVE = 1, SAVE = 2, ABORT = 16 };
    unsigned seen = 0;
    for (int i = 1; i < rq->argc; i++) {
        unsigned w = 0;
        while (w < 5 && !slice_is(rq->argv[i], word[w]))
            w++;
        if (w == 5) {
            reply_syntax_error(rq->out);
            return CMD_DONE;
        }
        seen |= 1u << w;
    }
    if ((seen & ABORT && seen != ABORT) || (seen & NOSAVE && seen & SAVE)) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    return server_ask_control(rq, "the server was not shut down");
}

/* memory_cmd.c: MEMORY. https://redis.io/docs/latest/commands/memory-stats/ */
#include "command/server.h"
#include "command/text.h"

#include <inttypes.h>

/* -- USAGE
 * ----------------------------------------------------------------------------------------------------- */

/* SAMPLES is checked and otherwise unused: the store knows an entry's exact size. */
static bool samples_ok(struct request *rq)
{
    for (int i = 3; i < rq->argc; i += 2) {
        int64_t samples;
        if (!slice_is(rq->argv[i], "samples") || i + 1 == rq->argc) {
            reply_syntax_error(rq->out);
            return false;
        }
        if (!request_int(rq, i + 1, &samples, NULL))
            return false;
        if (samples < 0) {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

enum command_result memory_usage_run(struct request *rq)
{
    if (!samples_ok(rq))
        return CMD_DONE;
    struct key k = request_key(rq, 2);
    const struct entry *e = request_find(rq, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    if (e)
        reply_int(rq->out, (int64_t)entry_memory(e));
    else
        reply_null(rq->out);
    return CMD_DONE;
}

/* -- STATS
 * ----------------------------------------------------------------------------------------------------- */

static double ratio(uint64_t a, uint64_t b)
{
    return b ? (double)a / (double)b : 0;
}

static void add_memory(struct client *c, void *sum)
{
    *(uint64_t *)sum += client_measured(c).memory_bytes;
}

uint64_t server_clients_memory(struct command_env *env, struct turn *turn)
{
    uint64_t sum = 0;
    env->box->each_client(env, turn, add_memory, &sum);
    return sum;
}

/* Redis' fields in Redis' order. What the box does not have (replicas, scripts, an allocator behind the
 * slabs) is zero. */
enum command_result memory_stats_run(struct request *rq)
{
    const struct store_account a = server_account(rq->env);
    const uint64_t waste = a.reserved > a.used ? a.reserved - a.used : 0;
    const struct {
        const char *name;
        uint64_t n;
        bool is_double;
        double d;
    } field[] = {
        {"peak.allocated", a.peak},
        {"total.allocated", a.used},
        {"startup.allocated", 0},
        {"replication.backlog", 0},
        {"clients.slaves", 0},
        {"clients.normal", server_clients_memory(rq->env, rq->turn)},
        {"cluster.links", 0},
        {"aof.buffer", 0},
        {"lua.caches", 0},
        {"functions.caches", 0},
        {"overhead.total", a.overhead},
        {"keys.count", a.keys},
        {"keys.bytes-per-key", a.keys ? a.used / a.keys : 0},
        {"dataset.bytes", a.data},
        {"dataset.percentage", 0, true, 100 * ratio(a.data, a.used)},
        {"peak.percentage", 0, true, 100 * ratio(a.used, a.peak)},
        {"allocator.allocated", a.used},
        {"allocator.active", a.reserved},
        {"allocator.resident", a.reserved},
        {"allocator-fragmentation.ratio", 0, true, ratio(a.reserved, a.used)},
        {"allocator-fragmentation.bytes", waste},
        {"allocator-rss.ratio", 0, true, ratio(a.reserved, a.reserved)},
        {"allocator-rss.bytes", 0},
        {"rss-overhead.ratio", 0, true, ratio(a.reserved, a.reserved)},
        {"rss-overhead.bytes", 0},
        {"fragmentation", 0, true, ratio(a.reserved, a.used)},
        {"fragmentation.bytes", waste},
    };
    enum { FIELDS = sizeof field / sizeof field[0] };
    reply_map(rq->out, FIELDS);
    for (unsigned i = 0; i < FIELDS; i++) {
        reply_bulk_str(rq->out, field[i].name);
        if (field[i].is_double)
            reply_double(rq->out, field[i].d);
        else
            reply_int(rq->out, (int64_t)field[i].n);
    }
    return CMD_DONE;
}

/* -- reports
 * ---------------------------------------------------------------------------------------------------- */

/* Says what an operator could act on, in percent of each shard's own limit. */
enum command_result memory_doctor_run(struct request *rq)
{
    const struct command_env *env = rq->env;
    struct text report = {0};
    unsigned findings = 0;
    for (unsigned i = 0; i < env->ks->shards; i++) {
        struct store_account a;
        shard_account(env->ks->shard[i], &a);
        if (a.limit && a.used > a.limit / 10 * 9) {
            text_addf(&report,
                      " * Shard %u uses %" PRIu64 " of its %" PRIu64
                      " bytes: keys are about to be evicted or, with "
                      "noeviction, writes refused. Raise maxmemory or the arena's size.\n",
                      i, a.used, a.limit);
            findings++;
        }
        if (a.slab_free > a.used && a.slab_free > 64 * 1024 * 1024) {
            text_addf(&report,
                      " * Shard %u has %" PRIu64 " free bytes in slabs against %" PRIu64
                      " in use: values of another "
                      "size were deleted. They are used again by values of the same size.\n",
                      i, a.slab_free, a.used);
            findings++;
        }
    }
    if (findings == 0)
        text_addf(&report, "No memory problem found.\n");
    text_reply(&report, rq->out);
    return CMD_DONE;
}

enum command_result memory_malloc_stats_run(struct request *rq)
{
    const struct command_env *env = rq->env;
    struct text report = {0};
    text_addf(&report, "arena: %" PRIu64 " bytes on %s pages, %u shards\n", keyspace_arena_size(env->ks),
              keyspace_hugepages(env->ks) ? "huge" : "ordinary", env->ks->shards);
    for (unsigned i = 0; i < env->ks->shards; i++) {
        struct store_account a;
        shard_account(env->ks->shard[i], &a);
        text_addf(&report,
                  "shard %u: used %" PRIu64 " peak %" PRIu64 " data %" PRIu64 " overhead %" PRIu64
                  " reserved %" PRIu64 " slab-free %" PRIu64 " limit %" PRIu64 " keys %" PRIu64 "\n",
                  i, a.used, a.peak, a.data, a.overhead, a.reserved, a.slab_free, a.limit, a.keys);
    }
    text_reply(&report, rq->out);
    return CMD_DONE;
}

/* The arena belongs to the box for good: there is no page to give back to a system. */
enum command_result memory_purge_run(struct request *rq)
{
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result memory_help_run(struct request *rq)
{
    static const char *const lines[] = {
        "DOCTOR",
        "    Return memory problems reports.",
        "MALLOC-STATS",
        "    Return internal statistics report from the memory allocator.",
        "PURGE",
        "    Attempt to purge dirty pages for reclamation by the allocator.",
        "STATS",
        "    Return information about the memory usage of the server.",
        "USAGE <key> [SAMPLES <count>]",
        "    Return memory in bytes used by <key> and its value. Nested values are",
        "    sampled up to <count> times (default: 5, 0 means sample all).",
        NULL};
    return server_help(rq, lines);
}

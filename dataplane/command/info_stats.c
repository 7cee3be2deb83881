/* info_stats.c: INFO stats, commandstats, errorstats and keyspace. */
#include "command/cluster.h"
#include "command/info.h"
#include "command/rates.h"

#include <inttypes.h>

/* -- Stats
 * ----------------------------------------------------------------------------------------------------- */

static void ops_per_second(struct info *i, const char *name)
{
    info_u64(i, name, rates_get(i->env->rates, RATE_COMMANDS));
}

static void kbps(struct info *i, const char *name, enum rate which)
{
    text_addf(&i->out, "%s:%.2f\r\n", name, (double)rates_get(i->env->rates, which) / 1024);
}

static void input_kbps(struct info *i, const char *name)
{
    kbps(i, name, RATE_INPUT);
}

static void output_kbps(struct info *i, const char *name)
{
    kbps(i, name, RATE_OUTPUT);
}

static void channels(struct info *i, const char *name)
{
    info_u64(i, name, pubsub_topics(i->env, TOPIC_CHANNEL));
}

static void patterns(struct info *i, const char *name)
{
    info_u64(i, name, pubsub_topics(i->env, TOPIC_PATTERN));
}

static void shard_channels(struct info *i, const char *name)
{
    info_u64(i, name, pubsub_topics(i->env, TOPIC_SHARD));
}

static void cached_peers(struct info *i, const char *name)
{
    uint64_t gone = i->env->box->counter_sum(i->env, COUNTER_peers_gone);
    info_u64(i, name, i->env->box->counter_sum(i->env, COUNTER_peers_made) - gone);
}

static void rounds_per_second(struct info *i, const char *name)
{
    info_u64(i, name, rates_get(i->env->rates, RATE_ROUNDS));
}

const struct info_row info_stats[] = {
    INFO_COUNTER("total_connections_received", connections_received),
    INFO_COUNTER("total_commands_processed", commands_processed),
    INFO_PRINT("instantaneous_ops_per_sec", ops_per_second),
    INFO_COUNTER("total_net_input_bytes", net_input_bytes),
    INFO_COUNTER("total_net_output_bytes", net_output_bytes),
    INFO_FIXED("total_net_repl_input_bytes", "0"),
    INFO_FIXED("total_net_repl_output_bytes", "0"),
    INFO_PRINT("instantaneous_input_kbps", input_kbps),
    INFO_PRINT("instantaneous_output_kbps", output_kbps),
    INFO_FIXED("instantaneous_input_repl_kbps", "0.00"),
    INFO_FIXED("instantaneous_output_repl_kbps", "0.00"),
    INFO_COUNTER("rejected_connections", connections_rejected),
    INFO_FIXED("sync_full", "0"),
    INFO_FIXED("sync_partial_ok", "0"),
    INFO_FIXED("sync_partial_err", "0"),
    INFO_COUNTER("expired_keys", expired_keys),
    INFO_COUNTER("expired_subkeys", expired_subkeys),
    INFO_FIXED("expired_stale_perc", "0.00"),
    INFO_FIXED("expired_time_cap_reached_count", "0"),
    INFO_FIXED("expire_cycle_cpu_milliseconds", "0"),
    INFO_COUNTER("evicted_keys", evicted_keys),
    INFO_COUNTER("evicted_clients", client_evictions),
    INFO_FIXED("total_eviction_exceeded_time", "0"),
    INFO_FIXED("current_eviction_exceeded_time", "0"),
    INFO_COUNTER("keyspace_hits", keyspace_hits),
    INFO_COUNTER("keyspace_misses", keyspace_misses),
    INFO_PRINT("pubsub_channels", channels),
    INFO_PRINT("pubsub_patterns", patterns),
    INFO_PRINT("pubsubshard_channels", shard_channels),
    INFO_FIXED("latest_fork_usec", "0"),
    INFO_FIXED("total_forks", "0"),
    INFO_PRINT("migrate_cached_sockets", cached_peers),
    INFO_FIXED("slave_expires_tracked_keys", "0"),
    INFO_FIXED("active_defrag_hits", "0"),
    INFO_FIXED("active_defrag_misses", "0"),
    INFO_FIXED("active_defrag_key_hits", "0"),
    INFO_FIXED("active_defrag_key_misses", "0"),
    INFO_FIXED("total_active_defrag_time", "0"),
    INFO_FIXED("current_active_defrag_time", "0"),
    INFO_PRINT("tracking_total_keys", info_tracking),
    INFO_COUNTER("sluice_monitor_dropped", monitor_drop_full),
    INFO_FIXED("unexpected_error_replies", "0"),
    INFO_COUNTER("total_error_replies", command_errors),
    INFO_FIXED("dump_payload_sanitizations", "0"),
    INFO_COUNTER("total_reads_processed", client_reads),
    INFO_COUNTER("total_writes_processed", client_writes),
    INFO_FIXED("io_threaded_reads_processed", "0"),
    INFO_FIXED("io_threaded_writes_processed", "0"),
    INFO_COUNTER("client_query_buffer_limit_disconnections", client_query_limit_closes),
    INFO_COUNTER("client_output_buffer_limit_disconnections", client_output_limit_closes),
    INFO_FIXED("reply_buffer_shrinks", "0"),
    INFO_FIXED("reply_buffer_expands", "0"),
    INFO_COUNTER("eventloop_cycles", loop_rounds),
    INFO_FIXED("eventloop_duration_sum", "0"),
    INFO_FIXED("eventloop_duration_cmd_sum", "0"),
    INFO_PRINT("instantaneous_eventloop_cycles_per_sec", rounds_per_second),
    INFO_FIXED("instantaneous_eventloop_duration_usec", "0"),
    INFO_COUNTER("acl_access_denied_auth", auth_failures),
    INFO_COUNTER("acl_access_denied_cmd", acl_denied_commands),
    INFO_COUNTER("acl_access_denied_key", acl_denied_keys),
    INFO_COUNTER("acl_access_denied_channel", acl_denied_channels),
    {NULL},
};

/* -- Commandstats, Errorstats, Keyspace
 * ------------------------------------------------------------------------------ */

void info_commandstats(struct info *i)
{
    for (unsigned id = 0; id < command_ids(); id++) {
        struct command_stats s;
        i->env->box->stats_sum(i->env, id, &s);
        if (s.calls == 0 && s.rejected == 0 && s.failed == 0)
            continue;
        text_addf(&i->out,
                  "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%.2f,rejected_calls=%" PRIu64
                  ",failed_calls=%" PRIu64 "\r\n",
                  command_by_id(id)->full_name, s.calls, s.usec,
                  s.calls ? (double)s.usec / (double)s.calls : 0.0, s.rejected, s.failed);
    }
}

static void print_error(const char *code, uint64_t count, void *info)
{
    text_addf(&((struct info *)info)->out, "errorstat_%s:count=%" PRIu64 "\r\n", code, count);
}

void info_errorstats(struct info *i)
{
    i->env->box->each_error(i->env, print_error, i);
}

void info_keyspace(struct info *i)
{
    const struct shard_span span = request_shards(i->rq);
    unsigned databases = in_cluster(i->rq) ? 1 : i->env->ks->databases;
    for (unsigned db = 0; db < databases; db++) {
        uint64_t expires, avg_ttl, keys = server_db_size(i->rq, db, &expires, &avg_ttl), timed = 0;
        for (unsigned shard = span.first; shard < span.end; shard++)
            timed += shard_db_timed(i->env->ks->shard[shard], db);
        if (!keys)
            continue;
        text_addf(&i->out, "db%u:keys=%" PRIu64 ",expires=%" PRIu64 ",avg_ttl=%" PRIu64, db, keys, expires, avg_ttl);
        if (timed) /* as Redis 7.4 tells it; 7.2's line is untouched where there is none */
            text_addf(&i->out, ",subexpiry=%" PRIu64, timed);
        text_addf(&i->out, "\r\n");
    }
}

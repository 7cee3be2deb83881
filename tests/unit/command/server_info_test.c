/* server_info_test.c: INFO (command/info*.c) and the rates behind its instantaneous figures. */
#include "command/rates.h"
#include "engine.h"
#include "unit.h"

#include <stdio.h>

/* Fields of redis-server 7.2 in its order, a blank between; "#" starts a section. Ours besides them:
 * sluice_version. */
static const char *const fields_7_2 =
    "#Server redis_version redis_git_sha1 redis_git_dirty redis_build_id redis_mode os arch_bits "
    "monotonic_clock "
    "multiplexing_api atomicvar_api gcc_version process_id process_supervised run_id tcp_port "
    "server_time_usec "
    "uptime_in_seconds uptime_in_days hz configured_hz lru_clock executable config_file io_threads_active "
    "listener0 "
    "#Clients connected_clients cluster_connections maxclients client_recent_max_input_buffer "
    "client_recent_max_output_buffer blocked_clients tracking_clients clients_in_timeout_table "
    "total_blocking_keys "
    "total_blocking_keys_on_nokey "
    "#Memory used_memory used_memory_human used_memory_rss used_memory_rss_human used_memory_peak "
    "used_memory_peak_human used_memory_peak_perc used_memory_overhead used_memory_startup "
    "used_memory_dataset "
    "used_memory_dataset_perc allocator_allocated allocator_active allocator_resident total_system_memory "
    "total_system_memory_human used_memory_lua used_memory_vm_eval used_memory_lua_human "
    "used_memory_scripts_eval "
    "number_of_cached_scripts number_of_functions number_of_libraries used_memory_vm_functions "
    "used_memory_vm_total "
    "used_memory_vm_total_human used_memory_functions used_memory_scripts used_memory_scripts_human "
    "maxmemory "
    "maxmemory_human maxmemory_policy allocator_frag_ratio allocator_frag_bytes allocator_rss_ratio "
    "allocator_rss_bytes rss_overhead_ratio rss_overhead_bytes mem_fragmentation_ratio "
    "mem_fragmentation_bytes "
    "mem_not_counted_for_evict mem_replication_backlog mem_total_replication_buffers mem_clients_slaves "
    "mem_clients_normal mem_cluster_links mem_aof_buffer mem_allocator active_defrag_running "
    "lazyfree_pending_objects lazyfreed_objects "
    "#Persistence loading async_loading current_cow_peak current_cow_size current_cow_size_age "
    "current_fork_perc "
    "current_save_keys_processed current_save_keys_total rdb_changes_since_last_save rdb_bgsave_in_progress "
    "rdb_last_save_time rdb_last_bgsave_status rdb_last_bgsave_time_sec rdb_current_bgsave_time_sec "
    "rdb_saves "
    "rdb_last_cow_size rdb_last_load_keys_expired rdb_last_load_keys_loaded aof_enabled "
    "aof_rewrite_in_progress "
    "aof_rewrite_scheduled aof_last_rewrite_time_sec aof_current_rewrite_time_sec aof_last_bgrewrite_status "
    "aof_rewrites aof_rewrites_consecutive_failures aof_last_write_status aof_last_cow_size "
    "module_fork_in_progress "
    "module_fork_last_cow_size "
    "#Stats total_connections_received total_commands_processed instantaneous_ops_per_sec "
    "total_net_input_bytes "
    "total_net_output_bytes total_net_repl_input_bytes total_net_repl_output_bytes instantaneous_input_kbps "
    "instantaneous_output_kbps instantaneous_input_repl_kbps instantaneous_output_repl_kbps "
    "rejected_connections "
    "sync_full sync_partial_ok sync_partial_err expired_keys expired_subkeys expired_stale_perc "
    "expired_time_cap_reached_count "
    "expire_cycle_cpu_milliseconds evicted_keys evicted_clients total_eviction_exceeded_time "
    "current_eviction_exceeded_time keyspace_hits keyspace_misses pubsub_channels pubsub_patterns "
    "pubsubshard_channels latest_fork_usec total_forks migrate_cached_sockets slave_expires_tracked_keys "
    "active_defrag_hits active_defrag_misses active_defrag_key_hits active_defrag_key_misses "
    "total_active_defrag_time current_active_defrag_time tracking_total_keys tracking_total_items "
    "tracking_total_prefixes unexpected_error_replies total_error_replies dump_payload_sanitizations "
    "total_reads_processed total_writes_processed io_threaded_reads_processed io_threaded_writes_processed "
    "client_query_buffer_limit_disconnections client_output_buffer_limit_disconnections "
    "reply_buffer_shrinks reply_buffer_expands eventloop_cycles eventloop_duration_sum "
    "eventloop_duration_cmd_sum "
    "instantaneous_eventloop_cycles_per_sec instantaneous_eventloop_duration_usec acl_access_denied_auth "
    "acl_access_denied_cmd acl_access_denied_key acl_access_denied_channel "
    "#Replication role connected_slaves master_failover_state master_replid master_replid2 "
    "master_repl_offset "
    "second_repl_offset repl_backlog_active repl_backlog_size repl_backlog_first_byte_offset "
    "repl_backlog_histlen "
    "#CPU used_cpu_sys used_cpu_user used_cpu_sys_children used_cpu_user_children used_cpu_sys_main_thread "
    "used_cpu_user_main_thread "
    "#Modules "
    "#Errorstats "
    "#Cluster cluster_enabled "
    "#Keyspace ";

/* The reply's fields in the form of fields_7_2, ours left out. */
static void names_of(const char *reply, char *out, size_t size)
{
    size_t used = 0;
    *out = 0;
    for (const char *line = strstr(reply, "\r\n") + 2; *line; line = strstr(line, "\r\n") + 2) {
        size_t n = strcspn(line, ":\r");
        bool section = strncmp(line, "# ", 2) == 0;
        if (n == 0 || strncmp(line, "sluice_", 7) == 0 || used + n + 2 >= size)
            continue;
        used += (size_t)snprintf(out + used, size - used, "%s%.*s ", section ? "#" : "",
                                 (int)(section ? n - 2 : n), section ? line + 2 : line);
    }
}

static bool has(struct engine *e, const char *section, const char *line)
{
    char wanted[256];
    snprintf(wanted, sizeof wanted, "\r\n%s\r\n", line);
    bool found = strstr(engine_cmd(e, "INFO %s", section), wanted) != NULL;
    if (!found)
        printf("# no line %s in %s\n", line, e->reply);
    return found;
}

static void put(struct engine *e, unsigned db, const char *name, uint64_t expire_at)
{
    struct key k = keyspace_key(e->env.ks, slice_str(name));
    struct shard *s = e->env.ks->shard[keyspace_shard_of(e->env.ks, k.name)];
    CU_ASSERT_EQUAL(store_set_string(s, db, &k, SLICE_LIT("value"), expire_at, 0), STORE_OK);
}

/* -- sections
 * --------------------------------------------------------------------------------------------------- */

static void test_sections_and_fields_are_those_of_7_2(void)
{
    static char names[8192];
    struct engine *e = engine_new(NULL);
    names_of(engine_cmd(e, "INFO"), names, sizeof names);
    CU_ASSERT_TRUE(engine_same(names, fields_7_2));
    names_of(engine_cmd(e, "INFO default"), names, sizeof names);
    CU_ASSERT_TRUE(engine_same(names, fields_7_2));
    engine_free(e);
}

static void test_sections_by_name_in_fixed_order(void)
{
    static char names[8192];
    struct engine *e = engine_new(NULL);
    names_of(engine_cmd(e, "INFO keyspace CLUSTER cluster"), names, sizeof names);
    CU_ASSERT_STRING_EQUAL(names, "#Cluster cluster_enabled #Keyspace ");
    EXPECT(e, "INFO cluster", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n");
    EXPECT(e, "INFO nosuch", "$0\r\n\r\n");
    EXPECT(e, "INFO nosuch cluster", "$30\r\n# Cluster\r\ncluster_enabled:0\r\n\r\n");
    e->client->proto = 3;
    EXPECT(e, "INFO nosuch", "=4\r\ntxt:\r\n");
    EXPECT(e, "INFO cluster", "=34\r\ntxt:# Cluster\r\ncluster_enabled:0\r\n\r\n");
    engine_free(e);
}

static void test_all_and_everything_add_the_rest(void)
{
    struct engine *e = engine_new(NULL);
    static const char *const rest[] = {"# Commandstats", "# Latencystats"};
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "INFO"), rest[i]));
        CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO all"), rest[i]));
        CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO Everything"), rest[i]));
    }
    engine_free(e);
}

/* -- figures
 * ---------------------------------------------------------------------------------------------------- */

static void test_server_section(void)
{
    struct engine *e = engine_new("port 7001\nprotected-mode no\n"); /* its client came to another port */
    snprintf(e->env.run_id, sizeof e->env.run_id, "%040d", 7);
    e->env.start_ms = 1000;
    e->env.now_ms = 1000 + 90000 * 1000;
    CU_ASSERT_TRUE(has(e, "server", "redis_version:7.2.4"));
    CU_ASSERT_TRUE(has(e, "server", "sluice_version:" SLUICE_VERSION));
    CU_ASSERT_TRUE(has(e, "server", "redis_mode:standalone"));
    CU_ASSERT_TRUE(has(e, "server", "tcp_port:7001"));
    CU_ASSERT_TRUE(has(e, "server", "run_id:0000000000000000000000000000000000000007"));
    CU_ASSERT_TRUE(has(e, "replication", "master_replid:0000000000000000000000000000000000000007"));
    CU_ASSERT_TRUE(has(e, "server", "uptime_in_seconds:90000"));
    CU_ASSERT_TRUE(has(e, "server", "uptime_in_days:1"));
    CU_ASSERT_TRUE(has(e, "server", "config_file:/etc/sluice/sluice.conf"));
    engine_free(e);
}

static void test_memory_is_what_the_shards_account(void)
{
    struct engine *e = engine_new("workers 2\nmaxmemory 32mb\nmaxmemory-policy allkeys-lru\n");
    char line[96];
    put(e, 0, "a", 0);
    uint64_t used = 0, reserved = 0;
    for (unsigned i = 0; i < 2; i++) {
        struct store_account a;
        shard_account(e->env.ks->shard[i], &a);
        used += a.used;
        reserved += a.reserved;
    }
    snprintf(line, sizeof line, "used_memory:%llu", (unsigned long long)used);
    CU_ASSERT_TRUE(has(e, "memory", line));
    snprintf(line, sizeof line, "used_memory_rss:%llu", (unsigned long long)reserved);
    CU_ASSERT_TRUE(has(e, "memory", line));
    CU_ASSERT_TRUE(has(e, "memory", "maxmemory:33554432"));
    CU_ASSERT_TRUE(has(e, "memory", "maxmemory_human:32.00M"));
    CU_ASSERT_TRUE(has(e, "memory", "maxmemory_policy:allkeys-lru"));
    snprintf(line, sizeof line, "mem_fragmentation_ratio:%.2f", (double)reserved / (double)used);
    CU_ASSERT_TRUE(has(e, "memory", line));
    engine_free(e);
}

static void test_percentiles_are_ends_of_buckets(void)
{
    struct engine *e = engine_new("latency-tracking-info-percentiles 0 50 99.95 100\n");
    e->env.tsc_per_us = 1000;
    CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "INFO latencystats"), "percentiles"));
    EXPECT(e, "SET a b", "+OK\r\n");
    EXPECT_STARTS(e, "CLIENT ID", ":");
    struct command_stats *set = &e->env.stats[command_lookup(1, &SLICE_LIT("set"))->id];
    memset(set->took, 0, sizeof set->took);
    set->took[time_bucket(100)] = 1000;
    set->took[time_bucket(33000)] = 999;
    set->took[time_bucket(1 << 20)] = 1;
    CU_ASSERT_TRUE(
        has(e, "latencystats", "latency_percentiles_usec_set:p0=0.096,p50=0.103,p99.95=36.863,p100=1179.647"));
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "INFO latencystats"), "\nlatency_percentiles_usec_client|id:"));
    CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "INFO latencystats"), "usec_get:"));
    engine_free(e);
    e = engine_new("latency-tracking no\n");
    e->env.tsc_per_us = 1000;
    EXPECT(e, "CLIENT ID", ":1\r\n");
    CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "INFO latencystats"), "percentiles"));
    engine_free(e);
}

static void test_stats_are_the_counters(void)
{
    struct engine *e = engine_new(NULL);
    count_add(&e->counters, COUNTER_keyspace_hits, 5);
    count_add(&e->counters, COUNTER_keyspace_misses, 6);
    count_add(&e->counters, COUNTER_connections_received, 7);
    count_add(&e->counters, COUNTER_connections_rejected, 8);
    CU_ASSERT_TRUE(has(e, "stats", "keyspace_hits:5"));
    CU_ASSERT_TRUE(has(e, "stats", "keyspace_misses:6"));
    CU_ASSERT_TRUE(has(e, "stats", "total_connections_received:7"));
    CU_ASSERT_TRUE(has(e, "stats", "rejected_connections:8"));
    CU_ASSERT_TRUE(has(e, "stats", "instantaneous_ops_per_sec:0"));
    CU_ASSERT_TRUE(has(e, "clients", "connected_clients:1"));
    CU_ASSERT_TRUE(has(e, "clients", "maxclients:10000"));
    engine_free(e);
}

static void test_clients_section_shows_the_largest_buffers(void)
{
    struct engine *e = engine_new(NULL);
    const struct client_measure in = {.query_bytes = 100, .query_free = 20, .memory_bytes = 1000};
    const struct client_measure out = {.output_bytes = 70, .memory_bytes = 500};
    engine_connect(e)->measured = &in;
    engine_connect(e)->measured = &out;
    CU_ASSERT_TRUE(has(e, "clients", "connected_clients:3"));
    CU_ASSERT_TRUE(has(e, "clients", "client_recent_max_input_buffer:120"));
    CU_ASSERT_TRUE(has(e, "clients", "client_recent_max_output_buffer:70"));
    CU_ASSERT_TRUE(has(e, "memory", "mem_clients_normal:1500"));
    engine_free(e);
}

static void test_keyspace_lists_databases_with_keys(void)
{
    struct engine *e = engine_new("workers 2\n");
    uint64_t now = e->env.now_ms;
    put(e, 0, "a", 0);
    put(e, 0, "b", now + 10000);
    put(e, 0, "c", now + 20000);
    put(e, 9, "a", 0);
    EXPECT_STARTS(e, "INFO keyspace", "$");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "# Keyspace\r\ndb0:keys=3,expires=2,avg_ttl="));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "\r\ndb9:keys=1,expires=0,avg_ttl=0\r\n"));
    engine_free(e);
}

static void test_commandstats_and_errorstats(void)
{
    struct engine *e = engine_new(NULL);
    engine_cmd(e, "ROLE");
    engine_cmd(e, "ROLE");
    engine_cmd(e, "ROLE too many");
    engine_cmd(e, "SWAPDB 0 99");
    engine_cmd(e, "SLOWLOG LEN");
    e->stats[command_lookup(1, (struct slice[]){SLICE_LIT("role")})->id].usec = 5;
    CU_ASSERT_TRUE(has(e, "commandstats",
                       "cmdstat_role:calls=2,usec=5,usec_per_call=2.50,rejected_calls=1,failed_calls=0"));
    CU_ASSERT_TRUE(has(e, "commandstats",
                       "cmdstat_swapdb:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "\r\ncmdstat_slowlog|len:calls=1,"));
    CU_ASSERT_TRUE(has(e, "errorstats", "errorstat_ERR:count=2"));
    CU_ASSERT_TRUE(has(e, "stats", "total_error_replies:2"));
    engine_free(e);
}

/* -- rates
 * ------------------------------------------------------------------------------------------------------ */

static void test_rates_are_the_mean_of_sixteen_samples(void)
{
    struct rates r = {0};
    uint64_t now = 5000000, total[RATES] = {0};
    rates_feed(&r, now, total);
    for (unsigned i = 0; i < 16; i++) {
        CU_ASSERT_EQUAL(rates_get(&r, RATE_COMMANDS), i * 10000 / 16);
        total[RATE_COMMANDS] += 1000;
        rates_feed(&r, now += 50000, total); /* too early: not a sample */
        rates_feed(&r, now += 50000, total);
    }
    CU_ASSERT_EQUAL(rates_get(&r, RATE_COMMANDS), 10000);
    CU_ASSERT_EQUAL(rates_get(&r, RATE_INPUT), 0);
    total[RATE_COMMANDS] = 0; /* after CONFIG RESETSTAT */
    rates_feed(&r, now += 100000, total);
    CU_ASSERT_EQUAL(rates_get(&r, RATE_COMMANDS), 10000 * 15 / 16);
    CU_ASSERT_EQUAL(rates_get(NULL, RATE_COMMANDS), 0);
}

static void test_info_shows_the_rates(void)
{
    struct engine *e = engine_new(NULL);
    struct rates r = {0};
    e->env.rates = &r;
    e->env.now_us = 1000000;
    rates_sample(&r, &e->env);
    for (unsigned i = 0; i < 16; i++) {
        count_add(&e->counters, COUNTER_commands_processed, 500);
        count_add(&e->counters, COUNTER_net_input_bytes, 102400);
        e->env.now_us += 100000;
        rates_sample(&r, &e->env);
    }
    CU_ASSERT_TRUE(has(e, "stats", "instantaneous_ops_per_sec:5000"));
    CU_ASSERT_TRUE(has(e, "stats", "instantaneous_input_kbps:1000.00"));
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_sections_and_fields_are_those_of_7_2),
                                             UNIT(test_sections_by_name_in_fixed_order),
                                             UNIT(test_all_and_everything_add_the_rest),
                                             UNIT(test_server_section),
                                             UNIT(test_memory_is_what_the_shards_account),
                                             UNIT(test_percentiles_are_ends_of_buckets),
                                             UNIT(test_stats_are_the_counters),
                                             UNIT(test_clients_section_shows_the_largest_buffers),
                                             UNIT(test_keyspace_lists_databases_with_keys),
                                             UNIT(test_commandstats_and_errorstats),
                                             UNIT(test_rates_are_the_mean_of_sixteen_samples),
                                             UNIT(test_info_shows_the_rates),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/server_info", tests);
}

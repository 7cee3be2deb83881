/* info_memory.c: INFO memory and persistence. The arena is the box's allocator: "allocated" is live data and
 * its index, "active", "resident" and "rss" what the shards have taken from the arena. */
#include "base/number.h"
#include "command/info.h"
#include "store/snapshot.h"

#include <sys/sysinfo.h>

/* -- Memory
 * ---------------------------------------------------------------------------------------------------- */

static void used(struct info *i, const char *name)
{
    const struct store_account *a = &i->memory;
    info_bytes(i, name, a->used);
    info_bytes(i, "used_memory_rss", a->reserved);
    info_bytes(i, "used_memory_peak", a->peak);
    text_addf(&i->out, "used_memory_peak_perc:%.2f%%\r\n",
              a->peak ? (double)a->used * 100 / (double)a->peak : 0.0);
    info_u64(i, "used_memory_overhead", a->overhead);
    info_u64(i, "used_memory_startup", 0);
    info_u64(i, "used_memory_dataset", a->data);
    text_addf(&i->out, "used_memory_dataset_perc:%.2f%%\r\n",
              a->used ? (double)a->data * 100 / (double)a->used : 0.0);
}

static void allocator(struct info *i, const char *name)
{
    info_u64(i, name, i->memory.used);
    info_u64(i, "allocator_active", i->memory.reserved);
    info_u64(i, "allocator_resident", i->memory.reserved);
}

static void system_memory(struct info *i, const char *name)
{
    struct sysinfo s;
    info_bytes(i, name, sysinfo(&s) == 0 ? (uint64_t)s.totalram * s.mem_unit : 0);
}

static void maxmemory(struct info *i, const char *name)
{
    info_bytes(i, name, i->env->conf->maxmemory);
}

static void policy(struct info *i, const char *name)
{
    char word[32];
    config_print(i->env->conf, "maxmemory-policy", word, sizeof word);
    info_text(i, name, word);
}

static uint64_t waste(const struct info *i)
{
    return i->memory.reserved > i->memory.used ? i->memory.reserved - i->memory.used : 0;
}

static void allocator_ratios(struct info *i, const char *name)
{
    const struct store_account *a = &i->memory;
    info_ratio(i, name, a->reserved, a->used);
    info_u64(i, "allocator_frag_bytes", waste(i));
    info_ratio(i, "allocator_rss_ratio", a->reserved, a->reserved);
    info_u64(i, "allocator_rss_bytes", 0);
    info_ratio(i, "rss_overhead_ratio", a->reserved, a->reserved);
    info_u64(i, "rss_overhead_bytes", 0);
    info_ratio(i, "mem_fragmentation_ratio", a->reserved, a->used);
    info_u64(i, "mem_fragmentation_bytes", waste(i));
}

static void clients_memory(struct info *i, const char *name)
{
    info_u64(i, name, server_clients_memory(i->env, i->turn));
}

static void lazy(struct info *i, const char *name)
{
    info_u64(i, name, i->memory.lazy);
}

const struct info_row info_memory[] = {
    INFO_PRINT("used_memory", used),
    INFO_PRINT("allocator_allocated", allocator),
    INFO_PRINT("total_system_memory", system_memory),
    INFO_PRINT("used_memory_lua", info_scripts),
    INFO_PRINT("number_of_functions", info_functions),
    INFO_PRINT("used_memory_vm_total", info_script_totals),
    INFO_PRINT("used_memory_functions", info_function_texts),
    INFO_PRINT("used_memory_scripts", info_script_texts),
    INFO_PRINT("maxmemory", maxmemory),
    INFO_PRINT("maxmemory_policy", policy),
    INFO_PRINT("allocator_frag_ratio", allocator_ratios),
    INFO_FIXED("mem_not_counted_for_evict", "0"),
    INFO_FIXED("mem_replication_backlog", "0"),
    INFO_FIXED("mem_total_replication_buffers", "0"),
    INFO_FIXED("mem_clients_slaves", "0"),
    INFO_PRINT("mem_clients_normal", clients_memory),
    INFO_FIXED("mem_cluster_links", "0"),
    INFO_FIXED("mem_aof_buffer", "0"),
    INFO_FIXED("mem_allocator", "sluice-slab"),
    INFO_FIXED("active_defrag_running", "0"),
    INFO_PRINT("lazyfree_pending_objects", lazy),
    INFO_COUNTER("lazyfreed_objects", lazyfreed_objects),
    {NULL},
};

/* -- Persistence: control's business
 * ------------------------------------------------------------------------------ */

/* Without a save so far Redis names the start of the server. */
static void last_save(struct info *i, const char *name)
{
    const char *at = server_fact(i->env, name, NULL);
    if (at)
        info_text(i, name, at);
    else
        info_u64(i, name, i->env->start_ms / 1000);
}

/* What control knows of the last snapshot: how many changes there had been. */
static void changes(struct info *i, const char *name)
{
    int64_t saved = 0;
    parse_i64(slice_str(server_fact(i->env, "rdb_saved_changes", "0")), &saved);
    info_u64(i, name, i->memory.changes - (uint64_t)saved);
}

/* Seconds since the one that is under way began. */
static void saving_for(struct info *i, const char *name)
{
    int64_t began;
    if (parse_i64(slice_str(server_fact(i->env, "rdb_began", "")), &began)) {
        int64_t now = (int64_t)(i->env->now_ms / 1000);
        info_u64(i, name, now > began ? (uint64_t)(now - began) : 0);
    } else {
        info_text(i, name, "-1");
    }
}

/* Of all shards. */
static void saving(const struct info *i, struct snapshot_figures *sum, uint64_t *keys)
{
    const struct keyspace *ks = i->env->ks;
    *sum = (struct snapshot_figures){0};
    *keys = 0;
    for (unsigned s = 0; s < ks->shards; s++) {
        struct snapshot_figures one;
        if (!shard_snapshot(ks->shard[s]))
            continue;
        snapshot_figures(shard_snapshot(ks->shard[s]), &one);
        sum->keys += one.keys;
        sum->kept += one.kept;
        sum->kept_most += one.kept_most;
        *keys += one.keys_begun;
    }
}

static void saved_keys(struct info *i, const char *name)
{
    struct snapshot_figures sum;
    uint64_t keys;
    saving(i, &sum, &keys);
    info_u64(i, name, sum.keys);
}

static void keys_to_save(struct info *i, const char *name)
{
    struct snapshot_figures sum;
    uint64_t keys;
    saving(i, &sum, &keys);
    info_u64(i, name, keys);
}

/* There is no copy on write: what waits for control instead. */
static void kept_aside(struct info *i, const char *name)
{
    struct snapshot_figures sum;
    uint64_t keys;
    saving(i, &sum, &keys);
    info_u64(i, name, strcmp(name, "current_cow_peak") == 0 ? sum.kept_most : sum.kept);
}

/* There only while a snapshot is loaded. */
static void of_loading(struct info *i, const char *name)
{
    const char *loading = server_fact(i->env, "loading", "0");
    if (*loading == '1')
        info_text(i, name, server_fact(i->env, name, "0"));
}

/* There only while there is a log. */
static void of_log(struct info *i, const char *name)
{
    if (*server_fact(i->env, "aof_enabled", "0") == '1')
        info_text(i, name, server_fact(i->env, name, "0"));
}

const struct info_row info_persistence[] = {
    INFO_FACT("loading", "0"),
    INFO_FIXED("async_loading", "0"),
    INFO_PRINT("current_cow_peak", kept_aside),
    INFO_PRINT("current_cow_size", kept_aside),
    INFO_FIXED("current_cow_size_age", "0"),
    INFO_FIXED("current_fork_perc", "0.00"),
    INFO_PRINT("current_save_keys_processed", saved_keys),
    INFO_PRINT("current_save_keys_total", keys_to_save),
    INFO_PRINT("rdb_changes_since_last_save", changes),
    INFO_FACT("rdb_bgsave_in_progress", "0"),
    INFO_PRINT("rdb_last_save_time", last_save),
    INFO_FACT("rdb_last_bgsave_status", "ok"),
    INFO_FACT("rdb_last_bgsave_time_sec", "-1"),
    INFO_PRINT("rdb_current_bgsave_time_sec", saving_for),
    INFO_FACT("rdb_saves", "0"),
    INFO_FACT("rdb_last_cow_size", "0"),
    INFO_FACT("rdb_last_load_keys_expired", "0"),
    INFO_FACT("rdb_last_load_keys_loaded", "0"),
    INFO_FACT("aof_enabled", "0"),
    INFO_FACT("aof_rewrite_in_progress", "0"),
    INFO_FACT("aof_rewrite_scheduled", "0"),
    INFO_FACT("aof_last_rewrite_time_sec", "-1"),
    INFO_FACT("aof_current_rewrite_time_sec", "-1"),
    INFO_FACT("aof_last_bgrewrite_status", "ok"),
    INFO_FACT("aof_rewrites", "0"),
    INFO_FACT("aof_rewrites_consecutive_failures", "0"),
    INFO_FACT("aof_last_write_status", "ok"),
    INFO_FIXED("aof_last_cow_size", "0"),
    INFO_FIXED("module_fork_in_progress", "0"),
    INFO_FIXED("module_fork_last_cow_size", "0"),
    INFO_PRINT("aof_current_size", of_log),
    INFO_PRINT("aof_base_size", of_log),
    INFO_PRINT("aof_pending_rewrite", of_log),
    INFO_PRINT("aof_buffer_length", of_log),
    INFO_PRINT("aof_pending_bio_fsync", of_log),
    INFO_PRINT("aof_delayed_fsync", of_log),
    INFO_PRINT("loading_start_time", of_loading),
    INFO_PRINT("loading_total_bytes", of_loading),
    INFO_PRINT("loading_rdb_used_mem", of_loading),
    INFO_PRINT("loading_loaded_bytes", of_loading),
    INFO_PRINT("loading_loaded_perc", of_loading),
    INFO_PRINT("loading_eta_seconds", of_loading),
    {NULL},
};

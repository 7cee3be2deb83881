/* server.h: what the files of the server family share. */
#pragma once
#include "command/command.h"

/* Handlers, one a row of server_table.c or persist_table.c. */
command_handler info_run, dbsize_run, flushdb_run, flushall_run, swapdb_run, time_run, lolwut_run, role_run,
    replicaof_run, wait_run, waitaof_run, failover_run, monitor_run, lastsave_run, save_run, bgsave_run,
    bgrewriteaof_run, shutdown_run, debug_run;
command_handler config_get_run, config_set_run, config_rewrite_run, config_resetstat_run, config_help_run;
command_handler memory_usage_run, memory_stats_run, memory_doctor_run, memory_malloc_stats_run,
    memory_purge_run, memory_help_run;
command_handler slowlog_get_run, slowlog_len_run, slowlog_reset_run, slowlog_help_run;
command_handler latency_latest_run, latency_history_run, latency_reset_run, latency_graph_run,
    latency_doctor_run, latency_histogram_run, latency_help_run;

/* Replies a container's HELP: the usage line, the NULL-terminated lines, and HELP itself. */
enum command_result server_help(struct request *rq, const char *const *lines);

/* ERR unknown subcommand or wrong number of arguments for '...'. Try X HELP. */
void server_unknown_subcommand(struct request *rq);

/* Hands the whole command to the control plane, whose reply comes later (CMD_WAIT). If control is away,
 * replies "ERR control plane is not reachable, <consequence>". */
enum command_result server_ask_control(struct request *rq, const char *consequence);

/* What control says about itself and the box, or fallback if it has not. */
const char *server_fact(struct command_env *env, const char *name, const char *fallback);

/* The account of all shards together; only from a CMD_ROUTE_ALL command. */
struct store_account server_account(const struct command_env *env);
/* Live keys of one database over all shards that the request sees; expires and mean life (ms) of those may be
 * NULL. */
uint64_t server_db_size(const struct request *rq, unsigned db, uint64_t *expires, uint64_t *avg_ttl_ms);
/* Bytes that all connected clients take; only from a CMD_ROUTE_ALL command. */
uint64_t server_clients_memory(struct command_env *env, struct turn *turn);

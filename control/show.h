/* show.h: the operations of the management API, for show.c's table, and what they share. */
#pragma once
#include "control/api.h"

typedef void operation(struct call *call, const json_t *request);

/* A string of the request, "" if there is none. */
const char *request_word(const json_t *request, const char *key);
/* A JSON string of bytes that need not be UTF-8. */
json_t *safe_string(const char *s);

/* inspect.c: asks every worker of the dataplane. argv: the inspection's name and arguments. done gets its
 * rows, an array of objects that it takes over, and replies to the call; when there is no answer or an error,
 * the call has failed already and done is not called. */
typedef void inspect_done(struct call *call, json_t *rows);
void inspect_run(struct call *call, int argc, const char *const *argv, inspect_done *done);

/* An integer of the request; `otherwise` if it has none. */
json_int_t request_number(const json_t *request, const char *key, json_int_t otherwise);

/* show.c: the names of directives whose running value waits for a restart of the dataplane. */
json_t *waiting_json(const struct control *c);
/* show_clients.c */
operation show_clients;
/* show_config.c */
operation show_config, config_get, config_set, config_load, config_rewrite;
/* leave.c */
operation system_leave;
/* show_version.c; versions_json: of the programs, and whether the dataplane is an update of it alone. */
operation show_version;
json_t *versions_json(const struct control *c);
/* show_inventory.c */
operation show_inventory;
/* show_listeners.c */
operation show_listeners;
/* show_log.c */
operation show_log;
void show_log_end(void); /* whoever follows the log is told that it ends */
/* show_keys.c */
operation show_hotkeys, show_bigkeys;
/* show_board.c: the topology of the machine (or of the tree `inventory`), or the plan of these settings for it. NULL and
 * one line in error: it cannot be laid out so. `running`: the box runs here. */
json_t *board_json(const struct settings *s, const char *inventory, bool running, bool plan, char *error,
                   size_t size);
operation show_topology, show_plan;

/* show_net.c */
operation show_connections, show_neighbors, show_arp, show_routes, show_addresses, show_filters, show_drops,
    ping_start, ping_next;

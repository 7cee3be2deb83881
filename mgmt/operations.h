/* operations.h: what the leaves of the grammar run. Each returns an exit code and prints errors in one line on stderr. */
#pragma once
#include "mgmt/grammar.h"

#include <jansson.h>

handler run_show_status, run_show_fields, run_show_config, run_show_clients, run_show_stats, run_show_log, run_show_links;
handler run_config_set, run_change, run_rewrite, run_config_check, run_simple;

/* client.c: one request to control's management API. Returns an exit code; EXIT_DONE: *data is the caller's. `request` is taken over. */
int api_request(const char *socket_path, json_t *request, json_t **data);

/* operations.h: what the leaves of the grammar run. Each returns an exit code and prints errors in one line
 * on stderr. */
#pragma once
#include "mgmt/grammar.h"

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

handler run_show_connections, run_show_neighbors, run_show_routes, run_show_addresses, run_show_listeners, run_show_drops,
    run_show_filters, run_ping; /* network.c */
handler run_show_hotkeys, run_show_bigkeys; /* keys.c */
handler run_system, run_upgrade_install; /* system.c */
handler run_show_topology, run_show_plan, run_show_inventory; /* board.c */
handler run_token_create, run_token_list, run_token_revoke, run_show_roles; /* token.c */
handler run_audit_show, run_audit_verify; /* audit.c */
handler run_show_status, run_show_fields, run_show_config, run_show_clients, run_show_stats, run_show_log,
    run_show_links, run_show_latency;
handler run_certificate_list, run_certificate_show, run_certificate_check, run_certificate_install,
    run_certificate_rotate, run_certificate_make, run_certificate_csr, run_certificate_delete,
    run_certificate_export; /* certificate.c */
handler run_config_set, run_change, run_rewrite, run_config_check, run_simple, run_capture;

handler run_configure, run_edit, run_edit_show, run_edit_check, run_commit, run_rollback, run_discard, run_load, run_save,
    run_leave, run_edit_import; /* configure.c */
handler run_show_configuration, run_show_history, run_show_health, run_show_alarms, run_import; /* configuration.c */
handler run_support_bundle; /* bundle.c */
handler run_factory_reset;  /* configure.c */
handler run_snapshot_report, run_snapshot_list, run_snapshot_export; /* snapshot.c */
handler run_snapshot_import, run_snapshot_abandon; /* snapshot_import.c */
handler run_snapshot_create, run_snapshot_schedule, run_snapshot_delete; /* snapshot_make.c */

/* What operations share (operations.c). The request that a leaf makes: */
json_t *request_for(const struct invocation *in);
/* Asks; with --json prints the answer as it is. *data is NULL when there is nothing more to do. */
int ask(struct invocation *in, json_t *request, json_t **data);
/* Asks for what the leaf is about, and shows the rows that come. */
struct column;
int show_table(struct invocation *in, const struct column *columns);
const char *text_of(const json_t *object, const char *key); /* "" if there is none */
/* Changes directives, an object of them that is taken over, and says what became of it. */
int change_directives(struct invocation *in, json_t *set);
/* Puts the number that an option gives into the request. False and a line on stderr if it is none. */
bool put_option(json_t *request, const char *key, const char *option, const char *text);
json_int_t number_of(const json_t *object, const char *key);
/* "2026-11-22 07:51:06", of milliseconds since 1970. */
void print_time(FILE *out, json_int_t ms);
void print_field(FILE *out, const char *name, const json_t *v);

/* In a child: another program of ours, beside us, in that folder of the build folder, or on the path. */
_Noreturn void become_program(const char *name, const char *folder, char *const argv[]);
/* Begins sluice-control over a file, its stdout or stderr (output) being the descriptor `to`. Its pid; below 0: no process. */
pid_t control_begin(const char *option, const char *file, int output, int to);
/* The same; its stdout or stderr is to be read. NULL: no process. And: did it like it? */
FILE *control_of_file(const char *option, const char *file, int output, pid_t *pid);
bool control_was_content(pid_t pid);
/* Has it write a file of its own making to a descriptor; it says itself why it could not. */
bool control_writes(const char *option, const char *file, int to);

/* client.c: one request to control's management API. Returns an exit code; EXIT_DONE: *data is the caller's.
 * `request` is taken over. */
int api_request(const char *socket_path, json_t *request, json_t **data);

/* The same, with no bound on the time that control takes. */
int api_patient(const char *socket_path, json_t *request, json_t **data);

/* One more on a connection that api_begin has left open. */
int api_again(const char *socket_path, int fd, json_t *request, json_t **data);

/* A request whose reply comes in pieces. As api_request, but with EXIT_DONE the connection stays open in *fd:
 * the pieces follow (api_piece), an empty one is the last, and then api_reply reads the end's reply. A
 * shutdown(2) of our side asks for the end. */
int api_begin(const char *socket_path, json_t *request, int *fd, json_t **data);
/* A piece on the heap, 0 bytes at the end; false if control has gone. */
bool api_piece(int fd, uint8_t **bytes, size_t *len);
int api_reply(const char *socket_path, int fd, json_t **data);
/* Hands a descriptor over, where control waits for one (control/api.h). */
bool api_hand(int fd, int file);
/* Something is there to be read, or comes in time. */
bool api_comes(int fd, int milliseconds);

/* connection.h: handlers and rows of the connection family, for its own files. */
#pragma once
#include "command/command.h"

extern const struct command client_subs[];

command_handler auth_run, echo_run, hello_run, ping_run, quit_run, reset_run, select_run;
command_handler client_caching_run, client_getname_run, client_getredir_run, client_help_run, client_id_run,
    client_info_run, client_kill_run, client_list_run, client_no_evict_run, client_no_touch_run,
    client_pause_run, client_reply_run, client_setinfo_run, client_setname_run, client_tracking_run,
    client_trackinginfo_run, client_unblock_run, client_unpause_run;

struct text;
/* A line of CLIENT LIST, its end included. */
void client_describe(struct text *t, const struct request *rq, const struct client *c);

/* True if a client name or library attribute has only printable characters and no blank, and is not too long.
 */
bool client_text_ok(struct slice text);
/* Replaces *field with a copy of text ("" = none). False if memory is short. */
bool client_text_set(char **field, struct slice text);

/* debug.h: DEBUG's helpers that have files of their own. */
#pragma once
#include "command/server.h"

struct debug_switches { /* all zero at start */
    bool in_scripts;    /* scripts may run DEBUG */
};

/* debug_data.c */
void debug_digest(struct request *rq);
void debug_digest_value(struct request *rq);
void debug_reload(struct request *rq);
void debug_loadaof(struct request *rq);

/* debug_store.c */
void debug_object(struct request *rq);
void debug_htstats(struct request *rq);
void debug_htstats_key(struct request *rq);
void debug_packed_threshold(struct request *rq);
void debug_no_terminal(struct request *rq);

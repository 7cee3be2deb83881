/* debug_store.h: sub-commands of DEBUG that look at how values are kept (debug_store.c), for debug_cmd.c. */
#pragma once
#include "command/server.h"

typedef void debug_fn(struct request *rq);
debug_fn debug_object, debug_packed_threshold, debug_htstats, debug_htstats_key, debug_no_terminal;

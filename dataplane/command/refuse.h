/* refuse.h: what must not run, and what its client is told (dispatch.c asks, in Redis' order of checks).
 * refuse_*: writes the error to rq->out; those that return a bool have looked themselves, and say whether they did. */
#pragma once
#include "command/command.h"

/* An error of a known command, with its code ("ERR ..."); EXEC's ends its transaction. */
void request_refuse(struct request *rq, const char *error);

/* No such command, or no such subcommand. */
void refuse_unknown(struct request *rq);
void refuse_arity(struct request *rq);
/* A client that must show a password first, or whose user may not do this. */
bool refuse_denied(struct request *rq);
/* In the cluster view: it belongs to another node, or to none. */
bool refuse_stray(struct request *rq);
/* One of a client of which request_is_vain() is true. */
void refuse_listener(struct request *rq);
/* Why nobody may write: the last snapshot has failed, or the log cannot be written. */
void refuse_writes(struct request *rq);

/* An HTTP request that a browser was made to send here (cross-protocol scripting)? Its command is not known. */
bool request_is_http(const struct request *rq);
/* Of a RESP2 client that has subscriptions, who cannot tell replies from messages: only what ends them may run. */
bool request_is_vain(const struct request *rq);
/* stop-writes-on-bgsave-error. PING as well, so that whoever watches over the box sees it. */
bool request_may_not_write(const struct request *rq);

/* The error of what may not run while a snapshot is loaded; NULL: it may. */
const char *why_loading(const struct request *rq);
/* Likewise of a monitor, which Redis counts among the replicas. */
const char *why_monitor(const struct request *rq);

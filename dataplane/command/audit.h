/* audit.h: what a client did that an operator may be asked about later: lines for control's audit log. The worker hands
 * them over and goes on (box_ops.audit); who had to leave lines out counts them.
 *
 *     user NAME at ADDRESS <TAB> COMMAND <TAB> what exactly <TAB> ok | refused */
#pragma once
#include "command/command.h"

struct rights;
struct text;

/* A command of CMD_AUDITED has run. */
void audit_command(const struct request *rq, bool refused);
/* A user's rules, into `t`: for before and after. NULL: there was none. */
void audit_rules(struct text *t, const struct rights *r);
/* ACL SETUSER: rules before and after; passwords as the beginnings of their hashes. */
void audit_user(const struct request *rq, struct slice name, const struct text *before, const struct text *after,
                bool refused);

/* transaction_private.h: of the files of transaction.h alone. */
#pragma once
#include "command/transaction.h"

/* -- transaction.c -- */

/* The client's, made when it has none yet; NULL: no memory. */
struct transaction *transaction_of(struct client *c);

/* -- transaction_watch.c -- */

/* What the request's arguments name is watched from now on; false: no memory, and nothing more than before is. */
bool watch_keys(const struct request *rq);
/* A key that is watched has changed, or its time has come. */
bool watch_is_lost(const struct request *rq, const struct transaction *t);
/* Nothing is watched any more. */
void watch_end(struct command_env *env, struct transaction *t);

/* -- transaction_queue.c -- */

/* Flags of a command, as far as it changes something. */
uint32_t queue_flags(const struct request *rq);
/* The queue stays where it is from now on. turn: NULL, or of whoever does it in slices. */
void queue_settle(struct transaction *t, struct turn *turn);
/* The next command of a queue that is settled, prepared; *at from 0 on. False at the end. */
bool queue_next(const struct request *rq, const struct transaction *t, size_t *at, struct request *next);
/* In an EXEC in slices it would change a copy of its client or, FUNCTION LOAD, run a text on a stack that is too small: it
 * steps out of the slices. */
bool queue_steps_outside(const struct command *cmd);

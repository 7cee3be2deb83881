/* exec.h: commands that control runs on the dataplane with every right (CLIENT LIST, INFO ...). */
#pragma once
#include "control/link.h"

/* resp: the whole RESP reply, or NULL and a line in error (no dataplane, no answer in time). Called once. */
typedef void exec_done(void *ctx, const char *resp, size_t len, const char *error);

enum { EXEC_SECONDS = 5 }; /* an answer comes in time */

struct execs;
struct execs *execs_new(struct event_base *base, struct link *link);
void execs_free(struct execs *x);
void exec_run(struct execs *x, int argc, const char *const *argv, exec_done *done, void *ctx);
/* The same, for what may have to wait longer in the dataplane. */
void exec_run_for(struct execs *x, unsigned seconds, int argc, const char *const *argv, exec_done *done, void *ctx);
/* From the link. */
void exec_part(struct execs *x, uint64_t id, bool last, const char *bytes, size_t len);
void execs_detached(struct execs *x);

/* inspect.h: what control asks of the workers themselves: an EXEC whose first argument is INSPECT_WORD. No
 * Redis command: it comes over the channel only, and no client can reach it. The job goes from worker 0 to
 * the last one over the fabric; each runs the named operation between two rounds and adds to the reply, which
 * is one bulk string of JSON objects, a line each, or an error. */
#pragma once
#include "fabric/fabric.h"
#include "resp/writer.h"

struct worker;
struct job;

#define INSPECT_WORD "%INSPECT"
enum { INSPECT_REPLY_MAX = 24 << 20, INSPECT_TALLY = 16 };

enum verdict {
    VISIT_DONE,  /* on to the next worker */
    VISIT_AGAIN, /* there is more: call again in the next round */
    VISIT_WAIT,  /* the same, but the worker may sleep meanwhile */
    VISIT_ENOUGH /* no other worker need be asked */
};

struct visit {
    struct worker *worker;
    int argc;
    const struct slice *argv; /* argv[0] is the operation's name */
    struct resp_writer *out;  /* for json.h */
    bool first, last;         /* worker 0, the last worker */
    /* Kept between calls: a walk over much is cut into slices of a bounded number of steps a round. */
    uint64_t cursor;               /* 0 at the first call on each worker */
    uint64_t tally[INSPECT_TALLY]; /* 0 at the first call of all, carried along */
    const char *error; /* static text, "ERR ...": becomes the reply; the verdict is not looked at */
};

/* Runs on worker v->worker. Must not keep a pointer into v. */
typedef enum verdict inspect_fn(struct visit *v);

/* Makes the job of an EXEC: argv without INSPECT_WORD. NULL and *error: no such operation, out of memory. */
struct job *inspect_job(unsigned home, int argc, const struct slice *argv, const char **error);
/* One visit of worker w, of `workers`. */
enum verdict inspect_visit(struct job *j, struct worker *w, unsigned workers);
/* Back on the main thread: makes the reply whole. */
void inspect_finish(struct job *j);

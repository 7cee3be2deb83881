/* worker_block.c: sessions whose request waits for keys (block.h). */
#include "worker.h"

#include "job.h"

#include <stdlib.h>

void worker_block(struct worker *w, struct session *s, const struct request *rq)
{
    struct job *j = worker_job(w, JOB_HOP, s, rq);
    if (!j) {
        free(w->env.block.instead);
        reply_error(session_write_begin(s), "ERR out of memory for another blocked client");
        return;
    }
    j->silent = rq->out != rq->wire;
    if (!block_begin(&w->blocking, j))
        worker_complete(w, j);
}

static void ask_for_stop(struct worker *w)
{
    if (w->blocking.wants_stop) {
        w->blocking.wants_stop = false;
        worker_want_stop(w);
    }
}

/* Those who are served are told what has changed behind their replies. */
static void serve(struct worker *w)
{
    bool was_due = w->due;
    w->due = false;
    block_serve(&w->blocking, false);
    w->env.tracking->held |= w->due;
    w->due |= was_due;
}

void worker_serve(struct worker *w)
{
    serve(w);
    ask_for_stop(w);
}

void worker_rows(struct worker *w)
{
    block_go_on(&w->blocking);
    ask_for_stop(w);
}

/* Have more than n been served? */
static bool more_than(const struct worker *w, unsigned n)
{
    const struct job *j = w->blocking.done_first;
    for (; j && n > 0; n--)
        j = j->next;
    return j != NULL;
}

/* Does one of the next n who were served have that home? */
static bool another_goes(const struct worker *w, unsigned home, unsigned n)
{
    const struct job *j = w->blocking.done_first;
    for (; j && n > 0 && j->home != home; n--)
        j = j->next;
    return j && n > 0;
}

/* As many as a batch may have made ready: with very many the others go on in between. What is to be told behind their
 * replies goes with the last one of each home, when there are no others left. */
void worker_served(struct worker *w)
{
    struct tracking *t = w->env.tracking;
    struct job *j;
    bool more = more_than(w, BATCH_REQUESTS);
    for (unsigned n = BATCH_REQUESTS; n > 0 && (j = block_done(&w->blocking)); n--) {
        t->held = w->due && (more || another_goes(w, j->home, n - 1));
        worker_bring_home(w, j);
    }
    t->held = w->due && more;
    if (w->due)
        worker_deliver(w, !more);
    ask_for_stop(w);
}

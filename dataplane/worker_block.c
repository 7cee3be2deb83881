/* worker_block.c: sessions whose request waits for keys (block.h). */
#include "worker.h"

#include "job.h"

#include <stdlib.h>

void worker_block(struct worker *w, struct session *s, const struct request *rq)
{
    struct job *j = job_new(JOB_HOP, w->id, &s->client, rq->argc, rq->argv);
    if (!j) {
        free(w->env.block.instead);
        reply_error(session_write_begin(s), "ERR out of memory for another blocked client");
        return;
    }
    j->session = s;
    j->silent = rq->out != rq->wire;
    j->reply_max = w->pending_max;
    job_prepare(j, &w->env);
    s->job = j;
    s->flags |= SESSION_STALLED;
    if (!block_begin(&w->blocking, j))
        worker_complete(w, j);
}

void worker_serve(struct worker *w)
{
    block_serve(&w->blocking, false);
    if (w->blocking.wants_stop) {
        w->blocking.wants_stop = false;
        worker_want_stop(w);
    }
}

void worker_served(struct worker *w)
{
    for (struct job *j; (j = block_done(&w->blocking));)
        worker_bring_home(w, j);
    if (w->posts_first)
        worker_posts(w);
}

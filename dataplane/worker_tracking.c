/* worker_tracking.c: invalidations of client-side caching on their way to clients (command/tracking.h).
 *
 * A worker tells its own clients when a command is over and its reply is written; what clients of others are
 * to know goes there as a job, with all that was noted in the same batch. */
#include "worker.h"

#include "command/tracking.h"
#include "job.h"

#include <stdlib.h>

enum { SLICE = 256 };

static void push(const struct invalidation *i)
{
    struct session *s = worker_session_of(i->to);
    struct resp_writer *out = worker_push_begin(s);
    if (!out)
        return;
    if (i->broken) {
        reply_push(out, 2);
        reply_bulk_str(out, "tracking-redir-broken");
        reply_int(out, (int64_t)i->broken);
    } else if (out->proto > 2) {
        reply_push(out, 2);
        reply_bulk_str(out, "invalidate");
        reply_raw(out, i->body.p, i->body.len);
    } else if (i->redirected && s->client.flags & CLIENT_PUBSUB) {
        reply_push(out, 3);
        reply_bulk_str(out, "message");
        reply_bulk_str(out, "__redis__:invalidate");
        reply_raw(out, i->body.p, i->body.len);
    }
    worker_push_end(s);
}

static void send(struct worker *w, unsigned to)
{
    struct tracking *t = w->env.tracking;
    size_t len;
    uint8_t *notes = tracking_take(t, to, &len);
    struct job *j = notes ? job_new_notes(JOB_NOTES, w->id, to, notes, len) : NULL;
    if (j) {
        worker_send_job(w, j);
    } else if (notes) {
        atomic_store(&t->common->of[to]->lost, true);
        free(notes);
    }
}

void worker_noted(struct worker *w, struct job *j)
{
    tracking_give(w->env.tracking, j->query, j->notes);
    job_free(j);
}

void worker_invalidate(struct worker *w, bool all)
{
    struct tracking *t = w->env.tracking;
    struct invalidation next;
    unsigned budget = SLICE;
    if (t->held && !all) /* the replies come first */
        return;
    t->held = false;
    while (tracking_next(t, all, &budget, &next))
        push(&next);
    for (unsigned i = 0; all && i < w->box->workers; i++)
        if (i != w->id)
            send(w, i);
}

void worker_tend_tracking(struct worker *w)
{
    if (tracking_upkeep(w->env.tracking))
        return;
    w->env.observers &= ~(unsigned)OBSERVE_TRACKING;
    waits_want_changes(w->waits, 0, NULL, NULL);
}

void worker_observe(struct command_env *env, enum observer what)
{
    struct box *box = ((struct worker *)env->worker)->box;
    for (unsigned i = 0; i < box->workers; i++) {
        struct worker *w = box->worker[i];
        w->env.observers |= what;
        if (what == OBSERVE_TRACKING)
            waits_want_changes(w->waits, box->ks->databases, tracking_changed, w->env.tracking);
    }
}

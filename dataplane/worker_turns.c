/* worker_turns.c: requests that take long, and those that wait for the keys of such (turns.h). */
#include "worker.h"

#include "command/cluster.h"
#include "job.h"

#include <x86intrin.h>

/* EXEC takes its transaction along. */
static struct job *make_job(struct worker *w, struct session *s, const struct request *rq)
{
    struct job *j = worker_job(w, JOB_HOP, s, rq);
    if (j && worker_lends(j->rq.cmd))
        worker_lend(s, j);
    return j;
}

void worker_long(struct worker *w, struct session *s, struct request *rq)
{
    struct job *j = make_job(w, s, rq);
    if (j && rq->part) {
        j->rq.part = rq->part;
        w->turns.jobs++;
        job_append(&w->turns.parts_first, &w->turns.parts_last, j);
    } else if (j) {
        j->rq.busy = rq->busy;
        j->rq.shown = rq->shown;
        j->silent = rq->out != rq->wire;
        turns_long(&w->turns, j);
    } else { /* everybody waits then */
        enum command_result result;
        do
            result = command_long(rq, session_write_begin(s));
        while (result == CMD_LONG);
        if (result == CMD_ELSEWHERE)
            worker_defer(w, s, rq);
    }
}

/* The next part of one that changes its client, which waits for it. What it replies leaves at once: messages
 * by what it has subscribed to come behind. */
static void run_part(struct worker *w)
{
    struct job *j = w->turns.parts_first;
    struct session *s = j->session;
    enum command_result result = CMD_DONE;
    w->turns.parts_first = j->next;
    if (!j->next)
        w->turns.parts_last = NULL;
    if (s && !(s->flags & SESSION_BROKEN)) {
        uint64_t begin = __rdtsc();
        j->rq.env = &w->env;
        j->rq.client = &s->client;
        result = command_long(&j->rq, session_write_begin(s));
        session_write_end(s);
        command_took(&j->rq, __rdtsc() - begin);
        worker_recount(w, s);
        tcp_push(s->conn, w->env.now_us);
    }
    if (result == CMD_LONG) {
        job_append(&w->turns.parts_first, &w->turns.parts_last, j);
    } else {
        w->turns.jobs--;
        worker_complete(w, j);
    }
}

static void wait(struct worker *w, struct session *s, const struct request *rq)
{
    struct job *j = make_job(w, s, rq);
    if (!j)
        reply_error(session_write_begin(s), "ERR out of memory for a request that waits for another one");
    else if (!turns_wait(&w->turns, j))
        worker_complete(w, j);
}

bool worker_is_held(struct worker *w, struct session *s, struct request *rq)
{
    char text[CLUSTER_ERROR];
    if (in_cluster(rq) && rq->cmd && !rq->bad_arity && cluster_strays(rq, text))
        return false; /* other workers' keys are not to be looked at: it is refused */
    const char *busy = turns_busy(&w->env, rq);
    if (busy) {
        if (command_refuse(rq, session_write_begin(s), busy) == CMD_COUNTED)
            worker_recount(w, s);
        return true;
    }
    if (!turns_conflict(&w->env, rq, false))
        return false;
    wait(w, s, rq);
    return true;
}

bool worker_run_job(struct worker *w, struct job *j)
{
    if (turns_any(&w->turns) && turns_conflict(&w->env, &j->rq, false)) {
        const char *busy = turns_busy(&w->env, &j->rq);
        if (!busy)
            return !turns_wait(&w->turns, j);
        job_busy(j, &w->env, busy);
        return true;
    }
    enum command_result result = job_run(j, &w->env);
    if (result == CMD_LONG)
        turns_long(&w->turns, j);
    if (result == CMD_ELSEWHERE) {
        if (j->kind != JOB_EXEC)
            j->kind = JOB_BARRIER;
        worker_send_job(w, j);
        return false;
    }
    bool done = result != CMD_LONG && (result != CMD_BLOCK || !block_begin(&w->blocking, j));
    if (block_ready(w->waits))
        worker_serve(w);
    return done;
}

enum command_result worker_run_waiting(void *worker, struct job *j)
{
    struct worker *w = worker;
    bool here = j->home == w->id && j->lent; /* it may change the client, and the client is here */
    if (here && !j->session) {               /* ... or has gone: nothing of it is done, as in a stop */
        j->done = true;
        return CMD_DONE;
    }
    if (here) {
        worker_take_back(w, j);
        j->rq.client = &j->session->client;
    }
    enum command_result result = job_run(j, &w->env);
    if (result != CMD_ELSEWHERE && result != CMD_LONG)
        return result;
    if (here)
        worker_lend(j->session, j);
    j->rq.client = &j->client;
    return result;
}

bool worker_turns(struct worker *w)
{
    bool any = w->turns.parts_first;
    if (any)
        run_part(w);
    any |= turns_round(&w->turns);
    w->env.tracking->held |= w->due && w->blocking.done_first; /* replies of who was served come before their notes */
    for (struct job *j; (j = turns_done(&w->turns));)
        if (j->done) {
            worker_bring_home(w, j);
        } else {
            if (j->kind != JOB_EXEC)
                j->kind = j->rq.route == ROUTE_ALL ? JOB_BARRIER : JOB_HOP;
            worker_send_job(w, j);
        }
    if (any)
        worker_serve(w);
    worker_served(w);
    return any;
}

/* worker_stop.c: requests that need more than one shard: they run here with the workers of those shards stopped
 * (fabric.h), as many as wait at that moment. Who needs other shards goes on meanwhile. */
#include "worker.h"

#include "job.h"

void worker_want_stop(struct worker *w, uint64_t set)
{
    w->serve_set |= set;
    if (!w->serve_job) /* it waits for its turn already */
        return;
    job_append(&w->barrier_first, &w->barrier_last, w->serve_job);
    w->serve_job = NULL;
}

enum barrier_result { FINISHED, GONE, NOT_YET };

/* With the workers of its shards stopped. GONE: it waits elsewhere, or is the worker's own: nobody's reply. NOT_YET:
 * a command in slices has its keys. */
static enum barrier_result run_barrier(struct worker *w, struct job *j)
{
    if (j->kind == JOB_SERVE) { /* keys have been served */
        w->serve_set = 0;
        w->serve_job = j;
        return GONE;
    }
    if (j->lent && j->session) { /* it may change the client, and the client is here */
        worker_take_back(w, j);
        j->rq.client = &j->session->client;
    }
    enum command_result result = CMD_DONE;
    if (j->session || j->kind == JOB_EXEC || j->kind == JOB_LOAD) {
        if (turns_conflict(&w->env, &j->rq, true)) {
            const char *busy = turns_busy(&w->env, &j->rq);
            if (!busy) {
                turns_queue(&w->turns, j);
                return NOT_YET;
            }
            turns_leave(&w->turns, j);
            job_busy(j, &w->env, busy);
            return FINISHED;
        }
        turns_leave(&w->turns, j);
        result = job_run(j, &w->env);
        if (result == CMD_ELSEWHERE) /* it was here as one that needs its shard alone, and needs all */
            return NOT_YET;
    } else {
        j->done = true; /* its client has gone: at home it must not look like one that is to run there */
    }
    turns_leave(&w->turns, j);
    if (result == CMD_LONG) {
        if (j->rq.client != &j->client)
            worker_lend(j->session, j);
        j->rq.client = &j->client;
        turns_long_stopped(&w->turns, j);
    }
    bool waits = result == CMD_LONG || (result == CMD_BLOCK && block_begin(&w->blocking, j));
    block_serve(&w->blocking, true);
    return waits ? GONE : FINISHED;
}

static uint64_t set_of(const struct worker *w, const struct job *j)
{
    return j->kind == JOB_SERVE ? w->serve_set : request_set(&j->rq);
}

/* One stop for all who wait for one now. */
static uint64_t wanted_stop(const struct worker *w)
{
    uint64_t set = turns_stop_set(&w->turns);
    for (const struct job *j = w->barrier_first; j; j = j->next)
        set |= set_of(w, j);
    return set;
}

void worker_hold(struct worker *w, uint64_t held)
{
    for (unsigned i = 0; i < w->box->workers; i++)
        if ((held | w->env.stopped) >> i & 1)
            w->box->tracking.of[i]->runner = held ? w->env.tracking : NULL;
    w->env.stopped = held;
}

/* Runs those that wait for no others than are stopped; returns the ones that are over. */
static struct job *run_stopped(struct worker *w)
{
    struct job *finished = NULL, *last = NULL, *list = w->barrier_first;
    w->barrier_first = w->barrier_last = NULL;
    for (struct job *j = list, *next; j; j = next) {
        next = j->next;
        if (!env_may_touch_all(&w->env, set_of(w, j))) {
            job_append(&w->barrier_first, &w->barrier_last, j);
            continue;
        }
        if (w->paused && worker_holds_job(w, j))
            continue;
        enum barrier_result result = run_barrier(w, j);
        if (result == FINISHED)
            job_append(&finished, &last, j);
        else if (result == NOT_YET)
            job_append(&w->barrier_first, &w->barrier_last, j);
    }
    return finished;
}

static uint64_t everybody(const struct worker *w)
{
    return UINT64_MAX >> (64 - w->box->workers);
}

bool worker_stop(struct worker *w)
{
    if (!w->barrier_first && !turns_wants_stop(&w->turns) && !w->asked)
        return false;
    if (!w->asked)
        w->asked = wanted_stop(w);
    uint64_t held = fabric_stop(w->box->fabric, w->id, w->asked);
    if (!held)
        return true;
    w->asked = 0;
    if (held == everybody(w))
        held = UINT64_MAX; /* and whatever else there is in the box */
    worker_begin(w);
    count_one(w->counters, COUNTER_barriers);
    worker_hold(w, held);
    block_serve(&w->blocking, true); /* what was to be served with others stopped */
    turns_stopped(&w->turns);
    struct job *finished = run_stopped(w);
    worker_hold(w, 0);
    worker_rest(w);
    fabric_resume(w->box->fabric, w->id);
    worker_ask_for_stop(w);
    for (struct job *j = finished, *next; j; j = next) {
        next = j->next;
        worker_bring_home(w, j);
    }
    return true;
}

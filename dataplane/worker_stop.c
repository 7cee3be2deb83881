/* worker_stop.c: what runs with all other workers stopped, between two of their rounds: requests over several shards, or for the whole
 * box, in the order in which they came here.
 *
 * One that has to wait for a command in slices keeps its place, and is looked at again when somebody, on whatever worker, has given
 * up keys, or when there is another reason for a stop: not in each round, which would stop everybody for nothing. */
#include "worker.h"

#include "job.h"
#include "store/pins.h"

enum barrier_result { FINISHED, GONE, HELD, AGAIN };

/* With all other workers stopped. GONE: it waits elsewhere, or is the worker's own: nobody's reply. HELD:
 * a command in slices has its keys. AGAIN: in the next stop. */
static enum barrier_result run_barrier(struct worker *w, struct job *j)
{
    if (j->kind == JOB_SERVE) {
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
                return HELD;
            }
            turns_leave(&w->turns, j);
            job_busy(j, &w->env, busy);
            return FINISHED;
        }
        turns_leave(&w->turns, j);
        result = job_run(j, &w->env);
        if (result == CMD_ELSEWHERE) /* it was here as one that needs its shard alone, and needs all */
            return AGAIN;
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

/* How often anybody, on any worker, has given up keys, or his place. */
static uint64_t given_up(const struct worker *w)
{
    uint64_t n = atomic_load_explicit(&w->box->orphans, memory_order_relaxed);
    for (unsigned i = 0; i < w->env.ks->shards; i++)
        n += atomic_load_explicit(&shard_pins(w->env.ks->shard[i])->given_up, memory_order_relaxed);
    return n;
}

/* With all workers stopped. */
static bool any_held(const struct worker *w)
{
    bool any = false;
    for (unsigned i = 0; i < w->env.ks->shards && !any; i++)
        any = shard_pins(w->env.ks->shard[i])->held;
    return any;
}

/* The whole list, in its order; what has ended goes to *finished. */
static void run_list(struct worker *w, struct job **finished, struct job **last)
{
    struct job *list = w->barrier_first;
    w->barrier_first = w->barrier_last = NULL;
    w->barrier_waits = false;
    uint64_t seen = given_up(w);
    bool again = false;
    for (struct job *j = list, *next; j; j = next) {
        next = j->next;
        if (w->paused && worker_holds_job(w, j))
            continue;
        enum barrier_result result = run_barrier(w, j);
        if (result == FINISHED)
            job_append(finished, last, j);
        else if (result != GONE)
            job_append(&w->barrier_first, &w->barrier_last, j);
        again |= result == AGAIN;
    }
    if (w->blocking.later) {
        w->blocking.later = false;
        worker_want_stop(w);
    }
    w->barrier_seen = seen;
    w->barrier_waits = w->barrier_first && !again && any_held(w);
}

/* Those in the list wait for somebody's keys, and nobody has given up any since they last looked. */
static bool waits_in_vain(const struct worker *w)
{
    return w->barrier_waits && given_up(w) == w->barrier_seen;
}

bool worker_run_stops(struct worker *w)
{
    struct job *finished = NULL, *last = NULL;
    bool wanted = (w->barrier_first && !waits_in_vain(w)) || turns_wants_stop(&w->turns);
    if (!wanted) /* who waits in vain stays awake: others may take the keys again soon after they were given up */
        return w->barrier_first != NULL;
    if (!fabric_stop_all(w->box->fabric, w->id))
        return true;
    worker_begin(w);
    count_one(w->counters, COUNTER_barriers);
    w->env.stopped = true;
    w->box->tracking.runner = w->env.tracking;
    block_serve(&w->blocking, true); /* what was to be served with all stopped */
    turns_stopped(&w->turns);
    run_list(w, &finished, &last);
    w->env.stopped = false;
    w->box->tracking.runner = NULL;
    worker_rest(w);
    fabric_resume(w->box->fabric, w->id);
    for (struct job *j = finished, *next; j; j = next) {
        next = j->next;
        worker_bring_home(w, j);
    }
    return true;
}

void worker_wait_for_stop(struct worker *w, struct job *j)
{
    job_append(&w->barrier_first, &w->barrier_last, j);
    w->barrier_waits = false;
}

void worker_want_stop(struct worker *w)
{
    w->barrier_waits = false;
    if (!w->serve_job) /* it waits for its turn already, perhaps in vain until now */
        return;
    worker_wait_for_stop(w, w->serve_job);
    w->serve_job = NULL;
}

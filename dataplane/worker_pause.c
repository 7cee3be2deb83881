/* worker_pause.c: CLIENT PAUSE (https://redis.io/docs/latest/commands/client-pause/). What must not run stays
 * where it is: a session's request unread, so that nothing is copied and its client feels the window close; a
 * job that came from elsewhere meanwhile in a list. Each worker sees by itself when the time is over. */
#include "worker.h"

#include "job.h"

static void wake(struct worker *w)
{
    for (struct session *s = w->live_sessions, *next; s && w->waiting_sessions;
         s = next) { /* they stand in front */
        next = s->live_next;
        if (!(s->flags & SESSION_PAUSED))
            continue;
        worker_unpaused(w, s);
        worker_ready(w, s);
    }
    struct job *j = w->paused_first;
    w->paused_first = w->paused_last = NULL;
    for (struct job *next; j; j = next) {
        next = j->next;
        worker_resume_job(w, j);
    }
}

void worker_follow_pause(struct worker *w)
{
    uint64_t pause = atomic_load_explicit(&w->box->pause, memory_order_relaxed);
    enum pause_mode mode = pause & 3;
    if (mode != PAUSE_OFF && pause >> 2 <= w->env.now_ms) {
        atomic_compare_exchange_strong(&w->box->pause, &pause, 0);
        mode = PAUSE_OFF;
    }
    if (mode < PAUSE_WRITE && (w->snapshot.holds || w->log.holds))
        mode = PAUSE_WRITE;
    if (mode == w->paused)
        return;
    w->paused = mode;
    wake(w); /* those that must wait go on waiting */
}

/* A pause that lasts longer, or that stops more, stays. */
void worker_pause(struct command_env *env, enum pause_mode mode, uint64_t until_ms)
{
    struct worker *w = env->worker;
    uint64_t before = atomic_load_explicit(&w->box->pause, memory_order_relaxed);
    if (mode != PAUSE_OFF && before >> 2 > env->now_ms) {
        until_ms = before >> 2 > until_ms ? before >> 2 : until_ms;
        mode = (before & 3) > mode ? before & 3 : mode;
    }
    atomic_store_explicit(&w->box->pause, mode == PAUSE_OFF ? 0 : until_ms << 2 | mode, memory_order_relaxed);
    if (mode != PAUSE_OFF)
        w->paused = mode; /* at once for the requests behind this one; an end is seen by the next round */
}

bool worker_holds_request(struct worker *w, struct batch *b, unsigned i)
{
    struct session *s = b->session[i];
    if (!command_pauses(batch_request(b, i), w->paused))
        return false;
    if (b->marked)
        session_rewind(s, b->before[i]);
    else if (i > 0 && b->session[i - 1] == s)
        session_rewind(s, b->after[i - 1]);
    else
        return false; /* it came together with CLIENT PAUSE: before it */
    s->flags |= SESSION_STALLED | SESSION_PAUSED;
    w->waiting_sessions++;
    session_first(s);
    return true;
}

bool worker_holds_job(struct worker *w, struct job *j)
{
    if ((j->kind != JOB_HOP && j->kind != JOB_BARRIER) || !command_pauses(&j->rq, w->paused))
        return false;
    job_append(&w->paused_first, &w->paused_last, j);
    return true;
}

void worker_unpaused(struct worker *w, struct session *s)
{
    if (!(s->flags & SESSION_PAUSED))
        return;
    s->flags &= ~(uint32_t)(SESSION_PAUSED | SESSION_STALLED);
    w->waiting_sessions--;
}

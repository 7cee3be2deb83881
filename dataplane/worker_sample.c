/* worker_sample.c: requests of a batch that stand for others in the counts of hot keys. */
#include "worker.h"

enum { GAUGE_EVERY_US = 1000000 };

/* Does it run with this batch? Behind requests that go elsewhere together its session waits, and reads it once more. */
static bool runs_now(const struct worker *w, const struct batch *b, unsigned i)
{
    if (b->session[i]->flags & (SESSION_STALLED | SESSION_BROKEN))
        return false;
    while (b->behind >> i & 1)
        i--;
    for (unsigned k = i; w->box->workers > 1 && k-- > 0 && b->session[k] == b->session[i];)
        if (!batch_in_row(b, k) && worker_elsewhere(w, &b->rq[k]))
            return false;
    return true;
}

/* Before the batch runs: what its requests lie in may go with them. */
void worker_sample(struct worker *w)
{
    struct batch *b = &w->batch;
    while (b->until_sample <= 0) {
        unsigned i = (unsigned)((int)b->n + b->until_sample - 1);
        if (runs_now(w, b, i))
            hotkeys_sample(&w->hot, batch_request(b, i));
        b->until_sample += (int)hotkeys_next(&w->hot, w->env.now_us);
    }
}

void worker_gauge_keys(struct worker *w)
{
    struct hot_key top = {0}, total;
    if (w->env.now_us < w->next_gauge_us)
        return;
    w->next_gauge_us = w->env.now_us + GAUGE_EVERY_US;
    hotkeys_top(&w->hot, w->env.now_us, &top, 1, &total);
    atomic_store_explicit(&w->hottest, (uint64_t)(top.reads + top.writes), memory_order_relaxed);
    atomic_store_explicit(&w->biggest, store_biggest(w->env.ks->shard[w->id]), memory_order_relaxed);
}

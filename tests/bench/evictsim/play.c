/* play.c: plays a trace against a cache and counts. */
#include "party.h"
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The keys of a batch that were missed, each once. */
static unsigned missed(const uint64_t *key, const bool *hit, unsigned n, uint64_t *out)
{
    unsigned found = 0;
    for (unsigned i = 0; i < n; i++) {
        bool known = hit[i];
        for (unsigned j = 0; j < found && !known; j++)
            known = out[j] == key[i];
        if (!known)
            out[found++] = key[i];
    }
    return found;
}

bool play(struct party *p, struct trace *t, uint64_t ttl_ms, struct result *out)
{
    uint64_t key[BATCH], miss[BATCH];
    bool hit[BATCH];
    *out = (struct result){0};
    double start = now();
    for (;;) {
        unsigned n = 0;
        bool counts = t->at >= trace_warm_up(t);
        while (n < BATCH && trace_next(t, &key[n]))
            n++;
        if (n == 0)
            break;
        if (!p->get(p->self, key, n, hit))
            return false;
        for (unsigned i = 0; i < n && counts; i++)
            out->hits += hit[i];
        out->asked += counts ? n : 0;
        unsigned misses = missed(key, hit, n, miss);
        if (misses > 0 && !p->set(p->self, miss, misses, ttl_ms))
            return false;
    }
    out->seconds = now() - start;
    return p->facts(p->self, &out->keys, &out->used, &out->evicted);
}

/* idle.c: the course of a measurement with idle connections: rounds of the active ones alone, and beside many
 * that are open and ask nothing. They have timers here only while they open and close. */
#include <stdio.h>

#include <rte_cycles.h>

#include "load.h"

enum { UNDER_WAY = 256, PATIENCE_S = 60 };
#define SETTLE_SECONDS 0.3

bool load_change_all(struct client *cl, bool open)
{
    uint32_t active = cl->timed, next = active, before = cl->open, finished = cl->finished;
    uint64_t end = rte_rdtsc() + PATIENCE_S * rte_get_tsc_hz();
    uint32_t seq = (uint32_t)rte_rdtsc();
    cl->timed = cl->count;
    for (;;) {
        uint32_t done = open ? cl->open - before : cl->finished - finished;
        if (done == cl->count - active || rte_rdtsc() > end)
            break;
        for (; next < cl->count && next - active - done < UNDER_WAY; next++) {
            struct conn *c = conn_at(cl, next);
            if (open) {
                memset(c, 0, sizeof *c);
                conn_open(cl, c, seq += 64013);
            } else if (c->state == CONN_OPEN) {
                conn_close(cl, c);
            }
        }
        load_turn(cl);
    }
    cl->timed = active;
    cl->sweep = 0;
    return rte_rdtsc() <= end;
}

void idle_measure(struct load *l, struct client *cl)
{
    const struct options *o = l->options;
    load_start(l, cl, LOAD_RUN);
    load_run_for(cl, o->warmup_s);
    client_stats_reset(cl);
    uint64_t start = cl->now;
    bool good = true;
    for (unsigned i = 0; i < o->rounds && good; i++) {
        load_run_for(cl, SETTLE_SECONDS);
        load_part(l, cl)->label = "without";
        good = load_change_all(cl, true);
        load_run_for(cl, SETTLE_SECONDS);
        load_part(l, cl)->label = "with";
        good = load_change_all(cl, false) && good;
    }
    if (!good && !cl->first_error[0])
        snprintf(cl->first_error, sizeof cl->first_error, "not all idle connections opened and closed");
    l->seconds = (double)(cl->now - start) / ((double)cl->cycles_per_ms * 1000);
}

/* flood.c: the course of a measurement under attack: first the attack alone, as much as the link takes, which
 * is what the box can take of it; then rounds of none, as many packets as there were good requests, and a
 * share of the capacity; at the end none again. */
#include "attack.h"
#include "load.h"

#define ALONE_RATE     1e9 /* more than any link takes */
#define SETTLE_SECONDS 0.1

static const struct part *strength(struct load *l, struct client *cl, const char *name, double rate)
{
    attack_rate(cl->attack, rate);
    load_run_for(cl, SETTLE_SECONDS);
    struct attack *a = cl->attack;
    uint64_t sent = a->sent, turns = a->turns, full = a->full_turns;
    struct part *p = load_part(l, cl);
    p->label = name;
    p->attack_rate = p->seconds > 0 ? (double)(a->sent - sent) / p->seconds : 0;
    p->full_share = a->turns > turns ? (double)(a->full_turns - full) / (double)(a->turns - turns) : 0;
    return p;
}

static double good_rate(const struct part *p)
{
    return p->seconds > 0 ? (double)p->replies / p->seconds : 0;
}

void flood_measure(struct load *l, struct client *cl)
{
    const struct options *o = l->options;
    client_stats_reset(cl);
    double share = strength(l, cl, "alone", ALONE_RATE)->attack_rate * o->attack_share;
    attack_rate(cl->attack, 0);
    load_start(l, cl, LOAD_RUN);
    load_run_for(cl, o->warmup_s);
    client_stats_reset(cl);
    l->measuring = true;
    uint64_t start = cl->now;
    for (unsigned i = 0; i < o->rounds; i++) {
        double quiet = good_rate(strength(l, cl, "quiet", 0));
        strength(l, cl, "equal", quiet);
        strength(l, cl, "share", share);
    }
    strength(l, cl, "after", 0);
    l->measuring = false;
    l->seconds = (double)(cl->now - start) / ((double)cl->cycles_per_ms * 1000);
}

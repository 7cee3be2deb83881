/* load.c: the course of a measurement and what a connection does when its replies are complete. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

#include "attack.h"
#include "load.h"

enum {
    OPENING_MAX = 128,
    KICKS = 64,
    OPEN_SECONDS = 10,
    CONNS_PER_OPEN_SECOND = 5000,
    CLOSE_SECONDS = 15,
    CONNS_PER_CLOSE_SECOND = 500,
    POLITE_ROUNDS = 16
};
#define SETTLE_SECONDS 0.1

static void start_batch(struct client *cl, struct conn *c, unsigned pipeline)
{
    struct load *l = cl->load;
    for (unsigned i = 0; i < pipeline; i++) {
        uint32_t request;
        if (l->phase == LOAD_FILL) {
            if (l->fill_next == l->fill_end)
                break;
            request = cl->work->row ? script_fill(cl->work->row, l->fill_line, l->fill_next++)
                                    : REQUEST_SET | l->fill_next++;
        } else {
            request = workload_next(cl->work);
        }
        *conn_pending(cl, c, c->tail++) = request;
    }
    if (c->head != c->tail) {
        c->sent_at = cl->now;
        tcp_output(cl, c);
    }
}

static void make_idle(struct client *cl, struct conn *c)
{
    struct load *l = cl->load;
    uint32_t at = l->idle_head + l->idle_n++;
    l->idle[at >= cl->count ? at - cl->count : at] = conn_index(cl, c);
}

/* A connection has nothing under way: give it what the phase wants. */
static void next_task(struct client *cl, struct conn *c)
{
    struct load *l = cl->load;
    if (unlikely(c == cl->big) && l->phase != LOAD_DRAIN)
        return; /* it has a clock of its own */
    switch (l->phase) {
    case LOAD_OPENING:
    case LOAD_REST:
        break;
    case LOAD_FILL:
        start_batch(cl, c, l->options->fill_pipeline);
        break;
    case LOAD_RUN:
        if (l->options->open_rate)
            make_idle(cl, c);
        else
            start_batch(cl, c, l->pipeline);
        break;
    case LOAD_DRAIN:
        conn_close(cl, c);
        break;
    }
}

static void batch_done(struct client *cl, struct conn *c)
{
    struct load *l = cl->load;
    if (unlikely(c == cl->big) && l->phase != LOAD_DRAIN)
        return;
    if (l->measuring)
        histogram_add(&cl->latency, cl->now - c->sent_at);
    if (c->state == CONN_OPEN)
        next_task(cl, c);
}

/* Open loop: sends every request whose time has come, on the connection idle for longest. When none is idle
 * the clock stands still and the wait counts as latency. */
static void send_due(struct client *cl)
{
    struct load *l = cl->load;
    while (l->idle_n && l->due <= (double)cl->now) {
        struct conn *c = conn_at(cl, l->idle[l->idle_head]);
        l->idle_head = l->idle_head + 1 == cl->count ? 0 : l->idle_head + 1;
        l->idle_n--;
        if (c->state != CONN_OPEN)
            continue;
        start_batch(cl, c, 1);
        c->sent_at = (uint64_t)l->due;
        l->due += l->interval;
    }
}

/* The large value's turn: made once, then fetched at its rate unless the one before still comes in. */
static void send_big(struct client *cl)
{
    struct load *l = cl->load;
    struct conn *c = cl->big;
    if ((double)cl->now < l->big_due || c->state != CONN_OPEN || c->head != c->tail)
        return;
    *conn_pending(cl, c, c->tail++) = cl->big_replies ? REQUEST_BIG_GET : REQUEST_BIG_MAKE;
    tcp_output(cl, c);
    l->big_due = (double)cl->now + (double)rte_get_tsc_hz() / l->options->big_rate;
}

unsigned load_turn(struct client *cl)
{
    struct load *l = cl->load;
    if (l->phase == LOAD_RUN && cl->big)
        send_big(cl);
    if (l->phase == LOAD_RUN && l->options->open_rate)
        send_due(cl);
    if (cl->attack)
        attack_turn(cl->attack);
    unsigned n = client_round(cl);
    if (n == 0 && l->options->polite && cl->stats.rounds % POLITE_ROUNDS == 0)
        sched_yield();
    return n;
}

static double seconds_since(uint64_t start)
{
    return (double)(rte_rdtsc() - start) / (double)rte_get_tsc_hz();
}

static bool open_all(struct client *cl)
{
    uint64_t start = rte_rdtsc();
    double limit = OPEN_SECONDS + cl->count / (double)CONNS_PER_OPEN_SECOND;
    uint32_t next = 0, seq = (uint32_t)start;
    while (cl->open + cl->finished < cl->timed && seconds_since(start) < limit) {
        for (; next < cl->timed && cl->opening < OPENING_MAX; next++)
            conn_open(cl, conn_at(cl, next), seq += 64013);
        load_turn(cl);
    }
    return cl->open == cl->timed;
}

/* Starts a phase: a few connections a round, so that the first burst is not the whole herd. */
void load_start(struct load *l, struct client *cl, enum load_phase phase)
{
    load_start_some(l, cl, phase, cl->timed);
}

void load_start_some(struct load *l, struct client *cl, enum load_phase phase, uint32_t connections)
{
    l->phase = phase;
    for (uint32_t i = 0; i < connections; i++) {
        struct conn *c = conn_at(cl, i);
        if (c->state == CONN_OPEN && c->head == c->tail)
            next_task(cl, c);
        if (i % KICKS == KICKS - 1)
            load_turn(cl);
    }
}

static bool fill(struct load *l, struct client *cl)
{
    uint64_t start = rte_rdtsc();
    client_stats_reset(cl);
    l->fill_end = cl->work->keys;
    load_start(l, cl, LOAD_FILL);
    while (cl->stats.replies < cl->work->keys && cl->open && seconds_since(start) < l->options->fill_s)
        load_turn(cl);
    l->fill_seconds = seconds_since(start);
    l->filled = cl->stats.replies == cl->work->keys && cl->totals.errors == 0;
    return l->filled;
}

void load_run_for(struct client *cl, double seconds)
{
    uint64_t start = rte_rdtsc();
    while (cl->open && seconds_since(start) < seconds)
        load_turn(cl);
}

struct part *load_part(struct load *l, struct client *cl)
{
    uint64_t start = rte_rdtsc();
    struct stats before = cl->stats;
    load_run_for(cl, l->options->seconds);
    struct part *p = &l->part[l->parts++];
    *p = (struct part){.seconds = seconds_since(start),
                       .replies = cl->stats.replies - before.replies,
                       .misses = cl->stats.misses - before.misses,
                       .empty_cycles = cl->stats.empty_cycles - before.empty_cycles};
    return p;
}

/* One turn of one mix; what is under way from the turn before is let through first. */
static void measure_part(struct load *l, struct client *cl, unsigned set_percent)
{
    workload_mix(cl->work, set_percent);
    if (l->options->parts > 1)
        load_run_for(cl, SETTLE_SECONDS);
    load_part(l, cl)->set_percent = set_percent;
}

static void keep_results(struct load *l, struct client *cl)
{
    l->stats = cl->stats;
    l->latency = cl->latency;
    l->frames_in = cl->link->rx_frames;
    l->bursts_in = cl->link->rx_bursts;
    l->tx_full = cl->link->tx_full;
    l->tx_dropped = cl->link->tx_dropped;
    l->no_mbuf = cl->link->no_mbuf;
    if (l->options->open_rate && (double)cl->now > l->due)
        l->open_lag_ms = ((double)cl->now - l->due) / (double)cl->cycles_per_ms;
}

static void measure(struct load *l, struct client *cl)
{
    const struct options *o = l->options;
    workload_mix(cl->work, o->set_percent[0]);
    if (cl->attack || cl->crowd || o->idle || o->script) {
        (cl->attack ? flood_measure : cl->crowd ? crowd_measure : o->idle ? idle_measure : script_measure)(l, cl);
        keep_results(l, cl);
        return;
    }
    l->due = (double)rte_rdtsc();
    l->interval = o->open_rate ? (double)rte_get_tsc_hz() / (double)o->open_rate : 0;
    load_start(l, cl, LOAD_RUN);
    load_run_for(cl, o->warmup_s);
    client_stats_reset(cl);
    uint64_t start = rte_rdtsc();
    l->measuring = true;
    for (unsigned i = 0; i < o->rounds * o->parts; i++)
        measure_part(l, cl, o->set_percent[i % o->parts]);
    l->measuring = false;
    l->seconds = seconds_since(start);
    keep_results(l, cl);
}

static void close_all(struct load *l, struct client *cl)
{
    uint64_t start = rte_rdtsc();
    double limit = CLOSE_SECONDS + cl->timed / (double)CONNS_PER_CLOSE_SECOND;
    load_start(l, cl, LOAD_DRAIN);
    while (cl->open && seconds_since(start) < limit)
        load_turn(cl);
    l->closed = cl->open == 0;
    link_flush(cl->link);
}

bool load_run(struct load *l, struct client *cl, char *error, size_t size)
{
    cl->load = l;
    cl->batch_done = batch_done;
    l->idle = calloc(cl->count, sizeof *l->idle);
    if (!l->idle) {
        snprintf(error, size, "no memory for %u connections", cl->count);
        return false;
    }
    l->pipeline = l->options->pipeline;
    bool good = open_all(cl);
    if (!good)
        snprintf(error, size, "only %u of %u connections opened", cl->open, cl->count);
    if (good && l->options->fill) {
        good = fill(l, cl);
        if (!good)
            snprintf(error, size, "only %lu of %u keys filled (%lu errors)", cl->stats.replies,
                     cl->work->keys, cl->totals.errors);
    }
    if (good)
        measure(l, cl);
    close_all(l, cl);
    if (good && !l->closed)
        snprintf(error, size, "%u connections did not close", cl->open);
    return good && l->closed;
}

void load_free(struct load *l)
{
    free(l->idle);
    l->idle = NULL;
}

/* scripted.c: the course of a measurement of a script: row after row, filled and measured at pipeline 1 and
 * at the one that was asked for. */
#include <stdio.h>

#include <rte_cycles.h>

#include "load.h"

enum { PATIENCE_S = 5 };

static double seconds_since(uint64_t start)
{
    return (double)(rte_rdtsc() - start) / (double)rte_get_tsc_hz();
}

static bool all_rest(const struct client *cl)
{
    for (uint32_t i = 0; i < cl->timed; i++)
        if (conn_at(cl, i)->head != conn_at(cl, i)->tail)
            return false;
    return true;
}

/* Lets everything under way come to its end. */
static bool rest(struct load *l, struct client *cl)
{
    uint64_t start = rte_rdtsc();
    l->phase = LOAD_REST;
    while (!all_rest(cl) && cl->open && seconds_since(start) < PATIENCE_S)
        for (unsigned i = 0; i < 64; i++)
            load_turn(cl);
    return all_rest(cl);
}

static bool fill_row(struct load *l, struct client *cl, const struct script_row *row)
{
    for (l->fill_line = 0; l->fill_line < row->first_send; l->fill_line++) {
        uint64_t start = rte_rdtsc();
        l->fill_next = 0;
        l->fill_end = script_count(row, &row->line[l->fill_line]);
        load_start(l, cl, LOAD_FILL);
        while (l->fill_next < l->fill_end && cl->open && seconds_since(start) < l->options->fill_s)
            load_turn(cl);
        if (l->fill_next < l->fill_end || !rest(l, cl))
            return false;
    }
    return true;
}

static bool measure_row(struct load *l, struct client *cl, const struct script_row *row)
{
    const unsigned pipelines[2] = {1, l->options->pipeline};
    cl->work->row = row;
    cl->work->nth = 0;
    if (!fill_row(l, cl, row))
        return false;
    for (unsigned i = l->options->deep && pipelines[1] > 1; i < (pipelines[1] > 1 ? 2 : 1); i++) {
        l->pipeline = pipelines[i];
        load_start_some(l, cl, LOAD_RUN, script_connections(cl->timed, pipelines[i]));
        load_run_for(cl, l->options->warmup_s);
        struct part *p = load_part(l, cl);
        p->label = row->name;
        p->pipeline = pipelines[i];
        if (!rest(l, cl))
            return false;
    }
    return true;
}

void script_measure(struct load *l, struct client *cl)
{
    const struct script *s = cl->work->script;
    bool good = true;
    client_stats_reset(cl);
    uint64_t start = rte_rdtsc();
    for (unsigned i = 0; i < s->rows && good; i++)
        if (script_chosen(&s->row[i], l->options->only))
            good = measure_row(l, cl, &s->row[i]);
    if (!good && !cl->first_error[0])
        snprintf(cl->first_error, sizeof cl->first_error, "%s did not come to its end", cl->work->row->name);
    if (!good)
        cl->totals.errors++;
    l->seconds = seconds_since(start);
}

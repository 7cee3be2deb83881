/* worker_filter.c: packet filter and connection rates on a worker: taking them with a generation, and ending
 * the connections that a new filter does not permit. */
#include "worker.h"

#include "net/filter.h"

enum { WALK_STEPS = 128 }; /* connections asked about in one round */

/* This worker's part. The hash of a NIC spreads a source's connections by their ports, so each worker sees
 * about as many; a source whose ports fall unevenly meets its limit earlier, and in all never gets more than
 * the limit plus one a worker. */
static unsigned part(const struct worker *w, unsigned whole)
{
    return (whole + w->box->workers - 1) / w->box->workers;
}

void worker_take_filter(struct worker *w, const struct config *conf)
{
    unsigned burst = conf->connection_rate_burst ? conf->connection_rate_burst : conf->connection_rate_limit;
    uint64_t serial = conf->compiled ? filter_serial(conf->compiled) : 0;
    tcp_set_connection_rate(w->tcp, part(w, conf->connection_rate_limit), part(w, burst),
                            conf->connection_rate_bits4, conf->connection_rate_bits6);
    net_set_filter(w->nif, conf->compiled, w->id);
    if (serial == w->filter_serial)
        return;
    w->filter_serial = serial;
    w->filter_walk = true;
    w->filter_at = 0;
}

static void end_if_denied(struct tcp_conn *c, void *arg)
{
    struct worker *w = arg;
    struct session *s = tcp_user(c);
    if (!tcp_denied(c))
        return;
    count_one(w->counters, COUNTER_filter_ended);
    if (s)
        session_close(s, true);
    tcp_abort(c, w->env.now_us);
}

void worker_filter_walk(struct worker *w)
{
    w->filter_at = tcp_walk(w->tcp, w->filter_at, WALK_STEPS, end_if_denied, w);
    w->filter_walk = w->filter_at != 0;
}

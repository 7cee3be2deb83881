/* congestion.c: NewReno: slow start, congestion avoidance and the reaction to loss (RFC 5681 sections 3.1 and
 * 3.2, byte counting of RFC 3465 with L = 2, initial window of RFC 6928). */
#include "tcp/congestion.h"
#include "tcp/conn.h"

static void newreno_start(struct tcp_conn *c)
{
    uint32_t most = 14600;
    uint32_t floor = 2u * c->mss > most ? 2u * c->mss : most;
    uint32_t ten = (uint32_t)TCP_INITIAL_WINDOW * c->mss;
    c->cwnd = ten < floor ? ten : floor;
    c->ssthresh = UINT32_MAX;
    c->cwnd_credit = 0;
}

static void newreno_acked(struct tcp_conn *c, uint32_t bytes)
{
    if (c->cwnd >= c->stack->conf.tx_limit + c->mss)
        return; /* more can never be queued */
    if (c->cwnd < c->ssthresh) {
        c->cwnd += bytes < 2u * c->mss ? bytes : 2u * c->mss;
        return;
    }
    c->cwnd_credit += bytes;
    if (c->cwnd_credit >= c->cwnd) {
        c->cwnd_credit -= c->cwnd;
        c->cwnd += c->mss;
    }
}

static uint32_t half(const struct tcp_conn *c, uint32_t flight)
{
    return flight / 2 > 2u * c->mss ? flight / 2 : 2u * c->mss;
}

static void newreno_lost(struct tcp_conn *c, uint32_t flight)
{
    c->ssthresh = half(c, flight);
    c->cwnd = c->ssthresh; /* no inflation: recovery counts what is in the pipe */
    c->cwnd_credit = 0;
}

static void newreno_timeout(struct tcp_conn *c, uint32_t flight)
{
    if (c->retries <= 1) /* RFC 5681 equation 4: once, not for every back-off */
        c->ssthresh = half(c, flight);
    c->cwnd = c->mss;
    c->cwnd_credit = 0;
}

static void newreno_undo(struct tcp_conn *c)
{
    c->cwnd_credit = 0;
}

const struct tcp_cc tcp_newreno = {"newreno",    newreno_start,   newreno_acked,
                                   newreno_lost, newreno_timeout, newreno_undo};

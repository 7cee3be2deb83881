/* congestion.c: what every congestion control shares (initial window of RFC 6928, restart after idle time,
 * RFC 5681 section 4.1), and NewReno: slow start, congestion avoidance and the reaction to loss (RFC 5681
 * sections 3.1 and 3.2, byte counting of RFC 3465 with L = 2).
 *
 * Idle time. A window that was not used says nothing about the path any more, so after more than an RTO
 * without sending, at least the second that RFC 6298 (2.4) means by one, it falls to the restart window. A
 * server that is merely limited by its clients' requests must not pay for that: a connection that sends at
 * least once in that time keeps its window, however little of it it uses, and so does one whose window never
 * grew beyond the initial one. What falls is remembered: ssthresh becomes three quarters of the old window
 * (as RFC 7661 has it), so that slow start leads back in a few round trips.
 *
 * Validation (RFC 2861, RFC 7661): the window grows only on ACKs that arrive while it was what held data back
 * (CONN_CWND_LIMITED). pipeACK and the five minutes of RFC 7661 are skipped: they would let a burst of an old
 * window into a path that has been silent for minutes. */
#include "tcp/congestion.h"

enum { IDLE_LEAST_US = 1000000 };

static const struct tcp_cc *const rows[] = {[TCP_CC_NEWRENO] = &tcp_newreno, [TCP_CC_CUBIC] = &tcp_cubic};

static const struct tcp_cc *row(const struct tcp_conn *c)
{
    return rows[c->cong.algorithm];
}

const char *tcp_cc_name(const struct tcp_conn *c)
{
    return row(c)->name;
}

uint32_t tcp_initial_window(const struct tcp_conn *c)
{
    uint32_t most = 2u * c->mss > TCP_INITIAL_BYTES ? 2u * c->mss : TCP_INITIAL_BYTES;
    uint32_t ten = (uint32_t)TCP_INITIAL_WINDOW * c->mss;
    return ten < most ? ten : most;
}

void tcp_set_congestion_control(struct tcp_stack *s, enum tcp_cc_kind kind)
{
    s->conf.congestion_control = kind;
}

void tcp_cc_start(struct tcp_conn *c)
{
    c->cong = (struct tcp_cong){.algorithm = (uint8_t)c->stack->conf.congestion_control,
                                .ecn_recover = c->iss,
                                .sent_ms = c->last_rx_ms};
    c->cwnd = tcp_initial_window(c);
    c->ssthresh = UINT32_MAX;
    c->cwnd_credit = 0;
    row(c)->start(c);
}

void tcp_cc_acked(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us, uint64_t now_us)
{
    c->cong.sent_ms = (uint32_t)(now_us / 1000); /* the window was the limit: it was in use until now */
    if (!tcp_cwnd_ample(c))
        row(c)->acked(c, bytes, rtt_us, now_us);
}

/* RFC 3168 section 6.1.2: whatever the reason, the peer is told, and its marks of the same window do not
 * count again. */
static void reduced(struct tcp_conn *c)
{
    c->cong.ecn_recover = c->snd_nxt;
    if (c->flags & CONN_ECN)
        c->flags |= CONN_ECN_CWR;
}

void tcp_cc_lost(struct tcp_conn *c, uint32_t flight)
{
    row(c)->lost(c, flight);
    reduced(c);
}

void tcp_cc_timeout(struct tcp_conn *c, uint32_t flight)
{
    row(c)->timeout(c, flight);
    reduced(c);
}

void tcp_cc_undo(struct tcp_conn *c)
{
    row(c)->undo(c);
}

void tcp_cc_sending(struct tcp_conn *c, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    uint64_t rto = tcp_rto(c), idle = (uint64_t)(now_ms - c->cong.sent_ms) * 1000;
    uint32_t restart = tcp_initial_window(c);
    c->cong.sent_ms = now_ms;
    if (c->snd_nxt != c->snd_una || c->cwnd <= restart || idle <= (rto > IDLE_LEAST_US ? rto : IDLE_LEAST_US))
        return;
    uint32_t known = c->cwnd - c->cwnd / 4;
    if (c->ssthresh < known)
        c->ssthresh = known;
    c->cwnd = restart;
    row(c)->restarted(c);
    conn_count(c, COUNTER_tcp_idle_restarts);
}

/* -- NewReno */

static void newreno_forget(struct tcp_conn *c)
{
    c->cwnd_credit = 0;
}

static void newreno_acked(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us, uint64_t now_us)
{
    (void)rtt_us;
    (void)now_us;
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

const struct tcp_cc tcp_newreno = {"newreno",       newreno_forget, newreno_acked, newreno_lost,
                                   newreno_timeout, newreno_forget, newreno_forget};

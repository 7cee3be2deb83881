/* cubic.c: CUBIC (RFC 9438) with HyStart++ (RFC 9406) for the first slow start. C = 0.4, beta = 0.7, fast
 * convergence, the Reno-friendly region. Integers only; times in milliseconds, windows in bytes.
 *
 * Kept of an epoch: W_max, W_est, and d = t - K, the time relative to the plateau, which is all that equation
 * 1 needs of t and K. d moves only by the gaps between ACKs that came while the window was the limit, each
 * counted for at most a round trip and its spread: so time in which the application had nothing to send is
 * not in t (section 5.8).
 *
 * Choices and what is skipped:
 * - ssthresh and W_max are taken from min(cwnd, flight), not cwnd: a window that was not filled proves
 * nothing (section 4.6 allows cwnd only with a bound of this kind).
 * - cwnd_prior of section 4.3 is ssthresh / beta.
 * - After an undo (section 4.9) W_max is put back and the next ACK begins an epoch at the restored window:
 *   where equation 1 stands follows from W_max and cwnd, so K and t need not be kept.
 * - HyStart++ ends with the first slow start (RFC 9406 section 4.3 recommends it for that one). L = 8, as
 * this stack does not pace; later slow starts use 8 as well, 2 after a timeout (RFC 3465). */
#include "tcp/congestion.h"
#include "tcp/cubic.h"

enum cubic_mode {
    SLOW_START, /* HyStart++'s fields are valid */
    CONSERVATIVE,
    NO_EPOCH, /* CUBIC's fields are valid; the next ACK in congestion avoidance begins an epoch */
    EPOCH
};

enum { /* RFC 9406 section 4.3, times in microseconds */
       RTT_THRESH_MIN = 4000,
       RTT_THRESH_MAX = 16000,
       RTT_DIVISOR = 8,
       RTT_SAMPLES = 8,
       CSS_GROWTH_DIVISOR = 4,
       CSS_ROUNDS = 5,
       SLOW_START_LIMIT = 8
};

/* -- arithmetic */

uint32_t cubic_root(uint64_t v)
{
    uint64_t root = 0;
    for (unsigned bit = 22; bit-- > 0;) { /* the root of 64 bits has 22 */
        uint64_t next = root | 1ull << bit;
        if (next * next <= v / next)
            root = next;
    }
    return (uint32_t)root;
}

uint32_t cubic_k(uint32_t w_max, uint32_t cwnd, uint32_t mss)
{
    if (cwnd >= w_max)
        return 0;
    uint32_t k = cubic_root((uint64_t)(w_max - cwnd) * 2500000000u / mss); /* 1 / C = 2.5, (1000 ms)^3 */
    return k < CUBIC_SPAN ? k : CUBIC_SPAN;
}

uint32_t cubic_window(uint32_t w_max, int32_t d_ms, uint32_t mss)
{
    uint64_t away = (uint64_t)(d_ms < 0 ? -d_ms : d_ms);
    uint64_t delta = away * away * away / 1000 * mss * 4 / 10000000; /* C = 0.4, (1000 ms)^3 */
    if (d_ms < 0)
        return delta < w_max ? w_max - (uint32_t)delta : 0;
    return delta < UINT32_MAX - w_max ? w_max + (uint32_t)delta : UINT32_MAX;
}

/* -- slow start */

static void round_begins(struct tcp_conn *c)
{
    struct tcp_hystart *h = &c->cong.hystart;
    h->last_min_us = h->min_us;
    h->min_us = UINT32_MAX;
    c->cong.samples = 0;
    h->round_end = c->snd_nxt;
}

static void cubic_start(struct tcp_conn *c)
{
    c->cong.mode = SLOW_START;
    c->cong.hystart.min_us = UINT32_MAX;
    round_begins(c);
}

static bool delay_grew(const struct tcp_hystart *h)
{
    uint32_t threshold = h->last_min_us / RTT_DIVISOR;
    if (threshold < RTT_THRESH_MIN)
        threshold = RTT_THRESH_MIN;
    if (threshold > RTT_THRESH_MAX)
        threshold = RTT_THRESH_MAX;
    return h->last_min_us != UINT32_MAX && h->min_us >= h->last_min_us + threshold;
}

/* RFC 9406 section 4.2. */
static void hystart(struct tcp_conn *c, uint64_t rtt_us)
{
    struct tcp_hystart *h = &c->cong.hystart;
    if (rtt_us != NO_RTT) {
        h->min_us = rtt_us < h->min_us ? (uint32_t)rtt_us : h->min_us;
        c->cong.samples += c->cong.samples < RTT_SAMPLES;
    }
    if (c->cong.samples == RTT_SAMPLES && c->cong.mode == SLOW_START && delay_grew(h)) {
        h->baseline_us = h->min_us;
        c->cong.rounds = 0;
        c->cong.mode = CONSERVATIVE;
    } else if (c->cong.samples == RTT_SAMPLES && c->cong.mode == CONSERVATIVE && h->min_us < h->baseline_us) {
        c->cong.mode = SLOW_START; /* it was jitter */
    }
    if (seq_before(c->snd_una, h->round_end))
        return;
    round_begins(c);
    if (c->cong.mode == CONSERVATIVE && ++c->cong.rounds == CSS_ROUNDS) {
        c->ssthresh = c->cwnd;
        c->cong.cubic = (struct tcp_cubic){0}; /* W_max = 0: section 4.10, K = 0 */
        c->cong.mode = NO_EPOCH;
    }
}

static void slow_start(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us)
{
    uint32_t most = (c->flags & CONN_LOSS ? 2u : SLOW_START_LIMIT) * c->mss;
    uint32_t more = bytes < most ? bytes : most;
    if (c->cong.mode == CONSERVATIVE)
        more /= CSS_GROWTH_DIVISOR;
    c->cwnd += more < c->ssthresh - c->cwnd ? more : c->ssthresh - c->cwnd;
    if (c->cong.mode <= CONSERVATIVE)
        hystart(c, rtt_us);
}

/* -- congestion avoidance */

static void begin_epoch(struct tcp_conn *c, uint16_t now_ms)
{
    struct tcp_cubic *q = &c->cong.cubic;
    if (q->w_max < c->cwnd) /* also after a timeout or a slow start without loss: K = 0 */
        q->w_max = c->cwnd;
    q->from_plateau_ms = (int16_t) - (int32_t)cubic_k(q->w_max, c->cwnd, c->mss);
    q->last_ms = now_ms;
    q->w_est = c->cwnd;
    c->cwnd_credit = 0;
    c->cong.mode = EPOCH;
}

static void pass_time(struct tcp_conn *c, uint16_t now_ms)
{
    struct tcp_cubic *q = &c->cong.cubic;
    uint32_t most = (c->srtt_us + 4 * c->rttvar_us + TCP_DELAYED_ACK) / 1000;
    uint32_t gap = (uint16_t)(now_ms - q->last_ms);
    int32_t d = q->from_plateau_ms + (int32_t)(gap < most ? gap : most);
    q->from_plateau_ms = (int16_t)(d < CUBIC_SPAN ? d : CUBIC_SPAN);
    q->last_ms = now_ms;
}

/* Section 4.3: what Reno would have; alpha segments more for each window that is acknowledged, one more once
 * it is back where the last reduction was. */
static void estimate_reno(struct tcp_conn *c, uint32_t bytes)
{
    struct tcp_cubic *q = &c->cong.cubic;
    c->cwnd_credit += bytes;
    if (c->cwnd_credit < c->cwnd)
        return;
    c->cwnd_credit -= c->cwnd;
    bool back = (uint64_t)q->w_est * CUBIC_BETA_NUM >= (uint64_t)c->ssthresh * CUBIC_BETA_DEN;
    q->w_est += back ? c->mss : c->mss * CUBIC_ALPHA_NUM / CUBIC_ALPHA_DEN;
}

static void avoid(struct tcp_conn *c, uint32_t bytes, uint64_t now_us)
{
    struct tcp_cubic *q = &c->cong.cubic;
    uint16_t now_ms = (uint16_t)(now_us / 1000);
    if (c->cong.mode != EPOCH)
        begin_epoch(c, now_ms);
    else
        pass_time(c, now_ms);
    estimate_reno(c, bytes);
    if (cubic_window(q->w_max, q->from_plateau_ms, c->mss) < q->w_est) { /* the Reno-friendly region */
        if (c->cwnd < q->w_est)
            c->cwnd = q->w_est;
        return;
    }
    /* Sections 4.4 and 4.5: towards where the curve will be a round trip from now, by its half at most. */
    uint32_t rtt_ms = c->srtt_us / 1000 < CUBIC_SPAN ? c->srtt_us / 1000 : CUBIC_SPAN;
    uint32_t target = cubic_window(q->w_max, q->from_plateau_ms + (int32_t)rtt_ms, c->mss);
    uint32_t most = c->cwnd / 2, gap = target > c->cwnd ? target - c->cwnd : 0;
    c->cwnd += (uint32_t)((uint64_t)(gap < most ? gap : most) * bytes / c->cwnd);
}

static void cubic_acked(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us, uint64_t now_us)
{
    if (c->cwnd < c->ssthresh)
        slow_start(c, bytes, rtt_us);
    else
        avoid(c, bytes, now_us);
}

/* -- reductions */

/* W_max as it was; none while HyStart++'s fields stand in its place. */
static uint32_t last_max(const struct tcp_conn *c)
{
    return c->cong.mode <= CONSERVATIVE ? 0 : c->cong.cubic.w_max;
}

static uint32_t used_window(const struct tcp_conn *c, uint32_t flight)
{
    return flight < c->cwnd ? flight : c->cwnd;
}

static uint32_t reduced(const struct tcp_conn *c, uint32_t window)
{
    uint32_t to = (uint32_t)((uint64_t)window * CUBIC_BETA_NUM / CUBIC_BETA_DEN);
    return to > 2u * c->mss ? to : 2u * c->mss;
}

static void forget_epoch(struct tcp_conn *c, uint32_t w_max, uint32_t prior)
{
    c->cong.cubic = (struct tcp_cubic){.w_max = w_max, .prior_w_max = prior};
    c->cong.mode = NO_EPOCH;
    c->cwnd_credit = 0;
}

static void cubic_lost(struct tcp_conn *c, uint32_t flight)
{
    uint32_t window = used_window(c, flight), before = last_max(c);
    uint32_t w_max = window;
    if (window < before) /* fast convergence, section 4.7: leave room for a newcomer */
        w_max = (uint32_t)((uint64_t)window * (CUBIC_BETA_DEN + CUBIC_BETA_NUM) / (2 * CUBIC_BETA_DEN));
    c->ssthresh = reduced(c, window);
    c->cwnd = c->ssthresh;
    forget_epoch(c, w_max, before);
}

static void cubic_timeout(struct tcp_conn *c, uint32_t flight)
{
    if (c->retries <= 1) { /* once, not for every back-off */
        c->ssthresh = reduced(c, used_window(c, flight));
        forget_epoch(c, 0, last_max(c)); /* section 4.8: K = 0, W_max is where avoidance begins */
    }
    c->cwnd = c->mss;
}

static void cubic_undo(struct tcp_conn *c)
{
    if (c->ssthresh == UINT32_MAX)
        cubic_start(c);
    else if (c->cong.mode > CONSERVATIVE)
        forget_epoch(c, c->cong.cubic.prior_w_max, 0);
}

static void cubic_restarted(struct tcp_conn *c)
{
    if (c->cong.mode <= CONSERVATIVE)
        cubic_start(c);
    else
        c->cong.mode = NO_EPOCH;
}

const struct tcp_cc tcp_cubic = {"cubic",       cubic_start, cubic_acked,    cubic_lost,
                                 cubic_timeout, cubic_undo,  cubic_restarted};

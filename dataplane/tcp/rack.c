/* rack.c: loss detection by time (RACK) and tail loss probes (TLP), RFC 8985, for connections with SACK.
 *
 * A frame is lost when one that was sent after it has arrived and a round trip plus a reordering window has
 * passed since it left. The window is zero while the path has never reordered and three frames are sacked or
 * a repair goes on (the DupThresh rule), else a quarter of the shortest round trip, more after D-SACKs.
 *
 *   section 6.2 step 1  min_RTT       tcp_rack_delivered; the smoothed RTT is taken as an upper bound when
 * disorder begins, because the fast path has no cache line for a minimum filter step 2  RACK.segment
 * tcp_rack_delivered. Skipped while ACKs only come in order: frames leave in order, so nothing below a
 * cumulative ACK can be lost step 3  reordering    tcp_rack_delivered step 4  the window    window(),
 * tcp_rack_dsack(), tcp_rack_repaired() step 5  losses, timer tcp_rack_detect(), tcp_rack_timeout()
 *   section 6.3 RTO                   recovery.c
 *   section 7.2, 7.3 the probe        tcp_tail_due(), tcp_tail_probe(). TLP.max_ack_delay is 100 ms (delayed
 * ACKs of the systems in use: 25 to 100 ms). The rule of one round-trip measurement between probes is left to
 * TLP.end_seq: no probe while one is out. section 7.4 what it found         tcp_tail_ack()
 *
 * One wheel node a connection: the reordering timer is a field, the probe's deadline follows from when the
 * last frame left and the last ACK came, so that the fast path stores nothing for it. */
#include "tcp/congestion.h"
#include "tcp/conn.h"

/* RACK_sent_after: -1, 1: the frame left before or after RACK.segment; 0: nobody knows. A round of the worker
 * has one time for all it sends; then the sequence number decides, but not between a repair and a first
 * sending, which may have left in either order (then a quarter of a round trip has to pass). */
static int compare_with_rack(const struct tcp_conn *c, const struct tcp_frame *f)
{
    uint32_t xmit = (uint32_t)f->sent_us, end = f->seq + frame_span(f);
    if (xmit != c->rack_xmit)
        return seq_before(xmit, c->rack_xmit) ? -1 : 1;
    if (end == c->rack_end || !(f->flags & FRAME_RESENT) != !c->rack_resent)
        return 0;
    return seq_before(end, c->rack_end) ? -1 : 1;
}

void tcp_rack_begin(struct tcp_conn *c)
{
    c->fack = c->snd_una;
    c->rack_rtt = 0;
    if (c->srtt_us && (c->min_rtt == 0 || c->srtt_us < c->min_rtt))
        c->min_rtt = c->srtt_us;
}

/* Does the echo name a time before the frame's last sending? (The echo of a selective ACK always does.) */
static bool echo_is_older(const struct tcp_conn *c, const struct tcp_frame *f, const struct tcp_segment *seg)
{
    uint32_t sent_ts = (uint32_t)(f->sent_us / 1000) + c->ts_offset;
    return (c->flags & CONN_TS) && (seg->options & TCP_OPT_TS) && seq_before(seg->ts_ecr, sent_ts);
}

void tcp_rack_delivered(struct tcp_conn *c, const struct tcp_frame *f, const struct tcp_segment *seg,
                        uint64_t now_us)
{
    uint32_t xmit = (uint32_t)f->sent_us, rtt = (uint32_t)now_us - xmit;
    uint32_t end = f->seq + frame_span(f);
    if (rtt == 0)
        rtt = 1;
    /* Whose ACK is it, of a frame sent more than once? (step 2: timestamp echo, then min_RTT) That of an
     * original below fack is reordering too, if both agree: each alone may err. */
    bool resent = f->flags & FRAME_RESENT, older = resent && echo_is_older(c, f, seg);
    bool soon = resent && rtt < c->min_rtt;
    if (seq_after(end, c->fack))
        c->fack = end;
    else if (!resent || (soon && (older || !(c->flags & CONN_TS))))
        c->flags |= CONN_REORDERED;
    if (older || soon)
        return;
    if (!resent && (c->min_rtt == 0 || rtt < c->min_rtt))
        c->min_rtt = rtt;
    if (c->rack_rtt == 0 || compare_with_rack(c, f) > 0) {
        c->rack_xmit = xmit;
        c->rack_resent = resent;
        c->rack_end = end;
    }
    c->rack_rtt = rtt;
}

/* Step 4: a D-SACK says that the window was too small; at most one step a round trip. */
void tcp_rack_dsack(struct tcp_conn *c, bool seen)
{
    if (c->dsack_open && seq_from(c->snd_una, c->dsack_round))
        c->dsack_open = false;
    if (!seen || c->dsack_open)
        return;
    c->dsack_open = true;
    c->dsack_round = c->snd_nxt;
    c->reo_persist = TCP_REORDER_PERSIST;
    if (c->reo_mult < UINT8_MAX)
        c->reo_mult++;
}

void tcp_rack_repaired(struct tcp_conn *c)
{
    if (c->reo_persist && --c->reo_persist == 0)
        c->reo_mult = 0;
}

static uint32_t window(const struct tcp_conn *c)
{
    if (!(c->flags & CONN_REORDERED) && (conn_in_repair(c) || c->sacked >= TCP_DUPACKS))
        return 0;
    uint64_t wide = (uint64_t)c->min_rtt / 4 * (c->reo_mult + 1u);
    return wide < c->srtt_us ? (uint32_t)wide : c->srtt_us;
}

bool tcp_rack_detect(struct tcp_conn *c, uint64_t now_us)
{
    c->reorder_at = 0;
    if (c->rack_rtt == 0 || !(c->flags & CONN_SACK))
        return false;
    uint32_t narrow = c->rack_rtt + window(c), now = (uint32_t)now_us;
    uint32_t wide = c->rack_rtt + c->min_rtt / 4 > narrow ? c->rack_rtt + c->min_rtt / 4 : narrow;
    int32_t timeout = 0;
    unsigned steps = 0;
    bool found = false;
    for (struct rte_mbuf *m = c->tx_head; frame_in_flight(c, m) && steps < TCP_SCOREBOARD_STEPS;
         m = frame_of(m)->next, steps++) {
        struct tcp_frame *f = frame_of(m);
        if (frame_gone(f))
            continue;
        int order = compare_with_rack(c, f);
        if (order > 0 && !(f->flags & FRAME_RESENT))
            break; /* all that follow left later still */
        if (order > 0)
            continue;
        int32_t remaining = (int32_t)((uint32_t)f->sent_us + (order ? narrow : wide) - now);
        if (remaining <= 0) {
            tcp_frame_mark(c, f, FRAME_LOST, FRAME_REPAIRED);
            found = true;
        } else if (remaining > timeout) {
            timeout = remaining;
        }
    }
    count_add(c->stack->counters, COUNTER_tcp_scoreboard_steps, steps);
    if (timeout) {
        c->reorder_at = (now + (uint32_t)timeout) | 1u;
        tcp_arm(c, now_us + (uint32_t)timeout);
    }
    return found;
}

uint64_t tcp_reorder_due(const struct tcp_conn *c, uint64_t now_us)
{
    if (c->reorder_at == 0)
        return UINT64_MAX;
    int32_t left = (int32_t)(c->reorder_at - (uint32_t)now_us);
    return left > 0 ? now_us + (uint32_t)left : now_us;
}

void tcp_rack_timeout(struct tcp_conn *c, uint64_t now_us)
{
    uint32_t held = c->gone;
    if (!tcp_rack_detect(c, now_us))
        return;
    conn_count(c, COUNTER_tcp_reorder_timeouts);
    tcp_recovery_lost(c, held, 0, now_us);
    tcp_recovery_output(c, now_us);
}

/* -- tail loss probes */

static struct rte_mbuf *last_sent(const struct tcp_conn *c)
{
    if (!c->tx_send)
        return c->tx_tail;
    struct rte_mbuf *m = c->tx_head;
    while (m && frame_of(m)->next != c->tx_send)
        m = frame_of(m)->next;
    return m;
}

/* Section 7.2. The earlier of the probe's and the retransmission timer's time: a probe before the first
 * timeout in any case. */
uint64_t tcp_tail_due(const struct tcp_conn *c)
{
    const uint32_t not_now = CONN_RECOVERY | CONN_LOSS | CONN_PERSIST | CONN_TAIL_PROBE;
    if (!(c->flags & CONN_SACK) || (c->flags & not_now) || c->sacked || !conn_synchronized(c) ||
        c->rexmit_at == 0 || c->tx_head == c->tx_send)
        return UINT64_MAX;
    uint64_t last_ack = c->rexmit_at - tcp_rto(c), from = frame_of(last_sent(c))->sent_us;
    from = last_ack > from ? last_ack : from;
    uint64_t due = from + (c->srtt_us ? tcp_tail_timeout(c) : TCP_RTO_FIRST);
    if (frame_of(c->tx_head)->next == c->tx_send)
        due += TCP_TAIL_ACK_DELAY;
    return due < c->rexmit_at ? due : c->rexmit_at;
}

/* Section 7.3: new data if the peer's window has room, else the last frame again. */
void tcp_tail_probe(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_frame *fresh = c->tx_send ? frame_of(c->tx_send) : NULL;
    if (c->stack->port_full) {
        tcp_timer_waits(c, now_us);
        return;
    }
    conn_count(c, COUNTER_tcp_tail_probes);
    c->flags = (c->flags & ~(uint32_t)CONN_PROBE_RESENT) | CONN_TAIL_PROBE;
    if (fresh && frame_span(fresh) && c->snd_nxt - c->snd_una + frame_window(fresh) <= c->snd_wnd) {
        if (tcp_send_frame(c, c->tx_send, now_us)) {
            conn_count(c, COUNTER_client_writes);
            c->snd_nxt += frame_span(fresh);
            c->tx_send = fresh->next;
        }
    } else if (tcp_resend(c, last_sent(c), now_us)) {
        c->flags |= CONN_PROBE_RESENT;
    }
    c->recover = c->snd_nxt;
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

/* Section 7.4: has the probe repaired a loss that nothing else has noticed? */
void tcp_tail_ack(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_news *news)
{
    if (!(c->flags & CONN_TAIL_PROBE) || seq_before(seg->ack, c->recover))
        return;
    bool needless = news->dsack && news->dup.to == c->recover;
    bool plain = news->duplicate && !(seg->options & TCP_OPT_SACK);
    if ((c->flags & CONN_PROBE_RESENT) && !needless && !plain) {
        if (seg->ack == c->recover)
            return; /* its own ACK, or the original's: the next one tells */
        conn_count(c, COUNTER_tcp_tail_losses);
        tcp_cc_lost(c, news->flight);
    }
    c->flags &= ~(uint32_t)(CONN_TAIL_PROBE | CONN_PROBE_RESENT);
}

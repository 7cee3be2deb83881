/* recovery.c: repair: what happens once frames are known to be lost.
 *
 * With SACK, rack.c and scoreboard.c say what is lost and what has arrived; fast recovery sends at the rate
 * of proportional rate reduction (RFC 6937 with the conservative bound, and slow start's when an ACK advances
 * without new loss, as RFC 9937). NextSeg of RFC 6675: rule 1 (what is lost) and 2 (new data) here; 3 (holes
 * not yet deemed lost) and 4 (rescue of the tail) are not needed, since RACK marks both as soon as anything
 * sent later has arrived, the repairs themselves included. Without SACK each duplicate ACK stands for a
 * segment that has left (RFC 6582). After a retransmission timeout slow start sends again what was lost (RFC
 * 5681 section 3.1): with SACK the head and what RACK deems overdue (RFC 8985 section 6.3), without it all.
 */
#include "tcp/congestion.h"
#include "tcp/conn.h"

/* Bytes believed to be on their way (RFC 6675 SetPipe). */
static uint32_t in_pipe(const struct tcp_conn *c)
{
    uint32_t pipe = c->snd_nxt - c->snd_una - c->gone;
    uint32_t left = c->flags & CONN_SACK ? 0 : (uint32_t)c->dupacks * c->mss;
    return pipe > left ? pipe - left : 0;
}

bool tcp_resend(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us)
{
    if (!tcp_send_frame(c, m, now_us)) {
        c->late_head |= m == c->tx_head;
        tcp_unsent(c);
        return false;
    }
    tcp_frame_mark(c, frame_of(m), FRAME_RESENT | FRAME_REPAIRED, 0);
    c->retransmits++;
    conn_count(c, COUNTER_tcp_retransmits);
    if (conn_in_repair(c) && c->undo_resent < UINT16_MAX)
        c->undo_resent++;
    if (c->flags & CONN_RECOVERY)
        c->prr_out += frame_span(frame_of(m));
    if (m == c->tx_head) {
        c->rexmit_at = now_us + tcp_rto(c);
        tcp_arm(c, c->rexmit_at);
    }
    return true;
}

/* False: the pipe is full, or there was no frame to be had. */
static bool resend_lost(struct tcp_conn *c, uint64_t now_us)
{
    unsigned steps = 0;
    bool room = true;
    for (struct rte_mbuf *m = c->tx_head; c->lost && frame_in_flight(c, m); m = frame_of(m)->next, steps++) {
        const struct tcp_frame *f = frame_of(m);
        if (!frame_gone(f) || (f->flags & FRAME_SACKED))
            continue;
        uint32_t pipe = in_pipe(c);
        room = (pipe == 0 || pipe + frame_span(f) <= c->cwnd) && tcp_resend(c, m, now_us);
        if (!room)
            break;
    }
    count_add(c->stack->counters, COUNTER_tcp_scoreboard_steps, steps);
    return room;
}

/* Lost frames first, new ones if there is room left in window and pipe. */
void tcp_recovery_output(struct tcp_conn *c, uint64_t now_us)
{
    bool only_new = c->frto == FRTO_SECOND_ACK; /* RFC 5682 section 3.1, step 2b */
    bool room = only_new || resend_lost(c, now_us);
    while (room && c->tx_send) {
        struct tcp_frame *f = frame_of(c->tx_send);
        uint32_t span = frame_span(f), pipe = in_pipe(c);
        if (span == 0 || (pipe && pipe + span > c->cwnd) ||
            c->snd_nxt - c->snd_una + frame_window(f) > c->snd_wnd)
            break;
        if (!tcp_send_frame(c, c->tx_send, now_us)) {
            tcp_unsent(c);
            break;
        }
        conn_count(c, COUNTER_client_writes);
        c->snd_nxt += span;
        c->tx_send = f->next;
        if (c->flags & CONN_RECOVERY)
            c->prr_out += span;
    }
    if (c->rexmit_at == 0 && c->snd_nxt != c->snd_una) {
        c->rexmit_at = now_us + tcp_rto(c);
        tcp_arm(c, c->rexmit_at);
    }
}

/* RFC 3042: a new segment for each of the first two duplicate ACKs; on a path that reorders, for everything
 * the peer holds (RFC 4653), or a reordering window would be time without sending. */
uint32_t tcp_limited_transmit(const struct tcp_conn *c)
{
    uint32_t two = (c->dupacks < 2 ? c->dupacks : 2u) * c->mss;
    return c->flags & CONN_REORDERED && c->gone > two ? c->gone : two;
}

/* RFC 6937 section 3.1: the window follows what arrives. more_lost: this ACK named a further loss. */
static void proportional_rate(struct tcp_conn *c, uint32_t delivered, bool safe)
{
    uint32_t pipe = in_pipe(c);
    int64_t send;
    c->prr_delivered += delivered;
    if (delivered == 0 && c->prr_out)
        return;
    if (pipe > c->ssthresh) {
        send = (int64_t)(((uint64_t)c->prr_delivered * c->ssthresh + c->recover_fs - 1) / c->recover_fs) -
               c->prr_out;
    } else {
        send = (int64_t)c->prr_delivered - c->prr_out;
        send = send > delivered ? send : delivered;
        send += safe ? c->mss : 0;
        send = send < (int64_t)c->ssthresh - pipe ? send : (int64_t)c->ssthresh - pipe;
    }
    if (c->prr_out == 0 && send < c->mss)
        send = c->mss; /* the first repair goes out at once */
    c->cwnd = pipe + (send > 0 ? (uint32_t)send : 0);
    if (c->cwnd < c->mss)
        c->cwnd = c->mss;
}

static void enter(struct tcp_conn *c, uint64_t now_us)
{
    tcp_spurious_save(c, false);
    c->recover = c->snd_nxt;
    c->flags = (c->flags & ~(uint32_t)(CONN_TAIL_PROBE | CONN_PROBE_RESENT)) | CONN_RECOVERY;
    tcp_cc_lost(c, c->snd_nxt - c->snd_una);
    conn_count(c, COUNTER_tcp_fast_recoveries);
    c->prr_delivered = c->prr_out = 0;
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

/* held: bytes the peer held beyond holes when this was noticed. */
void tcp_recovery_lost(struct tcp_conn *c, uint32_t held, uint32_t delivered, uint64_t now_us)
{
    if (conn_in_repair(c))
        return;
    enter(c, now_us);
    c->recover_fs = c->snd_nxt - c->snd_una - held + delivered; /* RFC 9937 section 6.2 */
    if (c->recover_fs == 0)
        c->recover_fs = 1;
    proportional_rate(c, delivered, false);
}

/* All marks of loss go: nothing is to be repaired any more. */
void tcp_repair_end(struct tcp_conn *c)
{
    for (struct rte_mbuf *m = c->tx_head; frame_in_flight(c, m); m = frame_of(m)->next)
        tcp_frame_mark(c, frame_of(m), 0, FRAME_LOST | FRAME_REPAIRED);
    c->flags &= ~(uint32_t)(CONN_RECOVERY | CONN_LOSS);
    c->frto = FRTO_OFF;
    c->dupacks = 0;
}

/* Everything that was out when the repair began has arrived. */
static void complete(struct tcp_conn *c)
{
    if ((c->flags & (CONN_RECOVERY | CONN_SACK)) == (CONN_RECOVERY | CONN_SACK))
        c->cwnd = c->ssthresh;
    if (c->flags & CONN_SACK) {
        tcp_rack_repaired(c);
        c->flags &= ~(uint32_t)(CONN_RECOVERY | CONN_LOSS);
        c->frto = FRTO_OFF;
    } else {
        tcp_repair_end(c);
    }
}

/* -- with SACK */

static void sack_ack(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_news *news,
                     uint64_t now_us)
{
    if (c->flags & CONN_LOSS && news->acked)
        tcp_cc_acked(c, news->acked, NO_RTT, now_us);
    if (conn_in_repair(c) && seq_from(c->snd_una, c->recover))
        complete(c);
    tcp_spurious_dsack(c, news);
    tcp_tail_ack(c, seg, news);
    tcp_frto_ack(c, news);
    uint32_t held = c->gone;
    bool lost = (news->delivered || c->reorder_at) && tcp_rack_detect(c, now_us);
    if (!conn_in_repair(c) && c->lost)
        tcp_recovery_lost(c, held, news->delivered, now_us);
    else if (c->flags & CONN_RECOVERY)
        proportional_rate(c, news->delivered, news->acked && !lost);
    if (news->acked)
        c->dupacks = 0;
    else if ((news->duplicate || news->sacked) && c->dupacks < UINT16_MAX)
        c->dupacks++;
    c->flags &= ~(uint32_t)CONN_DUPACKED;
    if (c->sacked || c->dupacks)
        c->flags |= CONN_DUPACKED;
    if (c->tx_head != c->tx_send)
        tcp_arm(c, now_us + tcp_tail_timeout(c));
}

/* -- without */

static void mark_head(struct tcp_conn *c)
{
    if (frame_in_flight(c, c->tx_head))
        tcp_frame_mark(c, frame_of(c->tx_head), FRAME_LOST, FRAME_REPAIRED);
}

/* New data were acknowledged while repairs went on. */
static void progress(struct tcp_conn *c, uint32_t acked, uint64_t now_us)
{
    if (c->flags & CONN_LOSS)
        tcp_cc_acked(c, acked, NO_RTT, now_us);
    if (seq_from(c->snd_una, c->recover)) {
        complete(c);
        c->flags &= ~(uint32_t)CONN_DUPACKED;
    } else if (c->flags & CONN_RECOVERY) { /* partial ACK: the next hole (RFC 6582 section 3.2, step 3) */
        uint32_t left = acked / c->mss;
        c->dupacks = (uint16_t)(c->dupacks + 1u > left ? c->dupacks + 1u - left : 0);
        mark_head(c);
    }
}

static void reno_ack(struct tcp_conn *c, const struct tcp_news *news, uint64_t now_us)
{
    if (news->acked && conn_in_repair(c)) {
        progress(c, news->acked, now_us);
    } else if (news->acked) {
        c->dupacks = 0;
        c->flags &= ~(uint32_t)CONN_DUPACKED;
    } else if (news->duplicate && c->dupacks < INT16_MAX) {
        c->dupacks++;
        c->flags |= CONN_DUPACKED;
    }
    /* Duplicates of what go-back-N sent twice must not start a recovery (RFC 6582 section 4). */
    if (conn_in_repair(c) || c->dupacks < TCP_DUPACKS || c->snd_nxt == c->snd_una ||
        c->recover - c->snd_una <= c->snd_nxt - c->snd_una) /* in flight still, not 2^31 bytes ago */
        return;
    enter(c, now_us);
    mark_head(c);
    tcp_resend(c, c->tx_head, now_us); /* the first goes out whatever the pipe holds */
}

void tcp_recovery_ack(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_news *news,
                      uint64_t now_us)
{
    if (c->flags & CONN_SACK)
        sack_ack(c, seg, news, now_us);
    else
        reno_ack(c, news, now_us);
}

/* -- the timer */

/* RFC 8985 section 6.3, and RFC 2018 section 8: a peer that holds the head selectively but does not
 * acknowledge it has thrown away what it held. */
static void mark_after_timeout(struct tcp_conn *c, uint64_t now_us)
{
    bool reneged = frame_of(c->tx_head)->flags & FRAME_SACKED, all = !(c->flags & CONN_SACK) || reneged;
    uint64_t patience = c->rack_rtt ? c->rack_rtt + c->min_rtt / 4 : c->srtt_us;
    if (reneged)
        conn_count(c, COUNTER_tcp_reneged);
    for (struct rte_mbuf *m = c->tx_head; frame_in_flight(c, m); m = frame_of(m)->next) {
        struct tcp_frame *f = frame_of(m);
        if (all || m == c->tx_head || (!(f->flags & FRAME_SACKED) && f->sent_us + patience <= now_us))
            tcp_frame_mark(c, f, FRAME_LOST, FRAME_REPAIRED | FRAME_SACKED);
    }
}

void tcp_recovery_timeout(struct tcp_conn *c, uint64_t now_us)
{
    bool fresh = !conn_in_repair(c);
    if (fresh)
        tcp_spurious_save(c, true);
    if (fresh && c->sacked == 0)
        tcp_rack_begin(c);
    mark_after_timeout(c, now_us);
    /* F-RTO unless fast recovery has sent again what its ACKs would be about. */
    bool judge = (c->flags & CONN_SACK) && (fresh || ((c->flags & CONN_LOSS) && c->frto == FRTO_FIRST_ACK));
    c->frto = judge ? FRTO_FIRST_ACK : FRTO_OFF;
    c->dupacks = 0;
    c->recover = c->snd_nxt;
    c->reorder_at = 0;
    c->flags &= ~(uint32_t)(CONN_RECOVERY | CONN_DUPACKED | CONN_TAIL_PROBE | CONN_PROBE_RESENT);
    c->flags |= CONN_LOSS;
    tcp_cc_timeout(c, c->snd_nxt - c->snd_una);
    if (in_pipe(c)) /* the head goes out whatever else is believed to be on its way */
        tcp_resend(c, c->tx_head, now_us);
    tcp_recovery_output(c, now_us);
}

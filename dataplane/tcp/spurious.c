/* spurious.c: repairs that were not needed, and what is given back then.
 *
 * - D-SACK: every segment that a repair has sent again is reported as a duplicate (RFC 2883, used as in RFC
 * 3708 section 2, for timeouts and fast recoveries): window and threshold are as before the repair.
 * - F-RTO with SACK (RFC 5682 section 3.1) for timeouts: after the first ACK that advances, two new segments
 * go out instead of repairs; if the next ACK is about data sent once and before the timeout, the timeout was
 *   spurious. Step 1 is in tcp_recovery_timeout. Skipped: the variant without SACK; a timeout within fast
 *   recovery is not judged. The response is that of RFC 4015 section 3: threshold as before, the window lets
 * out what has left plus at most an initial window. Its step (10), a more conservative RTO, happens by
 * itself: the late ACKs of frames sent once are round-trip samples. */
#include "tcp/congestion.h"
#include "tcp/conn.h"

void tcp_spurious_save(struct tcp_conn *c, bool timeout)
{
    c->undo_timeout = timeout;
    c->prior_cwnd = c->cwnd;
    c->prior_ssthresh = c->ssthresh;
    c->undo_from = c->snd_una;
    c->undo_resent =
        c->flags & CONN_PROBE_RESENT ? 1 : 0; /* a tail probe's duplicate is not mistaken for ours */
}

static void undo(struct tcp_conn *c, uint32_t cwnd, uint32_t ssthresh)
{
    if (conn_in_repair(c))
        tcp_repair_end(c);
    if (c->cwnd < cwnd)
        c->cwnd = cwnd;
    if (c->ssthresh < ssthresh)
        c->ssthresh = ssthresh;
    c->prior_cwnd = 0;
    tcp_cc_undo(c);
}

void tcp_spurious_dsack(struct tcp_conn *c, const struct tcp_news *news)
{
    bool probe = (c->flags & CONN_PROBE_RESENT) && news->dsack && news->dup.to == c->recover;
    tcp_rack_dsack(c, news->dsack && !probe);
    if (!news->dsack || probe || c->prior_cwnd == 0 || c->undo_resent == 0 ||
        seq_before(news->dup.from, c->undo_from))
        return;
    uint32_t frames = (news->dup.to - news->dup.from + c->mss - 1) / c->mss;
    c->undo_resent = (uint16_t)(frames < c->undo_resent ? c->undo_resent - frames : 0);
    if (c->undo_resent)
        return;
    conn_count(c, COUNTER_tcp_spurious_repairs);
    if (!c->undo_timeout) /* nothing was lost, so what looked like it was late */
        c->flags |= CONN_REORDERED;
    undo(c, c->prior_cwnd, c->prior_ssthresh);
}

static bool may_send_new(const struct tcp_conn *c)
{
    const struct tcp_frame *f = c->tx_send ? frame_of(c->tx_send) : NULL;
    return f && frame_span(f) && c->snd_nxt - c->snd_una + frame_window(f) <= c->snd_wnd;
}

void tcp_frto_ack(struct tcp_conn *c, const struct tcp_news *news)
{
    uint32_t flight = c->snd_nxt - c->snd_una;
    if (c->frto == FRTO_FIRST_ACK && news->acked) { /* step 2; 2a, all acknowledged, has ended the repair */
        c->frto = may_send_new(c) ? FRTO_SECOND_ACK : FRTO_OFF;
        if (c->frto == FRTO_SECOND_ACK)
            c->cwnd = flight - c->gone + 2u * c->mss;
    } else if (c->frto == FRTO_SECOND_ACK && news->original) { /* step 3b */
        uint32_t initial = (uint32_t)TCP_INITIAL_WINDOW * c->mss;
        uint32_t out = flight + (news->delivered < initial ? news->delivered : initial);
        conn_count(c, COUNTER_tcp_spurious_rto);
        undo(c, out < c->prior_cwnd ? out : c->prior_cwnd,
             c->prior_ssthresh > c->prior_cwnd ? c->prior_ssthresh : c->prior_cwnd);
    } else if (c->frto == FRTO_SECOND_ACK && (news->acked || news->delivered || news->duplicate)) { /* 3a */
        c->frto = FRTO_OFF;
        c->cwnd = c->cwnd < 3u * c->mss ? c->cwnd : 3u * c->mss;
    }
}

/* ack.c: the ACK field of a segment (RFC 9293 section 3.10.7.4, fifth step; RFC 5961 section 5) and what it
 * moves: the send queue, the windows, round-trip time and retransmission timer (RFC 6298 section 5, with
 * Karn's rules; RFC 7323 section 4.3 for TS.Recent, taken only from a segment whose ACK is acceptable). */
#include "tcp/congestion.h"
#include "tcp/conn.h"
#include "tcp/ecn.h"

/* RFC 5961 section 7 asks for a limit; a limit a connection, because a shared one can be measured from
 * outside (CVE-2016-5696). */
void tcp_challenge_ack(struct tcp_conn *c, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    if (now_ms - c->challenge_ms < TCP_CHALLENGE_GAP_MS) {
        conn_count(c, COUNTER_tcp_challenge_limited);
        return;
    }
    c->challenge_ms = now_ms;
    conn_count(c, COUNTER_tcp_challenge_acks);
    tcp_send_ack(c, now_us);
}

/* Is all acknowledged that there is, one frame that was sent once? */
static inline bool acks_only_frame(const struct tcp_conn *c, uint32_t ack)
{
    const struct rte_mbuf *m = c->tx_head;
    if (c->tx_frames != 1 || c->tx_send)
        return false;
    const struct tcp_frame *f = frame_of(m);
    return !f->flags && f->seq + f->len == ack;
}

/* Its round-trip time. */
static inline uint64_t only_frame_acked(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_stack *s = c->stack;
    struct rte_mbuf *m = c->tx_head;
    uint64_t rtt = now_us - frame_of(m)->sent_us;
    c->tx_head = c->tx_tail = NULL;
    c->tx_frames = 0;
    s->queued--;
    tcp_frame_free(s, m);
    return rtt;
}

void tcp_ack_advance(struct tcp_conn *c, uint32_t ack, uint64_t now_us)
{
    uint32_t acked = ack - c->snd_una;
    uint64_t rtt = likely(acks_only_frame(c, ack)) ? only_frame_acked(c, now_us) : tcp_queue_acked(c, ack, now_us);
    if (unlikely(ack < c->snd_una))
        c->tx_wraps++;
    c->snd_una = ack;
    if (rtt != NO_RTT)
        tcp_rtt_sample(c, rtt);
    if (c->snd_una == c->snd_nxt) {
        c->rexmit_at = 0;
    } else {
        c->rexmit_at = now_us + tcp_rto(c);
        tcp_arm(c, c->rexmit_at);
    }
    if (c->flags & CONN_CWND_LIMITED) {
        c->flags &= ~(uint32_t)CONN_CWND_LIMITED;
        if (!(c->flags & (CONN_RECOVERY | CONN_LOSS)))
            tcp_cc_acked(c, acked, rtt, now_us);
    }
    if (c->flags & CONN_WANT_WRITE)
        tcp_queue_room(c);
}

/* RFC 9293: SND.WL1/WL2 keep an old segment from moving the window. Here ack >= snd_una >= SND.WL2 always. */
static bool take_window(struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (seq_before(seg->seq, c->snd_wl1))
        return false;
    uint32_t window = (uint32_t)seg->window << c->snd_wscale;
    bool changed = window != c->snd_wnd;
    c->snd_wnd = window;
    c->snd_wl1 = seg->seq;
    if (window > c->snd_wnd_max)
        c->snd_wnd_max = window;
    return changed;
}

/* RFC 7323 section 4.3, once the segment is known to be acceptable (its timestamp is not old, step_timestamp)
 */
void tcp_take_timestamp(struct tcp_conn *c, const struct tcp_segment *seg)
{
    if ((c->flags & CONN_TS) && seq_upto(seg->seq, c->last_ack_sent))
        c->ts_recent = seg->ts_val;
}

uint32_t tcp_echo_age_ms(const struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    return c->flags & CONN_TS ? (uint32_t)(now_us / 1000) + c->ts_offset - seg->ts_ecr : UINT32_MAX;
}

/* Karn's second rule (RFC 6298 section 5): what was backed off stays so until a round trip is measured: by a
 * frame sent once (tcp_ack_advance), or by an echo of the head's last repetition. (An older echo may also be
 * that of an ACK that repeats a lost one, and tells nothing.) */
static void keep_backoff(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    uint32_t echo_ms = tcp_echo_age_ms(c, seg, now_us);
    c->flags |= CONN_BACKED_OFF;
    if (echo_ms <= (now_us - frame_of(c->tx_head)->sent_us) / 1000 + 1)
        tcp_rtt_sample(c, (uint64_t)echo_ms * 1000 + 1000);
}

bool tcp_ack_input(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (seq_after(seg->ack, c->snd_nxt) || seq_before(seg->ack, c->snd_una - c->snd_wnd_max)) {
        tcp_challenge_ack(c, now_us); /* for what was never sent, or too old: RFC 5961 section 5.2 */
        return false;
    }
    tcp_take_timestamp(c, seg);
    c->retries = 0; /* the peer lives, even if its window stays closed */
    if (seq_before(seg->ack, c->snd_una))
        return true; /* overtaken: its text is still welcome */
    if (unlikely(seg->flags & TCP_ECE) && (c->flags & CONN_ECN))
        tcp_ecn_echoed(c, seg);
    struct tcp_news news;
    tcp_scoreboard_read(c, seg, &news, now_us);
    bool window_changed = take_window(c, seg);
    news.duplicate = news.acked == 0 && news.flight && seg->payload == 0 && !(seg->flags & TCP_FIN) &&
                     !window_changed; /* RFC 5681 section 2 */
    if (news.acked) {
        if (c->backoff)
            keep_backoff(c, seg, now_us);
        tcp_ack_advance(c, seg->ack, now_us);
    }
    tcp_recovery_ack(c, seg, &news, now_us);
    return true;
}

/* recovery.c: which frames are lost and when they go out again. Fast recovery with SACK counts what is in the
 * pipe (RFC 6675 sections 3 to 5, without its rules 3 and 4 of NextSeg); without SACK each duplicate ACK
 * stands for a segment that has left (RFC 6582); after a retransmission timeout everything in flight counts
 * as lost and slow start sends it again (RFC 5681 section 3.1). Scoreboard: a flag a frame. RACK-TLP (RFC
 * 8985) will mark frames by sent_us here and change nothing else. */
#include "tcp/congestion.h"
#include "tcp/conn.h"

/* The frames from tx_head up to the first one never sent. */
static bool in_flight(const struct tcp_conn *c, const struct rte_mbuf *m)
{
    return m && m != c->tx_send;
}

static bool in_repair(const struct tcp_conn *c)
{
    return c->flags & (CONN_RECOVERY | CONN_LOSS);
}

/* Marks what the peer holds; true if that is news. */
static bool take_sack(struct tcp_conn *c, const struct tcp_segment *seg)
{
    bool news = false;
    for (unsigned i = 0; i < seg->sacks; i++) {
        struct tcp_range r = seg->sack[i];
        if (!seq_before(r.from, r.to) || seq_before(r.from, c->snd_una) || seq_after(r.to, c->snd_nxt))
            continue; /* nonsense, or old (a D-SACK, RFC 2883) */
        for (struct rte_mbuf *m = c->tx_head; in_flight(c, m); m = frame_of(m)->next) {
            struct tcp_frame *f = frame_of(m);
            if (seq_from(f->seq, r.to))
                break;
            if ((f->flags & FRAME_SACKED) || seq_before(f->seq, r.from) ||
                seq_after(f->seq + frame_span(f), r.to))
                continue;
            f->flags |= FRAME_SACKED;
            c->sacked++;
            news = true;
        }
    }
    return news;
}

/* RFC 6675 IsLost: three frames above it have arrived. True if any frame is newly lost. */
static bool mark_lost(struct tcp_conn *c)
{
    uint32_t above = c->sacked;
    bool news = false;
    for (struct rte_mbuf *m = c->tx_head; in_flight(c, m); m = frame_of(m)->next) {
        struct tcp_frame *f = frame_of(m);
        if (above < TCP_DUPACKS)
            break;
        if (f->flags & FRAME_SACKED) {
            above--;
        } else if (!(f->flags & FRAME_LOST)) {
            f->flags |= FRAME_LOST;
            news = true;
        }
    }
    return news;
}

static void mark_head(struct tcp_conn *c)
{
    if (in_flight(c, c->tx_head))
        frame_of(c->tx_head)->flags |= FRAME_LOST;
}

/* Bytes believed to be on their way (RFC 6675 SetPipe). */
static uint32_t in_pipe(const struct tcp_conn *c)
{
    uint32_t pipe = 0, left = c->flags & CONN_SACK ? 0 : c->dupacks * c->mss;
    for (struct rte_mbuf *m = c->tx_head; in_flight(c, m); m = frame_of(m)->next) {
        const struct tcp_frame *f = frame_of(m);
        bool gone = (f->flags & FRAME_SACKED) || (f->flags & (FRAME_LOST | FRAME_REPAIRED)) == FRAME_LOST;
        pipe += gone ? 0 : frame_span(f);
    }
    return pipe > left ? pipe - left : 0;
}

static bool resend(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us)
{
    if (!tcp_send_frame(c, m, now_us)) {
        tcp_starve(c);
        return false;
    }
    frame_of(m)->flags |= FRAME_RESENT | FRAME_REPAIRED;
    c->retransmits++;
    conn_count(c, COUNTER_tcp_retransmits);
    return true;
}

/* Lost frames first, new ones if there is room left in window and pipe. */
void tcp_recovery_output(struct tcp_conn *c, uint64_t now_us)
{
    uint32_t pipe = in_pipe(c);
    for (struct rte_mbuf *m = c->tx_head; in_flight(c, m); m = frame_of(m)->next) {
        const struct tcp_frame *f = frame_of(m);
        if ((f->flags & (FRAME_LOST | FRAME_REPAIRED | FRAME_SACKED)) != FRAME_LOST)
            continue;
        if (pipe && pipe + frame_span(f) > c->cwnd)
            return;
        if (!resend(c, m, now_us))
            return;
        pipe += frame_span(f);
    }
    while (c->tx_send) {
        struct tcp_frame *f = frame_of(c->tx_send);
        uint32_t span = frame_span(f);
        if (span == 0 || (pipe && pipe + span > c->cwnd) ||
            c->snd_nxt - c->snd_una + frame_window(f) > c->snd_wnd)
            break;
        if (!tcp_send_frame(c, c->tx_send, now_us)) {
            tcp_starve(c);
            break;
        }
        pipe += span;
        c->snd_nxt += span;
        c->tx_send = f->next;
    }
    if (c->rexmit_at == 0 && c->snd_nxt != c->snd_una) {
        c->rexmit_at = now_us + tcp_rto(c);
        tcp_arm(c, c->rexmit_at);
    }
}

static void enter(struct tcp_conn *c, uint64_t now_us)
{
    c->recover = c->snd_nxt;
    c->flags |= CONN_RECOVERY;
    tcp_cc_lost(c, c->snd_nxt - c->snd_una);
    mark_head(c);
    conn_count(c, COUNTER_tcp_fast_recoveries);
    if (in_flight(c, c->tx_head) && !(frame_of(c->tx_head)->flags & FRAME_SACKED))
        resend(c, c->tx_head, now_us); /* the first goes out whatever the pipe holds */
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

static void leave(struct tcp_conn *c)
{
    for (struct rte_mbuf *m = c->tx_head; in_flight(c, m); m = frame_of(m)->next)
        frame_of(m)->flags &= (uint8_t) ~(FRAME_LOST | FRAME_REPAIRED);
    c->flags &= ~(uint32_t)(CONN_RECOVERY | CONN_LOSS | CONN_DUPACKED);
    c->dupacks = 0;
}

/* New data were acknowledged while repairs went on. */
static void progress(struct tcp_conn *c, uint32_t acked, uint64_t now_us)
{
    if (c->flags & CONN_LOSS)
        tcp_cc_acked(c, acked, NO_RTT, now_us);
    if (seq_from(c->snd_una, c->recover)) {
        leave(c);
    } else if (!(c->flags & (CONN_LOSS | CONN_SACK))) { /* partial ACK: the next hole (RFC 6582 section 3.2, step 3) */
        uint32_t left = acked / c->mss;
        c->dupacks = c->dupacks + 1 > left ? c->dupacks + 1 - left : 0;
        mark_head(c);
    }
}

void tcp_recovery_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint32_t acked, bool duplicate,
                      uint64_t now_us)
{
    bool sack = (c->flags & CONN_SACK) && (seg->options & TCP_OPT_SACK);
    bool news = sack && take_sack(c, seg);
    if (acked && in_repair(c)) {
        progress(c, acked, now_us);
    } else if (acked) {
        c->dupacks = 0;
        c->flags &= ~(uint32_t)CONN_DUPACKED;
    } else if (duplicate || news) {
        c->dupacks++;
        c->flags |= CONN_DUPACKED;
    }
    bool lost = c->sacked >= TCP_DUPACKS && mark_lost(c);
    /* Without SACK, duplicates of what go-back-N sent twice must not start a recovery (RFC 6582 section 4).
     */
    bool dups = c->dupacks >= TCP_DUPACKS && (sack || seq_after(c->snd_una, c->recover));
    if (!in_repair(c) && c->snd_nxt != c->snd_una && (lost || dups))
        enter(c, now_us);
}

void tcp_recovery_timeout(struct tcp_conn *c, uint64_t now_us)
{
    uint32_t flight = c->snd_nxt - c->snd_una;
    for (struct rte_mbuf *m = c->tx_head; in_flight(c, m);
         m = frame_of(m)->next) { /* the peer may have thrown away what it had (RFC 2018 section 8) */
        struct tcp_frame *f = frame_of(m);
        f->flags = (uint8_t)((f->flags & ~(FRAME_SACKED | FRAME_REPAIRED)) | FRAME_LOST);
    }
    c->sacked = 0;
    c->dupacks = 0;
    c->recover = c->snd_nxt;
    c->flags = (c->flags & ~(uint32_t)(CONN_RECOVERY | CONN_DUPACKED)) | CONN_LOSS;
    tcp_cc_timeout(c, flight);
    tcp_recovery_output(c, now_us);
}

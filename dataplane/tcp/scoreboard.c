/* scoreboard.c: what an ACK tells of the frames in flight: selective acknowledgements (RFC 2018, 6675 section
 * 4) and reports of duplicates (RFC 2883), and the same reports on our side. The scoreboard is three flags a
 * frame; how many carry them, and how many bytes are therefore not on their way, is counted along, so that
 * nobody has to walk the queue to know what is in the pipe.
 *
 * Work for one ACK is bounded, whatever its blocks say: at most four blocks, sorted, are compared with the
 * queue in one walk; a second walk looks for losses only if the first found news, a third sends again only if
 * something is lost. Each ends after TCP_SCOREBOARD_STEPS frames: what lies beyond waits until the head has
 * moved (blocks are advisory). tcp_scoreboard_steps counts the frames looked at. */
#include "tcp/conn.h"

void tcp_frame_mark(struct tcp_conn *c, struct tcp_frame *f, unsigned set, unsigned clear)
{
    bool was_sacked = f->flags & FRAME_SACKED, was_gone = frame_gone(f);
    bool was_lost = was_gone && !was_sacked;
    f->flags = (uint8_t)((f->flags & ~clear) | set);
    bool sacked = f->flags & FRAME_SACKED, gone = frame_gone(f);
    bool lost = gone && !sacked;
    c->sacked = (uint16_t)(c->sacked + sacked - was_sacked);
    c->lost = (uint16_t)(c->lost + lost - was_lost);
    c->gone += (gone ? frame_span(f) : 0) - (was_gone ? frame_span(f) : 0);
}

void tcp_report_duplicate(struct tcp_conn *c, uint32_t from, uint32_t to)
{
    if (!(c->flags & CONN_SACK))
        return;
    struct tcp_range *r = &c->stack->dsack.range;
    if (c->stack->dsack.conn == c && r->to == from) { /* the segment came in several buffers */
        r->to = to;
        return;
    }
    c->stack->dsack.conn = c;
    *r = (struct tcp_range){from, to};
}

static bool inside(const struct tcp_range *r, const struct tcp_range *outer)
{
    return seq_from(r->from, outer->from) && seq_upto(r->to, outer->to);
}

/* RFC 2883 section 4: the first block is a duplicate if it lies below the ACK or inside the second. One that
 * lies below anything we can have sent again, or is absurdly long, is noise. */
static void read_dsack(struct tcp_conn *c, const struct tcp_segment *seg, struct tcp_news *news)
{
    const struct tcp_range *r = &seg->sack[0];
    bool old = seq_upto(r->to, seg->ack);
    if (!seq_before(r->from, r->to) || seq_after(r->to, c->snd_nxt) ||
        seq_before(r->from, c->snd_una - c->snd_wnd_max))
        return;
    if (!old && (seg->sacks < 2 || !inside(r, &seg->sack[1])))
        return;
    news->dsack = true;
    news->dup = *r;
    conn_count(c, COUNTER_tcp_dsack_in);
}

/* Sound blocks above the ACK, ascending. */
static unsigned sorted_blocks(const struct tcp_conn *c, const struct tcp_segment *seg, struct tcp_range *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < seg->sacks; i++) {
        struct tcp_range r = seg->sack[i];
        if (!seq_before(r.from, r.to) || seq_before(r.from, seg->ack) || seq_after(r.to, c->snd_nxt))
            continue; /* nonsense, or a duplicate */
        unsigned at = n++;
        for (; at && seq_after(out[at - 1].from, r.from); at--)
            out[at] = out[at - 1];
        out[at] = r;
    }
    return n;
}

static void deliver(struct tcp_conn *c, struct tcp_frame *f, const struct tcp_segment *seg,
                    struct tcp_news *news, uint64_t now_us)
{
    news->delivered += frame_span(f);
    if (!(f->flags & FRAME_RESENT) && seq_upto(f->seq + frame_span(f), c->recover))
        news->original = true;
    tcp_rack_delivered(c, f, seg, now_us);
}

/* One walk from the head: what the ACK covers, then what its blocks cover. */
static void walk(struct tcp_conn *c, const struct tcp_segment *seg, const struct tcp_range *block,
                 unsigned blocks, struct tcp_news *news, uint64_t now_us)
{
    unsigned steps = 0, at = 0;
    for (struct rte_mbuf *m = c->tx_head; frame_in_flight(c, m); m = frame_of(m)->next) {
        struct tcp_frame *f = frame_of(m);
        uint32_t end = f->seq + frame_span(f);
        bool acked = seq_upto(end, seg->ack);
        while (!acked && at < blocks && seq_after(end, block[at].to))
            at++; /* an earlier block may reach further, but then the peer is not honest */
        if (!acked && (at == blocks || steps >= TCP_SCOREBOARD_STEPS))
            break;
        steps++;
        if ((f->flags & FRAME_SACKED) || (!acked && seq_before(f->seq, block[at].from)))
            continue;
        deliver(c, f, seg, news, now_us);
        if (!acked) {
            tcp_frame_mark(c, f, FRAME_SACKED, FRAME_LOST | FRAME_REPAIRED);
            news->sacked = true;
        }
    }
    count_add(c->stack->counters, COUNTER_tcp_scoreboard_steps, steps);
}

void tcp_scoreboard_read(struct tcp_conn *c, const struct tcp_segment *seg, struct tcp_news *news,
                         uint64_t now_us)
{
    *news = (struct tcp_news){.acked = seg->ack - c->snd_una, .flight = c->snd_nxt - c->snd_una};
    if (!(c->flags & CONN_SACK)) {
        news->delivered = news->acked;
        return;
    }
    struct tcp_range block[TCP_SACK_BLOCKS];
    bool blocks = (seg->options & TCP_OPT_SACK) && seg->sacks;
    if (blocks)
        read_dsack(c, seg, news);
    unsigned n = blocks ? sorted_blocks(c, seg, block) : 0;
    bool quiet = !(c->flags & (CONN_RECOVERY | CONN_LOSS | CONN_DUPACKED));
    if (quiet && (n || news->acked)) /* what it knew may be 2^31 bytes or microseconds old */
        tcp_rack_begin(c);
    if (news->acked || n)
        walk(c, seg, block, n, news, now_us);
    if (news->delivered < news->acked && c->sacked == 0)
        news->delivered = news->acked; /* a part of a frame */
}

/* queue.c: the send queue: payload is written in place in the frame it will leave in, one segment a frame,
 * and kept until it is acknowledged.
 *
 *     tx_head ──► [sent]──►[sent]──►[to send]──►[being filled] ◄── tx_tail
 *                                    ▲ tx_send
 *
 * What a frame holds is noted at the start of its buffer (struct tcp_frame), because the driver and net move
 * data_off and the lengths.
 *
 * Bounded three times: bytes a connection, frames a connection (so that a peer which does not acknowledge
 * cannot pin a buffer for each small reply), and a share of the pool's quarter that all connections have.
 *
 * Bytes: tx_limit, but twice the congestion window if that is more (a window in flight, and one at hand when
 * the ACKs come), up to tx_limit_max: only a connection whose peer has shown that it acknowledges that much
 * holds that much.
 *
 * Share: a connection may hold as many frames as are free, so nobody holds more than half. Once half is in
 * use, a quarter of what is free and no more than may be under way. (Dynamic thresholds, Choudhury and Hahne
 * 1998: whoever comes next finds something, however many do not acknowledge.) Who has his share hears
 * TCP_WRITABLE when something of it is acknowledged.
 *
 * Who has none may have one frame beyond the quarter, as long as received frames leave that much of their
 * half: the last quarter of the pool stays for ACKs and the receive ring, or no acknowledgement would ever
 * free a frame. A message to more subscribers than there are frames waits in their sessions; they come by
 * turns (pool.c). */
#include "tcp/conn.h"

enum { FRAMES_MOST = UINT16_MAX - 1 }; /* tx_frames counts in 16 bits */

uint32_t tcp_queue_end(const struct tcp_conn *c)
{
    if (!c->tx_tail)
        return c->snd_nxt;
    const struct tcp_frame *f = frame_of(c->tx_tail);
    return f->seq + frame_span(f);
}

static inline __attribute__((always_inline)) struct rte_mbuf *frame_new(struct tcp_conn *c, uint32_t seq)
{
    struct rte_mbuf *m = tcp_frame_raw(c->stack);
    if (likely(m))
        *frame_of(m) = (struct tcp_frame){.seq = seq, .off = TCP_FRAME_START};
    return m;
}

static struct rte_mbuf *append_frame(struct tcp_conn *c)
{
    struct rte_mbuf *m = frame_new(c, tcp_queue_end(c));
    if (!m)
        return NULL;
    if (c->tx_tail)
        frame_of(c->tx_tail)->next = m;
    else
        c->tx_head = m;
    c->tx_tail = m;
    if (!c->tx_send)
        c->tx_send = m;
    c->tx_frames++;
    c->stack->queued++;
    return m;
}

static uint16_t tail_room(const struct tcp_conn *c)
{
    if (!c->tx_send)
        return 0; /* the tail has been sent */
    const struct tcp_frame *f = frame_of(c->tx_tail);
    return f->len < c->mss ? (uint16_t)(c->mss - f->len) : 0;
}

size_t tcp_tx_unacked(const struct tcp_conn *c)
{
    return tcp_queue_end(c) - c->snd_una;
}

static uint32_t byte_limit(const struct tcp_conn *c)
{
    const struct tcp_stack *s = c->stack;
    if (likely(c->cwnd <= s->conf.tx_limit / 2))
        return s->conf.tx_limit;
    uint32_t most = s->conf.tx_limit_max / 2 > c->cwnd ? 2 * c->cwnd : s->conf.tx_limit_max;
    return most > s->conf.tx_limit ? most : s->conf.tx_limit;
}

static uint32_t frame_limit(const struct tcp_conn *c, uint32_t bytes)
{
    if (likely(bytes == c->stack->conf.tx_limit))
        return c->stack->frames_max;
    uint32_t frames = 2 * (bytes / TCP_MSS_DEFAULT4) + 32;
    return frames < FRAMES_MOST ? frames : FRAMES_MOST;
}

/* May it have its only frame? */
static inline bool first_frame(const struct tcp_stack *s)
{
    return likely(s->queued < s->queued_max) || s->queued + s->held < s->queued_max + s->held_max;
}

bool tcp_queue_share(const struct tcp_conn *c)
{
    const struct tcp_stack *s = c->stack;
    uint32_t left = s->queued_max > s->queued ? s->queued_max - s->queued : 0;
    if (c->tx_frames == 0)
        return first_frame(s);
    if (likely(left >= s->queued_max / 2))
        return c->tx_frames < left;
    uint32_t way = c->cwnd < c->snd_wnd ? c->cwnd : c->snd_wnd;
    return c->tx_frames < left / 4 && tcp_tx_unacked(c) < 2ull * way;
}

void tcp_set_send_buffer(struct tcp_stack *s, uint32_t bytes)
{
    s->conf.tx_limit_max = bytes > s->conf.tx_limit ? bytes : s->conf.tx_limit;
}

/* Nothing is queued, as is usual: the first frame. NULL if there is none to be had. */
static inline uint8_t *reserve_first(struct tcp_conn *c, size_t *room)
{
    struct tcp_stack *s = c->stack;
    struct rte_mbuf *m = first_frame(s) ? frame_new(c, c->snd_nxt) : NULL;
    if (unlikely(!m))
        return NULL;
    c->tx_head = c->tx_tail = c->tx_send = m;
    c->tx_frames = 1;
    s->queued++;
    *room = c->mss < s->conf.tx_limit ? c->mss : s->conf.tx_limit;
    return (uint8_t *)m->buf_addr + TCP_FRAME_START;
}

uint8_t *tcp_tx_reserve(struct tcp_conn *c, size_t *room)
{
    if (likely(!c->tx_tail && c->state == TCP_STATE_ESTABLISHED && !(c->flags & CONN_ORPHAN))) {
        uint8_t *first = reserve_first(c, room);
        if (likely(first))
            return first;
    }
    if ((c->state != TCP_STATE_ESTABLISHED && c->state != TCP_STATE_CLOSE_WAIT) || (c->flags & CONN_ORPHAN)) {
        if (c->state != TCP_STATE_CLOSED && !conn_synchronized(c))
            c->flags |= CONN_WANT_WRITE; /* it comes with TCP_OPENED */
        return NULL;
    }
    uint32_t queued = (uint32_t)tcp_tx_unacked(c);
    uint32_t limit = c->stack->conf.tx_limit;
    uint16_t space = tail_room(c);
    if (unlikely(queued >= limit || (space == 0 && c->tx_frames >= c->stack->frames_max))) {
        limit = byte_limit(c);
        if (queued >= limit || (space == 0 && c->tx_frames >= frame_limit(c, limit))) {
            c->flags |= CONN_WANT_WRITE;
            return NULL;
        }
    }
    if (space == 0) {
        bool share = likely(c->tx_frames == 0) ? first_frame(c->stack) : tcp_queue_share(c);
        if (unlikely(!share || !append_frame(c))) {
            c->flags |= CONN_WANT_WRITE;
            if (share) {
                tcp_starve(c);
            } else {
                conn_count(c, COUNTER_tcp_share_waits);
                tcp_shed_soon(c->stack);
                if (c->tx_frames == 0)
                    tcp_take_turn(c);
            }
            return NULL;
        }
        space = c->mss;
    }
    uint32_t left = limit - queued;
    struct tcp_frame *f = frame_of(c->tx_tail);
    *room = space < left ? space : left;
    assert((size_t)f->off + f->len + *room <= c->tx_tail->buf_len);
    return (uint8_t *)c->tx_tail->buf_addr + f->off + f->len;
}

void tcp_tx_commit(struct tcp_conn *c, size_t n)
{
    if (n == 0)
        return;
    struct tcp_frame *f = frame_of(c->tx_tail);
    assert(c->tx_send && f->len + n <= c->mss);
    f->len += (uint16_t)n;
}

void tcp_want_write(struct tcp_conn *c)
{
    c->flags |= CONN_WANT_WRITE;
    tcp_queue_room(c);
}

void tcp_queue_room(struct tcp_conn *c)
{
    if (!(c->flags & CONN_WANT_WRITE) || (c->flags & CONN_IN_STARVED))
        return;
    uint32_t limit = byte_limit(c);
    if (tcp_tx_unacked(c) > limit - limit / 4 || c->tx_frames >= frame_limit(c, limit))
        return;
    if (!tcp_queue_share(c)) {
        if (c->tx_frames == 0)
            tcp_take_turn(c);
        return;
    }
    c->flags &= ~(uint32_t)CONN_WANT_WRITE;
    tcp_raise(c, TCP_WRITABLE);
}

void tcp_queue_fin(struct tcp_conn *c)
{
    if (!c->tx_send && !append_frame(c)) {
        c->flags |= CONN_FIN_WANTED;
        tcp_starve(c);
        return;
    }
    c->flags &= ~(uint32_t)CONN_FIN_WANTED;
    frame_of(c->tx_tail)->flags |= FRAME_FIN;
}

bool tcp_queue_split(struct tcp_conn *c, uint16_t len)
{
    struct rte_mbuf *rest = c->tx_send;
    struct tcp_frame *f = frame_of(rest);
    assert(rest == c->tx_head && len && len < f->len);
    struct rte_mbuf *first = frame_new(c, f->seq);
    if (!first) {
        conn_count(c, COUNTER_mbuf_exhausted);
        return false;
    }
    struct tcp_frame *g = frame_of(first);
    memcpy((uint8_t *)first->buf_addr + g->off, (const uint8_t *)rest->buf_addr + f->off, len);
    g->len = len;
    g->next = rest;
    f->seq += len;
    f->len -= len;
    /* To the front again: more may be written behind it, up to a full segment. Nobody else holds it yet. */
    memmove((uint8_t *)rest->buf_addr + f->off, (const uint8_t *)rest->buf_addr + f->off + len, f->len);
    c->tx_head = c->tx_send = first;
    c->tx_frames++;
    c->stack->queued++;
    return true;
}

uint64_t tcp_queue_acked(struct tcp_conn *c, uint32_t ack, uint64_t now_us)
{
    uint64_t rtt = NO_RTT;
    struct rte_mbuf *m = c->tx_head;
    while (m && m != c->tx_send) {
        struct tcp_frame *f = frame_of(m);
        if (seq_after(f->seq + frame_span(f), ack))
            break;
        if (!(f->flags & (FRAME_RESENT | FRAME_SACKED)))
            rtt = now_us - f->sent_us;
        if (unlikely(f->flags & (FRAME_SACKED | FRAME_LOST)))
            tcp_frame_mark(c, f, 0, FRAME_SACKED | FRAME_LOST | FRAME_REPAIRED);
        struct rte_mbuf *next = f->next;
        tcp_frame_free(c->stack, m);
        c->tx_frames--;
        c->stack->queued--;
        m = next;
    }
    c->tx_head = m;
    if (!m) {
        c->tx_tail = NULL;
    } else if (m != c->tx_send && seq_after(ack, frame_of(m)->seq)) { /* a part of a segment */
        struct tcp_frame *f = frame_of(m);
        uint16_t n = (uint16_t)(ack - f->seq);
        c->gone -= frame_gone(f) ? n : 0;
        f->seq += n;
        f->off += n;
        f->len -= n;
    }
    return rtt;
}

void tcp_queue_drop(struct tcp_conn *c)
{
    for (struct rte_mbuf *m = c->tx_head, *next; m; m = next) {
        next = frame_of(m)->next;
        rte_pktmbuf_free_seg(m);
    }
    c->stack->queued -= c->tx_frames;
    c->tx_head = c->tx_tail = c->tx_send = NULL;
    c->tx_frames = 0;
    c->sacked = c->lost = 0;
    c->gone = 0;
}

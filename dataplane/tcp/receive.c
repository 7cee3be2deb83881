/* receive.c: segment text: the in-order queue that the user reads, and reassembly of what lies beyond a hole
 * (RFC 9293 section 3.10.7.4, seventh step; SACK blocks of RFC 2018 section 4: the latest first, the others
 * by number; the order in which they were reported last is not kept).
 *
 * Frames are kept as they came. So that small segments cannot pin a whole buffer each: from TCP_PACK_FRAMES
 * unread frames on, a segment that fits behind the last one is copied there; beyond a hole, likewise at once.
 * Frames held over all connections are bounded by half the pool: then a connection may hold two, the rest is
 * dropped and the peer sends it again. */
#include "tcp/conn.h"

static uint32_t seq_of(const struct rte_mbuf *m)
{
    return m->hash.usr;
}

static uint32_t end_of(const struct rte_mbuf *m)
{
    return m->hash.usr + m->data_len;
}

static void cut_front(struct rte_mbuf *m, uint32_t n)
{
    m->data_off = (uint16_t)(m->data_off + n);
    m->data_len = (uint16_t)(m->data_len - n);
    m->hash.usr += n;
}

static bool may_hold(const struct tcp_conn *c)
{
    return c->stack->held < c->stack->held_max || c->rx_frames + c->ooo_frames < 2;
}

static bool pack(struct rte_mbuf *tail, struct rte_mbuf *m)
{
    if (rte_pktmbuf_tailroom(tail) < m->data_len || !RTE_MBUF_DIRECT(tail) || rte_mbuf_refcnt_read(tail) != 1)
        return false;
    memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), rte_pktmbuf_mtod(m, uint8_t *),
           m->data_len);
    tail->data_len += m->data_len;
    rte_pktmbuf_free_seg(m);
    return true;
}

static void advance(struct tcp_conn *c, uint32_t n)
{
    uint32_t before = c->rcv_nxt;
    c->rcv_nxt += n;
    if (unlikely(c->rcv_nxt < before))
        c->rx_wraps++;
}

bool tcp_receive_append(struct tcp_conn *c, struct rte_mbuf *m)
{
    uint32_t len = m->data_len;
    bool full = unlikely(!may_hold(c));
    if (c->rx_tail && (c->rx_frames >= TCP_PACK_FRAMES || full) && pack(c->rx_tail, m)) {
        m = NULL;
    } else if (full) {
        conn_count(c, COUNTER_tcp_drop_memory);
        rte_pktmbuf_free_seg(m);
        return false;
    } else {
        m->next = NULL;
        if (c->rx_tail)
            c->rx_tail->next = m;
        else
            c->rx_head = m;
        c->rx_tail = m;
        c->rx_frames++;
        c->stack->held++;
    }
    c->rx_unread += len;
    advance(c, len);
    return true;
}

static void ooo_free(struct tcp_conn *c, struct rte_mbuf *m)
{
    c->ooo_frames--;
    c->stack->held--;
    rte_pktmbuf_free_seg(m);
}

/* Inserts [seq, end) of m, keeping the list free of overlap. */
static void ooo_insert(struct tcp_conn *c, struct rte_mbuf *m)
{
    struct rte_mbuf **link = &c->ooo, *prev = NULL;
    while (*link && seq_upto(seq_of(*link), seq_of(m))) {
        prev = *link;
        link = &prev->next;
    }
    if (prev && seq_after(end_of(prev), seq_of(m))) {
        uint32_t overlap = end_of(prev) - seq_of(m);
        tcp_report_duplicate(c, seq_of(m), seq_min(end_of(prev), end_of(m)));
        if (overlap >= m->data_len) {
            rte_pktmbuf_free_seg(m);
            return;
        }
        cut_front(m, overlap);
    }
    while (*link && seq_upto(end_of(*link), end_of(m))) { /* covered by the new one */
        struct rte_mbuf *covered = *link;
        tcp_report_duplicate(c, seq_of(covered), end_of(covered));
        *link = covered->next;
        ooo_free(c, covered);
    }
    if (*link && seq_before(seq_of(*link), end_of(m))) {
        tcp_report_duplicate(c, seq_of(*link), end_of(m));
        m->data_len = (uint16_t)(seq_of(*link) - seq_of(m));
    }
    if (prev && end_of(prev) == seq_of(m) && pack(prev, m))
        return;
    if (c->ooo_frames >= c->stack->conf.out_of_order || !may_hold(c)) {
        conn_count(c, COUNTER_tcp_drop_memory);
        rte_pktmbuf_free_seg(m);
        return;
    }
    m->next = *link;
    *link = m;
    c->ooo_frames++;
    c->stack->held++;
}

/* What is now in order moves over. */
static void ooo_drain(struct tcp_conn *c)
{
    while (c->ooo && seq_upto(seq_of(c->ooo), c->rcv_nxt)) {
        struct rte_mbuf *m = c->ooo;
        uint32_t old = c->rcv_nxt - seq_of(m);
        c->ooo = m->next;
        if (old >= m->data_len) {
            ooo_free(c, m);
            continue;
        }
        c->ooo_frames--;
        c->stack->held--;
        cut_front(m, old);
        if (!tcp_receive_append(c, m))
            break;
    }
}

static void receive_piece(struct tcp_conn *c, struct rte_mbuf *m)
{
    if (seq_of(m) != c->rcv_nxt) {
        c->ooo_last = seq_of(m);
        ooo_insert(c, m);
    } else if (tcp_receive_append(c, m) && c->ooo) {
        ooo_drain(c);
        c->flags |= CONN_ACK_NOW; /* RFC 5681 section 4.2: at once when a hole is filled */
    }
    if (c->ooo)
        c->flags |= CONN_HOLES;
    else
        c->flags &= ~(uint32_t)CONN_HOLES;
}

void tcp_receive(struct tcp_conn *c, struct rte_mbuf *m, uint32_t skip, uint32_t seq, uint32_t len)
{
    uint32_t first = seq;
    if (seq_before(seq, c->rcv_nxt)) { /* a part is old */
        uint32_t old = c->rcv_nxt - seq;
        if (old > len)
            old = len;
        skip += old;
        len -= old;
        seq += old;
    }
    if (seq_after(seq + len, c->rcv_adv)) /* a part is beyond the window */
        len = seq_before(seq, c->rcv_adv) ? c->rcv_adv - seq : 0;
    if (c->flags & CONN_ORPHAN) { /* nobody will read it */
        if (seq == c->rcv_nxt)
            advance(c, len);
        rte_pktmbuf_free(m);
        return;
    }
    if (seq != first)
        tcp_report_duplicate(c, first, seq);
    if (len && seq != c->rcv_nxt)
        conn_count(c, COUNTER_tcp_out_of_order);
    while (m) {
        struct rte_mbuf *next = m->next;
        uint32_t away = skip < m->data_len ? skip : m->data_len;
        uint32_t take = m->data_len - away < len ? m->data_len - away : len;
        m->next = NULL;
        m->nb_segs = 1;
        if (take == 0) {
            rte_pktmbuf_free_seg(m);
        } else {
            cut_front(m, away);
            m->data_len = (uint16_t)take;
            m->hash.usr = seq;
            receive_piece(c, m);
        }
        skip -= away;
        len -= take;
        seq += take;
        m = next;
    }
}

static void forget_peek(const struct tcp_conn *c)
{
    if (c->stack->peeked.conn == c)
        c->stack->peeked.conn = NULL;
}

void tcp_receive_drop(struct tcp_conn *c)
{
    forget_peek(c);
    for (struct rte_mbuf *m = c->rx_head, *next; m; m = next) {
        next = m->next;
        c->stack->held--;
        rte_pktmbuf_free_seg(m);
    }
    for (struct rte_mbuf *m = c->ooo, *next; m; m = next) {
        next = m->next;
        ooo_free(c, m);
    }
    c->rx_head = c->rx_tail = c->ooo = NULL;
    c->rx_unread = 0;
    c->rx_frames = 0;
    c->flags &= ~(uint32_t)CONN_HOLES;
}

unsigned tcp_receive_ranges(const struct tcp_conn *c, struct tcp_range *out, unsigned n)
{
    unsigned count = 0;
    for (const struct rte_mbuf *m = c->ooo; m;) {
        struct tcp_range r = {seq_of(m), end_of(m)};
        while ((m = m->next) && seq_of(m) == r.to)
            r.to = end_of(m);
        bool latest = seq_upto(r.from, c->ooo_last) && seq_after(r.to, c->ooo_last);
        if (latest && count) { /* to the front; the last of the others falls out if there are too many */
            unsigned keep = count < n ? count : n - 1;
            memmove(out + 1, out, keep * sizeof *out);
            out[0] = r;
            count = keep + 1;
        } else if (count < n) {
            out[count++] = r;
        }
    }
    return count;
}

/* -- what the user calls */

struct slice tcp_rx_peek(const struct tcp_conn *c, size_t offset)
{
    struct tcp_stack *s = c->stack;
    const struct rte_mbuf *m = c->rx_head;
    size_t start = 0;
    if (m && offset < m->data_len)
        return (struct slice){rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), m->data_len - offset};
    if (s->peeked.conn == c && offset >= s->peeked.start) {
        m = s->peeked.frame;
        start = s->peeked.start;
    }
    while (m && offset - start >= m->data_len) {
        start += m->data_len;
        m = m->next;
    }
    if (!m)
        return (struct slice){NULL, 0};
    if (start) {
        s->peeked.conn = c;
        s->peeked.frame = m;
        s->peeked.start = start;
    }
    offset -= start;
    return (struct slice){rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), m->data_len - offset};
}

size_t tcp_rx_available(const struct tcp_conn *c)
{
    return c->rx_unread;
}

/* Of several frames, or a part. */
static void consume_some(struct tcp_conn *c, size_t n)
{
    if (n > c->rx_unread)
        n = c->rx_unread;
    c->rx_unread -= (uint32_t)n;
    while (n) {
        struct rte_mbuf *m = c->rx_head;
        if (n < m->data_len) {
            cut_front(m, (uint32_t)n);
            break;
        }
        n -= m->data_len;
        c->rx_head = m->next;
        c->rx_frames--;
        c->stack->held--;
        m->next = NULL;
        tcp_frame_free(c->stack, m);
    }
    if (!c->rx_head)
        c->rx_tail = NULL;
}

/* All that there is, and it is one frame. */
static inline void consume_only(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    struct rte_mbuf *m = c->rx_head;
    c->rx_head = c->rx_tail = NULL;
    c->rx_unread = 0;
    c->rx_frames = 0;
    s->held--;
    tcp_frame_free(s, m);
}

void tcp_rx_consume(struct tcp_conn *c, size_t n, uint64_t now_us)
{
    (void)now_us;
    forget_peek(c);
    if (likely(c->rx_frames == 1 && n == c->rx_unread && n))
        consume_only(c);
    else
        consume_some(c, n);
    /* Does the window open by enough to say so? (RFC 9293 section 3.8.6.2.2) */
    int32_t opened = (int32_t)(c->rcv_nxt + tcp_receive_window(c) - c->rcv_adv);
    bool wide = opened >= (int32_t)(2u * c->mss) || opened >= (int32_t)(c->stack->conf.rx_window / 2);
    if (unlikely(wide) && conn_synchronized(c) && !(c->flags & CONN_RX_FIN)) {
        c->flags |= CONN_ACK_NOW;
        tcp_round_add(c);
    }
}

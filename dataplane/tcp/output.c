/* output.c: segments of a connection on their way out (RFC 9293 sections 3.8.6 and 3.10.7, RFC 7323 sections
 * 2.3 and 3.2, RFC 2018 section 4). Replies are never held back for company (no Nagle): a cache's client is
 * waiting. */
#include "tcp/congestion.h"
#include "tcp/conn.h"
#include "tcp/ecn.h"

/* The window field: the right edge moves only by steps worth saying (receiver's side of the silly window
 * syndrome, RFC 9293 section 3.8.6.2.2) and never back. */
static inline __attribute__((always_inline)) uint16_t announce_window(struct tcp_conn *c)
{
    uint32_t edge = c->rcv_nxt + tcp_receive_window(c);
    uint32_t half = c->stack->conf.rx_window / 2;
    int32_t opened = (int32_t)(edge - c->rcv_adv);
    if (opened > 0 && (uint32_t)opened >= (c->mss < half ? c->mss : half))
        c->rcv_adv = edge;
    uint32_t window = (c->rcv_adv - c->rcv_nxt) >> c->rcv_wscale;
    return window > UINT16_MAX ? UINT16_MAX : (uint16_t)window;
}

static uint32_t timestamp(const struct tcp_conn *c, uint64_t now_us)
{
    return (uint32_t)(now_us / 1000) + c->ts_offset;
}

static struct rte_mbuf *empty_frame(struct tcp_stack *s)
{
    struct rte_mbuf *m = tcp_frame_alloc(s);
    if (unlikely(!m))
        count_one(s->counters, COUNTER_mbuf_exhausted);
    return m;
}

void tcp_send_bare(struct tcp_stack *s, struct net_path *path, const struct tcp_tuple *t,
                   struct tcp_segment *seg, uint64_t now_us)
{
    struct rte_mbuf *m = empty_frame(s);
    if (!m)
        return;
    uint8_t h[TCP_HEADER_MAX];
    seg->src_port = t->local_port;
    seg->dst_port = t->remote_port;
    unsigned header = tcp_header_write(h, seg);
    memcpy(rte_pktmbuf_append(m, (uint16_t)header), h, header);
    count_one(s->counters, COUNTER_tcp_segments_out);
    count_one(s->counters, COUNTER_tcp_bare_out);
    net_send_tcp(s->nif, path, m, (uint16_t)header, 0, 0, now_us);
}

/* Everything that is not in the send queue: control segments. */
static void send_control(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now_us)
{
    tcp_send_bare(c->stack, c->path, &c->tuple, seg, now_us);
}

static void acknowledged(struct tcp_conn *c)
{
    c->last_ack_sent = c->rcv_nxt;
    c->unacked_in = 0;
    c->flags &= ~(uint32_t)(CONN_ACK_NOW | CONN_DELACK);
}

static void send_empty(struct tcp_conn *c, uint32_t seq, uint64_t now_us)
{
    struct tcp_segment seg = {.seq = seq, .ack = c->rcv_nxt, .flags = TCP_ACK, .window = announce_window(c)};
    unsigned dup = c->stack->dsack.conn == c;
    if (c->flags & CONN_TS) {
        seg.options |= TCP_OPT_TS;
        seg.ts_val = timestamp(c, now_us);
        seg.ts_ecr = c->ts_recent;
    }
    if (c->flags & CONN_ECN_ECHO)
        seg.flags |= TCP_ECE;
    if (c->ooo && (c->flags & CONN_SACK)) {
        seg.options |= TCP_OPT_SACK;
        seg.sacks = (uint8_t)tcp_receive_ranges(c, seg.sack + dup, TCP_SACK_BLOCKS - dup);
    }
    if (unlikely(dup)) { /* RFC 2883: the duplicate first */
        seg.options |= TCP_OPT_SACK;
        seg.sack[0] = c->stack->dsack.range;
        seg.sacks++;
        c->stack->dsack.conn = NULL;
        conn_count(c, COUNTER_tcp_dsack_out);
    }
    send_control(c, &seg, now_us);
    acknowledged(c);
}

void tcp_send_ack(struct tcp_conn *c, uint64_t now_us)
{
    send_empty(c, c->snd_nxt, now_us);
}

/* An old sequence number makes the peer say where it stands: window probe and keepalive in one (RFC 9293
 * section 3.8.4; for a closed window it tells as much as a byte would, and nothing has to be taken back). */
void tcp_send_probe(struct tcp_conn *c, uint64_t now_us)
{
    conn_count(c, COUNTER_tcp_probes);
    send_empty(c, c->snd_una - 1, now_us);
}

void tcp_send_syn(struct tcp_conn *c, uint64_t now_us)
{
    bool answer = c->state == TCP_STATE_SYN_RECEIVED;
    uint32_t offer = answer ? c->flags : CONN_TS | CONN_SACK | CONN_WSCALE;
    unsigned overhead = TCP_HEADER + (ip_is_v4(&c->tuple.remote) ? 20 : 40);
    uint32_t window = tcp_receive_window(c);
    struct tcp_segment seg = {
        .seq = c->iss,
        .flags = answer ? TCP_SYN | TCP_ACK : TCP_SYN,
        .window = window > UINT16_MAX ? UINT16_MAX : (uint16_t)window, /* never scaled in a SYN */
        .options = TCP_OPT_MSS,
        .mss = (uint16_t)(net_path_mtu(c->path) - overhead),
    };
    seg.flags |= tcp_ecn_offer(c);
    if (answer) {
        seg.ack = c->rcv_nxt;
        c->last_ack_sent = c->rcv_nxt;
        c->rcv_adv = c->rcv_nxt + seg.window;
    }
    if (offer & CONN_TS) {
        seg.options |= TCP_OPT_TS;
        seg.ts_val = timestamp(c, now_us);
        seg.ts_ecr = answer ? c->ts_recent : 0;
    }
    if (offer & CONN_SACK)
        seg.options |= TCP_OPT_SACK_OK;
    if (offer & CONN_WSCALE) {
        seg.options |= TCP_OPT_WSCALE;
        seg.wscale = c->stack->rcv_wscale;
    }
    send_control(c, &seg, now_us);
}

void tcp_send_rst(struct tcp_conn *c, uint64_t now_us)
{
    struct tcp_segment seg = {.seq = c->snd_nxt, .ack = c->rcv_nxt, .flags = TCP_RST | TCP_ACK};
    if (c->flags & CONN_TS) { /* RFC 7323 section 3.2: should be there too */
        seg.options = TCP_OPT_TS;
        seg.ts_val = timestamp(c, now_us);
        seg.ts_ecr = c->ts_recent;
    }
    conn_count(c, COUNTER_tcp_resets_out);
    send_control(c, &seg, now_us);
}

static bool rst_allowed(struct tcp_stack *s, uint64_t now_us)
{
    uint64_t earned = (now_us - s->rst_refill_us) * TCP_RST_RATE / 1000000;
    if (earned) {
        s->rst_tokens =
            earned + s->rst_tokens > TCP_RST_BURST ? TCP_RST_BURST : s->rst_tokens + (uint32_t)earned;
        s->rst_refill_us = now_us;
    }
    if (s->rst_tokens == 0)
        return false;
    s->rst_tokens--;
    return true;
}

/* RFC 9293 section 3.10.7.1: what a segment gets that belongs to no connection. */
void tcp_answer_rst(struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *in,
                    uint64_t now_us)
{
    if (in->flags & TCP_RST)
        return;
    if (!rst_allowed(s, now_us)) {
        count_one(s->counters, COUNTER_tcp_resets_limited);
        return;
    }
    struct net_path *path = net_path_get(s->nif, &t->local, &t->remote, now_us);
    if (!path)
        return;
    struct tcp_segment seg = {.flags = TCP_RST};
    if (in->flags & TCP_ACK) {
        seg.seq = in->ack;
    } else {
        seg.flags |= TCP_ACK;
        seg.ack = in->seq + in->payload + !!(in->flags & TCP_SYN) + !!(in->flags & TCP_FIN);
    }
    count_one(s->counters, COUNTER_tcp_resets_out);
    tcp_send_bare(s, path, t, &seg, now_us);
    net_path_put(s->nif, path);
}

/* -- frames of the send queue */

/* A transmit ring, or a queue for an unresolved neighbour, still holds the frame. */
static __attribute__((noinline)) struct rte_mbuf *copied_frame(struct tcp_conn *c, const struct rte_mbuf *m)
{
    const struct tcp_frame *f = frame_of(m);
    struct rte_mbuf *copy = empty_frame(c->stack);
    if (copy)
        memcpy(rte_pktmbuf_append(copy, f->len), (const uint8_t *)m->buf_addr + f->off, f->len);
    return copy;
}

/* The frame as it was queued: its data is the payload alone. A copy if somebody still holds it. The caller owns one reference. */
static inline struct rte_mbuf *bare_frame(struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_frame *f)
{
    if (unlikely(rte_mbuf_refcnt_read(m) > 1))
        return copied_frame(c, m);
    rte_mbuf_refcnt_set(m, 2);
    m->next = NULL; /* it may have been in a chain */
    m->nb_segs = 1;
    m->data_off = f->off;
    m->data_len = f->len;
    m->pkt_len = f->len;
    m->ol_flags = 0;
    return m;
}

/* Makes room in front of the frame's data, and writes what every header has. */
static inline __attribute__((always_inline)) uint8_t *write_fixed(struct tcp_conn *c, struct rte_mbuf *out, unsigned header, uint32_t seq,
                                                                  uint8_t flags)
{
    out->data_off = (uint16_t)(out->data_off - header);
    out->data_len = (uint16_t)(out->data_len + header);
    out->pkt_len += header;
    uint8_t *h = rte_pktmbuf_mtod(out, uint8_t *);
    put16(h, c->tuple.local_port);
    put16(h + 2, c->tuple.remote_port);
    put32(h + 4, seq);
    put32(h + 8, c->rcv_nxt);
    put32(h + 12, header / 4 << 28 | (uint32_t)flags << 16 | announce_window(c));
    put32(h + 16, 0);
    return h;
}

/* With timestamps if they were agreed. Returns the header's length. */
static inline __attribute__((always_inline)) unsigned write_header(struct tcp_conn *c, struct rte_mbuf *out, uint32_t seq, uint8_t flags,
                                                                   uint64_t now_us)
{
    if (unlikely(!(c->flags & CONN_TS))) {
        write_fixed(c, out, TCP_HEADER, seq, flags);
        return TCP_HEADER;
    }
    uint8_t *h = write_fixed(c, out, TCP_HEADER + TCP_TS_SPACE, seq, flags);
    put32(h + 20, TCP_NOP_NOP_TS);
    put32(h + 24, timestamp(c, now_us));
    put32(h + 28, c->ts_recent);
    return TCP_HEADER + TCP_TS_SPACE;
}

/* Sends the frames of the queue from m to last as one, and returns how many they are. 0 if the port is full, or the packet pool
 * empty: tcp_unsent(). */
static inline __attribute__((always_inline)) unsigned send_frames(struct tcp_conn *c, struct rte_mbuf *m, struct rte_mbuf *last,
                                                                  uint64_t now_us)
{
    if (unlikely(c->stack->port_full))
        return 0;
    struct tcp_frame *f = frame_of(m);
    struct rte_mbuf *out = bare_frame(c, m, f);
    if (unlikely(!out))
        return 0;
    uint8_t flags = TCP_ACK, ecn = 0;
    if (unlikely(f->flags & FRAME_FIN))
        flags |= TCP_FIN;
    if (!frame_of(last)->next && f->len)
        flags |= TCP_PSH;
    if (c->flags & CONN_ECN)
        ecn = tcp_ecn_leaving(c, f, &flags);
    unsigned header = write_header(c, out, f->seq, flags, now_us);
    acknowledged(c);
    f->sent_us = now_us;
    if (unlikely(m != last)) {
        tcp_chain(out, last, now_us);
        conn_count(c, COUNTER_tcp_large_out);
    }
    const unsigned frames = m == last ? 1 : out->nb_segs;
    count_add(c->stack->counters, COUNTER_tcp_segments_out, frames);
    net_send_tcp(c->stack->nif, c->path, out, (uint16_t)header, m == last ? 0 : c->mss, ecn, now_us);
    return frames;
}

bool tcp_send_frame(struct tcp_conn *c, struct rte_mbuf *m, uint64_t now_us)
{
    return send_frames(c, m, m, now_us) > 0;
}

/* The window is closed, or too small for the next frame, and nothing is in flight to open it. */
static void blocked_by_peer(struct tcp_conn *c, const struct tcp_frame *f, uint64_t now_us)
{
    if (c->snd_wnd && c->snd_wnd < f->len && c->snd_wnd >= c->snd_wnd_max / 2 &&
        tcp_queue_split(c, (uint16_t)c->snd_wnd)) { /* sender's side of the silly window syndrome */
        tcp_output(c, now_us);
        return;
    }
    if (c->flags & CONN_PERSIST)
        return;
    c->flags |= CONN_PERSIST;
    c->backoff = 0;
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

void tcp_output(struct tcp_conn *c, uint64_t now_us)
{
    if (unlikely(tcp_cwnd_grown(c)) && c->tx_send && !c->stack->port_full)
        tcp_cc_sending(c, now_us);
    if (unlikely(c->flags & (CONN_RECOVERY | CONN_LOSS))) {
        tcp_recovery_output(c, now_us);
        return;
    }
    uint32_t limit = c->cwnd;
    if (unlikely(c->flags & CONN_DUPACKED)) /* limited transmit, RFC 3042 */
        limit += tcp_limited_transmit(c);
    while (c->tx_send) {
        struct tcp_frame *f = frame_of(c->tx_send);
        uint32_t span = frame_span(f), flight = c->snd_nxt - c->snd_una;
        if (span == 0)
            break; /* reserved, nothing written yet */
        if (unlikely(flight + frame_window(f) > c->snd_wnd)) {
            if (flight == 0)
                blocked_by_peer(c, f, now_us);
            break;
        }
        if (unlikely(flight + span > limit) && flight) {
            c->flags |= CONN_CWND_LIMITED;
            break;
        }
        struct rte_mbuf *last = c->tx_send;
        if (f->next && c->stack->conf.chain_frames &&
            !(c->flags & CONN_ECN_CWR)) /* which is for one segment */
            last = tcp_chain_end(c, RTE_MIN(limit, c->snd_wnd) - flight);
        unsigned frames = send_frames(c, c->tx_send, last, now_us);
        if (unlikely(!frames)) {
            tcp_unsent(c);
            break;
        }
        count_add(c->stack->counters, COUNTER_client_writes, frames);
        f = frame_of(last);
        c->snd_nxt = f->seq + frame_span(f);
        c->tx_send = f->next;
        if (unlikely(c->flags & CONN_PERSIST)) {
            c->flags &= ~(uint32_t)CONN_PERSIST;
            c->backoff = c->retries = 0;
            c->rexmit_at = 0;
        }
        if (c->rexmit_at == 0) {
            c->rexmit_at = now_us + tcp_rto(c);
            tcp_arm(c, now_us + TCP_TAIL_ACK_DELAY); /* no probe and no timeout is due earlier */
        }
    }
    if (c->tx_frames > 1 && (c->flags & CONN_SACK)) /* but with company */
        tcp_arm(c, now_us + tcp_tail_timeout(c));
}

/* A reply as most are: one frame, nothing on its way, a window that has not grown, and nothing special about the connection. False: it is
 * not, or it could not be sent; tcp_output() will see. */
static inline bool output_only(struct tcp_conn *c, uint64_t now_us)
{
    enum { SPECIAL = CONN_RECOVERY | CONN_LOSS | CONN_DUPACKED | CONN_PERSIST };
    struct rte_mbuf *m = c->tx_send;
    if (c->tx_frames != 1 || !m || c->flags & SPECIAL || tcp_cwnd_grown(c))
        return false;
    struct tcp_frame *f = frame_of(m);
    if (unlikely(!f->len || f->flags || f->len > c->snd_wnd || !send_frames(c, m, m, now_us)))
        return false;
    count_one(c->stack->counters, COUNTER_client_writes);
    c->snd_nxt = f->seq + f->len;
    c->tx_send = NULL;
    if (likely(c->rexmit_at == 0)) {
        c->rexmit_at = now_us + tcp_rto(c);
        tcp_arm(c, now_us + TCP_TAIL_ACK_DELAY); /* no probe and no timeout is due earlier */
    }
    return true;
}

void tcp_push(struct tcp_conn *c, uint64_t now_us)
{
    if (c->state >= TCP_STATE_ESTABLISHED && !output_only(c, now_us))
        tcp_output(c, now_us);
}

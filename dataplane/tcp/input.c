/* input.c: a segment arrives (RFC 9293 section 3.10.7, with RFC 5961 and RFC 7323). First the two common
 * cases, the next data in order or an ACK, by header prediction (Van Jacobson); everything else walks the
 * RFC's numbered steps. Skipped: the third step (security compartment) and the sixth (urgent pointer: the
 * bytes are ordinary data, as RFC 6093 advises and Redis' clients never mean anything else). Fourth step: a
 * SYN with another number does not take a passive SYN_RECEIVED back to LISTEN; its sender is asked, as in the
 * states behind (RFC 5961 section 4.2). tests/unit/tcp/test_matrix.c compares every state, flag and number
 * with a model of these steps. */
#include <netinet/in.h>

#include "net/checksum.h"
#include "tcp/congestion.h"
#include "tcp/conn.h"
#include "tcp/ecn.h"
#include "tcp/time_wait.h"

/* -- the frame */

/* One's complement sum over pseudo header and segment. The ::ffff of a mapped IPv4 address adds 0xffff, which
 * is zero in this arithmetic, so both families are the same 32 bytes. */
static bool checksum_ok(const struct rte_mbuf *m, const struct net_packet *p)
{
    static_assert(offsetof(struct net_packet, dst) == sizeof(struct ip_addr), "addresses lie side by side");
    uint64_t sum = checksum_addresses(&p->src);
    sum = checksum_u16(checksum_u16(sum, IPPROTO_TCP), p->l4_len);
    sum = m->nb_segs == 1 ? checksum_add(sum, rte_pktmbuf_mtod_offset(m, const void *, p->l4_off), p->l4_len)
                          : checksum_add_frame(sum, m, p->l4_off, p->l4_len);
    return checksum_fold(sum) == 0xffff;
}

/* A header that does not lie in the frame's first buffer. */
static __attribute__((noinline)) enum tcp_parse parse_elsewhere(const struct rte_mbuf *m, uint32_t off, uint32_t have,
                                                                struct tcp_segment *seg)
{
    uint8_t copy[TCP_HEADER_MAX];
    const uint8_t *h = rte_pktmbuf_read(m, off, have, copy);
    return h ? tcp_header_parse(h, have, seg) : TCP_TRUNCATED;
}

static enum tcp_parse parse_any(const struct rte_mbuf *m, const struct net_packet *p, struct tcp_segment *seg)
{
    uint32_t have = p->l4_len < TCP_HEADER_MAX ? p->l4_len : TCP_HEADER_MAX;
    if (p->l4_off + (uint32_t)p->l4_len > m->pkt_len)
        return TCP_TRUNCATED;
    if (likely(p->l4_off + have <= m->data_len))
        return tcp_header_parse(rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off), have, seg);
    return parse_elsewhere(m, p->l4_off, have, seg);
}

/* A header with timestamps and nothing else, as most have that carry data, whole in its buffer. */
static inline bool parse_usual(const struct rte_mbuf *m, const struct net_packet *p, struct tcp_segment *seg)
{
    enum { HEADER = TCP_HEADER + TCP_TS_SPACE };
    if (unlikely(p->l4_len < HEADER || p->l4_off + (uint32_t)p->l4_len > m->data_len))
        return false;
    const uint8_t *h = rte_pktmbuf_mtod_offset(m, const uint8_t *, p->l4_off);
    if (unlikely(h[12] >> 4 != HEADER / 4 || get32(h + TCP_HEADER) != TCP_NOP_NOP_TS))
        return false;
    tcp_header_fixed(h, seg);
    seg->header = HEADER;
    seg->sacks = 0;
    tcp_header_timestamps(h, seg);
    return true;
}

/* False: counted, and the frame is still the caller's. */
static inline bool parse(struct tcp_stack *s, const struct rte_mbuf *m, const struct net_packet *p,
                         struct tcp_segment *seg)
{
    enum tcp_parse result = likely(parse_usual(m, p, seg)) ? TCP_PARSED : parse_any(m, p, seg);
    if (unlikely(result != TCP_PARSED)) {
        count_one(s->counters,
                  result == TCP_TRUNCATED ? COUNTER_tcp_drop_truncated : COUNTER_tcp_drop_options);
        return false;
    }
    if (!p->checksum_ok && unlikely(!checksum_ok(m, p))) {
        count_one(s->counters, COUNTER_tcp_drop_checksum);
        return false;
    }
    seg->payload = p->l4_len - seg->header;
    return true;
}

/* -- fast path */

static inline bool predicted(const struct tcp_conn *c, const struct tcp_segment *seg)
{
    return c->state == TCP_STATE_ESTABLISHED && !(c->flags & CONN_SLOW) &&
           (seg->flags & ~TCP_PSH) == TCP_ACK && seg->seq == c->rcv_nxt &&
           seg->ack - c->snd_una <= c->snd_nxt - c->snd_una &&
           seg->options == (c->flags & CONN_TS ? TCP_OPT_TS : 0) &&
           (!(c->flags & CONN_TS) || seq_from(seg->ts_val, c->ts_recent)) &&
           seg->payload <= c->rcv_adv - c->rcv_nxt &&
           (seg->payload || seg->ack != c->snd_una); /* else: a duplicate ACK or a window update */
}

/* The peer lives. If it has also taken something from us, so does the next hop: the neighbour table is told
 * every four seconds or so, seldom enough to cost nothing and often enough that it never has to ask. */
static inline void heard(struct tcp_conn *c, bool progress, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    if (unlikely((now_ms ^ c->last_rx_ms) >> 12) && progress)
        net_path_confirm(c->stack->nif, c->path, now_us);
    c->last_rx_ms = now_ms;
}

/* A frame that the port has put together from several segments asks for an ACK at once, as they would have.
 */
static inline unsigned segments_in(const struct tcp_conn *c, const struct tcp_segment *seg)
{
    return 1u + (seg->payload > c->mss);
}

/* In order, in one buffer, and the user has read what came before. False: not so, or there is no room. */
static inline bool append_first(struct tcp_conn *c, struct rte_mbuf *m)
{
    struct tcp_stack *s = c->stack;
    uint32_t before = c->rcv_nxt;
    if (unlikely(c->rx_head || s->held >= s->held_max))
        return false;
    c->rx_head = c->rx_tail = m;
    c->rx_frames = 1;
    s->held++;
    c->rx_unread = m->data_len;
    c->rcv_nxt += m->data_len;
    if (unlikely(c->rcv_nxt < before))
        c->rx_wraps++;
    return true;
}

/* True: there is something new to read. */
static inline bool fast_input(struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_segment *seg,
                              uint32_t skip, uint64_t now_us)
{
    bool news = false;
    uint32_t window = (uint32_t)seg->window << c->snd_wscale;
    if (window > c->snd_wnd && window > c->snd_wnd_max)
        c->snd_wnd_max = window;
    c->snd_wnd = window;
    c->snd_wl1 = seg->seq;
    heard(c, seg->ack != c->snd_una, now_us);
    if (c->last_ack_sent == seg->seq)
        c->ts_recent = seg->ts_val; /* without timestamps it means nothing */
    if (seg->ack != c->snd_una)
        tcp_ack_advance(c, seg->ack, now_us);
    if (seg->payload) {
        uint32_t before = c->rcv_nxt;
        if (likely(m->nb_segs == 1)) {
            m->data_off = (uint16_t)(m->data_off + skip);
            m->data_len = (uint16_t)seg->payload;
            if (unlikely(!append_first(c, m)))
                tcp_receive_append(c, m);
        } else {
            conn_count(c, COUNTER_tcp_large_in);
            tcp_receive(c, m, skip, seg->seq, seg->payload);
        }
        if (likely(c->rcv_nxt != before)) {
            c->unacked_in = (uint16_t)(c->unacked_in + segments_in(c, seg));
            news = true;
        }
        tcp_round_add(c);
    } else {
        rte_pktmbuf_free(m);
    }
    if (c->tx_send)
        tcp_output(c, now_us);
    return news;
}

/* -- SYN_SENT: RFC 9293 section 3.10.7.3. The frame is the caller's. */

/* What the handshake tells about the path. Karn's rule: a SYN or SYN-ACK that was sent again is no
 * measurement, unless its timestamp says which one was answered (RFC 7323 section 4.1; a cookie's holds other
 * things). */
static void handshake_rtt(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    uint64_t total = now_us - c->syn_us;
    uint32_t echo_ms = tcp_echo_age_ms(c, seg, now_us);
    if (c->retries == 0)
        tcp_rtt_sample(c, total);
    else if (c->flags & CONN_COOKIE)
        return;
    else if (echo_ms <= total / 1000)
        tcp_rtt_sample(c, (uint64_t)echo_ms * 1000 + 1000);
    else
        c->rttvar_us = TCP_RTO_SYN_LOST - TCP_RTO_FIRST; /* see tcp_rto */
    if (c->retries > 1) /* RFC 6928 section 2: not for a single one, which may have been late */
        c->cwnd = c->mss;
}

static void opened(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    handshake_rtt(c, seg, now_us);
    net_path_confirm(c->stack->nif, c->path, now_us); /* our SYN or SYN-ACK has arrived: RFC 4861 section 7.3.1 */
    c->rexmit_at = 0;
    c->backoff = c->retries = 0;
    tcp_set_state(c, TCP_STATE_ESTABLISHED);
    if (!(c->flags & CONN_ACTIVE))
        conn_count(c, COUNTER_tcp_accepts);
    if (c->stack->conf.keepalive_us)
        tcp_arm(c, now_us + c->stack->conf.keepalive_us);
    tcp_raise(c, TCP_OPENED);
    tcp_queue_room(c);
}

static void syn_sent_input(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    bool acked = seg->flags & TCP_ACK;
    if (acked && seg->ack != c->snd_nxt) { /* first: nothing but the SYN was sent */
        tcp_answer_rst(c->stack, &c->tuple, seg, now_us);
        return;
    }
    if (seg->flags & TCP_RST) { /* second */
        if (acked) {
            conn_count(c, COUNTER_tcp_resets_in);
            tcp_conn_end(c);
        }
        return;
    }
    if (!(seg->flags & TCP_SYN) || (seg->flags & TCP_FIN)) /* fourth; fifth: neither */
        return;
    tcp_learn_options(c, seg, now_us);
    if (acked) {
        c->rcv_adv = c->rcv_nxt + (tcp_receive_window(c) < UINT16_MAX ? tcp_receive_window(c) : UINT16_MAX);
        c->last_ack_sent = c->irs;
        c->snd_una = seg->ack;
        opened(c, seg, now_us);
        c->flags |= CONN_ACK_NOW;
        tcp_round_add(c);
    } else { /* simultaneous open */
        tcp_set_state(c, TCP_STATE_SYN_RECEIVED);
        tcp_send_syn(c, now_us);
    }
}

/* -- the numbered steps. Each returns false when the segment (and perhaps the connection) is done with. */

/* An ACK for a segment that was not acceptable. Without data it may be half of a war of ACKs: limited. */
static void answer_unacceptable(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    if (seg->payload == 0 && !(seg->flags & TCP_FIN)) {
        if (now_ms - c->oow_ms < TCP_CHALLENGE_GAP_MS)
            return;
        c->oow_ms = now_ms;
    }
    if (seg->payload && seq_upto(seg->seq + seg->payload, c->rcv_nxt) && !(seg->flags & TCP_SYN))
        tcp_report_duplicate(c, seg->seq, seg->seq + seg->payload);
    tcp_send_ack(c, now_us);
}

/* First: sequence number. Wider than the RFC at the right edge, so that an ACK that stands exactly there, or
 * data against a closed window, still delivers its ACK field, and a FIN is taken; text is cut to the window
 * later. A reset is judged by its number alone, and outside it is dropped in silence (RFC 5961 section 3.2).
 */
static bool step_sequence(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    uint32_t span = seg->payload + !!(seg->flags & TCP_SYN) + !!(seg->flags & TCP_FIN);
    bool left = span ? seq_after(seg->seq + span, c->rcv_nxt) : seq_from(seg->seq, c->rcv_nxt);
    if (seg->flags & TCP_RST) {
        if (seg->seq == c->rcv_nxt || seg->seq - c->rcv_nxt < c->rcv_adv - c->rcv_nxt)
            return true;
        conn_count(c, COUNTER_tcp_drop_window);
        return false;
    }
    if (left && seq_upto(seg->seq, c->rcv_adv))
        return true;
    if (seg->flags & TCP_SYN) {
        tcp_challenge_ack(c, now_us);
    } else {
        conn_count(c, COUNTER_tcp_drop_window);
        answer_unacceptable(c, seg, now_us);
    }
    return false;
}

/* RFC 7323 section 5: protection against wrapped sequence numbers. A SYN is asked about in any case: its
 * sender may have restarted with other timestamps, or none. */
static bool step_timestamp(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (!(c->flags & CONN_TS) || (seg->flags & (TCP_RST | TCP_SYN)))
        return true;
    if (!(seg->options & TCP_OPT_TS)) { /* section 3.2 */
        conn_count(c, COUNTER_tcp_drop_no_timestamp);
        return false;
    }
    bool outdated = (uint32_t)(now_us / 1000) - c->last_rx_ms > 24u * 86400 * 1000; /* section 5.5 */
    if (seq_before(seg->ts_val, c->ts_recent) && !outdated) {
        conn_count(c, COUNTER_tcp_drop_paws);
        answer_unacceptable(c, seg, now_us);
        return false;
    }
    return true;
}

/* Second: RST (RFC 5961 section 3.2: only the exact number resets). */
static bool step_rst(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (!(seg->flags & TCP_RST))
        return true;
    if (seg->seq != c->rcv_nxt) {
        tcp_challenge_ack(c, now_us);
        return false;
    }
    conn_count(c, COUNTER_tcp_resets_in);
    tcp_conn_end(c);
    return false;
}

/* Fourth: SYN (RFC 5961 section 4.2: never believed, the peer is asked). */
static bool step_syn(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (!(seg->flags & TCP_SYN))
        return true;
    tcp_challenge_ack(c, now_us);
    return false;
}

/* Our FIN has been acknowledged. False: the connection is gone. */
static bool fin_acked(struct tcp_conn *c, uint64_t now_us)
{
    if (c->state == TCP_STATE_FIN_WAIT_1) {
        tcp_set_state(c, TCP_STATE_FIN_WAIT_2);
        c->state_at = now_us + TCP_FIN_WAIT_2_LIFE;
        tcp_arm(c, c->state_at);
    } else if (c->state == TCP_STATE_CLOSING) {
        tcp_set_state(c, TCP_STATE_TIME_WAIT);
    } else if (c->state == TCP_STATE_LAST_ACK) {
        tcp_conn_end(c);
        return false;
    }
    return true;
}

/* Fifth: ACK. */
static bool step_ack(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (!(seg->flags & TCP_ACK)) {
        conn_count(c, COUNTER_tcp_drop_flags);
        return false;
    }
    if (c->state == TCP_STATE_SYN_RECEIVED) {
        if (seg->ack != c->snd_nxt) {
            tcp_answer_rst(c->stack, &c->tuple, seg, now_us);
            return false;
        }
        tcp_take_timestamp(c, seg);
        c->snd_una = seg->ack;
        c->snd_wnd = (uint32_t)seg->window << c->snd_wscale;
        c->snd_wnd_max = seq_max(c->snd_wnd_max, c->snd_wnd);
        c->snd_wl1 = seg->seq;
        tcp_listen_left(c);
        opened(c, seg, now_us);
        return true;
    }
    if (!tcp_ack_input(c, seg, now_us))
        return false;
    bool fin_sent =
        c->state == TCP_STATE_FIN_WAIT_1 || c->state == TCP_STATE_CLOSING || c->state == TCP_STATE_LAST_ACK;
    if (fin_sent && !c->tx_head && !(c->flags & CONN_FIN_WANTED))
        return fin_acked(c, now_us);
    return true;
}

/* New text for nobody (RFC 1122 section 4.2.2.13): the peer is told with a reset, but not before it has
 * acknowledged our FIN and so all that it was still to get. False: the connection is gone. */
static bool step_unwanted(struct tcp_conn *c, const struct tcp_segment *seg, uint64_t now_us)
{
    if (c->state != TCP_STATE_FIN_WAIT_2 || !(c->flags & CONN_ORPHAN) || seg->payload == 0 ||
        seq_upto(seg->seq + seg->payload, c->rcv_nxt))
        return true;
    conn_count(c, COUNTER_tcp_drop_orphan);
    tcp_send_rst(c, now_us);
    tcp_conn_end(c);
    return false;
}

/* Seventh: text. Consumes m. True: to be acknowledged at once (RFC 5681 section 4.2). */
static bool step_text(struct tcp_conn *c, struct rte_mbuf *m, const struct tcp_segment *seg, uint32_t skip)
{
    bool open = c->state == TCP_STATE_ESTABLISHED || c->state == TCP_STATE_FIN_WAIT_1 ||
                c->state == TCP_STATE_FIN_WAIT_2;
    if (!open || seg->payload == 0) {
        if (seg->payload)
            conn_count(c, COUNTER_tcp_drop_after_fin);
        rte_pktmbuf_free(m);
        return false;
    }
    if (c->flags & CONN_ORPHAN)
        conn_count(c, COUNTER_tcp_drop_orphan);
    uint32_t before = c->rcv_nxt;
    bool whole = seg->seq == c->rcv_nxt && seq_upto(seg->seq + seg->payload, c->rcv_adv);
    tcp_receive(c, m, skip, seg->seq, seg->payload);
    if (c->rcv_nxt != before) {
        c->unacked_in = (uint16_t)(c->unacked_in + segments_in(c, seg));
        tcp_raise(c, TCP_READABLE);
    }
    tcp_round_add(c);
    return !whole || c->rcv_nxt == before || (c->flags & CONN_HOLES);
}

/* Eighth: FIN, once everything before it is here. One that lies beyond a hole is not noted: it comes again.
 */
static void step_fin(struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (!(seg->flags & TCP_FIN) || (c->flags & CONN_RX_FIN) || seg->seq + seg->payload != c->rcv_nxt)
        return;
    c->rcv_nxt++;
    c->rcv_adv = seq_max(c->rcv_adv, c->rcv_nxt);
    c->flags |= CONN_RX_FIN | CONN_ACK_NOW;
    tcp_round_add(c);
    if (c->state == TCP_STATE_ESTABLISHED) {
        tcp_set_state(c, TCP_STATE_CLOSE_WAIT);
        tcp_raise(c, TCP_PEER_CLOSED);
    } else if (c->state == TCP_STATE_FIN_WAIT_1) {
        tcp_set_state(c, TCP_STATE_CLOSING); /* had our FIN been acknowledged, it would be FIN_WAIT_2 */
    } else if (c->state == TCP_STATE_FIN_WAIT_2) {
        tcp_set_state(c, TCP_STATE_TIME_WAIT);
    }
}

/* The peer's own SYN once more, to a SYN_RECEIVED: it has not seen our answer; with ACK it is the answer of a
 * simultaneous open. False: done with. */
static bool repeated_syn(struct tcp_conn *c, struct tcp_segment *seg, uint64_t now_us)
{
    if (c->state != TCP_STATE_SYN_RECEIVED || (seg->flags & (TCP_SYN | TCP_RST)) != TCP_SYN ||
        seg->seq != c->irs || ((seg->flags & TCP_ACK) && !(c->flags & CONN_ACTIVE)))
        return true;
    if (!(seg->flags & TCP_ACK)) {
        tcp_ecn_repeated(c, seg);
        if (c->retries == 0)
            c->retries = 1; /* two answers: whichever is acknowledged tells no round-trip time */
        tcp_send_syn(c, now_us);
        return false;
    }
    seg->flags &= (uint8_t)~TCP_SYN;
    seg->seq++;
    return true;
}

static void slow_input(struct tcp_conn *c, struct rte_mbuf *m, struct tcp_segment *seg, uint32_t skip,
                       uint64_t now_us)
{
    if (c->state == TCP_STATE_SYN_SENT) {
        syn_sent_input(c, seg, now_us);
    } else if (repeated_syn(c, seg, now_us) && step_sequence(c, seg, now_us) &&
               step_timestamp(c, seg, now_us) && step_rst(c, seg, now_us) && step_syn(c, seg, now_us) &&
               step_ack(c, seg, now_us) && step_unwanted(c, seg, now_us)) {
        c->last_rx_ms = (uint32_t)(now_us / 1000);
        if (c->flags & CONN_ECN)
            tcp_ecn_received(c, seg);
        bool at_once = step_text(c, m, seg, skip);
        step_fin(c, seg);
        if (at_once || (c->state == TCP_STATE_TIME_WAIT && (c->flags & CONN_ACK_NOW)))
            tcp_send_ack(c, now_us);
        if (c->state == TCP_STATE_TIME_WAIT)
            tcp_time_wait_enter(c, now_us);
        else if (c->tx_send || (c->flags & (CONN_RECOVERY | CONN_LOSS)))
            tcp_output(c, now_us);
        return;
    }
    rte_pktmbuf_free(m);
}

static struct tcp_tuple tuple_of(const struct net_packet *p, const struct tcp_segment *seg)
{
    return (struct tcp_tuple){p->dst, p->src, seg->dst_port, seg->src_port};
}

/* A segment of no connection, or one that was not predicted. */
static __attribute__((noinline)) void other_input(struct tcp_stack *s, struct tcp_conn *c, struct rte_mbuf *m,
                                                  struct tcp_segment *seg, const struct net_packet *p, uint64_t now_us)
{
    const struct tcp_tuple t = tuple_of(p, seg);
    if (!c)
        c = tcp_listen_input(s, &t, seg, now_us);
    seg->ecn = p->ecn;
    if (c)
        slow_input(c, m, seg, p->l4_off + (uint32_t)seg->header, now_us);
    else
        rte_pktmbuf_free(m);
}

/* It does not stand where it is looked for first. */
static __attribute__((noinline)) struct tcp_conn *displaced(struct tcp_stack *s, const struct net_packet *p,
                                                            const struct tcp_segment *seg, uint32_t hash)
{
    const struct tcp_tuple t = tuple_of(p, seg);
    return tcp_flow_find(s, &t, hash);
}

/* The segment's connection, or NULL. */
static inline struct tcp_conn *conn_of(struct tcp_stack *s, const struct net_packet *p, const struct tcp_segment *seg)
{
    uint32_t ports = tcp_ports(seg->dst_port, seg->src_port);
    uint32_t hash = likely(p->flow) ? p->flow : tcp_flow_hash_of(&s->secret, &p->dst, &p->src, ports);
    const struct tcp_flow_slot *slot = &s->flows[hash & s->flow_mask];
    struct tcp_conn *c = slot->conn && slot->hash == hash ? &s->conns[slot->conn - 1] : NULL;
    return likely(c && tcp_tuple_is(&c->tuple, &p->dst, &p->src, ports)) ? c : displaced(s, p, seg, hash);
}

/* Is that all its user has to hear? */
static inline bool only_readable(const struct tcp_conn *c)
{
    return !(c->flags & (CONN_IN_READY | CONN_ACTIVE)) && (c->flags & CONN_ANNOUNCED);
}

struct tcp_conn *tcp_input_readable(struct tcp_stack *s, struct rte_mbuf *m, const struct net_packet *p,
                                    uint64_t now_us)
{
    struct tcp_segment seg;
    if (unlikely(!parse(s, m, p, &seg))) {
        rte_pktmbuf_free(m);
        return NULL;
    }
    struct tcp_conn *c = conn_of(s, p, &seg);
    count_one(s->counters, COUNTER_tcp_segments_in);
    if (unlikely(!c || !predicted(c, &seg) || p->ecn == ECN_CE)) {
        other_input(s, c, m, &seg, p, now_us);
        return NULL;
    }
    if (!fast_input(c, m, &seg, p->l4_off + (uint32_t)seg.header, now_us))
        return NULL;
    if (likely(only_readable(c)))
        return c;
    tcp_raise(c, TCP_READABLE);
    return NULL;
}

void tcp_input(struct tcp_stack *s, struct rte_mbuf *m, const struct net_packet *p, uint64_t now_us)
{
    struct tcp_conn *c = tcp_input_readable(s, m, p, now_us);
    if (c)
        tcp_raise(c, TCP_READABLE);
}

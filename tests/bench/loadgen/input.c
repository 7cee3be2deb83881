/* input.c: segments that arrive at the load generator: RFC 9293 3.10.7 in the order of its steps, and the
 * check of every reply byte. */
#include <stdio.h>
#include <stdlib.h>

#include "checksum.h"
#include "conn.h"

enum { DELAYED_ACK_MS = 20, FAST_RETRANSMIT_ACKS = 3, SHIFT_MAX = 14 };

struct segment {
    uint32_t seq, ack, window; /* window: as sent, not shifted */
    uint8_t flags;
    const uint8_t *options, *data;
    unsigned options_size, size;
    bool has_timestamp;
    uint32_t timestamp;
};

struct packet {
    struct rte_ether_hdr eth;
    struct rte_ipv4_hdr ip;
    struct rte_tcp_hdr tcp;
};

struct conn *input_conn(struct client *cl, const struct rte_mbuf *m)
{
    const struct packet *p = rte_pktmbuf_mtod(m, const struct packet *);
    if (rte_pktmbuf_data_len(m) < sizeof *p || p->eth.ether_type != RTE_BE16(RTE_ETHER_TYPE_IPV4) ||
        p->ip.version_ihl != RTE_IPV4_VHL_DEF || p->ip.next_proto_id != IPPROTO_TCP ||
        p->ip.fragment_offset & RTE_BE16((uint16_t)~RTE_IPV4_HDR_DF_FLAG) ||
        p->ip.src_addr != rte_cpu_to_be_32(cl->link->peer_ip) ||
        p->tcp.src_port != rte_cpu_to_be_16(cl->peer_port))
        return NULL;
    uint32_t address = rte_be_to_cpu_32(p->ip.dst_addr) - cl->link->local_ip;
    uint32_t port = rte_be_to_cpu_16(p->tcp.dst_port) - (uint32_t)LOADGEN_PORT_BASE;
    if (address >= cl->link->local_count || port >= LOADGEN_CONNS_PER_ADDRESS)
        return NULL;
    uint64_t i = (uint64_t)address * LOADGEN_CONNS_PER_ADDRESS + port;
    return i < cl->count ? conn_at(cl, (uint32_t)i) : NULL;
}

static bool checksum_good(const struct rte_mbuf *m, const struct packet *p, unsigned l4_size)
{
    if (unlikely(sum_bytes((const uint8_t *)&p->ip, sizeof p->ip) != 0xffff))
        return false;
    /* NONE, from a vhost link, means: not filled in because the frame never left this machine. */
    uint64_t verdict = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    if (verdict != RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN)
        return verdict != RTE_MBUF_F_RX_L4_CKSUM_BAD;
    uint32_t pseudo = sum_bytes((const uint8_t *)&p->ip.src_addr, 8) + RTE_BE16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)l4_size);
    return sum_fold(pseudo + sum_bytes((const uint8_t *)&p->tcp, l4_size)) == 0xffff;
}

/* The layout that RFC 7323 appendix A recommends and everybody sends: NOP, NOP, timestamps. */
static inline bool only_timestamps(const struct segment *s)
{
    static const uint8_t layout[4] = {1, 1, 8, 10};
    return s->options_size == 12 && memcmp(s->options, layout, 4) == 0;
}

static inline uint32_t read_be32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return rte_be_to_cpu_32(v);
}

static bool parse(struct client *cl, struct rte_mbuf *m, struct segment *s)
{
    const struct packet *p = rte_pktmbuf_mtod(m, const struct packet *);
    unsigned total = rte_be_to_cpu_16(p->ip.total_length), header = (p->tcp.data_off >> 4) * 4u;
    if (unlikely(sizeof p->eth + total > rte_pktmbuf_data_len(m) || header < sizeof p->tcp ||
                 sizeof p->ip + header > total)) {
        cl->stats.bad_frame++;
        return false;
    }
    if (unlikely(!checksum_good(m, p, total - (unsigned)sizeof p->ip))) {
        cl->stats.bad_checksum++;
        return false;
    }
    *s = (struct segment){.seq = rte_be_to_cpu_32(p->tcp.sent_seq),
                          .ack = rte_be_to_cpu_32(p->tcp.recv_ack),
                          .window = rte_be_to_cpu_16(p->tcp.rx_win),
                          .flags = p->tcp.tcp_flags & 0x3f,
                          .options = (const uint8_t *)(&p->tcp + 1),
                          .options_size = header - (unsigned)sizeof p->tcp,
                          .data = (const uint8_t *)&p->tcp + header,
                          .size = total - (unsigned)sizeof p->ip - header};
    if (likely(only_timestamps(s))) {
        s->has_timestamp = true;
        s->timestamp = read_be32(s->options + 4);
    }
    return true;
}

/* The options of a SYN-ACK: MSS, window scale, timestamps. */
static void take_options(struct conn *c, struct segment *s)
{
    const uint8_t *p = s->options, *end = p + s->options_size;
    unsigned mss = 536;
    bool scaled = false;
    while (p < end && *p != 0) {
        unsigned left = (unsigned)(end - p), size = *p == 1 ? 1 : left > 1 ? p[1] : 0;
        if (size == 0 || size > left || (*p != 1 && size < 2))
            break;
        if (*p == 2 && size == 4)
            mss = p[2] * 256u + p[3];
        else if (*p == 3 && size == 3) {
            c->peer_shift = p[2] < SHIFT_MAX ? p[2] : SHIFT_MAX;
            scaled = true;
        } else if (*p == 8 && size == 10) {
            s->has_timestamp = true;
            s->timestamp = read_be32(p + 2);
        }
        p += size;
    }
    if (!scaled)
        c->peer_shift = 0;
    if (!s->has_timestamp)
        c->flags &= (uint8_t)~CONN_TIMESTAMPS;
    unsigned options = c->flags & CONN_TIMESTAMPS ? 12 : 0;
    c->mss = (uint16_t)((mss < 88 ? 88 : mss > 1460 ? 1460 : mss) - options);
}

static void input_syn_sent(struct client *cl, struct conn *c, struct segment *s)
{
    if (!(s->flags & RTE_TCP_ACK_FLAG))
        return;
    if (s->ack != c->snd_nxt) {
        /* The peer remembers a connection of an earlier run on this port: make it forget (RFC 9293 3.10.7.3).
         */
        if (!(s->flags & RTE_TCP_RST_FLAG))
            tcp_control(cl, c, RTE_TCP_RST_FLAG, s->ack);
        return;
    }
    if (s->flags & RTE_TCP_RST_FLAG) {
        cl->totals.resets++;
        conn_fail(cl, c, "connection refused");
        return;
    }
    if (!(s->flags & RTE_TCP_SYN_FLAG))
        return;
    take_options(c, s);
    c->rcv_nxt = s->seq + 1;
    c->ts_recent = s->timestamp;
    c->snd_una = c->head_seq = s->ack;
    c->peer_window = s->window;
    c->backoff = 0;
    c->state = CONN_OPEN;
    cl->opening--;
    cl->open++;
    tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
}

static void take_ack(struct client *cl, struct conn *c, const struct segment *s)
{
    if (unlikely(seq_before(c->snd_max, s->ack) || seq_before(s->ack, c->snd_una)))
        return;
    uint32_t window = s->window << c->peer_shift;
    if (s->ack != c->snd_una) {
        c->snd_una = s->ack;
        c->dup_acks = c->backoff = 0;
        conn_rto_restart(cl, c);
        if (unlikely(seq_before(c->snd_nxt, s->ack))) {
            /* What we had begun to send again has arrived the first time. */
            c->peer_window = window;
            if (c->state == CONN_OPEN)
                tcp_retransmit(cl, c);
            else
                c->snd_nxt = s->ack;
        }
    } else if (s->size == 0 && c->snd_una != c->snd_max && window == c->peer_window &&
               !(s->flags & RTE_TCP_FIN_FLAG) && ++c->dup_acks == FAST_RETRANSMIT_ACKS &&
               c->state == CONN_OPEN) {
        cl->stats.fast_retransmits++;
        tcp_retransmit(cl, c);
    }
    c->peer_window = window;
}

/* RFC 9293 3.10.7.4, first step: cuts off what is known already. False if nothing new is left, or if there is
 * a gap in front of it; both are answered with an ACK. */
static bool in_order(struct client *cl, struct conn *c, struct segment *s)
{
    if (likely(s->seq == c->rcv_nxt))
        return true;
    unsigned length = s->size + !!(s->flags & RTE_TCP_FIN_FLAG);
    if (seq_before(c->rcv_nxt, s->seq)) {
        cl->stats.out_of_order++;
        if (s->flags & RTE_TCP_ACK_FLAG)
            take_ack(cl, c, s); /* its data is not kept, what it acknowledges is */
        tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
        return false;
    }
    uint32_t known = c->rcv_nxt - s->seq;
    if (s->flags & RTE_TCP_SYN_FLAG || known >= length) {
        cl->stats.old_data++;
        tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
        return false;
    }
    s->data += known;
    s->size -= known;
    s->seq = c->rcv_nxt;
    return true;
}

static void report_wrong(struct client *cl, struct conn *c, const uint8_t *p, unsigned n, const char *what)
{
    char line[160], *at = line;
    at += sprintf(at, "%s at byte %u of a reply:", what, c->reply_at);
    for (unsigned i = 0; i < n && i < 24; i++)
        at += sprintf(at, p[i] > 32 && p[i] < 127 ? "%c" : "\\%02x", p[i]);
    cl->totals.wrong++;
    conn_fail(cl, c, line);
}

static inline void reply_done(struct client *cl, struct conn *c, uint32_t request)
{
    c->head++;
    c->head_seq += request_size(cl->work, request);
    c->reply_at = 0;
    cl->stats.replies++;
    cl->stats.sets += request >> 31;
}

/* Replies that are cut by a segment's end, misses and errors. Returns the number of bytes taken; 0 if they
 * are wrong. */
static unsigned take_odd_reply(struct client *cl, struct conn *c, uint32_t request, const uint8_t *p,
                               unsigned n)
{
    static const char miss[] = "$-1\r\n";
    unsigned size = reply_size(cl->work, request);
    if (c->reply_at == 0 && *p == '-')
        c->flags |= CONN_REPLY_ERROR;
    if (c->reply_at == 1 && *p == '-' && !(request & REQUEST_SET))
        c->flags |= CONN_REPLY_MISS;
    if (c->flags & CONN_REPLY_ERROR) {
        const uint8_t *end = memchr(p, '\n', n);
        unsigned taken = end ? (unsigned)(end - p) + 1 : n;
        if (cl->totals.errors == 0 && !cl->first_error[0])
            snprintf(cl->first_error, sizeof cl->first_error, "error reply: %.*s", (int)RTE_MIN(taken, 120u),
                     (const char *)p);
        c->reply_at += taken;
        if (end) {
            c->flags &= (uint8_t)~CONN_REPLY_ERROR;
            cl->totals.errors++;
            reply_done(cl, c, request);
        }
        return taken;
    }
    if (c->flags & CONN_REPLY_MISS) {
        unsigned taken = RTE_MIN(n, (unsigned)(sizeof miss - 1 - c->reply_at));
        if (memcmp(p, miss + c->reply_at, taken) != 0 || !cl->allow_miss)
            return 0;
        c->reply_at += taken;
        if (c->reply_at == sizeof miss - 1) {
            c->flags &= (uint8_t)~CONN_REPLY_MISS;
            cl->stats.misses++;
            reply_done(cl, c, request);
        }
        return taken;
    }
    /* The first byte alone decides nothing yet between a value and a miss. */
    unsigned taken = c->reply_at == 0 ? 1 : RTE_MIN(n, size - c->reply_at);
    reply_write(cl->work, request, cl->scratch);
    if (memcmp(p, cl->scratch + c->reply_at, taken) != 0)
        return 0;
    c->reply_at += taken;
    if (c->reply_at == size)
        reply_done(cl, c, request);
    return taken;
}

/* Keeps n bytes of a reply, which may lie in h already. */
static bool hold(struct held *h, const uint8_t *p, unsigned n, unsigned behind)
{
    if (!h->bytes)
        h->bytes = malloc(HELD_MAX);
    if (!h->bytes || behind + n > HELD_MAX)
        return false;
    memmove(h->bytes + behind, p, n);
    h->n = behind + n;
    return true;
}

/* Replies to requests of a script. False if they are wrong, which has been reported then. */
static bool take_scripted(struct client *cl, struct conn *c, const uint8_t **at, unsigned *left)
{
    struct held *h = &cl->held[conn_index(cl, c)];
    const uint8_t *p = *at;
    unsigned n = *left;
    if (h->n) {
        if (!hold(h, p, n, h->n)) {
            report_wrong(cl, c, p, n, "no end");
            return false;
        }
        p = h->bytes;
        n = h->n;
        h->n = 0;
    }
    while (n && c->head != c->tail) {
        uint32_t request = *conn_pending(cl, c, c->head);
        int taken = script_match(cl->work->row, request, p, n);
        if (taken == 0 && hold(h, p, n, 0)) {
            n = 0;
            break;
        }
        if (taken <= 0) {
            cl->totals.errors += *p == '-';
            report_wrong(cl, c, p, n, taken == 0 ? "no end" : "wrong");
            return false;
        }
        reply_done(cl, c, request);
        p += taken;
        n -= (unsigned)taken;
    }
    *at = p;
    *left = n;
    return true;
}

/* Of a large value the beginning is looked at and the bytes are counted. */
static bool take_big(struct client *cl, struct conn *c, const uint8_t **at, unsigned *left)
{
    while (*left && c->head != c->tail) {
        uint32_t request = *conn_pending(cl, c, c->head);
        const struct text *begin = &cl->work->big_reply[request >> 31];
        uint32_t size = begin->size + (request == REQUEST_BIG_GET ? cl->big_size + 2 : 0);
        unsigned n = RTE_MIN(*left, size - c->reply_at);
        if (c->reply_at < begin->size &&
            memcmp(*at, begin->byte + c->reply_at, RTE_MIN(n, begin->size - c->reply_at)) != 0) {
            report_wrong(cl, c, *at, *left, "wrong large value");
            return false;
        }
        c->reply_at += n;
        cl->big_bytes += n;
        if (c->reply_at == size) {
            c->head++;
            c->head_seq += request_size(cl->work, request);
            c->reply_at = 0;
            cl->big_replies++;
        }
        *at += n;
        *left -= n;
    }
    return true;
}

/* Replies to GET and SET. */
static bool take_replies(struct client *cl, struct conn *c, const uint8_t **at, unsigned *left)
{
    const uint8_t *p = *at;
    unsigned n = *left;
    while (n && c->head != c->tail) {
        uint32_t request = *conn_pending(cl, c, c->head);
        unsigned taken = reply_size(cl->work, request);
        if (likely(c->reply_at == 0 && n >= taken && reply_equal(cl->work, request, p)))
            reply_done(cl, c, request);
        else if ((taken = take_odd_reply(cl, c, request, p, n)) == 0) {
            report_wrong(cl, c, p, n, "wrong byte");
            return false;
        }
        p += taken;
        n -= taken;
    }
    *at = p;
    *left = n;
    return true;
}

/* What comes to publisher and subscribers. */
static bool take_crowd(struct client *cl, struct conn *c, const uint8_t **at, unsigned *left)
{
    unsigned right = crowd_take(cl, c, *at, *left);
    *at += right;
    *left -= right;
    if (*left)
        report_wrong(cl, c, *at, *left, "wrong message");
    return !*left;
}

static void take_data(struct client *cl, struct conn *c, const uint8_t *p, unsigned n)
{
    c->rcv_nxt += n;
    if (c->ack_owed++ == 0)
        c->ack_at = cl->now_ms + DELAYED_ACK_MS;
    if (!(unlikely(cl->crowd != NULL)       ? take_crowd
          : unlikely(c == cl->big)            ? take_big
          : unlikely(cl->work->row != NULL) ? take_scripted
                                            : take_replies)(cl, c, &p, &n))
        return;
    if (n) {
        report_wrong(cl, c, p, n, "bytes nobody asked for");
    } else if (unlikely(seq_before(c->snd_una, c->head_seq))) {
        conn_fail(cl, c, "answered a request that it has not acknowledged");
    } else if (c->head == c->tail) {
        cl->batch_done(cl, c);
    }
    if (c->ack_owed >= 2 && (c->state == CONN_OPEN || c->state == CONN_FIN_WAIT))
        tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
}

static void take_fin(struct client *cl, struct conn *c)
{
    c->rcv_nxt++;
    c->flags |= CONN_PEER_FIN;
    tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
    if (c->state == CONN_OPEN) {
        cl->totals.closed_early++;
        conn_fail(cl, c, "closed by the peer");
    }
}

/* A frame of many segments, as the box sends them over a link with TSO: too long for one of our buffers. */
static void large_input(struct client *cl, struct conn *c, const struct rte_mbuf *m)
{
    struct rte_mbuf *whole = rte_pktmbuf_copy(m, cl->link->large, 0, UINT32_MAX);
    if (whole && whole->nb_segs == 1)
        tcp_input(cl, c, whole);
    else
        cl->stats.bad_frame++;
    rte_pktmbuf_free(whole);
}

void tcp_input(struct client *cl, struct conn *c, struct rte_mbuf *m)
{
    struct segment s;
    if (unlikely(m->nb_segs > 1)) {
        large_input(cl, c, m);
        return;
    }
    if (!parse(cl, m, &s))
        return;
    cl->stats.segments_in++;
    if (unlikely(c->state != CONN_OPEN)) {
        if (c->state == CONN_SYN_SENT)
            input_syn_sent(cl, c, &s);
        else if (c->state == CONN_DONE && s.size + (s.flags & RTE_TCP_FIN_FLAG))
            tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt); /* as in TIME_WAIT: the last ACK was lost */
        if (c->state != CONN_FIN_WAIT)
            return;
    }
    if (!in_order(cl, c, &s))
        return;
    if (unlikely(s.flags & RTE_TCP_RST_FLAG)) {
        cl->totals.resets++;
        conn_fail(cl, c, "reset by the peer");
        return;
    }
    if (unlikely(!(s.flags & RTE_TCP_ACK_FLAG)))
        return;
    if (s.has_timestamp)
        c->ts_recent = s.timestamp;
    take_ack(cl, c, &s);
    if (s.size)
        take_data(cl, c, s.data, s.size);
    if (unlikely(s.flags & RTE_TCP_FIN_FLAG && c->state != CONN_FAILED))
        take_fin(cl, c);
    if (c->state == CONN_OPEN)
        tcp_output(cl, c);
    else if (c->state == CONN_FIN_WAIT && c->snd_una == c->snd_max && c->flags & CONN_PEER_FIN)
        conn_end(cl, c, CONN_DONE);
}

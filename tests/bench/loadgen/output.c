/* output.c: segments of the load generator: a header template, a few fields, requests written in place. */
#include <assert.h>

#include "checksum.h"
#include "conn.h"

enum { SYN_WINDOW = 65535, WINDOW_SHIFT = 6, BIG_WINDOW = (256 << 10) >> WINDOW_SHIFT, OWN_MSS = 1460 };

struct header {
    struct rte_ether_hdr eth;
    struct rte_ipv4_hdr ip;
    struct rte_tcp_hdr tcp;
    uint8_t nop[2], kind, size;
    uint8_t ts_value[4], ts_echo[4];
};
static_assert(sizeof(struct header) == 66, "no padding");

void output_init(struct client *cl)
{
    struct header *h = (struct header *)cl->header;
    *h = (struct header){.eth = {.src_addr = cl->link->mac,
                                 .dst_addr = cl->link->peer_mac,
                                 .ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4)},
                         .ip = {.version_ihl = RTE_IPV4_VHL_DEF,
                                .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
                                .time_to_live = 64,
                                .next_proto_id = IPPROTO_TCP,
                                .dst_addr = rte_cpu_to_be_32(cl->link->peer_ip)},
                         .tcp = {.dst_port = rte_cpu_to_be_16(cl->peer_port), .rx_win = RTE_BE16(65535)},
                         .nop = {1, 1},
                         .kind = 8,
                         .size = 10};
}

/* Fills the headers of m, whose data is l4_size bytes of TCP (header and payload) behind space for Ethernet
 * and IP, and sends it. tcp_size: length of the TCP header. */
static inline void emit(struct client *cl, struct conn *c, struct rte_mbuf *m, unsigned tcp_size,
                        unsigned l4_size, uint8_t flags, uint32_t seq)
{
    struct header *h = rte_pktmbuf_mtod(m, struct header *);
    uint32_t i = conn_index(cl, c), address = 0;
    if (unlikely(i >= LOADGEN_CONNS_PER_ADDRESS)) {
        address = i / LOADGEN_CONNS_PER_ADDRESS;
        i %= LOADGEN_CONNS_PER_ADDRESS;
    }
    h->ip.total_length = rte_cpu_to_be_16((uint16_t)(sizeof h->ip + l4_size));
    h->ip.packet_id = rte_cpu_to_be_16(cl->ip_id++);
    h->ip.src_addr = rte_cpu_to_be_32(cl->link->local_ip + address);
    h->ip.hdr_checksum = 0;
    h->ip.hdr_checksum = (uint16_t)~sum_bytes((const uint8_t *)&h->ip, sizeof h->ip);
    h->tcp.src_port = rte_cpu_to_be_16((uint16_t)(LOADGEN_PORT_BASE + i));
    h->tcp.sent_seq = rte_cpu_to_be_32(seq);
    h->tcp.recv_ack = flags & RTE_TCP_ACK_FLAG ? rte_cpu_to_be_32(c->rcv_nxt) : 0;
    if (unlikely(c == cl->big)) /* less than the link's queue holds */
        h->tcp.rx_win = RTE_BE16(BIG_WINDOW);
    h->tcp.data_off = (uint8_t)(tcp_size << 2);
    h->tcp.tcp_flags = flags;
    uint32_t pseudo = sum_bytes((const uint8_t *)&h->ip.src_addr, 8) + RTE_BE16(IPPROTO_TCP) +
                      rte_cpu_to_be_16((uint16_t)l4_size);
    if (cl->link->offload) {
        h->tcp.cksum = sum_fold(pseudo);
        m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_TCP_CKSUM;
        m->l2_len = sizeof h->eth;
        m->l3_len = sizeof h->ip;
        m->l4_len = tcp_size & 0xff;
    } else {
        h->tcp.cksum = 0;
        h->tcp.cksum = (uint16_t)~sum_fold(pseudo + sum_bytes((const uint8_t *)&h->tcp, l4_size));
    }
    m->data_len = (uint16_t)(sizeof h->eth + sizeof h->ip + l4_size);
    m->pkt_len = m->data_len;
    c->ack_owed = 0;
    cl->stats.segments_out++;
    link_send(cl->link, m);
}

/* A frame with the template in it; *tcp_size is the length of its TCP header. NULL if the pool is empty. */
static inline struct rte_mbuf *begin(struct client *cl, struct conn *c, unsigned *tcp_size)
{
    struct rte_mbuf *m = link_frame(cl->link);
    if (unlikely(!m))
        return NULL;
    struct header *h = rte_pktmbuf_mtod(m, struct header *);
    memcpy(h, cl->header, sizeof *h);
    *tcp_size = sizeof h->tcp;
    if (c->flags & CONN_TIMESTAMPS) {
        *tcp_size += 12;
        rte_be32_t value = rte_cpu_to_be_32(cl->now_ms), echo = rte_cpu_to_be_32(c->ts_recent);
        memcpy(h->ts_value, &value, sizeof value);
        memcpy(h->ts_echo, &echo, sizeof echo);
    }
    return m;
}

void tcp_control(struct client *cl, struct conn *c, uint8_t flags, uint32_t seq)
{
    unsigned tcp_size;
    struct rte_mbuf *m = begin(cl, c, &tcp_size);
    if (!m)
        return;
    if (flags & RTE_TCP_SYN_FLAG) {
        struct header *h = rte_pktmbuf_mtod(m, struct header *);
        const uint8_t options[8] = {2, 4, OWN_MSS >> 8, OWN_MSS & 255, 1, 3, 3, WINDOW_SHIFT};
        memcpy((uint8_t *)h + offsetof(struct header, tcp) + tcp_size, options, sizeof options);
        tcp_size += sizeof options;
        h->tcp.rx_win = RTE_BE16(SYN_WINDOW);
    }
    if (flags == RTE_TCP_ACK_FLAG)
        cl->stats.pure_acks++;
    emit(cl, c, m, tcp_size, tcp_size, flags, seq);
}

/* Copies what fits of the request at `unsent` by way of scratch: for those longer than a segment. */
static unsigned copy_part(struct client *cl, struct conn *c, uint8_t *to, unsigned room)
{
    uint32_t request = *conn_pending(cl, c, c->unsent);
    unsigned left = request_size(cl->work, request) - c->unsent_at, n = RTE_MIN(left, room);
    request_write(cl->work, request, cl->scratch);
    memcpy(to, cl->scratch + c->unsent_at, n);
    if (n == left) {
        c->unsent++;
        c->unsent_at = 0;
    } else {
        c->unsent_at = (uint16_t)(c->unsent_at + n);
    }
    return n;
}

/* Writes whole requests while they fit; a piece of one only if it would not fit into any segment. */
static unsigned write_requests(struct client *cl, struct conn *c, uint8_t *to, unsigned room)
{
    unsigned size = 0;
    if (c->unsent_at)
        size = copy_part(cl, c, to, room);
    while (c->unsent != c->tail) {
        uint32_t request = *conn_pending(cl, c, c->unsent);
        unsigned more = request_size(cl->work, request);
        if (size + more > room) {
            if (size == 0)
                size = copy_part(cl, c, to, room);
            break;
        }
        request_write(cl->work, request, to + size);
        size += more;
        c->unsent++;
    }
    return size;
}

static inline unsigned next_size(const struct client *cl, struct conn *c)
{
    return request_size(cl->work, *conn_pending(cl, c, c->unsent)) - c->unsent_at;
}

void tcp_output(struct client *cl, struct conn *c)
{
    while (c->unsent != c->tail) {
        uint32_t flight = c->snd_nxt - c->snd_una;
        if (unlikely(flight >= c->peer_window && !(c->peer_window == 0 && c->backoff)))
            return; /* closed: the timer probes with a byte (RFC 9293 3.8.6.1) */
        unsigned room = RTE_MIN((uint32_t)c->mss, c->peer_window ? c->peer_window - flight : 1), tcp_size;
        if (unlikely(room < c->mss && flight && room < next_size(cl, c)))
            return; /* no silly window: wait for the acknowledgement (RFC 9293 3.8.6.2.1) */
        struct rte_mbuf *m = begin(cl, c, &tcp_size);
        if (unlikely(!m))
            return; /* the timer tries again */
        uint8_t *payload = rte_pktmbuf_mtod_offset(m, uint8_t *, offsetof(struct header, tcp) + tcp_size);
        unsigned size = write_requests(cl, c, payload, room);
        if (c->snd_nxt == c->snd_una)
            conn_rto_restart(cl, c);
        emit(cl, c, m, tcp_size, tcp_size + size, RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG, c->snd_nxt);
        c->snd_nxt += size;
        if (seq_before(c->snd_max, c->snd_nxt))
            c->snd_max = c->snd_nxt;
        if (c->peer_window == 0)
            return;
    }
}

void tcp_retransmit(struct client *cl, struct conn *c)
{
    /* Which request holds the first byte that the peer lacks? */
    uint32_t skip = c->snd_una - c->head_seq;
    c->unsent = c->head;
    while (c->unsent != c->tail) {
        uint32_t size = request_size(cl->work, *conn_pending(cl, c, c->unsent));
        if (skip < size)
            break;
        skip -= size;
        c->unsent++;
    }
    c->unsent_at = (uint16_t)skip;
    c->snd_nxt = c->snd_una;
    tcp_output(cl, c);
}

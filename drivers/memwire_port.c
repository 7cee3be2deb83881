/* memwire_port.c: what a port with offloads does, for the ends of the in-memory wire: it cuts large TCP
 * segments up and fills in checksums on the way out; on the way in it puts segments together, spreads frames
 * over small buffers and says what it has verified (the meaning of the flags: DPDK's rte_mbuf_core.h). */
#include "drivers/memwire_port.h"

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

enum { L2 = RTE_ETHER_HDR_LEN, ONCE = RTE_TCP_FIN_FLAG | RTE_TCP_PSH_FLAG };

/* -- out */

static void read_bytes(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *to)
{
    const void *p = rte_pktmbuf_read(m, off, len, to);
    if (p && p != to)
        memcpy(to, p, len);
}

static bool is_v4(const struct rte_mbuf *m)
{
    return m->ol_flags & RTE_MBUF_F_TX_IPV4;
}

static void fix_ip(const struct rte_mbuf *m, uint8_t *ip, unsigned l4_len, unsigned number)
{
    if (!is_v4(m)) {
        ((struct rte_ipv6_hdr *)(void *)ip)->payload_len = rte_cpu_to_be_16((uint16_t)l4_len);
        return;
    }
    struct rte_ipv4_hdr *h = (void *)ip;
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
        h->total_length = rte_cpu_to_be_16((uint16_t)(m->l3_len + l4_len));
        h->packet_id = rte_cpu_to_be_16((uint16_t)(rte_be_to_cpu_16(h->packet_id) + number));
    }
    if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
        h->hdr_checksum = 0;
        h->hdr_checksum = rte_ipv4_cksum(h);
    }
}

/* The field holds what the sender was to put there: the sum of the pseudo-header, for a large frame without
 * the length. */
static void fix_tcp(const struct rte_mbuf *m, struct rte_tcp_hdr *tcp, uint32_t at, unsigned l4_len,
                    bool last)
{
    uint32_t length = 0;
    if (m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) {
        tcp->sent_seq = rte_cpu_to_be_32(rte_be_to_cpu_32(tcp->sent_seq) + at);
        if (!last)
            tcp->tcp_flags &= (uint8_t)~ONCE;
        if (at)
            tcp->tcp_flags &= (uint8_t)~RTE_TCP_CWR_FLAG;
        length = rte_cpu_to_be_16((uint16_t)l4_len);
    }
    uint32_t sum = rte_raw_cksum(tcp, l4_len) + length;
    sum = (sum & 0xffff) + (sum >> 16);
    tcp->cksum = (uint16_t) ~((sum & 0xffff) + (sum >> 16));
}

static struct rte_mbuf *cut_one(struct rte_mempool *pool, const struct rte_mbuf *m, uint32_t at, uint32_t len,
                                unsigned number)
{
    uint32_t header = m->l2_len + m->l3_len + m->l4_len;
    struct rte_mbuf *out = rte_pktmbuf_alloc(pool);
    uint8_t *p = out ? (uint8_t *)rte_pktmbuf_append(out, (uint16_t)(header + len)) : NULL;
    if (!p) {
        rte_pktmbuf_free(out);
        return NULL;
    }
    read_bytes(m, 0, header, p);
    read_bytes(m, header + at, len, p + header);
    fix_ip(m, p + m->l2_len, m->l4_len + len, number);
    fix_tcp(m, (void *)(p + m->l2_len + m->l3_len), at, m->l4_len + len, header + at + len == m->pkt_len);
    return out;
}

unsigned memwire_cut(struct rte_mempool *pool, const struct rte_mbuf *m, struct rte_mbuf **out, unsigned room)
{
    bool large = m->ol_flags & RTE_MBUF_F_TX_TCP_SEG;
    uint32_t header = m->l2_len + m->l3_len + m->l4_len, end = m->pkt_len - header, at = 0;
    uint32_t step = large ? m->tso_segsz : end;
    unsigned n = 0;
    do {
        uint32_t len = RTE_MIN(end - at, step);
        struct rte_mbuf *piece = n < room ? cut_one(pool, m, at, len, n) : NULL;
        if (piece)
            out[n++] = piece;
        at += len;
    } while (at < end);
    return n;
}

/* -- in */

struct view { /* of an IPv4 or IPv6 frame with a TCP segment, in one buffer */
    uint8_t *ip;
    struct rte_tcp_hdr *tcp;
    uint32_t header, payload, seq;
    unsigned options; /* bytes */
    bool v4;
};

static bool look(const struct rte_mbuf *m, struct view *v)
{
    uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *);
    unsigned l3 = 0, total = 0;
    if (m->data_len < L2 + sizeof(struct rte_ipv6_hdr) + sizeof *v->tcp)
        return false;
    v->ip = p + L2;
    v->v4 = p[12] == 0x08 && p[13] == 0;
    if (v->v4 && v->ip[0] == 0x45 && v->ip[9] == IPPROTO_TCP) {
        l3 = sizeof(struct rte_ipv4_hdr);
        total = rte_be_to_cpu_16(((const struct rte_ipv4_hdr *)(const void *)v->ip)->total_length);
    } else if (p[12] == 0x86 && p[13] == 0xdd && v->ip[6] == IPPROTO_TCP) {
        l3 = sizeof(struct rte_ipv6_hdr);
        total = l3 + rte_be_to_cpu_16(((const struct rte_ipv6_hdr *)(const void *)v->ip)->payload_len);
    }
    v->tcp = (void *)(v->ip + l3);
    unsigned l4 = v->tcp->data_off / 16 * 4u;
    if (!l3 || l4 < sizeof *v->tcp || total < l3 + l4 || L2 + total != m->pkt_len ||
        L2 + l3 + l4 > m->data_len)
        return false;
    v->header = L2 + l3 + l4;
    v->payload = m->pkt_len - v->header;
    v->options = l4 - (unsigned)sizeof *v->tcp;
    v->seq = rte_be_to_cpu_32(v->tcp->sent_seq);
    return true;
}

static bool sums_right(const struct view *v)
{
    const struct rte_ipv4_hdr *ip4 = (const void *)v->ip;
    if (v->v4 && rte_ipv4_cksum(ip4) != 0)
        return false;
    uint32_t sum = v->v4 ? rte_ipv4_phdr_cksum(ip4, 0) : rte_ipv6_phdr_cksum((const void *)v->ip, 0);
    sum += rte_raw_cksum(v->tcp, sizeof *v->tcp + v->options + v->payload);
    sum = (sum & 0xffff) + (sum >> 16);
    return ((sum & 0xffff) + (sum >> 16)) == 0xffff;
}

void memwire_verify(struct rte_mbuf *m)
{
    struct view v;
    if (look(m, &v) && m->nb_segs == 1 && sums_right(&v))
        m->ol_flags |= RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
}

bool memwire_gather(struct rte_mbuf *m, struct rte_mbuf *next)
{
    const uint64_t good = RTE_MBUF_F_RX_IP_CKSUM_GOOD | RTE_MBUF_F_RX_L4_CKSUM_GOOD;
    struct view a, b;
    if ((m->ol_flags & next->ol_flags & good) != good || !look(m, &a) || !look(next, &b) || a.v4 != b.v4)
        return false;
    unsigned addresses = a.v4 ? 12 : 8;
    bool same = memcmp(a.ip + addresses, b.ip + addresses, a.v4 ? 8 : 32) == 0 && a.ip[1] == b.ip[1] &&
                memcmp(a.tcp, b.tcp, 4) == 0 && a.options == b.options &&
                memcmp(a.tcp + 1, b.tcp + 1, a.options) == 0;
    if (!same || a.payload == 0 || b.payload == 0 || b.seq != a.seq + a.payload ||
        a.tcp->tcp_flags != RTE_TCP_ACK_FLAG ||
        (b.tcp->tcp_flags | RTE_TCP_PSH_FLAG) != (RTE_TCP_ACK_FLAG | RTE_TCP_PSH_FLAG) ||
        m->pkt_len + b.payload > UINT16_MAX)
        return false;
    a.tcp->tcp_flags = b.tcp->tcp_flags;
    a.tcp->recv_ack = b.tcp->recv_ack;
    a.tcp->rx_win = b.tcp->rx_win;
    rte_pktmbuf_adj(next, (uint16_t)b.header);
    rte_pktmbuf_chain(m, next);
    uint16_t l3_len = (uint16_t)(m->pkt_len - L2);
    if (a.v4) /* the checksums are those of the first segment: nobody is to look at them any more */
        ((struct rte_ipv4_hdr *)(void *)a.ip)->total_length = rte_cpu_to_be_16(l3_len);
    else
        ((struct rte_ipv6_hdr *)(void *)a.ip)->payload_len =
            rte_cpu_to_be_16((uint16_t)(l3_len - sizeof(struct rte_ipv6_hdr)));
    m->ol_flags |= RTE_MBUF_F_RX_LRO;
    return true;
}

struct rte_mbuf *memwire_spread(struct rte_mempool *pool, struct rte_mbuf *m, uint32_t piece)
{
    struct rte_mbuf *first = NULL;
    for (uint32_t at = 0; at < m->pkt_len; at += piece) {
        struct rte_mbuf *part = rte_pktmbuf_copy(m, pool, at, RTE_MIN(piece, m->pkt_len - at));
        if (!part || (first && rte_pktmbuf_chain(first, part))) {
            rte_pktmbuf_free(part);
            rte_pktmbuf_free(first);
            rte_pktmbuf_free(m);
            return NULL;
        }
        if (!first)
            first = part;
    }
    rte_pktmbuf_free(m);
    return first;
}

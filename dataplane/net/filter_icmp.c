/* filter_icmp.c: the packet filter and echo requests. What is rejected is answered with "communication
 * administratively prohibited" (RFC 1812, 5.2.7.1: ICMP type 3 code 13; RFC 4443, 3.1: ICMPv6 type 1 code 1),
 * at most RATE times a second (RFC 1812, 4.3.2.8; RFC 4443, 2.4 (f)). Neighbour discovery and everything but
 * echo requests pass unfiltered: without them there is no link. */
#include "net/filter.h"
#include "net/internal.h"

enum { ICMP_HEADER = 8, QUOTE = 128, RATE = 1000, BURST = 50 };
enum { UNREACHABLE_4 = 3, PROHIBITED_4 = 13, UNREACHABLE_6 = 1, PROHIBITED_6 = 1 };

/* The bucket is a moment in time that each answer moves on. */
static bool allowed(struct net_if *n, uint64_t now)
{
    const uint64_t cost = SECOND / RATE;
    if (n->prohibit_at < now)
        n->prohibit_at = now;
    if (n->prohibit_at - now >= BURST * cost)
        return false;
    n->prohibit_at += cost;
    return true;
}

static void put_ipv4(uint8_t *body, const struct frame *f, uint16_t len)
{
    struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
                              .total_length = rte_cpu_to_be_16((uint16_t)(sizeof ip + len)),
                              .time_to_live = HOP_LIMIT,
                              .next_proto_id = IPPROTO_ICMP};
    memcpy(&ip.src_addr, f->dst.b + 12, 4);
    memcpy(&ip.dst_addr, f->src.b + 12, 4);
    ip.hdr_checksum = checksum_finish(checksum_add(0, &ip, sizeof ip));
    memcpy(body, &ip, sizeof ip);
}

static void prohibit(struct net_if *n, const struct frame *f)
{
    bool v6 = !ip_is_v4(&f->src);
    uint8_t *body;
    uint16_t ip = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
    uint16_t quote =
        (uint16_t)RTE_MIN((uint32_t)QUOTE, RTE_MIN(f->len - f->l3, (uint32_t)(f->l4 - f->l3) + f->l4_len));
    uint16_t len = (uint16_t)(ICMP_HEADER + quote);
    struct rte_mbuf *m =
        ethernet_frame(n, f->p + RTE_ETHER_ADDR_LEN, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4,
                       (uint16_t)(ip + len), &body);
    if (!m)
        return;
    uint8_t *p = body + ip;
    uint64_t sum = 0;
    p[0] = v6 ? UNREACHABLE_6 : UNREACHABLE_4;
    p[1] = v6 ? PROHIBITED_6 : PROHIBITED_4;
    memcpy(p + ICMP_HEADER, f->p + f->l3, quote);
    if (v6) {
        ipv6_header(body, &f->dst, &f->src, len, IPPROTO_ICMPV6, HOP_LIMIT);
        sum = checksum_u16(checksum_pseudo(&f->dst, &f->src, IPPROTO_ICMPV6), len);
    } else {
        put_ipv4(body, f, len);
    }
    uint16_t field = checksum_finish(checksum_add(sum, p, len));
    memcpy(p + 2, &field, 2);
    net_transmit(n, m);
}

bool filter_echo(struct net_if *n, struct frame *f)
{
    struct filter_packet p = {.protocol = FILTER_ICMP, .src = f->src, .dst = f->dst};
    enum filter_action action = net_filter(n, &p);
    if (action == FILTER_PERMIT)
        return false;
    if (action == FILTER_REJECT && allowed(n, f->now))
        prohibit(n, f);
    rte_pktmbuf_free(f->m);
    return true;
}

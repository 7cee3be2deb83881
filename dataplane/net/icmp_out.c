/* icmp_out.c: the errors that we send: ICMP (RFC 792; RFC 1122, 3.2.2) and ICMPv6 (RFC 4443, 2.4 and 3).
 * Never about a packet that was not sent to us alone, has no single sender, is not a first fragment, or is an
 * ICMP error itself; and at most ERRORS a second in all, so that we are no tool against a forged sender.
 * What the packet filter keeps out is told nothing, or "administratively prohibited" (RFC 1812, 5.2.7.1;
 * RFC 4443, 3.1). Skipped: redirects and everything else that routers say. */
#include "net/filter.h"
#include "net/internal.h"

enum { ICMP_HEADER = 8, RATE = 1000, BURST = 50 };
enum { IP4 = sizeof(struct rte_ipv4_hdr), IP6 = sizeof(struct rte_ipv6_hdr) };

/* Type and code of each fault in both families; 0: not said in that family. */
static const struct {
    uint8_t type4, code4, type6, code6;
} faults[] = {
    [FAULT_PORT] = {3, 3, 1, 4},    [FAULT_PROTOCOL] = {3, 2, 4, 1}, [FAULT_REASSEMBLY] = {11, 1, 3, 1},
    [FAULT_HEADER] = {12, 0, 4, 0}, [FAULT_OPTION] = {0, 0, 4, 2},   [FAULT_PROHIBITED] = {3, 13, 1, 1},
};

/* At most burst at once and rate a second: the bucket is a moment in time that each message moves on. */
bool icmp_allowed(uint64_t *bucket, unsigned rate, unsigned burst, uint64_t now)
{
    const uint64_t cost = SECOND / rate;
    if (*bucket < now)
        *bucket = now;
    if (*bucket - now >= burst * cost)
        return false;
    *bucket += cost;
    return true;
}

void icmp_quote(const struct frame *f, struct icmp_quote *q)
{
    uint32_t have = RTE_MIN(f->len - f->l3, (uint32_t)sizeof q->packet);
    uint32_t packet = (uint32_t)(f->l4 - f->l3) + f->l4_len; /* without Ethernet's padding */
    q->len = (uint16_t)RTE_MIN(have, packet);
    q->v6 = !ip_is_v4(&f->src);
    memcpy(q->mac, f->p + 6, 6);
    memcpy(q->packet, f->p + f->l3, q->len);
}

/* Addresses of the packet, the other way round. */
static void answer_addresses(const struct icmp_quote *q, struct ip_addr *from, struct ip_addr *to)
{
    if (q->v6) {
        memcpy(to->b, q->packet + 8, 16);
        memcpy(from->b, q->packet + 24, 16);
    } else {
        *to = ip_v4(q->packet + 12);
        *from = ip_v4(q->packet + 16);
    }
}

/* May that peer learn what is wrong, or that we are here at all? UDP, unknown protocols and the like. */
static bool disclosed(struct net_if *n, const struct ip_addr *peer, const struct ip_addr *us,
                      enum icmp_fault *fault)
{
    struct filter_packet p = {.protocol = FILTER_ANY, .src = *peer, .dst = *us};
    enum filter_action action = *fault == FAULT_PROHIBITED ? FILTER_PERMIT : net_filter(n, &p);
    if (action == FILTER_REJECT)
        *fault = FAULT_PROHIBITED;
    return action != FILTER_DENY;
}

void icmp_error(struct net_if *n, const struct icmp_quote *q, enum icmp_fault fault, uint32_t pointer,
                uint64_t now)
{
    uint8_t *body, type;
    struct ip_addr from, to;
    answer_addresses(q, &from, &to);
    if (!net_is_local(n, &from) || !net_source_ok(n, &to, &from) || !disclosed(n, &to, &from, &fault))
        return;
    type = q->v6 ? faults[fault].type6 : faults[fault].type4;
    if (!type)
        return;
    if (!icmp_allowed(&n->errors_at, RATE, BURST, now)) {
        count_one(n->counters, COUNTER_net_icmp_errors_limited);
        return;
    }
    uint16_t len = (uint16_t)(ICMP_HEADER + q->len), ip_len = q->v6 ? IP6 : IP4;
    struct rte_mbuf *m = ethernet_frame(n, q->mac, q->v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4,
                                        (uint16_t)(ip_len + len), &body);
    if (!m)
        return;
    uint8_t *p = body + ip_len;
    p[0] = type;
    p[1] = q->v6 ? faults[fault].code6 : faults[fault].code4;
    rte_be32_t at = rte_cpu_to_be_32(pointer);
    if (q->v6)
        memcpy(p + 4, &at, 4);
    memcpy(p + ICMP_HEADER, q->packet, q->len);
    uint64_t sum = 0;
    if (q->v6) {
        ipv6_header(body, &from, &to, len, IPPROTO_ICMPV6, HOP_LIMIT);
        sum = checksum_u16(checksum_pseudo(&from, &to, IPPROTO_ICMPV6), len);
    } else {
        ipv4_header(body, &from, &to, len, IPPROTO_ICMP);
    }
    uint16_t field = checksum_finish(checksum_add(sum, p, len));
    memcpy(p + 2, &field, 2);
    count_one(n->counters, COUNTER_net_icmp_errors_out);
    net_transmit(n, m);
}

enum net_verdict icmp_refuse(struct net_if *n, struct frame *f, enum icmp_fault fault, uint32_t pointer,
                             enum counter why)
{
    struct icmp_quote q;
    if (f->unicast && !ip_is_zero(&f->src)) {
        icmp_quote(f, &q);
        icmp_error(n, &q, fault, pointer, f->now);
    }
    return net_drop(n, f->m, why);
}

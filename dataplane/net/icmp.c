/* icmp.c: echo of ICMP (RFC 792; RFC 1122, 3.2.2.6) and ICMPv6 (RFC 4443, 4.2), and the way to nd.c. Error
 * messages are counted and not acted on yet. */
#include "net/internal.h"

enum { ICMP_HEADER = 8, RATE = 5000, BURST = 250 };

enum { ECHO_REQUEST_4 = 8, ECHO_REPLY_4 = 0, ECHO_REQUEST_6 = 128, ECHO_REPLY_6 = 129 };
enum { NEIGHBOUR_SOLICITATION = 135, NEIGHBOUR_ADVERTISEMENT = 136 };

/* At most BURST answers at once and RATE a second: the bucket is a moment in time that each answer moves on.
 */
static bool icmp_allowed(struct net_if *n, uint64_t now)
{
    const uint64_t cost = SECOND / RATE;
    if (n->icmp_tokens_at < now)
        n->icmp_tokens_at = now;
    if (n->icmp_tokens_at - now >= BURST * cost)
        return false;
    n->icmp_tokens_at += cost;
    return true;
}

/* Turns the request in f into its reply. The checksum changes by the type alone (RFC 1624). */
static enum net_verdict echo(struct net_if *n, struct frame *f, uint8_t reply_type)
{
    if (!icmp_allowed(n, f->now))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_rate);
    uint8_t *p = f->p + f->l4;
    uint16_t sum, old_type, new_type;
    memcpy(&sum, p + 2, 2);
    memcpy(&old_type, p, 2);
    p[0] = reply_type;
    memcpy(&new_type, p, 2);
    sum = checksum_finish((uint64_t)(uint16_t)~sum + (uint16_t)~old_type + new_type);
    memcpy(p + 2, &sum, 2);
    count_one(n->counters, COUNTER_net_icmp_echoes);
    ethernet_turn(n, f);
    return NET_DONE;
}

static bool readable(const struct frame *f)
{
    return f->l4_len >= ICMP_HEADER && f->len >= (uint32_t)f->l4 + ICMP_HEADER;
}

enum net_verdict icmp4_input(struct net_if *n, struct frame *f)
{
    if (!readable(f))
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    if (checksum_finish(checksum_add_frame(0, f->m, f->l4, f->l4_len)) != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_checksum);
    if (f->p[f->l4] == ECHO_REPLY_4 && f->p[f->l4 + 1] == 0)
        return ping_reply(n, f);
    if (f->p[f->l4] != ECHO_REQUEST_4 || f->p[f->l4 + 1] != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    if (filter_echo(n, f))
        return NET_DONE;
    struct rte_ipv4_hdr ip;
    memcpy(&ip, f->p + f->l3, sizeof ip);
    uint16_t header = (uint16_t)(f->l4 - f->l3);
    ip.src_addr = ip.dst_addr;
    memcpy(&ip.dst_addr, f->src.b + 12, 4);
    ip.time_to_live = HOP_LIMIT;
    ip.fragment_offset = 0;
    ip.hdr_checksum = 0;
    memcpy(f->p + f->l3, &ip, sizeof ip);
    /* Options are not echoed: overwritten with no-operations (1), so that the payload need not move. */
    memset(f->p + f->l3 + sizeof ip, 1, header - sizeof ip);
    uint16_t sum = checksum_finish(checksum_add(0, f->p + f->l3, header));
    memcpy(f->p + f->l3 + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, 2);
    return echo(n, f, ECHO_REPLY_4);
}

static enum net_verdict echo6(struct net_if *n, struct frame *f)
{
    /* To a group or with extension headers: nobody needs it, and it could be made to amplify. */
    if (!f->unicast || ip_is_zero(&f->src) || f->l4 != f->l3 + sizeof(struct rte_ipv6_hdr))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    if (filter_echo(n, f))
        return NET_DONE;
    ipv6_header(f->p + f->l3, &f->dst, &f->src, f->l4_len, IPPROTO_ICMPV6, HOP_LIMIT);
    return echo(n, f, ECHO_REPLY_6);
}

enum net_verdict icmp6_input(struct net_if *n, struct frame *f)
{
    if (!readable(f))
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    uint64_t sum = checksum_u16(checksum_pseudo(&f->src, &f->dst, IPPROTO_ICMPV6), f->l4_len);
    if (checksum_finish(checksum_add_frame(sum, f->m, f->l4, f->l4_len)) != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_checksum);
    uint8_t type = f->p[f->l4];
    if (f->p[f->l4 + 1] != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    if (type == NEIGHBOUR_SOLICITATION)
        return nd_solicitation(n, f);
    if (type == NEIGHBOUR_ADVERTISEMENT)
        return nd_advertisement(n, f);
    if (type == ECHO_REQUEST_6)
        return echo6(n, f);
    if (type == ECHO_REPLY_6)
        return ping_reply(n, f);
    return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
}

/* icmp.c: echo of ICMP (RFC 792; RFC 1122, 3.2.2.6) and ICMPv6 (RFC 4443, 4.2), and the way to icmp_in.c,
 * nd.c and mld.c. A reply that is larger than the MTU leaves in fragments (RFC 791, 3.2; RFC 8200, 4.5), at
 * most PIECES of them. */
#include "net/filter.h"
#include "net/internal.h"

enum { ICMP_HEADER = 8, RATE = 5000, BURST = 250, PIECES = 16 };
enum {
    IP4 = sizeof(struct rte_ipv4_hdr),
    IP6 = sizeof(struct rte_ipv6_hdr),
    FRAGMENT_HEADER = 8,
    MTU_MIN_6 = 1280
};

enum { ECHO_REQUEST_4 = 8, ECHO_REPLY_4 = 0, ECHO_REQUEST_6 = 128, ECHO_REPLY_6 = 129 };
enum { LAST_ERROR_6 = 4, MLD_QUERY = 130, NEIGHBOUR_SOLICITATION = 135, NEIGHBOUR_ADVERTISEMENT = 136 };

/* One fragment of an echo reply: len bytes from off of the message in f, from our address to the peer's. */
static bool send_piece(struct net_if *n, const struct frame *f, uint32_t off, uint16_t len, uint32_t id)
{
    uint8_t *body;
    bool v6 = !ip_is_v4(&f->src), more = off + len < f->l4_len;
    uint16_t header = v6 ? IP6 + FRAGMENT_HEADER : IP4;
    struct rte_mbuf *m = ethernet_frame(n, f->p + 6, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4,
                                        (uint16_t)(header + len), &body);
    if (!m)
        return false;
    if (v6) {
        uint8_t *h = body + IP6;
        ipv6_header(body, &f->dst, &f->src, (uint16_t)(len + FRAGMENT_HEADER), 44, HOP_LIMIT);
        h[0] = IPPROTO_ICMPV6;
        h[2] = (uint8_t)(off >> 8);
        h[3] = (uint8_t)(off | more);
        memcpy(h + 4, &id, 4);
    } else {
        ipv4_header(body, &f->dst, &f->src, len, IPPROTO_ICMP);
        ipv4_fragment(body, (uint16_t)id, off, more);
    }
    const void *from = rte_pktmbuf_read(f->m, f->l4 + off, len, body + header);
    if (from && from != body + header)
        memcpy(body + header, from, len);
    net_transmit(n, m);
    return from != NULL;
}

/* A reply that came in pieces or is too long for one frame. */
static enum net_verdict send_pieces(struct net_if *n, struct frame *f)
{
    bool v6 = !ip_is_v4(&f->src);
    unsigned header = v6 ? IP6 + FRAGMENT_HEADER : IP4;
    unsigned room = rte_pktmbuf_data_room_size(n->pool) - RTE_PKTMBUF_HEADROOM - ethernet_header_len(n);
    /* IPv6 pieces of 1280 bytes pass everywhere (RFC 8200, 5); IPv4 ones may be cut again on their way. */
    unsigned mtu = v6 ? RTE_MIN((unsigned)MTU_MIN_6, (unsigned)n->conf.mtu) : n->conf.mtu;
    unsigned step = (RTE_MIN(mtu, room) - header) & ~7u;
    uint32_t id = (uint32_t)net_random(n);
    if ((f->l4_len + step - 1) / step > PIECES)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    for (uint32_t off = 0; off < f->l4_len; off += step)
        if (!send_piece(n, f, off, (uint16_t)RTE_MIN(step, f->l4_len - off), id))
            break;
    rte_pktmbuf_free(f->m);
    return NET_DONE;
}

/* Turns the request in f into its reply. The checksum changes by the type alone (RFC 1624). */
static enum net_verdict echo(struct net_if *n, struct frame *f, uint8_t reply_type)
{
    uint8_t *p = f->p + f->l4;
    uint16_t sum, old_type, new_type;
    memcpy(&sum, p + 2, 2);
    memcpy(&old_type, p, 2);
    p[0] = reply_type;
    memcpy(&new_type, p, 2);
    sum = checksum_finish((uint64_t)(uint16_t)~sum + (uint16_t)~old_type + new_type);
    if (sum == 0)
        sum = 0xffff; /* RFC 1624 ends in zero for a message of zeros alone, which verifies only with the
                         other zero */
    memcpy(p + 2, &sum, 2);
    count_one(n->counters, COUNTER_net_icmp_echoes);
    if (f->m->nb_segs > 1 || (uint32_t)(f->l4 - f->l3) + f->l4_len > n->conf.mtu)
        return send_pieces(n, f);
    ethernet_turn(n, f);
    return NET_DONE;
}

static bool readable(const struct frame *f)
{
    return f->l4_len >= ICMP_HEADER && f->len >= (uint32_t)f->l4 + ICMP_HEADER;
}

static void turn_ipv4(struct frame *f)
{
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
}

/* Does the packet filter keep this request out? Then it is consumed. Everything of ICMP but echo requests
 * passes: without neighbour discovery there is no link, without errors no path MTU. */
static bool prohibited(struct net_if *n, struct frame *f)
{
    struct filter_packet p = {.protocol = FILTER_ICMP, .src = f->src, .dst = f->dst};
    enum filter_action action = net_filter(n, &p);
    if (action == FILTER_PERMIT)
        return false;
    struct icmp_quote q;
    if (action == FILTER_REJECT) {
        icmp_quote(f, &q);
        icmp_error(n, &q, FAULT_PROHIBITED, 0, f->now);
    }
    rte_pktmbuf_free(f->m);
    return true;
}

enum net_verdict icmp4_input(struct net_if *n, struct frame *f)
{
    if (!readable(f))
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    if (checksum_finish(checksum_add_frame(0, f->m, f->l4, f->l4_len)) != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_checksum);
    uint8_t type = f->p[f->l4];
    if (icmp4_is_error(type))
        return icmp_error_input(n, f);
    if (type == ECHO_REPLY_4 && f->p[f->l4 + 1] == 0)
        return ping_reply(n, f);
    if (type != ECHO_REQUEST_4 || f->p[f->l4 + 1] != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    if (prohibited(n, f))
        return NET_DONE;
    if (!icmp_allowed(&n->echoes_at, RATE, BURST, f->now))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_rate);
    turn_ipv4(f);
    return echo(n, f, ECHO_REPLY_4);
}

static enum net_verdict echo6(struct net_if *n, struct frame *f)
{
    /* To a group or with extension headers: nobody needs it, and it could be made to amplify. */
    if (!f->unicast || ip_is_zero(&f->src) || f->l4 != f->l3 + IP6)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    if (prohibited(n, f))
        return NET_DONE;
    if (!icmp_allowed(&n->echoes_at, RATE, BURST, f->now))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_rate);
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
    if (type >= 1 && type <= LAST_ERROR_6)
        return icmp_error_input(n, f);
    if (f->p[f->l4 + 1] != 0)
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    switch (type) {
    case NEIGHBOUR_SOLICITATION:
        return nd_solicitation(n, f);
    case NEIGHBOUR_ADVERTISEMENT:
        return nd_advertisement(n, f);
    case ECHO_REQUEST_6:
        return echo6(n, f);
    case MLD_QUERY:
        return mld_query(n, f);
    case ECHO_REPLY_6:
        return ping_reply(n, f);
    default:
        return net_drop(n, f->m, COUNTER_net_drop_icmp_type);
    }
}

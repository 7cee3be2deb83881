/* nd.c: neighbour discovery for IPv6: RFC 4861, 7.1 (checks) and 7.2 (resolution). Routers are configured, so
 * their advertisements and redirects are not for us; dad.c asks for our own addresses. */
#include "net/internal.h"

enum { MESSAGE = 24, OPTION = 8, OPTION_SOURCE = 1, OPTION_TARGET = 2 };
enum { SOLICITATION = 135, ADVERTISEMENT = 136 };
enum { FLAG_SOLICITED = 0x40, FLAG_OVERRIDE = 0x20 };

static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};

struct message {
    struct ip_addr target;
    uint8_t flags;
    const uint8_t *mac; /* the link-layer address option we asked for, NULL if absent */
};

/* Reads a message and its options; false if RFC 4861, 7.1.1 and 7.1.2 want it discarded. */
static bool parse(const struct frame *f, uint8_t option, struct message *msg)
{
    const uint8_t *p = f->p + f->l4;
    if (f->hop_limit != ND_HOP_LIMIT || f->l4_len < MESSAGE || f->len < (uint32_t)f->l4 + f->l4_len)
        return false;
    *msg = (struct message){.flags = p[4]};
    memcpy(msg->target.b, p + 8, 16);
    if (ip_is_multicast(&msg->target))
        return false;
    for (unsigned off = MESSAGE, len; off < f->l4_len; off += len) {
        if (f->l4_len - off < OPTION)
            return false;
        len = p[off + 1] * 8u;
        if (len == 0 || len > f->l4_len - off)
            return false;
        if (p[off] == option && len == OPTION)
            msg->mac = p + off + 2;
    }
    return !msg->mac || !(msg->mac[0] & 1);
}

/* Ethernet address of an IPv6 group (RFC 2464, 7). */
static void group_mac(const struct ip_addr *group, uint8_t mac[6])
{
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group->b + 12, 4);
}

static void send_message(struct net_if *n, uint8_t type, uint8_t flags, const struct ip_addr *src,
                         const struct ip_addr *dst, const uint8_t *mac, const struct ip_addr *target)
{
    const uint16_t len = ip_is_zero(src) ? MESSAGE : MESSAGE + OPTION; /* RFC 4861, 4.3 */
    uint8_t *body, group[6];
    if (!mac) {
        group_mac(dst, group);
        mac = group;
    }
    struct rte_mbuf *m =
        ethernet_frame(n, mac, RTE_ETHER_TYPE_IPV6, (uint16_t)(sizeof(struct rte_ipv6_hdr) + len), &body);
    if (!m)
        return;
    ipv6_header(body, src, dst, len, IPPROTO_ICMPV6, ND_HOP_LIMIT);
    uint8_t *p = body + sizeof(struct rte_ipv6_hdr);
    p[0] = type;
    p[4] = flags;
    memcpy(p + 8, target->b, 16);
    if (len > MESSAGE) {
        p[MESSAGE] = type == SOLICITATION ? OPTION_SOURCE : OPTION_TARGET;
        p[MESSAGE + 1] = 1;
        memcpy(p + MESSAGE + 2, n->conf.mac, 6);
    }
    uint64_t sum = checksum_u16(checksum_pseudo(src, dst, IPPROTO_ICMPV6), len);
    uint16_t field = checksum_finish(checksum_add(sum, p, len));
    memcpy(p + 2, &field, 2);
    net_transmit(n, m);
}

enum net_verdict nd_solicitation(struct net_if *n, struct frame *f)
{
    struct message msg;
    bool anonymous = ip_is_zero(&f->src);
    if (!parse(f, OPTION_SOURCE, &msg) || (anonymous && (f->unicast || msg.mac)))
        return net_drop(n, f->m, COUNTER_net_drop_nd);
    struct local_address *own = address_find(n, &msg.target);
    if (own && own->state == ADDRESS_TENTATIVE && anonymous)
        address_conflict(n, own, f->p + 6, f->now); /* we both ask (RFC 4862, 5.4.3) */
    if (!own || own->state != ADDRESS_PREFERRED)
        return net_drop(n, f->m, COUNTER_net_drop_not_ours);
    if (!anonymous && msg.mac)
        neighbour_learn(n, &f->src, msg.mac, net_on_link(n, &f->src) != NULL, f->now);
    count_one(n->counters, COUNTER_net_nd_answers);
    if (anonymous)
        send_message(n, ADVERTISEMENT, FLAG_OVERRIDE, &msg.target, &all_nodes, NULL, &msg.target);
    else
        send_message(n, ADVERTISEMENT, FLAG_SOLICITED | FLAG_OVERRIDE, &msg.target, &f->src, f->p + 6,
                     &msg.target);
    rte_pktmbuf_free(f->m);
    return NET_DONE;
}

/* RFC 4861, 7.2.5. The router flag has no meaning for a host with configured gateways. */
enum net_verdict nd_advertisement(struct net_if *n, struct frame *f)
{
    struct message msg;
    if (!parse(f, OPTION_TARGET, &msg) || ip_is_zero(&f->src) || (!f->unicast && msg.flags & FLAG_SOLICITED))
        return net_drop(n, f->m, COUNTER_net_drop_nd);
    struct local_address *own = address_find(n, &msg.target);
    if (own) {
        address_conflict(n, own, f->p + 6, f->now);
        return net_drop(n, f->m, COUNTER_net_drop_nd);
    }
    struct neighbour *nb = neighbour_find(n, &msg.target);
    bool known = nb && nb->state != NB_FAILED && nb->state != NB_INCOMPLETE;
    const uint8_t *mac = msg.mac ? msg.mac : known ? nb->mac : NULL;
    if (!nb || !mac)
        return net_drop(n, f->m, COUNTER_net_drop_nd);
    if (known && !(msg.flags & FLAG_OVERRIDE) && memcmp(mac, nb->mac, 6) != 0)
        neighbour_doubt(n, nb, f->now);
    else if (msg.flags & FLAG_SOLICITED)
        neighbour_confirm(n, nb, mac, f->now);
    else
        neighbour_learn(n, &msg.target, mac, false, f->now);
    rte_pktmbuf_free(f->m);
    return NET_DONE;
}

void nd_probe(struct net_if *n, const struct ip_addr *own)
{
    static const struct ip_addr nobody;
    nd_solicit(n, &nobody, own, NULL);
}

void nd_solicit(struct net_if *n, const struct ip_addr *src, const struct ip_addr *target, const uint8_t *mac)
{
    struct ip_addr group = {{0xff, 2, [11] = 1, [12] = 0xff}};
    memcpy(group.b + 13, target->b + 13, 3);
    count_one(n->counters, COUNTER_net_solicitations);
    send_message(n, SOLICITATION, 0, src, mac ? target : &group, mac, target);
}

void nd_announce(struct net_if *n, const struct ip_addr *own)
{
    send_message(n, ADVERTISEMENT, FLAG_OVERRIDE, own, &all_nodes, NULL, own);
}

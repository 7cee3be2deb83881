/* arp.c: address resolution for IPv4: RFC 826, with the checks of RFC 1122 (2.3.2) and the probes and
 * announcements of RFC 5227. */
#include "net/internal.h"

enum { ARP_LEN = sizeof(struct rte_arp_hdr) };
_Static_assert(ARP_LEN == 28, "RFC 826 packet of Ethernet and IPv4");

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static bool well_formed(const struct rte_arp_hdr *a)
{
    return a->arp_hardware == RTE_BE16(RTE_ARP_HRD_ETHER) &&
           a->arp_protocol == RTE_BE16(RTE_ETHER_TYPE_IPV4) && a->arp_hlen == 6 && a->arp_plen == 4;
}

static void answer(struct net_if *n, struct frame *f, struct rte_arp_hdr *a)
{
    rte_be32_t own = a->arp_data.arp_tip;
    a->arp_opcode = RTE_BE16(RTE_ARP_OP_REPLY);
    a->arp_data.arp_tha = a->arp_data.arp_sha;
    a->arp_data.arp_tip = a->arp_data.arp_sip;
    memcpy(&a->arp_data.arp_sha, n->conf.mac, 6);
    a->arp_data.arp_sip = own;
    count_one(n->counters, COUNTER_net_arp_answers);
    ethernet_turn(n, f);
}

enum net_verdict arp_input(struct net_if *n, struct frame *f)
{
    if (f->len < (uint32_t)f->l3 + ARP_LEN)
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    struct rte_arp_hdr *a = (struct rte_arp_hdr *)(void *)(f->p + f->l3);
    bool request = a->arp_opcode == RTE_BE16(RTE_ARP_OP_REQUEST);
    if (!well_formed(a) || (!request && a->arp_opcode != RTE_BE16(RTE_ARP_OP_REPLY)))
        return net_drop(n, f->m, COUNTER_net_drop_arp);
    const struct ip_addr sender = ip_v4(&a->arp_data.arp_sip), target = ip_v4(&a->arp_data.arp_tip);
    const uint8_t *mac = a->arp_data.arp_sha.addr_bytes;
    bool for_us = net_is_local(n, &target);
    struct local_address *own = address_find(n, &sender);
    if (own) {
        address_conflict(n, own, mac, f->now);
        return net_drop(n, f->m, COUNTER_net_drop_arp);
    }
    /* A probe (RFC 5227) has no sender address yet: answered, but nothing is learned from it. If we are
     * probing for the same address, neither of us gets it. */
    bool probe = a->arp_data.arp_sip == 0;
    own = probe && request ? address_find(n, &target) : NULL;
    if (own && own->state == ADDRESS_TENTATIVE)
        address_conflict(n, own, mac, f->now);
    if (mac[0] & 1 || rte_is_zero_ether_addr(&a->arp_data.arp_sha) ||
        (!probe && !net_source_ok(n, &sender, &target)))
        return net_drop(n, f->m, COUNTER_net_drop_arp);
    struct neighbour *nb = probe ? NULL : neighbour_find(n, &sender);
    bool solicited = !request && for_us && f->unicast;
    if (nb && solicited)
        neighbour_confirm(n, nb, mac, f->now);
    else if (!probe)
        neighbour_learn(n, &sender, mac, request && for_us && net_on_link(n, &sender), f->now);
    if (!request || !for_us)
        return net_drop(n, f->m, COUNTER_net_arp_heard);
    answer(n, f, a);
    return NET_DONE;
}

static void send_request(struct net_if *n, const void *sip, const struct ip_addr *target, const uint8_t *mac)
{
    uint8_t *body;
    struct rte_mbuf *m = ethernet_frame(n, mac ? mac : everybody, RTE_ETHER_TYPE_ARP, ARP_LEN, &body);
    if (!m)
        return;
    struct rte_arp_hdr a = {.arp_hardware = RTE_BE16(RTE_ARP_HRD_ETHER),
                            .arp_protocol = RTE_BE16(RTE_ETHER_TYPE_IPV4),
                            .arp_hlen = 6,
                            .arp_plen = 4,
                            .arp_opcode = RTE_BE16(RTE_ARP_OP_REQUEST)};
    memcpy(&a.arp_data.arp_sha, n->conf.mac, 6);
    memcpy(&a.arp_data.arp_sip, sip, 4);
    memcpy(&a.arp_data.arp_tip, target->b + 12, 4);
    memcpy(body, &a, sizeof a);
    net_transmit(n, m);
}

void arp_solicit(struct net_if *n, const struct ip_addr *src, const struct ip_addr *target,
                 const uint8_t *mac)
{
    count_one(n->counters, COUNTER_net_solicitations);
    send_request(n, src->b + 12, target, mac);
}

void arp_probe(struct net_if *n, const struct ip_addr *own)
{
    static const uint8_t nobody[4];
    send_request(n, nobody, own, NULL);
}

void arp_announce(struct net_if *n, const struct ip_addr *own)
{
    send_request(n, own->b + 12, own, NULL);
}

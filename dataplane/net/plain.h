/* plain.h: the short way in of the frames that a box gets most: a TCP segment in one buffer, Ethernet without a tag,
 * IPv4 without options, not a fragment, from another station to our first IPv4 address. What is found here is what
 * net_input() would find; about everything else nothing is said, and that goes the general way. */
#pragma once
#include "net/internal.h"

enum { PLAIN_FRAGMENT_BITS = 0x3fff };

/* The port has verified TCP's checksum, or the sender on this machine has left it to its NIC (RX_L4_CKSUM_NONE: the
 * bytes never left memory). */
static inline bool l4_checksum_known(const struct rte_mbuf *m)
{
    uint64_t flags = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    return flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD || flags == RTE_MBUF_F_RX_L4_CKSUM_NONE;
}

/* Is nothing special about a source: no group, loopback or broadcast address, none of ours? */
static inline bool plain_source(const struct plain *own, uint32_t source)
{
    enum { ZERO = 0, LOOPBACK = 127, GROUPS = 224 };
    uint8_t first = (uint8_t)source; /* little-endian host */
    bool special = first == ZERO || first == LOOPBACK || first >= GROUPS;
    special |= (source == own->source[0]) | (source == own->source[1]); /* both are of the same address */
    for (unsigned i = 2; unlikely(i < own->sources); i++)
        special |= source == own->source[i];
    return !special;
}

/* True: it is one, and *out says what net_input() says of it. */
static inline bool plain_input(const struct net_if *n, const struct rte_mbuf *m, struct net_packet *out)
{
    enum { L2 = RTE_ETHER_HDR_LEN, HEADER = sizeof(struct rte_ipv4_hdr) };
    enum { START = 0x450008, START_MASK = 0xffffff }; /* type, version and length, as they are read */
    const uint64_t mac_mask = UINT64_MAX >> 16;
    const struct plain *own = &n->plain;
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    struct rte_ipv4_hdr ip;
    uint64_t mac;
    uint32_t start;
    if (unlikely(m->data_len < L2 + HEADER || m->nb_segs > 1 || m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
        return false;
    memcpy(&mac, p, sizeof mac);
    memcpy(&start, p + L2 - 2, sizeof start);
    memcpy(&ip, p + L2, sizeof ip);
    unsigned total = rte_be_to_cpu_16(ip.total_length);
    bool plain = ((mac ^ own->mac) & mac_mask) == 0 && (start & START_MASK) == START && ip.dst_addr == own->address &&
                 ip.next_proto_id == IPPROTO_TCP && (ip.fragment_offset & RTE_BE16(PLAIN_FRAGMENT_BITS)) == 0;
    if (!plain || !own->possible || n->address[own->index].state != ADDRESS_PREFERRED || total < HEADER ||
        m->pkt_len < L2 + total || !plain_source(own, ip.src_addr))
        return false;
    if ((m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) != RTE_MBUF_F_RX_IP_CKSUM_GOOD &&
        checksum_finish(checksum_ipv4_header(p + L2)) != 0)
        return false;
    *out = (struct net_packet){.src = ip_v4(&ip.src_addr),
                               .dst = ip_v4(&ip.dst_addr),
                               .l4_off = L2 + HEADER,
                               .l4_len = (uint16_t)(total - HEADER),
                               .ecn = ip.type_of_service & 3,
                               .ttl = ip.time_to_live,
                               .checksum_ok = l4_checksum_known(m)};
    return true;
}

/* ipv4.c: IPv4 packets: RFC 791, RFC 1122 (3.2.1), options by RFC 7126. */
#include "net/plain.h"

enum { HEADER = sizeof(struct rte_ipv4_hdr), PLAIN = 0x45, FRAGMENT_BITS = PLAIN_FRAGMENT_BITS };

enum option { OPTION_END = 0, OPTION_NOP = 1, OPTION_LSRR = 131, OPTION_SSRR = 137 };

/* Well-formed, and without a source route (RFC 7126, 4.3 and 4.4)? All other options are ignored. */
static bool options_ok(const uint8_t *p, unsigned len)
{
    for (unsigned i = 0, step; i < len && p[i] != OPTION_END; i += step) {
        step = 1;
        if (p[i] == OPTION_NOP)
            continue;
        if (i + 1 >= len || p[i + 1] < 2 || p[i + 1] > len - i)
            return false;
        if (p[i] == OPTION_LSRR || p[i] == OPTION_SSRR)
            return false;
        step = p[i + 1];
    }
    return true;
}

static bool checksum_ok(const struct rte_mbuf *m, const uint8_t *p, unsigned len)
{
    return (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) == RTE_MBUF_F_RX_IP_CKSUM_GOOD ||
           checksum_finish(checksum_add(0, p, len)) == 0;
}

static enum net_verdict other_protocol(struct net_if *n, struct frame *f, uint8_t protocol)
{
    if (protocol == IPPROTO_ICMP)
        return icmp4_input(n, f);
    return icmp_refuse(n, f, protocol == IPPROTO_UDP ? FAULT_PORT : FAULT_PROTOCOL, 0,
                       COUNTER_net_drop_protocol);
}

enum net_verdict ipv4_input(struct net_if *n, struct frame *f, struct net_packet *out)
{
    if (f->len < (uint32_t)f->l3 + HEADER)
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    struct rte_ipv4_hdr ip;
    const uint8_t *p = f->p + f->l3;
    memcpy(&ip, p, sizeof ip);
    unsigned header = (ip.version_ihl & 0xfu) * 4, total = rte_be_to_cpu_16(ip.total_length);
    if (ip.version_ihl >> 4 != 4 || header < HEADER || total < header)
        return net_drop(n, f->m, COUNTER_net_drop_ip_header);
    if (f->len < f->l3 + header || f->m->pkt_len < f->l3 + total)
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    if (!checksum_ok(f->m, p, header))
        return net_drop(n, f->m, COUNTER_net_drop_ip_checksum);
    f->src = ip_v4(&ip.src_addr);
    f->dst = ip_v4(&ip.dst_addr);
    /* A packet for our address in a broadcast frame is not for us either (RFC 1122, 3.3.6). */
    if (!net_is_local(n, &f->dst) || !f->unicast)
        return net_drop(n, f->m, COUNTER_net_drop_not_ours);
    if (!net_source_ok(n, &f->src, &f->dst))
        return net_drop(n, f->m, COUNTER_net_drop_source);
    if (unlikely(ip.version_ihl != PLAIN && !options_ok(p + HEADER, header - HEADER)))
        return net_drop(n, f->m, COUNTER_net_drop_ip_options);
    f->l4 = (uint16_t)(f->l3 + header);
    f->l4_len = (uint16_t)(total - header);
    if (unlikely(ip.fragment_offset & RTE_BE16(FRAGMENT_BITS)))
        return fragment4_input(n, f, &ip);
    if (unlikely(ip.next_proto_id != IPPROTO_TCP))
        return other_protocol(n, f, ip.next_proto_id);
    *out = (struct net_packet){.src = f->src,
                               .dst = f->dst,
                               .l4_off = f->l4,
                               .l4_len = f->l4_len,
                               .ecn = ip.type_of_service & 3,
                               .ttl = ip.time_to_live,
                               .checksum_ok = l4_checksum_known(f->m)};
    return NET_TCP;
}

static void set_checksum(uint8_t *p)
{
    memset(p + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, 2);
    uint16_t sum = checksum_finish(checksum_add(0, p, HEADER));
    memcpy(p + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, 2);
}

void ipv4_header(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, uint16_t payload_len,
                 uint8_t protocol)
{
    struct rte_ipv4_hdr ip = {.version_ihl = PLAIN,
                              .total_length = rte_cpu_to_be_16((uint16_t)(payload_len + HEADER)),
                              .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
                              .time_to_live = HOP_LIMIT,
                              .next_proto_id = protocol};
    memcpy(&ip.src_addr, src->b + 12, 4);
    memcpy(&ip.dst_addr, dst->b + 12, 4);
    memcpy(p, &ip, sizeof ip);
    set_checksum(p);
}

void ipv4_fragment(uint8_t *p, uint16_t id, uint32_t off, bool more)
{
    rte_be16_t field = rte_cpu_to_be_16((uint16_t)(off / 8 | (more ? RTE_IPV4_HDR_MF_FLAG : 0)));
    memcpy(p + offsetof(struct rte_ipv4_hdr, packet_id), &id, 2);
    memcpy(p + offsetof(struct rte_ipv4_hdr, fragment_offset), &field, 2);
    set_checksum(p);
}

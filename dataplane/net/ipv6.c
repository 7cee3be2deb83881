/* ipv6.c: IPv6 packets and their extension headers: RFC 8200; routing headers by RFC 5095; atomic fragments
 * by RFC 6946, others are counted and dropped. */
#include "net/internal.h"

enum { HEADER = sizeof(struct rte_ipv6_hdr), EXTENSIONS = 8 };

enum next_header { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60 };

/* Options of a hop-by-hop or destination header: the two highest bits of an unknown type say what to do with
 * the packet (RFC 8200, 4.2); we know Pad1 and PadN, and the router alert (5) starts with 00. */
static bool options_ok(const uint8_t *p, unsigned len)
{
    for (unsigned i = 0; i < len;) {
        if (p[i] == 0) {
            i++;
            continue;
        }
        if (i + 2 > len || p[i + 1] > len - i - 2 || p[i] & 0xc0)
            return false;
        i += 2u + p[i + 1];
    }
    return true;
}

enum step { STEP_NEXT, STEP_DONE, STEP_BAD, STEP_FRAGMENT };

/* One extension header of *len bytes at p (left bytes are there). */
static enum step extension(uint8_t type, const uint8_t *p, unsigned left, unsigned *len, bool first)
{
    if (type != HOP_BY_HOP && type != ROUTING && type != FRAGMENT && type != DESTINATION)
        return STEP_DONE;
    if (left < 8)
        return STEP_BAD;
    *len = type == FRAGMENT ? 8 : (p[1] + 1u) * 8;
    if (*len > left || (type == HOP_BY_HOP && !first))
        return STEP_BAD;
    if (type == FRAGMENT) /* offset 0 and no more: a packet that was never cut */
        return (p[2] << 8 | p[3]) & 0xfff9 ? STEP_FRAGMENT : STEP_NEXT;
    if (type == ROUTING) /* no segment left, or we would have to forward it */
        return p[3] == 0 ? STEP_NEXT : STEP_BAD;
    return options_ok(p + 2, *len - 2) ? STEP_NEXT : STEP_BAD;
}

/* Moves f->l4 over the extension headers; *next is the type of what stands there. */
static enum step skip_extensions(struct frame *f, uint8_t *next)
{
    unsigned room = RTE_MIN((unsigned)f->l4_len, f->len - f->l4), off = 0;
    for (unsigned i = 0; i < EXTENSIONS; i++) {
        unsigned len = 0;
        const uint8_t *p = f->p + f->l4 + off;
        enum step s = extension(*next, p, room - off, &len, i == 0);
        if (s == STEP_DONE) {
            f->l4 = (uint16_t)(f->l4 + off);
            f->l4_len = (uint16_t)(f->l4_len - off);
        }
        if (s != STEP_NEXT)
            return s;
        *next = p[0];
        off += len;
        if (off > EXTENSIONS_MAX)
            return STEP_BAD;
    }
    return STEP_BAD;
}

/* One of our addresses, all nodes (ff02::1), or the solicited-node group of one of ours (RFC 4291, 2.7.1). */
static bool for_us(const struct net_if *n, const struct frame *f)
{
    static const struct ip_addr all_nodes = {{0xff, 2, [15] = 1}};
    static const uint8_t solicited[13] = {0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    if (f->unicast)
        return net_is_local(n, &f->dst);
    if (ip_equal(&f->dst, &all_nodes))
        return true;
    if (memcmp(f->dst.b, solicited, sizeof solicited) != 0)
        return false;
    for (unsigned i = 0; i < n->addresses; i++)
        if (n->address[i].v6 && memcmp(n->address[i].ip.b + 13, f->dst.b + 13, 3) == 0)
            return true;
    return false;
}

static void fill(struct net_packet *out, const struct frame *f, uint32_t vtc_flow)
{
    uint64_t flags = f->m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
    *out = (struct net_packet){.src = f->src,
                               .dst = f->dst,
                               .l4_off = f->l4,
                               .l4_len = f->l4_len,
                               .ecn = vtc_flow >> 20 & 3,
                               .ttl = f->hop_limit,
                               .checksum_ok = flags == RTE_MBUF_F_RX_L4_CKSUM_GOOD ||
                                              flags == RTE_MBUF_F_RX_L4_CKSUM_NONE};
}

enum net_verdict ipv6_input(struct net_if *n, struct frame *f, struct net_packet *out)
{
    if (f->len < (uint32_t)f->l3 + HEADER)
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    struct rte_ipv6_hdr ip;
    memcpy(&ip, f->p + f->l3, sizeof ip);
    uint32_t vtc_flow = rte_be_to_cpu_32(ip.vtc_flow);
    if (vtc_flow >> 28 != 6)
        return net_drop(n, f->m, COUNTER_net_drop_ip_header);
    f->l4 = (uint16_t)(f->l3 + HEADER);
    f->l4_len = rte_be_to_cpu_16(ip.payload_len);
    f->hop_limit = ip.hop_limits;
    if (f->m->pkt_len < (uint32_t)f->l4 + f->l4_len)
        return net_drop(n, f->m, COUNTER_net_drop_truncated);
    memcpy(f->src.b, ip.src_addr, 16);
    memcpy(f->dst.b, ip.dst_addr, 16);
    if (!for_us(n, f))
        return net_drop(n, f->m, COUNTER_net_drop_not_ours);
    /* Only duplicate address detection speaks without an address; nd.c knows its rules. */
    if (!ip_is_zero(&f->src) && !net_source_ok(n, &f->src, &f->dst))
        return net_drop(n, f->m, COUNTER_net_drop_source);
    uint8_t next = ip.proto;
    enum step s = skip_extensions(f, &next);
    if (s != STEP_DONE)
        return net_drop(n, f->m,
                        s == STEP_FRAGMENT ? COUNTER_net_drop_fragment : COUNTER_net_drop_ipv6_extension);
    if (next == IPPROTO_ICMPV6)
        return icmp6_input(n, f);
    if (next != IPPROTO_TCP)
        return net_drop(n, f->m, COUNTER_net_drop_protocol);
    if (!f->unicast || ip_is_zero(&f->src))
        return net_drop(n, f->m, COUNTER_net_drop_not_ours);
    fill(out, f, vtc_flow);
    return NET_TCP;
}

void ipv6_header(uint8_t *p, const struct ip_addr *src, const struct ip_addr *dst, uint16_t payload_len,
                 uint8_t next, uint8_t hop_limit)
{
    struct rte_ipv6_hdr ip = {.vtc_flow = RTE_BE32(6u << 28),
                              .payload_len = rte_cpu_to_be_16(payload_len),
                              .proto = next,
                              .hop_limits = hop_limit};
    memcpy(ip.src_addr, src->b, 16);
    memcpy(ip.dst_addr, dst->b, 16);
    memcpy(p, &ip, sizeof ip);
}

/* ipv6.c: IPv6 packets and their extension headers: RFC 8200; routing headers by RFC 5095; atomic fragments
 * by RFC 6946. What RFC 8200 and RFC 4443 want answered with a parameter problem is answered. */
#include "net/internal.h"

enum { HEADER = sizeof(struct rte_ipv6_hdr), EXTENSIONS = 8 };

enum next_header { HOP_BY_HOP = 0, ROUTING = 43, FRAGMENT = 44, DESTINATION = 60, NOTHING = 59 };

enum step { STEP_NEXT, STEP_DONE, STEP_BAD, STEP_REFUSE, STEP_FRAGMENT };

struct walk {               /* over the extension headers */
    uint8_t next;           /* type of the header at off */
    unsigned off, named_at; /* offsets in the packet: of that header, of the field that named it */
    enum icmp_fault fault;  /* STEP_REFUSE: what the sender is told, */
    unsigned pointer;       /* and about which byte of the packet */
    bool router_alert;
};

static enum step refuse(struct walk *w, enum icmp_fault fault, unsigned pointer)
{
    w->fault = fault;
    w->pointer = pointer;
    return STEP_REFUSE;
}

/* Options of a hop-by-hop or destination header: the two highest bits of an unknown type say what to do with
 * the packet (RFC 8200, 4.2); we know Pad1, PadN and the router alert (RFC 2711), which all start with 00. */
static enum step options(struct walk *w, const uint8_t *p, unsigned len, bool unicast)
{
    enum { ROUTER_ALERT = 5, ACTION = 0xc0, DISCARD = 0x40, TELL_UNICAST = 0xc0 };
    for (unsigned i = 2; i < len;) {
        if (p[i] == 0) {
            i++;
            continue;
        }
        if (i + 2 > len || p[i + 1] > len - i - 2)
            return STEP_BAD;
        unsigned action = p[i] & ACTION;
        if (action == DISCARD || (action == TELL_UNICAST && !unicast))
            return STEP_BAD;
        if (action)
            return refuse(w, FAULT_OPTION, w->off + i);
        w->router_alert |= p[i] == ROUTER_ALERT;
        i += 2u + p[i + 1];
    }
    return STEP_NEXT;
}

/* One extension header of *len bytes at p, of which left are there. */
static enum step extension(struct walk *w, const uint8_t *p, unsigned left, unsigned *len, bool unicast)
{
    bool known = w->next == HOP_BY_HOP || w->next == ROUTING || w->next == FRAGMENT || w->next == DESTINATION;
    if (!known)
        return STEP_DONE;
    if (left < 8)
        return STEP_BAD;
    *len = w->next == FRAGMENT ? 8 : (p[1] + 1u) * 8;
    if (*len > left)
        return STEP_BAD;
    if (w->next == HOP_BY_HOP && w->off != HEADER) /* RFC 8200, 4.1: only in front */
        return refuse(w, FAULT_PROTOCOL, w->named_at);
    if (w->next == FRAGMENT) { /* offset 0 and no more: a packet that was never cut */
        bool atomic = !((p[2] << 8 | p[3]) & 0xfff9);
        return atomic ? STEP_NEXT : w->off == HEADER ? STEP_FRAGMENT : STEP_BAD;
    }
    if (w->next == ROUTING) /* no segment left, or we would have to forward it (RFC 8200, 4.4) */
        return p[3] == 0 ? STEP_NEXT : refuse(w, FAULT_HEADER, w->off + 2);
    return options(w, p, *len, unicast);
}

/* Moves f->l4 over the extension headers, up to a fragment header or what is no extension. */
static enum step skip_extensions(struct frame *f, struct walk *w)
{
    unsigned room = HEADER + RTE_MIN((unsigned)f->l4_len, f->len - f->l4);
    for (unsigned i = 0; i < EXTENSIONS && w->off <= HEADER + EXTENSIONS_MAX; i++) {
        unsigned len = 0;
        const uint8_t *p = f->p + f->l3 + w->off;
        enum step s = extension(w, p, room - w->off, &len, f->unicast);
        if (s == STEP_DONE) {
            f->l4 = (uint16_t)(f->l3 + w->off);
            f->l4_len = (uint16_t)(f->l4_len - (w->off - HEADER));
        }
        if (s != STEP_NEXT) {
            /* Never an error about what may be an ICMP error itself (RFC 4443, 2.4 e). */
            return s == STEP_REFUSE && len && p[0] == IPPROTO_ICMPV6 ? STEP_BAD : s;
        }
        w->next = p[0];
        w->named_at = w->off;
        w->off += len;
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

static enum net_verdict other_protocol(struct net_if *n, struct frame *f, const struct walk *w)
{
    if (w->next == IPPROTO_ICMPV6)
        return icmp6_input(n, f);
    if (w->next == NOTHING)
        return net_drop(n, f->m, COUNTER_net_drop_protocol);
    /* The error quotes the packet from its IP header on: l4 is only needed for its length. */
    return icmp_refuse(n, f, w->next == IPPROTO_UDP ? FAULT_PORT : FAULT_PROTOCOL,
                       w->next == IPPROTO_UDP ? 0 : w->named_at, COUNTER_net_drop_protocol);
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
    if (!ip_is_zero(&f->src) && !net_source_ok(n, &f->src, &f->dst)) {
        struct local_address *own = f->unicast ? NULL : address_find(n, &f->src);
        if (own) /* to a group, from our address: its other owner announces itself */
            address_conflict(n, own, f->p + 6, f->now);
        return net_drop(n, f->m, COUNTER_net_drop_source);
    }
    struct walk w = {.next = ip.proto, .off = HEADER, .named_at = offsetof(struct rte_ipv6_hdr, proto)};
    enum step s = skip_extensions(f, &w);
    if (unlikely(s != STEP_DONE))
        return s == STEP_FRAGMENT ? fragment6_input(n, f)
               : s == STEP_REFUSE ? icmp_refuse(n, f, w.fault, w.pointer, COUNTER_net_drop_ipv6_extension)
                                  : net_drop(n, f->m, COUNTER_net_drop_ipv6_extension);
    if (unlikely(w.next != IPPROTO_TCP)) {
        f->router_alert = w.router_alert;
        return other_protocol(n, f, &w);
    }
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

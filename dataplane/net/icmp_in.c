/* icmp_in.c: errors that routers and hosts send about our TCP segments: ICMP (RFC 792; RFC 1122, 3.2.2) and
 * ICMPv6 (RFC 4443, 3). The quoted headers are read within the bytes that are there; what they say goes up to
 * TCP, which checks it (RFC 5927). Source quench is ignored (RFC 6633), so are redirects (routes are
 * configured). */
#include "net/internal.h"

enum { ICMP_HEADER = 8, TCP_QUOTE = 8, IP4 = sizeof(struct rte_ipv4_hdr), IP6 = sizeof(struct rte_ipv6_hdr) };
enum { UNREACHABLE_4 = 3, TIME_EXCEEDED_4 = 11, PARAMETER_4 = 12 };
enum { UNREACHABLE_6 = 1, TOO_BIG_6 = 2, TIME_EXCEEDED_6 = 3, PARAMETER_6 = 4 };
enum { MTU_MIN_4 = 68, MTU_MIN_6 = 1280 };

bool icmp4_is_error(uint8_t type)
{
    return type == UNREACHABLE_4 || type == TIME_EXCEEDED_4 || type == PARAMETER_4;
}

/* An old router does not say what would fit: the next lower of the usual sizes (RFC 1191, 7.1). */
static uint32_t plateau(uint32_t packet)
{
    static const uint16_t sizes[] = {8166, 4352, 2002, 1492, 1006, 508, 296};
    for (unsigned i = 0; i < RTE_DIM(sizes); i++)
        if (packet > sizes[i])
            return sizes[i];
    return MTU_MIN_4;
}

/* The kind of an IPv4 error, its MTU; false if it is to be ignored. packet: length of what we sent. */
static bool classify4(struct net_error *e, const uint8_t *icmp, uint32_t packet)
{
    enum { PROTOCOL = 2, PORT = 3, TOO_BIG = 4 };
    bool unreachable = e->type == UNREACHABLE_4;
    e->kind = unreachable && (e->code == PROTOCOL || e->code == PORT) ? NET_ERROR_HARD : NET_ERROR_SOFT;
    if (!unreachable || e->code != TOO_BIG)
        return true;
    e->kind = NET_ERROR_TOO_BIG;
    e->mtu = (uint32_t)(icmp[6] << 8 | icmp[7]);
    if (e->mtu == 0)
        e->mtu = plateau(packet);
    return e->mtu >= MTU_MIN_4;
}

/* RFC 8201, 4: a router that wants less than the least MTU is not to be believed. */
static bool classify6(struct net_error *e, const uint8_t *icmp)
{
    enum { PROHIBITED = 1, PORT = 4, NEXT_HEADER = 1 };
    bool hard = (e->type == UNREACHABLE_6 && (e->code == PROHIBITED || e->code == PORT)) ||
                (e->type == PARAMETER_6 && e->code == NEXT_HEADER);
    e->kind = hard ? NET_ERROR_HARD : NET_ERROR_SOFT; /* RFC 5461, 2 */
    if (e->type != TOO_BIG_6)
        return true;
    rte_be32_t mtu;
    memcpy(&mtu, icmp + 4, 4);
    e->kind = NET_ERROR_TOO_BIG;
    e->mtu = rte_be_to_cpu_32(mtu);
    return e->mtu >= MTU_MIN_6;
}

/* Reads the quoted packet of have bytes at q; its TCP header starts at the offset returned, 0 if it is none
 * of our segments. *packet: its length when we sent it. */
static unsigned quoted(struct net_error *e, const uint8_t *q, unsigned have, bool v6, uint32_t *packet)
{
    unsigned header = v6 ? IP6 : have ? (q[0] & 0xfu) * 4 : 0;
    if (header < (v6 ? IP6 : IP4) || have < header + TCP_QUOTE || q[0] >> 4 != (v6 ? 6 : 4))
        return 0;
    if (v6) {
        memcpy(e->local.ip.b, q + 8, 16);
        memcpy(e->remote.ip.b, q + 24, 16);
        *packet = (uint32_t)(q[4] << 8 | q[5]) + IP6;
        return q[6] == IPPROTO_TCP ? header : 0;
    }
    e->local.ip = ip_v4(q + 12);
    e->remote.ip = ip_v4(q + 16);
    *packet = (uint32_t)(q[2] << 8 | q[3]);
    bool first = ((q[6] << 8 | q[7]) & RTE_IPV4_HDR_OFFSET_MASK) == 0;
    return q[9] == IPPROTO_TCP && first ? header : 0;
}

enum net_verdict icmp_error_input(struct net_if *n, struct frame *f)
{
    struct net_error e = {0};
    const uint8_t *icmp = f->p + f->l4, *q = icmp + ICMP_HEADER;
    unsigned have = RTE_MIN((unsigned)f->l4_len, f->len - f->l4) - ICMP_HEADER;
    bool v6 = !ip_is_v4(&f->src);
    uint32_t packet;
    e.type = icmp[0];
    e.code = icmp[1];
    unsigned tcp = f->unicast ? quoted(&e, q, have, v6, &packet) : 0;
    /* It comes to the address that we sent from, or somebody guesses. */
    if (!tcp || !ip_equal(&e.local.ip, &f->dst))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_quote);
    e.local.port = (uint16_t)(q[tcp] << 8 | q[tcp + 1]);
    e.remote.port = (uint16_t)(q[tcp + 2] << 8 | q[tcp + 3]);
    rte_be32_t seq;
    memcpy(&seq, q + tcp + 4, 4);
    e.seq = rte_be_to_cpu_32(seq);
    if (v6 ? !classify6(&e, icmp) : !classify4(&e, icmp, packet))
        return net_drop(n, f->m, COUNTER_net_drop_icmp_quote);
    n->error = e;
    count_one(n->counters, COUNTER_net_icmp_errors_in);
    rte_pktmbuf_free(f->m);
    return NET_TCP_ERROR;
}

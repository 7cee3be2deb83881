/* ethernet.c: Ethernet II frames, IEEE 802.1Q tags; the entry of every received frame. */
#include "net/plain.h"

enum { ETHERNET = RTE_ETHER_HDR_LEN, TAG = RTE_VLAN_HLEN, VID_MASK = 0xfff };

uint8_t ethernet_header_len(const struct net_if *n)
{
    return n->conf.vlan ? ETHERNET + TAG : ETHERNET;
}

uint8_t ethernet_header(const struct net_if *n, uint8_t *p, const uint8_t *dst, uint16_t type)
{
    if (dst)
        memcpy(p, dst, 6);
    memcpy(p + 6, n->conf.mac, 6);
    uint8_t *at = p + 12;
    if (n->conf.vlan) {
        const uint8_t tag[4] = {0x81, 0, (uint8_t)(n->conf.vlan >> 8 & 0xf), (uint8_t)n->conf.vlan};
        memcpy(at, tag, sizeof tag);
        at += TAG;
    }
    at[0] = (uint8_t)(type >> 8);
    at[1] = (uint8_t)type;
    return (uint8_t)(at + 2 - p);
}

struct rte_mbuf *ethernet_frame(struct net_if *n, const uint8_t dst[6], uint16_t type, uint16_t body_len,
                                uint8_t **body)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(n->pool);
    uint16_t len = (uint16_t)(ethernet_header_len(n) + body_len);
    uint8_t *p = m ? (uint8_t *)rte_pktmbuf_append(m, len) : NULL;
    if (!p) {
        rte_pktmbuf_free(m);
        count_one(n->counters, COUNTER_net_no_memory);
        return NULL;
    }
    *body = p + ethernet_header(n, p, dst, type);
    memset(*body, 0, body_len);
    return m;
}

void ethernet_turn(struct net_if *n, struct frame *f)
{
    memcpy(f->p, f->p + 6, 6);
    memcpy(f->p + 6, n->conf.mac, 6);
    net_set_flags(f->m, 0);
    net_transmit(n, f->m);
}

/* Makes the headers contiguous; false if the frame cannot be read. */
static bool pull_headers(struct rte_mbuf *m)
{
    if (m->nb_segs == 1 || m->data_len >= RTE_MIN(m->pkt_len, (uint32_t)HEADERS_MAX))
        return true;
    return rte_mbuf_refcnt_read(m) == 1 && RTE_MBUF_DIRECT(m) && rte_pktmbuf_linearize(m) == 0;
}

/* The port has taken a tag off: put it back, so that there is one form of frame only. */
static bool restore_tag(struct rte_mbuf *m)
{
    if (!(m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED))
        return true;
    return m->data_len >= ETHERNET && rte_vlan_insert(&m) == 0;
}

/* Is the tag at the frame's start ours? Untagged interfaces take priority tags (VID 0), which belong to no
 * VLAN. */
static bool tag_ours(const struct net_if *n, const uint8_t *p)
{
    return ((unsigned)(p[14] << 8 | p[15]) & VID_MASK) == n->conf.vlan;
}

static __attribute__((noinline)) enum net_verdict general_input(struct net_if *n, struct rte_mbuf *m,
                                                               struct net_packet *out, uint64_t now_us)
{
    if (unlikely(m->nb_segs > 1 || m->ol_flags & RTE_MBUF_F_RX_VLAN_STRIPPED)) {
        if (!pull_headers(m) || !restore_tag(m))
            return net_drop(n, m, COUNTER_net_drop_truncated);
    }
    struct frame f = {.m = m, .p = rte_pktmbuf_mtod(m, uint8_t *), .len = m->data_len, .now = now_us};
    if (f.len < ETHERNET + TAG)
        return net_drop(n, m, COUNTER_net_drop_truncated);
    f.unicast = memcmp(f.p, n->conf.mac, 6) == 0;
    if (!f.unicast && !(f.p[0] & 1))
        return net_drop(n, m, COUNTER_net_drop_not_ours);
    f.l3 = ETHERNET;
    unsigned type = (unsigned)(f.p[12] << 8 | f.p[13]);
    bool tagged = type == RTE_ETHER_TYPE_VLAN;
    if (tagged) {
        type = (unsigned)(f.p[16] << 8 | f.p[17]);
        f.l3 += TAG;
        if (type == RTE_ETHER_TYPE_VLAN || type == RTE_ETHER_TYPE_QINQ)
            return net_drop(n, m, COUNTER_net_drop_vlan); /* a tag inside our VLAN would leave it */
    }
    if (tagged ? !tag_ours(n, f.p) : n->conf.vlan != 0)
        return net_drop(n, m, COUNTER_net_drop_vlan);
    if (type == RTE_ETHER_TYPE_IPV4)
        return ipv4_input(n, &f, out);
    if (type == RTE_ETHER_TYPE_IPV6)
        return ipv6_input(n, &f, out);
    if (type == RTE_ETHER_TYPE_ARP)
        return arp_input(n, &f);
    return net_drop(n, m, COUNTER_net_drop_ethertype);
}

enum net_verdict net_input(struct net_if *n, struct rte_mbuf *m, struct net_packet *out, uint64_t now_us)
{
    return likely(plain_input(n, m, out)) ? NET_TCP : general_input(n, m, out, now_us);
}

/* path.c: paths, the header templates towards a peer, and the way out of a TCP segment. */
#include "net/internal.h"

#include <stdlib.h>

enum { DEFAULT_ROOM = 1 << 16, IP4 = sizeof(struct rte_ipv4_hdr), IP6 = sizeof(struct rte_ipv6_hdr) };
enum { TCP_CHECKSUM_OFFSET = 16 };

bool paths_init(struct net_if *n)
{
    struct paths *t = &n->paths;
    t->room = n->conf.paths ? n->conf.paths : DEFAULT_ROOM;
    t->mask = rte_align32pow2(t->room) - 1;
    /* Memory costs nothing until it is touched: entries are taken from the front. */
    size_t size = (size_t)t->room * sizeof *t->entry;
    t->entry = aligned_alloc(_Alignof(struct net_path), size);
    t->bucket = calloc(t->mask + 1, sizeof *t->bucket);
    return t->entry && t->bucket;
}

void paths_free(struct net_if *n)
{
    free(n->paths.entry);
    free(n->paths.bucket);
}

static void fill_header(const struct net_if *n, struct net_path *p)
{
    p->v6 = !ip_is_v4(&p->src);
    p->mtu = n->conf.mtu;
    unsigned ip_len = p->v6 ? IP6 : IP4;
    p->l2_len = ethernet_header_len(n);
    p->header_len = (uint8_t)(p->l2_len + ip_len);
    uint8_t *at = p->header + sizeof p->header - p->header_len;
    at += ethernet_header(n, at, NULL, p->v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);
    p->pseudo_sum = checksum_fold(checksum_pseudo(&p->src, &p->dst, IPPROTO_TCP));
    if (p->v6) {
        ipv6_header(at, &p->src, &p->dst, 0, IPPROTO_TCP, HOP_LIMIT);
        return;
    }
    /* Never fragmented, so the identification means nothing (RFC 6864, 4.1). */
    struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
                              .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
                              .time_to_live = HOP_LIMIT,
                              .next_proto_id = IPPROTO_TCP};
    memcpy(&ip.src_addr, p->src.b + 12, 4);
    memcpy(&ip.dst_addr, p->dst.b + 12, 4);
    p->ip_sum = checksum_fold(checksum_add(0, &ip, sizeof ip));
    memcpy(at, &ip, sizeof ip);
}

static struct net_path *path_alloc(struct paths *t)
{
    struct net_path *p = NULL;
    if (t->free) {
        p = &t->entry[t->free - 1];
        t->free = p->next;
    } else if (t->used < t->room) {
        p = &t->entry[t->used++];
    }
    if (p)
        memset(p, 0, sizeof *p);
    return p;
}

static void path_release(struct paths *t, struct net_path *p)
{
    p->next = t->free;
    t->free = (uint32_t)(p - t->entry) + 1;
}

static struct net_path *path_new(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                                 uint32_t *bucket)
{
    struct ip_addr hop;
    if (ip_is_v4(src) != ip_is_v4(dst) || !route_find(n, dst, &hop)) {
        count_one(n->counters, COUNTER_net_no_route);
        return NULL;
    }
    struct net_path *p = path_alloc(&n->paths);
    if (!p) {
        count_one(n->counters, COUNTER_net_paths_full);
        return NULL;
    }
    p->via = neighbour_get(n, &hop);
    if (!p->via) {
        path_release(&n->paths, p);
        return NULL;
    }
    p->src = *src;
    p->dst = *dst;
    fill_header(n, p);
    p->next = *bucket;
    *bucket = (uint32_t)(p - n->paths.entry) + 1;
    return p;
}

struct net_path *net_path_get(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                              uint64_t now_us)
{
    (void)now_us; /* the neighbour is asked for when there is something to send */
    struct paths *t = &n->paths;
    uint32_t *bucket = &t->bucket[net_hash(n, dst, src) & t->mask];
    struct net_path *p = NULL;
    for (uint32_t i = *bucket; i && !p; i = t->entry[i - 1].next)
        if (ip_equal(&t->entry[i - 1].dst, dst) && ip_equal(&t->entry[i - 1].src, src))
            p = &t->entry[i - 1];
    if (!p)
        p = path_new(n, src, dst, bucket);
    if (p)
        p->refs++;
    return p;
}

void net_path_put(struct net_if *n, struct net_path *p)
{
    if (!p || --p->refs)
        return;
    struct paths *t = &n->paths;
    uint32_t self = (uint32_t)(p - t->entry) + 1;
    uint32_t *at = &t->bucket[net_hash(n, &p->dst, &p->src) & t->mask];
    while (*at != self)
        at = &t->entry[*at - 1].next;
    *at = p->next;
    neighbour_put(p->via);
    path_release(t, p);
}

enum { MTU_MIN_4 = 552, MTU_MIN_6 = 1280 };

static void forget_mtu(struct net_if *n, unsigned place)
{
    struct paths *t = &n->paths;
    struct net_path *p = &t->entry[t->learned[place] - 1];
    t->learned[place] = 0;
    t->learned_n--;
    p->mtu = n->conf.mtu;
    p->mtu_until = 0;
    net_path_put(n, p);
}

/* The path keeps itself alive while it knows something, so that the next connection need not learn it again;
 * the table of what is known is a ring: the oldest knowledge goes. */
static void remember(struct net_if *n, struct net_path *p)
{
    struct paths *t = &n->paths;
    unsigned place = t->learned_hand++ % LEARNED_MTUS;
    if (t->learned[place])
        forget_mtu(n, place);
    t->learned[place] = (uint32_t)(p - t->entry) + 1;
    t->learned_n++;
    p->refs++;
}

bool net_path_learn_mtu(struct net_if *n, struct net_path *p, uint32_t mtu, uint64_t now_us)
{
    uint32_t least = p->v6 ? MTU_MIN_6 : MTU_MIN_4;
    mtu = mtu < least ? least : mtu;
    if (mtu >= p->mtu)
        return false;
    count_one(n->counters, COUNTER_net_mtu_learned);
    if (!p->mtu_until)
        remember(n, p);
    p->mtu = (uint16_t)mtu;
    p->mtu_until = now_us + NET_MTU_LIFE;
    return true;
}

/* Forgets what is old; a walk over the ring while there is anything in it. */
uint64_t paths_tick(struct net_if *n, uint64_t now)
{
    struct paths *t = &n->paths;
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; t->learned_n && i < LEARNED_MTUS; i++) {
        if (!t->learned[i])
            continue;
        uint64_t until = t->entry[t->learned[i] - 1].mtu_until;
        if (until <= now)
            forget_mtu(n, i);
        else
            next = RTE_MIN(next, until);
    }
    return next;
}

void net_path_confirm(struct net_if *n, struct net_path *p, uint64_t now_us)
{
    neighbour_alive(n, p->via, now_us);
}

uint16_t net_path_mtu(const struct net_path *p)
{
    return p->mtu;
}

static inline void finish_ip(const struct net_path *p, uint8_t *ip, uint16_t l4_len, uint8_t ecn)
{
    if (unlikely(p->v6)) {
        rte_be16_t len = rte_cpu_to_be_16(l4_len);
        ip[1] = (uint8_t)(ecn << 4);
        memcpy(ip + offsetof(struct rte_ipv6_hdr, payload_len), &len, 2);
        return;
    }
    uint16_t total = (uint16_t)(l4_len + IP4);
    rte_be16_t len = rte_cpu_to_be_16(total);
    uint16_t sum = (uint16_t)~checksum_fold_small((uint32_t)checksum_u16(checksum_u16(p->ip_sum, total), ecn));
    ip[1] = ecn;
    memcpy(ip + offsetof(struct rte_ipv4_hdr, total_length), &len, 2);
    memcpy(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), &sum, 2);
}

/* The port computes what is left: it wants the pseudo-header's sum in the field, with TSO without the length.
 */
static uint16_t offload_checksum(const struct net_path *p, struct rte_mbuf *m, uint8_t *ip,
                                 uint16_t l4_header, uint16_t tso_mss)
{
    uint16_t l4_len = (uint16_t)(m->pkt_len - p->header_len);
    /* In one piece: the fields one by one would wait for the frame's second cache line to come and be read.
     */
    m->tx_offload = rte_mbuf_tx_offload(p->l2_len, p->header_len - p->l2_len, l4_header, tso_mss, 0, 0, 0);
    net_set_flags(m, (p->v6 ? RTE_MBUF_F_TX_IPV6 : RTE_MBUF_F_TX_IPV4) | RTE_MBUF_F_TX_TCP_CKSUM);
    if (!tso_mss)
        return checksum_fold_small((uint32_t)checksum_u16(p->pseudo_sum, l4_len));
    m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    if (!p->v6) {
        m->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
        memset(ip + offsetof(struct rte_ipv4_hdr, hdr_checksum), 0, 2);
    }
    return (uint16_t)p->pseudo_sum;
}

static uint16_t software_checksum(const struct net_path *p, struct rte_mbuf *m, const uint8_t *tcp,
                                  uint16_t l4_len)
{
    net_set_flags(m, 0);
    uint64_t sum = checksum_u16(p->pseudo_sum, l4_len);
    if (m->nb_segs == 1)
        return checksum_finish(checksum_add(sum, tcp, l4_len));
    return checksum_finish(checksum_add_frame(sum, m, p->header_len, l4_len));
}

void net_send_tcp(struct net_if *n, struct net_path *p, struct rte_mbuf *m, uint16_t l4_header,
                  uint16_t tso_mss, uint8_t ecn, uint64_t now_us)
{
    enum { TEMPLATE = sizeof p->header };
    unsigned most = tso_mss ? UINT16_MAX : n->conf.mtu, ip_len = p->header_len - (unsigned)p->l2_len;
    if (unlikely(rte_pktmbuf_headroom(m) < TEMPLATE || m->pkt_len + ip_len > most ||
                 m->data_len < l4_header || l4_header < TCP_CHECKSUM_OFFSET + 2)) {
        net_drop(n, m, COUNTER_net_drop_unsendable);
        return;
    }
    uint16_t l4_len = (uint16_t)m->pkt_len;
    uint8_t *tcp = rte_pktmbuf_mtod(m, uint8_t *), *ip = tcp - ip_len;
    /* The whole template at once: what is too much of it lies in the headroom, in front of the frame. */
    memcpy(tcp - TEMPLATE, p->header, TEMPLATE);
    m->data_off -= p->header_len;
    m->data_len += p->header_len;
    m->pkt_len += p->header_len;
    finish_ip(p, ip, l4_len, ecn);
    memset(tcp + TCP_CHECKSUM_OFFSET, 0, 2);
    uint16_t sum = n->conf.offload & NET_TX_TCP_CSUM ? offload_checksum(p, m, ip, l4_header, tso_mss)
                                                     : software_checksum(p, m, tcp, l4_len);
    memcpy(tcp + TCP_CHECKSUM_OFFSET, &sum, 2);
    if (likely(p->via->state == NB_REACHABLE)) {
        memcpy(rte_pktmbuf_mtod(m, uint8_t *), p->via->mac, 6);
        net_transmit(n, m);
        return;
    }
    neighbour_send(n, p->via, m, now_us);
}

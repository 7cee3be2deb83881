/* mld.c: multicast listener discovery, the listener's part: RFC 3810 (version 2), and RFC 2710 (version 1)
 * while a querier of that version is on the link (RFC 3810, 8.2.1). Our groups are the solicited-node groups
 * of our IPv6 addresses, without which a snooping switch keeps neighbour solicitations from us. Any source is
 * welcome, so every record says "exclude nobody".
 *
 * Reported twice at start, and after a query, within the time it gives. An answer to any query names all our
 * groups: they fit one packet. Skipped: leaving (groups end with the box), suppression of version 1 reports
 * that another listener has sent (5.1 of RFC 2710; allowed), source lists, the querier's part. */
#include "net/internal.h"

enum {
    HOP_BY_HOP = 8, /* router alert and padding */
    QUERY_V1 = 24,
    QUERY_V2 = 28,
    RECORD = 20,
    REPORT_V1 = 131,
    REPORT_V2 = 143,
    IS_EXCLUDE = 2,
    TO_EXCLUDE = 4,
    ROBUSTNESS = 2,
    UNSOLICITED_INTERVAL = SECOND,
    OLDER_QUERIER = 260 * SECOND /* RFC 3810, 9.12 with default values */
};

static struct ip_addr group_of(const struct ip_addr *a)
{
    struct ip_addr group = {{0xff, 2, [11] = 1, [12] = 0xff}};
    memcpy(group.b + 13, a->b + 13, 3);
    return group;
}

/* Our groups, each once. */
static unsigned groups(const struct net_if *n, struct ip_addr out[NET_ADDRESSES + 1])
{
    unsigned count = 0;
    for (unsigned i = 0; i < n->addresses; i++) {
        struct ip_addr g = group_of(&n->address[i].ip);
        bool known = !n->address[i].v6;
        for (unsigned j = 0; j < count; j++)
            known |= ip_equal(&g, &out[j]);
        if (!known)
            out[count++] = g;
    }
    return count;
}

/* The link-local address, or none while it is not ours yet (RFC 3810, 5.2.13). */
static struct ip_addr source(const struct net_if *n)
{
    const struct local_address *a = &n->address[n->addresses - 1];
    return a->v6 && a->state == ADDRESS_PREFERRED ? a->ip : (struct ip_addr){{0}};
}

/* A message of len bytes at *message, to dst with hop limit 1 and router alert; NULL without memory. */
static struct rte_mbuf *message(struct net_if *n, const struct ip_addr *dst, uint16_t len, uint8_t **message)
{
    static const uint8_t alert[HOP_BY_HOP] = {IPPROTO_ICMPV6, 0, 5, 2, 0, 0, 1, 0};
    const uint8_t mac[6] = {0x33, 0x33, dst->b[12], dst->b[13], dst->b[14], dst->b[15]};
    const struct ip_addr src = source(n);
    uint8_t *body;
    struct rte_mbuf *m = ethernet_frame(n, mac, RTE_ETHER_TYPE_IPV6,
                                        (uint16_t)(sizeof(struct rte_ipv6_hdr) + HOP_BY_HOP + len), &body);
    if (!m)
        return NULL;
    ipv6_header(body, &src, dst, (uint16_t)(HOP_BY_HOP + len), 0, 1);
    memcpy(body + sizeof(struct rte_ipv6_hdr), alert, HOP_BY_HOP);
    *message = body + sizeof(struct rte_ipv6_hdr) + HOP_BY_HOP;
    return m;
}

static void transmit(struct net_if *n, struct rte_mbuf *m, uint8_t *p, uint16_t len,
                     const struct ip_addr *dst)
{
    const struct ip_addr src = source(n);
    uint64_t sum = checksum_u16(checksum_pseudo(&src, dst, IPPROTO_ICMPV6), len);
    uint16_t field = checksum_finish(checksum_add(sum, p, len));
    memcpy(p + 2, &field, 2);
    count_one(n->counters, COUNTER_net_mld_reports);
    net_transmit(n, m);
}

static void report_v2(struct net_if *n, uint8_t record, const struct ip_addr *group, unsigned count)
{
    static const struct ip_addr routers = {{0xff, 2, [15] = 0x16}};
    uint16_t len = (uint16_t)(8 + count * RECORD);
    uint8_t *p;
    struct rte_mbuf *m = message(n, &routers, len, &p);
    if (!m)
        return;
    p[0] = REPORT_V2;
    p[7] = (uint8_t)count;
    for (unsigned i = 0; i < count; i++) {
        p[8 + i * RECORD] = record;
        memcpy(p + 8 + i * RECORD + 4, group[i].b, 16);
    }
    transmit(n, m, p, len, &routers);
}

static void report_v1(struct net_if *n, const struct ip_addr *group)
{
    uint8_t *p;
    struct rte_mbuf *m = message(n, group, QUERY_V1, &p);
    if (!m)
        return;
    p[0] = REPORT_V1;
    memcpy(p + 8, group->b, 16);
    transmit(n, m, p, QUERY_V1, group);
}

static void report(struct net_if *n, uint8_t record, uint64_t now)
{
    struct ip_addr group[NET_ADDRESSES + 1];
    unsigned count = groups(n, group);
    if (now >= n->mld.v1_until) {
        report_v2(n, record, group, count);
        return;
    }
    for (unsigned i = 0; i < count; i++)
        report_v1(n, &group[i]);
}

void mld_start(struct net_if *n)
{
    bool any = n->addresses && n->address[n->addresses - 1].v6 && !n->conf.quiet;
    n->mld = (struct mld){
        .joined = any ? 0 : ROBUSTNESS, .join_at = any ? 0 : UINT64_MAX, .answer_at = UINT64_MAX};
}

uint64_t mld_tick(struct net_if *n, uint64_t now)
{
    struct mld *s = &n->mld;
    if (now >= s->join_at) {
        report(n, TO_EXCLUDE, now);
        s->join_at = ++s->joined < ROBUSTNESS ? now + 1 + net_random(n) % UNSOLICITED_INTERVAL : UINT64_MAX;
    }
    if (now >= s->answer_at) {
        report(n, IS_EXCLUDE, now);
        s->answer_at = UINT64_MAX;
    }
    return RTE_MIN(s->join_at, s->answer_at);
}

/* Milliseconds; version 2 has a floating-point form above 32767 (RFC 3810, 5.1.3). */
static uint64_t response_ms(const uint8_t *p, bool v1)
{
    unsigned code = (unsigned)(p[4] << 8 | p[5]);
    if (v1 || code < 32768)
        return code;
    return (uint64_t)((code & 0xfff) | 0x1000) << (((code >> 12) & 7) + 3);
}

static bool query_is_for_us(const struct net_if *n, const struct ip_addr *asked)
{
    struct ip_addr group[NET_ADDRESSES + 1];
    if (ip_is_zero(asked))
        return true;
    for (unsigned i = groups(n, group); i; i--)
        if (ip_equal(&group[i - 1], asked))
            return true;
    return false;
}

enum net_verdict mld_query(struct net_if *n, struct frame *f)
{
    const uint8_t *p = f->p + f->l4;
    bool from_link = f->src.b[0] == 0xfe && (f->src.b[1] & 0xc0) == 0x80, v1 = f->l4_len == QUERY_V1;
    struct ip_addr asked;
    if (!from_link || f->hop_limit != 1 || !f->router_alert || (!v1 && f->l4_len < QUERY_V2) ||
        f->len < (uint32_t)f->l4 + QUERY_V1)
        return net_drop(n, f->m, COUNTER_net_drop_mld); /* RFC 3810, 6.2 and 8.1 */
    memcpy(asked.b, p + 8, 16);
    if (n->conf.quiet || !query_is_for_us(n, &asked))
        return net_drop(n, f->m, COUNTER_net_drop_mld);
    if (v1)
        n->mld.v1_until = f->now + OLDER_QUERIER;
    uint64_t at = f->now + net_random(n) % (response_ms(p, v1) * 1000 + 1);
    n->mld.answer_at = RTE_MIN(n->mld.answer_at, at);
    rte_pktmbuf_free(f->m);
    return NET_DONE;
}

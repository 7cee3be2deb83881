/* ping.c: echo requests of our own and their replies (RFC 792; RFC 4443, 4.1 and 4.2; RFC 1122, 3.2.2.6), for
 * `sluice ping`. An operator's tool: a few at once, each bounded in number and rate. Replies are matched by
 * sender, identifier and sequence number; the payload that comes back is not looked at. ICMP errors are not
 * taken as outcomes: a request that an error answers ends as unanswered. */
#include "net/ping.h"

#include "net/internal.h"

#include <stdlib.h>

enum { ECHO_REQUEST_4 = 8, ECHO_REQUEST_6 = 128 };
enum {
    ECHO_HEADER = 8,
    TIMEOUT = SECOND, /* of one request */
    WINDOW = 64,      /* requests that may be unanswered: TIMEOUT / NET_PING_INTERVAL_MIN and some */
    ABANDONED = 10 * SECOND
};
_Static_assert(TIMEOUT / NET_PING_INTERVAL_MIN < WINDOW, "a request is decided before its place is needed");

struct ping {
    struct net_ping_conf conf;
    struct net_path *path;
    uint32_t id;                 /* the asker's handle; 0 = unused */
    uint16_t identifier;         /* in the packets */
    uint32_t decided;            /* requests below it have an outcome */
    uint64_t sent_us[WINDOW];    /* by sequence number; 0 = has an outcome */
    uint64_t next_us, polled_us; /* when the next request is due; when somebody last looked */
    struct net_ping_status status;
    struct net_ping_event event[NET_PING_EVENTS]; /* a ring: the k-th at k % NET_PING_EVENTS */
};

struct pings {
    struct ping *ping[NET_PINGS];
    uint32_t last_id;
};

static struct ping *find(struct net_if *n, uint32_t id)
{
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++)
        if (n->pings->ping[i] && n->pings->ping[i]->id == id)
            return n->pings->ping[i];
    return NULL;
}

static void end(struct net_if *n, struct ping **at)
{
    net_path_put(n, (*at)->path);
    free(*at);
    *at = NULL;
}

void pings_free(struct net_if *n)
{
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++)
        free(n->pings->ping[i]);
    free(n->pings);
}

/* -- sending ------------------------------------------------------------------------------------------ */

static void ip_header(const struct ping *p, uint8_t *at, uint16_t icmp_len)
{
    const struct ip_addr *src = &p->status.from, *dst = &p->conf.to;
    if (!ip_is_v4(dst)) {
        ipv6_header(at, src, dst, icmp_len, IPPROTO_ICMPV6, HOP_LIMIT);
        return;
    }
    struct rte_ipv4_hdr ip = {.version_ihl = 0x45,
                              .total_length = rte_cpu_to_be_16((uint16_t)(sizeof ip + icmp_len)),
                              .fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
                              .time_to_live = HOP_LIMIT,
                              .next_proto_id = IPPROTO_ICMP};
    memcpy(&ip.src_addr, src->b + 12, 4);
    memcpy(&ip.dst_addr, dst->b + 12, 4);
    ip.hdr_checksum = checksum_finish(checksum_add(0, &ip, sizeof ip));
    memcpy(at, &ip, sizeof ip);
}

static void send_request(struct net_if *n, struct ping *p, uint64_t now)
{
    static const uint8_t nobody[6];
    bool v6 = !ip_is_v4(&p->conf.to);
    uint16_t icmp_len = (uint16_t)(ECHO_HEADER + p->conf.size), seq = (uint16_t)p->status.sent, sum;
    uint16_t ip_len = v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr);
    uint8_t *body;
    struct rte_mbuf *m = ethernet_frame(n, nobody, v6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4,
                                        (uint16_t)(ip_len + icmp_len), &body);
    p->sent_us[seq % WINDOW] = now; /* without a frame it ends as unanswered; the pool's counter says why */
    p->status.sent++;
    p->next_us = now + p->conf.interval_us;
    if (!m)
        return;
    ip_header(p, body, icmp_len);
    uint8_t *icmp = body + ip_len;
    icmp[0] = v6 ? ECHO_REQUEST_6 : ECHO_REQUEST_4;
    icmp[4] = (uint8_t)(p->identifier >> 8);
    icmp[5] = (uint8_t)p->identifier;
    icmp[6] = (uint8_t)(seq >> 8);
    icmp[7] = (uint8_t)seq;
    for (unsigned i = 0; i < p->conf.size; i++)
        icmp[ECHO_HEADER + i] = (uint8_t)i;
    uint64_t start =
        v6 ? checksum_u16(checksum_pseudo(&p->status.from, &p->conf.to, IPPROTO_ICMPV6), icmp_len) : 0;
    sum = checksum_finish(checksum_add(start, icmp, icmp_len));
    memcpy(icmp + 2, &sum, 2);
    count_one(n->counters, COUNTER_net_pings_sent);
    neighbour_send(n, p->path->via, m, now);
}

static uint16_t largest(const struct net_if *n, bool v6)
{
    unsigned mtu = RTE_MIN((unsigned)n->conf.mtu, rte_pktmbuf_data_room_size(n->pool) - RTE_PKTMBUF_HEADROOM -
                                                      ethernet_header_len(n));
    return (uint16_t)(mtu - ECHO_HEADER - (v6 ? sizeof(struct rte_ipv6_hdr) : sizeof(struct rte_ipv4_hdr)));
}

static bool bounded(const struct net_if *n, const struct net_ping_conf *conf)
{
    return conf->count >= 1 && conf->count <= NET_PING_COUNT_MAX &&
           conf->interval_us >= NET_PING_INTERVAL_MIN && conf->interval_us <= NET_PING_INTERVAL_MAX &&
           conf->size <= largest(n, !ip_is_v4(&conf->to));
}

static struct ping **free_place(struct net_if *n)
{
    if (!n->pings)
        n->pings = calloc(1, sizeof *n->pings);
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++)
        if (!n->pings->ping[i])
            return &n->pings->ping[i];
    return NULL;
}

uint32_t net_ping_start(struct net_if *n, const struct net_ping_conf *conf, uint64_t now_us,
                        const char **error)
{
    struct ip_addr from;
    struct net_path *path = NULL;
    *error = "ERR count, size or interval is out of bounds (the size must fit the MTU)";
    if (!bounded(n, conf))
        return 0;
    *error = "ERR no route to this address";
    if (net_source_for(n, &conf->to, &from))
        path = net_path_get(n, &from, &conf->to, now_us);
    if (!path)
        return 0;
    struct ping **at = free_place(n), *p = at ? calloc(1, sizeof *p) : NULL;
    if (!p) {
        net_path_put(n, path);
        *error = "ERR too many pings at once, try again";
        return 0;
    }
    n->pings->last_id = n->pings->last_id % (UINT32_MAX - 1) + 1;
    *p = (struct ping){.conf = *conf, .path = path, .id = n->pings->last_id, .polled_us = now_us};
    p->identifier = (uint16_t)net_random(n);
    p->status.from = from;
    p->status.min_us = UINT32_MAX;
    *at = p;
    send_request(n, p, now_us);
    return p->id;
}

/* -- outcomes ----------------------------------------------------------------------------------------- */

static void outcome(struct ping *p, uint16_t seq, struct net_ping_event e)
{
    p->sent_us[seq % WINDOW] = 0;
    e.seq = seq;
    p->event[p->status.events++ % NET_PING_EVENTS] = e;
    while (p->decided < p->status.sent && p->sent_us[p->decided % WINDOW] == 0)
        p->decided++;
    p->status.done = p->decided == p->conf.count;
}

enum net_verdict ping_reply(struct net_if *n, struct frame *f)
{
    const uint8_t *icmp = f->p + f->l4;
    uint16_t identifier = (uint16_t)(icmp[4] << 8 | icmp[5]), seq = (uint16_t)(icmp[6] << 8 | icmp[7]);
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++) {
        struct ping *p = n->pings->ping[i];
        if (!p || p->identifier != identifier || !ip_equal(&p->conf.to, &f->src) ||
            !ip_equal(&p->status.from, &f->dst) || seq < p->decided || seq >= p->status.sent ||
            p->sent_us[seq % WINDOW] == 0)
            continue;
        uint32_t rtt = (uint32_t)(f->now - p->sent_us[seq % WINDOW]);
        p->status.received++;
        p->status.sum_us += rtt;
        p->status.min_us = RTE_MIN(p->status.min_us, rtt);
        p->status.max_us = RTE_MAX(p->status.max_us, rtt);
        uint8_t ttl =
            ip_is_v4(&f->src) ? f->p[f->l3 + offsetof(struct rte_ipv4_hdr, time_to_live)] : f->hop_limit;
        outcome(p, seq,
                (struct net_ping_event){.rtt_us = rtt, .bytes = f->l4_len, .ttl = ttl, .answered = true});
        count_one(n->counters, COUNTER_net_pings_answered);
        rte_pktmbuf_free(f->m);
        return NET_DONE;
    }
    return net_drop(n, f->m, COUNTER_net_drop_icmp_echo_reply);
}

/* The request never left: nobody has told the next hop's hardware address. */
static bool unresolved(const struct ping *p)
{
    return p->path->via->state == NB_FAILED || p->path->via->state == NB_INCOMPLETE;
}

static uint64_t ping_tick(struct net_if *n, struct ping *p, uint64_t now)
{
    if (p->status.sent < p->conf.count && now >= p->next_us)
        send_request(n, p, now);
    uint64_t next = p->status.sent < p->conf.count ? p->next_us : UINT64_MAX;
    for (uint32_t seq = p->decided; seq < p->status.sent; seq++) {
        uint64_t sent = p->sent_us[seq % WINDOW];
        if (sent && now >= sent + TIMEOUT)
            outcome(p, (uint16_t)seq, (struct net_ping_event){.unresolved = unresolved(p)});
        else if (sent)
            next = RTE_MIN(next, sent + TIMEOUT);
    }
    return next;
}

uint64_t pings_tick(struct net_if *n, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++) {
        struct ping **at = &n->pings->ping[i];
        if (!*at)
            continue;
        if (now >= (*at)->polled_us + ABANDONED)
            end(n, at);
        else
            next = RTE_MIN(next, ping_tick(n, *at, now));
    }
    return next;
}

bool net_ping_look(struct net_if *n, uint32_t id, uint64_t now_us, struct net_ping_status *out)
{
    struct ping *p = find(n, id);
    if (!p)
        return false;
    p->polled_us = now_us;
    *out = p->status;
    return true;
}

bool net_ping_event(struct net_if *n, uint32_t id, uint32_t k, struct net_ping_event *out)
{
    struct ping *p = find(n, id);
    if (!p || k >= p->status.events || p->status.events - k > NET_PING_EVENTS)
        return false;
    *out = p->event[k % NET_PING_EVENTS];
    return true;
}

void net_ping_end(struct net_if *n, uint32_t id)
{
    for (unsigned i = 0; n->pings && i < NET_PINGS; i++)
        if (n->pings->ping[i] && n->pings->ping[i]->id == id)
            end(n, &n->pings->ping[i]);
}

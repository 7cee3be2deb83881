/* netif.c: an interface as a whole: its addresses, its transmit queue, its upkeep. */
#include "net/internal.h"

#include <stdlib.h>

/* RFC 4291, appendix A: the modified EUI-64 of the MAC under fe80::/64. */
static struct ip_addr link_local(const uint8_t mac[6])
{
    return (struct ip_addr){{0xfe, 0x80, 0, 0, 0, 0, 0, 0, (uint8_t)(mac[0] ^ 2), mac[1], mac[2], 0xff, 0xfe,
                             mac[3], mac[4], mac[5]}};
}

static void set_addresses(struct net_if *n)
{
    bool any_v6 = false;
    for (unsigned i = 0; i < n->conf.addresses && i < NET_ADDRESSES; i++) {
        struct local_address *a = &n->address[n->addresses++];
        a->ip = n->conf.address[i].ip;
        a->bits = n->conf.address[i].bits;
        a->v6 = !ip_is_v4(&a->ip);
        any_v6 |= a->v6;
    }
    if (any_v6)
        n->address[n->addresses++] =
            (struct local_address){.ip = link_local(n->conf.mac), .bits = 64, .v6 = true};
    for (unsigned i = 0; i < n->addresses; i++)
        address_start(n, &n->address[i]);
}

/* What plain.h compares with. */
static void set_plain(struct net_if *n)
{
    struct plain *p = &n->plain;
    memcpy(&p->mac, n->conf.mac, sizeof n->conf.mac);
    for (unsigned i = 0; i < n->addresses; i++) {
        const struct local_address *a = &n->address[i];
        uint32_t ip;
        if (a->v6)
            continue;
        memcpy(&ip, a->ip.b + 12, sizeof ip);
        if (!p->possible) {
            p->possible = n->conf.vlan == 0;
            p->address = ip;
            p->index = (uint8_t)i;
        }
        p->source[p->sources++] = ip;
        p->source[p->sources++] = a->bits < 32 ? ip | rte_cpu_to_be_32(UINT32_MAX >> a->bits) : ip;
    }
}

struct net_if *net_if_new(const struct net_config *conf, struct rte_mempool *pool, const struct wire *wire,
                          struct counters *counters)
{
    struct net_if *n = calloc(1, sizeof *n);
    if (!n)
        return NULL;
    n->conf = *conf;
    n->pool = pool;
    n->wire = *wire;
    n->counters = counters;
    n->random = conf->seed;
    set_addresses(n);
    set_plain(n);
    mld_start(n);
    if (!routes_init(n) || !neighbours_init(n) || !paths_init(n) || !fragments_init(n)) {
        net_if_free(n);
        return NULL;
    }
    return n;
}

void net_if_free(struct net_if *n)
{
    if (!n)
        return;
    rte_pktmbuf_free_bulk(n->tx, n->tx_n);
    pings_free(n);
    neighbours_free(n);
    paths_free(n);
    routes_free(n);
    fragments_free(n);
    rte_pktmbuf_free(n->whole);
    free(n);
}

const struct net_config *net_if_config(const struct net_if *n)
{
    return &n->conf;
}

enum net_verdict net_drop(struct net_if *n, struct rte_mbuf *m, enum counter why)
{
    count_one(n->counters, why);
    rte_pktmbuf_free(m);
    return NET_DONE;
}

/* splitmix64: spreads timers and tables; nothing secret comes from it. */
uint64_t net_random(struct net_if *n)
{
    uint64_t z = (n->random += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

uint64_t net_hash(const struct net_if *n, const struct ip_addr *a, const struct ip_addr *b)
{
    uint64_t w[4], h = n->conf.seed ^ 0x9e3779b97f4a7c15;
    memcpy(w, a->b, 16);
    memcpy(w + 2, b->b, 16);
    for (unsigned i = 0; i < 4; i++) {
        unsigned __int128 product = (unsigned __int128)(h ^ w[i]) * 0xd6e8feb86659fd93;
        h = (uint64_t)product ^ (uint64_t)(product >> 64) ^ n->conf.seed;
    }
    return h;
}

void net_flush(struct net_if *n)
{
    unsigned count = n->tx_n;
    n->tx_n = 0;
    if (count)
        n->wire.send(n->wire.ctx, n->tx, count);
}

bool net_is_local(const struct net_if *n, const struct ip_addr *ip)
{
    for (unsigned i = 0; i < n->addresses; i++)
        if (ip_equal(&n->address[i].ip, ip))
            return n->address[i].state == ADDRESS_PREFERRED;
    return false;
}

static bool same_prefix(const struct local_address *a, const struct ip_addr *ip)
{
    unsigned bits = a->v6 ? a->bits : a->bits + 96u;
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(a->ip.b, ip->b, whole))
        return false;
    return !rest || !((a->ip.b[whole] ^ ip->b[whole]) & (0xff00 >> rest & 0xff));
}

const struct local_address *net_on_link(const struct net_if *n, const struct ip_addr *ip)
{
    const struct local_address *best = NULL;
    for (unsigned i = 0; i < n->addresses; i++) {
        const struct local_address *a = &n->address[i];
        if (same_prefix(a, ip) && (!best || a->bits > best->bits))
            best = a;
    }
    return best;
}

bool net_source_for(const struct net_if *n, const struct ip_addr *dst, struct ip_addr *src)
{
    const struct local_address *own = net_on_link(n, dst);
    if (own && own->state != ADDRESS_PREFERRED)
        own = NULL;
    for (unsigned i = 0; !own && i < n->addresses; i++)
        if (n->address[i].v6 == !ip_is_v4(dst) && n->address[i].state == ADDRESS_PREFERRED)
            own = &n->address[i];
    if (own)
        *src = own->ip;
    return own != NULL;
}

bool net_is_broadcast(const struct net_if *n, const struct ip_addr *ip)
{
    const struct local_address *a = ip_is_v4(ip) ? net_on_link(n, ip) : NULL;
    if (!a || a->bits >= 31)
        return false;
    uint32_t host;
    memcpy(&host, ip->b + 12, 4);
    uint32_t mask = UINT32_MAX >> a->bits;
    return (rte_be_to_cpu_32(host) & mask) == mask;
}

bool net_source_ok(const struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst)
{
    if (ip_is_multicast(src) || net_is_local(n, src))
        return false;
    if (!ip_is_v4(src)) {
        static const struct ip_addr loopback = {{[15] = 1}};
        return !ip_is_zero(src) && !ip_equal(src, &loopback);
    }
    /* Loopback addresses never come over a wire, except to a box that was given one itself (development). */
    if (src->b[12] == 127)
        return dst->b[12] == 127;
    return src->b[12] != 0 && !net_is_broadcast(n, src);
}

const struct net_error *net_error(const struct net_if *n)
{
    return &n->error;
}

uint64_t net_tick(struct net_if *n, uint64_t now_us)
{
    uint64_t next = addresses_tick(n, now_us);
    next = RTE_MIN(next, mld_tick(n, now_us));
    next = RTE_MIN(next, fragments_tick(n, now_us));
    next = RTE_MIN(next, paths_tick(n, now_us));
    next = RTE_MIN(next, pings_tick(n, now_us));
    return RTE_MIN(next, neighbours_tick(n, now_us));
}

/* route.c: where a packet goes first: a host's routing table (RFC 1122, 3.3.1; RFC 4861, 5.2), longest prefix
 * first. Connected prefixes come from the addresses, static and default routes from the configuration.
 *
 * A path is looked up once a peer and remembered (path.c), never per packet. So the table is DPDK's tree
 * (rte_rib, rte_rib6), a few kilobytes, and not rte_lpm, whose first level of 2^24 entries would take 64 MB a
 * family and worker to speed up what is not repeated. Of equal prefixes the first one stays: connected ones,
 * then static ones in the order of the configuration. Skipped: metrics, several gateways a prefix, redirects
 * (RFC 1122, 3.2.2.2 allows it for a host with configured routes). */
#include "net/internal.h"

#include <rte_rib.h>
#include <rte_rib6.h>

#include <stdio.h>

static uint32_t v4_of(const struct ip_addr *a)
{
    uint32_t v;
    memcpy(&v, a->b + 12, 4);
    return rte_be_to_cpu_32(v);
}

/* The host bits of a prefix are no part of it. */
static struct ip_addr masked(const struct ip_addr *a, unsigned bits)
{
    struct ip_addr out = *a;
    unsigned all = ip_is_v4(a) ? bits + 96 : bits;
    for (unsigned i = 0; i < 16; i++) {
        unsigned keep = all > i * 8 ? RTE_MIN(all - i * 8, 8u) : 0;
        out.b[i] &= (uint8_t)(0xff00 >> keep);
    }
    return out;
}

/* False: the prefix is there already, or no memory. */
static bool insert(struct routes *t, const struct ip_addr *prefix, unsigned bits, unsigned index)
{
    if (ip_is_v4(prefix)) {
        struct rte_rib_node *node = rte_rib_insert(t->v4, v4_of(prefix), (uint8_t)bits);
        return node && rte_rib_set_nh(node, index) == 0;
    }
    struct rte_rib6_node *node = rte_rib6_insert(t->v6, prefix->b, (uint8_t)bits);
    return node && rte_rib6_set_nh(node, index) == 0;
}

static void add(struct net_if *n, const struct ip_addr *prefix, unsigned bits, const struct ip_addr *gateway,
                enum net_route_kind kind)
{
    struct routes *t = &n->routes;
    if (t->n == RTE_DIM(t->entry))
        return;
    struct route *r = &t->entry[t->n];
    *r = (struct route){.prefix = masked(prefix, bits), .bits = (uint8_t)bits, .kind = (uint8_t)kind};
    if (gateway)
        r->gateway = *gateway;
    if (insert(t, &r->prefix, bits, t->n))
        t->n++;
}

static void add_default(struct net_if *n, const struct ip_addr *gateway, bool v6)
{
    static const struct ip_addr any4 = {{[10] = 0xff, [11] = 0xff}}, any6;
    if (!ip_is_zero(gateway) && ip_is_v4(gateway) == !v6)
        add(n, v6 ? &any6 : &any4, 0, gateway, NET_ROUTE_DEFAULT);
}

bool routes_init(struct net_if *n)
{
    enum { NODES = 2 * ROUTES }; /* a tree needs a node of its own where two branches part */
    char name[32];
    struct rte_rib_conf c4 = {.max_nodes = NODES};
    struct rte_rib6_conf c6 = {.max_nodes = NODES};
    snprintf(name, sizeof name, "r4%p", (void *)n);
    n->routes.v4 = rte_rib_create(name, -1, &c4);
    snprintf(name, sizeof name, "r6%p", (void *)n);
    n->routes.v6 = rte_rib6_create(name, -1, &c6);
    if (!n->routes.v4 || !n->routes.v6)
        return false;
    for (unsigned i = 0; i < n->addresses; i++)
        add(n, &n->address[i].ip, n->address[i].bits, NULL, NET_ROUTE_CONNECTED);
    for (unsigned i = 0; i < n->conf.routes && i < NET_ROUTES; i++) {
        const struct net_route *r = &n->conf.route[i];
        if (ip_is_v4(&r->prefix) == ip_is_v4(&r->gateway))
            add(n, &r->prefix, r->bits, &r->gateway, r->bits ? NET_ROUTE_STATIC : NET_ROUTE_DEFAULT);
    }
    add_default(n, &n->conf.gateway4, false);
    add_default(n, &n->conf.gateway6, true);
    return true;
}

void routes_free(struct net_if *n)
{
    rte_rib_free(n->routes.v4);
    rte_rib6_free(n->routes.v6);
}

static const struct route *lookup(const struct routes *t, const struct ip_addr *dst)
{
    uint64_t index;
    if (ip_is_v4(dst)) {
        struct rte_rib_node *node = rte_rib_lookup(t->v4, v4_of(dst));
        return node && rte_rib_get_nh(node, &index) == 0 ? &t->entry[index] : NULL;
    }
    struct rte_rib6_node *node = rte_rib6_lookup(t->v6, dst->b);
    return node && rte_rib6_get_nh(node, &index) == 0 ? &t->entry[index] : NULL;
}

bool route_find(const struct net_if *n, const struct ip_addr *dst, struct ip_addr *hop)
{
    bool link_local = dst->b[0] == 0xfe && (dst->b[1] & 0xc0) == 0x80;
    if (ip_is_multicast(dst) || ip_is_zero(dst) || net_is_local(n, dst) || net_is_broadcast(n, dst))
        return false;
    *hop = *dst;
    if (link_local)
        return true;
    const struct route *r = lookup(&n->routes, dst);
    if (!r)
        return false;
    if (r->kind != NET_ROUTE_CONNECTED)
        *hop = r->gateway;
    return !net_is_local(n, hop);
}

void net_each_route(struct net_if *n,
                    void (*fn)(const struct ip_addr *prefix, unsigned bits, const struct ip_addr *gateway,
                               enum net_route_kind kind, void *arg),
                    void *arg)
{
    const struct routes *t = &n->routes;
    for (unsigned kind = NET_ROUTE_CONNECTED; kind <= NET_ROUTE_DEFAULT; kind++)
        for (int bits = 128; bits >= 0; bits--)
            for (unsigned i = 0; i < t->n; i++) {
                const struct route *r = &t->entry[i];
                if (r->kind == kind && r->bits == bits)
                    fn(&r->prefix, r->bits, kind == NET_ROUTE_CONNECTED ? NULL : &r->gateway, kind, arg);
            }
}

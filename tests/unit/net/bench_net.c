/* bench_net.c: what a plain TCP frame costs in net_input and in net_send_tcp, in nanoseconds. Not a test:
 * prints. */
#include "rig.h"

#include <stdio.h>

#include <rte_cycles.h>

enum { ROUNDS = 20000, BURST = 32 };

static void swallow(void *ctx, struct rte_mbuf **frames, unsigned n)
{
    (void)ctx;
    rte_pktmbuf_free_bulk(frames, n);
}

static double ns(uint64_t cycles, unsigned calls)
{
    return (double)cycles * 1e9 / (double)rte_get_tsc_hz() / calls;
}

/* The quickest burst of many: what is left when nobody else has the core. */
static uint64_t input_burst(struct net_if *nif, struct rte_mbuf *m)
{
    struct net_packet p;
    uint64_t start = rte_rdtsc();
    for (unsigned k = 0; k < BURST; k++)
        if (net_input(nif, m, &p, 1000) != NET_TCP)
            return UINT64_MAX;
    return rte_rdtsc() - start;
}

static void input(struct net_if *nif, const uint8_t *f, size_t n)
{
    struct rte_mbuf *m = rig_frame(f, n);
    uint64_t best = UINT64_MAX;
    m->ol_flags = RTE_MBUF_F_RX_L4_CKSUM_NONE;
    for (unsigned i = 0; i < ROUNDS; i++)
        best = RTE_MIN(best, input_burst(nif, m));
    printf("net_input     %5.1f ns\n", ns(best, BURST));
    rte_pktmbuf_free(m);
}

static void output(struct net_if *nif, struct net_path *p, uint16_t payload, const char *how)
{
    uint64_t best = UINT64_MAX;
    struct rte_mbuf *m[BURST];
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (rte_pktmbuf_alloc_bulk(rig_pool(), m, BURST))
            return;
        for (unsigned k = 0; k < BURST; k++)
            memset(rte_pktmbuf_append(m[k], 20 + payload), 0, 20);
        uint64_t start = rte_rdtsc();
        for (unsigned k = 0; k < BURST; k++)
            net_send_tcp(nif, p, m[k], 20, 0, 0, 1000);
        best = RTE_MIN(best, rte_rdtsc() - start);
        net_flush(nif);
    }
    printf("net_send_tcp  %5.1f ns (%u bytes, checksum in %s)\n", ns(best, BURST), payload, how);
}

static void both(uint32_t offload, const char *how)
{
    static struct counters counters;
    static uint8_t f[1700];
    struct net_config c = rig_config();
    const struct wire wire = {swallow, NULL};
    struct ip_addr own = ip("10.0.0.2"), peer = ip("10.0.0.1");
    struct net_packet ignored;
    c.offload = offload;
    struct net_if *nif = net_if_new(&c, rig_pool(), &wire, &counters);
    struct net_path *p = net_path_get(nif, &own, &peer, 0);
    net_send_tcp(nif, p, rig_frame(f, 20), 20, 0, 0, 0);
    net_input(nif, rig_frame(f, make_arp(f, 2, rig_mac, rig_peer_mac, "10.0.0.1", "10.0.0.2")), &ignored, 0);
    input(nif, f, make_tcp(f, "10.0.0.1", "10.0.0.2"));
    output(nif, p, 10, how);
    output(nif, p, 1400, how);
    net_path_put(nif, p);
    net_if_free(nif);
}

int main(void)
{
    rig_pool();
    both(0, "software");
    both(NET_TX_TCP_CSUM, "the port");
    return 0;
}

/* bench_syn.c: what a SYN costs from its frame to the frame of its answer, a cookie, or to its denial, behind
 * packet filters of several lengths; in nanoseconds. The frame and the rules are warm in the cache. Not a
 * test: run it by hand.
 *
 *     ninja -C build tests/unit/tcp/bench_syn && build/tests/unit/tcp/bench_syn */
#include "net/filter.h"
#include "rig.h"
#include "tcp/tcp.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>

enum { ROUNDS = 20000, BURST = 32, NOW = 1000000 };

struct bench {
    struct net_if *nif;
    struct tcp_stack *stack;
    struct counters counters;
};

static void swallow(void *ctx, struct rte_mbuf **frames, unsigned n)
{
    (void)ctx;
    rte_pktmbuf_free_bulk(frames, n);
}

static void give(struct bench *b, struct rte_mbuf *m)
{
    struct net_packet p;
    if (net_input(b->nif, m, &p, NOW) == NET_TCP)
        tcp_input(b->stack, m, &p, NOW);
}

/* The backlog is full, the peer's address known: each SYN from 10.0.0.1 gets a cookie. */
static void start(struct bench *b)
{
    static uint8_t f[1700];
    const struct wire wire = {swallow, NULL};
    const struct net_config c = rig_config();
    const struct tcp_config conf = {.max_conns = 64,
                                    .backlog = 1,
                                    .syn_cookies = true,
                                    .rx_window = 262144,
                                    .tx_limit = 262144,
                                    .seed = 1};
    b->nif = net_if_new(&c, rig_pool(), &wire, &b->counters);
    b->stack = tcp_stack_new(&conf, b->nif, rig_pool(), &b->counters);
    if (!b->nif || !b->stack || !tcp_listen(b->stack, 6379))
        abort();
    give(b, rig_frame(f, make_arp(f, 2, rig_mac, rig_peer_mac, "10.0.0.1", "10.0.0.2")));
    give(b, rig_frame(f, make_tcp(f, "10.0.0.3", "10.0.0.2")));
}

/* None of n rules matches; or the last denies. */
static struct filter *rules(unsigned n, bool last_denies)
{
    static struct filter_rule rule[FILTER_RULES];
    char text[64], error[128];
    for (unsigned i = 0; i < n; i++) {
        snprintf(text, sizeof text, "deny tcp from 10.%u.%u.0/24 port 6379", 64 + i / 256, i % 256);
        if (!filter_rule_parse(i + 1 == n && last_denies ? "deny" : text, &rule[i]))
            abort();
    }
    return filter_new(rule, n, FILTER_PERMIT, 1, error, sizeof error);
}

/* The quickest burst of many: what is left when nobody else has the core. */
static double measure(struct bench *b)
{
    static uint8_t f[1700];
    size_t len = make_tcp(f, "10.0.0.1", "10.0.0.2");
    uint64_t best = UINT64_MAX;
    for (unsigned i = 0; i < ROUNDS; i++) {
        struct rte_mbuf *m[BURST];
        for (unsigned k = 0; k < BURST; k++)
            m[k] = rig_frame(f, len);
        uint64_t begin = rte_rdtsc();
        for (unsigned k = 0; k < BURST; k++)
            give(b, m[k]);
        net_flush(b->nif);
        best = RTE_MIN(best, rte_rdtsc() - begin);
    }
    return (double)best * 1e9 / (double)rte_get_tsc_hz() / BURST;
}

static void row(struct bench *b, unsigned n, bool last_denies)
{
    struct filter *f = rules(n, last_denies);
    uint64_t cookies = count_read(&b->counters, COUNTER_tcp_cookies_sent),
             denied = count_read(&b->counters, COUNTER_filter_denied);
    net_set_filter(b->nif, f, 0);
    double ns = measure(b);
    printf("%4u rules, %s: %6.1f ns a SYN; %llu cookies, %llu denied\n", n,
           last_denies ? "the last denies" : "none matches   ", ns,
           (unsigned long long)(count_read(&b->counters, COUNTER_tcp_cookies_sent) - cookies),
           (unsigned long long)(count_read(&b->counters, COUNTER_filter_denied) - denied));
    net_set_filter(b->nif, NULL, 0);
    filter_unref(f);
}

int main(void)
{
    static struct bench b;
    rig_pool();
    start(&b);
    printf("no filter at all          : %6.1f ns a SYN\n", measure(&b));
    static const unsigned lengths[] = {0, 10, 1000};
    for (unsigned i = 0; i < RTE_DIM(lengths); i++)
        row(&b, lengths[i], false);
    row(&b, 10, true);
    row(&b, 1000, true);
    tcp_set_connection_rate(b.stack, 1000000, 1000000, 32, 64);
    printf("no filter, a rate         : %6.1f ns a SYN\n", measure(&b));
    tcp_stack_free(b.stack);
    net_if_free(b.nif);
    return 0;
}

/* bench_tcp.c: what one request and its reply cost inside the stack: 40 bytes in, 5 bytes out, pipeline 1, in
 * bursts of 32 over many connections, with timestamps. net is a stub that frees the frame, checksums count as
 * verified by the port. Prints nanoseconds a request; then, a connection's whole life, and the parts of
 * floods. Not a test: run it by hand.
 *
 *     ninja -C build tests/unit/tcp/bench_tcp && build/tests/unit/tcp/bench_tcp [connections]... */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_mempool.h>

#include "eal.h"
#include "net/filter.h"
#include "tcp/conn.h"

enum { PORT = 6379, BURST = 32, REQUEST = 40, REPLY = 5, ROUNDS = 60000, L4 = 34 };

struct client {
    uint32_t seq, ack;
};

static struct client *last;
static struct client *client_of;

struct net_path *net_path_get(struct net_if *n, const struct ip_addr *src, const struct ip_addr *dst,
                              uint64_t now_us)
{
    (void)src;
    (void)dst;
    (void)now_us;
    return (struct net_path *)n;
}

void net_path_put(struct net_if *n, struct net_path *p)
{
    (void)n;
    (void)p;
}

uint16_t net_path_mtu(const struct net_path *p)
{
    (void)p;
    return 1500;
}

bool net_path_learn_mtu(struct net_if *n, struct net_path *p, uint32_t mtu, uint64_t now_us)
{
    (void)n, (void)p, (void)mtu, (void)now_us;
    return false;
}

void net_path_confirm(struct net_if *n, struct net_path *p, uint64_t now_us)
{
    (void)n, (void)p, (void)now_us;
}

enum filter_action net_filter(struct net_if *n, const struct filter_packet *p)
{
    (void)n;
    (void)p;
    return FILTER_PERMIT;
}

bool net_filter_permits(const struct net_if *n, const struct filter_packet *p)
{
    (void)n;
    (void)p;
    return true;
}

void net_send_tcp(struct net_if *n, struct net_path *p, struct rte_mbuf *m, uint16_t l4_header,
                  uint16_t tso_mss, uint8_t ecn, uint64_t now_us)
{
    (void)n;
    (void)p;
    (void)tso_mss;
    (void)ecn;
    (void)now_us;
    const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
    last->ack = get32(h + 4) + m->data_len - l4_header + (h[13] & TCP_SYN ? 1 : 0);
    rte_pktmbuf_free(m);
}

static struct rte_mbuf *request(struct rte_mempool *pool, unsigned i, uint8_t flags, uint32_t len,
                                struct net_packet *p)
{
    struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
    struct client *c = &client_of[i];
    struct tcp_segment seg = {.src_port = (uint16_t)(1024 + i % 50000),
                              .dst_port = PORT,
                              .seq = c->seq,
                              .ack = c->ack,
                              .flags = flags,
                              .window = 512,
                              .options = TCP_OPT_TS,
                              .ts_val = 1};
    if (flags & TCP_SYN)
        seg.options |= TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK, seg.mss = 1460, seg.wscale = 7;
    uint8_t *h = (uint8_t *)rte_pktmbuf_append(m, L4 + TCP_HEADER_MAX + REQUEST) + L4;
    unsigned header = tcp_header_write(h, &seg);
    m->data_len = (uint16_t)(L4 + header + len);
    m->pkt_len = m->data_len;
    *p = (struct net_packet){.l4_off = L4, .l4_len = (uint16_t)(header + len), .checksum_ok = true};
    ip_parse("10.0.0.1", &p->dst);
    ip_parse("10.0.0.2", &p->src);
    p->src.b[14] = (uint8_t)(i / 50000);
    c->seq += len + !!(flags & TCP_SYN);
    return m;
}

static void open_all(struct tcp_stack *s, struct rte_mempool *pool, unsigned n)
{
    struct net_packet p;
    unsigned events;
    for (unsigned i = 0; i < n; i++) {
        last = &client_of[i];
        tcp_input(s, request(pool, i, TCP_SYN, 0, &p), &p, 1000000);
        tcp_input(s, request(pool, i, TCP_ACK, 0, &p), &p, 1000000);
        struct tcp_conn *c = tcp_next_event(s, &events);
        tcp_set_user(c, last);
    }
}

/* One round of a worker over a burst that has arrived. */
static void round_of(struct tcp_stack *s, struct rte_mbuf **m, struct net_packet *p, uint64_t now)
{
    unsigned events;
    for (unsigned i = 0; i < BURST; i++)
        tcp_prefetch(s, m[i], &p[i]);
    for (unsigned i = 0; i < BURST; i++)
        tcp_prefetch_conn(s, m[i]);
    for (unsigned i = 0; i < BURST; i++)
        tcp_input(s, m[i], &p[i], now);
    for (struct tcp_conn *c; (c = tcp_next_event(s, &events));) {
        size_t room;
        last = tcp_user(c);
        struct slice in = tcp_rx_peek(c, 0);
        uint8_t *out = tcp_tx_reserve(c, &room);
        memcpy(out, in.p, REPLY);
        tcp_tx_commit(c, REPLY);
        tcp_rx_consume(c, in.len, now);
        tcp_push(c, now);
    }
    tcp_round_end(s, now);
    tcp_timers(s, now);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void measure(struct rte_mempool *pool, unsigned n)
{
    static struct counters counters;
    struct tcp_config conf = {
        .max_conns = n, .rx_window = 262144, .tx_limit = 262144, .keepalive_us = 300000000, .seed = 1};
    struct tcp_stack *s = tcp_stack_new(&conf, (struct net_if *)&counters, pool, &counters);
    client_of = calloc(n, sizeof *client_of);
    tcp_listen(s, PORT);
    open_all(s, pool, n);
    memset(&counters, 0, sizeof counters);
    static uint64_t took[ROUNDS];
    uint64_t now = 2000000;
    unsigned next = 0;
    for (unsigned r = 0; r < ROUNDS; r++, now += 10) {
        struct rte_mbuf *m[BURST];
        struct net_packet p[BURST];
        for (unsigned i = 0; i < BURST; i++, next = next + 1 < n ? next + 1 : 0)
            m[i] = request(pool, next, TCP_ACK | TCP_PSH, REQUEST, &p[i]);
        uint64_t start = rte_rdtsc();
        round_of(s, m, p, now);
        took[r] = rte_rdtsc() - start;
    }
    qsort(took, ROUNDS, sizeof *took, by_size);
    double hz = (double)rte_get_tsc_hz() / 1e9;
    printf("%7u connections: %6.1f ns a request (median round; a tenth below %.1f); %.3f segments out a "
           "request, %zu bytes a connection\n",
           n, (double)took[ROUNDS / 2] / hz / BURST, (double)took[ROUNDS / 10] / hz / BURST,
           (double)counters.v[COUNTER_tcp_segments_out] / ((double)ROUNDS * BURST), sizeof(struct tcp_conn));
    fflush(stdout);
    tcp_stack_free(s);
    free(client_of);
}

/* -- connections opened and closed, and floods: nanoseconds inside the stack */

struct lives {
    struct tcp_stack *s;
    struct rte_mempool *pool;
    uint64_t now, cycles;
};

static void feed(struct lives *l, unsigned i, uint8_t flags)
{
    struct net_packet p;
    struct rte_mbuf *m = request(l->pool, i, flags, 0, &p);
    last = &client_of[i];
    uint64_t start = rte_rdtsc();
    tcp_prefetch(l->s, m, &p);
    tcp_input(l->s, m, &p, l->now);
    tcp_round_end(l->s, l->now);
    tcp_timers(l->s, l->now);
    l->cycles += rte_rdtsc() - start;
}

static void one_life(struct lives *l, unsigned i)
{
    unsigned events;
    feed(l, i, TCP_SYN);
    feed(l, i, TCP_ACK);
    uint64_t start = rte_rdtsc();
    struct tcp_conn *c = tcp_next_event(l->s, &events);
    tcp_close(c, l->now);
    l->cycles += rte_rdtsc() - start;
    client_of[i].ack++; /* the FIN */
    feed(l, i, TCP_FIN | TCP_ACK);
}

static void floods(struct rte_mempool *pool, bool cookies)
{
    enum { LIVES = 500000 };
    static struct counters counters;
    struct tcp_config conf = {.max_conns = 1024,
                              .backlog = 511,
                              .syn_cookies = cookies,
                              .rx_window = 262144,
                              .tx_limit = 262144,
                              .seed = 1};
    struct lives l = {tcp_stack_new(&conf, (struct net_if *)&counters, pool, &counters), pool, 1000000, 0};
    double ns = 1e9 / (double)rte_get_tsc_hz() / LIVES;
    client_of = calloc(LIVES, sizeof *client_of);
    tcp_listen(l.s, PORT);
    for (unsigned i = 0; i < LIVES; i++, l.now += 100)
        one_life(&l, i);
    printf("opened and closed: %6.1f ns a connection, %llu accepted, %u in TIME_WAIT\n",
           (double)l.cycles * ns, (unsigned long long)counters.v[COUNTER_tcp_accepts],
           tcp_time_wait_count(l.s));
    l.cycles = 0;
    for (unsigned i = 0; i < LIVES; i++)
        feed(&l, i, TCP_SYN);
    printf("SYN flood, cookies %-3s: %6.1f ns a SYN, %llu cookies, %llu dropped\n", cookies ? "yes" : "no",
           (double)l.cycles * ns, (unsigned long long)counters.v[COUNTER_tcp_cookies_sent],
           (unsigned long long)counters.v[COUNTER_tcp_drop_backlog]);
    l.cycles = 0;
    for (unsigned i = 1000; i < LIVES; i++)
        client_of[i].ack = 5, feed(&l, i, TCP_ACK);
    printf("ACK flood, cookies %-3s: %6.1f ns an ACK, %llu refused\n", cookies ? "yes" : "no",
           (double)l.cycles * ns, (unsigned long long)counters.v[COUNTER_tcp_cookies_refused]);
    memset(&counters, 0, sizeof counters);
    tcp_stack_free(l.s);
    free(client_of);
}

int main(int argc, char **argv)
{
    test_eal();
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create("bench", 131071, 256, 0, 256 + RTE_PKTMBUF_HEADROOM, 0);
    if (!pool)
        return 1; /* small buffers: each connection's last reply keeps one until its next request */
    static const char *const usual[] = {"", "32", "1024", "10000", "100000"};
    for (int i = 1; i < (argc > 1 ? argc : 5); i++)
        measure(pool, (unsigned)strtoul(argc > 1 ? argv[i] : usual[i], NULL, 10));
    floods(pool, false);
    floods(pool, true);
    return 0;
}

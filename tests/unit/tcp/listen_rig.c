/* listen_rig.c: see listen_rig.h. */
#include "listen_rig.h"

#include <stdlib.h>

#include "unit.h"

struct rte_mempool *pool;
struct bench b;
const struct tcp_config usual = {
    .max_conns = 64, .backlog = 8, .syn_cookies = true, .rx_window = 65535, .tx_limit = 65536, .seed = 3};
const struct tcp_segment full_syn = {.flags = TCP_SYN,
                                            .window = 60000,
                                            .seq = 1000,
                                            .options =
                                                TCP_OPT_MSS | TCP_OPT_TS | TCP_OPT_SACK_OK | TCP_OPT_WSCALE,
                                            .mss = 1460,
                                            .wscale = 7,
                                            .ts_val = 77};

void start(const struct tcp_config *conf, bool v6)
{
    bench_start(&b, conf, pool, v6);
    tcp_listen(b.stack, PORT);
    srand(1);
}

void stop(void)
{
    CU_ASSERT(bench_stop(&b));
}

uint64_t counter(enum counter which)
{
    return b.counters.v[which];
}

uint32_t random32(void)
{
    return (uint32_t)rand() << 16 ^ (uint32_t)rand();
}

void drain(void)
{
    tcp_round_end(b.stack, b.now_us);
    while (bench_sent(&b))
        ;
}

void input(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, unsigned len)
{
    struct tcp_segment seg = {
        .src_port = port, .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = 60000};
    bench_input(&b, &seg, len);
}

bool answer(uint16_t port, struct tcp_segment *out)
{
    *out = (struct tcp_segment){0};
    for (const struct sent_segment *s; (s = bench_sent(&b));)
        if (s->seg.dst_port == port) {
            *out = s->seg;
            return true;
        }
    return false;
}

struct tcp_conn *next_opened(void)
{
    unsigned events;
    for (struct tcp_conn *c; (c = tcp_next_event(b.stack, &events));)
        if (events & TCP_OPENED)
            return c;
    return NULL;
}

struct tcp_conn *open_from(uint16_t port, uint32_t seq, uint32_t *iss)
{
    struct tcp_segment syn_ack;
    input(port, TCP_SYN, seq, 0, 0);
    if (!answer(port, &syn_ack))
        return NULL;
    *iss = syn_ack.seq;
    input(port, TCP_ACK, seq + 1, *iss + 1, 0);
    return next_opened();
}

void close_fully(struct tcp_conn *c, uint16_t port, uint32_t seq, uint32_t iss)
{
    tcp_close(c, b.now_us);
    drain();
    input(port, TCP_ACK | TCP_FIN, seq + 1, iss + 2, 0);
    drain();
}

void fill_backlog(void)
{
    for (uint16_t p = 1; p <= b.stack->conf.backlog; p++)
        input(p, TCP_SYN, p, 0, 0);
    drain();
}

struct tcp_segment cookie_for(const struct tcp_segment *syn, uint16_t port,
                                     struct tcp_segment *syn_ack)
{
    struct tcp_segment in = *syn;
    in.src_port = port;
    in.dst_port = PORT;
    bench_input(&b, &in, 0);
    CU_ASSERT_FATAL(answer(port, syn_ack));
    return (struct tcp_segment){.src_port = port,
                                .dst_port = PORT,
                                .flags = TCP_ACK,
                                .window = 500,
                                .seq = in.seq + 1,
                                .ack = syn_ack->seq + 1,
                                .options = syn_ack->options & TCP_OPT_TS,
                                .ts_val = in.ts_val + 1,
                                .ts_ecr = syn_ack->ts_val};
}

bool opens(const struct tcp_segment *ack)
{
    uint64_t before = counter(COUNTER_tcp_cookies_accepted);
    bench_input(&b, ack, 0);
    drain();
    return counter(COUNTER_tcp_cookies_accepted) != before;
}

int listen_main(int argc, char **argv, const char *suite, const struct unit_test *tests)
{
    test_eal();
    pool = test_pool("listen", POOL);
    return unit_main(argc, argv, suite, tests);
}

/* test_listen.c: handshakes and ends of connections under pressure: floods, guesses, every pool empty and
 * full again. What a packet script can show stands in tests/wire. */
#include <stdlib.h>

#include <rte_mempool.h>

#include "fake_net.h"
#include "tcp/cookie.h"
#include "tcp/time_wait.h"
#include "unit.h"

enum { PORT = 6379, POOL = 1023 };

static struct rte_mempool *pool;
static struct bench b;
static const struct tcp_config usual = {
    .max_conns = 64, .backlog = 8, .syn_cookies = true, .rx_window = 65535, .tx_limit = 65536, .seed = 3};
static const struct tcp_segment full_syn = {.flags = TCP_SYN,
                                            .window = 60000,
                                            .seq = 1000,
                                            .options =
                                                TCP_OPT_MSS | TCP_OPT_TS | TCP_OPT_SACK_OK | TCP_OPT_WSCALE,
                                            .mss = 1460,
                                            .wscale = 7,
                                            .ts_val = 77};

static void start(const struct tcp_config *conf, bool v6)
{
    bench_start(&b, conf, pool, v6);
    tcp_listen(b.stack, PORT);
    srand(1);
}

static void stop(void)
{
    CU_ASSERT(bench_stop(&b));
}

static uint64_t counter(enum counter which)
{
    return b.counters.v[which];
}

static uint32_t random32(void)
{
    return (uint32_t)rand() << 16 ^ (uint32_t)rand();
}

static void drain(void)
{
    tcp_round_end(b.stack, b.now_us);
    while (bench_sent(&b))
        ;
}

static void input(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, unsigned len)
{
    struct tcp_segment seg = {
        .src_port = port, .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = 60000};
    bench_input(&b, &seg, len);
}

/* The answer to a SYN from this port. */
static bool answer(uint16_t port, struct tcp_segment *out)
{
    *out = (struct tcp_segment){0};
    for (const struct sent_segment *s; (s = bench_sent(&b));)
        if (s->seg.dst_port == port) {
            *out = s->seg;
            return true;
        }
    return false;
}

static struct tcp_conn *next_opened(void)
{
    unsigned events;
    for (struct tcp_conn *c; (c = tcp_next_event(b.stack, &events));)
        if (events & TCP_OPENED)
            return c;
    return NULL;
}

/* A whole handshake. seq: the peer's first number. NULL: it came to nothing. */
static struct tcp_conn *open_from(uint16_t port, uint32_t seq, uint32_t *iss)
{
    struct tcp_segment syn_ack;
    input(port, TCP_SYN, seq, 0, 0);
    if (!answer(port, &syn_ack))
        return NULL;
    *iss = syn_ack.seq;
    input(port, TCP_ACK, seq + 1, *iss + 1, 0);
    return next_opened();
}

/* We close first; the peer answers with its FIN. */
static void close_fully(struct tcp_conn *c, uint16_t port, uint32_t seq, uint32_t iss)
{
    tcp_close(c, b.now_us);
    drain();
    input(port, TCP_ACK | TCP_FIN, seq + 1, iss + 2, 0);
    drain();
}

static void fill_backlog(void)
{
    for (uint16_t p = 1; p <= b.stack->conf.backlog; p++)
        input(p, TCP_SYN, p, 0, 0);
    drain();
}

/* -- cookies */

/* A SYN-ACK with a cookie to this SYN, and the ACK to it. */
static struct tcp_segment cookie_for(const struct tcp_segment *syn, uint16_t port,
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

static bool opens(const struct tcp_segment *ack)
{
    uint64_t before = counter(COUNTER_tcp_cookies_accepted);
    bench_input(&b, ack, 0);
    drain();
    return counter(COUNTER_tcp_cookies_accepted) != before;
}

static void test_no_single_bit_of_a_cookie_may_differ(void)
{
    struct tcp_segment syn_ack;
    start(&usual, false);
    fill_backlog();
    const struct tcp_segment good = cookie_for(&full_syn, 1000, &syn_ack);
    for (unsigned bit = 0; bit < 32; bit++) {
        struct tcp_segment bad = good;
        bad.ack ^= 1u << bit;
        CU_ASSERT_FALSE(opens(&bad));
        bad = good;
        bad.seq ^= 1u << bit;
        CU_ASSERT_FALSE(opens(&bad));
        bad = good;
        bad.ts_ecr ^= 1u << bit;
        if (bit < TCP_COOKIE_OPTION_BITS)
            CU_ASSERT_FALSE(opens(&bad));
    }
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_refused), 64 + TCP_COOKIE_OPTION_BITS);
    CU_ASSERT(opens(&good));
    stop();
}

static void test_a_cookie_belongs_to_its_connection_and_its_box(void)
{
    struct tcp_segment syn_ack;
    struct ip_addr remote, local;
    struct tcp_config other = usual;
    start(&usual, false);
    tcp_listen(b.stack, PORT + 1);
    fill_backlog();
    const struct tcp_segment good = cookie_for(&full_syn, 1000, &syn_ack);
    struct tcp_segment bad = good;
    bad.src_port = 1001;
    CU_ASSERT_FALSE(opens(&bad));
    bad = good;
    bad.dst_port = PORT + 1;
    CU_ASSERT_FALSE(opens(&bad));
    remote = b.remote;
    b.remote.b[15]++;
    CU_ASSERT_FALSE(opens(&good));
    b.remote = remote;
    local = b.local;
    b.local.b[15]++;
    CU_ASSERT_FALSE(opens(&good));
    b.local = local;
    CU_ASSERT(opens(&good));
    stop();
    other.seed++;
    start(&other, false);
    fill_backlog();
    cookie_for(&full_syn, 2000, &syn_ack);
    CU_ASSERT_FALSE(opens(&good));
    stop();
}

static void test_guesses_open_nothing_and_resets_are_limited(void)
{
    struct tcp_segment syn_ack;
    start(&usual, false);
    fill_backlog();
    cookie_for(&full_syn, 1000, &syn_ack);
    for (unsigned i = 0; i < 100000; i++) {
        input((uint16_t)(1024 + i % 60000), TCP_ACK, random32(), random32(), 0);
        drain();
    }
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_accepted), 0);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_refused), 100000);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_resets_out), TCP_RST_BURST);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_resets_limited), 100000 - TCP_RST_BURST);
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), usual.backlog);
    stop();
}

static void test_a_cookie_is_good_in_its_tick_and_the_next(void)
{
    const uint64_t tick = 1ull << TCP_COOKIE_TICK_SHIFT;
    static const struct {
        uint64_t made, used; /* in sixteenths of a tick */
        bool good;
    } cases[] = {{0, 0, true},   {0, 15, true},   {0, 16, true},  {0, 31, true},
                 {0, 32, false}, {15, 16, true},  {15, 31, true}, {15, 32, false},
                 {16, 47, true}, {16, 48, false}, {0, 48, false}, {0, 64, false}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tcp_segment syn_ack, other;
        start(&usual, false);
        b.now_us = 100 * tick + cases[i].made * tick / 16;
        fill_backlog();
        struct tcp_segment ack = cookie_for(&full_syn, 1000, &syn_ack);
        b.now_us = 100 * tick + cases[i].used * tick / 16;
        if (!cases[i].good) /* something is out, so that it is looked at */
            cookie_for(&full_syn, 2000, &other);
        CU_ASSERT_EQUAL(opens(&ack), cases[i].good);
        stop();
    }
}

static void check_options(unsigned scale, bool sack, bool stamped)
{
    struct tcp_segment syn_ack, syn = {.flags = TCP_SYN, .seq = random32(), .window = 60000};
    syn.options = TCP_OPT_MSS | (stamped ? TCP_OPT_TS : 0) | (sack ? TCP_OPT_SACK_OK : 0) |
                  (scale <= TCP_WSCALE_MAX ? TCP_OPT_WSCALE : 0);
    syn.mss = 1400;
    syn.wscale = scale <= TCP_WSCALE_MAX ? (uint8_t)scale : 0;
    syn.ts_val = random32();
    struct tcp_segment ack = cookie_for(&syn, 1000, &syn_ack);
    CU_ASSERT_EQUAL(syn_ack.options, stamped ? syn.options : TCP_OPT_MSS);
    bench_input(&b, &ack, 0);
    struct tcp_conn *c = next_opened();
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(!!(c->flags & CONN_TS), stamped);
    CU_ASSERT_EQUAL(!!(c->flags & CONN_SACK), sack && stamped);
    CU_ASSERT_EQUAL(!!(c->flags & CONN_WSCALE), scale <= TCP_WSCALE_MAX && stamped);
    CU_ASSERT_EQUAL(c->snd_wnd, 500u << (stamped ? syn.wscale : 0));
    CU_ASSERT_EQUAL(c->mss, 1400 - (stamped ? TCP_TS_SPACE : 0));
    tcp_abort(c, b.now_us);
    drain();
}

static void test_every_combination_of_options_survives(void)
{
    for (unsigned v6 = 0; v6 < 2; v6++) {
        start(&usual, v6);
        fill_backlog();
        for (unsigned scale = 0; scale <= TCP_WSCALE_MAX + 1; scale++)
            for (unsigned i = 0; i < 4; i++) {
                b.now_us += 777;
                check_options(scale, i & 1, i & 2);
            }
        stop();
    }
}

static void test_the_size_is_the_largest_not_above_the_offer(void)
{
    struct tcp_tuple t = {0};
    ip_parse("10.0.0.2", &t.remote);
    uint16_t before = 0, steps = 0;
    for (unsigned offer = 1; offer <= UINT16_MAX; offer++) {
        uint16_t size = tcp_cookie_mss(&t, (uint16_t)offer);
        CU_ASSERT(size >= before && (size <= offer || size == TCP_MSS_MIN));
        steps += size != before;
        before = size;
    }
    CU_ASSERT_EQUAL(steps, 1 << TCP_COOKIE_MSS_BITS);
    CU_ASSERT_EQUAL(tcp_cookie_mss(&t, 1460), 1460);
    CU_ASSERT_EQUAL(tcp_cookie_mss(&t, 0), TCP_MSS_DEFAULT4);
    ip_parse("fd00::2", &t.remote);
    CU_ASSERT_EQUAL(tcp_cookie_mss(&t, 0), TCP_MSS_DEFAULT6);
    CU_ASSERT_EQUAL(tcp_cookie_mss(&t, 1440), 1440);
}

static void test_a_cookies_timestamp_is_never_ahead_of_the_clock(void)
{
    start(&usual, false);
    fill_backlog();
    for (unsigned i = 0; i < 2000; i++) {
        struct tcp_segment syn = full_syn, syn_ack;
        uint16_t port = (uint16_t)(1000 + i);
        struct tcp_tuple t = {b.local, b.remote, PORT, port};
        syn.wscale = (uint8_t)(i % 15);
        cookie_for(&syn, port, &syn_ack);
        uint32_t clock = (uint32_t)(b.now_us / 1000) + tcp_timestamp_offset(&b.stack->secret, &t);
        CU_ASSERT(clock - syn_ack.ts_val < 1u << TCP_COOKIE_OPTION_BITS);
        b.now_us += 1000;
    }
    stop();
}

/* -- floods */

static void spoofed_syn(unsigned i)
{
    struct ip_addr real = b.remote;
    struct tcp_segment syn = full_syn;
    uint32_t from = random32();
    memcpy(b.remote.b + 12, &from, 4);
    syn.src_port = (uint16_t)random32();
    syn.dst_port = PORT;
    syn.seq = random32();
    if (i % 2)
        syn.options &= TCP_OPT_MSS;
    bench_input(&b, &syn, 0);
    b.remote = real;
    drain();
}

static bool client_gets_in(uint16_t port)
{
    struct tcp_segment syn_ack, ack = cookie_for(&full_syn, port, &syn_ack);
    bench_input(&b, &ack, 10);
    struct tcp_conn *c = next_opened();
    bool in = c && c->tuple.remote_port == port && tcp_rx_available(c) == 10;
    if (!c)
        return false;
    tcp_close(c, b.now_us);
    drain();
    ack.flags |= TCP_FIN;
    ack.seq += 10;
    ack.ack++;
    bench_input(&b, &ack, 0);
    drain();
    return in;
}

static void test_clients_connect_while_a_hundred_thousand_syns_flood(void)
{
    unsigned in = 0;
    start(&usual, false);
    for (unsigned i = 0; i < 100000; i++) {
        spoofed_syn(i);
        b.now_us += 10;
        tcp_timers(b.stack, b.now_us);
        drain();
        if (i % 1000 == 999)
            in += client_gets_in((uint16_t)(2000 + i / 1000));
    }
    CU_ASSERT_EQUAL(in, 100);
    CU_ASSERT(counter(COUNTER_tcp_cookies_sent) >= 100000 - usual.backlog);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_accepted), 100);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_backlog) + counter(COUNTER_tcp_drop_conns), 0);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
    CU_ASSERT(b.paths <= usual.backlog + 100);
    bench_run(&b, b.now_us + 64000000,
              false); /* it is over: half-open ones die, nothing is answered with cookies */
    drain();
    CU_ASSERT_EQUAL(b.stack->half_open.n, 0);
    uint64_t sent = counter(COUNTER_tcp_cookies_sent);
    uint32_t iss;
    CU_ASSERT_PTR_NOT_NULL(open_from(900, 5, &iss));
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_sent), sent);
    stop();
}

static void test_without_cookies_the_newest_syn_is_dropped_and_it_recovers(void)
{
    struct tcp_config conf = usual;
    uint32_t iss;
    conf.syn_cookies = false;
    start(&conf, false);
    for (unsigned i = 0; i < 1000; i++)
        spoofed_syn(i);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_backlog), 1000 - conf.backlog);
    CU_ASSERT_PTR_NULL(open_from(900, 5, &iss));
    for (unsigned i = 0; i < 64; i++) {
        bench_run(&b, b.now_us + 1000000, false);
        drain();
    }
    CU_ASSERT_PTR_NOT_NULL(open_from(900, 5, &iss));
    stop();
}

static void test_ten_thousand_connections_a_second_leave_the_pool_alone(void)
{
    unsigned opened = 0;
    start(&usual, false);
    for (unsigned i = 0; i < 50000; i++) {
        uint32_t iss, seq = random32();
        uint16_t port = (uint16_t)(1024 + i % 60000);
        struct tcp_conn *c = open_from(port, seq, &iss);
        if (c) {
            opened++;
            close_fully(c, port, seq, iss);
        }
        b.now_us += 100;
        tcp_timers(b.stack, b.now_us);
    }
    CU_ASSERT_EQUAL(opened, 50000);
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 0);
    CU_ASSERT(tcp_time_wait_count(b.stack) >= 9900 && tcp_time_wait_count(b.stack) <= 10100);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_time_wait_full), 0);
    bench_run(&b, b.now_us + 1100000, false);
    CU_ASSERT_EQUAL(tcp_time_wait_count(b.stack), 0);
    stop();
}

/* -- every pool: empty, counted, relieved, works again */

static void test_connections_run_out_and_come_back(void)
{
    for (unsigned cookies = 0; cookies < 2; cookies++) {
        struct tcp_config conf = usual;
        static struct tcp_conn *open[64];
        uint32_t iss;
        conf.syn_cookies = cookies;
        start(&conf, false);
        for (unsigned i = 0; i < conf.max_conns; i++)
            CU_ASSERT_PTR_NOT_NULL_FATAL(open[i] = open_from((uint16_t)(1000 + i), i, &iss));
        CU_ASSERT_PTR_NULL(open_from(2000, 1, &iss));
        CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_conns), 1);
        tcp_abort(open[7], b.now_us);
        drain();
        CU_ASSERT_PTR_NOT_NULL(open_from(2001, 1, &iss));
        CU_ASSERT_EQUAL(tcp_conn_count(b.stack), conf.max_conns);
        stop();
    }
}

static void test_paths_run_out_and_come_back(void)
{
    uint32_t iss;
    struct tcp_segment syn_ack;
    start(&usual, false);
    b.no_path = true;
    CU_ASSERT_PTR_NULL(open_from(1000, 1, &iss));
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_no_path), 1);
    b.no_path = false;
    fill_backlog();
    b.no_path = true;
    input(1000, TCP_SYN, 1, 0, 0); /* no cookie can leave */
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_no_path), 2);
    b.no_path = false;
    struct tcp_segment ack = cookie_for(&full_syn, 1000, &syn_ack);
    b.no_path = true;
    CU_ASSERT_FALSE(opens(&ack));
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_no_path), 3);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_resets_out), 0); /* it may try again */
    b.no_path = false;
    CU_ASSERT(opens(&ack));
    stop();
}

/* All frames but one, which the segment that comes in takes. */
static void test_packet_buffers_run_out_and_come_back(void)
{
    static struct rte_mbuf *taken[POOL];
    for (unsigned cookies = 0; cookies < 2; cookies++) {
        unsigned n = 0;
        uint32_t iss;
        struct tcp_segment syn_ack;
        start(&usual, false);
        if (cookies)
            fill_backlog();
        while (rte_mempool_avail_count(pool) > 1)
            taken[n++] = rte_pktmbuf_alloc(pool);
        input(1000, TCP_SYN, 1, 0, 0);
        CU_ASSERT_FALSE(answer(1000, &syn_ack));
        CU_ASSERT(counter(COUNTER_mbuf_exhausted) > 0);
        while (n)
            rte_pktmbuf_free(taken[--n]);
        if (cookies) {
            CU_ASSERT_PTR_NOT_NULL(open_from(1000, 1, &iss));
        } else { /* the SYN-ACK's own timer repairs it */
            bench_run(&b, b.now_us + 1100000, false);
            CU_ASSERT_FATAL(answer(1000, &syn_ack));
            input(1000, TCP_ACK, 2, syn_ack.seq + 1, 0);
            CU_ASSERT_PTR_NOT_NULL(next_opened());
        }
        stop();
    }
}

static void test_time_wait_runs_out_and_comes_back(void)
{
    struct tcp_config conf = usual;
    conf.time_waits = 8;
    start(&conf, false);
    for (unsigned round = 0; round < 3; round++) {
        uint64_t full = counter(COUNTER_tcp_time_wait_full);
        for (uint16_t i = 0; i < 100; i++) {
            uint32_t iss;
            struct tcp_conn *c = open_from((uint16_t)(1000 + i), 1, &iss);
            CU_ASSERT_PTR_NOT_NULL_FATAL(c);
            close_fully(c, (uint16_t)(1000 + i), 1, iss);
        }
        CU_ASSERT_EQUAL(tcp_time_wait_count(b.stack), 8);
        CU_ASSERT_EQUAL(counter(COUNTER_tcp_time_wait_full) - full, 92);
        bench_run(&b, b.now_us + 1100000, false);
        CU_ASSERT_EQUAL(tcp_time_wait_count(b.stack), 0);
    }
    stop();
}

static void test_guards_go_before_true_time_waits(void)
{
    struct tcp_config conf = usual;
    conf.time_waits = 4;
    uint32_t iss;
    start(&conf, false);
    struct tcp_conn *c = open_from(500, 1, &iss);
    close_fully(c, 500, 1, iss);
    fill_backlog();
    for (uint16_t i = 0; i < 20; i++) {
        c = open_from((uint16_t)(1000 + i), 1, &iss);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        tcp_abort(c, b.now_us);
        drain();
    }
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_cookies_accepted), 20);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_time_wait_full), 17);
    CU_ASSERT_EQUAL(tcp_time_wait_count(b.stack), 1);
    stop();
}

static void test_orphans_are_bounded_and_the_rest_goes_on(void)
{
    struct tcp_config conf = usual;
    uint32_t iss;
    conf.orphans = 4;
    start(&conf, false);
    for (uint16_t i = 0; i < 50; i++) {
        struct tcp_conn *c = open_from((uint16_t)(1000 + i), 1, &iss);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        tcp_close(c, b.now_us);
        drain();
    }
    CU_ASSERT_EQUAL(b.stack->orphans.n, 4);
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 4);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_shed_orphans), 46);
    stop();
}

static void test_time_wait_table_against_an_array(void)
{
    enum { N = 40 };
    static bool waits[N];
    struct tcp_config conf = usual;
    conf.time_waits = N;
    conf.time_wait_us = 3600000000u;
    start(&conf, false);
    memset(waits, 0, sizeof waits);
    for (unsigned step = 0; step < 5000; step++) {
        uint32_t iss;
        unsigned i = (unsigned)rand() % N;
        uint16_t port = (uint16_t)(1000 + i);
        struct tcp_tuple t = {b.local, b.remote, PORT, port};
        if (tcp_time_wait_holds(b.stack, &t) != waits[i])
            CU_FAIL("holds");
        if (waits[i]) {
            tcp_time_wait_forget(b.stack, &t);
        } else {
            uint32_t seq = random32();
            struct tcp_conn *c = open_from(port, seq, &iss);
            CU_ASSERT_PTR_NOT_NULL_FATAL(c);
            close_fully(c, port, seq, iss);
        }
        waits[i] = !waits[i];
    }
    stop();
}

/* RFC 9293 MAY-2 (a): within the same microsecond, too, where the clock of RFC 6528 has not moved. */
static void test_a_reused_time_wait_gets_a_higher_first_number(void)
{
    uint32_t iss;
    struct tcp_segment syn_ack;
    start(&usual, false);
    struct tcp_conn *c = open_from(1000, 1, &iss);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    close_fully(c, 1000, 1, iss);
    input(1000, TCP_SYN, 100, 0, 0);
    CU_ASSERT_FATAL(answer(1000, &syn_ack));
    CU_ASSERT(seq_after(syn_ack.seq, iss + 2));
    stop();
}

static void test_a_port_of_ours_in_time_wait_is_not_chosen(void)
{
    unsigned events;
    struct tcp_segment in = {.src_port = 80, .window = 1000};
    start(&usual, false);
    struct endpoint local = {b.local, 50000}, remote = {b.remote, 80};
    struct tcp_conn *c = tcp_connect(b.stack, &local, &remote, b.now_us);
    uint32_t iss = bench_sent(&b)->seg.seq;
    in.dst_port = 50000;
    in.flags = TCP_SYN | TCP_ACK;
    in.ack = iss + 1;
    bench_input(&b, &in, 0);
    CU_ASSERT_PTR_EQUAL(tcp_next_event(b.stack, &events), c);
    tcp_close(c, b.now_us);
    drain();
    in.flags = TCP_FIN | TCP_ACK;
    in.seq = 1;
    in.ack = iss + 2;
    bench_input(&b, &in, 0);
    drain();
    CU_ASSERT_EQUAL(tcp_time_wait_count(b.stack), 1);
    CU_ASSERT_PTR_NULL(tcp_connect(b.stack, &local, &remote, b.now_us));
    bench_run(&b, b.now_us + 1100000, false);
    CU_ASSERT_PTR_NOT_NULL(tcp_connect(b.stack, &local, &remote, b.now_us));
    stop();
}

static void knock(uint16_t from, const struct ip_addr *at)
{
    struct tcp_segment syn = {.src_port = from, .dst_port = PORT + 1, .seq = 1, .flags = TCP_SYN, .window = 60000};
    struct ip_addr local = b.local;
    b.local = *at;
    bench_input(&b, &syn, 0);
    b.local = local;
    drain();
}

/* At its addresses alone, and no more when it has ended; its place is another's only when nothing is half-open there. */
static void test_listeners_come_and_go(void)
{
    unsigned more = 0;
    start(&usual, false);
    struct ip_addr here = b.local, other = b.local;
    other.b[15]++;
    CU_ASSERT_FALSE(tcp_listen(b.stack, PORT));
    CU_ASSERT_TRUE(tcp_listen_at(b.stack, PORT + 1, &here, 1));
    knock(2000, &other);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_closed_port), 1);
    knock(2001, &here);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_closed_port), 1);
    tcp_listen_end(b.stack, PORT + 1);
    knock(2002, &here);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_closed_port), 2);
    CU_ASSERT_TRUE(tcp_listen_at(b.stack, PORT + 1, NULL, 0));
    knock(2003, &here);
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_drop_closed_port), 2);
    while (tcp_listen(b.stack, (uint16_t)(10000 + more)))
        more++;
    CU_ASSERT_EQUAL(more, TCP_LISTENERS - 3); /* PORT, the one that has ended and has a SYN, PORT + 1 again */
    tcp_listen_end(b.stack, 10000);
    CU_ASSERT_TRUE(tcp_listen(b.stack, 20000));
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_no_single_bit_of_a_cookie_may_differ),
        UNIT(test_a_cookie_belongs_to_its_connection_and_its_box),
        UNIT(test_guesses_open_nothing_and_resets_are_limited),
        UNIT(test_a_cookie_is_good_in_its_tick_and_the_next),
        UNIT(test_every_combination_of_options_survives),
        UNIT(test_the_size_is_the_largest_not_above_the_offer),
        UNIT(test_a_cookies_timestamp_is_never_ahead_of_the_clock),
        UNIT(test_clients_connect_while_a_hundred_thousand_syns_flood),
        UNIT(test_without_cookies_the_newest_syn_is_dropped_and_it_recovers),
        UNIT(test_ten_thousand_connections_a_second_leave_the_pool_alone),
        UNIT(test_connections_run_out_and_come_back),
        UNIT(test_paths_run_out_and_come_back),
        UNIT(test_packet_buffers_run_out_and_come_back),
        UNIT(test_time_wait_runs_out_and_comes_back),
        UNIT(test_guards_go_before_true_time_waits),
        UNIT(test_orphans_are_bounded_and_the_rest_goes_on),
        UNIT(test_time_wait_table_against_an_array),
        UNIT(test_a_reused_time_wait_gets_a_higher_first_number),
        UNIT(test_a_port_of_ours_in_time_wait_is_not_chosen),
        UNIT(test_listeners_come_and_go),
        {NULL, NULL}};
    test_eal();
    pool = test_pool("listen", POOL);
    return unit_main(argc, argv, "tcp/listen", tests);
}

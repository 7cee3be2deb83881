/* test_cookies.c: SYN cookies, and floods with and without them. What a packet script can show stands in tests/wire. */
#include <string.h>

#include "listen_rig.h"
#include "tcp/cookie.h"
#include "unit.h"

/* -- cookies */

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

static void write_some(struct tcp_conn *c, size_t left)
{
    for (size_t room; left; left -= room) {
        uint8_t *at = tcp_tx_reserve(c, &room);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        room = room < left ? room : left;
        memset(at, 'x', room);
        tcp_tx_commit(c, room);
    }
    tcp_push(c, b.now_us);
}

/* An orphan that stands in a row would keep its place in the pool for now: it is not reset for nothing. */
static void test_a_cookie_takes_a_place_that_is_free_at_once(void)
{
    enum { CONNS = 6, WAITING = 3, LATE = 500 };
    struct tcp_config conf = usual;
    struct tcp_conn *c[CONNS];
    uint32_t iss[CONNS];
    struct tcp_segment syn_ack, ack;
    conf.max_conns = conf.orphans = CONNS;
    start(&conf, false);
    for (uint16_t i = 0; i < CONNS; i++) {
        c[i] = open_from((uint16_t)(1000 + i), 1, &iss[i]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c[i]);
    }
    for (unsigned i = 0; i < CONNS; i++) {
        if (i < WAITING)
            write_some(c[i], 20000); /* more than a first window */
        tcp_close(c[i], b.now_us);
        drain();
    }
    *tcp_port_full(b.stack) = true;
    for (uint16_t i = 0; i < WAITING; i++)
        input((uint16_t)(1000 + i), TCP_ACK, 2, iss[i] + 1 + 1000, 0);
    drain();
    for (unsigned i = 0; i < CONNS; i++)
        CU_ASSERT_EQUAL(conn_listed(c[i]), i < WAITING);
    for (uint16_t i = 0; i <= CONNS - WAITING; i++) {
        ack = cookie_for(&full_syn, (uint16_t)(LATE + i), &syn_ack);
        CU_ASSERT_EQUAL(opens(&ack), i < CONNS - WAITING);
    }
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_shed_orphans), CONNS - WAITING);
    CU_ASSERT_EQUAL(b.stack->orphans.n, WAITING);
    CU_ASSERT_FALSE(tcp_go_on(b.stack, CONNS, b.now_us));
    drain();
    CU_ASSERT(opens(&ack));
    CU_ASSERT_EQUAL(counter(COUNTER_tcp_shed_orphans), CONNS - WAITING + 1);
    CU_ASSERT_EQUAL(b.stack->orphans.n, WAITING - 1);
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
        UNIT(test_a_cookie_takes_a_place_that_is_free_at_once),
        {NULL, NULL}};
    return listen_main(argc, argv, "tcp/cookies", tests);
}

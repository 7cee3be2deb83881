/* test_listen.c: listeners, and connections under pressure: every pool empty and full again. What a packet script can show stands in
 * tests/wire. */
#include <stdlib.h>

#include "listen_rig.h"
#include "tcp/time_wait.h"
#include "unit.h"

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
    return listen_main(argc, argv, "tcp/listen", tests);
}

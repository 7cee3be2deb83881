/* test_stack.c: the parts of the stack that a packet script cannot show: tables, bounds, ownership, events.
 */
#include <stdlib.h>

#include <rte_mempool.h>

#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, POOL = 1023 };

static struct rte_mempool *pool;
static struct bench b;
static const struct tcp_config usual = {
    .max_conns = 64, .backlog = 16, .rx_window = 65535, .tx_limit = 65536, .seed = 3};

static void start(const struct tcp_config *conf)
{
    bench_start(&b, conf, pool, false);
    tcp_listen(b.stack, PORT);
}

static void stop(void)
{
    CU_ASSERT(bench_stop(&b));
}

static void input(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, unsigned len)
{
    struct tcp_segment seg = {
        .src_port = port, .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = 60000};
    bench_input(&b, &seg, len);
}

/* An open connection whose peer's next number is 1; the peer acknowledges *iss + 1. */
static struct tcp_conn *establish(uint16_t port, uint32_t *iss)
{
    unsigned events = 0;
    input(port, TCP_SYN, 0, 0, 0);
    *iss = bench_sent(&b)->seg.seq;
    input(port, TCP_ACK, 1, *iss + 1, 0);
    struct tcp_conn *c;
    while ((c = tcp_next_event(b.stack, &events)) && events != TCP_OPENED)
        ; /* of others */
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    return c;
}

static void drain(void)
{
    tcp_round_end(b.stack, b.now_us);
    while (bench_sent(&b))
        ;
}

/* -- tables */

static void test_every_edge_of_the_state_machine(void)
{
    /* row: from; column: to; in the order of enum tcp_state */
    static const char *const legal[TCP_STATES] = {
        "0110000000", /* CLOSED */
        "1011000000", /* SYN_SENT */
        "1001000000", /* SYN_RECEIVED */
        "1000101000", /* ESTABLISHED */
        "1000010100", /* FIN_WAIT_1 */
        "1000000001", /* FIN_WAIT_2 */
        "1000000010", /* CLOSE_WAIT */
        "1000000001", /* CLOSING */
        "1000000000", /* LAST_ACK */
        "1000000000", /* TIME_WAIT */
    };
    for (unsigned from = 0; from < TCP_STATES; from++)
        for (unsigned to = 0; to < TCP_STATES; to++)
            CU_ASSERT_EQUAL(tcp_state_edge(from, to), legal[from][to] == '1');
    CU_ASSERT_FALSE(tcp_state_edge(TCP_STATES, 0) || tcp_state_edge(0, TCP_STATES));
}

static void test_siphash_reference_vector(void)
{
    struct tcp_secret k = {0x0706050403020100ull, 0x0f0e0d0c0b0a0908ull};
    uint8_t in[15];
    for (uint8_t i = 0; i < sizeof in; i++)
        in[i] = i;
    CU_ASSERT_EQUAL(tcp_siphash(&k, in, sizeof in), 0xa129ca6149be45e5ull);
}

static void test_initial_numbers_grow_with_time_and_differ_by_tuple(void)
{
    struct tcp_secret k = tcp_secret_from(5), other = tcp_secret_from(6);
    struct tcp_tuple t = {.local_port = 1, .remote_port = 2}, u = {.local_port = 1, .remote_port = 3};
    CU_ASSERT_EQUAL(tcp_initial_sequence(&k, &t, 4000) - tcp_initial_sequence(&k, &t, 0), 1000);
    CU_ASSERT_NOT_EQUAL(tcp_initial_sequence(&k, &t, 0), tcp_initial_sequence(&k, &u, 0));
    CU_ASSERT_NOT_EQUAL(tcp_initial_sequence(&k, &t, 0), tcp_initial_sequence(&other, &t, 0));
}

static void test_flow_table_against_an_array(void)
{
    enum { N = 500 };
    static struct tcp_conn *conn[N];
    struct tcp_config conf = usual;
    conf.max_conns = N;
    start(&conf);
    memset(conn, 0, sizeof conn);
    srand(1);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)rand() % N;
        struct tcp_tuple t = {b.local, b.remote, PORT, (uint16_t)(i + 1)};
        if (tcp_flow_find(b.stack, &t, tcp_flow_hash(&b.stack->secret, &t)) != conn[i])
            CU_FAIL("find");
        if (conn[i]) {
            tcp_abort(conn[i], b.now_us);
            conn[i] = NULL;
        } else {
            struct endpoint local = {b.local, PORT}, remote = {b.remote, (uint16_t)(i + 1)};
            conn[i] = tcp_connect(b.stack, &local, &remote, b.now_us);
        }
        drain();
    }
    stop();
}

/* -- ports of our own */

static bool owns(const void *rest, const struct endpoint *local, const struct endpoint *remote)
{
    return (local->port ^ remote->port) % 4 == *(const unsigned *)rest;
}

static uint16_t chosen_port(struct tcp_conn *c)
{
    struct endpoint local, remote;
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    tcp_endpoints(c, &local, &remote);
    return local.port;
}

static void test_a_chosen_port_brings_answers_here(void)
{
    static const unsigned rest = 3;
    struct tcp_config conf = usual;
    conf.owns = owns;
    conf.owns_ctx = &rest;
    struct endpoint local = {.port = 0}, remote = {.port = 80};
    uint16_t before = 0;
    start(&conf);
    local.ip = b.local;
    remote.ip = b.remote;
    for (unsigned i = 0; i < 50; i++) {
        uint16_t port = chosen_port(tcp_connect(b.stack, &local, &remote, b.now_us));
        CU_ASSERT(port >= 49152 && port % 4 == 3 && port != before);
        before = port;
    }
    drain();
    stop();
}

/* RFC 6056: who has not seen connections to one server cannot tell where those to another one begin. */
static void test_where_ports_begin_depends_on_the_target_and_the_secret(void)
{
    uint16_t port[3][8];
    for (unsigned seed = 0; seed < 3; seed++) {
        struct tcp_config conf = usual;
        conf.seed = 100 + seed;
        start(&conf);
        for (unsigned i = 0; i < 8; i++) {
            struct endpoint local = {b.local, 0}, remote = {b.remote, (uint16_t)(80 + i)};
            port[seed][i] = chosen_port(tcp_connect(b.stack, &local, &remote, b.now_us));
        }
        drain();
        stop();
    }
    unsigned near = 0;
    for (unsigned i = 1; i < 8; i++)
        for (unsigned seed = 0; seed < 3; seed++)
            near += abs(port[seed][i] - port[seed][i - 1]) < 16 || abs(port[seed][i] - port[(seed + 1) % 3][i]) < 16;
    CU_ASSERT(near < 4);
}

/* -- bounds */

static void test_small_segments_do_not_pin_a_buffer_each(void)
{
    uint32_t iss;
    start(&usual);
    struct tcp_conn *c = establish(1000, &iss);
    for (uint32_t i = 0; i < 5000; i++) {
        input(1000, TCP_ACK | TCP_PSH, 1 + i, iss + 1, 1);
        drain();
    }
    CU_ASSERT_EQUAL(tcp_rx_available(c), 5000);
    CU_ASSERT(rte_mempool_in_use_count(pool) < 16);
    for (uint32_t i = 0; i < 5000; i++) {
        struct slice s = tcp_rx_peek(c, i);
        CU_ASSERT_FATAL(s.len > 0);
        if (s.p[0] != (uint8_t)(1 + i))
            CU_FAIL("byte");
    }
    tcp_rx_consume(c, 5000, b.now_us);
    drain(); /* which ends the round: what nobody has used again goes back to the pool */
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
    stop();
}

static void test_segments_beyond_holes_are_bounded(void)
{
    uint32_t iss;
    start(&usual);
    establish(1000, &iss);
    for (uint32_t i = 0; i < 500; i++) {
        input(1000, TCP_ACK, 10 + 2 * i, iss + 1, 1);
        drain();
    }
    CU_ASSERT(rte_mempool_in_use_count(pool) <= TCP_OUT_OF_ORDER);
    CU_ASSERT(b.counters.v[COUNTER_tcp_drop_memory] > 0);
    stop();
}

static void test_readers_that_sleep_leave_half_the_pool(void)
{
    struct tcp_config conf = usual;
    uint32_t iss;
    conf.rx_window = 1 << 20;
    start(&conf);
    for (uint16_t p = 0; p < 16; p++) {
        establish((uint16_t)(1000 + p), &iss);
        for (uint32_t i = 0; i < 60; i++) {
            input((uint16_t)(1000 + p), TCP_ACK, 1 + 1400 * i, iss + 1, 1400);
            drain();
        }
    }
    CU_ASSERT(rte_mempool_in_use_count(pool) <= POOL / 2 + 2 * 16);
    CU_ASSERT(b.counters.v[COUNTER_tcp_drop_memory] > 0);
    stop();
}

static void test_small_replies_without_acks_are_bounded(void)
{
    uint32_t iss;
    unsigned written = 0;
    start(&usual);
    struct tcp_conn *c = establish(1000, &iss);
    c->cwnd = UINT32_MAX / 2;
    for (; written < 100000; written++) {
        size_t room;
        uint8_t *p = tcp_tx_reserve(c, &room);
        if (!p)
            break;
        *p = 0;
        tcp_tx_commit(c, 1);
        tcp_push(c, b.now_us);
        drain();
    }
    CU_ASSERT(written < 1000 && rte_mempool_in_use_count(pool) <= POOL / 4 + 1);
    tcp_want_write(c);
    input(1000, TCP_ACK, 1, iss + 1 + written, 0);
    bench_run(&b, b.now_us + 2 * TCP_STARVED_RETRY, false);
    unsigned events = 0;
    CU_ASSERT_PTR_EQUAL(tcp_next_event(b.stack, &events), c);
    CU_ASSERT_EQUAL(events, TCP_WRITABLE);
    stop();
}

static void test_resets_are_limited(void)
{
    unsigned sent = 0;
    start(&usual);
    for (unsigned i = 0; i < 300; i++)
        input((uint16_t)(1000 + i), TCP_ACK, 5, 5, 0);
    while (bench_sent(&b))
        sent++;
    CU_ASSERT_EQUAL(sent, TCP_RST_BURST);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_resets_limited], 300 - TCP_RST_BURST);
    b.now_us += 10000;
    input(999, TCP_ACK, 5, 5, 0);
    CU_ASSERT_PTR_NOT_NULL(bench_sent(&b));
    stop();
}

/* -- numbers that were kept while more than 2^31 others went by on the fast path */

static struct tcp_conn *four_frames_out(uint32_t *iss, uint8_t ecn)
{
    size_t room;
    struct tcp_config conf = usual;
    conf.ecn = true;
    start(&conf);
    input(1000, TCP_SYN | ecn, 0, 0, 0);
    *iss = bench_sent(&b)->seg.seq;
    input(1000, TCP_ACK, 1, *iss + 1, 0);
    unsigned events;
    struct tcp_conn *c = tcp_next_event(b.stack, &events);
    for (unsigned i = 0; i < 4; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(tcp_tx_reserve(c, &room));
        tcp_tx_commit(c, room);
    }
    c->recover = c->cong.ecn_recover = c->snd_una + 0x70000000; /* so old that it looks like the future */
    tcp_push(c, b.now_us);
    drain();
    return c;
}

static void test_recovery_after_two_gigabytes_without_loss(void)
{
    uint32_t iss;
    four_frames_out(&iss, 0);
    for (unsigned i = 0; i < 3; i++)
        input(1000, TCP_ACK, 1, iss + 1, 0);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_fast_recoveries], 1);
    stop();
}

static void test_congestion_echo_after_two_gigabytes_without_one(void)
{
    uint32_t iss;
    four_frames_out(&iss, TCP_ECE | TCP_CWR);
    input(1000, TCP_ACK | TCP_ECE, 1, iss + 1 + 536, 0);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_ecn_reductions], 1);
    stop();
}

/* -- shortage */

static void test_no_path_drops_the_syn(void)
{
    start(&usual);
    b.no_path = true;
    input(1000, TCP_SYN, 0, 0, 0);
    CU_ASSERT_PTR_NULL(bench_sent(&b));
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_drop_no_path], 1);
    struct endpoint local = {b.local, 0}, remote = {b.remote, 1};
    CU_ASSERT_PTR_NULL(tcp_connect(b.stack, &local, &remote, b.now_us));
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 0);
    stop();
}

/* Each step of a conversation with the pool empty at that very step, then the timers repair it. */
static void test_empty_pool_at_every_step(void)
{
    static struct rte_mbuf *taken[POOL];
    for (unsigned step = 0; step < 3; step++) {
        uint32_t iss;
        unsigned n = 0, events = 0;
        size_t room;
        start(&usual);
        struct tcp_conn *c = establish(1000, &iss);
        while (step == 0 && n < POOL && (taken[n] = rte_pktmbuf_alloc(pool)))
            n++;
        uint8_t *p = tcp_tx_reserve(c, &room);
        CU_ASSERT_EQUAL(p == NULL, step == 0);
        while (step == 1 && n < POOL && (taken[n] = rte_pktmbuf_alloc(pool)))
            n++;
        if (p)
            tcp_tx_commit(c, 5);
        tcp_push(c, b.now_us);
        while (step == 2 && n < POOL && (taken[n] = rte_pktmbuf_alloc(pool)))
            n++;
        tcp_close(c, b.now_us);
        bench_run(&b, b.now_us + 5000, false);
        while (n)
            rte_pktmbuf_free(taken[--n]);
        bench_run(&b, b.now_us + 5000, false);
        bool fin = false;
        for (const struct sent_segment *s; (s = bench_sent(&b));)
            fin = fin || (s->seg.flags & TCP_FIN);
        CU_ASSERT(fin);
        CU_ASSERT_PTR_NULL(tcp_next_event(b.stack, &events));
        stop();
    }
}

static void test_frames_in_a_ring_outlive_their_ack(void)
{
    uint32_t iss;
    size_t room;
    start(&usual);
    struct tcp_conn *c = establish(1000, &iss);
    b.hold_frames = true;
    CU_ASSERT_PTR_NOT_NULL(tcp_tx_reserve(c, &room));
    tcp_tx_commit(c, 100);
    tcp_push(c, b.now_us);
    input(1000, TCP_ACK, 1, iss + 101, 0);
    CU_ASSERT_EQUAL(tcp_tx_unacked(c), 0);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 1);
    bench_release(&b);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
    stop();
}

/* -- events */

static void test_bytes_before_a_reset_are_readable_until_the_next_call(void)
{
    uint32_t iss;
    unsigned events;
    start(&usual);
    struct tcp_conn *c = establish(1000, &iss);
    input(1000, TCP_ACK | TCP_PSH, 1, iss + 1, 7);
    input(1000, TCP_RST, 8, 0, 0);
    CU_ASSERT_PTR_EQUAL(tcp_next_event(b.stack, &events), c);
    CU_ASSERT_EQUAL(events, TCP_READABLE | TCP_CLOSED);
    CU_ASSERT_EQUAL(tcp_rx_peek(c, 0).len, 7);
    CU_ASSERT_EQUAL(tcp_rx_peek(c, 7).len, 0);
    tcp_rx_consume(c, 3, b.now_us);
    tcp_close(c, b.now_us); /* harmless on a dead one */
    CU_ASSERT_PTR_NULL(tcp_next_event(b.stack, &events));
    tcp_round_end(b.stack, b.now_us);
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 0);
    stop();
}

static void test_what_nobody_heard_of_ends_silently(void)
{
    unsigned events;
    start(&usual);
    input(1000, TCP_SYN, 0, 0, 0);
    uint32_t iss = bench_sent(&b)->seg.seq;
    input(1000, TCP_ACK, 1, iss + 1, 0);
    input(1000, TCP_RST, 1, 0, 0);
    CU_ASSERT_PTR_NULL(tcp_next_event(b.stack, &events));
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 0);
    stop();
}

static void test_abort_with_events_pending(void)
{
    uint32_t iss;
    unsigned events;
    start(&usual);
    struct tcp_conn *c = establish(1000, &iss), *d = establish(1001, &iss);
    input(1001, TCP_ACK | TCP_PSH, 1, iss + 1, 7);
    tcp_abort(d, b.now_us);
    tcp_abort(c, b.now_us);
    CU_ASSERT_PTR_NULL(tcp_next_event(b.stack, &events));
    drain();
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 0);
    stop();
}

static void test_write_before_the_handshake_is_done(void)
{
    unsigned events;
    size_t room;
    struct tcp_segment answer = {.src_port = 80, .flags = TCP_SYN | TCP_ACK, .window = 1000};
    start(&usual);
    struct endpoint local = {b.local, 0}, remote = {b.remote, 80};
    struct tcp_conn *c = tcp_connect(b.stack, &local, &remote, b.now_us);
    CU_ASSERT_PTR_NULL(tcp_tx_reserve(c, &room));
    const struct sent_segment *syn = bench_sent(&b);
    answer.dst_port = syn->seg.src_port;
    answer.ack = syn->seg.seq + 1;
    bench_input(&b, &answer, 0);
    CU_ASSERT_PTR_EQUAL(tcp_next_event(b.stack, &events), c);
    CU_ASSERT_EQUAL(events, TCP_OPENED | TCP_WRITABLE);
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_edge_of_the_state_machine),
                                             UNIT(test_siphash_reference_vector),
                                             UNIT(test_initial_numbers_grow_with_time_and_differ_by_tuple),
                                             UNIT(test_flow_table_against_an_array),
        UNIT(test_a_chosen_port_brings_answers_here),
        UNIT(test_where_ports_begin_depends_on_the_target_and_the_secret),
                                             UNIT(test_small_segments_do_not_pin_a_buffer_each),
                                             UNIT(test_segments_beyond_holes_are_bounded),
                                             UNIT(test_readers_that_sleep_leave_half_the_pool),
                                             UNIT(test_small_replies_without_acks_are_bounded),
                                             UNIT(test_resets_are_limited),
                                             UNIT(test_recovery_after_two_gigabytes_without_loss),
                                             UNIT(test_congestion_echo_after_two_gigabytes_without_one),
                                             UNIT(test_no_path_drops_the_syn),
                                             UNIT(test_empty_pool_at_every_step),
                                             UNIT(test_frames_in_a_ring_outlive_their_ack),
                                             UNIT(test_bytes_before_a_reset_are_readable_until_the_next_call),
                                             UNIT(test_what_nobody_heard_of_ends_silently),
                                             UNIT(test_abort_with_events_pending),
                                             UNIT(test_write_before_the_handshake_is_done),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("stack", POOL);
    return unit_main(argc, argv, "tcp/stack", tests);
}

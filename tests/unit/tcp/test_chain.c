/* test_chain.c: segmentation offload: which frames leave as one, who holds them, and large frames that
 * arrive. (That nothing of it shows on the wire is what the packet scripts and conversations prove with
 * TCP_OFFLOAD.) */
#include <rte_mempool.h>

#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, PEER = 40000, MSS = 1460 };

static struct rte_mempool *pool;
static struct bench b;
static struct tcp_conn *conn;
static uint32_t iss;

static void input(uint8_t flags, uint32_t seq, uint32_t ack, unsigned len)
{
    struct tcp_segment seg = {
        .src_port = PEER, .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = 65535};
    if (flags & TCP_SYN)
        seg.options = TCP_OPT_MSS, seg.mss = MSS;
    bench_input(&b, &seg, len);
}

static void start(unsigned chain_frames)
{
    const struct tcp_config conf = {.max_conns = 8,
                                    .backlog = 8,
                                    .rx_window = 65535,
                                    .tx_limit = 65536,
                                    .seed = 3,
                                    .chain_frames = chain_frames};
    unsigned events;
    bench_start(&b, &conf, pool, false);
    tcp_listen(b.stack, PORT);
    input(TCP_SYN, 0, 0, 0);
    iss = bench_sent(&b)->seg.seq;
    input(TCP_ACK, 1, iss + 1, 0);
    conn = tcp_next_event(b.stack, &events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(conn);
}

static void write_bytes(size_t n)
{
    for (size_t at = 0, room; at < n;) {
        uint8_t *p = tcp_tx_reserve(conn, &room);
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        room = room < n - at ? room : n - at;
        for (size_t i = 0; i < room; i++)
            p[i] = (uint8_t)(at + i);
        tcp_tx_commit(conn, room);
        at += room;
    }
    tcp_push(conn, b.now_us);
}

static uint64_t large(void)
{
    return b.counters.v[COUNTER_tcp_large_out];
}

/* The segments sent since are n, in order, each with the bytes of its place. */
static void expect_segments(unsigned n, uint32_t at)
{
    for (unsigned i = 0; i < n; i++) {
        const struct sent_segment *s = bench_sent(&b);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_EQUAL(s->seg.seq, iss + 1 + at);
        CU_ASSERT_EQUAL(s->payload[0], (uint8_t)at);
        at += s->seg.payload;
    }
    CU_ASSERT_PTR_NULL(bench_sent(&b));
}

static void test_full_segments_leave_as_one(void)
{
    start(44);
    write_bytes(7 * MSS + 100);
    CU_ASSERT_EQUAL(large(), 1);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_segments_out], 1 + 8);
    expect_segments(8, 0);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void test_without_the_offload_nothing_is_chained(void)
{
    start(0);
    write_bytes(7 * MSS);
    CU_ASSERT_EQUAL(large(), 0);
    expect_segments(7, 0);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void test_a_chain_has_no_more_parts_than_the_port_takes(void)
{
    start(3);
    write_bytes(7 * MSS);
    CU_ASSERT_EQUAL(large(), 2); /* 3, 3, and one alone */
    expect_segments(7, 0);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void test_a_chain_ends_where_the_congestion_window_does(void)
{
    start(44);
    write_bytes(20 * MSS);
    expect_segments(10, 0);
    CU_ASSERT_EQUAL(conn->snd_nxt, iss + 1 + 10 * MSS);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void test_a_short_segment_ends_a_chain(void)
{
    start(44);
    conn->cwnd = 100; /* what is written stays queued, in two pushes */
    write_bytes(MSS);
    write_bytes(2 * MSS + 50);
    conn->cwnd = 20 * MSS;
    bench_sent(&b);
    input(TCP_ACK, 1, iss + 1 + MSS, 0);
    CU_ASSERT_EQUAL(large(), 1);
    CU_ASSERT_PTR_NULL(conn->tx_send);
    CU_ASSERT_TRUE(bench_stop(&b));
}

/* The driver follows mbuf->next when it frees the chain: the queue must not have touched it meanwhile. */
static void test_acknowledged_while_the_port_holds_it(void)
{
    start(44);
    b.hold_frames = true;
    write_bytes(6 * MSS);
    input(TCP_ACK, 1, iss + 1 + 3 * MSS, 0);
    input(TCP_ACK, 1, iss + 1 + 6 * MSS, 0);
    CU_ASSERT_EQUAL(conn->tx_frames, 0);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 6);
    bench_release(&b);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void resend_all(bool held)
{
    start(44);
    b.hold_frames = held;
    write_bytes(4 * MSS);
    expect_segments(4, 0);
    if (!held)
        CU_ASSERT_PTR_NOT_NULL(
            conn->tx_head->next); /* the port is done with the chain; its links are still there */
    bench_run(&b, b.now_us + 3000000, true);
    const struct sent_segment *s = bench_sent(&b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->seg.seq, iss + 1);
    CU_ASSERT_EQUAL(s->seg.payload, MSS);
    input(TCP_ACK, 1, iss + 1 + 4 * MSS, 0);
    bench_release(&b);
    CU_ASSERT_TRUE(bench_stop(&b));
}

static void test_lost_ones_are_sent_again_alone(void)
{
    resend_all(false);
}

static void test_lost_ones_are_copied_while_the_port_holds_the_chain(void)
{
    resend_all(true);
}

static void test_a_frame_of_many_segments_is_acknowledged_at_once(void)
{
    struct net_packet p;
    uint8_t h[TCP_HEADER_MAX];
    start(44);
    struct tcp_segment seg = {
        .src_port = PEER, .dst_port = PORT, .seq = 1, .ack = iss + 1, .flags = TCP_ACK, .window = 65535};
    unsigned header = tcp_header_write(h, &seg);
    struct rte_mbuf *m = bench_frame(&b, h, header, 1, 8 * MSS, false, 10, &p);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m);
    tcp_input(b.stack, m, &p, b.now_us);
    tcp_round_end(b.stack, b.now_us);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_large_in], 1);
    CU_ASSERT_EQUAL(tcp_rx_available(conn), 8 * MSS);
    const struct sent_segment *s = bench_sent(&b);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->seg.ack, 1 + 8 * MSS);
    CU_ASSERT_TRUE(bench_stop(&b));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_full_segments_leave_as_one),
                                             UNIT(test_without_the_offload_nothing_is_chained),
                                             UNIT(test_a_chain_has_no_more_parts_than_the_port_takes),
                                             UNIT(test_a_chain_ends_where_the_congestion_window_does),
                                             UNIT(test_a_short_segment_ends_a_chain),
                                             UNIT(test_acknowledged_while_the_port_holds_it),
                                             UNIT(test_lost_ones_are_sent_again_alone),
                                             UNIT(test_lost_ones_are_copied_while_the_port_holds_the_chain),
                                             UNIT(test_a_frame_of_many_segments_is_acknowledged_at_once),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("chain", 255);
    return unit_main(argc, argv, "tcp/chain", tests);
}

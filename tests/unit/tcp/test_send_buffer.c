/* test_send_buffer.c: how much a connection may queue: tx_limit, more as its congestion window grows, never
 * more than tx_limit_max, and only while frames abound. */
#include "fake_net.h"
#include "unit.h"

enum { BASE = 65536, MOST = 400000 };

static struct bench bench;
static struct rte_mempool *pool;
static struct tcp_conn *conn;

static void note_open(void)
{
    unsigned events;
    for (struct tcp_conn *c; (c = tcp_next_event(bench.stack, &events));)
        conn = c;
}

static void begin(uint32_t most)
{
    struct tcp_config conf = {
        .max_conns = 8, .backlog = 8, .rx_window = 65535, .tx_limit = BASE, .tx_limit_max = most, .seed = 3};
    struct tcp_segment seg = {.src_port = 40000,
                              .dst_port = 6379,
                              .seq = 1000,
                              .flags = TCP_SYN,
                              .window = 65535,
                              .options = TCP_OPT_MSS,
                              .mss = 1460};
    bench_start(&bench, &conf, pool, false);
    tcp_listen(bench.stack, 6379);
    bench_input(&bench, &seg, 0);
    seg = (struct tcp_segment){.src_port = 40000,
                               .dst_port = 6379,
                               .seq = 1001,
                               .ack = bench_sent(&bench)->seg.seq + 1,
                               .flags = TCP_ACK,
                               .window = 65535};
    bench_input(&bench, &seg, 0);
    note_open();
}

/* Queues until there is no room; bytes in the queue then. */
static size_t fill(size_t a_time)
{
    size_t room;
    uint8_t *at;
    while ((at = tcp_tx_reserve(conn, &room))) {
        size_t n = room < a_time ? room : a_time;
        memset(at, 'x', n);
        tcp_tx_commit(conn, n);
    }
    return tcp_tx_unacked(conn);
}

static void test_a_small_window_queues_the_base(void)
{
    begin(MOST);
    CU_ASSERT_EQUAL(fill(2000), BASE);
    CU_ASSERT(bench_stop(&bench));
}

static void test_a_grown_window_queues_twice_itself(void)
{
    begin(MOST);
    fill(2000);
    conn->cwnd = 100000;
    CU_ASSERT_EQUAL(fill(2000), 200000);
    CU_ASSERT(bench_stop(&bench));
}

static void test_never_more_than_the_most(void)
{
    begin(MOST);
    conn->cwnd = 1000000;
    CU_ASSERT_EQUAL(fill(2000), MOST);
    tcp_set_send_buffer(bench.stack, 100000); /* at run time */
    CU_ASSERT_PTR_NULL(tcp_tx_reserve(conn, &(size_t){0}));
    tcp_set_send_buffer(bench.stack, MOST + 50000);
    CU_ASSERT_EQUAL(fill(2000), MOST + 50000);
    tcp_set_send_buffer(bench.stack, 1); /* not below the base */
    CU_ASSERT_EQUAL(bench.stack->conf.tx_limit_max, BASE);
    CU_ASSERT(bench_stop(&bench));
}

static void test_no_maximum_means_the_base(void)
{
    begin(0);
    conn->cwnd = 1000000;
    CU_ASSERT_EQUAL(fill(2000), BASE);
    CU_ASSERT(bench_stop(&bench));
}

static void test_frames_in_short_supply_leave_the_base(void)
{
    begin(MOST);
    conn->cwnd = 1000000;
    bench.stack->queued_max = 100;
    size_t bytes = fill(2000);
    CU_ASSERT(bytes > BASE && bytes <= 51 * 1460);
    CU_ASSERT(bench_stop(&bench));
}

/* A peer that does not acknowledge cannot pin a buffer for each small reply, whatever the window. */
static void test_small_replies_are_bounded_in_frames(void)
{
    begin(MOST);
    unsigned frames = 0;
    size_t room;
    for (uint8_t *at; frames < 1000 && (at = tcp_tx_reserve(conn, &room)); frames++) {
        at[0] = 'x';
        tcp_tx_commit(conn, 1);
        tcp_push(conn, bench.now_us);
        bench_sent(&bench);
    }
    CU_ASSERT_EQUAL(frames, bench.stack->frames_max);
    CU_ASSERT(bench_stop(&bench));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_small_window_queues_the_base),
                                             UNIT(test_a_grown_window_queues_twice_itself),
                                             UNIT(test_never_more_than_the_most),
                                             UNIT(test_no_maximum_means_the_base),
                                             UNIT(test_frames_in_short_supply_leave_the_base),
                                             UNIT(test_small_replies_are_bounded_in_frames),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("send", 4095);
    return unit_main(argc, argv, "tcp/send_buffer", tests);
}

/* test_share.c: the frames that all connections share for sending: what somebody who does not acknowledge
 * holds must not keep others from sending, least of all when nobody waits for it any more. */
#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, BASE = 65536, MOST = 4000000, SHARED = 400, PEER_WINDOW = 65535 << 7 };

static struct bench b;
static struct rte_mempool *pool;

static void start(void)
{
    struct tcp_config conf = {.max_conns = 64,
                              .backlog = 64,
                              .orphans = 64,
                              .rx_window = 65535,
                              .tx_limit = BASE,
                              .tx_limit_max = MOST,
                              .seed = 3};
    bench_start(&b, &conf, pool, false);
    tcp_listen(b.stack, PORT);
    b.stack->queued_max = SHARED;
}

static void stop(void)
{
    CU_ASSERT(bench_stop(&b));
}

static void drain(void)
{
    while (bench_sent(&b))
        ;
}

static void input(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, uint16_t window)
{
    struct tcp_segment seg = {
        .src_port = port, .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = window};
    if (flags & TCP_SYN) {
        seg.options = TCP_OPT_MSS | TCP_OPT_WSCALE;
        seg.mss = 1460;
        seg.wscale = 7;
    }
    bench_input(&b, &seg, 0);
}

/* An open connection whose peer has acknowledged that much before. */
static struct tcp_conn *open_with(uint16_t port, uint32_t cwnd)
{
    unsigned events;
    input(port, TCP_SYN, 1000, 0, UINT16_MAX);
    input(port, TCP_ACK, 1001, bench_sent(&b)->seg.seq + 1, UINT16_MAX);
    struct tcp_conn *c = tcp_next_event(b.stack, &events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    c->cwnd = cwnd;
    return c;
}

/* Queues and sends until there is no room; frames held then. */
static unsigned fill(struct tcp_conn *c)
{
    size_t room;
    for (uint8_t *at; (at = tcp_tx_reserve(c, &room)); drain()) {
        memset(at, 'x', room);
        tcp_tx_commit(c, room);
        tcp_push(c, b.now_us);
    }
    tcp_want_write(c);
    return c->tx_frames;
}

static bool writable(struct tcp_conn *c)
{
    unsigned events;
    for (struct tcp_conn *e; (e = tcp_next_event(b.stack, &events));)
        if (e == c && (events & TCP_WRITABLE))
            return true;
    return false;
}

static void run_ms(unsigned ms)
{
    uint64_t until = b.now_us + ms * 1000ull;
    while (b.now_us < until) {
        bench_run(&b, until, true);
        drain();
    }
}

static void ack_all(struct tcp_conn *c)
{
    input(c->tuple.remote_port, TCP_ACK, 1001, c->snd_nxt, UINT16_MAX);
    drain();
}

static void test_nobody_holds_more_than_is_free(void)
{
    start();
    struct tcp_conn *first = open_with(1, MOST), *second = open_with(2, MOST);
    CU_ASSERT_EQUAL(fill(first), SHARED / 2);
    CU_ASSERT_EQUAL(fill(second), SHARED / 10); /* a quarter of what is free then */
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_share_waits], 2);
    stop();
}

/* However many do not acknowledge, whoever comes next has some frames. */
static void test_the_tenth_finds_room(void)
{
    start();
    for (uint16_t i = 1; i < 10; i++)
        fill(open_with(i, MOST));
    CU_ASSERT(fill(open_with(10, MOST)) >= 5);
    CU_ASSERT(b.stack->queued < SHARED);
    stop();
}

/* With less than half free, a closed window gets one frame: more of them could not leave anyway. */
static void test_short_frames_are_for_those_who_can_send(void)
{
    start();
    fill(open_with(1, MOST));
    struct tcp_conn *closed = open_with(2, 14600), *open = open_with(3, 14600);
    input(2, TCP_ACK, 1001, closed->snd_una, 0);
    CU_ASSERT_EQUAL(fill(closed), 1);
    CU_ASSERT_EQUAL(fill(open), 20); /* twice its congestion window */
    stop();
}

static void test_writable_when_the_share_is_acknowledged(void)
{
    start();
    fill(open_with(1, MOST));
    struct tcp_conn *c = open_with(2, MOST);
    unsigned had = fill(c);
    CU_ASSERT_FALSE(writable(c)); /* nor does it spin */
    run_ms(10);
    CU_ASSERT_FALSE(writable(c));
    ack_all(c);
    CU_ASSERT(writable(c));
    CU_ASSERT(fill(c) >= had);
    stop();
}

static bool send_byte(struct tcp_conn *c)
{
    size_t room;
    uint8_t *at = tcp_tx_reserve(c, &room);
    if (!at)
        return false;
    *at = 'x';
    tcp_tx_commit(c, 1);
    tcp_push(c, b.now_us);
    drain();
    return true;
}

/* A byte each to more than there are frames: the last quarter of the pool stays, or no ACK could come in, and who waits
 * is served in the order in which he came. */
static void test_single_frames_are_bounded_and_go_round(void)
{
    enum { CONNS = 20, FRAMES = 8 };
    struct tcp_conn *c[CONNS];
    start();
    b.stack->queued_max = b.stack->held_max = FRAMES / 2;
    for (uint16_t i = 0; i < CONNS; i++)
        c[i] = open_with(i + 1, MOST);
    for (unsigned i = 0; i < CONNS; i++)
        CU_ASSERT_EQUAL(send_byte(c[i]), i < FRAMES);
    run_ms(20);
    CU_ASSERT_EQUAL(b.stack->queued, FRAMES);
    CU_ASSERT_FALSE(writable(c[FRAMES]));
    for (unsigned i = 0; i < CONNS - FRAMES; i++) {
        unsigned events;
        ack_all(c[i]);
        run_ms(3);
        CU_ASSERT_PTR_EQUAL(tcp_next_event(b.stack, &events), c[FRAMES + i]);
        CU_ASSERT_EQUAL(events, TCP_WRITABLE);
        CU_ASSERT_TRUE(send_byte(c[FRAMES + i]));
    }
    b.stack->held = FRAMES / 2; /* received ones have taken their half */
    ack_all(c[CONNS - FRAMES]);
    CU_ASSERT_FALSE(send_byte(c[0]));
    b.stack->held = 0;
    stop();
}

/* A client that is gone with its path: what was closed must not hold frames against who is there. */
static void test_stuck_orphans_give_way(void)
{
    start();
    for (uint16_t i = 1; i < 5; i++) {
        struct tcp_conn *orphan = open_with(i, MOST);
        CU_ASSERT(fill(orphan) >= SHARED / 12);
        run_ms(5);
        tcp_close(orphan, b.now_us);
        drain();
        run_ms(3000); /* timeouts */
    }
    struct tcp_conn *c = open_with(9, MOST);
    fill(c);
    run_ms(5);
    ack_all(c);
    CU_ASSERT(fill(c) >= SHARED / 2 - 2); /* whoever had more than a share is gone */
    CU_ASSERT(b.counters.v[COUNTER_tcp_shed_orphans] > 0);
    stop();
}

/* Its timer may be far away: a user who has to wait is served now. In front of it: one that holds nothing. */
static void test_a_waiting_user_does_not_wait_for_its_timer(void)
{
    start();
    struct tcp_conn *done = open_with(1, MOST), *orphan = open_with(2, MOST);
    tcp_close(done, b.now_us);
    drain();
    ack_all(done); /* FIN_WAIT_2 */
    CU_ASSERT_EQUAL(fill(orphan), SHARED / 2);
    tcp_close(orphan, b.now_us);
    drain();
    run_ms(10000);
    CU_ASSERT_EQUAL(b.stack->queued, orphan->tx_frames);
    CU_ASSERT(orphan->tx_frames <= SHARED / 2 + 3); /* FIN, and two pieces of the first frame */
    uint64_t timer = orphan->rexmit_at;
    struct tcp_conn *c = open_with(3, MOST);
    fill(c);
    run_ms(5);
    CU_ASSERT(timer > b.now_us);
    CU_ASSERT_EQUAL(b.stack->queued, c->tx_frames);
    CU_ASSERT_EQUAL(b.stack->orphans.n, 1);
    stop();
}

/* One that is closed behind a closed window is as bad as one that is gone, though its peer answers. */
static void test_orphans_before_a_closed_window_give_way(void)
{
    start();
    struct tcp_conn *orphan = open_with(1, 14600);
    input(1, TCP_ACK, 1001, orphan->snd_una, 0);
    CU_ASSERT_EQUAL(fill(orphan), BASE / 1460 + 1);
    tcp_close(orphan, b.now_us);
    run_ms(2000);
    CU_ASSERT(b.counters.v[COUNTER_tcp_probes] > 0);
    input(1, TCP_ACK, 1001, orphan->snd_una, 0);
    CU_ASSERT_EQUAL(orphan->retries, 0);
    struct tcp_conn *c = open_with(2, MOST);
    CU_ASSERT(fill(c) > SHARED / 3);
    run_ms(5);
    CU_ASSERT_EQUAL(b.stack->orphans.n, 0);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_shed_orphans], 1);
    stop();
}

/* One that is still served keeps what it has to deliver. */
static void test_a_moving_orphan_delivers(void)
{
    start();
    struct tcp_conn *orphan = open_with(1, 100 * 1460), *c = open_with(2, MOST);
    fill(orphan);
    tcp_close(orphan, b.now_us);
    drain();
    for (unsigned i = 0; i < 20 && orphan->tx_frames; i++) {
        fill(c);
        run_ms(50);
        ack_all(c);
        input(1, TCP_ACK, 1001, orphan->snd_una + 20 * 1460, UINT16_MAX);
        drain();
    }
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_shed_orphans], 0);
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_nobody_holds_more_than_is_free),
                                             UNIT(test_the_tenth_finds_room),
                                             UNIT(test_short_frames_are_for_those_who_can_send),
                                             UNIT(test_writable_when_the_share_is_acknowledged),
                                             UNIT(test_single_frames_are_bounded_and_go_round),
                                             UNIT(test_stuck_orphans_give_way),
                                             UNIT(test_a_waiting_user_does_not_wait_for_its_timer),
                                             UNIT(test_orphans_before_a_closed_window_give_way),
                                             UNIT(test_a_moving_orphan_delivers),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("share", 4095);
    return unit_main(argc, argv, "tcp/share", tests);
}

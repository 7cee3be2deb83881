/* test_fuzz.c: a bounded mutation fuzz: plausible segments around the edges of windows, with bits flipped and
 * lengths cut, against connections in all states, while the user acts at random. Nothing may crash, leak, or
 * break an invariant. */
#include <stdlib.h>

#include <rte_mempool.h>

#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, PEERS = 6, ROUNDS = 30000 };

static struct rte_mempool *pool;
static struct bench b;
static uint64_t state;
static struct {
    struct tcp_conn *conn;
    uint32_t rcv_nxt, snd_nxt, snd_una; /* of the stack's side, as last seen */
} peer[PEERS];

static uint32_t draw(uint32_t below)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (uint32_t)((z ^ z >> 31) % below);
}

static uint32_t near(uint32_t x)
{
    switch (draw(6)) {
    case 0:
        return x + draw(20);
    case 1:
        return x - draw(20);
    case 2:
        return x + draw(70000);
    case 3:
        return draw(50) ? x : (uint32_t)draw(UINT32_MAX);
    default:
        return x;
    }
}

static uint8_t some_flags(void)
{
    static const uint8_t likely_ones[] = {TCP_ACK, TCP_ACK | TCP_PSH, TCP_ACK,           TCP_ACK | TCP_FIN,
                                          TCP_SYN, TCP_RST,           TCP_SYN | TCP_ACK, TCP_ACK | TCP_RST};
    static const uint8_t ecn[] = {0, TCP_ECE, TCP_CWR, TCP_ECE | TCP_CWR};
    uint8_t flags = likely_ones[draw(draw(3) ? 3 : sizeof likely_ones)];
    return draw(20) ? flags | ecn[draw(4)] : (uint8_t)draw(256);
}

static void note(const struct tcp_conn *c, unsigned i)
{
    peer[i].rcv_nxt = c->rcv_nxt;
    peer[i].snd_nxt = c->snd_nxt;
    peer[i].snd_una = c->snd_una;
}

static void check(struct tcp_conn *c, void *arg)
{
    const struct tcp_config *conf = arg;
    uint32_t unread = 0, frames = 0;
    for (const struct rte_mbuf *m = c->rx_head; m; m = m->next, frames++)
        unread += m->data_len;
    CU_ASSERT_FATAL(unread == c->rx_unread && frames == c->rx_frames);
    CU_ASSERT_FATAL(unread <= conf->rx_window);
    CU_ASSERT_FATAL(seq_upto(c->snd_una, c->snd_nxt) && seq_upto(c->rcv_nxt, c->rcv_adv));
    CU_ASSERT_FATAL(!c->ooo == !(c->flags & CONN_HOLES));
    CU_ASSERT_FATAL(tcp_tx_unacked(c) <= conf->tx_limit + 1);
    bool in_flight =
        c->state >= TCP_STATE_ESTABLISHED && c->state != TCP_STATE_TIME_WAIT && c->snd_una != c->snd_nxt;
    CU_ASSERT_FATAL(!in_flight || (c->rexmit_at && c->armed_at <= c->rexmit_at));
    CU_ASSERT_FATAL((c->armed_at == UINT64_MAX) == (c->timer.next == NULL));
    CU_ASSERT_FATAL(!conn_synchronized(c) || c->cwnd >= c->mss);
    unsigned i = (c->tuple.remote_port - 1000u) % PEERS;
    note(c, i);
}

static void segment(void)
{
    uint8_t h[TCP_HEADER_MAX + 40];
    struct net_packet p;
    unsigned i = draw(PEERS), len = draw(3) ? 0 : draw(1900);
    struct tcp_segment seg = {.src_port = (uint16_t)(1000 + i),
                              .dst_port = PORT,
                              .seq = near(peer[i].rcv_nxt),
                              .ack = near(draw(2) ? peer[i].snd_nxt : peer[i].snd_una),
                              .flags = some_flags(),
                              .window = (uint16_t)(draw(4)   ? 60000
                                                   : draw(2) ? 0
                                                             : draw(2000))};
    if ((seg.flags & TCP_SYN) && draw(2))
        seg.options = TCP_OPT_MSS | TCP_OPT_WSCALE | TCP_OPT_SACK_OK, seg.mss = (uint16_t)draw(2000),
        seg.wscale = (uint8_t)draw(16);
    if (draw(3) == 0) {
        seg.options |= TCP_OPT_SACK;
        seg.sacks = (uint8_t)(1 + draw(3));
        for (unsigned k = 0; k < seg.sacks; k++)
            seg.sack[k].from = near(peer[i].snd_una + draw(5000)), seg.sack[k].to = near(peer[i].snd_nxt);
    }
    if (draw(8) == 0)
        seg.options |= TCP_OPT_TS, seg.ts_val = near(5), seg.ts_ecr = draw(100);
    unsigned header = tcp_header_write(h, &seg);
    if (draw(10) == 0)
        h[draw(header)] ^= (uint8_t)(1u << draw(8));
    struct rte_mbuf *m =
        bench_frame(&b, h, header, seg.seq, len, draw(50) == 0, 1 + (draw(4) ? 0 : draw(4)), &p);
    if (!m)
        return;
    if (draw(40) == 0)
        p.l4_len = (uint16_t)draw(p.l4_len + 40u);
    p.ecn = (uint8_t)draw(4);
    tcp_prefetch(b.stack, m, &p);
    tcp_prefetch_conn(b.stack, m);
    tcp_input(b.stack, m, &p, b.now_us);
}

static void act(struct tcp_conn *c)
{
    size_t room;
    uint8_t *at;
    switch (draw(8)) {
    case 0:
        tcp_rx_consume(c, draw(5000), b.now_us);
        break;
    case 1:
    case 2:
        if ((at = tcp_tx_reserve(c, &room))) {
            room = draw(2) ? room : 1 + draw((uint32_t)room);
            memset(at, 1, room);
            tcp_tx_commit(c, room);
        }
        break;
    case 3:
        tcp_push(c, b.now_us);
        break;
    case 4:
        tcp_want_write(c);
        break;
    case 5:
        tcp_rx_peek(c, draw(3000));
        break;
    default:
        break;
    }
}

static void user(void)
{
    unsigned events, i = draw(PEERS);
    for (struct tcp_conn *c; (c = tcp_next_event(b.stack, &events));) {
        struct endpoint local, remote;
        tcp_endpoints(c, &local, &remote);
        peer[remote.port - 1000u].conn = events & TCP_CLOSED ? NULL : c;
        act(c);
    }
    if (peer[i].conn) {
        act(peer[i].conn);
        if (draw(60) == 0) {
            (draw(3) ? tcp_close : tcp_abort)(peer[i].conn, b.now_us);
            peer[i].conn = NULL;
        }
    } else if (draw(200) == 0) {
        struct endpoint local = {b.local, PORT}, remote = {b.remote, (uint16_t)(1000 + i)};
        peer[i].conn = tcp_connect(b.stack, &local, &remote, b.now_us);
    }
}

static void run(uint64_t seed, const struct tcp_config *conf)
{
    struct tcp_config copy = *conf;
    memset(peer, 0, sizeof peer);
    state = seed;
    bench_start(&b, conf, pool, seed & 1);
    tcp_listen(b.stack, PORT);
    for (unsigned round = 0; round < ROUNDS; round++) {
        b.hold_frames = draw(100) < 50;
        segment();
        if (draw(2))
            user();
        tcp_round_end(b.stack, b.now_us);
        if (draw(8) == 0)
            bench_run(&b, b.now_us + draw(draw(20) ? 2000 : 3000000), false);
        tcp_each(b.stack, check, &copy);
        while (bench_sent(&b))
            ;
        if (b.nheld > 100)
            bench_release(&b);
    }
    CU_ASSERT(bench_stop(&b));
}

static void test_mutated_segments(void)
{
    static const struct tcp_config roomy = {.max_conns = 8,
                                            .backlog = 4,
                                            .rx_window = 65535,
                                            .tx_limit = 65536,
                                            .keepalive_us = 1000000,
                                            .congestion_control = TCP_CC_CUBIC,
                                            .ecn = true};
    static const struct tcp_config narrow = {.max_conns = 3,
                                             .backlog = 2,
                                             .rx_window = 3000,
                                             .tx_limit = 2000,
                                             .time_wait_us = 10000,
                                             .syn_cookies = true,
                                             .orphans = 1,
                                             .time_waits = 2,
                                             .user_timeout_us = 700000};
    for (uint64_t seed = 1; seed <= 8; seed++)
        run(seed, seed % 2 ? &roomy : &narrow);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_mutated_segments), {NULL, NULL}};
    test_eal();
    pool = test_pool("fuzz", 1023);
    return unit_main(argc, argv, "tcp/fuzz", tests);
}

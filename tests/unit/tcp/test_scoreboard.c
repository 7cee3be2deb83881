/* test_scoreboard.c: what a hostile or a random peer can do to the scoreboard: the work for one ACK is
 * bounded, and the counts a connection keeps always are what a walk of its queue finds. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, PEER = 2000, SMALL = 260 };

static struct rte_mempool *pool;
static struct bench b;
static uint32_t iss;

static void input(uint8_t flags, uint32_t ack, const struct tcp_range *block, unsigned blocks,
                  uint8_t options)
{
    struct tcp_segment seg = {.src_port = PEER,
                              .dst_port = PORT,
                              .seq = flags & TCP_SYN ? 0 : 1,
                              .ack = ack,
                              .flags = flags,
                              .window = 65535,
                              .wscale = 7,
                              .options = options | (blocks ? TCP_OPT_SACK : 0),
                              .sacks = (uint8_t)blocks};
    for (unsigned i = 0; i < blocks; i++)
        seg.sack[i] = block[i];
    bench_input(&b, &seg, 0);
}

static void drain(void)
{
    while (bench_sent(&b))
        ;
}

/* An open connection with SACK and a window for everything. */
static struct tcp_conn *start(uint32_t tx_limit)
{
    struct tcp_config conf = {
        .max_conns = 4, .backlog = 4, .rx_window = 65535, .tx_limit = tx_limit, .seed = 3};
    unsigned events;
    bench_start(&b, &conf, pool, false);
    tcp_listen(b.stack, PORT);
    input(TCP_SYN, 0, NULL, 0, TCP_OPT_SACK_OK | TCP_OPT_WSCALE);
    iss = bench_sent(&b)->seg.seq;
    b.now_us += 10000;
    input(TCP_ACK, iss + 1, NULL, 0, 0);
    struct tcp_conn *c = tcp_next_event(b.stack, &events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    c->cwnd = tx_limit;
    return c;
}

/* One frame of SMALL bytes; false if there is no room. */
static bool send_one(struct tcp_conn *c)
{
    size_t room;
    uint8_t *p = tcp_tx_reserve(c, &room);
    if (!p || room < SMALL)
        return false;
    memset(p, 0, SMALL);
    tcp_tx_commit(c, SMALL);
    tcp_push(c, b.now_us);
    drain();
    return true;
}

static bool counts_hold(const struct tcp_conn *c)
{
    uint32_t gone = 0, sacked = 0, lost = 0;
    for (struct rte_mbuf *m = c->tx_head; frame_in_flight(c, m); m = frame_of(m)->next) {
        const struct tcp_frame *f = frame_of(m);
        gone += frame_gone(f) ? frame_span(f) : 0;
        sacked += !!(f->flags & FRAME_SACKED);
        lost += frame_gone(f) && !(f->flags & FRAME_SACKED);
    }
    return gone == c->gone && sacked == c->sacked && lost == c->lost;
}

static uint64_t nanoseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* other work on the machine does not count */
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Every other frame, from the far end, four blocks an ACK: the worst order for a list. */
static void test_blocks_over_small_frames_cost_a_bounded_walk(void)
{
    struct tcp_conn *c = start(262144);
    uint64_t *steps = &b.counters.v[COUNTER_tcp_scoreboard_steps], most = 0, acks = 0;
    unsigned frames = 0;
    while (send_one(c))
        frames++;
    CU_ASSERT(frames > 900);
    uint64_t began = nanoseconds();
    for (unsigned last = frames - 1; last > 8; last -= 8) {
        struct tcp_range block[4];
        for (unsigned i = 0; i < 4; i++) {
            block[i].from = iss + 1 + (last - 2 * i) * SMALL;
            block[i].to = block[i].from + SMALL;
        }
        uint64_t before = *steps;
        b.now_us += 10;
        input(TCP_ACK, iss + 1, block, 4, 0);
        drain();
        most = *steps - before > most ? *steps - before : most;
        acks++;
    }
    printf("# %u frames, %lu ACKs: at most %lu frames looked at, %lu ns an ACK\n", frames, acks, most,
           (nanoseconds() - began) / acks);
    CU_ASSERT(most <= 3 * TCP_SCOREBOARD_STEPS);
    CU_ASSERT(counts_hold(c));
    CU_ASSERT(bench_stop(&b));
}

/* A block that says nothing new costs one walk and no more. */
static void test_old_news_costs_one_walk(void)
{
    struct tcp_conn *c = start(65536);
    uint64_t *steps = &b.counters.v[COUNTER_tcp_scoreboard_steps];
    struct tcp_range last = {iss + 1 + 199 * SMALL, iss + 1 + 200 * SMALL};
    for (unsigned i = 0; i < 200; i++)
        CU_ASSERT(send_one(c));
    b.now_us += 1000;
    input(TCP_ACK, iss + 1, &last, 1, 0);
    drain();
    uint64_t before = *steps;
    input(TCP_ACK, iss + 1, &last, 1, 0);
    CU_ASSERT(*steps - before <= 2 * 200);
    drain();
    CU_ASSERT(bench_stop(&b));
}

/* Random ACKs, blocks, duplicates, timers and writes: the counts are right after each. */
static void test_counts_are_what_a_walk_finds(void)
{
    for (unsigned seed = 1; seed <= 60; seed++) {
        struct tcp_conn *c = start(65536);
        bool good = true;
        srand(seed);
        for (unsigned step = 0; step < 400 && good && c->state == TCP_STATE_ESTABLISHED; step++) {
            for (unsigned n = (unsigned)rand() % 6; n && send_one(c); n--)
                ;
            struct tcp_range block[4];
            unsigned blocks = (unsigned)rand() % 5;
            uint32_t flight = c->snd_nxt - c->snd_una;
            for (unsigned i = 0; i < blocks; i++) {
                uint32_t grain = rand() % 8 ? SMALL : 1;
                block[i].from = c->snd_una + (flight ? (uint32_t)rand() % flight / grain * grain : 0);
                block[i].to = block[i].from + (1 + (uint32_t)rand() % 4) * grain;
                if (rand() % 16 == 0)
                    block[i].from -= 5 * SMALL; /* a duplicate, or nonsense */
            }
            uint32_t ack = c->snd_una;
            if (flight && rand() % 3 == 0)
                ack += (uint32_t)rand() % (rand() % 4 ? (flight < 900 ? flight : 900) : flight + 1);
            input(TCP_ACK, ack, block, blocks, 0);
            drain();
            good = counts_hold(c);
            bench_run(&b, b.now_us + (uint64_t)(rand() % (rand() % 10 ? 8000 : 400000)), false);
            drain();
            good = good && counts_hold(c);
        }
        CU_ASSERT(good);
        CU_ASSERT(bench_stop(&b));
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_blocks_over_small_frames_cost_a_bounded_walk),
                                             UNIT(test_old_news_costs_one_walk),
                                             UNIT(test_counts_are_what_a_walk_finds),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("scoreboard", 8191);
    return unit_main(argc, argv, "tcp/scoreboard", tests);
}

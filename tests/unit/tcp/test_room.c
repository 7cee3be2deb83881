/* test_room.c: the port's queue is full: who has something to send waits in turn, and what waits has not been sent
 * (dataplane/tcp/room.c). The fake network counts the frames that the port has room for. */
#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, MSS = 1000, CONNS = 40, FIRST = 30000, CWND = 100 * MSS, WINDOW = 65535, RTT = 10000, LONG_BEFORE = 10 * RTT };

static struct bench b;
static struct rte_mempool *pool;
static struct tcp_conn *conn[CONNS];
static uint32_t iss[CONNS];

static void input_sack(unsigned i, uint8_t flags, uint32_t seq, uint32_t ack, uint32_t from, uint32_t to)
{
    struct tcp_segment seg = {.src_port = (uint16_t)(FIRST + i), .dst_port = PORT, .seq = seq, .ack = ack, .flags = flags, .window = WINDOW};
    if (flags & TCP_SYN) {
        seg.options = TCP_OPT_MSS | TCP_OPT_SACK_OK;
        seg.mss = MSS;
    } else if (from != to) {
        seg.options = TCP_OPT_SACK;
        seg.sack[0] = (struct tcp_range){iss[i] + 1 + from, iss[i] + 1 + to};
        seg.sacks = 1;
    }
    bench_input(&b, &seg, 0);
}

static void input(unsigned i, uint8_t flags, uint32_t seq, uint32_t ack)
{
    input_sack(i, flags, seq, ack, 0, 0);
}

/* The peer has everything up to the n-th byte. */
static void acked(unsigned i, uint32_t n)
{
    input(i, TCP_ACK, 1001, iss[i] + 1 + n);
}

static void open_all(unsigned n)
{
    unsigned events;
    for (unsigned i = 0; i < n; i++) {
        input(i, TCP_SYN, 1000, 0);
        iss[i] = bench_sent(&b)->seg.seq;
        b.now_us += RTT;
        input(i, TCP_ACK, 1001, iss[i] + 1);
        conn[i] = tcp_next_event(b.stack, &events);
        CU_ASSERT_PTR_NOT_NULL_FATAL(conn[i]);
        conn[i]->cwnd = CWND;
    }
}

static void start(unsigned n)
{
    struct tcp_config conf = {.max_conns = CONNS, .backlog = CONNS, .orphans = CONNS, .rx_window = 65535, .tx_limit = 65536, .seed = 3};
    bench_start(&b, &conf, pool, false);
    tcp_listen(b.stack, PORT);
    open_all(n);
}

static void stop(void)
{
    CU_ASSERT(bench_stop(&b));
}

static void write_frames(unsigned i, unsigned frames)
{
    size_t room;
    for (size_t left = (size_t)frames * MSS; left;) {
        uint8_t *at = tcp_tx_reserve(conn[i], &room);
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        room = room < left ? room : left;
        memset(at, 'x', room);
        tcp_tx_commit(conn[i], room);
        left -= room;
    }
    tcp_push(conn[i], b.now_us);
}

/* Which connection the next data segment is of; -1: there is none. Others are passed over. */
static int next_of(uint32_t *at)
{
    for (const struct sent_segment *s; (s = bench_sent(&b));)
        if (s->seg.payload) {
            *at = s->seg.seq - iss[s->seg.dst_port - FIRST] - 1;
            return s->seg.dst_port - FIRST;
        }
    return -1;
}

static unsigned sent_frames(unsigned i)
{
    unsigned n = 0;
    uint32_t at;
    for (int which; (which = next_of(&at)) >= 0;)
        n += which == (int)i;
    return n;
}

static void is_full(void)
{
    *tcp_port_full(b.stack) = true;
    tcp_no_room(b.stack, b.now_us);
}

/* Room for so many frames: who waits goes on. */
static bool room_for(unsigned frames)
{
    b.room = frames;
    return tcp_go_on(b.stack, CONNS, b.now_us);
}

/* What finds no room is not in flight, and leaves later, once. */
static void what_waits_has_not_been_sent(void)
{
    struct tcp_info info;
    start(1);
    b.room = 3;
    write_frames(0, 8);
    CU_ASSERT_EQUAL(sent_frames(0), 3);
    CU_ASSERT_EQUAL(conn[0]->snd_nxt - conn[0]->snd_una, 3 * MSS);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tx_full_waits], 1);
    acked(0, 3 * MSS);
    tcp_info(conn[0], &info);
    CU_ASSERT_EQUAL(info.rexmit_at, 0); /* nothing is under way: nothing can be lost */
    CU_ASSERT(room_for(4));
    CU_ASSERT_EQUAL(sent_frames(0), 4);
    CU_ASSERT_FALSE(room_for(0));
    CU_ASSERT_EQUAL(sent_frames(0), 1);
    CU_ASSERT_FALSE(*tcp_port_full(b.stack));
    acked(0, 8 * MSS);
    CU_ASSERT_EQUAL(tcp_tx_unacked(conn[0]), 0);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_retransmits] + b.counters.v[COUNTER_mbuf_exhausted], 0);
    stop();
}

/* A wait is no round trip, no loss and no timeout. */
static void a_wait_is_no_congestion(void)
{
    start(1);
    uint32_t srtt = conn[0]->srtt_us, cwnd = conn[0]->cwnd, ssthresh = conn[0]->ssthresh;
    is_full();
    write_frames(0, 4);
    bench_run(&b, b.now_us + 900000, false); /* not yet an idle connection, whose window would be old */
    CU_ASSERT_EQUAL(sent_frames(0), 0);
    CU_ASSERT_FALSE(room_for(0));
    CU_ASSERT_EQUAL(sent_frames(0), 4);
    b.now_us += RTT;
    acked(0, 4 * MSS);
    CU_ASSERT(conn[0]->srtt_us <= srtt + RTT / 8 && conn[0]->cwnd >= cwnd && conn[0]->ssthresh == ssthresh);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_rto] + b.counters.v[COUNTER_tcp_tail_probes] + b.counters.v[COUNTER_tcp_retransmits], 0);
    stop();
}

/* First come, first served: everybody has had a turn before anybody has a second one, and who comes later stands behind those who wait. */
static void turns_are_fair(void)
{
    enum { EACH = 11, ROOM = 7 };
    unsigned sent[CONNS] = {0}, turns = 0;
    start(CONNS);
    is_full();
    for (unsigned i = 0; i < CONNS - 1; i++)
        write_frames(i, EACH);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tx_full_waits], CONNS - 1);
    int last = -1;
    for (bool more = true; more; turns++) {
        more = room_for(ROOM);
        if (turns == 0)
            write_frames(CONNS - 1, EACH); /* there may be room just now, but others wait */
        uint32_t at;
        for (int i; (i = next_of(&at)) >= 0;) {
            CU_ASSERT_EQUAL(at, sent[i] * MSS);
            if (sent[i] == 0)
                CU_ASSERT_EQUAL(i, ++last);
            sent[i]++;
        }
        for (unsigned i = 1; i < CONNS; i++) /* in turn, at most a turn's frames apart */
            CU_ASSERT(sent[i] <= sent[i - 1] + ROOM && sent[i - 1] <= sent[i] + EACH);
        CU_ASSERT_FATAL(turns < CONNS * EACH);
    }
    for (unsigned i = 0; i < CONNS; i++)
        CU_ASSERT_EQUAL(sent[i], EACH);
    stop();
}

/* Acknowledgements, SYN-ACKs, resets and probes do not wait. */
static void control_does_not_wait(void)
{
    start(2);
    is_full();
    write_frames(0, 1);
    input(5, TCP_SYN, 1000, 0);
    CU_ASSERT_EQUAL(bench_sent(&b)->seg.flags, TCP_SYN | TCP_ACK);
    struct tcp_segment data = {.src_port = FIRST + 1, .dst_port = PORT, .seq = 1001, .ack = iss[1] + 1, .flags = TCP_ACK, .window = WINDOW};
    bench_input(&b, &data, 100);
    bench_run(&b, b.now_us + 100000, true);
    CU_ASSERT_EQUAL(bench_sent(&b)->seg.ack, 1101);
    input(9, TCP_ACK, 1, 1);
    CU_ASSERT(bench_sent(&b)->seg.flags & TCP_RST);
    tcp_abort(conn[1], b.now_us);
    CU_ASSERT(bench_sent(&b)->seg.flags & TCP_RST);
    CU_ASSERT_EQUAL(sent_frames(0), 0);
    room_for(0);
    CU_ASSERT_EQUAL(sent_frames(0), 1);
    stop();
}

/* A timeout that falls due while the port is full happens when the turn has come, and is one timeout. */
static void a_timeout_waits_for_its_turn(void)
{
    start(1);
    write_frames(0, 2);
    CU_ASSERT_EQUAL(sent_frames(0), 2);
    b.now_us += LONG_BEFORE;
    is_full();
    bench_run(&b, b.now_us + 10000000, false);
    CU_ASSERT_EQUAL(sent_frames(0) + b.counters.v[COUNTER_tcp_rto] + b.counters.v[COUNTER_tcp_tail_probes], 0);
    CU_ASSERT_EQUAL(conn[0]->retries, 0);
    CU_ASSERT_FALSE(room_for(0));
    CU_ASSERT(sent_frames(0) > 0);
    CU_ASSERT(b.counters.v[COUNTER_tcp_rto] + b.counters.v[COUNTER_tcp_tail_probes] > 0 && conn[0]->retries <= 1);
    acked(0, 2 * MSS);
    CU_ASSERT_EQUAL(tcp_tx_unacked(conn[0]), 0);
    stop();
}

/* A port that takes nothing any more: the connection ends as with a peer that says nothing, a minute later. */
static void patience_ends_at_a_dead_port(void)
{
    enum { MINUTE = 60000000, SILENCE = 4 * MINUTE }; /* SILENCE: ten timeouts from 200 ms on, none above a minute, and the last wait */
    unsigned events;
    start(1);
    write_frames(0, 2);
    is_full();
    bench_run(&b, b.now_us + MINUTE, false);
    CU_ASSERT_EQUAL(conn[0]->retries, 0);
    bench_run(&b, b.now_us + SILENCE / 8, false);
    CU_ASSERT(conn[0]->retries > 3);
    bench_run(&b, b.now_us + SILENCE, false);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_timeouts], 1);
    CU_ASSERT(tcp_next_event(b.stack, &events) == conn[0] && (events & TCP_CLOSED));
    CU_ASSERT_PTR_NULL(tcp_next_event(b.stack, &events));
    stop();
}

static uint64_t timeouts(void)
{
    return b.counters.v[COUNTER_tcp_rto] + b.counters.v[COUNTER_tcp_tail_probes] + b.counters.v[COUNTER_tcp_retransmits];
}

/* What was sent just before the port was full may have left only when there was room: nobody can have answered yet. */
static void what_has_only_just_left_is_not_late(void)
{
    start(1);
    write_frames(0, 2);
    CU_ASSERT_EQUAL(sent_frames(0), 2);
    is_full();
    bench_run(&b, b.now_us + 900000, false);
    CU_ASSERT_FALSE(room_for(0));
    CU_ASSERT_EQUAL(sent_frames(0) + timeouts(), 0);
    bench_run(&b, b.now_us + RTT, false); /* the peer's answer takes a round trip from now */
    acked(0, 2 * MSS);
    bench_run(&b, b.now_us + 10000000, false);
    CU_ASSERT_EQUAL(sent_frames(0) + timeouts() + conn[0]->retries, 0);
    CU_ASSERT_EQUAL(tcp_tx_unacked(conn[0]), 0);
    stop();
}

/* But once, also if there is never room for all. */
static void a_timeout_is_put_off_once(void)
{
    enum { MANY = 40 };
    unsigned again = 0, others = 0;
    uint32_t at;
    start(2);
    write_frames(0, 2);
    CU_ASSERT_EQUAL(sent_frames(0), 2);
    is_full();
    write_frames(1, MANY);
    while (others < MANY && !again) {
        bench_run(&b, b.now_us + 300000, false);
        room_for(1);
        for (int i; (i = next_of(&at)) >= 0;)
            *(i ? &others : &again) += 1;
        acked(1, others * MSS);
        if (others < 3)
            CU_ASSERT_EQUAL(again + timeouts(), 0);
    }
    CU_ASSERT(again > 0 && others >= 3 && others < MANY && conn[1]->in_row);
    stop();
}

/* A loss that is noticed while the port is full is repaired when the turn has come, before anything new. */
static void a_repair_waits_for_its_turn(void)
{
    uint32_t at;
    start(1);
    write_frames(0, 6);
    CU_ASSERT_EQUAL(sent_frames(0), 6);
    b.now_us += RTT;
    is_full();
    for (unsigned n = 3; n <= 5; n++)
        input_sack(0, TCP_ACK, 1001, iss[0] + 1, 2 * MSS, n * MSS);
    write_frames(0, 2);
    CU_ASSERT_EQUAL(next_of(&at), -1);
    CU_ASSERT(conn[0]->flags & CONN_RECOVERY);
    room_for(0);
    CU_ASSERT(next_of(&at) == 0 && at == 0);
    for (unsigned i = 0; i < 8; i++) { /* what comes back lets the rest go */
        b.now_us += RTT;
        acked(0, conn[0]->snd_nxt - iss[0] - 1);
        while (next_of(&at) >= 0)
            ;
    }
    CU_ASSERT_EQUAL(tcp_tx_unacked(conn[0]), 0);
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_rto], 0);
    stop();
}

/* A router says that packets are too big while the port is full: all frames are cut, and none counts as sent again that was not. */
static void frames_are_cut_while_they_wait(void)
{
    enum { FITS = 560 };
    uint32_t at;
    start(1);
    write_frames(0, 3);
    CU_ASSERT_EQUAL(sent_frames(0), 3);
    is_full();
    write_frames(0, 4);
    tcp_icmp_error(b.stack, &(struct net_error){.local = {b.local, PORT}, .remote = {b.remote, FIRST}, .kind = NET_ERROR_TOO_BIG,
                                                .mtu = FITS + 40, .seq = conn[0]->snd_una}, b.now_us);
    CU_ASSERT_EQUAL(next_of(&at), -1);
    CU_ASSERT_EQUAL(conn[0]->snd_nxt - conn[0]->snd_una, 3 * MSS);
    for (const struct rte_mbuf *m = conn[0]->tx_head; m; m = frame_of(m)->next)
        CU_ASSERT(frame_of(m)->len <= FITS && !(frame_of(m)->flags & FRAME_RESENT));
    CU_ASSERT_EQUAL(conn[0]->tx_frames, 2 * 7);
    room_for(0);
    CU_ASSERT_EQUAL(sent_frames(0), 2 * 4); /* what had not been sent */
    b.now_us += RTT;
    for (unsigned n = 4; n <= 7; n++)
        input_sack(0, TCP_ACK, 1001, iss[0] + 1, 3 * MSS, n * MSS);
    CU_ASSERT(next_of(&at) == 0 && at == 0); /* the rest is a loss like others */
    CU_ASSERT_EQUAL(b.counters.v[COUNTER_tcp_rto] + b.counters.v[COUNTER_tcp_tail_probes], 0);
    acked(0, 7 * MSS);
    CU_ASSERT_EQUAL(tcp_tx_unacked(conn[0]), 0);
    stop();
}

/* Who goes while he waits, by whichever way, is in nobody's way. */
static void who_goes_while_he_waits(void)
{
    unsigned events;
    start(4);
    is_full();
    for (unsigned i = 0; i < 4; i++)
        write_frames(i, 2);
    tcp_abort(conn[0], b.now_us);
    input(1, TCP_RST, 1001, 0);
    while (tcp_next_event(b.stack, &events))
        ;
    tcp_close(conn[2], b.now_us); /* its bytes and FIN leave in its turn */
    CU_ASSERT_FALSE(room_for(0));
    unsigned data[4] = {0}, fins[4] = {0};
    for (const struct sent_segment *s; (s = bench_sent(&b));) {
        data[s->seg.dst_port - FIRST] += s->seg.payload != 0;
        fins[s->seg.dst_port - FIRST] += s->seg.flags & TCP_FIN ? 1 : 0;
    }
    CU_ASSERT(data[0] == 0 && data[1] == 0 && data[2] == 2 && data[3] == 2);
    CU_ASSERT(fins[2] == 1 && fins[3] == 0);
    CU_ASSERT_EQUAL(tcp_conn_count(b.stack), 2);
    stop();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(what_waits_has_not_been_sent),
                                             UNIT(a_wait_is_no_congestion),
                                             UNIT(turns_are_fair),
                                             UNIT(control_does_not_wait),
                                             UNIT(a_timeout_waits_for_its_turn),
                                             UNIT(patience_ends_at_a_dead_port),
                                             UNIT(what_has_only_just_left_is_not_late),
                                             UNIT(a_timeout_is_put_off_once),
                                             UNIT(a_repair_waits_for_its_turn),
                                             UNIT(frames_are_cut_while_they_wait),
                                             UNIT(who_goes_while_he_waits),
                                             {NULL, NULL}};
    test_eal();
    pool = test_pool("room", 4095);
    return unit_main(argc, argv, "tcp/room", tests);
}

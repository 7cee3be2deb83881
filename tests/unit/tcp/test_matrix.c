/* test_matrix.c: every state x every combination of the six flags x places of the sequence number x places of
 * the ACK field x with and without text, against a model of RFC 9293 section 3.10.7 written from its text,
 * with RFC 5961 sections 3 to 5 and RFC 1337. State, numbers and answer must be the model's; nothing may
 * leak. Where the stack differs on purpose (dataplane/tcp/README.md), the model says so by the word "choice".
 */
#include <stdio.h>

#include "fake_net.h"
#include "unit.h"

enum { PORT = 6379, CLIENT = 1000, PEER_ISN = 5000, MAX_WINDOW = 60000, BYTES = 10 };
enum row {
    ROW_CLOSED,
    ROW_LISTEN,
    ROW_SYN_SENT,
    ROW_SYN_RECEIVED,
    ROW_SIMULTANEOUS,
    ROW_ESTABLISHED,
    ROW_DATA_OUT,
    ROW_WINDOW_CLOSED,
    ROW_FIN_WAIT_1,
    ROW_FIN_WAIT_2,
    ROW_CLOSE_WAIT,
    ROW_CLOSING,
    ROW_LAST_ACK,
    ROW_TIME_WAIT,
    ROWS
};
static const enum tcp_state state_of[ROWS] = {
    TCP_STATE_CLOSED,       TCP_STATE_CLOSED,      TCP_STATE_SYN_SENT,    TCP_STATE_SYN_RECEIVED,
    TCP_STATE_SYN_RECEIVED, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED, TCP_STATE_ESTABLISHED,
    TCP_STATE_FIN_WAIT_1,   TCP_STATE_FIN_WAIT_2,  TCP_STATE_CLOSE_WAIT,  TCP_STATE_CLOSING,
    TCP_STATE_LAST_ACK,     TCP_STATE_TIME_WAIT};

static struct rte_mempool *pool;
static struct bench b;

/* -- the model: what RFC 9293 section 3.3.1 keeps, and what must leave */

enum answer { NOTHING, ACK, RESET, RESET_ACK, OWN_RESET, SYN_ACK, NOTHING_OR_ACK };

struct machine {
    enum row row;
    enum tcp_state state;
    uint32_t iss, irs, una, nxt, rcv_nxt, window;
    enum answer answer;
    uint32_t number; /* of a reset: SEG.SEQ, or SEG.ACK with RESET_ACK */
};

struct arrival {
    uint8_t flags;
    uint32_t seq, ack, len;
};

static bool has(const struct arrival *a, uint8_t flags)
{
    return (a->flags & flags) == flags;
}

static uint32_t seg_len(const struct arrival *a)
{
    return a->len + has(a, TCP_SYN) + has(a, TCP_FIN);
}

static void drop(struct machine *m, enum answer answer)
{
    m->answer = answer;
}

static void reset(struct machine *m, const struct arrival *a)
{
    m->answer = has(a, TCP_RST) ? NOTHING : has(a, TCP_ACK) ? RESET : RESET_ACK;
    m->number = has(a, TCP_ACK) ? a->ack : a->seq + seg_len(a);
}

static void listen_state(struct machine *m, const struct arrival *a)
{
    if (has(a, TCP_RST) || has(a, TCP_ACK)) {
        reset(m, a);
    } else if (has(a, TCP_SYN) && !has(a, TCP_FIN)) { /* choice: SYN-FIN is dropped */
        m->state = TCP_STATE_SYN_RECEIVED;
        m->rcv_nxt = a->seq + 1; /* choice: text on a SYN is not taken */
        m->answer = SYN_ACK;
    }
}

static void syn_sent_state(struct machine *m, const struct arrival *a)
{
    if (has(a, TCP_ACK) && a->ack != m->nxt) {
        reset(m, a);
    } else if (has(a, TCP_RST)) {
        m->state = has(a, TCP_ACK) ? TCP_STATE_CLOSED : m->state;
    } else if (has(a, TCP_SYN) && !has(a, TCP_FIN)) { /* choice, as above */
        m->state = has(a, TCP_ACK) ? TCP_STATE_ESTABLISHED : TCP_STATE_SYN_RECEIVED;
        m->una = has(a, TCP_ACK) ? a->ack : m->una;
        m->rcv_nxt = a->seq + 1;
        m->answer = has(a, TCP_ACK) ? ACK : SYN_ACK;
    }
}

static void time_wait_state(struct machine *m, const struct arrival *a)
{
    bool fin_again = has(a, TCP_FIN) && !has(a, TCP_SYN) && a->seq + seg_len(a) == m->rcv_nxt;
    if (has(a, TCP_RST)) /* RFC 1337 */
        return;
    if ((a->flags & (TCP_SYN | TCP_ACK | TCP_FIN)) == TCP_SYN && seq_after(a->seq, m->rcv_nxt)) { /* MAY-2 */
        m->state = TCP_STATE_SYN_RECEIVED;
        m->rcv_nxt = a->seq + 1;
        m->answer = SYN_ACK;
        return;
    }
    drop(m,
         fin_again ? ACK : NOTHING_OR_ACK); /* choice: whatever else does not fit is answered, in measure */
}

static bool in_window(const struct machine *m, uint32_t number)
{
    return number - m->rcv_nxt < m->window;
}

/* Table 6. Choice: the number at the right edge is acceptable for its ACK and FIN. */
static bool acceptable(const struct machine *m, const struct arrival *a)
{
    uint32_t len = seg_len(a), right = m->rcv_nxt + m->window;
    if (a->seq == right)
        return true;
    return in_window(m, a->seq) || (len && m->window && in_window(m, a->seq + len - 1)) ||
           (len && seq_before(a->seq, m->rcv_nxt) && seq_after(a->seq + len, m->rcv_nxt));
}

/* False: done with it. */
static bool fifth(struct machine *m, const struct arrival *a)
{
    if (!has(a, TCP_ACK))
        return false;
    if (m->state == TCP_STATE_SYN_RECEIVED) {
        if (a->ack != m->nxt) {
            reset(m, a);
            return false;
        }
        m->state = TCP_STATE_ESTABLISHED;
    } else if (seq_after(a->ack, m->nxt) || seq_before(a->ack, m->una - MAX_WINDOW)) {
        drop(m, ACK);
        return false;
    }
    if (seq_after(a->ack, m->una))
        m->una = a->ack;
    if (m->una != m->nxt)
        return true;
    if (m->state == TCP_STATE_FIN_WAIT_1)
        m->state = TCP_STATE_FIN_WAIT_2;
    else if (m->state == TCP_STATE_CLOSING)
        m->state = TCP_STATE_TIME_WAIT;
    else if (m->state == TCP_STATE_LAST_ACK)
        m->state = TCP_STATE_CLOSED;
    return m->state != TCP_STATE_CLOSED;
}

static void seventh_and_eighth(struct machine *m, const struct arrival *a)
{
    bool open = m->state == TCP_STATE_ESTABLISHED || m->state == TCP_STATE_FIN_WAIT_1 ||
                m->state == TCP_STATE_FIN_WAIT_2;
    uint32_t right = m->rcv_nxt + m->window, end = a->seq + a->len;
    if (open && a->len) {
        m->answer = ACK;
        if (seq_upto(a->seq, m->rcv_nxt) && seq_after(end, m->rcv_nxt))
            m->rcv_nxt = seq_min(end, right);
    }
    if (!open || !has(a, TCP_FIN) || end != m->rcv_nxt)
        return;
    m->rcv_nxt++;
    m->answer = ACK;
    m->state = m->state == TCP_STATE_ESTABLISHED  ? TCP_STATE_CLOSE_WAIT
               : m->state == TCP_STATE_FIN_WAIT_1 ? TCP_STATE_CLOSING
                                                  : TCP_STATE_TIME_WAIT;
}

/* Nobody reads any more, and all of ours has arrived. RFC 1122 section 4.2.2.13 */
static bool unwanted(struct machine *m, const struct arrival *a)
{
    if (m->state != TCP_STATE_FIN_WAIT_2 || a->len == 0 || seq_upto(a->seq + a->len, m->rcv_nxt))
        return false;
    m->state = TCP_STATE_CLOSED;
    m->answer = OWN_RESET;
    return true;
}

static void other_states(struct machine *m, struct arrival a)
{
    bool own_syn =
        m->state == TCP_STATE_SYN_RECEIVED && has(&a, TCP_SYN) && !has(&a, TCP_RST) && a.seq == m->irs;
    if (own_syn && !has(&a, TCP_ACK)) { /* our answer was lost */
        drop(m, SYN_ACK);
        return;
    }
    if (own_syn && m->row == ROW_SIMULTANEOUS) { /* section 3.5, figure 8: as its ACK */
        a.flags &= (uint8_t)~TCP_SYN;
        a.seq++;
    }
    if (has(&a, TCP_RST)) { /* RFC 5961 section 3.2 */
        if (a.seq == m->rcv_nxt)
            m->state = TCP_STATE_CLOSED;
        else
            drop(m, in_window(m, a.seq) ? ACK : NOTHING);
    } else if (!acceptable(m, &a) || has(&a, TCP_SYN)) { /* first; fourth, RFC 5961 section 4.2 */
        drop(m, ACK);
    } else if (fifth(m, &a) && !unwanted(m, &a)) {
        seventh_and_eighth(m, &a);
    }
}

static void model(struct machine *m, const struct arrival *a)
{
    m->answer = NOTHING;
    if (m->row == ROW_CLOSED)
        reset(m, a);
    else if (m->row == ROW_LISTEN)
        listen_state(m, a);
    else if (m->row == ROW_SYN_SENT)
        syn_sent_state(m, a);
    else if (m->row == ROW_TIME_WAIT)
        time_wait_state(m, a);
    else
        other_states(m, *a);
}

/* -- the stack, brought into each state */

static void input(const struct machine *m, const struct arrival *a)
{
    struct tcp_segment seg = {.src_port = CLIENT,
                              .dst_port = m->row == ROW_CLOSED ? PORT + 1 : PORT,
                              .seq = a->seq,
                              .ack = a->ack,
                              .flags = a->flags,
                              .window = MAX_WINDOW};
    bench_input(&b, &seg, a->len);
    tcp_round_end(b.stack, b.now_us);
}

static struct tcp_conn *conn(void)
{
    struct tcp_tuple t = {b.local, b.remote, PORT, CLIENT};
    return tcp_flow_find(b.stack, &t, tcp_flow_hash(&b.stack->secret, &t));
}

static void forget_sent(void)
{
    unsigned events;
    while (tcp_next_event(b.stack, &events))
        ;
    while (bench_sent(&b))
        ;
}

static void peer(struct machine *m, uint8_t flags, uint32_t seq, uint32_t len)
{
    input(m, &(struct arrival){flags, PEER_ISN + seq, m->iss + (conn() ? conn()->snd_nxt - m->iss : 0), len});
}

static void write_bytes(void)
{
    size_t room;
    uint8_t *at = tcp_tx_reserve(conn(), &room);
    CU_ASSERT_FATAL(at && room >= BYTES);
    memset(at, 1, BYTES);
    tcp_tx_commit(conn(), BYTES);
    tcp_push(conn(), b.now_us);
}

static void open_by(struct machine *m)
{
    if (m->row == ROW_SYN_SENT || m->row == ROW_SIMULTANEOUS) {
        struct endpoint local = {b.local, PORT}, remote = {b.remote, CLIENT};
        CU_ASSERT_PTR_NOT_NULL_FATAL(tcp_connect(b.stack, &local, &remote, b.now_us));
        if (m->row == ROW_SIMULTANEOUS)
            peer(m, TCP_SYN, 0, 0);
        return;
    }
    peer(m, TCP_SYN, 0, 0);
    m->iss = conn()->iss;
    if (m->row != ROW_SYN_RECEIVED)
        peer(m, TCP_ACK, 1, 0);
    forget_sent();
}

static void reach(struct machine *m)
{
    if (m->row <= ROW_LISTEN)
        return;
    open_by(m);
    bool first = m->row == ROW_FIN_WAIT_1 || m->row == ROW_FIN_WAIT_2 || m->row == ROW_CLOSING ||
                 m->row == ROW_TIME_WAIT;
    if (m->row == ROW_DATA_OUT)
        write_bytes();
    if (m->row == ROW_WINDOW_CLOSED)
        peer(m, TCP_ACK, 1, BYTES);
    if (m->row == ROW_CLOSE_WAIT || m->row == ROW_LAST_ACK)
        peer(m, TCP_ACK | TCP_FIN, 1, 0);
    if (first || m->row == ROW_LAST_ACK)
        tcp_close(conn(), b.now_us);
    if (m->row == ROW_FIN_WAIT_2 || m->row == ROW_TIME_WAIT)
        peer(m, TCP_ACK, 1, 0);
    if (m->row == ROW_CLOSING)
        input(m, &(struct arrival){TCP_ACK | TCP_FIN, PEER_ISN + 1, m->iss + 1, 0});
    if (m->row == ROW_TIME_WAIT) {
        m->nxt = m->una = conn()->snd_nxt;
        m->rcv_nxt = PEER_ISN + 2;
        m->window = 65535;
        peer(m, TCP_ACK | TCP_FIN, 1, 0);
    }
}

static void start(struct machine *m, enum row row)
{
    struct tcp_config conf = {.max_conns = 2, .time_waits = 2, .tx_limit = 65536, .seed = 3};
    conf.rx_window = row == ROW_WINDOW_CLOSED ? BYTES : 65535;
    bench_start(&b, &conf, pool, false);
    tcp_listen(b.stack, PORT);
    *m = (struct machine){
        .row = row, .state = state_of[row], .irs = PEER_ISN, .rcv_nxt = PEER_ISN, .window = 65535};
    reach(m);
    bench_run(&b, b.now_us + 50000, false); /* no delayed ACK is left */
    const struct tcp_conn *c = conn();
    if (c) {
        CU_ASSERT_EQUAL_FATAL(c->state, m->state);
        m->iss = c->iss;
        m->una = c->snd_una;
        m->nxt = c->snd_nxt;
        if (row != ROW_SYN_SENT) {
            m->rcv_nxt = c->rcv_nxt;
            m->window = c->rcv_adv - c->rcv_nxt;
        }
    }
    forget_sent();
}

/* -- comparison */

static enum tcp_state state_now(void)
{
    return conn() ? conn()->state : tcp_time_wait_count(b.stack) ? TCP_STATE_TIME_WAIT : TCP_STATE_CLOSED;
}

/* The last segment sent says it, and all of them are of its kind. */
static bool answered(const struct machine *m)
{
    const struct sent_segment *s, *last = NULL;
    unsigned n = 0;
    for (; (s = bench_sent(&b)); n++)
        last = s;
    if (!last)
        return m->answer == NOTHING || m->answer == NOTHING_OR_ACK;
    const struct tcp_segment *g = &last->seg;
    switch (m->answer) {
    case ACK:
        return g->flags == TCP_ACK && g->seq == m->nxt && g->ack == m->rcv_nxt && n == 1;
    case NOTHING_OR_ACK:
        return g->flags == TCP_ACK && g->seq == m->nxt && g->ack == m->rcv_nxt;
    case RESET:
        return g->flags == TCP_RST && g->seq == m->number && n == 1;
    case RESET_ACK:
        return g->flags == (TCP_RST | TCP_ACK) && g->seq == 0 && g->ack == m->number && n == 1;
    case OWN_RESET: /* of a connection: with its own numbers */
        return g->flags == (TCP_RST | TCP_ACK) && g->seq == m->nxt && g->ack == m->rcv_nxt && n == 1;
    case SYN_ACK:
        return g->flags == (TCP_SYN | TCP_ACK) && g->ack == m->rcv_nxt && n == 1;
    default:
        return false;
    }
}

static bool as_modelled(enum row row, uint8_t flags, int place, int ack_place, uint32_t len)
{
    struct machine m;
    start(&m, row);
    uint32_t at[] = {-20, -5, -1, 0, 10, m.window, m.window + 1},
             acks[] = {m.una - 1, m.una, m.nxt, m.nxt + 1, m.una - MAX_WINDOW - 1};
    struct arrival a = {flags, m.rcv_nxt + at[place], acks[ack_place], len};
    struct machine before = m;
    model(&m, &a);
    input(&before, &a);
    bench_run(&b, b.now_us + 50000, false); /* a delayed ACK, but no retransmission */
    const struct tcp_conn *c = conn();
    bool same = state_now() == m.state && (!c || m.row == ROW_LISTEN || m.row == ROW_TIME_WAIT ||
                                           (c->snd_una == m.una && c->snd_nxt == m.nxt));
    same = same && (!c || c->state == TCP_STATE_SYN_SENT || c->rcv_nxt == m.rcv_nxt);
    same = answered(&m) && same;
    if (!same)
        printf("# row %d flags %#x at %d ack %d len %u: %s, model %s answer %d\n", row, flags, (int)at[place],
               ack_place, len, tcp_state_name(state_now()), tcp_state_name(m.state), m.answer);
    return bench_stop(&b) && same;
}

static void test_every_state_flag_number(void)
{
    unsigned cases = 0, wrong = 0;
    for (enum row row = 0; row < ROWS; row++)
        for (unsigned flags = 0; flags < 64; flags++)
            for (int place = 0; place < 7; place++)
                for (int ack = 0; ack < 5; ack++)
                    for (uint32_t len = 0; len <= BYTES; len += BYTES, cases++)
                        if (wrong < 40 && !as_modelled(row, (uint8_t)flags, place, ack, len))
                            wrong++;
    printf("# %u cases\n", cases);
    CU_ASSERT_EQUAL(wrong, 0);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_state_flag_number), {NULL, NULL}};
    test_eal();
    pool = test_pool("matrix", 255);
    return unit_main(argc, argv, "tcp/matrix", tests);
}

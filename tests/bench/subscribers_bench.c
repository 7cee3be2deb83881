/* subscribers_bench.c: very many subscribers of one channel, each with a connection of its own, over an in-memory wire
 * in virtual time with far fewer packet buffers than subscribers: what one costs, whether each gets every message, and
 * how long the worker is away from its other clients meanwhile (CPU time of its longest round). Fails if a message is
 * missing or a client was closed.
 *
 *     subscribers_bench [SUBSCRIBERS [MESSAGES]]   100000 and 5 unless told */
#include "box_rig.h"

#include <malloc.h>
#include <rte_mbuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PORTS = 50000, FIRST_PORT = 10000, UNDER_WAY = 400, STEP = 100, STEPS = 10, PAYLOAD = 100 };
enum { BOX_FRAMES = 8191, PATIENCE_US = 60000000 /* virtual */ };

static struct box_rig rig;
static struct tcp_conn **conn;
static size_t *have; /* bytes that each has got */
static unsigned subscribers, messages;
static double longest_us;

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Both ends for a while; only the box is timed, which is a half of it. */
static void step(void)
{
    double before = cpu_us();
    rig_run(&rig, STEP);
    double took = cpu_us() - before;
    longest_us = took > longest_us ? took : longest_us;
}

/* The publisher has port 20000. */
static uint16_t port_of(unsigned i)
{
    return (uint16_t)(FIRST_PORT + i == 20000 ? FIRST_PORT - 1 : FIRST_PORT + i);
}

static void open_one(unsigned i)
{
    struct endpoint local = {.port = port_of(i % PORTS)}, remote = {.port = 6379};
    ip_parse(i < PORTS ? "10.0.0.1" : "fd00::1", &local.ip);
    ip_parse(i < PORTS ? "10.0.0.2" : "fd00::2", &remote.ip);
    conn[i] = tcp_connect(rig.client_tcp, &local, &remote, rig.now_us);
    if (!conn[i])
        abort();
}

static void say(struct tcp_conn *c, const char *text, size_t len)
{
    size_t room;
    uint8_t *to = tcp_tx_reserve(c, &room);
    if (!to || room < len)
        abort();
    memcpy(to, text, len);
    tcp_tx_commit(c, len);
    tcp_push(c, rig.now_us);
}

/* Takes what has come: bytes. */
static size_t take(struct tcp_conn *c)
{
    size_t n = 0;
    for (struct slice s; (s = tcp_rx_peek(c, 0)).len; n += s.len)
        tcp_rx_consume(c, s.len, rig.now_us);
    return n;
}

/* Goes on for a while, and takes what has come: unread, it would hold packet buffers. */
static void go_on(void)
{
    for (unsigned i = 0; i < STEPS; i++)
        step();
    for (unsigned i = 0; i < subscribers; i++)
        if (conn[i])
            have[i] += take(conn[i]);
}

/* Until each subscriber has so many bytes; how many have not. */
static unsigned read_all(size_t want, uint64_t virtual_us)
{
    unsigned missing = subscribers;
    for (uint64_t end = rig.now_us + virtual_us; missing && rig.now_us < end;) {
        go_on();
        missing = 0;
        for (unsigned i = 0; i < subscribers; i++)
            missing += have[i] != want;
    }
    memset(have, 0, subscribers * sizeof *have);
    return missing;
}

static void connect_all(void)
{
    static const char subscribe[] = "SUBSCRIBE news\r\n";
    unsigned begun = 0, patience = 0;
    while (rig.worker->sessions < subscribers && ++patience < 1000000) {
        for (; begun < subscribers && begun < rig.worker->sessions + UNDER_WAY; begun++)
            open_one(begun);
        step();
    }
    for (unsigned i = 0; i < 50; i++)
        step();
    for (unsigned i = 0; i < subscribers; i++) {
        say(conn[i], subscribe, sizeof subscribe - 1);
        if (i % 16 == 15)
            step();
        if (i % 1600 == 1599)
            go_on();
    }
}

static uint64_t heap(void)
{
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

/* False if a reply does not come. */
static bool publish(struct rig_client *c)
{
    char text[PAYLOAD + 64], payload[PAYLOAD + 1];
    memset(payload, 'x', PAYLOAD);
    payload[PAYLOAD] = 0;
    int n = snprintf(text, sizeof text, "*3\r\n$7\r\nPUBLISH\r\n$4\r\nnews\r\n$%d\r\n%s\r\n", PAYLOAD, payload);
    for (unsigned i = 0; i < messages; i++) {
        c->got_len = 0;
        text[n] = 0;
        rig_send(c, text);
        for (uint64_t end = rig.now_us + PATIENCE_US; c->got_len == 0; go_on())
            if (rig.now_us > end || c->closed)
                return false;
    }
    return true;
}

/* Its packets are its own, as those of a box are: what the other end has not read holds none of them for long. */
static void start_box(const char *const *pairs)
{
    rig_start(&rig, NULL, NULL); /* EAL is up from here on */
    if (!rig_stop(&rig))
        abort();
    struct rte_mempool *pool = rte_pktmbuf_pool_create("box", BOX_FRAMES, 64, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (!pool)
        abort();
    rig_start_as(&rig, pairs, NULL, pool);
}

int main(int argc, char **argv)
{
    subscribers = argc > 1 ? (unsigned)atoi(argv[1]) : 100000;
    messages = argc > 2 ? (unsigned)atoi(argv[2]) : 5;
    if (!subscribers || subscribers > 2 * PORTS || !messages || messages > 100)
        return 2;
    char clients[16];
    const char *const pairs[] = {"maxclients", clients, NULL};
    snprintf(clients, sizeof clients, "%u", subscribers + 10);
    rig_ipv6 = true;
    conn = calloc(subscribers, sizeof *conn);
    have = calloc(subscribers, sizeof *have);
    start_box(pairs);
    tcp_stack_free(rig.client_tcp);
    struct tcp_config tcp = {
        .max_conns = subscribers + 16, .backlog = 16, .rx_window = 65536, .tx_limit = 65536, .seed = 3};
    rig.client_tcp = tcp_stack_new(&tcp, rig.client_nif, rig.pool, &rig.client_counters);
    rig.accepted = RIG_SERVED; /* our connections are nobody else's */
    struct rig_client *publisher = rig_connect(&rig, 0);
    uint64_t before = heap();
    connect_all();
    static const char replied[] = "*3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n";
    unsigned missing = read_all(sizeof replied - 1, 20000000);
    printf("# %u subscribers, %u without their reply; %llu bytes of heap each beside connection and session\n", subscribers,
           missing, (unsigned long long)((heap() - before) / subscribers));
    longest_us = 0;
    double cpu = cpu_us();
    uint64_t virtual = rig.now_us;
    bool replied_to = publish(publisher);
    double published = cpu_us() - cpu;
    size_t message = sizeof "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$100\r\n\r\n" - 1 + PAYLOAD;
    unsigned late = read_all(message * messages, PATIENCE_US);
    printf("# %u messages: %u subscribers lack some; %.0f ms CPU of both ends, %.2f us a message; longest step %.0f us; "
           "%llu virtual ms; closed %u\n",
           messages, late, published / 1000, published / subscribers / messages, longest_us,
           (unsigned long long)(rig.now_us - virtual) / 1000, subscribers + 1 - rig.worker->sessions);
    bool good = replied_to && !missing && !late && rig.worker->sessions == subscribers + 1;
    for (unsigned i = 0; i < subscribers; i++)
        tcp_abort(conn[i], rig.now_us);
    rig_stop(&rig);
    printf("1..1\n%sok 1 - every subscriber has its reply and all messages\n", good ? "" : "not ");
    return !good;
}

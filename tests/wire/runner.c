/* runner.c: replays timed packet scripts against the TCP stack; one TAP test a script. README.md describes
 * the notation. Lines that set and ask for values: values.c. */
#include <stdio.h>
#include <stdlib.h>

#include "script.h"

enum { PORT = 6379, TOLERANCE_US = 2000, LINE = 512 };

/* Segments leave as large ones where they can, and arrive in two buffers each. */
static bool offload(void)
{
    return getenv("TCP_OFFLOAD") != NULL;
}

/* Virtual time begins when the clocks of our numbers (RFC 6528) and timestamps stand where they are wanted.
 */
static void place_clocks(struct script *s)
{
    struct bench *b = &s->bench;
    const struct tcp_secret *secret = &b->stack->secret;
    struct tcp_tuple t = {b->local, b->remote, PORT, 40000};
    if (s->place_iss)
        b->now_us += 4ull * (uint32_t)(s->iss - tcp_initial_sequence(secret, &t, b->now_us));
    if (s->place_stamp)
        b->now_us +=
            1000ull * (uint32_t)(s->stamp - (uint32_t)(b->now_us / 1000) - tcp_timestamp_offset(secret, &t));
}

static void start(struct script *s, struct rte_mempool *pool)
{
    s->conf.chain_frames = offload() ? 44 : 0;
    bench_start(&s->bench, &s->conf, pool, s->v6);
    s->bench.now_us = s->uptime_us ? s->uptime_us : s->bench.now_us;
    place_clocks(s);
    s->bench.mtu = s->mtu;
    s->last_us = s->bench.now_us;
    s->started = true;
    tcp_listen(s->bench.stack, PORT);
}

unsigned peer_of(const struct tcp_conn *c)
{
    return (c->tuple.remote_port - 40000u) % PEERS;
}

void finish_round(struct script *s)
{
    unsigned events;
    for (struct tcp_conn *c; (c = tcp_next_event(s->bench.stack, &events));) {
        struct peer *p = &s->peer[peer_of(c)];
        p->conn = events & TCP_CLOSED ? NULL : c;
        p->events |= events;
    }
    if (!s->bench.manual)
        tcp_round_end(s->bench.stack, s->bench.now_us);
}

/* -- lines */

static void line_icmp(struct script *s, char *text);

static void line_in(struct script *s, char *text)
{
    if (strncmp(text, "ICMP ", 5) == 0) {
        line_icmp(s, text + 5);
        return;
    }
    struct peer *peer = &s->peer[s->current];
    struct wanted w;
    struct net_packet p;
    uint8_t h[TCP_HEADER_MAX + 4];
    parse_segment(&s->complaint, text, peer->isn, peer->base, &w);
    w.seg.src_port = (uint16_t)(40000 + s->current);
    w.seg.dst_port = s->port;
    if (w.ecr_last)
        w.seg.ts_ecr += peer->stamp;
    w.seg.ts_ecr += w.ecr_relative ? peer->ts_base : 0;
    unsigned header = tcp_header_write(h, &w.seg);
    if (w.raw_len) { /* padded to words, as the data offset counts */
        unsigned padded = (w.raw_len + 3) / 4 * 4;
        memset(h + header, 0, padded);
        memcpy(h + header, w.raw, w.raw_len);
        header += padded;
        h[12] = (uint8_t)(header / 4 << 4);
    }
    if (s->complaint.failed)
        return;
    struct rte_mbuf *m = bench_frame(&s->bench, h, header, w.seg.seq, w.seg.payload, w.badsum,
                                     offload() && w.chain < 2 && w.seg.payload ? 2 : w.chain, &p);
    p.ecn = w.seg.ecn;
    tcp_input(s->bench.stack, m, &p, s->bench.now_us);
    finish_round(s);
}

/* < ICMP toobig MTU SEQ | hard SEQ | soft SEQ : a router's word about our segment that starts at SEQ. */
static void line_icmp(struct script *s, char *text)
{
    static const char *const kinds[] = {
        [NET_ERROR_TOO_BIG] = "toobig", [NET_ERROR_HARD] = "hard", [NET_ERROR_SOFT] = "soft"};
    const struct peer *peer = &s->peer[s->current];
    struct net_error e = {.local = {s->bench.local, s->port},
                          .remote = {s->bench.remote, (uint16_t)(40000 + s->current)},
                          .type = 3};
    const char *kind = word(&text);
    while (e.kind <= NET_ERROR_SOFT && strcmp(kinds[e.kind], kind) != 0)
        e.kind++;
    if (e.kind > NET_ERROR_SOFT)
        complain(&s->complaint, "unknown kind of error '%s'", kind);
    if (e.kind == NET_ERROR_TOO_BIG)
        e.mtu = (uint32_t)strtoul(word(&text), NULL, 10);
    e.seq = peer->base + (uint32_t)strtoul(word(&text), NULL, 10);
    tcp_icmp_error(s->bench.stack, &e, s->bench.now_us);
    finish_round(s);
}

static void line_out(struct script *s, char *text, uint64_t at_us)
{
    struct wanted w;
    char got[160];
    struct bench *b = &s->bench;
    if (b->head == b->tail)
        bench_run(b, at_us + TOLERANCE_US, true);
    const struct sent_segment *out = bench_sent(b);
    if (!out) {
        complain(&s->complaint, "nothing was sent");
        return;
    }
    const struct tcp_segment *g = &out->seg;
    s->current = (g->dst_port - 40000u) % PEERS;
    if (g->flags & TCP_SYN) {
        s->peer[s->current].base = g->seq;
        s->peer[s->current].ts_base = g->ts_val;
    }
    if (g->options & TCP_OPT_TS)
        s->peer[s->current].stamp = g->ts_val;
    parse_segment(&s->complaint, text, s->peer[s->current].base, s->peer[s->current].isn, &w);
    describe(g, s->peer[s->current].base, s->peer[s->current].isn, got, sizeof got);
    if (g->flags != w.seg.flags || g->ecn != w.seg.ecn || g->seq != w.seg.seq ||
        g->payload != w.seg.payload || ((g->flags & TCP_ACK) && g->ack != w.seg.ack) ||
        (w.win && g->window != w.seg.window) || (w.options && !options_match(&w.seg, g)))
        complain(&s->complaint, "sent: %s", got);
    else if (out->at_us > at_us + TOLERANCE_US || out->at_us + TOLERANCE_US < at_us)
        complain(&s->complaint, "sent %+.3f ms from the time: %s",
                 ((double)out->at_us - (double)at_us) / 1000, got);
    for (uint32_t i = 0; i < w.seg.payload && i < sizeof out->payload; i++)
        if (out->payload[i] != (uint8_t)(w.seg.seq - s->peer[s->current].base - 1 + i)) {
            complain(&s->complaint, "payload differs at byte %u", i);
            break;
        }
    s->last_us = out->at_us;
}

static const struct {
    const char *name;
    unsigned event;
} event_names[] = {{"opened", TCP_OPENED},
                   {"readable", TCP_READABLE},
                   {"writable", TCP_WRITABLE},
                   {"peer_closed", TCP_PEER_CLOSED},
                   {"closed", TCP_CLOSED}};

/* ? EVENT... : exactly these since the last question. ? none */
static void line_events(struct script *s, char *text)
{
    unsigned want = 0;
    struct peer *p = &s->peer[s->current];
    finish_round(s);
    for (char *w; *(w = word(&text));)
        for (unsigned i = 0; i < 5; i++)
            if (strcmp(w, event_names[i].name) == 0)
                want |= event_names[i].event;
    if (want != p->events)
        complain(&s->complaint, "events are %#x, wanted %#x", p->events, want);
    p->events = 0;
}

static void user_write(struct script *s, struct tcp_conn *c, unsigned n)
{
    while (n) {
        size_t room;
        uint8_t *at = tcp_tx_reserve(c, &room);
        if (!at) {
            complain(&s->complaint, "no room to write");
            return;
        }
        size_t take = room < n ? room : n;
        uint32_t seq = tcp_queue_end(c) - s->peer[s->current].base - 1;
        for (size_t i = 0; i < take; i++)
            at[i] = (uint8_t)(seq + i);
        tcp_tx_commit(c, take);
        n -= (unsigned)take;
    }
}

static void user_read(struct script *s, struct tcp_conn *c, unsigned n)
{
    if (tcp_rx_available(c) < n) {
        complain(&s->complaint, "only %zu bytes to read", tcp_rx_available(c));
        return;
    }
    uint32_t first = c->rcv_nxt - c->rx_unread - (c->flags & CONN_RX_FIN ? 1 : 0);
    for (size_t at = 0; at < n;) {
        struct slice part = tcp_rx_peek(c, at);
        for (size_t i = 0; i < part.len; i++)
            if (part.p[i] != (uint8_t)(first + at + i)) {
                complain(&s->complaint, "received byte %zu differs", at + i);
                return;
            }
        at += part.len;
    }
    tcp_rx_consume(c, n, s->bench.now_us);
}

static void line_user(struct script *s, char *text)
{
    struct peer *p = &s->peer[s->current];
    struct tcp_stack *stack = s->bench.stack;
    uint64_t now = s->bench.now_us;
    char *verb = word(&text);
    unsigned n = (unsigned)strtoul(text, NULL, 10);
    if (strcmp(verb, "connect") == 0) {
        struct endpoint local = {s->bench.local, PORT},
                        remote = {s->bench.remote, (uint16_t)(40000 + s->current)};
        p->conn = tcp_connect(stack, &local, &remote, now);
    } else if (strcmp(verb, "keepalive") == 0) {
        tcp_set_keepalive(stack, (uint64_t)n * 1000);
    } else if (strcmp(verb, "user_timeout") == 0) {
        tcp_set_user_timeout(stack, (uint64_t)n * 1000);
    } else if (strcmp(verb, "cookies") == 0) {
        tcp_set_syn_cookies(stack, n);
    } else if (strcmp(verb, "cubic") == 0) {
        tcp_set_congestion_control(stack, TCP_CC_CUBIC);
    } else if (strcmp(verb, "newreno") == 0) {
        tcp_set_congestion_control(stack, TCP_CC_NEWRENO);
    } else if (strcmp(verb, "ecn") == 0) {
        tcp_set_ecn(stack, n);
    } else if (strcmp(verb, "rate") == 0) {
        tcp_set_connection_rate(stack, n, (unsigned)strtoul(strchr(text, ' ') + 1, NULL, 10), 32, 64);
    } else if (strcmp(verb, "filter") == 0) {
        uint8_t action = FILTER_PERMIT;
        if (!filter_action_parse(word(&text), &action))
            complain(&s->complaint, "filter permit, deny or reject");
        s->bench.filter = action;
    } else if (!p->conn) {
        complain(&s->complaint, "no connection to %s", verb);
    } else if (strcmp(verb, "write") == 0) {
        user_write(s, p->conn, n);
        tcp_push(p->conn, now);
    } else if (strcmp(verb, "queue") == 0) {
        user_write(s, p->conn, n);
    } else if (strcmp(verb, "read") == 0) {
        user_read(s, p->conn, n);
    } else if (strcmp(verb, "want_write") == 0) {
        tcp_want_write(p->conn);
    } else if (strcmp(verb, "close") == 0) {
        tcp_close(p->conn, now);
        p->conn = NULL;
    } else if (strcmp(verb, "abort") == 0) {
        tcp_abort(p->conn, now);
        p->conn = NULL;
    } else {
        complain(&s->complaint, "unknown verb '%s'", verb);
    }
    finish_round(s);
}

static void nothing_more(struct script *s)
{
    const struct sent_segment *extra = bench_sent(&s->bench);
    char got[160];
    if (!extra)
        return;
    describe(&extra->seg, s->peer[s->current].base, s->peer[s->current].isn, got, sizeof got);
    complain(&s->complaint, "sent unexpectedly at %+.3f ms: %s",
             ((double)extra->at_us - (double)s->last_us) / 1000, got);
}

static void run_line(struct script *s, char *text, struct rte_mempool *pool)
{
    char *kind = word(&text);
    if (strcmp(kind, "set") == 0) {
        line_set(s, text);
        return;
    }
    if (!s->started)
        start(s, pool);
    double ms = strtod(kind, NULL);
    if (kind[0] != '+') {
        complain(&s->complaint, "a line starts with a time");
        return;
    }
    uint64_t at = s->last_us + (uint64_t)(ms * 1000);
    kind = word(&text);
    if (*kind == '>') {
        line_out(s, text, at);
        return;
    }
    nothing_more(s);
    bench_run(&s->bench, at, false);
    nothing_more(s);
    s->last_us = at;
    if (*kind == '<')
        line_in(s, text);
    else if (*kind == '!')
        line_user(s, text);
    else if (*kind == '?')
        line_events(s, text);
    else if (*kind == '=')
        line_check(s, text);
    else if (*kind != '.')
        complain(&s->complaint, "unknown kind of line '%s'", kind);
}

static void run_script(struct script *s, struct rte_mempool *pool)
{
    char text[LINE];
    FILE *f = fopen(s->file, "r");
    if (!f) {
        complain(&s->complaint, "cannot be opened");
        return;
    }
    s->conf =
        (struct tcp_config){.max_conns = 16, .backlog = 8, .rx_window = 65535, .tx_limit = 262144, .seed = 7};
    s->mtu = 1500;
    s->port = PORT;
    for (unsigned i = 0; i < PEERS; i++)
        s->peer[i].isn = 1000000 * (i + 1);
    while (!s->complaint.failed && fgets(text, sizeof text, f)) {
        s->line++;
        text[strcspn(text, "#\n")] = 0;
        if (text[strspn(text, " \t")])
            run_line(s, text, pool);
    }
    fclose(f);
    if (!s->started) {
        complain(&s->complaint, "is empty");
        return;
    }
    nothing_more(s);
    if (!bench_stop(&s->bench))
        complain(&s->complaint, "frames or paths leaked");
}

int main(int argc, char **argv)
{
    unsigned failures = 0;
    test_eal();
    struct rte_mempool *pool = test_pool("wire", 1023);
    printf("TAP version 13\n1..%d\n", argc - 1);
    for (int i = 1; i < argc; i++) {
        static struct script s;
        memset(&s, 0, sizeof s);
        s.file = argv[i];
        run_script(&s, pool);
        const char *name = strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i];
        if (s.complaint.failed)
            printf("# %s:%u: %s\n", name, s.line, s.complaint.why);
        printf("%sok %d - %s\n", s.complaint.failed ? "not " : "", i, name);
        failures += s.complaint.failed;
    }
    return failures ? 1 : 0;
}

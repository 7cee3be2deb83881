/* conversation.c: see conversation.h. */
#include "conversation.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_mbuf.h>

enum { PORT = 6379, TALKERS = 64, BURST = 32 };

struct talker { /* one end of one connection */
    struct tcp_conn *conn;
    unsigned id, end; /* of the connection, 0 client, 1 server */
    uint32_t sent, received;
    uint64_t next_read_us, next_write_us;
    bool waiting, peer_closed, done, broken;
};

struct end {
    struct net_if *nif;
    struct tcp_stack *stack;
    struct talker talker[TALKERS];
    uint64_t net_next, timers_next;
};

struct run {
    const struct conversation *c;
    struct conversation_result *out;
    struct memwire *wire;
    struct end end[2];
    uint64_t now, random;
    uint64_t blackout[2]; /* from, to */
    bool dark;
};

static uint64_t draw(struct run *r, uint64_t below)
{
    uint64_t z = (r->random += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return (z ^ z >> 31) % below;
}

/* The byte at a position of a direction: no run of bytes repeats soon. */
static uint8_t byte_at(unsigned id, unsigned from, uint32_t at)
{
    return (uint8_t)((at * 2654435761u) >> 21 ^ id * 37 ^ from * 101);
}

/* What that end of a connection sends in all. */
static uint32_t bytes_of(const struct run *r, unsigned end)
{
    return end == 0 && r->c->one_way ? 0 : r->c->bytes;
}

static void write_some(struct run *r, struct talker *t)
{
    uint32_t want = 1 + (uint32_t)draw(r, r->c->write_max), all = bytes_of(r, t->end);
    while (want && t->sent < all) {
        size_t room, left = all - t->sent;
        uint8_t *p = tcp_tx_reserve(t->conn, &room);
        if (!p) {
            t->waiting = true;
            break;
        }
        size_t n = room < want ? room : want;
        n = n < left ? n : left;
        for (size_t i = 0; i < n; i++)
            p[i] = byte_at(t->id, t->end, t->sent + (uint32_t)i);
        tcp_tx_commit(t->conn, n);
        t->sent += (uint32_t)n;
        want -= (uint32_t)n;
        if (draw(r, 4) == 0)
            tcp_push(t->conn, r->now);
    }
    tcp_push(t->conn, r->now);
    t->next_write_us = r->now + draw(r, 300);
}

static void read_some(struct run *r, struct talker *t)
{
    size_t want = 1 + draw(r, r->c->read_max), at = 0;
    while (at < want) {
        struct slice s = tcp_rx_peek(t->conn, at);
        if (s.len == 0)
            break;
        for (size_t i = 0; i < s.len && at < want; i++, at++)
            if (s.p[i] != byte_at(t->id, !t->end, t->received++))
                r->out->bytes_right = false;
    }
    tcp_rx_consume(t->conn, at, r->now);
    r->out->delivered_us = r->now;
    t->next_read_us = r->now + (r->c->lazy_reader ? draw(r, 5000) : 0);
}

static void finish(struct run *r, struct talker *t, bool broken)
{
    t->done = true;
    t->broken = broken;
    r->out->lost_connections += broken;
    t->conn = NULL;
}

static bool complete(const struct run *r, const struct talker *t)
{
    return t->sent == bytes_of(r, t->end) && t->received == bytes_of(r, !t->end);
}

static bool may_close(const struct run *r, const struct talker *t)
{
    if (r->c->both_close)
        return true;
    return t->end == 0 ? tcp_tx_unacked(t->conn) == 0 : t->peer_closed;
}

/* The client closes when both directions are complete and acknowledged (a closed connection lives a minute at
 * most, too short for some at 20 % loss); the server when the client has. */
static void talk(struct run *r, struct talker *t)
{
    if (!t->conn)
        return;
    if (tcp_rx_available(t->conn) && t->next_read_us <= r->now)
        read_some(r, t);
    if (t->sent < bytes_of(r, t->end) && !t->waiting && t->next_write_us <= r->now)
        write_some(r, t);
    if (complete(r, t) && may_close(r, t)) {
        tcp_close(t->conn, r->now);
        finish(r, t, false);
    }
}

static struct talker *accept_talker(struct end *e, struct tcp_conn *c)
{
    struct endpoint local, remote;
    tcp_endpoints(c, &local, &remote);
    struct talker *t = &e->talker[remote.port - 20000u];
    *t = (struct talker){.conn = c, .id = remote.port - 20000u, .end = 1};
    tcp_set_user(c, t);
    return t;
}

static void events(struct run *r, struct end *e)
{
    unsigned what;
    for (struct tcp_conn *c; (c = tcp_next_event(e->stack, &what));) {
        struct talker *t = tcp_user(c);
        if (!t)
            t = accept_talker(e, c);
        if (what & TCP_WRITABLE)
            t->waiting = false;
        if (what & TCP_PEER_CLOSED)
            t->peer_closed = true;
        if (what & TCP_CLOSED)
            finish(r, t, !complete(r, t)); /* with everything done, only the FINs were lost too often */
    }
}

static void work(struct run *r, struct end *e, unsigned which)
{
    struct rte_mbuf *frames[BURST];
    struct net_packet p[BURST];
    for (unsigned n; (n = memwire_receive(r->wire, which, frames, BURST));) {
        unsigned tcp = 0;
        for (unsigned i = 0; i < n; i++)
            if (net_input(e->nif, frames[i], &p[tcp], r->now) == NET_TCP) {
                frames[tcp] = frames[i];
                tcp_prefetch(e->stack, frames[tcp], &p[tcp]);
                tcp_prefetch_conn(e->stack, frames[tcp]);
                tcp++;
            }
        for (unsigned i = 0; i < tcp; i++)
            tcp_input(e->stack, frames[i], &p[i], r->now);
    }
    e->timers_next = tcp_timers(e->stack, r->now);
    events(r, e);
    for (unsigned i = 0; i < r->c->connections; i++)
        talk(r, &e->talker[i]);
    events(r, e);
    tcp_round_end(e->stack, r->now);
    e->net_next = net_tick(e->nif, r->now); /* what was just sent may have moved it */
    net_flush(e->nif);
    uint64_t again = tcp_timers(e->stack, r->now);
    e->timers_next = again < e->timers_next ? again : e->timers_next;
}

/* When somebody has something to do. */
static uint64_t next_time(const struct run *r)
{
    uint64_t next = memwire_next(r->wire);
    for (unsigned e = 0; e < 2; e++) {
        const struct end *end = &r->end[e];
        next = end->net_next < next ? end->net_next : next;
        next = end->timers_next < next ? end->timers_next : next;
        for (unsigned i = 0; i < r->c->connections; i++) {
            const struct talker *t = &end->talker[i];
            if (t->conn && t->sent < bytes_of(r, t->end) && !t->waiting && t->next_write_us < next)
                next = t->next_write_us;
            if (t->conn && tcp_rx_available(t->conn) && t->next_read_us < next)
                next = t->next_read_us;
        }
    }
    for (unsigned i = 0; i < 2; i++) {
        uint64_t edge = r->blackout[i];
        next = edge > r->now && edge < next ? edge : next;
    }
    return next > r->now ? next : r->now + 1;
}

static void blackout(struct run *r)
{
    bool dark = r->now >= r->blackout[0] && r->now < r->blackout[1];
    struct memwire_fault fault = r->c->fault;
    if (dark == r->dark)
        return;
    r->dark = dark;
    fault.loss = dark ? 1000000 : fault.loss;
    memwire_set_fault(r->wire, &fault);
}

static void start_end(struct run *r, unsigned which)
{
    struct end *e = &r->end[which];
    struct net_config conf = {.mtu = 1500, .addresses = 1, .seed = r->c->seed + which};
    uint8_t mac[6] = {2, 0, 0, 0, 1, (uint8_t)which};
    memcpy(conf.mac, mac, sizeof mac);
    ip_parse(which ? "10.1.0.2" : "10.1.0.1", &conf.address[0].ip);
    conf.address[0].bits = 24;
    struct tcp_config tcp = r->c->tcp;
    if (r->c->offload) {
        conf.offload = NET_TX_IP_CSUM | NET_TX_TCP_CSUM | NET_TX_TSO;
        conf.chain_frames = tcp.chain_frames = 44;
    }
    tcp.seed = r->c->seed * 2 + which;
    e->nif = net_if_new(&conf, r->c->pool[which], memwire_end(r->wire, which), &r->out->counters[which]);
    e->stack = tcp_stack_new(&tcp, e->nif, r->c->pool[which], &r->out->counters[which]);
    e->net_next = r->now;
}

static void start_clients(struct run *r)
{
    struct endpoint local = {.port = 0}, remote = {.port = PORT};
    ip_parse("10.1.0.1", &local.ip);
    ip_parse("10.1.0.2", &remote.ip);
    tcp_listen(r->end[1].stack, PORT);
    for (unsigned i = 0; i < r->c->connections; i++) {
        struct talker *t = &r->end[0].talker[i];
        local.port = (uint16_t)(20000 + i);
        t->id = i;
        t->conn = tcp_connect(r->end[0].stack, &local, &remote, r->now);
        if (t->conn)
            tcp_set_user(t->conn, t);
    }
}

static bool all_gone(const struct run *r)
{
    for (unsigned i = 0; i < r->c->connections; i++)
        if (!r->end[0].talker[i].done)
            return false;
    return tcp_conn_count(r->end[0].stack) == 0 && tcp_conn_count(r->end[1].stack) == 0;
}

static void trace(const struct run *r)
{
    for (unsigned e = 0; e < 2; e++)
        for (unsigned i = 0; i < r->c->connections; i++) {
            const struct talker *t = &r->end[e].talker[i];
            struct tcp_info info = {.state = "-"};
            if (t->conn)
                tcp_info(t->conn, &info);
            printf(
                "# seed %lu end %u.%u: sent %u received %u waiting %d %s unacked %u cwnd %u wnd %u rto %u\n",
                r->c->seed, e, i, t->sent, t->received, t->waiting, info.state, info.unacked, info.cwnd,
                info.snd_wnd, info.rto_us);
        }
}

void conversation_run(const struct conversation *c, struct conversation_result *out)
{
    static struct run run;
    static struct rte_mbuf *hogged[2][8192];
    struct run *r = &run;
    unsigned hogs[2] = {0, 0};
    memset(r, 0, sizeof *r);
    memset(out, 0, sizeof *out);
    r->c = c;
    r->out = out;
    r->random = c->seed;
    r->now = 1000000;
    out->bytes_right = true;
    r->wire = memwire_new(c->pool[2], c->seed, &c->fault);
    memwire_set_time(r->wire, r->now);
    if (c->offload)
        memwire_set_port(r->wire, c->seed % 2 ? &(struct memwire_port){.verify = true, .piece = 300}
                                              : &(struct memwire_port){.verify = true, .gather = true});
    start_end(r, 0);
    start_end(r, 1);
    for (unsigned e = 0; e < 2; e++)
        while (hogs[e] < c->hog && (hogged[e][hogs[e]] = rte_pktmbuf_alloc(c->pool[e])))
            hogs[e]++;
    start_clients(r);
    uint64_t start = r->now;
    r->blackout[0] = start + c->blackout_at_us;
    r->blackout[1] = r->blackout[0] + c->blackout_us;
    blackout(r);
    while (!all_gone(r) && r->now - start < c->limit_us) {
        work(r, &r->end[0], 0);
        work(r, &r->end[1], 1);
        uint64_t next = next_time(r);
        if (next == UINT64_MAX)
            break; /* stuck: nobody will ever do anything */
        r->now = next;
        memwire_set_time(r->wire, r->now);
        blackout(r);
        for (unsigned e = 0; e < 2 && r->now - start > 1000000; e++)
            while (hogs[e])
                rte_pktmbuf_free(hogged[e][--hogs[e]]);
    }
    out->took_us = r->now - start;
    out->delivered_us -= out->delivered_us ? start : 0;
    out->finished = all_gone(r);
    if (!out->finished || !out->bytes_right || c->trace)
        trace(r);
    for (unsigned e = 0; e < 2; e++) {
        tcp_stack_free(r->end[e].stack);
        net_if_free(r->end[e].nif);
    }
    memwire_free(r->wire);
    out->no_leak = true;
    for (unsigned i = 0; i < 3; i++)
        out->no_leak = out->no_leak && rte_mempool_in_use_count(c->pool[i]) == 0;
}

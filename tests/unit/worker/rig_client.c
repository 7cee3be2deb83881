/* rig_client.c: the client's end of a box_rig: a TCP of the same stack, which says what tests want and keeps what comes. */
#include "box_rig.h"

#include <rte_mbuf.h>

#include <stdio.h>
#include <stdlib.h>

static void client_read(struct box_rig *r, struct rig_client *c)
{
    for (struct slice s; !c->paused && (s = tcp_rx_peek(c->conn, 0)).len;) {
        if (c->got_len + s.len <= RIG_REPLY)
            memcpy(c->got + c->got_len, s.p, s.len);
        c->got_len += s.len;
        tcp_rx_consume(c->conn, s.len, r->now_us);
    }
}

static void client_write(struct box_rig *r, struct rig_client *c)
{
    if (!c->opened || c->closed)
        return;
    while (c->sent < c->to_send_len) {
        size_t room, n = c->to_send_len - c->sent;
        uint8_t *p = tcp_tx_reserve(c->conn, &room);
        if (!p)
            break;
        if (n > room)
            n = room;
        memcpy(p, c->to_send + c->sent, n);
        tcp_tx_commit(c->conn, n);
        c->sent += n;
    }
    tcp_push(c->conn, r->now_us);
}

static void client_turn(struct box_rig *r, struct rig_client *c)
{
    if (!c->conn || c->closed)
        return;
    client_read(r, c);
    client_write(r, c);
}

void rig_serve(struct box_rig *r, uint16_t port)
{
    if (!tcp_listen(r->client_tcp, port))
        abort();
    for (unsigned i = 0; i < RIG_SERVED; i++) {
        r->served[i].got = malloc(RIG_REPLY);
        if (!r->served[i].got)
            abort();
    }
}

/* The box has connected to us. */
static struct rig_client *accepts(struct box_rig *r, struct tcp_conn *conn)
{
    if (r->accepted == RIG_SERVED)
        return NULL;
    struct rig_client *c = &r->served[r->accepted++];
    c->conn = conn;
    tcp_set_user(conn, c);
    return c;
}

void rig_client_step(struct box_rig *r)
{
    struct rte_mbuf *m[32];
    unsigned ev, n = memwire_receive(r->wire, 1, m, 32);
    for (unsigned i = 0; i < n; i++) {
        struct net_packet p;
        if (net_input(r->client_nif, m[i], &p, r->now_us) == NET_TCP)
            tcp_input(r->client_tcp, m[i], &p, r->now_us);
    }
    for (struct tcp_conn *conn; (conn = tcp_next_event(r->client_tcp, &ev));) {
        struct rig_client *c = tcp_user(conn);
        if (!c && (ev & TCP_OPENED))
            c = accepts(r, conn);
        if (!c)
            continue;
        c->opened |= (ev & TCP_OPENED) != 0;
        client_read(r, c);
        c->peer_closed |= (ev & TCP_PEER_CLOSED) != 0;
        c->closed |= (ev & TCP_CLOSED) != 0;
    }
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        client_turn(r, &r->client[i]);
    for (unsigned i = 0; i < r->accepted; i++)
        client_turn(r, &r->served[i]);
    tcp_timers(r->client_tcp, r->now_us);
    net_tick(r->client_nif, r->now_us);
    tcp_round_end(r->client_tcp, r->now_us);
    net_flush(r->client_nif);
}

struct rig_client *rig_connect(struct box_rig *r, unsigned i)
{
    return rig_connect_to(r, i, 6379);
}

struct rig_client *rig_connect_to(struct box_rig *r, unsigned i, uint16_t port)
{
    struct rig_client *c = &r->client[i];
    struct endpoint local = {.port = (uint16_t)(20000 + i + RIG_CLIENTS * (r->connects++ % 2500))},
                    remote = {.port = port};
    ip_parse("10.0.0.1", &local.ip);
    ip_parse("10.0.0.2", &remote.ip);
    free(c->got);
    *c = (struct rig_client){.got = malloc(RIG_REPLY)};
    c->conn = tcp_connect(r->client_tcp, &local, &remote, r->now_us);
    if (!c->conn || !c->got)
        abort();
    tcp_set_user(c->conn, c);
    for (int step = 0; step < 2000 && !c->opened; step++)
        rig_run(r, RIG_STEP_US);
    return c;
}

void rig_exchange(struct box_rig *r, struct rig_client *c, const void *bytes, size_t len, size_t want)
{
    c->to_send = bytes;
    c->to_send_len = len;
    c->sent = 0;
    for (int step = 0; step < 200000 && !c->closed && (c->sent < len || c->got_len < want); step++)
        rig_run(r, RIG_STEP_US);
}

void rig_send(struct rig_client *c, const char *text)
{
    c->to_send = (const uint8_t *)text;
    c->to_send_len = strlen(text);
    c->sent = 0;
}

void rig_hang_up(struct box_rig *r)
{
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        if (r->client[i].conn && r->client[i].opened && !r->client[i].closed)
            tcp_abort(r->client[i].conn, r->now_us);
}

/* What has come is `expected`, or both are shown. */
static bool got_all(const struct rig_client *c, const char *expected)
{
    size_t want = strlen(expected);
    if (c->got_len == want && memcmp(c->got, expected, want) == 0)
        return true;
    printf("# expected: %.400s\n# got:      %.*s\n", expected, (int)(c->got_len < 400 ? c->got_len : 400),
           (const char *)c->got);
    return false;
}

bool rig_heard(struct box_rig *r, struct rig_client *c, const char *expected)
{
    rig_run(r, 5000);
    bool same = got_all(c, expected);
    c->got_len = 0;
    return same;
}

bool rig_says(struct box_rig *r, struct rig_client *c, const char *request, const char *expected)
{
    size_t want = strlen(expected);
    c->got_len = 0;
    rig_exchange(r, c, request, strlen(request), want);
    rig_run(r, 2000);
    if (got_all(c, expected))
        return true;
    printf("# request:  %.200s\n", request);
    return false;
}

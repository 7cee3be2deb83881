/* conn.c: life and timers of the load generator's connections, and its round. */
#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_prefetch.h>

#include "attack.h"

enum { RTO_MS = 250, BACKOFF_MAX = 6, SWEEP_TICKS = 16, SWEEP_LEAST = 64, SWEEP_MOST = 4096 };

bool client_init(struct client *cl, const struct options *o, struct link *link, struct workload *work)
{
    unsigned most = RTE_MAX(o->pipeline, o->fill ? o->fill_pipeline : 1), ring = 1;
    while (ring < most)
        ring *= 2;
    *cl = (struct client){.link = link,
                          .work = work,
                          .count = o->connections + (o->big_rate > 0) + o->idle + o->subscribers,
                          .timed = o->connections + (o->big_rate > 0),
                          .ring_mask = ring - 1,
                          .peer_port = (uint16_t)o->peer_port,
                          .timestamps = o->timestamps,
                          .allow_miss = o->allow_miss,
                          .cycles_per_ms = rte_get_tsc_hz() / 1000};
    cl->stride = RTE_ALIGN(sizeof(struct conn) + ring * sizeof(uint32_t), (size_t)RTE_CACHE_LINE_SIZE);
    cl->conns = aligned_alloc(RTE_CACHE_LINE_SIZE, cl->stride * cl->count);
    if (!cl->conns)
        return false;
    memset(cl->conns, 0, cl->stride * cl->count);
    cl->big_size = o->big_size;
    cl->big = o->big_rate ? conn_at(cl, o->connections) : NULL;
    if (o->script && !(cl->held = calloc(cl->count, sizeof *cl->held)))
        return false;
    if (o->subscribers && !crowd_init(cl, o, cl->timed))
        return false;
    output_init(cl);
    client_clock(cl);
    return true;
}

void client_free(struct client *cl)
{
    for (uint32_t i = 0; cl->held && i < cl->count; i++)
        free(cl->held[i].bytes);
    crowd_free(cl);
    free(cl->held);
    free(cl->conns);
    cl->held = NULL;
    cl->conns = NULL;
}

void client_stats_reset(struct client *cl)
{
    cl->stats = (struct stats){0};
    histogram_reset(&cl->latency);
    struct link *l = cl->link;
    l->rx_frames = l->rx_bursts = l->tx_frames = l->tx_full = l->tx_dropped = l->no_mbuf = 0;
}

void client_clock(struct client *cl)
{
    cl->now = rte_rdtsc();
    cl->now_ms = (uint32_t)(cl->now / cl->cycles_per_ms);
}

void conn_rto_restart(struct client *cl, struct conn *c)
{
    c->rto_at = cl->now_ms + (RTO_MS << c->backoff);
}

void conn_open(struct client *cl, struct conn *c, uint32_t initial_seq)
{
    c->snd_una = initial_seq;
    c->snd_nxt = c->snd_max = initial_seq + 1;
    c->flags = cl->timestamps ? CONN_TIMESTAMPS : 0;
    c->state = CONN_SYN_SENT;
    cl->opening++;
    conn_rto_restart(cl, c);
    tcp_control(cl, c, RTE_TCP_SYN_FLAG, initial_seq);
}

void conn_close(struct client *cl, struct conn *c)
{
    c->state = CONN_FIN_WAIT;
    conn_rto_restart(cl, c);
    tcp_control(cl, c, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, c->snd_nxt);
    c->snd_max = ++c->snd_nxt;
}

void conn_end(struct client *cl, struct conn *c, enum conn_state state)
{
    if (c->state == CONN_SYN_SENT)
        cl->opening--;
    else
        cl->open--;
    cl->finished++;
    c->state = (uint8_t)state;
}

void conn_fail(struct client *cl, struct conn *c, const char *why)
{
    if (!cl->first_error[0])
        snprintf(cl->first_error, sizeof cl->first_error, "connection %u: %s", conn_index(cl, c), why);
    if (c->state != CONN_SYN_SENT)
        tcp_control(cl, c, RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG, c->snd_nxt);
    conn_end(cl, c, CONN_FAILED);
}

static void timed_out(struct client *cl, struct conn *c)
{
    cl->stats.timeouts++;
    if (c->backoff == BACKOFF_MAX) {
        conn_fail(cl, c, "no answer from the peer");
        return;
    }
    c->backoff++;
    conn_rto_restart(cl, c);
    if (c->state == CONN_SYN_SENT)
        tcp_control(cl, c, RTE_TCP_SYN_FLAG, c->snd_una);
    else if (c->state == CONN_FIN_WAIT)
        tcp_control(cl, c, RTE_TCP_FIN_FLAG | RTE_TCP_ACK_FLAG, c->snd_una);
    else
        tcp_retransmit(cl, c);
}

static void check_timers(struct client *cl, struct conn *c)
{
    if (c->state != CONN_SYN_SENT && c->state != CONN_OPEN && c->state != CONN_FIN_WAIT)
        return;
    bool waiting = c->snd_una != c->snd_max || c->unsent != c->tail;
    if (waiting && (int32_t)(cl->now_ms - c->rto_at) >= 0)
        timed_out(cl, c);
    else if (c->ack_owed && (int32_t)(cl->now_ms - c->ack_at) >= 0)
        tcp_control(cl, c, RTE_TCP_ACK_FLAG, c->snd_nxt);
}

/* A part of the connections each millisecond: no wheel, no per-packet upkeep, a few µs of work. */
static void sweep_timers(struct client *cl)
{
    uint32_t n = RTE_MAX(cl->timed / SWEEP_TICKS, (uint32_t)SWEEP_LEAST);
    n = RTE_MIN(RTE_MIN(cl->timed, n), (uint32_t)SWEEP_MOST);
    for (; n; n--) {
        check_timers(cl, conn_at(cl, cl->sweep));
        cl->sweep = cl->sweep + 1 >= cl->timed ? 0 : cl->sweep + 1;
    }
}

static void handle_frames(struct client *cl, struct rte_mbuf **frames, unsigned n)
{
    struct conn *conn[LINK_BURST];
    for (unsigned i = 0; i < n; i++)
        rte_prefetch0(rte_pktmbuf_mtod(frames[i], void *));
    for (unsigned i = 0; i < n; i++) {
        conn[i] = input_conn(cl, frames[i]);
        if (conn[i]) {
            rte_prefetch0(conn[i]);
            rte_prefetch0(conn[i]->pending);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        if (conn[i] && !unlikely(crowd_is_deaf(cl, conn[i])))
            tcp_input(cl, conn[i], frames[i]);
        else if (conn[i])
            ;
        else if (rte_pktmbuf_mtod(frames[i], struct rte_ether_hdr *)->ether_type ==
                 RTE_BE16(RTE_ETHER_TYPE_ARP))
            link_arp(cl->link, frames[i]);
        else if (cl->attack)
            attack_input(cl->attack, frames[i]);
    }
    rte_pktmbuf_free_bulk(frames, n);
}

unsigned client_round(struct client *cl)
{
    struct rte_mbuf *frames[LINK_BURST];
    uint32_t before_ms = cl->now_ms;
    client_clock(cl);
    unsigned n = link_rx(cl->link, frames);
    if (n)
        handle_frames(cl, frames, n);
    if (cl->now_ms != before_ms)
        sweep_timers(cl);
    if (cl->link->backlog)
        link_flush(cl->link);
    cl->stats.rounds++;
    if (n == 0)
        cl->stats.empty_cycles += rte_rdtsc() - cl->now;
    return n;
}

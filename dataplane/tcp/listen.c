/* listen.c: passive open (RFC 9293 section 3.10.7.2): listeners, their half-open connections, and segments
 * that belong to no connection. Under flood the newest SYN is dropped and counted; SYN cookies (RFC 4987)
 * will be decided in passive_open, where the backlog is full. */
#include "tcp/congestion.h"
#include "tcp/conn.h"

static struct tcp_listener *listener_of(struct tcp_stack *s, uint16_t port)
{
    for (unsigned i = 0; i < s->listeners; i++)
        if (s->listener[i].port == port)
            return &s->listener[i];
    return NULL;
}

bool tcp_listening(const struct tcp_stack *s, uint16_t port)
{
    for (unsigned i = 0; i < s->listeners; i++)
        if (s->listener[i].port == port)
            return true;
    return false;
}

bool tcp_listen(struct tcp_stack *s, uint16_t port)
{
    if (s->listeners == TCP_LISTENERS || tcp_listening(s, port))
        return false;
    s->listener[s->listeners++] = (struct tcp_listener){.port = port};
    return true;
}

void tcp_listen_left(struct tcp_conn *c)
{
    if (!(c->flags & CONN_ACTIVE))
        c->stack->listener[c->listener].half_open--;
}

uint16_t tcp_segment_size(const struct tcp_conn *c, uint16_t offered)
{
    bool v4 = ip_is_v4(&c->tuple.remote);
    unsigned size = offered ? offered : v4 ? TCP_MSS_DEFAULT4 : TCP_MSS_DEFAULT6;
    unsigned path = net_path_mtu(c->path) - (v4 ? 20u : 40u) - TCP_HEADER;
    if (size < TCP_MSS_MIN)
        size = TCP_MSS_MIN;
    if (size > path)
        size = path;
    if (c->flags & CONN_TS)
        size -= TCP_TS_SPACE;
    return (uint16_t)(size < c->stack->frame_room ? size : c->stack->frame_room);
}

void tcp_learn_options(struct tcp_conn *c, const struct tcp_segment *syn, uint64_t now_us)
{
    c->irs = syn->seq;
    c->rcv_nxt = syn->seq + 1;
    if (syn->options & TCP_OPT_TS) {
        c->flags |= CONN_TS;
        c->ts_recent = syn->ts_val;
    }
    if (syn->options & TCP_OPT_SACK_OK)
        c->flags |= CONN_SACK;
    if (syn->options & TCP_OPT_WSCALE) {
        c->flags |= CONN_WSCALE;
        c->snd_wscale = syn->wscale;
        c->rcv_wscale = c->stack->rcv_wscale;
    }
    c->snd_wnd = c->snd_wnd_max = syn->window; /* never scaled in a SYN */
    c->snd_wl1 = syn->seq;
    c->peer_mss = syn->options & TCP_OPT_MSS ? syn->mss : 0;
    c->mss = tcp_segment_size(c, c->peer_mss);
    c->last_rx_ms = (uint32_t)(now_us / 1000);
    c->stack->cc->start(c);
}

static void passive_open(struct tcp_stack *s, struct tcp_listener *l, const struct tcp_tuple *t,
                         const struct tcp_segment *seg, const uint32_t *above, uint64_t now_us)
{
    if (s->conf.backlog && l->half_open >= s->conf.backlog) {
        count_one(s->counters, COUNTER_tcp_drop_backlog);
        return;
    }
    struct net_path *path = net_path_get(s->nif, &t->local, &t->remote, now_us);
    if (!path) {
        count_one(s->counters, COUNTER_tcp_drop_no_path);
        return;
    }
    struct tcp_conn *c = tcp_conn_new(s, t, now_us);
    if (!c) {
        count_one(s->counters, COUNTER_tcp_drop_conns);
        net_path_put(s->nif, path);
        return;
    }
    if (above && !seq_after(c->iss, *above)) {
        c->iss = *above + 1 + 65535;
        c->recover = c->iss;
    }
    c->path = path;
    c->snd_una = c->iss;
    c->snd_nxt = c->iss + 1;
    c->listener = (uint16_t)(l - s->listener);
    l->half_open++;
    tcp_set_state(c, TCP_STATE_SYN_RECEIVED);
    tcp_flow_add(c);
    tcp_learn_options(c, seg, now_us); /* data on the SYN are not taken: the peer sends them again */
    c->syn_us = now_us;
    tcp_send_syn(c, now_us);
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

void tcp_listen_input(struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *seg,
                      const uint32_t *above, uint64_t now_us)
{
    struct tcp_listener *l = listener_of(s, t->local_port);
    /* First, RST: nothing to reset. Second, ACK: for nothing that stands here. */
    if (!l || (seg->flags & (TCP_RST | TCP_ACK))) {
        if (!l)
            count_one(s->counters, COUNTER_tcp_drop_closed_port);
        tcp_answer_rst(s, t, seg, now_us);
        return;
    }
    /* Third, SYN; with FIN it is a scan. Fourth, anything else. */
    if ((seg->flags & (TCP_SYN | TCP_FIN)) != TCP_SYN) {
        count_one(s->counters, COUNTER_tcp_drop_flags);
        return;
    }
    passive_open(s, l, t, seg, above, now_us);
}

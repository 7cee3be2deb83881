/* listen.c: passive open (RFC 9293 section 3.10.7.2): listeners, their half-open connections, and segments
 * that belong to no connection. Where the backlog ends, SYN cookies begin (cookie.c); shed.c says what is
 * given up in which order. */
#include "net/filter.h"
#include "tcp/congestion.h"
#include "tcp/conn.h"
#include "tcp/cookie.h"
#include "tcp/ecn.h"
#include "tcp/time_wait.h"

static bool is_at(const struct tcp_listener *l, const struct ip_addr *local)
{
    for (unsigned i = 0; i < l->locals; i++)
        if (ip_equal(&l->local[i], local))
            return true;
    return l->locals == 0;
}

static struct tcp_listener *listener_of(struct tcp_stack *s, uint16_t port, const struct ip_addr *local)
{
    for (unsigned i = 0; i < s->listeners && port; i++)
        if (s->listener[i].port == port)
            return is_at(&s->listener[i], local) ? &s->listener[i] : NULL;
    return NULL;
}

bool tcp_listening(const struct tcp_stack *s, uint16_t port)
{
    for (unsigned i = 0; i < s->listeners && port; i++)
        if (s->listener[i].port == port)
            return true;
    return false;
}

bool tcp_listen_at(struct tcp_stack *s, uint16_t port, const struct ip_addr *local, unsigned n)
{
    unsigned at = 0;
    if (!port || n > TCP_LOCALS || tcp_listening(s, port))
        return false;
    while (at < s->listeners && (s->listener[at].port || s->listener[at].half_open))
        at++;
    if (at == TCP_LISTENERS)
        return false;
    s->listeners += at == s->listeners;
    s->listener[at] = (struct tcp_listener){.port = port, .locals = n};
    if (n)
        memcpy(s->listener[at].local, local, n * sizeof *local);
    return true;
}

bool tcp_listen(struct tcp_stack *s, uint16_t port)
{
    return tcp_listen_at(s, port, NULL, 0);
}

void tcp_listen_end(struct tcp_stack *s, uint16_t port)
{
    for (unsigned i = 0; i < s->listeners && port; i++)
        if (s->listener[i].port == port)
            s->listener[i].port = 0;
}

void tcp_listen_left(struct tcp_conn *c)
{
    if (!(c->flags & CONN_ACTIVE))
        c->stack->listener[c->listener].half_open--;
    tcp_age_remove(c, &c->stack->half_open);
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
    tcp_ecn_learn(c, syn);
    tcp_cc_start(c);
}

/* A connection in SYN_RECEIVED, as syn asks for it. Takes over the path. NULL: no connection left. */
static struct tcp_conn *half_open(struct tcp_stack *s, struct tcp_listener *l, const struct tcp_tuple *t,
                                  struct net_path *path, const struct tcp_segment *syn, uint64_t now_us)
{
    struct tcp_conn *c = tcp_conn_new(s, t, now_us);
    if (!c) {
        count_one(s->counters, COUNTER_tcp_drop_conns);
        net_path_put(s->nif, path);
        return NULL;
    }
    c->path = path;
    c->listener = (uint16_t)(l - s->listener);
    l->half_open++;
    tcp_age_add(c, &s->half_open);
    tcp_set_state(c, TCP_STATE_SYN_RECEIVED);
    tcp_flow_add(c);
    tcp_learn_options(c, syn, now_us); /* data on the SYN are not taken: the peer sends them again */
    c->syn_us = now_us;
    return c;
}

static void first_number(struct tcp_conn *c, uint32_t iss, uint64_t now_us)
{
    c->iss = c->recover = c->snd_una = iss;
    c->snd_nxt = iss + 1;
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
}

static struct filter_packet packet_of(const struct tcp_tuple *t)
{
    return (struct filter_packet){FILTER_TCP, t->local_port, t->remote, t->local};
}

bool tcp_denied(const struct tcp_conn *c)
{
    struct filter_packet p = packet_of(&c->tuple);
    return !(c->flags & CONN_ACTIVE) && !net_filter_permits(c->stack->nif, &p);
}

/* The one place where a segment of no connection, a cookie's ACK too, is refused before anything is made for
 * it or sent. */
static bool admit(struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *seg,
                  uint64_t now_us)
{
    struct filter_packet p = packet_of(t);
    enum filter_action action = net_filter(s->nif, &p);
    if (action == FILTER_REJECT)
        tcp_answer_rst(s, t, seg, now_us);
    return action == FILTER_PERMIT;
}

/* The same for a SYN that would open a connection, by its source's rate. What a cookie brings back has passed
 * here as a SYN. */
static bool admit_syn(struct tcp_stack *s, const struct tcp_tuple *t, uint64_t now_us)
{
    if (tcp_rate_take(&s->rate, &t->remote, now_us))
        return true;
    count_one(s->counters, COUNTER_connection_rate_drops);
    return false;
}

static void answer_with_cookie(struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *syn,
                               uint64_t now_us)
{
    struct net_path *path = net_path_get(s->nif, &t->local, &t->remote, now_us);
    if (!path) {
        count_one(s->counters, COUNTER_tcp_drop_no_path);
        return;
    }
    tcp_cookie_answer(s, path, t, syn, now_us);
    net_path_put(s->nif, path);
}

/* above: NULL, or a number our first one must exceed (reuse of a TIME_WAIT) */
static void passive_open(struct tcp_stack *s, struct tcp_listener *l, const struct tcp_tuple *t,
                         const struct tcp_segment *seg, const uint32_t *above, uint64_t now_us)
{
    bool full = s->conf.backlog && l->half_open >= s->conf.backlog;
    if (s->conf.syn_cookies && (full || tcp_pool_low(s))) {
        if (above) /* the cookie is no higher than *above: timestamps and chance must do */
            tcp_time_wait_forget(s, t);
        answer_with_cookie(s, t, seg, now_us);
        return;
    }
    if (full) {
        count_one(s->counters, COUNTER_tcp_drop_backlog);
        return;
    }
    struct net_path *path = net_path_get(s->nif, &t->local, &t->remote, now_us);
    if (!path) {
        count_one(s->counters, COUNTER_tcp_drop_no_path);
        return;
    }
    struct tcp_conn *c = half_open(s, l, t, path, seg, now_us);
    if (!c)
        return;
    if (above)
        tcp_time_wait_forget(s, t);
    first_number(c, above && !seq_after(c->iss, *above) ? *above + 1 + 65535 : c->iss, now_us);
    tcp_send_syn(c, now_us);
}

/* An ACK out of nowhere: of a cookie of ours? Sets *good if it is; then NULL means that something is short
 * and the peer should try again. */
static struct tcp_conn *open_by_cookie(struct tcp_stack *s, struct tcp_listener *l, const struct tcp_tuple *t,
                                       const struct tcp_segment *seg, bool *good, uint64_t now_us)
{
    struct tcp_segment syn;
    if ((seg->flags & (TCP_SYN | TCP_RST | TCP_ACK)) != TCP_ACK || !tcp_cookies_out(s, now_us))
        return NULL;
    if (!tcp_cookie_check(s, t, seg, &syn, now_us)) {
        count_one(s->counters, COUNTER_tcp_cookies_refused);
        return NULL;
    }
    *good = true;
    tcp_shed(s, now_us); /* if that fails, half_open counts it */
    struct net_path *path = net_path_get(s->nif, &t->local, &t->remote, now_us);
    if (!path) {
        count_one(s->counters, COUNTER_tcp_drop_no_path);
        return NULL;
    }
    struct tcp_conn *c = half_open(s, l, t, path, &syn, now_us);
    if (!c)
        return NULL;
    count_one(s->counters, COUNTER_tcp_cookies_accepted);
    c->flags |= CONN_COOKIE;
    first_number(c, seg->ack - 1, now_us);
    uint32_t window = s->conf.rx_window;
    c->rcv_adv = c->rcv_nxt + (window < UINT16_MAX ? window : UINT16_MAX); /* as the SYN-ACK said */
    c->last_ack_sent = c->rcv_nxt;
    c->retries = 1; /* the handshake tells no round-trip time */
    return c;
}

struct tcp_conn *tcp_listen_input(struct tcp_stack *s, const struct tcp_tuple *t,
                                  const struct tcp_segment *seg, uint64_t now_us)
{
    uint32_t last;
    enum tcp_time_wait_verdict was = tcp_time_wait_input(s, t, seg, &last, now_us);
    if (was == TIME_WAIT_TAKEN)
        return NULL;
    if (!admit(s, t, seg, now_us))
        return NULL;
    struct tcp_listener *l = listener_of(s, t->local_port, &t->local);
    /* First, RST: nothing to reset. Second, ACK: for nothing that stands here. */
    if (!l || (seg->flags & (TCP_RST | TCP_ACK))) {
        bool good = false;
        struct tcp_conn *c = l ? open_by_cookie(s, l, t, seg, &good, now_us) : NULL;
        if (!l)
            count_one(s->counters, COUNTER_tcp_drop_closed_port);
        if (!good)
            tcp_answer_rst(s, t, seg, now_us);
        return c;
    }
    /* Third, SYN; with FIN it is a scan. Fourth, anything else. */
    if ((seg->flags & (TCP_SYN | TCP_FIN)) != TCP_SYN) {
        count_one(s->counters, COUNTER_tcp_drop_flags);
        return NULL;
    }
    if (admit_syn(s, t, now_us))
        passive_open(s, l, t, seg, was == TIME_WAIT_REUSED ? &last : NULL, now_us);
    return NULL;
}

void tcp_set_syn_cookies(struct tcp_stack *s, bool on)
{
    s->conf.syn_cookies = on;
}

void tcp_set_connection_rate(struct tcp_stack *s, unsigned per_second, unsigned burst, unsigned bits4,
                             unsigned bits6)
{
    tcp_rate_set(&s->rate, per_second, burst, bits4, bits6);
}

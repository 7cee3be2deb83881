/* user.c: what the user of a connection calls (RFC 9293 section 3.9.1): open, close, abort, status.
 * Skipped: a reset for what is unread at a close, or arrives later (SHLD-3): it would take the last reply,
 * that of QUIT, from a client that has sent more; such bytes are acknowledged, dropped and counted. */
#include "tcp/congestion.h"
#include "tcp/conn.h"
#include "tcp/time_wait.h"

void tcp_set_user(struct tcp_conn *c, void *user)
{
    c->user = user;
}

void *tcp_user(const struct tcp_conn *c)
{
    return c->flags & CONN_AGED ? NULL : c->user;
}

bool tcp_is_active(const struct tcp_conn *c)
{
    return c->flags & CONN_ACTIVE;
}

void tcp_endpoints(const struct tcp_conn *c, struct endpoint *local, struct endpoint *remote)
{
    *local = (struct endpoint){c->tuple.local, c->tuple.local_port};
    *remote = (struct endpoint){c->tuple.remote, c->tuple.remote_port};
}

static bool taken(struct tcp_stack *s, const struct tcp_tuple *t)
{
    return tcp_flow_find(s, t, tcp_flow_hash(&s->secret, t)) || tcp_time_wait_holds(s, t);
}

static bool owns(const struct tcp_stack *s, const struct tcp_tuple *t)
{
    const struct endpoint local = {t->local, t->local_port}, remote = {t->remote, t->remote_port};
    return !s->conf.owns || s->conf.owns(s->conf.owns_ctx, &local, &remote);
}

/* A free source port. The search begins where a keyed hash of the rest of the tuple says, one place further
 * each time (RFC 6056 section 3.3.3). */
static bool choose_port(struct tcp_stack *s, struct tcp_tuple *t)
{
    enum { FIRST = 49152, PORTS = 16384 };
    uint64_t offset = tcp_siphash(&s->secret, t, sizeof *t);
    for (unsigned tries = 0; tries < PORTS; tries++) {
        t->local_port = (uint16_t)(FIRST + (offset + s->next_port++) % PORTS);
        if (!tcp_listening(s, t->local_port) && owns(s, t) && !taken(s, t))
            return true;
    }
    return false;
}

struct tcp_conn *tcp_connect(struct tcp_stack *s, const struct endpoint *local, const struct endpoint *remote,
                             uint64_t now_us)
{
    struct tcp_tuple t = {local->ip, remote->ip, local->port, remote->port};
    bool possible = t.local_port ? !taken(s, &t) : choose_port(s, &t);
    struct net_path *path = !possible ? NULL : net_path_get(s->nif, &t.local, &t.remote, now_us);
    if (!path)
        return NULL;
    struct tcp_conn *c = tcp_conn_new(s, &t, now_us);
    if (!c) {
        net_path_put(s->nif, path);
        return NULL;
    }
    conn_count(c, COUNTER_tcp_active_opens);
    c->path = path;
    c->flags |= CONN_ACTIVE | CONN_ANNOUNCED;
    c->snd_una = c->iss;
    c->snd_nxt = c->iss + 1;
    c->syn_us = now_us;
    tcp_set_state(c, TCP_STATE_SYN_SENT);
    tcp_flow_add(c);
    tcp_send_syn(c, now_us);
    c->rexmit_at = now_us + tcp_rto(c);
    tcp_arm(c, c->rexmit_at);
    return c;
}

void tcp_close(struct tcp_conn *c, uint64_t now_us)
{
    if (c->flags & CONN_ORPHAN)
        return;
    c->flags |= CONN_ORPHAN;
    c->events = 0;
    if (c->state == TCP_STATE_CLOSED) {
        if (c->stack->reap != conn_index(c)) /* else tcp_next_event frees it */
            tcp_conn_release(c);
        return;
    }
    if (!conn_synchronized(c)) {
        if (c->state == TCP_STATE_SYN_RECEIVED)
            tcp_send_rst(c, now_us);
        tcp_conn_end(c);
        return;
    }
    tcp_receive_drop(c);
    tcp_set_state(c, c->state == TCP_STATE_CLOSE_WAIT ? TCP_STATE_LAST_ACK : TCP_STATE_FIN_WAIT_1);
    c->state_at = now_us + TCP_ORPHAN_LIFE;
    tcp_arm(c, c->state_at);
    tcp_orphan(c, now_us);
    tcp_queue_fin(c);
    tcp_output(c, now_us);
}

void tcp_abort(struct tcp_conn *c, uint64_t now_us)
{
    if (c->state == TCP_STATE_CLOSED) {
        tcp_close(c, now_us);
        return;
    }
    if (c->state != TCP_STATE_SYN_SENT)
        tcp_send_rst(c, now_us);
    c->flags |= CONN_ORPHAN;
    c->events = 0;
    tcp_conn_end(c);
}

/* 64-bit count of the bytes between the first number and here; wraps counts how often it passed zero. */
static uint64_t distance(uint32_t first, uint32_t here, uint32_t wraps)
{
    return ((uint64_t)wraps << 32 | here) - first;
}

void tcp_info(const struct tcp_conn *c, struct tcp_info *out)
{
    uint64_t in = distance(c->irs, c->rcv_nxt, c->rx_wraps), sent = distance(c->iss, c->snd_una, c->tx_wraps);
    uint64_t extra = 1u + !!(c->flags & CONN_RX_FIN); /* SYN and FIN are no bytes */
    *out = (struct tcp_info){
        .state = tcp_state_name(c->state),
        .srtt_us = c->srtt_us,
        .rttvar_us = c->rttvar_us,
        .rto_us = (uint32_t)tcp_rto(c),
        .mss = c->mss,
        .cwnd = c->cwnd,
        .ssthresh = c->ssthresh,
        .snd_wnd = c->snd_wnd,
        .rcv_wnd = c->rcv_adv - c->rcv_nxt,
        .unacked = (uint32_t)tcp_tx_unacked(c),
        .rx_unread = c->rx_unread,
        .bytes_in = in > extra ? in - extra : 0,
        .bytes_out = sent > 1 ? sent - 1 : 0,
        .retransmits = c->retransmits,
        .timestamps = c->flags & CONN_TS,
        .sack = c->flags & CONN_SACK,
        .ecn = c->flags & CONN_ECN,
        .wscale = c->flags & CONN_WSCALE,
        .active = c->flags & CONN_ACTIVE,
        .orphan = c->flags & CONN_ORPHAN,
        .persist = c->flags & CONN_PERSIST,
        .recovery = c->flags & CONN_RECOVERY,
        .loss = c->flags & CONN_LOSS,
        .snd_wscale = c->snd_wscale,
        .rcv_wscale = c->rcv_wscale,
        .backoff = c->backoff,
        .retries = c->retries,
        .probes = c->probes,
        .peer_mss = c->peer_mss,
        .tx_frames = c->tx_frames,
        .rx_frames = c->rx_frames,
        .out_of_order = c->ooo_frames,
        .congestion = tcp_cc_name(c),
        .last_rx_ms = c->last_rx_ms,
        .rexmit_at = c->rexmit_at,
        .delack_at = c->flags & CONN_DELACK ? c->delack_at : 0,
        .state_at = c->state_at,
    };
}

static_assert((unsigned)TCP_STATE_NUMBERS == (unsigned)TCP_STATES, "tcp.h and conn.h agree");

static_assert((int)TCP_NUMBER_TIME_WAIT == (int)TCP_STATE_TIME_WAIT, "tables are by state");

const char *tcp_state_label(unsigned number)
{
    return tcp_state_name((enum tcp_state)number);
}

unsigned tcp_state_number(const struct tcp_conn *c)
{
    return c->state;
}

uint32_t tcp_walk(struct tcp_stack *s, uint32_t from, unsigned steps,
                  void (*fn)(struct tcp_conn *c, void *arg), void *arg)
{
    uint32_t end = from < s->fresh && s->fresh - from > steps ? from + steps : s->fresh;
    for (uint32_t i = from; i < end; i++)
        if (s->conns[i].state != TCP_STATE_CLOSED)
            fn(&s->conns[i], arg);
    return end < s->fresh ? end : 0;
}

void tcp_each(struct tcp_stack *s, void (*fn)(struct tcp_conn *c, void *arg), void *arg)
{
    for (uint32_t i = 0; i < s->fresh; i++)
        if (s->conns[i].state != TCP_STATE_CLOSED)
            fn(&s->conns[i], arg);
}

unsigned tcp_conn_count(const struct tcp_stack *s)
{
    return s->used;
}

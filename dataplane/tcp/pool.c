/* pool.c: the stack and its pool of connections: creation, end, and the lists through which the worker hears
 * of them. Nothing is allocated after tcp_stack_new; memory of connections that were never needed is never
 * touched. */
#include <stdlib.h>
#include <rte_mempool.h>

#include "tcp/conn.h"
#include "tcp/time_wait.h"

static uint8_t scale_for(uint32_t window)
{
    uint8_t scale = 0;
    while (scale < TCP_WSCALE_MAX && window >> scale > UINT16_MAX)
        scale++;
    return scale;
}

static void size_limits(struct tcp_stack *s)
{
    uint32_t room = rte_pktmbuf_data_room_size(s->pool) - TCP_FRAME_START;
    uint32_t frames = 2 * s->conf.tx_limit / TCP_MSS_DEFAULT4 + 32;
    s->frame_room = (uint16_t)room;
    s->buffer_gap = (uint16_t)(sizeof(struct rte_mbuf) + rte_pktmbuf_priv_size(s->pool));
    s->frames_max = frames > 8192 ? 8192 : (uint16_t)frames;
    s->held_max = s->pool->size / 2; /* the last quarter stays for ACKs and the receive ring */
    s->queued_max = s->pool->size / 4;
    s->rcv_wscale = scale_for(s->conf.rx_window);
}

static void default_sizes(struct tcp_config *conf)
{
    if (conf->max_conns == 0)
        conf->max_conns = 1;
    if (conf->time_wait_us == 0)
        conf->time_wait_us = TCP_TIME_WAIT_DEFAULT;
    if (conf->time_waits == 0)
        conf->time_waits = TCP_TIME_WAITS_DEFAULT;
    if (conf->out_of_order == 0)
        conf->out_of_order = TCP_OUT_OF_ORDER;
    if (conf->orphans == 0)
        conf->orphans = conf->max_conns / 4 + 1;
}

struct tcp_stack *tcp_stack_new(const struct tcp_config *conf, struct net_if *nif, struct rte_mempool *pool,
                                struct counters *counters)
{
    struct tcp_stack *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->conf = *conf;
    default_sizes(&s->conf);
    if (s->conf.tx_limit_max < s->conf.tx_limit)
        s->conf.tx_limit_max = s->conf.tx_limit;
    s->nif = nif;
    s->pool = pool;
    s->counters = counters;
    s->secret = tcp_secret_from(conf->seed);
    s->free_list = s->ready_head = s->ready_tail = s->round_list = s->starved_list = s->row_first = s->reap = NO_CONN;
    s->timers_next = 0;
    s->starved_at = UINT64_MAX;
    s->rst_tokens = TCP_RST_BURST;
    s->half_open = s->orphans = (struct tcp_ages){NO_CONN, NO_CONN, 0};
    s->cookie_secret =
        (struct tcp_secret){tcp_siphash(&s->secret, "cookie 0", 8), tcp_siphash(&s->secret, "cookie 1", 8)};
    struct tcp_secret rates = {tcp_siphash(&s->secret, "rate 0", 6), tcp_siphash(&s->secret, "rate 1", 6)};
    wheel_init(&s->wheel, 0);
    size_limits(s);
    s->conns_memory = calloc((size_t)s->conf.max_conns + 1, sizeof(struct tcp_conn));
    if (!s->conns_memory || !tcp_rate_new(&s->rate, rates) || !tcp_flow_new(s) || !tcp_time_wait_new(s)) {
        tcp_stack_free(s);
        return NULL;
    }
    s->conns = (struct tcp_conn *)RTE_ALIGN_CEIL((uintptr_t)s->conns_memory, RTE_CACHE_LINE_SIZE);
    return s;
}

static void give_spares(struct tcp_stack *s)
{
    rte_mempool_put_bulk(s->pool, (void **)s->spare, s->spares);
    s->spares = 0;
}

void tcp_stack_free(struct tcp_stack *s)
{
    if (!s)
        return;
    give_spares(s);
    for (uint32_t i = 0; i < s->fresh; i++) {
        struct tcp_conn *c = &s->conns[i];
        if (c->state != TCP_STATE_CLOSED)
            net_path_put(s->nif, c->path);
        tcp_queue_drop(c);
        tcp_receive_drop(c);
    }
    tcp_time_wait_free(s);
    tcp_rate_free(&s->rate);
    free(s->flows);
    free(s->conns_memory);
    free(s);
}

struct tcp_conn *tcp_conn_new(struct tcp_stack *s, const struct tcp_tuple *t, uint64_t now_us)
{
    uint32_t i = s->free_list;
    if (i != NO_CONN)
        s->free_list = s->conns[i].next_ready;
    else if (s->fresh < s->conf.max_conns)
        i = s->fresh++;
    else
        return NULL;
    struct tcp_conn *c = &s->conns[i];
    memset(c, 0, sizeof *c);
    c->stack = s;
    c->tuple = *t;
    c->armed_at = UINT64_MAX;
    c->iss = tcp_initial_sequence(&s->secret, t, now_us);
    c->ts_offset = tcp_timestamp_offset(&s->secret, t);
    c->last_rx_ms = (uint32_t)(now_us / 1000);
    c->challenge_ms = c->oow_ms = c->last_rx_ms - TCP_CHALLENGE_GAP_MS;
    c->recover = c->iss;
    s->used++;
    return c;
}

void tcp_conn_release(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    tcp_receive_drop(c);
    c->flags |= CONN_DEAD;
    if (conn_listed(c))
        return;
    c->next_ready = s->free_list;
    s->free_list = conn_index(c);
    s->used--;
}

void tcp_conn_end(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    if (c->state == TCP_STATE_SYN_RECEIVED) {
        tcp_listen_left(c);
    } else if (conn_synchronized(c)) {
        conn_count(c, COUNTER_tcp_closes);
        if (c->flags & CONN_COOKIE)
            tcp_time_wait_guard(c);
    }
    tcp_age_remove(c, &s->orphans);
    tcp_flow_remove(c);
    wheel_remove(&s->wheel, &c->timer);
    c->armed_at = UINT64_MAX;
    tcp_queue_drop(c);
    net_path_put(s->nif, c->path);
    c->path = NULL;
    tcp_set_state(c, TCP_STATE_CLOSED);
    if ((c->flags & CONN_ANNOUNCED) && !(c->flags & CONN_ORPHAN))
        tcp_raise(c, TCP_CLOSED);
    else
        tcp_conn_release(c);
}

/* -- lists */

void tcp_raise(struct tcp_conn *c, unsigned events)
{
    struct tcp_stack *s = c->stack;
    if (c->flags & CONN_ORPHAN)
        return;
    c->events |= (uint8_t)events;
    if (c->flags & CONN_IN_READY)
        return;
    c->flags |= CONN_IN_READY;
    c->next_ready = NO_CONN;
    if (s->ready_head == NO_CONN)
        s->ready_head = conn_index(c);
    else
        s->conns[s->ready_tail].next_ready = conn_index(c);
    s->ready_tail = conn_index(c);
}

struct tcp_conn *tcp_next_event(struct tcp_stack *s, unsigned *events)
{
    if (s->reap != NO_CONN) {
        struct tcp_conn *gone = &s->conns[s->reap];
        s->reap = NO_CONN;
        tcp_conn_release(gone);
    }
    while (s->ready_head != NO_CONN) {
        struct tcp_conn *c = &s->conns[s->ready_head];
        s->ready_head = c->next_ready;
        c->flags &= ~(uint32_t)CONN_IN_READY;
        if (c->flags & CONN_DEAD) {
            tcp_conn_release(c);
            continue;
        }
        *events = c->events;
        c->events = 0;
        if (*events == 0 || (c->flags & CONN_ORPHAN))
            continue;
        if (*events & TCP_OPENED)
            c->flags |= CONN_ANNOUNCED;
        if (*events & TCP_CLOSED)
            s->reap = conn_index(c);
        return c;
    }
    return NULL;
}

/* Something was received that no reply has acknowledged yet, or it has ended. */
static void round_end_of(struct tcp_conn *c, uint64_t now_us)
{
    if (c->flags & CONN_DEAD) {
        tcp_conn_release(c);
    } else if (c->state == TCP_STATE_CLOSED) {
        return;
    } else if ((c->flags & CONN_ACK_NOW) || c->unacked_in >= 2) {
        tcp_send_ack(c, now_us);
    } else if (c->unacked_in && !(c->flags & CONN_DELACK)) {
        c->flags |= CONN_DELACK;
        c->delack_at = now_us + TCP_DELAYED_ACK;
        tcp_arm(c, c->delack_at);
    }
}

void tcp_round_end(struct tcp_stack *s, uint64_t now_us)
{
    while (s->round_list != NO_CONN) {
        struct tcp_conn *c = &s->conns[s->round_list];
        s->round_list = c->next_round;
        c->flags &= ~(uint32_t)CONN_IN_ROUND;
        if (c->unacked_in || unlikely(c->flags & (CONN_DEAD | CONN_ACK_NOW)))
            round_end_of(c, now_us);
    }
    if (s->spares)
        give_spares(s);
}

/* Behind those who have waited longer. */
void tcp_take_turn(struct tcp_conn *c)
{
    struct tcp_stack *s = c->stack;
    if (c->flags & CONN_IN_STARVED)
        return;
    c->flags |= CONN_IN_STARVED;
    c->next_starved = NO_CONN;
    if (s->starved_list == NO_CONN)
        s->starved_list = conn_index(c);
    else
        s->conns[s->starved_last].next_starved = conn_index(c);
    s->starved_last = conn_index(c);
    if (s->starved_at == UINT64_MAX)
        s->starved_at = 0; /* the next tcp_timers dates it */
}

/* The packet pool was empty: look again soon. */
void tcp_starve(struct tcp_conn *c)
{
    conn_count(c, COUNTER_mbuf_exhausted);
    tcp_take_turn(c);
}

/* A slice of those whom there are frames for; a few in any case, as some of them have their frame. */
void tcp_starved_retry(struct tcp_stack *s, uint64_t now_us)
{
    enum { A_FEW = 64, SLICE = 256 };
    uint32_t most = s->queued_max + s->held_max, used = s->queued + s->held;
    uint32_t left = most > used + A_FEW ? most - used : A_FEW, last = s->starved_last;
    uint32_t turns = left < SLICE ? left : SLICE;
    bool more = left > SLICE;
    s->starved_at = UINT64_MAX;
    tcp_shed_frames(s, now_us);
    for (bool ended = s->starved_list == NO_CONN; !ended && turns; turns--) {
        struct tcp_conn *c = &s->conns[s->starved_list];
        ended = s->starved_list == last; /* who cannot go on stands behind this one again */
        s->starved_list = c->next_starved;
        c->flags &= ~(uint32_t)CONN_IN_STARVED;
        if (c->flags & CONN_DEAD) {
            tcp_conn_release(c);
            continue;
        }
        if (c->state == TCP_STATE_CLOSED)
            continue;
        if (c->flags & CONN_FIN_WANTED)
            tcp_queue_fin(c);
        tcp_output(c, now_us);
        tcp_queue_room(c);
    }
    if (s->starved_list != NO_CONN)
        s->starved_at = more ? now_us + 1 : 0;
}

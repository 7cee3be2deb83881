/* timers.c: everything that happens because time has passed: retransmission (RFC 6298 with 5.7: three
 * seconds after a handshake that was sent again and told no round trip), window probes (RFC
 * 9293 section 3.8.6.1), delayed ACK (RFC 1122 4.2.3.2), keepalive (4.2.3.6), user
 * timeout (RFC 9293 section 3.9.1), FIN_WAIT_2 and orphans. R2 (section 3.8.3) is a number of
 * retransmissions; R1, the advice to look for another way, is skipped: the neighbour table finds out by
 * itself. The user timeout option (RFC 5482) is skipped: a peer has no say in how long our memory is held.
 * The timeout is looked at when a retransmission is due, so it is never shorter than one RTO.
 *
 * Timers are lazy: setting a deadline is a store, and the one wheel node of a connection stands at or before
 * the earliest of them. When it fires, what is due is done, and the node moves on to the next deadline. */
#include "tcp/conn.h"
#include "tcp/time_wait.h"

uint64_t tcp_rto_otherwise(const struct tcp_conn *c)
{
    uint64_t rto = TCP_RTO_FIRST + (uint64_t)c->rttvar_us; /* without a sample: what handshake_rtt adds */
    if (c->srtt_us) {
        rto = (uint64_t)c->srtt_us + (4 * c->rttvar_us > 1000 ? 4 * c->rttvar_us : 1000);
        rto = rto < TCP_RTO_MIN ? TCP_RTO_MIN : rto;
    }
    if (unlikely(c->flags & (CONN_LOSS | CONN_PERSIST | CONN_BACKED_OFF)) || !conn_synchronized(c))
        rto <<= c->backoff < 16 ? c->backoff : 16;
    return rto > TCP_RTO_MAX ? TCP_RTO_MAX : rto;
}

/* The first measurement of all, or since the timer was backed off. */
void tcp_rtt_sample_first(struct tcp_conn *c, uint32_t rtt_us)
{
    if (c->flags & CONN_BACKED_OFF) {
        c->flags &= ~(uint32_t)CONN_BACKED_OFF;
        c->backoff = 0;
    }
    if (c->srtt_us) {
        tcp_rtt_sample(c, rtt_us);
        return;
    }
    c->srtt_us = rtt_us;
    c->rttvar_us = rtt_us / 2;
}

void tcp_arm_slow(struct tcp_conn *c, uint64_t at_us)
{
    struct tcp_stack *s = c->stack;
    c->armed_at = at_us;
    wheel_add(&s->wheel, &c->timer, at_us);
    if (at_us < s->timers_next)
        s->timers_next = at_us;
}

static bool keepalive_wanted(const struct tcp_conn *c)
{
    return c->stack->conf.keepalive_us &&
           (c->state == TCP_STATE_ESTABLISHED || c->state == TCP_STATE_CLOSE_WAIT);
}

static bool keepalive_applies(const struct tcp_conn *c)
{
    return keepalive_wanted(c) && c->snd_nxt == c->snd_una && !(c->flags & CONN_PERSIST);
}

/* The silence before the next probe, or the verdict after the last one. */
static uint64_t keepalive_patience(const struct tcp_conn *c)
{
    uint64_t idle = c->stack->conf.keepalive_us;
    return idle + c->probes * (idle / TCP_KEEPALIVE_PROBES);
}

static uint64_t keepalive_due(const struct tcp_conn *c, uint64_t now_us)
{
    uint64_t after = keepalive_patience(c);
    uint64_t silent = (uint64_t)((uint32_t)(now_us / 1000) - c->last_rx_ms) * 1000;
    return silent >= after ? now_us : now_us + after - silent;
}

static uint64_t next_deadline(const struct tcp_conn *c, uint64_t now_us)
{
    uint64_t at = UINT64_MAX;
    if (c->state_at)
        at = c->state_at;
    if ((c->flags & CONN_DELACK) && c->delack_at < at)
        at = c->delack_at;
    if (c->rexmit_at && c->rexmit_at < at)
        at = c->rexmit_at;
    uint64_t tail = tcp_tail_due(c), reorder = tcp_reorder_due(c, now_us);
    at = tail < at ? tail : at;
    at = reorder < at ? reorder : at;
    if ((c->flags & CONN_PMTU) && tcp_pmtu_due(c, now_us) < at)
        at = tcp_pmtu_due(c, now_us);
    if (keepalive_applies(c)) {
        uint64_t due = keepalive_due(c, now_us);
        at = due < at ? due : at;
    } else if (keepalive_wanted(c)) { /* the last ACK will not arm it */
        uint64_t soon = now_us + c->stack->conf.keepalive_us;
        at = soon < at ? soon : at;
    }
    return at;
}

/* The peer does not answer: the connection ends; false for the callers below. */
static bool give_up(struct tcp_conn *c, uint64_t now_us)
{
    conn_count(c, COUNTER_tcp_timeouts);
    if (conn_synchronized(c))
        tcp_send_rst(c, now_us);
    tcp_conn_end(c);
    return false;
}

static bool handshake_timeout(struct tcp_conn *c, uint64_t now_us)
{
    if (c->retries++ >= (c->state == TCP_STATE_SYN_SENT ? TCP_SYN_RETRIES : TCP_SYN_ACK_RETRIES))
        return give_up(c, now_us);
    c->backoff++;
    conn_count(c, COUNTER_tcp_retransmits);
    tcp_send_syn(c, now_us);
    return true;
}

static bool persist_timeout(struct tcp_conn *c, uint64_t now_us)
{
    if (c->retries++ >= TCP_DATA_RETRIES) /* ACKs set it back: a closed window may stay closed for ever */
        return give_up(c, now_us);
    if (c->backoff < UINT8_MAX)
        c->backoff++;
    const struct tcp_frame *f = c->tx_send ? frame_of(c->tx_send) : NULL;
    if (!f) {
        c->flags &= ~(uint32_t)CONN_PERSIST;
        c->rexmit_at = 0;
    } else if (c->snd_wnd && c->snd_wnd < f->len && tcp_queue_split(c, (uint16_t)c->snd_wnd)) {
        tcp_output(c, now_us);
    } else if (c->snd_wnd >= frame_window(f)) {
        tcp_output(c, now_us); /* the pool was empty when the window opened */
    } else {
        tcp_send_probe(c, now_us);
    }
    return true;
}

static bool data_timeout(struct tcp_conn *c, uint64_t now_us)
{
    if (c->snd_nxt == c->snd_una) {
        c->rexmit_at = 0;
        return true;
    }
    if (c->retries++ >= TCP_DATA_RETRIES)
        return give_up(c, now_us);
    if (c->backoff < UINT8_MAX)
        c->backoff++;
    conn_count(c, COUNTER_tcp_rto);
    tcp_pmtu_timeout(c, now_us);
    tcp_recovery_timeout(c, now_us);
    return true;
}

/* When the peer last took something. Once nothing moves, the time at which the oldest byte was sent (or,
 * against a closed window, at which it could not be) is kept for as long as the queue stands there; the
 * number kept tells the two apart. */
static uint64_t stuck_since(struct tcp_conn *c, uint64_t now_us)
{
    if (!conn_synchronized(c))
        return c->syn_us;
    uint32_t at = c->flags & CONN_PERSIST ? c->snd_una - 1 : c->snd_una;
    uint32_t now_ms = (uint32_t)(now_us / 1000);
    if (c->stuck_ms == 0 || c->stuck_una != at) {
        uint64_t since =
            c->flags & CONN_PERSIST || !c->tx_head ? now_us - tcp_rto(c) : frame_of(c->tx_head)->sent_us;
        c->stuck_ms = (uint32_t)(since / 1000) | 1; /* not 0 */
        c->stuck_una = at;
    }
    return now_us - (uint64_t)(now_ms - c->stuck_ms) * 1000;
}

/* The user timeout (RFC 9293 section 3.9.1, as TCP_USER_TIMEOUT): when patience ends, UINT64_MAX if never. */
static uint64_t user_deadline(struct tcp_conn *c, uint64_t now_us)
{
    uint64_t bound = c->stack->conf.user_timeout_us;
    bool waits = !conn_synchronized(c) || (c->flags & CONN_PERSIST) || c->snd_nxt != c->snd_una;
    return bound && waits ? stuck_since(c, now_us) + bound : UINT64_MAX;
}

/* What would be sent again must wait, as the first sending of others does: no timeout counts, for as long as one could be.
 * If the turn has not come by then, the port is the reason for the silence: each counts, and patience ends as ever. */
static bool timeout_waits(struct tcp_conn *c, uint64_t now_us)
{
    if (likely(!c->stack->port_full) || !conn_synchronized(c) || (c->flags & CONN_PERSIST) ||
        (c->late_timer && (uint32_t)(now_us / 1000) - c->late_ms > TCP_RTO_MAX / 1000))
        return false;
    tcp_timer_waits(c, now_us);
    return true;
}

void tcp_put_off(struct tcp_conn *c, uint64_t full_us, uint64_t now_us)
{
    if (!c->rexmit_at || !conn_synchronized(c) || (c->flags & CONN_PERSIST) || !frame_in_flight(c, c->tx_head) ||
        c->put_off_at == c->snd_una || frame_of(c->tx_head)->sent_us + tcp_tail_timeout(c) < full_us)
        return;
    uint64_t over = user_deadline(c, now_us), at = now_us + tcp_rto(c);
    c->put_off_at = c->snd_una;
    c->rexmit_at = at < over ? at : over;
}

static bool retransmission_timeout(struct tcp_conn *c, uint64_t now_us)
{
    uint64_t was = c->rexmit_at, over = user_deadline(c, now_us);
    if (over <= now_us) {
        conn_count(c, COUNTER_tcp_user_timeouts);
        return give_up(c, now_us);
    }
    if (timeout_waits(c, now_us))
        return true;
    if (c->flags & CONN_ORPHAN)
        tcp_orphan_timeout(c);
    bool alive = !conn_synchronized(c)     ? handshake_timeout(c, now_us)
                 : c->flags & CONN_PERSIST ? persist_timeout(c, now_us)
                                           : data_timeout(c, now_us);
    if (alive && c->rexmit_at == was)
        c->rexmit_at = now_us + tcp_rto(c);
    if (alive && c->rexmit_at > over)
        c->rexmit_at = over;
    return alive;
}

static bool keepalive(struct tcp_conn *c, uint64_t now_us)
{
    uint64_t silent = (uint64_t)((uint32_t)(now_us / 1000) - c->last_rx_ms) * 1000;
    if (silent < c->stack->conf.keepalive_us)
        c->probes = 0;
    if (keepalive_due(c, now_us) > now_us)
        return true;
    uint64_t bound =
        c->stack->conf.user_timeout_us; /* it overrides the number of probes (RFC 5482 section 4.1) */
    if (c->probes >= TCP_KEEPALIVE_PROBES || (bound && c->probes && silent >= bound))
        return give_up(c, now_us);
    if (silent > keepalive_patience(c)) /* switched on, or shortened: a peer has time to answer each probe */
        c->last_rx_ms = (uint32_t)((now_us - keepalive_patience(c)) / 1000);
    c->probes++;
    tcp_send_probe(c, now_us);
    return true;
}

void tcp_timer_conn(struct tcp_conn *c, uint64_t now_us)
{
    if (c->state_at && c->state_at <= now_us) {
        give_up(c, now_us);
        return;
    }
    if ((c->flags & CONN_DELACK) && c->delack_at <= now_us)
        tcp_send_ack(c, now_us);
    if (tcp_reorder_due(c, now_us) <= now_us)
        tcp_rack_timeout(c, now_us);
    if (tcp_tail_due(c) <= now_us)
        tcp_tail_probe(c, now_us);
    if (c->rexmit_at && c->rexmit_at <= now_us && !retransmission_timeout(c, now_us))
        return;
    if (keepalive_applies(c) && !keepalive(c, now_us))
        return;
    if (c->flags & CONN_PMTU)
        tcp_pmtu_expire(c, now_us);
    uint64_t at = next_deadline(c, now_us);
    if (c->in_row && at < now_us + TCP_ROOM_RETRY)
        at = now_us + TCP_ROOM_RETRY;
    if (at != UINT64_MAX)
        tcp_arm(c, at);
}

uint64_t tcp_timers(struct tcp_stack *s, uint64_t now_us)
{
    if (unlikely(s->starved_at == 0))
        s->starved_at = now_us + TCP_STARVED_RETRY;
    if (unlikely(s->starved_at <= now_us))
        tcp_starved_retry(s, now_us);
    if (now_us >= s->timers_next) {
        s->timers_next = UINT64_MAX;
        for (struct wheel_node *n; (n = wheel_expire(&s->wheel, now_us));) {
            struct tcp_conn *c = (struct tcp_conn *)((char *)n - offsetof(struct tcp_conn, timer));
            c->armed_at = UINT64_MAX;
            tcp_timer_conn(c, now_us);
        }
        uint64_t records = tcp_time_wait_expire(s, now_us), conns = wheel_next(&s->wheel);
        s->timers_next = records < conns ? records : conns;
    }
    if (unlikely(s->starved_at == 0))
        s->starved_at = now_us + TCP_STARVED_RETRY;
    return s->timers_next < s->starved_at ? s->timers_next : s->starved_at;
}

void tcp_set_user_timeout(struct tcp_stack *s, uint64_t user_timeout_us)
{
    s->conf.user_timeout_us = user_timeout_us; /* read when a retransmission is due */
}

void tcp_set_keepalive(struct tcp_stack *s, uint64_t keepalive_us)
{
    s->conf.keepalive_us = keepalive_us;
    for (uint32_t i = 0; i < s->fresh; i++) /* let each look at its deadlines again */
        if (conn_synchronized(&s->conns[i]))
            tcp_arm(&s->conns[i], 0);
}

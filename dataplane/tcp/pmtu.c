/* pmtu.c: what routers say of our segments (RFC 1122, 4.2.3.9; RFC 5461) and path MTU discovery (RFC 1191,
 * RFC 8201; RFC 4821 in spirit where routers are silent).
 *
 * - Believed only if the quoted sequence number is in flight (RFC 5927, 4.1), else counted.
 * - Too big: the connection's segments shrink to what fits, frames that are queued are cut, and what had left
 * too big goes out again at once: nothing was lost to congestion (RFC 1191, 6.4), so no window is reduced.
 * The path remembers the MTU for ten minutes for connections to come; others that stand hear from the router
 * themselves.
 * - Hard errors end a connection only while it is being opened by us (RFC 5461, 4.1); all others are noted.
 * - A full-sized segment that times out three times may be in a black hole, or the path is down: its first
 * 1280 bytes are tried alone, after the fifth time 552 (IPv4). Only if they arrive and the next full-sized
 * segment times out as well are segments made smaller. Nothing else is cut before that: a peer that is gone
 * would hold twice the frames.
 *
 * Skipped: the delay and the check of progress of RFC 5927, 7.2 (a forger inside the window gains segments of
 * 1280 or 552 bytes for ten minutes); probing upwards with padded segments (RFC 4821, 7.3): the old size is
 * tried again after ten minutes; IPv4 paths below 552 bytes, on which DF would have to be given up. */
#include "tcp/conn.h"

enum {
    MTU_LIFE_MS = NET_MTU_LIFE / 1000 + 1000,
    FIRST_GUESS = 3,
    SECOND_GUESS = 5,
    GUESS = 1280,
    GUESS_LEAST = 552
};

/* Payload of a full segment in packets of mtu bytes. */
static uint16_t size_for(const struct tcp_conn *c, uint32_t mtu)
{
    unsigned headers =
        (ip_is_v4(&c->tuple.remote) ? 20u : 40u) + TCP_HEADER + (c->flags & CONN_TS ? TCP_TS_SPACE : 0);
    return (uint16_t)(mtu - headers);
}

/* Cuts a frame behind its first size bytes, of which it has more. False: no memory. */
static bool cut(struct tcp_conn *c, struct rte_mbuf *m, uint16_t size)
{
    struct tcp_frame *f = frame_of(m);
    struct rte_mbuf *rest = rte_pktmbuf_alloc(c->stack->pool);
    if (!rest) {
        conn_count(c, COUNTER_mbuf_exhausted);
        return false;
    }
    struct tcp_frame *g = frame_of(rest);
    *g = *f;
    g->off = rest->data_off;
    g->seq = f->seq + size;
    g->len = (uint16_t)(f->len - size);
    memcpy((uint8_t *)rest->buf_addr + g->off, (const uint8_t *)m->buf_addr + f->off + size, g->len);
    f->len = size;
    f->flags &= (uint8_t)~FRAME_FIN;
    f->next = rest;
    if (c->tx_tail == m)
        c->tx_tail = rest;
    if (f->flags & FRAME_SACKED)
        c->sacked++;
    if ((f->flags & (FRAME_LOST | FRAME_REPAIRED)) == FRAME_LOST)
        c->lost++;
    c->tx_frames++;
    c->stack->queued++;
    return true;
}

/* Everything queued fits one segment each. What was in flight and too big is sent again, if asked for.
 * Without memory frames stay as they are: the next router's word brings us here again. */
static void fit_queue(struct tcp_conn *c, bool resend, uint64_t now_us)
{
    bool flying = true;
    uint32_t again = c->snd_una; /* pieces below this number belong to a frame that was too big */
    for (struct rte_mbuf *m = c->tx_head; m; m = frame_of(m)->next) {
        struct tcp_frame *f = frame_of(m);
        flying = flying && m != c->tx_send;
        if (f->len > c->mss) {
            if (seq_before(again, f->seq + f->len))
                again = f->seq + f->len;
            if (!cut(c, m, c->mss))
                return;
        }
        if (!resend || !flying || !seq_before(f->seq, again) || (f->flags & FRAME_SACKED))
            continue;
        if (!tcp_send_frame(c, m, now_us)) { /* what is left is a loss, to be found like others */
            tcp_unsent(c);
            resend = false;
            continue;
        }
        f->flags |= FRAME_RESENT;
        c->retransmits++;
        conn_count(c, COUNTER_tcp_retransmits);
    }
}

static void expire_later(struct tcp_conn *c, uint64_t now_us)
{
    c->flags |= CONN_PMTU;
    c->pmtu_ms = (uint32_t)(now_us / 1000) + MTU_LIFE_MS;
    tcp_arm(c, now_us + MTU_LIFE_MS * 1000ull);
}

static void too_big(struct tcp_conn *c, uint32_t mtu, uint64_t now_us)
{
    net_path_learn_mtu(c->stack->nif, c->path, mtu, now_us);
    if (!conn_synchronized(c))
        return; /* the size is agreed later, from the path */
    uint16_t mss = tcp_segment_size(c, c->peer_mss);
    if (mss < c->mss) {
        c->mss = mss;
        conn_count(c, COUNTER_tcp_mtu_reductions);
        expire_later(c, now_us);
    }
    fit_queue(c, true, now_us);
}

void tcp_icmp_error(struct tcp_stack *s, const struct net_error *e, uint64_t now_us)
{
    struct tcp_tuple t = {e->local.ip, e->remote.ip, e->local.port, e->remote.port};
    struct tcp_conn *c = tcp_flow_find(s, &t, tcp_flow_hash(&s->secret, &t));
    if (!c || e->seq - c->snd_una >= c->snd_nxt - c->snd_una) {
        count_one(s->counters, COUNTER_tcp_icmp_ignored);
        return;
    }
    if (e->kind == NET_ERROR_TOO_BIG) {
        too_big(c, e->mtu, now_us);
    } else if (e->kind == NET_ERROR_HARD && c->state == TCP_STATE_SYN_SENT) {
        conn_count(c, COUNTER_tcp_icmp_refused);
        tcp_conn_end(c);
    } else {
        conn_count(c, COUNTER_tcp_icmp_soft);
        c->icmp_type = e->type;
        c->icmp_code = e->code;
    }
}

/* A trial has arrived, and what is due now is the first full-sized segment after it. (Had the path only been
 * down, that would have arrived, or more small ones would have since.) */
static bool black_hole(const struct tcp_conn *c)
{
    return c->pmtu_trial && c->snd_una - c->pmtu_trial_end < c->mss &&
           frame_of(c->tx_head)->len > c->pmtu_trial && c->pmtu_trial < c->mss;
}

static void adopt_trial(struct tcp_conn *c, uint64_t now_us)
{
    c->mss = c->pmtu_trial;
    c->pmtu_trial = 0;
    conn_count(c, COUNTER_tcp_mtu_black_holes);
    expire_later(c, now_us);
    fit_queue(c, false, now_us);
}

void tcp_pmtu_timeout(struct tcp_conn *c, uint64_t now_us)
{
    bool v4 = ip_is_v4(&c->tuple.remote);
    if (black_hole(c)) {
        adopt_trial(c, now_us);
        return;
    }
    if (c->retries != FIRST_GUESS && (c->retries != SECOND_GUESS || !v4))
        return;
    uint16_t size = size_for(c, c->retries == FIRST_GUESS ? GUESS : GUESS_LEAST);
    if (frame_of(c->tx_head)->len <= size || size >= c->mss || !cut(c, c->tx_head, size))
        return;
    c->pmtu_trial = size;
    c->pmtu_trial_end = c->snd_una + size;
}

void tcp_pmtu_expire(struct tcp_conn *c, uint64_t now_us)
{
    if ((int32_t)(c->pmtu_ms - (uint32_t)(now_us / 1000)) > 0)
        return;
    uint16_t mss = tcp_segment_size(c, c->peer_mss);
    if (mss <= c->mss) { /* the path has been told again since */
        expire_later(c, now_us);
        return;
    }
    c->mss = mss;
    c->flags &= ~(uint32_t)CONN_PMTU;
}

uint64_t tcp_pmtu_due(const struct tcp_conn *c, uint64_t now_us)
{
    int32_t left = (int32_t)(c->pmtu_ms - (uint32_t)(now_us / 1000));
    return left > 0 ? now_us + (uint64_t)left * 1000 : now_us;
}

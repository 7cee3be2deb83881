/* ecn.c: explicit congestion notification (RFC 3168 section 6.1): negotiation, the echo of a router's mark,
 * and the reaction to the peer's echo.
 *
 * The receiver's side: CE on text sets ECE on every segment until the peer's CWR; the ACK is not delayed.
 * The sender's side: ECE reduces the window like a loss, once for each window of data, without sending
 * anything again; the next new data carry CWR. A reduction for loss or timeout says CWR as well.
 *
 * Skipped: the wait at a window of one segment (section 6.1.2; ours never falls below two for a mark), the
 * nonce (RFC 3540, historic), ECN-capable control packets and retransmissions (the experiments of RFC 8311),
 * accurate ECN, the smaller reduction of RFC 8511. */
#include "tcp/ecn.h"
#include "tcp/congestion.h"

enum { ECN_FLAGS = TCP_ECE | TCP_CWR };

void tcp_set_ecn(struct tcp_stack *s, bool on)
{
    s->conf.ecn = on;
}

/* Section 6.1.1. An ECN-setup SYN has both flags, an ECN-setup SYN-ACK only ECE (both: a peer that reflects
 * what it does not know). CONN_ECN before the peer's word on an active open: we have asked. */
void tcp_ecn_learn(struct tcp_conn *c, const struct tcp_segment *syn)
{
    uint8_t offered = syn->flags & ECN_FLAGS;
    bool agreed;
    if (c->flags & CONN_ACTIVE)
        agreed = (c->flags & CONN_ECN) && offered == (syn->flags & TCP_ACK ? TCP_ECE : ECN_FLAGS);
    else
        agreed = c->stack->conf.ecn && (syn->flags & TCP_SYN) && offered == ECN_FLAGS;
    c->flags = agreed ? c->flags | CONN_ECN : c->flags & ~(uint32_t)CONN_ECN;
}

void tcp_ecn_repeated(struct tcp_conn *c, const struct tcp_segment *syn)
{
    if ((syn->flags & ECN_FLAGS) != ECN_FLAGS)
        c->flags &= ~(uint32_t)CONN_ECN;
}

uint8_t tcp_ecn_offer(struct tcp_conn *c)
{
    if (c->state == TCP_STATE_SYN_RECEIVED)
        return c->flags & CONN_ECN ? TCP_ECE : 0;
    /* Section 6.1.1.1: no answer: perhaps something on the path drops such SYNs. */
    bool ask = c->stack->conf.ecn && c->retries == 0;
    c->flags = ask ? c->flags | CONN_ECN : c->flags & ~(uint32_t)CONN_ECN;
    return ask ? ECN_FLAGS : 0;
}

void tcp_ecn_received(struct tcp_conn *c, const struct tcp_segment *seg)
{
    if (seg->payload == 0)
        return;
    if (seg->flags & TCP_CWR)
        c->flags &= ~(uint32_t)CONN_ECN_ECHO;
    if (seg->ecn == ECN_CE) { /* perhaps marked again behind the peer's reduction */
        c->flags |= CONN_ECN_ECHO | CONN_ACK_NOW;
        conn_count(c, COUNTER_tcp_ecn_marked);
    }
}

void tcp_ecn_echoed(struct tcp_conn *c, const struct tcp_segment *seg)
{
    c->flags &= ~(uint32_t)CONN_CWND_LIMITED; /* such an ACK never opens the window */
    /* For data sent before the last reduction, be it for a mark or for a loss that is being repaired? */
    if (c->cong.ecn_recover - seg->ack <= c->snd_nxt - seg->ack || c->snd_nxt == c->snd_una)
        return;
    tcp_cc_lost(c, c->snd_nxt - c->snd_una);
    conn_count(c, COUNTER_tcp_ecn_reductions);
}

/* ecn.h: explicit congestion notification (RFC 3168): what the rest of the stack asks ecn.c. */
#pragma once
#include "tcp/conn.h"

enum { ECN_ECT0 = 2, ECN_CE = 3 }; /* the IP header's field, section 5 */

/* A SYN or SYN-ACK of the peer has come. */
void tcp_ecn_learn(struct tcp_conn *c, const struct tcp_segment *syn);
/* The peer's SYN once more: without the flags it is the peer's fallback. */
void tcp_ecn_repeated(struct tcp_conn *c, const struct tcp_segment *syn);
/* The flags beside SYN of the one that we send. */
uint8_t tcp_ecn_offer(struct tcp_conn *c);
/* An acceptable segment with text: CE and CWR. Only with CONN_ECN. */
void tcp_ecn_received(struct tcp_conn *c, const struct tcp_segment *seg);
/* An acceptable ACK with ECE, before it moves anything. Only with CONN_ECN. */
void tcp_ecn_echoed(struct tcp_conn *c, const struct tcp_segment *seg);

/* A frame of the send queue leaves: adds to its TCP flags, returns its IP field. Only data that are sent for
 * the first time are ECN-capable and carry CWR (sections 6.1.2, 6.1.4 and 6.1.5). */
static inline uint8_t tcp_ecn_leaving(struct tcp_conn *c, const struct tcp_frame *f, uint8_t *flags)
{
    if (c->flags & CONN_ECN_ECHO)
        *flags |= TCP_ECE;
    if (f->len == 0 || seq_before(f->seq, c->snd_nxt))
        return 0;
    if (c->flags & CONN_ECN_CWR)
        *flags |= TCP_CWR;
    c->flags &= ~(uint32_t)CONN_ECN_CWR;
    return ECN_ECT0;
}

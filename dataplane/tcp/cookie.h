/* cookie.h: SYN cookies: the answer to a SYN that leaves nothing behind, and the ACK that proves it. Private
 * to dataplane/tcp. */
#pragma once
#include "tcp/conn.h"

enum {
    TCP_COOKIE_TICK_SHIFT = 25, /* us: a tick is 33.6 s; a cookie is good in its own tick and the next */
    TCP_COOKIE_MSS_BITS = 3,
    TCP_COOKIE_OPTION_BITS = 6 /* of our timestamp value: window scale (15: none), SACK, ECN */
};

/* Sends the SYN-ACK whose sequence number is the cookie. Counted. */
void tcp_cookie_answer(struct tcp_stack *s, struct net_path *path, const struct tcp_tuple *t,
                       const struct tcp_segment *syn, uint64_t now_us);

/* Whether a cookie can still be out: without one, no ACK is worth a hash. */
bool tcp_cookies_out(const struct tcp_stack *s, uint64_t now_us);

/* Does ack acknowledge a cookie of ours that is still good? Then *syn is the SYN it was for, as far as the
 * cookie remembers it (its window is the one of ack, its timestamp likewise). Counts neither way. */
bool tcp_cookie_check(const struct tcp_stack *s, const struct tcp_tuple *t, const struct tcp_segment *ack,
                      struct tcp_segment *syn, uint64_t now_us);

/* The largest size of the table that is not above what the peer offers (0: nothing offered). */
uint16_t tcp_cookie_mss(const struct tcp_tuple *t, uint16_t offered);

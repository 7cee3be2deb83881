/* congestion.h: the interface of a congestion control: when the window may grow and how far it falls. What is
 * lost, and what is sent again, is recovery.c's business; that a router's mark counts like a loss is ecn.c's.
 * A connection keeps the row it began with (tcp-congestion-control changes new ones). */
#pragma once
#include "tcp/conn.h"

enum { TCP_INITIAL_BYTES = 14600 }; /* ten segments, but not more than this or two of them (RFC 6928) */

struct tcp_cc {
    const char *name;
    /* The MSS is known. */
    void (*start)(struct tcp_conn *c);
    /* New data were acknowledged while the window was the limit. rtt_us: of the newest of them, or NO_RTT. */
    void (*acked)(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us, uint64_t now_us);
    /* Fast recovery begins, or the peer reports a mark: flight bytes were out. */
    void (*lost)(struct tcp_conn *c, uint32_t flight);
    /* Retransmission timeout, likewise. */
    void (*timeout)(struct tcp_conn *c, uint32_t flight);
    /* The last reduction was unfounded. cwnd and ssthresh are the caller's to put back, the rest is the
     * row's. */
    void (*undo)(struct tcp_conn *c);
    /* cwnd fell to the restart window after idle time. */
    void (*restarted)(struct tcp_conn *c);
};

/* NewReno (RFC 5681), byte counting RFC 3465. */
extern const struct tcp_cc tcp_newreno;
/* CUBIC (RFC 9438) with HyStart++ (RFC 9406). */
extern const struct tcp_cc tcp_cubic;

/* The initial window in bytes (RFC 6928). */
uint32_t tcp_initial_window(const struct tcp_conn *c);

/* More than this can never be queued, so the window need not grow beyond. */
static inline bool tcp_cwnd_ample(const struct tcp_conn *c)
{
    return c->cwnd >= c->stack->conf.tx_limit_max + c->mss;
}

/* What the rest of the stack calls: the connection's own row, and what every row has in common. */
const char *tcp_cc_name(const struct tcp_conn *c);
void tcp_cc_start(struct tcp_conn *c);
void tcp_cc_acked(struct tcp_conn *c, uint32_t bytes, uint64_t rtt_us, uint64_t now_us);
void tcp_cc_lost(struct tcp_conn *c, uint32_t flight);
void tcp_cc_timeout(struct tcp_conn *c, uint32_t flight);
void tcp_cc_undo(struct tcp_conn *c);

/* Data are about to be sent by a connection whose window has grown (RFC 5681 section 4.1). */
void tcp_cc_sending(struct tcp_conn *c, uint64_t now_us);

/* A window that never grew has nothing to lose: the common connection pays two comparisons. */
static inline bool tcp_cwnd_grown(const struct tcp_conn *c)
{
    return c->cwnd > (uint32_t)TCP_INITIAL_WINDOW * c->mss || c->cwnd > TCP_INITIAL_BYTES;
}

/* congestion.h: the interface of a congestion control: when the window may grow and how far it falls. What is
 * lost, and what is sent again, is recovery.c's business. CUBIC (RFC 9438) will be a second row. */
#pragma once
#include <stdint.h>

struct tcp_conn;

struct tcp_cc {
    const char *name;
    /* The MSS is known. */
    void (*start)(struct tcp_conn *c);
    /* New data were acknowledged while the window was the limit. */
    void (*acked)(struct tcp_conn *c, uint32_t bytes);
    /* Fast recovery begins: flight bytes were out. */
    void (*lost)(struct tcp_conn *c, uint32_t flight);
    /* Retransmission timeout, likewise. */
    void (*timeout)(struct tcp_conn *c, uint32_t flight);
    /* The last of them was for nothing: cwnd and ssthresh are restored already, own state is to follow. */
    void (*undo)(struct tcp_conn *c);
};

/* NewReno (RFC 5681), initial window RFC 6928, byte counting RFC 3465. */
extern const struct tcp_cc tcp_newreno;

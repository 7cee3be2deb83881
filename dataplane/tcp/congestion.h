/* congestion.h: the interface of a congestion control: when the window may grow and how far it falls. What is
 * lost, and what is sent again, is recovery.c's business. CUBIC (RFC 9438) will be a second row. */
#pragma once
#include <stdint.h>

struct tcp_conn;

struct tcp_cc {
    const char *name;
    void (*start)(struct tcp_conn *c);                  /* the MSS is known */
    void (*acked)(struct tcp_conn *c, uint32_t bytes);  /* new data acknowledged while the window was the limit */
    void (*lost)(struct tcp_conn *c, uint32_t flight);  /* fast recovery begins: flight bytes were out */
    void (*timeout)(struct tcp_conn *c, uint32_t flight); /* retransmission timeout */
};

/* NewReno (RFC 5681), initial window RFC 6928, byte counting RFC 3465. */
extern const struct tcp_cc tcp_newreno;

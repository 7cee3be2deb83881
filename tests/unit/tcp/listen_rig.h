/* listen_rig.h: a stack that listens at PORT over the fake network, its far end segment by segment; for tests of handshakes and ends of
 * connections under pressure. One at a time: what a test uses is here, not passed around. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include <rte_mempool.h>

#include "fake_net.h"

struct unit_test;

enum { PORT = 6379, POOL = 1023 /* packet buffers */ };

extern struct rte_mempool *pool;
extern struct bench b;                    /* between start() and stop() */
extern const struct tcp_config usual;     /* 64 connections, a backlog of 8, cookies */
extern const struct tcp_segment full_syn; /* with all options, as Linux sends them */

void start(const struct tcp_config *conf, bool v6);
/* Asserts that nothing is left. */
void stop(void);
uint64_t counter(enum counter which);
/* The same ones in every test. */
uint32_t random32(void);
/* What the stack has to send is sent and forgotten. */
void drain(void);
/* A segment to PORT. */
void input(uint16_t port, uint8_t flags, uint32_t seq, uint32_t ack, unsigned len);
/* The answer to a SYN from this port; what was sent before it is forgotten. */
bool answer(uint16_t port, struct tcp_segment *out);
/* The next connection that the stack says is open, NULL if there is none. */
struct tcp_conn *next_opened(void);
/* A whole handshake. seq: the peer's first number; iss: ours. NULL: it came to nothing. */
struct tcp_conn *open_from(uint16_t port, uint32_t seq, uint32_t *iss);
/* We close first; the peer answers with its FIN. */
void close_fully(struct tcp_conn *c, uint16_t port, uint32_t seq, uint32_t iss);
/* Half-open connections, as many as there may be without cookies. */
void fill_backlog(void);

/* A SYN-ACK with a cookie to this SYN, and the ACK to it, which is not sent. */
struct tcp_segment cookie_for(const struct tcp_segment *syn, uint16_t port, struct tcp_segment *syn_ack);
/* Sends such an ACK: was its cookie accepted? */
bool opens(const struct tcp_segment *ack);

/* unit_main() with EAL and the pool. */
int listen_main(int argc, char **argv, const char *suite, const struct unit_test *tests);

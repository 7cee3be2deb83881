/* tcp.h: the TCP stack of one worker. RFC 9293, 7323, 6298, 5681, 2018, 5961, 6528 (see the header of each
 * file for what it implements and what it skips). No clock, no thread, no socket: time is an argument, frames
 * leave through net_send_tcp, and what happens to a connection is collected in a ready list that the worker
 * drains. Nothing in here calls upward. */
#pragma once
#include "base/counters.h"
#include "base/endpoint.h"
#include "base/slice.h"
#include "net/net.h"

struct tcp_stack;
struct tcp_conn;

enum tcp_cc_kind { TCP_CC_NEWRENO, TCP_CC_CUBIC };

struct tcp_config {
    unsigned max_conns;  /* pool of connections, half-open ones and orphans included */
    unsigned backlog;    /* half-open connections a listener holds (tcp-backlog), 0 = as many as the pool */
    bool syn_cookies;    /* beyond the backlog, and for the last of the pool (tcp-syn-cookies) */
    unsigned time_waits; /* records of TIME_WAIT, 0 = 32768 */
    unsigned orphans;    /* connections closed by us and not yet by the peer, 0 = a quarter of max_conns */
    uint64_t user_timeout_us; /* for bytes without an ACK (tcp-user-timeout), 0 = as retransmissions go */
    uint32_t rx_window;       /* bytes a connection may have in flight to us and unread, e.g. 256 KiB */
    unsigned out_of_order;    /* frames a connection may hold beyond a hole, 0 = 64 */
    uint32_t tx_limit; /* bytes of payload a connection may hold queued and unacknowledged, e.g. 256 KiB */
    uint32_t tx_limit_max; /* what it may hold once its congestion window asks for more and frames abound; at
                              least tx_limit (0: the same) */
    enum tcp_cc_kind congestion_control;
    bool ecn;              /* agree to ECN when it is offered, ask for it on active opens (RFC 3168) */
    uint64_t keepalive_us; /* idle time before the first probe, 0 = off (tcp-keepalive) */
    uint64_t
        time_wait_us; /* 2 MSL; Linux' 60 s is long for a cache, 1 s suits a data centre; 0 = default 1 s */
    unsigned chain_frames; /* frames that may leave as one; 0: the port has no NET_TX_TSO */
    uint64_t seed;         /* secret for sequence numbers (RFC 6528) and tables */
    /* Do the answers of a connection that we open come to this stack? Asked when a source port is chosen; NULL:
     * all do. */
    bool (*owns)(const void *ctx, const struct endpoint *local, const struct endpoint *remote);
    const void *owns_ctx;
};

struct tcp_stack *tcp_stack_new(const struct tcp_config *conf, struct net_if *nif, struct rte_mempool *pool,
                                struct counters *counters);
/* Frees every connection and frame. No segment is sent. */
void tcp_stack_free(struct tcp_stack *s);
void tcp_set_keepalive(struct tcp_stack *s, uint64_t keepalive_us);
void tcp_set_user_timeout(struct tcp_stack *s, uint64_t user_timeout_us);
void tcp_set_syn_cookies(struct tcp_stack *s, bool on);
/* For connections that begin from now on. */
void tcp_set_congestion_control(struct tcp_stack *s, enum tcp_cc_kind kind);
void tcp_set_ecn(struct tcp_stack *s, bool on);
/* For all connections, at once. */
void tcp_set_send_buffer(struct tcp_stack *s, uint32_t bytes);
/* New connections that a source prefix of so many bits may open in a second (0 = any number), and at once. A
 * SYN beyond that is dropped. */
void tcp_set_connection_rate(struct tcp_stack *s, unsigned per_second, unsigned burst, unsigned bits4,
                             unsigned bits6);
/* Would the interface's packet filter keep this connection out, were it opened now? Never one that we have
 * opened ourselves. */
bool tcp_denied(const struct tcp_conn *c);

/* Accept connections to any of the interface's addresses at this port. False if taken. */
bool tcp_listen(struct tcp_stack *s, uint16_t port);
/* The same at n of them alone, at most 8; 0: any. */
bool tcp_listen_at(struct tcp_stack *s, uint16_t port, const struct ip_addr *local, unsigned n);
/* No new ones any more; those that stand, and those whose SYN has come, go on. */
void tcp_listen_end(struct tcp_stack *s, uint16_t port);

/* Active open. Without a local port one of 49152-65535 is chosen (RFC 6056). NULL if out of connections, routes
 * or ports. TCP_OPENED or TCP_CLOSED will come; nothing can be written before. */
struct tcp_conn *tcp_connect(struct tcp_stack *s, const struct endpoint *local, const struct endpoint *remote,
                             uint64_t now_us);

/* A segment from net_input: consumes m. Every fault ends in a counter. Over a burst, first tcp_prefetch for
 * each (asks for its place in the flow table), then tcp_prefetch_conn for each (asks for its connection),
 * then input. Both may be left out. */
void tcp_prefetch(struct tcp_stack *s, struct rte_mbuf *m, struct net_packet *p);
void tcp_prefetch_conn(struct tcp_stack *s, const struct rte_mbuf *m);
void tcp_input(struct tcp_stack *s, struct rte_mbuf *m, const struct net_packet *p, uint64_t now_us);
/* The same, but if the only news is that a connection that others have opened is readable, it is returned: that is no
 * event then. NULL: whatever there is to tell comes from tcp_next_event. */
struct tcp_conn *tcp_input_readable(struct tcp_stack *s, struct rte_mbuf *m, const struct net_packet *p,
                                    uint64_t now_us);

/* What a router or host says of a segment of ours (NET_TCP_ERROR of net_input). */
void tcp_icmp_error(struct tcp_stack *s, const struct net_error *e, uint64_t now_us);

/* Runs the timers that are due (RTO, delayed ACK, persist, keepalive, TIME_WAIT). Returns the time of the
 * next one (µs), UINT64_MAX if there is none. Costs a comparison when nothing is due: call it every round. */
uint64_t tcp_timers(struct tcp_stack *s, uint64_t now_us);

/* Acknowledges what this round has received and no reply has acknowledged yet, by the delayed-ACK rules. Once
 * a round, after replies were pushed. */
void tcp_round_end(struct tcp_stack *s, uint64_t now_us);

/* -- room in the port's queue
 * ------------------------------------------------------------------------------------ */

/* Whoever carries the frames sets this when he has no more room for those that can wait, at any time, also while
 * TCP is sending. From then on nothing leaves that takes sequence numbers: who has something to send stands in a row (room.c). ACKs, SYNs,
 * resets and probes leave as ever. tcp_go_on() sets it back. Valid as long as the stack. */
bool *tcp_port_full(struct tcp_stack *s);

/* It is full, and there is no room yet. Said in the round in which it became so, and as often as one likes: what was sent since then, or shortly
 * before, may have come no further than the port, and its silence is no loss. No effect if it is not full. */
void tcp_no_room(struct tcp_stack *s, uint64_t now_us);

/* There is room: those in the row send, first come first served, until it is full again or so many connections have had their
 * turn. True if others still wait: to be called again when there is room. */
bool tcp_go_on(struct tcp_stack *s, unsigned turns, uint64_t now_us);

/* -- what happened
 * ---------------------------------------------------------------------------------------------- */

enum tcp_event {
    TCP_OPENED = 1,      /* handshake done (passive or active) */
    TCP_READABLE = 2,    /* new in-order bytes */
    TCP_WRITABLE = 4,    /* room again after tcp_tx_reserve had none or tcp_want_write was called */
    TCP_PEER_CLOSED = 8, /* FIN received: no byte will follow those that can be read now */
    TCP_CLOSED =
        16 /* gone (reset, timeout, or fully closed): the pointer is dead after this event is returned */
};

/* The next connection with events, each at most once until something new happens; NULL when there is none.
 * With TCP_CLOSED the connection is freed at the next call; received bytes that were not read before are
 * still readable until then. A passive connection that ends before its TCP_OPENED was returned is never heard
 * of.
 */
struct tcp_conn *tcp_next_event(struct tcp_stack *s, unsigned *events);

/* -- a connection
 * ----------------------------------------------------------------------------------------------- */

void tcp_set_user(struct tcp_conn *c, void *user);
void *tcp_user(const struct tcp_conn *c);
bool tcp_is_active(const struct tcp_conn *c); /* we have opened it */
void tcp_endpoints(const struct tcp_conn *c, struct endpoint *local, struct endpoint *remote);

/* Borrows received in-order bytes starting `offset` bytes after the first unread one: the longest contiguous
 * run there (one frame's part). Length 0 if there is none. Valid until tcp_rx_consume passes it or the
 * connection is gone. */
struct slice tcp_rx_peek(const struct tcp_conn *c, size_t offset);
size_t tcp_rx_available(const struct tcp_conn *c);
/* The first n unread bytes are no longer needed: frames are freed, the window opens (and is announced when it
 * pays). */
void tcp_rx_consume(struct tcp_conn *c, size_t n, uint64_t now_us);

/* Room for payload to send: at least one byte, in place in the frame it will leave in. *room says how much.
 * NULL when tx_limit is reached, the pool is empty or the connection is not open yet: TCP_WRITABLE will come
 * (never after the peer's reset or tcp_close). A frame holds at most one segment (MSS) of payload. */
uint8_t *tcp_tx_reserve(struct tcp_conn *c, size_t *room);
/* The first n bytes of the reservation are payload now. Nothing is sent before tcp_push. */
void tcp_tx_commit(struct tcp_conn *c, size_t n);
size_t tcp_tx_unacked(const struct tcp_conn *c); /* bytes queued or in flight */
void tcp_want_write(struct tcp_conn *c);
/* Sends what window and congestion allow, the acknowledgement included. */
void tcp_push(struct tcp_conn *c, uint64_t now_us);

/* Orderly: sends what is queued, then FIN; received bytes are dropped from now on. The user is detached, no
 * more events come, the stack keeps the connection until the peer has everything or a bounded time has
 * passed. */
void tcp_close(struct tcp_conn *c, uint64_t now_us);
/* RST. The user is detached, the pointer is dead. */
void tcp_abort(struct tcp_conn *c, uint64_t now_us);

struct tcp_info { /* as `ss -ti` shows */
    const char *state;
    uint32_t srtt_us, rttvar_us, rto_us, mss, cwnd, ssthresh, snd_wnd, rcv_wnd, unacked, rx_unread;
    uint64_t bytes_in, bytes_out, retransmits;
    bool timestamps, sack, wscale, ecn; /* agreed */
    bool active;                        /* we opened it */
    bool orphan;                        /* its user is gone, the rest is being delivered */
    bool persist, recovery, loss;       /* window closed; in fast recovery; after a timeout */
    uint8_t snd_wscale, rcv_wscale, backoff, retries, probes;
    uint16_t peer_mss;
    uint32_t tx_frames, rx_frames, out_of_order; /* frames held */
    const char *congestion;
    uint32_t last_rx_ms; /* low bits of the stack's clock in ms */
    /* When the timers end (the stack's clock, µs), 0 = off: retransmission or persist, delayed ACK, and the
     * life of the state (TIME_WAIT, FIN_WAIT_2, orphan). */
    uint64_t rexmit_at, delack_at, state_at;
};
void tcp_info(const struct tcp_conn *c, struct tcp_info *out);

/* States by number, for tables: 0 is none, then SYN_SENT ... TIME_WAIT. */
enum { TCP_NUMBER_TIME_WAIT = 9, TCP_STATE_NUMBERS };
const char *tcp_state_label(unsigned number);
/* Cheap: for walks over all of them. */
unsigned tcp_state_number(const struct tcp_conn *c);
/* Calls fn for the connections in `steps` places of the pool from place `from` on. Returns the next place, or
 * 0 at the end: a walk over a large pool in slices. Connections that come or go between may be missed. */
uint32_t tcp_walk(struct tcp_stack *s, uint32_t from, unsigned steps,
                  void (*fn)(struct tcp_conn *c, void *arg), void *arg);
void tcp_each(struct tcp_stack *s, void (*fn)(struct tcp_conn *c, void *arg), void *arg);
unsigned tcp_conn_count(const struct tcp_stack *s);
/* Connections in TIME_WAIT are no longer among those: they have no state but their tuple. */
unsigned tcp_time_wait_count(const struct tcp_stack *s);
void tcp_time_wait_each(const struct tcp_stack *s,
                        void (*fn)(const struct endpoint *local, const struct endpoint *remote, void *arg),
                        void *arg);

/* conn.h: the client's TCP connections (RFC 9293, 7323) and what all of them share. A connection is 64 bytes
 * plus four for each request it may have under way; its number is its local port (and address), so that no
 * table has to be searched. Left out on purpose, because the wire is a memory queue of this machine:
 * congestion control (the peer's window alone limits), SACK and reassembly (what comes out of order is
 * dropped and acknowledged as RFC 9293 3.10.7.4 allows; the peer sends it again). */
#pragma once
#include "histogram.h"
#include "link.h"
#include "workload.h"

enum conn_state { CONN_CLOSED, CONN_SYN_SENT, CONN_OPEN, CONN_FIN_WAIT, CONN_DONE, CONN_FAILED };

enum {
    CONN_TIMESTAMPS = 1, /* agreed on */
    CONN_PEER_FIN = 2,
    CONN_REPLY_MISS = 4, /* the reply being read is "$-1\r\n" where a value could have been */
    CONN_REPLY_ERROR = 8 /* ... is "-something\r\n" */
};

struct conn {
    uint64_t sent_at; /* TSC: when the batch was sent, or was due (open loop) */
    uint32_t snd_una, snd_nxt, snd_max;
    uint32_t rcv_nxt, ts_recent;
    uint32_t peer_window;    /* bytes from snd_una */
    uint32_t head_seq;       /* where the oldest request without a whole reply begins */
    uint32_t rto_at, ack_at; /* ms */
    uint32_t reply_at;       /* bytes of the oldest request's reply that have been checked */
    uint16_t head, tail;     /* requests under way are pending[head .. tail), modulo the ring */
    uint16_t unsent;         /* first one not or not wholly sent; head <= unsent <= tail */
    uint16_t unsent_at;      /* bytes of it that have been sent */
    uint16_t mss;            /* payload bytes of a segment */
    uint8_t state, flags, peer_shift;
    uint8_t dup_acks, backoff;
    uint8_t ack_owed; /* segments received and not yet acknowledged */
    uint32_t pending[];
};

/* The beginning of a reply to a script's request whose end has not come yet. */
struct held {
    uint8_t *bytes; /* HELD_MAX, from the first time on that they are needed */
    uint32_t n;
};
enum { HELD_MAX = 1 << 16 };

struct stats { /* since client_stats_reset */
    uint64_t replies, sets, misses;
    uint64_t segments_in, segments_out, pure_acks, timeouts, fast_retransmits, out_of_order, old_data;
    uint64_t bad_checksum, bad_frame;
    uint64_t rounds, empty_cycles;
};

struct totals { /* of the whole run: none of these may happen, in any phase */
    uint64_t wrong, errors, resets, closed_early;
};

struct crowd { /* subscribers (crowd.c): connections behind the active ones */
    uint32_t first, count, slow; /* the last ones are slow, ... */
    uint32_t deaf;               /* ... and so many of them take nothing any more */
    unsigned size, head_size;    /* bytes of a message's text, and of what is before it */
    char head[64];
    uint64_t *got; /* bytes, of each */
    uint32_t confirmed, receivers;
    uint64_t messages;
};

/* What a round of the loop needs; shared by all connections of this process's one core. */
struct client {
    struct link *link;
    struct workload *work;
    char *conns; /* count structs, stride bytes apart */
    size_t stride;
    uint32_t count, ring_mask;
    uint64_t now; /* TSC, once a round */
    uint32_t
        now_ms; /* milliseconds of the same clock, which goes on from run to run, as RFC 7323 5.4 wants */
    uint64_t cycles_per_ms;
    uint16_t peer_port;
    bool timestamps, allow_miss;
    uint32_t sweep;   /* next connection whose timers are looked at */
    struct conn *big; /* the one that fetches a large value; NULL = none */
    uint32_t big_size;
    uint64_t big_replies, big_bytes;
    uint32_t timed; /* the first so many have timers; idle ones behind them have none */
    uint32_t opening, open, finished;
    uint16_t ip_id;
    uint8_t
        header[sizeof(struct rte_ether_hdr) + sizeof(struct rte_ipv4_hdr) + sizeof(struct rte_tcp_hdr) + 12];
    uint8_t scratch[REQUEST_MAX];
    struct held *held; /* of each connection; NULL without a script */
    struct stats stats;
    struct totals totals;
    struct histogram latency; /* TSC cycles */
    char first_error[256];
    /* All of a connection's requests are answered: what next? (load.c) */
    void (*batch_done)(struct client *cl, struct conn *c);
    struct load *load;
    struct attack *attack; /* NULL = none */
    struct crowd *crowd;   /* NULL = none */
};

static inline struct conn *conn_at(const struct client *cl, uint32_t i)
{
    return (struct conn *)(cl->conns + i * cl->stride);
}

static inline uint32_t conn_index(const struct client *cl, const struct conn *c)
{
    return (uint32_t)((size_t)((const char *)c - cl->conns) / cl->stride);
}

static inline uint32_t *conn_pending(const struct client *cl, struct conn *c, uint16_t i)
{
    return &c->pending[i & cl->ring_mask];
}

/* Wrapping sequence numbers (RFC 9293 3.4): is a before b? */
static inline bool seq_before(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}

/* -- conn.c: life and timers */

/* False if there is no memory. work, link and load stay the caller's. */
bool client_init(struct client *cl, const struct options *o, struct link *link, struct workload *work);
void client_free(struct client *cl);
void client_stats_reset(struct client *cl);
void client_clock(struct client *cl);

/* One turn: receive, answer, timers, transmit. Returns the number of frames received. */
unsigned client_round(struct client *cl);

/* Sends a SYN for a closed connection. */
void conn_open(struct client *cl, struct conn *c, uint32_t initial_seq);
/* Sends FIN; everything sent must have been answered. */
void conn_close(struct client *cl, struct conn *c);
/* Gives the connection up: RST, and a line for the report. */
void conn_fail(struct client *cl, struct conn *c, const char *why);
/* The peer has acknowledged our FIN or we have failed: out of the game. */
void conn_end(struct client *cl, struct conn *c, enum conn_state state);
void conn_rto_restart(struct client *cl, struct conn *c);

/* -- crowd.c */

/* The subscribers are the connections from `first` on. False without memory. */
bool crowd_init(struct client *cl, const struct options *o, uint32_t first);
void crowd_free(struct client *cl);
/* Looks at n bytes for a connection; returns how many of them are right. */
unsigned crowd_take(struct client *cl, struct conn *c, const uint8_t *p, unsigned n);
static inline bool crowd_is_deaf(const struct client *cl, const struct conn *c)
{
    return cl->crowd && cl->crowd->deaf && conn_index(cl, c) >= cl->count - cl->crowd->deaf;
}

/* -- input.c */

/* Handles a TCP frame, which stays the caller's. c is what input_conn found. */
void tcp_input(struct client *cl, struct conn *c, struct rte_mbuf *m);
/* The connection a frame belongs to, NULL if it is not IPv4 TCP for us. Reads only the headers. */
struct conn *input_conn(struct client *cl, const struct rte_mbuf *m);

/* -- output.c */

void output_init(struct client *cl);
/* Sends requests from `unsent` on as far as the window allows. */
void tcp_output(struct client *cl, struct conn *c);
/* Goes back to snd_una and sends again (go-back-N). */
void tcp_retransmit(struct client *cl, struct conn *c);
/* Sends a segment without data. */
void tcp_control(struct client *cl, struct conn *c, uint8_t flags, uint32_t seq);

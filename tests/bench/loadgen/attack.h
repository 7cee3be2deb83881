/* attack.h: hostile traffic beside (or without) the load of the good clients. Frames of the attack come from
 * addresses of their own, which the box reaches through the generator as its gateway. Nothing here keeps the
 * box's rules of politeness: no congestion control, no delayed ACK, no retransmission but what keeps an
 * attack going. */
#pragma once
#include "conn.h"

enum attack_conn_state {
    ATTACKER_CLOSED,
    ATTACKER_THROWN_OUT,
    ATTACKER_SYN_SENT,
    ATTACKER_OPEN,
    ATTACKER_CLOSING
};

/* A connection of the attacker: its number is in its address and port (attack_conns.c). */
struct attacker {
    uint32_t start; /* of our bytes: initial sequence number + 1 */
    uint32_t una, nxt, rcv_nxt;
    uint32_t read; /* acknowledged: a slow reader stays behind rcv_nxt */
    uint32_t sent_ms;
    uint8_t state, generation;
};

struct attack_segment {
    uint32_t source; /* host order */
    uint16_t port, to_port;
    uint32_t seq, ack;
    uint16_t window;
    uint8_t flags;
    const void *data;
    unsigned size; /* bytes of data */
};

struct attack_kind;

struct attack {
    struct client *cl;
    const struct attack_kind *kind;
    double budget, rate; /* packets that may leave now; packets a second, 0 = silent */
    uint64_t filled_at;  /* TSC of the last look at the budget */
    uint64_t rng[2];
    uint64_t sent, skipped, turns, full_turns; /* packets; tokens lost because the link was full */
    struct attacker *conns;
    uint32_t count, next;
    uint64_t opened, closed_by_box;
};

struct attack_kind {
    const char *name, *what;
    bool (*send)(struct attack *a); /* one packet; false: nothing to send just now */
    uint16_t window;                /* that the attacker's connections announce */
};

/* NULL, and one line in error, for an unknown kind or no memory. */
struct attack *attack_new(struct client *cl, const char *kind, uint32_t conns, char *error, size_t size);
void attack_free(struct attack *a);
/* From now on rate packets a second, as far as the link takes them; 0 stops it and resets its connections. */
void attack_rate(struct attack *a, double rate);
/* Sends what is due. Once a turn. */
void attack_turn(struct attack *a);
/* A frame that is for none of the good clients; it stays the caller's. */
void attack_input(struct attack *a, const struct rte_mbuf *m);
/* Lines for --help. */
void attack_list(char *to, size_t size);

/* -- for the kinds */
uint64_t attack_random(struct attack *a);
/* False if there is no frame to be had. */
bool attack_send_segment(struct attack *a, const struct attack_segment *s);

/* -- attack_conns.c: attacks that open connections */
bool attack_small(struct attack *a);
bool attack_slow_reader(struct attack *a);
bool attack_slow_request(struct attack *a);
bool attack_churn(struct attack *a);
void attack_conns_reset(struct attack *a);

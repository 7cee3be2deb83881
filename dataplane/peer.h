/* peer.h: the connections that a worker opens to other servers (command/remote.h). A command on its coroutine
 * only says what it wants and parks; peers_round() does all that touches TCP, by the worker's own clock, and
 * wakes it. */
#pragma once
#include "command/remote.h"
#include "tcp/tcp.h"

struct peer;

struct peers { /* one a worker */
    struct tcp_stack *tcp;
    struct net_if *nif;
    struct counters *counters;
    struct peer *first;
    unsigned n;
    bool ended;
    uint64_t round_us; /* when peers_round() was last called */
};

enum { PEERS_IDLE = 64, PEER_IDLE_US = 10 * 1000000 }; /* as Redis' MIGRATE_SOCKET_CACHE_ITEMS and _TTL */

extern const struct remote_ops worker_remote_ops;

/* What happened to a connection that we have opened (tcp_is_active()). */
void peers_event(struct peers *ps, struct tcp_conn *c, unsigned events, uint64_t now_us);
/* Moves bytes, opens, closes, and wakes who has what it waited for, or must wait no longer. Once a round
 * while there are any: of a longer time between two calls a tenth of a second counts towards time limits. */
void peers_round(struct peers *ps, uint64_t now_us);
/* The box ends: resets all; who waits is woken and hears REMOTE_NOWHERE for good. */
void peers_end(struct peers *ps, uint64_t now_us);
/* When nobody uses them any more. */
void peers_free(struct peers *ps);

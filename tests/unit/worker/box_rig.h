/* box_rig.h: a whole dataplane worker (net, TCP, RESP, commands, store) at one end of an in-memory wire, and
 * a TCP client of the same stack at the other, in virtual time. Only the port is a fake. */
#pragma once
#include "drivers/memwire.h"
#include "tcp/tcp.h"
#include "worker.h"

enum { RIG_CLIENTS = 16, RIG_SERVED = 8, RIG_REPLY = 8 << 20, RIG_WORKERS = 4, RIG_BACKLOG = 80 };

struct rig_client {
    struct tcp_conn *conn;
    bool opened, closed, peer_closed, paused; /* paused: reads nothing */
    uint8_t *got;                             /* everything received */
    size_t got_len;
    const uint8_t *to_send; /* borrowed */
    size_t to_send_len, sent;
};

struct box_rig {
    struct memwire *wire;
    struct rte_mempool *pool;
    struct box box;
    struct worker *worker; /* the first; "workers" "2" in pairs makes a second, which serves odd clients */
    struct counters counters, second_counters, client_counters;
    struct command_stats *stats;
    struct family_times *times; /* [TIME_FAMILIES] a worker */
    struct net_if *client_nif;
    struct tcp_stack *client_tcp;
    struct rig_client client[RIG_CLIENTS];
    struct rig_client served[RIG_SERVED]; /* connections of the box to us (rig_serve()), ... */
    unsigned accepted;                    /* ... so many so far */
    unsigned connects;                    /* so that none meets the TIME_WAIT of another */
    uint64_t now_us;
    bool lane;   /* one of several: see rig_start_lanes() */
    bool thread; /* that has a thread of its own just now: between rounds it does not sleep */
};

extern _Thread_local unsigned rig_slept_us; /* how long the box wanted to sleep last */
/* Set before a start: the ends have fd00::2/64 (the box) and fd00::1/64 beside 10.0.0.2/24 and 10.0.0.1/24.
 */
extern bool rig_ipv6;
/* What the port between them can do: set before rig_start, for all rigs of this process; all of
 * it with TCP_OFFLOAD in the environment. */
struct rig_port {
    bool cut;      /* NET_TX_TSO and checksums */
    bool verified; /* right checksums are marked as such */
    bool gather;   /* segments that follow each other arrive as one frame */
    /* Not 0: the port takes so many frames a round, and keeps RIG_BACKLOG back; what comes beyond that it drops. */
    unsigned slots, dropped;
    bool rests; /* with slots: it takes none for now */
    void (*arrived)(struct rte_mbuf **frames, unsigned *n); /* called with each burst for the box */
    void (*idle)(unsigned usec);                            /* called when a worker has nothing to do */
    /* Both, or neither, for one thread: cycles that workers' rounds have taken, and of these those of the port, which are not
     * the box's (it cuts and sums in a NIC's place). */
    uint64_t *round_cycles, *port_cycles;
};
extern struct rig_port rig_port;

/* pairs: extra directives (name, value, ..., NULL), or NULL. fault: NULL = a perfect wire. */
void rig_start(struct box_rig *r, const char *const *pairs, const struct memwire_fault *fault);
/* The box has a packet pool of its own. */
void rig_start_as(struct box_rig *r, const char *const *pairs, const struct memwire_fault *fault,
                  struct rte_mempool *pool);
/* A box with n workers ("workers" in pairs says so, too), each with a wire, packets and clients of its own,
 * so that each lane may run in a thread of its own, in any order and speed. The box is that of the first one.
 */
void rig_start_lanes(struct box_rig *lanes, unsigned n, const char *const *pairs);
bool rig_stop_lanes(struct box_rig *lanes, unsigned n);
/* Publishes a new generation and frees the old one when it is in force. */
void rig_reconfigure(struct box_rig *r, const char *const *pairs);
/* Ends everything; true if no packet buffer has leaked. */
bool rig_stop(struct box_rig *r);

struct rig_client *rig_connect(struct box_rig *r, unsigned i);
/* To another port. That of an even client must be odd for worker 0, even for worker 1. */
struct rig_client *rig_connect_to(struct box_rig *r, unsigned i, uint16_t port);
/* One round of the workers (a lane's: of its worker), then one of the clients; now_us stays. */
void rig_round(struct box_rig *r);
enum { RIG_STEP_US = 100 }; /* between two rounds of rig_run() */
/* That of the clients alone (rig_client.c). */
void rig_client_step(struct box_rig *r);
/* Lets both ends run for so many virtual microseconds. */
void rig_run(struct box_rig *r, uint64_t us);
/* Sends bytes (all of them, as the window allows) and runs until `want` reply bytes have come or 20 virtual
 * seconds have passed. */
void rig_exchange(struct box_rig *r, struct rig_client *c, const void *bytes, size_t len, size_t want);
/* Takes up to RIG_SERVED connections of the box to this port of the client's end. */
void rig_serve(struct box_rig *r, uint16_t port);
/* Puts bytes on their way, to be sent by rig_run(). */
void rig_send(struct rig_client *c, const char *text);
/* The test (on r, which it knows) with one worker and with two; then all connections end, and `after` looks
 * at what is left. True if no packet buffer has leaked. */
bool rig_each_number_of_workers(struct box_rig *r, void (*test)(void), void (*after)(void));
/* Resets all connections of clients. */
void rig_hang_up(struct box_rig *r);
/* Is this what has come to a client, a few milliseconds on, since it was asked last? Prints both if not. */
bool rig_heard(struct box_rig *r, struct rig_client *c, const char *expected);
/* The n-th of k0, k1, ... that belongs to a shard (modulo the workers). A text that lives until the next
 * eight calls. */
const char *rig_key(const struct box_rig *r, unsigned shard, unsigned n);
/* Sends text, waits for exactly the expected reply; prints both and returns false if it differs. */
bool rig_says(struct box_rig *r, struct rig_client *c, const char *request, const char *expected);

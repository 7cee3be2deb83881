/* port.h: a NIC (or a software link) over DPDK ethdev: EAL start, bring-up, offload negotiation, receive-side
 * scaling. The only part of the dataplane, with main.c, that calls EAL and ethdev. */
#pragma once
#include "base/config.h"
#include "base/counters.h"
#include "net/net.h"

struct port;
struct board_plan;

/* How the box is laid out on this machine. kept: bytes of hugepages that hold the arena already (kept.h). False and one
 * line in error if it cannot be as it is written. */
bool port_plan(const struct config *conf, uint64_t kept, struct board_plan *plan, char *error, size_t size);

/* Starts EAL from configuration and plan: cores, hugepages (or not), file prefix, the link's --vdev. Needs root for
 * hugepages and TAP; says so otherwise. False and one line in error. worker_lcore[i] is filled with the lcore
 * id that runs worker i (the main lcore is not among them). Two boxes on one machine are told apart by
 * `instance` (file prefix). */
bool eal_start(const struct config *conf, const struct board_plan *plan, const char *instance,
               unsigned worker_lcore[], char *error, size_t size);
/* Removes everything EAL left (hugepage files, runtime directory). */
void eal_stop(void);

/* A packet pool for worker i on its NUMA node, as large as the plan says. NULL if no memory. */
struct rte_mempool *port_pool(const struct config *conf, const struct board_plan *plan, unsigned worker,
                              char *error, size_t size);

/* Opens the link of this configuration with one RX and one TX queue a worker. pool[i] feeds queue i; what the
 * link's own node does not hold, the worker's does. NULL and
 * one line in error (name in use, no such interface, no permission, too few queues ...). */
struct port *port_open(const struct config *conf, const struct board_plan *plan, struct rte_mempool *const *pool,
                       char *error, size_t size);
void port_close(struct port *p);

/* What the stack needs: MAC, MTU, offloads that both port and build have (addresses come from conf). */
void port_net_config(const struct port *p, const struct config *conf, struct net_config *out);

/* -- per worker, no lock
 * --------------------------------------------------------------------------------------- */

/* One worker's view of the port: its queue, its transmit backlog, and steering when the port cannot hash for
 * us. */
struct port_queue;
struct port_queue *port_queue(struct port *p, unsigned worker, struct counters *counters);

/* Up to n frames that belong to this worker's flows: from its queue, and from the rings of the others when
 * the port has no RSS. */
unsigned port_rx(struct port_queue *q, struct rte_mbuf **frames, unsigned n);

/* Hands a packet that was put together from fragments to the worker that owns its flow; false if that is this
 * one, and the frame is still the caller's. */
bool port_pass(struct port_queue *q, struct rte_mbuf *m);

/* Do frames of this TCP flow come to this worker? */
bool port_owns(const void *queue, const struct endpoint *local, const struct endpoint *remote);

/* Takes all n frames: sends, keeps a bounded backlog when the ring is full, drops and counts beyond it. This
 * is struct wire's send for the worker (ctx = q). */
void port_tx(void *q, struct rte_mbuf **frames, unsigned n);
/* *full becomes true whenever frames stay in the backlog: who can wait then sends nothing more, until port_tx_retry() has said that
 * there is room; he sets it back himself. What was on its way to port_tx when that was said (a burst at most) still
 * finds room, and so does what cannot wait: the rest of the backlog is for that. */
void port_watch(struct port_queue *q, bool *full);
/* Tries the backlog again. True: it is empty. */
bool port_tx_retry(struct port_queue *q);

/* True if the worker may sleep on RX interrupts or must poll; arms and waits at most usec (adaptive idle
 * policy). */
void port_idle(struct port_queue *q, unsigned usec);

struct port_status {
    char name[32], driver[32];
    bool up;
    uint32_t speed_mbps;
    uint16_t queues, mtu;
    uint8_t mac[6];
    uint32_t offload; /* enum net_offload in use */
    bool rss;         /* hashing in hardware, else steering in software */
    uint64_t rx_missed, rx_errors, tx_errors, rx_nombuf;
};
void port_status(const struct port *p, struct port_status *out);

/* steer.h: hands frames to the worker that owns their flow; private to drivers/.
 *
 * TCP belongs to the worker that the symmetric Toeplitz hash of the 4-tuple names, so both directions of a
 * flow meet on one worker. ICMP errors go where the segment they quote belongs, fragments where the hash of
 * addresses and identification says, so that those of a packet meet. Everything else belongs to worker 0,
 * which answers ARP, neighbour solicitations and echo for the box. What changes neighbours (ARP replies,
 * announcements and probes, neighbour advertisements and questions for duplicates) is copied to all workers,
 * because each has a neighbour table of its own and asks its own questions. A port that hashes by itself
 * needs only the copies.
 *
 * In the cluster view each worker has a local TCP port of its own, and what is sent there is its own whatever
 * the hash says; a port that takes flow rules does that by itself, too. */
#pragma once
#include "base/counters.h"
#include "base/endpoint.h"

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;
struct steer;

/* hashed: the port spreads flows itself. view_port: worker 0's own local port, behind which come those of the
 * others; 0 = they have none. ruled: the port brings these to their workers. NULL if out of memory. */
struct steer *steer_new(unsigned workers, bool hashed, uint16_t view_port, bool ruled);
void steer_free(struct steer *s);

/* The key of both hardware and software. 40 bytes. */
extern const uint8_t steer_key[40];

/* Takes n frames that worker `self` has received; gives back how many of them, moved to the front, are its
 * own. Copies come from pool. */
unsigned steer_out(struct steer *s, unsigned self, struct rte_mempool *pool, struct rte_mbuf **frames,
                   unsigned n, struct counters *counters);
/* The same for one frame wherever the port would have placed it; true if it was handed on. */
bool steer_pass(struct steer *s, unsigned self, struct rte_mbuf *m, struct counters *counters);
/* Up to n frames that others have handed to `self`. */
unsigned steer_in(struct steer *s, unsigned self, struct rte_mbuf **frames, unsigned n);

/* The worker whose own local port this is; -1 = it is nobody's own. */
int steer_port_owner(const struct steer *s, uint16_t port);
/* The hash of a TCP flow, in either direction, and whose flow that is when hashing is done in software. */
uint32_t steer_hash(const struct steer *s, const struct endpoint *a, const struct endpoint *b);
unsigned steer_worker(const struct steer *s, uint32_t hash);

/* Where a frame belongs, and whether all workers must hear it. */
struct steer_target {
    unsigned worker;
    bool flow; /* TCP, which a port that hashes by itself has placed */
    bool all;
};
struct steer_target steer_target(const struct steer *s, const struct rte_mbuf *m);

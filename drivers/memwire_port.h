/* memwire_port.h: the offloads of a port, for memwire.c; private to drivers/. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/* The frames that leave for m, which asks for checksums or to be cut up: at most room of them in out. m stays
 * the caller's. */
unsigned memwire_cut(struct rte_mempool *pool, const struct rte_mbuf *m, struct rte_mbuf **out,
                     unsigned room);
/* Notes in an arrived frame that its checksums are right; says nothing if they are not. */
void memwire_verify(struct rte_mbuf *m);
/* Hangs next on m if it is the segment after it and both are verified. False: both are as before. */
bool memwire_gather(struct rte_mbuf *m, struct rte_mbuf *next);
/* The same frame in buffers of `piece` bytes; consumes m. NULL: out of memory, the frame is lost. */
struct rte_mbuf *memwire_spread(struct rte_mempool *pool, struct rte_mbuf *m, uint32_t piece);

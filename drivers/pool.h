/* pool.h: packet pools that give the frame first which was given back last, as its lines are still in the cache. DPDK's own
 * choice, a ring, gives it last: every frame of a pool of megabytes is written before one is used again, and each write goes
 * to memory (README.md has what that costs). */
#pragma once
struct rte_mempool;

/* n frames with room for so many bytes, headroom included, on a NUMA node (or SOCKET_ID_ANY); each thread of DPDK keeps up to
 * `cache` at hand. The caller's, to be freed by rte_mempool_free(). NULL: no memory, rte_errno says why. */
struct rte_mempool *pool_new(const char *name, unsigned n, unsigned cache, unsigned room, int node);

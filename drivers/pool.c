/* pool.c: see pool.h. */
#include "drivers/pool.h"

#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#include <string.h>

/* Where the machine has a manager of buffers in hardware (SoCs have), or --mbuf-pool-ops-name says so, that stays the choice. */
static const char *kind(void)
{
    const char *best = rte_mbuf_best_mempool_ops();
    return strcmp(best, RTE_MBUF_DEFAULT_MEMPOOL_OPS) == 0 ? "stack" : best;
}

struct rte_mempool *pool_new(const char *name, unsigned n, unsigned cache, unsigned room, int node)
{
    return rte_pktmbuf_pool_create_by_ops(name, n, cache, 0, (uint16_t)room, node, kind());
}

/* eal.c: EAL and a packet pool for tests. */
#include "eal.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

void test_eal(void)
{
    static const char *const words[] = {"test", "--no-huge", "--no-pci", "--no-shconf", "-m", "128",
                                        "--no-telemetry", "--log-level=error", "-l", "0"};
    enum { WORDS = sizeof words / sizeof *words };
    static char text[WORDS][32], *argv[WORDS + 1];
    for (unsigned i = 0; i < WORDS; i++) {
        snprintf(text[i], sizeof text[i], "%s", words[i]);
        argv[i] = text[i];
    }
    if (rte_eal_init(WORDS, argv) < 0)
        abort();
}

struct rte_mempool *test_pool(const char *name, unsigned frames)
{
    struct rte_mempool *pool =
        rte_pktmbuf_pool_create(name, frames, 0, 0, 2048 + RTE_PKTMBUF_HEADROOM, 0);
    if (!pool)
        abort();
    return pool;
}

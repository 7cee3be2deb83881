/* histogram.c: quantiles of log-linear buckets. */
#include <math.h>
#include <string.h>

#include "histogram.h"

void histogram_reset(struct histogram *h)
{
    memset(h, 0, sizeof *h);
}

static uint64_t upper_edge(unsigned index)
{
    if (index < HISTOGRAM_STEPS)
        return index;
    unsigned shift = index / HISTOGRAM_STEPS - 1;
    uint64_t low = (uint64_t)(index % HISTOGRAM_STEPS + HISTOGRAM_STEPS) << shift;
    return low + ((1ull << shift) - 1);
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t rank = (uint64_t)ceil(q * (double)h->count), seen = 0;
    if (rank == 0)
        rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS && h->count; i++) {
        seen += h->bucket[i];
        if (seen >= rank)
            return upper_edge(i) < h->max ? upper_edge(i) : h->max;
    }
    return h->max;
}

/* histogram.h: latencies in log-linear buckets (as HdrHistogram's): 64 steps to each power of two, so that a
 * quantile is right to 1.6 %, over the whole range of 64 bits, in 30 KB. */
#pragma once
#include <stdint.h>

enum { HISTOGRAM_STEPS = 64, HISTOGRAM_BUCKETS = 59 * HISTOGRAM_STEPS };

struct histogram {
    uint64_t count, max;
    uint64_t bucket[HISTOGRAM_BUCKETS];
};

static inline unsigned histogram_index(uint64_t v)
{
    if (v < HISTOGRAM_STEPS)
        return (unsigned)v;
    unsigned shift = 63 - 6 - (unsigned)__builtin_clzll(v);
    return (shift + 1) * HISTOGRAM_STEPS + (unsigned)((v >> shift) - HISTOGRAM_STEPS);
}

static inline void histogram_add(struct histogram *h, uint64_t v)
{
    h->bucket[histogram_index(v)]++;
    h->count++;
    if (v > h->max)
        h->max = v;
}

void histogram_reset(struct histogram *h);

/* The upper edge of the bucket in which the q-th (0..1) of the values lies, never above the largest value; 0
 * if there are none. */
uint64_t histogram_quantile(const struct histogram *h, double q);

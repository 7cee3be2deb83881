/* memory_limit.h: M of the speed targets: what two dependent cache misses a look-up cost, prefetched in
 * batches. */
#pragma once
#include <stdint.h>

/* Nanoseconds a look-up, among as many of two lines each; batch: 1..64, 1 = one by one, none overlapping the
 * next. 0 if there is no memory. */
double memory_limit(uint64_t lookups, unsigned batch);

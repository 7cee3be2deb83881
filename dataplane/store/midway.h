/* midway.h: the word by which a process that takes an arena over sees whether the one before it was killed in the middle of
 * something (warm.c). Each worker has one, in its shard's struct: not zero while the worker may be changing anything that
 * lies in the arena, of its own shard or, with the others stopped, of any. A process that is killed ends between two
 * instructions of each of its threads, and x86 keeps stores in order (for another process on the same machine, too), so
 * that the compiler alone has to be kept from moving them. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#ifndef NDEBUG
/* Is this thread between begin and end? What serves asserts it wherever memory is taken or given back (slab.c). */
extern _Thread_local bool midway_here;
#define MIDWAY_HERE(is) (midway_here = (is))
#else
#define MIDWAY_HERE(is) ((void)0)
#endif

static inline void midway_begin(uint64_t *word)
{
    MIDWAY_HERE(true);
    *(volatile uint64_t *)word = 1;
    __asm__ volatile("" ::: "memory");
}

/* holds: not zero: something is still under way that a crash must not leave as it is. */
static inline void midway_end(uint64_t *word, uint64_t holds)
{
    __asm__ volatile("" ::: "memory");
    *(volatile uint64_t *)word = holds;
    MIDWAY_HERE(false);
}

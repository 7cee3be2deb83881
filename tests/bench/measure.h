/* measure.h: what the micro-benchmarks of this folder share: a clock, and memory as a box has it. */
#pragma once
#include <stddef.h>
#include <sys/mman.h>
#include <time.h>

/* Nanoseconds of the monotonic clock. */
static inline double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* As many bytes in whole huge pages. */
static inline size_t huge_size(size_t size)
{
    enum { HUGE = 2 << 20 };
    return (size + HUGE - 1) / HUGE * HUGE;
}

/* So much zeroed memory, as huge_size() says, in huge pages where there are any. NULL if there is none; the caller gives it back by munmap(). */
static inline void *huge_map(size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
    if (p == MAP_FAILED)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

/* counters.h: what a worker counts. One writer (the worker), any number of readers (main thread, control
 * through shared memory), so a plain 64-bit store is enough and nothing on the hot path is atomic. */
#pragma once
#include <stdint.h>

enum counter {
#define X(name, help) COUNTER_##name,
#include "base/counters.def"
#undef X
    COUNTER_MAX
};

struct counters {
    uint64_t v[COUNTER_MAX];
};

static inline void count_add(struct counters *c, enum counter which, uint64_t n)
{
#ifdef __SANITIZE_THREAD__ /* which cannot know of the one writer */
    __atomic_fetch_add(&c->v[which], n, __ATOMIC_RELAXED);
#else
    c->v[which] += n;
#endif
}

static inline void count_one(struct counters *c, enum counter which)
{
    count_add(c, which, 1);
}

/* A read from another thread: untorn, perhaps a moment old. */
static inline uint64_t count_read(const struct counters *c, enum counter which)
{
    return __atomic_load_n(&c->v[which], __ATOMIC_RELAXED);
}

/* Stable name and help text of a counter. Static strings. */
const char *counter_name(enum counter which);
const char *counter_help(enum counter which);

/* times.h: histograms of how long requests take, by family of commands and stage of their way. One writer
 * (the worker), any number of readers, as with counters.h. Log-linear, as HdrHistogram's: eight buckets an
 * octave, so that a bucket's end is at most 12.5 % above what it counts. https://hdrhistogram.org/ */
#pragma once
#include <stdint.h>

enum time_stage {
    TIME_STACK,   /* from the RX burst until TCP has taken it */
    TIME_QUEUE,   /* until its batch begins: those before it in the burst, or in earlier ones, have their turn
                   */
    TIME_EXECUTE, /* until its batch is done: requests read, executed, replies written */
    TIME_ELSEWHERE, /* instead of these three: until the reply is there that another worker, a slice or
                       control gave */
    TIME_SEND,      /* until the TX burst */
    TIME_TOTAL,     /* from the RX burst to the TX burst */
    TIME_STAGES
};

enum time_family {             /* families of commands are groups of the command table */
                   TIME_LOOP,  /* no command: TIME_TOTAL counts the rounds of the loop that had work to do */
                   TIME_OTHER, /* what is no command, and groups that are not listed in times.c */
                   TIME_FIRST_GROUP,
                   TIME_FAMILIES = 20
};

enum { TIME_STEPS = 8, TIME_OCTAVES = 32, TIME_BUCKETS = TIME_STEPS * TIME_OCTAVES };
#define TIME_MOST_NS ((UINT64_C(8) << TIME_OCTAVES) - 1) /* 34 s: more counts as this */

struct histogram { /* of nanoseconds */
    uint64_t sum, max;
    uint64_t bucket[TIME_BUCKETS];
};
struct family_times {
    struct histogram stage[TIME_STAGES];
};

/* Static strings; "" for a family that has no name yet. */
const char *time_stage_name(enum time_stage stage);
const char *time_family_name(unsigned family);
/* The family of a group of commands. NULL: TIME_OTHER. */
uint8_t time_family_of(const char *group);

static inline unsigned time_bucket(uint64_t ns)
{
    ns = ns < TIME_STEPS ? TIME_STEPS : ns > TIME_MOST_NS ? TIME_MOST_NS : ns;
    unsigned octave = 60 - (unsigned)__builtin_clzll(ns);
    return octave * TIME_STEPS + (unsigned)(ns >> octave & (TIME_STEPS - 1));
}

/* The largest time that a bucket counts. */
static inline uint64_t time_bucket_end(unsigned bucket)
{
    return ((uint64_t)(TIME_STEPS + 1 + bucket % TIME_STEPS) << bucket / TIME_STEPS) - 1;
}

/* Counts n times of ns nanoseconds, at most TIME_MOST_NS. */
static inline void histogram_add(struct histogram *h, uint64_t ns, uint64_t n)
{
    h->bucket[time_bucket(ns)] += n;
    h->sum += ns * n;
    if (ns > h->max)
        h->max = ns;
}

/* latency.h: the latency monitor: what took latency-monitor-threshold milliseconds or more, by kind of event;
 * of a second the longest. One monitor a worker, written by that worker alone; LATENCY runs with all workers
 * stopped and sees those of the whole box as one.
 * https://redis.io/docs/latest/operate/oss_and_stack/management/optimization/latency-monitor/ */
#pragma once
#include "command/command.h"

enum latency_event {
    LATENCY_COMMAND,
    LATENCY_FAST_COMMAND,
    LATENCY_UNBLOCKING, /* a blocked command that ran again */
    LATENCY_EXPIRE,     /* a slice of upkeep */
    LATENCY_EVICTION,   /* making room before a command */
    LATENCY_EVENTS
};
enum { LATENCY_SAMPLES = 160 };

struct latency_series {
    uint32_t max_ms; /* since the last reset */
    unsigned samples;
    struct latency_sample {
        uint32_t second, ms;   /* wall clock */
    } sample[LATENCY_SAMPLES]; /* the oldest first */
};

struct latency { /* all zero at start */
    struct latency_series series[LATENCY_EVENTS];
};

/* Notes that something that has just ended took usec microseconds, if that is long enough for the monitor. */
void latency_note(const struct command_env *env, enum latency_event event, uint64_t usec);

static inline bool latency_watched(const struct command_env *env)
{
    return __builtin_expect(env->conf->latency_monitor_ms != 0, 0);
}

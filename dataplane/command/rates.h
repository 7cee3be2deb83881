/* rates.h: the instantaneous_* figures of INFO: the mean of 16 samples taken every 100 ms, as Redis' cron
 * takes them. One per box, owned by whoever feeds it; no clock inside. */
#pragma once
#include <stdint.h>

struct command_env;

enum rate { RATE_COMMANDS, RATE_INPUT, RATE_OUTPUT, RATE_ROUNDS, RATES };
enum { RATE_SAMPLES = 16, RATE_PERIOD_US = 100 * 1000 };

struct rates { /* all zero at start */
    uint64_t last_us, last[RATES];
    uint64_t sample[RATES][RATE_SAMPLES]; /* per second */
    unsigned next;
};

/* Takes a sample of running totals if RATE_PERIOD_US has passed since the last one. now_us: monotonic. */
void rates_feed(struct rates *r, uint64_t now_us, const uint64_t total[RATES]);

/* rates_feed with the box's own counters (box_ops.counter_sum) and env->now_us. Cheap when called too early.
 */
void rates_sample(struct rates *r, struct command_env *env);

/* Events per second over the last samples; 0 without a sampler (r NULL). */
uint64_t rates_get(const struct rates *r, enum rate which);

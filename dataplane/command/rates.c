/* rates.c: the instantaneous_* figures of INFO. */
#include "command/rates.h"
#include "command/command.h"

void rates_feed(struct rates *r, uint64_t now_us, const uint64_t total[RATES])
{
    uint64_t elapsed = now_us - r->last_us;
    if (r->last_us != 0) {
        if (elapsed < RATE_PERIOD_US)
            return;
        for (unsigned i = 0; i < RATES; i++) /* CONFIG RESETSTAT makes a total smaller: that sample is 0 */
            r->sample[i][r->next] = total[i] < r->last[i] ? 0 : (total[i] - r->last[i]) * 1000000 / elapsed;
        r->next = (r->next + 1) % RATE_SAMPLES;
    }
    memcpy(r->last, total, sizeof r->last);
    r->last_us = now_us;
}

void rates_sample(struct rates *r, struct command_env *env)
{
    static const enum counter source[RATES] = {
        [RATE_COMMANDS] = COUNTER_commands_processed,
        [RATE_INPUT] = COUNTER_net_input_bytes,
        [RATE_OUTPUT] = COUNTER_net_output_bytes,
        [RATE_ROUNDS] = COUNTER_loop_rounds,
    };
    uint64_t total[RATES];
    if (r->last_us != 0 && env->now_us - r->last_us < RATE_PERIOD_US)
        return;
    for (unsigned i = 0; i < RATES; i++)
        total[i] = env->box->counter_sum(env, source[i]);
    rates_feed(r, env->now_us, total);
}

uint64_t rates_get(const struct rates *r, enum rate which)
{
    uint64_t sum = 0;
    if (!r)
        return 0;
    for (unsigned i = 0; i < RATE_SAMPLES; i++)
        sum += r->sample[which][i];
    return sum / RATE_SAMPLES;
}

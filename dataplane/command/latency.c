/* latency.c: what the latency monitor keeps, and LATENCY LATEST, HISTORY, RESET, GRAPH and DOCTOR.
 * https://redis.io/docs/latest/commands/latency-latest/, latency-history/, latency-graph/, latency-doctor/ */
#include "command/latency.h"
#include "command/server.h"
#include "command/text.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const names[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] = "command",
    [LATENCY_FAST_COMMAND] = "fast-command",
    [LATENCY_UNBLOCKING] = "command-unblocking",
    [LATENCY_EXPIRE] = "expire-cycle",
    [LATENCY_EVICTION] = "eviction-cycle",
};

/* -- noting
 * ---------------------------------------------------------------------------------------------------- */

/* Of two in the same second the longer one stays. A full series forgets its oldest. */
static void add(struct latency_series *all, struct latency_sample sample)
{
    struct latency_sample *last = all->samples ? &all->sample[all->samples - 1] : NULL;
    if (sample.ms > all->max_ms)
        all->max_ms = sample.ms;
    if (last && last->second == sample.second) {
        if (sample.ms > last->ms)
            last->ms = sample.ms;
        return;
    }
    if (all->samples == LATENCY_SAMPLES)
        memmove(all->sample, all->sample + 1, --all->samples * sizeof sample);
    all->sample[all->samples++] = sample;
}

void latency_note(const struct command_env *env, enum latency_event event, uint64_t usec)
{
    uint64_t ms = usec / 1000;
    if (!env->latency || env->conf->latency_monitor_ms == 0 || ms < env->conf->latency_monitor_ms)
        return;
    struct latency_sample sample = {(uint32_t)((env->now_ms + ms) / 1000),
                                    ms < UINT32_MAX ? (uint32_t)ms : UINT32_MAX};
    add(&env->latency[env->self]->series[event], sample);
}

/* -- of the whole box
 * ------------------------------------------------------------------------------------------ */

/* The series of all workers as one. */
static void gather(const struct command_env *env, enum latency_event event, struct latency_series *all)
{
    unsigned at[CONFIG_WORKERS] = {0}, workers = env->latency ? env->workers : 0;
    *all = (struct latency_series){0};
    for (;;) {
        const struct latency_sample *first = NULL;
        unsigned from = 0;
        for (unsigned i = 0; i < workers; i++) {
            const struct latency_series *s = &env->latency[i]->series[event];
            if (at[i] < s->samples && (!first || s->sample[at[i]].second < first->second)) {
                first = &s->sample[at[i]];
                from = i;
            }
        }
        if (!first)
            break;
        add(all, *first);
        at[from]++;
    }
    for (unsigned i = 0; i < workers; i++) /* it may have been longer ago than samples are kept */
        if (env->latency[i]->series[event].max_ms > all->max_ms)
            all->max_ms = env->latency[i]->series[event].max_ms;
}

/* The event of that name, or LATENCY_EVENTS. Case matters, but not to RESET. */
static enum latency_event event_of(struct slice name, bool any_case)
{
    enum latency_event event = 0;
    while (event < LATENCY_EVENTS &&
           !(any_case ? slice_is(name, names[event]) : slice_eq(name, slice_str(names[event]))))
        event++;
    return event;
}

/* That of argument 2; empty if there is no such event. */
static enum latency_event gather_argument(const struct request *rq, struct latency_series *all)
{
    enum latency_event event = event_of(rq->argv[2], false);
    if (event < LATENCY_EVENTS)
        gather(rq->env, event, all);
    else
        *all = (struct latency_series){0};
    return event;
}

/* -- LATEST, HISTORY, RESET
 * ------------------------------------------------------------------------------------ */

enum command_result latency_latest_run(struct request *rq)
{
    struct latency_series all;
    unsigned seen = 0;
    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++) {
        gather(rq->env, event, &all);
        seen += all.samples > 0;
    }
    reply_array(rq->out, seen);
    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++) {
        gather(rq->env, event, &all);
        if (all.samples == 0)
            continue;
        reply_array(rq->out, 4);
        reply_bulk_str(rq->out, names[event]);
        reply_int(rq->out, all.sample[all.samples - 1].second);
        reply_int(rq->out, all.sample[all.samples - 1].ms);
        reply_int(rq->out, all.max_ms);
    }
    return CMD_DONE;
}

enum command_result latency_history_run(struct request *rq)
{
    struct latency_series all;
    gather_argument(rq, &all);
    reply_array(rq->out, all.samples);
    for (unsigned i = 0; i < all.samples; i++) {
        reply_array(rq->out, 2);
        reply_int(rq->out, all.sample[i].second);
        reply_int(rq->out, all.sample[i].ms);
    }
    return CMD_DONE;
}

/* Was there anything to forget? */
static bool forget(struct command_env *env, enum latency_event event)
{
    bool any = false;
    for (unsigned i = 0; env->latency && i < env->workers; i++) {
        any |= env->latency[i]->series[event].samples > 0;
        env->latency[i]->series[event] = (struct latency_series){0};
    }
    return any;
}

enum command_result latency_reset_run(struct request *rq)
{
    int64_t resets = 0;
    for (enum latency_event event = 0; rq->argc == 2 && event < LATENCY_EVENTS; event++)
        resets += forget(rq->env, event);
    for (int i = 2; i < rq->argc; i++) {
        enum latency_event event = event_of(rq->argv[i], true);
        resets += event < LATENCY_EVENTS && forget(rq->env, event);
    }
    reply_int(rq->out, resets);
    return CMD_DONE;
}

/* -- GRAPH
 * ------------------------------------------------------------------------------------------------------ */

enum { COLUMNS = 80, ROWS = 4, LABEL = 16 };
static const char fill[] = "_o#"; /* thirds of a row, from below */
enum { STEPS = sizeof fill - 1 };

static void range_of(const struct latency_series *all, uint32_t *low, uint32_t *high)
{
    *low = UINT32_MAX;
    *high = 0;
    for (unsigned i = 0; i < all->samples; i++) {
        if (all->sample[i].ms < *low)
            *low = all->sample[i].ms;
        if (all->sample[i].ms > *high)
            *high = all->sample[i].ms;
    }
}

/* How long ago, in its largest unit. */
static void label_of(uint64_t now, uint32_t second, char label[LABEL])
{
    static const struct {
        int64_t below, unit;
        char letter;
    } units[] = {{60, 1, 's'}, {3600, 60, 'm'}, {86400, 3600, 'h'}, {INT64_MAX, 86400, 'd'}};
    int64_t ago = (int64_t)(now - second);
    unsigned u = 0;
    while (ago >= units[u].below)
        u++;
    snprintf(label, LABEL, "%d%c", (int)(ago / units[u].unit), units[u].letter);
}

/* What of a column stands in a row, counted from the top. */
static char cell(const struct latency_sample *sample, uint32_t low, uint32_t high, int row)
{
    double range = high > low ? high - low : 1;
    int step = (int)((double)(sample->ms - low) * STEPS * ROWS / range);
    if (step >= STEPS * ROWS)
        step = STEPS * ROWS - 1;
    step -= (ROWS - 1 - row) * STEPS;
    return step < 0 ? ' ' : step < STEPS ? fill[step] : '|';
}

/* At most a screen's width of samples: the curve, an empty row, and below each sample its age from top to
 * bottom. */
static void draw(struct text *out, const struct latency_series *all, unsigned from, unsigned n, uint64_t now)
{
    uint32_t low, high;
    char line[COLUMNS], label[COLUMNS][LABEL];
    size_t longest = 0;
    range_of(all, &low, &high);
    for (unsigned i = 0; i < n; i++) {
        label_of(now, all->sample[from + i].second, label[i]);
        if (strlen(label[i]) > longest)
            longest = strlen(label[i]);
    }
    for (int row = 0; row < ROWS + 1 + (int)longest; row++) {
        int letter = row - ROWS - 1;
        for (unsigned i = 0; i < n; i++)
            if (row < ROWS)
                line[i] = cell(&all->sample[from + i], low, high, row);
            else
                line[i] = letter >= 0 && letter < (int)strlen(label[i]) ? label[i][letter] : ' ';
        text_addf(out, "%.*s\n", (int)n, line);
    }
}

enum command_result latency_graph_run(struct request *rq)
{
    struct latency_series all;
    struct text out = {0};
    uint32_t low, high;
    enum latency_event event = gather_argument(rq, &all);
    if (all.samples == 0) {
        int shown = rq->argv[2].len > 128 ? 128 : (int)rq->argv[2].len;
        reply_errorf(rq->out, "ERR No samples available for event '%.*s'", shown,
                     (const char *)rq->argv[2].p);
        return CMD_DONE;
    }
    range_of(&all, &low, &high);
    text_addf(&out, "%s - high %" PRIu32 " ms, low %" PRIu32 " ms (all time high %" PRIu32 " ms)\n",
              names[event], high, low, all.max_ms);
    for (unsigned i = 0; i < COLUMNS; i++)
        text_addf(&out, "-");
    for (unsigned from = 0; from < all.samples; from += COLUMNS) {
        unsigned n = all.samples - from < COLUMNS ? all.samples - from : COLUMNS;
        text_addf(&out, "\n");
        draw(&out, &all, from, n, rq->env->now_ms / 1000);
    }
    text_reply(&out, rq->out);
    return CMD_DONE;
}

/* -- DOCTOR
 * ----------------------------------------------------------------------------------------------------- */

static const char *const advice[LATENCY_EVENTS] = {
    [LATENCY_COMMAND] =
        "command: SLOWLOG GET tells which commands were slow. What is long by many elements runs in slices "
        "and delays nobody else; scripts, EXEC and commands with very many arguments do.",
    [LATENCY_FAST_COMMAND] =
        "fast-command: these take microseconds, so something else had the core: give each worker "
        "a core of its own (worker-cores), and look for steal time on a virtual machine.",
    [LATENCY_UNBLOCKING] =
        "command-unblocking: blocked clients get many elements at once: use smaller counts.",
    [LATENCY_EXPIRE] = "expire-cycle: very many keys expire in the same moment: spread their times to live.",
    [LATENCY_EVICTION] =
        "eviction-cycle: maxmemory was lowered far, or large values came in: lower it step by step.",
};

/* One line of the report, in the form in which Redis has it. */
static void diagnose(struct text *out, unsigned number, const char *name, const struct latency_series *all,
                     uint64_t now)
{
    uint64_t sum = 0, apart = 0, n = all->samples;
    for (unsigned i = 0; i < n; i++)
        sum += all->sample[i].ms;
    uint64_t mean = sum / n, period = now > all->sample[0].second ? now - all->sample[0].second : 1;
    for (unsigned i = 0; i < n; i++)
        apart += all->sample[i].ms > mean ? all->sample[i].ms - mean : mean - all->sample[i].ms;
    text_addf(out,
              "%u. %s: %" PRIu64 " latency spikes (average %" PRIu64 "ms, mean deviation %" PRIu64
              "ms, period %.2f sec). Worst all time event %" PRIu32 "ms.\n",
              number, name, n, mean, apart / n, (double)period / (double)n, all->max_ms);
}

enum command_result latency_doctor_run(struct request *rq)
{
    const struct command_env *env = rq->env;
    struct latency_series all;
    struct text out = {0};
    unsigned seen = 0;
    bool had[LATENCY_EVENTS] = {false};
    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++) {
        gather(env, event, &all);
        had[event] = all.samples > 0;
        if (!had[event])
            continue;
        if (seen++ == 0)
            text_addf(&out, "I have observed latency spikes in this instance:\n\n");
        diagnose(&out, seen, names[event], &all, env->now_ms / 1000);
    }
    if (seen)
        text_addf(&out, "\nI have a few advices for you:\n\n");
    else if (latency_watched(env))
        text_addf(&out, "No latency spike was observed since the monitor was last reset.\n");
    else
        text_addf(&out, "Latency monitoring is disabled in this instance. You may use \"CONFIG SET "
                        "latency-monitor-threshold <milliseconds>\" in order to enable it.\n");
    for (enum latency_event event = 0; event < LATENCY_EVENTS; event++)
        if (had[event])
            text_addf(&out, "- %s\n", advice[event]);
    text_reply(&out, rq->out);
    return CMD_DONE;
}

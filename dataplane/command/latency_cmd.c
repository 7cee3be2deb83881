/* latency_cmd.c: LATENCY HISTOGRAM and INFO latencystats: how long commands take. Measured is every slow command and a
 * sample of the fast ones; counts are scaled up to the calls. The other sub-commands are the monitor's (latency.c).
 * https://redis.io/docs/latest/commands/latency-histogram/ */
#include "command/info.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { OCTAVES = 24 }; /* bucket i of LATENCY HISTOGRAM is below 1024 << i ns; the last one has what is longer, too */

static bool is_tracked(const struct config *conf)
{
    const char *tracking = config_text(conf, "latency-tracking");
    return !tracking || strcasecmp(tracking, "no") != 0;
}

static uint64_t measured(const struct command_stats *stats)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < TIME_BUCKETS; i++)
        n += stats->took[i];
    return n;
}

/* The largest microsecond that Redis' histogram of two digits counts into the bucket. */
static int64_t bucket_end(unsigned i)
{
    uint64_t ns = 1024ull << i;
    return (int64_t)((ns + ns / 128 - 1) / 1000);
}

static unsigned octave_of(unsigned bucket)
{
    enum { FIRST = 6 }; /* of those of base/times.h: 512 to 1023 ns */
    unsigned octave = bucket / TIME_STEPS;
    return octave < FIRST ? 0 : octave - FIRST < OCTAVES ? octave - FIRST : OCTAVES - 1;
}

/* Calls up to each octave; returns a bit for each that has some. */
static unsigned distribution(const struct command_stats *stats, uint64_t upto[OCTAVES])
{
    uint64_t all = measured(stats), seen = 0, has[OCTAVES] = {0};
    unsigned used = 0;
    for (unsigned i = 0; i < TIME_BUCKETS; i++)
        has[octave_of(i)] += stats->took[i];
    for (unsigned i = 0; i < OCTAVES; i++) {
        seen += has[i];
        upto[i] = all ? (uint64_t)((unsigned __int128)stats->calls * seen / all) : 0;
        used |= (unsigned)(has[i] > 0) << i;
    }
    return used;
}

static void reply_histogram(struct request *rq, const struct command *cmd, const struct command_stats *stats)
{
    uint64_t upto[OCTAVES];
    unsigned used = distribution(stats, upto);
    reply_bulk(rq->out, slice_str(cmd->full_name));
    reply_map(rq->out, 2);
    reply_bulk(rq->out, SLICE_LIT("calls"));
    reply_int(rq->out, (int64_t)stats->calls);
    reply_bulk(rq->out, SLICE_LIT("histogram_usec"));
    reply_map(rq->out, (uint32_t)__builtin_popcount(used));
    for (; used; used &= used - 1) {
        unsigned i = (unsigned)__builtin_ctz(used);
        reply_int(rq->out, bucket_end(i));
        reply_int(rq->out, (int64_t)upto[i]);
    }
}

/* Is a command among those that were asked for, itself or by its container? All are if none was named. */
static bool is_asked_for(const struct request *rq, const struct command *cmd)
{
    for (int i = 2; i < rq->argc; i++)
        if (slice_is(rq->argv[i], cmd->full_name) ||
            (cmd->parent && slice_is(rq->argv[i], cmd->parent->full_name)))
            return true;
    return rq->argc == 2;
}

/* Replies what is asked for and was called, or only counts it. */
static unsigned histograms(struct request *rq, bool reply)
{
    unsigned n = 0;
    for (unsigned id = 0; id < command_ids(); id++) {
        const struct command *cmd = command_by_id(id);
        struct command_stats stats;
        if (!cmd || !is_asked_for(rq, cmd))
            continue;
        rq->env->box->stats_sum(rq->env, id, &stats);
        if (stats.calls == 0 || measured(&stats) == 0)
            continue;
        n++;
        if (reply)
            reply_histogram(rq, cmd, &stats);
    }
    return n;
}

enum command_result latency_histogram_run(struct request *rq)
{
    bool on = is_tracked(rq->env->conf);
    reply_map(rq->out, on ? histograms(rq, false) : 0);
    if (on)
        histograms(rq, true);
    return CMD_DONE;
}

/* The time that this share of the measured calls has not exceeded, in nanoseconds: the end of its bucket, as Redis'
 * hdr_value_at_percentile() has it; of 0 %, the shortest one's beginning. */
static uint64_t percentile(const struct command_stats *stats, uint64_t all, double share)
{
    uint64_t wanted = (uint64_t)(share / 100 * (double)all + 0.5), seen = 0;
    unsigned i = 0;
    wanted = wanted ? wanted : 1;
    while ((seen += stats->took[i]) < wanted && i < TIME_BUCKETS - 1)
        i++;
    return share > 0 ? time_bucket_end(i) : i ? time_bucket_end(i - 1) + 1 : 0;
}

/* The figures of one command: p50=1.023,p99=... in microseconds. */
static void print_percentiles(struct text *out, const struct command_stats *stats, uint64_t all, const char *wanted)
{
    for (const char *separator = "";; separator = ",") {
        char *end, name[32];
        double share = strtod(wanted, &end);
        if (end == wanted)
            return;
        wanted = end;
        size_t n = (size_t)snprintf(name, sizeof name, "%f", share);
        while (n > 0 && name[n - 1] == '0')
            n--;
        n -= n > 0 && name[n - 1] == '.';
        text_addf(out, "%sp%.*s=%.3f", separator, (int)n, name, (double)percentile(stats, all, share) / 1000);
    }
}

void info_latencystats(struct info *i)
{
    const char *wanted = config_text(i->env->conf, "latency-tracking-info-percentiles");
    for (unsigned id = 0; id < command_ids() && is_tracked(i->env->conf); id++) {
        struct command_stats stats;
        i->env->box->stats_sum(i->env, id, &stats);
        uint64_t all = stats.calls ? measured(&stats) : 0;
        if (!all)
            continue;
        text_addf(&i->out, "latency_percentiles_usec_%s:", command_by_id(id)->full_name);
        print_percentiles(&i->out, &stats, all, wanted ? wanted : "50 99 99.9");
        text_addf(&i->out, "\r\n");
    }
}

enum command_result latency_help_run(struct request *rq)
{
    static const char *const lines[] = {"DOCTOR",
                                        "    Return a human readable latency analysis report.",
                                        "GRAPH <event>",
                                        "    Return an ASCII latency graph for the <event> class.",
                                        "HISTORY <event>",
                                        "    Return time-latency samples for the <event> class.",
                                        "LATEST",
                                        "    Return the latest latency samples for all events.",
                                        "RESET [<event> ...]",
                                        "    Reset latency data of one or more <event> classes.",
                                        "    (default: reset all data for all event classes)",
                                        "HISTOGRAM [COMMAND ...]",
                                        "    Return a cumulative distribution of latencies in the format of "
                                        "a histogram for the specified command "
                                        "names.",
                                        "    If no commands are specified then all histograms are replied.",
                                        NULL};
    return server_help(rq, lines);
}

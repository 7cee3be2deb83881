/* latency_cmd.c: LATENCY HISTOGRAM: counts what is measured: every slow command, a sample of the fast ones,
 * whose counts are scaled up to the calls. The other sub-commands are the monitor's (latency.c).
 * https://redis.io/docs/latest/commands/latency-histogram/ */
#include "command/server.h"

#include <strings.h>

/* The largest microsecond that Redis' histogram of two digits counts into the bucket. */
static int64_t bucket_end(unsigned i)
{
    uint64_t ns = 1024ull << i;
    return (int64_t)((ns + ns / 128 - 1) / 1000);
}

/* Calls up to each bucket that has some; returns how many buckets have. */
static unsigned distribution(const struct command_stats *stats, uint64_t upto[TOOK_BUCKETS])
{
    uint64_t measured = 0, seen = 0;
    unsigned used = 0;
    for (unsigned i = 0; i < TOOK_BUCKETS; i++)
        measured += stats->took[i];
    for (unsigned i = 0; i < TOOK_BUCKETS; i++) {
        seen += stats->took[i];
        upto[i] = measured ? (uint64_t)((unsigned __int128)stats->calls * seen / measured) : 0;
        used += stats->took[i] > 0;
    }
    return used;
}

static void reply_histogram(struct request *rq, const struct command *cmd, const struct command_stats *stats)
{
    uint64_t upto[TOOK_BUCKETS];
    unsigned used = distribution(stats, upto);
    reply_bulk(rq->out, slice_str(cmd->full_name));
    reply_map(rq->out, 2);
    reply_bulk(rq->out, SLICE_LIT("calls"));
    reply_int(rq->out, (int64_t)stats->calls);
    reply_bulk(rq->out, SLICE_LIT("histogram_usec"));
    reply_map(rq->out, used);
    for (unsigned i = 0; i < TOOK_BUCKETS; i++)
        if (stats->took[i]) {
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
        uint64_t upto[TOOK_BUCKETS];
        if (!cmd || !is_asked_for(rq, cmd))
            continue;
        rq->env->box->stats_sum(rq->env, id, &stats);
        if (stats.calls == 0 || distribution(&stats, upto) == 0)
            continue;
        n++;
        if (reply)
            reply_histogram(rq, cmd, &stats);
    }
    return n;
}

enum command_result latency_histogram_run(struct request *rq)
{
    const char *tracking = config_text(rq->env->conf, "latency-tracking");
    bool on = !tracking || strcasecmp(tracking, "no") != 0;
    reply_map(rq->out, on ? histograms(rq, false) : 0);
    if (on)
        histograms(rq, true);
    return CMD_DONE;
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

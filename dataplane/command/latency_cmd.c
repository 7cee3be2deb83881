/* latency_cmd.c: LATENCY. The latency monitor is not built yet: replies are those of a monitor that has seen
 * no event. https://redis.io/docs/latest/commands/latency-latest/ */
#include "command/server.h"

enum command_result latency_latest_run(struct request *rq)
{
    reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result latency_history_run(struct request *rq)
{
    reply_array(rq->out, 0);
    return CMD_DONE;
}

enum command_result latency_reset_run(struct request *rq)
{
    reply_int(rq->out, 0);
    return CMD_DONE;
}

enum command_result latency_histogram_run(struct request *rq)
{
    reply_map(rq->out, 0);
    return CMD_DONE;
}

enum command_result latency_graph_run(struct request *rq)
{
    int shown = rq->argv[2].len > 128 ? 128 : (int)rq->argv[2].len;
    reply_errorf(rq->out, "ERR No samples available for event '%.*s'", shown, (const char *)rq->argv[2].p);
    return CMD_DONE;
}

enum command_result latency_doctor_run(struct request *rq)
{
    static const char report[] =
        "Latency events are not recorded on this box yet, so there is nothing to diagnose. "
        "SLOWLOG GET shows commands that were slow to execute.\n";
    reply_verbatim(rq->out, "txt", SLICE_LIT(report));
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

/* streams_range.c: XRANGE and XREVRANGE. */
#include "command/stream_commands.h"
#include "command/streams.h"

static enum command_result range(struct request *rq, bool reverse)
{
    struct value_at v;
    struct stream_id from, to;
    int64_t count = -1;
    if (!request_stream_start(rq, reverse ? 3 : 2, &from) || !request_stream_end(rq, reverse ? 2 : 3, &to))
        return CMD_DONE;
    for (int i = 4; i < rq->argc; i += 2) {
        if (!slice_is(rq->argv[i], "COUNT") || i + 1 == rq->argc) {
            reply_syntax_error(rq->out);
            return CMD_DONE;
        }
        if (!request_int(rq, i + 1, &count, NULL))
            return CMD_DONE;
        if (count < 0)
            count = 0;
    }
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_STREAM, &v))
        return CMD_DONE;
    uint64_t most = count < 0 ? UINT64_MAX : (uint64_t)count;
    if (v.e && turn_wanted(rq, most) &&
        turn_wanted(rq, stream_count(stream_of(&v), from, to, rq->env->turn_work + 1, NULL)))
        return CMD_LONG;
    if (!v.e)
        reply_array(rq->out, 0);
    else if (count == 0)
        reply_null_array(rq->out);
    else
        reply_stream_range(rq, stream_of(&v), from, to, most, reverse);
    return CMD_DONE;
}

enum command_result xrange_command(struct request *rq)
{
    return range(rq, false);
}

enum command_result xrevrange_command(struct request *rq)
{
    return range(rq, true);
}

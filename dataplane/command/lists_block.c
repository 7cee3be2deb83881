/* lists_block.c: BLPOP, BRPOP, BLMPOP, BLMOVE, BRPOPLPUSH: the first run, and what runs again when a key has
 * become ready (as Redis 7.0: that key alone serves the client). https://redis.io/docs/latest/commands/blpop/
 */
#include "command/lists.h"

/* The keys that a run looks at. */
struct keys {
    int first, count;
};

static struct keys keys_of(const struct request *rq, int first, int count)
{
    return rq->served ? (struct keys){rq->served, 1} : (struct keys){first, count};
}

static enum command_result wait_for(struct request *rq, int first, int keys, uint64_t timeout_ms)
{
    return request_block(
        rq, &(struct block_spec){.type = TYPE_LIST, .first = first, .keys = keys, .timeout_ms = timeout_ms});
}

static enum command_result pop(struct request *rq, enum list_end end)
{
    uint64_t timeout;
    struct keys k = keys_of(rq, 1, rq->argc - 2);
    if (!request_timeout(rq, rq->argc - 1, &timeout) || list_pop_try(rq, k.first, k.count, end))
        return CMD_DONE;
    return wait_for(rq, 1, rq->argc - 2, timeout);
}

enum command_result blpop_command(struct request *rq)
{
    return pop(rq, LIST_HEAD);
}

enum command_result brpop_command(struct request *rq)
{
    return pop(rq, LIST_TAIL);
}

enum command_result blmpop_command(struct request *rq)
{
    struct list_mpop m;
    uint64_t timeout;
    if (!request_list_mpop(rq, 2, &m) || !request_timeout(rq, 1, &timeout))
        return CMD_DONE;
    struct keys k = keys_of(rq, 3, m.keys);
    enum command_result result = list_mpop_try(rq, k.first, k.count, m.end, m.count);
    return result == CMD_BLOCK ? wait_for(rq, 3, m.keys, timeout) : result;
}

/* It waits for the source; the destination may lie in another shard. */
static enum command_result move(struct request *rq, enum list_end from, enum list_end to, uint64_t timeout_ms)
{
    if (list_move_try(rq, 1, 2, from, to))
        return CMD_DONE;
    if (!request_may_block(rq)) {
        reply_null(rq->out);
        return CMD_DONE;
    }
    return request_block(rq, &(struct block_spec){.type = TYPE_LIST,
                                                  .first = 1,
                                                  .keys = 1,
                                                  .timeout_ms = timeout_ms,
                                                  .several = rq->route == ROUTE_ALL});
}

enum command_result blmove_command(struct request *rq)
{
    enum list_end from, to;
    uint64_t timeout;
    if (!request_list_end(rq, 3, &from) || !request_list_end(rq, 4, &to) || !request_timeout(rq, 5, &timeout))
        return CMD_DONE;
    return move(rq, from, to, timeout);
}

enum command_result brpoplpush_command(struct request *rq)
{
    uint64_t timeout;
    if (!request_timeout(rq, 3, &timeout))
        return CMD_DONE;
    return move(rq, LIST_TAIL, LIST_HEAD, timeout);
}

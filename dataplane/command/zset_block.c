/* zset_block.c: BZPOPMIN, BZPOPMAX, BZMPOP: the first run, and what runs again when a key has become ready.
 * https://redis.io/docs/latest/commands/bzpopmin/ */
#include "command/zset.h"
#include "command/zset_commands.h"

static enum command_result wait_for(struct request *rq, int first, int keys, uint64_t timeout_ms)
{
    return request_block(
        rq, &(struct block_spec){.type = TYPE_ZSET, .first = first, .keys = keys, .timeout_ms = timeout_ms});
}

static enum command_result pop(struct request *rq, bool greatest)
{
    uint64_t timeout;
    int keys = rq->argc - 2;
    if (!request_timeout(rq, rq->argc - 1, &timeout) ||
        zset_pop_try(rq, rq->served ? rq->served : 1, rq->served ? 1 : keys, greatest))
        return CMD_DONE;
    return wait_for(rq, 1, keys, timeout);
}

enum command_result bzpopmin_command(struct request *rq)
{
    return pop(rq, false);
}

enum command_result bzpopmax_command(struct request *rq)
{
    return pop(rq, true);
}

enum command_result bzmpop_command(struct request *rq)
{
    struct zset_mpop m;
    uint64_t timeout;
    if (!request_zset_mpop(rq, 2, &m) || !request_timeout(rq, 1, &timeout))
        return CMD_DONE;
    enum command_result result =
        zset_mpop_try(rq, rq->served ? rq->served : 3, rq->served ? 1 : m.keys, m.greatest, m.count);
    return result == CMD_BLOCK ? wait_for(rq, 3, m.keys, timeout) : result;
}

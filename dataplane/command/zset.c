/* zset.c: ZADD, ZINCRBY, ZREM, ZCARD, ZSCORE, ZMSCORE, ZRANK, ZREVRANK, and what all sorted set commands
 * share. https://redis.io/docs/latest/commands/?group=sorted-set */
#include "command/zset.h"
#include "base/number.h"
#include "command/zset_commands.h"

bool request_zset(struct request *rq, const struct key *k, unsigned how, struct value_at *v, struct zset *z)
{
    if (!request_value(rq, k, how, TYPE_ZSET, v))
        return false;
    zset_open(z, v->s, v->e);
    return true;
}

bool request_double(const struct request *rq, int i, double *out, const char *error)
{
    if (parse_double(rq->argv[i], out))
        return true;
    reply_error(rq->out, error);
    return false;
}

bool request_at_least(const struct request *rq, int i, int64_t least, int64_t *out, const char *error)
{
    if (parse_i64(rq->argv[i], out) && *out >= least)
        return true;
    reply_error(rq->out, error);
    return false;
}

void reply_elements(struct resp_writer *out, uint64_t count, bool with_scores)
{
    reply_array(out, with_scores && out->proto == 2 ? count * 2 : count);
}

void reply_element(struct resp_writer *out, const struct zset_element *e, bool with_scores)
{
    if (with_scores && out->proto > 2)
        reply_array(out, 2);
    reply_bulk(out, e->member);
    if (with_scores)
        reply_double(out, e->score);
}

/* -- ZADD, ZINCRBY
 * --------------------------------------------------------------------------------------------- */

enum { ADD_CH = 1 << 8 };

/* The options from argument 2 on; returns the index of the first score. */
static int add_options(const struct request *rq, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flag;
    } options[] = {{"NX", ZSET_NX},     {"XX", ZSET_XX}, {"CH", ADD_CH},
                   {"INCR", ZSET_INCR}, {"GT", ZSET_GT}, {"LT", ZSET_LT}};
    enum { OPTIONS = sizeof options / sizeof options[0] };
    for (int i = 2; i < rq->argc; i++) {
        unsigned o = 0;
        while (o < OPTIONS && !slice_is(rq->argv[i], options[o].name))
            o++;
        if (o == OPTIONS)
            return i;
        *flags |= options[o].flag;
    }
    return rq->argc;
}

/* What is wrong with the options and the number of pairs, or NULL. */
static const char *add_error(unsigned flags, int words)
{
    if (words == 0 || words % 2)
        return "ERR syntax error";
    if (flags & ZSET_NX && flags & ZSET_XX)
        return "ERR XX and NX options at the same time are not compatible";
    if ((flags & ZSET_NX && flags & (ZSET_GT | ZSET_LT)) || (flags & ZSET_GT && flags & ZSET_LT))
        return "ERR GT, LT, and/or NX options at the same time are not compatible";
    if (flags & ZSET_INCR && words > 2)
        return "ERR INCR option supports a single increment-element pair";
    return NULL;
}

static enum command_result add(struct request *rq, unsigned flags)
{
    struct value_at v;
    int64_t added = 0, updated = 0;
    double score = 0;
    enum zset_outcome outcome = ZSET_SAME;
    int first = add_options(rq, &flags);
    const char *error = add_error(flags, rq->argc - first);
    if (error) {
        reply_error(rq->out, error);
        return CMD_DONE;
    }
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = first; i < rq->argc; i += 2, turn_take(rq->turn))
        if (!request_double(rq, i, &score, "ERR value is not a valid float"))
            return CMD_DONE;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_ZSET, &v))
        return CMD_DONE;
    if (rq->argc - first > 2 && store_room_for(&v, rq->argv + first, (size_t)(rq->argc - first)) != STORE_OK)
        outcome = ZSET_OOM;
    for (int i = first; i < rq->argc && outcome != ZSET_OOM && outcome != ZSET_NAN;
         i += 2, turn_take(rq->turn)) {
        if (rq->argc - first > 2)
            parse_double(rq->argv[i], &score);
        outcome = zset_add(&v, rq->argv[i + 1], &score, flags);
        added += outcome == ZSET_ADDED;
        updated += outcome == ZSET_UPDATED;
    }
    if (outcome == ZSET_OOM)
        reply_oom(rq->out);
    else if (outcome == ZSET_NAN)
        reply_error(rq->out, "ERR resulting score is not a number (NaN)");
    else if (!(flags & ZSET_INCR))
        reply_int(rq->out, flags & ADD_CH ? added + updated : added);
    else if (outcome == ZSET_REFUSED)
        reply_null(rq->out);
    else
        reply_double(rq->out, score);
    return CMD_DONE;
}

enum command_result zadd_command(struct request *rq)
{
    return add(rq, 0);
}

enum command_result zincrby_command(struct request *rq)
{
    return add(rq, ZSET_INCR);
}

/* -- the others
 * ------------------------------------------------------------------------------------------------ */

enum command_result zrem_command(struct request *rq)
{
    struct value_at v;
    int64_t removed = 0;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_ZSET, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = 2; i < rq->argc && v.e; i++, turn_take(rq->turn))
        removed += zset_remove(&v, rq->argv[i]);
    reply_int(rq->out, removed);
    return CMD_DONE;
}

enum command_result zcard_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    if (request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        reply_int(rq->out, (int64_t)zset_count(&z));
    return CMD_DONE;
}

static void reply_score_of(struct resp_writer *out, const struct zset *z, struct slice member)
{
    double score;
    if (zset_score(z, member, &score))
        reply_double(out, score);
    else
        reply_null(out);
}

enum command_result zscore_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    if (request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        reply_score_of(rq->out, &z, rq->argv[2]);
    return CMD_DONE;
}

enum command_result zmscore_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    if (!request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn))
        reply_score_of(rq->out, &z, rq->argv[i]);
    return CMD_DONE;
}

static enum command_result rank(struct request *rq, bool reverse)
{
    struct value_at v;
    struct zset z;
    uint64_t before;
    double score;
    bool with_score = rq->argc == 4 && slice_is(rq->argv[3], "WITHSCORE");
    if (rq->argc > 4) {
        reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->name);
        return CMD_DONE;
    }
    if (rq->argc > 3 && !with_score) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (!request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (!zset_rank(&z, rq->argv[2], &before, &score)) {
        if (with_score)
            reply_null_array(rq->out);
        else
            reply_null(rq->out);
        return CMD_DONE;
    }
    if (with_score)
        reply_array(rq->out, 2);
    reply_int(rq->out, (int64_t)(reverse ? zset_count(&z) - 1 - before : before));
    if (with_score)
        reply_double(rq->out, score);
    return CMD_DONE;
}

enum command_result zrank_command(struct request *rq)
{
    return rank(rq, false);
}

enum command_result zrevrank_command(struct request *rq)
{
    return rank(rq, true);
}

/* zset_random.c: ZRANDMEMBER. Elements are drawn by rank, so each is as likely as any other.
 * https://redis.io/docs/latest/commands/zrandmember/ */
#include "command/zset.h"
#include "command/zset_commands.h"
#include <limits.h>
#include <stdlib.h>

static void reply_rank(struct request *rq, const struct zset *z, uint64_t rank, bool with_scores)
{
    struct zset_walk w;
    struct zset_element e;
    zset_walk(&w, z, rank, false);
    if (zset_next(&w, &e))
        reply_element(rq->out, &e, with_scores);
}

/* Each draw is of all elements. A client that takes no more replies ends it. */
static void draw_again_and_again(struct request *rq, const struct zset *z, uint64_t n,
                                 bool with_scores)
{
    uint64_t count = zset_count(z);
    reply_elements(rq->out, n, with_scores);
    for (; n > 0 && !rq->out->failed; n--, turn_take(rq->turn))
        reply_rank(rq, z, env_random(rq->env) % count, with_scores);
}

/* Many of the elements: one walk that takes each with the chance that is left for it (Knuth's algorithm S).
 */
static void draw_walking(struct request *rq, const struct zset *z, uint64_t n, bool with_scores)
{
    uint64_t left = zset_count(z);
    struct zset_walk w;
    struct zset_element e;
    zset_walk(&w, z, left - 1, true);
    for (; n > 0 && zset_next(&w, &e); left--) {
        turn_take(rq->turn);
        if (env_random(rq->env) % left >= n)
            continue;
        reply_element(rq->out, &e, with_scores);
        n--;
    }
}

/* Few of them: ranks until n different ones have come. seen: rank + 1, open addressing. */
static void draw_ranks(struct request *rq, const struct zset *z, uint64_t n, bool with_scores, uint64_t *seen,
                       uint64_t room)
{
    uint64_t count = zset_count(z);
    while (n > 0) {
        turn_take(rq->turn);
        uint64_t rank = env_random(rq->env) % count, at = rank * 0x9e3779b97f4a7c15u >> 20 & (room - 1);
        while (seen[at] && seen[at] != rank + 1)
            at = (at + 1) & (room - 1);
        if (seen[at])
            continue;
        seen[at] = rank + 1;
        reply_rank(rq, z, rank, with_scores);
        n--;
    }
}

static void draw_different(struct request *rq, const struct zset *z, uint64_t n, bool with_scores)
{
    enum { WALK_FROM = 4 };
    uint64_t count = zset_count(z), room = 64, *seen = NULL;
    n = n < count ? n : count;
    if (n <= count / WALK_FROM) {
        while (room < n * 2)
            room *= 2;
        seen = calloc(room, sizeof *seen);
        if (!seen) {
            reply_oom(rq->out);
            return;
        }
    }
    reply_elements(rq->out, n, with_scores);
    if (seen)
        draw_ranks(rq, z, n, with_scores, seen, room);
    else
        draw_walking(rq, z, n, with_scores);
    free(seen);
}

/* The count and WITHSCORES. False after replying an error. */
static bool take_arguments(struct request *rq, int64_t *count, bool *with_scores)
{
    if (!request_int(rq, 2, count, NULL))
        return false;
    if (*count == INT64_MIN) {
        reply_errorf(rq->out, "ERR value is out of range, value must between %ld and %ld", -LONG_MAX,
                     LONG_MAX);
        return false;
    }
    if (rq->argc > 4 || (rq->argc == 4 && !slice_is(rq->argv[3], "WITHSCORES"))) {
        reply_syntax_error(rq->out);
        return false;
    }
    *with_scores = rq->argc == 4;
    if (*with_scores && (*count < -LONG_MAX / 2 || *count > LONG_MAX / 2)) {
        reply_error(rq->out, "ERR value is out of range");
        return false;
    }
    return true;
}

enum command_result zrandmember_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    int64_t count = 0;
    bool with_scores = false;
    if ((rq->argc > 2 && !take_arguments(rq, &count, &with_scores)) ||
        !request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (rq->argc > 2 && v.e && turn_wanted(rq, turn_draws(count, zset_count(&z))))
        return CMD_LONG;
    if (rq->argc == 2 && !v.e)
        reply_null(rq->out);
    else if (rq->argc == 2)
        reply_rank(rq, &z, env_random(rq->env) % zset_count(&z), false);
    else if (!v.e || count == 0)
        reply_array(rq->out, 0);
    else if (count < 0)
        draw_again_and_again(rq, &z, (uint64_t)-count, with_scores);
    else
        draw_different(rq, &z, (uint64_t)count, with_scores);
    return CMD_DONE;
}

/* zset_range.c: ZRANGE and its older forms, ZRANGESTORE, ZCOUNT, ZLEXCOUNT, ZREMRANGEBY*.
 * https://redis.io/docs/latest/commands/zrange/ */
#include "command/reply_run.h"
#include "command/zset.h"
#include "command/zset_commands.h"

enum by { BY_AUTO, BY_RANK, BY_SCORE, BY_LEX };
enum direction { WAY_AUTO, WAY_FORWARD, WAY_REVERSE };

/* A query of the ZRANGE family. */
struct query {
    int key; /* argument; the ends follow it */
    bool store;
    enum by by;
    enum direction way;
    bool with_scores;
    int64_t offset, limit; /* limit < 0: none */
    int64_t start, stop;
    struct score_range score;
    struct lex_range lex;
};

/* One option at *i, which is moved on to its last word. False if it is none. */
static bool take_option(const struct request *rq, struct query *q, int *i)
{
    struct slice word = rq->argv[*i];
    if (!q->store && slice_is(word, "WITHSCORES"))
        q->with_scores = true;
    else if (q->way == WAY_AUTO && slice_is(word, "REV"))
        q->way = WAY_REVERSE;
    else if (q->by == BY_AUTO && slice_is(word, "BYLEX"))
        q->by = BY_LEX;
    else if (q->by == BY_AUTO && slice_is(word, "BYSCORE"))
        q->by = BY_SCORE;
    else {
        reply_syntax_error(rq->out);
        return false;
    }
    return true;
}

static bool take_options(const struct request *rq, struct query *q)
{
    for (int i = q->key + 3; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "LIMIT") && rq->argc - i > 2) {
            if (!request_int(rq, i + 1, &q->offset, NULL) || !request_int(rq, i + 2, &q->limit, NULL))
                return false;
            i += 2;
        } else if (!take_option(rq, q, &i)) {
            return false;
        }
    }
    if (q->way == WAY_AUTO)
        q->way = WAY_FORWARD;
    if (q->by == BY_AUTO)
        q->by = BY_RANK;
    if (q->limit != -1 && q->by == BY_RANK) {
        reply_error(rq->out,
                    "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or "
                    "BYLEX");
        return false;
    }
    if (q->with_scores && q->by == BY_LEX) {
        reply_error(rq->out, "ERR syntax error, WITHSCORES not supported in combination with BYLEX");
        return false;
    }
    return true;
}

static bool take_ends(const struct request *rq, struct query *q)
{
    int low = q->key + 1, high = q->key + 2;
    bool swapped = q->way == WAY_REVERSE;
    if (q->by == BY_RANK)
        return request_int(rq, low, &q->start, NULL) && request_int(rq, high, &q->stop, NULL);
    if (q->by == BY_SCORE)
        return request_score_range(rq, swapped ? high : low, swapped ? low : high, &q->score);
    return request_lex_range(rq, swapped ? high : low, swapped ? low : high, &q->lex);
}

static struct rank_range limited(struct rank_range r, const struct query *q)
{
    uint64_t count = r.end - r.first;
    bool reverse = q->way == WAY_REVERSE;
    if (q->offset < 0 || (uint64_t)q->offset >= count)
        return (struct rank_range){0, 0};
    uint64_t left = count - (uint64_t)q->offset;
    uint64_t taken = q->limit < 0 || (uint64_t)q->limit > left ? left : (uint64_t)q->limit;
    uint64_t first = reverse ? r.end - (uint64_t)q->offset - taken : r.first + (uint64_t)q->offset;
    return (struct rank_range){first, first + taken};
}

static struct rank_range find_range(const struct zset *z, const struct query *q)
{
    bool reverse = q->way == WAY_REVERSE;
    if (q->by == BY_RANK)
        return rank_range_of(zset_count(z), q->start, q->stop, reverse);
    return limited(q->by == BY_SCORE ? score_range_in(z, &q->score) : lex_range_in(z, &q->lex, reverse), q);
}

static void reply_range(struct request *rq, const struct zset *z, struct rank_range r, const struct query *q)
{
    uint64_t count = r.end - r.first;
    struct zset_walk w;
    struct zset_element e;
    struct pack_run run;
    bool reverse = q->way == WAY_REVERSE;
    reply_elements(rq->out, count, q->with_scores);
    if (count == 0)
        return;
    zset_walk(&w, z, reverse ? r.end - 1 : r.first, reverse);
    if (!q->with_scores && zset_run(&w, &run)) {
        reply_run_firsts(rq->out, &run, &count, rq->turn);
        return;
    }
    while (count-- > 0 && turn_goes_on(rq->turn) && zset_next(&w, &e))
        reply_element(rq->out, &e, q->with_scores);
}

/* The elements come one after the other, as in Redis: a zero loses its sign while the copy is still compact.
 * Of ranks alone it is known before how many come. */
static void store_range(struct request *rq, const struct zset *z, struct rank_range r, const struct query *q)
{
    const struct collection_limits *limits = &rq->env->conf->limits;
    struct tally t = {0};
    struct zset_walk w;
    struct zset_element e;
    struct key to = request_key(rq, 1);
    bool compact = q->by != BY_RANK || r.end - r.first <= limits->zset_entries;
    bool reverse = q->way == WAY_REVERSE;
    zset_walk(&w, z, reverse ? r.end - 1 : r.first, reverse);
    t.turn = rq->turn;
    for (uint64_t i = 0; i < r.end - r.first && zset_next(&w, &e); i++) {
        turn_take(rq->turn);
        compact = compact && i < limits->zset_entries && e.member.len <= limits->zset_value;
        tally_add(&t, e.member, compact ? e.score + 0.0 : e.score);
    }
    tally_sort(&t);
    tally_store(rq, &t, &to);
    tally_free(&t);
}

static enum command_result range(struct request *rq, int key, enum by by, enum direction way)
{
    struct query q = {.key = key, .store = key == 2, .by = by, .way = way, .limit = -1};
    struct value_at v;
    struct zset z;
    if (!take_options(rq, &q) || !take_ends(rq, &q))
        return CMD_DONE;
    struct key k = request_key(rq, key);
    if (!request_zset(rq, &k, LOOK_READ, &v, &z))
        return CMD_DONE;
    struct rank_range r = find_range(&z, &q);
    if (turn_wanted_for(rq, v.e, r.end - r.first, v.e ? zset_count(&z) : 1))
        return CMD_LONG;
    if (q.store)
        store_range(rq, &z, r, &q);
    else
        reply_range(rq, &z, r, &q);
    return CMD_DONE;
}

enum command_result zrange_command(struct request *rq)
{
    return range(rq, 1, BY_AUTO, WAY_AUTO);
}

enum command_result zrangestore_command(struct request *rq)
{
    return range(rq, 2, BY_AUTO, WAY_AUTO);
}

enum command_result zrevrange_command(struct request *rq)
{
    return range(rq, 1, BY_RANK, WAY_REVERSE);
}

enum command_result zrangebyscore_command(struct request *rq)
{
    return range(rq, 1, BY_SCORE, WAY_FORWARD);
}

enum command_result zrevrangebyscore_command(struct request *rq)
{
    return range(rq, 1, BY_SCORE, WAY_REVERSE);
}

enum command_result zrangebylex_command(struct request *rq)
{
    return range(rq, 1, BY_LEX, WAY_FORWARD);
}

enum command_result zrevrangebylex_command(struct request *rq)
{
    return range(rq, 1, BY_LEX, WAY_REVERSE);
}

/* -- counting and removing
 * ------------------------------------------------------------------------------------- */

/* The elements between the ends in arguments 2 and 3, found in the key's value. False after replying an
 * error. */
static bool find_between(struct request *rq, enum by by, unsigned how, struct value_at *v,
                         struct rank_range *r)
{
    struct query q = {.key = 1, .by = by, .way = WAY_FORWARD, .limit = -1};
    struct zset z;
    if (!take_ends(rq, &q) || !request_zset(rq, &rq->key, how, v, &z))
        return false;
    *r = find_range(&z, &q);
    return true;
}

static enum command_result count_between(struct request *rq, enum by by)
{
    struct value_at v;
    struct rank_range r;
    if (find_between(rq, by, LOOK_READ, &v, &r))
        reply_int(rq->out, (int64_t)(r.end - r.first));
    return CMD_DONE;
}

static uint64_t v_count(const struct value_at *v)
{
    struct zset z;
    zset_open(&z, v->s, v->e);
    return zset_count(&z);
}

/* What removes all of them takes no time: the elements are freed in slices. */
static enum command_result remove_between(struct request *rq, enum by by)
{
    struct value_at v;
    struct rank_range r;
    if (!find_between(rq, by, LOOK_WRITE, &v, &r))
        return CMD_DONE;
    if (turn_wanted(rq, 8 * (r.end - r.first)) && r.end - r.first < v_count(&v))
        return CMD_LONG;
    zset_remove_ranks(&v, r.first, r.end);
    reply_int(rq->out, (int64_t)(r.end - r.first));
    return CMD_DONE;
}

enum command_result zcount_command(struct request *rq)
{
    return count_between(rq, BY_SCORE);
}

enum command_result zlexcount_command(struct request *rq)
{
    return count_between(rq, BY_LEX);
}

enum command_result zremrangebyrank_command(struct request *rq)
{
    return remove_between(rq, BY_RANK);
}

enum command_result zremrangebyscore_command(struct request *rq)
{
    return remove_between(rq, BY_SCORE);
}

enum command_result zremrangebylex_command(struct request *rq)
{
    return remove_between(rq, BY_LEX);
}

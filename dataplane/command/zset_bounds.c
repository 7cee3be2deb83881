/* zset_bounds.c: ranges of ranks, scores and members as the ZRANGE family writes them.
 * https://redis.io/docs/latest/commands/zrange/ */
#include "command/zset.h"
#include <math.h>
#include <stdlib.h>

struct rank_range rank_range_of(uint64_t count, int64_t start, int64_t stop, bool reverse)
{
    int64_t n = (int64_t)count;
    if (start < 0)
        start = start + n < 0 ? 0 : start + n;
    if (stop < 0)
        stop += n;
    if (start > stop || start >= n)
        return (struct rank_range){0, 0};
    if (stop >= n)
        stop = n - 1;
    return reverse ? (struct rank_range){(uint64_t)(n - 1 - stop), (uint64_t)(n - start)}
                   : (struct rank_range){(uint64_t)start, (uint64_t)stop + 1};
}

/* As strtod reads it: blanks before it and an empty text are allowed here, other than in ZADD. */
static bool parse_end(struct slice s, double *score, bool *exclusive)
{
    char text[512], *end;
    *exclusive = s.len > 0 && s.p[0] == '(';
    s.p += *exclusive;
    s.len -= *exclusive;
    if (s.len >= sizeof text)
        return false;
    if (s.len)
        memcpy(text, s.p, s.len);
    text[s.len] = 0;
    *score = strtod(text, &end);
    return *end == 0 && !isnan(*score);
}

bool request_score_range(const struct request *rq, int min, int max, struct score_range *out)
{
    if (parse_end(rq->argv[min], &out->min, &out->min_exclusive) &&
        parse_end(rq->argv[max], &out->max, &out->max_exclusive))
        return true;
    reply_error(rq->out, "ERR min or max is not a float");
    return false;
}

struct rank_range score_range_in(const struct zset *z, const struct score_range *range)
{
    struct rank_range r = {zset_rank_of_score(z, range->min, range->min_exclusive),
                           zset_rank_of_score(z, range->max, !range->max_exclusive)};
    if (r.end < r.first)
        r.end = r.first;
    return r;
}

static bool parse_lex(struct slice s, struct zset_lex *out)
{
    *out = (struct zset_lex){0};
    if (s.len == 0)
        return false;
    switch (s.p[0]) {
    case '-':
        out->kind = LEX_LEAST;
        return s.len == 1;
    case '+':
        out->kind = LEX_MOST;
        return s.len == 1;
    case '(':
    case '[':
        out->kind = LEX_MEMBER;
        out->exclusive = s.p[0] == '(';
        out->member = (struct slice){s.p + 1, s.len - 1};
        return true;
    default:
        return false;
    }
}

bool request_lex_range(const struct request *rq, int min, int max, struct lex_range *out)
{
    if (parse_lex(rq->argv[min], &out->min) && parse_lex(rq->argv[max], &out->max))
        return true;
    reply_error(rq->out, "ERR min or max not valid string range item");
    return false;
}

struct rank_range lex_range_in(const struct zset *z, const struct lex_range *range, bool reverse)
{
    struct rank_range r;
    zset_lex_range(z, &range->min, &range->max, reverse, &r.first, &r.end);
    return r;
}

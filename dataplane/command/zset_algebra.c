/* zset_algebra.c: ZUNION, ZINTER, ZDIFF, their STORE forms, ZINTERCARD. Sets take part as sorted sets whose
 * scores are 1. https://redis.io/docs/latest/commands/zunionstore/ */
#include "command/zset.h"
#include "command/zset_commands.h"
#include "store/set.h"
#include <math.h>
#include <stdlib.h>

enum operation { UNION, INTER, DIFF };
enum aggregate { SUM, MIN, MAX };

/* A key that takes part. */
struct input {
    struct zset z;
    const struct shard *s;
    const struct entry *set; /* in place of z */
    uint64_t count;
    double weight;
    int order; /* as it was given */
};

struct algebra {
    enum operation operation;
    bool store, only_count, with_scores;
    enum aggregate aggregate;
    int64_t limit; /* of ZINTERCARD, 0 = none */
    int first;     /* argument of the first key */
    unsigned inputs;
    struct input *input;
};

/* -- arguments
 * ------------------------------------------------------------------------------------------------- */

static bool take_numkeys(struct request *rq, struct algebra *a)
{
    int64_t n;
    if (!request_int(rq, a->first - 1, &n, NULL))
        return false;
    if (n < 1) {
        reply_errorf(rq->out, "ERR at least 1 input key is needed for '%s' command", rq->cmd->name);
        return false;
    }
    if (n > rq->argc - a->first) {
        reply_syntax_error(rq->out);
        return false;
    }
    a->inputs = (unsigned)n;
    return true;
}

/* The elements of an input from the greatest on; a set's in no order. */
struct input_walk {
    const struct input *in;
    struct zset_walk w;
    struct set_cursor cursor;
    struct set_member member;
};

static void input_walk(struct input_walk *w, const struct input *in)
{
    w->in = in;
    w->cursor = (struct set_cursor){0};
    zset_walk(&w->w, &in->z, in->count - 1, true);
}

static bool input_next(struct input_walk *w, struct zset_element *e)
{
    if (!w->in->set)
        return zset_next(&w->w, e);
    if (!set_next(w->in->s, w->in->set, &w->cursor, &w->member))
        return false;
    *e = (struct zset_element){w->member.text, 1};
    return true;
}

static bool input_score(const struct input *in, struct slice member, double *score)
{
    if (!in->set)
        return zset_score(&in->z, member, score);
    *score = 1;
    return set_has(in->s, in->set, member);
}

static bool take_input(struct request *rq, const struct algebra *a, unsigned i)
{
    struct input *in = &a->input[i];
    struct key k = request_key(rq, a->first + (int)i);
    const struct entry *e = request_find(rq, &k, LOOK_READ);
    in->s = request_shard(rq, &k);
    in->weight = 1;
    in->order = (int)i;
    if (e && entry_type(e) == TYPE_SET) {
        in->set = e;
        in->count = set_count(e);
    } else if (e && entry_type(e) != TYPE_ZSET) {
        reply_wrong_type(rq->out);
        return false;
    } else {
        zset_open(&in->z, in->s, e);
        in->count = zset_count(&in->z);
    }
    return true;
}

static bool take_inputs(struct request *rq, struct algebra *a)
{
    a->input = calloc(a->inputs, sizeof *a->input);
    if (!a->input) {
        reply_oom(rq->out);
        return false;
    }
    struct turn *turn = turn_of_keys(rq, a->inputs);
    for (unsigned i = 0; i < a->inputs; i++, turn_take(turn))
        if (!take_input(rq, a, i))
            return false;
    return true;
}

static bool take_weights(struct request *rq, struct algebra *a, int at)
{
    for (unsigned i = 0; i < a->inputs; i++, turn_take(rq->turn))
        if (!request_double(rq, at + (int)i, &a->input[i].weight, "ERR weight value is not a float"))
            return false;
    return true;
}

static bool take_aggregate(struct request *rq, struct algebra *a, int at)
{
    static const char *const names[] = {"SUM", "MIN", "MAX"};
    for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++)
        if (slice_is(rq->argv[at], names[i])) {
            a->aggregate = (enum aggregate)i;
            return true;
        }
    reply_syntax_error(rq->out);
    return false;
}

static bool take_options(struct request *rq, struct algebra *a)
{
    bool weighs = a->operation != DIFF && !a->only_count;
    for (int i = a->first + (int)a->inputs; i < rq->argc;) {
        int left = rq->argc - i;
        struct slice word = rq->argv[i];
        if (weighs && left > (int)a->inputs && slice_is(word, "WEIGHTS")) {
            if (!take_weights(rq, a, i + 1))
                return false;
            i += 1 + (int)a->inputs;
        } else if (weighs && left >= 2 && slice_is(word, "AGGREGATE")) {
            if (!take_aggregate(rq, a, i + 1))
                return false;
            i += 2;
        } else if (!a->store && !a->only_count && slice_is(word, "WITHSCORES")) {
            a->with_scores = true;
            i++;
        } else if (a->only_count && left >= 2 && slice_is(word, "LIMIT")) {
            if (!request_at_least(rq, i + 1, 0, &a->limit, "ERR LIMIT can't be negative"))
                return false;
            i += 2;
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

/* -- results
 * --------------------------------------------------------------------------------------------------- */

/* inf times 0, and inf less inf, count as 0. */
static double number_or_zero(double score)
{
    return isnan(score) ? 0 : score;
}

static void merge(double *score, double other, enum aggregate how)
{
    if (how == SUM)
        *score = number_or_zero(*score + other);
    else if (how == MIN ? other < *score : other > *score)
        *score = other;
}

/* The smallest first; equal ones as they were given. */
static int compare_inputs(const void *a, const void *b)
{
    const struct input *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    return x->order - y->order;
}

static void unite(const struct algebra *a, struct tally *t)
{
    struct input_walk w;
    struct zset_element e;
    for (unsigned i = 0; i < a->inputs; i++) {
        const struct input *in = &a->input[i];
        for (input_walk(&w, in); input_next(&w, &e) && !t->failed;) {
            turn_take(t->turn);
            double score = number_or_zero(in->weight * e.score), *there = tally_find(t, e.member);
            if (there)
                merge(there, score, a->aggregate);
            else
                tally_add(t, e.member, score);
        }
    }
}

/* True if all other inputs have the member; *score is what comes of all. */
static bool in_all(const struct algebra *a, const struct zset_element *e, double *score)
{
    double other;
    *score = number_or_zero(a->input[0].weight * e->score);
    for (unsigned i = 1; i < a->inputs; i++) {
        if (!input_score(&a->input[i], e->member, &other))
            return false;
        merge(score, other * a->input[i].weight, a->aggregate);
    }
    return true;
}

static uint64_t intersect(const struct algebra *a, struct tally *t)
{
    struct input_walk w;
    struct zset_element e;
    uint64_t found = 0;
    double score;
    for (input_walk(&w, &a->input[0]); input_next(&w, &e) && !t->failed;) {
        turn_take(t->turn);
        if (!in_all(a, &e, &score))
            continue;
        if (!a->only_count)
            tally_add(t, e.member, score);
        if (++found == (uint64_t)a->limit)
            break;
    }
    return found;
}

static bool in_others(const struct algebra *a, struct slice member)
{
    double score;
    for (unsigned i = 1; i < a->inputs; i++)
        if (input_score(&a->input[i], member, &score))
            return true;
    return false;
}

static void subtract(const struct algebra *a, struct tally *t)
{
    struct input_walk w;
    struct zset_element e;
    for (input_walk(&w, &a->input[0]); input_next(&w, &e); turn_take(t->turn))
        if (!in_others(a, e.member))
            tally_add(t, e.member, e.score);
}

static void reply_tally(struct request *rq, const struct tally *t, bool with_scores)
{
    if (t->failed) {
        reply_oom(rq->out);
        return;
    }
    reply_elements(rq->out, t->count, with_scores);
    for (uint64_t i = 0; i < t->count; i++, turn_take(rq->turn))
        reply_element(rq->out, &t->element[i], with_scores);
}

static void compute(struct request *rq, struct algebra *a)
{
    struct tally t = {.turn = rq->turn};
    uint64_t found = 0;
    if (a->operation != DIFF)
        qsort(a->input, a->inputs, sizeof a->input[0], compare_inputs);
    if (a->operation == UNION)
        unite(a, &t);
    else if (a->operation == INTER)
        found = intersect(a, &t);
    else
        subtract(a, &t);
    tally_sort(&t);
    if (a->only_count) {
        reply_int(rq->out, (int64_t)found);
    } else if (a->store) {
        struct key to = request_key(rq, 1);
        tally_store(rq, &t, &to);
    } else {
        reply_tally(rq, &t, a->with_scores);
    }
    tally_free(&t);
}

/* All elements, or the smallest input's; each costs more here than in other commands. */
static uint64_t work_of(const struct algebra *a)
{
    uint64_t all = 0, least = UINT64_MAX;
    for (unsigned i = 0; i < a->inputs; i++) {
        all += a->input[i].count;
        least = a->input[i].count < least ? a->input[i].count : least;
    }
    return 4 * (a->operation == UNION ? all : a->operation == DIFF ? a->input[0].count : least);
}

static enum command_result combine(struct request *rq, enum operation operation, bool store, bool only_count)
{
    struct algebra a = {
        .operation = operation, .store = store, .only_count = only_count, .first = store ? 3 : 2};
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    bool ok = take_numkeys(rq, &a) && take_inputs(rq, &a) && take_options(rq, &a);
    bool later = ok && turn_wanted(rq, work_of(&a));
    if (ok && !later)
        compute(rq, &a);
    free(a.input);
    return later ? CMD_LONG : CMD_DONE;
}

enum command_result zunion_command(struct request *rq)
{
    return combine(rq, UNION, false, false);
}

enum command_result zinter_command(struct request *rq)
{
    return combine(rq, INTER, false, false);
}

enum command_result zdiff_command(struct request *rq)
{
    return combine(rq, DIFF, false, false);
}

enum command_result zintercard_command(struct request *rq)
{
    return combine(rq, INTER, false, true);
}

enum command_result zunionstore_command(struct request *rq)
{
    return combine(rq, UNION, true, false);
}

enum command_result zinterstore_command(struct request *rq)
{
    return combine(rq, INTER, true, false);
}

enum command_result zdiffstore_command(struct request *rq)
{
    return combine(rq, DIFF, true, false);
}

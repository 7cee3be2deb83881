/* set_algebra.c: SINTER, SINTERCARD, SUNION, SDIFF and their STORE forms.
 * https://redis.io/docs/latest/commands/sinter/, sintercard/, sunion/, sdiff/
 *
 * A reply is made in two passes over the same members, one that counts and one that replies: nothing is
 * allocated. A result to be stored grows as a draft, for its place may be one of the sources,
 * and takes the place of the destination when it is complete. */
#include "command/set_commands.h"
#include "store/draft.h"
#include "store/set.h"
#include <stdlib.h>

enum operation { INTERSECT, UNITE, SUBTRACT };
enum { ROOM = 32 };

struct source {
    struct shard *s;
    struct entry *e; /* NULL: an empty set */
};

struct algebra {
    enum operation operation;
    int n;
    struct source *source, room[ROOM];
    struct turn *turn;
};

static void algebra_free(struct algebra *a)
{
    if (a->source != a->room)
        free(a->source);
}

/* The n keys from argument `from` on. False after replying an error. Of many keys in slices. */
static bool algebra_init(struct algebra *a, struct request *rq, enum operation operation, int from, int n)
{
    *a = (struct algebra){.operation = operation, .n = n, .turn = rq->turn};
    a->source = n <= ROOM ? a->room : malloc((size_t)n * sizeof *a->source);
    if (!a->source) {
        reply_oom(rq->out);
        return false;
    }
    struct turn *turn = turn_of_keys(rq, (uint64_t)n);
    for (int i = 0; i < n; i++, turn_take(turn)) {
        struct key k = request_key(rq, from + i);
        struct value_at v;
        if (!request_value(rq, &k, LOOK_READ, TYPE_SET, &v)) {
            algebra_free(a);
            return false;
        }
        a->source[i] = (struct source){v.s, v.e};
    }
    return true;
}

static uint64_t source_count(const struct source *source)
{
    return source->e ? set_count(source->e) : 0;
}

/* The smallest set is walked, the others are asked from small to large. */
static int by_count(const void *a, const void *b)
{
    uint64_t m = source_count(a), n = source_count(b);
    return (m > n) - (m < n);
}

static bool source_has(const struct source *source, struct slice member)
{
    return source->e && set_has(source->s, source->e, member);
}

/* Of very many sources. */
static inline void look_at_next(const struct algebra *a, int i)
{
    if (i % ROOM == ROOM - 1)
        turn_take(a->turn);
}

/* Is a member of source i part of the result, and not seen before? */
static bool belongs(const struct algebra *a, int i, struct slice member)
{
    if (a->operation == UNITE) {
        for (int j = 0; j < i; look_at_next(a, j++))
            if (source_has(&a->source[j], member))
                return false;
        return true;
    }
    for (int j = 1; j < a->n; look_at_next(a, j++))
        if (source_has(&a->source[j], member) != (a->operation == INTERSECT))
            return false;
    return true;
}

/* Visits the result, at most `limit` members; visit returns false to stop. How many there were. */
static uint64_t algebra_each(const struct algebra *a, uint64_t limit,
                             bool (*visit)(const struct set_member *member, void *arg), void *arg)
{
    uint64_t found = 0;
    struct set_member member;
    for (int i = 0; i < (a->operation == UNITE ? a->n : 1); i++) {
        struct set_cursor cursor = {0};
        const struct source *source = &a->source[i];
        while (source->e && found < limit && turn_goes_on(a->turn) &&
               set_next(source->s, source->e, &cursor, &member)) {
            if (!belongs(a, i, member.text))
                continue;
            found++;
            if (visit && !visit(&member, arg))
                return found;
        }
    }
    return found;
}

static bool reply_member(const struct set_member *member, void *out)
{
    reply_bulk(out, member->text);
    return true;
}

/* Of very many only the smallest comes first: to sort them would take long. */
static void algebra_sort(struct algebra *a)
{
    enum { SORTED_MOST = 1024 };
    if (a->operation != INTERSECT)
        return;
    if (a->n <= SORTED_MOST) {
        qsort(a->source, (size_t)a->n, sizeof *a->source, by_count);
        return;
    }
    for (int i = 1; i < a->n; look_at_next(a, i++))
        if (by_count(&a->source[0], &a->source[i]) > 0) {
            struct source least = a->source[i];
            a->source[i] = a->source[0];
            a->source[0] = least;
        }
}

/* Look-ups: of each member of one set, or of all, in the others. */
static bool is_long(const struct request *rq, const struct algebra *a)
{
    uint64_t members = 0;
    for (int i = 0; i < (a->operation == UNITE ? a->n : 1); i++)
        members += source_count(&a->source[i]);
    return turn_wanted(rq, members * (uint64_t)a->n);
}

static enum command_result reply_algebra(struct request *rq, enum operation operation)
{
    struct algebra a;
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    if (!algebra_init(&a, rq, operation, 1, rq->argc - 1))
        return CMD_DONE;
    algebra_sort(&a);
    if (is_long(rq, &a)) {
        algebra_free(&a);
        return CMD_LONG;
    }
    reply_set(rq->out, algebra_each(&a, UINT64_MAX, NULL, NULL));
    algebra_each(&a, UINT64_MAX, reply_member, rq->out);
    algebra_free(&a);
    return CMD_DONE;
}

enum command_result sinter_command(struct request *rq)
{
    return reply_algebra(rq, INTERSECT);
}

enum command_result sunion_command(struct request *rq)
{
    return reply_algebra(rq, UNITE);
}

enum command_result sdiff_command(struct request *rq)
{
    return reply_algebra(rq, SUBTRACT);
}

/* -- SINTERCARD -- */

/* False after replying the error. */
static bool parse_intercard(struct request *rq, int64_t *keys, int64_t *limit)
{
    if (!request_int(rq, 1, keys, "ERR numkeys should be greater than 0"))
        return false;
    if (*keys < 1) {
        reply_error(rq->out, "ERR numkeys should be greater than 0");
        return false;
    }
    if (*keys > rq->argc - 2) {
        reply_error(rq->out, "ERR Number of keys can't be greater than number of args");
        return false;
    }
    for (int i = 2 + (int)*keys; i < rq->argc; i += 2) {
        if (!slice_is(rq->argv[i], "LIMIT") || i + 1 == rq->argc) {
            reply_syntax_error(rq->out);
            return false;
        }
        if (!request_int(rq, i + 1, limit, "ERR LIMIT can't be negative"))
            return false;
        if (*limit < 0) {
            reply_error(rq->out, "ERR LIMIT can't be negative");
            return false;
        }
    }
    return true;
}

enum command_result sintercard_command(struct request *rq)
{
    struct algebra a;
    int64_t keys, limit = 0;
    if (!parse_intercard(rq, &keys, &limit))
        return CMD_DONE;
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    if (!algebra_init(&a, rq, INTERSECT, 2, (int)keys))
        return CMD_DONE;
    algebra_sort(&a);
    if (is_long(rq, &a)) {
        algebra_free(&a);
        return CMD_LONG;
    }
    reply_int(rq->out, (int64_t)algebra_each(&a, limit ? (uint64_t)limit : UINT64_MAX, NULL, NULL));
    algebra_free(&a);
    return CMD_DONE;
}

/* -- STORE -- */

struct result {
    struct draft draft;
    bool failed;
};

static bool store_member(const struct set_member *member, void *arg)
{
    struct result *r = arg;
    bool added;
    r->failed = set_add(&r->draft.v, member->text, &added) != STORE_OK;
    return !r->failed;
}

static void hold_sources(struct algebra *a, void (*what)(struct entry *e))
{
    for (int i = 0; i < a->n; look_at_next(a, i++))
        if (a->source[i].e)
            what(a->source[i].e);
}

/* The destination becomes the result. -1 without memory. */
static int64_t place_result(struct result *r, unsigned db, const struct key *to)
{
    const struct value_at *v = &r->draft.v;
    int64_t count = v->e ? (int64_t)set_count(v->e) : 0;
    if (r->failed)
        draft_drop(&r->draft);
    else if (v->e)
        r->failed = draft_place(&r->draft, db, to, 0) != STORE_OK;
    else
        store_delete(v->s, db, to);
    return r->failed ? -1 : count;
}

static enum command_result store_algebra(struct request *rq, enum operation operation)
{
    struct algebra a;
    struct key to = request_key(rq, 1);
    struct result r = {.failed = false};
    if (turn_wanted_keys(rq, KEY_WORK))
        return CMD_LONG;
    if (!algebra_init(&a, rq, operation, 2, rq->argc - 2))
        return CMD_DONE;
    algebra_sort(&a);
    if (is_long(rq, &a)) {
        algebra_free(&a);
        return CMD_LONG;
    }
    draft_begin(&r.draft, request_shard(rq, &to));
    hold_sources(&a, store_hold);
    algebra_each(&a, UINT64_MAX, store_member, &r);
    hold_sources(&a, store_release);
    int64_t count = place_result(&r, rq->client->db, &to);
    if (count < 0)
        reply_oom(rq->out);
    else
        reply_int(rq->out, count);
    algebra_free(&a);
    return CMD_DONE;
}

enum command_result sinterstore_command(struct request *rq)
{
    return store_algebra(rq, INTERSECT);
}

enum command_result sunionstore_command(struct request *rq)
{
    return store_algebra(rq, UNITE);
}

enum command_result sdiffstore_command(struct request *rq)
{
    return store_algebra(rq, SUBTRACT);
}

/* streams_claim.c: XPENDING, XCLAIM, XAUTOCLAIM: what was delivered and not acknowledged.
 * https://redis.io/docs/latest/commands/xpending/, xclaim/, xautoclaim/
 *
 * A claim first reserves memory for all that may change hands, then decides and changes entry by entry, and
 * replies when it knows how many there are. */
#include "base/number.h"
#include "command/effects.h"
#include "command/stream_commands.h"
#include "command/streams.h"
#include <limits.h>
#include <stdlib.h>

static struct stream_pending *next_pending(struct order_cursor *cursor)
{
    return (struct stream_pending *)(uintptr_t)order_next(cursor);
}

/* -- XPENDING
 * -------------------------------------------------------------------------------------------------- */

static void reply_summary(struct resp_writer *out, const struct stream_group *g)
{
    uint64_t owners = 0, pending = g->pending.count;
    const struct stream_consumer *c;
    reply_array(out, 4);
    reply_int(out, (int64_t)pending);
    if (pending == 0) {
        reply_null(out);
        reply_null(out);
        reply_null_array(out);
        return;
    }
    uint64_t first = order_at(&g->pending, 0, NULL), last = order_at(&g->pending, pending - 1, NULL);
    reply_stream_id(out, ((const struct stream_pending *)(uintptr_t)first)->id);
    reply_stream_id(out, ((const struct stream_pending *)(uintptr_t)last)->id);
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++)
        owners += c->pending.count > 0;
    reply_array(out, owners);
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++) {
        if (c->pending.count == 0)
            continue;
        reply_array(out, 2);
        reply_bulk(out, stream_consumer_name(c));
        reply_bulk_int(out, (int64_t)c->pending.count);
    }
}

struct pending_options {
    int64_t idle, count;
    struct stream_id from, to;
    int consumer; /* argument, 0 = none */
};

/* False after replying an error. */
static bool read_pending_options(struct request *rq, struct pending_options *o)
{
    int i = 3;
    *o = (struct pending_options){0};
    if (slice_is(rq->argv[i], "IDLE")) {
        if (!request_int(rq, 4, &o->idle, NULL))
            return false;
        if (rq->argc < 8) {
            reply_syntax_error(rq->out);
            return false;
        }
        i += 2;
    }
    if (!request_int(rq, i + 2, &o->count, NULL) || !request_stream_start(rq, i, &o->from) ||
        !request_stream_end(rq, i + 1, &o->to))
        return false;
    if (o->count < 0)
        o->count = 0;
    if (i + 3 < rq->argc)
        o->consumer = i + 3;
    return true;
}

static int64_t idle_time(const struct request *rq, const struct stream_pending *p)
{
    return (int64_t)rq->env->now_ms - p->delivered;
}

static void reply_pending(struct request *rq, const struct stream_pending *p)
{
    int64_t idle = idle_time(rq, p);
    reply_array(rq->out, 4);
    reply_stream_id(rq->out, p->id);
    reply_bulk(rq->out, stream_consumer_name(p->consumer));
    reply_int(rq->out, idle < 0 ? 0 : idle);
    reply_int(rq->out, p->deliveries);
}

/* Counts the entries of the list that are asked for, and replies them if told so. */
static uint64_t list_pending(struct request *rq, const struct pending_options *o, const struct order *list,
                             bool reply)
{
    struct order_cursor cursor;
    uint64_t count = 0;
    struct stream_pending *p = stream_pending_seek(list, o->from, &cursor, NULL);
    for (; p && count < (uint64_t)o->count && stream_id_compare(p->id, o->to) <= 0;
         p = next_pending(&cursor)) {
        turn_take(rq->turn);
        if (o->idle && idle_time(rq, p) < o->idle)
            continue;
        count++;
        if (reply)
            reply_pending(rq, p);
    }
    return count;
}

enum command_result xpending_command(struct request *rq)
{
    struct pending_options o;
    struct value_at v;
    struct stream_group *g;
    if (rq->argc != 3 && (rq->argc < 6 || rq->argc > 9)) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if ((rq->argc > 3 && !read_pending_options(rq, &o)) || !request_stream_group(rq, &v, &g))
        return CMD_DONE;
    if (rq->argc == 3) {
        reply_summary(rq->out, g);
        return CMD_DONE;
    }
    const struct stream_consumer *c = o.consumer ? stream_consumer_find(g, rq->argv[o.consumer]) : NULL;
    const struct order *list = c ? &c->pending : &g->pending;
    bool nobody = o.consumer && !c;
    if (!nobody && turn_wanted(rq, (uint64_t)o.count) && turn_wanted(rq, list->count))
        return CMD_LONG;
    reply_array(rq->out, nobody ? 0 : list_pending(rq, &o, list, false));
    if (!nobody)
        list_pending(rq, &o, list, true);
    return CMD_DONE;
}

/* -- claims
 * ---------------------------------------------------------------------------------------------------- */

struct id_list {
    struct stream_id *id;
    size_t count, cap;
};

static bool list_add(struct id_list *l, struct stream_id id)
{
    if (l->count == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct stream_id *more = realloc(l->id, cap * sizeof *more);
        if (!more)
            return false;
        l->id = more;
        l->cap = cap;
    }
    l->id[l->count++] = id;
    return true;
}

struct claim {
    struct value_at v;
    struct stream_group *g;
    struct stream_consumer *c;
    bool made_consumer, just_id;
    int64_t min_idle;
    struct id_list claimed, deleted;
};

static void claim_end(struct claim *cl)
{
    free(cl->claimed.id);
    free(cl->deleted.id);
}

/* Takes back what was done before memory ran out. */
static void claim_undo(struct claim *cl, const struct stream_id *id, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stream_pending_settle(&cl->v, cl->g, cl->c, id[i]);
    if (cl->made_consumer)
        stream_consumer_remove(&cl->v, cl->g, cl->c);
}

static void reply_claimed(struct request *rq, const struct claim *cl)
{
    reply_array(rq->out, cl->claimed.count);
    for (size_t i = 0; i < cl->claimed.count; i++, turn_take(rq->turn)) {
        if (cl->just_id)
            reply_stream_id(rq->out, cl->claimed.id[i]);
        else
            reply_stream_entry_of(rq->out, stream_of(&cl->v), cl->claimed.id[i]);
    }
}

/* -- XCLAIM
 * ---------------------------------------------------------------------------------------------------- */

struct claim_options {
    struct stream_id *id; /* heap, from argument 5 on */
    int ids;
    bool force;
    int64_t delivered, deliveries; /* -1: not given */
    struct stream_id last;
};

static bool number_option(struct request *rq, int i, const char *name, int64_t *out)
{
    if (parse_i64(rq->argv[i], out))
        return true;
    reply_errorf(rq->out, "ERR Invalid %s option argument for XCLAIM", name);
    return false;
}

static bool read_claim_option(struct request *rq, struct claim *cl, struct claim_options *o, int *i)
{
    struct slice word = rq->argv[*i];
    bool more = *i + 1 < rq->argc;
    if (slice_is(word, "FORCE"))
        return o->force = true;
    if (slice_is(word, "JUSTID"))
        return cl->just_id = true;
    if (more && slice_is(word, "IDLE")) {
        int64_t idle;
        if (!number_option(rq, ++*i, "IDLE", &idle))
            return false;
        o->delivered = (int64_t)(rq->env->now_ms - (uint64_t)idle);
        return true;
    }
    if (more && slice_is(word, "TIME"))
        return number_option(rq, ++*i, "TIME", &o->delivered);
    if (more && slice_is(word, "RETRYCOUNT"))
        return number_option(rq, ++*i, "RETRYCOUNT", &o->deliveries);
    if (more && slice_is(word, "LASTID"))
        return request_stream_id(rq, ++*i, &o->last);
    reply_errorf(rq->out, "ERR Unrecognized XCLAIM option '%.*s'", STREAM_WORD(word));
    return false;
}

/* Reads IDs as long as there are some, and options behind them. False after replying an error. */
static bool read_claim(struct request *rq, struct claim *cl, struct claim_options *o)
{
    int i = 5;
    o->delivered = o->deliveries = -1;
    if (!parse_i64(rq->argv[4], &cl->min_idle)) {
        reply_error(rq->out, "ERR Invalid min-idle-time argument for XCLAIM");
        return false;
    }
    for (; i < rq->argc && parse_stream_id(rq->argv[i], &o->id[o->ids], 0, true, NULL);
         i++, turn_take(rq->turn))
        o->ids++;
    for (; i < rq->argc; i++)
        if (!read_claim_option(rq, cl, o, &i))
            return false;
    bool loading = rq->client->flags & CLIENT_INTERNAL; /* time stands still then (load_log.c) */
    if (o->delivered < 0 || (o->delivered > (int64_t)rq->env->now_ms && !loading))
        o->delivered = (int64_t)rq->env->now_ms;
    return true;
}

static void claim_one(struct request *rq, struct claim *cl, const struct claim_options *o,
                      struct stream_id id)
{
    struct stream_pending *p = stream_pending_find(cl->g, id);
    if (!stream_has(stream_of(&cl->v), id)) {
        if (p)
            stream_pending_remove(&cl->v, cl->g, id);
        if (p && effects_of(rq))
            effects_dropped(rq, rq->argv[1], cl->g, id);
        return;
    }
    if (!p || (p->consumer && cl->min_idle > 0 && idle_time(rq, p) < cl->min_idle))
        return;
    if (!p->consumer)
        p->deliveries = 1;
    p->delivered = o->delivered;
    if (o->deliveries >= 0)
        p->deliveries = o->deliveries;
    else if (!cl->just_id)
        p->deliveries++;
    stream_pending_take(&cl->v, cl->c, p);
    cl->c->active = (int64_t)rq->env->now_ms;
    cl->claimed.id[cl->claimed.count++] = id;
    if (effects_of(rq))
        effects_claimed(rq, rq->argv[1], cl->g, cl->c, p);
}

static bool reserve_claims(struct claim *cl, const struct claim_options *o, struct turn *turn)
{
    cl->claimed.id = malloc(((size_t)o->ids + 1) * sizeof(struct stream_id));
    for (int i = 0; cl->claimed.id && i < o->ids; i++, turn_take(turn))
        if (stream_has(stream_of(&cl->v), o->id[i]) &&
            stream_pending_reserve(&cl->v, cl->g, cl->c, o->id[i], o->force) != STORE_OK)
            return false;
    return cl->claimed.id;
}

static void run_claim(struct request *rq, struct claim *cl, const struct claim_options *o)
{
    cl->c = request_stream_consumer(rq, &cl->v, cl->g, rq->argv[3], &cl->made_consumer);
    if (!cl->c)
        return;
    if (!reserve_claims(cl, o, rq->turn)) {
        claim_undo(cl, o->id, (size_t)o->ids);
        reply_oom(rq->out);
        return;
    }
    if (stream_id_compare(o->last, cl->g->last) > 0) {
        cl->g->last = o->last;
        if (effects_of(rq))
            effects_read(rq, rq->argv[1], cl->g);
    }
    cl->c->seen = (int64_t)rq->env->now_ms;
    for (int i = 0; i < o->ids; i++, turn_take(rq->turn))
        claim_one(rq, cl, o, o->id[i]);
    for (int i = 0; i < o->ids; i++, turn_take(rq->turn))
        stream_pending_settle(&cl->v, cl->g, cl->c, o->id[i]);
    reply_claimed(rq, cl);
}

enum command_result xclaim_command(struct request *rq)
{
    struct claim cl = {0};
    if (!request_stream_group(rq, &cl.v, &cl.g))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    struct claim_options o = {.id = malloc((size_t)rq->argc * sizeof *o.id)};
    if (!o.id)
        reply_oom(rq->out);
    else if (read_claim(rq, &cl, &o))
        run_claim(rq, &cl, &o);
    claim_end(&cl);
    free(o.id);
    return CMD_DONE;
}

/* -- XAUTOCLAIM
 * ------------------------------------------------------------------------------------------------ */

enum { ATTEMPTS = 10 }; /* pending entries looked at, for each one that is asked for */

/* False after replying an error. */
static bool read_autoclaim(struct request *rq, struct claim *cl, struct stream_id *start, int64_t *count)
{
    *count = 100;
    if (!parse_i64(rq->argv[4], &cl->min_idle)) {
        reply_error(rq->out, "ERR Invalid min-idle-time argument for XAUTOCLAIM");
        return false;
    }
    if (!request_stream_start(rq, 5, start))
        return false;
    for (int i = 6; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "COUNT") && i + 1 < rq->argc) {
            if (!request_int(rq, ++i, count, "ERR COUNT must be > 0"))
                return false;
            if (*count < 1 || *count > LONG_MAX / (long)sizeof(struct stream_id)) {
                reply_error(rq->out, "ERR COUNT must be > 0");
                return false;
            }
        } else if (slice_is(rq->argv[i], "JUSTID")) {
            cl->just_id = true;
        } else {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

/* Finds what is to be claimed and what is pending without being there any more, and reserves memory. *next:
 * where the next call is to go on. False without memory. */
static bool find_claims(struct request *rq, struct claim *cl, struct stream_id start, int64_t count,
                        struct stream_id *next)
{
    struct order_cursor cursor;
    struct stream_pending *p = stream_pending_seek(&cl->g->pending, start, &cursor, NULL);
    for (int64_t tries = count * ATTEMPTS; tries > 0 && count > 0 && p; tries--, p = next_pending(&cursor)) {
        turn_take(rq->turn);
        bool there = stream_has(stream_of(&cl->v), p->id);
        if (there && cl->min_idle > 0 && idle_time(rq, p) < cl->min_idle)
            continue;
        if (!list_add(there ? &cl->claimed : &cl->deleted, p->id))
            return false;
        if (there && stream_pending_reserve(&cl->v, cl->g, cl->c, p->id, false) != STORE_OK)
            return false;
        count--;
    }
    *next = p ? p->id : STREAM_ID_MIN;
    return true;
}

static void run_autoclaim(struct request *rq, struct claim *cl, struct stream_id start, int64_t count)
{
    struct stream_id next;
    cl->c = request_stream_consumer(rq, &cl->v, cl->g, rq->argv[3], &cl->made_consumer);
    if (!cl->c)
        return;
    if (!find_claims(rq, cl, start, count, &next)) {
        claim_undo(cl, cl->claimed.id, cl->claimed.count);
        reply_oom(rq->out);
        return;
    }
    cl->c->seen = (int64_t)rq->env->now_ms;
    for (size_t i = 0; i < cl->claimed.count; i++, turn_take(rq->turn)) {
        struct stream_pending *p = stream_pending_find(cl->g, cl->claimed.id[i]);
        stream_pending_take(&cl->v, cl->c, p);
        p->delivered = cl->c->active = (int64_t)rq->env->now_ms;
        p->deliveries += !cl->just_id;
        if (effects_of(rq))
            effects_claimed(rq, rq->argv[1], cl->g, cl->c, p);
    }
    reply_array(rq->out, 3);
    reply_stream_id(rq->out, next);
    reply_claimed(rq, cl);
    reply_array(rq->out, cl->deleted.count);
    for (size_t i = 0; i < cl->deleted.count; i++, turn_take(rq->turn)) {
        stream_pending_remove(&cl->v, cl->g, cl->deleted.id[i]);
        if (effects_of(rq))
            effects_dropped(rq, rq->argv[1], cl->g, cl->deleted.id[i]);
        reply_stream_id(rq->out, cl->deleted.id[i]);
    }
}

enum command_result xautoclaim_command(struct request *rq)
{
    struct claim cl = {0};
    struct stream_id start;
    int64_t count;
    if (!read_autoclaim(rq, &cl, &start, &count) || !request_stream_group(rq, &cl.v, &cl.g))
        return CMD_DONE;
    if (turn_wanted(rq, 4 * (uint64_t)count) && turn_wanted(rq, 4 * cl.g->pending.count))
        return CMD_LONG;
    run_autoclaim(rq, &cl, start, count);
    claim_end(&cl);
    return CMD_DONE;
}

/* streams_read.c: XREAD and XREADGROUP.
 *
 * They go over their keys in passes: what each key is to give, then (for a group) memory for
 * what becomes pending, then the reply. Nothing has changed when memory is short. With BLOCK and without
 * entries they wait (request_block), XREAD with what "$" stood for then; the key that has become ready is the
 * one that is read again. */
#include "command/effects.h"
#include "command/stream_commands.h"
#include "command/streams.h"
#include <stdio.h>
#include <stdlib.h>

/* -- arguments */

struct read_options {
    bool in_group, noack, blocks;
    int64_t count; /* 0 = all */
    struct slice group, consumer;
    uint64_t timeout_ms;
    int first, ids; /* arguments: the first key, its ID */
    int streams;
};

/* One key of many. */
struct reading {
    struct key key;
    struct value_at v;
    struct stream_group *g;
    struct stream_consumer *c;
    bool made_consumer;
    bool news, history; /* XREADGROUP: ID ">"; any other one */
    bool serve;
    struct stream_id after;  /* entries behind this one ... */
    struct stream_id until;  /* ... to this one, if there are any */
    struct stream_walk walk; /* XREADGROUP: before the first one of them */
    uint64_t count;
};

static bool block_option(struct request *rq, int i, uint64_t *timeout_ms)
{
    int64_t timeout;
    if (!request_int(rq, i, &timeout, "ERR timeout is not an integer or out of range"))
        return false;
    if (timeout < 0)
        reply_error(rq->out, "ERR timeout is negative");
    else if (timeout > INT64_MAX - (int64_t)rq->env->now_ms)
        reply_error(rq->out, "ERR timeout is out of range");
    else {
        *timeout_ms = (uint64_t)timeout;
        return true;
    }
    return false;
}

static const char group_only[] =
    "ERR The %s option is only supported by XREADGROUP. You called XREAD instead.";

/* One option at argument *i, not STREAMS. False after replying an error. */
static bool read_option(struct request *rq, struct read_options *o, int *i)
{
    struct slice word = rq->argv[*i];
    int more = rq->argc - *i - 1;
    bool group = slice_is(word, "GROUP") && more >= 2, noack = slice_is(word, "NOACK");
    if (slice_is(word, "BLOCK") && more) {
        o->blocks = true;
        if (rq->client->flags & CLIENT_SCRIPT) {
            reply_errorf(rq->out, "ERR %s command is not allowed with BLOCK option from scripts", rq->cmd->name);
            return false;
        }
        return block_option(rq, ++*i, &o->timeout_ms);
    }
    if (slice_is(word, "COUNT") && more) {
        if (!request_int(rq, ++*i, &o->count, NULL))
            return false;
        if (o->count < 0)
            o->count = 0;
        return true;
    }
    if ((group || noack) && !o->in_group) {
        reply_errorf(rq->out, group_only, group ? "GROUP" : "NOACK");
        return false;
    }
    if (group) {
        o->group = rq->argv[*i + 1];
        o->consumer = rq->argv[*i + 2];
        *i += 2;
    } else if (noack) {
        o->noack = true;
    } else {
        reply_syntax_error(rq->out);
        return false;
    }
    return true;
}

static bool read_options(struct request *rq, struct read_options *o)
{
    for (int i = 1; i < rq->argc && !o->first; i++) {
        if (slice_is(rq->argv[i], "STREAMS") && i + 1 < rq->argc)
            o->first = i + 1;
        else if (!read_option(rq, o, &i))
            return false;
    }
    o->streams = (rq->argc - o->first) / 2;
    o->ids = o->first + o->streams;
    if (!o->first)
        reply_syntax_error(rq->out);
    else if ((rq->argc - o->first) % 2)
        reply_error(rq->out, "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be "
                             "specified.");
    else if (o->in_group && !o->group.p)
        reply_error(rq->out, "ERR Missing GROUP option for XREADGROUP");
    else
        return true;
    return false;
}

/* The ID of a key: what is to be read. */
static bool read_id(struct request *rq, const struct read_options *o, int i, struct reading *r)
{
    struct slice id = rq->argv[i];
    bool dollar = id.len == 1 && id.p[0] == '$';
    r->news = id.len == 1 && id.p[0] == '>';
    r->history = o->in_group && !r->news;
    if (dollar && o->in_group) {
        reply_error(rq->out, "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the "
                             "history of this consumer by specifying a proper ID, or use the > ID to get new "
                             "messages. The $ ID would just return an empty result set.");
        return false;
    }
    if (r->news && !o->in_group) {
        reply_error(rq->out, "ERR The > ID can be specified only when calling XREADGROUP using the GROUP "
                             "<group> <consumer> option.");
        return false;
    }
    if (dollar)
        r->after = r->v.e ? stream_of(&r->v)->last : STREAM_ID_MIN;
    if (dollar || r->news)
        return true;
    if (!request_stream_id(rq, i, &r->after))
        return false;
    if (r->history && stream_id_compare(r->after, STREAM_ID_MAX) == 0) { /* another name of ">" */
        r->news = true;
        r->history = false;
    }
    return true;
}

static bool read_key(struct request *rq, const struct read_options *o, int i, struct reading *r)
{
    r->key = request_key(rq, o->first + i);
    if (!request_value(rq, &r->key, LOOK_READ, TYPE_STREAM, &r->v))
        return false;
    if (o->in_group) {
        r->g = r->v.e ? stream_group_find(stream_of(&r->v), o->group) : NULL;
        if (!r->g) {
            reply_errorf(
                rq->out,
                "NOGROUP No such key '%.*s' or consumer group '%.*s' in XREADGROUP with GROUP option",
                STREAM_WORD(r->key.name), STREAM_WORD(o->group));
            return false;
        }
    }
    return read_id(rq, o, o->ids + i, r);
}

/* -- what each key gives
 * --------------------------------------------------------------------------------------- */

/* A group that is read twice by one command goes on where the first time will have ended. */
static struct stream_id group_after(const struct reading *all, const struct reading *r)
{
    struct stream_id after = r->g->last;
    for (const struct reading *other = all; other < r; other++)
        if (other->g == r->g && other->news && other->serve)
            after = other->until;
    return after;
}

static void find_entries(struct request *rq, const struct read_options *o, struct reading *all,
                         struct reading *r)
{
    const struct stream *st = stream_of(&r->v);
    r->serve = r->history;
    if (!st || !st->length || r->history)
        return;
    if (r->news)
        r->after = group_after(all, r);
    struct stream_id from = r->after;
    if (!stream_id_next(&from) || stream_id_compare(stream_last_entry(st), from) < 0)
        return;
    r->serve = true;
    uint64_t most = o->count ? (uint64_t)o->count : UINT64_MAX;
    if (!r->news) {
        r->count = stream_count(st, from, STREAM_ID_MAX, most, rq->turn);
        return;
    }
    struct stream_walk w;
    stream_walk(&w, st, from, STREAM_ID_MAX, false);
    for (; r->count < most && stream_walk_next(&w); r->count++, turn_take(rq->turn)) {
        r->until = w.id;
        if (r->count == 0) {
            r->walk = w;
            stream_walk_back(&r->walk);
        }
    }
}

/* The stream stays as it is while its entries become pending. */
static struct stream_walk walk_news(const struct reading *r)
{
    struct stream_walk w = r->walk;
    w.to = r->until;
    return w;
}

static bool reserve(struct request *rq, const struct read_options *o, struct reading *r)
{
    r->c = request_stream_consumer(rq, &r->v, r->g, o->consumer, &r->made_consumer);
    if (!r->c)
        return false;
    if (!r->news || !r->serve || o->noack)
        return true;
    struct stream_walk w = walk_news(r);
    for (; stream_walk_next(&w); turn_take(rq->turn))
        if (stream_pending_reserve(&r->v, r->g, r->c, w.id, true) != STORE_OK) {
            reply_oom(rq->out);
            return false;
        }
    return true;
}

static void settle(const struct read_options *o, struct reading *r)
{
    if (!r->c || !r->news || !r->serve || o->noack)
        return;
    struct stream_walk w = walk_news(r);
    while (stream_walk_next(&w))
        stream_pending_settle(&r->v, r->g, r->c, w.id);
}

/* Memory for all keys, or for none. */
static bool reserve_all(struct request *rq, const struct read_options *o, struct reading *all)
{
    int held = 0, i;
    bool *was = calloc((size_t)o->streams + 1, sizeof *was);
    bool ok = was;
    if (!was)
        reply_oom(rq->out);
    for (; ok && held < o->streams; held++)
        was[held] = !stream_hold(&all[held].v);
    for (i = 0; ok && i < o->streams; i++)
        ok = reserve(rq, o, &all[i]);
    for (int j = 0; !ok && j < i; j++)
        settle(o, &all[j]);
    while (!ok && i-- > 0)
        if (all[i].c && all[i].made_consumer)
            stream_consumer_remove(&all[i].v, all[i].g, all[i].c);
    while (held-- > 0)
        if (!was[held])
            stream_release(&all[held].v);
    free(was);
    return ok;
}

/* -- replies
 * --------------------------------------------------------------------------------------------------- */

static void reply_old(struct request *rq, const struct reading *r, struct stream_pending *p)
{
    const struct stream *st = stream_of(&r->v);
    if (stream_has(st, p->id)) {
        reply_stream_entry_of(rq->out, st, p->id);
        p->delivered = (int64_t)rq->env->now_ms;
        p->deliveries++;
        if (effects_of(rq))
            effects_claimed(rq, r->key.name, r->g, r->c, p);
        return;
    }
    reply_array(rq->out, 2);
    reply_stream_id(rq->out, p->id);
    reply_null_array(rq->out);
}

/* Counts what is pending for the consumer behind an ID, and replies it if told so. The same command may have
 * reserved more than that, for another reading of the same stream. */
static uint64_t list_history(struct request *rq, const struct read_options *o, const struct reading *r,
                             bool reply)
{
    struct order_cursor cursor;
    struct stream_id from = r->after;
    uint64_t count = 0;
    struct stream_pending *p =
        stream_id_next(&from) ? stream_pending_seek(&r->c->pending, from, &cursor, NULL) : NULL;
    for (; p && (!o->count || count < (uint64_t)o->count);
         p = (struct stream_pending *)(uintptr_t)order_next(&cursor)) {
        turn_take(rq->turn);
        if (p->consumer != r->c)
            continue;
        count++;
        if (reply)
            reply_old(rq, r, p);
    }
    return count;
}

static void reply_news(struct request *rq, const struct read_options *o, struct reading *r)
{
    const struct stream *st = stream_of(&r->v);
    struct stream_walk w = walk_news(r);
    reply_array(rq->out, r->count);
    for (; stream_walk_next(&w); turn_take(rq->turn)) {
        stream_group_advance(st, r->g, w.id);
        reply_stream_entry(rq->out, &w);
        if (o->noack)
            continue;
        struct stream_pending *p = stream_pending_find(r->g, w.id);
        stream_pending_take(&r->v, r->c, p);
        p->delivered = r->c->active = (int64_t)rq->env->now_ms;
        p->deliveries = 1;
        if (effects_of(rq))
            effects_claimed(rq, r->key.name, r->g, r->c, p);
    }
    if (effects_of(rq))
        effects_read(rq, r->key.name, r->g);
}

static void reply_reading(struct request *rq, const struct read_options *o, struct reading *r)
{
    struct stream_id from = r->after;
    if (r->c)
        r->c->seen = (int64_t)rq->env->now_ms;
    if (!r->serve)
        return;
    if (rq->out->proto == 2)
        reply_array(rq->out, 2);
    reply_bulk(rq->out, r->key.name);
    if (r->history) {
        reply_array(rq->out, list_history(rq, o, r, false));
        list_history(rq, o, r, true);
    } else if (r->news) {
        reply_news(rq, o, r);
    } else {
        stream_id_next(&from);
        reply_stream_range(rq, stream_of(&r->v), from, STREAM_ID_MAX, r->count, false);
    }
}

/* The IDs with what "$" means now. NULL if none is a "$", or (*ok false) out of memory. */
static struct slice *ids_as_of_now(struct request *rq, const struct read_options *o,
                                   const struct reading *all, bool *ok)
{
    enum { TEXT = 48 };
    bool any = false;
    for (int i = 0; i < o->streams; i++)
        any |= slice_is(rq->argv[o->ids + i], "$");
    struct slice *ids = any ? malloc((size_t)o->streams * (sizeof *ids + TEXT)) : NULL;
    *ok = ids || !any;
    for (int i = 0; ids && i < o->streams; i++) {
        char *text = (char *)(ids + o->streams) + i * TEXT;
        int n = snprintf(text, TEXT, "%llu-%llu", (unsigned long long)all[i].after.ms,
                         (unsigned long long)all[i].after.seq);
        bool dollar = slice_is(rq->argv[o->ids + i], "$");
        ids[i] = dollar ? (struct slice){(const uint8_t *)text, (size_t)n} : rq->argv[o->ids + i];
    }
    return ids;
}

static enum command_result wait_for(struct request *rq, const struct read_options *o,
                                    const struct reading *all)
{
    struct block_spec spec = {.type = TYPE_STREAM,
                              .first = o->first,
                              .keys = o->streams,
                              .timeout_ms = o->timeout_ms,
                              .gone = o->in_group,
                              .instead_at = o->ids,
                              .insteads = o->streams};
    bool ok = true;
    for (int i = 0; i < o->streams; i++)
        if (all[i].c)
            all[i].c->seen = (int64_t)rq->env->now_ms;
    if (!rq->served && !o->in_group)
        spec.instead = ids_as_of_now(rq, o, all, &ok);
    if (ok)
        return request_block(rq, &spec);
    reply_oom(rq->out);
    return CMD_DONE;
}

/* How many entries of a key are replied, as far as that matters to turn_wanted(). */
static uint64_t work_of(const struct request *rq, const struct read_options *o, const struct reading *r)
{
    const struct stream *st = stream_of(&r->v);
    uint64_t most = rq->env->turn_work + 1;
    if (r->history) {
        const struct stream_consumer *c = stream_consumer_find(r->g, o->consumer);
        return c ? c->pending.count : 0;
    }
    if (!st || (o->count && (uint64_t)o->count < most))
        return st ? (uint64_t)o->count : 0;
    return stream_count(st, r->news ? r->g->last : r->after, STREAM_ID_MAX, most, NULL);
}

static enum command_result read_all(struct request *rq, const struct read_options *o, struct reading *all)
{
    int served = 0;
    uint64_t entries = 0;
    for (int i = 0; i < o->streams; i++)
        if (!read_key(rq, o, i, &all[i]))
            return CMD_DONE;
    for (int i = 0; i < o->streams; i++) {
        request_find(rq, &all[i].key, LOOK_READ); /* Redis looks twice, and counts both */
        entries += work_of(rq, o, &all[i]);
    }
    if (turn_wanted(rq, entries))
        return CMD_LONG;
    for (int i = 0; i < o->streams; i++) {
        find_entries(rq, o, all, &all[i]);
        served += all[i].serve;
    }
    if (o->in_group && !reserve_all(rq, o, all))
        return CMD_DONE;
    if (!served && o->blocks)
        return wait_for(rq, o, all);
    if (!served)
        reply_null_array(rq->out);
    else if (rq->out->proto == 2)
        reply_array(rq->out, (size_t)served);
    else
        reply_map(rq->out, (size_t)served);
    for (int i = 0; i < o->streams; i++)
        reply_reading(rq, o, &all[i]);
    return CMD_DONE;
}

static enum command_result read_streams(struct request *rq, bool in_group)
{
    struct read_options o = {.in_group = in_group};
    enum command_result result = CMD_DONE;
    if (!read_options(rq, &o))
        return CMD_DONE;
    if (rq->served) {
        o.ids += rq->served - o.first;
        o.first = rq->served;
        o.streams = 1;
    }
    struct reading *all = calloc((size_t)o.streams + 1, sizeof *all);
    if (all)
        result = read_all(rq, &o, all);
    else
        reply_oom(rq->out);
    free(all);
    return result;
}

enum command_result xread_command(struct request *rq)
{
    return read_streams(rq, false);
}

enum command_result xreadgroup_command(struct request *rq)
{
    return read_streams(rq, true);
}

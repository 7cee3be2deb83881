/* streams_info.c: XINFO. https://redis.io/docs/latest/commands/xinfo-stream/ and its neighbours; what 7.2 has
 * more than 7.0: active-time and inactive of consumers. */
#include "command/server.h"
#include "command/stream_commands.h"
#include "command/streams.h"

static void key_int(struct resp_writer *out, const char *key, int64_t value)
{
    reply_bulk_str(out, key);
    reply_int(out, value);
}

static void key_id(struct resp_writer *out, const char *key, struct stream_id id)
{
    reply_bulk_str(out, key);
    reply_stream_id(out, id);
}

static void key_slice(struct resp_writer *out, const char *key, struct slice value)
{
    reply_bulk_str(out, key);
    reply_bulk(out, value);
}

static void reply_counts(struct resp_writer *out, const struct stream *st, const struct stream_group *g)
{
    int64_t lag;
    reply_bulk_str(out, "entries-read");
    if (g->entries_read == ENTRIES_READ_UNKNOWN)
        reply_null(out);
    else
        reply_int(out, g->entries_read);
    reply_bulk_str(out, "lag");
    if (stream_group_lag(st, g, &lag))
        reply_int(out, lag);
    else
        reply_null(out);
}

/* -- XINFO STREAM FULL
 * ----------------------------------------------------------------------------------------- */

static uint64_t at_most(uint64_t there, uint64_t most)
{
    return there < most ? there : most;
}

/* The first ones of a list; whose = with the consumer's name. */
static void reply_pending(struct resp_writer *out, const struct order *pending, uint64_t most, bool whose)
{
    struct order_cursor cursor;
    uint64_t left = at_most(pending->count, most), word = order_at(pending, 0, &cursor);
    reply_bulk_str(out, "pending");
    reply_array(out, left);
    for (; left-- > 0; word = order_next(&cursor)) {
        const struct stream_pending *p = (const struct stream_pending *)(uintptr_t)word;
        reply_array(out, whose ? 4 : 3);
        reply_stream_id(out, p->id);
        if (whose)
            reply_bulk(out, stream_consumer_name(p->consumer));
        reply_int(out, p->delivered);
        reply_int(out, p->deliveries);
    }
}

static void reply_full_group(struct resp_writer *out, const struct stream *st, const struct stream_group *g,
                             uint64_t most)
{
    const struct stream_consumer *c;
    reply_map(out, 7);
    key_slice(out, "name", stream_group_name(g));
    key_id(out, "last-delivered-id", g->last);
    reply_counts(out, st, g);
    key_int(out, "pel-count", (int64_t)g->pending.count);
    reply_pending(out, &g->pending, most, true);
    reply_bulk_str(out, "consumers");
    reply_array(out, g->consumers.count);
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++) {
        reply_map(out, 5);
        key_slice(out, "name", stream_consumer_name(c));
        key_int(out, "seen-time", c->seen);
        key_int(out, "active-time", c->active);
        key_int(out, "pel-count", (int64_t)c->pending.count);
        reply_pending(out, &c->pending, most, false);
    }
}

/* The writer takes the turns. */
static void reply_full(struct request *rq, const struct stream *st, uint64_t most)
{
    struct resp_writer *out = rq->out;
    const struct stream_group *g;
    reply_bulk_str(out, "entries");
    reply_stream_range(rq, st, STREAM_ID_MIN, STREAM_ID_MAX, most, false);
    reply_bulk_str(out, "groups");
    reply_array(out, st->groups.count);
    for (uint64_t i = 0; (g = stream_group_at(st, i)) != NULL; i++)
        reply_full_group(out, st, g, most);
}

/* -- XINFO STREAM
 * ---------------------------------------------------------------------------------------------- */

static void key_edge(struct resp_writer *out, const char *key, const struct stream *st, bool last)
{
    struct stream_walk w;
    reply_bulk_str(out, key);
    stream_walk(&w, st, STREAM_ID_MIN, STREAM_ID_MAX, last);
    if (stream_walk_next(&w))
        reply_stream_entry(out, &w);
    else
        reply_null(out);
}

/* What FULL replies: so many entries, and pending ones of each group, twice. */
static uint64_t work_of(const struct stream *st, uint64_t count)
{
    const struct stream_group *g;
    uint64_t most = count ? count : UINT64_MAX, work = at_most(st->length, most);
    for (uint64_t i = 0; (g = stream_group_at(st, i)) != NULL; i++)
        work += 1 + g->consumers.count + 2 * at_most(g->pending.count, most);
    return work;
}

/* FULL and COUNT; false after replying an error. */
static bool read_options(struct request *rq, bool *full, int64_t *count)
{
    *full = rq->argc > 3;
    *count = 10;
    if (*full && ((rq->argc != 4 && rq->argc != 6) || !slice_is(rq->argv[3], "FULL") ||
                  (rq->argc == 6 && !slice_is(rq->argv[4], "COUNT")))) {
        server_unknown_subcommand(rq);
        return false;
    }
    if (rq->argc == 6 && !request_int(rq, 5, count, NULL))
        return false;
    if (*count < 0)
        *count = 10;
    return true;
}

/* The key, which must be there. False after replying an error. */
static bool require_stream(struct request *rq, struct value_at *v)
{
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_STREAM, v))
        return false;
    if (!v->e)
        reply_error(rq->out, "ERR no such key");
    return v->e;
}

enum command_result xinfo_stream_command(struct request *rq)
{
    struct resp_writer *out = rq->out;
    struct value_at v;
    bool full;
    int64_t count;
    if (!require_stream(rq, &v) || !read_options(rq, &full, &count))
        return CMD_DONE;
    const struct stream *st = stream_of(&v);
    if (full && turn_wanted(rq, work_of(st, (uint64_t)count)))
        return CMD_LONG;
    reply_map(out, full ? 9 : 10);
    key_int(out, "length", (int64_t)st->length);
    key_int(out, "radix-tree-keys", (int64_t)st->nodes.count);
    key_int(out, "radix-tree-nodes", (int64_t)st->nodes.count + 1);
    key_id(out, "last-generated-id", st->last);
    key_id(out, "max-deleted-entry-id", st->max_deleted);
    key_int(out, "entries-added", (int64_t)st->entries_added);
    key_id(out, "recorded-first-entry-id", st->first);
    if (full) {
        reply_full(rq, st, count ? (uint64_t)count : UINT64_MAX);
        return CMD_DONE;
    }
    key_int(out, "groups", (int64_t)st->groups.count);
    key_edge(out, "first-entry", st, false);
    key_edge(out, "last-entry", st, true);
    return CMD_DONE;
}

/* -- XINFO GROUPS, CONSUMERS
 * ----------------------------------------------------------------------------------- */

enum command_result xinfo_groups_command(struct request *rq)
{
    struct resp_writer *out = rq->out;
    struct value_at v;
    const struct stream_group *g;
    if (!require_stream(rq, &v))
        return CMD_DONE;
    const struct stream *st = stream_of(&v);
    reply_array(out, st->groups.count);
    for (uint64_t i = 0; (g = stream_group_at(st, i)) != NULL; i++) {
        reply_map(out, 6);
        key_slice(out, "name", stream_group_name(g));
        key_int(out, "consumers", (int64_t)g->consumers.count);
        key_int(out, "pending", (int64_t)g->pending.count);
        key_id(out, "last-delivered-id", g->last);
        reply_counts(out, st, g);
    }
    return CMD_DONE;
}

static int64_t since(const struct request *rq, int64_t then)
{
    int64_t now = (int64_t)rq->env->now_ms;
    return now > then ? now - then : 0;
}

enum command_result xinfo_consumers_command(struct request *rq)
{
    struct resp_writer *out = rq->out;
    struct value_at v;
    const struct stream_consumer *c;
    if (!require_stream(rq, &v))
        return CMD_DONE;
    const struct stream_group *g = stream_group_find(stream_of(&v), rq->argv[3]);
    if (!g) {
        reply_errorf(out, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     STREAM_WORD(rq->argv[3]), STREAM_WORD(rq->argv[2]));
        return CMD_DONE;
    }
    reply_array(out, g->consumers.count);
    for (uint64_t i = 0; (c = stream_consumer_at(g, i)) != NULL; i++) {
        reply_map(out, 4);
        key_slice(out, "name", stream_consumer_name(c));
        key_int(out, "pending", (int64_t)c->pending.count);
        key_int(out, "idle", since(rq, c->seen));
        key_int(out, "inactive", c->active == -1 ? -1 : since(rq, c->active));
    }
    return CMD_DONE;
}

enum command_result xinfo_help_command(struct request *rq)
{
    static const char *const lines[] = {"CONSUMERS <key> <groupname>",
                                        "    Show consumers of <groupname>.",
                                        "GROUPS <key>",
                                        "    Show the stream consumer groups.",
                                        "STREAM <key> [FULL [COUNT <count>]",
                                        "    Show information about the stream.",
                                        NULL};
    return server_help(rq, lines);
}

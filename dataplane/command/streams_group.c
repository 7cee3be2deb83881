/* streams_group.c: XGROUP and XACK. https://redis.io/docs/latest/commands/xgroup-create/ and its neighbours
 */
#include "command/server.h"
#include "command/stream_commands.h"
#include "command/streams.h"

/* -- options
 * --------------------------------------------------------------------------------------------------- */

struct group_options {
    bool create;
    int64_t entries_read;
};

/* From argument 5 on; false after replying an error. */
static bool read_options(struct request *rq, struct group_options *o, bool creating)
{
    *o = (struct group_options){.entries_read = ENTRIES_READ_UNKNOWN};
    for (int i = 5; i < rq->argc; i++) {
        if (creating && slice_is(rq->argv[i], "MKSTREAM")) {
            o->create = true;
        } else if (slice_is(rq->argv[i], "ENTRIESREAD") && i + 1 < rq->argc) {
            if (!request_int(rq, ++i, &o->entries_read, NULL))
                return false;
            if (o->entries_read < ENTRIES_READ_UNKNOWN) {
                reply_error(rq->out, "ERR value for ENTRIESREAD must be positive or -1");
                return false;
            }
        } else {
            server_unknown_subcommand(rq);
            return false;
        }
    }
    return true;
}

static bool require_key(struct request *rq, const struct value_at *v)
{
    if (!v->e)
        reply_error(
            rq->out,
            "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to "
            "use the MKSTREAM option to create an empty stream automatically.");
    return v->e;
}

/* The key and its group, which must be there. False after replying an error. */
static bool require_group(struct request *rq, struct value_at *v, struct stream_group **g)
{
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, v) || !require_key(rq, v))
        return false;
    *g = stream_group_find(stream_of(v), rq->argv[3]);
    if (!*g)
        reply_errorf(rq->out, "NOGROUP No such consumer group '%.*s' for key name '%.*s'",
                     STREAM_WORD(rq->argv[3]), STREAM_WORD(rq->argv[2]));
    return *g;
}

static bool is_dollar(struct slice s)
{
    return s.len == 1 && s.p[0] == '$';
}

/* -- XGROUP
 * ---------------------------------------------------------------------------------------------------- */

enum command_result xgroup_create_command(struct request *rq)
{
    struct group_options o;
    struct value_at v;
    struct stream_id id = STREAM_ID_MIN;
    if (!read_options(rq, &o, true) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v) ||
        (!o.create && !require_key(rq, &v)))
        return CMD_DONE;
    if (is_dollar(rq->argv[4]))
        id = v.e ? stream_of(&v)->last : STREAM_ID_MIN;
    else if (!request_stream_id(rq, 4, &id))
        return CMD_DONE;
    bool made = !v.e;
    if (made && stream_create(&v) != STORE_OK) {
        reply_oom(rq->out);
    } else if (stream_group_find(stream_of(&v), rq->argv[3])) {
        reply_error(rq->out, "BUSYGROUP Consumer Group name already exists");
    } else if (stream_group_add(&v, rq->argv[3], id, o.entries_read)) {
        request_event(rq, &rq->key);
        reply_ok(rq->out);
    } else {
        if (made)
            store_delete(v.s, v.db, v.key);
        reply_oom(rq->out);
    }
    return CMD_DONE;
}

enum command_result xgroup_setid_command(struct request *rq)
{
    struct group_options o;
    struct value_at v;
    struct stream_group *g;
    struct stream_id id;
    if (!read_options(rq, &o, false) || !require_group(rq, &v, &g))
        return CMD_DONE;
    if (is_dollar(rq->argv[4])) {
        id = stream_of(&v)->last;
    } else if (!parse_stream_id(rq->argv[4], &id, 0, false, NULL)) {
        reply_error(rq->out, "ERR Invalid stream ID specified as stream command argument");
        return CMD_DONE;
    }
    g->last = id;
    g->entries_read = o.entries_read;
    request_event(rq, &rq->key);
    reply_ok(rq->out);
    return CMD_DONE;
}

enum command_result xgroup_destroy_command(struct request *rq)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v) || !require_key(rq, &v))
        return CMD_DONE;
    struct stream_group *g = stream_group_find(stream_of(&v), rq->argv[3]);
    if (g) {
        stream_group_remove(&v, g);
        request_event(rq, &rq->key);
    }
    reply_int(rq->out, g != NULL);
    return CMD_DONE;
}

enum command_result xgroup_createconsumer_command(struct request *rq)
{
    struct value_at v;
    struct stream_group *g;
    if (!require_group(rq, &v, &g))
        return CMD_DONE;
    if (stream_consumer_find(g, rq->argv[4])) {
        reply_int(rq->out, 0);
    } else if (stream_consumer_add(&v, g, rq->argv[4])) {
        request_event(rq, &rq->key);
        reply_int(rq->out, 1);
    } else {
        reply_oom(rq->out);
    }
    return CMD_DONE;
}

enum command_result xgroup_delconsumer_command(struct request *rq)
{
    struct value_at v;
    struct stream_group *g;
    int64_t pending = 0;
    if (!require_group(rq, &v, &g))
        return CMD_DONE;
    struct stream_consumer *c = stream_consumer_find(g, rq->argv[4]);
    if (c) {
        pending = (int64_t)c->pending.count;
        stream_consumer_remove(&v, g, c);
        request_event(rq, &rq->key);
    }
    reply_int(rq->out, pending);
    return CMD_DONE;
}

enum command_result xgroup_help_command(struct request *rq)
{
    static const char *const lines[] = {"CREATE <key> <groupname> <id|$> [option]",
                                        "    Create a new consumer group. Options are:",
                                        "    * MKSTREAM",
                                        "      Create the empty stream if it does not exist.",
                                        "    * ENTRIESREAD entries_read",
                                        "      Set the group's entries_read counter (internal use).",
                                        "CREATECONSUMER <key> <groupname> <consumer>",
                                        "    Create a new consumer in the specified group.",
                                        "DELCONSUMER <key> <groupname> <consumer>",
                                        "    Remove the specified consumer.",
                                        "DESTROY <key> <groupname>",
                                        "    Remove the specified group.",
                                        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
                                        "    Set the current group ID and entries_read counter.",
                                        NULL};
    return server_help(rq, lines);
}

/* -- XACK
 * ------------------------------------------------------------------------------------------------------ */

enum command_result xack_command(struct request *rq)
{
    struct value_at v;
    struct stream_id id;
    int64_t removed = 0;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_STREAM, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    struct stream_group *g = v.e ? stream_group_find(stream_of(&v), rq->argv[2]) : NULL;
    for (int i = 3; i < rq->argc && g; i++, turn_take(rq->turn))
        if (!request_stream_id(rq, i, &id))
            return CMD_DONE;
    for (int i = 3; i < rq->argc && g; i++, turn_take(rq->turn))
        removed += parse_stream_id(rq->argv[i], &id, 0, true, NULL) && stream_pending_remove(&v, g, id);
    reply_int(rq->out, removed);
    return CMD_DONE;
}

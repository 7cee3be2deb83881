/* streams_add.c: XADD, XTRIM, XDEL, XLEN, XSETID.
 * https://redis.io/docs/latest/commands/xadd/ and its neighbours */
#include "base/number.h"
#include "command/stream_commands.h"
#include "command/streams.h"

/* -- options of XADD and XTRIM
 * --------------------------------------------------------------------------------- */

enum { TRIM_DEFAULT_NODES = 100, TRIM_DEFAULT = 10000, TRIM_MOST = 1000000 };

struct add_options {
    struct stream_trim trim;
    bool trims, limit_given, no_create;
    bool id_given, seq_given;
    struct stream_id id;
    int next; /* XADD: the argument that is the ID */
};

/* MAXLEN or MINID at argument i, the last but one at most. False after replying an error. */
static bool trim_option(struct request *rq, struct add_options *o, int *i, bool by_id)
{
    int64_t keep;
    if (o->trims) {
        reply_error(rq->out,
                    "ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
        return false;
    }
    o->trims = true;
    o->trim.by_id = by_id;
    struct slice mark = rq->argv[++*i];
    if (*i + 1 < rq->argc && (slice_is(mark, "~") || slice_is(mark, "="))) {
        o->trim.approximate = mark.p[0] == '~';
        ++*i;
    }
    if (by_id)
        return request_stream_id(rq, *i, &o->trim.least);
    if (!request_int(rq, *i, &keep, NULL))
        return false;
    if (keep < 0)
        reply_error(rq->out, "ERR The MAXLEN argument must be >= 0.");
    o->trim.keep = (uint64_t)keep;
    return keep >= 0;
}

static bool limit_option(struct request *rq, struct add_options *o, int i)
{
    int64_t limit;
    if (!request_int(rq, i, &limit, NULL))
        return false;
    if (limit < 0)
        reply_error(rq->out, "ERR The LIMIT argument must be >= 0.");
    o->trim.limit = (uint64_t)limit;
    o->limit_given = true;
    return limit >= 0;
}

/* What is wrong with the options together, or NULL. */
static const char *options_error(const struct add_options *o, bool add)
{
    if (o->trim.limit && !o->trims)
        return "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy";
    if (!add && !o->trims)
        return "ERR syntax error, XTRIM must be called with a trimming strategy";
    if (o->limit_given && !o->trim.approximate)
        return "ERR syntax error, LIMIT cannot be used without the special ~ option";
    return NULL;
}

/* Trimming by whole nodes is cheap, but a command is not to run long. */
static uint64_t default_limit(const struct request *rq)
{
    uint64_t limit = rq->env->conf->limits.stream_entries;
    if (limit == 0)
        return TRIM_DEFAULT;
    return limit > TRIM_MOST / TRIM_DEFAULT_NODES ? TRIM_MOST : limit * TRIM_DEFAULT_NODES;
}

/* The ID of an entry to add, at argument i. */
static bool id_option(struct request *rq, struct add_options *o, int i)
{
    if (rq->argv[i].len == 1 && rq->argv[i].p[0] == '*')
        return true;
    if (!parse_stream_id(rq->argv[i], &o->id, 0, true, &o->seq_given)) {
        reply_error(rq->out, "ERR Invalid stream ID specified as stream command argument");
        return false;
    }
    o->id_given = true;
    return true;
}

/* Reads the options; false after replying an error. */
static bool read_options(struct request *rq, struct add_options *o, bool add)
{
    bool ok = true, id = false;
    int i = 2;
    *o = (struct add_options){0};
    for (; ok && i < rq->argc; i++) {
        bool more = i + 1 < rq->argc, maxlen = slice_is(rq->argv[i], "MAXLEN");
        if (more && (maxlen || slice_is(rq->argv[i], "MINID"))) {
            ok = trim_option(rq, o, &i, !maxlen);
        } else if (more && slice_is(rq->argv[i], "LIMIT")) {
            ok = limit_option(rq, o, ++i);
        } else if (add && slice_is(rq->argv[i], "NOMKSTREAM")) {
            o->no_create = true;
        } else if (add) {
            id = true;
            ok = id_option(rq, o, i);
            break;
        } else {
            reply_syntax_error(rq->out);
            ok = false;
        }
    }
    o->next = id ? i : rq->argc;
    const char *error = ok ? options_error(o, add) : NULL;
    if (error)
        reply_error(rq->out, error);
    if (!o->limit_given && o->trim.approximate)
        o->trim.limit = default_limit(rq);
    return ok && !error;
}

/* -- XADD
 * ------------------------------------------------------------------------------------------------------ */

/* The ID of the new entry; false if it would not be greater than all before. */
static bool choose_id(const struct request *rq, const struct stream *st, const struct add_options *o,
                      struct stream_id *id)
{
    struct stream_id last = st ? st->last : STREAM_ID_MIN;
    if (!o->id_given) {
        *id = (struct stream_id){rq->env->now_ms, 0};
        if (id->ms > last.ms)
            return true;
        *id = last;
        return stream_id_next(id);
    }
    *id = o->id;
    if (!o->seq_given && id->ms == last.ms) {
        if (last.seq == UINT64_MAX)
            return false;
        id->seq = last.seq + 1;
    }
    return stream_id_compare(*id, last) > 0;
}

static bool too_large(const struct request *rq, int first)
{
    uint64_t bytes = 0;
    for (int i = first; i < rq->argc; i++)
        bytes += rq->argv[i].len;
    return bytes > STREAM_BYTES_MOST;
}

/* What speaks against adding an entry, or NULL with its ID. */
static const char *add_error(const struct request *rq, const struct stream *st, const struct add_options *o,
                             struct stream_id *id)
{
    if (st && stream_id_compare(st->last, STREAM_ID_MAX) == 0)
        return "ERR The stream has exhausted the last possible ID, unable to add more items";
    if (!choose_id(rq, st, o, id))
        return "ERR The ID specified in XADD is equal or smaller than the target stream top item";
    if (too_large(rq, o->next + 1))
        return "ERR Elements are too large to be stored";
    return NULL;
}

enum command_result xadd_command(struct request *rq)
{
    struct add_options o;
    struct value_at v;
    struct stream_id id;
    if (!read_options(rq, &o, true))
        return CMD_DONE;
    int words = rq->argc - o.next - 1;
    if (words < 2 || words % 2) {
        reply_error(rq->out, "ERR wrong number of arguments for 'xadd' command");
        return CMD_DONE;
    }
    if (o.id_given && o.seq_given && stream_id_compare(o.id, STREAM_ID_MIN) == 0) {
        reply_error(rq->out, "ERR The ID specified in XADD must be greater than 0-0");
        return CMD_DONE;
    }
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v))
        return CMD_DONE;
    if (!v.e && o.no_create) {
        reply_null(rq->out);
        return CMD_DONE;
    }
    const char *error = add_error(rq, stream_of(&v), &o, &id);
    if (error) {
        reply_error(rq->out, error);
        return CMD_DONE;
    }
    if (stream_add(&v, id, rq->argv + o.next + 1, (uint32_t)words / 2) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    reply_stream_id(rq->out, id);
    rq->env->trimmed = o.trims && stream_trim(&v, &o.trim) > 0;
    return CMD_DONE;
}

/* -- the others
 * ------------------------------------------------------------------------------------------------ */

enum command_result xtrim_command(struct request *rq)
{
    struct add_options o;
    struct value_at v;
    if (!read_options(rq, &o, false) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v))
        return CMD_DONE;
    uint64_t length = v.e ? stream_of(&v)->length : 0, keep = o.trim.by_id ? 0 : o.trim.keep;
    if (length > keep && turn_wanted(rq, (length - keep) / 8))
        return CMD_LONG;
    reply_int(rq->out, v.e ? (int64_t)stream_trim(&v, &o.trim) : 0);
    return CMD_DONE;
}

enum command_result xdel_command(struct request *rq)
{
    struct value_at v;
    struct stream_id id;
    int64_t deleted = 0;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = 2; i < rq->argc && v.e; i++, turn_take(rq->turn))
        if (!request_stream_id(rq, i, &id))
            return CMD_DONE;
    for (int i = 2; i < rq->argc && v.e; i++, turn_take(rq->turn))
        deleted += parse_stream_id(rq->argv[i], &id, 0, true, NULL) && stream_delete(&v, id);
    reply_int(rq->out, deleted);
    return CMD_DONE;
}

enum command_result xlen_command(struct request *rq)
{
    struct value_at v;
    if (request_value(rq, &rq->key, LOOK_READ, TYPE_STREAM, &v))
        reply_int(rq->out, v.e ? (int64_t)stream_of(&v)->length : 0);
    return CMD_DONE;
}

struct setid {
    struct stream_id id, max_deleted;
    int64_t added; /* -1: not given */
};

/* The options; false after replying an error. */
static bool read_setid(struct request *rq, struct setid *o)
{
    *o = (struct setid){.added = -1};
    if (!request_stream_id(rq, 2, &o->id))
        return false;
    for (int i = 3; i < rq->argc; i += 2) {
        const char *error = NULL;
        bool more = i + 1 < rq->argc;
        if (more && slice_is(rq->argv[i], "ENTRIESADDED")) {
            if (!request_int(rq, i + 1, &o->added, NULL))
                return false;
            if (o->added < 0)
                error = "ERR entries_added must be positive";
        } else if (more && slice_is(rq->argv[i], "MAXDELETEDID")) {
            if (!request_stream_id(rq, i + 1, &o->max_deleted))
                return false;
            if (stream_id_compare(o->id, o->max_deleted) < 0)
                error = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id";
        } else {
            error = "ERR syntax error";
        }
        if (error) {
            reply_error(rq->out, error);
            return false;
        }
    }
    return true;
}

static const char *setid_error(const struct stream *st, const struct setid *o)
{
    if (!st)
        return "ERR no such key";
    if (stream_id_compare(o->id, st->max_deleted) < 0)
        return "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id";
    if (st->length && stream_id_compare(o->id, stream_last_entry(st)) < 0)
        return "ERR The ID specified in XSETID is smaller than the target stream top item";
    if (st->length && o->added != -1 && st->length > (uint64_t)o->added)
        return "ERR The entries_added specified in XSETID is smaller than the target stream length";
    return NULL;
}

enum command_result xsetid_command(struct request *rq)
{
    struct setid o;
    struct value_at v;
    if (!read_setid(rq, &o) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_STREAM, &v))
        return CMD_DONE;
    struct stream *st = stream_of(&v);
    const char *error = setid_error(st, &o);
    if (error) {
        reply_error(rq->out, error);
        return CMD_DONE;
    }
    st->last = o.id;
    if (o.added != -1)
        st->entries_added = (uint64_t)o.added;
    if (stream_id_compare(o.max_deleted, STREAM_ID_MIN) > 0)
        st->max_deleted = o.max_deleted;
    request_event(rq, &rq->key);
    reply_ok(rq->out);
    return CMD_DONE;
}

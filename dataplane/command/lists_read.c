/* lists_read.c: list commands that only read: LLEN, LINDEX, LRANGE, LPOS; and small things that all share.
 * https://redis.io/docs/latest/commands/?group=list */
#include "command/lists.h"
#include "base/number.h"
#include "command/reply_run.h"

void reply_item(struct resp_writer *w, const struct item *item)
{
    if (item->is_number)
        reply_bulk_int(w, item->number);
    else
        reply_bulk(w, item->text);
}

bool request_list_end(struct request *rq, int i, enum list_end *end)
{
    bool left = slice_is(rq->argv[i], "LEFT");
    *end = left ? LIST_HEAD : LIST_TAIL;
    if (left || slice_is(rq->argv[i], "RIGHT"))
        return true;
    reply_syntax_error(rq->out);
    return false;
}

bool request_least(struct request *rq, int i, int64_t least, int64_t *out, const char *error)
{
    if (!request_int(rq, i, out, error))
        return false;
    if (*out < least)
        reply_error(rq->out, error);
    return *out >= least;
}

enum command_result llen_command(struct request *rq)
{
    struct value_at v;
    if (request_value(rq, &rq->key, LOOK_READ, TYPE_LIST, &v))
        reply_int(rq->out, v.e ? (int64_t)list_len(v.e) : 0);
    return CMD_DONE;
}

enum command_result lindex_command(struct request *rq)
{
    struct value_at v;
    struct list_cursor c;
    struct item item;
    int64_t index;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_LIST, &v))
        return CMD_DONE;
    if (!v.e)
        reply_null(rq->out);
    else if (!request_int(rq, 2, &index, NULL))
        return CMD_DONE;
    else if (turn_wanted(rq, list_way(v.e, index)))
        return CMD_LONG;
    else if (list_seek(v.e, index, &c, rq->turn) && list_next(&c, &item))
        reply_item(rq->out, &item);
    else
        reply_null(rq->out);
    return CMD_DONE;
}

enum command_result lrange_command(struct request *rq)
{
    struct value_at v;
    struct list_cursor c;
    struct pack_run run;
    int64_t start, stop;
    if (!request_int(rq, 2, &start, NULL) || !request_int(rq, 3, &stop, NULL) ||
        !request_value(rq, &rq->key, LOOK_READ, TYPE_LIST, &v))
        return CMD_DONE;
    int64_t len = v.e ? (int64_t)list_len(v.e) : 0;
    uint64_t n = (uint64_t)clamp_range(len, &start, &stop);
    if (turn_wanted_for(rq, v.e, n, (uint64_t)len) || (n && turn_wanted(rq, list_way(v.e, start))))
        return CMD_LONG;
    reply_array(rq->out, n);
    if (n)
        list_seek(v.e, start, &c, rq->turn);
    while (n && list_run(&c, &run) && reply_run(rq->out, &run, &n, rq->turn))
        ;
    return CMD_DONE;
}

int64_t clamp_range(int64_t len, int64_t *start, int64_t *stop)
{
    *start = *start < 0 ? (*start < -len ? 0 : *start + len) : *start;
    *stop = *stop < 0 ? *stop + len : *stop >= len ? len - 1 : *stop;
    return *start > *stop || *start >= len ? 0 : *stop - *start + 1;
}

/* -- LPOS */

struct lpos {
    int64_t rank, count, maxlen; /* count -1: the first match alone; maxlen 0: all elements */
};

static bool parse_lpos(struct request *rq, struct lpos *o)
{
    *o = (struct lpos){.rank = 1, .count = -1};
    for (int i = 3; i < rq->argc; i++) {
        const struct slice word = rq->argv[i];
        bool more = i + 1 < rq->argc, ok;
        if (slice_is(word, "RANK") && more) {
            ok = request_int(rq, ++i, &o->rank, NULL);
            if (ok && o->rank == INT64_MIN)
                reply_error(rq->out, "ERR value is out of range, value must between -9223372036854775807 and "
                                     "9223372036854775807");
            else if (ok && o->rank == 0)
                reply_error(rq->out,
                            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the "
                            "second ... or use negative to start from the end of the list");
            ok = ok && o->rank != INT64_MIN && o->rank != 0;
        } else if (slice_is(word, "COUNT") && more) {
            ok = request_least(rq, ++i, 0, &o->count, "ERR COUNT can't be negative");
        } else if (slice_is(word, "MAXLEN") && more) {
            ok = request_least(rq, ++i, 0, &o->maxlen, "ERR MAXLEN can't be negative");
        } else {
            reply_syntax_error(rq->out);
            ok = false;
        }
        if (!ok)
            return false;
    }
    return true;
}

/* Up to `want` matches, their positions replied if `reply`. Returns how many. */
static int64_t find_matches(struct request *rq, const struct entry *e, const struct lpos *o, int64_t want,
                            bool reply)
{
    struct item sought = item_of(rq->argv[2]), item;
    int64_t len = (int64_t)list_len(e), seen = 0, found = 0, rank = o->rank < 0 ? -o->rank : o->rank;
    int64_t look = o->maxlen && o->maxlen < len ? o->maxlen : len;
    struct list_cursor c;
    list_seek(e, o->rank < 0 ? len : 0, &c, rq->turn);
    for (int64_t i = 0; i < look && found < want; i++) {
        turn_take(rq->turn);
        (o->rank < 0 ? list_prev : list_next)(&c, &item);
        if (!item_eq(&item, &sought) || ++seen < rank)
            continue;
        found++;
        if (reply)
            reply_int(rq->out, o->rank < 0 ? len - 1 - i : i);
    }
    return found;
}

enum command_result lpos_command(struct request *rq)
{
    struct value_at v;
    struct lpos o;
    if (!parse_lpos(rq, &o) || !request_value(rq, &rq->key, LOOK_READ, TYPE_LIST, &v))
        return CMD_DONE;
    if (turn_wanted_for(rq, v.e, v.e ? list_len(v.e) : 0, v.e ? list_len(v.e) : 1))
        return CMD_LONG;
    if (o.count == -1) {
        if (!v.e || find_matches(rq, v.e, &o, 1, true) == 0)
            reply_null(rq->out);
        return CMD_DONE;
    }
    int64_t want = o.count ? o.count : INT64_MAX;
    int64_t n = v.e ? find_matches(rq, v.e, &o, want, false) : 0;
    reply_array(rq->out, (size_t)n);
    if (n)
        find_matches(rq, v.e, &o, n, true);
    return CMD_DONE;
}

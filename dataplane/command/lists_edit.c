/* lists_edit.c: list commands that change the middle: LSET, LINSERT, LREM, LTRIM.
 * https://redis.io/docs/latest/commands/?group=list */
#include "command/lists.h"

enum command_result lset_command(struct request *rq)
{
    struct value_at v;
    int64_t index;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (!v.e) {
        reply_error(rq->out, "ERR no such key");
        return CMD_DONE;
    }
    if (!request_int(rq, 2, &index, NULL))
        return CMD_DONE;
    int64_t len = (int64_t)list_len(v.e), at = index < 0 && index >= -len ? index + len : index;
    bool there = at >= 0 && at < len;
    if (there && turn_wanted(rq, list_way(v.e, at)))
        return CMD_LONG;
    /* As in Redis, a list that this would have made too large is a quicklist, whether it did or not. */
    if (!there && list_growing(&v, rq->argv[3].len, 1) == STORE_OK)
        reply_error(rq->out, "ERR index out of range");
    else if (!there || list_set(&v, (uint64_t)at, rq->argv[3]) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_ok(rq->out);
    return CMD_DONE;
}

/* Is a look at each element too much at once? */
static bool is_long(const struct request *rq, const struct value_at *v)
{
    uint64_t len = v->e ? list_len(v->e) : 0;
    return turn_wanted_for(rq, v->e, len, len);
}

/* The index of the first element that equals a value; false if there is none. */
static bool find_first(struct turn *turn, const struct entry *e, struct slice value, uint64_t *index)
{
    struct list_cursor c;
    struct item sought = item_of(value), item;
    list_seek(e, 0, &c, turn);
    for (*index = 0; list_next(&c, &item); ++*index) {
        if (item_eq(&item, &sought))
            return true;
        turn_take(turn);
    }
    return false;
}

enum command_result linsert_command(struct request *rq)
{
    struct value_at v;
    uint64_t index;
    bool after = slice_is(rq->argv[2], "AFTER");
    if (!after && !slice_is(rq->argv[2], "BEFORE")) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (is_long(rq, &v))
        return CMD_LONG;
    if (!v.e)
        reply_int(rq->out, 0);
    else if (list_growing(&v, rq->argv[4].len, 1) != STORE_OK)
        reply_oom(rq->out);
    else if (!find_first(rq->turn, v.e, rq->argv[3], &index))
        reply_int(rq->out, -1);
    else if (list_insert(&v, index + after, rq->argv[4]) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_int(rq->out, (int64_t)list_len(v.e));
    return CMD_DONE;
}

enum command_result lrem_command(struct request *rq)
{
    struct value_at v;
    int64_t count;
    if (!request_int(rq, 2, &count, NULL) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (is_long(rq, &v))
        return CMD_LONG;
    reply_int(rq->out, v.e ? (int64_t)list_remove(&v, count, rq->argv[3]) : 0);
    return CMD_DONE;
}

enum command_result ltrim_command(struct request *rq)
{
    struct value_at v;
    int64_t start, stop;
    if (!request_int(rq, 2, &start, NULL) || !request_int(rq, 3, &stop, NULL) ||
        !request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (v.e) {
        int64_t len = (int64_t)list_len(v.e), kept = clamp_range(len, &start, &stop);
        if (kept && turn_wanted_for(rq, v.e, (uint64_t)(len - kept), (uint64_t)len))
            return CMD_LONG;
        list_drop(&v, LIST_TAIL, (uint64_t)(kept ? len - 1 - stop : len));
        if (kept)
            list_drop(&v, LIST_HEAD, (uint64_t)start);
        request_changed(rq, &rq->key);
    }
    reply_ok(rq->out);
    return CMD_DONE;
}

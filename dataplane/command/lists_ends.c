/* lists_ends.c: list commands that work at the ends: LPUSH, RPUSH, LPUSHX, RPUSHX, LPOP, RPOP, LMPOP, LMOVE,
 * RPOPLPUSH. https://redis.io/docs/latest/commands/?group=list */
#include "command/lists.h"

/* -- push */

static enum command_result push(struct request *rq, enum list_end end, bool only_existing)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    if (!v.e && only_existing)
        reply_int(rq->out, 0);
    else if (list_push(&v, end, rq->argv + 2, (size_t)rq->argc - 2) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_int(rq->out, (int64_t)list_len(v.e));
    return CMD_DONE;
}

enum command_result lpush_command(struct request *rq)
{
    return push(rq, LIST_HEAD, false);
}

enum command_result rpush_command(struct request *rq)
{
    return push(rq, LIST_TAIL, false);
}

enum command_result lpushx_command(struct request *rq)
{
    return push(rq, LIST_HEAD, true);
}

enum command_result rpushx_command(struct request *rq)
{
    return push(rq, LIST_TAIL, true);
}

/* -- pop */

/* Replies n elements from an end inwards (there are that many) and removes them. */
static void pop(struct request *rq, struct value_at *v, enum list_end end, uint64_t n)
{
    struct list_cursor c;
    struct item item;
    list_seek(v->e, end == LIST_HEAD ? 0 : (int64_t)list_len(v->e), &c, rq->turn);
    for (uint64_t i = 0; i < n; i++) {
        turn_take(rq->turn);
        (end == LIST_HEAD ? list_next : list_prev)(&c, &item);
        reply_item(rq->out, &item);
    }
    list_drop(v, end, n);
}

static void pop_array(struct request *rq, struct value_at *v, enum list_end end, int64_t count)
{
    uint64_t len = list_len(v->e), n = (uint64_t)count < len ? (uint64_t)count : len;
    reply_array(rq->out, n);
    pop(rq, v, end, n);
}

/* Is it much, to pop so many of the elements that there are? */
static bool is_long(const struct request *rq, const struct value_at *v, int64_t count)
{
    return turn_wanted(rq, (uint64_t)count) && turn_wanted(rq, list_len(v->e));
}

static enum command_result pop_command(struct request *rq, enum list_end end)
{
    struct value_at v;
    int64_t count = 0;
    bool counted = rq->argc == 3;
    if (rq->argc > 3) {
        reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
        return CMD_DONE;
    }
    if (counted && !request_least(rq, 2, 0, &count, "ERR value is out of range, must be positive"))
        return CMD_DONE;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_LIST, &v))
        return CMD_DONE;
    if (!v.e && counted)
        reply_null_array(rq->out);
    else if (!v.e)
        reply_null(rq->out);
    else if (!counted)
        pop(rq, &v, end, 1);
    else if (is_long(rq, &v, count))
        return CMD_LONG;
    else
        pop_array(rq, &v, end, count);
    return CMD_DONE;
}

enum command_result lpop_command(struct request *rq)
{
    return pop_command(rq, LIST_HEAD);
}

enum command_result rpop_command(struct request *rq)
{
    return pop_command(rq, LIST_TAIL);
}

enum command_result list_mpop_try(struct request *rq, int first_key, int keys, enum list_end end,
                                  int64_t count)
{
    for (int i = first_key; i < first_key + keys; i++) {
        struct value_at v;
        struct key k = request_key(rq, i);
        if (!request_value(rq, &k, LOOK_WRITE, TYPE_LIST, &v))
            return CMD_DONE;
        if (!v.e)
            continue;
        if (is_long(rq, &v, count))
            return CMD_LONG;
        reply_array(rq->out, 2);
        reply_bulk(rq->out, k.name);
        pop_array(rq, &v, end, count);
        return CMD_DONE;
    }
    return CMD_BLOCK;
}

bool list_pop_try(struct request *rq, int first_key, int keys, enum list_end end)
{
    for (int i = first_key; i < first_key + keys; i++) {
        struct value_at v;
        struct key k = request_key(rq, i);
        if (!request_value(rq, &k, LOOK_WRITE, TYPE_LIST, &v))
            return true;
        if (v.e) {
            reply_array(rq->out, 2);
            reply_bulk(rq->out, k.name);
            pop(rq, &v, end, 1);
            return true;
        }
    }
    return false;
}

bool request_list_mpop(struct request *rq, int at, struct list_mpop *m)
{
    int64_t keys;
    m->count = -1;
    if (!request_least(rq, at, 1, &keys, "ERR numkeys should be greater than 0"))
        return false;
    if (keys > rq->argc - at - 2) {
        reply_syntax_error(rq->out);
        return false;
    }
    int where = at + 1 + (int)keys;
    if (!request_list_end(rq, where, &m->end))
        return false;
    for (int i = where + 1; i < rq->argc; i++) {
        if (m->count != -1 || !slice_is(rq->argv[i], "COUNT") || ++i == rq->argc) {
            reply_syntax_error(rq->out);
            return false;
        }
        if (!request_least(rq, i, 1, &m->count, "ERR count should be greater than 0"))
            return false;
    }
    m->keys = (int)keys;
    m->count = m->count == -1 ? 1 : m->count;
    return true;
}

enum command_result lmpop_command(struct request *rq)
{
    struct list_mpop m;
    if (!request_list_mpop(rq, 1, &m))
        return CMD_DONE;
    enum command_result result = list_mpop_try(rq, 2, m.keys, m.end, m.count);
    if (result != CMD_BLOCK)
        return result;
    reply_null_array(rq->out);
    return CMD_DONE;
}

/* -- move */

static void reply_end(struct request *rq, const struct value_at *v, enum list_end end)
{
    struct list_cursor c;
    struct item item;
    list_seek(v->e, end == LIST_HEAD ? 0 : -1, &c, rq->turn);
    list_next(&c, &item);
    reply_item(rq->out, &item);
}

bool list_move_try(struct request *rq, int from, int to, enum list_end from_end, enum list_end to_end)
{
    struct value_at a, b;
    struct key from_key = request_key(rq, from), to_key = request_key(rq, to);
    if (!request_value(rq, &from_key, LOOK_WRITE, TYPE_LIST, &a))
        return true;
    if (!a.e)
        return false;
    bool same = slice_eq(from_key.name, to_key.name);
    if (!same && !request_value(rq, &to_key, LOOK_WRITE, TYPE_LIST, &b))
        return true;
    enum store_result result = STORE_OK;
    if (!same)
        result = list_move(&a, from_end, &b, to_end);
    else if (from_end != to_end)
        result = list_rotate(&a, from_end);
    if (same)
        request_changed(rq, &from_key);
    if (result == STORE_OK)
        reply_end(rq, same ? &a : &b, to_end);
    else
        reply_oom(rq->out);
    return true;
}

static enum command_result move(struct request *rq, enum list_end from_end, enum list_end to_end)
{
    if (!list_move_try(rq, 1, 2, from_end, to_end))
        reply_null(rq->out);
    return CMD_DONE;
}

enum command_result lmove_command(struct request *rq)
{
    enum list_end from_end, to_end;
    if (!request_list_end(rq, 3, &from_end) || !request_list_end(rq, 4, &to_end))
        return CMD_DONE;
    return move(rq, from_end, to_end);
}

enum command_result rpoplpush_command(struct request *rq)
{
    return move(rq, LIST_TAIL, LIST_HEAD);
}

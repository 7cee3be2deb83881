/* strings_get.c: string commands that read: GET, MGET, GETDEL, GETRANGE, SUBSTR, STRLEN.
 * https://redis.io/docs/latest/commands/?group=string */
#include "command/string_commands.h"

bool string_find(struct request *rq, const struct key *k, unsigned how, struct entry **e)
{
    *e = request_find(rq, k, how);
    if (!*e || entry_type(*e) == TYPE_STRING)
        return true;
    reply_wrong_type(rq->out);
    return false;
}

/* Of a long one the writer takes the turns. */
static inline enum command_result reply_text(struct request *rq, struct slice text)
{
    if (turn_wanted(rq, turn_bytes(text.len)))
        return CMD_LONG;
    reply_bulk(rq->out, text);
    return CMD_DONE;
}

static __attribute__((noinline)) enum command_result get_any(struct request *rq)
{
    char scratch[24];
    struct entry *e = request_find(rq, &rq->key, LOOK_READ);
    if (!e)
        reply_null(rq->out);
    else if (entry_type(e) == TYPE_STRING)
        return reply_text(rq, entry_string(e, scratch));
    else
        reply_wrong_type(rq->out);
    return CMD_DONE;
}

/* The hot path: one look-up, one copy into the reply. */
enum command_result get_command(struct request *rq)
{
    const struct ahead *a = rq->env->ahead;
    const struct client *c = rq->client;
    struct slice text;
    if (!a || c->flags & (CLIENT_NO_TOUCH | CLIENT_COUNTED) ||
        !store_text_ahead(rq->env->ks->shard[rq->shard], c->db, &rq->key, a, &text))
        return get_any(rq);
    reply_bulk(rq->out, text);
    return CMD_DONE;
}

enum command_result mget_command(struct request *rq)
{
    char scratch[24];
    reply_array(rq->out, (size_t)rq->argc - 1);
    struct key_walk walk;
    key_walk_begin(&walk, 1, 1);
    for (const struct key *k; (k = key_walk_next(rq, &walk));) {
        struct entry *e = request_find_ahead(rq, k, LOOK_READ, key_walk_ahead(&walk));
        if (e && entry_type(e) == TYPE_STRING)
            reply_bulk(rq->out, entry_string(e, scratch));
        else
            reply_null(rq->out); /* also for another type, on purpose: MGET never fails */
    }
    return CMD_DONE;
}

enum command_result getdel_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    if (!string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (!e) {
        reply_null(rq->out);
        return CMD_DONE;
    }
    reply_bulk(rq->out, entry_string(e, scratch));
    store_delete(request_shard(rq, &rq->key), rq->client->db, &rq->key);
    return CMD_DONE;
}

enum command_result strlen_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    if (string_find(rq, &rq->key, LOOK_READ, &e))
        reply_int(rq->out, e ? (int64_t)entry_string(e, scratch).len : 0);
    return CMD_DONE;
}

enum command_result getrange_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    int64_t start, end;
    if (!request_int(rq, 2, &start, NULL) || !request_int(rq, 3, &end, NULL) ||
        !string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    struct slice value = e ? entry_string(e, scratch) : (struct slice){NULL, 0};
    int64_t len = (int64_t)value.len;
    bool backwards = start < 0 && end < 0 && start > end;
    if (start < 0)
        start = start + len < 0 ? 0 : start + len;
    if (end < 0)
        end = end + len < 0 ? 0 : end + len;
    if (end >= len)
        end = len - 1;
    if (backwards || start > end)
        reply_bulk(rq->out, (struct slice){value.p, 0});
    else
        reply_bulk(rq->out, (struct slice){value.p + start, (size_t)(end - start + 1)});
    return CMD_DONE;
}

enum command_result substr_command(struct request *rq)
{
    return getrange_command(rq);
}

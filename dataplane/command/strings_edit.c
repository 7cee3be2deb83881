/* strings_edit.c: string commands that change a value in place: APPEND, SETRANGE, INCR, DECR, INCRBY, DECRBY,
 * INCRBYFLOAT. https://redis.io/docs/latest/commands/append/, setrange/, incr/, incrbyfloat/ */
#include "command/string_commands.h"
#include "base/number.h"
#include <math.h>

bool string_fits(struct request *rq, uint64_t size, uint64_t more)
{
    if (size + more >= more && size + more <= rq->env->conf->proto_max_bulk_len)
        return true;
    reply_error(rq->out, "ERR string exceeds maximum allowed size (proto-max-bulk-len)");
    return false;
}

/* Makes the string of rq->key reach to offset + part.len, writes part at offset and replies the new length.
 * e: it, NULL if there is none; len: its length now. */
static enum command_result write_part(struct request *rq, const struct entry *e, uint64_t len, uint64_t offset,
                                      struct slice part)
{
    uint8_t *bytes;
    uint64_t end = offset + part.len;
    uint64_t total = end > len ? end : len;
    if (turn_wanted(rq, turn_bytes(store_string_growth(e, total) + part.len)))
        return CMD_LONG;
    if (store_string_grow(request_shard(rq, &rq->key), rq->client->db, &rq->key, total, &bytes) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    turn_copy(rq->turn, bytes + offset, part.p, part.len);
    request_changed(rq, &rq->key);
    reply_int(rq->out, (int64_t)total);
    return CMD_DONE;
}

enum command_result append_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    struct slice tail = rq->argv[2];
    if (!string_find(rq, &rq->key, LOOK_WRITE, &e))
        return CMD_DONE;
    if (!e) {
        if (turn_wanted(rq, turn_bytes(tail.len)))
            return CMD_LONG;
        /* A first APPEND is a SET, with SET's compact encodings. */
        if (store_set_string(request_shard(rq, &rq->key), rq->client->db, &rq->key, tail, 0, 0) == STORE_OK)
            reply_int(rq->out, (int64_t)tail.len);
        else
            reply_oom(rq->out);
        return CMD_DONE;
    }
    uint64_t len = entry_string(e, scratch).len;
    return string_fits(rq, len, tail.len) ? write_part(rq, e, len, len, tail) : CMD_DONE;
}

enum command_result setrange_command(struct request *rq)
{
    char scratch[24];
    struct entry *e;
    int64_t offset;
    struct slice part = rq->argv[3];
    if (!request_int(rq, 2, &offset, NULL))
        return CMD_DONE;
    if (offset < 0) {
        reply_error(rq->out, "ERR offset is out of range");
        return CMD_DONE;
    }
    if (!string_find(rq, &rq->key, LOOK_WRITE, &e))
        return CMD_DONE;
    uint64_t len = e ? entry_string(e, scratch).len : 0;
    if (part.len == 0) /* changes nothing, creates nothing */
        reply_int(rq->out, (int64_t)len);
    else if (string_fits(rq, (uint64_t)offset, part.len))
        return write_part(rq, e, len, (uint64_t)offset, part);
    return CMD_DONE;
}

static enum command_result add(struct request *rq, int64_t by)
{
    struct entry *e;
    int64_t value = 0;
    if (!string_find(rq, &rq->key, LOOK_WRITE, &e))
        return CMD_DONE;
    if (e && !entry_int(e, &value))
        reply_not_integer(rq->out);
    else if (__builtin_add_overflow(value, by, &value))
        reply_error(rq->out, "ERR increment or decrement would overflow");
    else if (store_set_int(request_shard(rq, &rq->key), rq->client->db, &rq->key, value) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_int(rq->out, value);
    return CMD_DONE;
}

enum command_result incr_command(struct request *rq)
{
    return add(rq, 1);
}

enum command_result decr_command(struct request *rq)
{
    return add(rq, -1);
}

enum command_result incrby_command(struct request *rq)
{
    int64_t by;
    return request_int(rq, 2, &by, NULL) ? add(rq, by) : CMD_DONE;
}

enum command_result decrby_command(struct request *rq)
{
    int64_t by;
    if (!request_int(rq, 2, &by, NULL))
        return CMD_DONE;
    if (by != INT64_MIN)
        return add(rq, -by);
    reply_error(rq->out, "ERR decrement would overflow"); /* it cannot be negated */
    return CMD_DONE;
}

enum command_result incrbyfloat_command(struct request *rq)
{
    char scratch[24], text[NUMBER_TEXT];
    struct entry *e;
    long double value = 0, by;
    if (!string_find(rq, &rq->key, LOOK_WRITE, &e))
        return CMD_DONE;
    if ((e && !parse_long_double(entry_string(e, scratch), &value)) || !parse_long_double(rq->argv[2], &by)) {
        reply_not_float(rq->out);
        return CMD_DONE;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        reply_error(rq->out, "ERR increment would produce NaN or Infinity");
        return CMD_DONE;
    }
    struct slice sum = {(const uint8_t *)text, format_long_double(text, value)};
    if (store_set_string(request_shard(rq, &rq->key), rq->client->db, &rq->key, sum, 0, SET_KEEPTTL) ==
        STORE_OK)
        reply_bulk(rq->out, sum);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

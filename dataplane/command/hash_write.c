/* hash_write.c: hash commands that change: HSET, HSETNX, HMSET, HDEL, HINCRBY, HINCRBYFLOAT.
 * https://redis.io/docs/latest/commands/?group=hash */
#include "base/number.h"
#include "command/hash_commands.h"
#include "store/hash.h"
#include <math.h>

size_t hash_longest_argument(const struct request *rq, int from)
{
    size_t longest = 0;
    for (int i = from; i < rq->argc; i++)
        longest = rq->argv[i].len > longest ? rq->argv[i].len : longest;
    return longest;
}

/* Sets all pairs from argument 2 on. Returns how many fields are new, -1 without memory (for all of them). */
static int64_t set_pairs(struct request *rq, struct value_at *v)
{
    int64_t new_fields = 0;
    bool added;
    if (rq->argc > 4 && store_room_for(v, rq->argv + 2, (size_t)rq->argc - 2) != STORE_OK)
        return -1;
    if (hash_expect(v, hash_longest_argument(rq, 2)) != STORE_OK)
        return -1;
    for (int i = 2; i < rq->argc; i += 2, turn_take(rq->turn)) {
        if (hash_set(v, rq->argv[i], rq->argv[i + 1], &added) != STORE_OK)
            return -1;
        new_fields += added;
    }
    return new_fields;
}

enum { SET_REFUSED = -1, SET_LATER = -2 };

/* SET_REFUSED after replying an error. */
static int64_t set_request(struct request *rq)
{
    struct value_at v;
    if (rq->argc % 2) {
        reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
        return SET_REFUSED;
    }
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return SET_REFUSED;
    if (turn_wanted_many(rq))
        return SET_LATER;
    int64_t n = set_pairs(rq, &v);
    if (n < 0)
        reply_oom(rq->out);
    return n;
}

enum command_result hset_command(struct request *rq)
{
    int64_t n = set_request(rq);
    if (n >= 0)
        reply_int(rq->out, n);
    return n == SET_LATER ? CMD_LONG : CMD_DONE;
}

enum command_result hmset_command(struct request *rq)
{
    int64_t n = set_request(rq);
    if (n >= 0)
        reply_ok(rq->out);
    return n == SET_LATER ? CMD_LONG : CMD_DONE;
}

enum command_result hsetnx_command(struct request *rq)
{
    struct value_at v;
    struct slice value;
    char scratch[HASH_TEXT];
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return CMD_DONE;
    bool there = v.e && hash_get(v.s, v.e, rq->argv[2], &value, scratch);
    if (!there && hash_set(&v, rq->argv[2], rq->argv[3], NULL) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_int(rq->out, !there);
    return CMD_DONE;
}

enum command_result hdel_command(struct request *rq)
{
    struct value_at v;
    int64_t deleted = 0;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    for (int i = 2; i < rq->argc && v.e; i++, turn_take(rq->turn))
        deleted += hash_delete(&v, rq->argv[i]);
    reply_int(rq->out, deleted);
    return CMD_DONE;
}

enum command_result hincrby_command(struct request *rq)
{
    struct value_at v;
    struct slice text;
    char scratch[HASH_TEXT];
    int64_t by, value = 0;
    if (!request_int(rq, 3, &by, NULL) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return CMD_DONE;
    if (v.e && hash_get(v.s, v.e, rq->argv[2], &text, scratch) && !parse_i64(text, &value)) {
        reply_error(rq->out, "ERR hash value is not an integer");
        return CMD_DONE;
    }
    if (__builtin_add_overflow(value, by, &value)) {
        reply_error(rq->out, "ERR increment or decrement would overflow");
        return CMD_DONE;
    }
    struct slice sum = {(const uint8_t *)scratch, format_i64(scratch, value)};
    if (hash_update(&v, rq->argv[2], sum, NULL) == STORE_OK)
        reply_int(rq->out, value);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

enum command_result hincrbyfloat_command(struct request *rq)
{
    struct value_at v;
    struct slice old;
    char scratch[HASH_TEXT], text[NUMBER_TEXT];
    long double by, value = 0;
    if (!parse_long_double(rq->argv[3], &by)) {
        reply_not_float(rq->out);
        return CMD_DONE;
    }
    if (isnan(by) || isinf(by)) {
        reply_error(rq->out, "ERR value is NaN or Infinity");
        return CMD_DONE;
    }
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return CMD_DONE;
    if (v.e && hash_get(v.s, v.e, rq->argv[2], &old, scratch) && !parse_long_double(old, &value)) {
        reply_error(rq->out, "ERR hash value is not a float");
        return CMD_DONE;
    }
    value += by;
    if (isnan(value) || isinf(value)) {
        reply_error(rq->out, "ERR increment would produce NaN or Infinity");
        return CMD_DONE;
    }
    struct slice sum = {(const uint8_t *)text, format_long_double(text, value)};
    if (hash_update(&v, rq->argv[2], sum, NULL) == STORE_OK)
        reply_bulk(rq->out, sum);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

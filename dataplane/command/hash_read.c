/* hash_read.c: hash commands that read: HGET, HMGET, HLEN, HSTRLEN, HEXISTS, HKEYS, HVALS, HGETALL,
 * HRANDFIELD, HSCAN. https://redis.io/docs/latest/commands/?group=hash */
#include "command/hash_commands.h"
#include "command/reply_run.h"
#include "command/scan.h"
#include "store/hash.h"
#include <limits.h>

/* The value of one field for reading. False after replying; *found if it is there. */
static bool find_field(struct request *rq, struct slice *value, char scratch[HASH_TEXT], bool *found)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        return false;
    *found = v.e && hash_get(v.s, v.e, rq->argv[2], value, scratch);
    return true;
}

enum command_result hget_command(struct request *rq)
{
    struct slice value;
    char scratch[HASH_TEXT];
    bool found;
    if (!find_field(rq, &value, scratch, &found))
        return CMD_DONE;
    if (found)
        reply_bulk(rq->out, value);
    else
        reply_null(rq->out);
    return CMD_DONE;
}

enum command_result hexists_command(struct request *rq)
{
    struct slice value;
    char scratch[HASH_TEXT];
    bool found;
    if (find_field(rq, &value, scratch, &found))
        reply_int(rq->out, found);
    return CMD_DONE;
}

enum command_result hstrlen_command(struct request *rq)
{
    struct slice value;
    char scratch[HASH_TEXT];
    bool found;
    if (find_field(rq, &value, scratch, &found))
        reply_int(rq->out, found ? (int64_t)value.len : 0);
    return CMD_DONE;
}

enum command_result hmget_command(struct request *rq)
{
    struct value_at v;
    struct slice value;
    char scratch[HASH_TEXT];
    uint32_t near = 0;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++, turn_take(rq->turn))
        if (v.e && hash_get_near(v.s, v.e, rq->argv[i], &value, scratch, &near))
            reply_bulk(rq->out, value);
        else
            reply_null(rq->out);
    return CMD_DONE;
}

enum command_result hlen_command(struct request *rq)
{
    struct value_at v;
    if (request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        reply_int(rq->out, v.e ? (int64_t)hash_count(v.s, v.e) : 0);
    return CMD_DONE;
}

/* -- whole hashes -- */

enum { FIELDS = 1, VALUES = 2 };

static void reply_pair(struct resp_writer *out, const struct hash_pair *pair, unsigned parts)
{
    if (parts & FIELDS)
        reply_bulk(out, pair->field);
    if (parts & VALUES)
        reply_bulk(out, pair->value);
}

static void reply_pack(struct request *rq, struct pack_run *run, uint64_t pairs, unsigned parts)
{
    uint64_t all = pairs * 2;
    if (parts == (FIELDS | VALUES)) {
        reply_run(rq->out, run, &all, rq->turn);
        return;
    }
    if (parts == VALUES)
        pack_run_skip(run);
    reply_run_firsts(rq->out, run, &pairs, rq->turn);
}

static enum command_result reply_all(struct request *rq, unsigned parts)
{
    struct value_at v;
    struct hash_cursor cursor = {0};
    struct hash_pair pair;
    struct pack_run run;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        return CMD_DONE;
    size_t n = v.e ? hash_count(v.s, v.e) : 0;
    if (turn_wanted_for(rq, v.e, n, n))
        return CMD_LONG;
    if (parts == (FIELDS | VALUES))
        reply_map(rq->out, n);
    else
        reply_array(rq->out, n);
    if (v.e && hash_run(v.e, &run)) {
        reply_pack(rq, &run, n, parts);
        return CMD_DONE;
    }
    while (v.e && turn_goes_on(rq->turn) && hash_next(v.s, v.e, &cursor, &pair))
        reply_pair(rq->out, &pair, parts);
    return CMD_DONE;
}

enum command_result hkeys_command(struct request *rq)
{
    return reply_all(rq, FIELDS);
}

enum command_result hvals_command(struct request *rq)
{
    return reply_all(rq, VALUES);
}

enum command_result hgetall_command(struct request *rq)
{
    return reply_all(rq, FIELDS | VALUES);
}

/* -- HRANDFIELD -- */

struct random_reply {
    struct resp_writer *out;
    bool with_values;
};

static void begin_random_reply(const struct random_reply *r, uint64_t n)
{
    reply_array(r->out, r->with_values && r->out->proto == 2 ? n * 2 : n);
}

static void reply_random(const struct hash_pair *pair, void *arg)
{
    const struct random_reply *r = arg;
    if (r->with_values && r->out->proto == 3)
        reply_array(r->out, 2);
    reply_pair(r->out, pair, r->with_values ? FIELDS | VALUES : FIELDS);
}

static void random_fields(struct request *rq, const struct value_at *v, int64_t count, bool with_values)
{
    struct random_reply r = {rq->out, with_values};
    struct hash_pair pair;
    if (!v->e || count == 0) {
        reply_array(rq->out, 0);
    } else if (count < 0) {
        begin_random_reply(&r, (uint64_t)-count);
        for (int64_t left = -count; left > 0 && !rq->out->failed; left--) {
            turn_take(rq->turn);
            hash_random(v->s, v->e, &pair);
            reply_random(&pair, &r);
        }
    } else {
        uint64_t n = hash_count(v->s, v->e) < (uint64_t)count ? hash_count(v->s, v->e) : (uint64_t)count;
        begin_random_reply(&r, n);
        if (!hash_sample(v->s, v->e, n, reply_random, &r)) /* the array is promised already */
            for (hash_random(v->s, v->e, &pair); n > 0; n--)
                reply_random(&pair, &r);
    }
}

enum command_result hrandfield_command(struct request *rq)
{
    struct value_at v;
    struct hash_pair pair;
    int64_t count = 0;
    bool with_values = rq->argc == 4;
    if (rq->argc >= 3) {
        if (!request_int(rq, 2, &count, NULL))
            return CMD_DONE;
        if (count == INT64_MIN) {
            reply_errorf(rq->out, "ERR value is out of range, value must between %ld and %ld", -LONG_MAX,
                         LONG_MAX);
            return CMD_DONE;
        }
        if (rq->argc > 4 || (with_values && !slice_is(rq->argv[3], "WITHVALUES"))) {
            reply_syntax_error(rq->out);
            return CMD_DONE;
        }
        if (with_values && (count < -LONG_MAX / 2 || count > LONG_MAX / 2)) {
            reply_error(rq->out, "ERR value is out of range");
            return CMD_DONE;
        }
    }
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        return CMD_DONE;
    if (rq->argc >= 3) {
        random_fields(rq, &v, count, with_values);
    } else if (v.e) {
        hash_random(v.s, v.e, &pair);
        reply_bulk(rq->out, pair.field);
    } else {
        reply_null(rq->out);
    }
    return CMD_DONE;
}

/* -- HSCAN: one pass counts what matches, the next replies it -- */

struct scan_reply {
    struct resp_writer *out; /* NULL: count */
    const struct scan_options *options;
    size_t matched;
};

static void scan_pair(const struct hash_pair *pair, void *arg)
{
    struct scan_reply *r = arg;
    if (!scan_matches(r->options, pair->field))
        return;
    r->matched++;
    if (r->out)
        reply_pair(r->out, pair, FIELDS | VALUES);
}

enum command_result hscan_command(struct request *rq)
{
    struct value_at v;
    struct scan_options o;
    uint64_t cursor, next;
    if (!request_cursor(rq, 2, &cursor) || !request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v))
        return CMD_DONE;
    if (!v.e) {
        reply_scan(rq->out, 0);
        reply_array(rq->out, 0);
        return CMD_DONE;
    }
    if (!request_scan_options(rq, 3, false, &o))
        return CMD_DONE;
    if (scan_is_long(rq, &o, hash_count(v.s, v.e)))
        return CMD_LONG;
    struct scan_reply r = {.options = &o};
    next = hash_scan(v.s, v.e, cursor, (uint64_t)o.count, scan_pair, &r);
    reply_scan(rq->out, next);
    reply_array(rq->out, r.matched * 2);
    r.out = rq->out;
    hash_scan(v.s, v.e, cursor, (uint64_t)o.count, scan_pair, &r);
    return CMD_DONE;
}

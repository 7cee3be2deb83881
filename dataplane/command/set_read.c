/* set_read.c: set commands that read one set: SISMEMBER, SMISMEMBER, SCARD, SMEMBERS, SRANDMEMBER, SSCAN.
 * https://redis.io/docs/latest/commands/?group=set */
#include "command/reply_run.h"
#include "command/scan.h"
#include "command/set_commands.h"
#include "store/set.h"
#include <limits.h>

enum command_result sismember_command(struct request *rq)
{
    struct value_at v;
    if (request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        reply_int(rq->out, v.e && set_has(v.s, v.e, rq->argv[2]));
    return CMD_DONE;
}

enum command_result smismember_command(struct request *rq)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        return CMD_DONE;
    reply_array(rq->out, (size_t)rq->argc - 2);
    for (int i = 2; i < rq->argc; i++)
        reply_int(rq->out, v.e && set_has(v.s, v.e, rq->argv[i]));
    return CMD_DONE;
}

enum command_result scard_command(struct request *rq)
{
    struct value_at v;
    if (request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        reply_int(rq->out, v.e ? (int64_t)set_count(v.e) : 0);
    return CMD_DONE;
}

enum command_result smembers_command(struct request *rq)
{
    struct value_at v;
    struct set_cursor cursor = {0};
    struct set_member member;
    struct pack_run run;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        return CMD_DONE;
    uint64_t n = v.e ? set_count(v.e) : 0;
    if (turn_wanted_for(rq, v.e, n, n))
        return CMD_LONG;
    reply_set(rq->out, n);
    if (v.e && set_run(v.e, &run)) {
        reply_run(rq->out, &run, &n, rq->turn);
        return CMD_DONE;
    }
    while (v.e && turn_goes_on(rq->turn) && set_next(v.s, v.e, &cursor, &member))
        reply_bulk(rq->out, member.text);
    return CMD_DONE;
}

/* -- SRANDMEMBER -- */

static void reply_member(const struct set_member *member, void *out)
{
    reply_bulk(out, member->text);
}

static void random_members(struct request *rq, const struct value_at *v, int64_t count)
{
    struct set_member member;
    if (!v->e || count == 0) {
        reply_array(rq->out, 0);
    } else if (count < 0) {
        reply_array(rq->out, (uint64_t)-count);
        for (int64_t left = -count; left > 0 && !rq->out->failed; left--) {
            turn_take(rq->turn);
            set_random(v->s, v->e, &member);
            reply_bulk(rq->out, member.text);
        }
    } else {
        uint64_t n = set_count(v->e) < (uint64_t)count ? set_count(v->e) : (uint64_t)count;
        reply_array(rq->out, n);
        if (!set_sample(v->s, v->e, n, reply_member, rq->out)) /* the array is promised already */
            for (set_random(v->s, v->e, &member); n > 0; n--)
                reply_bulk(rq->out, member.text);
    }
}

enum command_result srandmember_command(struct request *rq)
{
    struct value_at v;
    struct set_member member;
    int64_t count = 0;
    if (rq->argc > 3) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if (rq->argc == 3 && !request_int(rq, 2, &count, NULL))
        return CMD_DONE;
    if (count == INT64_MIN) {
        reply_errorf(rq->out, "ERR value is out of range, value must between %ld and %ld", -LONG_MAX,
                     LONG_MAX);
        return CMD_DONE;
    }
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        return CMD_DONE;
    if (rq->argc == 3 && v.e && turn_wanted(rq, turn_draws(count, set_count(v.e))))
        return CMD_LONG;
    if (rq->argc == 3) {
        random_members(rq, &v, count);
    } else if (v.e) {
        set_random(v.s, v.e, &member);
        reply_bulk(rq->out, member.text);
    } else {
        reply_null(rq->out);
    }
    return CMD_DONE;
}

/* -- SSCAN: one pass counts what matches, the next replies it -- */

struct scan_reply {
    struct resp_writer *out; /* NULL: count */
    const struct scan_options *options;
    size_t matched;
};

static void scan_member(const struct set_member *member, void *arg)
{
    struct scan_reply *r = arg;
    if (!scan_matches(r->options, member->text))
        return;
    r->matched++;
    if (r->out)
        reply_bulk(r->out, member->text);
}

enum command_result sscan_command(struct request *rq)
{
    struct value_at v;
    struct scan_options o;
    uint64_t cursor, next;
    if (!request_cursor(rq, 2, &cursor) || !request_value(rq, &rq->key, LOOK_READ, TYPE_SET, &v))
        return CMD_DONE;
    if (!v.e) {
        reply_scan(rq->out, 0);
        reply_array(rq->out, 0);
        return CMD_DONE;
    }
    if (!request_scan_options(rq, 3, false, &o))
        return CMD_DONE;
    if (scan_is_long(rq, &o, set_count(v.e)))
        return CMD_LONG;
    struct scan_reply r = {.options = &o};
    next = set_scan(v.s, v.e, cursor, (uint64_t)o.count, scan_member, &r);
    reply_scan(rq->out, next);
    reply_array(rq->out, r.matched);
    r.out = rq->out;
    set_scan(v.s, v.e, cursor, (uint64_t)o.count, scan_member, &r);
    return CMD_DONE;
}

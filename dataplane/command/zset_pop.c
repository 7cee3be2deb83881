/* zset_pop.c: ZPOPMIN, ZPOPMAX, ZMPOP, ZSCAN.
 * https://redis.io/docs/latest/commands/zmpop/ https://redis.io/docs/latest/commands/zscan/ */
#include "base/number.h"
#include "command/scan.h"
#include "command/zset.h"
#include "command/zset_commands.h"
#include <math.h>
#include <stdio.h>

/* Replies the `count` least or greatest elements, from the end on, and removes them. */
static void pop(struct request *rq, struct value_at *v, const struct zset *z, bool greatest, uint64_t count,
                bool nested)
{
    uint64_t length = zset_count(z);
    struct zset_walk w;
    struct zset_element e;
    zset_walk(&w, z, greatest ? length - 1 : 0, greatest);
    reply_array(rq->out, nested ? count : count * 2);
    for (uint64_t i = 0; i < count && zset_next(&w, &e); i++, turn_take(rq->turn)) {
        if (nested)
            reply_array(rq->out, 2);
        reply_bulk(rq->out, e.member);
        reply_double(rq->out, e.score);
    }
    zset_remove_ranks(v, greatest ? length - count : 0, greatest ? length : count);
}

/* How many go: what an element takes to be removed is more than to be replied. */
static uint64_t popped_of(const struct zset *z, int64_t count)
{
    uint64_t length = zset_count(z);
    return (uint64_t)count < length ? (uint64_t)count : length;
}

static bool is_long(const struct request *rq, uint64_t popped)
{
    return turn_wanted(rq, 4 * popped);
}

static enum command_result pop_one_key(struct request *rq, bool greatest)
{
    struct value_at v;
    struct zset z;
    int64_t count = 1;
    if (rq->argc > 3) {
        reply_syntax_error(rq->out);
        return CMD_DONE;
    }
    if ((rq->argc == 3 &&
         !request_at_least(rq, 2, 0, &count, "ERR value is out of range, must be positive")) ||
        !request_zset(rq, &rq->key, LOOK_WRITE, &v, &z))
        return CMD_DONE;
    if (!v.e || count == 0) {
        reply_array(rq->out, 0);
        return CMD_DONE;
    }
    uint64_t n = popped_of(&z, count);
    if (is_long(rq, n))
        return CMD_LONG;
    pop(rq, &v, &z, greatest, n, rq->argc == 3 && rq->out->proto > 2);
    return CMD_DONE;
}

enum command_result zpopmin_command(struct request *rq)
{
    return pop_one_key(rq, false);
}

enum command_result zpopmax_command(struct request *rq)
{
    return pop_one_key(rq, true);
}

bool request_zset_mpop(struct request *rq, int at, struct zset_mpop *m)
{
    int64_t keys;
    m->count = -1;
    if (!request_at_least(rq, at, 1, &keys, "ERR numkeys should be greater than 0"))
        return false;
    int where = keys < rq->argc - at - 1 ? (int)keys + at + 1 : 0;
    bool ok = where && (slice_is(rq->argv[where], "MIN") || slice_is(rq->argv[where], "MAX"));
    for (int i = where + 1; ok && i < rq->argc; i += 2) {
        ok = m->count < 0 && slice_is(rq->argv[i], "COUNT") && i + 1 < rq->argc;
        if (ok && !request_at_least(rq, i + 1, 1, &m->count, "ERR count should be greater than 0"))
            return false;
    }
    if (!ok) {
        reply_syntax_error(rq->out);
        return false;
    }
    m->keys = (int)keys;
    m->greatest = slice_is(rq->argv[where], "MAX");
    m->count = m->count < 0 ? 1 : m->count;
    return true;
}

/* The first of these keys with elements: 1; 0 if there is none; -1 after replying WRONGTYPE. */
static int first_filled(struct request *rq, int first, int keys, struct key *k, struct value_at *v,
                        struct zset *z)
{
    for (int i = first; i < first + keys; i++) {
        *k = request_key(rq, i);
        if (!request_zset(rq, k, LOOK_WRITE, v, z))
            return -1;
        if (v->e)
            return 1;
    }
    return 0;
}

enum command_result zset_mpop_try(struct request *rq, int first, int keys, bool greatest, int64_t count)
{
    struct value_at v;
    struct zset z;
    struct key k;
    int found = first_filled(rq, first, keys, &k, &v, &z);
    if (found <= 0)
        return found < 0 ? CMD_DONE : CMD_BLOCK;
    uint64_t n = popped_of(&z, count);
    if (is_long(rq, n))
        return CMD_LONG;
    reply_array(rq->out, 2);
    reply_bulk(rq->out, k.name);
    pop(rq, &v, &z, greatest, n, true);
    return CMD_DONE;
}

bool zset_pop_try(struct request *rq, int first, int keys, bool greatest)
{
    struct value_at v;
    struct zset z;
    struct zset_walk w;
    struct zset_element e;
    struct key k;
    int found = first_filled(rq, first, keys, &k, &v, &z);
    if (found <= 0)
        return found < 0;
    uint64_t at = greatest ? zset_count(&z) - 1 : 0;
    zset_walk(&w, &z, at, greatest);
    zset_next(&w, &e);
    reply_array(rq->out, 3);
    reply_bulk(rq->out, k.name);
    reply_bulk(rq->out, e.member);
    reply_double(rq->out, e.score);
    zset_remove_ranks(&v, at, at + 1);
    return true;
}

enum command_result zmpop_command(struct request *rq)
{
    struct zset_mpop m;
    if (!request_zset_mpop(rq, 1, &m))
        return CMD_DONE;
    enum command_result result = zset_mpop_try(rq, 2, m.keys, m.greatest, m.count);
    if (result != CMD_BLOCK)
        return result;
    reply_null_array(rq->out);
    return CMD_DONE;
}

/* -- ZSCAN
 * ----------------------------------------------------------------------------------------------------- */

struct scan_reply {
    struct resp_writer *out; /* NULL: count */
    const struct scan_options *options;
    bool compact;
    size_t matched;
};

/* A score's text: as ZSCORE has it in the compact form, with 17 digits in the other one (as Redis 7.2). */
static void reply_score_text(struct resp_writer *out, double score, bool compact)
{
    char text[64];
    size_t len = compact || isinf(score) ? format_double(text, score)
                                         : (size_t)snprintf(text, sizeof text, "%.17Lg", (long double)score);
    reply_bulk(out, (struct slice){(const uint8_t *)text, len});
}

static void scan_element(const struct zset_element *e, void *arg)
{
    struct scan_reply *r = arg;
    if (!scan_matches(r->options, e->member))
        return;
    r->matched++;
    if (!r->out)
        return;
    reply_bulk(r->out, e->member);
    reply_score_text(r->out, e->score, r->compact);
}

enum command_result zscan_command(struct request *rq)
{
    struct value_at v;
    struct zset z;
    struct scan_options o;
    uint64_t cursor, next;
    if (!request_cursor(rq, 2, &cursor) || !request_zset(rq, &rq->key, LOOK_READ, &v, &z))
        return CMD_DONE;
    if (!v.e) {
        reply_scan(rq->out, 0);
        reply_array(rq->out, 0);
        return CMD_DONE;
    }
    if (!request_scan_options(rq, 3, false, &o))
        return CMD_DONE;
    if (scan_is_long(rq, &o, zset_count(&z)))
        return CMD_LONG;
    struct scan_reply r = {.options = &o, .compact = z.pack};
    next = zset_scan(&z, cursor, (uint64_t)o.count, scan_element, &r);
    reply_scan(rq->out, next);
    reply_array(rq->out, r.matched * 2);
    r.out = rq->out;
    zset_scan(&z, cursor, (uint64_t)o.count, scan_element, &r);
    return CMD_DONE;
}

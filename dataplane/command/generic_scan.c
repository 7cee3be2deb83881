/* generic_scan.c: KEYS, SCAN, RANDOMKEY, which see every shard (CMD_ROUTE_ALL: all other workers are
 * stopped). https://redis.io/docs/latest/commands/scan/
 *
 * A SCAN cursor is the number of a shard, among those that the client sees, in the 16 high bits and that shard's own
 * cursor in the 48 low ones. */
#include "base/glob.h"
#include "base/number.h"
#include "command/cluster.h"
#include "command/generic.h"
#include "command/scan.h"
#include "command/server.h"
#include <stdlib.h>

enum { CURSOR_BITS = 48, STRIDE = 16 };
static const uint64_t cursor_mask = (UINT64_C(1) << CURSOR_BITS) - 1;

/* Keys that passed the filters. Nothing changes a shard before they are replied (CMD_ALL_KEYS), so slices
 * stay good. */
struct key_list {
    const struct slice *pattern; /* NULL: all */
    const struct slice *type;    /* NULL: all */
    struct slice *key, room[64];
    size_t count, cap;
    uint64_t passed; /* also those that did not pass */
    bool failed; /* no memory */
};

static void list_init(struct key_list *l, const struct slice *pattern, const struct slice *type)
{
    bool all = pattern && pattern->len == 1 && pattern->p[0] == '*';
    l->pattern = all ? NULL : pattern;
    l->type = type;
    l->key = l->room;
    l->count = l->passed = 0;
    l->cap = sizeof l->room / sizeof l->room[0];
    l->failed = false;
}

static void list_free(struct key_list *l)
{
    if (l->key != l->room)
        free(l->key);
}

static bool list_grow(struct key_list *l)
{
    size_t cap = l->cap * 2;
    struct slice *key = realloc(l->key == l->room ? NULL : l->key, cap * sizeof *key);
    if (!key) {
        l->failed = true;
        return false;
    }
    if (l->key == l->room)
        memcpy(key, l->room, sizeof l->room);
    l->key = key;
    l->cap = cap;
    return true;
}

static void list_visit(struct entry *e, void *arg)
{
    struct key_list *l = arg;
    struct slice name = entry_key(e);
    l->passed++;
    if ((l->pattern && !glob_match(*l->pattern, name, false)) ||
        (l->type && !slice_is(*l->type, value_type_name(entry_type(e)))))
        return;
    if (l->count < l->cap || list_grow(l))
        l->key[l->count++] = name;
}

static void list_reply(struct resp_writer *out, const struct key_list *l, struct turn *turn)
{
    reply_array(out, l->count);
    for (size_t i = 0; i < l->count && turn_goes_on(turn); i++)
        reply_bulk(out, l->key[i]);
}

enum command_result keys_command(struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    const struct shard_span span = request_shards(rq);
    struct key_list l;
    if (turn_wanted(rq, server_db_size(rq, rq->client->db, NULL, NULL)))
        return CMD_LONG;
    list_init(&l, &rq->argv[1], NULL);
    for (unsigned i = span.first; i < span.end; i++) {
        uint64_t cursor = 0;
        do
            cursor = store_scan(ks->shard[i], rq->client->db, cursor, STRIDE, list_visit, &l);
        while (turn_goes_on(rq->turn) && cursor);
    }
    if (l.failed)
        reply_oom(rq->out);
    else
        list_reply(rq->out, &l, rq->turn);
    list_free(&l);
    return CMD_DONE;
}

bool request_cursor(struct request *rq, int i, uint64_t *cursor)
{
    struct slice s = {rq->argv[i].p, strnlen((const char *)rq->argv[i].p, rq->argv[i].len)};
    bool negative = s.len && s.p[0] == '-', sign = negative || (s.len && s.p[0] == '+');
    bool good = s.len > sign || s.len == 0;
    *cursor = 0;
    for (size_t at = sign; good && at < s.len; at++)
        good = s.p[at] >= '0' && s.p[at] <= '9' && !__builtin_mul_overflow(*cursor, UINT64_C(10), cursor) &&
               !__builtin_add_overflow(*cursor, (uint64_t)(s.p[at] - '0'), cursor);
    if (!good)
        reply_error(rq->out, "ERR invalid cursor");
    if (negative)
        *cursor = -*cursor;
    return good;
}

bool request_scan_options(struct request *rq, int i, bool with_type, struct scan_options *o)
{
    *o = (struct scan_options){.count = 10, .turn = rq->turn};
    for (; i < rq->argc; i += 2) {
        bool last = i + 1 == rq->argc;
        if (!last && slice_is(rq->argv[i], "COUNT")) {
            if (!request_int(rq, i + 1, &o->count, NULL))
                return false;
            last = o->count < 1; /* Redis answers a syntax error, too */
        } else if (!last && slice_is(rq->argv[i], "MATCH")) {
            const struct slice *p = &rq->argv[i + 1];
            o->pattern = p->len == 1 && p->p[0] == '*' ? NULL : p; /* "*" alone matches an empty name, too */
        } else if (!last && with_type && slice_is(rq->argv[i], "TYPE")) {
            o->type = &rq->argv[i + 1];
        } else {
            last = true;
        }
        if (last) {
            reply_syntax_error(rq->out);
            return false;
        }
    }
    return true;
}

bool scan_matches(const struct scan_options *o, struct slice name)
{
    turn_take(o->turn);
    return !o->pattern || glob_match(*o->pattern, name, false);
}

void reply_scan(struct resp_writer *out, uint64_t cursor)
{
    char text[24];
    reply_array(out, 2);
    reply_bulk(out, (struct slice){(const uint8_t *)text, format_u64(text, cursor)});
}

bool scan_is_long(const struct request *rq, const struct scan_options *o, uint64_t elements)
{
    return turn_wanted(rq, 4 * ((uint64_t)o->count < elements ? (uint64_t)o->count : elements));
}

bool scan_reaches(int argc, const struct slice *argv)
{
    enum { MANY = 500 };
    int64_t count = 0;
    for (int i = 2; i + 1 < argc; i += 2)
        if (slice_is(argv[i], "COUNT") && !parse_i64(argv[i + 1], &count))
            return false;
    return count > MANY;
}

/* Passes about `want` keys of a shard from *cursor on. False if it has no more. */
static bool scan_shard(struct shard *s, unsigned db, uint64_t *cursor, uint64_t want, struct key_list *l,
                       struct turn *turn)
{
    uint64_t until = l->passed + want;
    for (uint64_t calls = want / STRIDE + 1; calls > 0 && l->passed < until; calls--) {
        uint64_t left = until - l->passed;
        *cursor = store_scan(s, db, *cursor, left < STRIDE ? (unsigned)left : STRIDE, list_visit, l);
        if (!*cursor || !turn_goes_on(turn))
            break;
    }
    return *cursor;
}

/* Passes about `want` keys, over as many shards as that takes, and returns the next cursor. */
static uint64_t scan_on(const struct request *rq, uint64_t cursor, uint64_t want, struct key_list *l)
{
    const struct shard_span span = request_shards(rq);
    uint64_t number = cursor >> CURSOR_BITS, at = cursor & cursor_mask;
    for (; number < span.end - span.first; number++, at = 0) {
        struct shard *s = rq->env->ks->shard[span.first + number];
        uint64_t before = l->passed;
        if (want == 0)
            return number << CURSOR_BITS;
        if (scan_shard(s, rq->client->db, &at, want, l, rq->turn))
            return number << CURSOR_BITS | at;
        want -= l->passed - before < want ? l->passed - before : want;
    }
    return 0;
}

enum command_result scan_command(struct request *rq)
{
    uint64_t cursor;
    struct scan_options o;
    struct key_list l;
    if (!request_cursor(rq, 1, &cursor) || !request_scan_options(rq, 2, true, &o))
        return CMD_DONE;
    if (scan_reaches(rq->argc, rq->argv) &&
        scan_is_long(rq, &o, server_db_size(rq, rq->client->db, NULL, NULL)))
        return CMD_LONG;
    list_init(&l, o.pattern, o.type);
    cursor = scan_on(rq, cursor, (uint64_t)o.count, &l);
    if (l.failed) {
        reply_oom(rq->out);
    } else {
        reply_scan(rq->out, cursor);
        list_reply(rq->out, &l, rq->turn);
    }
    list_free(&l);
    return CMD_DONE;
}

/* A shard is chosen by its share of the keys, so that every key is equally likely. When it turns out to hold
 * nothing but expired keys, the next one that has a live key answers. */
enum command_result randomkey_command(struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    const struct shard_span span = request_shards(rq);
    unsigned db = rq->client->db, shards = span.end - span.first, first = 0;
    uint64_t total = 0, keys = 0, expires, ttl;
    struct entry *e = NULL;
    for (unsigned i = 0; i < shards; i++) {
        shard_db_size(ks->shard[span.first + i], db, &keys, &expires, &ttl);
        total += keys;
        if (keys && env_random(rq->env) % total < keys)
            first = i;
    }
    for (unsigned i = 0; i < shards && total && !e; i++)
        e = store_random(ks->shard[span.first + (first + i) % shards], db, env_random(rq->env));
    if (e)
        reply_bulk(rq->out, entry_key(e));
    else
        reply_null(rq->out);
    return CMD_DONE;
}

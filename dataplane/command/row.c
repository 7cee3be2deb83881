/* row.c: GETs and SETs in a row. https://redis.io/docs/latest/commands/get/, set/ */
#include "command/row.h"

#include "command/acl.h"
#include "command/latency.h"
#include "resp/bulk.h"

#include <immintrin.h>

struct row {
    struct command_env *env;
    struct client *c;
    struct shard *shard;
    const struct rights *limits; /* NULL: the client may do everything */
    struct ahead_row *ahead;
    struct resp_writer *out;
    uint8_t *cur, *end; /* of its room, as far as replies have come */
};

/* How many of n calls may run: up to the next one whose time is taken. */
static inline unsigned unmeasured(const struct command_stats *stats, unsigned n)
{
    unsigned left = (unsigned)-stats->calls & (COMMAND_MEASURE_EACH - 1);
    return n < left ? n : left;
}

/* memcpy() of 32 bytes, which gcc makes two moves of 16. */
#ifdef __AVX2__
static inline void copy32(uint8_t *to, const uint8_t *from)
{
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_loadu_si256((const __m256i *)(const void *)from));
}
#else
static inline void copy32(uint8_t *to, const uint8_t *from)
{
    memcpy(to, from, 32);
}
#endif

/* put_bulk(), one of 32 to 64 bytes by the widest moves. */
static inline __attribute__((always_inline)) uint8_t *put_text(uint8_t *p, struct slice text)
{
    if (text.len - 32 > 32)
        return put_bulk(p, text.p, text.len);
    p = put_count(p, '$', (unsigned)text.len);
    copy32(p, text.p);
    copy32(p + text.len - 32, text.p + text.len - 32);
    memcpy(p + text.len, "\r\n", 2);
    return p + text.len + 2;
}

/* Of a text of more than that. Not inlined: few rows have any. */
enum { LONG_EXTRA = 10 /* room that is needed beside the text */, COPY = 32 };
static __attribute__((noinline)) uint8_t *put_long_text(uint8_t *p, struct slice text)
{
    _Static_assert(TEXT_MOST < 100000, "of five digits at most: LONG_EXTRA");
    const unsigned n = (unsigned)text.len, digits = number_digits(n);
    *p++ = '$';
    number_put(p, n, digits);
    memcpy(p + digits, "\r\n", 2);
    p += digits + 2;
    for (size_t i = 0; i + COPY < n; i += COPY)
        copy32(p + i, text.p + i);
    copy32(p + n - COPY, text.p + n - COPY);
    memcpy(p + n, "\r\n", 2);
    return p + n + 2;
}

enum { NULL_ROOM = 8 };

/* Writes NULL_ROOM bytes; returns where the null ends. */
static inline uint8_t *put_null(uint8_t *p, unsigned proto)
{
    memcpy(p, proto == 2 ? "$-1\r\n\0\0" : "_\r\n\0\0\0\0", NULL_ROOM);
    return p + (proto == 2 ? 5 : 3);
}

/* A reply that is no short text, where it has room; NULL: it has none. roomy: nor is one wanted that is longer than a short text. */
static __attribute__((noinline)) uint8_t *put_other(uint8_t *p, size_t room, struct slice value, unsigned proto, bool roomy)
{
    if (!value.p)
        return room >= NULL_ROOM ? put_null(p, proto) : NULL;
    if (value.len == TEXT_NUMBER)
        return room >= BULK_NUMBER ? put_bulk_number(p, (int64_t)bytes_load8(value.p)) : NULL;
    return !roomy && value.len > BULK_SHORT && room >= value.len + LONG_EXTRA ? put_long_text(p, value) : NULL;
}

/* Replies to GETs whose texts these are, as far as there is room; how many. roomy: there is, for as many short ones, and a longer one is not
 * written. */
static inline __attribute__((always_inline)) unsigned put_texts(struct row *row, const struct slice *text, unsigned n, unsigned *misses,
                                                                bool roomy)
{
    uint8_t *cur = row->cur, *const end = row->end;
    unsigned i = 0;
    for (; i < n; i++) {
        const struct slice value = text[i]; /* what is written might be it, for all that the compiler knows */
        if (__builtin_expect(value.len <= BULK_SHORT && (roomy || bulk_is_short(end - cur, value.len)), 1)) {
            cur = put_text(cur, value);
            continue;
        }
        uint8_t *next = put_other(cur, (size_t)(end - cur), value, row->out->proto, roomy);
        if (!next)
            break;
        cur = next;
        *misses += !value.p;
    }
    row->cur = cur;
    return i;
}

/* Short ones. Not inlined: what is around it would take registers from it. */
static __attribute__((noinline)) unsigned put_texts_easily(struct row *row, const struct slice *text, unsigned n, unsigned *misses)
{
    return put_texts(row, text, n, misses, true);
}

/* A reply of which only a part may have room, and the rest is to go on elsewhere. False: none is wanted any more. */
static __attribute__((noinline)) bool reply_across(struct row *row, const struct slice *text, unsigned *misses)
{
    struct resp_writer *out = row->out;
    if (out->failed)
        return false;
    out->cur = row->cur;
    if (!text->p)
        reply_null(out);
    else if (text->len == TEXT_NUMBER)
        reply_bulk_int(out, (int64_t)bytes_load8(text->p));
    else
        reply_bulk(out, *text);
    *misses += !text->p;
    row->cur = out->cur;
    row->end = out->end;
    return true;
}

static inline __attribute__((always_inline)) unsigned reply_texts(struct row *row, struct command_stats *stats, const struct slice *text,
                                                                  unsigned n, bool many)
{
    unsigned i = 0, misses = 0;
    while (i < n) {
        const size_t room = many ? (size_t)(row->end - row->cur) / (BULK_SHORT + BULK_EXTRA) : 0;
        const unsigned most = room < n - i ? (unsigned)room : n - i;
        if (most > 1) {
            const unsigned done = put_texts_easily(row, text + i, most, &misses);
            i += done;
            if (done == most)
                continue;
        }
        i += put_texts(row, text + i, n - i, &misses, false);
        if (i < n && !reply_across(row, &text[i], &misses))
            break;
        i += i < n;
    }
    store_count_looks(row->shard, i - misses, misses);
    stats->calls += i;
    return i;
}

/* GETs, one behind the other, whose look-ups begin at `first`; how many are replied to. */
static inline __attribute__((always_inline)) unsigned run_gets(struct row *row, const struct request *rq, unsigned first, unsigned n)
{
    struct command_stats *stats = &row->env->stats[rq->cmd->id];
    struct slice text[AHEAD_ROW];
    unsigned most = unmeasured(stats, n);
    if (__builtin_expect(row->limits != NULL, 0))
        most = rights_in_row(row->limits, rq->cmd, rq->argv + 1, GET_ARGS, most);
    most = store_texts_ahead(row->shard, row->c->db, row->ahead, first, most, rq->argv + 1, GET_ARGS, text);
    return reply_texts(row, stats, text, most, false);
}

/* The arguments of a part's request. */
static inline struct slice *args_of(const struct row_part *part, unsigned i)
{
    const uint8_t *p = part->p + (i - part->first) * part->all;
    struct slice *argv = part->argv + (size_t)(i - part->first) * GET_ARGS;
    argv[0] = (struct slice){p + NAME_AT, NAME_LEN};
    argv[1] = (struct slice){p + part->key_at, part->key_len};
    return argv;
}

/* How many of n a user with limits may run. */
static __attribute__((noinline)) unsigned allowed(const struct row *row, const struct row_part *part, unsigned first, unsigned n)
{
    struct slice *argv = args_of(part, first);
    for (unsigned i = 1; i < n; i++)
        args_of(part, first + i);
    return rights_in_row(row->limits, part->cmd, argv + 1, GET_ARGS, n);
}

/* The same as run_gets() for GETs that are alike. */
static inline __attribute__((always_inline)) unsigned run_alike(struct row *row, const struct row_part *part, unsigned first, unsigned n)
{
    struct command_stats *stats = &row->env->stats[part->cmd->id];
    const struct slice name = {part->p + (first - part->first) * part->all + part->key_at, part->key_len};
    struct slice text[AHEAD_ROW];
    unsigned most = unmeasured(stats, n);
    if (__builtin_expect(row->limits != NULL, 0))
        most = allowed(row, part, first, most);
    const unsigned found = store_texts_alike(row->shard, row->c->db, row->ahead, first, most, name, part->all, text);
    const unsigned done = reply_texts(row, stats, text, found, true);
    row->env->row_last->gets[row->env->row_last->now].unusual += done < most;
    return done;
}

/* The number of up to eight digits at text, which has eight bytes or more of the request before its end; false if it is anything
 * else. All of them at once: neighbours, then pairs, then fours are added up. */
static inline bool digits_of(struct slice text, uint64_t *number)
{
    static const uint64_t zeros = 0x3030303030303030, above_nine = 0x7676767676767676, high_bits = 0x8080808080808080;
    const unsigned before = (unsigned)(8 * (8 - text.len));
    uint64_t w = (bytes_load8(text.p + text.len - 8) ^ zeros) >> before << before;
    if (((w + above_nine) | w) & high_bits)
        return false;
    w = (w * 10 + (w >> 8)) & 0x00ff00ff00ff00ff;
    w = (w * 100 + (w >> 16)) & 0x0000ffff0000ffff;
    *number = (w * 10000 + (w >> 32)) & 0xffffffff;
    return true;
}

/* When a SET's key expires, 0: never. False if that is not a plain number of milliseconds or seconds. */
static inline bool time_of(const struct request *rq, uint64_t *at)
{
    enum { DIGITS = 12, AT_ONCE = 8, HUNDRED_MILLION = 100000000 };
    uint64_t left, high = 0;
    *at = 0;
    if (rq->argc == SET_ARGS)
        return true;
    struct slice text = rq->argv[4];
    if (text.len - 1 >= DIGITS || text.p[0] == '0')
        return false;
    if (__builtin_expect(text.len > AT_ONCE, 0)) {
        if (!digits_of((struct slice){text.p, text.len - AT_ONCE}, &high))
            return false;
        text = (struct slice){text.p + text.len - AT_ONCE, AT_ONCE};
    }
    if (!digits_of(text, &left))
        return false;
    left += high * HUNDRED_MILLION;
    bool seconds = (rq->argv[3].p[0] | 0x20) == 'e';
    *at = left * (seconds ? 1000 : 1);
    return true;
}

/* One SET; false if it is not done. */
static inline bool run_set(struct row *row, const struct request *rq, unsigned at)
{
    static const char ok[8] = "+OK\r\n";
    enum { OK = 5 };
    const struct command_env *env = row->env;
    struct command_stats *stats = &env->stats[rq->cmd->id];
    uint64_t left;
    if (!unmeasured(stats, 1) || row->end - row->cur < (ptrdiff_t)sizeof ok || !time_of(rq, &left) ||
        turn_bytes(rq->argv[2].len) > env->turn_work || latency_watched(env) ||
        (__builtin_expect(row->limits != NULL, 0) && !rights_in_row(row->limits, rq->cmd, rq->argv + 1, 1, 1)) ||
        !store_put_ahead(row->shard, row->c->db, row->ahead, at, rq->argv[1], rq->argv[2],
                         left ? left + env->now_ms : 0))
        return false;
    memcpy(row->cur, ok, sizeof ok);
    row->cur += OK;
    stats->calls++;
    return true;
}

/* How many GETs there are from here on. */
static inline unsigned gets_of(const struct request *rq, unsigned n)
{
    unsigned i = 1;
    if (rq->argc != GET_ARGS)
        return 0;
    if (rq[n - 1].argc == GET_ARGS && rq[n - 1].argv - rq->argv == (ptrdiff_t)(n - 1) * GET_ARGS) /* none has more */
        return n;
    while (i < n && rq[i].argc == GET_ARGS)
        i++;
    return i;
}

/* Requests of both kinds until one is not done; how many are. Not inlined: what is around it would take registers from it. */
static __attribute__((noinline)) unsigned run_both(struct row *row, unsigned first, const struct request *rq, unsigned n)
{
    unsigned i = 0;
    while (i < n) {
        unsigned gets = gets_of(rq + i, n - i);
        if (gets) {
            unsigned done = run_gets(row, rq + i, first + i, gets);
            i += done;
            if (done < gets)
                break;
        } else if (run_set(row, rq + i, first + i)) {
            i++;
        } else {
            break;
        }
    }
    return i;
}

/* The part that the batch's request `at` belongs to; NULL: none. */
static inline const struct row_part *part_of(const struct command_env *env, const struct ahead_row *ahead, unsigned at)
{
    if (!ahead->texts || at >= ahead->texts->n)
        return NULL;
    const struct row_part *part = env->row_last->gets[env->row_last->now].part;
    while (at - part->first >= part->n)
        part++;
    return part;
}

/* n GETs of parts from `at` on become requests. */
static void spread(const struct command_env *env, struct ahead_row *ahead, unsigned at, unsigned n, struct request *rq)
{
    const struct row_part *part = NULL;
    for (unsigned i = 0; i < n; i++) {
        if (!part || at + i - part->first >= part->n)
            part = part_of(env, ahead, at + i);
        rq[i].cmd = part->cmd;
        rq[i].argc = GET_ARGS;
        rq[i].argv = args_of(part, at + i);
    }
    store_ahead_spread(env->ks->shard[env->self], ahead, at, n);
}

void row_spread(const struct command_env *env, struct ahead_row *ahead, unsigned at, struct request *rq)
{
    if (part_of(env, ahead, at))
        spread(env, ahead, at, 1, rq);
}

/* Requests of parts, the first one in `part`, until one is not done; how many are. */
static __attribute__((noinline)) unsigned run_parts(struct row *row, const struct row_part *part, unsigned first, unsigned n)
{
    unsigned i = 0;
    do {
        const unsigned left = part->first + part->n - (first + i), most = left < n - i ? left : n - i;
        const unsigned done = run_alike(row, part, first + i, most);
        row->c->last_command = done ? part->cmd : row->c->last_command;
        i += done;
        if (done < most)
            break;
    } while (i < n && (part = part_of(row->env, row->ahead, first + i)));
    return i;
}

/* Those of parts, the first in `part`: how many are done. Where their values are not what rows are for they are requests as others are, whose
 * values are asked for ahead: from the second such one of a batch on, and then for some batches from the beginning. */
static __attribute__((noinline)) unsigned run_or_spread(struct row *row, const struct row_part *part, unsigned first, struct request *rq, unsigned n)
{
    enum { UNUSUAL = 2, BATCHES = 8 };
    struct row_last *last = row->env->row_last;
    struct row_gets *gets = &last->gets[last->now];
    unsigned i = 0;
    bool spreads = last->unusual > 0;
    if (!spreads) {
        i = run_parts(row, part, first, n);
        spreads = gets->unusual >= UNUSUAL;
        last->unusual = spreads ? BATCHES : 0;
    } else if (first == 0) {
        last->unusual--;
    }
    if (spreads && first + i < row->ahead->texts->n)
        spread(row->env, row->ahead, first + i, row->ahead->texts->n - (first + i), rq + i);
    return i;
}

unsigned row_run(struct command_env *env, struct client *c, struct ahead_row *ahead, unsigned first, struct request *rq, unsigned n,
                 struct resp_writer *out)
{
    if (!row_may(env, c) || env->conf->times_all)
        return 0;
    const struct rights *limits = c->flags & CLIENT_UNLIMITED ? NULL : &acl_user_of(env, c)->rights;
    struct row row = {env, c, env->ks->shard[env->self], limits, ahead, out, out->cur, out->end};
    const struct row_part *part = part_of(env, ahead, first);
    unsigned i = part ? run_or_spread(&row, part, first, rq, n) : 0;
    if (!part || (i < n && !part_of(env, ahead, first + i))) {
        const unsigned done = n == 1 && rq->argc == GET_ARGS ? run_gets(&row, rq, first, 1) : run_both(&row, first + i, rq + i, n - i);
        i += done;
        c->last_command = done ? rq[i - 1].cmd : c->last_command;
    }
    out->cur = row.cur;
    count_add(env->counters, COUNTER_commands_processed, i);
    c->commands += i;
    c->last_ms = env->now_ms;
    return i;
}

/* row.c: GETs and SETs in a row. https://redis.io/docs/latest/commands/get/, set/ */
#include "command/row.h"

#include "command/acl.h"
#include "command/latency.h"
#include "command/string_commands.h"
#include "command/table.h"
#include "resp/bulk.h"
#include "resp/reader.h"

#include <immintrin.h>

struct row_form row_forms[8];

static void add_form(const char *begin, const char *name, command_handler *run)
{
    const struct command_slot *slot = command_slot_find(slice_str(name));
    if (!slot || slot->cmd->run != run)
        return;
    struct row_form *form = &row_forms[begin[1] & 7];
    memcpy(form->begin, begin, strlen(begin));
    form->cmd = slot->cmd;
}

void row_init(void)
{
    memset(row_forms, 0, sizeof row_forms);
    add_form("*2\r\n$3\r\nget\r\n", "get", get_command);
    add_form("*3\r\n$3\r\nset\r\n", "set", set_command);
    add_form("*5\r\n$3\r\nset\r\n", "set", set_command);
}

/* -- reading -- */

enum { GET_ARGS = 2, SET_ARGS = 3, SET_TIME_ARGS = 5, NAME_AT = 8, NAME_LEN = 3, BEGIN = 13 };

/* The argument at p, of up to 999 bytes; returns what is behind it, NULL if it is anything else or not whole. */
static inline const uint8_t *small_arg(const uint8_t *p, const uint8_t *stop, struct slice *arg)
{
    size_t len, left = (size_t)(stop - p), header = left < 6 || *p != '$' ? 0 : resp_small_length(p, &len);
    if (!header || left < header + len + 2)
        return NULL;
    *arg = (struct slice){p + header, len};
    return p + header + len + 2;
}

/* EX or PX. */
static inline bool is_time_word(struct slice word)
{
    return word.len == 2 && ((word.p[0] | 0x20) == 'e' || (word.p[0] | 0x20) == 'p') && (word.p[1] | 0x20) == 'x';
}

/* The arguments of a request of this form at p; returns what is behind it, or NULL. */
static inline const uint8_t *row_args(const uint8_t *p, const uint8_t *stop, unsigned argc, struct slice *argv)
{
    argv[0] = (struct slice){p + NAME_AT, NAME_LEN};
    p = small_arg(p + BEGIN, stop, &argv[1]);
    if (argc == GET_ARGS || !p)
        return p;
    p = small_arg(p, stop, &argv[2]);
    if (argc == SET_ARGS || !p)
        return p;
    p = small_arg(p, stop, &argv[3]);
    p = p && is_time_word(argv[3]) ? small_arg(p, stop, &argv[4]) : NULL;
    return p;
}

/* How the request at p began. */
static inline struct row_alike alike_of(const uint8_t *p, const struct request *rq, const struct slice *argv)
{
    size_t key_at = (size_t)(argv[1].p - p), len = argv[1].len;
    size_t all = key_at + len + 2;
    return (struct row_alike){{bytes_load16(p), bytes_load16(argv[1].p - 16)}, key_at, len, all, all, rq->cmd};
}

static inline bool begins_alike(const struct row_alike *like, const uint8_t *p)
{
    __m128i first = _mm_cmpeq_epi8(bytes_load16(p), like->begin[0]);
    __m128i last = _mm_cmpeq_epi8(bytes_load16(p + like->key_at - 16), like->begin[1]);
    return _mm_movemask_epi8(_mm_and_si128(first, last)) == 0xffff;
}

static inline bool is_alike(const struct row_alike *like, const uint8_t *p, const uint8_t *stop)
{
    return like->all - 1 < (size_t)(stop - p) && begins_alike(like, p); /* else it is not whole, or nothing is alike */
}

/* "\r\n$2\r\nEX\r\n$4\r\n" is the same for all times of up to nine digits that are as long; "\r\n" stands at each end. */
enum { LENGTH_LEAST = 6, LENGTH_MOST = 8, TIME_AT = 14, END = 2, TIME_DIGITS = 9 };

/* Nothing is alike if the request has any other shape. */
static __attribute__((noinline)) void note_set(struct row_alike_set *noted, const uint8_t *p, const struct request *rq,
                                               const struct slice *argv)
{
    static const uint8_t last_two[16] = {[TIME_AT] = 0xff, [TIME_AT + 1] = 0xff};
    const bool timed = rq->argc == SET_TIME_ARGS;
    struct row_alike_set like = {.begin = alike_of(p, rq, argv), .argc = (unsigned)rq->argc};
    const uint8_t *value_end = argv[2].p + argv[2].len, *end = timed ? argv[4].p + argv[4].len + END : value_end + END;
    size_t header = (size_t)(argv[2].p - argv[1].p) - argv[1].len;
    like.begin.all = like.begin.other = (size_t)(end - p);
    if (header < LENGTH_LEAST || header > LENGTH_MOST ||
        (timed && (argv[4].len > TIME_DIGITS || argv[4].p != value_end + TIME_AT)))
        like.begin.all = 0;
    like.header_shift = (unsigned)(8 * (LENGTH_MOST - header));
    like.header = bytes_load8(argv[2].p - 8) >> (like.header_shift & 63);
    like.value_at = (size_t)(argv[2].p - p);
    like.value_len = argv[2].len;
    like.tail_at = (size_t)((timed ? value_end : end - 16) - p);
    like.tail_mask = timed ? _mm_xor_si128(bytes_load16(last_two), _mm_set1_epi8(-1)) : bytes_load16(last_two);
    like.tail = _mm_and_si128(bytes_load16(p + like.tail_at), like.tail_mask);
    *noted = like;
}

static inline bool is_alike_set(const struct row_alike_set *like, const uint8_t *p, const uint8_t *stop)
{
    if (!is_alike(&like->begin, p, stop) ||
        bytes_load8(p + like->value_at - 8) >> (like->header_shift & 63) != like->header)
        return false;
    __m128i tail = _mm_and_si128(bytes_load16(p + like->tail_at), like->tail_mask);
    const uint8_t *end = p + like->begin.all - END;
    return _mm_movemask_epi8(_mm_cmpeq_epi8(tail, like->tail)) == 0xffff && end[0] == '\r' && end[1] == '\n';
}

/* A SET like the one before. */
static inline const uint8_t *read_alike_set(const uint8_t *p, const struct row_alike_set *like, struct request *rq,
                                            struct slice *argv)
{
    argv[0] = (struct slice){p + NAME_AT, NAME_LEN};
    argv[1] = (struct slice){p + like->begin.key_at, like->begin.key_len};
    argv[2] = (struct slice){p + like->value_at, like->value_len};
    if (like->argc == SET_TIME_ARGS) {
        const uint8_t *word = argv[2].p + argv[2].len + 6, *time = argv[2].p + argv[2].len + TIME_AT;
        argv[3] = (struct slice){word, 2};
        argv[4] = (struct slice){time, (size_t)(p + like->begin.all - END - time)};
    }
    rq->cmd = like->begin.cmd;
    rq->argc = (int)like->argc;
    return p + like->begin.all;
}

/* The second one of the same length in a row is what the next ones are compared with: where lengths change all the time, noting
 * them would cost more than it saves. */
static inline bool is_worth_noting(struct row_alike *like, size_t bytes)
{
    bool again = like->other == bytes;
    like->other = bytes;
    return again;
}

/* A request that is not like those before. */
static inline const uint8_t *read_other(const uint8_t *p, const uint8_t *stop, struct row_last *last, struct request *rq,
                                        struct slice *argv)
{
    const struct row_form *form = row_form_of((struct slice){p, (size_t)(stop - p)});
    if (!form)
        return NULL;
    rq->cmd = form->cmd;
    rq->argc = p[1] - '0';
    const uint8_t *next = row_args(p, stop, (unsigned)rq->argc, argv);
    if (!next)
        return NULL;
    if (rq->argc != GET_ARGS) {
        if (is_worth_noting(&last->set.begin, (size_t)(next - p)))
            note_set(&last->set, p, rq, argv);
    } else if (is_worth_noting(&last->get, (size_t)(next - p))) {
        last->get = alike_of(p, rq, argv);
    }
    return next;
}

/* A long row of SETs runs away from what the CPU reads ahead by itself. Always inline: see index_walk.c. */
__attribute__((always_inline)) static inline void prefetch_on(const uint8_t *p, const uint8_t *stop)
{
    enum { ON = 512, LINE = 64 };
    if (stop - p > ON + LINE) {
        __builtin_prefetch(p + ON);
        __builtin_prefetch(p + ON + LINE);
    }
}

/* Reads the request at p; returns what is behind it, NULL if it may not go in a row. */
static inline const uint8_t *read_one(const uint8_t *p, const uint8_t *stop, struct row_last *last, struct request *rq,
                                      struct slice *argv)
{
    rq->argv = argv;
    if (is_alike(&last->get, p, stop)) {
        argv[0] = (struct slice){p + NAME_AT, NAME_LEN};
        argv[1] = (struct slice){p + last->get.key_at, last->get.key_len};
        rq->cmd = last->get.cmd;
        rq->argc = GET_ARGS;
        return p + last->get.all;
    }
    if (is_alike_set(&last->set, p, stop)) {
        prefetch_on(p, stop);
        return read_alike_set(p, &last->set, rq, argv);
    }
    return read_other(p, stop, last, rq, argv);
}

/* GETs that are alike: found, with their look-ups begun, and then read. Both in loops without anything else. */

enum { GROUP = 8 /* look-ups that begin together */ };

/* How many GETs like the one before there are at p, in whole groups: their look-ups begin, at most `most`. */
static inline unsigned find_alike(const struct command_env *env, unsigned db, const struct row_alike *noted, const uint8_t *p,
                                  const uint8_t *stop, struct ahead_row *ahead, unsigned most)
{
    const struct row_alike like = *noted;
    const struct keyspace *ks = env->ks;
    const struct shard *shard = ks->shard[env->self];
    const uint64_t seed = ks->seed;
    const bool usual = like.key_len - KEY_HASH_WORD <= KEY_HASH_SHORT - KEY_HASH_WORD;
    uint64_t hash[GROUP];
    unsigned n = 0;
    for (; n + GROUP <= most && GROUP * like.all <= (size_t)(stop - p); n += GROUP) {
        for (unsigned i = 0; i < GROUP; i++, p += like.all) {
            if (__builtin_expect(!begins_alike(&like, p), 0))
                return n;
            const struct slice key = {p + like.key_at, like.key_len};
            hash[i] = __builtin_expect(usual, 1) ? key_hash_words(key, seed) : key_hash(key, seed);
        }
        store_ahead_all(shard, ahead, db, hash, GROUP);
    }
    return n;
}

/* May find_alike() find any? */
static inline bool may_be_alike(const struct command_env *env, const struct row_alike *like, size_t bytes)
{
    return GROUP * like->all - 1 < bytes && env->ks->shards == 1;
}

/* Reads n of them from p on. */
static inline void read_alike(const struct row_alike *noted, const uint8_t *p, unsigned n, struct slice *argv,
                              struct request *rq, uint32_t *end)
{
    const struct row_alike like = *noted;
    for (unsigned i = 0; i < n; i++, p += like.all, argv += GET_ARGS) {
        argv[0] = (struct slice){p + NAME_AT, NAME_LEN};
        argv[1] = (struct slice){p + like.key_at, like.key_len};
        rq[i].cmd = like.cmd;
        rq[i].argc = GET_ARGS;
        rq[i].argv = argv;
        end[i] = (uint32_t)((i + 1) * like.all);
    }
}

void row_peek(const struct command_env *env, const struct client *c, struct slice window)
{
    struct row_last *last = env->row_last;
    if (!last)
        return;
    row_forget_peeked(last);
    if (!row_may(env, c) || !may_be_alike(env, &last->get, window.len))
        return;
    ahead_begin(&last->peek.ahead);
    last->peek.p = window.p;
    last->peek.db = c->db;
    last->peek.n = find_alike(env, c->db, &last->get, window.p, window.p + window.len, &last->peek.ahead, AHEAD_ROW);
}

/* The row that row_peek() has begun, if it is this one; how many. */
static inline unsigned take_peeked(const struct shard *shard, const struct row_last *last, unsigned db, struct slice window,
                                   struct ahead_row *ahead, unsigned most)
{
    const struct row_peek *peek = &last->peek;
    unsigned n = peek->n < most ? peek->n : most;
    if (peek->p != window.p || peek->db != db || n * last->get.all > window.len)
        return 0;
    store_ahead_taken(shard, ahead, &peek->ahead, n);
    return n;
}

unsigned row_read(const struct command_env *env, const struct client *c, struct slice window, struct ahead_row *ahead,
                  struct slice *argv, unsigned room, struct request *rq, uint32_t *end, unsigned most)
{
    const struct keyspace *ks = env->ks;
    const struct shard *shard = ks->shard[env->self];
    const uint8_t *p = window.p, *const stop = window.p + window.len;
    struct row_last none, *last = env->row_last;
    uint64_t hash[AHEAD_ROW];
    unsigned n = 0, begun;
    if (!last) {
        memset(&none.get, 0, sizeof none.get);
        memset(&none.set, 0, sizeof none.set);
        row_forget_peeked(&none);
        last = &none;
    }
    most = most < room / ROW_ARGS ? most : room / ROW_ARGS;
    if (may_be_alike(env, &last->get, window.len)) {
        n = last->peek.n ? take_peeked(shard, last, c->db, window, ahead, most) : 0;
        if (!n)
            n = find_alike(env, c->db, &last->get, p, stop, ahead, most);
        read_alike(&last->get, p, n, argv, rq, end);
        argv += (size_t)n * GET_ARGS;
        p += n * last->get.all;
    }
    row_forget_peeked(last); /* what GETs are compared with may be another one from here on */
    for (begun = n; n < most && p < stop; n++) {
        if (!(p = read_one(p, stop, last, &rq[n], argv)) || (ks->shards > 1 && keyspace_shard_of(ks, argv[1]) != env->self))
            break;
        hash[n - begun] = key_hash(argv[1], ks->seed);
        argv += rq[n].argc;
        end[n] = (uint32_t)(p - window.p);
    }
    if (n - begun == 1)
        store_ahead(shard, ahead, c->db, hash[0]);
    else
        store_ahead_all(shard, ahead, c->db, hash, n - begun);
    return n;
}

/* -- running -- */

struct row {
    struct command_env *env;
    struct client *c;
    struct shard *shard;
    const struct rights *limits; /* NULL: the client may do everything */
    struct ahead_row *ahead;
    uint8_t *cur, *end; /* of the reply */
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
static inline uint8_t *put_text(uint8_t *p, struct slice text)
{
    if (text.len - 32 > 32)
        return put_bulk(p, text.p, text.len);
    p = put_count(p, '$', (unsigned)text.len);
    copy32(p, text.p);
    copy32(p + text.len - 32, text.p + text.len - 32);
    memcpy(p + text.len, "\r\n", 2);
    return p + text.len + 2;
}

enum { NULL_ROOM = 8 };

/* Writes NULL_ROOM bytes; returns where the null ends. */
static inline uint8_t *put_null(uint8_t *p, unsigned proto)
{
    memcpy(p, proto == 2 ? "$-1\r\n\0\0" : "_\r\n\0\0\0\0", NULL_ROOM);
    return p + (proto == 2 ? 5 : 3);
}

/* GETs, one behind the other, whose look-ups begin at `first`; how many are replied to. */
static inline unsigned run_gets(struct row *row, const struct request *rq, unsigned first, unsigned n)
{
    struct command_stats *stats = &row->env->stats[rq->cmd->id];
    struct slice text[AHEAD_ROW];
    uint8_t *cur = row->cur, *const end = row->end;
    const ptrdiff_t any = BULK_SHORT + BULK_EXTRA; /* room for each text that is short */
    unsigned i = 0, misses = 0, most = unmeasured(stats, n);
    if (__builtin_expect(row->limits != NULL, 0))
        most = rights_in_row(row->limits, rq->cmd, rq->argv + 1, GET_ARGS, most);
    most = store_texts_ahead(row->shard, row->c->db, row->ahead, first, most, rq->argv + 1, GET_ARGS, BULK_SHORT, text);
    for (; i < most; i++) {
        const struct slice value = text[i]; /* what is written might be it, for all that the compiler knows */
        if (__builtin_expect(value.len <= BULK_SHORT && (end - cur >= any || bulk_is_short(end - cur, value.len)), 1)) {
            cur = put_text(cur, value);
        } else if (!value.p && end - cur >= NULL_ROOM) {
            cur = put_null(cur, row->c->proto);
            misses++;
        } else {
            break;
        }
    }
    store_count_looks(row->shard, i - misses, misses);
    row->cur = cur;
    stats->calls += i;
    return i;
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

/* Requests of both kinds until one is not done; how many are. */
static inline unsigned run_both(struct row *row, unsigned first, const struct request *rq, unsigned n)
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

unsigned row_run(struct command_env *env, struct client *c, struct ahead_row *ahead, unsigned first,
                 const struct request *rq, unsigned n, struct resp_writer *out)
{
    if (!row_may(env, c) || env->conf->times_all)
        return 0;
    const struct rights *limits = c->flags & CLIENT_UNLIMITED ? NULL : &acl_user_of(env, c)->rights;
    struct row row = {env, c, env->ks->shard[env->self], limits, ahead, out->cur, out->end};
    unsigned i = run_both(&row, first, rq, n);
    out->cur = row.cur;
    count_add(env->counters, COUNTER_commands_processed, i);
    c->commands += i;
    c->last_ms = env->now_ms;
    c->last_command = i ? rq[i - 1].cmd : c->last_command;
    return i;
}

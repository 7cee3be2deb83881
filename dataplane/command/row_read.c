/* row_read.c: how requests that may go in rows are read. https://redis.io/docs/latest/commands/get/, set/ */
#include "command/row.h"

#include "command/string_commands.h"
#include "command/table.h"
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

/* -- GETs that are alike, with which a batch begins: found, hashed and looked up in loops without anything else -- */

/* The hashes of those at p, as far as they are alike and whole, `most` at most; how many. */
static inline unsigned hash_alike(const struct row_alike *noted, const uint8_t *p, size_t left, uint64_t seed, uint64_t *hash,
                                  unsigned most)
{
    const struct row_alike like = *noted;
    const bool usual = like.key_len - KEY_HASH_WORD <= KEY_HASH_SHORT - KEY_HASH_WORD;
    const size_t whole = left / like.all;
    unsigned n = 0;
    most = whole < most ? (unsigned)whole : most;
    for (; n < most && __builtin_expect(begins_alike(&like, p), 1); n++, p += like.all) {
        const struct slice key = {p + like.key_at, like.key_len};
        hash[n] = __builtin_expect(usual, 1) ? key_hash_words(key, seed) : key_hash(key, seed);
    }
    return n;
}

/* May there be so many of them that it is worth it? */
static inline bool may_be_alike(const struct command_env *env, const struct row_alike *like, size_t bytes)
{
    return ROW_PART * like->all - 1 < bytes && like->key_len <= BYTES_SHORT && env->ks->shards == 1;
}

/* More of them, at the window's beginning, in gets; how many. */
static unsigned add_part(const struct command_env *env, unsigned db, const struct row_alike *like, struct slice window,
                         struct row_gets *gets, unsigned most)
{
    struct ahead_texts *look = &gets->look;
    const unsigned first = look->n;
    unsigned n = hash_alike(like, window.p, window.len, env->ks->seed, look->hash + first, most);
    if (n < ROW_PART)
        return 0;
    look->n += n;
    look->db = db;
    if (!store_texts_begin(env->ks->shard[env->self], look)) {
        look->n = first;
        return 0;
    }
    gets->part[gets->parts++] = (struct row_part){window.p, NULL, first, n, like->key_at, like->key_len, like->all, like->cmd};
    return n;
}

static inline void begin_gets(struct row_gets *gets)
{
    gets->parts = gets->look.n = gets->look.begun = gets->unusual = 0;
}

void row_peek(const struct command_env *env, const struct client *c, struct slice window)
{
    struct row_last *last = env->row_last;
    if (!last)
        return;
    row_forget_peeked(last);
    if (!row_may(env, c) || !may_be_alike(env, &last->get, window.len))
        return;
    struct row_gets *gets = &last->gets[!last->now];
    begin_gets(gets);
    last->peeked = add_part(env, c->db, &last->get, window, gets, AHEAD_ROW) ? window.p : NULL;
}

/* The GETs that row_peek() has begun, if they are these; how many. */
static inline unsigned take_peeked(struct row_last *last, unsigned db, struct slice window, unsigned most)
{
    struct row_gets *gets = &last->gets[!last->now];
    if (last->peeked != window.p || gets->look.db != db || gets->look.n > most || gets->look.n * gets->part[0].all > window.len)
        return 0;
    last->now = !last->now;
    return gets->look.n;
}

/* GETs that are alike, if the batch has nothing else so far; how many. */
static unsigned read_alike(const struct command_env *env, unsigned db, struct slice window, struct ahead_row *ahead,
                           struct row_last *last, unsigned most)
{
    unsigned n = 0;
    if (ahead->n == 0) {
        if (last->peeked)
            n = take_peeked(last, db, window, most);
        if (!n)
            begin_gets(&last->gets[last->now]);
    } else if (!ahead->texts || ahead->texts != &last->gets[last->now].look || ahead->n != ahead->texts->n || ahead->texts->db != db) {
        return 0;
    }
    struct row_gets *gets = &last->gets[last->now];
    if (!n)
        n = add_part(env, db, &last->get, window, gets, most);
    if (n)
        store_ahead_texts(env->ks->shard[env->self], ahead, &gets->look);
    return n;
}

unsigned row_read(const struct command_env *env, const struct client *c, struct slice window, struct ahead_row *ahead,
                  struct row_room *room, struct request *rq, uint32_t *end, unsigned most)
{
    const struct keyspace *ks = env->ks;
    const struct shard *shard = ks->shard[env->self];
    const uint8_t *p = window.p, *const stop = window.p + window.len;
    struct row_last none, *last = env->row_last;
    struct slice *argv = room->argv;
    uint64_t hash[AHEAD_ROW];
    unsigned n = 0, begun;
    if (!last) {
        memset(&none.get, 0, sizeof none.get);
        memset(&none.set, 0, sizeof none.set);
        row_forget_peeked(&none);
        last = &none;
    }
    most = most < room->n / ROW_ARGS ? most : room->n / ROW_ARGS;
    room->alike = NULL;
    if (may_be_alike(env, &last->get, window.len) && last != &none && (n = read_alike(env, c->db, window, ahead, last, most))) {
        struct row_gets *gets = &last->gets[last->now];
        struct row_part *part = &gets->part[gets->parts - 1];
        part->argv = argv;
        room->alike = part;
        for (unsigned i = 0; i < n; i++)
            end[i] = (uint32_t)((i + 1) * part->all);
        argv += (size_t)n * GET_ARGS;
        p += n * part->all;
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
    room->n -= (unsigned)(argv - room->argv);
    room->argv = argv;
    return n;
}

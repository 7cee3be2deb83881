/* strings_set.c: string commands that store whole values: SET with its options, SETNX, SETEX, PSETEX, GETSET,
 * GETEX, MSET, MSETNX. https://redis.io/docs/latest/commands/set/, getex/, mset/ */
#include "command/string_commands.h"
#include <stdlib.h>

enum {
    OPT_NX = 1,
    OPT_XX = 2,
    OPT_GET = 4,
    OPT_KEEPTTL = 8,
    OPT_PERSIST = 16,
    OPT_EX = 32,
    OPT_PX = 64,
    OPT_EXAT = 128,
    OPT_PXAT = 256,
    OPT_TIME = OPT_EX | OPT_PX | OPT_EXAT | OPT_PXAT,
    OPT_LIFE = OPT_TIME | OPT_KEEPTTL | OPT_PERSIST,
    FOR_SET = OPT_NX | OPT_XX | OPT_GET | OPT_KEEPTTL | OPT_TIME,
    FOR_GETEX = OPT_PERSIST | OPT_TIME,
};

/* A word may be repeated, but not stand beside one it excludes. */
#define WORD(text) text, sizeof text - 1
static const struct {
    const char *word;
    size_t len;
    unsigned option, excludes;
} option_words[] = {
    {WORD("EX"), OPT_EX, OPT_LIFE & ~OPT_EX},
    {WORD("PX"), OPT_PX, OPT_LIFE & ~OPT_PX},
    {WORD("NX"), OPT_NX, OPT_XX},
    {WORD("XX"), OPT_XX, OPT_NX},
    {WORD("GET"), OPT_GET, 0},
    {WORD("KEEPTTL"), OPT_KEEPTTL, OPT_LIFE & ~OPT_KEEPTTL},
    {WORD("PERSIST"), OPT_PERSIST, OPT_LIFE & ~OPT_PERSIST},
    {WORD("EXAT"), OPT_EXAT, OPT_LIFE & ~OPT_EXAT},
    {WORD("PXAT"), OPT_PXAT, OPT_LIFE & ~OPT_PXAT},
};

struct options {
    unsigned set;
    int time; /* argument that holds the time, 0 = none */
};

void reply_stored(struct request *rq, enum store_result result)
{
    if (result == STORE_OK)
        reply_ok(rq->out);
    else
        reply_oom(rq->out);
}

static unsigned option_of(struct slice word, unsigned allowed, unsigned set)
{
    for (size_t i = 0; i < sizeof option_words / sizeof option_words[0]; i++)
        if (word.len == option_words[i].len && slice_is_caseless(word, option_words[i].word))
            return set & option_words[i].excludes ? 0 : option_words[i].option & allowed;
    return 0;
}

/* Reads the options from argument `i` on. False after replying a syntax error. */
static bool parse_options(struct request *rq, int i, unsigned allowed, struct options *o)
{
    *o = (struct options){0, 0};
    for (; i < rq->argc; i++) {
        unsigned option = option_of(rq->argv[i], allowed, o->set);
        bool lacks_time = (option & OPT_TIME) && i + 1 == rq->argc;
        if (!option || lacks_time) {
            reply_syntax_error(rq->out);
            return false;
        }
        o->set |= option;
        if (option & OPT_TIME)
            o->time = ++i;
    }
    return true;
}

/* The absolute time in ms of argument i, whose meaning `unit` (one OPT_TIME bit) tells. False after a reply.
 */
static bool parse_time(struct request *rq, int i, unsigned unit, uint64_t *at)
{
    int64_t t;
    if (!request_int(rq, i, &t, NULL))
        return false;
    bool bad = t <= 0;
    if (!bad && (unit & (OPT_EX | OPT_EXAT)))
        bad = __builtin_mul_overflow(t, INT64_C(1000), &t);
    if (!bad && (unit & (OPT_EX | OPT_PX)))
        bad = __builtin_add_overflow(t, (int64_t)rq->env->now_ms, &t);
    if (bad)
        reply_errorf(rq->out, "ERR invalid expire time in '%s' command", rq->cmd->full_name);
    else
        *at = (uint64_t)t;
    return !bad;
}

static inline enum store_result put(struct request *rq, const struct key *k, struct slice value, uint64_t expire_at,
                                    unsigned flags)
{
    return store_set_string_ahead(request_shard(rq, k), rq->client->db, k, value, expire_at, flags, rq->env->ahead);
}

static inline bool is_huge(const struct request *rq, struct slice value)
{
    return turn_wanted(rq, turn_bytes(value.len));
}

/* Stores a value and replies the one before. The old bytes are kept aside because the reply must be an error
 * when the new value finds no room. */
static void swap_value(struct request *rq, struct entry *old, struct slice value, uint64_t expire_at,
                       unsigned flags)
{
    char scratch[24];
    uint8_t room[512];
    if (!old) {
        if (put(rq, &rq->key, value, expire_at, flags) == STORE_OK)
            reply_null(rq->out);
        else
            reply_oom(rq->out);
        return;
    }
    struct slice was = entry_string(old, scratch);
    uint8_t *kept = was.len <= sizeof room ? room : malloc(was.len);
    if (!kept) {
        reply_oom(rq->out);
        return;
    }
    turn_copy(rq->turn, kept, was.p, was.len);
    was.p = kept;
    if (put(rq, &rq->key, value, expire_at, flags) == STORE_OK)
        reply_bulk(rq->out, was);
    else
        reply_oom(rq->out);
    if (kept != room)
        free(kept);
}

static bool swap_is_long(const struct request *rq, const struct entry *old, struct slice value)
{
    char scratch[24];
    return turn_wanted(rq, turn_bytes(value.len + (old ? entry_string(old, scratch).len : 0)));
}

static enum command_result set_get(struct request *rq, const struct options *o, uint64_t expire_at,
                                   unsigned flags)
{
    struct entry *e;
    char scratch[24];
    if (!string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (swap_is_long(rq, e, rq->argv[2]))
        return CMD_LONG;
    if (!(o->set & (e ? OPT_NX : OPT_XX)))
        swap_value(rq, e, rq->argv[2], expire_at, flags);
    else if (e)
        reply_bulk(rq->out, entry_string(e, scratch));
    else
        reply_null(rq->out);
    return CMD_DONE;
}

static enum command_result set_with_options(struct request *rq)
{
    struct options o;
    uint64_t expire_at = 0;
    if (!parse_options(rq, 3, FOR_SET, &o) ||
        (o.time && !parse_time(rq, o.time, o.set & OPT_TIME, &expire_at)))
        return CMD_DONE;
    unsigned flags = o.set & OPT_KEEPTTL ? SET_KEEPTTL : 0;
    if (o.set & OPT_GET)
        return set_get(rq, &o, expire_at, flags);
    if (o.set & (OPT_NX | OPT_XX)) {
        bool found = request_find(rq, &rq->key, LOOK_WRITE) != NULL;
        if (o.set & (found ? OPT_NX : OPT_XX)) {
            reply_null(rq->out);
            return CMD_DONE;
        }
    }
    if (is_huge(rq, rq->argv[2]))
        return CMD_LONG;
    reply_stored(rq, put(rq, &rq->key, rq->argv[2], expire_at, flags));
    return CMD_DONE;
}

/* The hot path: without options nothing is parsed or looked up first. */
enum command_result set_command(struct request *rq)
{
    if (rq->argc > 3)
        return set_with_options(rq);
    if (is_huge(rq, rq->argv[2]))
        return CMD_LONG;
    reply_stored(rq, put(rq, &rq->key, rq->argv[2], 0, 0));
    return CMD_DONE;
}

enum command_result setnx_command(struct request *rq)
{
    if (is_huge(rq, rq->argv[2]))
        return CMD_LONG;
    if (request_find(rq, &rq->key, LOOK_WRITE))
        reply_int(rq->out, 0);
    else if (put(rq, &rq->key, rq->argv[2], 0, 0) == STORE_OK)
        reply_int(rq->out, 1);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

static enum command_result set_for(struct request *rq, unsigned unit)
{
    uint64_t expire_at;
    if (!parse_time(rq, 2, unit, &expire_at))
        return CMD_DONE;
    if (is_huge(rq, rq->argv[3]))
        return CMD_LONG;
    reply_stored(rq, put(rq, &rq->key, rq->argv[3], expire_at, 0));
    return CMD_DONE;
}

enum command_result setex_command(struct request *rq)
{
    return set_for(rq, OPT_EX);
}

enum command_result psetex_command(struct request *rq)
{
    return set_for(rq, OPT_PX);
}

enum command_result getset_command(struct request *rq)
{
    struct entry *e;
    if (!string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (swap_is_long(rq, e, rq->argv[2]))
        return CMD_LONG;
    swap_value(rq, e, rq->argv[2], 0, 0);
    return CMD_DONE;
}

enum command_result getex_command(struct request *rq)
{
    struct options o;
    struct entry *e;
    char scratch[24];
    uint64_t expire_at = 0;
    if (!parse_options(rq, 2, FOR_GETEX, &o) || !string_find(rq, &rq->key, LOOK_READ, &e))
        return CMD_DONE;
    if (!e) {
        reply_null(rq->out);
        return CMD_DONE;
    }
    if (o.time && !parse_time(rq, o.time, o.set & OPT_TIME, &expire_at))
        return CMD_DONE;
    struct shard *s = request_shard(rq, &rq->key);
    struct slice value = entry_string(e, scratch);
    bool over = expire_at && expire_at <= rq->env->now_ms;
    if (over || !o.set) { /* the entry stays until the value is in the reply */
        reply_bulk(rq->out, value);
        if (over)
            store_delete(s, rq->client->db, &rq->key);
        return CMD_DONE;
    }
    /* A first expiry can need memory and move the entry: look again for the value. */
    if (store_set_expire(s, rq->client->db, &rq->key, expire_at) != STORE_OK)
        reply_oom(rq->out);
    else if ((e = request_find(rq, &rq->key, LOOK_NOTOUCH | LOOK_NOSTAT)))
        reply_bulk(rq->out, entry_string(e, scratch));
    else
        reply_null(rq->out);
    return CMD_DONE;
}

/* MSET is all or nothing: room for everything is made before the first key changes. */
static bool room_for_pairs(struct request *rq)
{
    enum { ENTRY_OVERHEAD = 64 };
    uint64_t need = 0;
    struct shard *last = NULL;
    for (int i = 1; i < rq->argc; i++)
        need += rq->argv[i].len + ENTRY_OVERHEAD / 2;
    if (rq->route == ROUTE_SHARD)
        return shard_make_room(rq->env->ks->shard[rq->shard], need) == STORE_OK;
    for (int i = 1; i < rq->argc; i += 2) {
        struct key k = request_key(rq, i);
        struct shard *s = request_shard(rq, &k);
        if (s != last && shard_make_room(s, need) != STORE_OK)
            return false;
        last = s;
    }
    return true;
}

/* Of an argument. So many pairs as are done in slices have their shard to themselves (turns_seat.c): DBSIZE must not count
 * some of them. */
enum { PAIR_WORK = KEY_WORK / 2 };

static enum store_result put_pairs(struct request *rq)
{
    if (!room_for_pairs(rq))
        return STORE_OOM;
    struct key_walk walk;
    key_walk_begin(&walk, 1, 2);
    for (const struct key *k; (k = key_walk_next(rq, &walk)); turn_take(rq->turn)) {
        if (store_set_string_ahead(request_shard(rq, k), rq->client->db, k, rq->argv[walk.at + 1], 0, 0,
                                   key_walk_ahead(&walk)) != STORE_OK)
            return STORE_OOM;
    }
    return STORE_OK;
}

static bool pairs_complete(struct request *rq)
{
    if (rq->argc % 2 == 1)
        return true;
    reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
    return false;
}

enum command_result mset_command(struct request *rq)
{
    if (!pairs_complete(rq))
        return CMD_DONE;
    if (turn_wanted_keys(rq, PAIR_WORK))
        return CMD_LONG;
    reply_stored(rq, put_pairs(rq));
    return CMD_DONE;
}

enum command_result msetnx_command(struct request *rq)
{
    if (!pairs_complete(rq))
        return CMD_DONE;
    if (turn_wanted_keys(rq, PAIR_WORK))
        return CMD_LONG;
    for (int i = 1; i < rq->argc; i += 2, turn_take(rq->turn)) {
        struct key k = request_key(rq, i);
        if (request_find(rq, &k, LOOK_WRITE)) {
            reply_int(rq->out, 0);
            return CMD_DONE;
        }
    }
    if (put_pairs(rq) == STORE_OK)
        reply_int(rq->out, 1);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

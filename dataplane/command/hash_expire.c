/* hash_expire.c: commands on the times at which fields of a hash expire: HEXPIRE, HTTL, HEXPIRETIME and their
 * kin, HPERSIST (Redis 7.4), HGETEX, HSETEX, HGETDEL (Redis 8.0).
 * https://redis.io/docs/latest/commands/hexpire/, httl/, hgetex/, hsetex/ */
#include "command/generic.h"
#include "command/hash_commands.h"
#include "store/hash.h"
#include <stdlib.h>

enum { NO_FIELD = -2, NO_TIME = -1, NOT_MET = 0, DONE = 1, DELETED = 2 }; /* what is replied for a field */

/* -- arguments -- */

/* FIELDS numfields field ...: argument `at` and all that follow. False after an error, whose text for the
 * number is the command's. */
static bool parse_fields(struct request *rq, int at, const char *bad_number)
{
    int64_t n = 0;
    if (at >= rq->argc || !slice_is(rq->argv[at], "FIELDS")) {
        reply_error(rq->out, "ERR Mandatory argument FIELDS is missing or not at the right position");
        return false;
    }
    if (at + 1 < rq->argc && !request_int(rq, at + 1, &n, bad_number))
        return false;
    if (n < 1) {
        reply_error(rq->out, bad_number);
        return false;
    }
    if (n != rq->argc - at - 2) {
        reply_error(rq->out, "ERR The `numfields` parameter must match the number of arguments");
        return false;
    }
    return true;
}

#define BAD_NUMBER "ERR Number of fields must be a positive integer"

/* The absolute time in ms that argument i tells, in units of `unit` ms from `base`. False after an error. */
static bool parse_when(struct request *rq, int i, int64_t unit, uint64_t base, uint64_t *at)
{
    int64_t t;
    if (!request_int(rq, i, &t, NULL))
        return false;
    if (t < 0) {
        reply_error(rq->out, "ERR invalid expire time, must be >= 0");
        return false;
    }
    if (t > (int64_t)HASH_LATEST / unit || t * unit > (int64_t)(HASH_LATEST - base)) {
        reply_errorf(rq->out, "ERR invalid expire time in '%s' command", rq->cmd->full_name);
        return false;
    }
    *at = (uint64_t)(t * unit) + base;
    return true;
}

/* EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds */
static const struct life_word {
    const char *word;
    int64_t unit;
    bool from_now;
} life_words[] = {
    {"EX", 1000, true}, {"PX", 1, true}, {"EXAT", 1000, false}, {"PXAT", 1, false}, {NULL, 0, false}};

static const struct life_word *life_word(struct slice word)
{
    const struct life_word *w = life_words;
    while (w->word && !slice_is(word, w->word))
        w++;
    return w->word ? w : NULL;
}

static bool parse_life(struct request *rq, int i, const struct life_word *w, uint64_t *at)
{
    return parse_when(rq, i, w->unit, w->from_now ? rq->env->now_ms : 0, at);
}

static void reply_codes(struct request *rq, int n, int8_t code)
{
    reply_array(rq->out, (size_t)n);
    for (; n > 0; n--, turn_take(rq->turn))
        reply_int(rq->out, code);
}

/* -- HEXPIRE key t [NX | XX | GT | LT] FIELDS numfields field [field ...] and HPERSIST -- */

/* Gives a field a time, or none (at = 0), and says in *code how that went. False without memory. */
static bool expire_field(struct request *rq, struct value_at *v, struct slice field, unsigned when,
                         uint64_t at, int8_t *code)
{
    struct slice value;
    char scratch[HASH_TEXT];
    uint64_t present;
    if (!v->e || !hash_get_until(v->s, v->e, field, &value, scratch, &present)) {
        *code = NO_FIELD;
    } else if (!at && !present) {
        *code = NO_TIME;
    } else if (!expiry_may_change(when, present, (int64_t)at)) {
        *code = NOT_MET;
    } else if (at && at <= rq->env->now_ms) {
        hash_delete(v, field);
        *code = DELETED;
    } else {
        *code = DONE;
        return hash_expire(v, field, at) == STORE_OK;
    }
    return true;
}

/* All fields from argument `first` on; replies their codes when that is done, or that there is no memory. */
static enum command_result expire_fields(struct request *rq, struct value_at *v, int first, unsigned when,
                                         uint64_t at)
{
    int n = rq->argc - first, done = 0;
    int8_t room[256], *codes = (size_t)n <= sizeof room ? room : malloc((size_t)n);
    for (; codes && done < n && expire_field(rq, v, rq->argv[first + done], when, at, &codes[done]); done++)
        turn_take(rq->turn);
    if (done == n) {
        reply_array(rq->out, (size_t)n);
        for (int i = 0; i < n; i++, turn_take(rq->turn))
            reply_int(rq->out, codes[i]);
    } else {
        reply_oom(rq->out);
    }
    if (codes != room)
        free(codes);
    return CMD_DONE;
}

static enum command_result expire_command_at(struct request *rq, int64_t unit, uint64_t base)
{
    struct value_at v;
    uint64_t at;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v) || !parse_when(rq, 2, unit, base, &at))
        return CMD_DONE;
    unsigned when = expiry_condition(rq->argv[3]);
    int fields = when ? 4 : 3;
    if (!parse_fields(rq, fields, "ERR Parameter `numFields` should be greater than 0"))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    return expire_fields(rq, &v, fields + 2, when, at ? at : 1);
}

enum command_result hexpire_command(struct request *rq)
{
    return expire_command_at(rq, 1000, rq->env->now_ms);
}

enum command_result hpexpire_command(struct request *rq)
{
    return expire_command_at(rq, 1, rq->env->now_ms);
}

enum command_result hexpireat_command(struct request *rq)
{
    return expire_command_at(rq, 1000, 0);
}

enum command_result hpexpireat_command(struct request *rq)
{
    return expire_command_at(rq, 1, 0);
}

enum command_result hpersist_command(struct request *rq)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v) || !parse_fields(rq, 2, BAD_NUMBER))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    return expire_fields(rq, &v, 4, 0, 0);
}

/* -- HTTL key FIELDS numfields field [field ...] -- */

/* Replies times relative to `base`, in units of `unit` ms, rounded up. */
static enum command_result reply_times(struct request *rq, int64_t unit, uint64_t base)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_READ, TYPE_HASH, &v) || !parse_fields(rq, 2, BAD_NUMBER))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    if (!v.e) {
        reply_codes(rq, rq->argc - 4, NO_FIELD);
        return CMD_DONE;
    }
    reply_array(rq->out, (size_t)rq->argc - 4);
    for (int i = 4; i < rq->argc; i++, turn_take(rq->turn)) {
        struct slice value;
        char scratch[HASH_TEXT];
        uint64_t at;
        if (!hash_get_until(v.s, v.e, rq->argv[i], &value, scratch, &at))
            reply_int(rq->out, NO_FIELD);
        else
            reply_int(rq->out, at ? ((int64_t)(at - base) + unit - 1) / unit : NO_TIME);
    }
    return CMD_DONE;
}

enum command_result httl_command(struct request *rq)
{
    return reply_times(rq, 1000, rq->env->now_ms);
}

enum command_result hpttl_command(struct request *rq)
{
    return reply_times(rq, 1, rq->env->now_ms);
}

enum command_result hexpiretime_command(struct request *rq)
{
    return reply_times(rq, 1000, 0);
}

enum command_result hpexpiretime_command(struct request *rq)
{
    return reply_times(rq, 1, 0);
}

/* -- HGETDEL key FIELDS numfields field [field ...], HGETEX -- */

/* Replies the values of the fields from argument `first` on and deletes each that is there, if asked to. */
static enum command_result reply_values(struct request *rq, struct value_at *v, int first, bool delete)
{
    reply_array(rq->out, (size_t)(rq->argc - first));
    for (int i = first; i < rq->argc; i++, turn_take(rq->turn)) {
        struct slice value;
        char scratch[HASH_TEXT];
        if (v->e && hash_get(v->s, v->e, rq->argv[i], &value, scratch))
            reply_bulk(rq->out, value);
        else
            reply_null(rq->out);
        if (delete)
            hash_delete(v, rq->argv[i]);
    }
    return CMD_DONE;
}

enum command_result hgetdel_command(struct request *rq)
{
    struct value_at v;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v) || !parse_fields(rq, 2, BAD_NUMBER))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    return reply_values(rq, &v, 4, true);
}

/* HGETEX key [EX s | PX ms | EXAT s | PXAT ms | PERSIST] FIELDS numfields field [field ...] */
enum command_result hgetex_command(struct request *rq)
{
    struct value_at v;
    const struct life_word *life = life_word(rq->argv[2]);
    bool persist = slice_is(rq->argv[2], "PERSIST");
    int fields = life ? 4 : persist ? 3 : 2;
    uint64_t at = 0;
    if (!request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v) || (life && !parse_life(rq, 3, life, &at)) ||
        !parse_fields(rq, fields, BAD_NUMBER))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    bool past = life && at <= rq->env->now_ms;
    for (int i = fields + 2; (life || persist) && !past && i < rq->argc; i++, turn_take(rq->turn)) {
        int8_t code;
        if (!expire_field(rq, &v, rq->argv[i], 0, at, &code)) {
            reply_oom(rq->out);
            return CMD_DONE;
        }
    }
    return reply_values(rq, &v, fields + 2, past);
}

/* -- HSETEX key [FNX | FXX] [EX s | PX ms | EXAT s | PXAT ms | KEEPTTL] FIELDS numfields field value [...] --
 */

struct set_options {
    bool fnx, fxx, keep_time;
    const struct life_word *life;
    uint64_t at;
    int first; /* argument: the first field */
};

/* The arguments behind FIELDS at i. False after an error. */
static bool parse_pairs(struct request *rq, int i, struct set_options *o)
{
    int64_t n;
    if (i < rq->argc - 3) {
        if (!request_int(rq, i + 1, &n, "ERR invalid number of fields"))
            return false;
        if (n < 1 || n > INT32_MAX) {
            reply_error(rq->out, "ERR invalid number of fields");
            return false;
        }
        o->first = i + 2;
        if (n * 2 == rq->argc - o->first)
            return true;
    }
    reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
    return false;
}

/* An option at *i, which moves to the last argument that belongs to it. False after an error. */
static bool parse_set_option(struct request *rq, int *i, struct set_options *o)
{
    struct slice word = rq->argv[*i];
    const struct life_word *life = life_word(word);
    bool keep = slice_is(word, "KEEPTTL"), fnx = slice_is(word, "FNX"), fxx = slice_is(word, "FXX");
    if ((life || keep) && (o->life || o->keep_time)) {
        reply_error(rq->out, "ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
        return false;
    }
    if ((fnx || fxx) && (o->fnx || o->fxx)) {
        reply_error(rq->out, "ERR Only one of FXX or FNX arguments can be specified");
        return false;
    }
    if (life && *i + 1 >= rq->argc) {
        reply_error(rq->out, "ERR missing expire time");
        return false;
    }
    if (!life && !keep && !fnx && !fxx) {
        reply_errorf(rq->out, "ERR unknown argument: %.*s", (int)word.len, (const char *)word.p);
        return false;
    }
    o->keep_time |= keep;
    o->fnx |= fnx;
    o->fxx |= fxx;
    o->life = life ? life : o->life;
    return !life || parse_life(rq, ++*i, life, &o->at);
}

static bool parse_set_options(struct request *rq, struct set_options *o)
{
    *o = (struct set_options){0};
    for (int i = 2; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "FIELDS"))
            return parse_pairs(rq, i, o);
        if (!parse_set_option(rq, &i, o))
            return false;
    }
    reply_errorf(rq->out, "ERR wrong number of arguments for '%s' command", rq->cmd->full_name);
    return false;
}

/* FNX: none of the fields may be there; FXX: each must. */
static bool may_set(const struct request *rq, const struct value_at *v, const struct set_options *o)
{
    for (int i = o->first; (o->fnx || o->fxx) && i < rq->argc; i += 2, turn_take(rq->turn)) {
        struct slice value;
        char scratch[HASH_TEXT];
        bool there = v->e && hash_get(v->s, v->e, rq->argv[i], &value, scratch);
        if (there ? o->fnx : o->fxx)
            return false;
    }
    return true;
}

static bool set_pair(struct value_at *v, struct slice field, struct slice value, const struct set_options *o)
{
    if (o->life || o->keep_time)
        return hash_update(v, field, value, NULL) == STORE_OK &&
               (!o->life || hash_expire(v, field, o->at) == STORE_OK);
    return hash_set(v, field, value, NULL) == STORE_OK;
}

enum command_result hsetex_command(struct request *rq)
{
    struct set_options o;
    struct value_at v;
    if (!parse_set_options(rq, &o) || !request_value(rq, &rq->key, LOOK_WRITE, TYPE_HASH, &v))
        return CMD_DONE;
    if (turn_wanted_many(rq))
        return CMD_LONG;
    bool may = may_set(rq, &v, &o), past = o.life && o.at <= rq->env->now_ms, ok = true;
    if (may && !past)
        ok = store_room_for(&v, rq->argv + o.first, (size_t)(rq->argc - o.first)) == STORE_OK &&
             hash_expect(&v, hash_longest_argument(rq, o.first)) == STORE_OK;
    for (int i = o.first; may && ok && i < rq->argc; i += 2, turn_take(rq->turn))
        if (past)
            hash_delete(&v, rq->argv[i]);
        else
            ok = set_pair(&v, rq->argv[i], rq->argv[i + 1], &o);
    if (ok)
        reply_int(rq->out, may);
    else
        reply_oom(rq->out);
    return CMD_DONE;
}

/* effects_rules.c: commands that are logged in another form than they came in: times become points in time, what was chosen is
 * named, who waited does not wait. The forms are those of redis-server's propagation
 * (https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/). Conditions (NX, GT ...) stay: they find the same
 * again. */
#include "command/effects_forms.h"
#include "command/sort.h"

#include "base/number.h"
#include "store/list.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned db_of(const struct request *rq)
{
    return rq->client->db;
}

static bool is_gone(const struct request *rq, int i)
{
    struct key k = request_key(rq, i);
    return !store_find(request_shard(rq, &k), db_of(rq), &k, LOOK_NOTOUCH | LOOK_NOSTAT);
}

static void as_it_came(struct request *rq, struct effects *e)
{
    effects_add(e, db_of(rq), (unsigned)rq->argc, rq->argv);
}

static void deleted(struct request *rq, struct effects *e, int i)
{
    effects_open(e, db_of(rq), 2);
    effects_word(e, "DEL");
    effects_arg(e, rq->argv[i]);
}

/* -- times -- */

/* A key whose time was over at once is gone. */
static void of_set(struct request *rq, struct effects *e)
{
    effects_with_points(rq, e, 3, rq->argc, "GET");
    if (is_gone(rq, 1))
        deleted(rq, e, 1);
}

static void set_with(struct request *rq, struct effects *e, enum time_word word)
{
    if (is_gone(rq, 1)) {
        deleted(rq, e, 1);
        return;
    }
    effects_open(e, db_of(rq), 5);
    effects_word(e, "SET");
    effects_arg(e, rq->argv[1]);
    effects_arg(e, rq->argv[3]);
    effects_word(e, "PXAT");
    effects_number(e, effects_point_in_time(rq, word, rq->argv[2]));
}

static void of_setex(struct request *rq, struct effects *e)
{
    set_with(rq, e, TIME_EX);
}

static void of_psetex(struct request *rq, struct effects *e)
{
    set_with(rq, e, TIME_PX);
}

static void of_getex(struct request *rq, struct effects *e)
{
    enum time_word word = rq->argc > 3 ? effects_time_word(rq->argv[2]) : TIME_NONE;
    if (is_gone(rq, 1)) {
        deleted(rq, e, 1);
        return;
    }
    effects_open(e, db_of(rq), word == TIME_NONE ? 2 : 3);
    effects_word(e, word == TIME_NONE ? "PERSIST" : "PEXPIREAT");
    effects_arg(e, rq->argv[1]);
    if (word != TIME_NONE)
        effects_number(e, effects_point_in_time(rq, word, rq->argv[3]));
}

static void expire_with(struct request *rq, struct effects *e, enum time_word word)
{
    if (is_gone(rq, 1)) {
        deleted(rq, e, 1);
        return;
    }
    effects_open(e, db_of(rq), (unsigned)rq->argc);
    effects_word(e, "PEXPIREAT");
    effects_arg(e, rq->argv[1]);
    effects_number(e, effects_point_in_time(rq, word, rq->argv[2]));
    for (int i = 3; i < rq->argc; i++)
        effects_arg(e, rq->argv[i]);
}

static void of_expire(struct request *rq, struct effects *e)
{
    expire_with(rq, e, TIME_EX);
}

static void of_pexpire(struct request *rq, struct effects *e)
{
    expire_with(rq, e, TIME_PX);
}

static void of_expireat(struct request *rq, struct effects *e)
{
    expire_with(rq, e, TIME_EXAT);
}

static void of_pexpireat(struct request *rq, struct effects *e)
{
    expire_with(rq, e, TIME_PXAT);
}

/* RESTORE key ttl value [REPLACE] [ABSTTL] ... */
static void of_restore(struct request *rq, struct effects *e)
{
    int64_t ttl = 0;
    bool absolute = false;
    if (is_gone(rq, 1)) { /* its time was over */
        deleted(rq, e, 1);
        return;
    }
    for (int i = 4; i < rq->argc; i++)
        absolute |= slice_is(rq->argv[i], "ABSTTL");
    if (!parse_i64(rq->argv[2], &ttl) || ttl == 0 || absolute) {
        as_it_came(rq, e);
        return;
    }
    effects_open(e, db_of(rq), (unsigned)rq->argc + 1);
    for (int i = 0; i < rq->argc; i++)
        if (i == 2)
            effects_number(e, ttl + (int64_t)rq->env->now_ms);
        else
            effects_arg(e, rq->argv[i]);
    effects_word(e, "ABSTTL");
}

/* -- streams -- */

static const struct stream *stream_at(const struct request *rq, int i, struct key *k, struct value_at *v)
{
    *k = request_key(rq, i);
    *v = (struct value_at){request_shard(rq, k), db_of(rq), k,
                           store_find(request_shard(rq, k), db_of(rq), k, LOOK_NOTOUCH | LOOK_NOSTAT)};
    return v->e && entry_type(v->e) == TYPE_STREAM ? stream_of(v) : NULL;
}

/* XADD key [NOMKSTREAM] [MAXLEN|MINID ...] id field value ...: the ID that it got, and the length that is left if it trimmed. */
static void of_xadd(struct request *rq, struct effects *e)
{
    struct key k;
    struct value_at v;
    const struct stream *st = stream_at(rq, 1, &k, &v);
    bool trims = false;
    int i = 2;
    for (; i < rq->argc; i++) {
        if (slice_is(rq->argv[i], "NOMKSTREAM"))
            continue;
        if (slice_is(rq->argv[i], "LIMIT")) {
            i++;
            continue;
        }
        if (!slice_is(rq->argv[i], "MAXLEN") && !slice_is(rq->argv[i], "MINID"))
            break;
        trims = true;
        i += 1 + (i + 1 < rq->argc && (slice_is(rq->argv[i + 1], "~") || slice_is(rq->argv[i + 1], "=")));
    }
    if (!st || i >= rq->argc) {
        as_it_came(rq, e);
        return;
    }
    char id[48];
    snprintf(id, sizeof id, "%llu-%llu", (unsigned long long)st->last.ms, (unsigned long long)st->last.seq);
    effects_open(e, db_of(rq), (unsigned)(rq->argc - i) + 2 + (trims ? 3 : 0));
    effects_word(e, "XADD");
    effects_arg(e, rq->argv[1]);
    if (trims) {
        effects_word(e, "MAXLEN");
        effects_word(e, "=");
        effects_number(e, (int64_t)st->length);
    }
    effects_word(e, id);
    for (i++; i < rq->argc; i++)
        effects_arg(e, rq->argv[i]);
}

static void of_xtrim(struct request *rq, struct effects *e)
{
    struct key k;
    struct value_at v;
    const struct stream *st = stream_at(rq, 1, &k, &v);
    effects_open(e, db_of(rq), 5);
    effects_word(e, "XTRIM");
    effects_arg(e, rq->argv[1]);
    effects_word(e, "MAXLEN");
    effects_word(e, "=");
    effects_number(e, st ? (int64_t)st->length : 0);
}

/* -- those that may have waited -- */

/* The key that was served; 0: one of several that had something, the first of them. */
static int served(const struct request *rq, int first, int last)
{
    return rq->served ? rq->served : first == last ? first : 0;
}

static void pop_one(struct request *rq, struct effects *e, const char *name)
{
    int i = served(rq, 1, rq->argc - 2);
    if (!i) {
        as_it_came(rq, e);
        return;
    }
    effects_open(e, db_of(rq), 2);
    effects_word(e, name);
    effects_arg(e, rq->argv[i]);
}

static void of_blpop(struct request *rq, struct effects *e)
{
    pop_one(rq, e, "LPOP");
}

static void of_brpop(struct request *rq, struct effects *e)
{
    pop_one(rq, e, "RPOP");
}

static void of_bzpopmin(struct request *rq, struct effects *e)
{
    pop_one(rq, e, "ZPOPMIN");
}

static void of_bzpopmax(struct request *rq, struct effects *e)
{
    pop_one(rq, e, "ZPOPMAX");
}

/* BLMPOP timeout numkeys key ... LEFT [COUNT n] */
static void pop_many(struct request *rq, struct effects *e, const char *name)
{
    int64_t keys = 0;
    if (!parse_i64(rq->argv[2], &keys) || keys < 1 || keys >= rq->argc - 3) {
        as_it_came(rq, e);
        return;
    }
    int behind = 3 + (int)keys, i = served(rq, 3, behind - 1);
    unsigned named = i ? 1 : (unsigned)keys;
    effects_open(e, db_of(rq), 2 + named + (unsigned)(rq->argc - behind));
    effects_word(e, name);
    effects_number(e, named);
    for (int k = i ? i : 3; k < (i ? i + 1 : behind); k++)
        effects_arg(e, rq->argv[k]);
    for (int k = behind; k < rq->argc; k++)
        effects_arg(e, rq->argv[k]);
}

static void of_blmpop(struct request *rq, struct effects *e)
{
    pop_many(rq, e, "LMPOP");
}

static void of_bzmpop(struct request *rq, struct effects *e)
{
    pop_many(rq, e, "ZMPOP");
}

/* Without the timeout behind. */
static void without_last(struct request *rq, struct effects *e, const char *name)
{
    effects_open(e, db_of(rq), (unsigned)rq->argc - 1);
    effects_word(e, name);
    for (int i = 1; i < rq->argc - 1; i++)
        effects_arg(e, rq->argv[i]);
}

static void of_blmove(struct request *rq, struct effects *e)
{
    without_last(rq, e, "LMOVE");
}

static void of_brpoplpush(struct request *rq, struct effects *e)
{
    without_last(rq, e, "RPOPLPUSH");
}

/* -- others -- */

enum { ELEMENTS_AT_ONCE = 512 };

static void pushed(struct request *rq, struct effects *e, struct slice key, struct list_cursor *c, uint64_t n)
{
    struct item item;
    char scratch[24];
    effects_open(e, db_of(rq), 2 + (unsigned)n);
    effects_word(e, "RPUSH");
    effects_arg(e, key);
    while (n-- && list_next(c, &item))
        effects_arg(e, item_text(&item, scratch));
}

/* What was stored, if a pattern looks into hashes: their fields may be over, and are not when the log is loaded. */
static void of_sort(struct request *rq, struct effects *e)
{
    int key[2] = {0, 0};
    bool stores = sort_getkeys(rq->argc, rq->argv, key, 2) == 2, looks = false;
    for (int i = 2; i < rq->argc; i++)
        looks |= memmem(rq->argv[i].p, rq->argv[i].len, "->", 2) != NULL;
    if (!looks || !stores) {
        as_it_came(rq, e);
        return;
    }
    struct key k = request_key(rq, key[1]);
    const struct entry *list = store_find(request_shard(rq, &k), db_of(rq), &k, LOOK_NOTOUCH | LOOK_NOSTAT);
    struct list_cursor c;
    uint64_t left = list ? list_len(list) : 0;
    deleted(rq, e, key[1]);
    if (left)
        list_seek(list, 0, &c, rq->turn);
    for (uint64_t n; left; left -= n) {
        n = left < ELEMENTS_AT_ONCE ? left : ELEMENTS_AT_ONCE;
        pushed(rq, e, rq->argv[key[1]], &c, n);
    }
}

static bool add_if_gone(int position, unsigned flags, void *arg)
{
    struct request *rq = arg;
    (void)flags;
    if (rq->argv[position].len && is_gone(rq, position))
        deleted(rq, effects_of(rq), position);
    return true;
}

/* Without COPY the keys are gone. */
static void of_migrate(struct request *rq, struct effects *e)
{
    (void)e;
    command_each_key(rq->cmd, rq->argc, rq->argv, add_if_gone, rq);
}

/* In the order of strcmp(). */
static const struct effect_rule rules[] = {
    {"blmove", 0, of_blmove},
    {"blmpop", 0, of_blmpop},
    {"blpop", 0, of_blpop},
    {"brpop", 0, of_brpop},
    {"brpoplpush", 0, of_brpoplpush},
    {"bzmpop", 0, of_bzmpop},
    {"bzpopmax", 0, of_bzpopmax},
    {"bzpopmin", 0, of_bzpopmin},
    {"copy", EFFECT_WHOLE, NULL},
    {"expire", 0, of_expire},
    {"expireat", 0, of_expireat},
    {"flushall", EFFECT_ALWAYS, NULL},
    {"flushdb", EFFECT_ALWAYS, NULL},
    {"function|delete", EFFECT_ALWAYS, NULL},
    {"function|flush", EFFECT_ALWAYS, NULL},
    {"function|load", EFFECT_ALWAYS, NULL},
    {"function|restore", EFFECT_ALWAYS, NULL},
    {"getex", 0, of_getex},
    {"hexpire", 0, effects_of_hexpire},
    {"hexpireat", 0, effects_of_hexpireat},
    {"hgetex", 0, effects_of_hgetex},
    {"hpexpire", 0, effects_of_hpexpire},
    {"hpexpireat", 0, effects_of_hpexpireat},
    {"hsetex", 0, effects_of_hsetex},
    {"load", EFFECT_TOLD, NULL}, /* of worker_load.c: a new base has it */
    {"migrate", 0, of_migrate},
    {"move", EFFECT_WHOLE, NULL},
    {"pexpire", 0, of_pexpire},
    {"pexpireat", 0, of_pexpireat},
    {"psetex", 0, of_psetex},
    {"rename", EFFECT_WHOLE, NULL},
    {"renamenx", EFFECT_WHOLE, NULL},
    {"restore", 0, of_restore},
    {"restore-asking", 0, of_restore},
    {"set", 0, of_set},
    {"setex", 0, of_setex},
    {"sort", 0, of_sort},
    {"spop", EFFECT_TOLD, NULL},
    {"swapdb", EFFECT_ALWAYS, NULL},
    {"xack", EFFECT_ALWAYS, NULL},
    {"xadd", 0, of_xadd},
    {"xautoclaim", EFFECT_TOLD, NULL},
    {"xclaim", EFFECT_TOLD, NULL},
    {"xgroup|create", EFFECT_ALWAYS, NULL},
    {"xgroup|createconsumer", EFFECT_ALWAYS, NULL},
    {"xgroup|delconsumer", EFFECT_ALWAYS, NULL},
    {"xgroup|destroy", EFFECT_ALWAYS, NULL},
    {"xgroup|setid", EFFECT_ALWAYS, NULL},
    {"xreadgroup", EFFECT_TOLD, NULL},
    {"xsetid", EFFECT_ALWAYS, NULL},
    {"xtrim", 0, of_xtrim},
};

static int by_command(const void *name, const void *rule)
{
    return strcmp(name, ((const struct effect_rule *)rule)->command);
}

const struct effect_rule *effect_rule_of(const struct request *rq)
{
    return bsearch(rq->cmd->full_name, rules, sizeof rules / sizeof *rules, sizeof *rules, by_command);
}

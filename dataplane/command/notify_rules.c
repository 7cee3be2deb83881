/* notify_rules.c: what Redis calls the events of each command (notifyKeyspaceEvent() in Redis 7.2;
 * https://redis.io/docs/latest/develop/use/keyspace-notifications/). */
#include "command/notify.h"

#include "base/number.h"

#include <stdlib.h>

static bool has_word(const struct request *rq, int from, const char *word)
{
    for (int i = from; i < rq->argc; i++)
        if (slice_is(rq->argv[i], word))
            return true;
    return false;
}

static bool has_time(const struct request *rq, int from)
{
    return has_word(rq, from, "EX") || has_word(rq, from, "PX") || has_word(rq, from, "EXAT") ||
           has_word(rq, from, "PXAT");
}

static void of_set(const struct request *rq, struct notify_rule *rule)
{
    if (has_time(rq, 3)) {
        rule->also = "expire";
        rule->also_class = NOTIFY_GENERIC;
    }
}

static void of_getex(const struct request *rq, struct notify_rule *rule)
{
    if (has_word(rq, 2, "PERSIST"))
        rule->event = "persist";
}

/* ZADD key [options] score member ...: INCR among the options. */
static void of_zadd(const struct request *rq, struct notify_rule *rule)
{
    static const char *const words[] = {"NX", "XX", "GT", "LT", "CH"};
    for (int i = 2; i < rq->argc; i++) {
        size_t known = 0;
        if (slice_is(rq->argv[i], "INCR"))
            rule->event = "zincr";
        while (known < sizeof words / sizeof *words && !slice_is(rq->argv[i], words[known]))
            known++;
        if (known == sizeof words / sizeof *words)
            return;
    }
}

/* A list that is rotated is told of twice. */
static void of_rotation(const struct request *rq, struct notify_rule *rule)
{
    if (!slice_eq(rq->argv[1], rq->argv[2]))
        return;
    rule->also = rule->event;
    rule->also_class = NOTIFY_LIST;
    rule->event = rule->other;
    rule->other = NULL;
}

static void of_lmove(const struct request *rq, struct notify_rule *rule)
{
    if (rq->argc < 5)
        return;
    rule->event = slice_is(rq->argv[3], "LEFT") ? "lpop" : "rpop";
    rule->other = slice_is(rq->argv[4], "LEFT") ? "lpush" : "rpush";
    of_rotation(rq, rule);
}

/* LMPOP numkeys key ... LEFT|RIGHT and kin: the word behind the keys. */
static void of_mpop(const struct request *rq, struct notify_rule *rule, int count_at)
{
    int64_t keys;
    if (count_at >= rq->argc || !parse_i64(rq->argv[count_at], &keys) || keys < 1 ||
        keys >= rq->argc - count_at - 1)
        return;
    struct slice word = rq->argv[count_at + 1 + (int)keys];
    if (slice_is(word, "RIGHT"))
        rule->event = "rpop";
    else if (slice_is(word, "MAX"))
        rule->event = "zpopmax";
}

static void of_pop(const struct request *rq, struct notify_rule *rule)
{
    of_mpop(rq, rule, 1);
}

static void of_blocking_pop(const struct request *rq, struct notify_rule *rule)
{
    of_mpop(rq, rule, 2);
}

/* XADD has trimmed, too. */
static void of_xadd(const struct request *rq, struct notify_rule *rule)
{
    rule->also = rq->env->trimmed ? "xtrim" : NULL;
    rule->also_class = NOTIFY_STREAM;
}

enum {
    GENERIC = NOTIFY_GENERIC,
    STRING = NOTIFY_STRING,
    LIST = NOTIFY_LIST,
    SET = NOTIFY_SET,
    HASH = NOTIFY_HASH,
    ZSET = NOTIFY_ZSET,
    STREAM = NOTIFY_STREAM,
    DEL = RULE_ONLY_DEL
};

/* In the order of strcmp(). */
static const struct notify_rule rules[] = {
    {"append", STRING, 0, "append"},
    {"bitfield", STRING, 0, "setbit"},
    {"bitop", STRING, DEL, "set"},
    {"blmove", LIST, RULE_BACKWARDS, "lpop", "lpush", of_lmove},
    {"blmpop", LIST, 0, "lpop", NULL, of_blocking_pop},
    {"blpop", LIST, 0, "lpop"},
    {"brpop", LIST, 0, "rpop"},
    {"brpoplpush", LIST, RULE_BACKWARDS, "rpop", "lpush", of_rotation},
    {"bzmpop", ZSET, 0, "zpopmin", NULL, of_blocking_pop},
    {"bzpopmax", ZSET, 0, "zpopmax"},
    {"bzpopmin", ZSET, 0, "zpopmin"},
    {"copy", GENERIC, RULE_ANEW, "copy_to"},
    {"decr", STRING, 0, "incrby"},
    {"decrby", STRING, 0, "incrby"},
    {"del", GENERIC, DEL, NULL},
    {"expire", GENERIC, DEL, "expire"},
    {"expireat", GENERIC, DEL, "expire"},
    {"geoadd", ZSET, 0, "zadd"},
    {"georadius", ZSET, DEL, "georadiusstore"},
    {"georadiusbymember", ZSET, DEL, "georadiusstore"},
    {"geosearchstore", ZSET, DEL, "geosearchstore"},
    {"getdel", STRING, DEL, NULL},
    {"getex", GENERIC, DEL, "expire", NULL, of_getex},
    {"getset", STRING, 0, "set"},
    {"hdel", HASH, 0, "hdel"},
    {"hexpire", HASH, 0, "hexpire"},
    {"hexpireat", HASH, 0, "hexpire"},
    {"hgetdel", HASH, 0, "hdel"},
    {"hgetex", HASH, 0, "hexpire"},
    {"hincrby", HASH, 0, "hincrby"},
    {"hincrbyfloat", HASH, 0, "hincrbyfloat"},
    {"hmset", HASH, 0, "hset"},
    {"hpersist", HASH, 0, "hpersist"},
    {"hpexpire", HASH, 0, "hexpire"},
    {"hpexpireat", HASH, 0, "hexpire"},
    {"hset", HASH, 0, "hset"},
    {"hsetex", HASH, 0, "hset"},
    {"hsetnx", HASH, 0, "hset"},
    {"incr", STRING, 0, "incrby"},
    {"incrby", STRING, 0, "incrby"},
    {"incrbyfloat", STRING, 0, "incrbyfloat"},
    {"linsert", LIST, 0, "linsert"},
    {"lmove", LIST, RULE_BACKWARDS, "lpop", "lpush", of_lmove},
    {"lmpop", LIST, 0, "lpop", NULL, of_pop},
    {"lpop", LIST, 0, "lpop"},
    {"lpush", LIST, 0, "lpush"},
    {"lpushx", LIST, 0, "lpush"},
    {"lrem", LIST, 0, "lrem"},
    {"lset", LIST, 0, "lset"},
    {"ltrim", LIST, 0, "ltrim"},
    {"migrate", GENERIC, DEL, NULL},
    {"move", GENERIC, RULE_NO_DEL | RULE_ANEW, "move_from", "move_to"},
    {"mset", STRING, RULE_PAIRS, "set"},
    {"msetnx", STRING, RULE_PAIRS, "set"},
    {"persist", GENERIC, 0, "persist"},
    {"pexpire", GENERIC, DEL, "expire"},
    {"pexpireat", GENERIC, DEL, "expire"},
    {"pfadd", STRING, 0, "pfadd"},
    {"pfmerge", STRING, 0, "pfadd"},
    {"psetex", STRING, 0, "set", .also = "expire", .also_class = GENERIC},
    {"rename", GENERIC, RULE_NO_DEL | RULE_ANEW, "rename_from", "rename_to"},
    {"renamenx", GENERIC, RULE_NO_DEL | RULE_ANEW, "rename_from", "rename_to"},
    {"restore", GENERIC, RULE_ANEW, "restore"},
    {"rpop", LIST, 0, "rpop"},
    {"rpoplpush", LIST, RULE_BACKWARDS, "rpop", "lpush", of_rotation},
    {"rpush", LIST, 0, "rpush"},
    {"rpushx", LIST, 0, "rpush"},
    {"sadd", SET, 0, "sadd"},
    {"sdiffstore", SET, DEL, "sdiffstore"},
    {"set", STRING, 0, "set", NULL, of_set},
    {"setbit", STRING, 0, "setbit"},
    {"setex", STRING, 0, "set", .also = "expire", .also_class = GENERIC},
    {"setnx", STRING, 0, "set"},
    {"setrange", STRING, 0, "setrange"},
    {"sinterstore", SET, DEL, "sinterstore"},
    {"smove", SET, 0, "srem", "sadd"},
    {"sort", LIST, DEL, "sortstore"},
    {"spop", SET, 0, "spop"},
    {"srem", SET, 0, "srem"},
    {"sunionstore", SET, DEL, "sunionstore"},
    {"unlink", GENERIC, DEL, NULL},
    {"xadd", STREAM, 0, "xadd", NULL, of_xadd},
    {"xautoclaim", STREAM, 0, "xgroup-createconsumer"},
    {"xclaim", STREAM, 0, "xgroup-createconsumer"},
    {"xdel", STREAM, 0, "xdel"},
    {"xgroup|create", STREAM, 0, "xgroup-create"},
    {"xgroup|createconsumer", STREAM, 0, "xgroup-createconsumer"},
    {"xgroup|delconsumer", STREAM, 0, "xgroup-delconsumer"},
    {"xgroup|destroy", STREAM, 0, "xgroup-destroy"},
    {"xgroup|setid", STREAM, 0, "xgroup-setid"},
    {"xreadgroup", STREAM, 0, "xgroup-createconsumer"},
    {"xsetid", STREAM, 0, "xsetid"},
    {"xtrim", STREAM, 0, "xtrim"},
    {"zadd", ZSET, 0, "zadd", NULL, of_zadd},
    {"zdiffstore", ZSET, DEL, "zdiffstore"},
    {"zincrby", ZSET, 0, "zincr"},
    {"zinterstore", ZSET, DEL, "zinterstore"},
    {"zmpop", ZSET, 0, "zpopmin", NULL, of_pop},
    {"zpopmax", ZSET, 0, "zpopmax"},
    {"zpopmin", ZSET, 0, "zpopmin"},
    {"zrangestore", ZSET, DEL, "zrangestore"},
    {"zrem", ZSET, 0, "zrem"},
    {"zremrangebylex", ZSET, 0, "zremrangebylex"},
    {"zremrangebyrank", ZSET, 0, "zremrangebyrank"},
    {"zremrangebyscore", ZSET, 0, "zremrangebyscore"},
    {"zunionstore", ZSET, DEL, "zunionstore"},
};

static int by_command(const void *name, const void *rule)
{
    return strcmp(name, ((const struct notify_rule *)rule)->command);
}

bool notify_rule_of(const struct request *rq, struct notify_rule *rule)
{
    const struct notify_rule *found =
        bsearch(rq->cmd->full_name, rules, sizeof rules / sizeof *rules, sizeof *rules, by_command);
    if (!found)
        return false;
    *rule = *found;
    if (rule->refine)
        rule->refine(rq, rule);
    return true;
}

/* generic_expire.c: EXPIRE and its kin, TTL and its kin, PERSIST.
 * https://redis.io/docs/latest/commands/expire/, ttl/, expiretime/ */
#include "command/generic.h"

/* The store keeps 48 bits of an expiry (the year 10889): later times are all the same to GT and LT. */
#define LATEST ((INT64_C(1) << 48) - 1)

unsigned expiry_condition(struct slice word)
{
    static const char *const words[] = {"NX", "XX", "GT", "LT"};
    for (unsigned n = 0; n < sizeof words / sizeof words[0]; n++)
        if (slice_is(word, words[n]))
            return WHEN_NX << n;
    return 0;
}

static bool parse_conditions(struct request *rq, unsigned *set)
{
    *set = 0;
    for (int i = 3; i < rq->argc; i++) {
        unsigned one = expiry_condition(rq->argv[i]);
        if (!one) {
            reply_errorf(rq->out, "ERR Unsupported option %.*s", (int)rq->argv[i].len,
                         (const char *)rq->argv[i].p);
            return false;
        }
        *set |= one;
    }
    if ((*set & WHEN_NX) && (*set & ~(unsigned)WHEN_NX)) {
        reply_error(rq->out, "ERR NX and XX, GT or LT options at the same time are not compatible");
        return false;
    }
    if ((*set & WHEN_GT) && (*set & WHEN_LT)) {
        reply_error(rq->out, "ERR GT and LT options at the same time are not compatible");
        return false;
    }
    return true;
}

bool expiry_may_change(unsigned conditions, uint64_t now_at, int64_t at)
{
    if ((conditions & WHEN_NX) && now_at)
        return false;
    if ((conditions & WHEN_XX) && !now_at)
        return false;
    if ((conditions & WHEN_GT) && (!now_at || at <= (int64_t)now_at))
        return false;
    if ((conditions & WHEN_LT) && now_at && at >= (int64_t)now_at)
        return false;
    return true;
}

/* EXPIRE key t [NX | XX | GT | LT]: t counts in units of `unit` ms from `base`. */
static enum command_result expire_at(struct request *rq, int64_t unit, uint64_t base)
{
    unsigned set;
    int64_t at;
    if (!parse_conditions(rq, &set) || !request_int(rq, 2, &at, NULL))
        return CMD_DONE;
    if (__builtin_mul_overflow(at, unit, &at) || __builtin_add_overflow(at, (int64_t)base, &at)) {
        reply_errorf(rq->out, "ERR invalid expire time in '%s' command", rq->cmd->full_name);
        return CMD_DONE;
    }
    if (at > LATEST)
        at = LATEST;
    struct shard *s = request_shard(rq, &rq->key);
    struct entry *e = request_find(rq, &rq->key, LOOK_WRITE);
    if (!e || !expiry_may_change(set, entry_expire_at(e), at)) {
        reply_int(rq->out, 0);
        return CMD_DONE;
    }
    if (at <= (int64_t)rq->env->now_ms) /* past: gone at once */
        store_delete(s, rq->client->db, &rq->key);
    else if (store_set_expire(s, rq->client->db, &rq->key, (uint64_t)at) != STORE_OK) {
        reply_oom(rq->out);
        return CMD_DONE;
    }
    reply_int(rq->out, 1);
    return CMD_DONE;
}

enum command_result expire_command(struct request *rq)
{
    return expire_at(rq, 1000, rq->env->now_ms);
}

enum command_result pexpire_command(struct request *rq)
{
    return expire_at(rq, 1, rq->env->now_ms);
}

enum command_result expireat_command(struct request *rq)
{
    return expire_at(rq, 1000, 0);
}

enum command_result pexpireat_command(struct request *rq)
{
    return expire_at(rq, 1, 0);
}

/* Replies the expiry relative to `base`, in units of `unit` ms, rounded; -1 without expiry, -2 without key.
 */
static enum command_result reply_expiry(struct request *rq, int64_t unit, uint64_t base)
{
    struct entry *e = request_find(rq, &rq->key, LOOK_READ | LOOK_NOTOUCH);
    uint64_t at = e ? entry_expire_at(e) : 0;
    if (!e)
        reply_int(rq->out, -2);
    else if (!at)
        reply_int(rq->out, -1);
    else if (at < base)
        reply_int(rq->out, 0);
    else
        reply_int(rq->out, (int64_t)((at - base + (uint64_t)unit / 2) / (uint64_t)unit));
    return CMD_DONE;
}

enum command_result ttl_command(struct request *rq)
{
    return reply_expiry(rq, 1000, rq->env->now_ms);
}

enum command_result pttl_command(struct request *rq)
{
    return reply_expiry(rq, 1, rq->env->now_ms);
}

enum command_result expiretime_command(struct request *rq)
{
    return reply_expiry(rq, 1000, 0);
}

enum command_result pexpiretime_command(struct request *rq)
{
    return reply_expiry(rq, 1, 0);
}

enum command_result persist_command(struct request *rq)
{
    struct entry *e = request_find(rq, &rq->key, LOOK_WRITE);
    bool had = e && entry_expire_at(e);
    if (had && store_set_expire(request_shard(rq, &rq->key), rq->client->db, &rq->key, 0) != STORE_OK)
        reply_oom(rq->out);
    else
        reply_int(rq->out, had);
    return CMD_DONE;
}

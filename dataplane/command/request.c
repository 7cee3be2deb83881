/* request.c: what handlers ask of their request: its keys and numbers, what they may do (wait, go in slices, go
 * elsewhere), and whom to tell of a change. */
#include <math.h>
#include <stdlib.h>

#include "base/number.h"
#include "command/command.h"
#include "store/waits.h"

/* -- keys and arguments -- */

struct key request_key(const struct request *rq, int i)
{
    struct slice name = rq->argv[i];
    if (name.p == rq->key.name.p && name.len == rq->key.name.len && rq->route != ROUTE_HERE)
        return rq->key;
    return keyspace_key(rq->env->ks, name);
}

bool key_walk_on(const struct request *rq, struct key_walk *walk)
{
    const struct keyspace *ks = rq->env->ks;
    const struct shard *own = ks->shard[rq->shard];
    unsigned db = rq->client->db;
    walk->at = walk->next - walk->step;
    walk->i = walk->n = 0;
    if (walk->next + walk->step >= rq->argc &&
        walk->next < rq->argc) { /* alone: what the batch has asked for */
        walk->key[walk->n] = request_key(rq, walk->next);
        walk->ahead.at[walk->n++] = rq->env->ahead ? *rq->env->ahead : (struct ahead){0};
        walk->next += walk->step;
        return true;
    }
    ahead_begin(&walk->ahead);
    for (; walk->next < rq->argc && walk->n < KEYS_AHEAD; walk->next += walk->step, walk->n++) {
        struct key *k = &walk->key[walk->n];
        *k = keyspace_key(ks, rq->argv[walk->next]);
        if (request_shard(rq, k) == own)
            store_ahead(own, &walk->ahead, db, k->hash);
        else
            store_ahead_skip(&walk->ahead);
    }
    return walk->n > 0;
}

void request_changed(const struct request *rq, const struct key *k)
{
    store_changed(request_shard(rq, k), rq->client->db, k);
}

void request_event(const struct request *rq, const struct key *k)
{
    waits_note_event(shard_waits(request_shard(rq, k)), rq->client->db, k);
}

bool request_value(struct request *rq, const struct key *k, unsigned how, enum value_type type,
                   struct value_at *v)
{
    *v = (struct value_at){request_shard(rq, k), rq->client->db, k, request_find(rq, k, how)};
    if (!v->e || entry_type(v->e) == type)
        return true;
    reply_wrong_type(rq->out);
    return false;
}

bool request_int(const struct request *rq, int i, int64_t *out, const char *error)
{
    if (parse_i64(rq->argv[i], out))
        return true;
    if (error)
        reply_error(rq->out, error);
    else
        reply_not_integer(rq->out);
    return false;
}

/* xorshift64* (Vigna, "An experimental exploration of Marsaglia's xorshift generators", 2014). */
uint64_t env_random(struct command_env *env)
{
    uint64_t x = env->random ? env->random : 0x9e3779b97f4a7c15;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    env->random = x;
    return x * 0x2545f4914f6cdd1d;
}

/* -- another time, or elsewhere -- */

enum command_result request_elsewhere(struct request *rq)
{
    rq->env->stats[rq->cmd->id].calls--;
    count_add(rq->env->counters, COUNTER_commands_processed, (uint64_t)-1);
    rq->client->commands--;
    return CMD_ELSEWHERE;
}

bool request_may_turn(const struct request *rq)
{
    bool alone = !(rq->client->flags & CLIENT_DENY_BLOCKING) || rq->turn; /* or a part of an EXEC in slices */
    return rq->env->turns && !rq->again && !rq->served && alone;
}

bool turn_wanted_keys(const struct request *rq, uint64_t each)
{
    if (each * (uint64_t)(rq->argc - 1) <= rq->env->turn_work)
        return false;
    if (request_may_turn(rq))
        return true;
    turn_counts(rq);
    return false;
}

bool request_may_block(const struct request *rq)
{
    return !(rq->client->flags & (CLIENT_INTERNAL | CLIENT_DENY_BLOCKING));
}

enum command_result request_block(struct request *rq, const struct block_spec *spec)
{
    if (rq->served)
        return CMD_BLOCK;
    if (!request_may_block(rq)) {
        free(spec->instead);
        reply_null_array(rq->out);
        return CMD_DONE;
    }
    rq->env->block = *spec;
    return CMD_BLOCK;
}

bool request_timeout(const struct request *rq, int i, uint64_t *ms)
{
    long double seconds, most = (long double)INT64_MAX;
    if (!parse_long_double(rq->argv[i], &seconds))
        reply_error(rq->out, "ERR timeout is not a float or out of range");
    else if (seconds * 1000 > most)
        reply_error(rq->out, "ERR timeout is out of range");
    else if (seconds < 0 && ceill(seconds * 1000) < 0)
        reply_error(rq->out, "ERR timeout is negative");
    else if (ceill(seconds * 1000) > most - (long double)rq->env->now_ms)
        reply_error(rq->out, "ERR timeout is out of range");
    else {
        *ms = (uint64_t)ceill(seconds * 1000);
        return true;
    }
    return false;
}

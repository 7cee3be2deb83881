/* dispatch.c: one prepared command (prepare.c) to its reply, in the order of checks of Redis' processCommand:
 * existence, arity, authentication, memory, then the handler. https://redis.io/docs/reference/protocol-spec/
 */
#include <x86intrin.h>

#include "command/acl.h"
#include "command/cluster.h"
#include "command/effects.h"
#include "command/latency.h"
#include "command/audit.h"
#include "command/monitor.h"
#include "command/notify.h"
#include "command/refuse.h"
#include "command/slowlog.h"
#include "command/table.h"
#include "command/tracking.h"
#include "command/transaction.h"
#include "command/transaction_commands.h"
#include "store/snapshot.h"

static inline enum store_result make_room(const struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    if (rq->route != ROUTE_ALL) /* without keys that can be told: this worker's shard stands for the box */
        return shard_make_room(ks->shard[rq->shard], 0);
    int position[MANY_KEYS];
    int n = command_keys(rq->cmd, rq->argc, rq->argv, position, MANY_KEYS);
    for (int i = 0; i < n && i < MANY_KEYS; i++)
        if (shard_make_room(ks->shard[keyspace_shard_of(ks, rq->argv[position[i]])], 0) != STORE_OK)
            return STORE_OOM;
    return STORE_OK;
}

enum store_result command_make_room(const struct request *rq)
{
    return make_room(rq);
}

static __attribute__((noinline)) enum store_result make_room_watched(const struct request *rq)
{
    uint64_t begin = __rdtsc(), rate = rq->env->tsc_per_us;
    enum store_result result = make_room(rq);
    if (rate)
        latency_note(rq->env, LATENCY_EVICTION, (__rdtsc() - begin) / rate);
    return result;
}

static inline bool no_room(const struct request *rq)
{
    return (latency_watched(rq->env) ? make_room_watched(rq) : make_room(rq)) != STORE_OK;
}

/* Writes the error of a request that must not run; false if it may. What MULTI queues may be for a shard of
 * another worker: transaction_takes() asks this one for room, EXEC all. */
static inline __attribute__((always_inline)) bool rejected(struct request *rq, bool in_multi, bool listens,
                                                           bool clustered)
{
    if (!rq->cmd && request_is_http(rq))
        rq->client->flags |= CLIENT_CLOSE_AFTER_REPLY;
    else if (!rq->cmd)
        refuse_unknown(rq);
    else if (rq->bad_arity)
        refuse_arity(rq);
    else if (!(rq->cmd->flags & CMD_NO_AUTH) && !(rq->client->flags & CLIENT_UNLIMITED) && refuse_denied(rq))
        ;
    else if (clustered && refuse_stray(rq))
        ; /* it has been told */
    else if (!in_multi && rq->cmd->flags & CMD_DENYOOM && no_room(rq))
        reply_oom(rq->out);
    else if (listens && request_is_vain(rq))
        refuse_listener(rq);
    else if (rq->env->observers & OBSERVE_REFUSAL && request_may_not_write(rq))
        refuse_writes(rq);
    else
        return false;
    if (rq->cmd)
        rq->env->stats[rq->cmd->id].rejected++;
    return true;
}

static void note_time(struct command_stats *stats, uint64_t ns)
{
    stats->took[time_bucket(ns)]++;
}

/* Does it go on, here or elsewhere? What it took is noted when it ends. */
static bool goes_on(enum command_result result)
{
    return result == CMD_ELSEWHERE || result == CMD_LONG;
}

/* It took as long as the slow log or the latency monitor waits for. A blocked command is one for the slow log
 * when it ends. */
static __attribute__((noinline)) void note_long(const struct request *rq, enum command_result result,
                                                enum latency_event event, uint64_t usec)
{
    const struct command_env *env = rq->env;
    if (goes_on(result))
        return;
    if (result != CMD_BLOCK && slowlog_wanted(env, rq->cmd, usec))
        slowlog_note(env->slowlog[env->self], rq, usec);
    latency_note(env, event, usec);
}

static inline void note_if_long(const struct request *rq, enum command_result result, uint64_t usec)
{
    if (__builtin_expect(usec >= rq->env->conf->long_us, 0))
        note_long(rq, result, rq->cmd->flags & CMD_FAST ? LATENCY_FAST_COMMAND : LATENCY_COMMAND, usec);
}

static bool show_key(int position, unsigned flags, void *arg)
{
    const struct request *rq = arg;
    const struct key k = request_key(rq, position);
    bool may = rq->route == ROUTE_SHARD || request_touches(rq, keyspace_shard_of(rq->env->ks, k.name));
    if (!(flags & KEY_RO) && may)
        snapshot_key(request_shard(rq, &k), rq->client->db, &k);
    return true;
}

/* What the command may change is written first. */
static __attribute__((noinline)) void show_keys(struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    if (!(rq->cmd->flags & (CMD_WRITE | CMD_MAY_REPLICATE)) ||
        command_each_key(rq->cmd, rq->argc, rq->argv, show_key, rq))
        return;
    for (unsigned i = 0; i < ks->shards; i++)
        if (request_touches(rq, i) && shard_snapshot(ks->shard[i]))
            snapshot_fail(shard_snapshot(ks->shard[i]), "out of memory");
}

/* Runs a handler while somebody wants to know what it does. */
static enum command_result run_told(struct request *rq)
{
    struct command_env *env = rq->env;
    struct tracking *t = env->tracking;
    uint64_t outer = t ? t->current : 0;
    if (t && !(rq->client->flags & CLIENT_SCRIPT)) /* in slices it is swapped: turns.c */
        t->current = rq->client->id;
    if (env->observers & OBSERVE_SNAPSHOT)
        show_keys(rq);
    enum command_result result = env->observers & OBSERVE_LOG ? effects_run(rq) : rq->cmd->run(rq);
    if (t)
        t->current = outer;
    if (env->observers & OBSERVE_EVENTS)
        notify_of(rq);
    bool reads = rq->client->flags & (CLIENT_TRACKS | CLIENT_SCRIPT) && rq->cmd->flags & CMD_READONLY;
    if (env->observers & OBSERVE_TRACKING && reads && result != CMD_ELSEWHERE)
        tracking_remember(rq);
    return t && *t->due && result == CMD_DONE ? CMD_COUNTED : result;
}

/* The end of a handler that stands for `weight` calls and took so many cycles. */
static inline enum command_result ran(struct request *rq, enum command_result result, uint64_t cycles,
                                      uint64_t weight)
{
    struct command_stats *stats = &rq->env->stats[rq->cmd->id];
    uint64_t rate = rq->env->tsc_per_us;
    if (rate == 0)
        return result;
    stats->usec += (cycles * weight + rate / 2) / rate;
    if (result != CMD_BLOCK && !goes_on(result))
        note_time(stats, cycles * 1000 / rate);
    note_if_long(rq, result, cycles / rate);
    return result;
}

static __attribute__((noinline)) void audit_if_done(const struct request *rq, enum command_result result, uint32_t errors)
{
    if (result != CMD_ELSEWHERE)
        audit_command(rq, rq->out->errors != errors);
}

/* A clock that stands while others have the turns of a command. */
static inline uint64_t own_clock(const struct command_env *env)
{
    return __rdtsc() - env->away;
}

static enum command_result after_refusal(const struct request *rq)
{
    return rq->cmd && rq->cmd->run == exec_run ? CMD_COUNTED : CMD_DONE;
}

/* EXEC comes behind its commands, which are shown as they run. */
static bool shows_later(const struct request *rq, enum command_result result)
{
    return rq->cmd->run == exec_run && result == CMD_LONG;
}

/* One that stands for `weight` calls. */
static __attribute__((noinline)) enum command_result run_measured(struct request *rq, uint64_t weight)
{
    const uint32_t errors = rq->out->errors;
    uint64_t begin = own_clock(rq->env);
    enum command_result result = rq->cmd->run(rq);
    uint64_t cycles = own_clock(rq->env) - begin;
    if (rq->cmd->flags & CMD_AUDITED)
        audit_if_done(rq, result, errors);
    return ran(rq, result, cycles, weight);
}

/* Takes the time of slow commands each, of fast ones of a sample, unless a log waits for times that fast ones reach. */
static inline uint64_t weight_of(const struct request *rq)
{
    return rq->cmd->flags & (CMD_FAST | CMD_SAMPLED) && !rq->env->conf->times_all ? COMMAND_MEASURE_EACH : 1;
}

/* Nobody looks on. */
static inline __attribute__((always_inline)) enum command_result run_unseen(struct request *rq)
{
    const uint64_t weight = weight_of(rq);
    if (rq->env->stats[rq->cmd->id].calls++ & (weight - 1))
        return rq->cmd->run(rq);
    return run_measured(rq, weight);
}

static __attribute__((noinline)) enum command_result run_observed(struct request *rq)
{
    struct command_env *env = rq->env;
    if (env->observers == OBSERVE_SNAPSHOT) { /* as if nobody did, once it has seen the keys */
        show_keys(rq);
        return run_unseen(rq);
    }
    const char *why = why_loading(rq);
    if (why || request_may_not_write(rq)) {
        if (why)
            request_refuse(rq, why);
        else
            refuse_writes(rq);
        env->stats[rq->cmd->id].rejected++;
        return after_refusal(rq);
    }
    bool monitored = env->observers & OBSERVE_MONITOR;
    const bool script = command_runs_script(rq->cmd);
    bool shows = monitored && script && !rq->shown; /* before its commands */
    size_t seen = monitored ? env->monitor->seen.len : 0;
    if (shows) {
        monitor_note_always(rq);
        rq->shown = true;
    }
    const uint32_t errors = rq->out->errors;
    uint64_t begin = own_clock(env);
    enum command_result result = run_told(rq);
    uint64_t cycles = own_clock(env) - begin;
    if (rq->cmd->flags & CMD_AUDITED)
        audit_if_done(rq, result, errors);
    if (monitored && result == CMD_ELSEWHERE) { /* nothing was done */
        env->monitor->seen.len = seen;
        rq->shown = rq->shown && !shows;
    } else if (monitored && !script && !shows_later(rq, result)) {
        monitor_note(rq);
    }
    env->stats[rq->cmd->id].calls++;
    return ran(rq, result, cycles, 1);
}

static inline __attribute__((always_inline)) enum command_result run(struct request *rq)
{
    count_one(rq->env->counters, COUNTER_commands_processed);
    if (__builtin_expect(rq->env->observers != 0, 0))
        return run_observed(rq);
    return run_unseen(rq);
}

void command_count_errors(struct command_env *env, uint32_t errors, const char *code)
{
    count_add(env->counters, COUNTER_command_errors, errors);
    if (env->box && env->box->error_seen)
        env->box->error_seen(env, code);
}

static void account_errors(struct request *rq, uint32_t errors, bool ran)
{
    if (ran)
        rq->env->stats[rq->cmd->id].failed++;
    command_count_errors(rq->env, errors, rq->out->last_error);
}

/* CLIENT REPLY SKIP silences the command after it. */
static void next_reply_mode(struct client *c)
{
    c->flags &= ~(uint32_t)CLIENT_REPLY_SKIP;
    if (c->flags & CLIENT_REPLY_SKIP_NEXT)
        c->flags = (c->flags & ~(uint32_t)CLIENT_REPLY_SKIP_NEXT) | CLIENT_REPLY_SKIP;
}

/* Opens the reply: to the client, or nowhere if it wants none. */
static struct resp_writer *open_reply(struct request *rq, struct resp_writer *out,
                                      struct resp_writer *nowhere)
{
    rq->out = rq->wire = out;
    if (__builtin_expect(rq->client->flags & (CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP), 0)) {
        resp_writer_discard(nowhere, rq->client->proto);
        rq->out = nowhere;
    }
    return rq->out;
}

static inline void begin(struct request *rq)
{
    rq->client->last_ms = rq->env->now_ms;
    rq->client->commands++;
    rq->client->last_command = rq->cmd ? rq->cmd : rq->client->last_command;
}

/* Of a client that wants no reply, has MULTI open, has subscribed to something, said what to cache, monitors,
 * is in the cluster view or has to show a password; or the command is refused, or all are. */
static __attribute__((noinline)) enum command_result
execute_otherwise(struct request *rq, struct resp_writer *out, const char *busy)
{
    struct resp_writer nowhere, *counted = open_reply(rq, out, &nowhere);
    uint32_t errors = counted->errors;
    bool in_multi = rq->client->flags & CLIENT_MULTI;
    begin(rq);
    bool refused = rejected(rq, in_multi, rq->client->flags & CLIENT_PUBSUB,
                            in_cluster(rq)); /* EXEC's ends the transaction */
    if (!busy && rq->client->flags & CLIENT_MONITOR)
        busy = why_monitor(rq);
    if (!busy)
        busy = why_loading(rq);
    if (busy && !refused) {
        request_refuse(rq, busy);
        rq->env->stats[rq->cmd->id].rejected++;
        refused = true;
    }
    bool taken = rq->client->flags & CLIENT_MULTI && transaction_takes(rq, refused);
    enum command_result result = taken ? CMD_COUNTED : refused ? after_refusal(rq) : run(rq);
    if (counted->errors != errors)
        account_errors(rq, counted->errors - errors, !refused && !taken);
    if (result != CMD_ELSEWHERE) {
        next_reply_mode(rq->client);
        tracking_after(rq->client, rq->cmd);
    }
    return result;
}

/* Not unlimited, but otherwise usual: a user whose rules allow this. All else goes the long way, which looks again and
 * says why not. */
static __attribute__((noinline)) bool is_allowed(const struct request *rq)
{
    enum { LIMITED = CLIENT_AUTHENTICATED, OTHERS = CLIENT_UNLIMITED | CLIENT_INTERNAL | CLIENT_UNUSUAL };
    return (rq->client->flags & (LIMITED | OTHERS)) == LIMITED && rq->cmd && !rq->bad_arity && acl_may(rq);
}

enum command_result command_execute(struct request *rq, struct resp_writer *out)
{
    enum {
        USUAL = CLIENT_UNLIMITED /* authenticated, too */
    };
    struct client *c = rq->client;
    const struct command *cmd = rq->cmd;
    if ((__builtin_expect((c->flags & (USUAL | CLIENT_UNUSUAL)) != USUAL || !cmd || rq->bad_arity, 0) &&
         !is_allowed(rq)) ||
        (cmd->flags & CMD_DENYOOM && no_room(rq)))
        return execute_otherwise(rq, out, NULL);
    rq->out = rq->wire = out;
    uint32_t errors = out->errors;
    begin(rq);
    enum command_result result = run(rq);
    if (__builtin_expect(out->errors != errors, 0))
        account_errors(rq, out->errors - errors, true);
    if (__builtin_expect(c->flags & CLIENT_REPLY_SKIP_NEXT, 0) && result != CMD_ELSEWHERE)
        next_reply_mode(c);
    return result;
}

enum command_result command_refuse(struct request *rq, struct resp_writer *out, const char *busy)
{
    return execute_otherwise(rq, out, busy);
}

enum command_result command_nested(struct request *rq, struct resp_writer *out)
{
    struct resp_writer nowhere, *counted = open_reply(rq, out, &nowhere);
    uint32_t errors = counted->errors;
    enum command_result result = run(rq); /* its client's last command is EXEC, or the script's */
    if (counted->errors != errors)
        account_errors(rq, counted->errors - errors, true);
    return result;
}

/* -- once more: blocked commands -- */

static enum command_result run_again(struct request *rq, struct resp_writer *out)
{
    struct resp_writer nowhere, *counted = open_reply(rq, out, &nowhere);
    uint32_t errors = counted->errors;
    enum command_result result = rq->env->observers ? run_told(rq) : rq->cmd->run(rq);
    if (counted->errors != errors)
        account_errors(rq, counted->errors - errors, true);
    return result;
}

/* Its user may have changed while it waited. */
static bool still_may(struct request *rq, struct resp_writer *out)
{
    char why[ACL_WHY];
    const struct acl_user *u = acl_user_of(rq->env, rq->client);
    if (!acl_catch_up(rq->env, rq->client)) {
        reply_error(out, "NOAUTH Authentication required.");
        return false;
    }
    if (rights_unlimited(&u->rights) || acl_judge(rq, ACL_TOPLEVEL, why) == VERDICT_MAY)
        return true;
    reply_errorf(out, "NOPERM %s", why);
    return false;
}

enum command_result command_again(struct request *rq, struct resp_writer *out, int position)
{
    struct command_env *env = rq->env;
    uint64_t begin = __rdtsc();
    rq->served = position;
    enum command_result result = still_may(rq, out) ? run_again(rq, out) : CMD_DONE;
    uint64_t cycles = __rdtsc() - begin, rate = env->tsc_per_us;
    if (rate && result != CMD_BLOCK && !goes_on(result))
        note_time(&env->stats[rq->cmd->id], cycles * 1000 / rate);
    if (rate && cycles / rate >= env->conf->long_us)
        note_long(rq, result, LATENCY_UNBLOCKING, cycles / rate);
    return result;
}

/* -- in slices -- */

enum command_result command_long(struct request *rq, struct resp_writer *out)
{
    rq->again = true;
    rq->client->flags |= CLIENT_COUNTED;
    enum command_result result = run_again(rq, out);
    rq->client->flags &= ~(uint32_t)CLIENT_COUNTED;
    if (rq->env->observers & OBSERVE_MONITOR && rq->cmd->run == exec_run && !goes_on(result))
        monitor_note(rq);
    return result;
}

void command_turns_of_store(const struct command_env *env, struct turn *turn, bool everywhere)
{
    const struct keyspace *ks = env->ks;
    for (unsigned i = 0; i < ks->shards; i++)
        if (everywhere || i == env->self || env->workers == 1)
            shard_set_turn(ks->shard[i], turn);
}

void command_nested_long(struct request *rq, struct resp_writer *out, bool everywhere)
{
    uint64_t begin = own_clock(rq->env);
    if (!command_runs_script(rq->cmd)) /* that one has a stack of its own, and turns for its commands */
        command_turns_of_store(rq->env, rq->turn, everywhere);
    command_long(rq, out);
    command_turns_of_store(rq->env, NULL, everywhere);
    command_took(rq, own_clock(rq->env) - begin);
}

void command_took(struct request *rq, uint64_t cycles)
{
    struct command_env *env = rq->env;
    if (env->tsc_per_us == 0)
        return;
    env->stats[rq->cmd->id].usec += cycles / env->tsc_per_us;
    note_time(&env->stats[rq->cmd->id], cycles * 1000 / env->tsc_per_us);
    note_if_long(rq, CMD_DONE, cycles / env->tsc_per_us);
}

/* transaction.c: MULTI, EXEC, DISCARD, WATCH, UNWATCH.
 * https://redis.io/docs/latest/develop/interact/transactions/
 *
 * Queued commands are kept as they came and prepared anew when they run. They run one after the other where
 * EXEC runs: on the worker of the only shard that keys and watched keys have, or with all workers stopped. */
#include "command/transaction_private.h"

#include "command/acl.h"
#include "command/cluster.h"
#include "command/connection.h"
#include "command/effects.h"
#include "command/refuse.h"
#include "command/transaction_commands.h"

#include <stdlib.h>

struct transaction *transaction_of(struct client *c)
{
    if (!c->transaction) {
        c->transaction = calloc(1, sizeof *c->transaction);
        if (c->transaction) {
            c->transaction->shard = -1;
            c->transaction->slot = CLUSTER_NO_SLOT;
        }
    }
    return c->transaction;
}

/* -- its life -- */

/* Back to no transaction, no watched key. */
static void discard(struct command_env *env, struct client *c)
{
    c->flags &= ~(uint32_t)CLIENT_MULTI;
    if (!c->transaction)
        return;
    watch_end(env, c->transaction);
    transaction_drop(c);
}

void transaction_end(struct command_env *env, struct client *c)
{
    discard(env, c);
}

void transaction_drop(struct client *c)
{
    if (!c->transaction)
        return;
    watch_drop(c->transaction->watch);
    free(c->transaction->queue);
    free(c->transaction);
    c->transaction = NULL;
}

uint64_t transaction_bytes(const struct client *c)
{
    const struct transaction *t = c->transaction;
    return t ? sizeof *t + t->cap + (t->watch ? sizeof *t->watch + t->watch->bytes : 0) : 0;
}

int transaction_count(const struct client *c)
{
    if (!(c->flags & CLIENT_MULTI))
        return -1;
    return c->transaction ? c->transaction->count : 0;
}

unsigned transaction_watched(const struct client *c)
{
    return c->transaction && c->transaction->watch ? c->transaction->watch->keys : 0;
}

bool transaction_is_doomed(const struct client *c)
{
    return c->transaction && c->transaction->watch && c->transaction->watch->changed;
}

/* Replies to a command that has changed what the client holds. */
static enum command_result ok(struct request *rq)
{
    reply_ok(rq->out);
    return CMD_COUNTED;
}

static enum command_result error(struct request *rq, const char *text)
{
    reply_error(rq->out, text);
    return CMD_DONE;
}

static enum command_result out_of_memory(struct request *rq)
{
    reply_error(rq->out, "ERR out of memory for this transaction");
    return CMD_COUNTED;
}

enum command_result multi_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->flags & CLIENT_MULTI)
        return error(rq, "ERR MULTI calls can not be nested");
    if (c->flags & CLIENT_INTERNAL) /* each of its commands is a client of its own */
        return error(rq, "ERR MULTI needs a connection");
    if (!transaction_of(c))
        return out_of_memory(rq);
    c->flags |= CLIENT_MULTI;
    return ok(rq);
}

enum command_result discard_run(struct request *rq)
{
    if (!(rq->client->flags & CLIENT_MULTI))
        return error(rq, "ERR DISCARD without MULTI");
    discard(rq->env, rq->client);
    return ok(rq);
}

enum command_result watch_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->flags & CLIENT_MULTI)
        return error(rq, "ERR WATCH inside MULTI is not allowed");
    if (c->flags & CLIENT_INTERNAL)
        return error(rq, "ERR WATCH needs a connection");
    bool useless = c->transaction && c->transaction->watch && c->transaction->watch->changed;
    if (!useless && !watch_keys(rq))
        return out_of_memory(rq);
    return ok(rq);
}

enum command_result unwatch_run(struct request *rq)
{
    struct client *c = rq->client;
    if (c->transaction)
        watch_end(rq->env, c->transaction);
    if (!(c->flags & CLIENT_MULTI))
        transaction_drop(c);
    return ok(rq);
}

bool command_pauses(const struct request *rq, enum pause_mode mode)
{
    const struct client *c = rq->client;
    if (mode == PAUSE_OFF || !rq->cmd || rq->bad_arity || !(c->flags & CLIENT_AUTHENTICATED))
        return false;
    if (mode == PAUSE_ALL)
        return true;
    uint32_t flags = queue_flags(rq);
    if (rq->cmd->run == exec_run && c->transaction)
        flags |= c->transaction->flags;
    return flags & (CMD_WRITE | CMD_MAY_REPLICATE);
}

/* -- running -- */

void transaction_abort(struct request *rq, const char *reason)
{
    discard(rq->env, rq->client);
    reply_errorf(rq->out, "EXECABORT Transaction discarded because of: %s", reason);
}

/* True if EXEC may run here and now; otherwise rq->route says where. */
static bool has_arrived(struct request *rq, const struct transaction *t)
{
    bool spread = t->spread;
    int shard = t->shard;
    if (rq->env->workers == 1 || rq->route != ROUTE_HERE)
        return true;
    for (const struct watch_node *n = t->watch ? t->watch->first : NULL; n; n = n->others) {
        spread |= shard >= 0 && shard != (int)n->shard;
        shard = (int)n->shard;
    }
    bool mine = shard < 0 || shard == (int)rq->env->self;
    if (!spread && mine)
        return true;
    rq->route = spread || t->personal ? ROUTE_ALL : ROUTE_SHARD;
    rq->shard = (unsigned)shard;
    return false;
}

/* Those commands that may need memory would be refused now if they came alone. */
static bool lacks_room(const struct request *rq, const struct transaction *t)
{
    struct request next;
    for (size_t at = 0; queue_next(rq, t, &at, &next); turn_take(rq->turn))
        if (next.cmd->flags & CMD_DENYOOM && command_make_room(&next) != STORE_OK)
            return true;
    return false;
}

/* The user has changed since it was queued. */
static bool is_denied(struct request *rq, struct request *next)
{
    static const char *const why[] = {
        [VERDICT_COMMAND] = "no permission to execute the command or subcommand",
        [VERDICT_KEY] = "no permission to touch the specified keys",
        [VERDICT_CHANNEL] = "no permission to access one of the channels used as arguments to the command"};
    char text[ACL_WHY];
    if (rq->client->flags & (CLIENT_UNLIMITED | CLIENT_INTERNAL))
        return false;
    enum judgement verdict = acl_judge(next, ACL_IN_MULTI, text);
    if (verdict == VERDICT_MAY)
        return false;
    reply_errorf(rq->out,
                 "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. "
                 "This command is no longer allowed for the following reason: %s",
                 why[verdict]);
    return true;
}

/* A script is on a stack of its own, which must not take the turns of the one below it: not when it replies, either. When it
 * is in the middle EXEC is, and who waits is told as if it ran alone. */
static void run_script(struct request *rq, struct request *next, bool everywhere)
{
    struct turn *turn = rq->turn;
    rq->turn = NULL;
    if (command_nested(next, rq->wire) == CMD_LONG) {
        rq->busy = next->busy;
        command_nested_long(next, rq->wire, everywhere);
        rq->busy = NULL;
    }
    rq->turn = turn;
    if (turn) /* it has used up the slice, or much of it */
        turn->left = 1;
}

/* On the client itself, and the worker's own stack. Whatever it may take, others wait. */
static void run_outside(struct request *rq, struct request *next)
{
    rq->turn->outside(rq->turn, next);
    rq->turn->left = 1;
}

/* Is its client a copy that nothing may be changed of? There was no memory for slices. */
static bool lacks_client(const struct request *rq, const struct request *next)
{
    return !rq->turn && rq->client->flags & CLIENT_PROXY && next->route == ROUTE_HERE && queue_steps_outside(next->cmd);
}

static void run_next(struct request *rq, struct request *next, bool everywhere)
{
    bool outside = rq->turn && rq->env->steps_outside && queue_steps_outside(next->cmd);
    next->turn = next->cmd->flags & CMD_REMOTE || outside ? NULL : rq->turn;
    rq->nested++;
    if (is_denied(rq, next))
        return;
    if (lacks_client(rq, next))
        reply_error(rq->out, "ERR out of memory for this part of the transaction");
    else if (outside)
        run_outside(rq, next);
    else if (command_runs_script(next->cmd))
        run_script(rq, next, everywhere);
    else if (command_nested(next, rq->wire) == CMD_LONG)
        command_nested_long(next, rq->wire, everywhere);
}

static void run_queued(struct request *rq, struct transaction *t)
{
    struct resp_writer *out = rq->out;
    struct request next;
    uint32_t errors = out->errors;
    bool everywhere = rq->route == ROUTE_ALL;
    struct effects record;
    uint8_t room[512];
    effects_begin(&record, room, sizeof room);
    rq->client->effects = rq->env->observers & OBSERVE_LOG ? &record : NULL;
    watch_end(rq->env, t); /* nobody need tell us what we change ourselves */
    rq->client->flags = (rq->client->flags & ~(uint32_t)CLIENT_COUNTED) | CLIENT_DENY_BLOCKING;
    if (!(rq->env->observers & OBSERVE_REFUSAL)) /* not half of it if writes are refused from some slice on */
        rq->client->flags |= CLIENT_GOES_ON;
    if (rq->turn)
        command_turns_of_store(rq->env, NULL, everywhere);
    reply_array(out, (size_t)t->count);
    for (size_t at = 0; queue_next(rq, t, &at, &next); turn_take(rq->turn))
        run_next(rq, &next, everywhere);
    if (rq->turn)
        command_turns_of_store(rq->env, rq->turn, everywhere);
    rq->client->flags &= ~(uint32_t)(CLIENT_DENY_BLOCKING | CLIENT_GOES_ON);
    rq->client->effects = NULL;
    effects_end(rq->env, &record);
    out->errors = errors; /* they count as those of the commands that made them */
    discard(rq->env, rq->client);
}

/* Does a command that may take long meet a large value? */
static bool has_large(const struct request *rq, const struct transaction *t)
{
    enum { KEYS = 8, LARGE = 65536 };
    struct request next;
    for (size_t at = 0; queue_next(rq, t, &at, &next);) {
        int position[KEYS];
        int n = next.cmd->flags & CMD_FAST ? 0 : command_keys(next.cmd, next.argc, next.argv, position, KEYS);
        for (int i = 0; i < n && i < KEYS; i++) {
            struct key k = request_key(&next, position[i]);
            const struct entry *e = request_find(&next, &k, LOOK_NOTOUCH | LOOK_NOSTAT);
            if (e && entry_user_bytes(e) > LARGE)
                return true;
        }
    }
    return false;
}

/* Many commands, long ones, or scripts, of which nobody knows. Nobody else sees a key before it has ended (CMD_WHOLE). */
static bool is_long(const struct request *rq, struct transaction *t)
{
    enum { WORK_EACH = 8 };
    if (t->failed || !request_may_turn(rq))
        return false;
    if (t->scripts) /* all shards are its own */
        return !t->one_go && (rq->env->steps_outside || !t->outside);
    if (t->keyless || t->personal)
        return false;
    if (turn_wanted(rq, WORK_EACH * (uint64_t)t->count + turn_bytes(t->arguments)))
        return true;
    queue_settle(t, NULL);
    return t->slow && has_large(rq, t);
}

enum command_result exec_run(struct request *rq)
{
    struct client *c = rq->client;
    struct transaction *t = c->transaction;
    if (!(c->flags & CLIENT_MULTI))
        return error(rq, "ERR EXEC without MULTI");
    if (t->slot == CLUSTER_SLOTS) {
        discard(rq->env, c);
        reply_error(rq->out, CLUSTER_CROSSSLOT);
        return CMD_COUNTED;
    }
    if (!t->failed && !has_arrived(rq, t))
        return request_elsewhere(rq);
    if (is_long(rq, t))
        return CMD_LONG;
    queue_settle(t, rq->turn);
    bool may_look = !t->failed || rq->env->workers == 1;
    if (may_look && lacks_room(rq, t)) {
        transaction_abort(rq, RESP_OOM);
    } else if (t->failed) {
        discard(rq->env, c);
        reply_error(rq->out, "EXECABORT Transaction discarded because of previous errors.");
    } else if (watch_is_lost(rq, t)) {
        discard(rq->env, c);
        reply_null_array(rq->out);
    } else if (request_may_not_write(rq)) { /* since it has waited for its turn */
        refuse_writes(rq);
    } else {
        run_queued(rq, t);
    }
    return CMD_COUNTED;
}

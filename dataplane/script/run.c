/* run.c: one run of a script or a function: its arguments, its slices, its reply or error.
 * https://redis.io/docs/latest/develop/interact/programmability/ */
#include "base/coroutine.h"
#include "command/acl.h"
#include "command/effects.h"
#include "script/host.h"

#include <assert.h>
#include <stdlib.h>
#include <x86intrin.h>

enum {
    FIRST_US = 50,           /* then others come, ... */
    SLICE_US = 10,           /* ... and the clock of its slices is looked at so often */
    LARGE_BYTES = 512 << 10, /* taken by a script: it ends in slices */
    TIDY_BYTES = 4 << 20,    /* beyond it everything is collected after a run, ... */
    TIDY_KB = 1,             /* ... in steps of so much, */
    TIDY_GROWN = 2,          /* and again when so many times as much is used as was left */
    KEEP_BYTES = 64 << 10,   /* of buffers, from run to run */
};

/* Pushes a list of the arguments from..to. May give way: the request is another one then. */
static void push_list(lua_State *L, struct script_host *h, int from, int to)
{
    enum { GIVE_WAY_EACH = 16 };
    lua_createtable(L, to - from, 0);
    for (int i = from; i < to; i++) {
        struct slice arg = h->rq->argv[i];
        lua_pushlstring(L, (const char *)arg.p, arg.len);
        lua_rawseti(L, -2, i - from + 1);
        if (i % GIVE_WAY_EACH == 0)
            host_give_way(h);
    }
}

/* globals[name] = the table on top, popped. */
static void set_global(lua_State *L, const char *name)
{
    sandbox_globals(L);
    lua_pushstring(L, name);
    lua_pushvalue(L, -3);
    lua_rawset(L, -3);
    lua_pop(L, 2);
}

/* Pushes what is to be called and its arguments; returns how many these are. A script finds them in globals.
 */
static int push_call(lua_State *L, struct script_host *h)
{
    enum { FIRST = 3 };
    bool script = h->script;
    push_list(L, h, FIRST, FIRST + h->keys);
    if (script)
        set_global(L, "KEYS");
    push_list(L, h, FIRST + h->keys, h->rq->argc);
    if (script)
        set_global(L, "ARGV");
    if (script) {
        script_push(L, h);
        return 0;
    }
    library_push(L, h);
    lua_insert(L, -3);
    return 2;
}

/* Pops the field of the error at index, if it is text or a number. */
static const char *error_field(lua_State *L, int index, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, index);
    return lua_isstring(L, -1) ? lua_tostring(L, -1) : NULL; /* stays on the stack */
}

static void reply_failure(lua_State *L, struct script_host *h)
{
    struct resp_writer *out = h->rq->out;
    int at = lua_gettop(L);
    if (!lua_istable(L, at)) {
        const char *text = lua_tostring(L, at);
        const char *why = h->ended ? h->why : text ? text : "unknown error";
        reply_errorf(out, "ERR %s script: %s, on @%s.", why, (const char *)h->program->name.p,
                     h->functions ? "user_function" : "user_script");
        return;
    }
    const char *text = error_field(L, at, "err"), *source = error_field(L, at, "source");
    const char *line = error_field(L, at, "line");
    lua_pushfstring(L, " script: %s, on %s:%s.", (const char *)h->program->name.p, source ? source : "",
                    line ? line : "");
    lua_pushstring(L, text ? text : "ERR unknown error");
    lua_insert(L, -2);
    if (source && line)
        lua_concat(L, 2);
    else
        lua_pop(L, 1);
    value_reply_error(h, out, at, lua_tostring(L, -1));
}

/* Will it take long to reply what the script returns, or to collect what it has left? */
static bool is_large(const struct script_host *h)
{
    return h->used > h->used_before + LARGE_BYTES || h->used > h->tidy_above;
}

static int protected_run(lua_State *L)
{
    struct script_host *h = lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_pushcfunction(L, api_error_handler);
    int args = push_call(L, h);
    h->failed = lua_pcall(L, args, 1, 1) != 0;
    lua_sethook(L, NULL, 0, 0);
    h->limit = SIZE_MAX; /* what follows cannot be taken back */
    if (h->again)
        return 0;
    if (!h->rq->again && is_large(h))
        host_stop_here(h);
    h->replying = true;
    if (h->failed)
        reply_failure(L, h);
    else
        value_to_reply(h, h->rq->out);
    return 0;
}

/* Is memory short where it may write? */
static bool is_short(const struct request *rq)
{
    const struct keyspace *ks = rq->env->ks;
    if (!script_is_alone(rq))
        return command_make_room(rq) != STORE_OK;
    for (unsigned i = 0; i < ks->shards; i++)
        if (shard_make_room(ks->shard[i], 0) != STORE_OK)
            return true;
    return false;
}

/* The same. What is evicted inside EXEC is a part of its record. */
static bool is_short_in_record(const struct request *rq)
{
    struct effects *outer = rq->env->effects;
    if (rq->client->effects)
        rq->env->effects = rq->client->effects;
    bool result = is_short(rq);
    rq->env->effects = outer;
    return result;
}

/* What a script may take that keeps everybody waiting. */
static uint64_t threshold_ms(const struct request *rq)
{
    uint64_t ms = rq->env->conf->busy_reply_threshold_ms;
    return ms && ms < SCRIPT_MS_MOST ? ms : SCRIPT_MS_MOST;
}

static void begin(struct script_host *h, struct request *rq, bool read_only)
{
    const struct client *c = rq->client;
    h->rq = rq;
    h->cmd = rq->cmd;
    h->limit = rq->env->conf->script_memory_limit;
    h->used_before = h->used;
    if (!h->tidy_above)
        h->tidy_above = TIDY_BYTES;
    h->read_only = read_only || h->program->flags & SCRIPT_NO_WRITES;
    h->resp = 2;
    h->slot = in_cluster(rq) ? cluster_slot(rq) : CLUSTER_NO_SLOT;
    h->again = h->dirty = h->replying = h->failed = false;
    h->killed = rq->env->ending;
    h->status = 0;
    h->may_turn = h->co && request_may_turn(rq);
    h->begun_us = host_clock_us();
    h->oom = is_short_in_record(rq);
    h->client = (struct client){.id = c->id,
                                .db = c->db,
                                .proto = 2,
                                .user = acl_user_hold(c->user),
                                .worker = c->worker,
                                .peer = c->peer,
                                .local = c->local,
                                .created_ms = c->created_ms,
                                .last_ms = c->last_ms};
    h->client.flags = CLIENT_AUTHENTICATED | CLIENT_DENY_BLOCKING | CLIENT_PROXY | CLIENT_SCRIPT |
                      (c->flags & (CLIENT_NO_TOUCH | CLIENT_NO_EVICT | CLIENT_UNLIMITED | CLIENT_CLUSTER | CLIENT_GOES_ON));
    if (c->flags & CLIENT_INTERNAL)
        h->client.flags |= CLIENT_UNLIMITED;
    effects_begin(&h->record, NULL, 0);
    if (rq->env->observers & OBSERVE_LOG)
        h->client.effects = c->effects ? c->effects : &h->record;
    lua_gc(h->L, LUA_GCRESTART, 0);
    host_limit_time(h, threshold_ms(rq) * 1000, "Script took longer than busy-reply-threshold and was ended");
}

/* To the end of a collection; a step is one table at least. */
static void collect(struct script_host *h)
{
    while (!lua_gc(h->L, LUA_GCSTEP, TIDY_KB))
        if (h->rq->again)
            host_give_way(h);
}

/* Lua's buffer for joining strings becomes smaller by half with each collection. */
static void tidy(struct script_host *h)
{
    uint64_t before;
    if (h->used <= h->tidy_above)
        return;
    collect(h); /* the one under way has seen what is garbage now */
    do {
        before = h->used;
        collect(h);
    } while (h->used > TIDY_BYTES && h->used < before - before / 4);
    h->tidy_above = TIDY_GROWN * h->used > TIDY_BYTES ? TIDY_GROWN * h->used : TIDY_BYTES;
}

static void end(struct script_host *h)
{
    enum { TIDY_RUNS = 50 };
    lua_settop(h->L, 0);
    lua_sethook(h->L, NULL, 0, 0);
    h->limit = h->rq->env->conf->script_memory_limit;
    h->may_turn = false;
    if (++h->runs % TIDY_RUNS == 0)
        lua_gc(h->L, LUA_GCSTEP, 1);
    if (h->reply_cap > KEEP_BYTES) {
        free(h->reply);
        h->reply = NULL;
        h->reply_cap = 0;
    }
    if (h->argv_cap > KEEP_BYTES / sizeof *h->argv) {
        free(h->argv);
        h->argv = NULL;
        h->argv_cap = 0;
    }
    host_count_refusals(h, h->rq->env);
    acl_user_drop(h->client.user);
    h->client.user = NULL;
    h->client.effects = NULL;
    effects_end(h->rq->env, &h->record);
    h->rq = NULL;
    h->program = NULL;
    h->script = NULL;
    h->function = NULL;
}

/* With flags of its own it is held to them before it begins. True after an error. */
static bool is_refused(const struct script_host *h, struct request *rq, bool read_only)
{
    unsigned flags = h->program->flags;
    if (!(flags & SCRIPT_SHEBANG))
        return false;
    if (flags & SCRIPT_NO_CLUSTER && in_cluster(rq))
        reply_error(rq->out, "ERR Can not run script on cluster, 'no-cluster' flag is set.");
    else if (h->oom && !(flags & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES)))
        reply_oom(rq->out);
    else if (read_only && !(flags & SCRIPT_NO_WRITES))
        reply_error(rq->out, "ERR Can not execute a script with write flag using *_ro command.");
    else
        return false;
    return true;
}

static void run_on_stack(void *host)
{
    struct script_host *h = host;
    h->status = lua_cpcall(h->L, protected_run, h);
    tidy(h);
}

/* It has run to its end. */
static enum command_result finish(struct script_host *h)
{
    struct resp_writer *out = h->rq->out;
    bool again = h->again;
    if (h->status != 0) {
        const char *why = lua_tostring(h->L, -1);
        if (h->replying)
            out->failed = true; /* half a reply was written */
        else if (!again)
            reply_errorf(out, "ERR %s", why ? why : "not enough memory");
    }
    end(h);
    return again ? CMD_ELSEWHERE : CMD_DONE;
}

/* Lets it run until it ends. In the middle, when it has taken long: gives way to others (rq->turn), after
 * CMD_LONG if the request is not made for that yet. */
static enum command_result go_on(struct script_host *h, struct request *rq, unsigned us)
{
    struct script_host **running = scripts_running(rq->env->scripts, rq->env->self);
    struct turn *turn = rq->turn;
    h->rq = rq;
    rq->turn = NULL; /* that of the stack below */
    if (rq->again && !turn) {
        h->may_turn = false; /* nobody gets a turn, so it may not take long */
        h->deadline_us = host_clock_us() + threshold_ms(rq) * 1000;
    }
    *running = h;
    for (;;) {
        h->until = __rdtsc() + us * rq->env->tsc_per_us;
        rq->env->caller = rq; /* anew: it was another request, or another's was run, before it gave way */
        bool more = coroutine_resume(h->co);
        rq->env->caller = NULL;
        if (!more)
            break;
        if (!rq->again) {
            rq->busy = h->functions ? BUSY_FUNCTION : BUSY_SCRIPT;
            rq->turn = turn;
            h->rq = NULL;
            return CMD_LONG;
        }
        if (turn) {
            turn->left = 1;
            turn_take(turn);
        }
        us = SLICE_US;
    }
    *running = NULL;
    rq->turn = turn;
    return finish(h);
}

static enum command_result run(struct script_host *h, struct request *rq, int keys, bool read_only)
{
    h->keys = keys;
    begin(h, rq, read_only);
    if (is_refused(h, rq, read_only))
        return finish(h);
    if (h->co) {
        coroutine_begin(h->co, run_on_stack, h);
        return go_on(h, rq, FIRST_US);
    }
    if (rq->turn) { /* of an EXEC in slices: the stack is that of its slice, which is too small */
        reply_error(rq->out, "ERR not enough memory for the stack of a script");
        return finish(h);
    }
    rq->env->caller = rq;
    run_on_stack(h);
    rq->env->caller = NULL;
    return finish(h);
}

enum command_result script_kill_running(struct request *rq, bool function)
{
    const char *why = "NOTBUSY No scripts in execution right now.";
    for (unsigned i = 0; rq->env->scripts && i < rq->env->workers; i++) {
        struct script_host *h = *scripts_running(rq->env->scripts, i);
        if (!h)
            continue;
        if (h->dirty) {
            why = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can "
                  "either "
                  "wait the script termination or kill the server in a hard way using the SHUTDOWN NOSAVE "
                  "command.";
        } else if (h->functions != function) {
            why = h->functions ? BUSY_FUNCTION : BUSY_SCRIPT;
        } else {
            h->killed = true;
            reply_ok(rq->out);
            return CMD_DONE;
        }
    }
    reply_error(rq->out, why);
    return CMD_DONE;
}

/* One run at a time: the seat of who is in the middle keeps all others away (turns.h), and he comes back to nothing but his
 * own. `alone`: so it is. */
static bool is_taken(struct request *rq, bool alone)
{
    assert(alone);
    if (!alone)
        reply_error(rq->out, "ERR another script is in the middle on this worker");
    return !alone;
}

static enum command_result there_or_here(struct request *rq, enum command_result result)
{
    return result == CMD_ELSEWHERE ? script_stop_first(rq) : result;
}

enum command_result script_go_on(struct request *rq)
{
    struct script_host *h = *scripts_running(rq->env->scripts, rq->env->self);
    if (is_taken(rq, h && h->client.id == rq->client->id && h->cmd == rq->cmd))
        return CMD_DONE;
    return there_or_here(rq, go_on(h, rq, SLICE_US));
}

enum command_result script_run(struct script_host *h, struct script *s, struct request *rq, int keys,
                               bool read_only)
{
    if (is_taken(rq, !h->program))
        return CMD_DONE;
    h->program = &s->run;
    h->script = s;
    atomic_store_explicit(&s->used, rq->env->now_ms, memory_order_relaxed);
    return there_or_here(rq, run(h, rq, keys, read_only));
}

enum command_result function_run(struct script_host *h, struct function *f, struct request *rq, int keys,
                                 bool read_only)
{
    if (is_taken(rq, !h->program))
        return CMD_DONE;
    h->program = &f->run;
    h->function = f;
    return there_or_here(rq, run(h, rq, keys, read_only));
}

/* host.c: the interpreter of a worker: its memory, the time a script may take, and one run of a script.
 * https://www.lua.org/manual/5.1/manual.html#3,
 * https://redis.io/docs/latest/develop/interact/programmability/ */
#include "base/coroutine.h"
#include "script/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum {
    LOOK_EACH = 1000,      /* instructions between two looks at the clock */
    FIRST_US = 50,         /* then others come, ... */
    SLICE_US = 10,         /* ... and the clock of its slices is looked at so often */
    STACK = 8 << 20,       /* functions in functions that match patterns: half of it */
    COMPILED_MOST = 1000,  /* functions kept */
    TIDY_BYTES = 4 << 20,  /* beyond it everything is collected after a run */
    KEEP_BYTES = 64 << 10, /* of buffers, from run to run */
    SPARE_BYTES = 1 << 20  /* for making the reply of an error when memory was short */
};

static const char host_key, functions_key;

struct script_host *script_host_from(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&host_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    struct script_host *h = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return h;
}

static void *allocate(void *ctx, void *p, size_t before, size_t size)
{
    struct script_host *h = ctx;
    if (size == 0) {
        h->used -= before;
        free(p);
        return NULL;
    }
    if (size > before && size - before > h->limit - (h->used < h->limit ? h->used : h->limit))
        return NULL;
    void *q = realloc(p, size);
    if (q)
        h->used += size - before;
    return q;
}

static uint64_t clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void look_at_clock(lua_State *L, lua_Debug *where)
{
    struct script_host *h = script_host_from(L);
    (void)where;
    host_give_way(h);
    if (!h->ended && !h->killed && (h->may_turn || clock_us() < h->deadline_us))
        return;
    if (h->killed && !h->again)
        h->why = h->functions ? "Script killed by user with FUNCTION KILL." : "Script killed by user with SCRIPT KILL.";
    h->ended = true;
    lua_sethook(L, look_at_clock, LUA_MASKCOUNT, 1); /* no pcall goes on after it */
    api_push_error(L, h->why, strlen(h->why));
    lua_error(L);
}

void host_give_way(struct script_host *h)
{
    if (h->may_turn && __rdtsc() >= h->until)
        coroutine_yield(h->co);
}

uint64_t host_run_us(const struct script_host *h)
{
    return clock_us() - h->begun_us;
}

void host_limit_time(struct script_host *h, uint64_t us, const char *why)
{
    h->ended = false;
    h->why = why;
    h->deadline_us = clock_us() + us;
    lua_sethook(h->L, look_at_clock, LUA_MASKCOUNT, LOOK_EACH);
}

void host_compiled(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&functions_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

void host_forget(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&functions_key);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* -- life -- */

static int open_state(lua_State *L)
{
    static const char *const names[NAMES] = {
        "err", "ok", "double", "map", "set", "big_number", "verbatim_string", "format", "string"};
    struct script_host *h = lua_touserdata(L, 1);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&host_key);
    lua_pushlightuserdata(L, h);
    lua_rawset(L, LUA_REGISTRYINDEX);
    host_forget(L);
    for (int i = 0; i < NAMES; i++) {
        lua_pushstring(L, names[i]);
        h->name[i] = luaL_ref(L, LUA_REGISTRYINDEX);
    }
    sandbox_open(L);
    return 0;
}

static void close_state(struct script_host *h)
{
    if (h->L)
        lua_close(h->L);
    h->L = NULL;
    h->compiled = 0;
}

static bool fresh_state(struct script_host *h)
{
    close_state(h);
    h->limit = SCRIPT_MEMORY;
    h->L = lua_newstate(allocate, h);
    if (h->L && lua_cpcall(h->L, open_state, h) == 0)
        return true;
    close_state(h);
    return false;
}

/* The interpreter at *at; a new one if there is none or it is older than `generation`. */
static struct script_host *host_of(struct command_env *env, struct script_host **at, bool functions,
                                   uint64_t generation)
{
    if (!*at)
        *at = calloc(1, sizeof **at);
    struct script_host *h = *at;
    if (!h)
        return NULL;
    h->functions = functions;
    if (!h->rng[0]) {
        uint64_t seed = env_random(env);
        memcpy(h->rng, &seed, sizeof h->rng);
        h->rng[0] |= 1;
    }
    if (env->turns && !h->co)
        h->co = coroutine_new(STACK);
    if ((!h->L || h->generation != generation) && !fresh_state(h))
        return NULL;
    h->generation = generation;
    return h;
}

struct script_host *script_host_of(struct command_env *env)
{
    return env->scripts ? host_of(env, &env->script_host, false, scripts_generation(env->scripts)) : NULL;
}

struct script_host *function_host_of(struct command_env *env)
{
    if (!env->scripts)
        return NULL;
    const struct libraries *all = scripts_libraries(env->scripts);
    struct script_host *h = host_of(env, &env->function_host, true, libraries_flushes(all));
    if (h && h->deletions != libraries_deletions(all)) {
        library_sweep(h, all);
        h->deletions = libraries_deletions(all);
    }
    return h;
}

void script_host_free(struct script_host *h)
{
    if (!h)
        return;
    close_state(h);
    coroutine_free(h->co);
    free(h->reply);
    free(h->argv);
    free(h);
}

void script_end_all(struct command_env *env)
{
    if (env->script_host)
        env->script_host->killed = true;
    if (env->function_host)
        env->function_host->killed = true;
}

uint64_t script_host_bytes(const struct script_host *h)
{
    return h ? h->used + h->reply_cap : 0;
}

/* -- compiling -- */

int host_compile(lua_State *L, struct script_host *h, struct slice body)
{
    const char *name = h->functions ? "@user_function" : "@user_script";
    if (body.len && body.p[0] == LUA_SIGNATURE[0])
        return luaL_error(L, "%s:1: bytecode is not allowed", name + 1);
    return sandbox_load_text(L, (const char *)body.p, body.len, name);
}

struct attempt {
    struct slice body;
    char *error;
    size_t size;
};

static int try_compile(lua_State *L)
{
    const struct attempt *a = lua_touserdata(L, 1);
    if (host_compile(L, script_host_from(L), a->body) == 0)
        return 0;
    return lua_error(L);
}

bool script_compiles(struct script_host *h, struct slice body, char *error, size_t size)
{
    struct attempt a = {body, error, size};
    if (lua_cpcall(h->L, try_compile, &a) == 0)
        return true;
    const char *why = lua_tostring(h->L, -1);
    snprintf(error, size, "ERR Error compiling script (new function): %s", why ? why : "?");
    lua_pop(h->L, 1);
    return false;
}

/* Pushes the function of a script, compiled when it is first wanted. */
static void push_function(lua_State *L, struct script_host *h)
{
    struct slice body;
    unsigned flags;
    char error[64];
    host_compiled(L);
    lua_pushnumber(L, (lua_Number)h->script->id);
    lua_rawget(L, -2);
    if (lua_isfunction(L, -1)) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    if (h->compiled >= COMPILED_MOST) {
        lua_pop(L, 1);
        host_forget(L);
        h->compiled = 0;
        push_function(L, h);
        return;
    }
    script_shebang(h->script->text, &flags, &body, error, sizeof error);
    if (host_compile(L, h, body))
        lua_error(L);
    lua_pushnumber(L, (lua_Number)h->script->id);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    h->compiled++;
    lua_remove(L, -2);
}

/* -- one run -- */

/* Pushes a list of the arguments from..to. */
static void push_list(lua_State *L, const struct request *rq, int from, int to)
{
    lua_createtable(L, to - from, 0);
    for (int i = from; i < to; i++) {
        lua_pushlstring(L, (const char *)rq->argv[i].p, rq->argv[i].len);
        lua_rawseti(L, -2, i - from + 1);
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

/* Pushes what is to be called and its arguments; returns how many these are. A script finds them in globals. */
static int push_call(lua_State *L, struct script_host *h)
{
    enum { FIRST = 3 };
    const struct request *rq = h->rq;
    bool script = h->script;
    push_list(L, rq, FIRST, FIRST + h->keys);
    if (script)
        set_global(L, "KEYS");
    push_list(L, rq, FIRST + h->keys, rq->argc);
    if (script)
        set_global(L, "ARGV");
    if (script) {
        push_function(L, h);
        return 0;
    }
    library_push(L, h); /* may give way, and the arguments are others' then */
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
    lua_pushliteral(L, "ignore_error_stats_update");
    lua_rawget(L, at);
    uint32_t errors = out->errors;
    bool counted = lua_toboolean(L, -1);
    lua_pushfstring(L, " script: %s, on %s:%s.", (const char *)h->program->name.p, source ? source : "", line ? line : "");
    lua_pushstring(L, text ? text : "ERR unknown error");
    lua_insert(L, -2);
    if (source && line)
        lua_concat(L, 2);
    else
        lua_pop(L, 1);
    reply_error(out, lua_tostring(L, -1));
    if (counted) /* as that of the command that made it */
        out->errors = errors;
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
    h->limit = SCRIPT_MEMORY;
    h->read_only = read_only || h->program->flags & SCRIPT_NO_WRITES;
    h->resp = 2;
    h->killed = h->again = h->dirty = h->replying = h->failed = false;
    h->status = 0;
    h->may_turn = h->co && request_may_turn(rq) && !(rq->client->flags & CLIENT_DENY_BLOCKING);
    h->begun_us = clock_us();
    h->oom = is_short(rq);
    h->client = (struct client){.id = c->id,
                                .db = c->db,
                                .proto = 2,
                                .worker = c->worker,
                                .peer = c->peer,
                                .local = c->local,
                                .created_ms = c->created_ms,
                                .last_ms = c->last_ms};
    h->client.flags = CLIENT_AUTHENTICATED | CLIENT_DENY_BLOCKING | CLIENT_PROXY | CLIENT_SCRIPT |
                      (c->flags & (CLIENT_NO_TOUCH | CLIENT_NO_EVICT));
    lua_gc(h->L, LUA_GCRESTART, 0);
    host_limit_time(h, threshold_ms(rq) * 1000,
                    "Script took longer than busy-reply-threshold and was ended");
}

/* Lua's buffer for joining strings becomes smaller by half with each collection. */
static void collect(struct script_host *h)
{
    uint64_t before;
    do {
        before = h->used;
        lua_gc(h->L, LUA_GCCOLLECT, 0);
    } while (h->used > TIDY_BYTES && h->used < before - before / 4);
}

static void end(struct script_host *h)
{
    enum { TIDY_RUNS = 50 };
    lua_settop(h->L, 0);
    lua_sethook(h->L, NULL, 0, 0);
    h->limit = SCRIPT_MEMORY;
    h->may_turn = false;
    if (h->used > TIDY_BYTES)
        collect(h);
    else if (++h->runs % TIDY_RUNS == 0)
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
    if (h->oom && !(flags & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES)))
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

/* Lets it run until it ends. In the middle, when it has taken long: gives way to others (rq->turn), after CMD_LONG
 * if the request is not made for that yet. */
static enum command_result go_on(struct script_host *h, struct request *rq, unsigned us)
{
    struct script_host **running = scripts_running(rq->env->scripts, rq->env->self);
    struct turn *turn = rq->turn;
    h->rq = rq;
    rq->turn = NULL; /* that of the stack below */
    if (rq->again && !turn) {
        h->may_turn = false; /* nobody gets a turn, so it may not take long */
        h->deadline_us = clock_us() + threshold_ms(rq) * 1000;
    }
    *running = h;
    for (;;) {
        h->until = __rdtsc() + us * rq->env->tsc_per_us;
        if (!coroutine_resume(h->co))
            break;
        if (!rq->again) {
            rq->busy = h->functions ? BUSY_FUNCTION : BUSY_SCRIPT;
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
    run_on_stack(h);
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
            why = "UNKILLABLE Sorry the script already executed write commands against the dataset. You can either "
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

enum command_result script_run(struct script_host *h, struct script *s, struct request *rq, int keys,
                               bool read_only)
{
    if (h->program)
        return go_on(h, rq, SLICE_US);
    h->program = &s->run;
    h->script = s;
    atomic_store_explicit(&s->used, rq->env->now_ms, memory_order_relaxed);
    return run(h, rq, keys, read_only);
}

enum command_result function_run(struct script_host *h, struct function *f, struct request *rq, int keys,
                                 bool read_only)
{
    if (h->program)
        return go_on(h, rq, SLICE_US);
    h->program = &f->run;
    h->function = f;
    return run(h, rq, keys, read_only);
}

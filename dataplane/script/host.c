/* host.c: the interpreter of a worker: its memory, the time a script may take, what is kept compiled.
 * https://www.lua.org/manual/5.1/manual.html#3 */
#include "base/coroutine.h"
#include "script/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <x86intrin.h>

enum {
    LOOK_EACH = 1000,       /* instructions between two looks at the clock */
    COMMAND_LOOK_EACH = 16, /* elements, in a command */
    COMPILED_MOST = 1000,   /* functions kept */
    STACK = 8 << 20         /* functions in functions that match patterns: half of it */
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

uint64_t host_clock_us(void)
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
    if (!h->ended && !h->killed && (h->may_turn || host_clock_us() < h->deadline_us))
        return;
    if (h->killed && !h->again)
        h->why = "Script killed by user with SCRIPT KILL..."; /* of functions, too */
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

void host_stop_here(struct script_host *h)
{
    if (h->may_turn)
        coroutine_yield(h->co);
}

/* struct turn.look. Where less than that is long (tests), each look is the end of a slice. */
static void look_in_command(struct turn *turn)
{
    struct script_host *h = (struct script_host *)((char *)turn - offsetof(struct script_host, turn));
    turn->left = COMMAND_LOOK_EACH;
    if (h->rq->env->turn_work < COMMAND_LOOK_EACH) {
        turn->left = 1;
        h->until = 0;
    }
    if (h->rq->again)
        host_give_way(h);
}

void host_begin_turn(struct script_host *h)
{
    h->turn = (struct turn){.left = 1, .look = look_in_command};
}

void host_limit_time(struct script_host *h, uint64_t us, const char *why)
{
    h->ended = false;
    h->why = why;
    h->deadline_us = host_clock_us() + us;
    lua_sethook(h->L, look_at_clock, LUA_MASKCOUNT, LOOK_EACH);
}

static void count_refusal(struct command_env *env, const struct refusal *r)
{
    if (r->cmd)
        env->stats[r->cmd->id].rejected += r->count;
    command_count_errors(env, (uint32_t)r->count, r->code);
}

void host_note_refusal(struct script_host *h, const struct refusal *one)
{
    unsigned i = 0;
    while (i < h->refusals && (h->refused[i].cmd != one->cmd || strcmp(h->refused[i].code, one->code) != 0))
        i++;
    if (i < h->refusals)
        h->refused[i].count++;
    else if (i < REFUSALS)
        h->refused[h->refusals++] = *one;
    else
        count_refusal(h->rq->env, one);
}

void host_count_refusals(struct script_host *h, struct command_env *env)
{
    for (unsigned i = 0; i < h->refusals && !h->again; i++)
        count_refusal(env, &h->refused[i]);
    h->refusals = 0;
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
        "err", "ok", "double", "map", "set", "big_number", "verbatim_string", "format", "string",
        "ignore_error_stats_update"};
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

void host_give_buffers(struct script_host *h)
{
    free(h->reply);
    free(h->argv);
    h->reply = NULL;
    h->argv = NULL;
    h->reply_cap = h->argv_cap = 0;
}

/* Nothing of it is left, so that the next one is as small as the first. */
static void close_state(struct script_host *h)
{
    if (h->L)
        lua_close(h->L);
    h->L = NULL;
    h->compiled = 0;
    h->tidy_above = 0;
    host_give_buffers(h);
}

static bool fresh_state(struct script_host *h)
{
    close_state(h);
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
    if (!h->program)
        h->limit = env->conf->script_memory_limit;
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
    free(h);
}

void script_end_all(struct command_env *env)
{
    env->ending = true;
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

void script_push(lua_State *L, struct script_host *h)
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
        script_push(L, h);
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

/* host.c: the interpreter of a worker: its memory, the time a script may take, and one run of a script.
 * https://www.lua.org/manual/5.1/manual.html#3,
 * https://redis.io/docs/latest/develop/interact/programmability/ */
#include "script/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    LOOK_EACH = 10000,     /* instructions between two looks at the clock */
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
    if (!h->ended && clock_us() < h->deadline_us)
        return;
    if (!h->ended)
        h->why = "Script took longer than busy-reply-threshold and was ended";
    h->ended = true;
    lua_sethook(L, look_at_clock, LUA_MASKCOUNT, 1); /* no pcall goes on after it */
    luaL_error(L, "%s", h->why);
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
    lua_pushlightuserdata(L, (void *)(uintptr_t)&functions_key);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
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

struct script_host *script_host_of(struct command_env *env)
{
    struct script_host *h = env->script_host;
    if (!env->scripts)
        return NULL;
    if (!h)
        h = env->script_host = calloc(1, sizeof *h);
    if (!h)
        return NULL;
    if (!h->rng[0]) {
        uint64_t seed = env_random(env);
        memcpy(h->rng, &seed, sizeof h->rng);
        h->rng[0] |= 1;
    }
    uint64_t now = scripts_generation(env->scripts);
    if ((!h->L || h->generation != now) && !fresh_state(h))
        return NULL;
    h->generation = now;
    return h;
}

void script_host_free(struct script_host *h)
{
    if (!h)
        return;
    close_state(h);
    free(h->reply);
    free(h->argv);
    free(h);
}

uint64_t script_host_bytes(const struct script_host *h)
{
    return h ? h->used + h->reply_cap : 0;
}

/* -- compiling -- */

static int compile(lua_State *L, struct slice body)
{
    if (body.len && body.p[0] == LUA_SIGNATURE[0])
        return luaL_error(L, "user_script:1: bytecode is not allowed");
    return sandbox_load_text(L, (const char *)body.p, body.len, "@user_script");
}

struct attempt {
    struct slice body;
    char *error;
    size_t size;
};

static int try_compile(lua_State *L)
{
    const struct attempt *a = lua_touserdata(L, 1);
    if (compile(L, a->body) == 0)
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
    lua_pushlightuserdata(L, (void *)(uintptr_t)&functions_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushnumber(L, (lua_Number)h->script->id);
    lua_rawget(L, -2);
    if (lua_isfunction(L, -1)) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    if (h->compiled >= COMPILED_MOST) {
        lua_pop(L, 1);
        lua_pushlightuserdata(L, (void *)(uintptr_t)&functions_key);
        lua_newtable(L);
        lua_rawset(L, LUA_REGISTRYINDEX);
        h->compiled = 0;
        push_function(L, h);
        return;
    }
    script_shebang(h->script->text, &flags, &body, error, sizeof error);
    if (compile(L, body))
        lua_error(L);
    lua_pushnumber(L, (lua_Number)h->script->id);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    h->compiled++;
    lua_remove(L, -2);
}

/* -- one run -- */

struct run {
    struct script_host *h;
    struct request *rq;
    int at, keys;
    bool failed; /* the script ended with an error */
};

/* globals[name] = the arguments from..to. */
static void set_list(lua_State *L, const struct request *rq, const char *name, int from, int to)
{
    sandbox_globals(L);
    lua_pushstring(L, name);
    lua_createtable(L, to - from, 0);
    for (int i = from; i < to; i++) {
        lua_pushlstring(L, (const char *)rq->argv[i].p, rq->argv[i].len);
        lua_rawseti(L, -2, i - from + 1);
    }
    lua_rawset(L, -3);
    lua_pop(L, 1);
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
        reply_errorf(out, "ERR %s script: %s, on @user_script.", why, h->script->sha);
        return;
    }
    const char *text = error_field(L, at, "err"), *source = error_field(L, at, "source");
    const char *line = error_field(L, at, "line");
    lua_pushliteral(L, "ignore_error_stats_update");
    lua_rawget(L, at);
    uint32_t errors = out->errors;
    bool counted = lua_toboolean(L, -1);
    lua_pushfstring(L, " script: %s, on %s:%s.", h->script->sha, source ? source : "", line ? line : "");
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
    struct run *r = lua_touserdata(L, 1);
    struct script_host *h = r->h;
    lua_pushcfunction(L, api_error_handler);
    push_function(L, h);
    set_list(L, r->rq, "KEYS", r->at, r->at + r->keys);
    set_list(L, r->rq, "ARGV", r->at + r->keys, r->rq->argc);
    r->failed = lua_pcall(L, 0, 1, -2) != 0;
    lua_sethook(L, NULL, 0, 0);
    h->limit = SIZE_MAX; /* what follows cannot be taken back */
    if (h->again)
        return 0;
    h->replying = true;
    if (r->failed)
        reply_failure(L, h);
    else
        value_to_reply(h, r->rq->out);
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

static void begin(struct script_host *h, struct script *s, struct request *rq, bool read_only)
{
    const struct client *c = rq->client;
    uint64_t ms = rq->env->conf->busy_reply_threshold_ms;
    h->rq = rq;
    h->script = s;
    h->limit = SCRIPT_MEMORY;
    h->read_only = read_only || s->flags & SCRIPT_NO_WRITES;
    h->resp = 2;
    h->ended = h->again = h->dirty = h->replying = false;
    h->oom = is_short(rq);
    h->deadline_us = clock_us() + (ms && ms < SCRIPT_MS_MOST ? ms : SCRIPT_MS_MOST) * 1000;
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
    lua_sethook(h->L, look_at_clock, LUA_MASKCOUNT, LOOK_EACH);
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
    h->script = NULL;
}

enum command_result script_run(struct script_host *h, struct script *s, struct request *rq, int at, int keys,
                               bool read_only)
{
    struct run r = {h, rq, at, keys, false};
    begin(h, s, rq, read_only);
    bool refused = h->oom && s->flags & SCRIPT_SHEBANG &&
                   !(s->flags & (SCRIPT_ALLOW_OOM | SCRIPT_NO_WRITES)) && !read_only;
    atomic_store_explicit(&s->used, rq->env->now_ms, memory_order_relaxed);
    if (refused)
        reply_oom(rq->out);
    else if (lua_cpcall(h->L, protected_run, &r) != 0) {
        const char *why = lua_tostring(h->L, -1);
        if (h->replying)
            rq->out->failed = true; /* half a reply was written */
        else if (!h->again)
            reply_errorf(rq->out, "ERR %s", why ? why : "not enough memory");
    }
    bool again = h->again;
    end(h);
    return again ? CMD_ELSEWHERE : CMD_DONE;
}

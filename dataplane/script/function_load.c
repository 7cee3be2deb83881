/* function_load.c: a library in a worker's interpreter: its text runs once and registers functions, which are
 * kept until it is deleted.
 * https://redis.io/docs/latest/develop/interact/programmability/lua-api/#redis.register_function */
#include "script/host.h"

#include <stdio.h>

enum { LOAD_US = 500000 };

static const char callbacks_key, loading_globals_key;

static int fail(lua_State *L, const char *text)
{
    api_push_error(L, text, strlen(text));
    return lua_error(L);
}

/* -- redis.register_function -- */

enum { CALLBACK = 2, NAME, DESCRIPTION, KEY, VALUE }; /* places on the stack, behind the table of arguments */

struct registration {
    struct slice name, description; /* p NULL: not given */
    unsigned flags;
};

/* A string's bytes, or a number's text. */
static bool take_text(lua_State *L, int index, struct slice *text)
{
    text->p = lua_isstring(L, index) ? (const uint8_t *)lua_tolstring(L, index, &text->len) : NULL;
    return text->p;
}

/* The names in the list on top. */
static bool take_flags(lua_State *L, unsigned *flags)
{
    struct slice name;
    *flags = 0;
    for (int i = 1;; i++) {
        lua_pushinteger(L, i);
        lua_gettable(L, -2);
        bool end = lua_isnil(L, -1);
        unsigned flag = !end && take_text(L, -1, &name) ? script_flag(name, true) : 0;
        lua_pop(L, 1);
        if (end || !flag)
            return end;
        *flags |= flag;
    }
}

/* The value on top stays at this place of the stack. */
static bool keep_text(lua_State *L, int place, struct slice *text)
{
    lua_pushvalue(L, VALUE);
    lua_replace(L, place);
    return take_text(L, place, text);
}

/* An argument by name. Returns an error, or NULL. */
static const char *take_named(lua_State *L, struct slice key, struct registration *r)
{
    if (slice_is(key, "function_name"))
        return keep_text(L, NAME, &r->name)
                   ? NULL
                   : "function_name argument given to redis.register_function must be a string";
    if (slice_is(key, "description"))
        return keep_text(L, DESCRIPTION, &r->description)
                   ? NULL
                   : "description argument given to redis.register_function must be a string";
    if (slice_is(key, "callback")) {
        lua_pushvalue(L, VALUE);
        lua_replace(L, CALLBACK);
        return lua_isfunction(L, VALUE)
                   ? NULL
                   : "callback argument given to redis.register_function must be a function";
    }
    if (!slice_is(key, "flags"))
        return "unknown argument given to redis.register_function";
    if (!lua_istable(L, VALUE))
        return "flags argument to redis.register_function must be a table representing function flags";
    return take_flags(L, &r->flags) ? NULL : "unknown flag given";
}

static const char *take_table(lua_State *L, struct registration *r)
{
    const char *why = NULL;
    struct slice key;
    if (!lua_istable(L, 1))
        return "calling redis.register_function with a single argument is only applicable to Lua table "
               "(representing named arguments).";
    lua_settop(L, DESCRIPTION);
    for (lua_pushnil(L); !why && lua_next(L, 1); lua_settop(L, KEY))
        if (lua_type(L, KEY) == LUA_TSTRING && take_text(L, KEY, &key))
            why = take_named(L, key, r);
        else if (lua_type(L, KEY) == LUA_TNUMBER)
            why = "unknown argument given to redis.register_function";
        else
            why = "named argument key given to redis.register_function is not a string";
    if (!why && !r->name.p)
        why = "redis.register_function must get a function name argument";
    if (!why && !lua_isfunction(L, CALLBACK))
        why = "redis.register_function must get a callback argument";
    return why;
}

static const char *take_pair(lua_State *L, struct registration *r)
{
    if (!take_text(L, 1, &r->name))
        return "first argument to redis.register_function must be a string";
    return lua_isfunction(L, CALLBACK) ? NULL
                                       : "second argument to redis.register_function must be a function";
}

static const char *enter(struct library *l, const struct registration *r)
{
    if (!library_name_ok(r->name))
        return LIBRARY_BAD_NAME;
    if (library_function(l, r->name))
        return "Function already exists in the library";
    return library_add(l, r->name, r->description, r->flags) ? NULL : "not enough memory";
}

static int register_function(lua_State *L)
{
    struct script_host *h = script_host_from(L);
    struct registration r = {0};
    int n = lua_gettop(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&callbacks_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (lua_isnil(L, -1))
        return fail(L, "redis.register_function can only be called on FUNCTION LOAD command");
    lua_settop(L, n);
    const char *why = n == 1   ? take_table(L, &r)
                      : n == 2 ? take_pair(L, &r)
                               : "wrong number of arguments to redis.register_function";
    if (!why && h->loading)
        why = enter(h->loading, &r);
    if (why)
        return fail(L, why);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&callbacks_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushlstring(L, (const char *)r.name.p, r.name.len);
    lua_pushvalue(L, CALLBACK);
    lua_rawset(L, -3);
    return 0;
}

/* -- loading -- */

/* The globals that a library sees while it is loaded, pushed. */
static void loading_globals(lua_State *L)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&loading_globals_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    api_open_load(L);
    lua_pushcfunction(L, register_function);
    lua_setfield(L, -2, "register_function");
    sandbox_strict(L);
    sandbox_protect(L);
    lua_setfield(L, -2, "redis");
    sandbox_strict(L);
    lua_pushlightuserdata(L, (void *)(uintptr_t)&loading_globals_key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Calls are registered in the table at index; 0: none are any more. */
static void set_callbacks(lua_State *L, int index)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)&callbacks_key);
    if (index)
        lua_pushvalue(L, index);
    else
        lua_pushnil(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

/* Runs a text: pushes the table of what it has registered. Raises errors, of the text of an error reply. */
static void run_text(lua_State *L, struct script_host *h, struct slice body)
{
    lua_newtable(L);
    int callbacks = lua_gettop(L);
    if (host_compile(L, h, body)) {
        lua_pushfstring(L, "ERR Error compiling function: %s", lua_tostring(L, -1));
        lua_error(L);
    }
    loading_globals(L);
    sandbox_show(L);
    set_callbacks(L, callbacks);
    int status = lua_pcall(L, 0, 0, 0);
    set_callbacks(L, 0);
    sandbox_globals(L);
    sandbox_show(L);
    if (status == 0)
        return;
    bool text = !lua_istable(L, -1);
    if (!text)
        lua_getfield(L, -1, "err");
    const char *why = lua_tostring(L, -1);
    lua_pushfstring(L, "ERR Error registering functions: %s%s", text ? "ERR " : "",
                    why ? why : "unknown error");
    lua_error(L);
}

struct attempt {
    struct script_host *h;
    struct slice body;
};

static int try_text(lua_State *L)
{
    const struct attempt *a = lua_touserdata(L, 1);
    run_text(L, a->h, a->body);
    return 0;
}

bool library_load(struct script_host *h, struct library *l, struct slice body, char *error, size_t size)
{
    struct attempt a = {h, body};
    h->loading = l;
    h->killed = h->again = false; /* as of the run before */
    host_limit_time(h, LOAD_US, "FUNCTION LOAD timeout");
    bool ok = lua_cpcall(h->L, try_text, &a) == 0;
    lua_sethook(h->L, NULL, 0, 0);
    h->ended = false;
    h->loading = NULL;
    if (!ok) {
        const char *why = lua_tostring(h->L, -1);
        snprintf(error, size, "%s", why ? why : "ERR not enough memory");
    } else if (l->functions == 0) {
        snprintf(error, size, "ERR No functions registered");
    }
    lua_settop(h->L, 0);
    return ok && l->functions > 0;
}

/* The table of a library's functions, pushed: loaded here when it is first wanted. */
static void push_library(lua_State *L, struct script_host *h, const struct library *l)
{
    struct library_head head;
    char error[64];
    host_compiled(L);
    lua_pushnumber(L, (lua_Number)l->id);
    lua_rawget(L, -2);
    if (!lua_isnil(L, -1)) {
        lua_remove(L, -2);
        return;
    }
    lua_pop(L, 1);
    library_head(l->code, &head, error, sizeof error);
    run_text(L, h, head.body);
    lua_pushnumber(L, (lua_Number)l->id);
    lua_pushvalue(L, -2);
    lua_rawset(L, -4);
    lua_remove(L, -2);
}

void library_push(lua_State *L, struct script_host *h)
{
    struct slice name = h->program->name;
    push_library(L, h, h->function->library);
    lua_pushlstring(L, (const char *)name.p, name.len);
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

static int sweep(lua_State *L)
{
    const struct libraries *all = lua_touserdata(L, 1);
    host_compiled(L);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pop(L, 1);
        if (libraries_have(all, (uint64_t)lua_tonumber(L, -1)))
            continue;
        lua_pushvalue(L, -1);
        lua_pushnil(L);
        lua_rawset(L, -4);
    }
    return 0;
}

void library_sweep(struct script_host *h, const struct libraries *all)
{
    if (lua_cpcall(h->L, sweep, (void *)(uintptr_t)all))
        lua_settop(h->L, 0); /* without memory they stay until the next time */
}

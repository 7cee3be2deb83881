/* sandbox_replace.c: what scripts get in place of functions of Lua 5.1 that would look past a protected table (sandbox.c), read
 * bytecode, end the process or take for ever. https://www.lua.org/manual/5.1/manual.html#5 */
#include "script/host.h"

#include <limits.h>
#include <math.h>

static int refuse_raw(lua_State *L)
{
    lua_pushliteral(L, SANDBOX_READONLY);
    return lua_error(L);
}

static int safe_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    luaL_checkany(L, 3);
    if (sandbox_real(L, 1))
        return refuse_raw(L);
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

static int safe_rawget(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    if (sandbox_real(L, 1))
        lua_replace(L, 1);
    lua_rawget(L, 1);
    return 1;
}

static int safe_next(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    if (sandbox_real(L, 1))
        lua_replace(L, 1);
    if (lua_next(L, 1))
        return 2;
    lua_pushnil(L);
    return 1;
}

static int safe_pairs(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushcfunction(L, safe_next);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

static int safe_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_type(L, 1) == LUA_TSTRING) {
        sandbox_string_meta(L);
        return 1;
    }
    if (lua_rawequal(L, 1, LUA_GLOBALSINDEX)) {
        sandbox_globals_meta(L);
        return 1;
    }
    if (sandbox_real(L, 1) || !lua_getmetatable(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    luaL_getmetafield(L, 1, "__metatable");
    return 1;
}

static int safe_setmetatable(lua_State *L)
{
    int t = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argcheck(L, t == LUA_TNIL || t == LUA_TTABLE, 2, "nil or table expected");
    if (sandbox_real(L, 1))
        return refuse_raw(L);
    if (luaL_getmetafield(L, 1, "__metatable"))
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

/* table.insert writes without asking a metatable. */
static int safe_insert(lua_State *L)
{
    if (sandbox_real(L, 1))
        return refuse_raw(L);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* "" a thousand million times would take seconds. */
static int safe_rep(lua_State *L)
{
    size_t len;
    luaL_checklstring(L, 1, &len);
    lua_Integer n = luaL_checkinteger(L, 2);
    if (len == 0 || n <= 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    if ((size_t)n > script_host_from(L)->limit / len)
        return luaL_error(L, "not enough memory");
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* Lua 5.1 matches each repetition and capture of a pattern one call deeper: so many fit the stack. */
static int safe_pattern(lua_State *L)
{
    enum { DEEPEST = 10000 };
    size_t len, deep = 0;
    const char *pattern = lua_tolstring(L, 2, &len);
    for (size_t i = 0; pattern && i < len; i++)
        deep += pattern[i] && strchr("?*+-()", pattern[i]);
    if (deep > DEEPEST)
        return luaL_error(L, "pattern too complex");
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* That of Lua 5.1 counts in an int, which may overflow. */
static int safe_unpack(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    int64_t from = luaL_optint(L, 2, 1);
    int64_t to = lua_isnoneornil(L, 3) ? (int64_t)lua_objlen(L, 1) : luaL_checkint(L, 3);
    if (from > to)
        return 0;
    if (to - from >= INT_MAX || !lua_checkstack(L, (int)(to - from + 1)))
        return luaL_error(L, "too many results to unpack");
    for (int64_t i = from; i <= to; i++)
        lua_rawgeti(L, 1, (int)i);
    return (int)(to - from + 1);
}

static int no_bytecode(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "attempt to load a binary chunk");
    return 2;
}

static int loaded(lua_State *L, int status)
{
    if (status == 0)
        return 1;
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* The parser keeps the chunk's name where the collector does not see it (CVE-2025-49844): an equal string on
 * the stack keeps it alive. */
static int sandbox_load(lua_State *L, lua_Reader reader, void *arg, const char *name)
{
    lua_pushstring(L, name);
    int status = lua_load(L, reader, arg, lua_tostring(L, -1));
    lua_remove(L, -2);
    return status;
}

struct whole {
    const char *text;
    size_t len;
};

static const char *whole_piece(lua_State *L, void *arg, size_t *size)
{
    struct whole *w = arg;
    (void)L;
    *size = w->len;
    w->len = 0;
    return *size ? w->text : NULL;
}

int sandbox_load_text(lua_State *L, const char *text, size_t len, const char *name)
{
    struct whole w = {text, len};
    return sandbox_load(L, whole_piece, &w, name);
}

static int safe_loadstring(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, text);
    if (len && text[0] == LUA_SIGNATURE[0])
        return no_bytecode(L);
    return loaded(L, sandbox_load_text(L, text, len, name));
}

struct pieces {
    bool begun;
};

/* Calls the function at 1 for more; keeps what it gave at 3. */
static const char *next_piece(lua_State *L, void *arg, size_t *size)
{
    struct pieces *p = arg;
    luaL_checkstack(L, 2, "too many nested functions");
    lua_pushvalue(L, 1);
    lua_call(L, 0, 1);
    *size = 0;
    if (lua_isnil(L, -1))
        return NULL;
    if (!lua_isstring(L, -1))
        luaL_error(L, "reader function must return a string");
    lua_replace(L, 3);
    const char *text = lua_tolstring(L, 3, size);
    if (!p->begun && *size && text[0] == LUA_SIGNATURE[0])
        luaL_error(L, "attempt to load a binary chunk");
    p->begun |= *size > 0;
    return text;
}

static int safe_load(lua_State *L)
{
    struct pieces p = {0};
    luaL_checktype(L, 1, LUA_TFUNCTION);
    const char *name = luaL_optstring(L, 2, "=(load)");
    lua_settop(L, 3);
    return loaded(L, sandbox_load(L, next_piece, &p, name));
}

/* What redis.call has thrown is a text to whoever catches it. */
static int safe_pcall(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    if (lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0) == 0)
        return lua_gettop(L);
    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "err");
        lua_rawget(L, -2);
        if (lua_isstring(L, -1))
            lua_replace(L, -2);
        else
            lua_pop(L, 1);
    }
    lua_pushboolean(L, 0);
    lua_replace(L, 1);
    return 2;
}

/* The handler of the script, at upvalue 1, unless the script is to end: the hook that says so would not end
 * it. */
static int handle(lua_State *L)
{
    lua_settop(L, 1);
    if (script_host_from(L)->ended)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 1, 1);
    return 1;
}

static int safe_xpcall(lua_State *L)
{
    luaL_checkany(L, 2);
    lua_settop(L, 2);
    lua_pushcclosure(L, handle, 1);
    lua_insert(L, 1);
    int status = lua_pcall(L, 0, LUA_MULTRET, 1);
    lua_pushboolean(L, status == 0);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* -- math.random: the numbers of lrand48(3), the same after the same seed on every box */

static int random_number(lua_State *L)
{
    enum { MOST = 0x7fffffff };
    lua_Number r = (lua_Number)(nrand48(script_host_from(L)->rng) % MOST) / (lua_Number)MOST;
    int n = lua_gettop(L);
    if (n == 0) {
        lua_pushnumber(L, r);
        return 1;
    }
    if (n > 2)
        return luaL_error(L, "wrong number of arguments");
    int low = n == 1 ? 1 : luaL_checkint(L, 1), high = luaL_checkint(L, n);
    luaL_argcheck(L, low <= high, n, "interval is empty");
    lua_pushnumber(L, floor(r * (n == 1 ? (lua_Number)high : (lua_Number)high - low + 1)) + low);
    return 1;
}

static int random_seed(lua_State *L)
{
    uint32_t seed = (uint32_t)luaL_checkint(L, 1);
    unsigned short *rng = script_host_from(L)->rng;
    rng[0] = 0x330e;
    rng[1] = (unsigned short)seed;
    rng[2] = (unsigned short)(seed >> 16);
    return 0;
}

/* globals[library][field] = function that has the one it replaces as its upvalue. */
static void wrap(lua_State *L, const char *library, const char *field, lua_CFunction f)
{
    lua_getglobal(L, library);
    lua_getfield(L, -1, field);
    lua_pushcclosure(L, f, 1);
    lua_setfield(L, -2, field);
    lua_pop(L, 1);
}

void sandbox_replace_globals(lua_State *L)
{
    static const luaL_Reg ours[] = {{"rawset", safe_rawset},
                                    {"rawget", safe_rawget},
                                    {"next", safe_next},
                                    {"pcall", safe_pcall},
                                    {"xpcall", safe_xpcall},
                                    {"unpack", safe_unpack},
                                    {"pairs", safe_pairs},
                                    {"getmetatable", safe_getmetatable},
                                    {"setmetatable", safe_setmetatable},
                                    {"load", safe_load},
                                    {"loadstring", safe_loadstring},
                                    {NULL, NULL}};
    sandbox_functions(L, ours);
}

void sandbox_replace_in_libraries(lua_State *L)
{
    static const char *const matching[] = {"find", "match", "gmatch", "gsub"};
    wrap(L, "table", "insert", safe_insert);
    wrap(L, "string", "rep", safe_rep);
    for (size_t i = 0; i < sizeof matching / sizeof matching[0]; i++)
        wrap(L, "string", matching[i], safe_pattern);
    wrap(L, "math", "random", random_number);
    wrap(L, "math", "randomseed", random_seed);
}

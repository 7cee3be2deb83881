/* sandbox.c: what a script sees: Lua 5.1 without files, bytecode and debugging, and nothing that a script
 * could leave behind for the next one. https://redis.io/docs/latest/develop/interact/programmability/lua-api/
 *
 * Lua 5.1 has no tables that cannot be changed: scripts get an empty one whose metatable reads from the real
 * one and refuses writes. What would look past a metatable is replaced (sandbox_replace.c). */
#include "script/host.h"

#include <lualib.h>

#include <stdlib.h>

static const char real_tables, globals_key, string_meta,
    globals_meta; /* addresses are keys of the registry */

static int refuse_write(lua_State *L)
{
    return luaL_error(L, SANDBOX_READONLY);
}

static void push_key(lua_State *L, const char *key)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)key);
}

static void get_key(lua_State *L, const char *key)
{
    push_key(L, key);
    lua_rawget(L, LUA_REGISTRYINDEX);
}

/* registry[key] = the value on top, popped. */
static void set_key(lua_State *L, const char *key)
{
    push_key(L, key);
    lua_insert(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
}

bool sandbox_real(lua_State *L, int index)
{
    if (!lua_istable(L, index) || !lua_getmetatable(L, index))
        return false;
    lua_pop(L, 1);
    lua_pushvalue(L, index);
    get_key(L, &real_tables);
    lua_insert(L, -2);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (!lua_isnil(L, -1))
        return true;
    lua_pop(L, 1);
    return false;
}

void sandbox_protect(lua_State *L)
{
    int real = lua_gettop(L);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, refuse_write);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    get_key(L, &real_tables);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, real);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    lua_replace(L, real);
}

void sandbox_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name; list++) {
        lua_pushcfunction(L, list->func);
        lua_setfield(L, -2, list->name);
    }
}

void sandbox_globals(lua_State *L)
{
    get_key(L, &globals_key);
}

void sandbox_string_meta(lua_State *L)
{
    get_key(L, &string_meta);
}

void sandbox_globals_meta(lua_State *L)
{
    get_key(L, &globals_meta);
}

/* -- opening */

static void open_library(lua_State *L, lua_CFunction open, const char *name)
{
    lua_pushcfunction(L, open);
    lua_pushstring(L, name);
    lua_call(L, 1, 0);
}

static int no_such_global(lua_State *L)
{
    size_t len;
    lua_settop(L, 2);
    const char *name = lua_tolstring(L, 2, &len);
    return luaL_error(L, "Script attempted to access nonexistent global variable '%s'", name ? name : "");
}

void sandbox_strict(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, no_such_global);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

void sandbox_show(lua_State *L)
{
    lua_getmetatable(L, LUA_GLOBALSINDEX);
    lua_insert(L, -2);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

/* The real table of globals: on top. */
static void fill_globals(lua_State *L)
{
    static const char *const same[] = {"tostring", "next", "assert", "tonumber", "rawequal", "collectgarbage",
                                       "gcinfo",   "type", "error",  "ipairs",   "select",   "_VERSION"};
    static const char *const libraries[] = {"string", "math", "table", "coroutine"};
    static const struct {
        const char *name;
        void (*open)(lua_State *L);
    } more[] = {{"redis", api_open},
                {"cjson", json_open},
                {"cmsgpack", msgpack_open},
                {"struct", struct_open},
                {"bit", bit_open}};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) {
        lua_getglobal(L, same[i]);
        lua_setfield(L, -2, same[i]);
    }
    sandbox_replace_globals(L);
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        lua_getglobal(L, libraries[i]);
        sandbox_protect(L);
        lua_setfield(L, -2, libraries[i]);
    }
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        more[i].open(L);
        sandbox_protect(L);
        lua_setfield(L, -2, more[i].name);
    }
}

/* What getmetatable("") gives. */
static void protect_string_meta(lua_State *L)
{
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_newtable(L);
    lua_getfield(L, -2, "__index");
    sandbox_protect(L);
    lua_setfield(L, -2, "__index");
    sandbox_protect(L);
    set_key(L, &string_meta);
    lua_pop(L, 2);
}

void sandbox_open(lua_State *L)
{
    lua_newtable(L);
    set_key(L, &real_tables);
    open_library(L, luaopen_base, "");
    open_library(L, luaopen_table, LUA_TABLIBNAME);
    open_library(L, luaopen_string, LUA_STRLIBNAME);
    open_library(L, luaopen_math, LUA_MATHLIBNAME);
    sandbox_replace_in_libraries(L);
    protect_string_meta(L);
    lua_newtable(L);
    lua_pushcfunction(L, no_such_global);
    lua_setfield(L, -2, "__index");
    sandbox_protect(L);
    set_key(L, &globals_meta);
    lua_newtable(L);
    fill_globals(L);
    int real = lua_gettop(L);
    sandbox_strict(L);
    lua_pushvalue(L, real);
    sandbox_protect(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, real, "_G");
    lua_pushvalue(L, real);
    set_key(L, &globals_key);
    lua_replace(L, LUA_GLOBALSINDEX); /* the protected one */
    lua_settop(L, real - 1);
}

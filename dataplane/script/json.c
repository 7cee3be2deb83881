/* json.c: cjson: JSON (RFC 8259) as the module of Lua-CJSON 2.1 does it, with its options.
 * https://kyne.com.au/~mark/software/lua-cjson-manual.html
 *
 * Both ways are recursive with a depth that the options bound; text is made in Lua's own buffers, so that a
 * script's memory bound holds for it, too. */
#include "script/json.h"
#include "script/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void put_char(struct script_text *t, char c)
{
    *script_text_room(t, 1) = c;
    t->len++;
}

/* -- encoding -- */

static void encode_value(struct script_text *t, const struct options *o, int depth);

static void encode_string(struct script_text *t, const char *s, size_t len)
{
    char escaped[8];
    script_text_room(t, len + 2);
    put_char(t, '"');
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        const char *plain = "\"\\/\b\f\n\r\t", *letter = "\"\\/bfnrt", *found = c ? strchr(plain, c) : NULL;
        if (found) {
            put_char(t, '\\');
            put_char(t, letter[found - plain]);
        } else if (c < 32 || c == 127) {
            script_text_put(t, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", c));
        } else {
            put_char(t, (char)c);
        }
    }
    put_char(t, '"');
}

static void encode_fail(lua_State *L, int type, const char *why)
{
    luaL_error(L, "Cannot serialise %s: %s", lua_typename(L, type), why);
}

static void encode_number(struct script_text *t, const struct options *o)
{
    char text[64];
    double v = lua_tonumber(t->L, -1);
    if (isfinite(v) || (o->invalid_encode == 1 && !isnan(v))) {
        script_text_put(t, text, (size_t)snprintf(text, sizeof text, "%.*g", o->precision, v));
    } else if (o->invalid_encode == 0) {
        encode_fail(t->L, LUA_TNUMBER, "must not be NaN or Inf");
    } else if (o->invalid_encode == 1) {
        script_text_put(t, "nan", 3);
    } else {
        script_text_put(t, "null", 4);
    }
}

/* Elements of the table on top as an array; -1: it is an object. */
static int array_length(lua_State *L, const struct options *o)
{
    int most = 0, items = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        double k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        if (!(k >= 1 && k <= 2147483647 && floor(k) == k)) {
            lua_pop(L, 2);
            return -1;
        }
        most = k > most ? (int)k : most;
        items++;
    }
    if (o->sparse_ratio > 0 && most > (int64_t)items * o->sparse_ratio && most > o->sparse_safe) {
        if (!o->convert_sparse)
            encode_fail(L, LUA_TTABLE, "excessively sparse array");
        return -1;
    }
    return most;
}

static void encode_key(struct script_text *t, const struct options *o)
{
    lua_State *L = t->L;
    size_t len;
    int type = lua_type(L, -2);
    if (type == LUA_TNUMBER) {
        put_char(t, '"');
        lua_pushvalue(L, -2);
        encode_number(t, o);
        lua_pop(L, 1);
        script_text_put(t, "\":", 2);
    } else if (type == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -2, &len);
        encode_string(t, s, len);
        put_char(t, ':');
    } else {
        encode_fail(L, type, "table key must be a number or string");
    }
}

static void encode_table(struct script_text *t, const struct options *o, int depth)
{
    lua_State *L = t->L;
    if (depth > o->encode_depth || !lua_checkstack(L, 5))
        luaL_error(L, "Cannot serialise, excessive nesting (%d)", depth);
    int n = array_length(L, o);
    if (n > 0) {
        for (int i = 1; i <= n; i++) {
            put_char(t, i == 1 ? '[' : ',');
            lua_rawgeti(L, -1, i);
            encode_value(t, o, depth);
            lua_pop(L, 1);
        }
        put_char(t, ']');
        return;
    }
    char before = '{';
    put_char(t, before);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        if (before == ',')
            put_char(t, before);
        before = ',';
        encode_key(t, o);
        encode_value(t, o, depth);
    }
    put_char(t, '}');
}

/* The value on top stays there. */
static void encode_value(struct script_text *t, const struct options *o, int depth)
{
    lua_State *L = t->L;
    size_t len;
    int type = lua_type(L, -1);
    if (type == LUA_TSTRING) {
        const char *s = lua_tolstring(L, -1, &len);
        encode_string(t, s, len);
    } else if (type == LUA_TNUMBER) {
        encode_number(t, o);
    } else if (type == LUA_TBOOLEAN) {
        script_text_put(t, lua_toboolean(L, -1) ? "true" : "false", lua_toboolean(L, -1) ? 4 : 5);
    } else if (type == LUA_TTABLE) {
        encode_table(t, o, depth + 1);
    } else if (type == LUA_TNIL || (type == LUA_TLIGHTUSERDATA && !lua_touserdata(L, -1))) {
        script_text_put(t, "null", 4);
    } else {
        encode_fail(L, type, "type not supported");
    }
}

static int json_encode(lua_State *L)
{
    struct script_text t;
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    script_text_begin(&t, L);
    lua_pushvalue(L, 1);
    encode_value(&t, json_options(L), 0);
    lua_pushlstring(L, t.p, t.len);
    return 1;
}

/* -- options -- */

static int integer_option(lua_State *L, int *value, int least, int most)
{
    char text[64];
    luaL_argcheck(L, lua_gettop(L) <= 1, 2, "found too many arguments");
    if (!lua_isnoneornil(L, 1)) {
        int v = luaL_checkint(L, 1);
        snprintf(text, sizeof text, "expected integer between %d and %d", least, most);
        luaL_argcheck(L, v >= least && v <= most, 1, text);
        *value = v;
    }
    lua_pushinteger(L, *value);
    return 1;
}

static int json_encode_max_depth(lua_State *L)
{
    return integer_option(L, &json_options(L)->encode_depth, 1, 0x7fffffff);
}

static int json_decode_max_depth(lua_State *L)
{
    struct options *o = json_options(L);
    int pushed = integer_option(L, &o->decode_depth, 1, 0x7fffffff);
    if (o->decode_depth > DEPTH_MOST)
        o->decode_depth = DEPTH_MOST;
    return pushed;
}

static int json_precision(lua_State *L)
{
    return integer_option(L, &json_options(L)->precision, 1, 14);
}

static int json_keep_buffer(lua_State *L)
{
    struct options *o = json_options(L);
    if (!lua_isnoneornil(L, 1))
        o->keep_buffer = lua_toboolean(L, 1);
    lua_pushboolean(L, o->keep_buffer);
    return 1;
}

static int json_sparse(lua_State *L)
{
    struct options *o = json_options(L);
    luaL_argcheck(L, lua_gettop(L) <= 3, 4, "found too many arguments");
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TBOOLEAN);
        o->convert_sparse = lua_toboolean(L, 1);
    }
    if (!lua_isnoneornil(L, 2))
        o->sparse_ratio = luaL_checkint(L, 2) < 0 ? 0 : luaL_checkint(L, 2);
    if (!lua_isnoneornil(L, 3))
        o->sparse_safe = luaL_checkint(L, 3) < 0 ? 0 : luaL_checkint(L, 3);
    lua_pushboolean(L, o->convert_sparse);
    lua_pushinteger(L, o->sparse_ratio);
    lua_pushinteger(L, o->sparse_safe);
    return 3;
}

static int json_encode_invalid(lua_State *L)
{
    static const char *const words[] = {"off", "on", "null", NULL};
    struct options *o = json_options(L);
    if (lua_isboolean(L, 1))
        o->invalid_encode = lua_toboolean(L, 1);
    else if (!lua_isnoneornil(L, 1))
        o->invalid_encode = luaL_checkoption(L, 1, NULL, words);
    if (o->invalid_encode == 2)
        lua_pushliteral(L, "null");
    else
        lua_pushboolean(L, o->invalid_encode);
    return 1;
}

static int json_decode_invalid(lua_State *L)
{
    static const char *const words[] = {"off", "on", NULL};
    struct options *o = json_options(L);
    if (lua_isboolean(L, 1))
        o->invalid_decode = lua_toboolean(L, 1);
    else if (!lua_isnoneornil(L, 1))
        o->invalid_decode = luaL_checkoption(L, 1, NULL, words);
    lua_pushboolean(L, o->invalid_decode);
    return 1;
}

static int json_new(lua_State *L)
{
    json_open(L);
    return 1;
}

void json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"encode", json_encode},
                                         {"decode", json_decode},
                                         {"encode_sparse_array", json_sparse},
                                         {"encode_max_depth", json_encode_max_depth},
                                         {"decode_max_depth", json_decode_max_depth},
                                         {"encode_number_precision", json_precision},
                                         {"encode_keep_buffer", json_keep_buffer},
                                         {"encode_invalid_numbers", json_encode_invalid},
                                         {"decode_invalid_numbers", json_decode_invalid},
                                         {"new", json_new}};
    lua_newtable(L);
    struct options *o = lua_newuserdata(L, sizeof *o);
    *o = (struct options){.sparse_ratio = 2,
                          .sparse_safe = 10,
                          .encode_depth = DEPTH_MOST,
                          .decode_depth = DEPTH_MOST,
                          .invalid_decode = true,
                          .keep_buffer = true,
                          .precision = 14};
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        lua_pushvalue(L, -1);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -3, functions[i].name);
    }
    lua_pop(L, 1);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    lua_pushliteral(L, "cjson");
    lua_setfield(L, -2, "_NAME");
    lua_pushliteral(L, "2.1.0");
    lua_setfield(L, -2, "_VERSION");
}

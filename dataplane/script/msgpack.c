/* msgpack.c: cmsgpack: MessagePack (https://github.com/msgpack/msgpack/blob/master/spec.md) as the module of
 * lua-cmsgpack 0.4 does it: what can be a number becomes the shortest of its kind, a table with keys 1..n an
 * array. Nesting is bounded both ways; text is made in Lua's own memory. */
#include "script/host.h"
#include "script/text.h"

#include <math.h>

enum { PACK_DEPTH_MOST = 16 }; /* deeper tables become nil, as there */

/* -- packing -- */

static void put_head(struct script_text *k, uint8_t first, uint64_t v, unsigned n)
{
    uint8_t text[9] = {first};
    for (unsigned i = 0; i < n; i++)
        text[n - i] = (uint8_t)(v >> (8 * i));
    script_text_put(k, text, n + 1);
}

static void pack_integer(struct script_text *k, int64_t v)
{
    if (v >= 0) {
        if (v <= 127)
            put_head(k, (uint8_t)v, 0, 0);
        else if (v <= 0xff)
            put_head(k, 0xcc, (uint64_t)v, 1);
        else if (v <= 0xffff)
            put_head(k, 0xcd, (uint64_t)v, 2);
        else if (v <= 0xffffffff)
            put_head(k, 0xce, (uint64_t)v, 4);
        else
            put_head(k, 0xcf, (uint64_t)v, 8);
    } else if (v >= -32) {
        put_head(k, (uint8_t)v, 0, 0);
    } else if (v >= INT8_MIN) {
        put_head(k, 0xd0, (uint64_t)v, 1);
    } else if (v >= INT16_MIN) {
        put_head(k, 0xd1, (uint64_t)v, 2);
    } else if (v >= INT32_MIN) {
        put_head(k, 0xd2, (uint64_t)v, 4);
    } else {
        put_head(k, 0xd3, (uint64_t)v, 8);
    }
}

static void pack_number(struct script_text *k, lua_Number n)
{
    float f = (float)n;
    uint32_t bits32;
    uint64_t bits64;
    if (n >= -9223372036854775808.0 && n < 9223372036854775808.0 && (lua_Number)(int64_t)n == n) {
        pack_integer(k, (int64_t)n);
    } else if ((lua_Number)f == n) {
        memcpy(&bits32, &f, sizeof f);
        put_head(k, 0xca, bits32, 4);
    } else {
        memcpy(&bits64, &n, sizeof n);
        put_head(k, 0xcb, bits64, 8);
    }
}

static void pack_text(struct script_text *k, const char *s, size_t len)
{
    if (len < 32)
        put_head(k, (uint8_t)(0xa0 | len), 0, 0);
    else if (len <= 0xff)
        put_head(k, 0xd9, len, 1);
    else if (len <= 0xffff)
        put_head(k, 0xda, len, 2);
    else
        put_head(k, 0xdb, len, 4);
    script_text_put(k, s, len);
}

static void pack_count(struct script_text *k, size_t n, uint8_t fix, uint8_t first16)
{
    if (n <= 15)
        put_head(k, (uint8_t)(fix | n), 0, 0);
    else if (n <= 0xffff)
        put_head(k, first16, n, 2);
    else
        put_head(k, (uint8_t)(first16 + 1), n, 4);
}

/* Is the table on top an array: keys are integers 1 to n, as many as there are? */
static bool is_array(lua_State *L, size_t *count, size_t *most)
{
    bool array = true;
    *count = *most = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
        lua_Number k = lua_type(L, -2) == LUA_TNUMBER ? lua_tonumber(L, -2) : 0;
        array &= k >= 1 && k <= 2147483647 && floor(k) == k;
        if (array && (size_t)k > *most)
            *most = (size_t)k;
        ++*count;
    }
    return array && *most == *count;
}

static void pack_value(struct script_text *k, int depth);

static void pack_table(struct script_text *k, int depth)
{
    lua_State *L = k->L;
    size_t count, most;
    if (is_array(L, &count, &most)) {
        pack_count(k, count, 0x90, 0xdc);
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, -1, (int)i);
            pack_value(k, depth + 1);
        }
        return;
    }
    pack_count(k, count, 0x80, 0xde);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pushvalue(L, -2);
        pack_value(k, depth + 1);
        pack_value(k, depth + 1);
    }
}

/* The value on top, popped. */
static void pack_value(struct script_text *k, int depth)
{
    lua_State *L = k->L;
    size_t len;
    const char *s;
    int type = lua_type(L, -1);
    luaL_checkstack(L, 6, "in function pack");
    if (type == LUA_TSTRING) {
        s = lua_tolstring(L, -1, &len);
        pack_text(k, s, len);
    } else if (type == LUA_TBOOLEAN) {
        put_head(k, lua_toboolean(L, -1) ? 0xc3 : 0xc2, 0, 0);
    } else if (type == LUA_TNUMBER) {
        pack_number(k, lua_tonumber(L, -1));
    } else if (type == LUA_TTABLE && depth < PACK_DEPTH_MOST) {
        pack_table(k, depth);
    } else {
        put_head(k, 0xc0, 0, 0);
    }
    lua_pop(L, 1);
}

static int msgpack_pack(lua_State *L)
{
    int n = lua_gettop(L);
    struct script_text k;
    if (n == 0)
        return luaL_argerror(L, 0, "MessagePack pack needs input.");
    luaL_checkstack(L, 8, "Too many arguments for MessagePack pack.");
    script_text_begin(&k, L);
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(L, i);
        pack_value(&k, 0);
    }
    lua_pushlstring(L, k.p, k.len);
    return 1;
}

/* -- unpacking -- */

struct unpack {
    lua_State *L;
    const uint8_t *p, *end;
};

static void short_of(struct unpack *u, size_t n)
{
    if ((size_t)(u->end - u->p) < n)
        luaL_error(u->L, "Missing bytes in input.");
}

static uint64_t take(struct unpack *u, unsigned n)
{
    uint64_t v = 0;
    short_of(u, n);
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | *u->p++;
    return v;
}

static void take_text(struct unpack *u, size_t len)
{
    short_of(u, len);
    lua_pushlstring(u->L, (const char *)u->p, len);
    u->p += len;
}

static void unpack_value(struct unpack *u, int depth);

static void unpack_array(struct unpack *u, size_t n, int depth)
{
    lua_newtable(u->L);
    for (size_t i = 1; i <= n; i++) {
        unpack_value(u, depth);
        lua_rawseti(u->L, -2, (int)i);
    }
}

static void unpack_map(struct unpack *u, size_t n, int depth)
{
    lua_newtable(u->L);
    for (size_t i = 0; i < n; i++) {
        unpack_value(u, depth);
        unpack_value(u, depth);
        bool nan = lua_type(u->L, -2) == LUA_TNUMBER && lua_tonumber(u->L, -2) != lua_tonumber(u->L, -2);
        if (lua_isnil(u->L, -2) || nan)
            luaL_error(u->L, "Bad data format in input.");
        lua_rawset(u->L, -3);
    }
}

static void unpack_float(struct unpack *u, unsigned n)
{
    uint64_t bits = take(u, n);
    uint32_t bits32 = (uint32_t)bits;
    float f;
    double d;
    memcpy(&f, &bits32, sizeof f);
    memcpy(&d, &bits, sizeof d);
    lua_pushnumber(u->L, n == sizeof f ? (double)f : d);
}

static void unpack_signed(struct unpack *u, unsigned n)
{
    uint64_t v = take(u, n) << (64 - 8 * n);
    lua_pushnumber(u->L, (lua_Number)((int64_t)v >> (64 - 8 * n)));
}

/* First bytes 0xc0 to 0xdf. */
static void unpack_named(struct unpack *u, uint8_t c, int depth)
{
    switch (c) {
    case 0xc0:
        lua_pushnil(u->L);
        break;
    case 0xc2:
    case 0xc3:
        lua_pushboolean(u->L, c & 1);
        break;
    case 0xc4:
    case 0xd9:
        take_text(u, (size_t)take(u, 1));
        break;
    case 0xc5:
    case 0xda:
        take_text(u, (size_t)take(u, 2));
        break;
    case 0xc6:
    case 0xdb:
        take_text(u, (size_t)take(u, 4));
        break;
    case 0xca:
    case 0xcb:
        unpack_float(u, c == 0xca ? 4 : 8);
        break;
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        lua_pushnumber(u->L, (lua_Number)take(u, 1u << (c - 0xcc)));
        break;
    case 0xd0:
    case 0xd1:
    case 0xd2:
    case 0xd3:
        unpack_signed(u, 1u << (c - 0xd0));
        break;
    case 0xdc:
    case 0xdd:
        unpack_array(u, (size_t)take(u, c == 0xdc ? 2 : 4), depth + 1);
        break;
    case 0xde:
    case 0xdf:
        unpack_map(u, (size_t)take(u, c == 0xde ? 2 : 4), depth + 1);
        break;
    default:
        luaL_error(u->L, "Bad data format in input.");
    }
}

static void unpack_value(struct unpack *u, int depth)
{
    enum { DEPTH_MOST = 1000 };
    luaL_checkstack(u->L, 4, "too many return values at once; use unpack_one or unpack_limit instead.");
    if (depth > DEPTH_MOST)
        luaL_error(u->L, "Bad data format in input.");
    uint8_t c = (uint8_t)take(u, 1);
    if (c < 0x80)
        lua_pushnumber(u->L, c);
    else if (c < 0x90)
        unpack_map(u, c & 0xf, depth + 1);
    else if (c < 0xa0)
        unpack_array(u, c & 0xf, depth + 1);
    else if (c < 0xc0)
        take_text(u, c & 0x1f);
    else if (c >= 0xe0)
        lua_pushnumber(u->L, (int8_t)c);
    else
        unpack_named(u, c, depth);
}

/* limit 0: all of it. With a limit the offset of what is left comes first, -1 at the end. */
static int unpack_some(lua_State *L, int limit, lua_Number offset)
{
    size_t len;
    const uint8_t *text = (const uint8_t *)luaL_checklstring(L, 1, &len);
    if (offset < 0 || limit < 0)
        return luaL_error(L, "Invalid request to unpack with offset of %d and limit of %d.", (int)offset,
                          (int)len);
    if (offset > (lua_Number)len)
        return luaL_error(L, "Start offset %d greater than input length %d.", (int)offset, (int)len);
    struct unpack u = {L, text + (size_t)offset, text + len};
    int n = 0;
    lua_settop(L, 1);
    if (limit)
        lua_pushnil(L); /* for the offset */
    while (u.p < u.end && (limit == 0 || n < limit)) {
        unpack_value(&u, 0);
        n++;
    }
    if (limit == 0)
        return n;
    lua_pushinteger(L, u.p == u.end ? -1 : u.p - text);
    lua_replace(L, 2);
    return n + 1;
}

static int msgpack_unpack(lua_State *L)
{
    return unpack_some(L, 0, 0);
}

static int msgpack_unpack_one(lua_State *L)
{
    return unpack_some(L, 1, luaL_optinteger(L, 2, 0));
}

static int msgpack_unpack_limit(lua_State *L)
{
    int limit = luaL_checkint(L, 2);
    return unpack_some(L, limit, luaL_optinteger(L, 3, 0));
}

void msgpack_open(lua_State *L)
{
    static const luaL_Reg functions[] = {{"pack", msgpack_pack},
                                         {"unpack", msgpack_unpack},
                                         {"unpack_one", msgpack_unpack_one},
                                         {"unpack_limit", msgpack_unpack_limit},
                                         {NULL, NULL}};
    static const char *const texts[] = {"_NAME",        "cmsgpack",
                                        "_VERSION",     "lua-cmsgpack 0.4.0",
                                        "_DESCRIPTION", "MessagePack C implementation for Lua"};
    lua_newtable(L);
    sandbox_functions(L, functions);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i += 2) {
        lua_pushstring(L, texts[i + 1]);
        lua_setfield(L, -2, texts[i]);
    }
}

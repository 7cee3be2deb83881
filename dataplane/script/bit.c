/* bit.c: operations on 32 bits of numbers, as the module of LuaBitOp 1.0.2 has them.
 * https://bitop.luajit.org/semantics.html */
#include "script/host.h"

/* The low 32 bits of a number, rounded to the nearest: those of a double beyond 2^52. */
static uint32_t bits(lua_State *L, int arg)
{
    double v = luaL_checknumber(L, arg) + 6755399441055744.0; /* 2^52 + 2^51 */
    uint64_t raw;
    memcpy(&raw, &v, sizeof raw);
    return (uint32_t)raw;
}

static int answer(lua_State *L, uint32_t v)
{
    lua_pushnumber(L, (int32_t)v);
    return 1;
}

static int bit_tobit(lua_State *L)
{
    return answer(L, bits(L, 1));
}

static int bit_bnot(lua_State *L)
{
    return answer(L, ~bits(L, 1));
}

static int bit_band(lua_State *L)
{
    uint32_t v = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        v &= bits(L, i);
    return answer(L, v);
}

static int bit_bor(lua_State *L)
{
    uint32_t v = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        v |= bits(L, i);
    return answer(L, v);
}

static int bit_bxor(lua_State *L)
{
    uint32_t v = bits(L, 1);
    for (int i = lua_gettop(L); i > 1; i--)
        v ^= bits(L, i);
    return answer(L, v);
}

static int bit_lshift(lua_State *L)
{
    uint32_t v = bits(L, 1);
    return answer(L, v << (bits(L, 2) & 31));
}

static int bit_rshift(lua_State *L)
{
    uint32_t v = bits(L, 1);
    return answer(L, v >> (bits(L, 2) & 31));
}

static int bit_arshift(lua_State *L)
{
    int32_t v = (int32_t)bits(L, 1);
    return answer(L, (uint32_t)(v >> (bits(L, 2) & 31)));
}

static uint32_t rotate(uint32_t v, uint32_t n)
{
    return v << (n & 31) | v >> (-n & 31);
}

static int bit_rol(lua_State *L)
{
    uint32_t v = bits(L, 1);
    return answer(L, rotate(v, bits(L, 2)));
}

static int bit_ror(lua_State *L)
{
    uint32_t v = bits(L, 1);
    return answer(L, rotate(v, -bits(L, 2)));
}

static int bit_bswap(lua_State *L)
{
    return answer(L, __builtin_bswap32(bits(L, 1)));
}

/* A negative number of digits asks for upper case. */
static int bit_tohex(lua_State *L)
{
    uint32_t v = bits(L, 1);
    int64_t n = lua_isnone(L, 2) ? 8 : (int32_t)bits(L, 2);
    const char *digits = n < 0 ? "0123456789ABCDEF" : "0123456789abcdef";
    char text[8];
    if (n < 0)
        n = -n;
    if (n > 8)
        n = 8;
    for (int i = (int)n; i-- > 0; v >>= 4)
        text[i] = digits[v & 15];
    lua_pushlstring(L, text, (size_t)n);
    return 1;
}

void bit_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"tobit", bit_tobit}, {"bnot", bit_bnot},     {"band", bit_band},     {"bor", bit_bor},
        {"bxor", bit_bxor},   {"lshift", bit_lshift}, {"rshift", bit_rshift}, {"arshift", bit_arshift},
        {"rol", bit_rol},     {"ror", bit_ror},       {"bswap", bit_bswap},   {"tohex", bit_tohex},
        {NULL, NULL}};
    lua_newtable(L);
    sandbox_functions(L, functions);
}

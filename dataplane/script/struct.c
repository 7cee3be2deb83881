/* struct.c: struct.pack, struct.unpack, struct.size: binary data in the formats of Roberto Ierusalimschy's
 * struct library 0.2, as scripts of Redis have it. http://www.inf.puc-rio.br/~roberto/struct/ */
#include "script/host.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>

enum { INTEGER_MOST = 32 }; /* bytes of an integer at most */

struct reading {
    lua_State *L;
    const char *format;
    bool little;
    size_t align;
};

static size_t number_or(struct reading *r, size_t otherwise)
{
    size_t n = 0;
    if (!isdigit((unsigned char)*r->format))
        return otherwise;
    while (isdigit((unsigned char)*r->format)) {
        size_t digit = (size_t)(*r->format++ - '0');
        if (n > (INT_MAX - digit) / 10)
            luaL_error(r->L, "integral size overflow");
        n = n * 10 + digit;
    }
    return n;
}

/* Bytes of the option, whose own digits are read. */
static size_t size_of(struct reading *r, char option)
{
    size_t n;
    switch (option) {
    case 'B':
    case 'b':
        return 1;
    case 'H':
    case 'h':
        return sizeof(short);
    case 'L':
    case 'l':
        return sizeof(long);
    case 'T':
        return sizeof(size_t);
    case 'f':
        return sizeof(float);
    case 'd':
        return sizeof(double);
    case 'x':
        return 1;
    case 'c':
        return number_or(r, 1);
    case 'I':
    case 'i':
        n = number_or(r, sizeof(int));
        if (n > INTEGER_MOST)
            luaL_error(r->L, "integral size %d is larger than limit of %d", (int)n, INTEGER_MOST);
        return n;
    default:
        return 0;
    }
}

/* Bytes to leave out so that an option of this size lies well at `total`. */
static size_t padding(const struct reading *r, char option, size_t size, size_t total)
{
    if (size == 0 || option == 'c')
        return 0;
    if (size > r->align)
        size = r->align;
    return size > 1 ? (size - (total & (size - 1))) & (size - 1) : 0;
}

/* What sets how the rest is read; false: the option is none of these. */
static bool control(struct reading *r, char option)
{
    size_t n;
    switch (option) {
    case ' ':
        return true;
    case '>':
        r->little = false;
        return true;
    case '<':
        r->little = true;
        return true;
    case '!':
        n = number_or(r, sizeof(long));
        if (n == 0 || n & (n - 1))
            luaL_error(r->L, "alignment %d is not a power of 2", (int)n);
        r->align = n;
        return true;
    default:
        return false;
    }
}

static int bad_option(struct reading *r, char option)
{
    char text[64];
    lua_pushfstring(r->L, "invalid format option '%c'", option);
    snprintf(text, sizeof text, "%s", lua_tostring(r->L, -1));
    return luaL_argerror(r->L, 1, text);
}

static void put_integer(struct reading *r, luaL_Buffer *b, int arg, size_t size)
{
    char text[INTEGER_MOST];
    lua_Number n = luaL_checknumber(r->L, arg);
    uint64_t v = n < 0 ? (uint64_t)(n >= -9223372036854775808.0 ? (int64_t)n : INT64_MIN)
                 : n < 18446744073709551616.0 ? (uint64_t)n
                                              : 0;
    for (size_t i = 0; i < size; i++) {
        text[r->little ? i : size - 1 - i] = i < 8 ? (char)(v & 0xff) : 0;
        v >>= 8;
    }
    luaL_addlstring(b, text, size);
}

static void put_float(struct reading *r, luaL_Buffer *b, int arg, size_t size)
{
    char text[sizeof(double)], turned[sizeof(double)];
    double d = luaL_checknumber(r->L, arg);
    float f = (float)d;
    memcpy(text, size == sizeof f ? (const void *)&f : (const void *)&d, size);
    for (size_t i = 0; i < size; i++)
        turned[r->little ? i : size - 1 - i] = text[i];
    luaL_addlstring(b, turned, size);
}

/* 's' and 'c': how many bytes more. */
static size_t put_text(struct reading *r, luaL_Buffer *b, char option, int arg, size_t size)
{
    size_t len;
    const char *s = luaL_checklstring(r->L, arg, &len);
    if (option == 's' || size == 0)
        size = len;
    luaL_argcheck(r->L, len >= size, arg + 1, "string too short"); /* as the library counts */
    luaL_addlstring(b, s, size);
    if (option == 's') {
        luaL_addchar(b, 0);
        size++;
    }
    return size;
}

static int struct_pack(lua_State *L)
{
    struct reading r = {L, luaL_checkstring(L, 1), true, 1};
    luaL_Buffer b;
    int arg = 2;
    size_t total = 0;
    luaL_buffinit(L, &b);
    while (*r.format) {
        char option = *r.format++;
        size_t size = size_of(&r, option), pad = padding(&r, option, size, total);
        for (size_t i = 0; i < pad; i++)
            luaL_addchar(&b, 0);
        total += pad;
        if (option == 'x')
            luaL_addchar(&b, 0);
        else if (option == 's' || option == 'c')
            size = put_text(&r, &b, option, arg++, size);
        else if (option == 'f' || option == 'd')
            put_float(&r, &b, arg++, size);
        else if (option && strchr("bBhHlLTiI", option))
            put_integer(&r, &b, arg++, size);
        else if (!control(&r, option))
            return bad_option(&r, option);
        total += size;
    }
    luaL_pushresult(&b);
    return 1;
}

static lua_Number get_integer(const struct reading *r, const unsigned char *p, size_t size, bool is_signed)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++) {
        size_t at = r->little ? size - 1 - i : i;
        v = v << 8 | p[at];
    }
    if (!is_signed)
        return (lua_Number)v;
    if (size < 8 && size && v >> (8 * size - 1))
        v |= ~(uint64_t)0 << (8 * size);
    return (lua_Number)(int64_t)v;
}

static lua_Number get_float(const struct reading *r, const unsigned char *p, size_t size)
{
    unsigned char turned[sizeof(double)];
    double d;
    float f;
    for (size_t i = 0; i < size; i++)
        turned[i] = p[r->little ? i : size - 1 - i];
    if (size == sizeof f) {
        memcpy(&f, turned, size);
        return f;
    }
    memcpy(&d, turned, size);
    return d;
}

/* The value of an option at data, pushed; how many bytes it takes. */
static size_t get_value(struct reading *r, char option, size_t size, const unsigned char *data, size_t left,
                        int *n)
{
    lua_State *L = r->L;
    if (option == 's') {
        const unsigned char *end = memchr(data, 0, left);
        if (!end)
            luaL_error(L, "unfinished string in data");
        lua_pushlstring(L, (const char *)data, (size_t)(end - data));
        ++*n;
        return (size_t)(end - data) + 1;
    }
    if (option == 'c') {
        if (size == 0) {
            if (*n == 0 || !lua_isnumber(L, -1))
                luaL_error(L, "format 'c0' needs a previous size");
            lua_Number want = lua_tonumber(L, -1);
            luaL_argcheck(L, want >= 0 && want <= (lua_Number)left, 2, "data string too short");
            size = (size_t)want;
            lua_pop(L, 1);
            --*n;
        }
        lua_pushlstring(L, (const char *)data, size);
    } else if (option == 'f' || option == 'd') {
        lua_pushnumber(L, get_float(r, data, size));
    } else {
        lua_pushnumber(L, get_integer(r, data, size, islower((unsigned char)option)));
    }
    ++*n;
    return size;
}

static int struct_unpack(lua_State *L)
{
    size_t len;
    struct reading r = {L, luaL_checkstring(L, 1), true, 1};
    const unsigned char *data = (const unsigned char *)luaL_checklstring(L, 2, &len);
    lua_Number from = luaL_optnumber(L, 3, 1);
    luaL_argcheck(L, from > 0, 3, "offset must be 1 or greater");
    size_t at = from - 1 < (lua_Number)len ? (size_t)(from - 1) : len;
    int n = 0;
    luaL_argcheck(L, from - 1 <= (lua_Number)len, 2, "data string too short");
    while (*r.format) {
        char option = *r.format++;
        size_t size = size_of(&r, option), pad = padding(&r, option, size, at);
        luaL_argcheck(L, pad <= len - at && size <= len - at - pad, 2, "data string too short");
        luaL_checkstack(L, 2, "too many results");
        at += pad;
        if (option == 'x')
            at += size;
        else if (strchr("bBhHlLTiIfdsc", option))
            at += get_value(&r, option, size, data + at, len - at, &n);
        else if (!control(&r, option))
            return bad_option(&r, option);
    }
    lua_pushinteger(L, (lua_Integer)at + 1);
    return n + 1;
}

static int struct_size(lua_State *L)
{
    struct reading r = {L, luaL_checkstring(L, 1), true, 1};
    size_t at = 0;
    while (*r.format) {
        char option = *r.format++;
        size_t size = size_of(&r, option);
        at += padding(&r, option, size, at);
        if (option == 's')
            luaL_argerror(L, 1, "option 's' has no fixed size");
        else if (option == 'c' && size == 0)
            luaL_argerror(L, 1, "option 'c0' has no fixed size");
        control(&r, option);
        if (at > INT_MAX - size)
            return luaL_error(L, "integral size overflow");
        at += size;
    }
    lua_pushinteger(L, (lua_Integer)at);
    return 1;
}

void struct_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"pack", struct_pack}, {"unpack", struct_unpack}, {"size", struct_size}, {NULL, NULL}};
    lua_newtable(L);
    sandbox_functions(L, functions);
}

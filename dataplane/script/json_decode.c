/* json_decode.c: cjson.decode: JSON (RFC 8259) to Lua values, with the errors of Lua-CJSON 2.1.
 * https://kyne.com.au/~mark/software/lua-cjson-manual.html */
#include "script/json.h"

#include <stdlib.h>

struct decoder {
    lua_State *L;
    const struct options *o;
    const char *begin, *p, *end;
    char *text; /* of strings: as long as the whole input */
    int depth;
};

/* What stands where something else was expected. */
static const char *token_name(const struct decoder *d)
{
    if (d->p >= d->end)
        return "T_END";
    switch (*d->p) {
    case '{':
        return "T_OBJ_BEGIN";
    case '}':
        return "T_OBJ_END";
    case '[':
        return "T_ARR_BEGIN";
    case ']':
        return "T_ARR_END";
    case ',':
        return "T_COMMA";
    case ':':
        return "T_COLON";
    case '"':
        return "T_STRING";
    case 't':
    case 'f':
        return "T_BOOLEAN";
    case 'n':
        return "T_NULL";
    default:
        return (*d->p >= '0' && *d->p <= '9') || *d->p == '-' ? "T_NUMBER" : NULL;
    }
}

static void expected(struct decoder *d, const char *what, const char *found)
{
    if (!found)
        found = token_name(d);
    luaL_error(d->L, "Expected %s but found %s at character %d", what, found ? found : "invalid token",
               (int)(d->p - d->begin) + 1);
}

static void skip_space(struct decoder *d)
{
    while (d->p < d->end && strchr(" \t\r\n", *d->p) && *d->p)
        d->p++;
}

static int hex4(const char *p, const char *end)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p + i < end ? p[i] : 'x';
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static size_t put_utf8(char *to, unsigned v)
{
    unsigned more = v < 0x80 ? 0 : v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = {0, 0xc0, 0xe0, 0xf0};
    to[0] = (char)(lead[more] | v >> (6 * more));
    for (unsigned i = 1; i <= more; i++)
        to[i] = (char)(0x80 | (v >> (6 * (more - i)) & 0x3f));
    return more + 1;
}

/* \uXXXX at p, perhaps a pair; how many bytes of input it has, 0 = invalid. */
static size_t unicode_escape(struct decoder *d, const char *p, char *to, size_t *made)
{
    int v = hex4(p + 2, d->end);
    if (v < 0 || (v & 0xfc00) == 0xdc00)
        return 0;
    if ((v & 0xfc00) != 0xd800) {
        *made = put_utf8(to, (unsigned)v);
        return 6;
    }
    int low = p + 7 < d->end && p[6] == '\\' && p[7] == 'u' ? hex4(p + 8, d->end) : -1;
    if (low < 0 || (low & 0xfc00) != 0xdc00)
        return 0;
    *made = put_utf8(to, (((unsigned)v & 0x3ff) << 10 | ((unsigned)low & 0x3ff)) + 0x10000);
    return 12;
}

/* Control characters are taken as they are, as Redis' cjson does; a zero byte is the end. */
static void decode_string(struct decoder *d, const char *what)
{
    size_t n = 0;
    const char *p = d->p + 1;
    while (p < d->end && *p != '"' && *p) {
        if (*p != '\\') {
            d->text[n++] = *p++;
            continue;
        }
        char c = p + 1 < d->end ? p[1] : 0;
        const char *letter = "\"\\/bfnrt", *found = c ? strchr(letter, c) : NULL;
        size_t used = found ? 2 : 0, made = 1;
        if (found)
            d->text[n] = "\"\\/\b\f\n\r\t"[found - letter];
        else if (c == 'u')
            used = unicode_escape(d, p, d->text + n, &made);
        if (!used) {
            d->p = p;
            expected(d, what, c == 'u' ? "invalid unicode escape code" : "invalid escape code");
        }
        n += made;
        p += used;
    }
    if (p >= d->end || !*p) {
        d->p = p;
        expected(d, what, "unexpected end of string");
    }
    d->p = p + 1;
    lua_pushlstring(d->L, d->text, n);
}

/* A number as JSON has it; with invalid numbers allowed what strtod() takes, too. */
static bool is_number(const struct decoder *d)
{
    const char *p = d->p;
    if (*p == '-')
        p++;
    bool digit = p < d->end && *p >= '0' && *p <= '9';
    if (d->o->invalid_decode)
        return digit || strncasecmp(p, "inf", 3) == 0 || strncasecmp(p, "nan", 3) == 0;
    return digit &&
           !(*p == '0' && p + 1 < d->end && ((p[1] >= '0' && p[1] <= '9') || p[1] == 'x' || p[1] == 'X'));
}

static bool word(struct decoder *d, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(d->end - d->p) < n || memcmp(d->p, text, n) != 0)
        return false;
    d->p += n;
    return true;
}

static void decode_value(struct decoder *d);

static void deeper(struct decoder *d)
{
    d->p++;
    if (++d->depth > d->o->decode_depth || !lua_checkstack(d->L, 3))
        luaL_error(d->L, "Found too many nested data structures (%d) at character %d", d->depth,
                   (int)(d->p - d->begin));
}

static void decode_object(struct decoder *d)
{
    deeper(d);
    lua_newtable(d->L);
    skip_space(d);
    static const char what[] = "object key string";
    for (bool first = true; d->p >= d->end || *d->p != '}'; first = false) {
        if (!first) {
            if (d->p >= d->end || *d->p != ',')
                expected(d, "comma or object end", NULL);
            d->p++;
            skip_space(d);
        }
        if (d->p >= d->end || *d->p != '"')
            expected(d, what, NULL);
        decode_string(d, what);
        skip_space(d);
        if (d->p >= d->end || *d->p != ':')
            expected(d, "colon", NULL);
        d->p++;
        decode_value(d);
        lua_rawset(d->L, -3);
        skip_space(d);
    }
    d->p++;
    d->depth--;
}

static void decode_array(struct decoder *d)
{
    deeper(d);
    lua_newtable(d->L);
    skip_space(d);
    for (int i = 1; d->p >= d->end || *d->p != ']'; i++) {
        if (i > 1) {
            if (d->p >= d->end || *d->p != ',')
                expected(d, "comma or array end", NULL);
            d->p++;
        }
        decode_value(d);
        lua_rawseti(d->L, -2, i);
        skip_space(d);
    }
    d->p++;
    d->depth--;
}

static void decode_value(struct decoder *d)
{
    char *end;
    skip_space(d);
    char c = d->p < d->end ? *d->p : 0;
    if (c == '{') {
        decode_object(d);
    } else if (c == '[') {
        decode_array(d);
    } else if (c == '"') {
        decode_string(d, "value");
    } else if (c && is_number(d)) {
        lua_pushnumber(d->L, strtod(d->p, &end));
        d->p = end;
    } else if (c && word(d, "true")) {
        lua_pushboolean(d->L, 1);
    } else if (c && word(d, "false")) {
        lua_pushboolean(d->L, 0);
    } else if (c && word(d, "null")) {
        lua_pushlightuserdata(d->L, NULL);
    } else {
        const char *name = token_name(d);
        bool half = name && strchr("tfn-0", c) && c;
        expected(d, "value", half ? (strchr("-0", c) ? "invalid number" : "invalid token") : name);
    }
}

int json_decode(lua_State *L)
{
    size_t len;
    luaL_argcheck(L, lua_gettop(L) == 1, 1, "expected 1 argument");
    const char *text = luaL_checklstring(L, 1, &len);
    struct decoder d = {L, json_options(L), text, text, text + len, NULL, 0};
    if (len >= 2 && (!text[0] || !text[1])) /* UTF-16 and UTF-32 */
        luaL_error(L, "JSON parser does not support UTF-16 or UTF-32");
    d.text = lua_newuserdata(L, len + 4);
    decode_value(&d);
    skip_space(&d);
    if (d.p < d.end)
        expected(&d, "the end", NULL);
    return 1;
}

/* value.c: replies as Lua values, Lua values as replies.
 * https://redis.io/docs/latest/develop/interact/programmability/lua-api/#data-type-conversion */
#include "base/number.h"
#include "script/host.h"

#include <stdio.h>
#include <stdlib.h>

/* -- RESP to Lua: what our own writer has written, so it is well formed -- */

static struct slice line(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *p = *at, *cr = memchr(p, '\r', (size_t)(end - p));
    if (!cr)
        cr = end;
    *at = end - cr >= 2 ? cr + 2 : end;
    return (struct slice){p, (size_t)(cr - p)};
}

static int64_t number_line(const uint8_t **at, const uint8_t *end)
{
    int64_t n = 0;
    return parse_i64(line(at, end), &n) ? n : -1;
}

static void push_slice(lua_State *L, struct slice s)
{
    lua_pushlstring(L, (const char *)s.p, s.len);
}

/* { [name] = the value on top }. */
static void wrap_in(lua_State *L, const char *name)
{
    lua_createtable(L, 0, 1);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
}

static struct slice bulk(const uint8_t **at, const uint8_t *end, int64_t len)
{
    size_t left = (size_t)(end - *at), n = len < 0 ? 0 : (size_t)len < left ? (size_t)len : left;
    struct slice s = {*at, n};
    *at += left - n >= 2 ? n + 2 : left;
    return s;
}

/* After so many elements others may have the worker. */
enum { GIVE_WAY_EACH = 16 };

static void element_done(lua_State *L, int64_t i)
{
    if (i % GIVE_WAY_EACH == 0)
        host_give_way(script_host_from(L));
}

static void array_from(lua_State *L, const uint8_t **at, const uint8_t *end, int64_t n)
{
    enum { ELEMENT_LEAST = 3 }; /* bytes, so that a table is not made larger than it can become */
    int64_t most = (end - *at) / ELEMENT_LEAST;
    lua_createtable(L, (int)(n < most ? n : most), 0);
    for (int64_t i = 1; i <= n && *at < end; i++) {
        value_from_resp(L, at, end);
        lua_rawseti(L, -2, (int)i);
        element_done(L, i);
    }
}

/* An entry of a table of which the key, and the value unless it is a set, come next. */
static void pairs_from(lua_State *L, const uint8_t **at, const uint8_t *end, int64_t n, bool set)
{
    lua_createtable(L, 0, n < 1024 ? (int)n : 1024);
    for (int64_t i = 0; i < n && *at < end; i++) {
        value_from_resp(L, at, end);
        if (set)
            lua_pushboolean(L, 1);
        else
            value_from_resp(L, at, end);
        if (lua_isnil(L, -2))
            lua_pop(L, 2);
        else
            lua_rawset(L, -3);
        element_done(L, i);
    }
    wrap_in(L, set ? "set" : "map");
}

static void verbatim_from(lua_State *L, struct slice s)
{
    lua_createtable(L, 0, 2);
    lua_pushlstring(L, (const char *)s.p, s.len < 3 ? s.len : 3);
    lua_setfield(L, -2, "format");
    lua_pushlstring(L, s.len > 4 ? (const char *)s.p + 4 : "", s.len > 4 ? s.len - 4 : 0);
    lua_setfield(L, -2, "string");
    wrap_in(L, "verbatim_string");
}

static void double_from(lua_State *L, struct slice s)
{
    char text[64];
    size_t n = s.len < sizeof text - 1 ? s.len : sizeof text - 1;
    memcpy(text, s.p, n);
    text[n] = 0;
    lua_pushnumber(L, strtod(text, NULL));
    wrap_in(L, "double");
}

/* Kinds with a count or a length. */
static void sized_from(lua_State *L, uint8_t kind, const uint8_t **at, const uint8_t *end)
{
    int64_t n = number_line(at, end);
    if (n < 0)
        lua_pushboolean(L, 0);
    else if (kind == '$')
        push_slice(L, bulk(at, end, n));
    else if (kind == '=')
        verbatim_from(L, bulk(at, end, n));
    else if (kind == '%' || kind == '~')
        pairs_from(L, at, end, n, kind == '~');
    else
        array_from(L, at, end, n);
}

/* Of a reply with an attribute in front a script sees the reply. */
static void behind_attribute(lua_State *L, const uint8_t **at, const uint8_t *end, struct slice pairs)
{
    int64_t n = 0;
    parse_i64(pairs, &n);
    for (int64_t i = 0; i < 2 * n && *at < end; i++) {
        value_from_resp(L, at, end);
        lua_pop(L, 1);
    }
    value_from_resp(L, at, end);
}

void value_from_resp(lua_State *L, const uint8_t **at, const uint8_t *end)
{
    luaL_checkstack(L, 6, "reply too deep");
    if (*at >= end) {
        lua_pushboolean(L, 0);
        return;
    }
    uint8_t kind = *(*at)++;
    if (strchr("$=%~*>", kind)) {
        sized_from(L, kind, at, end);
        return;
    }
    struct slice s = line(at, end);
    if (kind == ':') {
        int64_t n = 0;
        parse_i64(s, &n);
        lua_pushnumber(L, (lua_Number)n);
    } else if (kind == '+') {
        push_slice(L, s);
        wrap_in(L, "ok");
    } else if (kind == '-') {
        api_push_counted_error(L, (const char *)s.p - 1, s.len + 1);
    } else if (kind == '#') {
        lua_pushboolean(L, s.len && s.p[0] == 't');
    } else if (kind == ',') {
        double_from(L, s);
    } else if (kind == '(') {
        push_slice(L, s);
        wrap_in(L, "big_number");
    } else if (kind == '|') {
        behind_attribute(L, at, end, s);
    } else {
        lua_pushnil(L);
    }
}

/* -- Lua to RESP -- */

/* What is long is replied in slices: then others may have the worker in the middle of it. */
static void part_done(struct script_host *h, size_t i)
{
    if (i % GIVE_WAY_EACH == 0 && h->rq->again)
        host_give_way(h);
}

/* Pushes t[name], t being on top, without metatables. */
static void field(struct script_host *h, enum host_name name)
{
    lua_rawgeti(h->L, LUA_REGISTRYINDEX, h->name[name]);
    lua_rawget(h->L, -2);
}

/* Line ends become blanks. */
static void write_text(struct resp_writer *out, const char *prefix, const char *text, size_t len)
{
    reply_raw(out, prefix, strlen(prefix));
    for (size_t i = 0, from = 0; i <= len; i++)
        if (i == len || text[i] == '\r' || text[i] == '\n') {
            reply_raw(out, text + from, i - from);
            if (i < len)
                reply_raw(out, " ", 1);
            from = i + 1;
        }
    reply_raw(out, "\r\n", 2);
}

static void table_of_pairs(struct script_host *h, struct resp_writer *out, bool set)
{
    lua_State *L = h->L;
    size_t n = 0;
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        part_done(h, ++n);
    if (set)
        reply_set(out, n);
    else
        reply_map(out, n);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (set)
            lua_pop(L, 1);
        lua_pushvalue(L, set ? -1 : -2);
        value_to_reply(h, out); /* the key */
        if (!set)
            value_to_reply(h, out);
        part_done(h, n--);
    }
}

static void list_to_reply(struct script_host *h, struct resp_writer *out)
{
    lua_State *L = h->L;
    int n = 0;
    for (lua_rawgeti(L, -1, 1); !lua_isnil(L, -1); lua_rawgeti(L, -1, n + 1)) {
        lua_pop(L, 1);
        part_done(h, (size_t)++n);
    }
    lua_pop(L, 1);
    reply_array(out, (size_t)n);
    for (int i = 1; i <= n; i++) {
        lua_rawgeti(L, -1, i);
        value_to_reply(h, out);
        part_done(h, (size_t)i);
    }
}

static bool verbatim_to_reply(struct script_host *h, struct resp_writer *out)
{
    lua_State *L = h->L;
    struct slice text;
    char ext[3];
    size_t n;
    field(h, NAME_FORMAT);
    bool is = lua_type(L, -1) == LUA_TSTRING;
    const char *format = is ? lua_tolstring(L, -1, &n) : "";
    is = is && n >= 3;
    if (is)
        memcpy(ext, format, 3);
    lua_pop(L, 1);
    field(h, NAME_STRING);
    is = is && lua_type(L, -1) == LUA_TSTRING;
    if (is) {
        text.p = (const uint8_t *)lua_tolstring(L, -1, &text.len);
        reply_verbatim(out, ext, text);
    }
    lua_pop(L, 1);
    return is;
}

void value_reply_error(struct script_host *h, struct resp_writer *out, int index, const char *text)
{
    uint32_t errors = out->errors;
    lua_rawgeti(h->L, LUA_REGISTRYINDEX, h->name[NAME_COUNTED]);
    lua_rawget(h->L, index);
    bool counted = lua_toboolean(h->L, -1);
    lua_pop(h->L, 1);
    reply_error(out, text);
    if (counted) { /* as that of the command that made it */
        out->errors = errors;
        h->rq->env->stats[h->rq->cmd->id].failed++;
    }
}

static void write_big_number(struct resp_writer *out, const char *digits, size_t len)
{
    char prefix[32] = "(";
    if (out->proto == 2)
        snprintf(prefix, sizeof prefix, "$%zu\r\n", len);
    write_text(out, prefix, digits, len);
}

/* The field on top says what its table stands for; false if it does not. */
static bool special(struct script_host *h, struct resp_writer *out, enum host_name name)
{
    lua_State *L = h->L;
    int type = lua_type(L, -1);
    size_t len;
    if (name == NAME_DOUBLE && type == LUA_TNUMBER) {
        reply_double(out, lua_tonumber(L, -1));
        return true;
    }
    if (type == LUA_TTABLE && (name == NAME_MAP || name == NAME_SET)) {
        table_of_pairs(h, out, name == NAME_SET);
        return true;
    }
    if (type == LUA_TTABLE && name == NAME_VERBATIM)
        return verbatim_to_reply(h, out);
    if (type != LUA_TSTRING)
        return false;
    const char *text = lua_tolstring(L, -1, &len);
    if (name == NAME_ERR)
        value_reply_error(h, out, lua_gettop(L) - 1, text);
    else if (name == NAME_OK)
        write_text(out, "+", text, strlen(text));
    else if (name == NAME_BIG_NUMBER)
        write_big_number(out, text, len);
    else
        return false;
    return true;
}

static void table_to_reply(struct script_host *h, struct resp_writer *out)
{
    static const enum host_name kinds[] = {NAME_ERR, NAME_OK,         NAME_DOUBLE,  NAME_MAP,
                                           NAME_SET, NAME_BIG_NUMBER, NAME_VERBATIM};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        field(h, kinds[i]);
        bool done = special(h, out, kinds[i]);
        lua_pop(h->L, 1);
        if (done)
            return;
    }
    list_to_reply(h, out);
}

void value_to_reply(struct script_host *h, struct resp_writer *out)
{
    lua_State *L = h->L;
    struct slice text;
    if (!lua_checkstack(L, 6)) {
        reply_error(out, "ERR reached lua stack limit");
        lua_pop(L, 1);
        return;
    }
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        text.p = (const uint8_t *)lua_tolstring(L, -1, &text.len);
        reply_bulk(out, text);
        break;
    case LUA_TBOOLEAN:
        if (h->resp > 2)
            reply_bool(out, lua_toboolean(L, -1));
        else if (lua_toboolean(L, -1))
            reply_int(out, 1);
        else
            reply_null(out);
        break;
    case LUA_TNUMBER:
        reply_int(out, (int64_t)lua_tonumber(L, -1));
        break;
    case LUA_TTABLE:
        table_to_reply(h, out);
        break;
    default:
        reply_null(out);
    }
    lua_pop(L, 1);
}

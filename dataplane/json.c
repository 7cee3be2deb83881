/* json.c: see json.h. */
#include "json.h"

#include "base/number.h"

#include <stdio.h>

struct json json_begin(struct resp_writer *out)
{
    reply_raw(out, "{", 1);
    return (struct json){.out = out};
}

void json_end(struct json *j)
{
    reply_raw(j->out, "}\n", 2);
}

static bool is_plain(uint8_t c)
{
    return c >= ' ' && c < 127 && c != '"' && c != '\\';
}

static void quoted(struct resp_writer *out, struct slice s)
{
    size_t from = 0;
    reply_raw(out, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        char escape[8];
        if (is_plain(s.p[i]))
            continue;
        reply_raw(out, s.p + from, i - from);
        reply_raw(out, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", s.p[i]));
        from = i + 1;
    }
    reply_raw(out, s.p + from, s.len - from);
    reply_raw(out, "\"", 1);
}

static void name_of(struct json *j, const char *name)
{
    if (j->comma)
        reply_raw(j->out, ",", 1);
    j->comma = true;
    quoted(j->out, slice_str(name));
    reply_raw(j->out, ":", 1);
}

void json_u64(struct json *j, const char *name, uint64_t v)
{
    char digits[24];
    name_of(j, name);
    reply_raw(j->out, digits, format_u64(digits, v));
}

void json_bool(struct json *j, const char *name, bool v)
{
    name_of(j, name);
    reply_raw(j->out, v ? "true" : "false", v ? 4 : 5);
}

void json_slice(struct json *j, const char *name, struct slice s)
{
    name_of(j, name);
    quoted(j->out, s);
}

void json_text(struct json *j, const char *name, const char *text)
{
    json_slice(j, name, slice_str(text));
}

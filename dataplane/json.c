/* json.c: see json.h. */
#include "json.h"

#include <inttypes.h>
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

static void quoted(struct resp_writer *out, struct slice s)
{
    reply_raw(out, "\"", 1);
    for (size_t i = 0; i < s.len; i++) {
        char escape[8];
        bool plain = s.p[i] >= ' ' && s.p[i] < 127 && s.p[i] != '"' && s.p[i] != '\\';
        if (plain)
            reply_raw(out, s.p + i, 1);
        else
            reply_raw(out, escape, (size_t)snprintf(escape, sizeof escape, "\\u%04x", s.p[i]));
    }
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
    reply_raw(j->out, digits, (size_t)snprintf(digits, sizeof digits, "%" PRIu64, v));
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

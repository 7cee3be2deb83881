/* text.c: text that grows. */
#include "command/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

enum { FIRST_CAPACITY = 1024 };

static bool make_room(struct text *t, size_t n)
{
    if (t->failed)
        return false;
    if (n <= t->cap - t->len)
        return true;
    size_t cap = t->cap ? t->cap : FIRST_CAPACITY;
    while (cap - t->len < n)
        cap *= 2;
    char *p = realloc(t->p, cap);
    if (!p) {
        t->failed = true;
        return false;
    }
    t->p = p;
    t->cap = cap;
    return true;
}

void text_add(struct text *t, struct slice s)
{
    if (s.len == 0 || !make_room(t, s.len))
        return;
    memcpy(t->p + t->len, s.p, s.len);
    t->len += s.len;
}

void text_addf(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 || !make_room(t, (size_t)n + 1))
        return;
    va_start(args, format);
    vsnprintf(t->p + t->len, (size_t)n + 1, format, args);
    va_end(args);
    t->len += (size_t)n;
}

size_t text_quote(char *to, uint8_t c)
{
    static const char named[] = "\\\\\"\"\nn\rr\tt\aa\bb";
    for (size_t i = 0; i + 1 < sizeof named; i += 2)
        if ((uint8_t)named[i] == c) {
            to[0] = '\\';
            to[1] = named[i + 1];
            return 2;
        }
    if (c >= ' ' && c <= '~') {
        to[0] = (char)c;
        return 1;
    }
    char hex[3];
    bytes_hex(&c, 1, hex);
    memcpy(to, "\\x", 2);
    memcpy(to + 2, hex, 2);
    return 4;
}

void text_reply(struct text *t, struct resp_writer *w)
{
    if (t->failed)
        reply_error(w, "ERR out of memory while the reply was put together");
    else
        reply_verbatim(w, "txt", (struct slice){(const uint8_t *)t->p, t->len});
    free(t->p);
    *t = (struct text){0};
}

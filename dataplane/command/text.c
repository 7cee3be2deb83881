/* text.c: text that grows. */
#include "command/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

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

void text_reply(struct text *t, struct resp_writer *w)
{
    if (t->failed)
        reply_error(w, "ERR out of memory while the reply was put together");
    else
        reply_verbatim(w, "txt", (struct slice){(const uint8_t *)t->p, t->len});
    free(t->p);
    *t = (struct text){0};
}

/* text.c: growable text and words. */
#include "control/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *checked(void *p)
{
    if (!p) {
        fputs("sluice-control: out of memory; exiting (the dataplane serves on)\n", stderr);
        exit(1);
    }
    return p;
}

void *must_alloc(size_t n, size_t size)
{
    return checked(calloc(n ? n : 1, size));
}

void *must_grow(void *p, size_t n, size_t size)
{
    return checked(reallocarray(p, n ? n : 1, size));
}

char *must_copy(const char *s)
{
    return checked(strdup(s));
}

char *must_copy_n(const char *s, size_t len)
{
    char *p = must_alloc(len + 1, 1);
    if (len)
        memcpy(p, s, len);
    return p;
}

char *must_print(const char *format, ...)
{
    struct text t = {0};
    va_list args;
    va_start(args, format);
    text_vprintf(&t, format, args);
    va_end(args);
    return t.p ? t.p : must_copy("");
}

static void reserve(struct text *t, size_t more)
{
    if (t->len + more + 1 <= t->room)
        return;
    t->room = (t->len + more + 1) * 2;
    t->p = must_grow(t->p, t->room, 1);
}

void text_add_n(struct text *t, const char *s, size_t len)
{
    reserve(t, len);
    memcpy(t->p + t->len, s, len);
    t->len += len;
    t->p[t->len] = 0;
}

void text_add(struct text *t, const char *s)
{
    text_add_n(t, s, strlen(s));
}

void text_vprintf(struct text *t, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n > 0) {
        reserve(t, (size_t)n);
        vsnprintf(t->p + t->len, (size_t)n + 1, format, again);
        t->len += (size_t)n;
    }
    va_end(again);
}

void text_printf(struct text *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    text_vprintf(t, format, args);
    va_end(args);
}

static bool bare(const char *s)
{
    if (!*s || *s == '#')
        return false;
    for (; *s; s++)
        if (!isgraph((unsigned char)*s) || *s == '"' || *s == '\'' || *s == '\\')
            return false;
    return true;
}

void text_add_word(struct text *t, const char *s)
{
    static const char named[] = "\n\r\t\a\b", letters[] = "nrtab";
    if (bare(s)) {
        text_add(t, s);
        return;
    }
    text_add(t, "\"");
    for (; *s; s++) {
        const char *n = strchr(named, *s);
        if (*s == '"' || *s == '\\')
            text_printf(t, "\\%c", *s);
        else if (n)
            text_printf(t, "\\%c", letters[n - named]);
        else if (isprint((unsigned char)*s))
            text_add_n(t, s, 1);
        else
            text_printf(t, "\\x%02x", (unsigned char)*s);
    }
    text_add(t, "\"");
}

const char *text_str(const struct text *t)
{
    return t->p ? t->p : "";
}

void text_free(struct text *t)
{
    free(t->p);
    *t = (struct text){0};
}

void words_add(struct words *w, char *owned)
{
    w->p = must_grow(w->p, w->n + 1, sizeof *w->p);
    w->p[w->n++] = owned;
}

void words_free(struct words *w)
{
    for (unsigned i = 0; i < w->n; i++)
        free(w->p[i]);
    free(w->p);
    *w = (struct words){0};
}

bool words_equal(const struct words *a, const struct words *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++)
        if (strcmp(a->p[i], b->p[i]) != 0)
            return false;
    return true;
}

/* settings.c: values of all directives. */
#include "control/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings *settings_defaults(void)
{
    struct settings *s = must_alloc(1, sizeof *s);
    s->value = must_alloc(directive_count(), sizeof *s->value);
    s->set = must_alloc(directive_count(), sizeof *s->set);
    for (unsigned i = 0; i < directive_count(); i++)
        if (directives[i].fallback)
            words_add(&s->value[i], must_copy(directives[i].fallback));
    return s;
}

struct settings *settings_copy(const struct settings *from)
{
    struct settings *s = must_alloc(1, sizeof *s);
    s->value = must_alloc(directive_count(), sizeof *s->value);
    s->set = must_alloc(directive_count(), sizeof *s->set);
    for (unsigned i = 0; i < directive_count(); i++) {
        s->set[i] = from->set[i];
        for (unsigned j = 0; j < from->value[i].n; j++)
            words_add(&s->value[i], must_copy(from->value[i].p[j]));
    }
    return s;
}

void settings_free(struct settings *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < directive_count(); i++)
        words_free(&s->value[i]);
    free(s->value);
    free(s->set);
    free(s);
}

const char *settings_get(const struct settings *s, const char *name)
{
    int i = directive_find(name);
    return i >= 0 && s->value[i].n ? s->value[i].p[0] : "";
}

long settings_number(const struct settings *s, const char *name)
{
    return strtol(settings_get(s, name), NULL, 10);
}

static bool store(struct settings *s, int i, const struct words *w, const char *before, char *error,
                  size_t size)
{
    struct text out = {0};
    if (!directive_value(&directives[i], w, before, &out, error, size)) {
        text_free(&out);
        return false;
    }
    bool repeated = directives[i].flags & DIRECTIVE_REPEATED;
    if (repeated && directives[i].max && s->value[i].n >= directives[i].max) {
        snprintf(error, size, "more than %u of them; join or remove some", (unsigned)directives[i].max);
        text_free(&out);
        return false;
    }
    if (!repeated)
        words_free(&s->value[i]);
    words_add(&s->value[i], out.p);
    s->set[i] = true;
    return true;
}

bool settings_add(struct settings *s, int i, const struct words *w, char *error, size_t size)
{
    bool gathered = (directives[i].flags & DIRECTIVE_GATHERED) && s->set[i] && s->value[i].n;
    char *before = gathered ? must_copy(s->value[i].p[0]) : NULL;
    bool good = store(s, i, w, before, error, size);
    free(before);
    return good;
}

bool settings_replace(struct settings *s, int i, const char *value, char *error, size_t size)
{
    struct words w = {0};
    words_add(&w, must_copy(value));
    /* Classes that CONFIG SET client-output-buffer-limit does not name keep their limits; save is replaced as
     * a whole. */
    const char *old = directives[i].check == check_output_limits ? s->value[i].p[0] : NULL;
    char *before = old ? must_copy(old) : NULL;
    bool good = store(s, i, &w, before, error, size);
    free(before);
    words_free(&w);
    return good;
}

void settings_clear(struct settings *s, int i)
{
    if (directives[i].flags & DIRECTIVE_REPEATED)
        words_free(&s->value[i]);
    s->set[i] = false;
}

void settings_place(struct settings *s)
{
    int dir = directive_find("dir");
    char error[64];
    if (!s->set[dir] && settings_replace(s, dir, settings_get(s, "state-dir"), error, sizeof error))
        s->set[dir] = false;
}

bool settings_same(const struct settings *a, const struct settings *b, int i)
{
    return words_equal(&a->value[i], &b->value[i]);
}

void settings_each(const struct settings *s, void (*fn)(const char *name, const char *value, void *arg),
                   void *arg)
{
    for (unsigned i = 0; i < directive_count(); i++)
        for (unsigned j = 0; j < s->value[i].n; j++) {
            fn(directives[i].name, s->value[i].p[j], arg);
            if (directives[i].alias)
                fn(directives[i].alias, s->value[i].p[j], arg);
        }
}

void settings_copy_one(struct settings *to, const struct settings *from, int directive)
{
    words_free(&to->value[directive]);
    for (unsigned i = 0; i < from->value[directive].n; i++)
        words_add(&to->value[directive], must_copy(from->value[directive].p[i]));
    to->set[directive] = from->set[directive];
}

/* acl_rights.c: the rights of a user as a value: making, copying, showing. See acl_rights.h. */
#include "command/acl_rights.h"

#include <stdlib.h>

/* -- lists -- */

static void compile(struct word *w)
{
    static const char special[] = "*?[\\";
    size_t n = 0;
    while (n < w->text.len && !memchr(special, w->text.p[n], sizeof special - 1))
        n++;
    bool equal = n == w->text.len, begins = n + 1 == w->text.len && w->text.p[n] == '*';
    w->shallow = (equal || begins) && n <= 8;
    w->least = equal || n ? n : 1; /* nothing but the empty pattern matches the empty name */
    w->spare = equal ? 0 : SIZE_MAX / 2;
    memcpy(&w->head, w->text.p, n < 8 ? n : 8);
    memset(&w->mask, 255, n < 8 ? n : 8);
}

bool words_add(struct words *w, unsigned of, struct slice text)
{
    uint8_t *copy = malloc(text.len + 1);
    struct word *p = copy ? realloc(w->p, (w->n + 1) * sizeof *p) : NULL;
    if (!p) {
        free(copy);
        return false;
    }
    if (text.len)
        memcpy(copy, text.p, text.len);
    copy[text.len] = 0;
    w->p = p;
    w->p[w->n] = (struct word){.of = of, .text = {copy, text.len}};
    compile(&w->p[w->n++]);
    return true;
}

struct word *words_find(const struct words *w, struct slice text)
{
    for (unsigned i = 0; i < w->n; i++)
        if (slice_eq(w->p[i].text, text))
            return &w->p[i];
    return NULL;
}

static void word_free(struct word *word)
{
    free((void *)(uintptr_t)word->text.p);
}

void words_remove(struct words *w, struct word *which)
{
    word_free(which);
    memmove(which, which + 1, (size_t)(w->p + --w->n - which) * sizeof *which);
}

void words_clear(struct words *w)
{
    while (w->n)
        word_free(&w->p[--w->n]);
    free(w->p);
    w->p = NULL;
}

bool words_copy(struct words *to, const struct words *from)
{
    *to = (struct words){0};
    for (unsigned i = 0; i < from->n; i++)
        if (!words_add(to, from->p[i].of, from->p[i].text)) {
            words_clear(to);
            return false;
        }
    return true;
}

/* -- rights -- */

static void selector_free(struct selector *s)
{
    words_clear(&s->keys);
    words_clear(&s->channels);
    words_clear(&s->firsts);
    words_clear(&s->rules);
}

static bool selector_copy(struct selector *to, const struct selector *from)
{
    *to = *from;
    to->channels = to->firsts = to->rules = (struct words){0};
    if (words_copy(&to->keys, &from->keys) && words_copy(&to->channels, &from->channels) &&
        words_copy(&to->firsts, &from->firsts) && words_copy(&to->rules, &from->rules))
        return true;
    selector_free(to);
    return false;
}

bool rights_init(struct rights *r, bool all_channels)
{
    *r = (struct rights){.sanitize = true, .selectors = 1, .selector = calloc(1, sizeof *r->selector)};
    if (r->selector)
        r->selector->all_channels = all_channels;
    return r->selector != NULL;
}

void rights_free(struct rights *r)
{
    words_clear(&r->passwords);
    while (r->selectors)
        selector_free(&r->selector[--r->selectors]);
    free(r->selector);
    r->selector = NULL;
}

bool rights_copy(struct rights *to, const struct rights *from)
{
    *to = *from;
    to->selectors = 0;
    to->selector = calloc(from->selectors, sizeof *to->selector);
    bool good = words_copy(&to->passwords, &from->passwords) && to->selector;
    while (good && to->selectors < from->selectors) {
        good = selector_copy(&to->selector[to->selectors], &from->selector[to->selectors]);
        to->selectors += good;
    }
    if (!good)
        rights_free(to);
    return good;
}

/* -- back into rules -- */

static void add_word(struct text *t, const char *mark, struct slice word)
{
    text_add(t, SLICE_LIT(" "));
    text_add(t, slice_str(mark));
    text_add(t, word);
}

void selector_commands(const struct selector *s, struct text *t)
{
    bool future = s->allowed[RIGHTS_FUTURE / 64] >> RIGHTS_FUTURE % 64 & 1;
    add_word(t, future ? "+" : "-", SLICE_LIT("@all"));
    for (unsigned i = 0; i < s->rules.n; i++)
        add_word(t, "", s->rules.p[i].text);
}

void selector_keys(const struct selector *s, struct text *t)
{
    static const char *const marks[] = {
        [RIGHT_READ] = "%R~", [RIGHT_WRITE] = "%W~", [RIGHT_READ | RIGHT_WRITE] = "~"};
    if (s->all_keys)
        add_word(t, "", SLICE_LIT("~*"));
    for (unsigned i = 0; i < s->keys.n; i++)
        add_word(t, marks[s->keys.p[i].of], s->keys.p[i].text);
}

void selector_channels(const struct selector *s, struct text *t)
{
    if (s->all_channels)
        add_word(t, "", SLICE_LIT("&*"));
    for (unsigned i = 0; i < s->channels.n; i++)
        add_word(t, "&", s->channels.p[i].text);
}

static void describe_selector(const struct selector *s, struct text *t)
{
    selector_keys(s, t);
    if (!s->all_channels)
        add_word(t, "", SLICE_LIT("resetchannels"));
    selector_channels(s, t);
    selector_commands(s, t);
}

void rights_describe(const struct rights *r, struct text *t)
{
    add_word(t, "", r->enabled ? SLICE_LIT("on") : SLICE_LIT("off"));
    if (r->no_password)
        add_word(t, "", SLICE_LIT("nopass"));
    if (r->certificate_only)
        add_word(t, "", SLICE_LIT("certificate-only"));
    add_word(t, r->sanitize ? "" : "skip-", SLICE_LIT("sanitize-payload"));
    for (unsigned i = 0; i < r->passwords.n; i++)
        add_word(t, "#", r->passwords.p[i].text);
    describe_selector(r->selector, t);
    for (unsigned i = 1; i < r->selectors; i++) {
        text_add(t, SLICE_LIT(" "));
        size_t at = t->len;
        describe_selector(&r->selector[i], t);
        text_add(t, SLICE_LIT(")"));
        if (!t->failed)
            t->p[at] = '(';
    }
}

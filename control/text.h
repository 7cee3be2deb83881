/* text.h: growable text, and allocation that cannot fail.
 *
 * Control may die at any time without disturbing a client: the dataplane keeps serving and control's supervisor
 * starts it again. So when memory is really gone, control says so in one line and exits (must_*), instead of carrying an error path
 * through every function that copies a word. Sizes that a peer chooses are bounded before they come here. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

void *must_alloc(size_t n, size_t size); /* zeroed */
void *must_grow(void *p, size_t n, size_t size);
char *must_copy(const char *s);
char *must_copy_n(const char *s, size_t len);
char *must_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

struct text {
    char *p; /* zero-terminated when not NULL */
    size_t len, room;
};

void text_add(struct text *t, const char *s);
void text_add_n(struct text *t, const char *s, size_t len);
void text_printf(struct text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_vprintf(struct text *t, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
/* Appends s as redis.conf writes a word: bare if it can be, else in double quotes with escapes (sdscatrepr). */
void text_add_word(struct text *t, const char *s);
/* "" instead of NULL. */
const char *text_str(const struct text *t);
void text_free(struct text *t);

/* A list of words on the heap. */
struct words {
    char **p;
    unsigned n;
};
void words_add(struct words *w, char *owned);
void words_free(struct words *w);
bool words_equal(const struct words *a, const struct words *b);

/* slice.h: a borrowed run of bytes. Whoever hands one out says how long it stays valid. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *p;
    size_t len;
};

#define SLICE_LIT(s) ((struct slice){(const uint8_t *)(s), sizeof(s) - 1})

static inline struct slice slice_str(const char *s)
{
    return (struct slice){(const uint8_t *)s, strlen(s)};
}

static inline bool slice_eq(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* Of a word as long as the slice. */
bool slice_is_caseless(struct slice a, const char *word);

/* ASCII case-blind comparison with a C string, as Redis compares option words. Mostly the length differs
 * already, which costs nothing where the word is a constant. */
static inline bool slice_is(struct slice a, const char *word)
{
    return a.len == strlen(word) && slice_is_caseless(a, word);
}

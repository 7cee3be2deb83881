/* words.h: splitting a typed line into words and printing a word so that it can be typed again. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

enum { WORDS_MAX = 128 };

struct words {
    char *p[WORDS_MAX];
    int n;
};

/* Blanks separate; "..." (with \" and \\) and '...' hold words together. False: unbalanced quotes or too many
 * words. The words are freed by words_free in both cases. */
bool words_split(struct words *w, const char *line);
void words_free(struct words *w);

/* A word as redis.conf and the prompt read it, control characters as \xHH. */
void print_word(FILE *out, const char *s);
/* Without quotes, control characters and what is not UTF-8 as '?': nothing that a Redis client chose may command the terminal. */
void print_safe(FILE *out, const char *s);
/* So many columns of a terminal that takes. */
int text_columns(const char *s);
/* The same over several lines, with a line end behind the last. */
void print_text(FILE *out, const char *s);

/* words.c: words of a line. */
#include "mgmt/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Copies one word to `to` (as long as the line is); returns what follows it, or NULL if a quote is not
 * closed. */
static const char *take_word(const char *s, char *to)
{
    char quote = 0;
    for (; *s && (quote || !isspace((unsigned char)*s)); s++) {
        if (quote ? *s == quote : *s == '"' || *s == '\'')
            quote = quote ? 0 : *s;
        else if (*s == '\\' && quote == '"' && s[1])
            *to++ = *++s;
        else
            *to++ = *s;
    }
    *to = 0;
    return quote ? NULL : s;
}

bool words_split(struct words *w, const char *line)
{
    w->n = 0;
    for (;;) {
        while (isspace((unsigned char)*line))
            line++;
        if (!*line)
            return true;
        char *word = w->n < WORDS_MAX ? malloc(strlen(line) + 1) : NULL;
        if (!word)
            return false;
        w->p[w->n++] = word;
        if (!(line = take_word(line, word)))
            return false;
    }
}

void words_free(struct words *w)
{
    for (int i = 0; i < w->n; i++)
        free(w->p[i]);
    w->n = 0;
}

void print_safe(FILE *out, const char *s)
{
    for (; *s; s++)
        fputc((unsigned char)*s < ' ' || *s == 127 ? '?' : *s, out);
}

void print_text(FILE *out, const char *s)
{
    for (const char *end; *s; s = end + (*end == '\n')) {
        end = s + strcspn(s, "\n");
        for (; s < end; s++)
            fputc((unsigned char)*s < ' ' || *s == 127 ? '?' : *s, out);
        fputc('\n', out);
    }
}

void print_word(FILE *out, const char *s)
{
    bool bare = *s && *s != '#';
    for (const char *p = s; *p; p++)
        bare = bare && isgraph((unsigned char)*p) && !strchr("\"'\\", *p);
    if (bare) {
        fputs(s, out);
        return;
    }
    fputc('"', out);
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            fprintf(out, "\\x%02x", (unsigned char)*s);
        else
            fprintf(out, strchr("\"\\", *s) ? "\\%c" : "%c", *s);
    fputc('"', out);
}

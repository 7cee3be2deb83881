/* words.c: words of a line. */
#include "mgmt/words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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

/* -- text from elsewhere ------------------------------------------------------------------------------ */

/* Bytes of the character there in UTF-8, and which one it is; 0 for what is none (one byte, then). */
static size_t take_character(const char *s, wchar_t *c)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t more = *p < 0x80 ? 0 : *p >= 0xc2 && *p < 0xe0 ? 1 : *p >= 0xe0 && *p < 0xf0 ? 2 : *p >= 0xf0 && *p < 0xf5 ? 3 : 4;
    unsigned value = more == 0 ? *p : *p & (0x3fu >> more);
    *c = 0;
    for (size_t i = 1; i <= more; i++) {
        if (more == 4 || (p[i] & 0xc0) != 0x80)
            return 1;
        value = value << 6 | (p[i] & 0x3f);
    }
    *c = (wchar_t)value;
    return more + 1;
}

/* Neither C0 nor C1 (U+0080 to U+009F, which terminals obey, too), nor what turns the direction of a line around. */
static bool harmless(wchar_t c)
{
    return c >= ' ' && (c < 127 || c > 0x9f) && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

static void put_safe(FILE *out, const char *s, const char *end)
{
    wchar_t c;
    for (size_t n; s < end; s += n) {
        n = take_character(s, &c);
        if (harmless(c))
            fwrite(s, 1, n, out);
        else
            fputc('?', out);
    }
}

void print_safe(FILE *out, const char *s)
{
    put_safe(out, s, s + strlen(s));
}

int text_columns(const char *s)
{
    int columns = 0;
    wchar_t c;
    while (*s) {
        s += take_character(s, &c);
        int wide = harmless(c) ? wcwidth(c) : 1;
        columns += wide < 0 ? 1 : wide;
    }
    return columns;
}

void print_text(FILE *out, const char *s)
{
    for (const char *end; *s; s = end + (*end == '\n')) {
        end = s + strcspn(s, "\n");
        put_safe(out, s, end);
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

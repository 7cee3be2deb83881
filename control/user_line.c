/* user_line.c: see user_line.h. */
#include "control/user_line.h"
#include "control/conffile.h"

#include <limits.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_SHOWN = 8 };

static void add_password(struct text *out, char mark, const char *password)
{
    unsigned char digest[SHA256_DIGEST_LENGTH];
    SHA256((const unsigned char *)password, strlen(password), digest);
    text_printf(out, "%c", mark == '>' ? '#' : '!');
    for (unsigned i = 0; i < HASH_SHOWN / 2; i++)
        text_printf(out, "%02x", digest[i]);
    text_add(out, "...");
}

static void add_word(struct text *out, const char *word)
{
    if (*word == '>' || *word == '<')
        add_password(out, *word, word + 1);
    else if ((*word == '#' || *word == '!') && strlen(word) > 1)
        text_printf(out, "%.*s...", HASH_SHOWN + 1, word);
    else
        text_add(out, word);
}

void user_line_shown(struct text *out, const char *value)
{
    struct words w = {0};
    char *comment = NULL;
    if (line_split(value, &w, UINT_MAX, &comment) && w.n) {
        text_add(out, w.p[0]);
        for (unsigned i = 1; i < w.n; i++) {
            text_add(out, " ");
            add_word(out, w.p[i]);
        }
    } else {
        text_add(out, "(secret)");
    }
    words_free(&w);
}

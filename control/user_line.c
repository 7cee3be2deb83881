/* user_line.c: see user_line.h. */
#include "control/user_line.h"
#include "control/conffile.h"

#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

enum { MARK_BYTES = 4, KEY_BYTES = 16 };

/* Of a password's hash, by a key that this process keeps to itself: another password is another text, and nobody can try
 * passwords against it. */
static void add_mark(struct text *out, char mark, const unsigned char hash[SHA256_DIGEST_LENGTH])
{
    static unsigned char key[KEY_BYTES];
    static bool keyed;
    unsigned char digest[SHA256_DIGEST_LENGTH];
    keyed = keyed || getrandom(key, sizeof key, 0) == sizeof key;
    text_printf(out, "%c", mark);
    if (keyed && HMAC(EVP_sha256(), key, sizeof key, hash, SHA256_DIGEST_LENGTH, digest, NULL))
        for (unsigned i = 0; i < MARK_BYTES; i++)
            text_printf(out, "%02x", digest[i]);
    text_add(out, "...");
}

static bool read_hash(const char *hex, unsigned char hash[SHA256_DIGEST_LENGTH])
{
    size_t n;
    return OPENSSL_hexstr2buf_ex(hash, SHA256_DIGEST_LENGTH, &n, hex, 0) == 1 && n == SHA256_DIGEST_LENGTH;
}

static void add_word(struct text *out, const char *word)
{
    unsigned char hash[SHA256_DIGEST_LENGTH] = {0};
    if (*word == '>' || *word == '<') {
        SHA256((const unsigned char *)word + 1, strlen(word + 1), hash);
        add_mark(out, *word == '>' ? '#' : '!', hash);
    } else if ((*word == '#' || *word == '!') && read_hash(word + 1, hash)) {
        add_mark(out, *word, hash);
    } else {
        text_add(out, word);
    }
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

/* record.c: see record.h. RFC 8446 sections 5.2 (protection), 5.3 (nonces), 5.4 (padding), 7.1 to 7.3 (keys).
 */
#include "tls/record.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <string.h>

struct record_suite {
    uint16_t id;
    enum aead_kind kind;
    uint8_t key_len, secret_len;
    const char *digest;
};

static const struct record_suite suites[] = {
    {0x1301, AEAD_AES_128_GCM, 16, 32, "SHA2-256"},
    {0x1302, AEAD_AES_256_GCM, 32, 48, "SHA2-384"},
    {0x1303, AEAD_CHACHA20_POLY1305, 32, 32, "SHA2-256"},
};
enum { SUITES = sizeof suites / sizeof *suites };

/* Looked up once: that takes OpenSSL longer than deriving a key. */
static EVP_KDF *kdf;

bool record_start(void)
{
    return aead_start() && (kdf || (kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL)));
}

const struct record_suite *record_suite(uint16_t id)
{
    for (unsigned i = 0; i < SUITES && aead_pays(); i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

size_t record_secret_len(const struct record_suite *suite)
{
    return suite->secret_len;
}

/* -- keys ------------------------------------------------------------------------------------------------ */

/* HKDF-Expand-Label(secret, label, "", n), section 7.1. */
static bool expand(const struct record_way *w, const char *label, uint8_t *out, size_t n)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char prefix[] = "tls13 ";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t)w->suite->digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)w->secret,
                                          w->suite->secret_len),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix, sizeof prefix - 1),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)(uintptr_t)label, strlen(label)),
        OSSL_PARAM_construct_end()};
    EVP_KDF_CTX *c = EVP_KDF_CTX_new(kdf);
    bool good = c && EVP_KDF_derive(c, out, n, params) == 1;
    EVP_KDF_CTX_free(c);
    return good;
}

bool record_key(struct record_way *w, const struct record_suite *suite)
{
    uint8_t key[AEAD_KEY_MOST];
    aead_wipe(&w->aead);
    w->suite = suite;
    bool good = expand(w, "key", key, suite->key_len) && expand(w, "iv", w->iv, sizeof w->iv) &&
                aead_set(&w->aead, suite->kind, key);
    OPENSSL_cleanse(key, sizeof key);
    if (!good)
        record_wipe(w);
    return good;
}

bool record_renew(struct record_way *w)
{
    uint8_t next[RECORD_SECRET];
    bool good = expand(w, "traffic upd", next, w->suite->secret_len);
    if (good)
        memcpy(w->secret, next, w->suite->secret_len);
    OPENSSL_cleanse(next, sizeof next);
    w->number = 0;
    if (good)
        return record_key(w, w->suite);
    record_wipe(w);
    return false;
}

void record_wipe(struct record_way *w)
{
    aead_wipe(&w->aead);
    OPENSSL_cleanse(w, sizeof *w);
}

/* -- records --------------------------------------------------------------------------------------------- */

/* Section 5.3. A number is never used twice: it goes on before the cipher runs. */
static bool next_nonce(struct record_way *w, uint8_t nonce[RECORD_IV])
{
    uint64_t number, low;
    if (!w->aead.key || w->number == UINT64_MAX)
        return false;
    number = __builtin_bswap64(w->number++);
    memcpy(nonce, w->iv, RECORD_IV);
    memcpy(&low, nonce + RECORD_IV - sizeof low, sizeof low);
    low ^= number;
    memcpy(nonce + RECORD_IV - sizeof low, &low, sizeof low);
    return true;
}

static void make_head(uint8_t head[RECORD_HEAD], size_t n)
{
    size_t body = n + 1 + RECORD_TAG;
    head[0] = RECORD_DATA;
    head[1] = head[2] = 3;
    head[3] = (uint8_t)(body >> 8);
    head[4] = (uint8_t)body;
}

/* Its type has to stand behind what is sealed. Few bytes are copied, since the cipher likes one call better than four. */
bool record_seal(struct record_way *w, enum record_type type, const uint8_t *p, size_t n, uint8_t *out)
{
    enum { FEW = 1024 };
    const uint8_t last = (uint8_t)type;
    uint8_t nonce[RECORD_IV], *inner = out + RECORD_HEAD;
    if (n > RECORD_PLAIN || !next_nonce(w, nonce))
        return false;
    make_head(out, n);
    if (n <= FEW) {
        if (n)
            memcpy(inner, p, n);
        inner[n] = last;
        aead_seal(&w->aead, nonce, out, RECORD_HEAD, inner, n + 1, inner, inner + n + 1);
        return true;
    }
    struct aead_run r;
    aead_begin(&w->aead, &r, nonce, out, RECORD_HEAD);
    aead_go_on(&w->aead, &r, p, n, inner);
    aead_go_on(&w->aead, &r, &last, 1, inner + n);
    aead_end(&w->aead, &r, inner + n + 1);
    return true;
}

unsigned record_head(const uint8_t head[RECORD_HEAD], size_t *len)
{
    *len = (size_t)head[3] << 8 | head[4];
    if (head[0] != RECORD_DATA || head[1] != 3)
        return ALERT_UNEXPECTED_MESSAGE;
    if (*len > RECORD_BODY)
        return ALERT_RECORD_OVERFLOW;
    return *len > RECORD_TAG ? 0 : ALERT_BAD_RECORD_MAC;
}

/* What is in front of the padding and the type; the type is the last byte that is not zero. */
static unsigned strip(const uint8_t *p, size_t *n, uint8_t *type)
{
    size_t at = *n;
    while (at && p[at - 1] == 0)
        at--;
    if (at == 0)
        return ALERT_UNEXPECTED_MESSAGE;
    *type = p[at - 1];
    *n = at - 1;
    return 0;
}

unsigned record_open(struct record_way *w, const uint8_t head[RECORD_HEAD], const uint8_t *body, size_t len,
                     uint8_t *to, size_t *n, uint8_t *type)
{
    size_t inner = len - RECORD_TAG;
    uint8_t nonce[RECORD_IV];
    *n = 0;
    if (!next_nonce(w, nonce) || !aead_open(&w->aead, nonce, head, RECORD_HEAD, body, inner, to, body + inner)) {
        OPENSSL_cleanse(to, inner);
        return ALERT_BAD_RECORD_MAC;
    }
    if (inner > RECORD_PLAIN + 1)
        return ALERT_RECORD_OVERFLOW;
    *n = inner;
    return strip(to, n, type);
}

/* record.c: see record.h. RFC 8446 sections 5.2 (protection), 5.3 (nonces), 5.4 (padding), 7.1 to 7.3 (keys).
 */
#include "tls/record.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>

#include <string.h>

struct record_suite {
    uint16_t id;
    uint8_t key_len, secret_len;
    const char *cipher, *digest;
};

static const struct record_suite suites[] = {
    {0x1301, 16, 32, "AES-128-GCM", "SHA2-256"},
    {0x1302, 32, 48, "AES-256-GCM", "SHA2-384"},
    {0x1303, 32, 32, "ChaCha20-Poly1305", "SHA2-256"},
};
enum { SUITES = sizeof suites / sizeof *suites, KEY_MOST = 32 };

/* Looked up once: that takes OpenSSL longer than deriving a key. */
static EVP_CIPHER *cipher_of[SUITES];
static EVP_KDF *kdf;

bool record_start(void)
{
    for (unsigned i = 0; i < SUITES; i++)
        if (!cipher_of[i] && !(cipher_of[i] = EVP_CIPHER_fetch(NULL, suites[i].cipher, NULL)))
            return false;
    return kdf || (kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL));
}

const struct record_suite *record_suite(uint16_t id)
{
    for (unsigned i = 0; i < SUITES; i++)
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

bool record_key(struct record_way *w, const struct record_suite *suite, bool seals)
{
    uint8_t key[KEY_MOST];
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    w->suite = suite;
    bool good = c && expand(w, "key", key, suite->key_len) && expand(w, "iv", w->iv, sizeof w->iv) &&
                EVP_CipherInit_ex2(c, cipher_of[suite - suites], key, w->iv, seals, NULL) == 1;
    OPENSSL_cleanse(key, sizeof key);
    EVP_CIPHER_CTX_free(good ? w->cipher : c);
    if (good)
        w->cipher = c;
    else
        record_wipe(w);
    return good;
}

bool record_renew(struct record_way *w, bool seals)
{
    uint8_t next[RECORD_SECRET];
    bool good = expand(w, "traffic upd", next, w->suite->secret_len);
    if (good)
        memcpy(w->secret, next, w->suite->secret_len);
    OPENSSL_cleanse(next, sizeof next);
    w->number = 0;
    if (good)
        return record_key(w, w->suite, seals);
    record_wipe(w);
    return false;
}

void record_wipe(struct record_way *w)
{
    EVP_CIPHER_CTX_free(w->cipher); /* wipes the key */
    OPENSSL_cleanse(w, sizeof *w);
}

/* -- records --------------------------------------------------------------------------------------------- */

/* Section 5.3. A number is never used twice: it goes on before the cipher runs. */
static bool begin(struct record_way *w, const uint8_t head[RECORD_HEAD])
{
    uint8_t nonce[RECORD_IV];
    int len;
    if (!w->cipher || w->number == UINT64_MAX)
        return false;
    memcpy(nonce, w->iv, sizeof nonce);
    uint64_t number = w->number++;
    for (unsigned i = 0; i < 8; i++)
        nonce[RECORD_IV - 1 - i] ^= (uint8_t)(number >> 8 * i);
    return EVP_CipherInit_ex(w->cipher, NULL, NULL, NULL, nonce, -1) == 1 &&
           EVP_CipherUpdate(w->cipher, NULL, &len, head, RECORD_HEAD) == 1;
}

/* Few bytes are copied, so that the type stands behind them and one call does for both. */
static bool transform(struct record_way *w, const uint8_t *p, size_t n, uint8_t type, uint8_t *out)
{
    enum { FEW = 256 };
    int len;
    if (n <= FEW) {
        if (n)
            memcpy(out, p, n);
        out[n] = type;
        return EVP_CipherUpdate(w->cipher, out, &len, out, (int)n + 1) == 1 && len == (int)n + 1;
    }
    return EVP_CipherUpdate(w->cipher, out, &len, p, (int)n) == 1 && len == (int)n &&
           EVP_CipherUpdate(w->cipher, out + n, &len, &type, 1) == 1 && len == 1;
}

bool record_seal(struct record_way *w, enum record_type type, const uint8_t *p, size_t n, uint8_t *out)
{
    size_t body = n + 1 + RECORD_TAG;
    int len;
    if (n > RECORD_PLAIN)
        return false;
    memcpy(out, (const uint8_t[]){RECORD_DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body}, RECORD_HEAD);
    bool good =
        begin(w, out) && transform(w, p, n, (uint8_t)type, out + RECORD_HEAD) &&
        EVP_CipherFinal_ex(w->cipher, out + RECORD_HEAD + n + 1, &len) == 1 &&
        EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_GET_TAG, RECORD_TAG, out + RECORD_HEAD + n + 1) == 1;
    if (!good)
        OPENSSL_cleanse(out, n + RECORD_EXTRA);
    return good;
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
    int some, last;
    uint8_t tag[RECORD_TAG], nothing[16];
    memcpy(tag, body + inner, RECORD_TAG);
    *n = 0;
    if (!begin(w, head) || EVP_CIPHER_CTX_ctrl(w->cipher, EVP_CTRL_AEAD_SET_TAG, RECORD_TAG, tag) != 1 ||
        EVP_CipherUpdate(w->cipher, to, &some, body, (int)inner) != 1 || (size_t)some != inner ||
        EVP_CipherFinal_ex(w->cipher, nothing, &last) != 1) {
        OPENSSL_cleanse(to, inner);
        ERR_clear_error();
        return ALERT_BAD_RECORD_MAC;
    }
    if (inner > RECORD_PLAIN + 1)
        return ALERT_RECORD_OVERFLOW;
    *n = inner;
    return strip(to, n, type);
}

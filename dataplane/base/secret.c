/* secret.c: see secret.h. FIPS 180-4 by OpenSSL's libcrypto. */
#include "base/secret.h"
#include "base/bytes.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <openssl/sha.h>

bool secret_hash(struct slice text, char hex[SECRET_HEX + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH];
    if (!SHA256(text.len ? text.p : (const uint8_t *)"", text.len, digest))
        return false;
    bytes_hex(digest, sizeof digest, hex);
    return true;
}

bool secret_is_hash(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!((text.p[i] >= '0' && text.p[i] <= '9') || (text.p[i] >= 'a' && text.p[i] <= 'f')))
            return false;
    return text.len == SECRET_HEX;
}

bool secret_same(const char *a, const uint8_t *b)
{
    return CRYPTO_memcmp(a, b, SECRET_HEX) == 0;
}

bool secret_random(uint8_t *p, size_t n)
{
    return RAND_priv_bytes(p, (int)n) == 1;
}

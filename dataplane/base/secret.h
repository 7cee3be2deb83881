/* secret.h: what passwords need: SHA-256 (FIPS 180-4) as text, a comparison that tells nothing by its time,
 * and random bytes that nobody can guess. libcrypto's. */
#pragma once
#include "base/slice.h"

enum { SECRET_HEX = 64 };

/* The digest in lower case hexadecimal. False without memory. */
bool secret_hash(struct slice text, char hex[SECRET_HEX + 1]);
bool secret_is_hash(struct slice text);
/* Of two hashes. */
bool secret_same(const char *a, const uint8_t *b);
/* False if there is no randomness to be had. */
bool secret_random(uint8_t *p, size_t n);

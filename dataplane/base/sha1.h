/* sha1.h: SHA-1 (FIPS 180-4), for what Redis names by it (DEBUG DIGEST): no protection against anybody. */
#pragma once
#include "base/slice.h"

enum { SHA1_BYTES = 20 };

void sha1(struct slice text, uint8_t digest[SHA1_BYTES]);

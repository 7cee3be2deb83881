/* digest.h: DEBUG DIGEST: 20 bytes that are equal for equal data, those of Redis (its debug.c). */
#pragma once
#include "base/sha1.h"
#include "store/store.h"

struct digest {
    uint8_t b[SHA1_BYTES];
};

/* Of a live entry's value and of whether it expires; of the key itself only in a whole keyspace. long. */
struct digest digest_value(const struct shard *s, const struct entry *e);
/* Of all keys of all databases. Zeros if there are none. long. */
struct digest digest_keyspace(struct keyspace *ks);

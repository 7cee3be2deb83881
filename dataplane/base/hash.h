/* hash.h: hashes of keys. Slots as in Redis Cluster, and the keyed hash of the index. */
#pragma once
#include "base/bytes.h"
#include "base/slice.h"

enum { SLOTS = 16384 };

/* Redis Cluster's slot of a key, 0..16383: CRC16-CCITT (XMODEM) of the key, or of the part between the first
 * '{' and the next '}' when that part is not empty. */
unsigned key_slot(struct slice key);

/* Odd constants with about half of their bits set; any such would do. */
#define HASH_MIX_A 0x9f3a5c71d26b84e7u
#define HASH_MIX_B 0xc6d1e7350b9a4f8bu
#define HASH_MIX_C 0x7b94d23fa8615ce9u

struct hash_state {
    uint64_t left, right;
};

static inline struct hash_state hash_begin(uint64_t seed)
{
    return (struct hash_state){seed ^ HASH_MIX_A, (seed << 32 | seed >> 32) ^ HASH_MIX_B};
}

/* High and low half of the product, folded: every bit of the result depends on every bit of both. */
static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* With the last 0..16 bytes as two words, which overlap rather than being read byte by byte. */
static inline uint64_t hash_end(struct hash_state h, const uint8_t *p, size_t rest, size_t len, uint64_t seed)
{
    uint64_t a = 0, b = 0;
    if (rest >= 8) {
        a = bytes_load8(p);
        b = bytes_load8(p + rest - 8);
    } else if (rest >= 4) {
        a = bytes_load4(p);
        b = bytes_load4(p + rest - 4);
    } else if (rest > 0) {
        a = (uint64_t)p[0] << 16 | (uint64_t)p[rest >> 1] << 8 | p[rest - 1];
    }
    return hash_fold(hash_fold(a ^ h.left, b ^ h.right) ^ (len ^ seed), HASH_MIX_C);
}

uint64_t key_hash_long(struct slice key, uint64_t seed);

enum { KEY_HASH_WORD = 8, KEY_HASH_SHORT = 16 };

/* key_hash() of a key that is not longer than KEY_HASH_SHORT. */
static inline uint64_t key_hash_short(struct slice key, uint64_t seed)
{
    return hash_end(hash_begin(seed), key.p, key.len, key.len, seed);
}

/* The same of one of at least KEY_HASH_WORD bytes, without a branch. */
static inline uint64_t key_hash_words(struct slice key, uint64_t seed)
{
    if (key.len < KEY_HASH_WORD)
        __builtin_unreachable();
    return key_hash_short(key, seed);
}

/* 64-bit keyed hash of a key for the index: not guessable without the seed (hash-flooding), every bit usable.
 */
static inline uint64_t key_hash(struct slice key, uint64_t seed)
{
    return key.len > KEY_HASH_SHORT ? key_hash_long(key, seed) : key_hash_short(key, seed);
}

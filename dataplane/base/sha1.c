/* sha1.c: SHA-1 of a text in one go, FIPS 180-4 section 6.1. */
#include "base/sha1.h"

enum { BLOCK = 64, LENGTH_AT = 56, WORDS = 5, ROUNDS = 80 };

static uint32_t turned(uint32_t v, unsigned bits)
{
    return v << bits | v >> (32 - bits);
}

static uint32_t big_endian(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

/* f and K of a round. */
static uint32_t mixed(unsigned round, const uint32_t v[WORDS])
{
    uint32_t b = v[1], c = v[2], d = v[3];
    switch (round / 20) {
    case 0:
        return ((b & c) | (~b & d)) + 0x5a827999;
    case 1:
        return (b ^ c ^ d) + 0x6ed9eba1;
    case 2:
        return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
    default:
        return (b ^ c ^ d) + 0xca62c1d6;
    }
}

static void add_block(uint32_t hash[WORDS], const uint8_t *block)
{
    uint32_t w[ROUNDS], v[WORDS];
    for (unsigned i = 0; i < 16; i++)
        w[i] = big_endian(block + 4 * i);
    for (unsigned i = 16; i < ROUNDS; i++)
        w[i] = turned(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    memcpy(v, hash, sizeof v);
    for (unsigned i = 0; i < ROUNDS; i++) {
        uint32_t next = turned(v[0], 5) + mixed(i, v) + v[4] + w[i];
        v[4] = v[3];
        v[3] = v[2];
        v[2] = turned(v[1], 30);
        v[1] = v[0];
        v[0] = next;
    }
    for (unsigned i = 0; i < WORDS; i++)
        hash[i] += v[i];
}

void sha1(struct slice text, uint8_t digest[SHA1_BYTES])
{
    uint32_t hash[WORDS] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    uint64_t bits = __builtin_bswap64((uint64_t)text.len * 8);
    uint8_t last[2 * BLOCK] = {0};
    size_t left = text.len % BLOCK, whole = text.len - left, n = left < LENGTH_AT ? BLOCK : 2 * BLOCK;
    for (size_t at = 0; at < whole; at += BLOCK)
        add_block(hash, text.p + at);
    if (left)
        memcpy(last, text.p + whole, left);
    last[left] = 0x80;
    memcpy(last + n - sizeof bits, &bits, sizeof bits);
    for (size_t at = 0; at < n; at += BLOCK)
        add_block(hash, last + at);
    for (unsigned i = 0; i < WORDS; i++) {
        uint32_t word = __builtin_bswap32(hash[i]);
        memcpy(digest + 4 * i, &word, sizeof word);
    }
}

/* secret.c: SipHash-2-4 and what is made from it: initial sequence numbers (RFC 6528) and timestamp offsets
 * (RFC 7323 section 7.1). */
#include "tcp/secret.h"

static uint64_t rotate(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static void rounds(uint64_t v[4], unsigned n)
{
    while (n--) {
        v[0] += v[1];
        v[2] += v[3];
        v[1] = rotate(v[1], 13) ^ v[0];
        v[3] = rotate(v[3], 16) ^ v[2];
        v[0] = rotate(v[0], 32);
        v[2] += v[1];
        v[0] += v[3];
        v[1] = rotate(v[1], 17) ^ v[2];
        v[3] = rotate(v[3], 21) ^ v[0];
        v[2] = rotate(v[2], 32);
    }
}

uint64_t tcp_siphash(const struct tcp_secret *k, const void *data, unsigned len)
{
    uint64_t v[4] = {k->k0 ^ 0x736f6d6570736575ull, k->k1 ^ 0x646f72616e646f6dull,
                     k->k0 ^ 0x6c7967656e657261ull, k->k1 ^ 0x7465646279746573ull};
    const uint8_t *p = data;
    unsigned left = len;
    uint64_t word;
    for (; left >= 8; left -= 8, p += 8) {
        memcpy(&word, p, 8);
        v[3] ^= word;
        rounds(v, 2);
        v[0] ^= word;
    }
    word = (uint64_t)len << 56;
    for (unsigned i = 0; i < left; i++)
        word |= (uint64_t)p[i] << (8 * i);
    v[3] ^= word;
    rounds(v, 2);
    v[0] ^= word;
    v[2] ^= 0xff;
    rounds(v, 4);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct tcp_secret tcp_secret_from(uint64_t seed)
{
    struct tcp_secret base = {seed, ~seed};
    return (struct tcp_secret){tcp_siphash(&base, "first", 5), tcp_siphash(&base, "second", 6)};
}

uint32_t tcp_initial_sequence(const struct tcp_secret *k, const struct tcp_tuple *t, uint64_t now_us)
{
    return (uint32_t)(now_us / 4) + (uint32_t)tcp_siphash(k, t, sizeof *t);
}

uint32_t tcp_timestamp_offset(const struct tcp_secret *k, const struct tcp_tuple *t)
{
    struct tcp_secret other = {k->k1, k->k0};
    return (uint32_t)tcp_siphash(&other, t, sizeof *t);
}

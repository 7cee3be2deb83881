/* bits_loops.c: loops over bit strings, eight bytes a step. */
#include "command/bits.h"

static uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof v);
}

uint64_t bits_count(const uint8_t *p, size_t n)
{
    uint64_t count = 0;
    /* Four sums keep four counts in flight. */
    uint64_t c0 = 0, c1 = 0, c2 = 0, c3 = 0;
    for (; n >= 32; n -= 32, p += 32) {
        c0 += (unsigned)__builtin_popcountll(load64(p));
        c1 += (unsigned)__builtin_popcountll(load64(p + 8));
        c2 += (unsigned)__builtin_popcountll(load64(p + 16));
        c3 += (unsigned)__builtin_popcountll(load64(p + 24));
    }
    for (; n >= 8; n -= 8, p += 8)
        count += (unsigned)__builtin_popcountll(load64(p));
    for (; n; n--, p++)
        count += (unsigned)__builtin_popcount(*p);
    return count + c0 + c1 + c2 + c3;
}

uint64_t bits_find(const uint8_t *p, size_t n, bool bit)
{
    const uint64_t skip = bit ? 0 : UINT64_MAX; /* a word without what we look for */
    size_t i = 0;
    while (i + 8 <= n && load64(p + i) == skip)
        i += 8;
    while (i < n && p[i] == (uint8_t)skip)
        i++;
    if (i == n)
        return (uint64_t)n * 8;
    unsigned hit = bit ? p[i] : (uint8_t)~p[i];
    return (uint64_t)i * 8 + (unsigned)__builtin_clz(hit << 24);
}

static inline uint64_t combine(enum bit_op op, uint64_t d, uint64_t s)
{
    switch (op) {
    case BITS_AND:
        return d & s;
    case BITS_OR:
        return d | s;
    case BITS_XOR:
        return d ^ s;
    case BITS_NOT:
        break;
    }
    return ~s;
}

/* Inlined with a constant op, so that the choice leaves the loop. */
static inline __attribute__((always_inline)) void combine_run(enum bit_op op, uint8_t *dst,
                                                              const uint8_t *src, size_t n)
{
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        store64(dst + i, combine(op, load64(dst + i), load64(src + i)));
    for (; i < n; i++)
        dst[i] = (uint8_t)combine(op, dst[i], src[i]);
}

void bits_combine(enum bit_op op, uint8_t *dst, const uint8_t *src, size_t n)
{
    switch (op) {
    case BITS_AND:
        combine_run(BITS_AND, dst, src, n);
        break;
    case BITS_OR:
        combine_run(BITS_OR, dst, src, n);
        break;
    case BITS_XOR:
        combine_run(BITS_XOR, dst, src, n);
        break;
    case BITS_NOT:
        combine_run(BITS_NOT, dst, src, n);
        break;
    }
}

uint64_t bits_get(const uint8_t *p, size_t len, uint64_t offset, unsigned width)
{
    uint64_t value = 0;
    for (unsigned done = 0; done < width;) {
        uint64_t byte = (offset + done) / 8;
        unsigned from = (offset + done) % 8;
        unsigned take = 8 - from < width - done ? 8 - from : width - done;
        unsigned bits = byte < len ? p[byte] >> (8 - from - take) & ((1u << take) - 1) : 0;
        value = value << take | bits;
        done += take;
    }
    return value;
}

void bits_put(uint8_t *p, uint64_t offset, unsigned width, uint64_t value)
{
    while (width) {
        unsigned from = offset % 8;
        unsigned take = 8 - from < width ? 8 - from : width;
        unsigned shift = 8 - from - take;
        unsigned mask = ((1u << take) - 1) << shift;
        unsigned bits = (unsigned)(value >> (width - take)) << shift & mask;
        p[offset / 8] = (uint8_t)((p[offset / 8] & ~mask) | bits);
        offset += take;
        width -= take;
    }
}

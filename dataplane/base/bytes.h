/* bytes.h: comparing and moving a few bytes, as keys and small values are, without a call: the C library's
 * functions cost more than what they do for these. Words overlap rather than being read byte by byte. And
 * bytes as text. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <emmintrin.h>

static inline __m128i bytes_load16(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline void bytes_store16(uint8_t *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

static inline uint64_t bytes_load8(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t bytes_load4(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

enum { BYTES_SHORT = 32 };

/* Are the n <= BYTES_SHORT bytes at a and b the same? */
static inline __attribute__((always_inline)) bool bytes_same_short(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n >= 16) {
        __m128i first = _mm_cmpeq_epi8(bytes_load16(a), bytes_load16(b));
        __m128i last = _mm_cmpeq_epi8(bytes_load16(a + n - 16), bytes_load16(b + n - 16));
        return _mm_movemask_epi8(_mm_and_si128(first, last)) == 0xffff;
    }
    if (n >= 8)
        return ((bytes_load8(a) ^ bytes_load8(b)) | (bytes_load8(a + n - 8) ^ bytes_load8(b + n - 8))) == 0;
    if (n >= 4)
        return ((bytes_load4(a) ^ bytes_load4(b)) | (bytes_load4(a + n - 4) ^ bytes_load4(b + n - 4))) == 0;
    return n == 0 || (a[0] == b[0] && a[n >> 1] == b[n >> 1] && a[n - 1] == b[n - 1]);
}

/* Are the n bytes at a and b the same? */
static inline bool bytes_same(const uint8_t *a, const uint8_t *b, size_t n)
{
    return n > BYTES_SHORT ? memcmp(a, b, n) == 0 : bytes_same_short(a, b, n);
}

/* Lower-case digits of n bytes, and a zero byte, in 2 * n + 1 bytes of room. */
static inline void bytes_hex(const uint8_t *p, size_t n, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        hex[2 * i] = digits[p[i] >> 4];
        hex[2 * i + 1] = digits[p[i] & 15];
    }
    hex[2 * n] = 0;
}

static inline void bytes_move_below16(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 8) {
        uint64_t first = bytes_load8(from), last = bytes_load8(from + n - 8);
        memcpy(to, &first, 8);
        memcpy(to + n - 8, &last, 8);
    } else if (n >= 4) {
        uint32_t first = bytes_load4(from), last = bytes_load4(from + n - 4);
        memcpy(to, &first, 4);
        memcpy(to + n - 4, &last, 4);
    } else if (n > 0) {
        uint8_t first = from[0], middle = from[n >> 1], last = from[n - 1];
        to[0] = first;
        to[n >> 1] = middle;
        to[n - 1] = last;
    }
}

/* memmove(): all is read before anything is written. */
static inline void bytes_move(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n < 16) {
        bytes_move_below16(to, from, n);
    } else if (n <= 32) {
        __m128i first = bytes_load16(from), last = bytes_load16(from + n - 16);
        bytes_store16(to, first);
        bytes_store16(to + n - 16, last);
    } else if (n <= 64) {
        __m128i a = bytes_load16(from), b = bytes_load16(from + 16);
        __m128i c = bytes_load16(from + n - 32), d = bytes_load16(from + n - 16);
        bytes_store16(to, a);
        bytes_store16(to + 16, b);
        bytes_store16(to + n - 32, c);
        bytes_store16(to + n - 16, d);
    } else {
        memmove(to, from, n);
    }
}

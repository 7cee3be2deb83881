/* bulk.h: short bulk strings laid down inline, for the writer and for loops that write many of them. They
 * write where there is room and know no chunk: whoever calls has looked. */
#pragma once
#include "base/number.h"

enum {
    BULK_SHORT = 99, /* the longest text */
    BULK_EXTRA = 8,  /* room that is needed beside the text */
    BULK_NUMBER = 32 /* room for any number */
};

/* The digits of 0..99 and CR LF behind room for the type byte; their length in the last byte. */
extern const uint64_t bulk_header[100] __attribute__((visibility("hidden")));

/* The header of n < 100 at p, where 8 bytes are written; returns its end. */
static inline __attribute__((always_inline)) uint8_t *put_count(uint8_t *p, char type, unsigned n)
{
    uint64_t word = bulk_header[n] | (uint8_t)type;
    memcpy(p, &word, sizeof word);
    return p + (word >> 56);
}

/* memcpy() of up to 128 bytes: first and last ones overlap in the middle. */
static inline __attribute__((always_inline)) void copy_short(uint8_t *to, const uint8_t *from, size_t n)
{
    if (n >= 32) {
        if (n > 64) {
            memcpy(to + 32, from + 32, 32);
            memcpy(to + n - 64, from + n - 64, 32);
        }
        memcpy(to, from, 32);
        memcpy(to + n - 32, from + n - 32, 32);
    } else if (n >= 16) {
        memcpy(to, from, 16);
        memcpy(to + n - 16, from + n - 16, 16);
    } else if (n >= 8) {
        memcpy(to, from, 8);
        memcpy(to + n - 8, from + n - 8, 8);
    } else if (n >= 4) {
        memcpy(to, from, 4);
        memcpy(to + n - 4, from + n - 4, 4);
    } else if (n) {
        to[0] = from[0];
        to[n / 2] = from[n / 2];
        to[n - 1] = from[n - 1];
    }
}

/* May put_bulk() write a text of this length into so much room? */
static inline bool bulk_is_short(ptrdiff_t room, size_t len)
{
    return len <= BULK_SHORT && room >= (ptrdiff_t)len + BULK_EXTRA;
}

static inline __attribute__((always_inline)) uint8_t *put_bulk(uint8_t *p, const uint8_t *text, size_t len)
{
    p = put_count(p, '$', (unsigned)len);
    copy_short(p, text, len);
    memcpy(p + len, "\r\n", 2);
    return p + len + 2;
}

/* The decimal text of v as a bulk string, into BULK_NUMBER bytes of room. */
static inline uint8_t *put_bulk_number(uint8_t *p, int64_t v)
{
    bool negative = v < 0;
    uint64_t magnitude = negative ? 0 - (uint64_t)v : (uint64_t)v;
    unsigned digits = number_digits(magnitude);
    p = put_count(p, '$', digits + negative);
    *p = '-';
    p += negative;
    number_put(p, magnitude, digits);
    memcpy(p + digits, "\r\n", 2);
    return p + digits + 2;
}

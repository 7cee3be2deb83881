/* number.h: numbers as Redis reads and prints them. */
#pragma once
#include "base/slice.h"

enum {
    NUMBER_TEXT = 5120, /* the longest number text, zero byte included (a long double with 17 decimals) */
    DOUBLE_TEXT = 32    /* the longest text of format_double() */
};

extern const uint64_t number_power[20]; /* of ten; but 0 for the first one: zero has a digit, too */
extern const char number_pair[200];     /* 00 to 99 */

/* How many decimal digits v has. */
static inline unsigned number_digits(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1), least = bits * 1233 >> 12; /* times log10(2) */
    return least + (v >= number_power[least]);
}

/* Writes the n of them, and nothing behind. */
static inline void number_put(uint8_t *text, uint64_t v, unsigned n)
{
    for (; n > 2; n -= 2, v /= 100)
        memcpy(text + n - 2, number_pair + v % 100 * 2, 2);
    if (n == 2)
        memcpy(text, number_pair + v * 2, 2);
    else
        *text = (uint8_t)('0' + v);
}

/* Decimal digits of v; returns how many. text has room for at least 20 bytes. */
size_t format_u64(char *text, uint64_t v);

/* Redis' string2ll: an optional '-', no leading zeros, spaces or '+', within int64. False otherwise. */
bool parse_i64(struct slice s, int64_t *out);

/* Redis' string2d / getDoubleFromObject: strtod over the whole slice, no leading space, no NaN; "inf",
 * "+inf", "-inf" accepted. */
bool parse_double(struct slice s, double *out);
bool parse_long_double(struct slice s, long double *out);

/* Decimal text of v; returns its length (no zero byte is counted). text has room for at least 21 bytes. */
size_t format_i64(char *text, int64_t v);

/* Shortest text that reads back as v, laid out as Redis 7.2 prints doubles ("3", "0.1", "1e+21", "inf",
 * "-inf", "nan", "-0"); returns its length, no zero byte is counted. */
size_t format_double(char text[DOUBLE_TEXT], double v);

/* Redis' ld2string in "human" form, used by INCRBYFLOAT: "%.17Lf" with trailing zeros and a bare point
 * removed; "inf" or "-inf" for an infinite value. Zero-terminated; returns the length. */
size_t format_long_double(char text[NUMBER_TEXT], long double v);

/* "64mb", "1gb", "100k", "5" as redis.conf's memtoull reads them (k = 1000, kb = 1024 and so on). False if
 * malformed. */
bool parse_memory(const char *text, uint64_t *bytes);

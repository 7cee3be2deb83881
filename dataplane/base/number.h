/* number.h: numbers as Redis reads and prints them. */
#pragma once
#include "base/slice.h"

enum {
    NUMBER_TEXT = 5120, /* the longest number text, zero byte included (a long double with 17 decimals) */
    DOUBLE_TEXT = 32    /* the longest text of format_double() */
};

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

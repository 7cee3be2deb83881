/* number.h: numbers as Redis reads and prints them. */
#pragma once
#include "base/slice.h"

enum { NUMBER_TEXT = 352 }; /* the longest number text, zero byte included (a long double with 17 decimals) */

/* Redis' string2ll: an optional '-', no leading zeros, spaces or '+', within int64. False otherwise. */
bool parse_i64(struct slice s, int64_t *out);

/* Redis' string2d / getDoubleFromObject: strtod over the whole slice, no leading space, no NaN; "inf",
 * "+inf", "-inf" accepted. */
bool parse_double(struct slice s, double *out);
bool parse_long_double(struct slice s, long double *out);

/* Decimal text of v; returns its length (no zero byte is counted). text has room for at least 21 bytes. */
size_t format_i64(char *text, int64_t v);

/* Shortest text that reads back as v, in the "%.17g" family as Redis prints doubles ("3", "0.1", "inf",
 * "-inf", "nan"). */
size_t format_double(char text[NUMBER_TEXT], double v);

/* Redis' ld2string in "human" form, used by INCRBYFLOAT: "%.17Lf" with trailing zeros and a bare point
 * removed. */
size_t format_long_double(char text[NUMBER_TEXT], long double v);

/* "64mb", "1gb", "100k", "5" as redis.conf's memtoull reads them (k = 1000, kb = 1024 and so on). False if
 * malformed. */
bool parse_memory(const char *text, uint64_t *bytes);

/* table.h: rows of JSON objects as aligned columns. */
#pragma once
#include <jansson.h>
#include <stdio.h>

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_AGE /* from ms */, COLUMN_TIME /* ms since 1970 */, COLUMN_BYTES, COLUMN_SOME /* a number but 0 */ };

struct column {
    const char *head, *key; /* head NULL ends a list */
    enum column_kind kind;
};

/* A line of heads and a line a row; what a row has not, or is empty, is "-". Control characters are never
 * printed. */
void print_table(FILE *out, const struct column *columns, const json_t *rows);

/* config_values.h: how a directive's value is read into its field of struct config, and printed back. For
 * config.c. */
#pragma once
#include "base/config.h"

struct row;

struct kind { /* how a value is read into its field, printed back, and what a good one looks like */
    bool (*parse)(struct config *c, const struct row *row, const char *text);
    void (*print)(const struct config *c, const struct row *row, char *text, size_t size);
    const char *wanted;
};

struct word {
    const char *text; /* NULL ends a list */
    int value;
};

struct row {
    const char *name;
    const struct kind *kind;
    const char *fallback; /* applied first, so that an absent directive has it */
    size_t offset, width;
    int64_t min, max;
    const struct word *words;
};

/* One for each form that a value can have. Numbers, sizes, words and texts go where their row says (offset,
 * width); the others know their fields. */
extern const struct kind kind_number, kind_bytes, kind_part, kind_word, kind_text, kind_limits, kind_events,
    kind_cores, kind_address, kind_gateway, kind_route, kind_filter, kind_listener,
    kind_rate_prefix;

/* key_rows.h: short forms of key specifications for the command tables.
 * https://redis.io/docs/reference/key-specs/ */
#pragma once
#include "command/command.h"

/* Keys from argument `at`, every `step_`-th up to `last_` (relative to the first; -1 = last argument). */
#define KEY_NOTED(at, last_, step_, flags_, notes_)                                                          \
    {                                                                                                        \
        .flags = (flags_), .begin = KEYS_AT_INDEX, .index = (at), .find = KEYS_RANGE, .last = (last_),       \
        .step = (step_), .notes = (notes_)                                                                   \
    }
#define KEY_RANGE(at, last_, step_, flags_) KEY_NOTED(at, last_, step_, flags_, NULL)
#define KEY_AT(at, flags_)                  KEY_RANGE(at, 0, 1, flags_)

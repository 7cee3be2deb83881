/* glob.h: Redis' glob patterns: * ? [abc] [^a] [a-z] and backslash. */
#pragma once
#include "base/slice.h"

/* True if text matches pattern as in Redis' stringmatchlen. Never slower than O(|pattern| * |text|) (no
 * exponential back-tracking over many stars). */
bool glob_match(struct slice pattern, struct slice text, bool ignore_case);

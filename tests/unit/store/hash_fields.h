/* hash_fields.h: names of fields for the tests of hashes, a third of them numbers. */
#pragma once
#include "fixture.h"

static inline struct slice field_number(unsigned i, char text[32])
{
    return (struct slice){(uint8_t *)text, (size_t)snprintf(text, 32, i % 3 ? "field:%u" : "%u", i)};
}

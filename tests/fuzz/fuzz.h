/* fuzz.h: libFuzzer's entry, and reading a fuzzer's bytes as a program. https://llvm.org/docs/LibFuzzer.html
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold whatever the input: a finding, as a crash is one. */
#define MUST(condition, what)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, what);                                        \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

struct input {
    const uint8_t *p;
    size_t left;
};

/* Bytes that are not there any more are zero. */
static inline uint8_t take8(struct input *in)
{
    if (!in->left)
        return 0;
    in->left--;
    return *in->p++;
}

static inline uint16_t take16(struct input *in)
{
    uint16_t high = take8(in);
    return (uint16_t)(high << 8 | take8(in));
}

static inline uint32_t take32(struct input *in)
{
    uint32_t high = take16(in);
    return high << 16 | take16(in);
}

/* At most n bytes, borrowed. */
static inline const uint8_t *take(struct input *in, size_t n, size_t *got)
{
    const uint8_t *p = in->p;
    *got = n < in->left ? n : in->left;
    in->p += *got;
    in->left -= *got;
    return p;
}

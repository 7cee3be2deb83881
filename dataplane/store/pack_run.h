/* pack_run.h: elements of a pack one after the other, for whoever goes over many of them: inline where they
 * are short texts or small numbers, without a struct item in between. Format: pack.h. */
#pragma once
#include "store/pack.h"

struct pack_run {
    const uint8_t *p, *end; /* the next element; behind the last one */
};

enum { PACK_TAG_STRING = 0x80, PACK_TAG_KIND = 0xc0, PACK_TAG_LENGTH = 0x3f };

/* An element that is a string of up to 63 bytes: one byte before and one behind it. */
static inline bool pack_is_short(const uint8_t *p)
{
    return (p[0] & PACK_TAG_KIND) == PACK_TAG_STRING;
}

/* Bytes of the element at p, which is neither short nor a number below 128. */
uint32_t pack_long_size(const uint8_t *p);

static inline uint32_t pack_size(const uint8_t *p)
{
    if (pack_is_short(p))
        return 2 + (p[0] & PACK_TAG_LENGTH);
    return p[0] < PACK_TAG_STRING ? 1 : pack_long_size(p);
}

/* From a place of a pack to its end. */
static inline struct pack_run pack_run_from(struct pack pk, uint32_t at)
{
    return (struct pack_run){pk.p + at, pk.p + pack_end(pk)};
}

/* The next element of a run that is not at its end. True: a string, a slice into the pack. False: a number.
 */
bool pack_run_take_any(struct pack_run *run, struct slice *text, int64_t *number);

static inline bool pack_run_take(struct pack_run *run, struct slice *text, int64_t *number)
{
    const uint8_t *p = run->p;
    if (pack_is_short(p)) {
        *text = (struct slice){p + 1, p[0] & PACK_TAG_LENGTH};
        run->p = p + 2 + text->len;
        return true;
    }
    struct pack_run here = *run; /* what is known by address alone is slow to read */
    struct slice any;
    int64_t value;
    bool is_text = pack_run_take_any(&here, &any, &value);
    *run = here;
    if (is_text)
        *text = any;
    else
        *number = value;
    return is_text;
}

static inline void pack_run_skip(struct pack_run *run)
{
    run->p += pack_size(run->p);
}

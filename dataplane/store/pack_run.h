/* pack_run.h: elements of a pack one after the other, for whoever goes over many of them: inline where they
 * are short texts or small numbers, without a struct item in between. Format: pack.h. */
#pragma once
#include "base/number.h"
#include "store/pack.h"

struct pack_run {
    const uint8_t *p, *end; /* the next element; behind the last one */
};

enum {
    PACK_TAG_STRING = 0x80, /* of up to 63 bytes: kind and length in one byte */
    PACK_TAG_KIND = 0xc0,
    PACK_TAG_LENGTH = 0x3f,
    PACK_TAG_STRING12 = 0xe0, /* of up to 4095 */
    PACK_TAG_KIND12 = 0xf0,
    PACK_BACK_SHORT = 112, /* bodies up to here need one byte to be stepped over backwards */
    PACK_BACK_MIDDLE = PACK_BACK_SHORT + 15 * 256 /* and up to here two, above five */
};

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
    if ((p[0] & PACK_TAG_KIND12) == PACK_TAG_STRING12) {
        uint32_t len = (p[0] & 15u) << 8 | p[1], body = 2 + len;
        *text = (struct slice){p + 2, len};
        run->p = p + body + (body <= PACK_BACK_SHORT ? 1 : body <= PACK_BACK_MIDDLE ? 2 : 5);
        return true;
    }
    if (p[0] < PACK_TAG_STRING) {
        *number = p[0];
        run->p = p + 1;
        return false;
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

/* The same as the user sees it; a number's digits are written to scratch. */
static inline struct slice pack_run_text(struct pack_run *run, char scratch[PACK_TEXT])
{
    struct slice text;
    int64_t number;
    if (!pack_run_take(run, &text, &number))
        text = (struct slice){(const uint8_t *)scratch, format_i64(scratch, number)};
    return text;
}

static inline void pack_run_skip(struct pack_run *run)
{
    run->p += pack_size(run->p);
}

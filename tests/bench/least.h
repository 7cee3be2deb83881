/* least.h: what the least servers are made of: a table of lines of eight slots, which never grows, and keys that are hashed as the
 * engine hashes them. Private to least_get.c and least_set.c. */
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "measure.h"

enum { QUERIES = 1 << 16, BATCH = 32, SLOTS_A_LINE = 8, HEADER = 6, KEY = 16, VALUE = 64, TAG_SHIFT = 40 };
/* Of all requests up to their keys. */
enum { BEGIN = 18 };
#define LEAST_GET "*2\r\n$3\r\nGET\r\n$16\r\n"
#define LEAST_SET "*5\r\n$3\r\nSET\r\n$16\r\n"

struct line {
    uint32_t number[SLOTS_A_LINE]; /* of the entry, from 1 on; 0 = empty */
    uint32_t tag[SLOTS_A_LINE];
} __attribute__((aligned(64)));

static inline uint64_t hash_of(const uint8_t *key)
{
    return key_hash_short((struct slice){key, KEY}, 0x5bd1e995a3c59ac3u);
}

static inline uint64_t line_number(uint64_t hash, uint64_t lines)
{
    return (hash & UINT32_MAX) * lines >> 32;
}

/* 6.56 of 8 slots are taken, as in the engine's buckets. */
static inline uint64_t lines_for(uint64_t entries)
{
    return (entries * 100 + 655) / 656;
}

/* One bit a slot whose word is this one. */
static inline unsigned slots_with(const uint32_t *word, uint32_t this)
{
    const uint8_t *at = (const uint8_t *)word;
    __m128i want = _mm_set1_epi32((int)this);
    __m128i low = _mm_cmpeq_epi32(bytes_load16(at), want), high = _mm_cmpeq_epi32(bytes_load16(at + 16), want);
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(low, high), _mm_setzero_si128()));
}

/* One bit a slot that has the tag of this hash. */
static inline unsigned found_in(const struct line *line, uint64_t hash)
{
    return slots_with(line->tag, (uint32_t)(hash >> TAG_SHIFT));
}

static inline void line_write(struct line *line, unsigned slot, uint32_t number, uint64_t hash)
{
    line->number[slot] = number;
    line->tag[slot] = (uint32_t)(hash >> TAG_SHIFT);
}

static inline void key_text(uint64_t n, char *text)
{
    snprintf(text, KEY + 1, "k%015llu", (unsigned long long)n % 1000000000000000u);
}

/* Are the BEGIN bytes at p these? */
static inline bool begins_with(const uint8_t *p, const char *text)
{
    const uint8_t *begin = (const uint8_t *)text;
    __m128i first = _mm_cmpeq_epi8(bytes_load16(p), bytes_load16(begin));
    __m128i last = _mm_cmpeq_epi8(bytes_load16(p + BEGIN - 16), bytes_load16(begin + BEGIN - 16));
    return _mm_movemask_epi8(_mm_and_si128(first, last)) == 0xffff;
}

static inline uint64_t random_below(uint64_t *state, uint64_t keys)
{
    *state = *state * 6364136223846793005 + 1442695040888963407;
    return (*state >> 33) % keys;
}

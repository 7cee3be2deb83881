/* index_layout.h: how a directory word and a bucket are read and written (index.h has the picture). Private
 * to the index, ahead.c and eviction.c. */
#pragma once
#include "store/index.h"
#include "store/shard.h"
#include <immintrin.h>

/* -- a directory word -- */

static inline uint64_t word_make(const struct shard *s, const struct bucket *seg, unsigned buckets,
                                 unsigned keys)
{
    uint64_t granule = (uint64_t)((const uint8_t *)seg - s->heap.arena->base) / GRANULE;
    return granule | (uint64_t)buckets << 40 | (uint64_t)keys << 48;
}

/* Where in the arena that begins at base. */
static inline struct bucket *segment_at(uint8_t *base, uint64_t word)
{
    return (struct bucket *)(void *)(base + (word & 0xffffffffffu) * GRANULE);
}

static inline struct bucket *word_segment(const struct shard *s, uint64_t word)
{
    return segment_at(s->heap.arena->base, word);
}

static inline unsigned word_buckets(uint64_t word)
{
    return word >> 40 & 0xff;
}

static inline unsigned word_keys(uint64_t word)
{
    return (unsigned)(word >> 48);
}

enum { ONE_KEY_SHIFT = 48 };

static inline uint64_t *directory_at(const struct index *ix, uint32_t number)
{
    unsigned chunk = 31 - (unsigned)__builtin_clz((number >> 6) << 1 | 1);
    uint32_t first = (uint32_t)(DIRECTORY_FIRST << chunk >> 1) & ~(uint32_t)(DIRECTORY_FIRST - 1);
    return &ix->chunk[chunk][number - first];
}

static inline uint32_t segment_of(const struct index *ix, uint64_t hash)
{
    uint32_t number = (uint32_t)hash & ix->mask;
    return number < ix->segments ? number : number & ix->mask >> 1;
}

/* -- a slot -- */

enum { HIGH_ADDRESS = 0x3f, HIGH_MARK = 0x40, HIGH_SPILL = 0x80 };

static inline bool bucket_spilled(const struct bucket *b, uint32_t tag)
{
    return b->high[tag % BUCKET_SLOTS] & HIGH_SPILL;
}

/* The spill bits belong to the bucket, not to what is in the slot. */
static inline void slot_write(struct bucket *b, unsigned i, uint32_t low, uint32_t high)
{
    b->low[i] = low;
    b->high[i] = (b->high[i] & HIGH_SPILL) | (high & ~(uint32_t)HIGH_SPILL);
}

static inline uint32_t tag_of(uint64_t hash)
{
    return (uint32_t)(hash >> (64 - TAG_BITS));
}

static inline unsigned home_of(uint32_t tag, unsigned buckets)
{
    return (unsigned)((uint64_t)tag * buckets >> TAG_BITS);
}

static inline struct bucket *home_bucket(const struct shard *s, uint64_t word, uint32_t tag)
{
    return word_segment(s, word) + home_of(tag, word_buckets(word));
}

static inline struct entry *entry_at(uint8_t *base, const struct bucket *b, unsigned i)
{
    uint64_t granule = (uint64_t)(b->high[i] & HIGH_ADDRESS) << 32 | b->low[i];
    return (struct entry *)(void *)(base + granule * GRANULE);
}

static inline struct entry *slot_entry(const struct shard *s, const struct bucket *b, unsigned i)
{
    return entry_at(s->heap.arena->base, b, i);
}

/* The key's entry lies elsewhere now: its mark stays. */
static inline void slot_set(const struct shard *s, struct bucket *b, unsigned i, uint32_t tag,
                            const struct entry *e)
{
    uint64_t granule = (uint64_t)((const uint8_t *)e - s->heap.arena->base) / GRANULE;
    b->low[i] = (uint32_t)granule;
    b->high[i] = (b->high[i] & (HIGH_SPILL | HIGH_MARK)) | tag << 8 | (uint32_t)(granule >> 32);
}

/* One bit a slot: where a and b have the same words. */
#ifdef __AVX2__
static inline unsigned same8(__m256i a, __m256i b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b)));
}

static inline __m256i load8(const uint32_t *p)
{
    return _mm256_load_si256((const __m256i *)(const void *)p);
}

/* Those whose tag is this one (an empty slot has tag 0). */
static inline unsigned bucket_match(const struct bucket *b, uint32_t tag)
{
    return same8(_mm256_srli_epi32(load8(b->high), 8), _mm256_set1_epi32((int)tag));
}

static inline unsigned bucket_empty(const struct bucket *b)
{
    return same8(load8(b->low), _mm256_setzero_si256());
}
#else
static inline __m128i load4(const uint32_t *p)
{
    return _mm_load_si128((const __m128i *)(const void *)p);
}

static inline unsigned mask8(__m128i a, __m128i b)
{
    return (unsigned)_mm_movemask_epi8(_mm_packs_epi16(_mm_packs_epi32(a, b), _mm_setzero_si128()));
}

static inline unsigned bucket_match(const struct bucket *b, uint32_t tag)
{
    __m128i want = _mm_set1_epi32((int)tag);
    return mask8(_mm_cmpeq_epi32(_mm_srli_epi32(load4(b->high), 8), want),
                 _mm_cmpeq_epi32(_mm_srli_epi32(load4(b->high + 4), 8), want));
}

static inline unsigned bucket_empty(const struct bucket *b)
{
    __m128i zero = _mm_setzero_si128();
    return mask8(_mm_cmpeq_epi32(load4(b->low), zero), _mm_cmpeq_epi32(load4(b->low + 4), zero));
}
#endif

static inline unsigned next_bucket(unsigned b, unsigned buckets)
{
    return b + 1 == buckets ? 0 : b + 1;
}

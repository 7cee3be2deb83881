/* ahead_steps.h: the steps of look-ups ahead (store.h), as ahead.c and texts.c take them. Private to these. */
#pragma once
#include "store/index_layout.h"

/* Where the directory's words are: by the leading zeros of a segment's number (of 63 for those below), where number 0 would be. */
struct directory_words {
    uintptr_t zero[32];
    uint32_t segments, mask;
};

static inline void directory_words_of(const struct index *ix, struct directory_words *w)
{
    enum { FIRST_ZEROS = 26 /* of 63 */ };
    w->segments = ix->segments;
    w->mask = ix->mask;
    w->zero[FIRST_ZEROS] = (uintptr_t)ix->chunk[0];
    for (uint32_t chunk = 1, first = DIRECTORY_FIRST; first < ix->segments; chunk++, first <<= 1)
        w->zero[FIRST_ZEROS - chunk] = (uintptr_t)ix->chunk[chunk] - first * sizeof(uint64_t);
}

/* directory_at() of segment_of(), without a branch. */
static inline const uint64_t *directory_word(const struct directory_words *w, uint64_t hash)
{
    uint32_t number = (uint32_t)hash & w->mask;
    number &= w->mask >> 1 | (number < w->segments ? ~UINT32_C(0) : 0);
    const uintptr_t zero = w->zero[__builtin_clz(number | (DIRECTORY_FIRST - 1))];
    return (const uint64_t *)(zero + number * sizeof(uint64_t)); /* NOLINT(performance-no-int-to-ptr) */
}

/* An entry of a hundred bytes may begin near the end of a line. Always inline: see index_walk.c. */
static inline __attribute__((always_inline)) void prefetch_entry(const struct entry *e)
{
    const uint8_t *p = (const uint8_t *)e;
    __builtin_prefetch(p);
    __builtin_prefetch(p + 64);
    __builtin_prefetch(p + 100);
}

/* The first entry in a bucket that may be one of this tag's, or NULL. */
static inline const struct entry *match_in(uint8_t *base, const struct bucket *b, uint32_t tag)
{
    unsigned hits = bucket_match(b, tag), i = (unsigned)__builtin_ctz(hits | 1u << BUCKET_SLOTS);
    return hits && b->low[i] ? entry_at(base, b, i) : NULL;
}

/* The same in the buckets behind its home, the b-th of these. */
static inline const struct entry *match_behind(uint8_t *base, const struct bucket *seg, unsigned buckets, unsigned home, uint32_t tag)
{
    const struct entry *e = NULL;
    unsigned b = home;
    do
        b = next_bucket(b, buckets);
    while (b != home && !(e = match_in(base, &seg[b], tag)) && !bucket_empty(&seg[b]));
    return e;
}

/* ahead.c: takes all steps of a look-up anew, in this database. */
void ahead_anew(const struct shard *s, unsigned db, struct ahead *a);
/* ahead.c: the steps that n short strings of the row from `first` on have. */
void ahead_short(const struct shard *s, struct ahead_row *r, unsigned first, unsigned n);
/* ahead.c: the steps up to their entries of all that are in `at`. */
void ahead_entries(const struct shard *s, struct ahead_row *r);

/* ahead_steps.h: the steps of look-ups ahead (store.h), as ahead.c and texts.c take them, and what an entry is by its first word (eviction.c, too). Private to
 * these. */
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
    unsigned hits = bucket_match(b, tag);
    if (__builtin_expect(tag == 0, 0)) /* as empty slots have */
        hits &= ~bucket_empty(b);
    return hits ? entry_at(base, b, (unsigned)__builtin_ctz(hits)) : NULL;
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

/* What looking at an entry needs of the shard. */
struct looker {
    uint64_t now_ms;
    uint32_t tick; /* of a policy without LFU */
};

static inline struct looker looker_of(const struct shard *s)
{
    return (struct looker){s->now_ms, (uint32_t)(s->access.tick & ACCESS_LRU_MASK)};
}

/* Where no policy is LFU. A key that is read once more in a tick is not written to. */
static inline void stamp_use(struct entry *e, uint32_t tick)
{
    if (__builtin_expect((stamp_read(e) & ACCESS_LRU_MASK) != tick, 0))
        stamp_write(e, tick | ACCESS_AGAIN);
}

/* In an entry's first word: its kind but for the time to live and whether it is held, and the length of its name; EMBSTR less this kind
 * is 0, RAW less it is this kind. */
enum { USUAL_KIND = TYPE_STRING | STRING_EMBSTR << 3 };
#define USUAL_BITS (UINT64_C(0xff) << 32 | (0xff & ~(ENTRY_HELD | ENTRY_TTL)))
_Static_assert((STRING_EMBSTR << 3) == 8 && (STRING_RAW << 3) == 16 && TYPE_STRING == 0, "EMBSTR less EMBSTR is 0, RAW less it is 8");

/* The text of an entry, if that is a short string of the usual kind: of a name of at most BYTES_SHORT bytes, and live: what kind it is is
 * looked at in one word. Touches it. */
static inline __attribute__((always_inline)) bool usual_text(struct looker l, const struct entry *found, struct slice name,
                                                             struct slice *text)
{
    struct entry *e = (struct entry *)(uintptr_t)found;
    const uint64_t word = bytes_load8((const uint8_t *)e); /* no entry is shorter */
    const uint64_t wanted = (uint64_t)name.len << 32 | USUAL_KIND;
    const size_t value_len = word >> 40 & 0xff;
    const uint8_t *key = e->more;
    if (name.len > BYTES_SHORT || (((word & USUAL_BITS) - wanted) & ~(uint64_t)USUAL_KIND) || value_len == ENTRY_LONG)
        return false;
    if (word & ENTRY_TTL) {
        if (entry_expiry(key) < l.now_ms)
            return false;
        key += ENTRY_EXPIRY;
    }
    if (!bytes_same_short(key, name.p, name.len))
        return false;
    stamp_use(e, l.tick);
    *text = (struct slice){key + name.len, value_len};
    return true;
}

/* ahead.c: the text of a look-up that is not quite as usual, which the hint need not have found; one of NULL: there is no such key. False: the
 * general way is to find it. */
bool ahead_other_text(const struct shard *s, unsigned db, struct ahead *a, struct slice name, struct slice *text);
/* ahead.c: takes all steps of a look-up anew, in this database. */
void ahead_anew(const struct shard *s, unsigned db, struct ahead *a);
/* ahead.c: the steps up to their entries of all that are in `at`. */
void ahead_entries(const struct shard *s, struct ahead_row *r);

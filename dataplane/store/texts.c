/* texts.c: short strings with which a row of look-ups begins (struct ahead_texts): as few words are written between its steps as can be
 * (README.md has the figures). */
#include "store/ahead_steps.h"

#include <assert.h>

/* Where no segment is: nothing is found there. */
static const struct bucket nowhere;

/* The step to its home bucket, of the i-th. */
static inline __attribute__((always_inline)) void find_home(uint8_t *base, struct ahead_texts *t, uint64_t word, unsigned i)
{
    const unsigned n = word_buckets(word);
    t->home[i] = __builtin_expect(word != 0, 1) ? segment_at(base, word) + home_of(tag_of(t->hash[i]), n) : &nowhere;
    t->buckets[i] = (uint8_t)n;
    __builtin_prefetch(t->home[i]);
}

/* The step to its entry; false: its home bucket is full, and what is like it has gone on from there. */
static inline __attribute__((always_inline)) bool find_entry(uint8_t *base, struct ahead_texts *t, unsigned i)
{
    const struct bucket *b = t->home[i];
    const uint32_t tag = tag_of(t->hash[i]);
    t->e[i] = match_in(base, b, tag);
    if (__builtin_expect(t->e[i] != NULL, 1)) {
        prefetch_entry(t->e[i]);
        return true;
    }
    if (!bucket_spilled(b, tag))
        return true;
    __builtin_prefetch(b + 1); /* past the segment's end: of no use, of no harm */
    __builtin_prefetch(b + 2);
    return false;
}

/* Of those that have gone on from their home, one bit each. */
static inline void find_spilled(const struct shard *s, struct ahead_texts *t, uint32_t spilled)
{
    uint8_t *const base = s->heap.arena->base;
    for (; spilled; spilled &= spilled - 1) {
        const unsigned i = (unsigned)__builtin_ctz(spilled), home = home_of(tag_of(t->hash[i]), t->buckets[i]);
        t->e[i] = match_behind(base, t->home[i] - home, t->buckets[i], home, tag_of(t->hash[i]));
        if (t->e[i])
            prefetch_entry(t->e[i]);
    }
    t->known = true;
}

/* The steps to their entries. Not inlined: nothing is to be between the prefetches. */
static __attribute__((noinline)) void find_entries(const struct shard *s, struct ahead_texts *t)
{
    uint8_t *const base = s->heap.arena->base;
    const unsigned n = t->n;
    uint32_t spilled = 0;
    for (unsigned i = 0; i < n; i++)
        if (!find_entry(base, t, i))
            spilled |= UINT32_C(1) << i;
    find_spilled(s, t, spilled);
}

static __attribute__((noinline)) void find_homes(const struct shard *s, struct ahead_texts *t, const uint64_t *const *word)
{
    uint8_t *const base = s->heap.arena->base;
    const unsigned n = t->n;
    for (unsigned i = t->begun; i < n; i++)
        find_home(base, t, *word[i], i);
    t->begun = n;
}

bool store_texts_begin(const struct shard *s, struct ahead_texts *t)
{
    const struct index *ix = &s->db[t->db].index;
    const uint64_t *word[AHEAD_ROW];
    struct directory_words words;
    if (access_is_lfu(s) || !ix->segments)
        return false;
    if (t->begun == 0)
        t->changes = s->changes;
    t->known = false;
    directory_words_of(ix, &words);
    for (unsigned i = t->begun; i < t->n; i++) {
        word[i] = directory_word(&words, t->hash[i]);
        __builtin_prefetch(word[i]);
    }
    find_homes(s, t, word);
    return true;
}

/* All steps, once more if something was freed or moved since they were taken. False: there are none in this database. */
static inline bool texts_known(const struct shard *s, unsigned db, struct ahead_texts *t)
{
    if (__builtin_expect(t->db != db, 0))
        return false;
    if (__builtin_expect(t->changes != s->changes, 0)) {
        t->begun = 0;
        t->known = false;
        if (!store_texts_begin(s, t)) /* and will not, as t->changes stays what it is */
            return false;
    }
    if (!t->known)
        find_entries(s, t);
    return true;
}

void store_ahead_texts(const struct shard *s, struct ahead_row *r, struct ahead_texts *t)
{
    if (__builtin_expect(t->changes != s->changes, 0)) {
        t->begun = 0;
        (void)store_texts_begin(s, t); /* if not, texts_known() says so */
    }
    r->texts = t;
    r->n = r->buckets = r->entries = r->values = t->n;
}

void store_ahead_spread(const struct shard *s, struct ahead_row *r, unsigned i, unsigned n)
{
    struct ahead_texts *t = r->texts;
    const bool known = texts_known(s, t->db, t), last = i + n == t->n;
    for (unsigned k = i; k < i + n; k++) {
        struct ahead *a = &r->at[k];
        *a = (struct ahead){.s = s, .hash = t->hash[k], .changes = s->changes, .db = t->db};
        if (known) {
            a->e = t->e[k];
            a->bucket = t->home[k] == &nowhere ? NULL : t->home[k];
        } else {
            ahead_anew(s, t->db, a);
        }
    }
    if (last) {
        t->n = i;
        r->values = i; /* theirs is a step that texts do not have */
    }
}

void store_ahead_known(const struct shard *s, struct ahead_row *r)
{
    if (r->texts && !r->texts->known)
        (void)texts_known(s, r->texts->db, r->texts);
    ahead_entries(s, r);
}

/* One that is not quite as usual, as ahead_other_text(). */
static __attribute__((noinline)) bool other_alike(const struct shard *s, const struct ahead_texts *t, unsigned i, struct slice name,
                                                  struct slice *text)
{
    struct ahead a = {.s = s, .hash = t->hash[i], .e = t->e[i], .changes = t->changes, .db = t->db};
    if (a.e)
        return ahead_other_text(s, t->db, &a, name, text);
    *text = (struct slice){NULL, SIZE_MAX};
    return !(s->waits.nodes & ~WAITS_SNAPSHOT);
}

/* Names of one length, of which the next one stands `stride` bytes behind. */
struct names {
    const uint8_t *p;
    size_t len, stride;
};

/* usual_text() of n entries, up to the first that is none; how many. The clock is looked at in the same word, too. */
static inline __attribute__((always_inline)) unsigned usual_texts(struct looker l, const struct entry *const *found, unsigned n,
                                                                  struct names name, bool wide, struct slice *text)
{
    const uint64_t wanted = (uint64_t)name.len << 32 | (uint64_t)l.tick << 8 | USUAL_KIND;
    unsigned i = 0;
    for (; i < n; i++, name.p += name.stride) {
        struct entry *e = (struct entry *)(uintptr_t)found[i];
        if (__builtin_expect(!e, 0))
            break;
        const uint64_t word = bytes_load8((const uint8_t *)e); /* no entry is shorter */
        const uint64_t differs = (word & (USUAL_BITS | (uint64_t)ACCESS_LRU_MASK << 8)) - wanted;
        const size_t value_len = word >> 40 & 0xff;
        const uint8_t *key = e->more;
        if (__builtin_expect((differs & ~(uint64_t)USUAL_KIND) != 0, 0) &&
            (((word & USUAL_BITS) - (wanted & USUAL_BITS)) & ~(uint64_t)USUAL_KIND))
            break;
        if (__builtin_expect(value_len == ENTRY_LONG, 0))
            break;
        if (word & ENTRY_TTL) {
            if (entry_expiry(key) < l.now_ms)
                break;
            key += ENTRY_EXPIRY;
        }
        if (wide) {
            __m128i first = _mm_cmpeq_epi8(bytes_load16(key), bytes_load16(name.p));
            __m128i last = _mm_cmpeq_epi8(bytes_load16(key + name.len - 16), bytes_load16(name.p + name.len - 16));
            if (_mm_movemask_epi8(_mm_and_si128(first, last)) != 0xffff)
                break;
        } else if (!bytes_same_short(key, name.p, name.len)) {
            break;
        }
        if (__builtin_expect((differs & ~(uint64_t)USUAL_KIND) != 0, 0))
            stamp_write(e, l.tick | ACCESS_AGAIN);
        text[i] = (struct slice){key + name.len, value_len};
    }
    return i;
}

/* Not inlined: what is around it would take registers from it. */
static __attribute__((noinline)) unsigned usual_texts_wide(struct looker l, const struct entry *const *found, unsigned n,
                                                           struct names name, struct slice *text)
{
    return usual_texts(l, found, n, name, true, text);
}

static __attribute__((noinline)) unsigned usual_texts_narrow(struct looker l, const struct entry *const *found, unsigned n,
                                                             struct names name, struct slice *text)
{
    return usual_texts(l, found, n, name, false, text);
}

unsigned store_texts_alike(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n, struct slice name,
                           size_t stride, struct slice *text)
{
    const struct looker looker = looker_of(s);
    struct ahead_texts *t = r->texts;
    assert(name.len <= BYTES_SHORT);
    if (access_is_lfu(s) || !texts_known(s, db, t))
        return 0;
    for (unsigned i = 0;; i++) {
        const struct names names = {name.p + i * stride, name.len, stride};
        const struct entry *const *found = &t->e[first + i];
        i += name.len >= 16 ? usual_texts_wide(looker, found, n - i, names, &text[i])
                            : usual_texts_narrow(looker, found, n - i, names, &text[i]);
        if (i == n)
            return n;
        if (!other_alike(s, t, first + i, (struct slice){name.p + i * stride, name.len}, &text[i]))
            return i;
    }
}

/* texts.c: short strings that are looked up in a row, and what looking at one needs; those of which a row begins with many (struct
 * ahead_texts) with as few words written between its steps as can be (README.md has the figures). */
#include "store/ahead_steps.h"

#include <assert.h>

/* What looking at an entry needs of the shard. */
struct looker {
    uint64_t now_ms;
    uint32_t tick; /* of a policy without LFU */
};

static inline struct looker looker_of(const struct shard *s)
{
    return (struct looker){s->now_ms, (uint32_t)(s->access.tick & ACCESS_LRU_MASK)};
}

/* In an entry's first word: its kind but for the time to live and whether it is held, and the length of its name; EMBSTR less this kind
 * is 0, RAW less it is this kind. */
enum { USUAL_KIND = TYPE_STRING | STRING_EMBSTR << 3 };
#define USUAL_BITS (UINT64_C(0xff) << 32 | (0xff & ~(ENTRY_HELD | ENTRY_TTL)))
_Static_assert((STRING_EMBSTR << 3) == 8 && (STRING_RAW << 3) == 16 && TYPE_STRING == 0, "EMBSTR less EMBSTR is 0, RAW less it is 8");

/* The text of an entry, if that is a short string of the usual kind: of a name of at most BYTES_SHORT bytes, and live: what kind it is is
 * looked at in one word. Touches it. */
static inline __attribute__((always_inline)) bool usual_text(struct looker l, const struct entry *found, struct slice name,
                                                             size_t longest, struct slice *text)
{
    struct entry *e = (struct entry *)(uintptr_t)found;
    const uint64_t word = bytes_load8((const uint8_t *)e); /* no entry is shorter */
    const uint64_t wanted = (uint64_t)name.len << 32 | USUAL_KIND;
    const size_t value_len = word >> 40 & 0xff;
    const uint8_t *key = e->more;
    if (name.len > BYTES_SHORT || (((word & USUAL_BITS) - wanted) & ~(uint64_t)USUAL_KIND) || value_len > longest)
        return false;
    if (word & ENTRY_TTL) {
        if (entry_expiry(key) < l.now_ms)
            return false;
        key += ENTRY_EXPIRY;
    }
    if (!bytes_same_short(key, name.p, name.len))
        return false;
    if (__builtin_expect((word >> 8 & ACCESS_LRU_MASK) != l.tick, 0))
        stamp_write(e, l.tick | ACCESS_AGAIN);
    *text = (struct slice){key + name.len, value_len};
    return true;
}

/* The text of the entry that a hint has found, if it is a short string, live and of this name; touches it. */
static inline bool text_of(struct looker l, const struct ahead *a, struct slice name, struct slice *text)
{
    enum { RAW = TYPE_STRING | STRING_RAW << 3, EMBSTR = TYPE_STRING | STRING_EMBSTR << 3 };
    static const uint64_t forms =
        UINT64_C(1) << RAW | UINT64_C(1) << EMBSTR; /* of those in bits 0 to 5 of the head */
    struct entry *e = (struct entry *)(uintptr_t)a->e;
    uint64_t word = bytes_load8((const uint8_t *)e); /* no entry is shorter */
    size_t key_len = word >> 32 & 0xff, value_len = word >> 40 & 0xff;
    if (!(forms >> (word & 0x3f) & 1) || key_len != name.len || key_len == ENTRY_LONG ||
        value_len == ENTRY_LONG)
        return false;
    const uint8_t *key = e->more;
    if (word & ENTRY_TTL) {
        if (entry_expiry(key) < l.now_ms)
            return false;
        key += ENTRY_EXPIRY;
    }
    if (!bytes_same(key, name.p, key_len))
        return false;
    if (__builtin_expect((uint32_t)word >> 8 != l.tick, 0))
        stamp_write(e, l.tick | ACCESS_AGAIN);
    *text = (struct slice){key + key_len, value_len};
    return true;
}

bool store_text_ahead(struct shard *s, unsigned db, const struct key *k, const struct ahead *a,
                      struct slice *text)
{
    if (access_is_lfu(s) || !ahead_fresh(s, db, a) || !text_of(looker_of(s), a, k->name, text))
        return false;
    count_one(s->counters, COUNTER_keyspace_hits);
    return true;
}

/* Has it found an entry, in this database, since when nothing was freed or moved? */
static inline bool is_as_found(unsigned db, const struct ahead *a, uint64_t changes)
{
    return a->e && a->db == db && __builtin_expect(a->changes == changes, 1);
}

/* What the hint has found, if it is where it was; or with all its steps taken anew, where what a write of the row has moved
 * is in the cache (or SELECT came before it). */
static __attribute__((noinline)) const struct entry *once_more(const struct shard *s, unsigned db, struct ahead *a)
{
    if (ahead_fresh(s, db, a))
        return a->e;
    ahead_anew(s, db, a);
    return a->e;
}

/* Is there no such key, and nobody who would want to know? */
static __attribute__((noinline)) bool is_missing(const struct shard *s, unsigned db, struct slice name, uint64_t hash)
{
    const struct key k = {name, hash};
    struct place at;
    return !(s->waits.nodes & ~WAITS_SNAPSHOT) && !index_find(s, &s->db[db].index, &k, &at);
}

/* The text of a look-up that is not quite as usual; one of NULL: there is no such key. False: the general way is to find it. */
static __attribute__((noinline)) bool other_text(const struct shard *s, unsigned db, struct ahead *a, struct slice name, size_t longest,
                                                 struct slice *text)
{
    if (is_as_found(db, a, s->changes) || once_more(s, db, a))
        return text_of(looker_of(s), a, name, text) && text->len <= longest;
    *text = (struct slice){NULL, SIZE_MAX};
    return is_missing(s, db, name, a->hash);
}

unsigned store_texts_ahead(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n,
                           const struct slice *name, unsigned stride, size_t longest, struct slice *text)
{
    const struct looker looker = looker_of(s);
    const uint64_t changes = s->changes;
    assert(longest < ENTRY_LONG);
    if (access_is_lfu(s) || n == 0)
        return 0;
    ahead_short(s, r, first, n);
    struct ahead *a = &r->at[first];
    for (unsigned i = 0; i < n; i++, a++, name += stride)
        if (!(is_as_found(db, a, changes) && usual_text(looker, a->e, *name, longest, &text[i])) &&
            !other_text(s, db, a, *name, longest, &text[i]))
            return i;
    return n;
}

/* -- those that a row begins with: nothing is noted of one but its hash, its home and its entry -- */

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

/* All steps, once more if something was freed or moved since they were taken, or if it is another database that counts. */
static inline bool texts_known(const struct shard *s, unsigned db, struct ahead_texts *t)
{
    if (__builtin_expect(t->changes != s->changes || t->db != db, 0)) {
        t->db = db;
        t->begun = 0;
        if (!store_texts_begin(s, t))
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
        store_texts_begin(s, t);
    }
    r->texts = t;
    r->n = r->buckets = r->entries = r->values = t->n;
}

void store_ahead_spread(const struct shard *s, struct ahead_row *r, unsigned i)
{
    const struct ahead_texts *t = r->texts;
    r->at[i] = (struct ahead){.s = s, .hash = t->hash[i], .changes = s->changes, .db = t->db};
    ahead_anew(s, t->db, &r->at[i]);
}

void store_ahead_known(const struct shard *s, struct ahead_row *r)
{
    if (r->texts && !r->texts->known)
        texts_known(s, r->texts->db, r->texts);
    ahead_entries(s, r);
}

/* One that is not quite as usual, as other_text(). */
static __attribute__((noinline)) bool other_apart(const struct shard *s, const struct ahead_texts *t, unsigned i, struct slice name,
                                                  size_t longest, struct slice *text)
{
    struct ahead a = {.s = s, .hash = t->hash[i], .e = t->e[i], .changes = t->changes, .db = t->db};
    if (a.e)
        return other_text(s, t->db, &a, name, longest, text);
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
        const uint8_t *key = e->more;
        if (__builtin_expect((differs & ~(uint64_t)USUAL_KIND) != 0, 0)) {
            if (((word & USUAL_BITS) - (wanted & USUAL_BITS)) & ~(uint64_t)USUAL_KIND)
                break;
        }
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
        text[i] = (struct slice){key + name.len, word >> 40 & 0xff};
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

unsigned store_texts_apart(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n, struct slice name,
                           size_t stride, size_t longest, struct slice *text)
{
    const struct looker looker = looker_of(s);
    struct ahead_texts *t = r->texts;
    assert(longest < ENTRY_LONG && name.len <= BYTES_SHORT);
    if (access_is_lfu(s) || !texts_known(s, db, t))
        return 0;
    for (unsigned i = 0;; i++) {
        const struct names names = {name.p + i * stride, name.len, stride};
        const struct entry *const *found = &t->e[first + i];
        i += name.len >= 16 ? usual_texts_wide(looker, found, n - i, names, &text[i]) : usual_texts_narrow(looker, found, n - i, names, &text[i]);
        if (i == n)
            return n;
        if (!other_apart(s, t, first + i, (struct slice){name.p + i * stride, name.len}, longest, &text[i]))
            return i;
    }
}

void store_count_looks(struct shard *s, unsigned hits, unsigned misses)
{
    count_add(s->counters, COUNTER_keyspace_hits, hits);
    count_add(s->counters, COUNTER_keyspace_misses, misses);
}

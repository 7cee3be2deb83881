/* ahead.c: look-ups in a row, for which memory is asked some look-ups before they are made (store.h has the
 * contract, README.md the figures). */
#include "store/ahead_steps.h"

/* -- the steps -- */

static inline void ahead_word(const struct index *ix, struct ahead *a)
{
    a->word = __builtin_expect(ix->segments, 1) ? directory_at(ix, segment_of(ix, a->hash)) : NULL;
}

static inline void ahead_bucket(uint8_t *base, struct ahead *a)
{
    uint64_t word = a->word ? *a->word : 0;
    a->e = NULL;
    if (__builtin_expect(word == 0, 0)) {
        a->bucket = NULL;
        a->buckets = 0;
        return;
    }
    a->buckets = word_buckets(word);
    a->bucket = segment_at(base, word) + home_of(tag_of(a->hash), a->buckets);
    __builtin_prefetch(a->bucket);
}

/* What was freed or moved since an earlier step has the steps up to this one taken once more. */
static __attribute__((noinline)) void again(const struct shard *s, struct ahead *a, uint64_t changes)
{
    if (!a->s) /* elsewhere, or none */
        return;
    a->changes = changes;
    ahead_word(&s->db[a->db].index, a);
    ahead_bucket(s->heap.arena->base, a);
}

static inline bool is_stale(const struct ahead *a, uint64_t changes)
{
    return __builtin_expect(a->changes != changes, 0);
}

/* Stale, and its bucket may be elsewhere. */
static inline bool is_moved(const struct shard *s, const struct ahead *a, uint64_t changes)
{
    return is_stale(a, changes) && !(a->s && shard_only_freed(s, a->changes));
}

__attribute__((noinline)) bool ahead_kept(const struct shard *s, const struct ahead *a)
{
    return shard_only_freed(s, a->changes) && a->bucket &&
           match_in(s->heap.arena->base, a->bucket, tag_of(a->hash)) == a->e;
}

bool ahead_missed(const struct shard *s, unsigned db, uint64_t hash, const struct ahead *a)
{
    const uint32_t tag = tag_of(hash);
    return !a->e && a->hash == hash && a->s == s && a->db == db && a->bucket && (a->changes == s->changes || shard_only_freed(s, a->changes)) &&
           !bucket_match(a->bucket, tag) && !bucket_spilled(a->bucket, tag);
}

/* True: a key that is not in its home bucket has perhaps gone on to the next ones; those it also goes to when it is stored. */
static inline bool ahead_entry(const struct shard *s, uint8_t *base, struct ahead *a, uint64_t changes)
{
    if (is_moved(s, a, changes))
        again(s, a, changes);
    const struct bucket *b = a->bucket;
    if (__builtin_expect(!b, 0))
        return false;
    uint32_t tag = tag_of(a->hash);
    a->e = match_in(base, b, tag);
    if (__builtin_expect(a->e != NULL, 1)) {
        prefetch_entry(a->e);
        return false;
    }
    if (!bucket_empty(b)) {
        __builtin_prefetch(b + 1); /* past the segment's end: of no use, of no harm */
        __builtin_prefetch(b + 2);
    }
    if (bucket_spilled(b, tag))
        return true;
    a->buckets = 0;
    return false;
}

/* It is not in its home bucket. */
static __attribute__((noinline)) void ahead_spilled(const struct shard *s, struct ahead *a)
{
    uint32_t tag = tag_of(a->hash);
    unsigned home = home_of(tag, a->buckets);
    a->e = match_behind(s->heap.arena->base, a->bucket - home, a->buckets, home, tag);
    if (a->e)
        prefetch_entry(a->e);
}

enum { PREFETCHED = 128, LINE = 64, VALUE_LINES = 8 };

static inline void prefetch_lines(const void *p, uint64_t bytes)
{
    for (unsigned i = 0; i < VALUE_LINES && i * LINE < bytes; i++)
        __builtin_prefetch((const void *)((uintptr_t)p + i * LINE));
}

/* What a collection's entry, whose first line has come in, has or points to behind it: its other lines, its
 * memory apart, its body. */
__attribute__((noinline)) static void prefetch_value(const struct entry *e)
{
    uint64_t size = entry_size(e);
    if (entry_is_body(e)) {
        prefetch_lines(entry_body(e), 2 * LINE);
    } else if (entry_is_apart(e)) {
        struct apart root = entry_apart(e);
        prefetch_lines(root.p, root.len);
    } else if (size > PREFETCHED) {
        prefetch_lines((const uint8_t *)e + PREFETCHED, size - PREFETCHED);
    }
}

/* All but short strings. */
static inline bool is_more(const struct entry *e)
{
    return entry_type_of(e) != TYPE_STRING || entry_is_apart(e) || e->value_len == ENTRY_LONG;
}

/* The entry's step once more: something was freed or moved since. Whether a short string has gone the look-up itself sees. */
static __attribute__((noinline)) void ahead_entry_again(const struct shard *s, struct ahead *a, uint64_t changes)
{
    if (is_moved(s, a, changes) || (a->e && is_more(a->e)))
        ahead_entry(s, s->heap.arena->base, a, changes);
}

static inline void ahead_value(const struct shard *s, struct ahead *a, uint64_t changes)
{
    if (is_stale(a, changes))
        ahead_entry_again(s, a, changes);
    if (__builtin_expect(a->e != NULL, 1)) {
        if (__builtin_expect(is_more(a->e), 0))
            prefetch_value(a->e);
    } else if (a->buckets) {
        ahead_spilled(s, a);
    }
}

/* The steps to the bucket and to the entry are taken for the whole row before the first look-up, each in a loop of its own: a
 * prefetch that misses the TLB holds retirement up, and only where nothing else is between them has the CPU several of those
 * under way. A value's step is taken so many look-ups sooner than the look-up itself; by measurement. */
enum { TO_VALUE = 10 };
/* So many short strings in one go have no step for their values. */
enum { MANY = 8 };

static inline unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static inline void buckets(const struct shard *s, struct ahead_row *r, unsigned n, uint64_t changes)
{
    uint8_t *const base = s->heap.arena->base;
    unsigned i = r->buckets;
    for (; i < n; i++) {
        struct ahead *a = &r->at[i];
        if (is_moved(s, a, changes))
            again(s, a, changes);
        else
            ahead_bucket(base, a);
    }
    r->buckets = i;
}

static inline void entries(const struct shard *s, struct ahead_row *r, unsigned n, uint64_t changes)
{
    uint8_t *const base = s->heap.arena->base;
    unsigned i = r->entries;
    for (; i < n; i++)
        if (__builtin_expect(ahead_entry(s, base, &r->at[i], changes), 0))
            r->spilled |= UINT32_C(1) << i;
    r->entries = i;
}

static inline void values(const struct shard *s, struct ahead_row *r, unsigned n, uint64_t changes)
{
    unsigned i = r->values;
    for (; i < n; i++)
        ahead_value(s, &r->at[i], changes);
    r->values = i;
}

static inline void ahead_begins(const struct shard *s, struct ahead *a, unsigned db, uint64_t hash, uint64_t changes)
{
    a->s = s;
    a->hash = hash;
    a->db = db;
    a->changes = changes;
    ahead_word(&s->db[db].index, a);
    __builtin_prefetch(a->word);
}

void store_ahead(const struct shard *s, struct ahead_row *r, unsigned db, uint64_t hash)
{
    ahead_begins(s, &r->at[r->n++], db, hash, s->changes);
}

/* The first two steps of many look-ups of an index that has segments: all words, then all buckets. */
static inline void begin_many(const struct shard *s, const struct index *ix, struct ahead *a, unsigned db,
                              const uint64_t *hash, unsigned n)
{
    const uint64_t changes = s->changes;
    uint8_t *const base = s->heap.arena->base;
    const uint64_t *word[AHEAD_ROW];
    struct directory_words words;
    directory_words_of(ix, &words);
    for (unsigned i = 0; i < n; i++) {
        word[i] = directory_word(&words, hash[i]);
        __builtin_prefetch(word[i]);
    }
    for (unsigned i = 0; i < n; i++, a++) {
        a->s = s;
        a->hash = hash[i];
        a->changes = changes;
        a->db = db;
        a->word = word[i];
        ahead_bucket(base, a);
    }
}

void store_ahead_all(const struct shard *s, struct ahead_row *r, unsigned db, const uint64_t *hash, unsigned n)
{
    const struct index *ix = &s->db[db].index;
    if (n >= MANY && r->buckets == r->n && ix->segments) {
        begin_many(s, ix, &r->at[r->n], db, hash, n);
        r->buckets = r->n += n;
        return;
    }
    for (unsigned i = 0; i < n; i++)
        ahead_begins(s, &r->at[r->n + i], db, hash[i], s->changes);
    r->n += n;
    if (n >= MANY)
        buckets(s, r, r->n, s->changes);
}

/* The steps to bucket and entry, for all that is known. */
static __attribute__((noinline)) void find_all(const struct shard *s, struct ahead_row *r)
{
    uint64_t changes = s->changes;
    buckets(s, r, r->n, changes);
    entries(s, r, r->n, changes);
}

/* Those up to the i-th look-up, and all steps but the last of those behind it. */
static inline void look_ahead(const struct shard *s, struct ahead_row *r, unsigned i)
{
    if (r->entries < r->n)
        find_all(s, r);
    values(s, r, least(r->n, i + TO_VALUE), s->changes);
}

/* Those of a row of its own, but for what short strings do not have. */
static inline void look_all_ahead(const struct shard *s, struct ahead_row *r, unsigned first, unsigned end)
{
    if (r->entries < r->n)
        find_all(s, r);
    uint32_t spilled = r->spilled & (UINT32_MAX << first) & (UINT32_MAX >> (AHEAD_ROW - end));
    for (; spilled; spilled &= spilled - 1) {
        struct ahead *a = &r->at[__builtin_ctz(spilled)];
        if (!a->e && a->buckets && !is_moved(s, a, s->changes))
            ahead_spilled(s, a);
    }
}

void ahead_entries(const struct shard *s, struct ahead_row *r)
{
    if (r->entries < r->n)
        find_all(s, r);
}

void store_look_ahead(const struct shard *s, struct ahead_row *r, unsigned i)
{
    if (r->values < i) /* those before were made */
        r->values = i;
    look_ahead(s, r, i);
}

void store_look_all_ahead(const struct shard *s, struct ahead_row *r, unsigned i)
{
    look_all_ahead(s, r, i, r->n);
}

void ahead_anew(const struct shard *s, unsigned db, struct ahead *a)
{
    a->db = db;
    again(s, a, s->changes);
    ahead_entry(s, s->heap.arena->base, a, s->changes);
    if (!a->e && a->buckets)
        ahead_spilled(s, a);
}

/* -- strings that lie in their entries -- */

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

_Static_assert((int)TEXT_MOST == (int)ENTRY_INLINE, "what lies in an entry");

/* The text of an entry, if it is a string that lies in it, live and of this name; touches it, and asks for what of a long one is not asked for
 * yet. */
static bool any_text(struct looker l, struct entry *e, struct slice name, struct slice *text)
{
    if (entry_type_of(e) != TYPE_STRING || entry_is_apart(e))
        return false;
    const struct parts parts = entry_parts(e);
    if (parts.key_len != name.len || (entry_has_ttl(e) && entry_expiry(parts.expiry) < l.now_ms) ||
        !bytes_same(parts.key, name.p, name.len))
        return false;
    stamp_use(e, l.tick);
    *text = (struct slice){parts.value, entry_encoding_of(e) == STRING_INT ? TEXT_NUMBER : parts.value_len};
    for (uint32_t at = PREFETCHED; at < parts.value_len; at += LINE)
        __builtin_prefetch(parts.value + at);
    return true;
}

__attribute__((noinline)) bool ahead_other_text(const struct shard *s, unsigned db, struct ahead *a, struct slice name, struct slice *text)
{
    if (is_as_found(db, a, s->changes) || once_more(s, db, a))
        return any_text(looker_of(s), (struct entry *)(uintptr_t)a->e, name, text);
    *text = (struct slice){NULL, SIZE_MAX};
    return is_missing(s, db, name, a->hash);
}

bool store_text_ahead(struct shard *s, unsigned db, const struct key *k, const struct ahead *a, struct slice *text)
{
    struct entry *e = access_is_lfu(s) ? NULL : ahead_fresh(s, db, a);
    const struct looker looker = looker_of(s);
    if (!e || !(usual_text(looker, e, k->name, text) || (any_text(looker, e, k->name, text) && text->len != TEXT_NUMBER)))
        return false;
    count_one(s->counters, COUNTER_keyspace_hits);
    return true;
}

unsigned store_texts_ahead(struct shard *s, unsigned db, struct ahead_row *r, unsigned first, unsigned n,
                           const struct slice *name, unsigned stride, struct slice *text)
{
    const struct looker looker = looker_of(s);
    const uint64_t changes = s->changes;
    if (access_is_lfu(s) || n == 0)
        return 0;
    if (n >= MANY)
        look_all_ahead(s, r, first, first + n);
    else
        look_ahead(s, r, first + n - 1);
    struct ahead *a = &r->at[first];
    for (unsigned i = 0; i < n; i++, a++, name += stride)
        if (!(is_as_found(db, a, changes) && usual_text(looker, a->e, *name, &text[i])) &&
            !ahead_other_text(s, db, a, *name, &text[i]))
            return i;
    return n;
}

void store_count_looks(struct shard *s, unsigned hits, unsigned misses)
{
    count_add(s->counters, COUNTER_keyspace_hits, hits);
    count_add(s->counters, COUNTER_keyspace_misses, misses);
}

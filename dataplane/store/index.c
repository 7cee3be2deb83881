/* index.c: the index of index.h: look-up, insertion, growth, removal. Linear hashing after Litwin (1980). */
#include "store/index_layout.h"

/* The entry of a key in one bucket; *slot is its slot. */
static inline __attribute__((always_inline)) struct entry *find_in(const struct shard *s, const struct bucket *b, uint32_t tag,
                                    struct slice name, unsigned *slot)
{
    for (unsigned hits = bucket_match(b, tag); hits; hits &= hits - 1) {
        unsigned i = (unsigned)__builtin_ctz(hits);
        struct entry *e = slot_entry(s, b, i);
        if (__builtin_expect(b->low[i] && entry_key_is(e, name), 1)) {
            *slot = i;
            return e;
        }
    }
    return NULL;
}

/* It is not in its home bucket: on to the next ones. */
__attribute__((noinline)) static struct entry *find_spilled(const struct shard *s, uint64_t *directory,
                                                            const struct bucket *home, const struct key *k,
                                                            struct place *at)
{
    struct bucket *seg = word_segment(s, *directory);
    unsigned buckets = word_buckets(*directory), b = (unsigned)(home - seg), slot;
    for (unsigned left = buckets - 1; left > 0 && !bucket_empty(&seg[b]); left--) {
        b = next_bucket(b, buckets);
        struct entry *e = find_in(s, &seg[b], tag_of(k->hash), k->name, &slot);
        if (e) {
            *at = (struct place){directory, &seg[b], slot};
            return e;
        }
    }
    return NULL;
}

struct entry *index_find(const struct shard *s, const struct index *ix, const struct key *k, struct place *at)
{
    if (ix->segments == 0)
        return NULL;
    uint64_t *directory = directory_at(ix, segment_of(ix, k->hash)), word = *directory;
    if (word == 0)
        return NULL;
    uint32_t tag = tag_of(k->hash);
    struct bucket *b = home_bucket(s, word, tag);
    unsigned slot;
    struct entry *e = find_in(s, b, tag, k->name, &slot);
    if (__builtin_expect(e != NULL, 1)) {
        *at = (struct place){directory, b, slot};
        return e;
    }
    return bucket_spilled(b, tag) ? find_spilled(s, directory, b, k, at) : NULL;
}

bool index_find_entry(const struct shard *s, const struct index *ix, uint64_t hash, const struct entry *e,
                      struct place *at)
{
    if (ix->segments == 0)
        return false;
    uint64_t *directory = directory_at(ix, segment_of(ix, hash)), word = *directory;
    unsigned buckets = word_buckets(word), b = home_of(tag_of(hash), buckets);
    struct bucket *seg = word_segment(s, word);
    for (unsigned left = buckets; left > 0; left--) {
        for (unsigned hits = bucket_match(&seg[b], tag_of(hash)); hits; hits &= hits - 1) {
            unsigned i = (unsigned)__builtin_ctz(hits);
            if (seg[b].low[i] && slot_entry(s, &seg[b], i) == e) {
                *at = (struct place){directory, &seg[b], i};
                return true;
            }
        }
        if (bucket_empty(&seg[b]))
            return false;
        b = next_bucket(b, buckets);
    }
    return false;
}

/* -- segments -- */

/* Keys a segment of so many buckets takes before it grows: 92 %, and all of a tiny one. */
static inline unsigned segment_room(unsigned buckets)
{
    return buckets <= 2 ? buckets * BUCKET_SLOTS : buckets * BUCKET_SLOTS * 59 / 64;
}

/* The least number of buckets with some room for growth that is also a size class of the slab. */
static unsigned buckets_for(unsigned keys)
{
    unsigned n = keys <= 8 ? 1 : (keys + 6) / 7;
    unsigned step = n <= 16 ? 1 : n <= 32 ? 2 : n <= 64 ? 4 : n <= 128 ? 8 : 16;
    n = (n + step - 1) & ~(step - 1);
    return n > SEGMENT_BUCKETS ? SEGMENT_BUCKETS : n;
}

static unsigned buckets_after(unsigned n)
{
    n += n < 16 ? 1 : n < 32 ? 2 : n < 64 ? 4 : n < 128 ? 8 : 16;
    return n > SEGMENT_BUCKETS ? SEGMENT_BUCKETS : n;
}

enum { SLOT_BYTES = sizeof(struct bucket) / BUCKET_SLOTS };

static struct bucket *segment_new(struct shard *s, unsigned buckets)
{
    struct bucket *seg = shard_alloc_quietly(s, buckets * sizeof *seg, SLAB_OTHER);
    if (seg)
        memset(seg, 0, buckets * sizeof *seg);
    return seg;
}

/* The segment has a free slot. */
static void segment_put(struct bucket *seg, unsigned buckets, uint32_t low, uint32_t high)
{
    unsigned home = home_of(high >> 8, buckets), b = home, empty;
    while (!(empty = bucket_empty(&seg[b])))
        b = next_bucket(b, buckets);
    slot_write(&seg[b], (unsigned)__builtin_ctz(empty), low, high);
    if (b != home)
        seg[home].high[(high >> 8) % BUCKET_SLOTS] |= HIGH_SPILL;
}

/* What is in a segment, one behind the other; returns how many. Without a branch on what a slot holds, which would be guessed
 * wrong for one in five. */
static unsigned segment_slots(const struct bucket *seg, unsigned buckets, uint32_t *low, uint32_t *high)
{
    unsigned n = 0;
    for (unsigned b = 0; b < buckets; b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
            low[n] = seg[b].low[i];
            high[n] = seg[b].high[i];
            n += seg[b].low[i] != 0;
        }
    return n;
}

/* Fills a segment that is empty, and has room. */
static void segment_fill(struct bucket *seg, unsigned buckets, const uint32_t *low, const uint32_t *high, unsigned n)
{
    uint8_t used[SEGMENT_BUCKETS];
    memset(used, 0, buckets);
    for (unsigned k = 0; k < n; k++) {
        const unsigned home = home_of(high[k] >> 8, buckets);
        unsigned b = home;
        while (used[b] == BUCKET_SLOTS)
            b = next_bucket(b, buckets);
        slot_write(&seg[b], used[b]++, low[k], high[k]);
        if (b != home)
            seg[home].high[(high[k] >> 8) % BUCKET_SLOTS] |= HIGH_SPILL;
    }
}

/* Moves a segment into one with another number of buckets. False, and nothing changed, without memory. */
static bool segment_resize(struct shard *s, uint64_t *directory, unsigned buckets)
{
    enum { SLOTS_MOST = SEGMENT_BUCKETS * BUCKET_SLOTS + 1 /* where an empty slot is written last */ };
    uint64_t word = *directory;
    uint32_t low[SLOTS_MOST], high[SLOTS_MOST];
    struct bucket *old = word_segment(s, word), *seg = segment_new(s, buckets);
    if (!seg)
        return false;
    segment_fill(seg, buckets, low, high, segment_slots(old, word_buckets(word), low, high));
    *directory = word_make(s, seg, buckets, word_keys(word));
    if (word_buckets(word))
        shard_free(s, old);
    s->changes++; /* also where there was none: who looked there takes it that nothing is */
    return true;
}

static uint64_t entry_hash(const struct shard *s, const struct entry *e)
{
    return key_hash(entry_key(e), s->seed);
}

/* Entries of a segment, each with the bit that says whether it goes to the new one. */
struct split {
    uint16_t n, moving;
    uint32_t low[SEGMENT_BUCKETS * BUCKET_SLOTS], high[SEGMENT_BUCKETS * BUCKET_SLOTS];
    bool moves[SEGMENT_BUCKETS * BUCKET_SLOTS];
};

static void split_collect(const struct shard *s, uint64_t word, unsigned bit, struct split *split)
{
    const struct bucket *seg = word_segment(s, word);
    split->n = split->moving = 0;
    for (unsigned b = 0; b < word_buckets(word); b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            if (seg[b].low[i]) {
                __builtin_prefetch(slot_entry(s, &seg[b], i));
                split->low[split->n] = seg[b].low[i];
                split->high[split->n++] = seg[b].high[i];
            }
    for (unsigned i = 0; i < split->n; i++) {
        uint64_t granule = (uint64_t)(split->high[i] & HIGH_ADDRESS) << 32 | split->low[i];
        const struct entry *entry = (const void *)(s->heap.arena->base + granule * GRANULE);
        split->moves[i] = entry_hash(s, entry) >> bit & 1;
        split->moving += split->moves[i];
    }
}

/* Memory for the directory word of a new segment. */
static bool directory_reserve(struct shard *s, struct index *ix, uint32_t number)
{
    unsigned chunk = 31 - (unsigned)__builtin_clz((number >> 6) << 1 | 1);
    if (!ix->chunk[chunk]) {
        uint64_t words = chunk ? (uint64_t)DIRECTORY_FIRST << (chunk - 1) : DIRECTORY_FIRST;
        ix->chunk[chunk] = shard_alloc_quietly(s, words * sizeof(uint64_t), SLAB_OTHER);
    }
    return ix->chunk[chunk] != NULL;
}

/* Is there memory for both halves of a segment? Who only finds out when all of its entries have been looked at does so for
 * each key that is stored while memory is full. */
static bool split_fits(const struct shard *s, uint64_t word)
{
    return shard_fits(s, word ? 2 * slab_size(buckets_for(word_keys(word) / 2) * sizeof(struct bucket)) : 0);
}

/* Adds a segment by splitting the next one in order. Without memory it is left for later. */
static void index_grow(struct shard *s, struct index *ix)
{
    uint32_t number = ix->segments;
    if (number >> DIRECTORY_BITS || !directory_reserve(s, ix, number))
        return;
    unsigned bit = 31 - (unsigned)__builtin_clz(number);
    uint64_t *parent = directory_at(ix, number ^ 1u << bit), word = *parent;
    struct split split;
    if (!split_fits(s, word))
        return;
    split_collect(s, word, bit, &split);
    unsigned stay = split.n - split.moving;
    unsigned buckets[2] = {stay ? buckets_for(stay) : 0, split.moving ? buckets_for(split.moving) : 0};
    struct bucket *seg[2] = {stay ? segment_new(s, buckets[0]) : NULL,
                             split.moving ? segment_new(s, buckets[1]) : NULL};
    if ((stay && !seg[0]) || (split.moving && !seg[1])) {
        for (unsigned i = 0; i < 2; i++)
            if (seg[i])
                shard_free(s, seg[i]);
        return;
    }
    for (unsigned i = 0; i < split.n; i++)
        segment_put(seg[split.moves[i]], buckets[split.moves[i]], split.low[i], split.high[i]);
    if (word) {
        shard_free(s, word_segment(s, word));
        s->changes++;
    }
    *parent = stay ? word_make(s, seg[0], buckets[0], stay) : 0;
    *directory_at(ix, number) = split.moving ? word_make(s, seg[1], buckets[1], split.moving) : 0;
    ix->segments++;
    ix->mask = (2u << bit) - 1;
}

static bool index_start(struct shard *s, struct index *ix)
{
    if (!directory_reserve(s, ix, 0))
        return false;
    *directory_at(ix, 0) = 0;
    ix->segments = 1;
    ix->mask = 1;
    return true;
}

bool index_reserve(struct shard *s, struct index *ix, uint64_t hash)
{
    if (ix->segments == 0 && !index_start(s, ix))
        return false;
    if (ix->keys >= (uint64_t)ix->segments * SEGMENT_KEYS)
        index_grow(s, ix);
    uint64_t *directory = directory_at(ix, segment_of(ix, hash));
    unsigned buckets = word_buckets(*directory), keys = word_keys(*directory);
    if (keys < segment_room(buckets))
        return true;
    if (buckets < SEGMENT_BUCKETS && segment_resize(s, directory, buckets_after(buckets)))
        return true;
    return keys < buckets * BUCKET_SLOTS; /* fuller than it should be, but there is room */
}

uint64_t index_reserve_size(const struct index *ix, uint64_t hash)
{
    if (ix->segments == 0)
        return slab_size(DIRECTORY_FIRST * sizeof(uint64_t)) + slab_size(sizeof(struct bucket));
    unsigned buckets = word_buckets(*directory_at(ix, segment_of(ix, hash)));
    if (buckets >= SEGMENT_BUCKETS) /* it can only be split: both halves of whichever is next, at most */
        return 2 * slab_size(buckets_for(SEGMENT_BUCKETS * BUCKET_SLOTS / 2) * sizeof(struct bucket));
    return slab_size(buckets_after(buckets) * sizeof(struct bucket));
}

static inline void insert_in(struct shard *s, struct index *ix, uint64_t *directory, uint64_t hash, struct entry *e)
{
    uint64_t granule = (uint64_t)((const uint8_t *)e - s->heap.arena->base) / GRANULE;
    segment_put(word_segment(s, *directory), word_buckets(*directory), (uint32_t)granule,
                tag_of(hash) << 8 | (uint32_t)(granule >> 32));
    *directory += 1ULL << ONE_KEY_SHIFT;
    ix->keys++;
}

void index_insert(struct shard *s, struct index *ix, uint64_t hash, struct entry *e)
{
    insert_in(s, ix, directory_at(ix, segment_of(ix, hash)), hash, e);
}

bool index_insert_easily(struct shard *s, struct index *ix, uint64_t hash, struct entry *e)
{
    /* Where memory is full there is none for two halves of a segment. */
    if (!ix->segments || (ix->keys >= (uint64_t)ix->segments * SEGMENT_KEYS && shard_fits(s, SEGMENT_KEYS * SLOT_BYTES)))
        return false;
    uint64_t *directory = directory_at(ix, segment_of(ix, hash));
    if (word_keys(*directory) >= segment_room(word_buckets(*directory)))
        return false;
    insert_in(s, ix, directory, hash, e);
    return true;
}

void index_replace(struct shard *s, struct place *at, struct entry *e)
{
    slot_set(s, at->bucket, at->slot, at->bucket->high[at->slot] >> 8, e);
}

/* One bit a slot of this bucket whose home lies at least `far` buckets behind the one after the hole: before that a search
 * does not come by the hole. */
static inline unsigned homes_beyond(const struct bucket *b, int buckets, int after_hole, int far)
{
#ifdef __AVX2__
    typedef int32_t lanes __attribute__((vector_size(32)));
    typedef uint32_t ulanes __attribute__((vector_size(32)));
    ulanes tag = (ulanes)load8(b->high) >> 8;
    lanes behind = (lanes)(tag * (uint32_t)buckets >> TAG_BITS) - after_hole;
    behind += (behind < 0) & buckets;
    return (unsigned)_mm256_movemask_ps((__m256)(behind >= far));
#else
    unsigned beyond = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        int behind = (int)((b->high[i] >> 8) * (uint32_t)buckets >> TAG_BITS) - after_hole;
        beyond |= (unsigned)(behind + (behind < 0 ? buckets : 0) >= far) << i;
    }
    return beyond;
#endif
}

/* A slot of a bucket after the hole whose home is not after the hole, or -1. */
static inline int movable_slot(const struct bucket *seg, unsigned buckets, unsigned hole, unsigned b)
{
    int far = (int)(b > hole ? b - hole : b + buckets - hole);
    unsigned movable = homes_beyond(&seg[b], (int)buckets, (int)hole + 1, far) & ~bucket_empty(&seg[b]);
    return movable ? __builtin_ctz(movable) : -1;
}

/* A bucket with room: what is at home in it, or before it, is not behind it. */
static inline void forget_spills(struct bucket *b)
{
    typedef uint32_t lanes __attribute__((vector_size(32), may_alias));
    *(lanes *)(void *)b->high &= ~(uint32_t)HIGH_SPILL;
}

/* Empties a slot and moves overflowed entries back, so that a search may stop at a bucket with room. */
static void segment_take(struct bucket *seg, unsigned buckets, unsigned hole, unsigned slot)
{
    bool was_full = !bucket_empty(&seg[hole]);
    if (!was_full) {
        slot_write(&seg[hole], slot, 0, 0);
        return;
    }
    unsigned start = hole;
    for (unsigned b = next_bucket(hole, buckets); was_full && b != start; b = next_bucket(b, buckets)) {
        was_full = !bucket_empty(&seg[b]);
        int i = movable_slot(seg, buckets, hole, b);
        if (i < 0)
            continue;
        slot_write(&seg[hole], slot, seg[b].low[i], seg[b].high[i]);
        hole = b;
        slot = (unsigned)i;
    }
    forget_spills(&seg[hole]);
    slot_write(&seg[hole], slot, 0, 0);
}

void index_remove(struct shard *s, struct index *ix, struct place *at)
{
    uint64_t word = *at->directory - (1ULL << ONE_KEY_SHIFT);
    struct bucket *seg = word_segment(s, word);
    unsigned buckets = word_buckets(word), keys = word_keys(word);
    segment_take(seg, buckets, (unsigned)(at->bucket - seg), at->slot);
    *at->directory = word;
    if (keys == 0) {
        *at->directory = 0;
        shard_free(s, seg);
        s->changes++;
    } else if (shard_fits(s, 2 * sizeof *seg) && keys + 2 < buckets * BUCKET_SLOTS * 3 / 4) { /* mostly there is no room for long, or always */
        const unsigned fewer = buckets_for(keys);
        if (fewer < buckets && shard_fits(s, fewer * sizeof *seg))
            segment_resize(s, at->directory, fewer); /* without memory it stays as it is */
    }
    if (--ix->keys == 0)
        index_drop(s, ix);
}

void index_drop(struct shard *s, struct index *ix)
{
    for (unsigned i = 0; i < DIRECTORY_CHUNKS; i++)
        if (ix->chunk[i])
            shard_free(s, ix->chunk[i]);
    memset(ix, 0, sizeof *ix);
}

void index_segment_prefetch(const struct shard *s, const struct index *ix, uint32_t number)
{
    uint64_t word = *directory_at(ix, number);
    const struct bucket *seg = word_segment(s, word);
    for (unsigned b = 0; b < word_buckets(word); b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++) /* an empty slot is the arena's first line: in the cache */
            __builtin_prefetch(slot_entry(s, &seg[b], i));
}

void index_slots_prefetch(const struct shard *s, const struct index *ix, uint32_t number)
{
    uint64_t word = *directory_at(ix, number);
    const struct bucket *seg = word_segment(s, word);
    for (unsigned b = 0; b < word_buckets(word); b++)
        __builtin_prefetch(&seg[b]);
}

void index_drop_segment(struct shard *s, struct index *ix, uint32_t number, index_visit *visit, void *arg)
{
    uint64_t *directory = directory_at(ix, number), word = *directory;
    struct bucket *seg = word_segment(s, word);
    index_segment_prefetch(s, ix, number);
    for (unsigned b = 0; b < word_buckets(word); b++)
        for (unsigned i = 0; i < BUCKET_SLOTS; i++)
            if (seg[b].low[i])
                visit(slot_entry(s, &seg[b], i), arg);
    if (word)
        shard_free(s, seg);
    *directory = 0;
}

struct bucket *index_segment(const struct shard *s, const struct index *ix, uint32_t number, uint64_t *size)
{
    uint64_t word = *directory_at(ix, number);
    *size = word_buckets(word) * sizeof(struct bucket);
    return word ? word_segment(s, word) : NULL;
}

void index_segment_moved(const struct shard *s, struct index *ix, uint32_t number, const struct bucket *to)
{
    uint64_t *word = directory_at(ix, number);
    *word = word_make(s, to, word_buckets(*word), word_keys(*word));
}

void index_each_slot(const struct shard *s, struct index *ix, uint32_t number,
                     void (*visit)(struct entry **slot, void *arg), void *arg)
{
    uint64_t word = *directory_at(ix, number);
    struct bucket *seg = word_segment(s, word);
    for (unsigned i = 0; i < word_buckets(word) * BUCKET_SLOTS; i++) {
        struct bucket *b = &seg[i / BUCKET_SLOTS];
        if (!b->low[i % BUCKET_SLOTS])
            continue;
        struct entry *e = slot_entry(s, b, i % BUCKET_SLOTS), *before = e;
        visit(&e, arg);
        if (e != before)
            slot_set(s, b, i % BUCKET_SLOTS, b->high[i % BUCKET_SLOTS] >> 8, e);
    }
}

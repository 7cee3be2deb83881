/* index_walk.c: entries of the index in another order than by key: scans that survive growth, and samples for
 * eviction. */
#include "store/index_layout.h"

/* Visits the entries of a segment with from <= tag < to, which all have their home in bucket b. */
static void visit_home(const struct shard *s, uint64_t word, unsigned b, uint32_t from, uint32_t to,
                       index_visit *visit, void *arg)
{
    struct bucket *seg = word_segment(s, word);
    unsigned buckets = word_buckets(word);
    for (unsigned left = buckets; left > 0; left--) {
        unsigned used = ~bucket_empty(&seg[b]) & 0xff;
        for (unsigned rest = used; rest; rest &= rest - 1) {
            unsigned i = (unsigned)__builtin_ctz(rest);
            uint32_t tag = seg[b].high[i] >> 8;
            if (tag >= from && tag < to)
                visit(slot_entry(s, &seg[b], i), arg);
        }
        if (used != 0xff)
            return;
        b = next_bucket(b, buckets);
    }
}

static uint32_t reverse_bits(uint32_t v)
{
    uint32_t r = 0;
    for (unsigned i = 0; i < DIRECTORY_BITS; i++, v >>= 1)
        r = r << 1 | (v & 1);
    return r;
}

/* Counts up in the reversed bits, so that the parts of a segment that was split meanwhile follow it at once.
 * A segment that is not split yet is numbered with one bit less than the others. */
static uint32_t next_segment(const struct index *ix, uint32_t number)
{
    uint32_t half = ix->mask >> 1, full = 1u << DIRECTORY_BITS;
    uint32_t mask = (number & half) + half + 1 < ix->segments ? ix->mask : half;
    return reverse_bits((reverse_bits((number & mask) | (~mask & (full - 1))) + 1) & (full - 1));
}

/* A cursor is a segment number and the least tag that is still to be visited in it. */
uint64_t index_scan(const struct shard *s, const struct index *ix, uint64_t cursor, index_visit *visit,
                    void *arg)
{
    if (ix->segments == 0)
        return 0;
    uint32_t number = (uint32_t)(cursor >> TAG_BITS) & ((1u << DIRECTORY_BITS) - 1);
    uint32_t from = (uint32_t)cursor & ((1u << TAG_BITS) - 1);
    number = segment_of(ix, number);
    uint64_t word = *directory_at(ix, number);
    if (word) {
        unsigned buckets = word_buckets(word), b = home_of(from, buckets);
        uint32_t to = (uint32_t)((((uint64_t)(b + 1) << TAG_BITS) + buckets - 1) / buckets);
        visit_home(s, word, b, from, to, visit, arg);
        if (to < 1u << TAG_BITS)
            return (uint64_t)number << TAG_BITS | to;
    }
    return (uint64_t)next_segment(ix, number) << TAG_BITS;
}

void index_scan_prefetch(const struct shard *s, const struct index *ix, uint64_t cursor)
{
    uint64_t word = ix->segments ? *directory_at(ix, segment_of(ix, (uint32_t)(cursor >> TAG_BITS))) : 0;
    if (!word)
        return;
    uint32_t from = (uint32_t)cursor & ((1u << TAG_BITS) - 1);
    const struct bucket *b = home_bucket(s, word, from);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++)
        __builtin_prefetch(slot_entry(s, b, i));
}

void index_neighbours(const struct shard *s, const struct index *ix, uint64_t hash, index_visit *visit,
                      void *arg)
{
    if (ix->segments == 0)
        return;
    uint64_t word = *directory_at(ix, segment_of(ix, hash));
    if (!word)
        return;
    uint32_t from = tag_of(hash) & ~0xffffu, end = from + 0x10000;
    unsigned buckets = word_buckets(word);
    while (from < end) {
        unsigned b = home_of(from, buckets);
        uint32_t to = (uint32_t)((((uint64_t)(b + 1) << TAG_BITS) + buckets - 1) / buckets);
        to = to < end ? to : end;
        visit_home(s, word, b, from, to, visit, arg);
        from = to;
    }
}

/* -- marks -- */

bool index_marked(const struct place *at)
{
    return at->bucket->high[at->slot] & HIGH_MARK;
}

void index_mark(const struct place *at)
{
    at->bucket->high[at->slot] |= HIGH_MARK;
}

uint32_t index_segment_of(const struct index *ix, uint64_t hash)
{
    return segment_of(ix, hash);
}

/* One that is not split yet has a bit less than the others. */
unsigned index_segment_bits(const struct index *ix, uint32_t number)
{
    unsigned full = 32 - (unsigned)__builtin_clz(ix->mask);
    return (number & ix->mask >> 1) + (ix->mask >> 1) + 1 < ix->segments ? full : full - 1;
}

static uint32_t tags_end(uint32_t tag, unsigned buckets)
{
    unsigned b = home_of(tag, buckets);
    return (uint32_t)((((uint64_t)(b + 1) << TAG_BITS) + buckets - 1) / buckets);
}

uint32_t index_tags_end(const struct index *ix, uint32_t number, uint32_t from)
{
    uint64_t word = *directory_at(ix, number);
    return word ? tags_end(from, word_buckets(word)) : 1u << TAG_BITS;
}

struct unmarking {
    const struct shard *s;
    uint64_t word;
    const struct index_part *part;
    bool coarse; /* the segment has other hashes, too */
    index_marked_visit *visit;
    void *arg;
};

static void unmark_slot(const struct unmarking *u, struct bucket *b, unsigned i)
{
    struct entry *e = slot_entry(u->s, b, i);
    uint32_t high = b->high[i];
    if (u->coarse && ((key_hash(entry_key(e), u->s->seed) ^ u->part->low) & ((1u << u->part->bits) - 1)))
        return;
    b->high[i] = high & ~(uint32_t)HIGH_MARK;
    u->visit(e, high & HIGH_MARK, u->arg);
}

/* Asks for a bucket's entries: the cursor comes to them in its next step. Always inline: gcc takes a function that does nothing
 * but prefetch for one without effects, and drops the call. */
__attribute__((always_inline)) static inline void prefetch_entries(const struct shard *s, const struct bucket *b)
{
    for (unsigned rest = ~bucket_empty(b) & 0xff; rest; rest &= rest - 1) {
        const uint8_t *e = (const uint8_t *)slot_entry(s, b, (unsigned)__builtin_ctz(rest));
        __builtin_prefetch(e);
        __builtin_prefetch(e + 64);
    }
}

/* Those with from <= tag < to, all at home in one bucket, lie in a row that ends at the first one with room. */
static void unmark_home(const struct unmarking *u, uint32_t from, uint32_t to)
{
    struct bucket *seg = word_segment(u->s, u->word);
    unsigned buckets = word_buckets(u->word), b = home_of(from, buckets);
    prefetch_entries(u->s, &seg[next_bucket(b, buckets)]);
    for (unsigned left = buckets; left > 0; left--, b = next_bucket(b, buckets)) {
        unsigned used = ~bucket_empty(&seg[b]) & 0xff;
        for (unsigned rest = used; rest; rest &= rest - 1) {
            unsigned i = (unsigned)__builtin_ctz(rest);
            if (seg[b].high[i] >> 8 >= from && seg[b].high[i] >> 8 < to)
                unmark_slot(u, &seg[b], i);
        }
        if (used != 0xff)
            return;
    }
}

void index_unmark(const struct shard *s, const struct index *ix, uint32_t number, const struct index_part *part,
                  index_marked_visit *visit, void *arg)
{
    struct unmarking u = {s, *directory_at(ix, number), part, index_segment_bits(ix, number) < part->bits, visit, arg};
    for (uint32_t from = part->from; u.word && from < part->to;) {
        uint32_t end = tags_end(from, word_buckets(u.word));
        unmark_home(&u, from, end < part->to ? end : part->to);
        from = end;
    }
}

void index_unmark_all(const struct shard *s, const struct index *ix)
{
    for (uint32_t number = 0; number < ix->segments; number++) {
        uint64_t word = *directory_at(ix, number);
        struct bucket *seg = word_segment(s, word);
        for (unsigned i = 0; i < word_buckets(word) * BUCKET_SLOTS; i++)
            seg[i / BUCKET_SLOTS].high[i % BUCKET_SLOTS] &= ~(uint32_t)HIGH_MARK;
    }
}

/* A random hash finds segments by their share of all hashes. */
static uint32_t sample_number(const struct index *ix, uint64_t random)
{
    uint32_t number = segment_of(ix, random);
    while (*directory_at(ix, number) == 0)
        number = number + 1 < ix->segments ? number + 1 : 0;
    return number;
}

struct entry *index_sample(const struct shard *s, const struct index *ix, uint64_t random)
{
    if (!ix->keys)
        return NULL;
    uint64_t word = *directory_at(ix, sample_number(ix, random));
    const struct bucket *seg = word_segment(s, word);
    unsigned slots = word_buckets(word) * BUCKET_SLOTS, at = (unsigned)((random >> 40) * slots >> 24);
    while (!seg[at / BUCKET_SLOTS].low[at % BUCKET_SLOTS])
        at = at + 1 == slots ? 0 : at + 1;
    return slot_entry(s, &seg[at / BUCKET_SLOTS], at % BUCKET_SLOTS);
}

/* -- the hand -- */

/* A hand goes through all segments with a 16th of their buckets each time, in each segment another one, so that what it leads
 * to is spread over them: a segment that lost a third of its keys at once would be made smaller, and larger again. Where keys
 * are few for so many segments it takes all 16 parts of one before the next. */
enum { HAND_PART_BITS = 4, HAND_PARTS = 1 << HAND_PART_BITS };

struct hand {
    uint32_t number;
    unsigned part;
    bool sparse;
};

static struct hand hand_of(const struct index *ix, uint64_t at)
{
    struct hand h = {(uint32_t)(at >> HAND_PART_BITS), at & (HAND_PARTS - 1), ix->keys < 2 * (uint64_t)ix->segments};
    if (h.number >= ix->segments) {
        h.number = 0;
        h.part = (h.part + 1) & (HAND_PARTS - 1);
    }
    return h;
}

/* Its buckets in a segment: how many, and from which one on. */
static unsigned hand_buckets(const struct hand *h, uint64_t word, unsigned *first)
{
    unsigned part = (h->part + h->number) & (HAND_PARTS - 1);
    *first = part * word_buckets(word) >> HAND_PART_BITS;
    return ((part + 1) * word_buckets(word) >> HAND_PART_BITS) - *first;
}

/* On from a segment with this word. */
static void hand_on(const struct index *ix, struct hand *h, uint64_t word)
{
    if (h->sparse) {
        h->part = word ? (h->part + 1) & (HAND_PARTS - 1) : 0;
        if (h->part == 0 && ++h->number == ix->segments)
            h->number = 0;
    } else if (++h->number == ix->segments) {
        h->number = 0;
        h->part = (h->part + 1) & (HAND_PARTS - 1);
    }
}

enum { WHERE_BUCKET = 3, WHERE_SEGMENT = 11 };

bool index_find_seen(const struct shard *s, const struct index *ix, const struct sampled *seen, struct place *at)
{
    const unsigned slot = seen->where & (BUCKET_SLOTS - 1), b = seen->where >> WHERE_BUCKET & 0xff;
    const uint32_t number = (uint32_t)(seen->where >> WHERE_SEGMENT);
    if (number >= ix->segments)
        return false;
    uint64_t *directory = directory_at(ix, number), word = *directory;
    if (b >= word_buckets(word))
        return false;
    *at = (struct place){directory, word_segment(s, word) + b, slot};
    return slot_entry(s, at->bucket, slot) == seen->e;
}

bool index_see(const struct shard *s, const struct index *ix, struct entry *e, struct sampled *out)
{
    const uint64_t hash = key_hash(entry_key(e), s->seed);
    struct place at;
    if (!index_find_entry(s, ix, hash, e, &at))
        return false;
    const uint64_t b = (uint64_t)(at.bucket - word_segment(s, *at.directory));
    *out = (struct sampled){e, (uint64_t)segment_of(ix, hash) << WHERE_SEGMENT | b << WHERE_BUCKET | at.slot};
    return true;
}

/* All slots alike, also empty ones (at the arena's beginning): which ones are would be guessed wrong. out has room for all. */
static inline unsigned sweep_bucket(uint8_t *base, const struct bucket *b, uint64_t where, struct sampled *out)
{
    unsigned n = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        struct entry *e = entry_at(base, b, i);
        __builtin_prefetch(e);
        out[n] = (struct sampled){e, where + i};
        n += b->low[i] != 0;
    }
    __builtin_prefetch(b + (n == BUCKET_SLOTS)); /* who takes one out of a full one looks for what has gone on to the next */
    return n;
}

unsigned index_sweep(const struct shard *s, const struct index *ix, uint64_t *at, unsigned want, struct sampled *out)
{
    uint8_t *const base = s->heap.arena->base;
    struct hand h = hand_of(ix, *at);
    unsigned found = 0, first;
    uint64_t left = (h.sparse ? HAND_PARTS * (uint64_t)ix->segments : ix->segments) + HAND_PARTS;
    for (left = !ix->keys ? 0 : left < SWEEP_STEPS ? left : SWEEP_STEPS; found < want && left > 0; left--) {
        uint64_t word = *directory_at(ix, h.number);
        unsigned n = hand_buckets(&h, word, &first);
        const struct bucket *b = segment_at(base, word) + first;
        uint64_t where = (uint64_t)h.number << WHERE_SEGMENT | first << WHERE_BUCKET;
        for (; n > 0; n--, b++, where += BUCKET_SLOTS)
            found += sweep_bucket(base, b, where, out + found);
        hand_on(ix, &h, word);
    }
    *at = (uint64_t)h.number << HAND_PART_BITS | h.part;
    return found;
}

void index_sweep_prefetch(const struct shard *s, const struct index *ix, uint64_t at, unsigned want)
{
    enum { A_BUCKET = 6 }; /* keys, mostly */
    struct hand h = hand_of(ix, at);
    unsigned first;
    for (unsigned steps = ix->keys ? want : 0; want >= A_BUCKET && steps > 0; steps--) {
        uint64_t word = *directory_at(ix, h.number);
        unsigned n = hand_buckets(&h, word, &first);
        const struct bucket *b = word_segment(s, word) + first;
        __builtin_prefetch(b);
        __builtin_prefetch(b + (n > 1));
        want -= n * A_BUCKET < want ? n * A_BUCKET : want;
        hand_on(ix, &h, word);
    }
}

struct entry *index_next_in_segment(const struct shard *s, const struct index *ix, uint32_t number,
                                    uint32_t *slot)
{
    uint64_t word = *directory_at(ix, number);
    const struct bucket *seg = word_segment(s, word);
    for (; *slot < word_buckets(word) * BUCKET_SLOTS; ++*slot) {
        const struct bucket *b = &seg[*slot / BUCKET_SLOTS];
        unsigned i = *slot % BUCKET_SLOTS;
        if (b->low[i]) {
            ++*slot;
            return slot_entry(s, b, i);
        }
    }
    return NULL;
}

/* Keys that a segment is taken to have at most, so that one with fewer is chosen by its share: up to twice
 * the mean before it is split, and some more by chance. */
enum { FULLEST_SEGMENT = SEGMENT_KEYS * 2 + SEGMENT_KEYS / 2 };

static uint64_t random_word(struct shard *s, const struct index *ix)
{
    for (;;) {
        uint64_t random = shard_random(s);
        uint64_t word = *directory_at(ix, (uint32_t)((random >> 32) * ix->segments >> 32));
        if (word && (ix->segments == 1 || word_keys(word) > (random & 0xffffffff) * FULLEST_SEGMENT >> 32))
            return word;
    }
}

struct entry *index_random(struct shard *s, const struct index *ix)
{
    uint64_t word = random_word(s, ix), slots = (uint64_t)word_buckets(word) * BUCKET_SLOTS;
    const struct bucket *seg = word_segment(s, word);
    for (;;) {
        uint64_t slot = (shard_random(s) >> 32) * slots >> 32;
        if (seg[slot / BUCKET_SLOTS].low[slot % BUCKET_SLOTS])
            return slot_entry(s, &seg[slot / BUCKET_SLOTS], (unsigned)(slot % BUCKET_SLOTS));
    }
}

uint64_t index_memory(const struct index *ix)
{
    uint64_t bytes = 0;
    for (unsigned i = 0; i < DIRECTORY_CHUNKS; i++)
        if (ix->chunk[i])
            bytes +=
                slab_size((i ? (uint64_t)DIRECTORY_FIRST << (i - 1) : DIRECTORY_FIRST) * sizeof(uint64_t));
    for (uint32_t i = 0; i < ix->segments; i++)
        if (*directory_at(ix, i))
            bytes += slab_size(word_buckets(*directory_at(ix, i)) * sizeof(struct bucket));
    return bytes;
}

/* index.h: from a key's hash to its entry. Private to the store.
 *
 *   hash  ┌───────────────── 24 bits: tag ────────────────┬── 16 bits ──┬── up to 24 bits: segment ──┐
 *
 *   directory: one word a segment        segment: 1..248 buckets        bucket: one cache line
 *   ┌─────────────────────────────┐      ┌────────┬────────┬─ … ─┐      ┌─────────────┬─────────────────────┐
 *   │ address:40  buckets:8  n:16 │ ───▶ │ bucket │ bucket │     │      │ 8 × low 32  │ 8 × tag:24 spill:1  │
 *   └─────────────────────────────┘      └────────┴────────┴─ … ─┘      │ of address  │ mark:1 address:6    │
 *                                                                       └─────────────┴─────────────────────┘
 * The directory grows by linear hashing, one segment at a time and in order: nothing is ever rehashed as a
 * whole, and a step touches about a hundred entries. Each segment is a small table of its own with as many
 * buckets as its load needs (tag * buckets >> 24 is the home of a tag), so that space is used evenly although
 * linear hashing leaves some segments twice as full as others; resizing one needs only the tags. A full
 * bucket overflows into the next line: linear probing inside the segment, no chains, no tombstones. The spill
 * bit of slot i says that an entry at home here whose tag is i modulo 8 went on to a later bucket: most
 * searches for a key that is not there end in one line. Only a full bucket has such bits: whatever is behind it
 * comes back into a slot that is emptied, and where nothing does there is nothing.
 *
 * Addresses are granules of 8 bytes from the arena's base (38 bits: 2 TB). The mark is the snapshot's (snapshot.h): it
 * belongs to the key, and goes with it wherever its entry or its slot do. */
#pragma once
#include "store/entry.h"

enum {
    BUCKET_SLOTS = 8,
    TAG_BITS = 24,
    SEGMENT_KEYS = 96,     /* mean keys a segment: the directory grows beyond */
    SEGMENT_BUCKETS = 248, /* at most */
    DIRECTORY_BITS = 24,   /* at most 2^24 segments a database and shard */
    DIRECTORY_FIRST = 64,  /* segments in the first directory chunk; chunk k > 0 has 64 << (k - 1) */
    DIRECTORY_CHUNKS = DIRECTORY_BITS - 6 + 1
};

struct bucket {
    uint32_t low[BUCKET_SLOTS];  /* address, low 32 bits; 0 = empty slot */
    uint32_t high[BUCKET_SLOTS]; /* tag << 8 | spill << 7 | address >> 32 */
} __attribute__((aligned(64)));

struct index {
    uint64_t keys;
    uint32_t segments; /* 0 = nothing allocated */
    uint32_t mask;     /* of the larger of the two segment numberings */
    uint64_t *chunk[DIRECTORY_CHUNKS];
};

/* A slot that holds an entry; valid until the index changes. */
struct place {
    uint64_t *directory;
    struct bucket *bucket;
    unsigned slot;
};

struct shard;

struct entry *index_find(const struct shard *s, const struct index *ix, const struct key *k,
                         struct place *at);
/* Finds the slot that points to e, without looking at e. False if there is none. */
bool index_find_entry(const struct shard *s, const struct index *ix, uint64_t hash, const struct entry *e,
                      struct place *at);

/* Makes sure that index_insert of a key with this hash succeeds. False if there is no memory. */
bool index_reserve(struct shard *s, struct index *ix, uint64_t hash);
/* Bytes that it lacks where it returned false. */
uint64_t index_reserve_size(const struct index *ix, uint64_t hash);
void index_insert(struct shard *s, struct index *ix, uint64_t hash, struct entry *e);
/* Both where nothing has to grow for it, as mostly, or could not; else false, and nothing is done. */
bool index_insert_easily(struct shard *s, struct index *ix, uint64_t hash, struct entry *e);
void index_replace(struct shard *s, struct place *at, struct entry *e);
void index_remove(struct shard *s, struct index *ix, struct place *at);

typedef void index_visit(struct entry *e, void *arg);

/* store_scan() without a regard for expiry: the entries whose home is the bucket at cursor. */
uint64_t index_scan(const struct shard *s, const struct index *ix, uint64_t cursor, index_visit *visit,
                    void *arg);
/* Prefetches the entries that index_scan() will visit at cursor. */
void index_scan_prefetch(const struct shard *s, const struct index *ix, uint64_t cursor);

/* Entries whose segment and first eight tag bits are those of the hash: few, the one with that hash among
 * them. */
void index_neighbours(const struct shard *s, const struct index *ix, uint64_t hash, index_visit *visit,
                      void *arg);

/* The mark of the key at a place. */
bool index_marked(const struct place *at);
void index_mark(const struct place *at);
/* The hashes that have these low bits and from <= tag < to. */
struct index_part {
    uint32_t low;
    unsigned bits;
    uint32_t from, to;
};
/* The entries of a segment that are in this part, each with the mark that it had; afterwards it has none. visit must
 * not change the index. */
typedef void index_marked_visit(struct entry *e, bool marked, void *arg);
void index_unmark(const struct shard *s, const struct index *ix, uint32_t number, const struct index_part *part,
                  index_marked_visit *visit, void *arg);
/* Takes all marks away. */
void index_unmark_all(const struct shard *s, const struct index *ix);
/* The tag at which the home bucket of a tag ends in a segment. */
uint32_t index_tags_end(const struct index *ix, uint32_t number, uint32_t tag);
/* The segment of a hash; how many of a hash's low bits name it. */
uint32_t index_segment_of(const struct index *ix, uint64_t hash);
unsigned index_segment_bits(const struct index *ix, uint32_t number);

/* An entry of a random segment; NULL only if the index is empty. */
struct entry *index_sample(const struct shard *s, const struct index *ix, uint64_t random);

/* An entry that was seen, and where: segment << 11 | bucket << 3 | slot. */
struct sampled {
    struct entry *e;
    uint64_t where;
};
/* Its place, if it is still there: not once its segment was split, made larger or smaller, or an entry before it has gone. */
bool index_find_seen(const struct shard *s, const struct index *ix, const struct sampled *seen, struct place *at);
/* Sees an entry; false if it is not in this index. */
bool index_see(const struct shard *s, const struct index *ix, struct entry *e, struct sampled *out);
/* Entries from *hand on (0 at first), which goes round the index: whoever asks again and again sees each once in a round, but for
 * those that move meanwhile. As many as are wanted, unless there are less or they are far between (it looks at SWEEP_STEPS
 * segments at most), and up to SWEEP_MORE beyond; out has room for that. Their first lines are prefetched. */
enum { SWEEP_MORE = (SEGMENT_BUCKETS / 16 + 1) * BUCKET_SLOTS - 1, SWEEP_STEPS = 4096 };
unsigned index_sweep(const struct shard *s, const struct index *ix, uint64_t *hand, unsigned want, struct sampled *out);
/* Prefetches the buckets of the next so many. */
void index_sweep_prefetch(const struct shard *s, const struct index *ix, uint64_t hand, unsigned want);

/* The next entry of a segment from a slot on (0 = the first), which moves behind it; NULL at the end. */
struct entry *index_next_in_segment(const struct shard *s, const struct index *ix, uint32_t number,
                                    uint32_t *slot);
/* An entry, each as likely as any other. The index is not empty. */
struct entry *index_random(struct shard *s, const struct index *ix);
/* Bytes of segments and directory. */
uint64_t index_memory(const struct index *ix);

/* Where a segment lies and its bytes (NULL = empty), and after it was copied elsewhere. Each slot may be
 * changed to another address of the same entry. */
struct bucket *index_segment(const struct shard *s, const struct index *ix, uint32_t number, uint64_t *size);
void index_segment_moved(const struct shard *s, struct index *ix, uint32_t number, const struct bucket *to);
void index_each_slot(const struct shard *s, struct index *ix, uint32_t number,
                     void (*visit)(struct entry **slot, void *arg), void *arg);

/* Prefetches the entries of a segment, or its slots. */
void index_segment_prefetch(const struct shard *s, const struct index *ix, uint32_t number);
void index_slots_prefetch(const struct shard *s, const struct index *ix, uint32_t number);

/* Passes the entries of segment `number` to visit and frees the segment. For an index that is being thrown
 * away. */
void index_drop_segment(struct shard *s, struct index *ix, uint32_t number, index_visit *visit, void *arg);
/* Frees the directory of an index without segments or entries. */
void index_drop(struct shard *s, struct index *ix);

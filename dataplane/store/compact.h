/* compact.h: gives memory back by moving what lies in sparse slabs into fuller ones. Private to the store. */
#pragma once
#include "store/slab.h"

struct shard;

/* Where the walk over all databases' segments is. */
struct compaction {
    bool walking;
    unsigned db;
    uint32_t segment;
    unsigned slot;    /* of the segment: the walk goes on there ... */
    uint64_t inside;  /* ... at this place of the slot's collection */
    uint64_t changes; /* when the last walk began, or ended */
    uint64_t idle;    /* bytes in slabs when it ended */
    uint64_t before;  /* the same when it began */
    unsigned patience; /* walks of late that brought little: each doubles the changes until the next one */
};

/* The same bytes in a fuller slab, the old ones freed, or NULL if they stay where they are. */
void *compact_move(struct shard *s, void *p, uint64_t size, enum slab_kind kind);

/* Goes on with the walk, about `budget` slots, or begins one if enough memory lies idle in slabs and enough
 * has changed since the last one. Entries that the running operation uses stay where they are. Returns true
 * if the walk is not at its end. */
bool compact_run(struct shard *s, unsigned budget);

/* Begins a walk in any case: the arena has no room. */
void compact_begin(struct shard *s);

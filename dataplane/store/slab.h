/* slab.h: one shard's allocator. Sizes up to 256 KB are rounded up to a size class (steps of 8 bytes to 256
 * bytes, of a 16th of the power of two below to 8 KB, then of an eighth: at most 6.25 and 12.5 % more than
 * asked for) and come from slabs, runs of one to eight extents cut into slots of one class; larger ones are
 * runs of extents of their own. An empty slab goes back to the arena and may become any other class. No lock:
 * one heap belongs to one shard.
 */
#pragma once
#include "store/arena.h"

enum { SLAB_CLASSES = 152, SLAB_FINE = 8 << 10, SLAB_LARGEST = 256 << 10, GRANULE = 8 };

/* Entries have slabs of their own, so that a slab can be emptied by moving the entries in it. */
enum slab_kind { SLAB_ENTRY, SLAB_OTHER, SLAB_KINDS };

struct slab_list {
    uint32_t head, tail;
};

struct slab_heap {
    struct arena *arena;
    unsigned zone;
    uint64_t used;     /* bytes in live allocations, rounded to their class */
    uint64_t reserved; /* bytes taken from the arena */
    uint64_t fail_in;  /* tests: the allocation that fails, counted from 1; 0 = none */
    struct slab_list partial[SLAB_KINDS][SLAB_CLASSES];
    uint32_t class_size[SLAB_CLASSES];
    uint16_t capacity[SLAB_CLASSES]; /* slots in a slab */
    uint8_t run[SLAB_CLASSES];       /* extents in a slab */
};

void slab_init(struct slab_heap *heap, struct arena *arena, unsigned zone);

/* At least `size` bytes, aligned to 8 (to 64 if size is a class and a multiple of 64). NULL if the arena has
 * no room. Knows no limit: shard_alloc() is what the rest of the store calls. */
void *slab_alloc(struct slab_heap *heap, size_t size, enum slab_kind kind);
void slab_free(struct slab_heap *heap, void *p);

/* True if p lies in a slab that is far from full while another one of its class has room: a new allocation
 * would come from that one. */
bool slab_is_sparse(const struct slab_heap *heap, const void *p);

/* Gives back slabs that are kept although they are empty. Returns true if there was one. */
bool slab_trim(struct slab_heap *heap);

/* What an allocation of `size` bytes costs. */
static inline uint64_t slab_size(uint64_t size)
{
    if (size <= 256)
        return size <= 8 ? 8 : (size + 7) & ~7ULL;
    uint64_t step = size > SLAB_LARGEST ? EXTENT_SIZE
                                        : 1ULL << ((size <= SLAB_FINE ? 59 : 60) - __builtin_clzll(size - 1));
    return (size + step - 1) & ~(step - 1);
}

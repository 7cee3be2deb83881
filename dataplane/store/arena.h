/* arena.h: the memory that all values live in. One mapping at a fixed address, cut into extents of 64 KB that
 * shards take and give back; everything finer is slab.h's.
 *
 *   base ─┬──────────┬────────────┬───────────────────┬─────────────┬─────────────┬── … ─┐
 *         │ header   │ bitmap     │ extent table      │ extent n    │ extent n+1  │      │
 *         │ (1 page) │ 1 bit each │ 24 bytes each     │ 64 KB       │ 64 KB       │      │
 *         └──────────┴────────────┴───────────────────┴─────────────┴─────────────┴── … ─┘
 *
 * Header, bitmap and table lie inside the mapping so that they can outlive the process with the data; the
 * header's layout version and generation say whether a later process may take them over. Extents are numbered
 * from the base, so extent 0 is never handed out and stands for "none".
 *
 * The only part of the store that several workers use at once: taking and giving extents is guarded by a spin
 * lock, held for a bitmap search. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SANITIZE_THREAD__
#define ARENA_ADDRESS ((uintptr_t)0x4000000000) /* where ThreadSanitizer lets a program have memory */
#else
#define ARENA_ADDRESS ((uintptr_t)0x200000000000) /* far from where the kernel puts heaps and libraries */
#endif
#define ARENA_LARGEST ((uint64_t)4 << 40)         /* what the index can address */
#define ARENA_MAGIC   0x53754c6963654152u

enum {
    EXTENT_SHIFT = 16,
    EXTENT_SIZE = 1 << EXTENT_SHIFT,
    ARENA_ZONES = 64,
    ARENA_SHARDS = 64
};

/* Of a store that a later process may take over (warm.h): what it is made for, where its parts are, and whether it was
 * left in order. */
struct arena_header {
    uint64_t magic, layout, generation; /* generation: processes that have used it, counted from 1 */
    uint64_t size, base, seed;
    uint32_t state; /* ARENA_... */
    uint32_t shards, databases, zones;
    struct {
        int32_t node;
        uint32_t first, end;
    } zone[64];
    uint32_t shard[64]; /* the extent at which each one's struct lies */
    uint64_t sum;       /* of all that, the tables and the shards, when it was left */
};
enum { ARENA_IN_USE = 1, ARENA_LEFT = 2, ARENA_SERVES = 3 /* whole whenever nobody is midway (midway.h) */ };

/* Where its memory comes from: files without a name (memfd_create), empty or with an arena of another process in them.
 * -1 = there is none. */
struct arena_files {
    int huge, small; /* on hugepages of 2 MB, and not */
};

/* What the owner of an extent notes about it (see slab.c). */
struct extent {
    uint32_t next, prev; /* list of slabs with room */
    uint32_t free;       /* first free slot: offset in granules + 1, 0 = none */
    uint32_t run;        /* extents of the slab or large allocation that starts here */
    uint16_t used;       /* slots in use */
    uint16_t fresh;      /* slots handed out at least once; those above were never touched */
    uint8_t cls, kind;
    uint8_t lead;  /* extents from the slab's first one to this one */
    uint8_t state; /* EXTENT_... */
};

enum { EXTENT_FREE, EXTENT_SLAB, EXTENT_LARGE, EXTENT_INSIDE };

/* Extents of one NUMA node. */
struct arena_zone {
    int node; /* -1 = any */
    uint32_t first, end;
    uint32_t hint; /* no free extent lies below */
    uint32_t left; /* free extents */
};

struct arena {
    uint8_t *base;
    uint64_t size;
    struct arena_header *header;
    uint64_t *bitmap; /* a set bit: in use */
    struct extent *extent;
    bool hugepages;
    bool kept; /* in a file: outlives the process */
    bool serves; /* the header says so, too */
    bool lock;
    unsigned zones;
    struct arena_zone zone[ARENA_ZONES];
    uint8_t shard_zone[ARENA_SHARDS];
    uint32_t fixed; /* extents that are taken for good */
};

/* Maps an arena of at least size bytes for `shards` shards, shard i's memory on NUMA node node[i] (-1 = any).
 * hugepages: 1 = required, 0 = no, -1 = if they are to be had. Nothing but the header is touched. NULL and
 * one line in error if that cannot be done. */
struct arena *arena_new(uint64_t size, int hugepages, unsigned shards, const int *node, char *error,
                        size_t error_size);
/* The same in files (NULL: in memory of the process). What they had goes. */
struct arena *arena_make(uint64_t size, int hugepages, unsigned shards, const int *node, const struct arena_files *files,
                         char *error, size_t error_size);
/* What lies in files, at the same address: for who then says whether it is to be believed. The one that is taken over
 * must be of this size and kind. NULL: there is none of that kind; `why` says so if there is something else. */
struct arena *arena_find(uint64_t size, int hugepages, const struct arena_files *files, char *why, size_t why_size);
/* Takes the zones from the header and makes the bitmap anew from the table of extents. False: they make no sense. */
bool arena_adopt(struct arena *a);
void arena_files_clear(const struct arena_files *files);
/* Unmaps it; what is in a file stays there. */
void arena_free(struct arena *a);
/* The bytes before the first extent that can be taken: header, bitmap and table. */
uint64_t arena_tables(const struct arena *a);

/* Takes `run` adjoining extents of a zone. Returns the number of the first, 0 if there is no such run. */
uint32_t arena_take(struct arena *a, unsigned zone, uint32_t run);
void arena_give(struct arena *a, uint32_t first, uint32_t run);

/* Bytes that shards can take for keys, over all zones or of one. */
uint64_t arena_capacity(const struct arena *a);

static inline uint8_t *arena_extent(const struct arena *a, uint32_t number)
{
    return a->base + ((uint64_t)number << EXTENT_SHIFT);
}

static inline bool arena_holds(const struct arena *a, const void *p)
{
    return (uintptr_t)p - (uintptr_t)a->base < a->size;
}

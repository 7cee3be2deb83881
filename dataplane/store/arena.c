/* arena.c: mapping of the arena, its layout, NUMA binding, and the bitmap of extents. */
#include "store/arena.h"
#include <errno.h>
#include <numa.h>
#include <numaif.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HUGEPAGE = 2 << 20, PAGE = 4096 };

static uint64_t round_up(uint64_t n, uint64_t step)
{
    return (n + step - 1) / step * step;
}

/* Another address than the fixed one works as well, but a later process could not take the arena over. */
static void *map_at(uint64_t size, int flags, int fd)
{
    int prot = PROT_READ | PROT_WRITE;
    void *p = mmap((void *)ARENA_ADDRESS, size, prot, flags | MAP_FIXED_NOREPLACE, fd, 0);
    if (p == MAP_FAILED && errno == EEXIST)
        p = mmap(NULL, size, prot, flags, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

void arena_files_clear(const struct arena_files *files)
{
    (void)!ftruncate(files->huge, 0);
    (void)!ftruncate(files->small, 0);
}

/* Empty, and then as long as that: whatever was in it is gone. */
static void *map_file(uint64_t size, int fd)
{
    if (fd < 0 || ftruncate(fd, 0) < 0 || ftruncate(fd, (off_t)size) < 0)
        return NULL;
    void *p = map_at(size, MAP_SHARED, fd);
    if (!p)
        (void)!ftruncate(fd, 0);
    return p;
}

static bool map_memory(struct arena *a, int hugepages, const struct arena_files *files, char *error, size_t error_size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
    if (files) /* the room that an old one takes is needed */
        arena_files_clear(files);
    if (hugepages != 0) {
        a->base = map_file(a->size, files ? files->huge : -1);
        a->kept = a->base != NULL;
        if (!a->base)
            a->base = map_at(a->size, flags | MAP_HUGETLB, -1);
        a->hugepages = a->base != NULL;
    }
    if (!a->base && hugepages == 1) {
        snprintf(error, error_size,
                 "hugepages yes: no %llu free hugepages of 2 MB for an arena of %llu MB; raise "
                 "vm.nr_hugepages, make the arena smaller or say hugepages no",
                 (unsigned long long)(a->size / HUGEPAGE), (unsigned long long)(a->size >> 20));
        return false;
    }
    if (!a->base) {
        a->base = map_file(a->size, files ? files->small : -1);
        a->kept = a->base != NULL;
    }
    if (!a->base)
        a->base = map_at(a->size, flags | MAP_NORESERVE, -1);
    if (a->base && !a->hugepages)
        madvise(a->base, a->size, MADV_HUGEPAGE);
    if (!a->base)
        snprintf(error, error_size, "cannot map an arena of %llu MB: %s", (unsigned long long)(a->size >> 20),
                 strerror(errno));
    return a->base != NULL;
}

/* One zone a node, its share of the extents by the number of its shards. */
static void make_zones(struct arena *a, uint32_t first, uint32_t end, unsigned shards, const int *node)
{
    unsigned members[ARENA_ZONES] = {0};
    for (unsigned i = 0; i < shards; i++) {
        int n = node ? node[i] : -1;
        unsigned z = 0;
        while (z < a->zones && a->zone[z].node != n)
            z++;
        if (z == a->zones)
            a->zone[a->zones++].node = n;
        members[z]++;
        a->shard_zone[i] = (uint8_t)z;
    }
    uint32_t at = first;
    for (unsigned z = 0; z < a->zones; z++) {
        uint32_t share = (uint32_t)((uint64_t)(end - first) * members[z] / shards);
        a->zone[z].first = a->zone[z].hint = at;
        a->zone[z].end = z + 1 == a->zones ? end : at + share;
        a->zone[z].left = a->zone[z].end - at;
        at = a->zone[z].end;
    }
}

static void bind_zones(struct arena *a)
{
    if (numa_available() < 0)
        return;
    uint64_t page = a->hugepages ? HUGEPAGE : PAGE;
    for (unsigned z = 0; z < a->zones; z++) {
        int node = a->zone[z].node;
        if (node < 0 || node >= 64)
            continue;
        unsigned long mask = 1UL << node;
        uint64_t from = round_up((uint64_t)a->zone[z].first << EXTENT_SHIFT, page);
        uint64_t to = ((uint64_t)a->zone[z].end << EXTENT_SHIFT) / page * page;
        if (to > from) /* a hint: where it cannot be followed, the memory is merely further away */
            mbind(a->base + from, to - from, MPOL_PREFERRED, &mask, sizeof mask * 8, 0);
    }
}

static void set_bits(struct arena *a, uint32_t first, uint32_t run, bool used)
{
    for (uint32_t i = first; i < first + run; i++) {
        if (used)
            a->bitmap[i / 64] |= 1ULL << (i % 64);
        else
            a->bitmap[i / 64] &= ~(1ULL << (i % 64));
    }
}

/* An index slot tells "empty" by the low 32 bits of an entry's granule number, so no entry may lie where they
 * are zero: the first extent of every 32 GB is left out. */
static void skip_zero_granules(struct arena *a, uint32_t extents)
{
    uint32_t step = (uint32_t)((8ULL << 32) >> EXTENT_SHIFT);
    for (unsigned z = 0; z < a->zones; z++)
        for (uint32_t i = step; i < extents && i >= step; i += step)
            if (i >= a->zone[z].first && i < a->zone[z].end) {
                set_bits(a, i, 1, true);
                a->zone[z].left--;
            }
}

static uint64_t rounded_size(uint64_t size)
{
    if (size > ARENA_LARGEST)
        size = ARENA_LARGEST;
    return round_up(size < 4 * HUGEPAGE ? 4 * HUGEPAGE : size, HUGEPAGE);
}

static void lay_out(struct arena *a)
{
    uint64_t extents = a->size >> EXTENT_SHIFT;
    a->header = (void *)a->base;
    a->bitmap = (void *)(a->base + PAGE);
    a->extent = (void *)(a->base + PAGE + round_up(round_up(extents, 64) / 8, PAGE));
}

uint64_t arena_tables(const struct arena *a)
{
    uint64_t extents = a->size >> EXTENT_SHIFT;
    return PAGE + round_up(round_up(extents, 64) / 8, PAGE) + round_up(extents * sizeof(struct extent), PAGE);
}

struct arena *arena_make(uint64_t size, int hugepages, unsigned shards, const int *node, const struct arena_files *files,
                         char *error, size_t error_size)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a || shards == 0 || shards > ARENA_SHARDS) {
        snprintf(error, error_size, "no memory for the arena's description");
        free(a);
        return NULL;
    }
    a->size = rounded_size(size);
    if (!map_memory(a, hugepages, files, error, error_size)) {
        free(a);
        return NULL;
    }
    uint32_t extents = (uint32_t)(a->size >> EXTENT_SHIFT);
    lay_out(a);
    make_zones(a, (uint32_t)(round_up(arena_tables(a), EXTENT_SIZE) >> EXTENT_SHIFT), extents, shards, node);
    bind_zones(a);
    skip_zero_granules(a, extents);
    *a->header = (struct arena_header){
        .magic = ARENA_MAGIC, .generation = 1, .size = a->size, .base = (uintptr_t)a->base, .zones = a->zones};
    for (unsigned z = 0; z < a->zones; z++) {
        a->header->zone[z].node = a->zone[z].node;
        a->header->zone[z].first = a->zone[z].first;
        a->header->zone[z].end = a->zone[z].end;
    }
    return a;
}

struct arena *arena_new(uint64_t size, int hugepages, unsigned shards, const int *node, char *error, size_t error_size)
{
    return arena_make(size, hugepages, shards, node, NULL, error, error_size);
}

void arena_free(struct arena *a)
{
    if (a)
        munmap(a->base, a->size);
    free(a);
}

/* -- one that another process has left -- */

static uint64_t size_of_file(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

struct arena *arena_find(uint64_t size, int hugepages, const struct arena_files *files, char *why, size_t why_size)
{
    uint64_t huge = size_of_file(files->huge), small = size_of_file(files->small);
    bool on_huge = huge != 0;
    *why = 0;
    if (!huge && !small)
        return NULL;
    size = rounded_size(size);
    if (on_huge ? hugepages == 0 : hugepages == 1)
        snprintf(why, why_size, "it %s on hugepages", on_huge ? "lies" : "does not lie");
    else if ((huge && small) || (on_huge ? huge : small) != size)
        snprintf(why, why_size, "it has %llu MB and the configuration says %llu",
                 (unsigned long long)((on_huge ? huge : small) >> 20), (unsigned long long)(size >> 20));
    struct arena *a = *why ? NULL : calloc(1, sizeof *a);
    if (!a)
        return NULL;
    a->size = size;
    a->hugepages = on_huge;
    a->kept = true;
    a->base = mmap((void *)ARENA_ADDRESS, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE,
                   on_huge ? files->huge : files->small, 0);
    if (a->base == MAP_FAILED || (uintptr_t)a->base != ARENA_ADDRESS) {
        snprintf(why, why_size, "it cannot be mapped at its address: %s", strerror(errno));
        if (a->base != MAP_FAILED)
            munmap(a->base, size);
        free(a);
        return NULL;
    }
    lay_out(a);
    return a;
}

bool arena_adopt(struct arena *a)
{
    const struct arena_header *h = a->header;
    uint32_t extents = (uint32_t)(a->size >> EXTENT_SHIFT);
    memset(a->bitmap, 0, round_up(extents, 64) / 8);
    a->zones = h->zones;
    if (a->zones == 0 || a->zones > ARENA_ZONES)
        return false;
    for (unsigned z = 0; z < a->zones; z++) {
        struct arena_zone *zone = &a->zone[z];
        *zone = (struct arena_zone){h->zone[z].node, h->zone[z].first, h->zone[z].end, h->zone[z].first, 0};
        zone->left = zone->end - zone->first;
        if (zone->first >= zone->end || zone->end > extents)
            return false;
    }
    skip_zero_granules(a, extents);
    for (unsigned z = 0; z < a->zones; z++)
        for (uint32_t i = a->zone[z].first; i < a->zone[z].end;) {
            const struct extent *x = &a->extent[i];
            uint32_t run = x->state == EXTENT_SLAB || x->state == EXTENT_LARGE ? x->run : 0;
            if (run > a->zone[z].end - i)
                return false;
            if (run) {
                set_bits(a, i, run, true);
                a->zone[z].left -= run;
            }
            i += run ? run : 1;
        }
    bind_zones(a);
    return true;
}

uint64_t arena_capacity(const struct arena *a)
{
    return ((uint64_t)(a->zone[a->zones - 1].end - a->zone[0].first - a->fixed)) << EXTENT_SHIFT;
}

static void arena_lock(struct arena *a)
{
    while (__atomic_test_and_set(&a->lock, __ATOMIC_ACQUIRE))
        __builtin_ia32_pause();
}

static void arena_unlock(struct arena *a)
{
    __atomic_clear(&a->lock, __ATOMIC_RELEASE);
}

/* Single extents come from the bottom ... */
static uint32_t find_single(const struct arena *a, struct arena_zone *zone)
{
    for (uint32_t i = zone->hint; i < zone->end; i = (i / 64 + 1) * 64) {
        uint64_t open = ~a->bitmap[i / 64] & ~0ULL << (i % 64);
        if (open) {
            uint32_t found = i / 64 * 64 + (uint32_t)__builtin_ctzll(open);
            zone->hint = found;
            return found < zone->end ? found : 0;
        }
    }
    zone->hint = zone->end;
    return 0;
}

/* ... and runs from the top, so that small allocations do not break up the room for large ones. */
static uint32_t find_run(const struct arena *a, const struct arena_zone *zone, uint32_t run)
{
    uint32_t length = 0;
    for (uint32_t i = zone->end; i > zone->first;) {
        i--;
        uint64_t word = a->bitmap[i / 64];
        if (i % 64 == 63 && i >= zone->first + 63 && (word == ~0ULL || (word == 0 && run - length > 64))) {
            length = word ? 0 : length + 64;
            i -= 63;
        } else if (word >> (i % 64) & 1) {
            length = 0;
        } else if (++length == run) {
            return i;
        }
    }
    return 0;
}

uint32_t arena_take(struct arena *a, unsigned zone_number, uint32_t run)
{
    struct arena_zone *zone = &a->zone[zone_number];
    uint32_t found = 0;
    arena_lock(a);
    if (zone->left >= run)
        found = run == 1 ? find_single(a, zone) : find_run(a, zone, run);
    if (found) {
        set_bits(a, found, run, true);
        zone->left -= run;
    }
    arena_unlock(a);
    return found;
}

void arena_give(struct arena *a, uint32_t first, uint32_t run)
{
    unsigned z = 0;
    while (first >= a->zone[z].end)
        z++;
    arena_lock(a);
    set_bits(a, first, run, false);
    a->zone[z].left += run;
    if (first < a->zone[z].hint)
        a->zone[z].hint = first;
    arena_unlock(a);
}

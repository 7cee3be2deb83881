/* slab.c: size classes, slabs, large runs. */
#include "store/slab.h"
#include "store/midway.h"
#include <assert.h>
#include <string.h>

static unsigned slab_class(uint64_t rounded)
{
    if (rounded <= 256)
        return (unsigned)(rounded / 8 - 1);
    unsigned log = 63 - (unsigned)__builtin_clzll(rounded - 1);
    if (rounded <= SLAB_FINE)
        return 32 + (log - 8) * 16 + (unsigned)((rounded - 1) >> (log - 4)) - 16;
    return 112 + (log - 13) * 8 + (unsigned)((rounded - 1) >> (log - 3)) - 8;
}

/* The shortest run whose unused tail is small; all but the largest classes fit one extent well. */
static uint8_t best_run(uint32_t size)
{
    unsigned best = 1;
    uint64_t best_waste = UINT64_MAX;
    for (unsigned run = 1; run <= 8; run++) {
        uint64_t bytes = (uint64_t)run * EXTENT_SIZE;
        if (bytes < size)
            continue;
        uint64_t waste = (bytes % size) * 1000 / bytes;
        if (waste <= 30)
            return (uint8_t)run;
        if (waste < best_waste) {
            best_waste = waste;
            best = run;
        }
    }
    return (uint8_t)best;
}

void slab_init(struct slab_heap *heap, struct arena *arena, unsigned zone)
{
    memset(heap, 0, sizeof *heap);
    heap->arena = arena;
    heap->zone = zone;
    uint64_t size = 8;
    for (unsigned c = 0; c < SLAB_CLASSES; c++, size = slab_size(size + 1)) {
        heap->class_size[c] = (uint32_t)size;
        heap->run[c] = best_run((uint32_t)size);
        heap->capacity[c] = (uint16_t)((uint64_t)heap->run[c] * EXTENT_SIZE / size);
    }
}

static void list_append(struct slab_heap *heap, struct slab_list *list, uint32_t number)
{
    struct extent *table = heap->arena->extent;
    table[number].next = 0;
    table[number].prev = list->tail;
    if (list->tail)
        table[list->tail].next = number;
    else
        list->head = number;
    list->tail = number;
}

static void list_prepend(struct slab_heap *heap, struct slab_list *list, uint32_t number)
{
    struct extent *table = heap->arena->extent;
    table[number].prev = 0;
    table[number].next = list->head;
    if (list->head)
        table[list->head].prev = number;
    else
        list->tail = number;
    list->head = number;
}

static void list_remove(struct slab_heap *heap, struct slab_list *list, uint32_t number)
{
    struct extent *table = heap->arena->extent, *x = &table[number];
    if (x->prev)
        table[x->prev].next = x->next;
    else
        list->head = x->next;
    if (x->next)
        table[x->next].prev = x->prev;
    else
        list->tail = x->prev;
}

static uint32_t take_run(struct slab_heap *heap, uint32_t run)
{
    uint32_t first = arena_take(heap->arena, heap->zone, run);
    if (!first && slab_trim(heap))
        first = arena_take(heap->arena, heap->zone, run);
    if (first)
        heap->reserved += (uint64_t)run * EXTENT_SIZE;
    return first;
}

static void give_run(struct slab_heap *heap, uint32_t first, uint32_t run)
{
    heap->arena->extent[first].state = EXTENT_FREE;
    heap->reserved -= (uint64_t)run * EXTENT_SIZE;
    arena_give(heap->arena, first, run);
}

static uint32_t new_slab(struct slab_heap *heap, unsigned cls, enum slab_kind kind)
{
    uint32_t run = heap->run[cls], first = take_run(heap, run);
    if (!first)
        return 0;
    struct extent *x = &heap->arena->extent[first];
    *x = (struct extent){.run = run, .cls = (uint8_t)cls, .kind = (uint8_t)kind, .state = EXTENT_SLAB};
    for (uint32_t i = 1; i < run; i++)
        x[i] = (struct extent){.lead = (uint8_t)i, .state = EXTENT_INSIDE};
    list_append(heap, &heap->partial[kind][cls], first);
    return first;
}

static void *large_alloc(struct slab_heap *heap, uint64_t rounded)
{
    if (rounded >> EXTENT_SHIFT > UINT32_MAX / 2)
        return NULL;
    uint32_t run = (uint32_t)(rounded >> EXTENT_SHIFT), first = take_run(heap, run);
    if (!first)
        return NULL;
    heap->arena->extent[first] = (struct extent){.run = run, .state = EXTENT_LARGE};
    heap->used += rounded;
    return arena_extent(heap->arena, first);
}

static inline void prefetch_slot(const uint8_t *p)
{
    __builtin_prefetch(p, 1);
    __builtin_prefetch(p + 64, 1);
}

void *slab_alloc(struct slab_heap *heap, size_t size, enum slab_kind kind)
{
    assert(!heap->arena->serves || midway_here);
    if (heap->fail_in && --heap->fail_in == 0)
        return NULL;
    uint64_t rounded = slab_size(size);
    if (size > SLAB_LARGEST)
        return rounded < size ? NULL : large_alloc(heap, rounded);
    unsigned cls = slab_class(rounded);
    struct slab_list *list = &heap->partial[kind][cls];
    uint32_t number = list->head ? list->head : new_slab(heap, cls, kind);
    if (!number)
        return NULL;
    struct extent *x = &heap->arena->extent[number];
    uint8_t *start = arena_extent(heap->arena, number), *p;
    if (x->free) {
        p = start + (uint64_t)(x->free - 1) * GRANULE;
        memcpy(&x->free, p, sizeof x->free);
        if (x->free) /* which lies where nobody has looked for long: the next allocation reads and fills it */
            prefetch_slot(start + (uint64_t)(x->free - 1) * GRANULE);
    } else {
        p = start + (uint64_t)x->fresh++ * rounded;
    }
    if (++x->used == heap->capacity[cls])
        list_remove(heap, list, number);
    heap->used += rounded;
    return p;
}

/* Below this a slab goes to the end of its list, so that allocations fill the fuller ones and it may run
 * empty. */
static uint16_t sparse_below(const struct slab_heap *heap, unsigned cls)
{
    return (uint16_t)(heap->capacity[cls] - heap->capacity[cls] / 8);
}

bool slab_is_sparse(const struct slab_heap *heap, const void *p)
{
    const struct arena *a = heap->arena;
    uint32_t number = (uint32_t)((uint64_t)((const uint8_t *)p - a->base) >> EXTENT_SHIFT);
    const struct extent *x = &a->extent[number];
    number -= x->lead;
    x -= x->lead;
    return x->state == EXTENT_SLAB && x->used < sparse_below(heap, x->cls) &&
           heap->partial[x->kind][x->cls].head != number;
}

void slab_free(struct slab_heap *heap, void *p)
{
    struct arena *a = heap->arena;
    assert(!a->serves || midway_here);
    uint64_t offset = (uint64_t)((uint8_t *)p - a->base);
    uint32_t number = (uint32_t)(offset >> EXTENT_SHIFT);
    struct extent *x = &a->extent[number];
    if (x->state == EXTENT_LARGE) {
        heap->used -= (uint64_t)x->run << EXTENT_SHIFT;
        give_run(heap, number, x->run);
        return;
    }
    number -= x->lead;
    x -= x->lead;
    struct slab_list *list = &heap->partial[x->kind][x->cls];
    memcpy(p, &x->free, sizeof x->free);
    x->free = (uint32_t)((offset - ((uint64_t)number << EXTENT_SHIFT)) / GRANULE) + 1;
    if (x->used-- == heap->capacity[x->cls])
        list_prepend(heap, list, number); /* the fullest of all */
    heap->used -= heap->class_size[x->cls];
    if (x->used + 1u == sparse_below(heap, x->cls) && x->next) {
        list_remove(heap, list, number);
        list_append(heap, list, number);
    }
    /* The last one of its class stays, or a class with one entry would take and give an extent all the time.
     */
    if (x->used == 0 && (x->next || x->prev)) {
        list_remove(heap, list, number);
        give_run(heap, number, x->run);
    }
}

bool slab_trim(struct slab_heap *heap)
{
    bool found = false;
    for (unsigned kind = 0; kind < SLAB_KINDS; kind++)
        for (unsigned c = 0; c < SLAB_CLASSES; c++) {
            struct slab_list *list = &heap->partial[kind][c];
            uint32_t number = list->head;
            if (!number || heap->arena->extent[number].used)
                continue;
            list_remove(heap, list, number);
            give_run(heap, number, heap->arena->extent[number].run);
            found = true;
        }
    return found;
}

/* examine.c: is an arena that a crash has left whole? Tables against slabs, slabs against their lists and accounts, indexes
 * against their counts and against the slabs that their entries lie in. Entries themselves are not read: it costs what reading
 * the index and the table of extents does. Nothing that is found is followed before it is known to lie where it may. */
#include "store/index_layout.h"
#include "store/shard.h"
#include <pthread.h>

struct sums { /* of all shards together, for no extent says whose it is */
    uint64_t used, reserved, listed;
};

struct look { /* at one shard, by a thread */
    const struct arena *a;
    const struct shard *s;
    const char *doubt;
    struct sums lists;
};

/* -- slabs -- */

static bool is_good_slab(const struct slab_heap *heap, const struct extent *x)
{
    if (x->cls >= SLAB_CLASSES || x->kind >= SLAB_KINDS || x->run != heap->run[x->cls])
        return false;
    uint64_t bytes = (uint64_t)x->run << EXTENT_SHIFT;
    if (x->used > x->fresh || x->fresh > heap->capacity[x->cls] || (x->free == 0) != (x->used == x->fresh))
        return false;
    if (x->free && (uint64_t)(x->free - 1) * GRANULE % heap->class_size[x->cls])
        return false;
    for (uint32_t i = 1; i < x->run; i++)
        if (x[i].state != EXTENT_INSIDE || x[i].lead != i)
            return false;
    return x->free == 0 || (uint64_t)(x->free - 1) * GRANULE < bytes;
}

/* The table of extents, in which arena_adopt() has found no run that leaves its zone. */
static const char *sum_table(const struct arena *a, const struct slab_heap *heap, struct sums *sums)
{
    for (unsigned z = 0; z < a->zones; z++)
        for (uint32_t i = a->zone[z].first; i < a->zone[z].end;) {
            const struct extent *x = &a->extent[i];
            bool slab = x->state == EXTENT_SLAB, large = x->state == EXTENT_LARGE;
            if (large ? x->run == 0 : slab && !is_good_slab(heap, x))
                return "a slab does not agree with its table";
            uint64_t bytes = slab || large ? (uint64_t)x->run << EXTENT_SHIFT : 0;
            sums->reserved += bytes;
            sums->used += slab ? (uint64_t)x->used * heap->class_size[x->cls] : bytes;
            sums->listed += slab && x->used < heap->capacity[x->cls];
            i += bytes ? x->run : 1;
        }
    return NULL;
}

static bool is_good_list(const struct look *l, unsigned kind, unsigned cls, uint64_t *listed)
{
    const struct slab_heap *heap = &l->s->heap;
    const struct slab_list *list = &heap->partial[kind][cls];
    uint32_t extents = (uint32_t)(l->a->size >> EXTENT_SHIFT), before = 0;
    for (uint32_t i = list->head; i; before = i, i = l->a->extent[i].next, ++*listed) {
        if (i >= extents || *listed > extents)
            return false;
        const struct extent *x = &l->a->extent[i];
        if (x->state != EXTENT_SLAB || x->cls != cls || x->kind != kind || x->prev != before || x->used >= heap->capacity[cls])
            return false;
    }
    return list->tail == before;
}

/* -- indexes -- */

/* Does an allocation of this kind begin there? */
static bool is_allocation(const struct look *l, uint64_t offset, enum slab_kind kind)
{
    if (offset >= l->a->size)
        return false;
    uint64_t number = offset >> EXTENT_SHIFT;
    const struct extent *x = &l->a->extent[number];
    if (x->state == EXTENT_INSIDE) {
        if (x->lead > number)
            return false;
        number -= x->lead;
        x -= x->lead;
    }
    offset -= number << EXTENT_SHIFT;
    if (x->state == EXTENT_LARGE)
        return offset == 0;
    if (x->state != EXTENT_SLAB || x->kind != kind)
        return false;
    uint32_t size = l->s->heap.class_size[x->cls];
    return offset % size == 0 && offset / size < x->fresh;
}

static bool is_pointer(const struct look *l, const void *p)
{
    return arena_holds(l->a, p) && is_allocation(l, (uint64_t)((const uint8_t *)p - l->a->base), SLAB_OTHER);
}

/* Counts the keys of a segment. */
static bool is_good_segment(const struct look *l, uint64_t word, uint64_t *keys)
{
    unsigned buckets = word_buckets(word), n = 0;
    if (word == 0)
        return true;
    if (buckets == 0 || buckets > SEGMENT_BUCKETS || !is_pointer(l, word_segment(l->s, word)))
        return false;
    const struct bucket *b = word_segment(l->s, word);
    for (unsigned i = 0; i < buckets * BUCKET_SLOTS; i++) {
        uint32_t low = b[i / BUCKET_SLOTS].low[i % BUCKET_SLOTS], high = b[i / BUCKET_SLOTS].high[i % BUCKET_SLOTS];
        uint64_t granule = (uint64_t)(high & HIGH_ADDRESS) << 32 | low;
        if (low == 0)
            continue;
        if (!is_allocation(l, granule * GRANULE, SLAB_ENTRY))
            return false;
        n++;
    }
    *keys += n;
    return n == word_keys(word);
}

/* `from`: segments before this one are freed already. */
static bool is_good_index(const struct look *l, const struct index *ix, uint32_t from)
{
    uint64_t keys = 0;
    if (ix->segments == 0)
        return ix->keys == 0;
    if (ix->segments > 1u << DIRECTORY_BITS || ix->mask < ix->segments - 1 || (ix->mask & (ix->mask + 1)) != 0)
        return false;
    for (unsigned i = 0; i < DIRECTORY_CHUNKS; i++) {
        uint64_t first = i ? (uint64_t)DIRECTORY_FIRST << (i - 1) : 0;
        if (ix->chunk[i] ? !is_pointer(l, ix->chunk[i]) : first < ix->segments)
            return false;
    }
    for (uint32_t i = from; i < ix->segments; i++)
        if (!is_good_segment(l, *directory_at(ix, i), &keys))
            return false;
    return from || keys == ix->keys;
}

static void *look_at(void *arg)
{
    struct look *l = arg;
    const struct shard *s = l->s;
    for (unsigned kind = 0; kind < SLAB_KINDS; kind++)
        for (unsigned c = 0; c < SLAB_CLASSES; c++)
            if (!is_good_list(l, kind, c, &l->lists.listed))
                l->doubt = "a list of slabs is damaged";
    for (unsigned i = 0; i <= s->databases && !l->doubt; i++)
        if (!is_good_index(l, &s->db[i].index, 0))
            l->doubt = "an index is damaged";
    for (const struct trash *t = s->trash; t && !l->doubt; t = t->next)
        if (!is_good_index(l, &t->db.index, t->segment))
            l->doubt = "the index of what was flushed is damaged";
    l->lists.used = s->heap.used;
    l->lists.reserved = s->heap.reserved;
    return NULL;
}

/* What slab_init() makes is the same in every process. */
static bool is_own_heap(const struct slab_heap *heap, struct arena *a)
{
    struct slab_heap own;
    slab_init(&own, a, heap->zone);
    return memcmp(own.class_size, heap->class_size, sizeof own.class_size) == 0 && heap->zone < a->zones &&
           memcmp(own.capacity, heap->capacity, sizeof own.capacity) == 0 && memcmp(own.run, heap->run, sizeof own.run) == 0;
}

const char *keyspace_examine(struct arena *a, struct shard *const *shard, unsigned shards)
{
    struct look look[ARENA_SHARDS];
    pthread_t thread[ARENA_SHARDS];
    bool started[ARENA_SHARDS];
    struct sums table = {0}, all = {0};
    for (unsigned i = 0; i < shards; i++)
        if (!is_own_heap(&shard[i]->heap, a))
            return "a shard is damaged";
    const char *doubt = sum_table(a, &shard[0]->heap, &table);
    if (doubt)
        return doubt;
    for (unsigned i = 0; i < shards; i++) {
        shard[i]->heap.arena = a; /* for those who read the index */
        look[i] = (struct look){.a = a, .s = shard[i]};
        started[i] = i + 1 < shards && pthread_create(&thread[i], NULL, look_at, &look[i]) == 0;
        if (!started[i])
            look_at(&look[i]);
    }
    for (unsigned i = 0; i < shards; i++) {
        if (started[i])
            pthread_join(thread[i], NULL);
        doubt = look[i].doubt ? look[i].doubt : doubt;
        all.used += look[i].lists.used;
        all.reserved += look[i].lists.reserved;
        all.listed += look[i].lists.listed;
    }
    uint64_t fixed = (uint64_t)a->fixed << EXTENT_SHIFT; /* the shards' own structs */
    bool agree = all.used + fixed == table.used && all.reserved + fixed == table.reserved && all.listed == table.listed;
    return doubt || agree ? doubt : "the accounts of memory do not agree with what is taken";
}

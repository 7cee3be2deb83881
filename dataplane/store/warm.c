/* warm.c: a store that outlives its process. Everything that keys need lies in the arena, the shards' own structs
 * included: at the same address every pointer is good in the next process. What a shard has outside (who waits, pins,
 * a snapshot under way) ends with the process, but for the names of big keys, which are looked up.
 *
 * Left in order means: no command in the middle, and the sums of header, tables and shards are in the header. Whoever
 * takes it over makes it "in use" first, so that what a crash leaves is never believed. */
#include "base/crc64.h"
#include "store/layout.h"
#include "store/shard.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

uint64_t keyspace_layout(void)
{
    const uint64_t sizes[] = {STORE_LAYOUT,         sizeof(struct shard), sizeof(struct db),    sizeof(struct trash),
                              sizeof(struct extent), sizeof(struct wheel), sizeof(struct index), ARENA_ADDRESS};
    return crc64(0, sizes, sizeof sizes);
}

static uint64_t aligned(uint64_t n)
{
    return (n + 63) & ~UINT64_C(63);
}

static uint64_t dbs_at(void)
{
    return aligned(sizeof(struct shard));
}

static uint64_t notes_at(unsigned databases)
{
    return dbs_at() + aligned((databases + 1u) * sizeof(struct db));
}

static uint64_t place_size(unsigned databases)
{
    return notes_at(databases) + databases * sizeof(struct trash);
}

static struct trash *notes_of(const struct shard *s)
{
    return (struct trash *)(void *)((uint8_t *)(uintptr_t)s + notes_at(s->databases));
}

/* All notes that are not in use are spare ones. */
static void gather_spares(struct shard *s)
{
    struct trash *note = notes_of(s);
    s->spare = NULL;
    s->spares = 0;
    for (unsigned i = 0; i < s->databases; i++) {
        const struct trash *t = s->trash;
        while (t && t != &note[i])
            t = t->next;
        if (!t)
            trash_return(s, &note[i]);
    }
}

struct shard *shard_place(const struct keyspace *ks, unsigned number)
{
    struct arena *a = ks->arena;
    uint64_t size = place_size(ks->databases);
    uint32_t run = (uint32_t)((size + EXTENT_SIZE - 1) >> EXTENT_SHIFT);
    uint32_t first = arena_take(a, a->shard_zone[number], run);
    if (!first)
        return NULL;
    a->fixed += run;
    a->extent[first] = (struct extent){.run = run, .state = EXTENT_LARGE};
    struct arena_header *h = a->header;
    h->layout = keyspace_layout();
    h->state = ARENA_IN_USE;
    h->seed = ks->seed;
    h->shards = number + 1;
    h->databases = ks->databases;
    h->shard[number] = first;
    struct shard *s = (struct shard *)(void *)arena_extent(a, first);
    memset(s, 0, size);
    s->db = (struct db *)(void *)((uint8_t *)s + dbs_at());
    s->databases = ks->databases;
    s->heap.arena = a;
    gather_spares(s);
    return s;
}

/* -- leaving -- */

static uint64_t sum_of(const struct arena *a)
{
    struct arena_header h = *a->header;
    uint32_t extents = (uint32_t)(a->size >> EXTENT_SHIFT);
    h.sum = 0;
    uint64_t sum = crc64(crc64(0, &h, sizeof h), a->extent, extents * sizeof *a->extent);
    for (unsigned i = 0; i < h.shards; i++)
        sum = crc64(sum, arena_extent(a, h.shard[i]), place_size(h.databases));
    return sum;
}

/* A spare note that lies in the arena. */
static struct trash *take_own_note(struct shard *s)
{
    for (struct trash **at = &s->spare; *at; at = &(*at)->next) {
        struct trash *t = *at;
        if (arena_holds(s->heap.arena, t)) {
            *at = t->next;
            s->spares--;
            return t;
        }
    }
    return NULL;
}

/* What is flushed and not yet freed is noted in the arena, or freed now. */
static void keep_trash(struct shard *s)
{
    struct trash *list = s->trash;
    s->trash = NULL;
    for (struct trash *next; list; list = next) {
        next = list->next;
        struct trash *t = list;
        unsigned all = UINT_MAX;
        if (!arena_holds(s->heap.arena, list)) {
            t = take_own_note(s);
            if (t)
                *t = *list;
            else
                trash_slice(s, list, &all);
            free(list);
        }
        if (t) {
            t->next = s->trash;
            s->trash = t;
        }
    }
}

void keyspace_seal(struct keyspace *ks)
{
    struct arena *a = ks->arena;
    if (!a->kept)
        return;
    for (unsigned i = 0; i < ks->shards; i++)
        keep_trash(ks->shard[i]);
    a->header->state = ARENA_LEFT;
    a->header->sum = sum_of(a);
}

/* -- taking over -- */

static bool is_zone_of(const struct arena *a, uint32_t first, uint32_t run)
{
    for (unsigned z = 0; z < a->zones; z++)
        if (first >= a->zone[z].first && first < a->zone[z].end)
            return run <= a->zone[z].end - first;
    return false;
}

/* NULL, or why it is not to be believed. The cheap questions come first. */
static const char *doubts(const struct arena *a, const struct keyspace *ks, unsigned shards)
{
    const struct arena_header *h = a->header;
    if (h->magic != ARENA_MAGIC || h->size != a->size || h->base != (uintptr_t)a->base)
        return "it is damaged";
    if (h->layout != keyspace_layout())
        return "it was made by a program that lays out memory in another way";
    if (h->state != ARENA_LEFT)
        return "it was not left in order";
    if (h->shards != shards)
        return "it is for another number of workers";
    if (h->databases != ks->databases)
        return "it has another number of databases";
    for (unsigned i = 0; i < shards; i++)
        if (h->shard[i] >= a->size >> EXTENT_SHIFT ||
            place_size(h->databases) > a->size - ((uint64_t)h->shard[i] << EXTENT_SHIFT))
            return "it is damaged";
    return sum_of(a) == h->sum ? NULL : "it is damaged";
}

/* A draft that was not finished is of no use to anybody. */
static void drop_drafts(struct shard *s)
{
    struct db *drafts = &s->db[s->databases];
    if (!drafts->index.segments && !drafts->wheel)
        return;
    struct trash now = {.db = *drafts}, *t = trash_new(s);
    memset(drafts, 0, sizeof *drafts);
    unsigned all = UINT_MAX;
    if (!t) {
        trash_slice(s, &now, &all);
        return;
    }
    *t = now;
    t->next = s->trash;
    s->trash = t;
}

static void adopt_shard(struct shard *s, struct arena *a, struct counters *counters)
{
    s->heap.arena = a;
    s->heap.fail_in = 0;
    s->counters = counters;
    s->snapshot = NULL;
    s->snapshot_trash = 0;
    s->waits = (struct waits){0};
    s->pins = (struct pins){0};
    s->pool = (struct pool){0};
    s->compaction = (struct compaction){0};
    s->guards = 0;
    s->turn = NULL;
    s->keeps_expired = false;
    s->list_chunk = 0;
    s->changes++;
    gather_spares(s);
    if (s->marked)
        for (unsigned i = 0; i < s->databases; i++)
            index_unmark_all(s, &s->db[i].index);
    s->marked = false;
    drop_drafts(s);
    big_adopt(s);
}

bool keyspace_adopt(struct keyspace *ks, const struct config *conf, struct counters *const *counters,
                    const struct arena_files *files, bool wanted, char *why, size_t size)
{
    unsigned shards = conf->workers ? conf->workers : 1;
    struct arena *a = arena_find(conf->arena_size, conf->hugepages, files, why, size);
    if (!a)
        return false;
    const char *doubt = doubts(a, ks, shards);
    if (!doubt && !arena_adopt(a))
        doubt = "it is damaged";
    if (!doubt && !wanted)
        doubt = "the texts of its functions are missing";
    for (unsigned i = 0; !doubt && i < shards; i++)
        if (!is_zone_of(a, a->header->shard[i], a->extent[a->header->shard[i]].run))
            doubt = "it is damaged";
    if (doubt) {
        snprintf(why, size, "%s", doubt);
        arena_free(a);
        return false;
    }
    a->header->state = ARENA_IN_USE;
    a->header->generation++;
    ks->arena = a;
    ks->seed = a->header->seed;
    for (; ks->shards < shards; ks->shards++) {
        uint32_t first = a->header->shard[ks->shards];
        ks->shard[ks->shards] = (struct shard *)(void *)arena_extent(a, first);
        a->fixed += a->extent[first].run;
        adopt_shard(ks->shard[ks->shards], a, counters[ks->shards]);
    }
    return true;
}

uint64_t keyspace_generation(const struct keyspace *ks)
{
    return ks->arena->header->generation;
}

bool keyspace_outlives(const struct keyspace *ks)
{
    return ks->arena->kept;
}

/* warm.c: a store that outlives its process. Everything that keys need lies in the arena, the shards' own structs
 * included: at the same address every pointer is good in the next process. What a shard has outside (who waits, pins,
 * a snapshot under way) ends with the process, but for the names of big keys, which are looked up.
 *
 * Left in order means: no command in the middle, and the sums of header, tables and shards are in the header.
 *
 * What a crash leaves is believed if the process was serving and no worker was midway (midway.h): then every command has run or
 * not begun, and what spans rounds either keeps the shard whole between them (index growth, expiry, freeing, compaction, the
 * cursor of a snapshot) or holds the word (commands in slices, records that the log's ring had no room for). Whether tables and
 * indexes agree is looked at all the same (examine.c): who wrote where it should not have crashes sooner or later. */
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

#ifndef NDEBUG
_Thread_local bool midway_here;
#endif

bool shard_has_note(const struct shard *s, const struct trash *t)
{
    const struct trash *note = notes_of(s);
    return t >= note && t < note + s->databases && (size_t)((const char *)t - (const char *)note) % sizeof *t == 0;
}

uint64_t *shard_midway(struct shard *s)
{
    return &s->midway;
}

void keyspace_serves(struct keyspace *ks, bool serves)
{
    struct arena *a = ks->arena;
    if (!a->kept)
        return;
    __atomic_store_n(&a->header->state, serves ? ARENA_SERVES : ARENA_IN_USE, __ATOMIC_SEQ_CST);
    __atomic_store_n(&a->serves, serves, __ATOMIC_SEQ_CST);
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

/* Notes that are not in the arena have gone with the process. */
static bool has_its_trash(const struct shard *s)
{
    unsigned n = 0;
    for (const struct trash *t = s->trash; t; t = t->next)
        if (!shard_has_note(s, t) || ++n > s->databases)
            return false;
    return true;
}

/* Nobody was in the middle of anything, as far as the shards' own structs say. */
static const char *doubts_of_crash(const struct arena *a)
{
    const struct arena_header *h = a->header;
    for (unsigned i = 0; i < h->shards; i++) {
        const struct shard *s = (const struct shard *)(const void *)arena_extent(a, h->shard[i]);
        if (s->midway)
            return "a worker was killed in the middle of a change";
        if (s->databases != h->databases || (const uint8_t *)s->db != (const uint8_t *)s + dbs_at())
            return "it is damaged";
        if (!has_its_trash(s))
            return "much had been flushed and was not freed yet";
    }
    return NULL;
}

/* NULL, or why it is not to be believed. The cheap questions come first. */
static const char *doubts(const struct arena *a, const struct keyspace *ks, unsigned shards)
{
    const struct arena_header *h = a->header;
    if (h->magic != ARENA_MAGIC || h->size != a->size || h->base != (uintptr_t)a->base)
        return "it is damaged";
    if (h->layout != keyspace_layout())
        return "it was made by a program that lays out memory in another way";
    if (h->state != ARENA_LEFT && h->state != ARENA_SERVES)
        return "it was not left in order";
    if (h->shards != shards)
        return "it is for another number of workers";
    if (h->databases != ks->databases)
        return "it has another number of databases";
    for (unsigned i = 0; i < shards; i++)
        if (h->shard[i] >= a->size >> EXTENT_SHIFT ||
            place_size(h->databases) > a->size - ((uint64_t)h->shard[i] << EXTENT_SHIFT))
            return "it is damaged";
    if (h->state == ARENA_SERVES)
        return doubts_of_crash(a);
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
    s->midway = 0;
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

/* Finds the shards. False: they are not where they can be. */
static bool find_shards(const struct keyspace *ks, struct arena *a, unsigned shards)
{
    for (unsigned i = 0; i < shards; i++) {
        uint32_t first = a->header->shard[i];
        if (!is_zone_of(a, first, a->extent[first].run))
            return false;
        ks->shard[i] = (struct shard *)(void *)arena_extent(a, first);
        a->fixed += a->extent[first].run;
    }
    return true;
}

/* Whoever is killed in here leaves nothing that is believed. */
static void adopt(struct keyspace *ks, struct arena *a, struct counters *const *counters, unsigned shards)
{
    a->header->state = ARENA_IN_USE;
    a->header->generation++;
    ks->arena = a;
    ks->seed = a->header->seed;
    for (; ks->shards < shards; ks->shards++)
        adopt_shard(ks->shard[ks->shards], a, counters[ks->shards]);
}

bool keyspace_adopt(struct keyspace *ks, const struct config *conf, struct counters *const *counters,
                    const struct arena_files *files, bool wanted, struct keyspace_past *past)
{
    unsigned shards = conf->workers ? conf->workers : 1;
    struct arena *a = arena_find(conf->arena_size, conf->hugepages, files, past->why, sizeof past->why);
    if (!a)
        return false;
    const char *doubt = doubts(a, ks, shards);
    past->crashed = !doubt && a->header->state == ARENA_SERVES;
    if (!doubt && (!arena_adopt(a) || !find_shards(ks, a, shards)))
        doubt = "it is damaged";
    if (!doubt && !wanted)
        doubt = "the texts of its functions are missing";
    if (!doubt && past->crashed)
        doubt = keyspace_examine(a, ks->shard, shards);
    if (doubt) {
        snprintf(past->why, sizeof past->why, "%s", doubt);
        arena_free(a);
        return false;
    }
    adopt(ks, a, counters, shards);
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

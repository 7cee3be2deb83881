/* compact.c: a walk over the index that moves segments, entries and long strings out of sparse slabs. Their
 * owners are known, so nothing but the pointer in the owner has to be changed. */
#include "store/compact.h"
#include "store/shard.h"

enum { IDLE_SHARE = 32, IDLE_LEAST = 256 << 10, GROWN_SHARE = 8, CHANGES_SHARE = 8, CHANGES_LEAST = 1000,
       LITTLE_SHARE = 256, PATIENCE_MOST = 5 };

void *compact_move(struct shard *s, void *p, uint64_t size, enum slab_kind kind)
{
    if (!slab_is_sparse(&s->heap, p))
        return NULL;
    void *moved = shard_alloc_quietly(s, size, kind);
    if (moved) {
        memcpy(moved, p, size);
        shard_free(s, p);
        s->changes++;
    }
    return moved;
}

/* A step over a segment. It ends early when the budget is used up inside a large collection. */
struct step {
    struct shard *s;
    unsigned slot, budget;
    bool stopped;
};

static void compact_apart(struct shard *s, struct entry *e)
{
    struct apart root = entry_apart(e);
    uint8_t *moved = compact_move(s, root.p, root.cap, SLAB_OTHER);
    if (moved) {
        root.p = moved;
        memcpy(entry_parts(e).value, &root, sizeof root);
    }
}

/* False if there is more to do in this collection. */
static bool compact_body(struct step *step, struct entry *e)
{
    struct shard *s = step->s;
    struct body *b = entry_body(e);
    const struct body_ops *o = body_ops_of(b);
    if (o->compact && !o->compact(s, b, &s->compaction.inside, &step->budget))
        return false;
    s->compaction.inside = 0;
    struct body *moved = compact_move(s, b, o->size, SLAB_OTHER);
    if (moved)
        memcpy(entry_parts(e).value, &moved, sizeof moved);
    return true;
}

/* The next slot. After a stop it may hold another entry than before: then the place inside means nothing, and
 * some of it is left for the next walk. */
static void compact_entry(struct entry **slot, void *arg)
{
    struct step *step = arg;
    struct shard *s = step->s;
    struct entry *e = *slot;
    if (step->stopped || step->slot++ < s->compaction.slot)
        return;
    bool sparse = slab_is_sparse(&s->heap, e);
    if ((!sparse && e->value_len != sizeof(struct apart) && !entry_is_body(e)) || entry_guarded(s, e) ||
        entry_pinned(s, e))
        return;
    if (entry_is_apart(e))
        compact_apart(s, e);
    if (entry_is_body(e) && !compact_body(step, e)) {
        step->stopped = true;
        s->compaction.slot = step->slot - 1;
        return;
    }
    struct entry *moved = sparse ? compact_move(s, e, entry_size(e), SLAB_ENTRY) : NULL;
    if (moved)
        *slot = moved;
}

/* False if it is to go on in the same segment. */
static bool compact_segment(struct shard *s, struct index *ix, uint32_t number, unsigned *budget)
{
    struct step step = {.s = s, .budget = *budget};
    uint64_t size;
    struct bucket *seg = index_segment(s, ix, number, &size), *moved;
    if (seg) {
        moved = compact_move(s, seg, size, SLAB_OTHER);
        if (moved)
            index_segment_moved(s, ix, number, moved);
        index_each_slot(s, ix, number, compact_entry, &step);
    }
    *budget = step.stopped ? 0 : step.budget;
    if (!step.stopped)
        s->compaction.slot = 0;
    return !step.stopped;
}

/* What the next steps look at comes in while others work: entries of the next segment, and the slots of the one behind it. */
static void ask_for_next(const struct shard *s, const struct index *ix, uint32_t number)
{
    if (number + 1 < ix->segments)
        index_segment_prefetch(s, ix, number + 1);
    if (number + 2 < ix->segments)
        index_slots_prefetch(s, ix, number + 2);
}

static uint64_t idle_bytes(const struct shard *s)
{
    return s->heap.reserved - s->heap.used;
}

/* Some keys came and went since the last walk; or few, but large ones. */
static bool worth_while(const struct shard *s)
{
    uint64_t idle = idle_bytes(s), keys = 0;
    if (idle < s->heap.reserved / IDLE_SHARE + IDLE_LEAST)
        return false;
    if (idle > s->compaction.idle + s->heap.reserved / GROWN_SHARE)
        return true;
    for (unsigned i = 0; i < s->databases; i++)
        keys += s->db[i].index.keys;
    return s->changes - s->compaction.changes > (keys / CHANGES_SHARE + CHANGES_LEAST) << s->compaction.patience;
}

void compact_begin(struct shard *s)
{
    s->compaction = (struct compaction){.walking = true,
                                        .changes = s->changes,
                                        .idle = s->compaction.idle,
                                        .before = idle_bytes(s),
                                        .patience = s->compaction.patience};
}

/* Its own moves do not call for another walk. One that brought little will not soon bring more: where keys are evicted all the
 * time, each turn of them would pay for several walks over all of them. */
static void compact_end(struct shard *s)
{
    struct compaction *c = &s->compaction;
    slab_trim(&s->heap);
    c->changes = s->changes;
    c->idle = idle_bytes(s);
    bool little = c->idle + s->heap.reserved / LITTLE_SHARE > c->before;
    c->patience = !little ? 0 : c->patience < PATIENCE_MOST ? c->patience + 1 : PATIENCE_MOST;
}

bool compact_run(struct shard *s, unsigned budget)
{
    struct compaction *c = &s->compaction;
    if (!c->walking && worth_while(s))
        compact_begin(s);
    if (!c->walking)
        return false;
    while (c->walking && budget > 0) {
        struct index *ix = &s->db[c->db].index;
        if (c->segment < ix->segments) {
            ask_for_next(s, ix, c->segment);
            c->segment += compact_segment(s, ix, c->segment, &budget);
            budget -= budget < SEGMENT_KEYS ? budget : SEGMENT_KEYS;
        } else {
            c->segment = 0;
            c->walking = ++c->db < s->databases;
        }
    }
    if (!c->walking)
        compact_end(s);
    return c->walking;
}

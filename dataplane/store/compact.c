/* compact.c: a walk over the index that moves segments, entries and long strings out of sparse slabs. Their
 * owners are known, so nothing but the pointer in the owner has to be changed. */
#include "store/compact.h"
#include "store/shard.h"

enum { IDLE_SHARE = 32, IDLE_LEAST = 256 << 10, CHANGES_SHARE = 8, CHANGES_LEAST = 1000 };

/* The same bytes in a fuller slab, or NULL if they stay where they are. */
static void *move_block(struct shard *s, void *p, uint64_t size, enum slab_kind kind)
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

static void compact_entry(struct entry **slot, void *arg)
{
    struct shard *s = arg;
    struct entry *e = *slot;
    bool sparse = slab_is_sparse(&s->heap, e);
    if ((!sparse && e->value_len != sizeof(struct apart)) || entry_guarded(s, e))
        return;
    if (entry_is_apart(e)) {
        struct apart root = entry_apart(e);
        uint8_t *moved = move_block(s, root.p, root.cap, SLAB_OTHER);
        if (moved) {
            root.p = moved;
            memcpy(entry_parts(e).value, &root, sizeof root);
        }
    }
    struct entry *moved = sparse ? move_block(s, e, entry_size(e), SLAB_ENTRY) : NULL;
    if (moved)
        *slot = moved;
}

static void compact_segment(struct shard *s, struct index *ix, uint32_t number)
{
    uint64_t size;
    struct bucket *seg = index_segment(s, ix, number, &size), *moved;
    if (!seg)
        return;
    moved = move_block(s, seg, size, SLAB_OTHER);
    if (moved)
        index_segment_moved(s, ix, number, moved);
    index_each_slot(s, ix, number, compact_entry, s);
}

static bool worth_while(const struct shard *s)
{
    uint64_t idle = s->heap.reserved - s->heap.used, keys = 0;
    if (idle < s->heap.reserved / IDLE_SHARE + IDLE_LEAST)
        return false;
    for (unsigned i = 0; i < s->databases; i++)
        keys += s->db[i].index.keys;
    return s->changes - s->compaction.changes > keys / CHANGES_SHARE + CHANGES_LEAST;
}

void compact_begin(struct shard *s)
{
    s->compaction = (struct compaction){.walking = true, .changes = s->changes};
}

bool compact_run(struct shard *s, unsigned budget)
{
    struct compaction *c = &s->compaction;
    if (!c->walking && worth_while(s))
        compact_begin(s);
    while (c->walking && budget > 0) {
        struct index *ix = &s->db[c->db].index;
        if (c->segment < ix->segments) {
            compact_segment(s, ix, c->segment++);
            budget -= budget < SEGMENT_KEYS ? budget : SEGMENT_KEYS;
        } else {
            c->segment = 0;
            c->walking = ++c->db < s->databases;
        }
    }
    if (!c->walking)
        c->changes = s->changes; /* its own moves do not call for another one */
    return c->walking;
}

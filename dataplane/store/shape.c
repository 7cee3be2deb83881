/* shape.c: what indexes look like, for DEBUG HTSTATS and HTSTATS-KEY. */
#include "store/shard.h"
#include "store/table.h"

static void shape_of(const struct shard *s, const struct index *ix, struct index_shape *out)
{
    uint64_t size;
    *out = (struct index_shape){.elements = ix->keys, .bytes = index_memory(ix)};
    for (uint32_t i = 0; i < ix->segments; i++)
        if (index_segment(s, ix, i, &size)) {
            out->segments++;
            out->buckets += size / sizeof(struct bucket);
        }
}

void shard_index_shape(const struct shard *s, unsigned db, struct index_shape *out)
{
    shape_of(s, &s->db[db].index, out);
}

bool entry_index_shape(const struct shard *s, const struct entry *e, struct index_shape *out)
{
    enum value_type type = entry_type(e);
    if (!entry_is_body(e) || (type != TYPE_HASH && type != TYPE_SET && type != TYPE_ZSET))
        return false;
    const struct table *t = (const struct table *)(const void *)entry_body(e); /* the first member of each */
    shape_of(s, &t->index, out);
    return true;
}

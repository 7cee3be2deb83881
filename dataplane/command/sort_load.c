/* sort_load.c: what SORT sorts: the elements of a list, a set or a sorted set.
 * https://redis.io/docs/latest/commands/sort/ */
#include "command/sort.h"
#include "store/set.h"
#include "store/zset.h"
#include <stdlib.h>

static const struct shard *shard_of(const struct sort *o)
{
    return request_shard(o->rq, &o->rq->key);
}

struct item sort_item(struct slice text)
{
    struct item item = item_of(text);
    if (item.is_number)
        item.text = (struct slice){0};
    return item;
}

static bool reserve(struct sort *o, int64_t n)
{
    o->member = n > 0 ? calloc((size_t)n, sizeof *o->member) : NULL;
    return n <= 0 || o->member;
}

/* What is loaded of something that has an order of its own: in that order, no more than is replied. */
struct part {
    int64_t from, n; /* the first element, counted from the head also when it goes backward */
    bool backward;
};

static struct part part_of(struct sort *o, int64_t len)
{
    struct part part = {0, len, o->unsorted && o->desc};
    if (!o->unsorted)
        return part;
    part.n = o->end - o->start + 1;
    part.from = o->desc ? len - 1 - o->start : o->start;
    o->end -= o->start;
    o->start = 0;
    return part;
}

static bool load_list(struct sort *o, struct entry *e)
{
    struct list_cursor c;
    struct part part = part_of(o, (int64_t)list_len(e));
    if (!reserve(o, part.n))
        return false;
    if (part.n > 0)
        list_seek(e, part.from + part.backward, &c, o->rq->turn);
    for (; o->members < part.n; o->members++, turn_take(o->rq->turn))
        (part.backward ? list_prev : list_next)(&c, &o->member[o->members].element);
    return true;
}

static uint64_t zset_entry_count(const struct entry *e)
{
    struct zset z;
    zset_open(&z, NULL, e);
    return zset_count(&z);
}

static bool load_zset(struct sort *o, struct entry *e)
{
    struct zset z;
    struct zset_walk w;
    struct zset_element x;
    struct part part = part_of(o, (int64_t)zset_entry_count(e));
    if (!reserve(o, part.n))
        return false;
    zset_open(&z, shard_of(o), e);
    if (part.n > 0)
        zset_walk(&w, &z, (uint64_t)part.from, part.backward);
    for (; o->members < part.n && zset_next(&w, &x); o->members++, turn_take(o->rq->turn))
        o->member[o->members].element = sort_item(x.member);
    return true;
}

static bool load_set(struct sort *o, struct entry *e)
{
    struct set_cursor c = {0};
    struct set_member m;
    if (!reserve(o, (int64_t)set_count(e)))
        return false;
    for (; set_next(shard_of(o), e, &c, &m); o->members++, turn_take(o->rq->turn))
        o->member[o->members].element = sort_item(m.text);
    return true;
}

/* How the elements of a type are loaded, and how many there are. */
static const struct source {
    uint64_t (*count)(const struct entry *e);
    bool (*load)(struct sort *o, struct entry *e);
} sources[TYPE_STREAM + 1] = {
    [TYPE_LIST] = {list_len, load_list},
    [TYPE_SET] = {set_count, load_set},
    [TYPE_ZSET] = {zset_entry_count, load_zset},
};

bool sort_is_source(const struct entry *e)
{
    return sources[entry_type(e)].load != NULL;
}

static int64_t at_least(int64_t v, int64_t least)
{
    return v < least ? least : v;
}

/* start and end from LIMIT, as Redis computes them: an empty range has its end before its start. */
static void find_range(struct sort *o, int64_t len)
{
    int64_t count = at_least(o->limit_count, -1);
    o->start = at_least(o->limit_start, 0);
    o->start = o->start > len ? len : o->start;
    count = count > len ? len : count;
    o->end = count < 0 ? len - 1 : o->start + count - 1;
    if (o->start >= len) {
        o->start = len - 1;
        o->end = len - 2;
    }
    if (o->end >= len)
        o->end = len - 1;
}

uint64_t sort_work(const struct entry *e)
{
    return 4 * sources[entry_type(e)].count(e);
}

bool sort_load(struct sort *o, struct entry *e)
{
    const struct source *source = e ? &sources[entry_type(e)] : NULL;
    find_range(o, source ? (int64_t)source->count(e) : 0);
    return !source || source->load(o, e);
}

void sort_free(struct sort *o)
{
    free(o->member);
    free(o->order);
    free(o->key);
}

/* ints.c: a sorted array of integers (ints.h). */
#include "store/ints.h"
#include <string.h>

static unsigned width_of(struct ints set)
{
    return set.p && set.len ? set.p[0] : 1;
}

static unsigned width_for(int64_t v)
{
    return v == (int8_t)v ? 1 : v == (int16_t)v ? 2 : v == (int32_t)v ? 4 : 8;
}

static int64_t get(const uint8_t *p, unsigned width, uint64_t index)
{
    int64_t v = 0;
    memcpy(&v, p + 1 + index * width, width);
    unsigned unused = 64 - 8 * width;
    return (int64_t)((uint64_t)v << unused) >> unused;
}

static void put(uint8_t *p, unsigned width, uint64_t index, int64_t v)
{
    memcpy(p + 1 + index * width, &v, width);
}

uint64_t ints_count(struct ints set)
{
    return set.len ? (set.len - 1) / width_of(set) : 0;
}

int64_t ints_at(struct ints set, uint64_t index)
{
    return get(set.p, width_of(set), index);
}

bool ints_find(struct ints set, int64_t v, uint64_t *index)
{
    unsigned width = width_of(set);
    uint64_t from = 0, to = ints_count(set);
    while (from < to) {
        uint64_t middle = from + (to - from) / 2;
        if (get(set.p, width, middle) < v)
            from = middle + 1;
        else
            to = middle;
    }
    *index = from;
    return from < ints_count(set) && get(set.p, width, from) == v;
}

static unsigned width_with(struct ints set, int64_t v)
{
    unsigned now = width_of(set), then = width_for(v);
    return then > now ? then : now;
}

uint64_t ints_len_with(struct ints set, int64_t v)
{
    return 1 + (ints_count(set) + 1) * width_with(set, v);
}

void ints_insert(struct ints set, int64_t v, uint64_t index)
{
    unsigned now = width_of(set), then = width_with(set, v);
    uint64_t n = ints_count(set);
    if (then == now) {
        uint8_t *at = set.p + 1 + index * now;
        memmove(at + now, at, (n - index) * now);
    } else {
        for (uint64_t i = n; i-- > 0;) /* from behind: nothing is overwritten that is still to be read */
            put(set.p, then, i + (i >= index), get(set.p, now, i));
    }
    set.p[0] = (uint8_t)then;
    put(set.p, then, index, v);
}

uint64_t ints_delete(struct ints set, uint64_t index)
{
    unsigned width = width_of(set);
    uint8_t *at = set.p + 1 + index * width;
    memmove(at, at + width, (ints_count(set) - index - 1) * width);
    return set.len - width;
}

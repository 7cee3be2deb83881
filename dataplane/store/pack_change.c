/* pack_change.c: packs that change: elements come and go, the count at the end with them. Contract: pack.h. */
#include "store/pack_run.h"

#include <assert.h>
#include <string.h>

static void write_count(struct pack *pk, uint32_t end, uint32_t count)
{
    if (count < COUNT_LONG) {
        pk->p[end] = (uint8_t)count;
        pk->len = end + 1;
    } else {
        memcpy(pk->p + end, &count, 4);
        pk->p[end + 4] = COUNT_LONG;
        pk->len = end + 5;
    }
}

/* Makes `added` bytes of what were `removed` at a place, and adjusts the count. */
static uint8_t *reshape(struct pack *pk, uint32_t at, uint32_t removed, uint32_t added, int64_t delta)
{
    uint32_t end = pack_end(*pk);
    int64_t count = (int64_t)pack_count(*pk) + delta;
    assert(at <= end && removed <= end - at && count >= 0);
    assert(pack_len_after(*pk, added, removed, delta) <= UINT32_MAX);
    memmove(pk->p + at + added, pk->p + at + removed, end - at - removed);
    write_count(pk, end - removed + added, (uint32_t)count);
    return pk->p + at;
}

struct pack pack_init(uint8_t *buffer)
{
    buffer[0] = 0;
    return (struct pack){buffer, PACK_EMPTY};
}

uint64_t pack_len_after(struct pack pk, uint64_t added, uint64_t removed, int64_t count)
{
    return pack_end(pk) + added - removed + ((int64_t)pack_count(pk) + count < COUNT_LONG ? 1 : 5);
}

void pack_insert(struct pack *pk, uint32_t at, const struct item *item)
{
    uint32_t end = pack_end(*pk), count = pack_count(*pk) + 1;
    if (at == end) { /* the count was read before it is written over */
        assert(pack_len_after(*pk, item->size, 0, 1) <= UINT32_MAX);
        pack_write_element(pk->p + end, item);
        write_count(pk, end + item->size, count);
        return;
    }
    pack_write_element(reshape(pk, at, 0, item->size, 1), item);
}

void pack_replace(struct pack *pk, uint32_t at, const struct item *item)
{
    assert(at < pack_end(*pk));
    pack_write_element(reshape(pk, at, pack_size(pk->p + at), item->size, 0), item);
}

void pack_delete(struct pack *pk, uint32_t at, uint32_t count)
{
    uint32_t to = at;
    if (count == pack_count(*pk)) {
        to = pack_end(*pk);
    } else {
        for (uint32_t i = 0; i < count; i++)
            to = pack_next(*pk, to);
    }
    reshape(pk, at, to - at, 0, -(int64_t)count);
}

void pack_push_front(struct pack *pk, const struct item *item)
{
    uint32_t end = pack_end(*pk);
    write_count(pk, end, pack_count(*pk) + 1);
    pk->p -= item->size;
    pk->len += item->size;
    pack_write_element(pk->p, item);
}

void pack_drop_front(struct pack *pk, uint32_t count)
{
    uint32_t end = pack_end(*pk), before = pack_count(*pk), bytes = 0;
    assert(count <= before);
    for (uint32_t i = 0; i < count; i++)
        bytes += pack_size(pk->p + bytes);
    write_count(pk, end, before - count);
    pk->p += bytes;
    pk->len -= bytes;
}

uint32_t pack_remove(struct pack *pk, const struct item *item, uint64_t most, bool backward)
{
    struct item other;
    uint32_t n = 0;
    for (uint32_t at = 0; !backward && n < most && (at = pack_find(*pk, at, item, 1)) != PACK_NOWHERE; n++)
        pack_delete(pk, at, 1);
    for (uint32_t at = pack_end(*pk); backward && n < most && (at = pack_prev(*pk, at)) != PACK_NOWHERE;)
        if (pack_get(*pk, at, &other) && item_eq(&other, item)) {
            pack_delete(pk, at, 1);
            n++;
        }
    return n;
}

void pack_insert_raw(struct pack *pk, uint32_t at, struct pack other, uint32_t from, uint32_t bytes,
                     uint32_t count)
{
    assert(from <= pack_end(other) && bytes <= pack_end(other) - from);
    if (bytes)
        memcpy(reshape(pk, at, 0, bytes, count), other.p + from, bytes);
}

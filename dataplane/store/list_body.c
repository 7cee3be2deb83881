/* list_body.c: a list as the value of its entry: its two forms, when it changes from one to the other, and
 * what OBJECT ENCODING calls it. Redis 7.2's t_list.c has the rules (listTypeTryConversion). */
#include "store/chunk.h"
#include "store/rdb_packed.h"

enum {
    BACK_INLINE = ENTRY_INLINE / 2, /* a list of one chunk that got this short goes back into its entry */
    LISTPACK_HEADER = 7             /* with the end byte */
};

uint64_t list_chunks(const struct entry *e, uint64_t *bytes)
{
    uint64_t n = 0;
    *bytes = 0;
    if (!entry_is_body(e))
        return 0;
    for (const struct chunk *c = entry_list(e)->head; c; c = c->next, n++)
        *bytes += c->len;
    return n;
}

/* -- the size that the same elements have in a Redis listpack */

static uint64_t listpack_size_from(struct list_cursor c)
{
    struct item item;
    uint64_t size = LISTPACK_HEADER;
    while (list_next(&c, &item))
        size += listpack_size_of(&item);
    return size;
}

static uint64_t listpack_size(const struct entry *e)
{
    struct list_cursor c;
    return list_seek(e, 0, &c, NULL) ? listpack_size_from(c) : LISTPACK_HEADER;
}

/* Ours is rarely more than one byte an element smaller: most often there is nothing to count. */
static bool listpack_exceeds(const struct entry *e, uint64_t bytes, uint64_t most)
{
    uint64_t len = 0;
    if (e && entry_is_body(e))
        len = entry_body(e)->data;
    else if (e)
        entry_value_bytes(e, &len);
    if (LISTPACK_HEADER + len + (e ? list_len(e) : 0) + bytes <= most)
        return false;
    return (e ? listpack_size(e) : LISTPACK_HEADER) + bytes > most;
}

/* quicklistNodeLimit: SIZE_MAX and UINT_MAX where there is no limit. */
static void node_limit(int size, uint64_t *bytes, uint64_t *count)
{
    *bytes = size < 0 ? 2048ull << (size < -5 ? 5 : -size) : UINT64_MAX;
    *count = size < 0 ? UINT64_MAX : size ? (uint64_t)size : 1;
}

bool list_exceeds(const struct value_at *v, uint64_t bytes, uint64_t n)
{
    uint64_t most_bytes, most;
    node_limit(v->s->limits.list_size, &most_bytes, &most);
    if (v->s->limits.list_size >= 0)
        most_bytes = 8192; /* SIZE_SAFETY_LIMIT */
    if ((v->e ? list_len(v->e) : 0) + n > most)
        return true;
    return listpack_exceeds(v->e, bytes, most_bytes);
}

bool list_fits_listpack(const struct shard *s, const struct list *l)
{
    uint64_t bytes, count;
    node_limit(s->limits.list_size, &bytes, &count);
    if (l->head != l->tail || l->count > count)
        return false;
    return listpack_size_from((struct list_cursor){.chunk = l->head, .pk = chunk_pack(l->head)}) <= bytes;
}

bool list_is_quick(const struct entry *e)
{
    return e && entry_is_body(e) && !entry_body(e)->listpack;
}

enum store_result list_growing(struct value_at *v, uint64_t bytes, uint64_t n)
{
    if (list_is_quick(v->e) || !list_exceeds(v, bytes, n))
        return STORE_OK;
    if (!entry_is_body(v->e) && list_to_chunks(v) != STORE_OK)
        return STORE_OOM;
    entry_body(v->e)->listpack = false;
    return STORE_OK;
}

/* -- from one form to the other */

struct list *list_detached(struct value_at *v)
{
    struct list *l = (struct list *)body_new(v->s, TYPE_LIST);
    uint64_t len;
    const uint8_t *bytes = value_bytes(v, &len);
    if (!l || !bytes)
        return l;
    struct pack pk = {(uint8_t *)(uintptr_t)bytes, (uint32_t)len};
    if (chain_append_pack(v->s, l, pk))
        return l;
    body_release(v->s, &l->body);
    return NULL;
}

enum store_result list_to_chunks(struct value_at *v)
{
    entry_hold(v->e);
    struct list *l = list_detached(v);
    entry_release(v->e);
    if (!l)
        return STORE_OOM;
    l->body.listpack = true;
    if (value_set_body(v, &l->body) == STORE_OK)
        return STORE_OK;
    body_release(v->s, &l->body);
    return STORE_OOM;
}

/* Without memory it stays as it is. */
static void back_inline(struct value_at *v)
{
    struct pack pk = chunk_pack(entry_list(v->e)->head);
    uint8_t *p = shard_alloc_quietly(v->s, pk.len, SLAB_OTHER);
    if (!p)
        return;
    memcpy(p, pk.p, pk.len);
    if (value_adopt(v, TYPE_LIST, VALUE_PACK, p, pk.len) != STORE_OK)
        shard_free(v->s, p);
}

/* 7.2's listTypeTryConvertQuicklist for a list that shrinks: within half of the limits. */
static bool is_small_again(struct value_at *v)
{
    struct list *l = entry_list(v->e);
    uint64_t bytes, count;
    node_limit(v->s->limits.list_size, &bytes, &count);
    if (l->count > count / 2)
        return false;
    if (bytes == UINT64_MAX)
        return true;
    return l->body.data <= bytes / 2 + bytes / 64 && listpack_size(v->e) <= bytes / 2;
}

void list_shrunk(struct value_at *v, uint64_t before)
{
    struct list *l = entry_list(v->e);
    value_body_changed(v, before);
    if (l->count == 0) {
        value_remove(v);
        return;
    }
    if (l->head != l->tail)
        return;
    if (!l->body.listpack)
        l->body.listpack = is_small_again(v);
    if (l->body.listpack && l->head->len <= BACK_INLINE)
        back_inline(v);
}

/* -- what the store does with any value */

bool list_free_slice(struct shard *s, struct body *b, unsigned *budget)
{
    return chain_free(s, (struct list *)b, budget);
}

struct body *list_clone(struct shard *to, const struct body *b)
{
    const struct list *from = (const struct list *)b;
    struct list *l = (struct list *)body_new(to, TYPE_LIST);
    if (!l)
        return NULL;
    l->body.listpack = b->listpack;
    for (const struct chunk *c = from->head; c; c = c->next, turn_take(to->turn))
        if (!chain_append_pack(to, l, chunk_pack(c))) {
            body_release(to, &l->body);
            return NULL;
        }
    return &l->body;
}

bool list_compact_slice(struct shard *s, struct body *b, uint64_t *cursor, unsigned *budget)
{
    struct list *l = (struct list *)b;
    struct chunk *c = l->head;
    for (uint64_t i = 0; c && i < *cursor; i++)
        c = c->next;
    for (; c && *budget > 0; --*budget, ++*cursor)
        c = chain_compact(s, l, c)->next;
    return !c;
}

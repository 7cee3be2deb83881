/* list_edit.c: lists: changes in the middle. LSET, LINSERT, LREM. */
#include "store/chunk.h"
#include "store/list.h"

/* The list is one of chunks, or stays inline with these bytes more and less. */
static enum store_result choose_form(struct value_at *v, uint64_t added, uint64_t removed, int64_t count,
                                     uint64_t *len)
{
    if (entry_is_body(v->e))
        return STORE_OK;
    *len = pack_len_after(inline_pack(v->e), added, removed, count);
    return *len > ENTRY_INLINE ? list_to_chunks(v) : STORE_OK;
}

static enum store_result insert_inline(struct value_at *v, uint64_t index, const struct item *item,
                                       uint64_t len)
{
    uint32_t before = inline_pack(v->e).len;
    uint8_t *p = value_resize(v, TYPE_LIST, VALUE_PACK, len);
    if (!p)
        return STORE_OOM;
    struct pack pk = {p, before};
    pack_insert(&pk, index == pack_count(pk) ? pack_end(pk) : pack_seek(pk, (int64_t)index), item);
    return STORE_OK;
}

static bool insert_chunk(struct value_at *v, uint64_t index, const struct item *item)
{
    struct list *l = entry_list(v->e);
    struct list_cursor c;
    list_seek(v->e, (int64_t)index, &c, v->s->turn);
    struct chunk *chunk = (struct chunk *)(uintptr_t)c.chunk;
    return chain_insert(v->s, l, chunk_limit_in(v->s), chunk, c.at, item);
}

enum store_result list_insert(struct value_at *v, uint64_t index, struct slice value)
{
    struct item item = item_of(value);
    uint64_t len = 0;
    if (list_growing(v, value.len, 1) != STORE_OK || choose_form(v, item.size, 0, 1, &len) != STORE_OK)
        return STORE_OOM;
    if (!entry_is_body(v->e))
        return insert_inline(v, index, &item, len);
    uint64_t before = entry_body(v->e)->data;
    entry_hold(v->e);
    bool ok = insert_chunk(v, index, &item);
    entry_release(v->e);
    value_body_changed(v, before);
    return ok ? STORE_OK : STORE_OOM;
}

static enum store_result set_inline(struct value_at *v, uint32_t at, const struct item *item, uint64_t len)
{
    struct pack pk = inline_pack(v->e);
    if (len <= pk.len) {
        pack_replace(&pk, at, item);
        value_resize(v, TYPE_LIST, VALUE_PACK, len);
        return STORE_OK;
    }
    uint8_t *p = value_resize(v, TYPE_LIST, VALUE_PACK, len);
    if (!p)
        return STORE_OOM;
    pk.p = p;
    pack_replace(&pk, at, item);
    return STORE_OK;
}

/* The chunk and place of element index. */
static struct chunk *find_chunk(const struct value_at *v, uint64_t index, uint32_t *at)
{
    struct list_cursor c;
    struct item item;
    list_seek(v->e, (int64_t)index, &c, v->s->turn);
    list_next(&c, &item);
    *at = c.at - item.size;
    return (struct chunk *)(uintptr_t)c.chunk;
}

/* Where the chunk cannot take it, it goes in before the old one, which then goes. */
static bool set_chunk(struct value_at *v, uint64_t index, const struct item *item)
{
    struct chunk_limit limit = chunk_limit_in(v->s);
    struct list *l = entry_list(v->e);
    bool fits;
    uint32_t at;
    struct chunk *c = find_chunk(v, index, &at);
    if (!chain_replace(v->s, l, limit, c, at, item, &fits))
        return false;
    if (fits)
        return true;
    if (!insert_chunk(v, index, item))
        return false;
    c = find_chunk(v, index + 1, &at);
    chain_delete(l, c, at);
    chain_tidy(v->s, l, limit, c);
    return true;
}

enum store_result list_set(struct value_at *v, uint64_t index, struct slice value)
{
    struct item item = item_of(value), old;
    struct list_cursor c;
    uint64_t len = 0;
    if (list_growing(v, value.len, 1) != STORE_OK)
        return STORE_OOM;
    list_seek(v->e, (int64_t)index, &c, v->s->turn);
    list_next(&c, &old);
    if (choose_form(v, item.size, old.size, 0, &len) != STORE_OK)
        return STORE_OOM;
    if (!entry_is_body(v->e))
        return set_inline(v, c.at - old.size, &item, len);
    uint64_t before = entry_body(v->e)->data;
    entry_hold(v->e);
    bool ok = set_chunk(v, index, &item);
    entry_release(v->e);
    list_shrunk(v, before);
    return ok ? STORE_OK : STORE_OOM;
}

/* -- removing by value */

static uint64_t remove_chunks(struct value_at *v, const struct item *item, uint64_t most, bool backward)
{
    struct chunk_limit limit = chunk_limit_in(v->s);
    struct list *l = entry_list(v->e);
    uint64_t n = 0;
    for (struct chunk *c = backward ? l->tail : l->head; c && n < most;) {
        turn_take(v->s->turn);
        struct chunk *next = c->next, *prev = c->prev;
        uint32_t here = chain_remove(l, c, item, most - n, backward);
        if (here)
            prev = chain_tidy(v->s, l, limit, c);
        c = backward ? prev : next;
        n += here;
    }
    return n;
}

uint64_t list_remove(struct value_at *v, int64_t count, struct slice value)
{
    struct item item = item_of(value);
    bool backward = count < 0;
    uint64_t most = count == 0 ? UINT64_MAX : backward ? 0 - (uint64_t)count : (uint64_t)count;
    if (entry_is_body(v->e)) {
        uint64_t before = entry_body(v->e)->data, n = remove_chunks(v, &item, most, backward);
        if (n)
            list_shrunk(v, before);
        return n;
    }
    struct pack pk = inline_pack(v->e);
    uint64_t n = pack_remove(&pk, &item, most, backward);
    if (pack_count(pk) == 0)
        value_remove(v);
    else if (n)
        value_resize(v, TYPE_LIST, VALUE_PACK, pk.len);
    return n;
}

/* list.c: lists: looking at elements, and both ends. LPUSH, LPOP, LRANGE, LMOVE and their kin. The middle is
 * in list_edit.c, the forms of a list in list_body.c. */
#include "store/list.h"
#include "store/chunk.h"
#include <limits.h>

/* -- reading */

uint64_t list_len(const struct entry *e)
{
    return entry_is_body(e) ? entry_list(e)->count : pack_count(inline_pack(e));
}

static void cursor_to(struct list_cursor *c, const struct chunk *chunk, int64_t index)
{
    c->chunk = chunk;
    c->pk = chunk_pack(chunk);
    c->at = index == pack_count(c->pk) ? pack_end(c->pk) : pack_seek(c->pk, index);
}

/* Walks chunks from the nearer end. */
static void seek_chunk(const struct list *l, uint64_t index, struct list_cursor *c, struct turn *turn)
{
    const struct chunk *chunk = l->head;
    if (index <= l->count / 2) {
        for (uint32_t n; index > (n = pack_count(chunk_pack(chunk))); chunk = chunk->next) {
            index -= n;
            turn_take(turn);
        }
        cursor_to(c, chunk, (int64_t)index);
        return;
    }
    uint64_t left = l->count - index;
    chunk = l->tail;
    for (uint32_t n; left > (n = pack_count(chunk_pack(chunk))); chunk = chunk->prev) {
        left -= n;
        turn_take(turn);
    }
    cursor_to(c, chunk, pack_count(chunk_pack(chunk)) - (int64_t)left);
}

/* A chunk that is passed is about two elements' work, and has a page or two. */
uint64_t list_way(const struct entry *e, int64_t index)
{
    enum { NEAR = 1 << 20, PAGE = 4096 };
    const struct list *l = entry_is_body(e) ? entry_list(e) : NULL;
    if (!l || l->body.memory < NEAR)
        return 0;
    uint64_t at = index < 0 ? 0 - (uint64_t)index : (uint64_t)index,
             far = at < l->count / 2 ? at : l->count - at;
    return at >= l->count ? 0 : far / 64 + l->body.memory / PAGE * far / l->count;
}

bool list_seek(const struct entry *e, int64_t index, struct list_cursor *c, struct turn *turn)
{
    int64_t count = (int64_t)list_len(e);
    if (index < 0)
        index += count;
    if (index < 0 || index > count)
        return false;
    if (entry_is_body(e)) {
        seek_chunk(entry_list(e), (uint64_t)index, c, turn);
        return true;
    }
    struct pack pk = inline_pack(e);
    *c = (struct list_cursor){.pk = pk, .at = index == count ? pack_end(pk) : pack_seek(pk, index)};
    return true;
}

bool list_next(struct list_cursor *c, struct item *item)
{
    while (!pack_get(c->pk, c->at, item)) {
        if (!c->chunk || !c->chunk->next)
            return false;
        cursor_to(c, c->chunk->next, 0);
    }
    c->at += item->size;
    return true;
}

bool list_run(struct list_cursor *c, struct pack_run *run)
{
    while (c->at == pack_end(c->pk)) {
        if (!c->chunk || !c->chunk->next)
            return false;
        cursor_to(c, c->chunk->next, 0);
    }
    *run = pack_run_from(c->pk, c->at);
    c->at = pack_end(c->pk);
    return true;
}

bool list_prev(struct list_cursor *c, struct item *item)
{
    if (c->at == 0 && c->chunk && c->chunk->prev)
        cursor_to(c, c->chunk->prev, pack_count(chunk_pack(c->chunk->prev)));
    uint32_t at = pack_prev(c->pk, c->at);
    if (at == PACK_NOWHERE)
        return false;
    c->at = at;
    return pack_get(c->pk, at, item);
}

/* -- adding at an end */

/* What values take as text and as elements of a pack. */
struct load {
    uint64_t text, packed;
};

static struct load weigh(const struct slice *values, size_t n, struct turn *turn)
{
    struct load load = {0};
    for (size_t i = 0; i < n; i++, turn_take(turn)) {
        load.text += values[i].len;
        load.packed += item_of(values[i]).size;
    }
    return load;
}

static enum store_result push_inline(struct value_at *v, enum list_end end, const struct slice *values,
                                     size_t n, uint64_t len)
{
    uint32_t before = v->e ? inline_pack(v->e).len : 0;
    uint8_t *p = value_resize(v, TYPE_LIST, VALUE_PACK, len);
    if (!p)
        return STORE_OOM;
    struct pack pk = before ? (struct pack){p, before} : pack_init(p);
    for (size_t i = 0; i < n; i++) {
        struct item item = item_of(values[i]);
        pack_insert(&pk, end == LIST_HEAD ? 0 : pack_end(pk), &item);
    }
    return STORE_OK;
}

static bool push_each(struct value_at *v, struct list *l, enum list_end end, const struct slice *values,
                      size_t n)
{
    struct chunk_limit limit = chunk_limit_in(v->s);
    for (size_t i = 0; i < n; i++, turn_take(v->s->turn)) {
        struct item item = item_of(values[i]);
        if (!chain_push(v->s, l, limit, end, &item))
            return false;
    }
    return true;
}

/* A list of chunks in place of an inline one or of none. */
static enum store_result push_first_chunks(struct value_at *v, enum list_end end, const struct slice *values,
                                           size_t n, bool listpack)
{
    struct list *l = list_detached(v);
    if (!l)
        return STORE_OOM;
    l->body.listpack = listpack;
    if (push_each(v, l, end, values, n) && value_set_body(v, &l->body) == STORE_OK) {
        value_changed(v);
        return STORE_OK;
    }
    body_release(v->s, &l->body);
    return STORE_OOM;
}

/* What does not fit in the chunk at the end goes to a chain of its own first: all of it or nothing. */
static enum store_result push_chunks(struct value_at *v, enum list_end end, const struct slice *values,
                                     size_t n)
{
    struct list *l = entry_list(v->e), more = {0};
    uint64_t before = l->body.data;
    size_t fit = n;
    unsigned budget = UINT_MAX;
    if (n > 1 && !chain_reserve(v->s, l, chunk_limit_in(v->s), end, values, n, &fit))
        return STORE_OOM;
    bool ok = push_each(v, &more, end, values + fit, n - fit) && push_each(v, l, end, values, fit);
    if (ok)
        chain_join(l, end, &more);
    else
        chain_free(v->s, &more, &budget);
    value_body_changed(v, before);
    return ok ? STORE_OK : STORE_OOM;
}

enum store_result list_push(struct value_at *v, enum list_end end, const struct slice *values, size_t n)
{
    struct load load = weigh(values, n, v->s->turn);
    bool quick = list_is_quick(v->e) || list_exceeds(v, load.text, n);
    struct entry *held = v->e;
    enum store_result result;
    if (held)
        entry_hold(held);
    if (held && entry_is_body(held)) {
        result = push_chunks(v, end, values, n);
        if (result == STORE_OK && quick)
            entry_body(v->e)->listpack = false;
    } else {
        uint8_t none = 0;
        uint64_t len =
            pack_len_after(held ? inline_pack(held) : pack_init(&none), load.packed, 0, (int64_t)n);
        result = quick || len > ENTRY_INLINE ? push_first_chunks(v, end, values, n, !quick)
                                             : push_inline(v, end, values, n, len);
    }
    if (held)
        entry_release(v->e);
    return result;
}

/* -- taking from an end */

void list_drop(struct value_at *v, enum list_end end, uint64_t n)
{
    uint64_t count = list_len(v->e);
    if (n == 0)
        return;
    if (n >= count) {
        value_remove(v);
    } else if (entry_is_body(v->e)) {
        uint64_t before = entry_body(v->e)->data;
        chain_drop(v->s, entry_list(v->e), end, n);
        list_shrunk(v, before);
    } else {
        struct pack pk = inline_pack(v->e);
        pack_delete(&pk, end == LIST_HEAD ? 0 : pack_seek(pk, -(int64_t)n), (uint32_t)n);
        value_resize(v, TYPE_LIST, VALUE_PACK, pk.len);
    }
}

/* -- from end to end */

/* The element at an end. */
static void peek(const struct entry *e, enum list_end end, struct item *item)
{
    struct list_cursor c;
    list_seek(e, end == LIST_HEAD ? 0 : -1, &c, NULL);
    list_next(&c, item);
}

static void rotate_inline(struct value_at *v, enum list_end from)
{
    uint8_t text[ENTRY_INLINE];
    struct item item;
    struct pack pk = inline_pack(v->e);
    peek(v->e, from, &item);
    if (!item.is_number && item.text.len)
        item.text.p = memcpy(text, item.text.p, item.text.len);
    pack_delete(&pk, from == LIST_HEAD ? 0 : pack_seek(pk, -1), 1);
    pack_insert(&pk, from == LIST_HEAD ? pack_end(pk) : 0, &item);
}

static bool rotate_chunks(struct value_at *v, enum list_end from)
{
    struct list *l = entry_list(v->e);
    struct item item;
    uint8_t *copy = NULL;
    peek(v->e, from, &item);
    if (!item.is_number && item.text.len) {
        copy = shard_alloc(v->s, item.text.len, SLAB_OTHER);
        if (!copy)
            return false;
        item.text.p = memcpy(copy, item.text.p, item.text.len);
    }
    bool ok = chain_push(v->s, l, chunk_limit_in(v->s), from == LIST_HEAD ? LIST_TAIL : LIST_HEAD, &item);
    if (ok)
        chain_drop(v->s, l, from, 1);
    if (copy)
        shard_free(v->s, copy);
    return ok;
}

enum store_result list_rotate(struct value_at *v, enum list_end from)
{
    if (list_len(v->e) == 1)
        return STORE_OK;
    if (!entry_is_body(v->e) && inline_pack(v->e).len > ENTRY_INLINE && list_to_chunks(v) != STORE_OK)
        return STORE_OOM;
    if (!entry_is_body(v->e)) {
        rotate_inline(v, from);
        return STORE_OK;
    }
    uint64_t before = entry_body(v->e)->data;
    entry_hold(v->e);
    bool ok = rotate_chunks(v, from);
    entry_release(v->e);
    if (!ok)
        return STORE_OOM;
    list_shrunk(v, before);
    return STORE_OK;
}

enum store_result list_move(struct value_at *from, enum list_end from_end, struct value_at *to,
                            enum list_end to_end)
{
    char scratch[PACK_TEXT];
    struct item item;
    peek(from->e, from_end, &item);
    struct slice text = item_text(&item, scratch);
    entry_hold(from->e);
    enum store_result result = list_push(to, to_end, &text, 1);
    entry_release(from->e);
    if (result != STORE_OK)
        return result;
    entry_hold(to->e);
    list_drop(from, from_end, 1);
    entry_release(to->e);
    return STORE_OK;
}

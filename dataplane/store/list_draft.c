/* list_draft.c: a list that is made as a whole before it becomes a key's value. SORT ... STORE. */
#include "store/chunk.h"
#include "store/list.h"

struct list *list_draft(struct shard *s)
{
    return (struct list *)body_new(s, TYPE_LIST);
}

bool list_draft_add(struct shard *s, struct list *l, const struct item *item)
{
    return chain_push(s, l, chunk_limit_in(s), LIST_TAIL, item);
}

void list_draft_drop(struct shard *s, struct list *l)
{
    body_release(s, &l->body);
}

static enum store_result store_inline(struct value_at *v, struct list *l)
{
    struct pack pk = chunk_pack(l->head);
    uint8_t *p = shard_alloc(v->s, pk.len, SLAB_OTHER);
    if (!p)
        return STORE_OOM;
    memcpy(p, pk.p, pk.len);
    if (value_adopt(v, TYPE_LIST, VALUE_PACK, p, pk.len) == STORE_OK) {
        body_release(v->s, &l->body);
        return STORE_OK;
    }
    shard_free(v->s, p);
    return STORE_OOM;
}

enum store_result list_draft_store(struct value_at *v, struct list *l)
{
    l->body.listpack = list_fits_listpack(v->s, l);
    bool is_inline = l->body.listpack && l->head->len <= ENTRY_INLINE;
    v->persist = true;
    if (v->e)
        entry_hold(v->e);
    enum store_result result = is_inline ? store_inline(v, l) : value_set_body(v, &l->body);
    if (v->e)
        entry_release(v->e);
    if (result == STORE_OK)
        value_changed(v);
    return result;
}

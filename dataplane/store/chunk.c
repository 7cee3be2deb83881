/* chunk.c: chains of chunks, the form of large lists. Drawing and contract: chunk.h. */
#include "store/chunk.h"
#include <assert.h>

enum {
    CHUNK_HEADER = offsetof(struct chunk, bytes),
    CHUNK_FIRST = 256, /* bytes of a new chunk of a small list ... */
    GROWTH = 16,       /* ... which grows by a sixteenth, a size class or two */
    SAFE_BYTES = 8192, /* of a chunk whose elements are counted */
    MANY_CHUNKS = 4    /* a list of more gets chunks of full size at once */
};

struct chunk_limit chunk_limit_of(int size)
{
    static const uint32_t bytes[] = {4096, 8192, 16384, 32768, 65536};
    if (size >= 0)
        return (struct chunk_limit){SAFE_BYTES - CHUNK_HEADER, size ? (uint32_t)size : 1};
    return (struct chunk_limit){bytes[size < -5 ? 4 : -size - 1] - CHUNK_HEADER, UINT32_MAX};
}

struct chunk_limit chunk_limit_in(const struct shard *s)
{
    struct chunk_limit limit = chunk_limit_of(s->limits.list_size);
    if (s->list_chunk && s->list_chunk < limit.bytes)
        limit.bytes = s->list_chunk;
    return limit;
}

/* -- one chunk */

static uint64_t chunk_memory(const struct chunk *c)
{
    return slab_size(CHUNK_HEADER + (uint64_t)c->cap);
}

/* Room for at least cap bytes of pack, and nothing in it. */
static struct chunk *chunk_new(struct shard *s, uint64_t cap, bool quiet)
{
    uint64_t size = slab_size(CHUNK_HEADER + cap);
    if (size - CHUNK_HEADER > UINT32_MAX)
        return NULL;
    struct chunk *c = quiet ? shard_alloc_quietly(s, size, SLAB_OTHER) : shard_alloc(s, size, SLAB_OTHER);
    if (c)
        *c = (struct chunk){.cap = (uint32_t)(size - CHUNK_HEADER)};
    return c;
}

static void set_pack(struct chunk *c, struct pack pk)
{
    c->start = (uint32_t)(pk.p - c->bytes);
    c->len = pk.len;
}

static bool fits(const struct chunk *c, struct chunk_limit limit, uint64_t bytes, uint32_t count)
{
    struct pack pk = chunk_pack(c);
    return pack_len_after(pk, bytes, 0, count) <= limit.bytes &&
           pack_count(pk) + (uint64_t)count <= limit.count;
}

/* A chunk's part in the list's accounts, taken out before it changes and added again afterwards. */
static void leave(struct list *l, const struct chunk *c)
{
    l->count -= pack_count(chunk_pack(c));
    l->body.data -= c->len;
    l->body.memory -= chunk_memory(c);
}

static void enter(struct list *l, const struct chunk *c)
{
    l->count += pack_count(chunk_pack(c));
    l->body.data += c->len;
    l->body.memory += chunk_memory(c);
}

/* Makes the neighbours, or the ends of the list, point to a chunk that knows its neighbours. */
static void point_to(struct list *l, struct chunk *c)
{
    *(c->prev ? &c->prev->next : &l->head) = c;
    *(c->next ? &c->next->prev : &l->tail) = c;
}

/* Puts a new chunk behind `prev` (NULL: at the head). */
static void link_behind(struct list *l, struct chunk *prev, struct chunk *c)
{
    c->prev = prev;
    c->next = prev ? prev->next : l->head;
    point_to(l, c);
    enter(l, c);
}

static void unlink_free(struct shard *s, struct list *l, struct chunk *c)
{
    leave(l, c);
    *(c->prev ? &c->prev->next : &l->head) = c->next;
    *(c->next ? &c->next->prev : &l->tail) = c->prev;
    shard_free(s, c);
}

/* The chunk in other memory, with room for at least cap bytes, its pack at the front. NULL without memory. */
static struct chunk *move_to(struct shard *s, struct list *l, struct chunk *c, uint64_t cap, bool quiet)
{
    struct chunk *moved = chunk_new(s, cap, quiet);
    if (!moved)
        return NULL;
    leave(l, c);
    moved->prev = c->prev;
    moved->next = c->next;
    moved->len = c->len;
    memcpy(moved->bytes, c->bytes + c->start, c->len);
    point_to(l, moved);
    enter(l, moved);
    shard_free(s, c);
    return moved;
}

static void slide_to(struct chunk *c, uint32_t start)
{
    memmove(c->bytes + start, c->bytes + c->start, c->len);
    c->start = start;
}

/* Room of so many bytes before and behind the pack, by moving it inside the chunk or to a larger one. Returns
 * the chunk, NULL without memory. */
static struct chunk *make_room(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c,
                               uint64_t front, uint64_t back)
{
    if (c->start >= front && c->cap - c->start - c->len >= back)
        return c;
    uint64_t need = c->len + front + back, cap = c->cap + c->cap / GROWTH + CHUNK_FIRST / 8;
    bool at_front = front > back;
    if (cap > limit.bytes)
        cap = limit.bytes;
    if (cap < need)
        cap = need;
    /* Sliding must leave some room, lest the next push slides again. */
    if (cap > c->cap && need + c->cap / 8 > c->cap) {
        struct chunk *moved = move_to(s, l, c, cap, false);
        if (moved) {
            slide_to(moved, at_front ? (uint32_t)(moved->cap - back - moved->len) : (uint32_t)front);
            return moved;
        }
    }
    if (need > c->cap)
        return NULL;
    uint32_t spare = (uint32_t)(c->cap - need);
    slide_to(c, (uint32_t)front + (at_front ? spare - spare / 4 : spare / 4));
    return c;
}

static uint32_t count_growth(const struct chunk *c, uint32_t count)
{
    struct pack pk = chunk_pack(c);
    return (uint32_t)(pack_len_after(pk, 0, 0, count) - pk.len);
}

static struct chunk *room_at(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c,
                             enum list_end end, uint64_t bytes, uint32_t count)
{
    uint32_t growth = count_growth(c, count);
    return end == LIST_HEAD ? make_room(s, l, limit, c, bytes, growth)
                            : make_room(s, l, limit, c, 0, bytes + growth);
}

/* -- the ends */

/* Puts an item into a chunk that has the room. */
static void put(struct list *l, struct chunk *c, enum list_end end, const struct item *item)
{
    struct pack pk = chunk_pack(c);
    leave(l, c);
    if (end == LIST_HEAD)
        pack_push_front(&pk, item);
    else
        pack_insert(&pk, pack_end(pk), item);
    set_pack(c, pk);
    enter(l, c);
}

/* A chunk with one item behind prev, with its room where the list will grow. */
static bool put_in_new(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *prev,
                       enum list_end end, const struct item *item)
{
    uint64_t need = (uint64_t)item->size + PACK_EMPTY, cap = need;
    if (limit.count == UINT32_MAX && l->body.memory > (uint64_t)MANY_CHUNKS * limit.bytes &&
        cap < limit.bytes)
        cap = limit.bytes;
    else if (limit.count > 1 && cap < CHUNK_FIRST)
        cap = CHUNK_FIRST;
    struct chunk *c = chunk_new(s, cap, false);
    if (!c)
        return false;
    struct pack pk = pack_init(c->bytes + (end == LIST_HEAD ? c->cap - need : 0));
    pack_insert(&pk, 0, item);
    set_pack(c, pk);
    link_behind(l, prev, c);
    return true;
}

bool chain_push(struct shard *s, struct list *l, struct chunk_limit limit, enum list_end end,
                const struct item *item)
{
    struct chunk *c = end == LIST_HEAD ? l->head : l->tail;
    if (!c || !fits(c, limit, item->size, 1))
        return put_in_new(s, l, limit, end == LIST_HEAD ? NULL : c, end, item);
    c = room_at(s, l, limit, c, end, item->size, 1);
    if (c)
        put(l, c, end, item);
    return c != NULL;
}

bool chain_reserve(struct shard *s, struct list *l, struct chunk_limit limit, enum list_end end,
                   const struct slice *values, size_t n, size_t *fit)
{
    struct chunk *c = end == LIST_HEAD ? l->head : l->tail;
    uint64_t bytes = 0, more = 0;
    for (*fit = 0; c && *fit < n; ++*fit, bytes = more) {
        more = bytes + item_of(values[*fit]).size;
        if (!fits(c, limit, more, (uint32_t)*fit + 1))
            break;
    }
    return *fit == 0 || room_at(s, l, limit, c, end, bytes, (uint32_t)*fit);
}

/* Memory back from the only chunk when most of it is empty. */
static void shrink(struct shard *s, struct list *l, struct chunk *c)
{
    if (c->cap > CHUNK_FIRST && c->len < c->cap / 4)
        move_to(s, l, c, 2ull * c->len, true);
}

void chain_drop(struct shard *s, struct list *l, enum list_end end, uint64_t n)
{
    assert(n < l->count);
    while (n > 0) {
        turn_take(s->turn);
        struct chunk *c = end == LIST_HEAD ? l->head : l->tail;
        struct pack pk = chunk_pack(c);
        uint32_t count = pack_count(pk);
        if (count <= n) {
            n -= count;
            unlink_free(s, l, c);
            continue;
        }
        leave(l, c);
        if (end == LIST_HEAD)
            pack_drop_front(&pk, (uint32_t)n);
        else
            pack_delete(&pk, pack_seek(pk, -(int64_t)n), (uint32_t)n);
        set_pack(c, pk);
        enter(l, c);
        n = 0;
    }
    if (l->head == l->tail)
        shrink(s, l, l->head);
}

bool chain_append_pack(struct shard *s, struct list *l, struct pack pk)
{
    struct chunk *c = chunk_new(s, pk.len, false);
    if (!c)
        return false;
    memcpy(c->bytes, pk.p, pk.len);
    c->len = pk.len;
    link_behind(l, l->tail, c);
    return true;
}

void chain_join(struct list *l, enum list_end end, struct list *other)
{
    if (!other->head)
        return;
    struct chunk *left = end == LIST_HEAD ? other->tail : l->tail;
    struct chunk *right = end == LIST_HEAD ? l->head : other->head;
    if (end == LIST_HEAD || !l->head)
        l->head = other->head;
    if (end == LIST_TAIL || !l->tail)
        l->tail = other->tail;
    if (left && right && left != right) {
        left->next = right;
        right->prev = left;
    }
    l->count += other->count;
    l->body.data += other->body.data;
    l->body.memory += other->body.memory;
    *other = (struct list){0};
}

/* -- the middle */

/* Elements from a place to the end. */
static uint32_t count_from(struct pack pk, uint32_t at)
{
    uint32_t n = 0;
    for (uint32_t end = pack_end(pk); at < end; at = pack_next(pk, at))
        n++;
    return n;
}

/* Moves what is from a place on to a new chunk behind. */
static bool split(struct shard *s, struct list *l, struct chunk *c, uint32_t at)
{
    struct pack pk = chunk_pack(c), right;
    uint32_t bytes = pack_end(pk) - at, n = count_from(pk, at);
    struct chunk *made = chunk_new(s, (uint64_t)bytes + PACK_OVERHEAD, false);
    if (!made)
        return false;
    right = pack_init(made->bytes);
    pack_insert_raw(&right, 0, pk, at, bytes, n);
    set_pack(made, right);
    leave(l, c);
    pack_delete(&pk, at, n);
    set_pack(c, pk);
    enter(l, c);
    link_behind(l, c, made);
    return true;
}

bool chain_insert(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c, uint32_t at,
                  const struct item *item)
{
    if (!fits(c, limit, item->size, 1) && at > 0 && at < pack_end(chunk_pack(c))) {
        if (!split(s, l, c, at))
            return false;
    }
    bool first = at == 0, last = at == pack_end(chunk_pack(c));
    if (fits(c, limit, item->size, 1)) {
        c = room_at(s, l, limit, c, LIST_TAIL, item->size, 1);
        if (!c)
            return false;
        struct pack pk = chunk_pack(c);
        leave(l, c);
        pack_insert(&pk, at, item);
        set_pack(c, pk);
        enter(l, c);
        return true;
    }
    struct chunk *beside = first ? c->prev : last ? c->next : NULL;
    enum list_end end = first ? LIST_TAIL : LIST_HEAD;
    if (beside && fits(beside, limit, item->size, 1)) {
        beside = room_at(s, l, limit, beside, end, item->size, 1);
        if (beside)
            put(l, beside, end, item);
        return beside != NULL;
    }
    return put_in_new(s, l, limit, first ? c->prev : c, end, item);
}

bool chain_replace(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c, uint32_t at,
                   const struct item *item, bool *fit)
{
    struct pack pk = chunk_pack(c);
    uint32_t old = pack_next(pk, at) - at;
    *fit = pack_len_after(pk, item->size, old, 0) <= limit.bytes;
    if (!*fit)
        return true;
    c = make_room(s, l, limit, c, 0, item->size > old ? item->size - old : 0);
    if (!c)
        return false;
    pk = chunk_pack(c);
    leave(l, c);
    pack_replace(&pk, at, item);
    set_pack(c, pk);
    enter(l, c);
    return true;
}

void chain_delete(struct list *l, struct chunk *c, uint32_t at)
{
    struct pack pk = chunk_pack(c);
    leave(l, c);
    pack_delete(&pk, at, 1);
    set_pack(c, pk);
    enter(l, c);
}

uint32_t chain_remove(struct list *l, struct chunk *c, const struct item *item, uint64_t most, bool backward)
{
    struct pack pk = chunk_pack(c);
    leave(l, c);
    uint32_t n = pack_remove(&pk, item, most, backward);
    set_pack(c, pk);
    enter(l, c);
    return n;
}

/* Appends a chunk's elements to the one before it, if that has the room or gets it easily. Returns that one,
 * NULL if not. */
static struct chunk *join(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c)
{
    struct chunk *to = c->prev;
    struct pack pk = chunk_pack(c);
    uint32_t bytes = pack_end(pk), count = pack_count(pk);
    if (!to || !fits(to, limit, bytes, count))
        return NULL;
    uint64_t len = pack_len_after(chunk_pack(to), bytes, 0, count);
    if (len > limit.bytes / 4 * 3)
        return NULL; /* the next insertion would split it again */
    if (to->cap < len)
        to = move_to(s, l, to, len, true);
    else if (to->cap - to->start < len)
        slide_to(to, 0);
    if (!to)
        return NULL;
    struct pack all = chunk_pack(to);
    leave(l, to);
    pack_insert_raw(&all, pack_end(all), pk, 0, bytes, count);
    set_pack(to, all);
    enter(l, to);
    unlink_free(s, l, c);
    return to;
}

struct chunk *chain_tidy(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c)
{
    struct chunk *prev = c->prev;
    if (pack_count(chunk_pack(c)) == 0) {
        unlink_free(s, l, c);
        return prev;
    }
    struct chunk *joined = join(s, l, limit, c);
    if (joined)
        return joined;
    shrink(s, l, c);
    return prev;
}

/* -- whole chains */

bool chain_free(struct shard *s, struct list *l, unsigned *budget)
{
    for (; l->head && *budget > 0; --*budget) {
        struct chunk *c = l->head;
        l->head = c->next;
        shard_free(s, c);
    }
    return !l->head;
}

struct chunk *chain_compact(struct shard *s, struct list *l, struct chunk *c)
{
    struct chunk *moved = compact_move(s, c, CHUNK_HEADER + (uint64_t)c->cap, SLAB_OTHER);
    if (!moved)
        return c;
    point_to(l, moved);
    return moved;
}

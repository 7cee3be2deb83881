/* stream_node.c: entries in a node's pack (stream_node.h). */
#include "store/stream_node.h"
#include "store/rdb_packed.h"
#include <assert.h>

enum { AROUND = 4 }; /* elements of an entry beside its fields and values */

static uint64_t number_at(struct pack pk, uint32_t at, uint32_t *next)
{
    struct item item;
    pack_get(pk, at, &item);
    assert(item.is_number);
    *next = at + item.size;
    return (uint64_t)item.number;
}

static uint32_t skip(struct pack pk, uint32_t at, uint64_t count)
{
    while (count-- > 0)
        at = pack_next(pk, at);
    return at;
}

/* What a node's entries have in common. */
struct shape {
    struct pack pk;
    uint32_t begin, end; /* of the entries */
    uint32_t fields;     /* of the node */
};

static struct shape shape_of(const struct stream_node *n)
{
    struct shape s = {.pk = node_pack(n)};
    s.fields = (uint32_t)number_at(s.pk, 0, &s.begin);
    s.begin = skip(s.pk, s.begin, s.fields);
    s.end = pack_end(s.pk);
    return s;
}

/* -- reading */

uint32_t node_begin(const struct stream_node *n)
{
    return shape_of(n).begin;
}

/* The entry at a place but for its end. */
static void read_head(const struct stream_node *n, const struct shape *s, uint32_t at, struct node_entry *e)
{
    e->at = at;
    uint64_t own = number_at(s->pk, at, &at);
    uint64_t ms = number_at(s->pk, at, &at), seq = number_at(s->pk, at, &at);
    e->id = (struct stream_id){n->first.ms + ms, ms ? seq : n->first.seq + seq};
    e->body = at;
    e->same = own == 0;
    e->fields = e->same ? s->fields : (uint32_t)own;
}

static bool entry_at(const struct stream_node *n, const struct shape *s, uint32_t at, struct node_entry *e)
{
    if (at >= s->end)
        return false;
    read_head(n, s, at, e);
    e->end = skip(s->pk, e->body, (e->same ? e->fields : e->fields * 2ULL) + 1);
    return true;
}

static bool entry_before(const struct stream_node *n, const struct shape *s, uint32_t end,
                         struct node_entry *e)
{
    uint32_t at, unused;
    if (end <= s->begin)
        return false;
    at = pack_prev(s->pk, end);
    uint64_t own = number_at(s->pk, at, &unused);
    for (uint64_t left = (own ? own * 2 : s->fields) + AROUND - 1; left > 0; left--)
        at = pack_prev(s->pk, at);
    read_head(n, s, at, e);
    e->end = end;
    return true;
}

bool node_entry_at(const struct stream_node *n, uint32_t at, struct node_entry *e)
{
    uint32_t unused;
    struct shape s = {.pk = node_pack(n), .end = pack_end(node_pack(n))};
    s.fields = (uint32_t)number_at(s.pk, 0, &unused);
    return entry_at(n, &s, at, e);
}

bool node_entry_before(const struct stream_node *n, uint32_t end, struct node_entry *e)
{
    struct shape s = shape_of(n);
    return entry_before(n, &s, end, e);
}

static bool is_in_second_half(const struct stream_node *n, struct stream_id id)
{
    struct stream_id a = n->first, b = n->last;
    if (a.ms == b.ms)
        return id.ms > a.ms || (id.ms == a.ms && id.seq > a.seq && id.seq - a.seq > (b.seq - a.seq) / 2);
    return id.ms > a.ms && id.ms - a.ms > (b.ms - a.ms) / 2;
}

uint32_t node_place(const struct stream_node *n, struct stream_id id)
{
    struct shape s = shape_of(n);
    struct node_entry e;
    uint32_t at = s.begin;
    if (is_in_second_half(n, id)) {
        at = s.end;
        while (entry_before(n, &s, at, &e) && stream_id_compare(e.id, id) >= 0)
            at = e.at;
    } else if (stream_id_compare(id, n->first) > 0) {
        while (entry_at(n, &s, at, &e) && stream_id_compare(e.id, id) < 0)
            at = e.end;
    }
    return at;
}

bool node_find(const struct stream_node *n, struct stream_id id, struct node_entry *e)
{
    return stream_id_compare(id, n->last) <= 0 && node_entry_at(n, node_place(n, id), e) &&
           stream_id_compare(e->id, id) == 0;
}

/* -- changing */

static void push(struct stream_node *n, struct item item)
{
    struct pack pk = node_pack(n);
    pack_insert(&pk, pack_end(pk), &item);
    n->len = pk.len;
}

static void push_text(struct stream_node *n, struct slice text)
{
    struct item item = item_of(text);
    n->listpack += (uint32_t)listpack_size_of(&item);
    push(n, item);
}

static uint32_t listpack_number(int64_t number)
{
    struct item item = item_of_number(number);
    return (uint32_t)listpack_size_of(&item);
}

uint64_t node_listpack_len(const struct stream_node *n)
{
    enum { HEADER_AND_END = 7 };
    return HEADER_AND_END + (uint64_t)listpack_number(n->live) + listpack_number(n->added - n->live) +
           n->listpack;
}

uint64_t node_first_len(const struct slice *pair, uint32_t pairs)
{
    uint64_t len = item_of_number(pairs).size + (uint64_t)PACK_OVERHEAD;
    for (uint32_t i = 0; i < pairs; i++)
        len += item_of(pair[2 * i]).size;
    return len;
}

void node_init(struct stream_node *n, struct stream_id id, const struct slice *pair, uint32_t pairs)
{
    n->first = n->last = id;
    n->live = n->added = 0;
    n->len = pack_init(n->bytes).len;
    n->listpack = listpack_number(pairs) + listpack_number(0);
    push(n, item_of_number(pairs));
    for (uint32_t i = 0; i < pairs; i++)
        push_text(n, pair[2 * i]);
}

static bool has_same_fields(const struct stream_node *n, const struct slice *pair, uint32_t pairs)
{
    struct pack pk = node_pack(n);
    uint32_t at;
    if (number_at(pk, 0, &at) != pairs)
        return false;
    for (uint32_t i = 0; i < pairs; i++) {
        struct item theirs = item_of(pair[2 * i]), ours;
        pack_get(pk, at, &ours);
        if (!item_eq(&ours, &theirs))
            return false;
        at += ours.size;
    }
    return true;
}

struct node_draft node_plan(const struct stream_node *n, struct stream_id id, const struct slice *pair,
                            uint32_t pairs)
{
    struct node_draft d = {.id = id, .pair = pair, .pairs = pairs, .same = has_same_fields(n, pair, pairs)};
    uint64_t ms = id.ms - n->first.ms;
    d.own = item_of_number(d.same ? 0 : pairs);
    d.ms = item_of_number((int64_t)ms);
    d.seq = item_of_number((int64_t)(ms ? id.seq : id.seq - n->first.seq));
    return d;
}

uint64_t node_len_after(const struct stream_node *n, const struct node_draft *d)
{
    uint64_t size = 2ULL * d->own.size + d->ms.size + d->seq.size;
    for (uint32_t i = d->same; i < d->pairs * 2; i += 1u + d->same)
        size += item_of(d->pair[i]).size;
    return pack_len_after(node_pack(n), size, 0, (d->same ? d->pairs : d->pairs * 2LL) + AROUND);
}

/* What an entry has in a listpack beside its texts: flags, differences of the ID, counts. */
static uint32_t entry_around(const struct stream_node *n, const struct node_draft *d)
{
    int64_t elements = d->same ? d->pairs + 3LL : d->pairs * 2LL + 4;
    return listpack_number(0) + listpack_number((int64_t)(d->id.ms - n->first.ms)) +
           listpack_number((int64_t)(d->id.seq - n->first.seq)) + (d->same ? 0 : listpack_number(d->pairs)) +
           listpack_number(elements);
}

void node_append(struct stream_node *n, const struct node_draft *d)
{
    push(n, d->own);
    push(n, d->ms);
    push(n, d->seq);
    for (uint32_t i = d->same; i < d->pairs * 2; i += 1u + d->same)
        push_text(n, d->pair[i]);
    push(n, d->own);
    n->listpack += entry_around(n, d);
    n->last = d->id;
    n->live++;
    n->added++;
    assert(n->len <= n->cap);
}

void node_delete(struct stream_node *n, uint32_t from, uint32_t to, uint32_t entries)
{
    struct pack pk = node_pack(n);
    uint32_t count = 0;
    for (uint32_t at = from; at < to; at = pack_next(pk, at))
        count++;
    pack_delete(&pk, from, count);
    n->len = pk.len;
    n->live -= entries;
}

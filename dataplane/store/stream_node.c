/* stream_node.c: entries in a node (stream_node.h). */
#include "store/stream_node.h"
#include "store/rdb_packed.h"
#include <assert.h>

enum {
    OWN_FIELDS = 1, /* in an entry's head ... */
    SEQ_LONG = 127, /* ... as is seq */
    SHARED = BARE_FREE_TAG,
    SHARED_HEAD = 2,
    SHARED_LEAST = 4,           /* fewer bytes in common save nothing */
    REFERENCE_MOST = 127,       /* bytes of a value that others are compared with */
    VALUE_MOST = STREAM_SCRATCH /* longer ones share nothing */
};

/* -- numbers */

static inline uint32_t number_size(uint64_t v)
{
    return v < 128 ? 1 : (70 - (uint32_t)__builtin_clzll(v)) / 7;
}

static inline uint8_t *write_number(uint8_t *p, uint64_t v)
{
    for (; v >= 128; v >>= 7)
        *p++ = (uint8_t)(v | 128);
    *p++ = (uint8_t)v;
    return p;
}

static inline const uint8_t *read_number(const uint8_t *p, uint64_t *v)
{
    *v = *p & 127;
    for (unsigned shift = 7; *p++ & 128; shift += 7)
        *v |= (uint64_t)(*p & 127) << shift;
    return p;
}

static uint8_t *write_back(uint8_t *p, uint64_t v)
{
    uint32_t size = number_size(v);
    for (uint32_t i = size; i-- > 0; v >>= 7)
        p[i] = (uint8_t)((v & 127) | (i > 0 ? 128 : 0));
    return p + size;
}

/* The number that ends at p, and how many bytes it has. */
static uint64_t read_back(const uint8_t *p, uint32_t *size)
{
    uint64_t v = *--p & 127;
    for (*size = 1; *p & 128; ++*size)
        v |= (uint64_t)(*--p & 127) << 7 * *size;
    return v;
}

/* -- values */

/* How a value begins that others are compared with. */
static struct item reference_of(const struct item *value)
{
    struct slice text = value->text;
    if (value->is_number || text.len > VALUE_MOST)
        text.len = 0;
    else if (text.len > REFERENCE_MOST)
        text.len = REFERENCE_MOST;
    return item_of_text(text);
}

/* How many of the first `most` bytes are the same. */
static size_t common(const uint8_t *a, const uint8_t *b, size_t most)
{
    size_t n = 0;
    uint64_t x, y;
    for (; n + sizeof x <= most; n += sizeof x) {
        memcpy(&x, a + n, sizeof x);
        memcpy(&y, b + n, sizeof y);
        if (x != y)
            return n + (unsigned)__builtin_ctzll(x ^ y) / 8;
    }
    while (n < most && a[n] == b[n])
        n++;
    return n;
}

/* Bytes that a value shares with its reference, 0 if that is not worth while. */
static uint32_t shared_with(const struct item *reference, const struct item *value)
{
    size_t most = reference->text.len;
    if (value->is_number || value->text.len > VALUE_MOST)
        return 0;
    if (most > value->text.len)
        most = value->text.len;
    size_t n = common(reference->text.p, value->text.p, most);
    return n < SHARED_LEAST ? 0 : (uint32_t)n;
}

static struct item rest_of(const struct item *value, uint32_t shared)
{
    return item_of_text((struct slice){value->text.p + shared, value->text.len - shared});
}

static uint32_t value_size(const struct item *reference, const struct item *value)
{
    uint32_t shared = shared_with(reference, value);
    if (!shared)
        return bare_size(value);
    struct item rest = rest_of(value, shared);
    return SHARED_HEAD + bare_size(&rest);
}

static uint8_t *write_value(uint8_t *p, const struct item *reference, const struct item *value)
{
    uint32_t shared = shared_with(reference, value);
    if (!shared)
        return p + bare_write(p, value);
    struct item rest = rest_of(value, shared);
    p[0] = SHARED;
    p[1] = (uint8_t)shared;
    return p + SHARED_HEAD + bare_write(p + SHARED_HEAD, &rest);
}

static uint32_t read_value(const uint8_t *p, const struct item *reference, struct item *value,
                           uint8_t scratch[STREAM_SCRATCH])
{
    if (p[0] != SHARED)
        return bare_read(p, value);
    uint32_t shared = p[1], size = SHARED_HEAD + bare_read(p + SHARED_HEAD, value);
    size_t len = value->text.len;
    memcpy(scratch, reference->text.p, shared);
    if (len)
        memcpy(scratch + shared, value->text.p, len);
    *value = item_of_text((struct slice){scratch, shared + len});
    return size;
}

/* -- reading */

/* The entry at a place but for its end. */
static void read_head(const struct stream_node *n, uint32_t at, struct node_entry *e)
{
    const uint8_t *p = n->bytes + at;
    uint64_t ms, seq, fields = 0;
    uint8_t head = *p++;
    p = read_number(p, &ms);
    seq = head >> 1;
    if (seq == SEQ_LONG)
        p = read_number(p, &seq);
    e->at = at;
    e->id = (struct stream_id){n->first.ms + ms, ms ? seq : n->first.seq + seq};
    e->same = !(head & OWN_FIELDS);
    p = e->same ? p : read_number(p, &fields);
    if (e->same)
        read_number(n->bytes, &fields);
    e->fields = (uint32_t)fields;
    e->body = (uint32_t)(p - n->bytes);
}

/* Where the entry ends: behind its elements and `back`. */
static uint32_t end_of(const struct stream_node *n, const struct node_entry *e)
{
    const uint8_t *p = n->bytes + e->body;
    for (uint64_t left = e->same ? e->fields : e->fields * 2ULL; left > 0; left--) {
        p += *p == SHARED ? SHARED_HEAD : 0;
        p += bare_skip(p);
    }
    return (uint32_t)(p - n->bytes) + number_size((uint64_t)(p - n->bytes) - e->at);
}

bool node_entry_at(const struct stream_node *n, uint32_t at, struct node_entry *e)
{
    if (at >= n->len)
        return false;
    read_head(n, at, e);
    e->end = end_of(n, e);
    return true;
}

bool node_entry_before(const struct stream_node *n, uint32_t end, struct node_entry *e)
{
    uint32_t size;
    if (end <= n->begin)
        return false;
    uint64_t bytes = read_back(n->bytes + end, &size);
    read_head(n, end - size - (uint32_t)bytes, e);
    e->end = end;
    return true;
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
    struct node_entry e;
    uint32_t at = n->begin;
    if (is_in_second_half(n, id)) {
        at = n->len;
        while (node_entry_before(n, at, &e) && stream_id_compare(e.id, id) >= 0)
            at = e.at;
    } else if (stream_id_compare(id, n->first) > 0) {
        while (node_entry_at(n, at, &e) && stream_id_compare(e.id, id) < 0)
            at = e.end;
    }
    return at;
}

bool node_find(const struct stream_node *n, struct stream_id id, struct node_entry *e)
{
    return stream_id_compare(id, n->last) <= 0 && node_entry_at(n, node_place(n, id), e) &&
           stream_id_compare(e->id, id) == 0;
}

struct node_names node_names(const struct stream_node *n)
{
    uint64_t fields;
    const uint8_t *p = read_number(n->bytes, &fields);
    return (struct node_names){(uint32_t)fields, (uint32_t)(p - n->bytes)};
}

bool node_name_next(const struct stream_node *n, struct node_names *names, struct item *name)
{
    if (names->left == 0)
        return false;
    names->left--;
    names->at += bare_read(n->bytes + names->at, name);
    names->at += bare_skip(n->bytes + names->at);
    return true;
}

struct node_pairs node_pairs(const struct stream_node *n, const struct node_entry *e)
{
    return (struct node_pairs){n, e->fields, node_names(n).at, e->body, e->same};
}

bool node_pair_next(struct node_pairs *pairs, struct item *field, struct item *value,
                    uint8_t scratch[STREAM_SCRATCH])
{
    const uint8_t *bytes = pairs->node->bytes;
    struct item reference;
    if (pairs->left == 0)
        return false;
    pairs->left--;
    if (!pairs->same) {
        pairs->at += bare_read(bytes + pairs->at, field);
        pairs->at += bare_read(bytes + pairs->at, value);
        return true;
    }
    pairs->name_at += bare_read(bytes + pairs->name_at, field);
    pairs->name_at += bare_read(bytes + pairs->name_at, &reference);
    pairs->at += read_value(bytes + pairs->at, &reference, value, scratch);
    return true;
}

/* -- changing */

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
    enum { HEAD_AND_MS = 2 };
    uint64_t names = number_size(pairs), entry = HEAD_AND_MS;
    for (uint32_t i = 0; i < pairs; i++) {
        struct item field = item_of(pair[2 * i]), value = item_of(pair[2 * i + 1]);
        struct item reference = reference_of(&value);
        names += (uint64_t)bare_size(&field) + bare_size(&reference);
        entry += value_size(&reference, &value);
    }
    return names + entry + number_size(entry);
}

void node_init(struct stream_node *n, struct stream_id id, const struct slice *pair, uint32_t pairs)
{
    uint8_t *p = write_number(n->bytes, pairs);
    n->first = n->last = id;
    n->live = n->added = 0;
    n->listpack = listpack_number(pairs) + listpack_number(0);
    for (uint32_t i = 0; i < pairs; i++) {
        struct item field = item_of(pair[2 * i]), value = item_of(pair[2 * i + 1]);
        struct item reference = reference_of(&value);
        p += bare_write(p, &field);
        p += bare_write(p, &reference);
        n->listpack += (uint32_t)listpack_size_of(&field);
    }
    n->begin = n->len = (uint32_t)(p - n->bytes);
}

static bool has_same_fields(const struct stream_node *n, const struct slice *pair, uint32_t pairs)
{
    struct node_names names = node_names(n);
    struct item ours;
    if (names.left != pairs)
        return false;
    for (uint32_t i = 0; node_name_next(n, &names, &ours); i++) {
        struct item theirs = item_of(pair[2 * i]);
        if (!item_eq(&ours, &theirs))
            return false;
    }
    return true;
}

struct node_draft node_plan(const struct stream_node *n, struct stream_id id, const struct slice *pair,
                            uint32_t pairs)
{
    uint64_t ms = id.ms - n->first.ms;
    return (struct node_draft){.id = id,
                               .pair = pair,
                               .pairs = pairs,
                               .same = has_same_fields(n, pair, pairs),
                               .ms = ms,
                               .seq = ms ? id.seq : id.seq - n->first.seq};
}

/* What value i of the draft stands beside: the value that the node's first entry has for this field or, of an
 * entry with fields of its own, the field's name. names: of the node before the first call. */
static struct item beside(const struct stream_node *n, const struct node_draft *d, struct node_names *names,
                          uint32_t i)
{
    struct item other;
    if (!d->same)
        return item_of(d->pair[2 * i]);
    names->at += bare_skip(n->bytes + names->at);
    names->at += bare_read(n->bytes + names->at, &other);
    return other;
}

uint64_t node_len_after(const struct stream_node *n, const struct node_draft *d)
{
    uint64_t size = 1ULL + number_size(d->ms) + (d->seq < SEQ_LONG ? 0 : number_size(d->seq)) +
                    (d->same ? 0 : number_size(d->pairs));
    struct node_names names = node_names(n);
    for (uint32_t i = 0; i < d->pairs; i++) {
        struct item value = item_of(d->pair[2 * i + 1]), other = beside(n, d, &names, i);
        size += d->same ? value_size(&other, &value) : (uint64_t)bare_size(&other) + bare_size(&value);
    }
    return n->len + size + number_size(size);
}

/* What an entry has in a listpack beside its texts: flags, differences of the ID, counts. */
static uint32_t entry_around(const struct stream_node *n, const struct node_draft *d)
{
    int64_t elements = d->same ? d->pairs + 3LL : d->pairs * 2LL + 4;
    return listpack_number(0) + listpack_number((int64_t)d->ms) +
           listpack_number((int64_t)(d->id.seq - n->first.seq)) + (d->same ? 0 : listpack_number(d->pairs)) +
           listpack_number(elements);
}

static uint8_t *write_head(uint8_t *p, const struct node_draft *d)
{
    uint64_t seq = d->seq < SEQ_LONG ? d->seq : SEQ_LONG;
    *p++ = (uint8_t)(seq << 1 | (d->same ? 0 : OWN_FIELDS));
    p = write_number(p, d->ms);
    if (seq == SEQ_LONG)
        p = write_number(p, d->seq);
    return d->same ? p : write_number(p, d->pairs);
}

void node_append(struct stream_node *n, const struct node_draft *d)
{
    uint8_t *start = n->bytes + n->len, *p = write_head(start, d);
    struct node_names names = node_names(n);
    for (uint32_t i = 0; i < d->pairs; i++) {
        struct item value = item_of(d->pair[2 * i + 1]), other = beside(n, d, &names, i);
        if (d->same) {
            p = write_value(p, &other, &value);
        } else {
            p += bare_write(p, &other);
            p += bare_write(p, &value);
            n->listpack += (uint32_t)listpack_size_of(&other);
        }
        n->listpack += (uint32_t)listpack_size_of(&value);
    }
    p = write_back(p, (uint64_t)(p - start));
    n->len = (uint32_t)(p - n->bytes);
    n->listpack += entry_around(n, d);
    n->last = d->id;
    n->live++;
    n->added++;
    assert(n->len <= n->cap);
}

void node_delete(struct stream_node *n, uint32_t from, uint32_t to, uint32_t entries)
{
    memmove(n->bytes + from, n->bytes + to, n->len - to);
    n->len -= to - from;
    n->live -= entries;
}

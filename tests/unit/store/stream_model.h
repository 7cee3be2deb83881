/* stream_model.h: a stream and its groups, and plain arrays that say what is in them; for stream_test.c alone. */
#pragma once
#include "fixture.h"
#include "store/stream_body.h"

enum { MOST = 3000, GROUPS = 2, CONSUMERS = 3 };

/* An entry: what its fields are follows from `kind`, their values from `value`. */
struct model_entry {
    struct stream_id id;
    unsigned kind, value;
};

struct model_pending {
    struct stream_id id;
    int consumer;
    int64_t deliveries;
};

static struct fixture f;
static struct key key;
static uint64_t seed;
static struct model_entry model[MOST];
static unsigned count, added;
static struct stream_id last;
static struct model_pending pending[GROUPS][MOST];
static unsigned pendings[GROUPS];

static void open_with(uint64_t bytes, uint64_t entries)
{
    fixture_open(&f, 64 << 20, 0, POLICY_NOEVICTION, 1);
    f.conf.limits.stream_bytes = bytes;
    f.conf.limits.stream_entries = entries;
    shard_configure(f.s, &f.conf);
    key = key_of(&f, "stream");
    count = added = 0;
    last = STREAM_ID_MIN;
    seed = 11;
    memset(pendings, 0, sizeof pendings);
}

static struct value_at value(void)
{
    return (struct value_at){f.s, 0, &key, store_find(f.s, 0, &key, LOOK_WRITE)};
}

static const struct stream *stream(void)
{
    struct value_at v = value();
    return stream_of(&v);
}

static unsigned any(unsigned most)
{
    return (unsigned)(next_random(&seed) % most);
}

static int id_index(struct stream_id id) /* the first entry not before it */
{
    unsigned i = 0;
    while (i < count && stream_id_compare(model[i].id, id) < 0)
        i++;
    return (int)i;
}

/* -- entries */

enum { WORDS = 8, TEXT = 640 };
struct words {
    char text[WORDS][TEXT];
    struct slice pair[WORDS];
    uint32_t pairs;
};

static void make_words(struct words *w, unsigned kind, unsigned v)
{
    w->pairs = 1 + kind % 4;
    for (unsigned i = 0; i < w->pairs; i++) {
        snprintf(w->text[2 * i], TEXT, kind % 5 == 4 ? "%u" : "field-%u", kind + i);
        if (v % 7 == 0)
            snprintf(w->text[2 * i + 1], TEXT, "%0*u", (int)(v % 190), v);
        else if (v % 7 == 1) /* begins like others, and is as long as may lie in pieces, or longer */
            snprintf(w->text[2 * i + 1], TEXT, "x%0*u", (int)(v % 3 ? v % 600 : 505 + v % 9), v % 10);
        else
            snprintf(w->text[2 * i + 1], TEXT, v % 3 ? "%u" : "value %u", v * (i + 1));
    }
    for (unsigned i = 0; i < w->pairs * 2; i++)
        w->pair[i] = slice_str(w->text[i]);
}

static struct stream_id next_id(void)
{
    struct stream_id id = last;
    switch (any(6)) {
    case 0:
        return (struct stream_id){id.ms + 1 + any(5000), any(3)};
    case 1:
        return (struct stream_id){id.ms + 1, 0};
    case 2:
        return (struct stream_id){id.ms + (any(50) == 0 ? 1ULL << 40 : 1), any(2) ? UINT64_MAX - 5 : 7};
    default:
        stream_id_next(&id);
        return id;
    }
}

static bool add(void)
{
    struct words w;
    struct value_at v = value();
    struct model_entry e = {next_id(), any(4) ? 3 : any(9), any(100000)};
    make_words(&w, e.kind, e.value);
    if (stream_add(&v, e.id, w.pair, w.pairs) != STORE_OK)
        return false;
    model[count++] = e;
    last = e.id;
    added++;
    return true;
}

static void same_entry(struct stream_walk *walk, const struct model_entry *e)
{
    struct words w;
    struct slice field, val;
    struct stream_text text;
    make_words(&w, e->kind, e->value);
    CU_ASSERT_EQUAL_FATAL(stream_id_compare(walk->id, e->id), 0);
    CU_ASSERT_EQUAL_FATAL(walk->fields, w.pairs);
    for (unsigned i = 0; i < w.pairs; i++) {
        CU_ASSERT_TRUE_FATAL(stream_walk_field(walk, &text, &field, &val));
        CU_ASSERT_TRUE_FATAL(slice_eq(field, w.pair[2 * i]) && slice_eq(val, w.pair[2 * i + 1]));
    }
    CU_ASSERT_FALSE_FATAL(stream_walk_field(walk, &text, &field, &val));
}

/* Every entry from one place of the model up to another, both ways. */
static void check_range(unsigned from, unsigned end, struct stream_id a, struct stream_id b)
{
    struct stream_walk w;
    stream_walk(&w, stream(), a, b, false);
    for (unsigned i = from; i < end; i++) {
        CU_ASSERT_TRUE_FATAL(stream_walk_next(&w));
        same_entry(&w, &model[i]);
    }
    CU_ASSERT_FALSE_FATAL(stream_walk_next(&w));
    stream_walk(&w, stream(), a, b, true);
    for (unsigned i = end; i-- > from;) {
        CU_ASSERT_TRUE_FATAL(stream_walk_next(&w));
        same_entry(&w, &model[i]);
    }
    CU_ASSERT_FALSE_FATAL(stream_walk_next(&w));
    CU_ASSERT_EQUAL_FATAL(stream_count(stream(), a, b, UINT64_MAX, NULL), end - from);
    CU_ASSERT_EQUAL_FATAL(stream_count(stream(), a, b, 5, NULL), end - from < 5 ? end - from : 5);
}

/* The same entries in both directions, and nothing beside them. */
static void check_node(const struct stream_node *n)
{
    struct node_entry e, back;
    uint32_t at = n->begin, entries = 0;
    for (; node_entry_at(n, at, &e); at = e.end, entries++) {
        CU_ASSERT_TRUE_FATAL(e.at == at && e.end > at && e.end <= n->len);
        CU_ASSERT_TRUE_FATAL(node_entry_before(n, e.end, &back));
        CU_ASSERT_TRUE_FATAL(back.at == at && back.body == e.body && stream_id_compare(back.id, e.id) == 0);
    }
    CU_ASSERT_TRUE_FATAL(at == n->len && entries == n->live);
    CU_ASSERT_FALSE_FATAL(node_entry_before(n, n->begin, &back));
}

static void check_nodes(void)
{
    struct order_cursor cursor;
    const struct stream *st = stream();
    uint64_t word = order_at(&st->nodes, 0, &cursor), live = 0;
    for (; word; word = order_next(&cursor)) {
        const struct stream_node *n = node_of(word);
        CU_ASSERT_TRUE_FATAL(n->live > 0 && n->live <= n->added && n->len <= n->cap);
        check_node(n);
        CU_ASSERT_TRUE_FATAL(!f.conf.limits.stream_entries || n->added <= f.conf.limits.stream_entries);
        live += n->live;
    }
    CU_ASSERT_EQUAL_FATAL(live, st->length);
}

static void check_memory(void)
{
    upkeep_all(f.s);
    struct value_at v = value();
    CU_ASSERT_EQUAL_FATAL(used(f.s), slab_size(entry_size(v.e)) + body_memory(&stream_body_of(&v)->body) +
                                         index_memory(&f.s->db[0].index));
}

static void check_entries(void)
{
    const struct stream *st = stream();
    CU_ASSERT_EQUAL_FATAL(st->length, count);
    CU_ASSERT_EQUAL_FATAL(st->entries_added, added);
    CU_ASSERT_EQUAL_FATAL(stream_id_compare(st->last, last), 0);
    CU_ASSERT_EQUAL_FATAL(stream_id_compare(st->first, count ? model[0].id : STREAM_ID_MIN), 0);
    if (count)
        CU_ASSERT_EQUAL_FATAL(stream_id_compare(stream_last_entry(st), model[count - 1].id), 0);
    check_range(0, count, STREAM_ID_MIN, STREAM_ID_MAX);
    check_nodes();
    check_memory();
}

static void check_some_range(void)
{
    unsigned from = any(count), to = from + any(count - from);
    struct stream_id a = model[from].id, b = model[to].id;
    check_range(from, to + 1, a, b);
    stream_id_next(&a);
    stream_id_prev(&b);
    if (stream_id_compare(a, b) <= 0)
        check_range((unsigned)id_index(a), (unsigned)id_index(b) + (stream_has(stream(), b) ? 1 : 0), a, b);
}

static void forget(unsigned at, unsigned n)
{
    memmove(&model[at], &model[at + n], (count - at - n) * sizeof model[0]);
    count -= n;
}

static void delete_some(void)
{
    struct value_at v = value();
    unsigned at = any(count);
    struct stream_id id = model[at].id;
    CU_ASSERT_TRUE_FATAL(stream_delete(&v, id));
    CU_ASSERT_FALSE_FATAL(stream_delete(&v, id));
    CU_ASSERT_FALSE_FATAL(stream_has(stream(), id));
    forget(at, 1);
}

static void trim_some(void)
{
    struct value_at v = value();
    unsigned go = any(count < 40 ? count + 1 : 40);
    struct stream_trim how = {.by_id = any(2), .keep = count - go, .least = last};
    if (go < count)
        how.least = model[go].id;
    else
        stream_id_next(&how.least);
    how.approximate = any(2);
    uint64_t gone = stream_trim(&v, &how);
    CU_ASSERT_TRUE_FATAL(how.approximate ? gone <= go : gone == go);
    forget(0, (unsigned)gone);
}

/* -- groups */

static const char *const consumer_names[CONSUMERS] = {"alice", "bob", ""};

static struct stream_group *group(unsigned g)
{
    return stream_group_find(stream(), slice_str(g ? "g" : "group with a longer name"));
}

static struct stream_consumer *consumer(unsigned g, int c)
{
    return stream_consumer_find(group(g), slice_str(consumer_names[c]));
}

static void make_groups(void)
{
    for (unsigned g = 0; g < GROUPS; g++) {
        struct value_at v = value();
        CU_ASSERT_PTR_NOT_NULL_FATAL(
            stream_group_add(&v, slice_str(g ? "g" : "group with a longer name"), STREAM_ID_MIN, 0));
        for (unsigned c = 0; c < CONSUMERS; c++)
            CU_ASSERT_PTR_NOT_NULL_FATAL(stream_consumer_add(&v, group(g), slice_str(consumer_names[c])));
    }
}

static unsigned pending_index(unsigned g, struct stream_id id)
{
    unsigned i = 0;
    while (i < pendings[g] && stream_id_compare(pending[g][i].id, id) < 0)
        i++;
    return i;
}

static bool is_pending(unsigned g, unsigned i, struct stream_id id)
{
    return i < pendings[g] && stream_id_compare(pending[g][i].id, id) == 0;
}

/* Gives an entry to a consumer, as XREADGROUP does. False without memory. */
static bool deliver(unsigned g, int c, struct stream_id id)
{
    struct value_at v = value();
    unsigned at = pending_index(g, id);
    if (stream_pending_reserve(&v, group(g), consumer(g, c), id, true) != STORE_OK)
        return false;
    struct stream_pending *p = stream_pending_find(group(g), id);
    stream_pending_take(&v, consumer(g, c), p);
    p->deliveries++;
    stream_pending_settle(&v, group(g), consumer(g, c), id); /* changes nothing any more */
    if (!is_pending(g, at, id)) {
        memmove(&pending[g][at + 1], &pending[g][at], (pendings[g]++ - at) * sizeof pending[g][0]);
        pending[g][at] = (struct model_pending){.id = id};
    }
    pending[g][at].consumer = c;
    pending[g][at].deliveries++;
    return true;
}

static void acknowledge(unsigned g, struct stream_id id)
{
    struct value_at v = value();
    unsigned at = pending_index(g, id);
    bool there = is_pending(g, at, id);
    CU_ASSERT_EQUAL_FATAL(stream_pending_remove(&v, group(g), id), there);
    if (there)
        memmove(&pending[g][at], &pending[g][at + 1], (--pendings[g] - at) * sizeof pending[g][0]);
}

static void reserve_and_settle(unsigned g, int c, struct stream_id id)
{
    struct value_at v = value();
    CU_ASSERT_EQUAL_FATAL(stream_pending_reserve(&v, group(g), consumer(g, c), id, any(2)), STORE_OK);
    stream_pending_settle(&v, group(g), consumer(g, c), id);
}

static void check_list(const struct order *list, unsigned g, int c)
{
    struct order_cursor cursor;
    uint64_t word = order_at(list, 0, &cursor);
    for (unsigned i = 0; i < pendings[g]; i++) {
        const struct stream_pending *p = (const struct stream_pending *)(uintptr_t)word;
        if (c >= 0 && pending[g][i].consumer != c)
            continue;
        CU_ASSERT_PTR_NOT_NULL_FATAL(p);
        CU_ASSERT_EQUAL_FATAL(stream_id_compare(p->id, pending[g][i].id), 0);
        CU_ASSERT_EQUAL_FATAL(p->deliveries, pending[g][i].deliveries);
        CU_ASSERT_PTR_EQUAL_FATAL(p->consumer, consumer(g, pending[g][i].consumer));
        word = order_next(&cursor);
    }
    CU_ASSERT_EQUAL_FATAL(word, 0);
}

static void check_groups(void)
{
    for (unsigned g = 0; g < GROUPS; g++) {
        check_list(&group(g)->pending, g, -1);
        for (int c = 0; c < CONSUMERS; c++)
            check_list(&consumer(g, c)->pending, g, c);
    }
    check_memory();
}

static void fill(unsigned entries, unsigned deliveries)
{
    while (count < entries)
        CU_ASSERT_TRUE_FATAL(add());
    for (unsigned i = 0; i < deliveries; i++)
        CU_ASSERT_TRUE_FATAL(deliver(any(GROUPS), (int)any(CONSUMERS), model[any(count)].id));
}

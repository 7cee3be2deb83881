/* stream.c: reading a stream's entries (stream.h). */
#include "store/stream_body.h"
#include <assert.h>

_Static_assert(sizeof((struct stream_text *)0)->digits >= PACK_TEXT, "room for a number");

bool stream_id_next(struct stream_id *id)
{
    if (++id->seq)
        return true;
    return ++id->ms != 0;
}

bool stream_id_prev(struct stream_id *id)
{
    if (id->seq-- > 0)
        return true;
    return id->ms-- > 0;
}

static int compare_node(const void *key, uint64_t word)
{
    return stream_id_compare(*(const struct stream_id *)key, node_of(word)->first);
}

static uint64_t node_hint(uint64_t word)
{
    return node_of(word)->first.ms;
}

const struct order_kind stream_node_order = {compare_node, node_hint};

struct stream *stream_of(const struct value_at *v)
{
    return v->e ? &stream_body_of(v)->st : NULL;
}

bool stream_hold(const struct value_at *v)
{
    bool held = !v->e || v->e->head & ENTRY_HELD;
    if (!held)
        entry_hold(v->e);
    return !held;
}

void stream_release(const struct value_at *v)
{
    if (v->e)
        entry_release(v->e);
}

struct stream_node *stream_node_for(const struct stream *st, struct stream_id id, uint64_t *rank,
                                    struct order_cursor *cursor)
{
    uint64_t word;
    *rank = order_seek(&st->nodes, &stream_node_order, stream_id_key(&id), cursor, &word);
    if (word && stream_id_compare(node_of(word)->first, id) == 0)
        return node_of(word);
    if (*rank == 0)
        return NULL;
    return node_of(order_at(&st->nodes, --*rank, cursor));
}

/* -- walking
 * --------------------------------------------------------------------------------------------------- */

/* Goes to a node, and there to the first entry that may be in the range. */
static void enter_node(struct stream_walk *w, uint64_t word)
{
    struct stream_id beyond = w->to;
    w->node = word ? node_of(word) : NULL;
    if (w->node && !w->reverse)
        w->at = node_place(w->node, w->from);
    else if (w->node)
        w->at = stream_id_compare(w->node->last, w->to) > 0 && stream_id_next(&beyond)
                    ? node_place(w->node, beyond)
                    : w->node->len;
}

void stream_walk(struct stream_walk *w, const struct stream *st, struct stream_id from, struct stream_id to,
                 bool reverse)
{
    uint64_t rank;
    w->from = from;
    w->to = to;
    w->reverse = reverse;
    w->left = 0;
    struct stream_node *n = stream_node_for(st, reverse ? to : from, &rank, &w->cursor);
    if (n || reverse)
        enter_node(w, word_of(n));
    else
        enter_node(w, order_at(&st->nodes, 0, &w->cursor));
}

static void show_entry(struct stream_walk *w, const struct node_entry *e)
{
    w->id = e->id;
    w->fields = w->left = e->fields;
    w->same = e->same;
    w->name_at = node_names(w->node).at;
    w->value_at = e->body;
}

bool stream_walk_next(struct stream_walk *w)
{
    struct node_entry e;
    while (w->node) {
        bool found = w->reverse ? node_entry_before(w->node, w->at, &e) : node_entry_at(w->node, w->at, &e);
        if (!found) {
            enter_node(w, w->reverse ? order_prev(&w->cursor) : order_next(&w->cursor));
            continue;
        }
        if (stream_id_compare(e.id, w->from) < 0 || stream_id_compare(e.id, w->to) > 0)
            break;
        w->at = w->reverse ? e.at : e.end;
        w->begin = e.at;
        show_entry(w, &e);
        return true;
    }
    w->node = NULL;
    return false;
}

void stream_walk_back(struct stream_walk *w)
{
    w->at = w->begin;
    w->left = 0;
}

bool stream_walk_field(struct stream_walk *w, struct stream_text *text, struct slice *field,
                       struct slice *value)
{
    struct node_pairs pairs = {w->node, w->left, w->name_at, w->value_at, w->same};
    struct item name, item;
    if (!node_pair_next(&pairs, &name, &item, text->value))
        return false;
    w->left = pairs.left;
    w->name_at = pairs.name_at;
    w->value_at = pairs.at;
    *field = item_text(&name, text->digits);
    *value = item_text(&item, (char *)text->value);
    return true;
}

/* -- looking
 * --------------------------------------------------------------------------------------------------- */

bool stream_has(const struct stream *st, struct stream_id id)
{
    struct order_cursor cursor;
    struct node_entry e;
    uint64_t rank;
    struct stream_node *n = stream_node_for(st, id, &rank, &cursor);
    return n && node_find(n, id, &e);
}

static uint64_t count_in_node(const struct stream_node *n, struct stream_id from, struct stream_id to,
                              uint64_t most)
{
    if (stream_id_compare(n->first, from) >= 0 && stream_id_compare(n->last, to) <= 0)
        return n->live;
    struct node_entry e;
    uint64_t count = 0;
    for (uint32_t at = node_place(n, from); count < most && node_entry_at(n, at, &e); at = e.end) {
        if (stream_id_compare(e.id, to) > 0)
            break;
        count++;
    }
    return count;
}

uint64_t stream_count(const struct stream *st, struct stream_id from, struct stream_id to, uint64_t most,
                      struct turn *turn)
{
    struct order_cursor cursor;
    uint64_t rank, count = 0;
    uint64_t word = word_of(stream_node_for(st, from, &rank, &cursor));
    if (!word)
        word = order_at(&st->nodes, 0, &cursor);
    for (; word && count < most; word = order_next(&cursor), turn_take(turn)) {
        if (stream_id_compare(node_of(word)->first, to) > 0)
            break;
        count += count_in_node(node_of(word), from, to, most - count);
    }
    return count < most ? count : most;
}

struct stream_id stream_last_entry(const struct stream *st)
{
    struct node_entry e;
    const struct stream_node *n = node_of(order_at(&st->nodes, st->nodes.count - 1, NULL));
    bool found = node_entry_before(n, n->len, &e);
    assert(found);
    return found ? e.id : STREAM_ID_MIN;
}

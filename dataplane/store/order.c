/* order.c: looking into the counted B+tree of order.h; order_change.c changes it. */
#include "store/order_node.h"

/* The last child whose least word is not behind the key; the first one if there is none. */
static unsigned choose_child(const struct order_node *n, const struct order_kind *kind,
                             const struct order_key *key)
{
    const struct branch *b = node_branches(n);
    unsigned low = 1, high = n->count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (order_compare(kind, key, b[mid].hint, b[mid].least) >= 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low - 1;
}

/* The first word that is not before the key. */
static unsigned choose_word(const struct order_node *n, const struct order_kind *kind,
                            const struct order_key *key)
{
    const uint64_t *word = node_words(n);
    unsigned low = 0, high = n->count;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (kind->compare(key->key, word[mid]) > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Down to the key's leaf; returns the words before it. */
static uint64_t go_to_leaf(const struct order *o, const struct order_kind *kind, const struct order_key *key,
                           struct order_cursor *c)
{
    const struct order_node *n = o->root;
    uint64_t before = 0;
    c->top = n ? n->level : 0;
    while (n && n->level) {
        unsigned at = choose_child(n, kind, key);
        const struct branch *b = node_branches(n);
        for (unsigned i = 0; i < at; i++)
            before += b[i].count;
        c->step[n->level].node = n;
        c->step[n->level].at = at;
        n = b[at].child;
    }
    c->step[0].node = n;
    return before;
}

uint64_t order_descend(const struct order *o, const struct order_kind *kind, const struct order_key *key,
                       struct order_cursor *c)
{
    uint64_t before = go_to_leaf(o, kind, key, c);
    c->step[0].at = o->root ? choose_word(c->step[0].node, kind, key) : 0;
    return before + c->step[0].at;
}

uint64_t order_find(const struct order *o, const struct order_kind *kind, struct order_key key, uint64_t word,
                    struct order_cursor *cursor)
{
    struct order_cursor own, *c = cursor ? cursor : &own;
    uint64_t before = go_to_leaf(o, kind, &key, c);
    const uint64_t *words = node_words(c->step[0].node);
    unsigned at = 0, count = c->step[0].node->count;
    while (at < count && words[at] != word)
        at++;
    assert(at < count);
    c->step[0].at = at;
    return before + at;
}

/* From the node at a level down to its first or last word. */
static uint64_t go_down(struct order_cursor *c, unsigned level, bool last)
{
    for (; level > 0; level--) {
        const struct order_node *child = node_branches(c->step[level].node)[c->step[level].at].child;
        c->step[level - 1].node = child;
        c->step[level - 1].at = last ? child->count - 1u : 0;
    }
    return node_words(c->step[0].node)[c->step[0].at];
}

uint64_t order_next(struct order_cursor *c)
{
    for (unsigned level = 0; level <= c->top; level++)
        if (c->step[level].at + 1u < c->step[level].node->count) {
            c->step[level].at++;
            return go_down(c, level, false);
        }
    return 0;
}

uint64_t order_prev(struct order_cursor *c)
{
    for (unsigned level = 0; level <= c->top; level++)
        if (c->step[level].at > 0) {
            c->step[level].at--;
            return go_down(c, level, true);
        }
    return 0;
}

uint64_t order_seek(const struct order *o, const struct order_kind *kind, struct order_key key,
                    struct order_cursor *cursor, uint64_t *word)
{
    struct order_cursor own, *c = cursor ? cursor : &own;
    uint64_t before = order_descend(o, kind, &key, c);
    if (!cursor)
        return before;
    if (before == o->count)
        *word = 0;
    else if (c->step[0].at < c->step[0].node->count)
        *word = node_words(c->step[0].node)[c->step[0].at];
    else {
        c->step[0].at--;
        *word = order_next(c);
    }
    return before;
}

uint64_t order_at(const struct order *o, uint64_t rank, struct order_cursor *cursor)
{
    struct order_cursor own, *c = cursor ? cursor : &own;
    const struct order_node *n = o->root;
    if (rank >= o->count)
        return 0;
    c->top = n->level;
    while (n->level) {
        const struct branch *b = node_branches(n);
        unsigned at = 0;
        for (; rank >= b[at].count; at++)
            rank -= b[at].count;
        c->step[n->level].node = n;
        c->step[n->level].at = at;
        n = b[at].child;
    }
    c->step[0].node = n;
    c->step[0].at = (unsigned)rank;
    return node_words(n)[rank];
}

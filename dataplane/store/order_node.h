/* order_node.h: what the nodes of order.h look like. Private to order*.c. */
#pragma once
#include "store/order.h"
#include <assert.h>
#include <string.h>

enum { LEAF_MOST = 63, INNER_MOST = 31 };

struct order_node {
    uint16_t count, cap;
    uint8_t level; /* 0 = leaf */
    uint8_t unused[3];
};

/* A child of an inner node and what is known of it. */
struct branch {
    struct order_node *child;
    uint64_t least, hint, count;
};

static inline uint64_t *node_words(const struct order_node *n)
{
    return (uint64_t *)(uintptr_t)(n + 1);
}

static inline struct branch *node_branches(const struct order_node *n)
{
    return (struct branch *)(uintptr_t)(n + 1);
}

static inline unsigned node_most(unsigned level)
{
    return level ? INNER_MOST : LEAF_MOST;
}

static inline size_t node_width(unsigned level)
{
    return level ? sizeof(struct branch) : sizeof(uint64_t);
}

static inline uint8_t *node_item(const struct order_node *n, unsigned at)
{
    return (uint8_t *)(uintptr_t)(n + 1) + at * node_width(n->level);
}

static inline int order_compare(const struct order_kind *kind, const struct order_key *key, uint64_t hint,
                                uint64_t word)
{
    if (kind->hint && key->hint != hint)
        return key->hint < hint ? -1 : 1;
    return kind->compare(key->key, word);
}

/* Puts the cursor where the key belongs, in the leaf perhaps behind the last word; returns the words before
 * it. */
uint64_t order_descend(const struct order *o, const struct order_kind *kind, const struct order_key *key,
                       struct order_cursor *c);

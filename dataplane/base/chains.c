/* chains.c: linear hashing (chains.h). */
#include "base/chains.h"

#include <stdlib.h>

enum { CHAINS_LEAST = 16 };

/* The largest power of two that is not above n > 0. */
static size_t power(size_t n)
{
    return (size_t)1 << (63 - __builtin_clzll(n));
}

static size_t place(const struct chains *t, uint64_t hash)
{
    size_t low = power(t->buckets), i = hash & (2 * low - 1);
    return i < t->buckets ? i : hash & (low - 1);
}

struct chain_node *chains_at(const struct chains *t, uint64_t hash)
{
    return t->buckets ? t->bucket[place(t, hash)] : NULL;
}

static bool more_buckets(struct chains *t)
{
    size_t cap = t->cap ? 2 * t->cap : CHAINS_LEAST;
    struct chain_node **p = realloc(t->bucket, cap * sizeof(struct chain_node *));
    if (!p)
        return false;
    t->bucket = p;
    t->cap = cap;
    return true;
}

/* One more bucket, with its part of the chain it was in. */
static void split(struct chains *t)
{
    size_t made = t->buckets++;
    struct chain_node **from = &t->bucket[made - power(made)], **to = &t->bucket[made];
    *to = NULL;
    while (*from) {
        struct chain_node *n = *from;
        if (place(t, n->hash) != made) {
            from = &n->next;
            continue;
        }
        *from = n->next;
        n->next = *to;
        *to = n;
    }
}

bool chains_add(struct chains *t, struct chain_node *n)
{
    if (t->buckets == t->cap && !more_buckets(t) && !t->buckets)
        return false;
    if (!t->buckets) {
        t->bucket[0] = NULL;
        t->buckets = 1;
    } else if (t->n >= t->buckets && t->buckets < t->cap) {
        split(t);
    }
    struct chain_node **at = &t->bucket[place(t, n->hash)];
    n->next = *at;
    *at = n;
    t->n++;
    return true;
}

void chains_remove(struct chains *t, struct chain_node *n)
{
    struct chain_node **at = &t->bucket[place(t, n->hash)];
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    if (--t->n == 0) {
        free(t->bucket);
        *t = (struct chains){0};
    }
}

struct chain_node *chains_any(const struct chains *t, uint64_t random)
{
    for (size_t i = 0; i < t->buckets; i++) {
        struct chain_node *n = t->bucket[(random + i) % t->buckets];
        if (n)
            return n;
    }
    return NULL;
}

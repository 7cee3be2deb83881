/* chains.c: linear hashing (chains.h). */
#include "base/chains.h"

#include <stdlib.h>

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

static unsigned segment_of(size_t bucket)
{
    return bucket < CHAINS_LEAST ? 0 : (unsigned)(60 - __builtin_clzll(bucket));
}

static size_t first_of(unsigned segment)
{
    return segment ? (size_t)CHAINS_LEAST << (segment - 1) : 0;
}

static struct chain_node **bucket_at(const struct chains *t, size_t i)
{
    unsigned segment = segment_of(i);
    return &t->segment[segment][i - first_of(segment)];
}

struct chain_node *chains_at(const struct chains *t, uint64_t hash)
{
    return t->buckets ? *bucket_at(t, place(t, hash)) : NULL;
}

/* Is there room for one more bucket? */
static bool next_bucket(struct chains *t)
{
    unsigned segment = segment_of(t->buckets);
    if (segment < CHAIN_SEGMENTS && !t->segment[segment])
        t->segment[segment] =
            malloc((segment ? first_of(segment) : CHAINS_LEAST) * sizeof *t->segment[segment]);
    return segment < CHAIN_SEGMENTS && t->segment[segment];
}

/* One more bucket, with its part of the chain it was in. */
static void split(struct chains *t)
{
    size_t made = t->buckets++;
    struct chain_node **from = bucket_at(t, made - power(made)), **to = bucket_at(t, made);
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

/* False if out of memory; a table that has buckets can do without more. */
bool chains_add(struct chains *t, struct chain_node *n)
{
    if (!t->buckets) {
        if (!next_bucket(t))
            return false;
        t->segment[0][0] = NULL;
        t->buckets = 1;
    } else if (t->n >= t->buckets && next_bucket(t)) {
        split(t);
    }
    struct chain_node **at = bucket_at(t, place(t, n->hash));
    n->next = *at;
    *at = n;
    t->n++;
    return true;
}

void chains_remove(struct chains *t, struct chain_node *n)
{
    struct chain_node **at = bucket_at(t, place(t, n->hash));
    while (*at != n)
        at = &(*at)->next;
    *at = n->next;
    if (--t->n == 0)
        chains_free(t);
}

struct chain_node *chains_bucket(const struct chains *t, size_t i)
{
    return *bucket_at(t, i);
}

void chains_free(struct chains *t)
{
    for (unsigned i = 0; i < CHAIN_SEGMENTS; i++)
        free(t->segment[i]);
    *t = (struct chains){0};
}

struct chain_node *chains_any(const struct chains *t, uint64_t random)
{
    for (size_t i = 0; i < t->buckets; i++) {
        struct chain_node *n = chains_bucket(t, (random + i) % t->buckets);
        if (n)
            return n;
    }
    return NULL;
}

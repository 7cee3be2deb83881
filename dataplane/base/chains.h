/* chains.h: a hash table of nodes that their owners embed. It grows by one bucket at a time, so that nobody
 * waits for it, and copies none: linear hashing (Litwin, "Linear hashing: a new tool for file and table addressing", VLDB
 * 1980). Zero is an empty one; one that has become empty has no memory. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct chain_node {
    struct chain_node *next;
    uint64_t hash; /* set by the owner */
};

enum { CHAINS_LEAST = 16, CHAIN_SEGMENTS = 28 };
struct chains {
    struct chain_node **segment[CHAIN_SEGMENTS]; /* of CHAINS_LEAST buckets, then each as many as all before */
    size_t buckets, n;
};

/* The chain that nodes of this hash are in, for its owner to compare; NULL if it is empty. */
struct chain_node *chains_at(const struct chains *t, uint64_t hash);
/* False if out of memory; a table that has buckets can do without more. */
bool chains_add(struct chains *t, struct chain_node *n);
/* Takes out a node that is in it. */
void chains_remove(struct chains *t, struct chain_node *n);
/* The chain of bucket i < buckets; its owner may go through all of them to free the nodes, and then the table. */
struct chain_node *chains_bucket(const struct chains *t, size_t i);
/* Frees the table, whatever is in it: the nodes are their owner's. */
void chains_free(struct chains *t);
/* A node of the first bucket that has any, from the one on that `random` names; NULL if it is empty. */
struct chain_node *chains_any(const struct chains *t, uint64_t random);

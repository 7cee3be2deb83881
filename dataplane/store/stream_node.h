/* stream_node.h: a node of a stream: some entries in one pack. For stream*.c.
 *
 *   n field*n   entry entry ...          n: how many fields the node's first entry had, and their names
 *
 *   0 ms seq value*n 0                   an entry with these very fields
 *   m ms seq (field value)*m m           one with m fields of its own
 *
 * ms is the difference to the node's first ID, seq too if ms is 0; else it is seq itself, most often 0. What
 * is deleted leaves the pack at once: there are no tombstones. Bounds count what was ever added, and its bytes
 * in a listpack, as Redis does: nodes end at the same entries, so that `~` trims at the same places and a dump
 * has the same bytes. */
#pragma once
#include "store/pack.h"
#include "store/stream.h"

struct stream_node {
    struct stream_id first, last; /* ever added */
    uint32_t live, added;         /* entries that there are, and that there ever were */
    uint32_t len, cap;            /* bytes of the pack */
    uint32_t listpack;            /* bytes that all that was ever added takes in Redis' form of a node */
    uint8_t bytes[];
};

struct node_entry {
    struct stream_id id;
    uint32_t at, end; /* where it lies in the pack */
    uint32_t body;    /* where its values, or its fields and values, begin */
    uint32_t fields;
    bool same; /* it has the node's fields */
};

static inline struct stream_node *node_of(uint64_t word)
{
    return (struct stream_node *)(uintptr_t)word;
}

static inline struct pack node_pack(const struct stream_node *n)
{
    return (struct pack){(uint8_t *)(uintptr_t)n->bytes, n->len};
}

/* Where the first entry begins. */
uint32_t node_begin(const struct stream_node *n);
/* The entry at a place; false at the end. */
bool node_entry_at(const struct stream_node *n, uint32_t at, struct node_entry *e);
/* The entry that ends at a place; false at the beginning. */
bool node_entry_before(const struct stream_node *n, uint32_t end, struct node_entry *e);
/* Where the first entry with an ID not below this one begins; the end if there is none. Looks from the end
 * that the ID seems to be nearer to. */
uint32_t node_place(const struct stream_node *n, struct stream_id id);
/* The entry with this ID; false if there is none. */
bool node_find(const struct stream_node *n, struct stream_id id, struct node_entry *e);

/* Makes an empty pack for entries with these fields; the node's cap is room enough for node_first_len(). */
void node_init(struct stream_node *n, struct stream_id id, const struct slice *pair, uint32_t pairs);
uint64_t node_first_len(const struct slice *pair, uint32_t pairs);
/* How an entry will lie in a node. */
struct node_draft {
    struct stream_id id;
    const struct slice *pair;
    uint32_t pairs;
    bool same;
    struct item own, ms, seq;
};

struct node_draft node_plan(const struct stream_node *n, struct stream_id id, const struct slice *pair,
                            uint32_t pairs);
/* The pack's length with this entry; above UINT32_MAX: it does not fit. */
uint64_t node_len_after(const struct stream_node *n, const struct node_draft *d);
/* Bytes of the listpack that the node would be in Redis. */
uint64_t node_listpack_len(const struct stream_node *n);
/* Adds it; there is room. */
void node_append(struct stream_node *n, const struct node_draft *d);
/* Deletes `entries` entries from one place to another. */
void node_delete(struct stream_node *n, uint32_t from, uint32_t to, uint32_t entries);

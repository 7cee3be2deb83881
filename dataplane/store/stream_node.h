/* stream_node.h: a node of a stream: some entries in one run of bytes. For stream*.c.
 *
 *   n (field reference)*n   entry entry ...   n: how many fields the node's first entry had, their names, and
 *                                             how the values began that it had there
 *   head ms [seq] value*n back                an entry with these very fields
 *   head ms [seq] m (field value)*m back      one with m fields of its own
 *
 * Fields and values are bare elements (pack.h). A value that begins as its reference does is
 *   0xf9, how many bytes of it are the same, and the rest as an element.
 * n, m, ms and seq are LEB128 numbers. ms is the difference to the node's first ID, seq too if ms is 0; else
 * it is seq itself. head: bit 0: fields of its own; the others: seq if it is below 127, else 127 and it
 * follows. back: the bytes of the entry before it, LEB128 to be read backwards.
 *
 * What is deleted leaves the bytes at once: there are no tombstones. Bounds count what was ever added, and
 * its bytes in a listpack, as Redis does: nodes end at the same entries, so that `~` trims at the same places
 * and a dump has the same bytes. */
#pragma once
#include "store/pack.h"
#include "store/stream.h"

struct stream_node {
    struct stream_id first, last; /* ever added */
    uint32_t live, added;         /* entries that there are, and that there ever were */
    uint32_t begin, len, cap;     /* where entries begin; bytes in use, and how many fit */
    uint32_t listpack;            /* bytes that all that was ever added takes in Redis' form of a node */
    uint8_t bytes[];
};

struct node_entry {
    struct stream_id id;
    uint32_t at, end; /* where it lies */
    uint32_t body;    /* where its values, or its fields and values, begin */
    uint32_t fields;
    bool same; /* it has the node's fields */
};

static inline struct stream_node *node_of(uint64_t word)
{
    return (struct stream_node *)(uintptr_t)word;
}

/* The entry at a place (n->begin, or another one's end); false at the end. */
bool node_entry_at(const struct stream_node *n, uint32_t at, struct node_entry *e);
/* The entry that ends at a place (n->len, or where another one lies); false at the beginning. */
bool node_entry_before(const struct stream_node *n, uint32_t end, struct node_entry *e);
/* Where the first entry with an ID not below this one begins; the end if there is none. Looks from the end
 * that the ID seems to be nearer to. */
uint32_t node_place(const struct stream_node *n, struct stream_id id);
/* The entry with this ID; false if there is none. */
bool node_find(const struct stream_node *n, struct stream_id id, struct node_entry *e);

/* The fields of the node's first entry, by turns. */
struct node_names {
    uint32_t left, at;
};
struct node_names node_names(const struct stream_node *n);
bool node_name_next(const struct stream_node *n, struct node_names *names, struct item *name);

/* The fields of an entry and their values, by turns. */
struct node_pairs {
    const struct stream_node *node;
    uint32_t left, name_at, at;
    bool same;
};
struct node_pairs node_pairs(const struct stream_node *n, const struct node_entry *e);
/* scratch: where a value is put together that does not lie in one piece. */
bool node_pair_next(struct node_pairs *pairs, struct item *field, struct item *value,
                    uint8_t scratch[STREAM_SCRATCH]);

/* Begins a node for entries with these fields, without an entry; its cap is node_first_len() at least, which
 * is what it takes with that entry. */
void node_init(struct stream_node *n, struct stream_id id, const struct slice *pair, uint32_t pairs);
uint64_t node_first_len(const struct slice *pair, uint32_t pairs);

/* How an entry will lie in a node. */
struct node_draft {
    struct stream_id id;
    const struct slice *pair;
    uint32_t pairs;
    bool same;
    uint64_t ms, seq;
};

struct node_draft node_plan(const struct stream_node *n, struct stream_id id, const struct slice *pair,
                            uint32_t pairs);
/* The node's length with this entry; above UINT32_MAX: it does not fit. */
uint64_t node_len_after(const struct stream_node *n, const struct node_draft *d);
/* Bytes of the listpack that the node would be in Redis. */
uint64_t node_listpack_len(const struct stream_node *n);
/* Adds it; there is room. */
void node_append(struct stream_node *n, const struct node_draft *d);
/* Deletes `entries` entries from one place to another. */
void node_delete(struct stream_node *n, uint32_t from, uint32_t to, uint32_t entries);

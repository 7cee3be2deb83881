/* order.h: a counted B+tree of words, for what is kept in order and asked for its rank: the elements of
 * sorted sets, the entries and pending lists of streams. Private to the store.
 *
 * A word is 8 bytes, not 0, most often a pointer; what order the words have is the owner's business:
 *
 *   inner node   ┌────────┬───────────────────────────┬───────────────────────────┬ … up to 31
 *                │ header │ child, least word,        │ child, least word,        │
 *                │        │ its hint, count of words  │ its hint, count of words  │
 *                └────────┴───────────────────────────┴───────────────────────────┴
 *   leaf         ┌────────┬──────┬──────┬──────┬ … up to 63 words
 *
 * A hint is a number that orders words as far as a number can (a score, the time of an ID): the way down
 * reads what words point to only where hints are equal, and otherwise in the leaf alone. A node's memory
 * grows and shrinks with its content in steps of a size class, so that a word costs nine to eleven bytes
 * whatever the history of the tree is. Nothing but a count is kept above: adding, removing, finding, rank and
 * the word of a rank take O(log n).
 *
 * Bayer, McCreight: Organization and Maintenance of Large Ordered Indexes (1972); Comer: The Ubiquitous
 * B-Tree (1979). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shard;
struct order_node;

enum { ORDER_LEVELS = 12 };

struct order { /* all zero: empty */
    struct order_node *root;
    uint64_t count; /* words */
    uint64_t bytes; /* of memory in nodes */
};

/* How words are ordered. compare: negative, 0 or positive as key lies before, at or behind a word; at 0 only
 * for the word that is the key. A bound (all scores from 5 on) is a key that never compares to 0. hint(word)
 * must not fall while words rise; without one (NULL) the hints in the tree are not looked at. */
struct order_kind {
    int (*compare)(const void *key, uint64_t word);
    uint64_t (*hint)(uint64_t word);
};

/* What is looked for: a key with its hint. */
struct order_key {
    const void *key;
    uint64_t hint;
};

/* A place in the tree, until the tree changes. */
struct order_cursor {
    unsigned top; /* level of the root */
    struct {
        const struct order_node *node;
        unsigned at;
    } step[ORDER_LEVELS]; /* step[0] is in the leaf */
};

/* Words that lie before the key. With cursor: that is put on the first word that does not, and *word is that
 * word, 0 if there is none. */
uint64_t order_seek(const struct order *o, const struct order_kind *kind, struct order_key key,
                    struct order_cursor *cursor, uint64_t *word);
/* The rank of a word that is there; key is the word's. Reads nothing that words point to where hints differ.
 * The cursor, put on the word, may be NULL. */
uint64_t order_find(const struct order *o, const struct order_kind *kind, struct order_key key, uint64_t word,
                    struct order_cursor *cursor);
/* The word of a rank from 0, or 0; cursor may be NULL. */
uint64_t order_at(const struct order *o, uint64_t rank, struct order_cursor *cursor);
/* The word after or before, 0 at the end (the cursor is of no use then). */
uint64_t order_next(struct order_cursor *cursor);
uint64_t order_prev(struct order_cursor *cursor);

/* Adds a word at its key's place; no word there may compare equal. False without memory: nothing has changed
 * then. May evict (shard_alloc): the caller guards the tree's owner. *rank, if asked for, is the word's. The
 * word may be in the tree already under a key that it does not have any more, until order_remove_at() of its
 * old rank: that is how a word changes its place without a moment in which memory could be short. */
bool order_insert(struct shard *s, struct order *o, const struct order_kind *kind, struct order_key key,
                  uint64_t word, uint64_t *rank) __attribute__((warn_unused_result));
/* Removes the word of a rank (which must be there) and returns it. Never fails. */
uint64_t order_remove_at(struct shard *s, struct order *o, const struct order_kind *kind, uint64_t rank);
/* Puts another word in the place of the one at the cursor: what it points to has moved, or has changed
 * without changing its place. */
void order_replace(const struct order_cursor *cursor, const struct order_kind *kind, uint64_t word);

/* Frees about *budget words of the tree, from the end, and counts them down. True when the tree is empty. */
bool order_drop(struct shard *s, struct order *o, unsigned *budget);
/* Moves the nodes on the way to the word of this rank out of sparse slabs. Returns the rank with which to go
 * on, 0 at the end. */
uint64_t order_compact(struct shard *s, struct order *o, uint64_t rank);

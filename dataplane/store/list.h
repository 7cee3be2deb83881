/* list.h: lists, as commands see them. A small list is a pack in its entry; a larger one is a chain of chunks
 * (chunk.h). Elements are counted from 0 at the head.
 *
 * Slices and cursors are good until the next call that may change the shard. What a function stores must not
 * lie in the list it changes. STORE_OOM changes nothing. */
#pragma once
#include "store/pack_run.h"
#include "store/store.h"

enum list_end { LIST_HEAD, LIST_TAIL };

uint64_t list_len(const struct entry *e);
/* Of how many chunks it is, 0 for a list that lies in its entry, and the bytes of their elements. Walks over
 * them. */
uint64_t list_chunks(const struct entry *e, uint64_t *bytes);

/* -- reading */

struct chunk;
struct list_cursor { /* between two elements: the next one is at `at` */
    const struct chunk *chunk;
    struct pack pk;
    uint32_t at;
};

/* Before element `index` (0..list_len), from the end if negative (-1: before the last one). False if there is
 * no such place. */
bool list_seek(const struct entry *e, int64_t index, struct list_cursor *c, struct turn *turn);
/* The work of getting there (turn_wanted). */
uint64_t list_way(const struct entry *e, int64_t index);
/* The next element and the place behind it; the one before and the place before that. False at the end. */
bool list_next(struct list_cursor *c, struct item *item);
bool list_prev(struct list_cursor *c, struct item *item);
/* The next elements, as many as lie together, and the place behind them. False at the end. */
bool list_run(struct list_cursor *c, struct pack_run *run);

/* -- changing. v->e may be NULL for list_push() only; it is after the last element has gone */

/* Adds values one after the other at an end: of several at the head the last one comes first. Creates the
 * key. */
enum store_result list_push(struct value_at *v, enum list_end end, const struct slice *values, size_t n);
/* Removes n elements (there are that many) from an end. */
void list_drop(struct value_at *v, enum list_end end, uint64_t n);
/* Element index (there is one) becomes the value; or the value comes before it (index up to list_len). */
enum store_result list_set(struct value_at *v, uint64_t index, struct slice value);
enum store_result list_insert(struct value_at *v, uint64_t index, struct slice value);
/* Removes the first `count` elements that equal the value, the last -count if negative, all for 0. Says how
 * many.
 */
uint64_t list_remove(struct value_at *v, int64_t count, struct slice value);
/* Moves the element at one end to the other end of the same list. */
enum store_result list_rotate(struct value_at *v, enum list_end from);
/* Moves the element at one end of a list to an end of another one, which is created if need be. */
enum store_result list_move(struct value_at *from, enum list_end from_end, struct value_at *to,
                            enum list_end to_end);
/* A list that becomes a key's value as a whole. An item may lie in the store if its entry is held
 * (store_hold). False or NULL without memory. */
struct list;
struct list *list_draft(struct shard *s);
bool list_draft_add(struct shard *s, struct list *l, const struct item *item);
/* Puts it, not empty, in place of what the key had, of whatever type, without expiry. STORE_OOM: nothing has
 * changed, the list is the caller's. */
enum store_result list_draft_store(struct value_at *v, struct list *l);
void list_draft_drop(struct shard *s, struct list *l);

/* Redis 7.2's listTypeTryConversionAppend: before n values that have `bytes` bytes in all come in, a list
 * that will be too large for one listpack becomes a quicklist, for OBJECT ENCODING. Part of list_push,
 * list_set and list_insert; LINSERT does it also when it finds no pivot. */
enum store_result list_growing(struct value_at *v, uint64_t bytes, uint64_t n);

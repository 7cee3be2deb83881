/* chunk.h: the chunked form of a list: a doubly linked chain of chunks, each a pack with some room before and
 * behind it, so that both ends of a list take and give elements without moving the others. Private to the
 * store.
 *
 *   struct list          ┌──────┬──────┬─────────────────────┬─────────────┬───────────────────┐
 *   head ──────────────▶ │ prev │ next │ start  len  cap     │    room     │ pack │    room    │ ◀── tail
 *                        └──────┴──────┴─────────────────────┴─────────────┴───────────────────┘
 *                                                            bytes[0]      bytes[start]        bytes[cap]
 *
 * A chunk holds what list-max-listpack-size allows: n elements (n > 0, and 8 KB), or 4, 8, 16, 32, 64 KB (-1
 * to -5), its own header counted in. An element that is larger has a chunk of its own. No chunk is empty. */
#pragma once
#include "store/list.h"
#include "store/shard.h"

struct chunk {
    struct chunk *prev, *next;
    uint32_t start, len, cap;
    uint8_t bytes[];
};

struct list {
    struct body body; /* data: bytes of the packs; memory: of the chunks */
    struct chunk *head, *tail;
    uint64_t count;
};

struct chunk_limit {
    uint32_t bytes; /* of a pack */
    uint32_t count;
};
struct chunk_limit chunk_limit_of(int list_max_listpack_size);
/* That of this shard's configuration, or what shard_set_list_chunk() has made it. */
struct chunk_limit chunk_limit_in(const struct shard *s);

static inline struct pack chunk_pack(const struct chunk *c)
{
    return (struct pack){(uint8_t *)(uintptr_t)c->bytes + c->start, c->len};
}

/* Each of these changes a list and keeps its accounts. Those that may fail leave the elements as they are
 * then; the list's entry must be held. */

/* Adds an item at an end. */
bool chain_push(struct shard *s, struct list *l, struct chunk_limit limit, enum list_end end,
                const struct item *item);
/* Of elements of these sizes, how many the chunk at an end takes: makes room for them, so that chain_push()
 * of just these cannot fail. False without memory. */
bool chain_reserve(struct shard *s, struct list *l, struct chunk_limit limit, enum list_end end,
                   const struct slice *values, size_t n, size_t *fit);
/* Removes n elements from an end, fewer than there are. */
void chain_drop(struct shard *s, struct list *l, enum list_end end, uint64_t n);
/* Inserts before place `at` of a chunk. */
bool chain_insert(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c, uint32_t at,
                  const struct item *item);
/* Puts the item in place of the one at a place, if the chunk stays within the limit. */
bool chain_replace(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c, uint32_t at,
                   const struct item *item, bool *fits);
/* Deletes the element at a place. The chunk may be empty then: chain_tidy() must follow. */
void chain_delete(struct list *l, struct chunk *c, uint32_t at);
/* Deletes up to `most` elements that equal the item in a chunk; chain_tidy() must follow if there was one. */
uint32_t chain_remove(struct list *l, struct chunk *c, const struct item *item, uint64_t most, bool backward);
/* After deletions in a chunk: removes it if it is empty, joins it with the one before or makes it smaller if
 * it has become small. Returns what is before it, or the chunk that it is part of now. */
struct chunk *chain_tidy(struct shard *s, struct list *l, struct chunk_limit limit, struct chunk *c);
/* A chunk with the elements of a pack, behind the tail. */
bool chain_append_pack(struct shard *s, struct list *l, struct pack pk);
/* Moves all chunks of another list to an end of this one. */
void chain_join(struct list *l, enum list_end end, struct list *other);
/* Frees up to *budget chunks from the head. True when none is left. */
bool chain_free(struct shard *s, struct list *l, unsigned *budget);
/* Moves a chunk to another address if its slab is sparse; returns where it is. */
struct chunk *chain_compact(struct shard *s, struct list *l, struct chunk *c);

/* -- a list in its entry (list_body.c) */

/* body_ops of lists. */
bool list_free_slice(struct shard *s, struct body *b, unsigned *budget);
struct body *list_clone(struct shard *to, const struct body *b);
bool list_compact_slice(struct shard *s, struct body *b, uint64_t *cursor, unsigned *budget);

static inline struct list *entry_list(const struct entry *e)
{
    return (struct list *)entry_body(e);
}

/* The pack of a list that has no chunks. */
static inline struct pack inline_pack(const struct entry *e)
{
    uint64_t len;
    uint8_t *p = entry_value_bytes(e, &len);
    return (struct pack){p, (uint32_t)len};
}

/* True if so many elements of so many bytes more make it too large for a listpack of Redis'. v->e may be
 * NULL. */
bool list_exceeds(const struct value_at *v, uint64_t bytes, uint64_t n);
/* True if Redis would keep a list that is complete in a listpack. */
bool list_fits_listpack(const struct shard *s, const struct list *l);
/* True if OBJECT ENCODING is quicklist. */
bool list_is_quick(const struct entry *e);
/* A list of chunks in no entry yet, with the elements of the inline list, or none without a key. */
struct list *list_detached(struct value_at *v);

/* Makes an inline list one of chunks. STORE_OOM: nothing has changed. */
enum store_result list_to_chunks(struct value_at *v);
/* After elements went: removes the key with the last one; a quicklist that has become small is a listpack
 * again (7.2's listTypeTryConversion with LIST_CONV_SHRINKING), and a very small one goes back into its
 * entry. before: body->data of a list of chunks until now. */
void list_shrunk(struct value_at *v, uint64_t before);

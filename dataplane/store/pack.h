/* pack.h: a pack, the compact form of a small collection: a run of elements, each a string or a 64-bit
 * integer, readable from both ends. Bytes only: it allocates nothing and knows no shard; whoever owns the
 * buffer makes sure of room (pack_len_after()) before it inserts. Private to the store, but for items
 * (list.h) and runs of elements (pack_run.h) that it hands out.
 *
 *   ┌─────────┬─────────┬─ … ─┬─────────┬────────┐     count: 1 byte below 255, else 4 bytes and 255
 *   │ element │ element │     │ element │ count  │
 *   └─────────┴─────────┴─ … ─┴─────────┴────────┘     element: first byte .. last byte
 *
 *   0xxxxxxx                                 integer 0..127, the whole element
 *   10llllll  text               1sssssss    string of up to 63 bytes
 *   110xxxxx  8 bits             1sssssss    integer of 13 bits, signed
 *   1110llll  8 bits   text      1sssssss    string of up to 4095 bytes
 *   11110nnn  n + 1 bytes        1sssssss    signed integer of n + 1 = 2..8 bytes
 *   11111000  4 bytes  text      1sssssss    longer string
 *
 * sssssss tells the bytes before it that belong to the element: s + 1 of them for s < 112; s of 112..126 and
 * one byte more before it, or 127 and four bytes more, where it takes more. An element's last byte has its
 * top bit set unless the element is one byte: both directions agree. Each value has one encoding only, so
 * that two elements are equal when their bytes are.
 *
 * A place in a pack is the offset of an element; it stays good while nothing before it changes. pack_end() is
 * the place behind the last element. Lengths are below 2^32; whoever inserts checks pack_len_after(). */
#pragma once
#include "base/slice.h"

/* A view: the bytes and how many of them are in use, count included. Changes adjust len. */
struct pack {
    uint8_t *p;
    uint32_t len;
};

/* An element on its way in or out. A string that reads as a 64-bit integer (parse_i64) is a number. */
struct item {
    struct slice text; /* of a string; of a number that was given as text, or p = NULL */
    int64_t number;    /* if is_number */
    uint32_t size;     /* bytes it takes in a pack */
    bool is_number;
};

enum {
    PACK_EMPTY = 1,   /* len of a pack without elements */
    PACK_TEXT = 24,   /* scratch that item_text() needs */
    PACK_OVERHEAD = 5 /* the most that the count takes */
};
#define PACK_NOWHERE UINT32_MAX /* "no such place" */

/* -- items */

struct item item_of(struct slice value); /* the slice must stay valid and must not lie in the pack changed */
struct item item_of_number(int64_t number);
/* A string even if it reads as a number: in packs there is none. */
struct item item_of_text(struct slice text);
/* The item's bytes as the user sees them; a number's digits are written to scratch. */
struct slice item_text(const struct item *item, char scratch[PACK_TEXT]);
size_t item_text_len(const struct item *item);
bool item_eq(const struct item *a, const struct item *b);

/* -- reading */

uint32_t pack_count(struct pack pk);
static inline uint32_t pack_first(struct pack pk)
{
    (void)pk;
    return 0;
}
enum { COUNT_LONG = 255 };
static inline uint32_t pack_end(struct pack pk)
{
    return pk.len - (pk.p[pk.len - 1] == COUNT_LONG ? 5 : 1);
}
/* The element at a place, its text a slice into the pack; false at pack_end(). The next place is
 * at + item->size. */
bool pack_get(struct pack pk, uint32_t at, struct item *item);
/* The next place without looking at the value (at < pack_end()). */
uint32_t pack_next(struct pack pk, uint32_t at);
/* The place before, or PACK_NOWHERE if at is the first one. */
uint32_t pack_prev(struct pack pk, uint32_t at);
/* The place of element `index`, from the end if negative (-1 the last); PACK_NOWHERE if there is none. Walks
 * from the nearer end. */
uint32_t pack_seek(struct pack pk, int64_t index);
/* The first place at or after `from` whose element is the item, looking at every stride-th element only (2
 * for the fields of field-value pairs); PACK_NOWHERE if there is none. */
uint32_t pack_find(struct pack pk, uint32_t from, const struct item *item, unsigned stride);
/* The same before the place `to`. */
uint32_t pack_find_before(struct pack pk, uint32_t from, uint32_t to, const struct item *item,
                          unsigned stride);

/* -- changing: the buffer has room for what pack_len_after() says (never less than it has now) */

/* An empty pack in a buffer of at least PACK_EMPTY bytes. */
struct pack pack_init(uint8_t *buffer);
/* The length after `added` bytes of elements (items' sizes) came in and `removed` went, and the count changed
 * by `count`. May be above UINT32_MAX: then it does not fit. */
uint64_t pack_len_after(struct pack pk, uint64_t added, uint64_t removed, int64_t count);
/* Inserts before the element at a place. */
void pack_insert(struct pack *pk, uint32_t at, const struct item *item);
/* Puts the item in place of the element there. */
void pack_replace(struct pack *pk, uint32_t at, const struct item *item);
/* Deletes `count` elements from a place on (there are that many). */
void pack_delete(struct pack *pk, uint32_t at, uint32_t count);
/* Deletes up to `most` elements that equal the item, from the end on if `backward`. Returns how many. */
uint32_t pack_remove(struct pack *pk, const struct item *item, uint64_t most, bool backward);
/* Inserts `count` elements as they lie in another pack, `bytes` of them from its place `from` on. */
void pack_insert_raw(struct pack *pk, uint32_t at, struct pack other, uint32_t from, uint32_t bytes,
                     uint32_t count);

/* The same at the front for a pack with room before it (item->size bytes; what the count may grow by is
 * needed behind): p moves, the other elements stay where they are. */
void pack_push_front(struct pack *pk, const struct item *item);
void pack_drop_front(struct pack *pk, uint32_t count);

/* Writes an element, item->size bytes, at p: for pack_change.c. */
void pack_write_element(uint8_t *p, const struct item *item);

/* -- bare elements: the same without what is there for stepping back, for a run that is only read forwards.
 * Each returns the bytes that the element takes; read sets item->size to it. */

uint32_t bare_size(const struct item *item);
uint32_t bare_write(uint8_t *p, const struct item *item);
uint32_t bare_read(const uint8_t *p, struct item *item);
uint32_t bare_skip(const uint8_t *p);
enum { BARE_FREE_TAG = 0xf9 }; /* no element begins with it */

/* True if the bytes are a well-formed pack: for tests and for what comes from outside. */
bool pack_check(const uint8_t *p, uint64_t len);

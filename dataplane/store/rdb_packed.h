/* rdb_packed.h: the compact forms in which Redis keeps small collections, as RDB has them: one string with
 * all elements in it. Read with every length and back reference checked; written as listpacks only.
 *
 *   listpack  total bytes (4), elements (2), element ..., 0xff       element: encoding, data, its length
 * backwards ziplist   bytes (4), tail (4), elements (2), element ..., 0xff   element: length of the one
 * before, encoding, data zipmap    fields (1), length, field, length, free (1), value, free bytes ..., 0xff
 *   intset    width (4), integers (4), integer ...
 *
 * https://github.com/antirez/listpack/blob/master/listpack.md, https://rdb.fnordig.de/file_format.html */
#pragma once
#include "store/pack.h"
#include "store/rdb.h"

enum packing { PACKED_LISTPACK, PACKED_ZIPLIST, PACKED_ZIPMAP, PACKED_INTSET };

/* A string of this kind that is being read; its bytes stay the caller's. */
struct packed {
    const uint8_t *p, *end; /* what is left of the elements */
    enum packing packing;
    uint64_t left;     /* elements to come, or PACKED_UNKNOWN */
    uint64_t previous; /* bytes of the element before, where the next one names it */
    uint64_t tail;     /* where a ziplist says that its last element begins */
    const uint8_t *start;
    uint32_t width; /* of an integer of an intset */
    bool is_value;  /* the next one of a zipmap */
    bool bad;       /* it is damaged: nothing more comes */
};
#define PACKED_UNKNOWN UINT64_MAX

/* False, and `bad`, if it does not begin and end as it should. */
bool packed_open(struct packed *in, enum packing packing, struct slice bytes);
/* The next element, text a slice of the bytes. False at the end (was all of it as it says?) and when `bad`.
 */
bool packed_next(struct packed *in, struct item *item);

/* Bytes that an element takes in a listpack: Redis' limits of collections are in these. */
uint64_t listpack_size_of(const struct item *item);

/* -- writing a listpack to the end of w, which is used for nothing else meanwhile */

/* Returns where it begins. */
size_t listpack_begin(struct rdb_writer *w);
void listpack_put(struct rdb_writer *w, const struct item *item);
void listpack_put_number(struct rdb_writer *w, int64_t number);
void listpack_put_text(struct rdb_writer *w, struct slice text); /* a number if it reads as one */
/* elements: how many were put since. */
void listpack_end(struct rdb_writer *w, size_t begin, uint64_t elements);

/* ordered.h: a table whose elements, all or some of them, also stand in an order: sorted sets by their
 * scores, hashes by the times of their fields. What both need to be compacted. Private to the store. */
#pragma once
#include "store/order.h"
#include "store/table.h"

struct ordered {
    struct table table;
    struct order order; /* its words are elements of the table */
};

/* Puts the cursor on the element's word. False if it has none. */
typedef bool ordered_find(const struct ordered *o, const struct entry *element, struct order_cursor *cursor);

static inline uint64_t ordered_word(const struct entry *element)
{
    return (uint64_t)(uintptr_t)element;
}

static inline struct entry *ordered_element(uint64_t word)
{
    return (struct entry *)(uintptr_t)word;
}

/* For rows of struct body_ops (value.h); the struct ordered is the body. */
bool ordered_free(struct shard *s, struct body *body, unsigned *budget);
uint64_t ordered_overhead(const struct body *body);
bool ordered_compact(struct shard *s, struct body *body, const struct order_kind *kind, ordered_find *find,
                     uint64_t *cursor, unsigned *budget);

/* ints.h: a set of integers as one sorted array, all of them as wide as the widest needs (1, 2, 4 or 8 bytes,
 * never narrower again): a byte that tells the width, then the numbers, not aligned. Bytes only: no
 * allocation, no shard. Private to the store. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct ints {
    uint8_t *p; /* NULL: empty */
    uint64_t len;
};

uint64_t ints_count(struct ints set);
/* The number of an index below ints_count(). */
int64_t ints_at(struct ints set, uint64_t index);
/* True if it is there; *index is where it is or belongs. */
bool ints_find(struct ints set, int64_t v, uint64_t *index);
/* The length with one more number. */
uint64_t ints_len_with(struct ints set, int64_t v);
/* Inserts a number that is not there at its index. set.len is the length so far, and there is room for
 * ints_len_with(). */
void ints_insert(struct ints set, int64_t v, uint64_t index);
/* Removes the number of an index; returns the length that is left. */
uint64_t ints_delete(struct ints set, uint64_t index);

/* big.h: the biggest keys of a shard, of each type: a few rows that are looked after when a value grows, from its size
 * then. A row is a key's name, not its entry: whoever reads it looks the key up. Private to the store. */
#pragma once
#include "store/store.h"

enum {
    BIG_TYPES = TYPE_STREAM + 1,
    BIG_ROWS = 64,       /* a type */
    BIG_LEAST = 1024,    /* bytes as the user counts them: what is smaller is never noted */
    BIG_NAME = 64 << 10, /* keys with longer names are not noted */
    BIG_CHECK_EACH = 16  /* calls of big_check() until it looks at a row */
};

struct big_row {
    struct key key;
    uint8_t *name; /* malloc(): what key.name is */
    uint64_t size;
    unsigned db;
};

struct big_keys {
    uint64_t floor[BIG_TYPES]; /* only what is bigger is noted: the smallest of a full table */
    struct big_row row[BIG_TYPES][BIG_ROWS];
    unsigned n[BIG_TYPES];
    unsigned calls, check; /* the row that is looked at next, over all types */
};

void big_init(struct big_keys *big);
void big_free(struct big_keys *big);
/* Rows of another process: their names are those of the keys, as far as these are still there. */
void big_adopt(struct shard *s);
/* SWAPDB. */
void big_swap(struct big_keys *big, unsigned a, unsigned b);
/* A slice of upkeep: rows whose key has gone or has shrunk make room for others. */
void big_check(struct shard *s);
/* A value of k has now so many bytes. */
void big_note(struct shard *s, unsigned db, const struct key *k, enum value_type type, uint64_t now);

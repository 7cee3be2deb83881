/* rdb_walk.h: an RDB file from header to checksum: versions 1 to 12 of Redis, 80 of Valkey. Values are gone
 * over, not looked into: what they hold is checked by whoever loads them. Bounded memory: a window, and one
 * name. */
#pragma once
#include "control/rdb_input.h"

enum { RDB_OLDEST = 1, RDB_NEWEST = 12, RDB_VALKEY = 80, RDB_PLACE = 512 };

struct rdb_key {
    uint64_t at; /* place in the file where it begins, its time included */
    uint64_t db;
    uint64_t expire_ms; /* since 1970; 0 = never */
    int64_t idle;       /* seconds; -1 = not known, and so for frequency */
    int frequency;
    struct rdb_bytes name;
    unsigned type;
};

/* Any may be NULL. */
struct rdb_events {
    void (*aux)(void *ctx, const char *name, const char *value);
    void (*function)(void *ctx, uint64_t at, const struct rdb_bytes *text);
    void (*key)(void *ctx, const struct rdb_key *key);
    /* The value of that key in pieces, without its type's byte. */
    void (*value)(void *ctx, const uint8_t *p, size_t n);
    void (*key_end)(void *ctx, const struct rdb_key *key, uint64_t elements, uint64_t bytes);
};

enum rdb_sum { RDB_SUM_NONE, RDB_SUM_GOOD, RDB_SUM_BAD };
struct rdb_walk {
    unsigned version;
    bool valkey;
    uint64_t size, at; /* bytes of the file, and where the walk is */
    enum rdb_sum sum;  /* NONE: the file has none, its writer was told so */
    uint64_t keys, functions, modules_data;
    char why[RDB_PLACE]; /* "" = sound; else what is wrong, with the place and the key */
    uint64_t bad_at;
    /* its own */
    const struct rdb_events *events;
    void *ctx;
    struct rdb_key key;
    uint64_t db;
};

/* Walks over fd, from its beginning to its end. True if it is sound. */
bool rdb_walk(struct rdb_walk *w, int fd, const struct rdb_events *events, void *ctx);

/* snapshot_private.h: a snapshot (snapshot.h) as its own files see it. */
#pragma once
#include "store/rdb.h"
#include "store/shard.h"
#include "store/snapshot.h"
#include "store/snapshot_pieces.h"

/* A database as it was numbered at the instant. */
struct source {
    struct db *db; /* where it is now */
    bool flushed;  /* in the trash, for us */
};

/* A value that the cursor has left behind, to be written in slices. Its mark is gone. */
struct large {
    struct large *next;
    uint32_t number; /* of its database at the instant */
    uint64_t hash;
    size_t len;
    uint8_t name[];
};

struct snapshot {
    struct shard *s;
    struct snapshot_options options;
    struct snapshot_figures figures;
    const char *failed;
    uint64_t now_ms; /* the instant */
    struct source *source;
    uint32_t *number;   /* of the shard's databases at the instant; NEW: not there then */
    unsigned databases, flushed;
    /* The cursor: hashes before this were passed. */
    unsigned db;
    uint64_t rank;
    unsigned bits; /* of the hash, that are the same in the part of the index that it is in */
    uint32_t tag;
    struct rdb_writer w;
    struct pieces out, behind; /* behind: until the large value is whole that `out` ends with */
    struct large *large;       /* the first one is written, ... */
    bool writing;              /* ... now, or waits for it */
};

/* snapshot_records.c */

/* Writes the record of an entry as it was at the instant, as nothing has changed it since; nothing if its time was over, or if the
 * snapshot has failed. Without room for what waits, or memory, it fails. */
void snapshot_write_entry(struct snapshot *c, uint32_t db, const struct entry *e);
/* The same into w, which may drain. False: its time was over. */
bool snapshot_put_entry(struct snapshot *c, struct rdb_writer *w, const struct entry *e);
/* What is in w goes behind what waits; more: it is not the end of its record. */
void snapshot_append(struct snapshot *c, struct pieces *to, uint32_t db, const struct rdb_writer *w, bool more);

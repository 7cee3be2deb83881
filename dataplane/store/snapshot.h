/* snapshot.h: the state of a shard at one instant, written out while it goes on changing. No fork: a cursor walks the
 * index in slices and writes each key in RDB's form; whatever is about to change or remove a key that the cursor has
 * not passed writes it first, and marks it, so that the cursor passes it by. A key that comes to be behind the instant
 * is marked as well.
 *
 * Who says what: the store itself where a key comes to be or goes (db_tell_key()), and snapshot_key() before a
 * command may change a key that is there. The mark is a bit of the index's slot. Databases that are flushed stay in
 * memory until the cursor has passed them; exchanged ones are followed.
 *
 * The cursor goes by a key's hash alone: databases in order; in each the low bits of the hash, reversed, which is the
 * order in which the index splits its segments; then the tag. So growth neither shows a key twice nor hides one.
 *
 * A value that is too large for a step the cursor leaves to its owner, and waits: he has it written in slices, on a
 * coroutine that holds the key (snapshot_large()). Other records come behind it. A writer who is there before writes it
 * in one go.
 *
 * What was written waits in pieces until the owner takes it (snapshot_first()): the cursor stops then, writers do not.
 * When what waits takes `most` bytes of memory (pieces that are not full count whole), the next record of a writer fails the
 * snapshot; its walk goes on, to take the marks away. So there are never more than `most` bytes and one value, or two. */
#pragma once
#include "store/store.h"

struct snapshot;
struct turn;

enum { SNAPSHOT_PIECE = 32 * 1024, SNAPSHOT_HEAD = 7, SNAPSHOT_LARGE = 16 * 1024 /* user bytes of a value */ };

/* Bytes of whole records, one database's; or of a part of one: the next piece goes on with it (`more`). */
struct snapshot_piece {
    struct snapshot_piece *next;
    uint32_t db, len;
    bool more;
    uint8_t head[SNAPSHOT_HEAD]; /* room before the bytes, for whoever takes them */
    uint8_t bytes[];
};

/* Why it failed, if FLUSHALL ended it. */
#define SNAPSHOT_FLUSHED "the keys were flushed"

struct snapshot_options {
    bool compress; /* rdbcompression */
    bool slices;   /* the owner asks for snapshot_large() */
    bool stays;    /* FLUSHALL does not end it: the base of a log */
    uint64_t most; /* bytes of memory for what waits */
};

struct snapshot_figures {
    uint64_t keys, bytes;  /* written so far */
    uint64_t keys_begun;   /* keys at the instant */
    uint64_t ahead;        /* keys of them that did not wait for the cursor */
    uint64_t waiting;      /* bytes that nobody has taken yet ... */
    uint64_t kept;         /* ... the memory that they take ... */
    uint64_t kept_most;    /* ... and how much that was at most */
};

/* The instant is now: no command is in the middle, nor in slices. False without memory, or if there is one. */
bool snapshot_begin(struct shard *s, const struct snapshot_options *o);
/* Ends it wherever it stands; what waits is gone. Marks stay until a walk has taken them away: snapshot_fail() and
 * steps to the end do, this does only if it has ended. */
void snapshot_end(struct shard *s);
/* NULL: there is none. */
struct snapshot *shard_snapshot(const struct shard *s);
/* A step of the cursor: the keys of one bucket, mostly. False at the end. */
bool snapshot_step(struct snapshot *c);
/* Does the cursor wait for a large value? Then its database, and its key until it is written, are here. One that stands
 * in no database any more is written by the call. */
bool snapshot_large(struct snapshot *c, unsigned *db, struct slice *key);
/* Writes that value: with turns, over which nobody changes, removes or moves it. Nothing if there is none, or if it is
 * being written. */
void snapshot_write_large(struct snapshot *c, struct turn *turn);
/* FLUSHALL has come: ends it as a failure, unless it is to stay. */
void snapshot_flush_all(struct shard *s);
/* Nothing is written any more. The first reason counts; text is static. */
void snapshot_fail(struct snapshot *c, const char *why);
/* NULL as long as it goes well. */
const char *snapshot_failed(const struct snapshot *c);
void snapshot_figures(const struct snapshot *c, struct snapshot_figures *f);

/* A key may be about to change: writes it, if it was there at the instant and is not written yet. */
void snapshot_key(struct shard *s, unsigned db, const struct key *k);
/* Hashes with fields that expire are written as Redis 7.4 does. Do any databases have such? */
bool snapshot_is_new(const struct shard *s);

/* What waits, oldest first; NULL: nothing. It is the snapshot's until dropped, all but its `head`. */
struct snapshot_piece *snapshot_first(const struct snapshot *c);
void snapshot_drop_first(struct snapshot *c);

/* -- for the store: while there is a snapshot (s->waits.nodes has WAITS_SNAPSHOT) */

/* A key has come to be in the index. (snapshot_key(): one is about to go.) */
void snapshot_made(struct shard *s, unsigned db, const struct key *k);
/* Databases of the shard were exchanged. */
void snapshot_swapped(struct shard *s, unsigned a, unsigned b);
/* Does it need what is in this database? Then that stays where snapshot_flushed() says, until it is let go. */
struct db;
struct trash;
bool snapshot_needs(const struct shard *s, unsigned db);
void snapshot_flushed(struct shard *s, unsigned db, struct trash *now);

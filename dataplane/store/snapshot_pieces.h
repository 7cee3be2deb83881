/* snapshot_pieces.h: what a snapshot has written and nobody has taken yet: a list of pieces (snapshot.h). A piece is one database's; records
 * of several that come by turns fill a piece of each, so that the memory in use is about what they need. */
#pragma once
#include "store/snapshot.h"

enum { PIECES_OPEN = 16 /* Redis' number of databases */, PIECE_MEMORY = sizeof(struct snapshot_piece) + SNAPSHOT_PIECE };

struct pieces {
    struct snapshot_piece *first, *last;
    struct snapshot_piece *open[PIECES_OPEN]; /* by database, modulo: where its next record may go; NULL: in a new one */
    size_t count;
};

/* Bytes that they take, full or not. */
static inline size_t pieces_memory(const struct pieces *of)
{
    return of->count * PIECE_MEMORY;
}

/* Bytes go where their database has room, or into as many new pieces as they need. more: they are not the end of
 * their record, and what is added next goes on with it. False without memory: a part of them may be there. */
bool pieces_add(struct pieces *to, uint32_t db, struct slice bytes, bool more);
/* Where `most` bytes of a whole record may go, up to SNAPSHOT_PIECE; pieces_written() says how many they became. NULL without memory. No
 * record is in the middle. */
uint8_t *pieces_room(struct pieces *to, uint32_t db, size_t most);
static inline void pieces_written(struct pieces *to, uint32_t db, size_t n)
{
    to->open[db % PIECES_OPEN]->len += (uint32_t)n;
}
void pieces_drop_first(struct pieces *of);
void pieces_drop(struct pieces *of);
/* All of `behind`, which is empty then. */
void pieces_join(struct pieces *to, struct pieces *behind);

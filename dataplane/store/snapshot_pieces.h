/* snapshot_pieces.h: what a snapshot has written and nobody has taken yet: a list of pieces (snapshot.h). */
#pragma once
#include "store/snapshot.h"

struct pieces {
    struct snapshot_piece *first, *last;
};

/* Bytes go behind what there is: into the last piece, or into as many as they need. more: they are not the end of
 * their record. False without memory: a part of them may be there. */
bool pieces_add(struct pieces *to, uint32_t db, struct slice bytes, bool more);
void pieces_drop_first(struct pieces *of);
void pieces_drop(struct pieces *of);
/* All of `behind`, which is empty then. */
void pieces_join(struct pieces *to, struct pieces *behind);

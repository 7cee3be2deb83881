/* snapshot_pieces.c: see snapshot_pieces.h. */
#include "store/snapshot_pieces.h"

#include <stdlib.h>

static struct snapshot_piece *new_piece(struct pieces *to, uint32_t db)
{
    struct snapshot_piece *p = malloc(sizeof *p + SNAPSHOT_PIECE);
    if (!p)
        return NULL;
    *p = (struct snapshot_piece){.db = db};
    if (to->last)
        to->last->next = p;
    else
        to->first = p;
    to->last = to->open[db % PIECES_OPEN] = p;
    to->count++;
    return p;
}

/* The database's piece, if this many bytes of a whole record go on there. */
static inline struct snapshot_piece *with_room(const struct pieces *to, uint32_t db, size_t bytes)
{
    struct snapshot_piece *p = to->open[db % PIECES_OPEN];
    return p && !p->more && p->db == db && SNAPSHOT_PIECE - p->len >= bytes ? p : NULL;
}

/* Where a record goes on that is in the middle, or begins; NULL: in a new piece. A part is followed by the next one. */
static struct snapshot_piece *for_next(const struct pieces *to, uint32_t db, size_t bytes, bool more)
{
    struct snapshot_piece *last = to->last;
    if (last && last->more)
        return last->len < SNAPSHOT_PIECE ? last : NULL;
    struct snapshot_piece *p = with_room(to, db, bytes);
    return !more || p == last ? p : NULL;
}

uint8_t *pieces_room(struct pieces *to, uint32_t db, size_t most)
{
    struct snapshot_piece *p = with_room(to, db, most);
    if (!p && !(p = new_piece(to, db)))
        return NULL;
    return p->bytes + p->len;
}

/* A record is only cut where it is larger than a piece, or was cut before. */
bool pieces_add(struct pieces *to, uint32_t db, struct slice bytes, bool more)
{
    struct snapshot_piece *p = for_next(to, db, bytes.len, more);
    while (bytes.len) {
        if (!p && !(p = new_piece(to, db)))
            return false;
        size_t room = SNAPSHOT_PIECE - p->len, n = bytes.len < room ? bytes.len : room;
        memcpy(p->bytes + p->len, bytes.p, n);
        p->len += (uint32_t)n;
        bytes.p += n;
        bytes.len -= n;
        p->more = more || bytes.len != 0;
        p = NULL;
    }
    return true;
}

void pieces_drop_first(struct pieces *of)
{
    struct snapshot_piece *p = of->first;
    of->first = p->next;
    if (!of->first)
        of->last = NULL;
    if (of->open[p->db % PIECES_OPEN] == p)
        of->open[p->db % PIECES_OPEN] = NULL;
    of->count--;
    free(p);
}

void pieces_drop(struct pieces *of)
{
    while (of->first)
        pieces_drop_first(of);
}

void pieces_join(struct pieces *to, struct pieces *behind)
{
    if (!behind->first)
        return;
    if (to->last)
        to->last->next = behind->first;
    else
        to->first = behind->first;
    to->last = behind->last;
    to->count += behind->count;
    for (unsigned i = 0; i < PIECES_OPEN; i++)
        if (behind->open[i])
            to->open[i] = behind->open[i];
    *behind = (struct pieces){0};
}

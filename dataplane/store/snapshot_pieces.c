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
    to->last = p;
    return p;
}

/* A record is only cut where it is larger than a piece, or was cut before. */
bool pieces_add(struct pieces *to, uint32_t db, struct slice bytes, bool more)
{
    struct snapshot_piece *p = to->last;
    if (p && (p->more || p->db != db || SNAPSHOT_PIECE - p->len < bytes.len))
        p = NULL;
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
    *behind = (struct pieces){0};
}

/* turn.h: what a long loop calls once an element. On a coroutine (dataplane/turns.h) it now and then lets
 * others run in between; anywhere else, where the turn is NULL, it does nothing.
 *
 * Over a turn the keys that a request names stay as they are, with all that hangs on them. Whatever else was
 * read of the store may have changed. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct turn {
    uint32_t left;               /* elements until the clock is looked at */
    bool gone;                   /* nobody waits for the outcome any more, and it changes nothing */
    void (*look)(struct turn *); /* sets `left` anew */
    void (*park)(struct turn *); /* gives way until what it waits for has come (turns_wake()) */
    void (*outside)(struct turn *, void *request); /* lets a part of it run on the worker's own stack (turns.h) */
};

static inline void turn_take(struct turn *t)
{
    if (t && --t->left == 0)
        t->look(t);
}

/* The same. False: it is in vain to go on. */
static inline bool turn_goes_on(struct turn *t)
{
    turn_take(t);
    return !t || !t->gone;
}

/* For loops that go over elements in bunches: how many may pass before turn_passed(), and that so many have.
 */
static inline uint32_t turn_bunch(const struct turn *t)
{
    return t ? t->left : UINT32_MAX;
}

static inline bool turn_passed(struct turn *t, uint32_t n)
{
    if (t && t->left > n)
        t->left -= n;
    else if (t)
        t->look(t);
    return !t || !t->gone;
}

/* memcpy() and memset() to zero in pieces, with turns. n may be 0. */
enum { TURN_PIECE = 16384 };
static inline void turn_copy(struct turn *t, void *to, const void *from, size_t n)
{
    char *p = to;
    for (; t && n > TURN_PIECE; n -= TURN_PIECE, p += TURN_PIECE, from = (const char *)from + TURN_PIECE) {
        memcpy(p, from, TURN_PIECE);
        t->left = 1; /* so much is worth a look */
        turn_take(t);
    }
    if (n)
        memcpy(p, from, n);
}
static inline void turn_zero(struct turn *t, void *to, size_t n)
{
    char *p = to;
    for (; t && n > TURN_PIECE; n -= TURN_PIECE, p += TURN_PIECE) {
        memset(p, 0, TURN_PIECE);
        t->left = 1;
        turn_take(t);
    }
    if (n)
        memset(p, 0, n);
}

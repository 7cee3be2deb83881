/* lzf_turns.c: packing and unpacking LZF (lzf_turns.h). */
#include "store/lzf_turns.h"

#include "base/turn.h"

#include <lzf.h>
#include <stdlib.h>

enum {
    SHORT = 16384,      /* liblzf packs what is not longer: that needs no memory, and no turns */
    SLOTS = 1 << 16,    /* where three bytes were seen last */
    FARTHEST = 1 << 13, /* bytes back */
    LITERALS = 1 << 5,  /* in one run */
    LONGEST = 264,
    LEAST = 3,      /* bytes that repeat */
    LONG = 7,       /* a length that has a byte of its own */
    LOOK_EACH = 256 /* bytes between two turns */
};

/* -- packing -- */

struct packer {
    const uint8_t *in;
    size_t at, len;
    uint32_t *seen; /* [SLOTS]: places in `in`; 0, where nothing is looked for, also means none */
    uint8_t *out;
    size_t used, room; /* the byte for the length of the open run counts as used */
    unsigned run;      /* literals in it */
};

static uint32_t slot_of(const uint8_t *p)
{
    uint32_t first = (uint32_t)p[0] << 8 | p[1], second = (uint32_t)p[1] << 8 | p[2];
    return (first - 5 * second) & (SLOTS - 1);
}

static void close_run(struct packer *k)
{
    if (k->run)
        k->out[k->used - k->run - 1] = (uint8_t)(k->run - 1);
    else
        k->used--;
    k->run = 0;
}

static void put_literal(struct packer *k)
{
    k->out[k->used++] = k->in[k->at++];
    if (++k->run < LITERALS)
        return;
    close_run(k);
    k->used++;
}

/* How many bytes here are as those at `from`, of which three are known to be. liblzf looks at the first 16 of
 * the rest without a bound if there are more than 16 before the last two, so it may find two more. */
static size_t repeats(const struct packer *k, size_t from)
{
    enum { UNROLLED = 16 };
    const uint8_t *a = k->in + from, *b = k->in + k->at;
    size_t most = k->len - k->at - 2, n = LEAST;
    if (most > LONGEST)
        most = LONGEST;
    size_t bound = most > UNROLLED && most < LEAST + UNROLLED ? LEAST + UNROLLED : most;
    while (n < bound && a[n] == b[n])
        n++;
    return n;
}

/* Writes that n bytes are as those that were `back` + 1 bytes before. */
static void put_repeat(struct packer *k, size_t n, size_t back)
{
    size_t code = n - 2;
    close_run(k);
    k->out[k->used++] = (uint8_t)(back >> 8 | (code < LONG ? code : LONG) << 5);
    if (code >= LONG)
        k->out[k->used++] = (uint8_t)(code - LONG);
    k->out[k->used++] = (uint8_t)back;
    k->used++; /* of the next run */
}

/* One literal or one repetition. False if there is no room. */
static bool pack_next(struct packer *k)
{
    const uint8_t *p = k->in + k->at;
    uint32_t *slot = &k->seen[slot_of(p)], from = *slot;
    *slot = (uint32_t)k->at;
    size_t back = k->at - from - 1;
    if (!from || back >= FARTHEST || memcmp(k->in + from, p, LEAST) != 0) {
        if (k->used >= k->room)
            return false;
        put_literal(k);
        return true;
    }
    if (k->used - !k->run + LEAST + 1 >= k->room)
        return false;
    size_t n = repeats(k, from);
    put_repeat(k, n, back);
    k->at += n;
    for (size_t i = k->at - 2; i < k->at && k->at + 2 < k->len; i++)
        k->seen[slot_of(k->in + i)] = (uint32_t)i;
    return true;
}

static size_t pack(struct packer *k, struct turn *turn)
{
    for (size_t look = LOOK_EACH; k->at + 2 < k->len;) {
        if (!pack_next(k))
            return 0;
        if (k->at >= look) {
            look = k->at + LOOK_EACH;
            turn_take(turn);
        }
    }
    if (k->used + LEAST > k->room)
        return 0;
    while (k->at < k->len)
        put_literal(k);
    close_run(k);
    return k->used;
}

size_t lzf_pack(struct slice from, uint8_t *to, size_t room, struct turn *turn)
{
    if (from.len <= SHORT)
        return lzf_compress(from.p, (unsigned)from.len, to, (unsigned)room);
    struct packer k = {.in = from.p, .len = from.len, .out = to, .room = room, .used = 1};
    k.seen = calloc(SLOTS, sizeof *k.seen);
    size_t n = k.seen ? pack(&k, turn) : 0;
    free(k.seen);
    return n;
}

/* -- unpacking -- */

/* Copies n bytes that begin `back` bytes before `to`; they may overlap. */
static void repeat(uint8_t *to, size_t back, size_t n)
{
    const uint8_t *from = to - back;
    if (back >= n) {
        memcpy(to, from, n);
        return;
    }
    while (n--)
        *to++ = *from++;
}

bool lzf_unpack(struct slice from, uint8_t *to, size_t len, struct turn *turn)
{
    const uint8_t *p = from.p, *end = from.p + from.len;
    size_t at = 0, look = LOOK_EACH;
    while (p < end) {
        size_t code = *p++, n = code >> 5, back;
        if (code < LITERALS) {
            n = code + 1;
            if (n > len - at || n > (size_t)(end - p))
                return false;
            memcpy(to + at, p, n);
            p += n;
        } else {
            if ((size_t)(end - p) < 1 + (n == LONG))
                return false;
            n += 2 + (n == LONG ? *p++ : 0);
            back = ((code & (LITERALS - 1)) << 8 | *p++) + 1;
            if (n > len - at || back > at)
                return false;
            repeat(to + at, back, n);
        }
        at += n;
        if (at >= look) {
            look = at + LOOK_EACH;
            turn_take(turn);
        }
    }
    return at == len;
}

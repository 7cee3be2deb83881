/* ahead.h: what is noted of look-ups that are to come (store.h has what is done with it). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct shard;
struct entry;
struct bucket;

/* Look-ups that are to come, a row of them, with a hint for each. store_ahead() when one is known and store_look_ahead()
 * before each is made ask for the memory that they will need, in four steps, each for what the one before has brought:
 * the directory's word, the bucket, the entry that it most likely points to, and what a collection's entry has beyond
 * its first lines or points to. The row takes a step together, so that the questions of all wait for memory side by side.
 * Only a hint: what it points to may have gone meanwhile. While nothing was freed or moved since, a look-up of that key
 * (or of any other: the key is compared) needs to look no further. */
enum { AHEAD_ROW = 32 };
#define AHEAD_REFUSED UINT64_MAX
struct ahead {
    const struct shard *s; /* NULL = nothing to look up */
    uint64_t hash;
    const struct entry *e;       /* NULL = not known, or not there */
    union {
        const uint64_t *word;        /* the directory's, until the second step; NULL = there is nothing */
        const struct bucket *bucket; /* its home; NULL = there is none */
    };
    uint64_t changes;            /* of the shard, at the first step; or AHEAD_REFUSED */
    uint32_t db, buckets;        /* buckets: of the segment; 0 = no key like it has gone on from its home */
};
/* Look-ups of strings, short as a rule, all in one database, with which a row begins: this is all that is noted of each. Whoever knows of such
 * ones sets n, db and the hashes. */
struct ahead_texts {
    unsigned n, db;
    unsigned begun;   /* so many have taken the steps to their buckets, ... */
    bool known;       /* ... and all that to their entries */
    uint64_t changes; /* of the shard, at the first step */
    uint64_t hash[AHEAD_ROW];
    const struct bucket *home[AHEAD_ROW];
    const struct entry *e[AHEAD_ROW]; /* NULL: there is no such key */
    uint8_t buckets[AHEAD_ROW];       /* of its segment */
};
struct ahead_row {
    unsigned n;                        /* look-ups; at most AHEAD_ROW */
    unsigned buckets, entries, values; /* the steps that so many of them have taken */
    uint32_t spilled;                  /* one bit each: it was not in its home bucket when the entries were asked for, and was not looked for since */
    struct ahead_texts *texts;         /* the first ones of the row are these, and not in `at`; NULL: none are */
    struct ahead at[AHEAD_ROW];
};
static inline void ahead_begin(struct ahead_row *r)
{
    r->n = r->buckets = r->entries = r->values = r->spilled = 0;
    r->texts = NULL;
}

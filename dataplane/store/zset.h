/* zset.h: sorted sets. A small one is a pack of members and scores in order, a large one a table from member
 * to score with an order tree above it (order.h).
 * https://redis.io/docs/latest/develop/data-types/sorted-sets/
 *
 * Elements are ordered by score, equal scores by member as bytes. Slices and walks are good until the shard
 * changes. A score is never NaN. */
#pragma once
#include "store/order.h"
#include "store/pack_run.h"
#include "store/store.h"

struct zset_body;

enum { ZSET_TEXT = 24 };

struct zset_element {
    struct slice member;
    double score;
};

/* By score, then by member. */
static inline int zset_compare(const struct zset_element *a, const struct zset_element *b)
{
    if (a->score != b->score)
        return a->score < b->score ? -1 : 1;
    size_t common = a->member.len < b->member.len ? a->member.len : b->member.len;
    int differ = common ? memcmp(a->member.p, b->member.p, common) : 0;
    return differ ? differ : (a->member.len > b->member.len) - (a->member.len < b->member.len);
}

/* A sorted set as it is read; empty if there is no such key. */
struct zset {
    const struct shard *s;
    const uint8_t *pack; /* NULL: not the compact form */
    uint32_t pack_len;
    const struct zset_body *body;
};

/* Opens the value of an entry of TYPE_ZSET, or of none (e = NULL). */
void zset_open(struct zset *z, const struct shard *s, const struct entry *e);
uint64_t zset_count(const struct zset *z);
bool zset_score(const struct zset *z, struct slice member, double *score);
bool zset_rank(const struct zset *z, struct slice member, uint64_t *rank, double *score);

/* Elements before the first one with a score from this on, or (behind) above it. */
uint64_t zset_rank_of_score(const struct zset *z, double score, bool behind);

/* One end of a range of members. */
struct zset_lex {
    enum { LEX_LEAST, LEX_MEMBER, LEX_MOST } kind;
    bool exclusive;
    struct slice member;
};
/* The ranks [*first, *end) of the members in a range. If scores differ, this is what a walk from the one end
 * finds before it meets a member outside (from the other end, if reverse), as in Redis' compact form. */
void zset_lex_range(const struct zset *z, const struct zset_lex *min, const struct zset_lex *max,
                    bool reverse, uint64_t *first, uint64_t *end);

/* A walk over elements. */
struct zset_walk {
    const uint8_t *pack;
    uint32_t pack_len, at;
    bool reverse;
    uint64_t word;
    struct order_cursor cursor;
    char text[ZSET_TEXT];
};
/* Starts at a rank (from the least, whatever the direction). */
void zset_walk(struct zset_walk *w, const struct zset *z, uint64_t rank, bool reverse);
/* False at the end. The member is good until the next call. */
bool zset_next(struct zset_walk *w, struct zset_element *out);
/* What is left of a walk, member and score by turns, if it lies together. */
bool zset_run(const struct zset_walk *w, struct pack_run *run);

/* SCAN's guarantees; cursor 0 begins and ends. The compact form is passed as a whole. */
uint64_t zset_scan(const struct zset *z, uint64_t cursor, uint64_t want,
                   void (*visit)(const struct zset_element *e, void *arg), void *arg);

/* -- changing: v->e is NULL or of TYPE_ZSET
 * --------------------------------------------------------------------------------- */

enum {
    ZSET_NX = 1,
    ZSET_XX = 2,
    ZSET_GT = 4,
    ZSET_LT = 8,
    ZSET_INCR = 16,
    ZSET_ANY_LENGTH = 32, /* a long member stays compact among others that do: a pack is read as it was written */
};

enum zset_outcome {
    ZSET_SAME,    /* there, with that score */
    ZSET_REFUSED, /* by NX, XX, GT or LT */
    ZSET_ADDED,
    ZSET_UPDATED,
    ZSET_NAN, /* the sum is not a number */
    ZSET_OOM  /* neither memory nor anything to evict; nothing has changed */
};

/* Adds a member or changes its score, creating the key; *score is what the member has then. The member may
 * not lie in this sorted set. */
enum zset_outcome zset_add(struct value_at *v, struct slice member, double *score, unsigned flags);

/* Removes a member; the key too if that was the last one. */
bool zset_remove(struct value_at *v, struct slice member);
/* Removes the elements of the ranks [first, end). */
void zset_remove_ranks(struct value_at *v, uint64_t first, uint64_t end);

/* Makes `count` > 0 elements, in order and no member twice, the value of a key, whatever it had; without
 * expiry. Their members lie outside the store. */
enum store_result zset_replace(struct value_at *v, const struct zset_element *element, uint64_t count);

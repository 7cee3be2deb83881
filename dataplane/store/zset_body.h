/* zset_body.h: the two forms of a sorted set, for zset*.c.
 *
 * Compact: a pack of member, score, member, score ... in order. A score is a number if it is a whole one,
 * else a string of 4 bytes (a float that is the same number) or 8 (a double); one byte more where the bytes
 * would read as a number. Indexed: a struct zset_body. Its table's entries have the member for a key and the
 * score for a value; the words of its order are these entries. */
#pragma once
#include "store/ordered.h"
#include "store/pack.h"
#include "store/shard.h"
#include "store/table.h"
#include "store/zset.h"

struct zset_body { /* a struct ordered */
    struct table table;
    struct order order;
};
_Static_assert(sizeof(struct zset_body) == sizeof(struct ordered), "a zset_body is a struct ordered");

extern const struct order_kind zset_order;

static inline struct zset_body *zset_body_of(const struct entry *e)
{
    return (struct zset_body *)(void *)entry_body(e);
}

/* -- elements */

/* A number that rises with the score. */
static inline uint64_t zset_hint(double score)
{
    uint64_t bits;
    score += 0.0; /* -0 becomes 0 */
    memcpy(&bits, &score, sizeof bits);
    return bits >> 63 ? ~bits : bits | 1ULL << 63;
}

static inline struct order_key zset_key(const struct zset_element *e)
{
    return (struct order_key){e, zset_hint(e->score)};
}

static inline struct zset_element zset_element_of(const struct entry *e)
{
    struct parts parts = entry_parts(e);
    struct zset_element out = {{parts.key, parts.key_len}, 0};
    memcpy(&out.score, parts.value, sizeof out.score);
    return out;
}

/* -- zset_pack.c */

struct score_text {
    uint8_t bytes[sizeof(double) + 1];
};
struct item zset_score_item(double score, struct score_text *text);
/* The element of a place; its member may lie in text. Returns the place of the next one. */
uint32_t zset_packed(struct pack pk, uint32_t at, struct zset_element *out, char text[PACK_TEXT]);
/* The place of a member or PACK_NOWHERE. */
uint32_t zset_packed_find(struct pack pk, struct slice member);
/* The first place that is not before the element. */
uint32_t zset_packed_place(struct pack pk, const struct zset_element *e);
/* The place of a rank, which may be the count. */
uint32_t zset_packed_at(struct pack pk, uint64_t rank);

/* -- zset_body.c: the caller holds the key's entry */

/* Adds a member that is not there. False without memory. */
bool zset_body_add(struct shard *s, struct zset_body *b, const struct zset_element *e);
/* Gives the element of an entry another score. False without memory. */
bool zset_body_move(struct shard *s, struct zset_body *b, struct entry *e, double score);
/* Removes the element of a rank. */
void zset_body_remove(struct shard *s, struct zset_body *b, uint64_t rank);

/* zset_change.c: makes a body that is in no entry yet, not empty, the value of a key that has none, in
 * whichever form its size and its longest member call for. STORE_OOM: the body is the caller's. */
enum store_result zset_adopt_body(struct value_at *v, struct zset_body *b, size_t longest);

/* What the store does with a body (value.h). */
struct body *zset_body_clone(struct shard *to, const struct body *body);
bool zset_body_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget);

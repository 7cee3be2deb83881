/* hash.h: hashes. Up to hash-max-listpack-entries fields of up to hash-max-listpack-value bytes are a pack of
 * fields and values by turns, above that a table. https://redis.io/docs/latest/develop/data-types/hashes/
 * Fields may have a time to expire (Redis 7.4, HEXPIRE): from that millisecond on they are absent to every
 * function here, and a hash without any other field is no key.
 *
 * Slices handed out point into the value or into the scratch of the call: good until the shard changes.
 * Slices handed in must not lie in the hash that is changed. */
#pragma once
#include "store/pack_run.h"
#include "store/store.h"

enum { HASH_TEXT = 24 };                      /* scratch for a number's digits */
#define HASH_LATEST ((UINT64_C(1) << 46) - 1) /* the latest time of a field, as in Redis */

struct hash_pair {
    struct slice field, value;
    uint64_t expire_at; /* absolute ms, 0 = never */
    char field_text[HASH_TEXT], value_text[HASH_TEXT];
};

/* -- reading: e is a live entry of TYPE_HASH -- */

uint64_t hash_count(const struct shard *s, const struct entry *e);
/* The value of a field. False if there is no such field. */
bool hash_get(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
              char scratch[HASH_TEXT]);
/* The same for several fields one after the other. *near, 0 at first, is where the last one was found:
 * whoever asks in the order in which they lie finds each at once. */
bool hash_get_near(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
                   char scratch[HASH_TEXT], uint32_t *near);
/* The same with the field's time to expire (absolute ms, 0 = never). */
bool hash_get_until(const struct shard *s, const struct entry *e, struct slice field, struct slice *value,
                    char scratch[HASH_TEXT], uint64_t *expire_at);

/* Every pair once: for (cursor = {0}; hash_next(...); ). The hash must not change. */
struct hash_cursor {
    uint64_t at;
};
bool hash_next(const struct shard *s, const struct entry *e, struct hash_cursor *cursor,
               struct hash_pair *pair);

/* All of them, field and value by turns, if they lie together. */
bool hash_run(const struct entry *e, struct pack_run *run);

typedef void hash_visit(const struct hash_pair *pair, void *arg);

/* HSCAN: the pairs of one step, see store_scan(); a pack is one step. Returns the next cursor. */
uint64_t hash_scan(const struct shard *s, const struct entry *e, uint64_t cursor, uint64_t want,
                   hash_visit *visit, void *arg);
/* A pair at random. */
void hash_random(struct shard *s, const struct entry *e, struct hash_pair *pair);
/* n different pairs, each set of n as likely as any other; all of them if there are no more. False, and none
 * was visited, if there is no memory for it. */
bool hash_sample(struct shard *s, const struct entry *e, uint64_t n, hash_visit *visit, void *arg);

/* -- changing: v->e is NULL or of TYPE_HASH -- */

/* Fields or values of this length are about to come: a pack that may not hold them becomes a table. */
enum store_result hash_expect(struct value_at *v, size_t longest);
/* Sets a field, which does not expire then. STORE_OOM: the hash is as it was. *added (may be NULL): the field
 * is new. */
enum store_result hash_set(struct value_at *v, struct slice field, struct slice value, bool *added);
/* hash_set() for a pack that is read as it was written: however long the texts, only their number counts. */
enum store_result hash_load(struct value_at *v, struct slice field, struct slice value, bool *added);
/* hash_set(), but the field keeps its time to expire. */
enum store_result hash_update(struct value_at *v, struct slice field, struct slice value, bool *added);
/* Sets (absolute ms, at most HASH_LATEST) or clears (0) the time of a field that is there. STORE_OOM: as it
 * was. */
enum store_result hash_expire(struct value_at *v, struct slice field, uint64_t expire_at);
/* How many fields are gone and still lie there (of a pack at most so many); 0 if it is no hash. */
uint64_t hash_gone(struct shard *s, unsigned db, const struct key *k);
/* Takes those of the fields out whose time is over and that still lie there, and tells the log; of a pack all that are gone.
 * n = 0: of a table at most so many; again until none is left. Nobody may be reading the hash in slices (pins.h).
 * True if gone ones are left. */
enum { HASH_DROP_AT_ONCE = 64 };
bool hash_drop_gone(struct shard *s, unsigned db, const struct key *k, const struct slice *field, unsigned n);
/* Removes a field; the key goes with the last one. False if there was none. */
bool hash_delete(struct value_at *v, struct slice field);

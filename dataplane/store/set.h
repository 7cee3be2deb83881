/* set.h: sets. Up to set-max-intset-entries integers are a sorted array, up to set-max-listpack-entries
 * members of up to set-max-listpack-value bytes a pack, and above that a table.
 * https://redis.io/docs/latest/develop/data-types/sets/
 *
 * Slices handed out point into the value or into the struct that carries them: good until the shard changes.
 */
#pragma once
#include "store/pack_run.h"
#include "store/store.h"

struct set_member {
    struct slice text;
    char digits[24]; /* of an integer */
};

/* -- reading: e is a live entry of TYPE_SET -- */

uint64_t set_count(const struct entry *e);
bool set_has(const struct shard *s, const struct entry *e, struct slice member);

/* Every member once: for (cursor = {0}; set_next(...); ). The set must not change. */
struct set_cursor {
    uint64_t at;
};
bool set_next(const struct shard *s, const struct entry *e, struct set_cursor *cursor,
              struct set_member *member);

/* All of them, if they lie together. */
bool set_run(const struct entry *e, struct pack_run *run);

typedef void set_visit(const struct set_member *member, void *arg);

/* SSCAN: the members of one step, see store_scan(); a compact set is one step. Returns the next cursor. */
uint64_t set_scan(const struct shard *s, const struct entry *e, uint64_t cursor, uint64_t want,
                  set_visit *visit, void *arg);
/* A member at random. */
void set_random(struct shard *s, const struct entry *e, struct set_member *member);
/* n different members, each subset as likely as any other; all of them if there are no more. False, and none
 * was visited, if there is no memory for it. */
bool set_sample(struct shard *s, const struct entry *e, uint64_t n, set_visit *visit, void *arg);

/* -- changing: v->e is NULL or of TYPE_SET -- */

/* Adds a member that does not lie in this set. STORE_OOM: the set is as it was. */
enum store_result set_add(struct value_at *v, struct slice member, bool *added);
/* Removes a member, which may lie in the set; the key goes with the last one. False if there was none. */
bool set_remove(struct value_at *v, struct slice member);

/* table.h: a large unordered collection: an index (index.h) of its own whose entries are the elements, each a
 * field (the entry's key) with a value. So it grows and shrinks without a pause, its scans have the
 * keyspace's guarantees and an element is one small allocation. The element of a set has an empty value, that
 * of a sorted set eight bytes. Private to the store.
 *
 * Functions that allocate may evict other keys: the caller holds the key that the table belongs to. */
#pragma once
#include "store/index.h"
#include "store/value.h"

struct shard;

struct table { /* zero but for body.type: empty */
    struct body body;
    struct index index;
    uint32_t dropped; /* segments freed so far, when it is thrown away */
};

static inline uint64_t table_count(const struct table *t)
{
    return t->index.keys;
}

/* A new empty table as the body of a value. NULL without memory. */
struct table *table_new(struct shard *s, enum value_type type);

/* The element of a field, NULL if there is none. Its field is entry_key(), its value entry_string(). */
struct entry *table_find(const struct shard *s, const struct table *t, struct slice field);
/* Puts a field's value, new or in place of its old one, whose time to expire (entry_expire_at()) it keeps; the
 * slices may lie in the store, but not in this table. The element, or NULL without memory: then nothing has
 * changed. *added (may be NULL): it is new. */
struct entry *table_put(struct shard *s, struct table *t, struct slice field, struct slice value,
                        bool *added);
/* The same for a field that is not there yet. */
struct entry *table_add(struct shard *s, struct table *t, struct slice field, struct slice value);
/* The same with a time to expire (absolute ms, 0 = none), which the table itself does not regard. */
struct entry *table_add_until(struct shard *s, struct table *t, struct slice field, struct slice value,
                              uint64_t expire_at);
/* An element that is in no table yet (shard_free() undoes it), and the change that puts it in the place of the
 * one that has its field: for an owner that keeps elements in order as well. NULL without memory. */
struct entry *table_make(struct shard *s, struct slice field, struct slice value, uint64_t expire_at);
void table_exchange(struct shard *s, struct table *t, struct entry *old, struct entry *made);
bool table_remove(struct shard *s, struct table *t, struct slice field);

/* Elements in steps as store_scan() has them: at least those of one bucket, then until `want` have passed.
 * The next cursor, 0 at the end. */
uint64_t table_scan(const struct shard *s, const struct table *t, uint64_t cursor, uint64_t want,
                    void (*visit)(struct entry *e, void *arg), void *arg);
/* Each element once, in no particular order: for (cursor = {0}; (e = table_next(..)); ). The table must not
 * change. */
struct table_cursor {
    uint32_t segment, slot;
};
struct entry *table_next(const struct shard *s, const struct table *t, struct table_cursor *cursor);

/* An element, each as likely as any other. The table is not empty. */
struct entry *table_random(struct shard *s, const struct table *t);

/* n different elements, each set of n as likely as any other; all of them if there are no more. False, and
 * none was visited, without memory (of the process, not of the store). */
bool table_sample(struct shard *s, const struct table *t, uint64_t n,
                  void (*visit)(struct entry *e, void *arg), void *arg);

/* For rows of struct body_ops. */
bool table_free(struct shard *s, struct body *b, unsigned *budget);
struct body *table_clone(struct shard *to, const struct body *b);
uint64_t table_overhead(const struct body *b);
bool table_compact(struct shard *s, struct body *b, uint64_t *cursor, unsigned *budget);

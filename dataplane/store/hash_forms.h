/* hash_forms.h: the forms of a hash, for hash*.c and for what the store must know of fields that expire.
 * Private to the store.
 *
 * Without times: a pack of field, value, field, value ..., or a struct ordered whose order is empty. Once a
 * field has been given a time:
 *
 *   timed pack   ┌──────┬───────┬───────┬──────┬───────┬───────┬──────┬ …      next: the soonest of the times
 *                │ next │ field │ value │ time │ field │ value │ time │        time: 0, or HASH_EPOCH + ms,
 *                └──────┴───────┴───────┴──────┴───────┴───────┴──────┴ …      1 or 8 bytes
 *   table        its elements with a time have that as their expiry, and are words of the order, by time and
 * field
 *
 * That is 8 bytes a field with a time, 1 without, and 8 for the pack; or 6 and a word of the order, about 16.
 * A field whose time has come is absent to every reader from that millisecond on, wherever it still lies: it
 * is taken out by upkeep (the wheel has an item for the soonest time of the hash, expiry.h) or overwritten. A
 * hash has a field that is not gone, or the next look-up of its key removes it. */
#pragma once
#include "store/hash.h"
#include "store/ordered.h"
#include "store/pack.h"
#include "store/shard.h"

#define HASH_EPOCH (INT64_C(1) << 46) /* makes every time a number of one size */

static inline bool hash_time_over(const struct shard *s, uint64_t at)
{
    return at != 0 && at < s->now_ms; /* as Redis: it is there in its last millisecond */
}

/* -- what the store asks (any entry) */

/* The soonest time of a hash's fields, gone or not; 0 = none has one. */
uint64_t hash_next_time(const struct entry *e);
/* True if all fields are gone. */
bool hash_is_over(const struct shard *s, const struct entry *e);
/* Fields, gone ones included. */
uint64_t hash_fields(const struct entry *e);
/* Takes out fields whose time has come, as many as *budget has, and counts it down; the key with the last. */
void hash_collect(struct value_at *v, unsigned *budget);

/* -- packs */

struct hash_pack {
    struct pack pk;
    uint32_t first;  /* the place of the first field */
    unsigned stride; /* 2, or 3 with times */
};

struct hash_pack hash_pack_of(const struct entry *e);
/* The place of a field, whether it is gone or not, or PACK_NOWHERE. Looks from the place of a field `near` on
 * first (0: from the beginning). */
uint32_t hash_pack_find(const struct hash_pack *h, const struct item *field, uint32_t near);
/* The time of the field at a place, 0 = none. */
uint64_t hash_pack_time(const struct hash_pack *h, uint32_t at);
/* The same as an item. */
struct item hash_time_item(uint64_t at);
/* Writes the soonest time anew after a change. */
void hash_pack_settle(struct hash_pack *h);

/* -- tables */

static inline struct ordered *hash_table_of(const struct entry *e)
{
    return (struct ordered *)(void *)entry_body(e);
}

/* Adds a field that is not there. The caller holds the key's entry. False without memory. */
bool hash_table_add(struct shard *s, struct ordered *o, const struct hash_pair *pair);
/* Gives an element another value, keeping its time; NULL without memory. */
struct entry *hash_table_put(struct shard *s, struct ordered *o, struct entry *e, struct slice value);
/* Another time (0 = none) and, unless it is NULL, another value. False without memory. */
bool hash_table_set_time(struct shard *s, struct ordered *o, struct entry *e, const struct slice *value,
                         uint64_t at);
void hash_table_remove(struct shard *s, struct ordered *o, struct entry *e);
/* How many fields are gone. */
uint64_t hash_table_gone(const struct shard *s, const struct ordered *o);

struct body *hash_table_clone(struct shard *to, const struct body *body);
bool hash_table_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget);

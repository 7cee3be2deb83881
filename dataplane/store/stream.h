/* stream.h: streams, with their consumer groups.
 * https://redis.io/docs/latest/develop/data-types/streams/
 *
 * A stream is an indexed form from its first entry on (an empty one exists, too): entries lie in nodes,
 * packs bounded by stream-node-max-bytes and -entries, which an order tree (order.h) keeps by ID. A group has
 * its pending entries and its consumers in order trees of its own, and each consumer those that it owns.
 *
 *   stream ── nodes ──> node: master fields, entry, entry ...
 *      └───── groups ─> group ── pending ───> pending entry <─┐
 *                         └───── consumers ─> consumer ───────┘ pending
 *
 * Slices, walks and pointers are good until the shard changes, or while the stream is held. Whatever
 * allocates holds the stream itself. */
#pragma once
#include "store/order.h"
#include "store/store.h"

struct stream_node;

struct stream_id {
    uint64_t ms, seq;
};
enum { STREAM_SCRATCH = 512 }; /* bytes of the longest value that a node keeps in pieces */
#define STREAM_ID_MIN ((struct stream_id){0, 0})
#define STREAM_ID_MAX ((struct stream_id){UINT64_MAX, UINT64_MAX})

struct stream {
    uint64_t length, entries_added;
    struct stream_id first; /* of the entries there are; 0-0 if there is none */
    struct stream_id last;  /* the greatest ever given */
    struct stream_id max_deleted;
    struct order nodes, groups;
};

enum { ENTRIES_READ_UNKNOWN = -1 };

struct stream_group {
    struct stream_id last; /* delivered */
    int64_t entries_read;  /* or ENTRIES_READ_UNKNOWN */
    struct order pending;  /* of struct stream_pending, by ID */
    struct order consumers;
    uint32_t name_len;
    uint8_t name[];
};

struct stream_consumer {
    int64_t seen, active; /* ms since 1970; -1: never */
    struct order pending;
    uint32_t name_len;
    uint8_t name[];
};

struct stream_pending {
    struct stream_id id;
    struct stream_consumer *consumer; /* NULL: reserved, not delivered yet */
    int64_t delivered;                /* ms since 1970 */
    int64_t deliveries;
};

static inline int stream_id_compare(struct stream_id a, struct stream_id b)
{
    if (a.ms != b.ms)
        return a.ms < b.ms ? -1 : 1;
    return a.seq < b.seq ? -1 : a.seq > b.seq;
}

/* The next and the previous ID; false at the end of all. */
bool stream_id_next(struct stream_id *id);
bool stream_id_prev(struct stream_id *id);

/* -- a stream */

/* The stream of a value that is one, NULL if there is no key. */
struct stream *stream_of(const struct value_at *v);
/* Keeps the stream where it is, whatever is allocated, until stream_release(). False if it was held before.
 */
bool stream_hold(const struct value_at *v);
void stream_release(const struct value_at *v);

/* Creates the key with an empty stream. */
enum store_result stream_create(struct value_at *v);
/* Adds an entry of `pairs` fields and values, which alternate in `pair`; creates the key. id is greater than
 * the last one. STORE_OOM: nothing has changed. */
enum store_result stream_add(struct value_at *v, struct stream_id id, const struct slice *pair,
                             uint32_t pairs);
enum { STREAM_BYTES_MOST = 1 << 30 }; /* of an entry's fields and values, as in Redis */

/* Deletes an entry. False if there is none. The stream stays, empty perhaps. */
bool stream_delete(struct value_at *v, struct stream_id id);

struct stream_trim {
    bool by_id;       /* entries below `least` go, else the oldest beyond `keep` */
    bool approximate; /* whole nodes only */
    uint64_t limit;   /* of entries removed, 0 = none */
    uint64_t keep;
    struct stream_id least;
};
/* Number of entries removed. */
uint64_t stream_trim(struct value_at *v, const struct stream_trim *how);

/* -- entries */

struct stream_walk {
    struct stream_id id; /* of the entry that stream_walk_next() found ... */
    uint32_t fields;     /* ... and how many fields it has */
    /* Private. */
    struct stream_id from, to;
    struct order_cursor cursor;
    const struct stream_node *node;
    uint32_t at;    /* where the next entry begins, or ends in reverse */
    uint32_t begin; /* where this one begins */
    uint32_t left, name_at, value_at;
    bool reverse, same;
};

/* Where a field or value is put together that does not lie in one piece in its node. */
struct stream_text {
    char digits[24];
    uint8_t value[STREAM_SCRATCH];
};

/* From one ID to another, both included; in reverse from the latter to the former. */
void stream_walk(struct stream_walk *w, const struct stream *st, struct stream_id from, struct stream_id to,
                 bool reverse);
bool stream_walk_next(struct stream_walk *w);
/* The next entry is the one that was found last once more (forward only). */
void stream_walk_back(struct stream_walk *w);
/* The entry's next field, as long as there are some. The slices may lie in text. */
bool stream_walk_field(struct stream_walk *w, struct stream_text *text, struct slice *field,
                       struct slice *value);

bool stream_has(const struct stream *st, struct stream_id id);
/* Entries from one ID to another, `most` at most. */
uint64_t stream_count(const struct stream *st, struct stream_id from, struct stream_id to, uint64_t most,
                      struct turn *turn);
/* The ID of the last entry there is (length > 0). */
struct stream_id stream_last_entry(const struct stream *st);

/* -- groups and consumers, in order of their names */

static inline struct slice stream_group_name(const struct stream_group *g)
{
    return (struct slice){g->name, g->name_len};
}

static inline struct slice stream_consumer_name(const struct stream_consumer *c)
{
    return (struct slice){c->name, c->name_len};
}

struct stream_group *stream_group_find(const struct stream *st, struct slice name);
/* The one of a rank from 0, NULL at the end. */
struct stream_group *stream_group_at(const struct stream *st, uint64_t rank);
/* A new group, whose name is not there yet. NULL without memory. */
struct stream_group *stream_group_add(struct value_at *v, struct slice name, struct stream_id last,
                                      int64_t entries_read);
void stream_group_remove(struct value_at *v, struct stream_group *g);
/* Entries not delivered to the group yet; false if that cannot be known. */
bool stream_group_lag(const struct stream *st, const struct stream_group *g, int64_t *lag);
/* Notes that an entry is delivered: the last ID, if it is a later one, and the count of entries read. */
void stream_group_advance(const struct stream *st, struct stream_group *g, struct stream_id id);

struct stream_consumer *stream_consumer_find(const struct stream_group *g, struct slice name);
struct stream_consumer *stream_consumer_at(const struct stream_group *g, uint64_t rank);
/* A new consumer, seen now and never active. NULL without memory. */
struct stream_consumer *stream_consumer_add(struct value_at *v, struct stream_group *g, struct slice name);
/* Removes a consumer with what is pending for it. */
void stream_consumer_remove(struct value_at *v, struct stream_group *g, struct stream_consumer *c);

/* -- pending entries
 *
 * What is to be given to a consumer is reserved first, which may fail, entry by entry; then taken, which may
 * not; then settled: what was reserved and not taken is as it was before. So a command gives all or nothing.
 */

struct stream_pending *stream_pending_find(const struct stream_group *g, struct stream_id id);
/* The first one in a group's or a consumer's list at or after an ID, and its rank; NULL if there is none.
 * cursor (or NULL) is for order_next(), whose words are pointers of the same kind. */
struct stream_pending *stream_pending_seek(const struct order *pending, struct stream_id id,
                                           struct order_cursor *cursor, uint64_t *rank);

/* Makes sure that the entry's pending record can become the consumer's; make: also if there is none. */
enum store_result stream_pending_reserve(struct value_at *v, struct stream_group *g,
                                         struct stream_consumer *c, struct stream_id id, bool make);
/* Makes a record that was reserved for the consumer its own. */
void stream_pending_take(struct value_at *v, struct stream_consumer *c, struct stream_pending *p);
void stream_pending_settle(struct value_at *v, struct stream_group *g, struct stream_consumer *c,
                           struct stream_id id);
/* Removes the record of an entry (XACK). False if there is none. */
bool stream_pending_remove(struct value_at *v, struct stream_group *g, struct stream_id id);

/* stream_body.h: a stream in its body, and what stream*.c share. */
#pragma once
#include "store/shard.h"
#include "store/stream_node.h"
#include "store/value.h"

struct stream_body {
    struct body body;
    struct stream st;
    struct stream_group *doomed; /* a group that was removed, in a body made to free it in slices */
};

/* Orders nodes by their first ID, groups and consumers by name, pending entries by ID. The keys are a struct
 * stream_id or a struct slice. */
extern const struct order_kind stream_node_order, stream_group_order, stream_consumer_order,
    stream_pending_order;

static inline struct order_key stream_id_key(const struct stream_id *id)
{
    return (struct order_key){id, id->ms};
}

static inline struct stream_body *stream_body_of(const struct value_at *v)
{
    return (struct stream_body *)(void *)entry_body(v->e);
}

static inline uint64_t word_of(const void *p)
{
    return (uintptr_t)p;
}

/* Memory that hangs on a body and is counted there. */
void *stream_alloc(struct shard *s, struct stream_body *b, uint64_t size);
void stream_free(struct shard *s, struct stream_body *b, void *p, uint64_t size);

static inline uint64_t node_size(const struct stream_node *n)
{
    return sizeof *n + n->cap;
}

/* The last node whose first ID is not behind this one, its rank and place; NULL if there is none. */
struct stream_node *stream_node_for(const struct stream *st, struct stream_id id, uint64_t *rank,
                                    struct order_cursor *cursor);
/* Adds an entry to a body; false without memory. */
bool stream_body_add(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                     uint32_t pairs);

/* The same in two steps, for nodes that are as they were elsewhere: begins a node, whose first ID and fields
 * are these, without an entry; adds an entry to the last node, whatever its limits. Neither counts
 * entries_added. */
bool stream_body_begin(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                       uint32_t pairs);
bool stream_body_put(struct shard *s, struct stream_body *b, struct stream_id id, const struct slice *pair,
                     uint32_t pairs);

/* New groups, consumers and pending entries in a body that is held, or is in no entry yet. NULL without
 * memory. */
struct stream_group *group_add(struct shard *s, struct stream_body *b, struct slice name);
struct stream_consumer *consumer_add(struct shard *s, struct stream_body *b, struct stream_group *g,
                                     struct slice name);
struct stream_pending *pending_add(struct shard *s, struct stream_body *b, struct stream_group *g,
                                   struct stream_consumer *c, struct stream_id id);
/* The same in two steps: a record in the group's list alone; and then it is the consumer's. */
struct stream_pending *pending_new(struct shard *s, struct stream_body *b, struct stream_group *g,
                                   struct stream_id id);
bool pending_own(struct shard *s, struct stream_consumer *c, struct stream_pending *p);
/* A group's entries_read that has delivered everything up to an ID. */
int64_t stream_entries_until(const struct stream *st, struct stream_id id);

/* Frees about *budget pieces of a group that is in no stream any more. True when it is gone. */
bool group_free(struct shard *s, struct stream_body *b, struct stream_group *g, unsigned *budget);
/* What a group takes of body.memory. */
uint64_t group_memory(const struct stream_group *g);

/* For struct body_ops. */
bool stream_body_free(struct shard *s, struct body *body, unsigned *budget);
struct body *stream_body_clone(struct shard *to, const struct body *body);
uint64_t stream_body_overhead(const struct body *body);
bool stream_body_compact(struct shard *s, struct body *body, uint64_t *cursor, unsigned *budget);

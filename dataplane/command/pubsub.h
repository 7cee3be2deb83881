/* pubsub.h: who has subscribed to what, on one worker. https://redis.io/docs/latest/develop/interact/pubsub/
 *
 *     topic ── subscription ── subscription ...      in the order in which they came
 *                   │               │
 *              subscriber      subscriber ...        one a client that has any; its own chain by kind
 *
 * Each worker has the topics of its own clients. Others only read what pubsub_interested() reads; all the
 * rest is touched by the worker itself, or with all workers stopped (PUBSUB CHANNELS). All is on the heap and
 * counts as its clients' memory. Knows neither sessions nor how a message gets to a client. */
#pragma once
#include "base/chains.h"
#include "command/client.h"

#include <stdatomic.h>
#include <stddef.h>

struct command_env;

enum topic_kind { TOPIC_CHANNEL, TOPIC_PATTERN, TOPIC_SHARD };
enum { TOPIC_KINDS = 3, PUBSUB_INTEREST = 4096 };

struct topic {
    struct chain_node node;
    struct topic *prev, *next; /* of its kind */
    struct subscription *first, *last;
    uint64_t subscribers;
    uint64_t since; /* number of its first subscription */
    uint32_t len;
    uint8_t kind;
    uint8_t name[];
};

struct subscription {
    struct chain_node node; /* by topic and subscriber */
    struct topic *topic;
    struct subscriber *subscriber;
    struct subscription *prev, *next;           /* of the topic */
    struct subscription *mine_prev, *mine_next; /* of the subscriber and kind */
    uint64_t since;                             /* number of the subscription */
};

struct subscriber {
    struct client *client; /* NULL: it has gone, its subscriptions follow */
    struct subscriber *prev, *next;
    struct subscription *mine[TOPIC_KINDS];
    uint64_t n[TOPIC_KINDS];
    uint64_t bytes;
};

/* A message on its way through the subscribers; one at a time. */
struct pubsub_walk {
    struct topic *topic; /* being gone through, or NULL */
    struct subscription *next;
    struct topic *pattern; /* the pattern to look at after it */
    struct slice channel;
    uint64_t until; /* later subscribers do not get it */
};

/* A walk over the topics of a kind that others may come in between. */
struct topic_walk {
    struct topic *next;
    uint64_t until; /* later ones are not seen */
    struct topic_walk *others;
};

struct pubsub {
    uint64_t seed; /* the same on all workers */
    struct chains topics, subscriptions;
    struct topic *first[TOPIC_KINDS], *last[TOPIC_KINDS];
    uint64_t n[TOPIC_KINDS];
    uint64_t made; /* subscriptions, ever */
    struct subscriber *subscribers, *gone;
    struct pubsub_walk walk;
    struct topic_walk *walks;
    _Atomic(uint32_t) patterns;
    _Atomic(uint32_t) interest[PUBSUB_INTEREST]; /* topics by hash: 0 = nobody here wants such a channel */
};

/* NULL if out of memory. */
struct pubsub *pubsub_new(uint64_t seed);
/* Frees it with all that is left; clients are not touched. */
void pubsub_free(struct pubsub *p);

enum subscribed { SUBSCRIBED, SUBSCRIBED_ALREADY, SUBSCRIBED_NO_MEMORY };
enum subscribed pubsub_subscribe(struct pubsub *p, struct client *c, enum topic_kind kind, struct slice name);
/* False if it had not subscribed to that. */
bool pubsub_unsubscribe(struct pubsub *p, struct client *c, enum topic_kind kind, struct slice name);
/* The client forgets all its subscriptions, or goes: many of them end later, by pubsub_tidy(). */
void pubsub_leave(struct pubsub *p, struct client *c);
/* Ends some of those that were left over. True if there are more. */
bool pubsub_tidy(struct pubsub *p);

/* Subscriptions of a client, and the bytes they take. */
uint64_t pubsub_count(const struct client *c, enum topic_kind kind);
uint64_t pubsub_bytes(const struct client *c);

/* NULL if nobody here has subscribed to it. */
struct topic *pubsub_topic(const struct pubsub *p, enum topic_kind kind, struct slice name);
static inline struct slice topic_name(const struct topic *t)
{
    return (struct slice){t->name, t->len};
}
/* Goes through the topics of a kind that there are now and still are when their turn comes: NULL at the end.
 * The walk is p's until it ends. This worker, or all others are stopped: at each call. */
void topic_walk_begin(struct topic_walk *walk, struct pubsub *p, enum topic_kind kind);
struct topic *topic_walk_next(struct topic_walk *walk);
void topic_walk_end(struct topic_walk *walk, struct pubsub *p);

/* Might a message to this channel have receivers here? From any worker, at any time: it sees what was
 * subscribed before. */
bool pubsub_interested(const struct pubsub *p, enum topic_kind kind, struct slice channel);
/* How many deliveries a message makes here. */
uint64_t pubsub_receivers(const struct pubsub *p, enum topic_kind kind, struct slice channel);

/* Begins to go through the receivers of a message that subscribed up to number `until` (p->made). The channel
 * stays borrowed. */
void pubsub_walk_begin(struct pubsub *p, enum topic_kind kind, struct slice channel, uint64_t until);
/* The next one and the topic by which it gets the message; NULL at the end, or when *budget steps are used
 * up. Subscriptions may come and go between two calls. */
struct client *pubsub_walk_next(struct pubsub *p, struct topic **topic, unsigned *budget);
bool pubsub_walk_ended(const struct pubsub *p);

/* Different topics of all workers; with all of them stopped. */
uint64_t pubsub_topics(const struct command_env *env, enum topic_kind kind);

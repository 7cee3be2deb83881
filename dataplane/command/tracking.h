/* tracking.h: client-side caching. https://redis.io/docs/latest/develop/reference/client-side-caching/
 *
 *     key ── ids of the clients that have read it       on the worker of the key's shard ("table")
 *     prefix ── members: clients in BCAST mode          on the worker of the client
 *     tracker                                           what a worker knows of a client of its own that
 * tracks, or that somebody redirects to note                                              something to be
 * told, on its way to a client's worker
 *
 * The store tells of each key that changes (store/waits.h): the key leaves the table, and notes are written
 * for the workers of its readers. A worker's own notes become messages for its clients when the command is
 * over (tracking_next); those for others are brought there (tracking_take, tracking_give). So a client gets
 * an invalidation behind the reply of the read that it ends.
 *
 * Each worker has a struct tracking that it alone touches, or whoever has stopped all. Which clients track
 * and which prefixes there are changes only with all workers stopped (CLIENT TRACKING); when clients leave,
 * their prefixes stay behind, empty. So any worker may look at any worker's prefixes. Knows neither sessions
 * nor how a message gets to a client. */
#pragma once
#include "base/chains.h"
#include "base/config.h"
#include "command/client.h"
#include "command/text.h"

#include <stdatomic.h>

struct command;
struct command_env;
struct request;

enum tracking_how {
    TRACK_ON = 1, /* not only redirected to */
    TRACK_BCAST = 2,
    TRACK_OPTIN = 4,
    TRACK_OPTOUT = 8,
    TRACK_NOLOOP = 16,
    TRACK_BROKEN = 32 /* the client that it redirects to was not there */
};

struct tracked { /* a key and the clients that have read it: an id and a worker each (tracking_ref) */
    struct chain_node node;
    uint32_t len;
    uint32_t n, cap; /* cap 0: one, in `only`; otherwise places of an open hash table, 0 = free */
    union {
        uint64_t only, *many;
    } ref;
    uint8_t name[];
};

struct member { /* of a prefix */
    struct prefix *prefix;
    struct tracker *tracker;
    struct member *prev, *next; /* of the prefix */
    struct member *mine;        /* of the tracker */
};

struct changed { /* a key that members of a prefix are to be told of */
    uint8_t *name;
    uint32_t len;
    uint32_t number; /* the last one of a key counts */
    uint64_t origin;
};

struct prefix {
    struct chain_node node;
    struct prefix *prev, *next;
    struct member *members;
    struct prefix *due_next; /* has changed keys; in the order of names */
    bool due;
    struct changed *changed;
    uint32_t n, cap;
    uint32_t len;
    uint8_t name[];
};

struct tracker {
    struct chain_node node; /* by id */
    struct tracker *prev, *next;
    struct client *client;
    unsigned how;
    unsigned redirect_worker;
    uint64_t redirect; /* id; 0: none */
    struct member *prefixes;
    uint64_t bytes;
};

struct tracking_notes {
    uint8_t *p;
    size_t len, cap;
    size_t at;     /* own notes: the one that is being told, */
    uint32_t told; /* and how many of its clients have been */
};

struct tracking_common {
    unsigned workers;
    struct tracking *of[CONFIG_WORKERS];
    struct tracking *runner;   /* whoever has stopped all others, or NULL */
    _Atomic(uint32_t) clients; /* that track */
};

struct tracking { /* one a worker */
    struct tracking_common *common;
    struct command_env *env;
    bool *due;        /* raised when there is something to be told */
    uint64_t current; /* the client whose command runs; 0: none */
    bool held;        /* notes are about clients whose own replies are still to come */
    struct chains keys;
    uint64_t items, bytes; /* clients of keys; what the table takes */
    uint64_t unused_ms;    /* since when nobody tracks; 0: somebody does */
    struct chains flushed; /* is being freed, from this bucket on: */
    size_t flushed_at;
    struct chains trackers;
    struct tracker *first, *walk; /* walk: the next one to be told that all keys have gone */
    struct chains prefixes;
    struct prefix *first_prefix, *due_prefix;
    _Atomic(uint32_t) members;
    uint32_t *length; /* different lengths of prefixes */
    unsigned lengths;
    struct prefix *telling; /* its members are being told: */
    struct member *member;
    struct changed *tells;
    uint32_t telling_n;
    struct text body; /* of the message that is being told */
    bool has_body;
    _Atomic(bool) lost; /* memory was short: all clients here are to forget everything */
    struct tracking_notes to[CONFIG_WORKERS];
};

/* What a client is to be told. */
struct invalidation {
    struct client *to;
    bool redirected;   /* for another client */
    struct slice body; /* RESP: an array of keys, or null for all */
    uint64_t broken;   /* not 0: the client that it redirects to is not there */
};

/* -- life -- */

/* NULL if out of memory. */
struct tracking *tracking_new(struct tracking_common *common, struct command_env *env, bool *due);
void tracking_free(struct tracking *t);
/* A client ends. */
void tracking_leave(struct tracking *t, struct client *c);
/* It tracks no more. */
void tracking_off(struct tracking *t, struct client *c);
/* The id of the client that it redirects to, 0: none, -1: it does not track. */
int64_t tracking_redirect(const struct client *c);
/* Bytes that tracking takes for a client, 0 without. */
uint64_t tracking_bytes(const struct client *c);
/* A command of a client has been read and is over: what CLIENT CACHING has said has been used. */
void tracking_after(struct client *c, const struct command *cmd);
static inline unsigned tracking_how(const struct client *c)
{
    return c->tracker ? c->tracker->how : 0;
}
static inline uint64_t tracking_ref(const struct client *c)
{
    return c->id << 8 | c->worker;
}

/* -- the table -- */

/* key_change_fn of a shard, ctx is the tracking of its worker. */
void tracking_changed(void *ctx, struct slice name, uint64_t hash, bool by_itself);
/* A command that reads has run for a client that tracks: remembers its keys. */
void tracking_remember(const struct request *rq);
/* The keyspace, or a database of it, was emptied: with all workers stopped. */
void tracking_flushed(struct command_env *env);
/* A slice of what is to be done at leisure: keys beyond tracking-table-max-keys, tables that were emptied.
 * False: nobody here tracks, and nothing is left. */
bool tracking_upkeep(struct tracking *t);
/* Totals of the box, with all workers stopped. */
void tracking_totals(const struct command_env *env, uint64_t *keys, uint64_t *items, uint64_t *prefixes);

/* -- telling -- */

/* The next message for a client here, until the next call; false at the end or when *budget steps are used
 * up. all: also to BCAST clients what has been collected for them. */
bool tracking_next(struct tracking *t, bool all, unsigned *budget, struct invalidation *out);
/* Is there more? */
bool tracking_due(const struct tracking *t);
/* Takes the notes for another worker, malloc()ed; NULL if there are none. */
uint8_t *tracking_take(struct tracking *t, unsigned worker, size_t *len);
/* Those that have come from another worker; borrowed. */
void tracking_give(struct tracking *t, const uint8_t *p, size_t len);

/* -- for its own files -- */

enum note_kind {
    NOTE_KEY,    /* a key that clients have read */
    NOTE_ALL,    /* everything that any client here has read */
    NOTE_BCAST,  /* a key that has changed: whoever is in BCAST mode for it */
    NOTE_PASSED, /* the body of a message, redirected to a client here by another one: both ids */
    NOTE_BROKEN  /* the client that one here redirects to is not there: both ids */
};

struct note { /* behind it: ids, text, and up to the next multiple of 8 */
    uint32_t kind, ids, len, worker;
    uint64_t origin; /* the client that has changed something, 0: none */
    uint64_t id[];
};

/* Adds one, whose ids and text are to be filled in. NULL if out of memory: all is lost (tracking.lost of the
 * receiver), and nobody stays with what is old. */
struct note *note_add(struct tracking *t, unsigned worker, enum note_kind kind, uint32_t ids,
                      struct slice text);
/* Where notes go that are written now for a shard of t's worker. */
static inline struct tracking *tracking_writer(struct tracking *t)
{
    return t->common->runner ? t->common->runner : t;
}
/* Byte by byte. */
static inline int name_order(struct slice a, struct slice b)
{
    size_t least = a.len < b.len ? a.len : b.len;
    int c = least ? memcmp(a.p, b.p, least) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}
/* Begins a body of n keys, and adds one. */
void body_begin(struct tracking *t, uint32_t n);
void body_add(struct tracking *t, struct slice key);
struct tracker *tracker_find(const struct tracking *t, uint64_t id);
/* Makes one for a client of t's worker if there is none. NULL if out of memory. */
struct tracker *tracker_of(struct tracking *t, struct client *c);
/* Joins a prefix; with all workers stopped. False if out of memory. */
bool prefix_join(struct tracking *t, struct tracker *tr, struct slice name);
/* Does any member here want this key? */
bool prefix_any(const struct tracking *t, struct slice key);
/* A key has changed: it is collected for each prefix that it has. */
void prefix_collect(struct tracking *t, struct slice key, uint64_t origin);
/* Prefixes without members go; with all workers stopped. */
void prefix_tidy(struct tracking *t);
void prefix_leave(struct tracking *t, struct tracker *tr);
/* The next member of a prefix that has collected keys, with the body of its message; NULL at the end. */
struct tracker *prefix_next(struct tracking *t);
/* Prefixes of this worker that no worker before it has, too. */
uint64_t prefix_count(const struct tracking_common *common, unsigned worker);
void prefix_free_all(struct tracking *t);
/* Frees the table of keys. */
void tracked_free_all(struct tracking *t);

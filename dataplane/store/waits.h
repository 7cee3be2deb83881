/* waits.h: who waits for which key of a shard: for each (database, key) the waiters in the order in which
 * they came, and the list of keys that have become ready since it was last served; and who watches which key
 * (WATCH), with a flag each that is raised when the key changes. Knows neither clients nor commands. Where a
 * key comes to be, changes or goes, or a stream grows, the store notes it here.
 *
 * The table is on the heap, as waiters are; its bounds are its caller's (dataplane/block.h). */
#pragma once
#include "store/store.h"

struct wait_key;

/* A waiter at one key; memory of its waiter. */
struct wait_node {
    struct wait_key *key; /* NULL: not in the table */
    struct wait_node *prev, *next;
    void *waiter;
    int position;   /* of the key in the waiter's arguments */
    unsigned shard; /* whose table it is in */
    enum value_type type;
    bool gone; /* also wants to know when the key goes */
};

/* Somebody watches a key; memory of whoever does. */
struct watch_node {
    struct wait_key *key; /* NULL: not in the table */
    struct watch_node *prev, *next;
    struct watch_node *others; /* of the same watcher: his own chain */
    _Atomic(bool) *changed;    /* raised by whatever changes the key; names the watcher */
    unsigned shard;            /* whose table it is in */
};

struct wait_key {
    struct wait_key *bucket_next, *ready_next;
    uint64_t hash;
    unsigned db;
    struct wait_node *first, *last;
    struct wait_node *at; /* the next one of a row that is being served */
    struct watch_node *watching;
    uint32_t waiting[TYPE_STREAM + 1]; /* by type */
    uint32_t gone;
    bool ready;  /* in the list of ready keys, or of held ones */
    bool pinned; /* is being served: stays although nobody waits any more */
    bool again;  /* has become ready once more since it was set aside */
    uint32_t len;
    uint8_t name[];
};

/* Events of keys (keyspace notifications). What a command does to a key is collected until
 * waits_take_noted(); what happens by itself is told at once. */
enum key_event {
    EVENT_EXPIRED,
    EVENT_EVICTED,
    EVENT_FIELDS_EXPIRED,
    EVENT_EMPTIED,
    EVENT_MISSED,
    EVENT_LOST
};
typedef void key_event_fn(void *ctx, enum key_event event, unsigned db, struct slice name);
/* Fields of a hash are about to go, as their time is over. */
typedef void fields_gone_fn(void *ctx, unsigned db, struct slice name, const struct slice *field, unsigned n);

struct noted_key {
    unsigned db;
    bool made, gone; /* gone: and not made anew */
    bool remade;     /* made where another one had been */
    uint64_t hash;
    uint32_t len;
    uint8_t *name; /* of malloc() */
};

struct key_events {
    key_event_fn *tell;
    void *ctx;
    unsigned databases; /* drafts are in one behind them */
    bool told;          /* the key that goes next has been told of */
    struct noted_key *noted;
    unsigned n, cap;
};

enum { NOTED_KEPT = 64 };
#define WAITS_EVENTS  (UINT64_C(1) << 62)
#define WAITS_CHANGES (UINT64_C(1) << 61)
#define WAITS_SNAPSHOT (UINT64_C(1) << 60)
#define WAITS_LOG (UINT64_C(1) << 59)

/* Whoever wants to know of each key that changes, at the moment when it does: as one who watches it. by_itself:
 * no command has done it. */
typedef void key_change_fn(void *ctx, struct slice name, uint64_t hash, bool by_itself);

struct waits {
    uint64_t nodes;            /* 0: nobody waits, nobody watches, nobody wants events */
    struct key_events *events; /* NULL: none can be wanted */
    key_change_fn *changed;    /* if WAITS_CHANGES */
    void *changed_ctx;
    unsigned databases; /* drafts are in one behind them */
    bool by_itself;     /* the key that goes next has expired, or is evicted */
    key_event_fn *log;  /* if WAITS_LOG: is told of what happens by itself */
    fields_gone_fn *log_fields;
    void *log_ctx;
    uint64_t went; /* changes that it was told have happened by themselves */
    struct wait_key **bucket;
    uint64_t buckets, keys;
    struct wait_key *ready_first, *ready_last;
    struct wait_key *held_first, *held_last;
    struct wait_row *rows; /* of block.c: keys that were taken and are served in slices */
};

/* The bytes that a key of this length takes beside its nodes. */
static inline uint64_t wait_key_size(size_t len)
{
    return sizeof(struct wait_key) + len + 16;
}

/* The shard's table. */
struct waits *shard_waits(struct shard *s);

/* Appends a node, whose waiter, position, shard, type and gone are set, to those of a key. False if out of
 * memory. A node of the same waiter at this key already: true, and the node is left out. */
bool waits_add(struct waits *w, unsigned db, const struct key *k, struct wait_node *node);
/* Takes it out again; nothing if it is in no table. */
void waits_remove(struct waits *w, struct wait_node *node);

/* Watches a key from now on: node->changed and shard are set. False if out of memory. A node with this very
 * flag at this key already: true, and the node is left out (its key stays NULL). */
bool waits_watch(struct waits *w, unsigned db, const struct key *k, struct watch_node *node);
void waits_unwatch(struct waits *w, struct watch_node *node);

/* The next ready key, pinned, off the list; NULL if there is none. waits_unpin() when it has been served. */
struct wait_key *waits_take(struct waits *w);
void waits_unpin(struct waits *w, struct wait_key *key);
/* A key that was taken is gone on with later: should it be ready once more, then after waits_unpin(). */
void waits_set_aside(struct waits *w, struct wait_key *key);
/* A key that was taken waits for others to be stopped before it is served, and those that do are ready again.
 */
void waits_hold(struct waits *w, struct wait_key *key);
void waits_release(struct waits *w);

/* From now on events can be wanted: waits_want_events(). False if out of memory. */
bool waits_events(struct waits *w, unsigned databases, key_event_fn *tell, void *ctx);
void waits_want_events(struct waits *w, bool wanted);
void waits_forget_noted(struct waits *w);
/* From now on, or not any more (NULL), `changed` is called for each key of a database that changes. */
void waits_want_changes(struct waits *w, unsigned databases, key_change_fn *changed, void *ctx);
/* From now on, or not any more, the store has a snapshot to tell of keys that come and go (snapshot.h). */
void waits_want_snapshot(struct waits *w, bool wanted);
/* From now on, or not any more (NULL), `log` is told of what happens by itself, and `fields` of fields that go. */
void waits_want_log(struct waits *w, unsigned databases, key_event_fn *log, fields_gone_fn *fields, void *ctx);
/* Does the log want to know of a database's fields that go? */
static inline bool waits_want_fields(const struct waits *w, unsigned db)
{
    return w->nodes & WAITS_LOG && db < w->databases;
}
/* Notes a change that is no change for who watches the key. */
void waits_note_event(struct waits *w, unsigned db, const struct key *k);
/* Tells of what is about to happen to a key by itself. */
void waits_tell(struct waits *w, enum key_event event, unsigned db, struct slice name);

/* Frees the table and what was noted, not the nodes. */
void waits_free(struct waits *w);

/* -- for the store, through db_note_key() and value_grew(): one predicted branch while nobody waits */

enum wait_event {
    KEY_MADE,
    KEY_GONE,
    KEY_CHANGED,
    KEY_GREW /* a reader is to look; whoever watches is not told */
};

void waits_note(struct waits *w, unsigned db, struct slice name, uint64_t hash, enum wait_event event,
                enum value_type type);
/* All keys of a database may have come or gone: FLUSHALL, SWAPDB. */
void waits_note_all(struct waits *w, unsigned db);
/* Before that: of its watched keys those change that `there` says are, or will be, there. */
void waits_change_all(struct waits *w, unsigned db, bool (*there)(void *arg, const struct key *k), void *arg);

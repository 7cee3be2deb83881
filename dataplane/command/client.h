/* client.h: what the command layer knows of a connection. The session (session.h) embeds one; tests make
 * their own. */
#pragma once
#include "base/endpoint.h"
#include "base/slice.h"

#include <assert.h>

struct acl_user;
struct command;
struct effects;
struct subscriber;
struct tracker;
struct transaction;

enum client_flag {
    CLIENT_AUTHENTICATED = 1,
    CLIENT_CLOSE_AFTER_REPLY = 2, /* QUIT, protocol errors */
    CLIENT_REPLY_OFF = 4,
    CLIENT_REPLY_SKIP = 8,       /* this reply is not sent */
    CLIENT_REPLY_SKIP_NEXT = 16, /* set by CLIENT REPLY SKIP itself */
    CLIENT_NO_EVICT = 32,
    CLIENT_NO_TOUCH = 64,
    CLIENT_KILLED = 128,   /* to be closed as soon as its worker sees it */
    CLIENT_INTERNAL = 256, /* control's own, through the channel: every right, not listed */
    CLIENT_PROXY =
        1024, /* a copy that stands for a client of another worker while its request is on the way */
    CLIENT_DENY_BLOCKING = 4096, /* its commands run inside another one (MULTI, a script) and must not wait */
    CLIENT_BLOCKED = 2048,       /* waits in a blocking command: as far as CLIENT LIST is concerned */
    CLIENT_MULTI = 8192,         /* MULTI is open: commands are queued */
    CLIENT_PUBSUB = 1 << 14,     /* has subscriptions */
    CLIENT_GOES_ON = 1 << 15,    /* its EXEC or script has begun to write: that it may is not asked any more */
    CLIENT_COUNTED = 1 << 20,    /* its command runs once more: look-ups have been counted */
    CLIENT_TRACKS = 1 << 24,     /* the keys that it reads are remembered (CLIENT TRACKING) */
    CLIENT_CACHING = 1 << 25,    /* CLIENT CACHING has said otherwise for the command that follows */
    CLIENT_MONITOR = 1 << 26,    /* MONITOR: it is shown what others do */
    CLIENT_SCRIPT = 1 << 22,     /* its commands are those of a script */
    CLIENT_UNLIMITED = 1 << 23,  /* authenticated as a user who may do everything: nothing to check */
    CLIENT_CLUSTER = 1 << 28, /* came to its worker's own port: it sees a node of a cluster (command/cluster.h) */
    CLIENT_READONLY = 1 << 29, /* READONLY */
    CLIENT_WAITING = 512,        /* a reply will come later (hop, barrier, control) */
    /* Commands of such a client do not go the short way (dispatch.c, row.h). */
    CLIENT_UNUSUAL = CLIENT_REPLY_OFF | CLIENT_REPLY_SKIP | CLIENT_MULTI | CLIENT_PUBSUB | CLIENT_CACHING |
                     CLIENT_MONITOR | CLIENT_CLUSTER
};

enum { CLIENT_NAME_MAX = 512 }; /* of a name and of library attributes; Redis knows no limit */

struct client_measure { /* what a client holds at a moment; output_list: chunks */
    uint64_t query_bytes, query_free, output_bytes, output_list, memory_bytes;
};

struct client {
    /* What every request touches: one cache line. */
    uint64_t id;
    uint32_t flags;
    uint16_t db;
    uint8_t proto; /* 2 or 3 */
    uint8_t worker;
    uint64_t last_ms; /* wall clock, as created_ms */
    const struct command *last_command;
    struct acl_user *user; /* held (command/acl.h); NULL: the default user */
    uint64_t commands, bytes_in, bytes_out;

    struct endpoint peer, local;
    char *name, *lib_name, *lib_ver; /* heap or NULL; freed by client_release */
    uint64_t created_ms;
    struct acl_user *certified;      /* held: whom the client's certificate makes it, or NULL */
    struct transaction *transaction; /* of MULTI and WATCH (command/transaction.h), or NULL */
    struct subscriber *subscriber;   /* of Pub/Sub (command/pubsub.h), or NULL */
    struct tracker *tracker;         /* of client-side caching (command/tracking.h), or NULL */
    const struct client_measure *measured; /* set when it is asked for (CLIENT LIST), until the next one is; or NULL */
    struct effects *effects; /* the record of the log that its command is a part of (command/effects.h), or NULL */
};
static_assert(offsetof(struct client, peer) == 64, "what every request touches is one cache line");

/* All zero if nobody has measured it. */
struct client_measure client_measured(const struct client *c);
void client_init(struct client *c, uint64_t id, uint64_t now_ms);
/* Frees what commands attached. The struct itself belongs to the session. */
void client_release(struct client *c);
/* Back to the state of a new connection (RESET): db 0, RESP2, no name, no user. */
void client_reset(struct client *c);

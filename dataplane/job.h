/* job.h: a request that cannot finish where and when it was read: it hops to the worker that owns its shard,
 * waits for a stop of all workers, or waits for control. A job owns a copy of its arguments and collects its
 * reply on the heap, so that the connection it came from may vanish meanwhile. Also the way in for control's
 * own commands. */
#pragma once
#include "block.h"
#include "inspect.h"

struct session;
struct load_batch;
struct out_chunk;
struct pin;

enum job_kind {
    JOB_HOP,     /* runs on the owner of its shard, comes back */
    JOB_BARRIER, /* runs at home with all other workers stopped */
    JOB_SERVE,   /* a worker's own: keys are to be served with all other workers stopped */
    JOB_FORGET,  /* waits no more: visits the shards that still have it in their tables */
    JOB_UNWATCH, /* takes watched keys out of the tables of the shards they are in */
    JOB_ASK,     /* control answers it */
    JOB_NOTES,   /* invalidations (worker_tracking.c), in `query` */
    JOB_LINES,   /* lines of MONITOR (worker_monitor.c), in `query` */
    JOB_PUBLISH, /* a message on its way through the workers (worker_pubsub.c) */
    JOB_EXEC,    /* control's command: from the main thread to worker 0 and back */
    JOB_LOAD,    /* a batch of a snapshot (load.h): from the main thread to the worker of its shard and back */
    JOB_INSPECT  /* control's question to every worker (inspect.h), from the main thread and back */
};

struct inspection { /* of a JOB_INSPECT */
    inspect_fn *fn;
    struct visit visit;
};

struct publication { /* of a JOB_PUBLISH: its arguments are channel and message */
    enum topic_kind kind;
    unsigned first; /* worker that had it first */
    unsigned next;  /* that is to have it next */
    bool awaited;   /* its publisher waits for the number of receivers */
    bool begun;
    uint64_t receivers;
    uint64_t until; /* number of the last subscription here that came before it */
};

struct seat { /* of a job that waits for pinned keys, or runs in slices (turns.h); zero when it is made */
    struct pin *pin;
    int pins;
    bool everything; /* it reads all keys, and has them */
    bool alone;      /* it has its shard, or all of them, to itself */
    bool longer;     /* its handler has returned CMD_LONG */
    bool whole;      /* it waits for all commands in slices */
    bool stopped;    /* it runs with all other workers stopped */
};

struct carried { /* one of the requests that a client has sent one behind the other, and that hop as one job */
    const struct command *cmd;
    uint64_t hash;      /* of its first key, ... */
    uint16_t argc, key; /* ... which is that argument */
    uint32_t rx, query; /* where it ends in what its session has received, and in its query buffer, as from the
                           end of the first one */
};

enum { JOB_ROOM = 4096, JOB_REPLY_KEPT = 16384 };

struct job {
    enum job_kind kind;
    unsigned home;           /* worker that made it (the main thread's number for JOB_EXEC and JOB_INSPECT) */
    bool done;               /* the reply is complete */
    bool silent;             /* nobody wants it: CLIENT REPLY OFF or SKIP */
    uint64_t id;             /* control's number of a JOB_EXEC or JOB_INSPECT */
    struct session *session; /* who waits; NULL if nobody does any more */
    bool lent;               /* client has the session's transaction: it goes back with the reply */
    struct watch *watch;     /* of a JOB_UNWATCH */
    struct client client;    /* what the command may read of the client: a copy, its name in argv's memory */
    uint64_t users_seen;     /* acl_changes() at which the client's rights were looked at last */
    struct request rq;
    struct slice *argv;
    uint8_t *room; /* JOB_ROOM bytes for argv that stay with the job when it is used again, or NULL: argv has memory of its own */
    struct carried *carried; /* in `room`, when it is more than one request: rq and argv are the one at work */
    unsigned requests, begun; /* how many they are, and how many of them have begun; 0: it is one */
    uint8_t *query, *copied; /* what argv and client.name lie in, if that is not argv's own memory */
    struct resp_writer out; /* into reply; out.failed: the reply is not whole and must not be sent */
    uint8_t *reply;
    size_t reply_len, reply_cap, reply_max; /* beyond the last the reply fails */
    bool streams; /* what it replies from now on goes into chunks, which its session takes over as they are */
    struct out_chunk *chunk_first, *chunk_last;
    uint64_t chunk_bytes;
    struct publication publication;
    uint8_t *behind; /* invalidations that come with the reply, or NULL */
    size_t behind_len;
    size_t notes; /* bytes in `query` of a JOB_NOTES or JOB_LINES */
    struct inspection *inspection; /* NULL for other kinds */
    struct load_batch *load;       /* of a JOB_LOAD */
    struct waiter wait;
    struct seat seat;
    struct job *next; /* in the list of its worker */
};

/* Copies argv and what matters of client. NULL if out of memory. */
struct job *job_new(enum job_kind kind, unsigned home, const struct client *client, int argc,
                    const struct slice *argv);
/* The same with arguments that are not copied: they lie in `query`. Both are the job's then, each of
 * malloc(). NULL if out of memory: nothing is taken. */
struct job *job_new_with(enum job_kind kind, unsigned home, const struct client *client, int argc,
                         struct slice *argv, uint8_t *query);
/* A JOB_NOTES or JOB_LINES, of no client, that brings so many bytes of malloc() to worker `to`. They are the
 * job's. NULL if out of memory: nothing is taken. */
struct job *job_new_notes(enum job_kind kind, unsigned home, unsigned to, uint8_t *notes, size_t len);
void job_free(struct job *j);
/* A job without arguments: one that was kept, if there is one, with `room` for them. NULL if out of memory. */
struct job *job_with_room(struct job **kept, enum job_kind kind, unsigned home, const struct client *client);
/* Is nothing left of it but memory that the next one can use? Then it may be kept by its home instead of being freed: the
 * caller puts it in front of its list. */
bool job_empty(struct job *j);
/* The next one of the requests that it carries is the one at work. */
void job_next(struct job *j);
/* Puts j behind the last of a list; first and last of an empty one are NULL. */
void job_append(struct job **first, struct job **last, struct job *j);

/* Prepares the copy as a request of env; j->rq.route says where it must run. */
void job_prepare(struct job *j, struct command_env *env);
/* Takes other texts for n arguments from `at` on; the request must be prepared anew. False if out of memory.
 */
bool job_replace(struct job *j, int at, int n, const struct slice *with);
/* Have users changed since its client's rights were looked at? */
bool job_is_outdated(const struct job *j, const struct command_env *env);
/* Runs it there and then, with the rights that its client has now, and collects the reply; CMD_BLOCK: there is none, see block_begin(); CMD_LONG: see
 * turns_long(). */
enum command_result job_run(struct job *j, struct command_env *env);
/* Refuses it because others are busy: done. */
void job_busy(struct job *j, struct command_env *env, const char *busy);
/* Opens the reply for more bytes behind those it has, and closes it. */
struct resp_writer *job_write_begin(struct job *j);
void job_write_end(struct job *j);
/* Puts bytes before and behind the reply; out.failed if out of memory. */
void job_wrap(struct job *j, struct slice before, struct slice after);
/* The reply is an error, unless nobody wants it. */
void job_refuse(struct job *j, const char *text);
/* Sets a reply that came from elsewhere; out.failed if out of memory. */
void job_set_reply(struct job *j, struct slice resp);
struct slice job_reply(const struct job *j);
/* An empty chunk for so many bytes; free() ends it. NULL without memory. */
struct out_chunk *out_chunk_new(uint32_t cap);

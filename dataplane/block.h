/* block.h: clients that wait for keys: BLPOP and its kin (https://redis.io/docs/latest/commands/blpop/).
 *
 * A request that found nothing becomes a job that waits: it is in the table of each of its keys' shards
 * (store/waits.h), and its owner, the worker that ran it, keeps its timeout. When a command has made a key
 * ready, the worker that ran it serves the key before anything else runs there: in the order in which they
 * came, the waiters' handlers run again until one finds nothing. A long row is served in slices; its key is
 * pinned (store/pins.h) until it has ended.
 *
 * A job that waits in several shards can be taken by any of them, by its owner's timer, or given up by its
 * session: whoever moves its state away from BLOCK_WAITING has it alone, removes what it may touch (its own
 * shard's nodes; everything when all other workers are stopped), and passes it on; a job with nodes left
 * visits the other shards when its reply has been delivered (block_leave, block_next). So nothing is
 * delivered twice, and nobody need ask another worker before he serves. Only a waiter whose command changes
 * several shards (BLMOVE to another one) makes its key wait for a stop of all workers.
 *
 *   RUNNING --begin--> WAITING --serve, timeout, unblock--> CLAIMED --found nothing--> WAITING
 *                         `---- session gone ----> ABANDONED (from any state)
 *
 * No worker, session or network in here. */
#pragma once
#include "command/command.h"
#include "store/waits.h"

struct job;
struct blocking;

enum block_state { BLOCK_RUNNING, BLOCK_WAITING, BLOCK_CLAIMED, BLOCK_ABANDONED };

struct waiter { /* part of a job; zero when it is made */
    _Atomic(int) state;
    struct wait_node *node; /* one a key */
    unsigned nodes, linked; /* ... and how many are in a table */
    struct blocking *owner; /* whose `clients`, `bytes` and timers it is in; NULL: nobody's any more */
    size_t timer;           /* place among those, from 1; 0 = none */
    uint64_t deadline_us, bytes;
    bool several; /* needs several shards to run again */
    _Atomic(bool) killed; /* so was its client: it is passed over */
};

struct blocking { /* one a worker */
    struct command_env *env;
    struct job **heap; /* by deadline */
    size_t timers, room;
    uint64_t clients;
    uint64_t bytes, bytes_max;          /* what waiters may take together: beyond it blocking is refused */
    struct job *done_first, *done_last; /* with their replies, to be brought home */
    bool alone;                         /* there is no other worker: all shards may be touched at any time */
    uint64_t slice;                     /* TSC cycles of serving, then others come first; 0: all in one go */
    unsigned each;                      /* tests: a slice ends after so many waiters; 0 = by time */
    uint64_t until;                     /* of this slice */
    unsigned left;
    bool wants_stop;                    /* block_serve(b, true) is to run with all other workers stopped */
    bool later;                         /* ... and once more, when a command in slices on whatever worker has given up its keys */
};

void blocking_init(struct blocking *b, struct command_env *env, bool alone, uint64_t bytes_max);
void blocking_free(struct blocking *b);

/* The job's command has returned CMD_BLOCK here, with all other workers stopped or only keys of this shard:
 * it waits now. False: it is done, with an error as its reply, or nobody is there any more. */
bool block_begin(struct blocking *b, struct job *j);

/* True if a key of this worker's shard has become ready. */
static inline bool block_ready(const struct waits *w)
{
    return __builtin_expect(w->ready_first != NULL, 0);
}
/* Serves the keys that have become ready, of this shard or (stopped: all other workers are, or there are
 * none) of all. Who was served is in the done list. What takes longer than a slice is left: block_rows(). */
void block_serve(struct blocking *b, bool stopped);
/* Are there keys of this shard whose waiters are served in slices? They are pinned meanwhile. */
static inline bool block_rows(const struct waits *w)
{
    return __builtin_expect(w->rows != NULL, 0);
}
/* The next slice, if there are. */
void block_go_on(struct blocking *b);
/* Ends the waiting of those whose time has come by env->now_us. */
void block_timers(struct blocking *b);

/* Ends the waiting of a job with all other workers stopped: as its timeout, or with Redis' error. False if it
 * does not wait. */
bool block_end(struct blocking *b, struct job *j, bool error);
bool block_waits(const struct job *j);
/* The session is gone. True if the job was waiting: it is the caller's now, to be passed on as below. */
bool block_abandon(struct job *j);
/* Takes out what this worker may touch of a job that waits no more. True when nothing is left: it may be
 * freed; otherwise it goes on to worker block_next(). */
bool block_leave(struct blocking *b, struct job *j);
unsigned block_next(const struct job *j);

/* The next of the done list, or NULL. */
struct job *block_done(struct blocking *b);

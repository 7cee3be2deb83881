/* turns.h: commands that take long, in slices, so that a worker's other clients never wait for more than one.
 *
 * A handler that sees much work before it returns CMD_LONG (command.h, turn_wanted). Its request becomes a
 * job that pins its keys (store/pins.h) and runs the handler once more, on a coroutine: in the loops
 * turn_take() gives way when a slice is over. Meanwhile what only reads a key that is only read goes on, and
 * every other request that names a pinned key waits as a job: first come, first served, so nobody sees a
 * command half done and nobody starves. Time stands still for a command in slices, as in Redis.
 *
 *   CMD_LONG --> waits for its keys (and for a free coroutine) --> has them, slice by slice --> done
 *   a pinned key is named --> waits for its keys --> runs as ever --> done, or CMD_LONG, or CMD_BLOCK
 *
 * One that waits for another server (CMD_REMOTE) parks: it has its keys and its coroutine, but gets no slices
 * until it is woken. At most half of the coroutines are theirs.
 *
 * A script runs on a coroutine of its own (script/host.c) and returns CMD_LONG when it is in the middle
 * (request.busy): it has its shard, or all of them, to itself from then on, and its handler goes on with it
 * slice by slice. Who wants what it has waits; after busy-reply-threshold he is told instead.
 *
 * Commands on the whole keyspace (CMD_WHOLE) wait until nobody has a key pinned. EXEC, and what names very many
 * keys, then has its shard to itself (pins_hold_shard). What needs several shards runs with all other workers
 * stopped, and so does each slice of it.
 *
 * No worker, session or network in here. */
#pragma once
#include "base/coroutine.h"
#include "command/command.h"
#include "store/pins.h"

struct job;
struct blocking;
struct slice_run;

enum { TURNS_MOST = 8, TURNS_REMOTE = 4, TURN_SLICE_US = 30, TURN_WORK = 1000 };

struct turns { /* one a worker */
    struct command_env *env;
    struct blocking *blocking;
    struct pins *pins; /* of this worker's shard */
    enum command_result (*run_job)(void *ctx, struct job *j);
    /* Runs a command of an EXEC in slices that must not run on a slice's small stack or on the job's copy of its client.
     * Set behind turns_init(), with env->steps_outside; NULL: there is none (tests). */
    void (*outside)(void *ctx, struct job *j, struct request *next);
    void *ctx;
    uint64_t slice; /* TSC cycles */
    unsigned each;  /* tests: a slice ends after so many elements; 0 = by time */
    struct slice_run *run;
    unsigned jobs;                            /* that it has: waiting, running or done */
    unsigned running, next;                   /* coroutines in use; whose turn it is */
    unsigned stopped;                         /* of them, those that need a stop now */
    unsigned remote;                          /* of them, those that talk to another server */
    struct job *waiting_first, *waiting_last; /* in the order in which they came */
    struct job *done_first, *done_last;       /* with their replies, to be brought home */
    struct job *parts_first, *parts_last;     /* that run part by part on their own client (rq->part) */
    uint64_t walk;
    bool look; /* at those who wait */
};

/* run_job runs a job that has waited: job_run(), and if it returns CMD_ELSEWHERE
 * sees to it that the job's kind says where that is. False if out of memory.
 */
bool turns_init(struct turns *t, struct command_env *env, struct blocking *blocking,
                enum command_result (*run_job)(void *ctx, struct job *j), void *ctx);
/* No command is under way any more: turns_end(). */
void turns_free(struct turns *t);

/* Is there anything that a request could have to wait for? */
static inline bool turns_any(const struct turns *t)
{
    return __builtin_expect(t->pins->pins != 0, 0);
}
/* Must this request wait because of what has been pinned? Shards of other workers are looked at only while these
 * are stopped. held: by who has it, not by who merely waits. */
bool turns_conflict(const struct command_env *env, const struct request *rq, bool held);

/* What this worker's clients are told because a script has taken long; NULL: nothing. */
const char *turns_busy(const struct command_env *env, const struct request *rq);

/* The job's request waits for its keys. False if out of memory: it is done, with an error as its reply. */
bool turns_wait(struct turns *t, struct job *j);
/* The job's handler has returned CMD_LONG here and now. It is in the done list when it has run. */
void turns_long(struct turns *t, struct job *j);
/* The same with all other workers stopped: its slices are given by turns_stopped(), the first at once to one that has done
 * nothing yet. The job may be done when it returns. */
void turns_long_stopped(struct turns *t, struct job *j);
/* A job that a stop was made for could not run, because of turns_conflict(held): pins its keys as one that
 * waits, so that nobody comes first any more. turns_leave() when it runs. */
void turns_queue(struct turns *t, struct job *j);
void turns_leave(struct turns *t, struct job *j);

/* Lets go on who may, and gives one slice. True if there was anything to do. */
bool turns_round(struct turns *t);
/* One slice to what needs all other workers stopped; call it with them stopped. */
static inline bool turns_wants_stop(const struct turns *t)
{
    return t->stopped > 0;
}
void turns_stopped(struct turns *t);
/* A command that has parked goes on with the next slice it gets; nothing if it has not. */
void turns_wake(struct turn *turn);
/* Runs what is under way to its end, and gives up what waits: nobody wants a reply any more, and one that begins
 * now may have no end. Whatever a command has parked for must have come, or must not come any more. */
void turns_end(struct turns *t);

/* The next of the done list, or NULL. One that is not done after all must run elsewhere (CMD_ELSEWHERE). */
struct job *turns_done(struct turns *t);

/* supervise.h: the dataplane's process: found alive or started, watched, started again, stopped.
 *
 *              +--> STARTING --hello--> ATTACHED --stop asked--> STOPPING --ended--> STOPPED
 *   WAITING ---+       |                   |                        |                   |
 *      ^  (back-off)   | ended             | ended, or              | ended (restart)   | start asked
 *      +---------------+-------------------+ channel lost: STARTING +--> STARTING       +--> STARTING
 *
 * The dataplane is put into a session of its own and writes to a file, so that neither a signal to control's
 * terminal nor control's death reaches it. Which program it is `programs` say; an update that ends twice by its own fault without having
 * served, or soon after, that cannot be started twice, cannot load the data, or does not serve in time, is given up for the next of them, with what
 * is kept in memory.
 * What it keeps in memory for the next one (CHANNEL_KEEPS descriptors) is held here and handed on, until it is stopped for good, or until
 * the box's own program crashes twice in a row: then every program may have, and the updates are tried once more without it. */
#pragma once
#include "control/link.h"
#include "control/programs.h"
#include "control/starter.h"

enum supervise_phase { PHASE_WAITING, PHASE_STARTING, PHASE_ATTACHED, PHASE_STOPPING, PHASE_STOPPED };

struct supervise_status {
    enum supervise_phase phase;
    long pid; /* 0 = no process */
    char build[64];
    char program[512]; /* its path; "" = not known */
    char state[32], detail[256]; /* as the dataplane says: starting, serving, stopping */
    char reason[512];            /* why it is not running, or how it ended last time */
    unsigned restarts;           /* since control started */
    uint64_t attached_ms;        /* wall clock; 0 = not attached */
    unsigned backoff_ms;
};

struct supervise_options {
    const char *const *argv; /* the dataplane's command line, the path of the box's own program first */
    struct programs *programs;
    struct starter *starter; /* starts it for us; NULL = we may ourselves */
    const char *socket;
    const char *pid_file;  /* holds its pid while it runs, for scripts */
    const char *log_file;  /* its stdout and stderr */
    unsigned stop_seconds; /* after which an orderly stop becomes SIGTERM */
    unsigned warm_seconds, cold_seconds; /* an update serves in this time, with what is kept in memory, or begins to load, or gets on with it */
};

struct supervise_ops {
    /* Connected; fresh: started by us just now, so it has no configuration yet. */
    void (*attached)(void *ctx, bool fresh);
    void (*detached)(void *ctx);
    /* It has ended and is not started again (stop was asked for). */
    void (*stopped)(void *ctx);
    /* An update of the dataplane does not serve, and why: another program is started next. */
    void (*gave_up)(void *ctx, const char *program, const char *why);
    /* Will the next start find its memory in another shape than it was kept in, by what is configured? It is a cold one then. Asked while
     * what runs is attached. NULL: never. */
    bool (*reshapes)(void *ctx);
};

struct supervisor;
struct supervisor *supervise_new(struct event_base *base, struct link *link,
                                 const struct supervise_options *o, const struct supervise_ops *ops,
                                 void *ctx);
void supervise_free(struct supervisor *s); /* leaves the dataplane alone */

void supervise_start(struct supervisor *s);                    /* attach to a living one, or start it */
void supervise_restart(struct supervisor *s, const char *who); /* also from STOPPED */
void supervise_stop(struct supervisor *s, const char *reason); /* orderly, for good */
const struct supervise_status *supervise_status(const struct supervisor *s);
struct programs *supervise_programs(const struct supervisor *s);
struct starter *supervise_starter(const struct supervisor *s); /* NULL: none is needed */
const char *supervise_phase_name(enum supervise_phase phase);

/* From the link. */
void supervise_keep(struct supervisor *s, const int fds[CHANNEL_KEEPS]);
void supervise_hello(struct supervisor *s, long pid, const char *build);
void supervise_closed(struct supervisor *s, const char *why);
void supervise_state(struct supervisor *s, const char *state, const char *detail);

/* aof_private.h: what the files of the append-only log's life share: aof.c (on, off, figures), aof_rewrite.c, aof_start.c (how it begins
 * with a dataplane, and how it is left), aof_wait.c (WAITAOF). */
#pragma once
#include "control/aof.h"
#include "control/aof_folder.h"
#include "control/aof_writer.h"

enum { AOF_WAITS = 10000 }; /* as many as maxclients is, unless it is set */

enum phase { OFF, FIRST, ON };

/* What the dataplane that has gone last has left in memory, against what the log on the disk says. */
enum left { LEFT_UNKNOWN, LEFT_SAME, LEFT_MORE };

struct aof {
    struct control *control;
    enum phase phase;
    bool rewriting, scheduled, loading;
    bool unserved; /* the dataplane has not come to serve yet, as far as we know: its keys are nobody's */
    bool lost; /* the log has ended without being whole: until there is a new base, what it should have has no other place */
    struct aof_folder *folder;
    pthread_mutex_t lock; /* of the folder */
    struct aof_writer *writer;
    void *bulk; /* what is shared with the last writer's dataplane, also when that is gone; or NULL */
    void *coming; /* ... with the one that has not come to serve yet, as far as we know; or NULL */
    int done_fd;
    struct event *done, *tick;
    uint64_t base, increment; /* of the rewrite under way */
    uint64_t rewritten_bytes; /* after the last rewrite */
    uint64_t began, tried, took, rewrites, failures;
    struct wait *waiting; /* aof_wait.c */
    unsigned waits; /* WAITAOFs under way, of clients that may have gone: at most AOF_WAITS */
    bool rewrite_failed;
    char error[256];
    enum left left;
    bool left_lost;      /* and what is missing had been logged once */
    uint64_t left_stamp; /* of the log's files then */
    uint64_t left_order; /* the last record that had been made then */
};

/* -- aof.c */
const struct settings *aof_conf(const struct aof *a);
bool aof_is_yes(const struct aof *a, const char *name);
/* Is there a dataplane that a rewrite can be asked of? */
bool aof_serves(const struct aof *a);
uint64_t aof_seconds(void);
uint64_t aof_bytes(struct aof *a, uint64_t *base);
/* The dataplane, of how things are. */
void aof_tell(struct aof *a);
bool aof_start_writer(struct aof *a, enum aof_begin how);
/* As aof_writer_stop(). */
bool aof_forget_writer(struct aof *a);
/* The folder of the configuration, as its manifest says. */
void aof_new_folder(struct aof *a);
void aof_end_log(struct aof *a);
void aof_turn_on(struct aof *a);

/* -- aof_start.c */
/* Before anything is done to the log's files: may what was left in memory be served instead of them? */
bool aof_memory_counts(struct aof *a);

/* -- aof_wait.c */
/* Whoever still waits hears that it is not synced. */
void aof_end_waits(struct aof *a);

/* -- aof_rewrite.c */
bool aof_begin_rewrite(struct aof *a);

/* snapshot_private.h: of the files of snapshot.h alone: one that is under way, and what is known of those before. */
#pragma once
#include "control/snapshot.h"
#include "control/snapshot_due.h"

enum phase { IDLE, STARTING, WRITING };

struct snapshot {
    struct control *control;
    enum phase phase;
    struct event *tick, *again, *done;
    int done_fd;
    snapshot_told *begun, *over;
    void *ctx;
    struct snapshot_base base; /* of the one under way; folder NULL: it is a snapshot */
    unsigned tries, scripts; /* answers that one is under way, that a script takes long */
    bool script;             /* the last answer */
    bool hurries;            /* somebody waits for the one under way ... */
    bool hurry_asked, hurry_heard; /* ... and that is said; the dataplane has heard it */
    uint64_t asked_ms;       /* monotonic */
    struct snapshot_file *file;
    struct snapshot_status status;
    uint64_t changes_then, changes_saved; /* at the instant of the one under way, of the last good one */
    uint64_t tried_ms, keys_before; /* keys_before: the dataplane's count of keys written, when this one began */
    bool keeps;                     /* the one under way gets a dated name */
    bool flushed;                   /* FLUSHALL ended the last one */
    uint64_t flushes;               /* FLUSHALLs at the instant of the last one */
    uint64_t scheduled_by_clients;  /* BGSAVEs in transactions, that have been seen to */
    struct due due;
    uint64_t changes_before; /* changes_saved of the dataplane before this one ... */
    bool fresh;              /* ... which may have left its keys in memory, and their count */
};

/* -- snapshot_status.c -- */

const struct settings *snapshot_config(const struct snapshot *s);
bool snapshot_is_yes(const struct snapshot *s, const char *name); /* a directive */
const char *snapshot_folder(const struct snapshot *s); /* dir; its name there */
const char *snapshot_name(const struct snapshot *s);
uint64_t snapshot_wall_ms(void);
uint64_t snapshot_counter(const struct snapshot *s, const char *name); /* of the dataplane, over all workers; 0: not known */
uint64_t snapshot_changes_now(const struct snapshot *s); /* of keys since the dataplane began, or since the keys that it took over were new */
/* What INFO persistence, LASTSAVE and stop-writes-on-bgsave-error need goes to the dataplane. */
void snapshot_tell(struct snapshot *s);

/* -- snapshot.c -- */

/* Somebody waits for the one under way: the dataplane is told until it has heard it. */
void snapshot_say_hurry(struct snapshot *s);

/* -- snapshot_when.c -- */

/* Once a second: is one due? */
void snapshot_tick(struct snapshot *s);

/* snapshot.h: when snapshots are made, and what is known of the last one. One at a time.
 *
 *     IDLE --asked, or a save point is reached--> STARTING --all shards are at the instant--> WRITING --> IDLE
 *
 * The dataplane serialises (dataplane/worker_snapshot.c), a thread writes (snapshot_file.h). What INFO persistence,
 * LASTSAVE and stop-writes-on-bgsave-error need is told to the dataplane as facts. */
#pragma once
#include "control/control.h"
#include "control/snapshot_keep.h"

struct snapshot;
struct snapshot *snapshot_new(struct control *c);
void snapshot_free(struct snapshot *s);
/* Control ends: who waits for the beginning of the one under way is told that there is none; nobody, the dataplane neither, hears of its end. */
void snapshot_leave(struct snapshot *s);

/* Called once when the snapshot has begun (error NULL), or cannot; and when it is over. `begun` may be NULL. */
typedef void snapshot_told(void *ctx, const char *error);
/* False: one is under way already; neither is called then. */
bool snapshot_make(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx);
/* The same, and it stays under a dated name as well (snapshot_keep.h). */
bool snapshot_make_kept(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx);
/* The same, as the base of a log: into folder/name, and what follows into that increment (0: there is no log). It counts as no
 * snapshot. */
struct snapshot_base {
    char *folder, *name; /* the snapshot's from now on */
    uint64_t increment;
    bool commands; /* as aof_base.h writes it */
};
bool snapshot_make_base(struct snapshot *s, const struct snapshot_base *base, snapshot_told *begun, snapshot_told *over, void *ctx);
/* Somebody waits for the one that is under way, if there is one: it is made as fast as if the box had nothing else to do. */
void snapshot_hurry(struct snapshot *s);
/* Whoever asked for it with this ctx is not told of its end. */
void snapshot_forget(struct snapshot *s, const void *ctx);
/* Does the box serve? If not, what it has is not all of its keys, and must not replace the file with all of them. */
bool snapshot_possible(const struct snapshot *s);
/* What has been loaded at start is what is in the file. */
void snapshot_loaded(struct snapshot *s);
bool snapshot_busy(const struct snapshot *s);
/* Does it wait for a script that takes long: the dataplane has said so, or has not answered for so long that it may be one
 * of which nobody is told (busy-reply-threshold)? */
bool snapshot_meets_script(const struct snapshot *s);
/* Are there save points? */
bool snapshot_is_wanted(const struct snapshot *s);

/* From the supervisor, and when settings have changed. */
void snapshot_attached(struct snapshot *s, bool fresh);
void snapshot_detached(struct snapshot *s);
void snapshot_settings(struct snapshot *s);

struct snapshot_status {
    bool busy, failed;  /* failed: the last one */
    uint64_t began_ms;  /* wall clock; 0 = none is under way */
    uint64_t saved_ms;  /* of the last good one; 0 = none since control began */
    uint64_t saves, failures, keys, bytes, took_ms, aside;
    uint64_t changes;   /* of keys since the last good one */
    uint64_t keys_all, keys_written; /* of the one under way */
    uint64_t file_at, file_bytes;    /* what is on disk; 0 = nothing */
    uint64_t loaded_s;               /* since when changes are counted, if no snapshot was made since */
    uint64_t period, next;           /* of snapshot-schedule, seconds and wall clock; 0 = off */
    unsigned kept;                   /* dated ones */
    bool overdue;                    /* one that was due has not come about for long */
    char error[256], keep_error[256];
    char kept_name[KEPT_NAME];       /* the last one that was kept since control began */
};
void snapshot_status(const struct snapshot *s, struct snapshot_status *out);

/* -- snapshot_watch.c -- */

void snapshot_metrics(struct text *out, const struct snapshot *s);
/* Adds a line for each thing that somebody should look at. save: the save points. */
typedef void snapshot_alarm(void *ctx, const char *subject, const char *line);
void snapshot_alarms(const struct snapshot *s, const char *save, snapshot_alarm *holds, void *ctx);

/* snapshot.h: when snapshots are made, and what is known of the last one. One at a time.
 *
 *     IDLE --asked, or a save point is reached--> STARTING --all shards are at the instant--> WRITING --> IDLE
 *
 * The dataplane serialises (dataplane/worker_snapshot.c), a thread writes (snapshot_file.h). What INFO persistence,
 * LASTSAVE and stop-writes-on-bgsave-error need is told to the dataplane as facts. */
#pragma once
#include "control/control.h"

struct snapshot;
struct snapshot *snapshot_new(struct control *c);
void snapshot_free(struct snapshot *s);

/* Called once when the snapshot has begun (error NULL), or cannot; and when it is over. `begun` may be NULL. */
typedef void snapshot_told(void *ctx, const char *error);
/* False: one is under way already; neither is called then. */
bool snapshot_make(struct snapshot *s, snapshot_told *begun, snapshot_told *over, void *ctx);
/* Does the box serve? If not, what it has is not all of its keys, and must not replace the file with all of them. */
bool snapshot_possible(const struct snapshot *s);
/* What has been loaded at start is what is in the file. */
void snapshot_loaded(struct snapshot *s);
bool snapshot_busy(const struct snapshot *s);
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
    char error[256];
};
void snapshot_status(const struct snapshot *s, struct snapshot_status *out);

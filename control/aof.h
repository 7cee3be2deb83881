/* aof.h: the life of the append-only log: begun and ended by `appendonly`, loaded at start, rewritten without fork (a snapshot at
 * an instant, and a new increment from that instant on). The files: aof_folder.h; who writes them: aof_writer.h.
 *
 *     OFF --appendonly yes while serving--> FIRST (a base is made) --> ON --appendonly no--> OFF
 *     at start: manifest, base and increments are loaded, and the last increment goes on --> ON */
#pragma once
#include "control/control.h"

struct aof;
struct aof *aof_new(struct control *c);
void aof_free(struct aof *a);

bool aof_is_wanted(const struct aof *a);
/* Instead of the snapshot, when the dataplane wants its keys. */
void aof_load(struct aof *a);
/* From the supervisor, and when settings have changed. */
void aof_attached(struct aof *a);
void aof_detached(struct aof *a);
void aof_settings(struct aof *a);
/* BGREWRITEAOF: the line to reply, which begins with '+' or '-'. */
const char *aof_rewrite(struct aof *a);
/* WAITAOF: done() once what has been done by now is on the disk, or (false) when the time is over (0: never). Nobody says when a client
 * has gone that waits: beyond 10,000 who wait, done() is called at once with what is so now. aof_free() ends all waits (false). False: there is no log. */
typedef void aof_waited(void *ctx, bool synced);
bool aof_wait(struct aof *a, uint64_t ms, bool whole_time, aof_waited *done, void *ctx);

struct aof_status {
    bool on, rewriting;
    const char *error; /* "" = none */
    uint64_t bytes, base_bytes;
};
void aof_status(struct aof *a, struct aof_status *out);

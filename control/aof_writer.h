/* aof_writer.h: the increments of the append-only log, written on a thread of their own from the rings that workers fill
 * (channel/messages.h): records in the order of their numbers, each once, whatever ends this process. */
#pragma once
#include "control/aof_folder.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LOG_LOST = UINT32_MAX }; /* instead of the file, in the place that is noted: it cannot be gone on with, and had been trusted */

enum aof_policy { AOF_EVERYSEC, AOF_ALWAYS, AOF_NO };

struct aof_writer_status {
    char error[256];     /* why the last write failed; "": it did not */
    char broken[256];    /* the log has a hole, or may have one: a new base is needed */
    bool ended;          /* the dataplane has ended the log */
    uint64_t file, size; /* the increment that is written, and its bytes */
    uint64_t delayed;    /* syncs that came late, since one was under way */
    bool unsynced;
};

struct aof_writer;
/* `fresh`: the first record names the file; `anew`: behind a log that was lost, so that nothing counts as on the disk before
 * aof_writer_named(). Otherwise it goes on with the last increment of the folder: with `adopt` where the
 * dataplane's memory says (false if it does not say so), else at its end. Takes over bulk. The folder stays the caller's, who
 * locks it when he changes it. done_fd (an eventfd) tells of changes of the status. NULL and a line in error. */
enum aof_begin { AOF_FRESH, AOF_ANEW, AOF_APPEND, AOF_ADOPT };
struct aof_writer *aof_writer_start(struct aof_folder *folder, pthread_mutex_t *lock, void *bulk, unsigned workers,
                                    enum aof_begin how, int done_fd, char *error, size_t size);
/* Writes and syncs what there is, and ends. True: all that the dataplane has done by then is in the log, and on the disk. */
bool aof_writer_stop(struct aof_writer *w);
void aof_writer_settings(struct aof_writer *w, enum aof_policy policy, bool timestamps, bool no_sync);
void aof_writer_status(struct aof_writer *w, struct aof_writer_status *out);
/* The manifest names the log now: its further increments are added to it. */
void aof_writer_named(struct aof_writer *w);
/* Where the dataplane is, and up to where all is on the disk. */
uint64_t aof_writer_order(const struct aof_writer *w);
uint64_t aof_writer_synced(const struct aof_writer *w);

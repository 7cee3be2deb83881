/* aof_writer_private.h: what the files of the writer of the append-only log share. */
#pragma once
#include "control/aof_writer.h"
#include "channel/messages.h"

enum { BUFFER = 512 * 1024 };

struct source { /* the ring of a worker */
    struct ring_end ring;
    uint64_t before; /* where the message that is looked at began */
    bool have;
    size_t len;
    uint8_t message[CHANNEL_MESSAGE_MAX];
};

struct aof_writer {
    struct aof_folder *folder;
    pthread_mutex_t *folder_lock;
    void *bulk;
    struct channel_log *shared;
    unsigned workers, hint;
    struct source *source;
    int fd, done_fd;
    struct channel_log_place at; /* what is in the file and in the buffer */
    uint64_t written;            /* bytes in the file */
    uint64_t skip;               /* messages of the next record that are in the file already */
    int64_t stamped;             /* second of the last timestamp */
    bool ended, broken;
    pthread_t thread, syncer;
    _Atomic(int) policy;
    _Atomic(bool) stop, timestamps, no_sync;
    bool anew;            /* what is synced is told when it is named */
    _Atomic(bool) unheld; /* a sync of the other thread has failed */
    _Atomic(bool) named;  /* the manifest has a base of this log, and its increments */
    pthread_mutex_t lock; /* of status, and of the sync thread's orders */
    pthread_cond_t ordered, over;
    bool sync_wanted, sync_busy, sync_end;
    uint64_t sync_order, synced_ms;
    struct aof_writer_status status;
    size_t len;
    uint8_t buffer[BUFFER + CHANNEL_MESSAGE_MAX + 256];
};

/* Its threads; arg: the writer. */
void *aof_writer_run(void *arg);
void *aof_writer_sync(void *arg);
/* The place up to which the file goes, for whoever comes after this process. */
void aof_writer_note_place(struct aof_writer *w);
/* The increment of that number, empty if it begins anew. -1: errno. */
int aof_writer_open(struct aof_writer *w, uint64_t seq, bool anew);

/* aof_writer_ends.c: the writer of the append-only log (aof_writer.h) as control sees it: how it begins, where its file goes on, and how
 * it ends. */
#include "control/aof_writer_private.h"
#include "control/text.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

uint64_t aof_writer_order(const struct aof_writer *w)
{
    return __atomic_load_n(&w->shared->order, __ATOMIC_ACQUIRE);
}

uint64_t aof_writer_synced(const struct aof_writer *w)
{
    return __atomic_load_n(&w->shared->synced, __ATOMIC_ACQUIRE);
}

void aof_writer_settings(struct aof_writer *w, enum aof_policy policy, bool timestamps, bool no_sync)
{
    atomic_store(&w->policy, (int)policy);
    atomic_store(&w->timestamps, timestamps);
    atomic_store(&w->no_sync, no_sync);
}

void aof_writer_named(struct aof_writer *w)
{
    atomic_store(&w->named, true);
}

void aof_writer_status(struct aof_writer *w, struct aof_writer_status *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->status;
    pthread_mutex_unlock(&w->lock);
}

static void free_all(struct aof_writer *w)
{
    if (w->fd >= 0)
        close(w->fd);
    if (w->bulk)
        munmap(w->bulk, CHANNEL_BULK_SIZE);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->ordered);
    pthread_cond_destroy(&w->over);
    free(w->source);
    free(w);
}

/* Where the file goes on. */
static bool open_last(struct aof_writer *w, enum aof_begin how, char *error, size_t size)
{
    struct stat st;
    uint64_t last = aof_folder_last(w->folder);
    const struct channel_log_place *noted = &w->shared->place[__atomic_load_n(&w->shared->which, __ATOMIC_ACQUIRE) & 1];
    if (how == AOF_ADOPT && (noted->file != last || !last)) {
        snprintf(error, size, "the dataplane's log goes on in another file");
        return false;
    }
    w->fd = aof_writer_open(w, last, false);
    if (w->fd < 0 || fstat(w->fd, &st) < 0 || (how == AOF_ADOPT && (uint64_t)st.st_size < noted->bytes) ||
        (how == AOF_ADOPT && ftruncate(w->fd, (off_t)noted->bytes) < 0)) {
        snprintf(error, size, "the last increment of the log cannot be gone on with: %s", strerror(errno));
        return false;
    }
    if (how == AOF_ADOPT) {
        w->at = *noted;
        w->skip = noted->parts;
        w->written = noted->bytes;
    } else {
        w->at.file = last;
        w->written = (uint64_t)st.st_size;
        aof_writer_note_place(w);
    }
    atomic_store(&w->named, true);
    w->status.file = last;
    w->status.size = w->written;
    w->status.unsynced = true;
    return true;
}

struct aof_writer *aof_writer_start(struct aof_folder *folder, pthread_mutex_t *lock, void *bulk, unsigned workers,
                                    enum aof_begin how, int done_fd, char *error, size_t size)
{
    struct aof_writer *w = must_alloc(1, sizeof *w);
    w->folder = folder;
    w->folder_lock = lock;
    w->bulk = bulk;
    w->shared = log_shared(bulk);
    w->workers = workers;
    w->fd = -1;
    w->done_fd = done_fd;
    w->at = (struct channel_log_place){.order = LOG_NONE, .db = UINT64_MAX};
    w->source = must_alloc(workers, sizeof *w->source);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->ordered, NULL);
    pthread_cond_init(&w->over, NULL);
    for (unsigned i = 0; i < workers; i++) {
        w->source[i].ring = log_to_control(bulk, i);
        w->source[i].ring.at = __atomic_load_n(&w->source[i].ring.ring->tail, __ATOMIC_ACQUIRE);
    }
    bool fresh = how == AOF_FRESH || how == AOF_ANEW;
    w->anew = how == AOF_ANEW;
    if (fresh)
        aof_writer_note_place(w);
    if (!fresh && !open_last(w, how, error, size)) {
        free_all(w);
        return NULL;
    }
    if (pthread_create(&w->syncer, NULL, aof_writer_sync, w) == 0) {
        if (pthread_create(&w->thread, NULL, aof_writer_run, w) == 0)
            return w;
        pthread_mutex_lock(&w->lock);
        w->sync_end = true;
        pthread_cond_signal(&w->ordered);
        pthread_mutex_unlock(&w->lock);
        pthread_join(w->syncer, NULL);
    }
    snprintf(error, size, "no thread can be started for the log");
    free_all(w);
    return NULL;
}

/* When it has ended: is all that the dataplane has done in files that the manifest names, and on the disk? */
static bool is_whole(const struct aof_writer *w)
{
    uint64_t done = aof_writer_order(w);
    bool all = w->at.order == LOG_NONE ? done == 0 : w->at.order == done;
    return all && !w->len && !w->at.parts && !w->broken && !w->ended && w->at.file != LOG_LOST && atomic_load(&w->named) && !w->status.error[0];
}

bool aof_writer_stop(struct aof_writer *w)
{
    if (!w)
        return false;
    atomic_store(&w->stop, true);
    syscall(SYS_futex, &w->shared->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
    pthread_join(w->thread, NULL);
    pthread_mutex_lock(&w->lock);
    w->sync_end = true;
    pthread_cond_signal(&w->ordered);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->syncer, NULL);
    bool whole = is_whole(w);
    free_all(w);
    return whole;
}

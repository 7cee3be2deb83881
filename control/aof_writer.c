/* aof_writer.c: see aof_writer.h.
 *
 *     peek at the rings -> the record whose turn it is -> buffer -> write() -> the place is noted -> the rings are released
 *
 * A successor cuts the file at the noted place and takes from the rings what is behind it. */
#include "control/aof_writer_private.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { RETRY_MS = 1000, POLL_MS = 5, SLEEP_MS = 100, SYNC_MS = 1000 };

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void tell(struct aof_writer *w)
{
    uint64_t one = 1;
    (void)!write(w->done_fd, &one, sizeof one);
}

static void set_error(struct aof_writer *w, bool failed)
{
    char text[256] = "";
    if (failed)
        snprintf(text, sizeof text, "%s", strerror(errno));
    pthread_mutex_lock(&w->lock);
    bool changed = strcmp(text, w->status.error) != 0;
    memcpy(w->status.error, text, sizeof text);
    pthread_mutex_unlock(&w->lock);
    if (changed)
        tell(w);
}

static void set_broken(struct aof_writer *w, const char *why)
{
    w->broken = true;
    pthread_mutex_lock(&w->lock);
    snprintf(w->status.broken, sizeof w->status.broken, "%s", why);
    pthread_mutex_unlock(&w->lock);
    tell(w);
}

static bool is_stopped(const struct aof_writer *w)
{
    return atomic_load_explicit(&w->stop, memory_order_relaxed);
}

/* -- on the disk -- */

/* The successor's view is that of the whole message that was written last. */
void aof_writer_note_place(struct aof_writer *w)
{
    uint64_t other = !__atomic_load_n(&w->shared->which, __ATOMIC_RELAXED);
    w->at.bytes = w->written;
    w->shared->place[other] = w->at;
    __atomic_store_n(&w->shared->which, other, __ATOMIC_SEQ_CST);
}

static void note_synced(struct aof_writer *w, uint64_t order)
{
    if (w->anew && !atomic_load(&w->named))
        return;
    if (order != LOG_NONE && order > __atomic_load_n(&w->shared->synced, __ATOMIC_RELAXED))
        __atomic_store_n(&w->shared->synced, order, __ATOMIC_RELEASE);
}

void *aof_writer_sync(void *arg)
{
    struct aof_writer *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (!w->sync_wanted && !w->sync_end)
            pthread_cond_wait(&w->ordered, &w->lock);
        if (w->sync_end)
            break;
        uint64_t order = w->sync_order;
        w->sync_wanted = false;
        w->sync_busy = true;
        pthread_mutex_unlock(&w->lock);
        bool good = fdatasync(w->fd) == 0;
        if (good)
            note_synced(w, order);
        else
            atomic_store(&w->unheld, true);
        pthread_mutex_lock(&w->lock);
        w->sync_busy = false;
        w->status.unsynced = !good || order != w->at.order;
        pthread_cond_broadcast(&w->over);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Linux marks the pages that a disk did not take as clean: another fdatasync would succeed without them. A successor finds no
 * place to go on at, either. */
static bool not_held(struct aof_writer *w)
{
    w->at.file = LOG_LOST;
    aof_writer_note_place(w);
    set_broken(w, "the disk did not take what was written");
    return false;
}

static void wait_for_sync(struct aof_writer *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->sync_busy || w->sync_wanted)
        pthread_cond_wait(&w->over, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static bool sync_now(struct aof_writer *w)
{
    wait_for_sync(w);
    if (atomic_load(&w->unheld) || (w->fd >= 0 && fdatasync(w->fd) < 0))
        return not_held(w);
    note_synced(w, w->at.order);
    w->status.unsynced = false;
    w->synced_ms = now_ms();
    return true;
}

static void sync_soon(struct aof_writer *w)
{
    uint64_t now = now_ms();
    if (now - w->synced_ms < SYNC_MS)
        return;
    pthread_mutex_lock(&w->lock);
    if (w->sync_busy || w->sync_wanted) {
        w->status.delayed++;
    } else {
        w->sync_order = w->at.order;
        w->sync_wanted = true;
        pthread_cond_signal(&w->ordered);
    }
    pthread_mutex_unlock(&w->lock);
    w->synced_ms = now;
}

/* -- in the file -- */

static void release(struct aof_writer *w)
{
    for (unsigned i = 0; i < w->workers; i++) {
        struct ring_end e = w->source[i].ring;
        if (w->source[i].have)
            e.at = w->source[i].before;
        ring_release(&e);
    }
}

static void pause_ms(const struct aof_writer *w, unsigned ms)
{
    const struct timespec t = {0, 10000000};
    for (unsigned i = 0; i < ms / 10 && !is_stopped(w); i++)
        nanosleep(&t, NULL);
}

/* What was written in part is taken back. */
static bool write_once(struct aof_writer *w)
{
    for (size_t at = 0; at < w->len;) {
        ssize_t n = write(w->fd, w->buffer + at, w->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            int why = errno;
            if (at && ftruncate(w->fd, (off_t)w->written) < 0)
                set_broken(w, "a part of a record is in the file and cannot be taken out");
            errno = why;
            return false;
        }
        at += (size_t)n;
    }
    return true;
}

/* Until it is there, or it is to end. */
static bool flush(struct aof_writer *w)
{
    if (!w->len)
        return true;
    while (!write_once(w)) {
        set_error(w, true);
        if (w->broken || is_stopped(w))
            return false;
        pause_ms(w, RETRY_MS);
    }
    set_error(w, false);
    w->written += w->len;
    w->len = 0;
    aof_writer_note_place(w);
    release(w);
    pthread_mutex_lock(&w->lock);
    w->status.size = w->written;
    w->status.file = w->at.file;
    w->status.unsynced = true;
    pthread_mutex_unlock(&w->lock);
    return atomic_load(&w->policy) != AOF_ALWAYS || sync_now(w);
}

int aof_writer_open(struct aof_writer *w, uint64_t seq, bool anew)
{
    char name[AOF_NAME];
    aof_folder_incr_name(w->folder, seq, name);
    for (unsigned i = 0; !anew && i < w->folder->n; i++) /* under the name that the manifest says */
        if (w->folder->file[i].type == 'i' && w->folder->file[i].seq == seq)
            snprintf(name, sizeof name, "%s", w->folder->file[i].name);
    char *path = aof_folder_join(w->folder, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW | (anew ? O_TRUNC : 0), 0640);
    free(path);
    return fd;
}

/* What follows belongs into another increment. The manifest names it if there is a base, otherwise with the first one. */
static bool begin_file(struct aof_writer *w, uint64_t seq)
{
    char error[256] = "";
    if (!flush(w) || (w->fd >= 0 && !sync_now(w)))
        return false;
    pthread_mutex_lock(w->folder_lock);
    bool named = atomic_load(&w->named);
    if (seq == w->at.file || (named && seq <= aof_folder_last(w->folder))) {
        pthread_mutex_unlock(w->folder_lock);
        set_broken(w, "an increment of that number has been begun already"); /* and would be emptied */
        return false;
    }
    bool past = seq < w->folder->first; /* a later base has come before this one's turn, and has what follows up to its own mark */
    int fd = aof_writer_open(w, seq, true);
    bool good = fd >= 0 && (!named || past || aof_folder_add(w->folder, seq, error, sizeof error));
    if (fd >= 0 && past)
        aof_folder_delete_incr(w->folder, seq);
    pthread_mutex_unlock(w->folder_lock);
    if (!good) {
        snprintf(error + strlen(error), sizeof error - strlen(error), "%s", *error ? "" : "an increment cannot be made");
        if (fd >= 0)
            close(fd);
        set_broken(w, error);
        return false;
    }
    if (w->fd >= 0)
        close(w->fd);
    w->fd = fd;
    w->at.file = seq;
    w->at.db = UINT64_MAX;
    w->written = 0;
    return true;
}

/* -- records -- */

static void put(struct aof_writer *w, const void *p, size_t n)
{
    memcpy(w->buffer + w->len, p, n);
    w->len += n;
}

static void put_timestamp(struct aof_writer *w)
{
    char text[32];
    int64_t now = (int64_t)time(NULL);
    if (!atomic_load_explicit(&w->timestamps, memory_order_relaxed) || now <= w->stamped)
        return;
    w->stamped = now;
    put(w, text, (size_t)snprintf(text, sizeof text, "#TS:%lld\r\n", (long long)now));
}

static void put_select(struct aof_writer *w, uint64_t db)
{
    char text[64], number[16];
    int n = snprintf(number, sizeof number, "%u", (unsigned)db);
    if (w->at.db == db)
        return;
    w->at.db = db;
    put(w, text, (size_t)snprintf(text, sizeof text, "*2\r\n$6\r\nSELECT\r\n$%d\r\n%s\r\n", n, number));
}

static bool take_part(struct aof_writer *w, struct message_reader *r)
{
    uint32_t db = get_u32(r);
    unsigned part = get_u8(r);
    if (r->failed)
        return false;
    if (w->skip) {
        w->skip--;
    } else {
        if (!w->at.parts)
            put_timestamp(w);
        if (part & LOG_BEGINS)
            put_select(w, db);
        put(w, r->p, r->left);
        w->at.parts++;
    }
    if (part & LOG_ENDS) {
        w->at.order++;
        w->at.parts = 0;
    }
    return true;
}

/* The message whose turn it is. False: it cannot be, or it says that the log is no more. */
static bool take(struct aof_writer *w, struct source *s)
{
    struct message_reader r;
    char why[128];
    bool good;
    unsigned type = message_open(&r, s->message, s->len);
    s->have = false;
    get_u64(&r);
    switch (type) {
    case LOG_PART:
        return take_part(w, &r);
    case LOG_MARK:
        s->have = true; /* it stays in the ring until its file is there, also if what is before it is released: a successor needs it */
        good = begin_file(w, get_u64(&r));
        s->have = false;
        if (!good)
            return false;
        w->at.order++;
        w->at.parts = 0;
        aof_writer_note_place(w);
        note_synced(w, w->at.order); /* it has no bytes, and what was before is synced */
        return true;
    case LOG_LAST:
        w->at.order++;
        w->ended = true;
        return true;
    case LOG_BROKEN:
        get_text(&r, why, sizeof why);
        set_broken(w, why);
        return false;
    default:
        return false;
    }
}

static uint64_t order_of(const struct source *s)
{
    uint64_t order;
    memcpy(&order, s->message + 1, sizeof order);
    return order;
}

/* The source that has the next record; what has been written by a predecessor is passed over. */
static struct source *find(struct aof_writer *w)
{
    if (w->at.order == LOG_NONE && __atomic_load_n(&w->shared->begun, __ATOMIC_ACQUIRE))
        w->at.order = __atomic_load_n(&w->shared->first, __ATOMIC_ACQUIRE) - 1;
    if (w->at.order == LOG_NONE)
        return NULL;
    for (unsigned i = 0; i < w->workers; i++) {
        struct source *s = &w->source[(w->hint + i) % w->workers];
        while (!s->have) {
            s->before = s->ring.at;
            enum ring_result result = ring_peek(&s->ring, s->message, &s->len);
            if (result == RING_BROKEN || (result == RING_OK && s->len < 9))
                set_broken(w, "the dataplane's ring is damaged");
            if (result != RING_OK || w->broken)
                break;
            s->have = order_of(s) > w->at.order;
        }
        if (s->have && order_of(s) == w->at.order + 1) {
            w->hint = (w->hint + i) % w->workers;
            return s;
        }
    }
    return NULL;
}

/* -- the thread -- */

static bool drain(struct aof_writer *w)
{
    bool any = false;
    for (struct source *s; !w->broken && !w->ended && w->len < BUFFER && (s = find(w)); any = true)
        if (!take(w, s) && !w->broken && !is_stopped(w))
            set_broken(w, "a record cannot be read");
    return any;
}

static void rest(struct aof_writer *w)
{
    struct timespec t = {0, POLL_MS * 1000000};
    if (atomic_load(&w->policy) != AOF_ALWAYS) {
        nanosleep(&t, NULL);
        return;
    }
    t.tv_nsec = SLEEP_MS * 1000000;
    __atomic_store_n(&w->shared->asleep, 1, __ATOMIC_SEQ_CST);
    if (!find(w))
        syscall(SYS_futex, &w->shared->asleep, FUTEX_WAIT, 1, &t, NULL, 0);
    __atomic_store_n(&w->shared->asleep, 0, __ATOMIC_SEQ_CST);
}

/* With always: all is in the file, and not yet said to be on the disk. */
static bool needs_sync(const struct aof_writer *w)
{
    return !w->len && atomic_load(&w->policy) == AOF_ALWAYS && w->at.order != LOG_NONE && aof_writer_synced(w) < w->at.order;
}

void *aof_writer_run(void *arg)
{
    struct aof_writer *w = arg;
    bool counts = !w->anew;
    uint64_t last = LOG_NONE; /* when it is to stop: more may come for ever */
    while (!w->broken && !w->ended) {
        bool stop = is_stopped(w), any;
        if (stop && last == LOG_NONE)
            last = aof_writer_order(w);
        any = drain(w);
        if (!flush(w) || (stop && (!any || (w->at.order != LOG_NONE && w->at.order >= last))))
            break;
        if (atomic_load(&w->unheld) && !not_held(w))
            break;
        if (!counts && atomic_load(&w->named)) {
            counts = true;
            if (!sync_now(w))
                break;
        }
        if (counts && needs_sync(w) && !sync_now(w)) /* of a mark, or from before the policy was always */
            break;
        if (w->status.unsynced && atomic_load(&w->policy) == AOF_EVERYSEC && !atomic_load(&w->no_sync))
            sync_soon(w);
        if (!any)
            rest(w);
    }
    if (!w->broken)
        sync_now(w);
    if (w->ended && !w->broken) {
        w->status.ended = true;
        tell(w);
    }
    return NULL;
}

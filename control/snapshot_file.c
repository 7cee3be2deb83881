/* snapshot_file.c: see snapshot_file.h. The format: https://rdb.fnordig.de/file_format.html, Redis' rdb.c. */
#include "control/snapshot_file.h"
#include "base/crc64.h"
#include "control/aof_base.h"
#include "channel/messages.h"
#include "control/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_LEAST_NS = 200 * 1000, PAUSE_MOST_NS = 800 * 1000 }; /* between two looks at the rings */
enum { BUFFER = 1 << 20, BLOCK = 4096, SYNC_EACH = 32 << 20, OPCODE_RESIZE = 0xfb, OPCODE_SELECT = 0xfe, OPCODE_END = 0xff };

struct snapshot_file {
    char *folder, *path, *temporary;
    int fd, done_fd;
    bool checksum, commands;
    void *bulk;
    unsigned workers, open, dbs;
    struct snapshot_db *db;
    struct ring_end ring[CHANNEL_WORKERS];
    bool ended[CHANNEL_WORKERS];
    pthread_t thread;
    _Atomic(bool) stop;
    char error[256]; /* the thread's, until it is over */
    char stopped[256];
    struct snapshot_totals totals;
    uint64_t sum, unsynced;
    uint64_t selected; /* database; UINT64_MAX: none yet */
    bool direct; /* what is written goes past the page cache */
    size_t len;
    uint8_t *buffer; /* BUFFER bytes, aligned to BLOCK */
    uint8_t message[CHANNEL_MESSAGE_MAX];
};

/* -- bytes -- */

static bool fails(struct snapshot_file *f, const char *what)
{
    if (!f->error[0])
        snprintf(f->error, sizeof f->error, "%s %.150s: %s", what, f->temporary, strerror(errno));
    return false;
}

/* Past the page cache, where the file system can: a copy there costs more than all else that is done here, and drives out what others
 * read. Only whole blocks go that way. Not one that is read at once (read_soon): the disk would have to give it all back. */
static bool set_direct(struct snapshot_file *f, bool on)
{
    int flags = fcntl(f->fd, F_GETFL);
    f->direct = on;
    return flags >= 0 && fcntl(f->fd, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

static bool leave_direct(struct snapshot_file *f)
{
    return !f->direct || set_direct(f, false) || fails(f, "cannot write");
}

static bool flush(struct snapshot_file *f)
{
    if (f->len % BLOCK && !leave_direct(f))
        return false;
    for (size_t at = 0; at < f->len;) {
        ssize_t n = write(f->fd, f->buffer + at, f->len - at);
        if (n < 0 && errno == EINTR)
            continue;
        bool odd = f->direct && (n > 0 ? n % BLOCK != 0 : n < 0 && errno == EINVAL);
        if (n <= 0 && !odd)
            return fails(f, "cannot write");
        if (odd && !leave_direct(f))
            return false;
        at += n > 0 ? (size_t)n : 0;
    }
    f->unsynced += f->len;
    f->len = 0;
    if (f->unsynced < SYNC_EACH)
        return true;
    f->unsynced = 0; /* rdb-save-incremental-fsync: not all at the end */
    return fdatasync(f->fd) == 0 || fails(f, "cannot sync");
}

static bool put(struct snapshot_file *f, const void *bytes, size_t n)
{
    if (f->checksum)
        f->sum = crc64(f->sum, bytes, n);
    f->totals.bytes += n;
    for (const uint8_t *p = bytes; n;) {
        size_t room = BUFFER - f->len, piece = n < room ? n : room;
        memcpy(f->buffer + f->len, p, piece);
        f->len += piece;
        p += piece;
        n -= piece;
        if (f->len == BUFFER && !flush(f))
            return false;
    }
    return true;
}

static bool put_length(struct snapshot_file *f, uint64_t v)
{
    uint8_t p[9];
    unsigned bytes = v < 64 ? 0 : v < 1 << 14 ? 1 : v <= UINT32_MAX ? 4 : 8;
    p[0] = bytes == 0 ? (uint8_t)v : bytes == 1 ? (uint8_t)(0x40 | v >> 8) : bytes == 4 ? 0x80 : 0x81;
    for (unsigned i = 0; i < bytes; i++)
        p[1 + i] = (uint8_t)(v >> 8 * (bytes - 1 - i));
    return put(f, p, 1 + bytes);
}

static bool put_opcode(struct snapshot_file *f, uint8_t code)
{
    return put(f, &code, 1);
}

/* The first time with its size. */
static bool select_database(struct snapshot_file *f, uint64_t number)
{
    if (f->selected == number)
        return true;
    f->selected = number;
    if (!put_opcode(f, OPCODE_SELECT) || !put_length(f, number))
        return false;
    for (unsigned i = 0; i < f->dbs; i++)
        if (f->db[i].number == number && f->db[i].keys) {
            bool good = put_opcode(f, OPCODE_RESIZE) && put_length(f, f->db[i].keys) && put_length(f, f->db[i].expires);
            f->db[i].keys = 0;
            return good;
        }
    return true;
}

/* -- rings -- */

static bool damaged(struct snapshot_file *f)
{
    if (!f->error[0])
        snprintf(f->error, sizeof f->error, "the dataplane's ring is damaged");
    return false;
}

/* What ends for a reason may end in the middle of a record (`more`). */
static bool on_end(struct snapshot_file *f, unsigned worker, bool more, struct message_reader *r)
{
    char why[160];
    get_text(r, why, sizeof why);
    f->totals.keys += get_u64(r);
    f->totals.records += get_u64(r);
    f->totals.aside += get_u64(r);
    f->totals.ahead += get_u64(r);
    if (!message_done(r))
        return damaged(f);
    if (why[0]) {
        snprintf(f->error, sizeof f->error, "%s", why);
        return false;
    }
    if (more)
        return damaged(f);
    f->ended[worker] = true;
    f->open--;
    return true;
}

/* A message, if there is one: then *more says whether its ring must go on. */
static bool take(struct snapshot_file *f, unsigned worker, bool *any, bool *more)
{
    size_t len;
    bool wake;
    struct message_reader r;
    enum ring_result result = ring_get(&f->ring[worker], f->message, &len, &wake);
    *any = result == RING_OK;
    if (result == RING_BROKEN)
        return damaged(f);
    if (result == RING_EMPTY)
        return true;
    unsigned type = message_open(&r, f->message, len);
    if (type == (unsigned)BULK_END)
        return on_end(f, worker, *more, &r);
    uint32_t db = get_u32(&r);
    bool goes_on = get_u8(&r);
    if (type != (unsigned)BULK_RECORDS || r.failed || (*more && db != f->selected))
        return damaged(f);
    *more = goes_on;
    return select_database(f, db) && put(f, r.p, r.left);
}

static bool is_stopped(struct snapshot_file *f)
{
    if (!atomic_load(&f->stop))
        return false;
    snprintf(f->error, sizeof f->error, "%s", f->stopped);
    return true;
}

/* A ring's messages, a bunch at a time; a record that is cut is read to its end. */
static bool read_ring(struct snapshot_file *f, unsigned worker)
{
    enum { BUNCH = 64 };
    const struct timespec pause = {0, PAUSE_LEAST_NS};
    bool one = true, more = false;
    for (unsigned n = 0; !f->ended[worker] && (more || (one && n < BUNCH)); n++) {
        if (!take(f, worker, &one, &more))
            return false;
        if (!one && more) {
            if (is_stopped(f))
                return false;
            nanosleep(&pause, NULL);
        }
    }
    return true;
}

/* Who found `bytes` in the fullest ring: how long to wait before the next look. Seldom enough that there is some work then, as a worker may
 * have to share its core with this thread; often enough that no ring is half full. 0: not at all. */
static long next_pause(long pause, uint64_t bytes)
{
    if (bytes > CHANNEL_RING_BYTES / 4)
        return bytes > CHANNEL_RING_BYTES / 2 ? 0 : PAUSE_LEAST_NS;
    if (bytes > CHANNEL_RING_BYTES / 8)
        return pause > PAUSE_LEAST_NS ? pause : PAUSE_LEAST_NS;
    return 2 * pause < PAUSE_LEAST_NS ? PAUSE_LEAST_NS : 2 * pause > PAUSE_MOST_NS ? PAUSE_MOST_NS : 2 * pause;
}

static bool read_rings(struct snapshot_file *f)
{
    struct timespec pause = {0, PAUSE_LEAST_NS};
    while (f->open) {
        uint64_t fullest = 0;
        for (unsigned i = 0; i < f->workers; i++) {
            const uint64_t before = f->totals.bytes;
            if (!f->ended[i] && !read_ring(f, i))
                return false;
            fullest = f->totals.bytes - before > fullest ? f->totals.bytes - before : fullest;
        }
        if (is_stopped(f))
            return false;
        pause.tv_nsec = next_pause(pause.tv_nsec, fullest);
        if (f->open && pause.tv_nsec)
            nanosleep(&pause, NULL);
    }
    return true;
}

static bool sync_folder(struct snapshot_file *f)
{
    int fd = open(f->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0)
        close(fd);
    return good || fails(f, "cannot sync the folder of");
}

static int make_file(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
}

/* The same as commands, in a file beside it that then has its name. */
static bool write_commands(struct snapshot_file *f)
{
    char *path = must_print("%s/temp-%ld.aof", f->folder, (long)getpid());
    int fd = make_file(path);
    bool good = fd >= 0 ? aof_base_write(f->fd, fd, f->error, sizeof f->error) : fails(f, "cannot make a file beside");
    if (fd >= 0)
        close(fd);
    if (good && rename(path, f->temporary) < 0)
        good = fails(f, "cannot rename a file to");
    if (!good && fd >= 0)
        unlink(path);
    free(path);
    return good;
}

static bool finish(struct snapshot_file *f)
{
    if (!put_opcode(f, OPCODE_END))
        return false;
    uint64_t sum = f->checksum ? f->sum : 0;
    f->checksum = false;
    if (!put(f, &sum, sizeof sum) || !flush(f) || !leave_direct(f))
        return false;
    if (fsync(f->fd) < 0)
        return fails(f, "cannot sync");
    if (f->commands && !write_commands(f))
        return false;
    if (rename(f->temporary, f->path) < 0)
        return fails(f, "cannot rename");
    return sync_folder(f);
}

static void *write_file(void *arg)
{
    struct snapshot_file *f = arg;
    uint64_t one = 1;
    if (read_rings(f) && finish(f))
        f->error[0] = 0;
    else if (unlink(f->temporary) < 0 && errno != ENOENT)
        (void)0; /* the next one of this control takes the name over */
    (void)!write(f->done_fd, &one, sizeof one);
    return NULL;
}

/* -- for control -- */

static void free_file(struct snapshot_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    if (f->bulk)
        munmap(f->bulk, CHANNEL_BULK_SIZE);
    free(f->folder);
    free(f->path);
    free(f->temporary);
    free(f->db);
    free(f->buffer);
    free(f);
}

static char *temporary_name(const char *folder)
{
    return must_print("%s/temp-%ld.rdb", folder, (long)getpid());
}

bool snapshot_file_try(const char *folder, char *error, size_t size)
{
    char *path = temporary_name(folder);
    int fd = make_file(path);
    if (fd < 0)
        snprintf(error, size, "cannot make %.180s: %s", path, strerror(errno));
    else
        close(fd);
    free(path);
    return fd >= 0;
}

struct snapshot_file *snapshot_file_start(const struct snapshot_plan *plan, char *error, size_t size)
{
    struct snapshot_file *f = must_alloc(1, sizeof *f);
    f->folder = must_copy(plan->folder);
    f->path = must_print("%s/%s", plan->folder, plan->name);
    f->temporary = temporary_name(plan->folder);
    f->done_fd = plan->done_fd;
    f->checksum = plan->checksum;
    f->commands = plan->commands;
    f->bulk = plan->bulk;
    f->workers = f->open = plan->workers;
    f->dbs = plan->dbs;
    f->db = must_alloc(plan->dbs + 1, sizeof *f->db);
    memcpy(f->db, plan->db, plan->dbs * sizeof *f->db);
    f->selected = UINT64_MAX;
    for (unsigned i = 0; i < plan->workers; i++)
        f->ring[i] = bulk_to_control(f->bulk, i);
    f->fd = make_file(f->temporary);
    f->buffer = aligned_alloc(BLOCK, BUFFER);
    if (f->fd < 0 || !f->buffer)
        fails(f, "cannot make");
    else if (((!plan->read_soon && set_direct(f, true)) || set_direct(f, false)) && put(f, plan->head, plan->head_len) && pthread_create(&f->thread, NULL, write_file, f) == 0)
        return f;
    snprintf(error, size, "%s", f->error[0] ? f->error : "no thread can be started");
    unlink(f->temporary);
    free_file(f);
    return NULL;
}

void snapshot_file_stop(struct snapshot_file *f, const char *why)
{
    if (atomic_load(&f->stop))
        return;
    snprintf(f->stopped, sizeof f->stopped, "%s", why);
    atomic_store(&f->stop, true);
}

bool snapshot_file_end(struct snapshot_file *f, struct snapshot_totals *totals, char *error, size_t size)
{
    pthread_join(f->thread, NULL);
    bool good = !f->error[0];
    *totals = f->totals;
    snprintf(error, size, "%s", f->error);
    free_file(f);
    return good;
}

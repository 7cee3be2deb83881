/* test_aof.c: the writer of logs, when the disk fails it and when there is no end of records; and what a control that was killed
 * has left. The reader: test_aof_read.c. */
#include "channel/messages.h"
#include "control/aof_folder.h"
#include "control/aof_private.h"
#include "control/aof_writer.h"
#include "control/leftovers.h"
#include "unit.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* -- the system's calls, as this program has them -- */

static _Atomic(unsigned) syncs_to_fail, sync_ms;
static char manifest[512]; /* is looked at whenever a file gets its name */
static unsigned renames, without_increment;

static struct channel_ring *watched;         /* of which nothing from watched_from on may be given back while the file of the mark there is begun */
static uint64_t watched_from;
static _Atomic(bool) gate, at_gate, given_back;

int fdatasync(int fd)
{
    const struct timespec while_closed = {0, 1000000};
    atomic_store(&at_gate, true);
    for (unsigned i = 0; i < 60000 && atomic_load(&gate); i++)
        nanosleep(&while_closed, NULL);
    if (watched && __atomic_load_n(&watched->tail, __ATOMIC_ACQUIRE) > watched_from)
        atomic_store(&given_back, true);
    const struct timespec takes = {0, 1000000L * atomic_load(&sync_ms)};
    nanosleep(&takes, NULL);
    if (atomic_load(&syncs_to_fail)) {
        atomic_fetch_sub(&syncs_to_fail, 1);
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fdatasync, fd);
}

int rename(const char *from, const char *to)
{
    char text[1024] = "";
    int result = (int)syscall(SYS_rename, from, to), fd = strcmp(to, manifest) == 0 ? open(to, O_RDONLY) : -1;
    renames++;
    if (fd >= 0 && read(fd, text, sizeof text - 1) > 0 && !strstr(text, "type i"))
        without_increment++;
    if (fd >= 0)
        close(fd);
    return result;
}

/* -- a folder, and a log in it -- */

static char dir[64];

static struct aof_folder *folder_new(void)
{
    char path[128], error[256];
    snprintf(dir, sizeof dir, "/tmp/test_aof.XXXXXX");
    if (!mkdtemp(dir))
        abort();
    snprintf(path, sizeof path, "%s/none", dir);
    snprintf(manifest, sizeof manifest, "%s/log/a.aof.manifest", dir);
    struct aof_folder *f = aof_folder_new(dir, "log", "a.aof");
    CU_ASSERT_TRUE_FATAL(aof_folder_begin(f, path, error, sizeof error));
    return f;
}

static void folder_end(struct aof_folder *f)
{
    char command[128];
    aof_folder_free(f);
    snprintf(command, sizeof command, "rm -r %s", dir);
    CU_ASSERT_EQUAL(system(command), 0);
}

static void rebase_in_one_step(void)
{
    char error[256];
    struct aof_folder *f = folder_new();
    renames = without_increment = 0;
    CU_ASSERT_TRUE(aof_folder_rebase(f, 2, 2, true, error, sizeof error));
    CU_ASSERT_TRUE(renames > 0 && !without_increment);
    CU_ASSERT_EQUAL(aof_folder_last(f), 2);
    CU_ASSERT_TRUE(aof_folder_add(f, 2, error, sizeof error));
    CU_ASSERT_EQUAL(aof_folder_read(f, error, sizeof error), 1);
    CU_ASSERT_EQUAL(f->n, 2);
    folder_end(f);
}

/* Whoever changes a file of the log, or puts another one in its place, is noticed. */
static void stamps(void)
{
    struct aof_folder *f = folder_new();
    uint64_t first = aof_folder_stamp(f), second;
    CU_ASSERT_EQUAL(aof_folder_stamp(f), first);
    char *base = aof_folder_join(f, f->file[0].name), *aside = aof_folder_join(f, "aside");
    int fd = open(base, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
    CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
    close(fd);
    second = aof_folder_stamp(f);
    CU_ASSERT_NOT_EQUAL(second, first);
    fd = open(aside, O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    CU_ASSERT_EQUAL(write(fd, "y", 1), 1);
    close(fd);
    CU_ASSERT_EQUAL(aof_folder_stamp(f), second);
    CU_ASSERT_EQUAL(rename(aside, base), 0);
    CU_ASSERT_NOT_EQUAL(aof_folder_stamp(f), second);
    free(base);
    free(aside);
    folder_end(f);
}

struct box {
    struct aof_folder *folder;
    pthread_mutex_t lock;
    void *bulk;
    struct channel_log *shared;
    struct ring_end ring;
    struct aof_writer *writer;
    int done_fd;
    _Atomic(bool) over;
};

static void put(struct box *b, enum log_type type, const void *p, size_t n)
{
    uint8_t message[64] = {(uint8_t)type};
    uint64_t order = b->shared->order + 1;
    memcpy(message + 1, &order, sizeof order);
    memcpy(message + 9, p, n);
    while (ring_put(&b->ring, message, 9 + n) != RING_OK && !atomic_load(&b->over))
        ;
    __atomic_store_n(&b->shared->order, order, __ATOMIC_RELEASE);
}

static void send_record(struct box *b)
{
    static const uint8_t part[] = "\0\0\0\0\3*1\r\n$4\r\nPING\r\n";
    put(b, LOG_PART, part, sizeof part - 1);
}

static void box_new(struct box *b, enum aof_begin how, enum aof_policy policy)
{
    char error[256];
    uint64_t file = 7;
    int memory = memfd_create("bulk", MFD_CLOEXEC);
    *b = (struct box){.folder = folder_new(), .lock = PTHREAD_MUTEX_INITIALIZER, .done_fd = eventfd(0, EFD_NONBLOCK)};
    if (ftruncate(memory, CHANNEL_BULK_SIZE) < 0)
        abort();
    b->bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    void *theirs = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    close(memory);
    b->shared = log_shared(b->bulk);
    b->ring = log_to_control(b->bulk, 0);
    ring_reset(&b->ring);
    b->shared->first = 1;
    b->shared->begun = 1;
    b->writer = aof_writer_start(b->folder, &b->lock, theirs, 1, how, b->done_fd, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b->writer);
    aof_writer_settings(b->writer, policy, false, false);
    put(b, LOG_MARK, &file, sizeof file);
}

static void box_end(struct box *b)
{
    aof_writer_stop(b->writer);
    munmap(b->bulk, CHANNEL_BULK_SIZE);
    close(b->done_fd);
    folder_end(b->folder);
}

static bool soon(struct box *b, bool (*is)(struct box *b))
{
    const struct timespec pause = {0, 2000000};
    for (unsigned i = 0; i < 30000 && !is(b); i++)
        nanosleep(&pause, NULL);
    return is(b);
}

static bool all_synced(struct box *b)
{
    return aof_writer_synced(b->writer) == aof_writer_order(b->writer);
}

static bool is_broken(struct box *b)
{
    struct aof_writer_status st;
    aof_writer_status(b->writer, &st);
    return st.broken[0];
}

static bool is_written(struct box *b)
{
    struct aof_writer_status st;
    aof_writer_status(b->writer, &st);
    return st.size > 0;
}

/* A sync that failed is not tried again: what it did not take would count as on the disk. */
static void sync_fails(enum aof_policy policy)
{
    struct box b;
    box_new(&b, AOF_FRESH, policy);
    CU_ASSERT_TRUE(soon(&b, all_synced)); /* also when a mark is the last record */
    uint64_t before = aof_writer_synced(b.writer);
    atomic_store(&syncs_to_fail, 1);
    send_record(&b);
    CU_ASSERT_TRUE(soon(&b, is_broken));
    CU_ASSERT_EQUAL(aof_writer_synced(b.writer), before);
    CU_ASSERT_EQUAL(b.shared->place[b.shared->which & 1].file, LOG_LOST);
    atomic_store(&syncs_to_fail, 0);
    box_end(&b);
}

static void sync_fails_always(void)
{
    sync_fails(AOF_ALWAYS);
}

static void sync_fails_everysec(void)
{
    sync_fails(AOF_EVERYSEC);
}

/* A control that is killed while it begins a file has a successor, who finds the mark still there: also when the writer has written
 * what is before the mark on the way. */
static void mark_stays(void)
{
    struct box b;
    uint64_t file = 8;
    box_new(&b, AOF_FRESH, AOF_ALWAYS);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    atomic_store(&at_gate, false);
    atomic_store(&gate, true);
    send_record(&b);
    for (unsigned i = 0; i < 60000 && !atomic_load(&at_gate); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    send_record(&b); /* the writer finds both at once */
    watched_from = b.ring.at;
    watched = b.ring.ring;
    put(&b, LOG_MARK, &file, sizeof file);
    atomic_store(&given_back, false);
    atomic_store(&gate, false);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    watched = NULL;
    CU_ASSERT_FALSE(atomic_load(&given_back));
    box_end(&b);
}

/* What is in it would be gone. */
static void no_file_is_begun_twice(void)
{
    struct box b;
    uint64_t file = 8;
    struct aof_writer_status st;
    box_new(&b, AOF_FRESH, AOF_ALWAYS);
    put(&b, LOG_MARK, &file, sizeof file);
    send_record(&b);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    put(&b, LOG_MARK, &file, sizeof file);
    CU_ASSERT_TRUE(soon(&b, is_broken));
    aof_writer_status(b.writer, &st);
    char *path = aof_folder_join(b.folder, "a.aof.8.incr.aof");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    CU_ASSERT_TRUE(fd >= 0 && st.size > 0 && lseek(fd, 0, SEEK_END) == (off_t)st.size);
    close(fd);
    free(path);
    box_end(&b);
}

/* Behind a log that was lost nothing is on the disk before its base is. */
static void anew(void)
{
    struct box b;
    box_new(&b, AOF_ANEW, AOF_ALWAYS);
    send_record(&b);
    CU_ASSERT_TRUE(soon(&b, is_written));
    CU_ASSERT_EQUAL(aof_writer_synced(b.writer), 0);
    aof_writer_named(b.writer);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    box_end(&b);
}

/* -- what is kept in mind of a dataplane that has gone -- */

/* One that had served with a log, all of which is on the disk. */
static void serves(struct aof *a, struct box *b)
{
    box_new(b, AOF_APPEND, AOF_ALWAYS);
    send_record(b);
    CU_ASSERT_TRUE(soon(b, all_synced));
    *a = (struct aof){.phase = ON, .folder = b->folder, .writer = b->writer, .bulk = b->bulk};
    b->writer = NULL; /* it is aof_detached()'s */
}

static void left_same(void)
{
    struct aof a;
    struct box b;
    serves(&a, &b);
    aof_detached(&a);
    CU_ASSERT_EQUAL(a.left, LEFT_SAME);
    CU_ASSERT_TRUE(aof_memory_counts(&a));
    CU_ASSERT_EQUAL(a.left, LEFT_SAME);
    box_end(&b);
}

/* Its channel had closed, and it went on: memory has more than the log. */
static void left_and_goes_on(void)
{
    struct aof a;
    struct box b;
    serves(&a, &b);
    aof_detached(&a);
    send_record(&b);
    CU_ASSERT_TRUE(aof_memory_counts(&a));
    CU_ASSERT_TRUE(a.left == LEFT_MORE && a.left_lost);
    box_end(&b);
}

/* What aof_load() does with one that makes so many records before it ends. */
static void comes(struct aof *a, uint64_t records)
{
    a->loading = a->unserved = true;
    a->coming = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_TRUE_FATAL(a->coming != MAP_FAILED);
    log_shared(a->coming)->order = records;
}

/* The next one has served, and is killed before we have heard of it: its records are in no file. */
static void served_unheard(void)
{
    struct aof a;
    struct box b;
    serves(&a, &b);
    aof_detached(&a);
    comes(&a, 0);
    aof_detached(&a);
    CU_ASSERT_EQUAL(a.left, LEFT_SAME);
    comes(&a, 3);
    aof_detached(&a);
    CU_ASSERT_TRUE(a.left == LEFT_MORE && a.left_lost && !a.coming);
    CU_ASSERT_TRUE(aof_memory_counts(&a));
    box_end(&b);
}

/* The next one ends before it serves: what the first has left is there, and counts as it did. */
static void refused_between(void)
{
    struct aof a;
    struct box b;
    serves(&a, &b);
    aof_detached(&a);
    uint64_t stamp = a.left_stamp;
    char *base = aof_folder_join(b.folder, b.folder->file[0].name);
    int fd = open(base, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640); /* the operator's */
    CU_ASSERT_EQUAL(write(fd, "x", 1), 1);
    close(fd);
    free(base);
    comes(&a, 0);
    aof_detached(&a);
    CU_ASSERT_TRUE(a.left == LEFT_SAME && a.left_stamp == stamp && !a.loading);
    CU_ASSERT_FALSE(aof_memory_counts(&a));
    CU_ASSERT_EQUAL(a.left, LEFT_UNKNOWN);
    box_end(&b);
}

static void *flood(void *arg)
{
    struct box *b = arg;
    while (!atomic_load(&b->over))
        send_record(b);
    return NULL;
}

static void *watch(void *arg)
{
    struct box *b = arg;
    const struct timespec pause = {0, 10000000};
    for (unsigned i = 0; i < 6000 && !atomic_load(&b->over); i++)
        nanosleep(&pause, NULL);
    return atomic_exchange(&b->over, true) ? NULL : arg; /* the flood had to end first */
}

static void stops_under_load(void)
{
    struct box b;
    pthread_t flooder, watcher;
    void *late = NULL;
    box_new(&b, AOF_FRESH, AOF_ALWAYS);
    atomic_store(&sync_ms, 20); /* records enough meanwhile */
    pthread_create(&flooder, NULL, flood, &b);
    CU_ASSERT_TRUE(soon(&b, is_written));
    pthread_create(&watcher, NULL, watch, &b);
    aof_writer_stop(b.writer);
    b.writer = NULL;
    atomic_store(&b.over, true);
    pthread_join(watcher, &late);
    pthread_join(flooder, NULL);
    atomic_store(&sync_ms, 0);
    CU_ASSERT_PTR_NULL(late);
    box_end(&b);
}

/* -- what was left -- */

static void make(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    CU_ASSERT_TRUE(fd >= 0);
    close(fd);
}

static bool has(const char *name)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void leftovers(void)
{
    static const char *const gone[] = {"temp-12.rdb", "temp-upload-7.rdb", "log/temp-12.rdb", "log/a.aof.2.incr.aof", "log/a.aof.2.base.rdb", "log/a.aof.2.base.aof", "log/temp-12.aof"};
    static const char *const stay[] = {"dump.rdb",          "temp-.rdb",        "temp-012.rdb",         "temp-1x.rdb",
                                       "temp-upload.rdb",   "temp-12.rdb.old",  "log/a.aof.1.incr.aof", "log/a.aof.1.base.rdb",
                                       "log/b.aof.2.incr.aof", "log/a.aof.manifest"};
    struct aof_folder *f = folder_new();
    for (unsigned i = 0; i < sizeof gone / sizeof *gone; i++)
        make(gone[i]);
    for (unsigned i = 0; i < sizeof stay / sizeof *stay; i++)
        make(stay[i]);
    leftovers_delete(dir, "log", "a.aof");
    for (unsigned i = 0; i < sizeof gone / sizeof *gone; i++)
        CU_ASSERT_FALSE(has(gone[i]));
    for (unsigned i = 0; i < sizeof stay / sizeof *stay; i++)
        CU_ASSERT_TRUE(has(stay[i]));
    make(gone[3]);
    unlink(manifest);
    leftovers_delete(dir, "log", "a.aof");
    CU_ASSERT_TRUE(has(gone[3]));
    folder_end(f);
}

struct answers {
    unsigned all, synced;
};

static void answered(void *ctx, bool synced)
{
    struct answers *n = ctx;
    n->all++;
    n->synced += synced;
}

/* WAITAOFs without an end, of clients that may have gone, take a bounded place; who comes then is told at once, and there is place again
 * when they have ended. */
static void waits_are_bounded(void)
{
    struct box b;
    struct answers n = {0, 0};
    box_new(&b, AOF_FRESH, AOF_ALWAYS);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    struct control control = {.base = event_base_new()};
    struct aof a = {.control = &control, .writer = b.writer};
    for (unsigned i = 0; i < AOF_WAITS; i++)
        CU_ASSERT_TRUE(aof_wait(&a, 0, true, answered, &n));
    CU_ASSERT_EQUAL(n.all, 0);
    CU_ASSERT_TRUE(aof_wait(&a, 0, true, answered, &n));
    CU_ASSERT_TRUE(n.all == 1 && n.synced == 1);
    a.writer = NULL;
    event_base_dispatch(control.base);
    CU_ASSERT_TRUE(n.all == AOF_WAITS + 1 && n.synced == 1 && a.waits == 0);
    a.writer = b.writer;
    CU_ASSERT_TRUE(aof_wait(&a, 0, true, answered, &n));
    CU_ASSERT_EQUAL(n.all, AOF_WAITS + 1);
    a.writer = NULL;
    event_base_dispatch(control.base);
    CU_ASSERT_EQUAL(n.all, AOF_WAITS + 2);
    event_base_free(control.base);
    box_end(&b);
}

/* Who still waits when the log's life ends is told so: the first, the last, and those between who had ended before. */
static void waits_end_with_the_log(void)
{
    struct box b;
    struct answers n[4] = {{0, 0}};
    box_new(&b, AOF_FRESH, AOF_ALWAYS);
    CU_ASSERT_TRUE(soon(&b, all_synced));
    struct control control = {.base = event_base_new()};
    struct aof a = {.control = &control, .writer = b.writer};
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_TRUE(aof_wait(&a, i == 1 ? 1 : 0, true, answered, &n[i]));
    while (n[1].all == 0 && event_base_loop(control.base, EVLOOP_ONCE) == 0)
        ;
    CU_ASSERT_TRUE(n[1].all == 1 && n[1].synced == 1 && a.waits == 3);
    aof_end_waits(&a);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_TRUE(n[i].all == 1 && n[i].synced == (i == 1));
    CU_ASSERT_TRUE(a.waits == 0 && !a.waiting);
    CU_ASSERT_EQUAL(event_base_dispatch(control.base), 1); /* no event is left */
    event_base_free(control.base);
    box_end(&b);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(rebase_in_one_step), UNIT(stamps),
                                             UNIT(sync_fails_always), UNIT(sync_fails_everysec), UNIT(mark_stays), UNIT(no_file_is_begun_twice), UNIT(anew), UNIT(stops_under_load),
                                             UNIT(left_same), UNIT(left_and_goes_on), UNIT(served_unheard), UNIT(refused_between), UNIT(leftovers), UNIT(waits_are_bounded), UNIT(waits_end_with_the_log), {NULL, NULL}};
    return unit_main(argc, argv, "control/aof", tests);
}

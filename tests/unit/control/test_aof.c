/* test_aof.c: the reader of logs on a file that is cut at every place and damaged everywhere; the manifest; the writer, when the disk
 * fails it and when there is no end of records; and what a control that was killed has left. */
#include "channel/messages.h"
#include "control/aof_folder.h"
#include "control/aof_private.h"
#include "control/aof_read.h"
#include "control/aof_writer.h"
#include "control/leftovers.h"
#include "unit.h"

#include <errno.h>
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

static const char log_text[] = "#TS:1700000000\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\na\r\n$2\r\n\r\n\r\n"
                               "*1\r\n$5\r\nMULTI\r\n*2\r\n$4\r\nINCR\r\n$1\r\na\r\n*2\r\n$3\r\nDEL\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n"
                               "*2\r\n$4\r\nINCR\r\n$1\r\nc\r\n";

static int file_of(const void *p, size_t n)
{
    int fd = memfd_create("aof", MFD_CLOEXEC);
    if (write(fd, p, n) != (ssize_t)n)
        abort();
    return fd;
}

struct got {
    char text[512];
    size_t n;
    bool whole;
};

static void take(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole)
{
    struct got *g = ctx;
    (void)at;
    if (g->n + n < sizeof g->text)
        memcpy(g->text + g->n, p, n);
    g->n += n;
    g->whole = whole;
}

/* Where commands and transactions are whole. */
static bool is_end(size_t at)
{
    size_t n = sizeof log_text - 1;
    const char *multi = strstr(log_text, "*1\r\n$5\r\nMULTI"), *exec = strstr(log_text, "EXEC\r\n") + 6;
    size_t ends[] = {0, (size_t)(strstr(log_text, "*2") - log_text), (size_t)(strstr(log_text, "*3") - log_text),
                     (size_t)(multi - log_text), (size_t)(exec - log_text), n};
    for (unsigned i = 0; i < sizeof ends / sizeof *ends; i++)
        if (ends[i] == at)
            return true;
    return false;
}

static void cut_everywhere(void)
{
    for (size_t n = 0; n < sizeof log_text; n++) {
        struct aof_check check;
        int fd = file_of(log_text, n);
        bool sound = aof_check(fd, 0, &check);
        CU_ASSERT_EQUAL(sound, is_end(n));
        CU_ASSERT_TRUE(is_end(check.good) && check.good <= n);
        CU_ASSERT_TRUE(sound || check.truncated);
        struct got g = {.whole = true};
        CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g) && g.whole);
        close(fd);
    }
}

/* Behind a preamble of which nothing is looked at. */
static void from_the_middle(void)
{
    char text[sizeof log_text + 8] = "REDIS...";
    memcpy(text + 8, log_text, sizeof log_text);
    struct aof_check check;
    struct got whole = {.whole = true}, rest = {.whole = true};
    int fd = file_of(log_text, sizeof log_text - 1), other = file_of(text, sizeof log_text - 1 + 8);
    CU_ASSERT_FALSE(aof_check(other, 0, &check));
    CU_ASSERT_EQUAL(check.good, 0);
    CU_ASSERT_TRUE(aof_check(other, 8, &check));
    CU_ASSERT_EQUAL(check.good, sizeof log_text - 1 + 8);
    CU_ASSERT_TRUE(aof_read(fd, 0, sizeof log_text - 1, take, &whole));
    CU_ASSERT_TRUE(aof_read(other, 8, check.good, take, &rest));
    CU_ASSERT_EQUAL(whole.n, rest.n);
    CU_ASSERT_EQUAL(memcmp(whole.text, rest.text, whole.n), 0);
    close(fd);
    close(other);
}

static void without_multi(void)
{
    struct got g = {.n = 0};
    int fd = file_of(log_text, sizeof log_text - 1);
    CU_ASSERT_TRUE(aof_read(fd, 0, sizeof log_text - 1, take, &g));
    g.text[g.n < sizeof g.text ? g.n : 0] = 0;
    CU_ASSERT_PTR_NULL(strstr(g.text, "MULTI"));
    CU_ASSERT_PTR_NULL(strstr(g.text, "EXEC"));
    CU_ASSERT_PTR_NOT_NULL(strstr(g.text, "DEL"));
    CU_ASSERT_TRUE(g.whole);
    close(fd);
}

static void damaged_everywhere(void)
{
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        char text[sizeof log_text];
        struct aof_check check;
        memcpy(text, log_text, sizeof text);
        for (int k = rand() % 3; k >= 0; k--)
            text[(size_t)rand() % (sizeof text - 1)] = (char)rand();
        int fd = file_of(text, sizeof text - 1);
        bool sound = aof_check(fd, 0, &check);
        CU_ASSERT_EQUAL(sound, check.good == sizeof text - 1);
        struct got g = {.whole = true};
        CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g) && g.whole);
        close(fd);
    }
}

static void long_command(void)
{
    enum { LONG = 1000000 };
    char *text = malloc(LONG + 200);
    if (!text)
        abort();
    sprintf(text, "*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n", LONG);
    size_t n = strlen(text);
    memset(text + n, 'x', LONG);
    memcpy(text + n + LONG, "\r\n", 2);
    int fd = file_of(text, n + LONG + 2);
    struct aof_check check;
    struct got g = {.n = 0};
    CU_ASSERT_TRUE(aof_check(fd, 0, &check));
    CU_ASSERT_EQUAL(check.commands, 2);
    CU_ASSERT_TRUE(aof_read(fd, 0, check.good, take, &g));
    CU_ASSERT_EQUAL(g.n, n + LONG + 2);
    CU_ASSERT_TRUE(g.whole);
    close(fd);
    free(text);
}

static bool parses(const char *text)
{
    char *copy = strdup(text);
    struct aof_folder *f = aof_folder_new("d", "f", "appendonly.aof");
    bool good = aof_folder_parse(f, copy);
    aof_folder_free(f);
    free(copy);
    return good;
}

static void manifests(void)
{
    CU_ASSERT_TRUE(parses("file a.1.base.rdb seq 1 type b\nfile a.1.incr.aof seq 1 type i\nfile a.2.incr.aof seq 2 type i\n"));
    CU_ASSERT_TRUE(parses("# a comment\nfile \"a b\" seq 3 type b\n"));
    CU_ASSERT_FALSE(parses(""));
    CU_ASSERT_FALSE(parses("file a seq 1 type x\n"));
    CU_ASSERT_FALSE(parses("file ../a seq 1 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 1 type b\nfile b seq 2 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 2 type i\nfile b seq 1 type i\n"));
    CU_ASSERT_FALSE(parses("file a seq 0 type b\n"));
    CU_ASSERT_FALSE(parses("file a seq 1 type b more\n"));
}

/* -- the system's calls, as this program has them -- */

static _Atomic(unsigned) syncs_to_fail, sync_ms;
static char manifest[512]; /* is looked at whenever a file gets its name */
static unsigned renames, without_increment;

int fdatasync(int fd)
{
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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(cut_everywhere), UNIT(from_the_middle), UNIT(without_multi), UNIT(damaged_everywhere),
                                             UNIT(long_command),   UNIT(manifests),     UNIT(rebase_in_one_step), UNIT(stamps),
                                             UNIT(sync_fails_always), UNIT(sync_fails_everysec), UNIT(anew), UNIT(stops_under_load),
                                             UNIT(left_same), UNIT(left_and_goes_on), UNIT(served_unheard), UNIT(refused_between), UNIT(leftovers), {NULL, NULL}};
    return unit_main(argc, argv, "control/aof", tests);
}

/* test_snapshot_crash.c: whatever happens while control writes a snapshot (snapshot_file.c), the file that a box loads is the one
 * before or the new one, whole; and what control says of it is true. A child writes one from rings that it fills itself; its calls
 * of the system fail, are cut short, or are its last, each in turn; and it is killed at any time. Power that fails is the same
 * with one thing more: nothing gets its name before it is on the disk. */
#include "channel/messages.h"
#include "control/rdb_walk.h"
#include "control/snapshot_file.h"
#include "control/snapshot_keep.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 2, VALUE = 30000, NUMBER = 8, SMALL = 40, LARGE = 600 /* records of a worker */ };

/* -- the system's calls, as this program has them -- */

enum fault { FAULT_NONE, FAULT_EIO, FAULT_ENOSPC, FAULT_SHORT, FAULT_DIE_BEFORE, FAULT_DIE_AFTER, FAULTS };
static const char *const fault_name[] = {"none", "EIO", "ENOSPC", "short write", "kill before", "kill after"};

static struct {
    enum fault fault;
    unsigned at, calls; /* the at-th of all calls; 0: none */
    bool unsynced;      /* bytes were written since the last fsync */
    bool broken;        /* a name was given to such */
} calls;

/* Is it this call's turn? Then what happens instead is in *result; false: it goes on. */
static bool strikes(bool is_write, long *result)
{
    if (!calls.at || ++calls.calls != calls.at)
        return false;
    switch (calls.fault) {
    case FAULT_EIO:
    case FAULT_ENOSPC:
        errno = calls.fault == FAULT_EIO ? EIO : ENOSPC;
        *result = -1;
        return true;
    case FAULT_DIE_BEFORE:
        raise(SIGKILL);
        return true;
    default:
        (void)is_write;
        return false;
    }
}

static bool last_call(void)
{
    return calls.at && calls.calls == calls.at && calls.fault == FAULT_DIE_AFTER;
}

static bool is_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

ssize_t write(int fd, const void *bytes, size_t n)
{
    long result;
    if (!is_file(fd))
        return syscall(SYS_write, fd, bytes, n);
    calls.unsynced = true;
    if (strikes(true, &result))
        return result;
    bool cut = calls.at && calls.calls == calls.at && (calls.fault == FAULT_SHORT || calls.fault == FAULT_DIE_AFTER);
    result = syscall(SYS_write, fd, bytes, cut && n > 1 ? n / 2 : n);
    if (last_call())
        raise(SIGKILL);
    return result;
}

static int synced(int fd, long number)
{
    long result;
    if (strikes(false, &result))
        return (int)result;
    result = syscall(number, fd);
    if (result == 0 && is_file(fd))
        calls.unsynced = false;
    if (last_call())
        raise(SIGKILL);
    return (int)result;
}

int fsync(int fd)
{
    return synced(fd, SYS_fsync);
}

int fdatasync(int fd)
{
    return synced(fd, SYS_fdatasync);
}

int rename(const char *from, const char *to)
{
    long result;
    calls.broken |= calls.unsynced;
    if (strikes(false, &result))
        return (int)result;
    result = syscall(SYS_rename, from, to);
    if (last_call())
        raise(SIGKILL);
    return (int)result;
}

/* -- a snapshot, as the dataplane's workers bring it -- */

static char folder[] = "/tmp/sluice-crash-XXXXXX";

static _Atomic(bool) enough; /* the file has ended: nobody reads any more */

struct bringing {
    void *bulk;
    unsigned worker, records, number;
};

/* Its value is its number, many times: where it is cut and what it is of shows. */
static void *bring(void *arg)
{
    const struct bringing *b = arg;
    static const struct timespec pause = {0, 50000};
    struct ring_end ring = bulk_to_control(b->bulk, b->worker);
    uint8_t message[6 + 64 + VALUE];
    for (unsigned i = 0; i < b->records; i++) {
        uint32_t db = 0;
        size_t n = 6;
        message[0] = BULK_RECORDS;
        memcpy(message + 1, &db, sizeof db);
        message[5] = 0;
        message[n++] = 0; /* a string */
        message[n] = (uint8_t)snprintf((char *)message + n + 1, 40, "key:%u:%06u", b->worker, i);
        n += 1u + message[n];
        message[n++] = (uint8_t)(0x40 | VALUE >> 8);
        if (VALUE >= 1 << 14) {
            message[n - 1] = 0x80;
            message[n++] = 0;
            message[n++] = 0;
            message[n++] = (uint8_t)(VALUE >> 8);
        }
        message[n++] = (uint8_t)VALUE;
        for (unsigned at = 0; at < VALUE; at += NUMBER)
            memcpy(message + n + at, (char[NUMBER + 1]){(char)('0' + b->number / 1000 % 10), (char)('0' + b->number / 100 % 10),
                                                        (char)('0' + b->number / 10 % 10), (char)('0' + b->number % 10), '.',
                                                        '.', '.', '.'},
                   NUMBER);
        n += VALUE;
        while (!enough && ring_put(&ring, message, n) == RING_FULL)
            nanosleep(&pause, NULL);
    }
    uint8_t end[64];
    struct message_writer m;
    message_begin(&m, end, (enum message_type)BULK_END);
    put_text(&m, "");
    for (unsigned i = 0; i < 4; i++)
        put_u64(&m, i == 0 ? b->records : 0);
    while (!enough && ring_put(&ring, end, m.len) == RING_FULL)
        nanosleep(&pause, NULL);
    return NULL;
}

static bool make_snapshot(unsigned number, unsigned records, bool keep, char *error, size_t size)
{
    struct snapshot_db db = {0, WORKERS * records, 0};
    struct snapshot_totals totals;
    struct bringing b[WORKERS];
    pthread_t thread[WORKERS];
    int done = eventfd(0, EFD_CLOEXEC);
    void *bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    for (unsigned i = 0; i < WORKERS; i++) {
        struct ring_end ring = bulk_to_control(bulk, i);
        ring_reset(&ring);
    }
    struct snapshot_plan plan = {.folder = folder, .name = "dump.rdb", .checksum = true, .bulk = bulk, .workers = WORKERS,
                                 .db = &db, .dbs = 1, .head = (const uint8_t *)"REDIS0010", .head_len = 9, .done_fd = done,
                                 .read_soon = number % 2};
    struct snapshot_file *f = snapshot_file_start(&plan, error, size);
    if (!f)
        return false;
    for (unsigned i = 0; i < WORKERS; i++) {
        b[i] = (struct bringing){bulk, i, records, number};
        pthread_create(&thread[i], NULL, bring, &b[i]);
    }
    uint64_t n;
    (void)!read(done, &n, sizeof n);
    close(done);
    enough = true;
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(thread[i], NULL);
    bool good = snapshot_file_end(f, &totals, error, size);
    char name[KEPT_NAME];
    return good && (!keep || kept_make(folder, "dump.rdb", time(NULL), name, error, size));
}

/* -- what is there then -- */

struct found {
    unsigned number;
    bool mixed;
};

static void on_value(void *ctx, const uint8_t *p, size_t n)
{
    struct found *f = ctx;
    char digits[5] = {0};
    /* Pieces are cut anywhere: numbers are looked for. */
    for (size_t i = 0; i + 8 <= n; i++) {
        if (memcmp(p + i + 4, "....", 4) != 0 || p[i] < '0' || p[i] > '9')
            continue;
        memcpy(digits, p + i, 4);
        unsigned number = (unsigned)atoi(digits);
        f->mixed |= f->number && f->number != number;
        f->number = number;
        i += 7;
    }
}

/* The number of a snapshot that is whole; 0: it is not. */
static unsigned number_of_file(const char *name)
{
    static const struct rdb_events events = {.value = on_value};
    struct found found = {0};
    struct rdb_walk *w = malloc(sizeof *w);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool good = fd >= 0 && rdb_walk(w, fd, &events, &found) && w->sum == RDB_SUM_GOOD && w->keys % WORKERS == 0;
    if (fd >= 0)
        close(fd);
    free(w);
    return good && !found.mixed ? found.number : 0;
}

/* Every name that a box or an operator takes for a snapshot is a whole one. False: which is not is printed. */
static bool all_whole(void)
{
    bool good = true;
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (kept_is_snapshot(e->d_name, "dump.rdb") && e->d_name[0] != '.' && number_of_file(e->d_name) == 0) {
            printf("# %s is not whole\n", e->d_name);
            good = false;
        }
    closedir(d);
    return good;
}

static void empty_folder(void)
{
    DIR *d = opendir(folder);
    for (struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(d), e->d_name, 0);
    closedir(d);
}

enum { SAID_GOOD = 0, SAID_BAD = 1, GAVE_A_NAME_TOO_EARLY = 2 };

/* Its exit code; -1: it was killed. calls: how many it made, if it lived. */
static int child(unsigned number, unsigned records, enum fault fault, unsigned at, unsigned die_us, unsigned *made)
{
    static unsigned *shared;
    int status;
    if (!shared)
        shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    fflush(stdout);
    pid_t pid = fork();
    if (pid == 0) {
        char error[256];
        calls.fault = fault;
        calls.at = at;
        bool good = make_snapshot(number, records, number % 3 == 0, error, sizeof error);
        *shared = calls.calls;
        _exit(calls.broken ? GAVE_A_NAME_TOO_EARLY : good ? SAID_GOOD : SAID_BAD);
    }
    if (die_us) {
        const struct timespec t = {0, (long)die_us * 1000};
        nanosleep(&t, NULL);
        kill(pid, SIGKILL);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (made)
        *made = *shared;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* What the child said and what is there agree. */
static void judge(int said, unsigned before, unsigned number, const char *what, unsigned at)
{
    unsigned is = number_of_file("dump.rdb");
    bool good = all_whole() && (is == before || is == number) && (said != SAID_GOOD || is == number) &&
                said != GAVE_A_NAME_TOO_EARLY;
    if (!good)
        printf("# %s at call %u: said %d, there was %u, then %u was written, there is %u\n", what, at, said, before, number, is);
    CU_ASSERT_TRUE(good);
}

/* -- the tests -- */

static void test_every_call_fails_in_every_way(void)
{
    unsigned last = 0, number = 1, runs = 0;
    CU_ASSERT_EQUAL(child(number, SMALL, FAULT_NONE, UINT32_MAX, 0, &last), SAID_GOOD);
    CU_ASSERT_TRUE(last >= 6); /* writes, two fsyncs, a rename */
    for (unsigned fault = FAULT_EIO; fault < FAULTS; fault++)
        for (unsigned at = 1; at <= last + 2; at++) {
            unsigned before = number_of_file("dump.rdb");
            int said = child(++number, SMALL, fault, at, 0, NULL);
            judge(said, before, number, fault_name[fault], at);
            runs++;
            if (at % 4 == 0)
                empty_folder(), child(++number, SMALL, FAULT_NONE, 0, 0, NULL);
        }
    printf("# %u faults in %u calls\n", runs, last);
    empty_folder();
}

/* Of 36 MB: with the fsync in between. */
static void test_faults_of_a_large_one(void)
{
    unsigned last = 0, number = 5000;
    CU_ASSERT_EQUAL(child(number, LARGE, FAULT_NONE, UINT32_MAX, 0, &last), SAID_GOOD);
    for (unsigned fault = FAULT_EIO; fault < FAULTS; fault++)
        for (unsigned at = last - 9; at <= last - 4; at += 5) {
            unsigned before = number_of_file("dump.rdb");
            int said = child(++number, LARGE, fault, at, 0, NULL);
            judge(said, before, number, fault_name[fault], at);
        }
    empty_folder();
}

static void test_killed_at_any_time(void)
{
    const char *wanted = getenv("CRASHES");
    unsigned runs = wanted ? (unsigned)atoi(wanted) : 150, number = 1, killed = 0, became = 0;
    struct timespec from, to;
    child(number, SMALL, FAULT_NONE, 0, 0, NULL);
    clock_gettime(CLOCK_MONOTONIC, &from);
    for (unsigned i = 0; i < 5; i++)
        child(1, SMALL, FAULT_NONE, 0, 0, NULL);
    clock_gettime(CLOCK_MONOTONIC, &to);
    uint64_t us = (uint64_t)(to.tv_sec - from.tv_sec) * 1000000 + (uint64_t)((to.tv_nsec - from.tv_nsec) / 1000);
    srand(7);
    for (unsigned i = 0; i < runs; i++) {
        unsigned before = number_of_file("dump.rdb"), number_now = 2 + (number++ % 9000);
        int said = child(number_now, SMALL, FAULT_NONE, 0, 1 + (unsigned)rand() % (unsigned)(us / 4), NULL);
        killed += said == -1;
        became += number_of_file("dump.rdb") == number_now;
        judge(said, before, number_now, "kill -9", 0);
        if (i % 20 == 0)
            empty_folder(), child(1, SMALL, FAULT_NONE, 0, 0, NULL);
    }
    printf("# killed %u of %u times; the new one was there after %u\n", killed, runs, became);
    CU_ASSERT_TRUE(killed > runs / 4);
    empty_folder();
}

/* -- when they are due, and names -- */

static void test_schedules(void)
{
    struct schedule s;
    static const char *const wrong[] = {"every", "every 59s", "every 5", "every 5x", "every -1h", "daily", "daily 24:00",
                                        "daily 7:00", "daily 07:00x", "hourly", "every 400d", "every 99999999999999999999d"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CU_ASSERT_FALSE(schedule_read(wrong[i], &s));
    CU_ASSERT_TRUE(schedule_read("off", &s) && s.period == 0 && schedule_next(&s, 1000) == 0);
    CU_ASSERT_TRUE(schedule_read("every 6h", &s) && s.period == 6 * 3600);
    CU_ASSERT_EQUAL(schedule_next(&s, 6 * 3600 - 1), 6 * 3600);
    CU_ASSERT_EQUAL(schedule_next(&s, 6 * 3600), 12 * 3600);
    CU_ASSERT_TRUE(schedule_slot(&s, 6 * 3600) == 1 && schedule_slot(&s, 6 * 3600 - 1) == 0);
    setenv("TZ", "CET-1", 1);
    tzset();
    CU_ASSERT_TRUE(schedule_read("daily 03:30", &s));
    CU_ASSERT_EQUAL(schedule_next(&s, 1700000000), 1700015400); /* 2023-11-15 02:30 UTC */
    CU_ASSERT_EQUAL(schedule_next(&s, 1700015399), 1700015400);
    CU_ASSERT_EQUAL(schedule_next(&s, 1700015400), 1700015400 + 86400);
}

static void test_names(void)
{
    time_t at;
    CU_ASSERT_TRUE(kept_is("dump-20231115T023000Z.rdb", "dump.rdb", &at) && at == 1700015400);
    CU_ASSERT_FALSE(kept_is("dump-20231115T023000Z.rdb", "other.rdb", &at));
    CU_ASSERT_FALSE(kept_is("dump.rdb", "dump.rdb", &at));
    CU_ASSERT_FALSE(kept_is("dump-2023111ZT023000Z.rdb", "dump.rdb", &at));
    CU_ASSERT_FALSE(kept_is("dump-20231115T023000Z.rdb.", "dump.rdb", &at));
    CU_ASSERT_TRUE(kept_is_snapshot("a.rdb", "dump.rdb") && !kept_is_snapshot("temp-1.rdb", "dump.rdb"));
    CU_ASSERT_FALSE(kept_is_snapshot(".rdb", "dump.rdb"));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_call_fails_in_every_way), UNIT(test_faults_of_a_large_one),
                                             UNIT(test_killed_at_any_time),            UNIT(test_schedules),
                                             UNIT(test_names),                         {NULL, NULL}};
    if (!mkdtemp(folder))
        return 1;
    int status = unit_main(argc, argv, "control/snapshot_crash", tests);
    empty_folder();
    rmdir(folder);
    return status;
}

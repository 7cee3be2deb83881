/* test_aof_faults.c (EACH=1: each call; each eighth by default): whatever call of the system fails control while it keeps a log, is cut short, or is the last before control, or the
 * machine, has gone: nothing that a client was told is lost, nothing is there that was not done, what cannot be written is told, and when
 * the disk is well again so is the log. Control is a process (aof_faults_control.c); this program is the dataplane with two workers, its
 * clients, and whoever reads the log afterwards. Each call of the whole life of a log in turn. */
#undef _FORTIFY_SOURCE
#include "aof_faults.h"
#include "control/aof_folder.h"
#include "control/aof_read.h"
#include "unit.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RECORDS = 14, REWRITE_BEHIND = 5, AGAIN_BEHIND = 9, LARGE = 4, LARGE_BYTES = 90000, PIECE = 32 * 1024, WAIT_MS = 60000 };

struct between *between;
char faults_dir[64];
int faults_bulk;

static const char *const fault_name[] = {"none", "EIO", "ENOSPC", "short write", "kill before", "kill behind", "power lost before", "power lost behind"};

/* -- the dataplane -- */

static struct {
    void *bulk;
    struct channel_log *log;
    struct ring_end ring[WORKERS];
    bool logs;
    unsigned done;                  /* records, which have the numbers from 1 on */
    uint64_t order[RECORDS + 1];    /* that its reply waits for */
    pid_t control;                  /* 0: none */
    bool successor;                 /* one is to come when control is killed */
    bool killed;
    enum fault fault;
    unsigned at;
} box;

static void put(unsigned worker, enum log_type type, uint64_t order, const void *p, size_t n)
{
    static uint8_t message[CHANNEL_MESSAGE_MAX];
    message[0] = (uint8_t)type;
    memcpy(message + 1, &order, sizeof order);
    memcpy(message + 9, p, n);
    CU_ASSERT_EQUAL_FATAL(ring_put(&box.ring[worker], message, 9 + n), RING_OK); /* there is room for all of this test */
    if (__atomic_exchange_n(&box.log->asleep, 0, __ATOMIC_SEQ_CST))
        syscall(SYS_futex, &box.log->asleep, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void put_part(unsigned worker, uint64_t order, unsigned part, const char *p, size_t n)
{
    char message[5 + PIECE] = {0};
    message[4] = (char)part;
    memcpy(message + 5, p, n);
    put(worker, LOG_PART, order, message, 5 + n);
}

/* A transaction in several messages. */
static void put_large(unsigned worker, uint64_t order, unsigned number)
{
    static char text[LARGE_BYTES + 100];
    static const char multi[] = "*1\r\n$5\r\nMULTI\r\n", exec[] = "*1\r\n$4\r\nEXEC\r\n";
    size_t n = (size_t)sprintf(text, "*3\r\n$2\r\nID\r\n$6\r\n%06u\r\n$%d\r\n", number, LARGE_BYTES);
    memset(text + n, 'x', LARGE_BYTES);
    memcpy(text + n + LARGE_BYTES, "\r\n", 2);
    n += LARGE_BYTES + 2;
    put_part(worker, order, LOG_BEGINS, multi, sizeof multi - 1);
    for (size_t at = 0; at < n; at += PIECE)
        put_part(worker, order, at ? 0 : LOG_BEGINS, text + at, n - at < PIECE ? n - at : PIECE);
    put_part(worker, order, LOG_BEGINS | LOG_ENDS, exec, sizeof exec - 1);
}

static uint64_t next_order(void)
{
    return __atomic_fetch_add(&box.log->order, 1, __ATOMIC_ACQ_REL) + 1;
}

static void do_record(void)
{
    char text[64];
    unsigned number = ++box.done, worker = number % WORKERS;
    if (box.logs) {
        uint64_t order = next_order();
        if (number == LARGE)
            put_large(worker, order, number);
        else
            put_part(worker, order, LOG_BEGINS | LOG_ENDS, text, (size_t)sprintf(text, "*2\r\n$2\r\nID\r\n$6\r\n%06u\r\n", number));
    }
    box.order[number] = box.log->order;
}

/* Of control, while records come: it finds all of them at once. */
static void hold_control(bool hold)
{
    siginfo_t info;
    if (box.control && kill(box.control, hold ? SIGSTOP : SIGCONT) == 0 && hold)
        waitid(P_PID, (id_t)box.control, &info, WSTOPPED | WEXITED | WNOWAIT);
}

/* What control has asked for, as dataplane/worker_snapshot.c does it. */
static void answer(void)
{
    if (between->end_done != between->end_asked) {
        uint64_t zero = 0;
        if (box.logs)
            put(0, LOG_LAST, next_order(), &zero, sizeof zero);
        box.logs = false;
        box.log->begun = 0;
        between->end_done = between->end_asked;
    }
    if (between->base_done == between->base_asked)
        return;
    uint64_t file = between->base_file;
    hold_control(true);
    if (box.done < RECORDS)
        do_record(); /* is not in the file yet when the mark is taken */
    if (!box.logs) {
        for (unsigned i = 0; i < WORKERS; i++)
            ring_reset(&box.ring[i]);
        box.log->first = box.log->order + 1;
        __atomic_store_n(&box.log->begun, 1, __ATOMIC_SEQ_CST);
        box.logs = true;
    }
    put(1, LOG_MARK, next_order(), &file, sizeof file);
    hold_control(false);
    between->base_instant = box.done;
    between->base_done = between->base_asked;
}

static void new_dataplane(void)
{
    memset(&box, 0, sizeof box);
    faults_bulk = memfd_create("bulk", MFD_CLOEXEC);
    if (ftruncate(faults_bulk, CHANNEL_BULK_SIZE) < 0)
        abort();
    box.bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, faults_bulk, 0);
    box.log = log_shared(box.bulk);
    for (unsigned i = 0; i < WORKERS; i++) {
        box.ring[i] = log_to_control(box.bulk, i);
        ring_reset(&box.ring[i]);
    }
    box.log->first = 1;
    box.log->begun = 1;
    box.logs = true;
}

/* -- control's process -- */

static void start_control(enum fault fault, unsigned at, bool finds)
{
    fflush(stdout);
    between->load_failed = false;
    between->on = false;
    between->rewrite_begun = between->rewrite_wanted;
    box.control = fork();
    if (box.control == 0) {
        faults_begin(fault, at);
        faults_control(finds);
        _exit(0);
    }
}

/* Has it been killed? Then (if one is to come) another one finds the dataplane. */
static bool gone(void)
{
    int status;
    if (!box.control || waitpid(box.control, &status, WNOHANG) != box.control)
        return !box.control;
    box.control = 0;
    box.killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    CU_ASSERT_TRUE(box.killed || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
    if (!box.killed || !box.successor)
        return true;
    answer(); /* what the old one has asked for and nobody waits for any more */
    between->rewrites_failed++;
    start_control(FAULT_NONE, 0, between->on);
    return false;
}

/* False: control has gone for good. Nothing takes a minute. */
static bool until(bool (*is)(void), const char *what)
{
    const struct timespec pause = {0, 20000000}; /* a millisecond: aof_faults_control.c */
    for (unsigned ms = 0; ms < WAIT_MS; ms++) {
        if (is())
            return true;
        if (gone())
            return is();
        answer();
        nanosleep(&pause, NULL);
    }
    printf("# %s at call %u: a minute was not enough for %s; %u done, log on %d, refuses %d, bases %u of %u, rewrites %u, failed %u, record %llu, synced %llu; %s\n",
           fault_name[box.fault], box.at, what, box.done, between->on, between->refuses, between->base_done, between->base_asked, between->rewrites,
           between->rewrites_failed, (unsigned long long)box.log->order, (unsigned long long)box.log->synced, between->warning);
    CU_FAIL("a minute was not enough");
    return false;
}

static bool logs_or_failed(void)
{
    return between->on || between->load_failed;
}

static bool takes_writes(void)
{
    return between->on && !between->refuses;
}

static bool replied(void)
{
    return __atomic_load_n(&box.log->synced, __ATOMIC_ACQUIRE) >= box.order[box.done];
}

static unsigned rewrites_before;

static bool rewritten(void)
{
    return between->rewrites > rewrites_before;
}

static bool rewrite_over(void)
{
    return rewritten() || between->rewrites_failed;
}

static bool control_over(void)
{
    return !box.control;
}

/* Asked for until it succeeds; records come meanwhile. */
static bool rewrite(void)
{
    rewrites_before = between->rewrites;
    for (unsigned i = 0; i < 4; i++) {
        between->rewrites_failed = 0;
        between->rewrite_wanted++;
        if (!until(takes_writes, "writes to be taken"))
            return false;
        if (i == 0)
            do_record();
        if (!until(rewrite_over, "a rewrite"))
            return false;
        if (rewritten())
            return until(replied, "a reply while there was a rewrite");
    }
    CU_FAIL("no rewrite succeeds");
    return false;
}

static bool client(void)
{
    while (box.done < RECORDS) {
        if (!until(takes_writes, "writes to be taken"))
            return false;
        do_record();
        if (box.done == LARGE)
            do_record(); /* on the other worker, behind it */
        if (!until(replied, "a reply"))
            return false;
        if ((box.done == REWRITE_BEHIND || box.done == AGAIN_BEHIND) && !rewrite())
            return false;
    }
    return true;
}

/* -- what is there then -- */

struct found {
    char *text;
    size_t n;
};

static void take(void *ctx, uint64_t at, const uint8_t *p, size_t n, bool whole)
{
    struct found *f = ctx;
    (void)at, (void)whole;
    f->text = realloc(f->text, f->n + n + 1);
    memcpy(f->text + f->n, p, n);
    f->n += n;
    f->text[f->n] = 0;
}

/* Adds what is in a file; only the last one may be cut. False: it would not be loaded. */
static bool read_file(const char *path, bool last, struct found *f)
{
    struct aof_check check;
    char head[5] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    bool empty_base = pread(fd, head, sizeof head, 0) == sizeof head && memcmp(head, "REDIS", sizeof head) == 0;
    bool good = empty_base || ((aof_check(fd, 0, &check) || (last && check.truncated)) && aof_read(fd, 0, check.good, take, f));
    close(fd);
    return good;
}

/* How many records are there: 1 to n in their order. -1: others, or the log would not be loaded. */
static int records_there(void)
{
    char error[256] = "", none[100];
    struct found f = {calloc(1, 1), 0};
    struct aof_folder *folder = aof_folder_new(faults_dir, "log", "a.aof");
    unsigned n, number = 0;
    snprintf(none, sizeof none, "%s/none", faults_dir);
    bool good = aof_folder_begin(folder, none, error, sizeof error);
    char **path = aof_folder_paths(folder, &n);
    for (unsigned i = 0; i < n; i++) {
        good = good && read_file(path[i], i + 1 == n, &f);
        if (!good)
            printf("# %s %s\n", path[i], error);
        free(path[i]);
    }
    for (char *at = f.text; good && (at = strstr(at, "$2\r\nID\r\n$6\r\n")); at += 12)
        if (!(good = (unsigned)atoi(at + 12) == ++number))
            printf("# record %d instead of %u; manifest: base %llu, increments to %llu\n", atoi(at + 12), number,
                   (unsigned long long)aof_folder_base(folder), (unsigned long long)aof_folder_last(folder));
    free(path);
    free(f.text);
    aof_folder_free(folder);
    return good ? (int)number : -1;
}

static bool empty_folder(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s/log %s/before", faults_dir, faults_dir);
    return system(command) == 0;
}

/* -- a log's whole life -- */

/* successor: control is killed alone; else the dataplane with it. */
static void life(enum fault fault, unsigned at, bool successor)
{
    memset(between, 0, sizeof *between);
    new_dataplane();
    box.successor = successor;
    box.fault = fault;
    box.at = at;
    start_control(fault, at, false);
    if (until(logs_or_failed, "a log") && between->load_failed) {
        CU_ASSERT_TRUE(between->warning[0]); /* why is told, and nothing is served; the operator starts it again */
        until(control_over, "control to end");
        start_control(FAULT_NONE, 0, false);
        until(logs_or_failed, "a log");
    }
    bool over = client();
    between->ends = true;
    until(control_over, "control to end");
    bool dies = fault >= FAULT_KILL_BEFORE;
    CU_ASSERT_TRUE(over || (dies && !successor));
    unsigned told = 0;
    while (told < box.done && box.log->synced >= box.order[told + 1])
        told++;
    int there = records_there();
    bool good = there >= (int)told && there <= (int)box.done && (!over || told == RECORDS);
    if (!good)
        printf("# %s at call %u%s: %u done, %u told, %d there; %s\n", fault_name[fault], at, successor ? ", a successor" : "", box.done, told, there, between->warning);
    CU_ASSERT_TRUE(good);
    munmap(box.bulk, CHANNEL_BULK_SIZE);
    close(faults_bulk);
    CU_ASSERT_TRUE(empty_folder());
}

static unsigned calls_of_a_life(void)
{
    life(FAULT_NONE + 1, UINT32_MAX, false);
    return between->calls;
}

static void each_call(enum fault from, enum fault to, bool successor)
{
    const char *wanted = getenv("EACH");
    unsigned calls = calls_of_a_life(), runs = 0, each = wanted ? (unsigned)atoi(wanted) : 8;
    CU_ASSERT_TRUE(calls > 60);
    for (unsigned fault = from; fault <= to; fault++)
        for (unsigned at = 1 + fault % each; at <= calls; at += each, runs++)
            life(fault, at, successor);
    printf("# %u faults in %u calls\n", runs, calls);
}

static void a_call_fails(void)
{
    each_call(FAULT_EIO, FAULT_SHORT, false);
}

static void killed_with_the_dataplane(void)
{
    each_call(FAULT_KILL_BEFORE, FAULT_KILL_AFTER, false);
}

static void killed_and_a_successor(void)
{
    each_call(FAULT_KILL_BEFORE, FAULT_KILL_AFTER, true);
}

static void power_lost(void)
{
    each_call(FAULT_POWER_BEFORE, FAULT_POWER_AFTER, false);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(a_call_fails), UNIT(killed_with_the_dataplane), UNIT(killed_and_a_successor), UNIT(power_lost), {NULL, NULL}};
    snprintf(faults_dir, sizeof faults_dir, "/tmp/aof-faults-XXXXXX");
    between = mmap(NULL, sizeof *between, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!mkdtemp(faults_dir) || between == MAP_FAILED)
        return 1;
    int status = unit_main(argc, argv, "control/aof_faults", tests);
    rmdir(faults_dir);
    return status;
}

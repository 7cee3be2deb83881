/* log_test.c: what leaves for clients with appendfsync always, over whole workers in virtual time; control, which writes the log and
 * syncs it, is the test. https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
#include "box_rig.h"
#include "channel/messages.h"
#include "job.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct box_rig rig;
static time_t later_s; /* so much later it is on the wall */
static struct channel_log *disk;

int clock_gettime(clockid_t clock, struct timespec *t)
{
    int result = (int)syscall(SYS_clock_gettime, clock, t);
    if (clock == CLOCK_REALTIME)
        t->tv_sec += later_s;
    return result;
}

static void start_with(const char *workers, const char *policy)
{
    const char *const pairs[] = {"workers", workers, "appendfsync", policy, "enable-debug-command", "yes", NULL};
    rig_start(&rig, pairs, NULL);
    rig.box.bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(rig.box.bulk, MAP_FAILED);
    disk = log_shared(rig.box.bulk);
    worker_log_begin(&rig.box);
    for (unsigned i = 0; i < rig.box.workers; i++)
        worker_log_join(rig.box.worker[i]);
    rig_run(&rig, 5000);
}

static void start(const char *workers)
{
    start_with(workers, "always");
}

static void stop(void)
{
    __atomic_store_n(&disk->synced, __atomic_load_n(&disk->order, __ATOMIC_ACQUIRE), __ATOMIC_RELEASE);
    rig_run(&rig, 5000);
    rig_hang_up(&rig);
    rig_run(&rig, 200000);
    for (unsigned i = 0; i < rig.box.workers; i++)
        CU_ASSERT_PTR_NULL(rig.box.worker[i]->log.held_first);
    munmap(rig.box.bulk, CHANNEL_BULK_SIZE);
    rig.box.bulk = NULL;
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static uint64_t records(void)
{
    return __atomic_load_n(&disk->order, __ATOMIC_ACQUIRE);
}

static void sync_to(uint64_t order)
{
    __atomic_store_n(&disk->synced, order, __ATOMIC_RELEASE);
    rig_run(&rig, 3000);
}

static unsigned count(const struct rig_client *c, const char *word)
{
    unsigned n = 0;
    size_t len = strlen(word);
    for (const uint8_t *p = c->got, *end = p + c->got_len; p && (p = memmem(p, (size_t)(end - p), word, len)); p += len)
        n++;
    return n;
}

static void send(struct rig_client *c, const char *text)
{
    rig_send(c, text);
    rig_run(&rig, 3000);
}

/* Others write all the time, and the disk is always behind: who listens gets what is on the disk, and not more. */
static void listener(const char *workers)
{
    enum { TURNS = 100 };
    start(workers);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *p = rig_connect(&rig, 2);
    rig_exchange(&rig, a, "SUBSCRIBE x\r\n", 13, 1);
    CU_ASSERT_EQUAL(count(a, "subscribe"), 1);
    for (unsigned i = 0; i < TURNS; i++) {
        uint64_t before = records();
        send(b, "SET k 1\r\n");
        send(p, "PUBLISH x first-now\r\n");
        send(b, "SET k 2\r\n"); /* and another one is on its way when the disk has the first */
        send(p, "PUBLISH x second-now\r\n");
        CU_ASSERT_EQUAL_FATAL(records(), before + 2);
        CU_ASSERT(count(a, "first-now") <= i && count(a, "second-now") <= (i ? i - 1 : 0));
        CU_ASSERT(count(b, "+OK") <= (i ? 2 * i - 1 : 0));
        sync_to(before + 1);
        CU_ASSERT(count(a, "first-now") <= i + 1 && count(a, "second-now") <= i && count(b, "+OK") <= 2 * i + 1);
        /* What was said by the turn before has come by now: the syncs of two turns are behind it. */
        CU_ASSERT_FATAL(count(a, "second-now") >= i && count(b, "+OK") >= 2 * i && count(p, ":1\r\n") >= 2 * i);
    }
    stop();
}

static void test_who_listens_does_not_starve(void)
{
    listener("1");
    listener("2");
}

/* More than TCP takes at once, to a client that reads slowly: none of it waits for records that came behind it. */
static void test_a_large_reply(void)
{
    static char big[3 << 20];
    static const char get[] = "GET big\r\n", set[] = "SET other 1\r\n";
    start("1");
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    int n = snprintf(big, sizeof big, "*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n", 2 << 20);
    memset(big + n, 'x', 2 << 20);
    memcpy(big + n + (2 << 20), "\r\n", 2);
    a->to_send = (const uint8_t *)big;
    a->to_send_len = (size_t)n + (2 << 20) + 2;
    a->sent = 0;
    rig_run(&rig, 3000000);
    CU_ASSERT_EQUAL_FATAL(records(), 1);
    sync_to(1);
    CU_ASSERT_EQUAL(count(a, "+OK"), 1);
    a->got_len = 0;
    rig_send(b, set);
    rig_run(&rig, 3000);
    a->paused = true;
    rig_send(a, get);
    rig_run(&rig, 3000);
    CU_ASSERT_EQUAL(a->got_len, 0);
    sync_to(2);
    rig_send(b, set); /* not on the disk from here on */
    rig_run(&rig, 3000);
    CU_ASSERT_EQUAL(records(), 3);
    a->paused = false;
    rig_run(&rig, 10000000);
    CU_ASSERT(a->got_len > 2 << 20);
    CU_ASSERT_EQUAL(count(b, "+OK"), 1);
    stop();
}

/* The log may end because the disk has failed it: what was said then waits for control's word, whatever comes between. */
static void test_a_log_ends(void)
{
    start("1");
    struct rig_client *a = rig_connect(&rig, 0);
    send(a, "SET k 1\r\n");
    worker_log_end(rig.worker);
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(a->got_len, 0);
    worker_log_begin(&rig.box);
    worker_log_join(rig.worker);
    worker_log_mark(rig.worker, 2);
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(a->got_len, 0);
    sync_to(records());
    CU_ASSERT_EQUAL(count(a, "+OK"), 1);
    worker_log_end(rig.worker); /* and for good */
    sync_to(records());
    send(a, "SET k 2\r\n");
    CU_ASSERT_EQUAL(count(a, "+OK"), 2);
    stop();
}

/* -- fields that are over, and those in the middle of them */

enum { FIELDS = 3000, OVER = 100, OVER_S = 3600 };

/* Runs until so much has come. */
static bool comes(struct rig_client *c, const char *word, unsigned n)
{
    for (unsigned i = 0; i < 20000 && count(c, word) < n; i++)
        rig_run(&rig, 100);
    return count(c, word) == n;
}

/* h, a table, in slices of one field; the first OVER ones will be over in OVER_S. */
static void fields(struct rig_client *c)
{
    static char text[65536];
    int n = sprintf(text, "HSET h");
    for (unsigned i = 0; i < FIELDS; i++)
        n += sprintf(text + n, " f%u v", i);
    sprintf(text + n, "\r\n");
    CU_ASSERT_FATAL(rig_says(&rig, c, "DEBUG SET-ACTIVE-EXPIRE 0\r\n", "+OK\r\n"));
    CU_ASSERT_FATAL(rig_says(&rig, c, text, ":3000\r\n"));
    n = sprintf(text, "HEXPIRE h %u FIELDS %u", OVER_S, OVER);
    for (unsigned i = 0; i < OVER; i++)
        n += sprintf(text + n, " f%u", i);
    sprintf(text + n, "\r\n");
    rig_send(c, text);
    CU_ASSERT_FATAL(comes(c, ":1\r\n", OVER));
    c->got_len = 0;
    rig.worker->turns.each = 1;
    rig.worker->env.turn_work = 10;
}

/* In the middle of what has begun. */
static void get_over(void)
{
    const struct pins *pins = shard_pins(rig.box.ks->shard[0]);
    for (unsigned i = 0; i < 1000 && !pins->held; i++)
        rig_run(&rig, 100);
    later_s += 2 * OVER_S;
    rig_run(&rig, 500);
    CU_ASSERT(pins->held > 0);
}

/* While one reads all fields in slices, some are over; for him they are not. Whoever takes them out waits. */
static void beside_a_reader(const char *command, const char *reply)
{
    start_with("1", "no");
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    fields(a);
    uint64_t commands = rig.counters.v[COUNTER_long_commands];
    rig_send(a, "HGETALL h\r\n");
    get_over();
    rig_send(b, command);
    CU_ASSERT(comes(b, reply, 1));
    CU_ASSERT(comes(a, "$", 2 * FIELDS) && count(a, "*6000") == 1);
    CU_ASSERT(rig.counters.v[COUNTER_long_commands] >= commands + 2); /* so many fields do not go at once */
    CU_ASSERT(rig_says(&rig, a, "HLEN to\r\n", ":2900\r\n"));
    CU_ASSERT_EQUAL(shard_pins(rig.box.ks->shard[0])->pins, 0);
    stop();
}

static void test_fields_under_a_reader(void)
{
    beside_a_reader("COPY h to\r\n", ":1\r\n");
    beside_a_reader("RENAME h to\r\n", "+OK\r\n");
    beside_a_reader("RENAMENX h to\r\n", ":1\r\n");
}

/* The second one takes out fields only when the first has copied them. */
static void test_two_copies(void)
{
    start_with("1", "no");
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    fields(a);
    rig_send(a, "COPY h one\r\n");
    get_over();
    CU_ASSERT_EQUAL(a->got_len, 0);
    rig_send(b, "COPY h to\r\n");
    CU_ASSERT(comes(a, ":1\r\n", 1) && comes(b, ":1\r\n", 1));
    CU_ASSERT(rig_says(&rig, a, "HLEN to\r\nHLEN h\r\n", ":2900\r\n:2900\r\n"));
    stop();
}

/* Who has gone does not wait for control's answer any more (WAITAOF), which then finds nobody; who asks it for something else does. */
static void test_who_goes_while_control_is_asked(void)
{
    static const char *const asked[] = {"WAITAOF 1 0 0\r\n", "BGREWRITEAOF\r\n"};
    for (unsigned i = 0; i < 2; i++) {
        start("1");
        atomic_store(&rig.box.control_present, true);
        struct rig_client *a = rig_connect(&rig, 0);
        send(a, asked[i]);
        struct job *j = fabric_receive(rig.box.fabric, fabric_main(rig.box.fabric));
        CU_ASSERT_PTR_NOT_NULL_FATAL(j);
        CU_ASSERT(j->kind == JOB_ASK && j->session);
        tcp_close(a->conn, rig.now_us);
        a->conn = NULL;
        rig_run(&rig, 200000);
        CU_ASSERT_EQUAL(rig.worker->sessions, i);
        CU_ASSERT_EQUAL(j->session != NULL, i);
        job_set_reply(j, SLICE_LIT("+asked\r\n"));
        CU_ASSERT_TRUE(fabric_send(rig.box.fabric, fabric_main(rig.box.fabric), 0, j));
        rig_run(&rig, 200000);
        CU_ASSERT_EQUAL(rig.worker->sessions, 0);
        stop();
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_who_listens_does_not_starve), UNIT(test_a_large_reply), UNIT(test_a_log_ends),
                                             UNIT(test_fields_under_a_reader), UNIT(test_two_copies), UNIT(test_who_goes_while_control_is_asked),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/log", tests);
}

/* log_test.c: what leaves for clients with appendfsync always, over whole workers in virtual time; control, which writes the log and
 * syncs it, is the test. https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
#include "box_rig.h"
#include "channel/messages.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

static struct box_rig rig;
static struct channel_log *disk;

static void start(const char *workers)
{
    const char *const pairs[] = {"workers", workers, "appendfsync", "always", NULL};
    rig_start(&rig, pairs, NULL);
    rig.box.bulk = mmap(NULL, CHANNEL_BULK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CU_ASSERT_PTR_NOT_EQUAL_FATAL(rig.box.bulk, MAP_FAILED);
    disk = log_shared(rig.box.bulk);
    worker_log_begin(&rig.box);
    for (unsigned i = 0; i < rig.box.workers; i++)
        worker_log_join(rig.box.worker[i]);
    rig_run(&rig, 5000);
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

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_who_listens_does_not_starve), UNIT(test_a_large_reply), {NULL, NULL}};
    return unit_main(argc, argv, "worker/log", tests);
}

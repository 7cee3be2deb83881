/* clients_test.c: maxmemory-clients, CLIENT NO-EVICT, client-output-buffer-limit by class, and what the log is told. */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static char text[3000001]; /* of a request */
static const char *const none[] = {"maxmemory-clients", "0", NULL}, *const megabyte[] = {"maxmemory-clients", "1mb", NULL},
                        *const half[] = {"maxmemory-clients", "512kb", NULL},
                        *const percent[] = {"maxmemory-clients", "10%", "maxmemory", "10mb", NULL};

/* Half a request of so many bytes. */
static struct rig_client *holds(unsigned i, size_t bytes)
{
    struct rig_client *c = rig_connect(&rig, i);
    sprintf(text, "*2\r\n$4\r\nECHO\r\n$%zu\r\n", bytes);
    rig_exchange(&rig, c, text, bytes, 0);
    rig_run(&rig, 2000);
    return c;
}

static bool log_says(const char *what)
{
    char line[NOTE_BYTES] = "nothing";
    while (notes_take(&rig.worker->notes, line))
        if (strstr(line, what))
            return true;
    printf("# %s\n", line);
    return false;
}

static uint64_t evicted(void)
{
    return count_read(rig.worker->counters, COUNTER_client_evictions);
}

static void test_the_largest_goes_first(void)
{
    rig_start(&rig, megabyte, NULL);
    struct rig_client *small = holds(0, 200000), *large = holds(1, 500000), *idle = rig_connect(&rig, 2);
    CU_ASSERT_EQUAL(evicted(), 0);
    struct rig_client *last = holds(3, 400000);
    rig_run(&rig, 200000);
    CU_ASSERT_EQUAL(evicted(), 1);
    CU_ASSERT(large->peer_closed && !small->peer_closed && !last->peer_closed && !idle->peer_closed);
    CU_ASSERT(log_says("closed, the largest with 5"));
    CU_ASSERT(rig_stop(&rig));
}

static void test_without_a_limit_nobody_goes(void)
{
    rig_start(&rig, none, NULL);
    holds(0, 3000000);
    rig_run(&rig, 200000);
    CU_ASSERT_EQUAL(evicted(), 0);
    CU_ASSERT(rig_stop(&rig));
}

static void test_who_must_not_be_evicted_stays(void)
{
    rig_start(&rig, megabyte, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(rig_says(&rig, c, "CLIENT NO-EVICT on\r\n", "+OK\r\n"));
    sprintf(text, "*2\r\n$4\r\nECHO\r\n$10000000\r\n");
    rig_exchange(&rig, c, text, 2000000, 0);
    struct rig_client *other = holds(1, 1000);
    rig_run(&rig, 300000);
    CU_ASSERT(!c->peer_closed && other->peer_closed);
    CU_ASSERT_EQUAL(evicted(), 1);
    CU_ASSERT(rig_stop(&rig));
}

/* As far as it must be, and no farther. */
static void test_a_lower_limit_evicts(void)
{
    rig_start(&rig, megabyte, NULL);
    struct rig_client *a = holds(0, 100000), *b = holds(1, 300000), *c = holds(2, 350000);
    CU_ASSERT_EQUAL(evicted(), 0);
    rig_reconfigure(&rig, half);
    rig_run(&rig, 300000);
    CU_ASSERT_EQUAL(evicted(), 1);
    CU_ASSERT(!a->peer_closed && !b->peer_closed && c->peer_closed);
    CU_ASSERT(rig_stop(&rig));
}

static void test_a_share_of_maxmemory(void)
{
    rig_start(&rig, percent, NULL);
    struct rig_client *a = holds(0, 900000);
    CU_ASSERT_EQUAL(evicted(), 0);
    struct rig_client *b = holds(1, 300000);
    rig_run(&rig, 200000);
    CU_ASSERT(a->peer_closed && !b->peer_closed);
    CU_ASSERT(rig_stop(&rig));
}

/* What MULTI queues and what is not read yet of replies count as well. */
static void test_all_that_a_client_holds_counts(void)
{
    rig_start(&rig, megabyte, NULL);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    int n = sprintf(text, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$400000\r\n");
    memset(text + n, 'x', 400000);
    memcpy(text + n + 400000, "\r\n", 2);
    CU_ASSERT(rig_says(&rig, a, "MULTI\r\n", "+OK\r\n"));
    for (unsigned i = 0; i < 3; i++)
        rig_exchange(&rig, a, text, (size_t)n + 400002, 0);
    rig_run(&rig, 200000);
    CU_ASSERT_EQUAL(evicted(), 1);
    CU_ASSERT(a->peer_closed);
    CU_ASSERT(rig_says(&rig, b, "SETRANGE big 299999 x\r\n", ":300000\r\n"));
    b->paused = true;
    rig_exchange(&rig, b, "GET big\r\nGET big\r\nGET big\r\nGET big\r\nGET big\r\nGET big\r\nGET big\r\n", 63, 0);
    rig_run(&rig, 300000);
    CU_ASSERT_EQUAL(evicted(), 2);
    CU_ASSERT_EQUAL(rig.worker->query_caps, 0);
    CU_ASSERT_EQUAL(rig.worker->queued_bytes, 0);
    CU_ASSERT_EQUAL(rig.worker->chunk_bytes, 0);
    CU_ASSERT(rig_stop(&rig));
}

/* -- output limits -- */

static const char *const output[] = {"client-output-buffer-limit", "normal 1mb 512kb 2 pubsub 64kb 0 0",
                                      "tcp-send-buffer", "256kb", NULL};

static void want(struct rig_client *c, unsigned times)
{
    static char request[3200];
    request[0] = 0;
    for (unsigned i = 0; i < times; i++)
        strcat(request, "GET big\r\n");
    c->paused = true;
    rig_exchange(&rig, c, request, strlen(request), 0);
}

static void test_the_soft_limit_needs_its_seconds(void)
{
    rig_start(&rig, output, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(rig_says(&rig, c, "SETRANGE big 99999 x\r\n", ":100000\r\n"));
    want(c, 10); /* beside what TCP takes */
    rig_run(&rig, 200000);
    CU_ASSERT(rig.worker->chunk_bytes > 512 << 10);
    CU_ASSERT_EQUAL(rig.worker->sessions, 1);
    rig.worker->live_sessions->soft_since_s -= 3; /* the wall clock is not virtual here */
    rig_run(&rig, 1500000);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    CU_ASSERT_EQUAL(count_read(rig.worker->counters, COUNTER_client_output_limit_closes), 1);
    CU_ASSERT(log_says("over the soft limit of client-output-buffer-limit normal (524288)"));
    CU_ASSERT(rig_stop(&rig));
}

static void test_the_hard_limit_is_at_once_and_by_class(void)
{
    rig_start(&rig, output, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *slow = rig_connect(&rig, 1);
    CU_ASSERT(rig_says(&rig, slow, "CLIENT SETNAME slow\r\n", "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, slow, "SUBSCRIBE ch\r\n", "*3\r\n$9\r\nsubscribe\r\n$2\r\nch\r\n:1\r\n"));
    slow->paused = true;
    int n = sprintf(text, "*3\r\n$7\r\nPUBLISH\r\n$2\r\nch\r\n$100000\r\n");
    memset(text + n, 'x', 100000);
    memcpy(text + n + 100000, "\r\n", 2);
    for (unsigned i = 0; i < 6 && rig.worker->sessions == 2; i++)
        rig_exchange(&rig, c, text, (size_t)n + 100002, c->got_len + 4);
    rig_run(&rig, 200000);
    CU_ASSERT_EQUAL(rig.worker->sessions, 1);
    CU_ASSERT(log_says("name=slow closed with output of"));
    CU_ASSERT(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT(rig_stop(&rig));
}

static void test_the_log_says_how_much_it_left_out(void)
{
    static struct notes n;
    char line[NOTE_BYTES];
    for (unsigned i = 0; i < NOTES + 3; i++)
        notes_add(&n, "line %u", i);
    for (unsigned i = 0; i < NOTES; i++)
        CU_ASSERT(notes_take(&n, line));
    CU_ASSERT_STRING_EQUAL(line, "line 15");
    CU_ASSERT(notes_take(&n, line));
    CU_ASSERT_STRING_EQUAL(line, "suppressed 3 more of these lines");
    CU_ASSERT_FALSE(notes_take(&n, line));
}

/* INFO's total_reads_processed and total_writes_processed: a segment each, in and out; acknowledgements are none. CONFIG RESETSTAT sets
 * them back. */
static void test_reads_and_writes(void)
{
    enum { TIMES = 10 };
    rig_start(&rig, none, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    rig_run(&rig, 500000);
    const struct counters *n = rig.worker->counters;
    uint64_t reads = count_read(n, COUNTER_client_reads), writes = count_read(n, COUNTER_client_writes);
    for (unsigned i = 0; i < TIMES; i++)
        CU_ASSERT(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    rig_run(&rig, 500000);
    CU_ASSERT_EQUAL(count_read(n, COUNTER_client_reads) - reads, TIMES);
    CU_ASSERT_EQUAL(count_read(n, COUNTER_client_writes) - writes, TIMES);
    rig_exchange(&rig, c, "INFO stats\r\n", 12, 1);
    rig_run(&rig, 10000);
    c->got[c->got_len] = 0;
    char expected[64];
    snprintf(expected, sizeof expected, "total_reads_processed:%llu\r\ntotal_writes_processed:", (unsigned long long)reads + TIMES + 1);
    const char *at = strstr((const char *)c->got, expected);
    CU_ASSERT_PTR_NOT_NULL_FATAL(at);
    CU_ASSERT_EQUAL(strtoull(at + strlen(expected), NULL, 10), writes + TIMES);
    c->got_len = 0;
    CU_ASSERT(rig_says(&rig, c, "CONFIG RESETSTAT\r\n", "+OK\r\n"));
    rig_run(&rig, 500000);
    CU_ASSERT(count_read(n, COUNTER_client_reads) <= 1 && count_read(n, COUNTER_client_writes) == 1);
    CU_ASSERT(rig_stop(&rig));
}

/* Not listed, nor killed once more, by what comes right behind. */
static void test_who_was_killed_is_gone_at_once(void)
{
    rig_start(&rig, none, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *gone = rig_connect(&rig, 1);
    CU_ASSERT(rig_says(&rig, c, "CLIENT KILL TYPE normal\r\nCLIENT KILL TYPE normal\r\n", ":1\r\n:0\r\n"));
    CU_ASSERT(gone->peer_closed);
    struct rig_client *waits = rig_connect(&rig, 2); /* what comes next is not his any more */
    rig_exchange(&rig, waits, "BLPOP k 0\r\n", 11, 0);
    rig_run(&rig, 2000);
    CU_ASSERT(rig_says(&rig, c, "CLIENT KILL TYPE normal\r\nRPUSH k v\r\nLPOP k\r\n", ":1\r\n:1\r\n$1\r\nv\r\n"));
    CU_ASSERT(waits->peer_closed && waits->got_len == 0);
    CU_ASSERT(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_largest_goes_first),
                                             UNIT(test_without_a_limit_nobody_goes),
                                             UNIT(test_who_must_not_be_evicted_stays),
                                             UNIT(test_a_lower_limit_evicts),
                                             UNIT(test_a_share_of_maxmemory),
                                             UNIT(test_all_that_a_client_holds_counts),
                                             UNIT(test_the_soft_limit_needs_its_seconds),
                                             UNIT(test_the_hard_limit_is_at_once_and_by_class),
                                             UNIT(test_the_log_says_how_much_it_left_out),
                                             UNIT(test_reads_and_writes),
                                             UNIT(test_who_was_killed_is_gone_at_once),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/clients", tests);
}

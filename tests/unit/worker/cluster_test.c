/* cluster_test.c: two workers in the cluster view: who comes to a worker's own port has that worker's keys, and needs no
 * other one; commands in slices of one element. */
#include "turns_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

enum { VIEW = 7001, KEYS = 100 };
static const char *const view[] = {"workers", "2", "cluster-view", "workers", "cluster-view-port", "7001", NULL};
static struct rig_client *node[2]; /* at the workers' own ports; client[] are at the box' */

static void begin_view(void)
{
    begin(view);
    node[0] = rig_connect_to(&rig, 8, VIEW);
    node[1] = rig_connect_to(&rig, 10, VIEW + 1);
}

static uint64_t journeys(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 2; i++)
        n += count_read(rig.box.worker[i]->counters, COUNTER_hops_sent) +
             count_read(rig.box.worker[i]->counters, COUNTER_barriers);
    return n;
}

/* One request, with %s for a key of the worker's. */
static bool says(unsigned worker, const char *format, const char *expected)
{
    char text[256];
    snprintf(text, sizeof text, format, key_of(worker), key_of(worker));
    return rig_says(&rig, node[worker], text, expected);
}

static void fill(unsigned worker)
{
    char text[64];
    for (unsigned i = 0; i < KEYS; i++) {
        snprintf(text, sizeof text, "SET {%s}%u %u\r\n", key_of(worker), i, i);
        CU_ASSERT(rig_says(&rig, node[worker], text, "+OK\r\n"));
    }
}

static void keys_of_the_other_are_moved_in_order(void)
{
    char text[256], expected[256];
    begin_view();
    for (unsigned i = 0; i < 2; i++) {
        const char *mine = key_of(i), *other = key_of(!i);
        snprintf(text, sizeof text, "SET %s 1\r\nSET %s 2\r\nMGET %s %s\r\nGET %s\r\n", mine, other, mine, other, mine);
        snprintf(expected, sizeof expected,
                 "+OK\r\n-MOVED %u 10.0.0.2:%u\r\n-CROSSSLOT Keys in request don't hash to the same slot\r\n$1\r\n1\r\n",
                 key_slot(slice_str(other)), VIEW + !i);
        CU_ASSERT(rig_says(&rig, node[i], text, expected));
    }
    CU_ASSERT_EQUAL(journeys(), 0);
    CU_ASSERT(rig_says(&rig, client[0], "DBSIZE\r\n", ":2\r\n"));
    CU_ASSERT(journeys() > 0);
    CU_ASSERT(end());
}

static void what_concerns_all_keys_is_the_workers_own(void)
{
    begin_view();
    fill(0);
    fill(1);
    uint64_t slices = count_read(rig.box.worker[1]->counters, COUNTER_long_command_slices);
    sends(node[1], "KEYS *\r\n");
    CU_ASSERT(says(0, "DBSIZE\r\n", ":100\r\n")); /* meanwhile */
    for (unsigned i = 0; i < 10000 && !memmem(node[1]->got, node[1]->got_len, "}99\r\n", 5); i++)
        rig_run(&rig, 100);
    rig_run(&rig, 20000);
    CU_ASSERT(memcmp(node[1]->got, "*100\r\n", 6) == 0);
    CU_ASSERT(count_read(rig.box.worker[1]->counters, COUNTER_long_command_slices) > slices + KEYS / 2);
    CU_ASSERT(says(1, "CLUSTER COUNTKEYSINSLOT 16384\r\n", "-ERR Invalid slot\r\n"));
    char text[64];
    for (unsigned i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "CLUSTER COUNTKEYSINSLOT %u\r\n", key_slot(slice_str(key_of(i))));
        CU_ASSERT(rig_says(&rig, node[i], text, ":100\r\n"));
        CU_ASSERT(rig_says(&rig, node[!i], text, ":0\r\n"));
    }
    CU_ASSERT(says(0, "FLUSHALL\r\nDBSIZE\r\n", "+OK\r\n:0\r\n"));
    CU_ASSERT(says(1, "DBSIZE\r\n", ":100\r\n"));
    CU_ASSERT_EQUAL(journeys(), 0);
    CU_ASSERT(end());
}

/* FLUSHALL of one node beside a reader in slices at the other, and at its own. */
static void a_flush_leaves_what_is_read_here_and_there(void)
{
    char text[64];
    begin_view();
    for (unsigned i = 0; i < 2; i++) {
        add("SADD", key_of(i), MEMBERS);
        snprintf(text, sizeof text, "SMEMBERS %s\r\n", key_of(i));
        sends(client[i], text);
    }
    uint64_t before = journeys();
    CU_ASSERT(says(0, "FLUSHALL\r\n", "+OK\r\n"));
    CU_ASSERT_EQUAL(journeys(), before);
    CU_ASSERT(completes(client[0], members_size(MEMBERS)));
    CU_ASSERT(completes(client[1], members_size(MEMBERS)));
    CU_ASSERT(says(0, "SCARD %s\r\n", ":0\r\n"));
    CU_ASSERT(says(1, "SCARD %s\r\n", ":300\r\n"));
    CU_ASSERT(end());
}

static void transactions_and_scripts_stay(void)
{
    begin_view();
    CU_ASSERT(says(1, "EVAL \"return redis.call('incr', KEYS[1])\" 1 %s\r\n", ":1\r\n")); /* the text is new: all stop */
    CU_ASSERT(says(1, "EVAL \"return redis.call('dbsize')\" 0\r\n", ":1\r\n"));
    CU_ASSERT(says(1, "EVAL \"return redis.pcall('get', ARGV[1])\" 0 %s\r\n", "$1\r\n1\r\n"));
    uint64_t before = journeys();
    CU_ASSERT(says(1, "MULTI\r\nINCR %s\r\nDBSIZE\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:1\r\n"));
    CU_ASSERT(says(1, "WATCH %s\r\nMULTI\r\nPING\r\nEXEC\r\n", "+OK\r\n+OK\r\n+QUEUED\r\n*1\r\n+PONG\r\n"));
    CU_ASSERT(says(1, "EVAL \"return redis.call('incr', KEYS[1])\" 1 %s\r\n", ":3\r\n"));
    CU_ASSERT(says(1, "EVAL \"return redis.call('dbsize')\" 0\r\n", ":1\r\n"));
    CU_ASSERT(says(1, "EVAL \"return redis.pcall('get', ARGV[1])\" 0 %s\r\n", "$1\r\n3\r\n"));
    CU_ASSERT_EQUAL(journeys(), before);
    char text[128];
    snprintf(text, sizeof text, "EVAL \"return redis.pcall('get', ARGV[1])\" 0 %s\r\n", key_of(0));
    CU_ASSERT(rig_says(&rig, node[1], text, "-ERR Script attempted to access a non local key in a cluster node\r\n"));
    CU_ASSERT_EQUAL(journeys(), before);
    CU_ASSERT(end());
}

/* Who waits in the view is served by whoever comes, and the other way round. */
static void waiting_is_of_both_views(void)
{
    char text[128], expected[128];
    begin_view();
    const char *key = key_of(1);
    snprintf(text, sizeof text, "BLPOP %s 0\r\n", key);
    snprintf(expected, sizeof expected, "*2\r\n$%zu\r\n%s\r\n$1\r\nx\r\n", strlen(key), key);
    sends(node[1], text);
    CU_ASSERT_EQUAL(node[1]->got_len, 0);
    snprintf(text, sizeof text, "RPUSH %s x\r\n", key);
    CU_ASSERT(rig_says(&rig, client[0], text, ":1\r\n"));
    rig_run(&rig, 2000);
    CU_ASSERT(has(node[1], expected));
    snprintf(text, sizeof text, "BLPOP %s 0\r\n", key);
    sends(client[0], text);
    snprintf(text, sizeof text, "RPUSH %s x\r\n", key);
    CU_ASSERT(rig_says(&rig, node[1], text, ":1\r\n"));
    rig_run(&rig, 2000);
    CU_ASSERT(has(client[0], expected));
    CU_ASSERT(end());
}

static void what_reset_leaves(void)
{
    begin_view();
    CU_ASSERT(says(0, "READONLY\r\nRESET\r\nSELECT 1\r\n",
                   "+OK\r\n+RESET\r\n-ERR SELECT is not allowed in cluster mode\r\n"));
    CU_ASSERT(rig_says(&rig, client[0], "READONLY\r\nSELECT 1\r\n",
                       "-ERR This instance has cluster support disabled\r\n+OK\r\n"));
    CU_ASSERT(end());
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(keys_of_the_other_are_moved_in_order),
                                             UNIT(what_concerns_all_keys_is_the_workers_own),
                                             UNIT(a_flush_leaves_what_is_read_here_and_there),
                                             UNIT(transactions_and_scripts_stay),
                                             UNIT(waiting_is_of_both_views),
                                             UNIT(what_reset_leaves),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/cluster", tests);
}

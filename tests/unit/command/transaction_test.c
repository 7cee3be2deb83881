/* transaction_test.c: transactions at the command layer: order of errors, memory that is short, and every
 * allocation that may fail: an error, and nothing half done.
 * https://redis.io/docs/latest/develop/interact/transactions/ */
#include <stdio.h>
#include <stdlib.h>

#include "command/transaction.h"
#include "engine.h"
#include "nomem.h"
#include "store/shard.h"
#include "unit.h"

static struct engine *e;

static void feed(const char *requests)
{
    engine_feed(e, requests, strlen(requests));
}

static uint64_t nodes(void)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < e->env.ks->shards; i++)
        n += shard_waits(e->env.ks->shard[i])->nodes + shard_waits(e->env.ks->shard[i])->keys;
    return n;
}

static void test_which_commands_count(void)
{
    e = engine_new(NULL);
    uint64_t before = e->counters.v[COUNTER_commands_processed];
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "INCR a", "+QUEUED\r\n");
    EXPECT(e, "LPUSH a x", "+QUEUED\r\n");
    EXPECT_STARTS(e, "EXEC", "*2\r\n:1\r\n-WRONGTYPE");
    CU_ASSERT_EQUAL(e->counters.v[COUNTER_commands_processed] - before,
                    4); /* what is queued counts when it runs */
    CU_ASSERT_EQUAL(e->counters.v[COUNTER_command_errors], 1);
    CU_ASSERT_EQUAL(e->error[0].count, 1);
    EXPECT_STARTS(e, "INFO commandstats", "$");
    CU_ASSERT_PTR_NOT_NULL(
        strstr(e->reply, "cmdstat_lpush:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(e->reply, "cmdstat_exec:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0"));
    engine_free(e);
}

/* EXEC with several workers runs once, and counts once. */
static void test_exec_elsewhere_counts_once(void)
{
    e = engine_new("workers 4\n");
    feed("MULTI\r\nMSET a 1 b 2 c 3\r\nEXEC\r\nINFO commandstats\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "cmdstat_exec:calls=1,"));
    CU_ASSERT_EQUAL(e->request.client->commands, 4);
    engine_free(e);
}

/* Redis refuses everything but the ends of a transaction while memory is over the limit, and EXEC if it would
 * write. */
static void test_memory_is_short(void)
{
    e = engine_new("maxmemory-policy noeviction\n");
    struct shard *s = e->env.ks->shard[0];
    engine_cmd(e, "SET k v");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "SET k w", "+QUEUED\r\n");
    uint64_t limit = s->limit;
    s->limit = 1;
    EXPECT(e, "EXEC",
           "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > "
           "'maxmemory'.\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "GET k", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    EXPECT(e, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "WATCH k", "-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    EXPECT(e, "DISCARD", "+OK\r\n");
    s->limit = limit;
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "GET k", "+QUEUED\r\n");
    s->limit = 1;
    EXPECT(e, "EXEC", "*1\r\n$1\r\nv\r\n");
    s->limit = limit;
    engine_free(e);
}

static void test_who_is_not_logged_in(void)
{
    e = engine_new("requirepass secret\n");
    EXPECT(e, "MULTI", "-NOAUTH Authentication required.\r\n");
    EXPECT(e, "EXEC", "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n");
    engine_free(e);
}

static void test_eviction_is_a_change(void)
{
    e = engine_new("maxmemory-policy allkeys-random\n");
    struct shard *s = e->env.ks->shard[0];
    engine_cmd(e, "SET k v");
    EXPECT(e, "WATCH k", "+OK\r\n");
    CU_ASSERT_TRUE(evict_one(s, NULL));
    EXPECT(e, "MULTI", "+OK\r\n");
    EXPECT(e, "EXEC", "*-1\r\n");
    CU_ASSERT_EQUAL(nodes(), 0);
    engine_free(e);
}

static void test_client_list_tells(void)
{
    e = engine_new(NULL);
    struct client *other = engine_connect(e), *me = e->client;
    feed("WATCH a b\r\nMULTI\r\nSET a 1\r\n");
    e->client = other;
    engine_cmd(e, "CLIENT LIST ID 1");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, " flags=x "));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, " multi=1 watch=2 "));
    CU_ASSERT_PTR_NULL(strstr(e->reply, " multi-mem=0 "));
    engine_cmd(e, "SET b 1");
    engine_cmd(e, "CLIENT LIST ID 1");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, " flags=xd "));
    e->client = me;
    EXPECT(e, "EXEC", "*-1\r\n");
    engine_free(e);
}

/* Runs argv with its n-th allocation failing; true if that was one of the command's own: the last is the
 * reply's. */
static bool run_failing(int argc, const char *const *words, long n)
{
    struct slice argv[8];
    for (int i = 0; i < argc; i++)
        argv[i] = slice_str(words[i]);
    e->chunk = 8192;
    fail_at = n;
    engine_argv(e, argc, argv);
    bool reached = fail_at < 0;
    fail_at = -1;
    return reached && e->reply_len > 0;
}

static void test_watch_without_memory(void)
{
    static const char *const watch[] = {"WATCH", "a", "b", "c"};
    long n = 0;
    e = engine_new(NULL);
    engine_cmd(e, "PING"); /* room for replies */
    for (; run_failing(4, watch, n); n++) {
        CU_ASSERT(engine_starts(e->reply, "-ERR out of memory for this transaction"));
        CU_ASSERT_EQUAL(nodes(), 0);
    }
    CU_ASSERT(n > 4);
    CU_ASSERT_EQUAL(nodes(), 6); /* it was the reply that failed last */
    engine_free(e);
}

static void test_queueing_without_memory(void)
{
    static const char *const multi[] = {"MULTI"}, *const set[] = {"SET", "a", "1"};
    e = engine_new(NULL);
    engine_cmd(e, "PING");
    CU_ASSERT_TRUE(run_failing(1, multi, 0));
    CU_ASSERT(engine_starts(e->reply, "-ERR out of memory for this transaction"));
    EXPECT(e, "EXEC", "-ERR EXEC without MULTI\r\n");
    EXPECT(e, "MULTI", "+OK\r\n");
    CU_ASSERT_TRUE(run_failing(3, set, 0));
    CU_ASSERT(engine_starts(e->reply, "-ERR out of memory for this transaction"));
    EXPECT(e, "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n");
    EXPECT(e, "GET a", "$-1\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_which_commands_count), UNIT(test_exec_elsewhere_counts_once), UNIT(test_memory_is_short),
        UNIT(test_who_is_not_logged_in), UNIT(test_eviction_is_a_change),       UNIT(test_client_list_tells),
        UNIT(test_watch_without_memory), UNIT(test_queueing_without_memory),    {NULL, NULL},
    };
    return unit_main(argc, argv, "command/transaction", tests);
}

/* server_test.c: the server commands but INFO (command/server.c, config_cmd.c, memory_cmd.c, debug_cmd.c,
 * latency_cmd.c, lolwut.c, slowlog.c). Reply texts are those of redis-server 7.0.15 unless 7.2 differs. */
#include "command/slowlog.h"
#include "engine.h"
#include "unit.h"

/* A string into the store without a command of another family. */
static void put(struct engine *e, unsigned db, const char *name, const char *value, uint64_t expire_at)
{
    struct key k = keyspace_key(e->env.ks, slice_str(name));
    struct shard *s = e->env.ks->shard[keyspace_shard_of(e->env.ks, k.name)];
    CU_ASSERT_EQUAL(store_set_string(s, db, &k, slice_str(value), expire_at, 0), STORE_OK);
}

/* -- databases
 * ------------------------------------------------------------------------------------------------- */

static void test_dbsize_and_flush_count_by_database(void)
{
    struct engine *e = engine_new("workers 3\n");
    put(e, 0, "a", "1", 0);
    put(e, 0, "b", "1", 0);
    put(e, 0, "c", "1", 0);
    put(e, 1, "a", "1", 0);
    EXPECT(e, "DBSIZE", ":3\r\n");
    EXPECT(e, "FLUSHDB ASYNC SYNC", "-ERR syntax error\r\n");
    EXPECT(e, "FLUSHALL foo", "-ERR syntax error\r\n");
    EXPECT(e, "FLUSHDB async", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":0\r\n");
    e->client->db = 1;
    EXPECT(e, "DBSIZE", ":1\r\n");
    EXPECT(e, "FLUSHALL SYNC", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":0\r\n");
    engine_free(e);
}

static void test_swapdb_exchanges_and_checks_numbers(void)
{
    struct engine *e = engine_new("workers 2\n");
    put(e, 0, "a", "1", 0);
    EXPECT(e, "SWAPDB a 1", "-ERR invalid first DB index\r\n");
    EXPECT(e, "SWAPDB 99999999999 1", "-ERR invalid first DB index\r\n");
    EXPECT(e, "SWAPDB 1 b", "-ERR invalid second DB index\r\n");
    EXPECT(e, "SWAPDB 0 16", "-ERR DB index is out of range\r\n");
    EXPECT(e, "SWAPDB 0 -1", "-ERR DB index is out of range\r\n");
    EXPECT(e, "SWAPDB 0 5", "+OK\r\n");
    EXPECT(e, "SWAPDB 3 3", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":0\r\n");
    e->client->db = 5;
    EXPECT(e, "DBSIZE", ":1\r\n");
    engine_free(e);
}

static void test_time_is_the_worker_s_clock(void)
{
    struct engine *e = engine_new(NULL);
    e->env.now_ms = 1700000000123;
    EXPECT(e, "TIME", "*2\r\n$10\r\n1700000000\r\n$6\r\n123000\r\n");
    engine_free(e);
}

/* -- replication and persistence
 * -------------------------------------------------------------------------------- */

static void test_box_is_a_master_without_replicas(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    EXPECT(e, "REPLICAOF NO ONE", "+OK\r\n");
    EXPECT(e, "SLAVEOF no one", "+OK\r\n");
    EXPECT(e, "REPLICAOF host 1x", "-ERR Invalid master port\r\n");
    EXPECT_STARTS(e, "REPLICAOF host 6379", "-ERR replication is not supported yet");
    EXPECT(e, "WAIT 0 0", ":0\r\n");
    EXPECT(e, "WAIT a 0", "-ERR value is not an integer or out of range\r\n");
    EXPECT(e, "WAIT 0 a", "-ERR timeout is not an integer or out of range\r\n");
    EXPECT(e, "WAIT 0 -1", "-ERR timeout is negative\r\n");
    EXPECT(e, "WAITAOF 0 0 0", "*2\r\n:0\r\n:0\r\n");
    EXPECT(e, "WAITAOF 1 0 0",
           "-ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.\r\n");
    EXPECT(e, "FAILOVER", "-ERR FAILOVER requires connected replicas.\r\n");
    EXPECT(e, "FAILOVER ABORT", "-ERR No failover in progress.\r\n");
    EXPECT_STARTS(e, "MONITOR", "-ERR MONITOR needs a connection");
    engine_free(e);
}

static void test_control_is_asked_for_what_only_control_may(void)
{
    static const struct {
        const char *line, *error; /* the error when control is away */
    } cases[] = {
        {"CONFIG SET maxmemory 1mb timeout 3",
         "-ERR control plane is not reachable, configuration not changed\r\n"},
        {"CONFIG REWRITE", "-ERR control plane is not reachable, configuration not written\r\n"},
        {"SAVE", "-ERR control plane is not reachable, nothing was saved\r\n"},
        {"BGSAVE", "-ERR control plane is not reachable, nothing was saved\r\n"},
        {"BGSAVE schedule", "-ERR control plane is not reachable, nothing was saved\r\n"},
        {"BGREWRITEAOF", "-ERR control plane is not reachable, the append only file was not rewritten\r\n"},
        {"SHUTDOWN", "-ERR control plane is not reachable, the server was not shut down\r\n"},
        {"SHUTDOWN nosave now force",
         "-ERR control plane is not reachable, the server was not shut down\r\n"},
        {"SHUTDOWN abort", "-ERR control plane is not reachable, the server was not shut down\r\n"},
    };
    struct engine *e = engine_new(NULL);
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        e->control = false;
        EXPECT(e, cases[i].line, cases[i].error);
        CU_ASSERT_EQUAL(e->result, CMD_DONE);
        CU_ASSERT_FALSE(e->client->flags & CLIENT_WAITING);
        e->control = true;
        EXPECT(e, cases[i].line, "");
        CU_ASSERT_EQUAL(e->result, CMD_WAIT);
        CU_ASSERT_TRUE(e->client->flags & CLIENT_WAITING);
        CU_ASSERT_TRUE(engine_same(e->asked, cases[i].line));
        e->client->flags &= ~(uint32_t)CLIENT_WAITING;
    }
    engine_free(e);
}

static void test_malformed_requests_do_not_reach_control(void)
{
    struct engine *e = engine_new(NULL);
    e->control = true;
    EXPECT(e, "CONFIG SET maxmemory", "-ERR wrong number of arguments for 'config|set' command\r\n");
    EXPECT(e, "CONFIG SET maxmemory 1 timeout",
           "-ERR wrong number of arguments for 'config|set' command\r\n");
    EXPECT(e, "BGSAVE now", "-ERR syntax error\r\n");
    EXPECT(e, "SHUTDOWN foo", "-ERR syntax error\r\n");
    EXPECT(e, "SHUTDOWN save nosave", "-ERR syntax error\r\n");
    EXPECT(e, "SHUTDOWN abort now", "-ERR syntax error\r\n");
    CU_ASSERT_STRING_EQUAL(e->asked, "");
    engine_free(e);
}

static void test_lastsave_without_a_save_is_the_start(void)
{
    struct engine *e = engine_new(NULL);
    e->env.start_ms = 1700000000999;
    EXPECT(e, "LASTSAVE", ":1700000000\r\n");
    engine_free(e);
}

/* -- CONFIG
 * ---------------------------------------------------------------------------------------------------- */

static void test_config_get_by_name_pattern_and_several(void)
{
    struct engine *e = engine_new("maxmemory 1mb\nsave 3600 1\nsave 300 100\nappendonly no\nrequirepass \n");
    EXPECT(e, "CONFIG GET maxmemory", "*2\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n");
    EXPECT(e, "CONFIG GET MaxMemory", "*2\r\n$9\r\nMaxMemory\r\n$7\r\n1048576\r\n");
    EXPECT(e, "CONFIG GET maxm*Y",
           "*4\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n$16\r\nmaxmemory-policy\r\n$10\r\nnoeviction\r\n");
    EXPECT(e, "CONFIG GET databases maxmemory databases",
           "*4\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n$9\r\ndatabases\r\n$2\r\n16\r\n");
    EXPECT(e, "CONFIG GET nothing*", "*0\r\n");
    EXPECT(e, "CONFIG GET append*ly", "*2\r\n$10\r\nappendonly\r\n$2\r\nno\r\n");
    e->client->proto = 3;
    EXPECT(e, "CONFIG GET maxmemory", "%1\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n");
    EXPECT(e, "CONFIG GET nothing", "%0\r\n");
    engine_free(e);
}

static void test_config_get_joins_repeated_directives(void)
{
    static const struct config_pair pairs[] = {
        {"save", "3600 1"}, {"save", "300 100"}, {"replica-priority", "7"}};
    char error[128];
    struct engine *e = engine_new(NULL);
    struct config *c = config_build(2, pairs, 3, error, sizeof error);
    const struct config *before = e->env.conf;
    e->env.conf = c;
    EXPECT(e, "CONFIG GET save", "*2\r\n$4\r\nsave\r\n$14\r\n3600 1 300 100\r\n");
    EXPECT(e, "CONFIG GET slave-*", "*2\r\n$14\r\nslave-priority\r\n$1\r\n7\r\n");
    EXPECT(e, "CONFIG GET replica-priority", "*2\r\n$16\r\nreplica-priority\r\n$1\r\n7\r\n");
    e->env.conf = before;
    config_free(c);
    engine_free(e);
}

static void test_config_resetstat_clears_the_figures(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT(e, "ROLE", "*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n");
    EXPECT(e, "CONFIG RESETSTAT", "+OK\r\n");
    CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "INFO commandstats"), "cmdstat_role"));
    engine_free(e);
}

static void test_help_of_every_container(void)
{
    static const char *const containers[] = {"CONFIG", "MEMORY", "SLOWLOG", "LATENCY"};
    struct engine *e = engine_new("enable-debug-command yes\n");
    for (unsigned i = 0; i < 4; i++) {
        const char *reply = engine_cmd(e, "%s HELP", containers[i]);
        CU_ASSERT_PTR_NOT_NULL(
            strstr(reply, " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, "+HELP\r\n+    Prints this help.\r\n"));
        CU_ASSERT_PTR_NOT_NULL(strstr(reply, containers[i]));
    }
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "DEBUG HELP"), "+DEBUG <subcommand>"));
    EXPECT(e, "CONFIG foo", "-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n");
    engine_free(e);
}

/* -- MEMORY
 * ----------------------------------------------------------------------------------------------------- */

static void test_memory_usage_is_the_entry_s_size(void)
{
    struct engine *e = engine_new("workers 2\n");
    put(e, 0, "k", "value", 0);
    EXPECT(e, "MEMORY USAGE nokey", "$-1\r\n");
    EXPECT_STARTS(e, "MEMORY USAGE k", ":");
    EXPECT_STARTS(e, "MEMORY USAGE k SAMPLES 0", ":");
    EXPECT(e, "MEMORY USAGE k SAMPLES", "-ERR syntax error\r\n");
    EXPECT(e, "MEMORY USAGE k SAMPLES -1", "-ERR syntax error\r\n");
    EXPECT(e, "MEMORY USAGE k SAMPLES x", "-ERR value is not an integer or out of range\r\n");
    EXPECT(e, "MEMORY USAGE k FOO 1", "-ERR syntax error\r\n");
    engine_free(e);
}

static void test_memory_stats_has_redis_fields(void)
{
    struct engine *e = engine_new("workers 2\n");
    put(e, 0, "k", "value", 0);
    e->client->proto = 3;
    const char *reply = engine_cmd(e, "MEMORY STATS");
    CU_ASSERT_TRUE(engine_starts(reply, "%27\r\n$14\r\npeak.allocated\r\n:"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reply, "$10\r\nkeys.count\r\n:1\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(reply, "$13\r\nfragmentation\r\n,"));
    EXPECT_STARTS(e, "MEMORY DOCTOR", "=29\r\ntxt:No memory problem found.\n\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "MEMORY MALLOC-STATS"), "shard 1: used "));
    EXPECT(e, "MEMORY PURGE", "+OK\r\n");
    engine_free(e);
}

/* -- DEBUG
 * ------------------------------------------------------------------------------------------------------ */

static void test_debug_needs_permission(void)
{
    struct engine *e = engine_new(NULL);
    EXPECT_STARTS(e, "DEBUG SLEEP 0",
                  "-ERR DEBUG command not allowed. If the enable-debug-command option is set");
    engine_free(e);
    e = engine_new("enable-debug-command local\n");
    CU_ASSERT_TRUE(ip_parse("10.0.0.7", &e->client->peer.ip));
    EXPECT_STARTS(e, "DEBUG SLEEP 0", "-ERR DEBUG command not allowed.");
    CU_ASSERT_TRUE(ip_parse("127.0.77.1", &e->client->peer.ip));
    EXPECT(e, "DEBUG SLEEP 0", "+OK\r\n");
    CU_ASSERT_TRUE(ip_parse("::1", &e->client->peer.ip));
    EXPECT(e, "DEBUG SLEEP 0.25", "+OK\r\n");
    CU_ASSERT_EQUAL(e->stalled_us, 250000);
    engine_free(e);
}

static void test_debug_helpers(void)
{
    struct engine *e = engine_new("enable-debug-command yes\nworkers 2\n");
    EXPECT(e, "DEBUG nosuch",
           "-ERR unknown subcommand or wrong number of arguments for 'nosuch'. Try DEBUG HELP.\r\n");
    EXPECT(e, "DEBUG SLEEP",
           "-ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.\r\n");
    EXPECT(e, "DEBUG ERROR \"WRONG a\\r\\nb\"", "-WRONG a  b\r\n");
    EXPECT(e, "DEBUG STRINGMATCH-LEN a*c abbc", ":1\r\n");
    EXPECT(e, "DEBUG STRINGMATCH-LEN a*c abbd", ":0\r\n");
    EXPECT(e, "DEBUG CHANGE-REPL-ID", "+OK\r\n");
    EXPECT(e, "DEBUG PAUSE-CRON 1", "+OK\r\n");
    EXPECT(e, "DEBUG REPLYBUFFER PEAK-RESET-TIME never", "+OK\r\n");
    EXPECT(e, "DEBUG REPLYBUFFER PEAK-RESET-TIME x", "-ERR value is not an integer or out of range\r\n");
    EXPECT(e, "DEBUG REPLYBUFFER RESIZING 0", "+OK\r\n");
    EXPECT_STARTS(e, "DEBUG REPLYBUFFER nosuch 0", "-ERR unknown subcommand");
    EXPECT(e, "DEBUG OBJECT nokey", "-ERR no such key\r\n");
    EXPECT(e, "DEBUG POPULATE 100", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":100\r\n");
    EXPECT_STARTS(e, "DEBUG OBJECT key:99", "+Value at:0x");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, " refcount:1 encoding:embstr serializedlength:9 lru:"));
    EXPECT(e, "DEBUG POPULATE 3 other 100", "+OK\r\n");
    EXPECT(e, "DBSIZE", ":103\r\n");
    put(e, 0, "old", "1", e->env.now_ms + 5);
    engine_sleep(e, 10);
    EXPECT_STARTS(e, "DEBUG OBJECT old", "+Value at:0x"); /* a look that leaves it there */
    EXPECT(e, "DBSIZE", ":104\r\n");
    EXPECT(e, "GET old", "$-1\r\n");
    EXPECT(e, "DEBUG POPULATE -1", "-ERR value is out of range, must be positive\r\n");
    engine_free(e);
}

static void test_debug_shows_how_values_are_kept(void)
{
    struct engine *e = engine_new(
        "enable-debug-command yes\nworkers 2\nset-max-listpack-entries 1\nlist-max-listpack-size 1\n");
    EXPECT(e, "DEBUG QUICKLIST-PACKED-THRESHOLD 1b", "+OK\r\n");
    EXPECT(e, "RPUSH l aa bb cc", ":3\r\n");
    EXPECT_STARTS(e, "DEBUG OBJECT l", "+Value at:0x");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, " ql_nodes:3 ql_avg_node:1.00 ql_listpack_max:1 "));
    EXPECT(e, "DEBUG QUICKLIST-PACKED-THRESHOLD 0", "+OK\r\n");
    EXPECT(e, "DEBUG QUICKLIST-PACKED-THRESHOLD 5gb",
           "-ERR argument must be a memory value bigger than 1 and smaller than 4gb\r\n");
    engine_cmd(e, "SADD s a b c");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "DEBUG HTSTATS 0"), "number of elements: 2\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "DEBUG HTSTATS-KEY s"), "number of elements: 3\n"));
    EXPECT_STARTS(e, "DEBUG HTSTATS-KEY l", "-ERR The value stored at the specified key is not");
    EXPECT(e, "DEBUG HTSTATS 99", "-ERR Out of range database\r\n");
    EXPECT_STARTS(e, "DEBUG QUICKLIST l", "-ERR this prints on the server's terminal");
    engine_free(e);
}

static void test_debug_protocol_in_both_versions(void)
{
    struct engine *e = engine_new("enable-debug-command yes\n");
    EXPECT(e, "DEBUG PROTOCOL double", "$5\r\n3.141\r\n");
    EXPECT(e, "DEBUG PROTOCOL map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n");
    EXPECT(e, "DEBUG PROTOCOL push", "-ERR RESP2 is not supported by this command\r\n");
    EXPECT_STARTS(e, "DEBUG PROTOCOL foo", "-ERR Wrong protocol type name.");
    e->client->proto = 3;
    EXPECT(e, "DEBUG PROTOCOL double", ",3.141\r\n");
    EXPECT(e, "DEBUG PROTOCOL set", "~3\r\n:0\r\n:1\r\n:2\r\n");
    EXPECT(e, "DEBUG PROTOCOL false", "#f\r\n");
    EXPECT(e, "DEBUG PROTOCOL verbatim", "=29\r\ntxt:This is a verbatim\nstring\r\n");
    engine_free(e);
}

/* -- LATENCY, LOLWUT
 * --------------------------------------------------------------------------------------------- */

static void test_histogram_counts_calls_by_time(void)
{
    struct engine *e = engine_new(NULL);
    e->env.tsc_per_us = 1000;
    EXPECT(e, "LATENCY HISTOGRAM get", "*0\r\n");
    EXPECT(e, "SET a b", "+OK\r\n");
    EXPECT(e, "SET a c", "+OK\r\n");
    EXPECT(e, "CLIENT ID", ":1\r\n");
    struct command_stats *set = &e->env.stats[command_lookup(1, &SLICE_LIT("set"))->id];
    memset(set->took, 0, sizeof set->took);
    set->took[time_bucket(100)] = 1; /* of 8 calls that were measured */
    set->took[time_bucket(1023)] = 2;
    set->took[time_bucket(33000)] = 4;
    set->took[time_bucket(65535)] = 1;
    EXPECT(e, "LATENCY HISTOGRAM set nosuch",
           "*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n"
           "*4\r\n:1\r\n:0\r\n:66\r\n:2\r\n");
    EXPECT_STARTS(e, "LATENCY HISTOGRAM client", "*2\r\n$9\r\nclient|id\r\n*4\r\n$5\r\ncalls\r\n:1\r\n");
    EXPECT(e, "CONFIG RESETSTAT", "+OK\r\n");
    EXPECT_STARTS(e, "LATENCY HISTOGRAM", "*2\r\n$16\r\nconfig|resetstat\r\n*4\r\n$5\r\ncalls\r\n:1\r\n");
    engine_free(e);
}

static void test_lolwut_ends_with_the_version(void)
{
    struct engine *e = engine_new(NULL);
    static const char end[] = "Redis ver. 7.2.4\n\r\n";
    const char *lines[] = {"LOLWUT", "LOLWUT VERSION 5 10 20 30", "LOLWUT 1 2"};
    for (unsigned i = 0; i < 3; i++) {
        const char *reply = engine_cmd(e, "%s", lines[i]);
        size_t n = strlen(reply);
        CU_ASSERT_TRUE(n > sizeof end && strcmp(reply + n - (sizeof end - 1), end) == 0);
    }
    EXPECT(e, "LOLWUT VERSION x", "-ERR value is not an integer or out of range\r\n");
    engine_free(e);
}

/* -- SLOWLOG
 * ------------------------------------------------------------------------------------------------------ */

/* Notes a command as the dispatcher does after a slow one. */
static void note(struct engine *e, struct slowlog *log, uint64_t usec, int argc, const struct slice *argv)
{
    struct request rq = {.env = &e->env, .client = e->client, .argc = argc, .argv = argv};
    rq.cmd = command_lookup(argc, argv);
    CU_ASSERT_PTR_NOT_NULL_FATAL(rq.cmd);
    slowlog_note(log, &rq, usec);
}

static void test_slowlog_is_empty_without_logs(void)
{
    struct engine *e = engine_new(NULL);
    e->env.slowlog = NULL;
    EXPECT(e, "SLOWLOG GET", "*0\r\n");
    EXPECT(e, "SLOWLOG LEN", ":0\r\n");
    EXPECT(e, "SLOWLOG RESET", "+OK\r\n");
    EXPECT(e, "SLOWLOG GET abc", "-ERR count should be greater than or equal to -1\r\n");
    EXPECT(e, "SLOWLOG GET -5", "-ERR count should be greater than or equal to -1\r\n");
    EXPECT(e, "SLOWLOG GET 1 2",
           "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n");
    engine_free(e);
}

static void test_slowlog_merges_the_workers_newest_first(void)
{
    struct engine *e = engine_new("workers 2\nslowlog-max-len 3\n");
    struct slowlog log[2] = {{0}}, *logs[2] = {&log[0], &log[1]};
    e->env.slowlog = logs;
    CU_ASSERT_TRUE(ip_parse("10.0.0.1", &e->client->peer.ip));
    e->client->peer.port = 1234;
    const struct slice role[] = {SLICE_LIT("role")}, dbsize[] = {SLICE_LIT("DBSIZE")};
    e->env.now_ms = 1000;
    note(e, &log[0], 11000, 1, role);
    e->env.now_ms = 2000;
    note(e, &log[1], 22000, 1, dbsize);
    EXPECT(e, "SLOWLOG LEN", ":2\r\n");
    EXPECT(e, "SLOWLOG GET",
           "*2\r\n*6\r\n:1\r\n:2\r\n:22000\r\n*1\r\n$6\r\nDBSIZE\r\n$13\r\n10.0.0.1:1234\r\n$0\r\n\r\n"
           "*6\r\n:0\r\n:1\r\n:11000\r\n*1\r\n$4\r\nrole\r\n$13\r\n10.0.0.1:1234\r\n$0\r\n\r\n");
    EXPECT_STARTS(e, "SLOWLOG GET 1", "*1\r\n*6\r\n:1\r\n");
    EXPECT(e, "SLOWLOG GET 0", "*0\r\n");
    EXPECT_STARTS(e, "SLOWLOG GET -1", "*2\r\n");
    for (unsigned i = 0; i < 10; i++)
        note(e, &log[0], 1, 1, role);
    CU_ASSERT_EQUAL(log[0].entries, 3);
    EXPECT(e, "SLOWLOG LEN", ":3\r\n");
    EXPECT(e, "SLOWLOG RESET", "+OK\r\n");
    EXPECT(e, "SLOWLOG LEN", ":0\r\n");
    engine_free(e);
}

static void test_slowlog_cuts_long_commands_and_hides_secrets(void)
{
    struct engine *e = engine_new(NULL);
    struct slowlog log = {0}, *logs[] = {&log};
    e->env.slowlog = logs;
    struct slice many[40];
    char word[200];
    memset(word, 'x', sizeof word);
    many[0] = SLICE_LIT("memory");
    many[1] = SLICE_LIT("usage");
    for (unsigned i = 2; i < 40; i++)
        many[i] = (struct slice){(uint8_t *)word, sizeof word};
    note(e, &log, 1, 40, many);
    engine_cmd(e, "SLOWLOG GET");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "*32\r\n$6\r\nmemory\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "x... (72 more bytes)\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "... (9 more arguments)\r\n"));
    const struct slice set[] = {SLICE_LIT("config"), SLICE_LIT("set"),         SLICE_LIT("timeout"),
                                SLICE_LIT("77"),     SLICE_LIT("requirepass"), SLICE_LIT("topsecret")};
    note(e, &log, 1, 6, set);
    engine_cmd(e, "SLOWLOG GET 1");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "$2\r\n77\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "$10\r\n(redacted)\r\n"));
    CU_ASSERT_PTR_NULL(strstr(e->reply, "topsecret"));
    const struct slice move[] = {SLICE_LIT("migrate"), SLICE_LIT("h"),     SLICE_LIT("1"),    SLICE_LIT("k"),
                                 SLICE_LIT("0"),       SLICE_LIT("99"),    SLICE_LIT("copy"), SLICE_LIT("auth2"),
                                 SLICE_LIT("me"),      SLICE_LIT("secret")};
    note(e, &log, 1, 10, move);
    engine_cmd(e, "SLOWLOG GET 1");
    CU_ASSERT_PTR_NOT_NULL(strstr(e->reply, "$5\r\nauth2\r\n$10\r\n(redacted)\r\n$10\r\n(redacted)\r\n"));
    slowlog_clear(&log);
    engine_free(e);
}

static void test_dispatcher_notes_slow_commands(void)
{
    struct engine *e = engine_new("slowlog-log-slower-than 0\n");
    struct slowlog log = {0}, *logs[] = {&log};
    e->env.slowlog = logs;
    e->env.tsc_per_us = 1;
    EXPECT(e, "DBSIZE", ":0\r\n");
    EXPECT(e, "DBSIZE", ":0\r\n");
    CU_ASSERT_EQUAL(log.entries, 2);
    slowlog_clear(&log);
    engine_free(e);
    e = engine_new("slowlog-log-slower-than -1\n");
    e->env.slowlog = logs;
    e->env.tsc_per_us = 1;
    EXPECT_STARTS(e, "INFO", "$");
    CU_ASSERT_EQUAL(log.entries, 0);
    engine_free(e);
}

/* Browsers can be made to send these to any port; Redis closes without a word. */
static void test_http_requests_end_the_connection_unanswered(void)
{
    static const char *const lines[] = {"POST / HTTP/1.1", "Host: example.org"};
    for (unsigned i = 0; i < 2; i++) {
        struct engine *e = engine_new(NULL);
        EXPECT(e, lines[i], "");
        CU_ASSERT_TRUE(e->client->flags & CLIENT_CLOSE_AFTER_REPLY);
        engine_free(e);
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_dbsize_and_flush_count_by_database),
                                             UNIT(test_swapdb_exchanges_and_checks_numbers),
                                             UNIT(test_time_is_the_worker_s_clock),
                                             UNIT(test_box_is_a_master_without_replicas),
                                             UNIT(test_control_is_asked_for_what_only_control_may),
                                             UNIT(test_malformed_requests_do_not_reach_control),
                                             UNIT(test_lastsave_without_a_save_is_the_start),
                                             UNIT(test_config_get_by_name_pattern_and_several),
                                             UNIT(test_config_get_joins_repeated_directives),
                                             UNIT(test_config_resetstat_clears_the_figures),
                                             UNIT(test_help_of_every_container),
                                             UNIT(test_memory_usage_is_the_entry_s_size),
                                             UNIT(test_memory_stats_has_redis_fields),
                                             UNIT(test_debug_needs_permission),
                                             UNIT(test_debug_helpers),
                                             UNIT(test_debug_shows_how_values_are_kept),
                                             UNIT(test_debug_protocol_in_both_versions),
                                             UNIT(test_histogram_counts_calls_by_time),
                                             UNIT(test_lolwut_ends_with_the_version),
                                             UNIT(test_slowlog_is_empty_without_logs),
                                             UNIT(test_slowlog_merges_the_workers_newest_first),
                                             UNIT(test_slowlog_cuts_long_commands_and_hides_secrets),
                                             UNIT(test_dispatcher_notes_slow_commands),
                                             UNIT(test_http_requests_end_the_connection_unanswered),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/server", tests);
}

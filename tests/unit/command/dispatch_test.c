/* dispatch_test.c: the command table and the dispatcher: names, order of checks, error texts, routes,
 * accounts. */
#include "command/slowlog.h"
#include "command/table.h"
#include "engine.h"
#include "unit.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

static struct slice words[16];
static int split(char *line)
{
    int n = 0;
    for (char *word = strtok(line, " "); word && n < 16; word = strtok(NULL, " "))
        words[n++] = slice_str(word);
    return n;
}

static const struct command *lookup(const char *line)
{
    static char copy[256];
    snprintf(copy, sizeof copy, "%s", line);
    return command_lookup(split(copy), words);
}

static void test_every_name_is_found_in_any_case(void)
{
    char error[128] = "";
    CU_ASSERT_FATAL(command_table_init(NULL, error, sizeof error));
    CU_ASSERT(command_count() > 80);
    for (unsigned i = 0; i < command_top_ids(); i++) {
        const struct command *cmd = command_by_id(i);
        char name[64];
        size_t n = 0;
        for (; cmd->name[n]; n++)
            name[n] = (char)(n % 2 ? cmd->name[n] : toupper(cmd->name[n]));
        struct slice exact = {(uint8_t *)name, n}, longer = {(uint8_t *)name, n + 1},
                     shorter = {(uint8_t *)name, n - 1};
        name[n] = 'q';
        CU_ASSERT_PTR_EQUAL(command_lookup(1, &exact), cmd);
        CU_ASSERT_PTR_NULL(command_lookup(1, &longer));
        CU_ASSERT_PTR_NOT_EQUAL(command_lookup(1, &shorter), cmd);
        CU_ASSERT_EQUAL(cmd->id, i);
        CU_ASSERT(cmd->run || cmd->sub);
        CU_ASSERT(cmd->summary && cmd->since && cmd->group);
    }
    command_table_free();
}

static void test_bytes_that_fold_alike_are_not_the_name(void)
{
    char error[128];
    CU_ASSERT_FATAL(command_table_init(NULL, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(lookup("bitfield_ro"));
    CU_ASSERT_PTR_NULL(lookup("bitfield\x7fro"));
    CU_ASSERT_PTR_NULL(lookup(""));
    CU_ASSERT_PTR_NULL(lookup("a-name-that-is-longer-than-any-command-can-be"));
    command_table_free();
}

static void test_subcommands(void)
{
    char error[128];
    CU_ASSERT_FATAL(command_table_init(NULL, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(lookup("CLIENT LIST")->full_name, "client|list");
    CU_ASSERT_STRING_EQUAL(lookup("CLIENT LIST")->parent->name, "client");
    CU_ASSERT_PTR_NULL(lookup("CLIENT FOO"));
    CU_ASSERT_PTR_EQUAL(command_by_id(lookup("CLIENT LIST")->id), lookup("client list"));
    CU_ASSERT(lookup("CLIENT LIST")->acl & ACL_DANGEROUS);
    command_table_free();
}

static void test_rename_command(void)
{
    static const char *const rename[] = {"flushall", "", "config", "Secret_Conf", NULL};
    static const char *const unknown[] = {"nosuch", "x", NULL}, *const twice[] = {"get", "set", NULL};
    char error[128] = "";
    CU_ASSERT_FATAL(command_table_init(NULL, error, sizeof error));
    unsigned before = command_count();
    CU_ASSERT_FATAL(command_table_init(rename, error, sizeof error));
    CU_ASSERT_EQUAL(command_count(), before - 1);
    CU_ASSERT_PTR_NULL(lookup("flushall"));
    CU_ASSERT_PTR_NULL(lookup("config get"));
    CU_ASSERT_STRING_EQUAL(lookup("SECRET_conf get")->full_name, "config|get");
    CU_ASSERT(!command_table_init(unknown, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "rename-command: no such command 'nosuch'");
    CU_ASSERT(!command_table_init(twice, error, sizeof error));
    CU_ASSERT_STRING_EQUAL(error, "command 'set' appears twice");
}

static void test_order_of_checks(void)
{
    struct engine *e = engine_new("requirepass secret\n");
    if (!e)
        return;
    EXPECT(e, "nosuch a 'b c'", "-ERR unknown command 'nosuch', with args beginning with: 'a' 'b c' \r\n");
    EXPECT(e, "nosuch", "-ERR unknown command 'nosuch', with args beginning with: \r\n");
    EXPECT(e, "GET", "-ERR wrong number of arguments for 'get' command\r\n");
    EXPECT(e, "client kill", "-ERR wrong number of arguments for 'client|kill' command\r\n");
    EXPECT(e, "client", "-ERR wrong number of arguments for 'client' command\r\n");
    EXPECT(e, "client x y", "-ERR unknown subcommand 'x'. Try CLIENT HELP.\r\n");
    EXPECT(e, "GET k", "-NOAUTH Authentication required.\r\n");
    EXPECT(e, "AUTH secret", "+OK\r\n");
    EXPECT(e, "GET k", "$-1\r\n");
    CU_ASSERT_EQUAL(e->error[0].count, 6);
    CU_ASSERT_STRING_EQUAL(e->error[1].code, "NOAUTH");
    engine_free(e);
}

static void test_long_unknown_commands_are_cut_as_in_redis(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    char a[301], want[1024];
    memset(a, 'a', 300);
    a[300] = 0;
    snprintf(want, sizeof want, "-ERR unknown command '%.128s', with args beginning with: '%.128s' \r\n", a,
             a);
    CU_ASSERT(engine_same(engine_cmd(e, "%s %s x", a, a), want));
    snprintf(want, sizeof want, "-ERR unknown command 'q', with args beginning with: 'x' '%.124s' \r\n", a);
    CU_ASSERT(engine_same(engine_cmd(e, "q x %s x", a), want));
    engine_free(e);
}

static void test_statistics(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    engine_cmd(e, "GET k");
    engine_cmd(e, "GET k");
    engine_cmd(e, "GET");
    engine_cmd(e, "SELECT 99");
    const struct command_stats *get = &e->stats[lookup("get")->id], *select = &e->stats[lookup("select")->id];
    CU_ASSERT(get->calls == 2 && get->rejected == 1 && get->failed == 0);
    CU_ASSERT(select->calls == 1 && select->failed == 1);
    CU_ASSERT_EQUAL(e->counters.v[COUNTER_commands_processed], 3);
    CU_ASSERT_EQUAL(e->counters.v[COUNTER_command_errors], 2);
    CU_ASSERT_STRING_EQUAL(e->client->last_command->name, "select");
    CU_ASSERT_EQUAL(e->client->commands, 4);
    engine_free(e);
}

static void test_times_and_slow_log(void)
{
    struct engine *e = engine_new("slowlog-log-slower-than 0\n");
    if (!e)
        return;
    struct slowlog log = {0}, *logs[] = {&log};
    e->env.slowlog = logs;
    e->env.tsc_per_us = 1; /* a clock so slow that every command takes many microseconds */
    engine_cmd(e, "GET k");
    engine_cmd(e, "GET");
    engine_cmd(e, "ECHO x");
    CU_ASSERT_EQUAL(log.entries, 2);
    CU_ASSERT(e->stats[lookup("get")->id].usec > 0);
    slowlog_clear(&log);
    engine_free(e);
}

static enum route route(struct engine *e, const char *line)
{
    static char copy[256];
    snprintf(copy, sizeof copy, "%s", line);
    int n = split(copy);
    command_prepare(&e->request, &e->env, e->client, n, words);
    return e->request.route;
}

static void test_routes_on_one_worker(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    CU_ASSERT_EQUAL(route(e, "PING"), ROUTE_HERE);
    CU_ASSERT_EQUAL(route(e, "GET a"), ROUTE_SHARD);
    CU_ASSERT_EQUAL(e->request.key.hash, key_hash(slice_str("a"), e->env.ks->seed));
    CU_ASSERT_EQUAL(route(e, "MGET a b c"), ROUTE_SHARD);
    CU_ASSERT_EQUAL(route(e, "DBSIZE"), ROUTE_HERE);
    CU_ASSERT_EQUAL(route(e, "GET"), ROUTE_HERE);
    CU_ASSERT_EQUAL(route(e, "nosuch a"), ROUTE_HERE);
    CU_ASSERT_EQUAL(route(e, "OBJECT ENCODING a"), ROUTE_SHARD);
    CU_ASSERT(slice_is(e->request.key.name, "a"));
    engine_free(e);
}

static void test_routes_on_four_workers(void)
{
    struct engine *e = engine_new("workers 4\n");
    if (!e)
        return;
    CU_ASSERT_EQUAL(route(e, "GET foo"), ROUTE_SHARD);
    CU_ASSERT_EQUAL(e->request.shard, 12182u * 4 / SLOTS); /* CLUSTER KEYSLOT foo */
    CU_ASSERT_EQUAL(route(e, "MGET {foo}1 {foo}2 foo"), ROUTE_SHARD);
    CU_ASSERT_EQUAL(route(e, "MGET foo bar"), ROUTE_ALL); /* 12182 and 5061 */
    CU_ASSERT_EQUAL(route(e, "MSET {foo}1 bar {foo}2 bar"), ROUTE_SHARD);
    CU_ASSERT_EQUAL(route(e, "DBSIZE"), ROUTE_ALL);
    CU_ASSERT_EQUAL(route(e, "PING"), ROUTE_HERE);
    EXPECT(e, "MSET a 1 b 2 c 3 d 4", "+OK\r\n");
    EXPECT(e, "MGET a b c d", "*4\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n");
    engine_free(e);
}

/* Keys of specifications that no command of ours uses yet. */
static void test_key_specifications(void)
{
    static const struct command xread = {.name = "xread",
                                         .arity = -4,
                                         .key = {{.flags = KEY_RO,
                                                  .begin = KEYS_AT_KEYWORD,
                                                  .index = 1,
                                                  .keyword = "STREAMS",
                                                  .last = -1,
                                                  .step = 1,
                                                  .limit = 2}}};
    static const struct command zunion = {
        .name = "zunionstore",
        .arity = -4,
        .key = {{.flags = KEY_OW, .index = 1, .step = 1},
                {.flags = KEY_RO, .index = 2, .find = KEYS_NUM, .last = 0, .limit = 1, .step = 1}}};
    static const struct {
        const struct command *cmd;
        const char *line;
        int n, key[4];
    } facts[] = {{&xread, "xread count 2 streams a b 0 0", 2, {4, 5}},
                 {&xread, "xread streams a 0", 1, {2}},
                 {&xread, "xread count 2 block", 0, {0}},
                 {&zunion, "zunionstore d 2 a b weights 1 2", 3, {1, 3, 4}},
                 {&zunion, "zunionstore d 9 a b", -1, {0}},
                 {&zunion, "zunionstore d x a b", -1, {0}},
                 {&zunion, "zunionstore d -1 a b", -1, {0}}};
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        char copy[128];
        int position[4] = {0};
        snprintf(copy, sizeof copy, "%s", facts[i].line);
        int n = command_keys(facts[i].cmd, split(copy), words, position, 4);
        CU_ASSERT_EQUAL(n, facts[i].n);
        for (int k = 0; k < n; k++)
            CU_ASSERT_EQUAL(position[k], facts[i].key[k]);
    }
}

static void test_full_memory_refuses_writes_only(void)
{
    struct engine *e = engine_new("maxmemory 2mb\nmaxmemory-policy noeviction\n");
    if (!e)
        return;
    char value[9000];
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = 0;
    int i = 0;
    while (i < 1000 && engine_cmd(e, "SET k%d %s", i, value)[0] == '+')
        i++;
    CU_ASSERT(i > 50 && i < 1000);
    CU_ASSERT(engine_same(e->reply, "-OOM command not allowed when used memory > 'maxmemory'.\r\n"));
    EXPECT(e, "EXISTS k0", ":1\r\n");
    EXPECT(e, "DEL k0 k1", ":2\r\n");
    EXPECT(e, "SET small x", "+OK\r\n");
    engine_free(e);
}

static void test_pipelines_and_protocol_errors(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    static const char bytes[] =
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nhello\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\nPING\r\n*1\r\n!";
    CU_ASSERT(engine_same(engine_feed(e, bytes, sizeof bytes - 1), "+OK\r\n$5\r\nhello\r\n+PONG\r\n"));
    CU_ASSERT(engine_same(engine_feed(e, "PING\r\n*z\r\nPING\r\n", 16),
                          "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n"));
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_every_name_is_found_in_any_case),
                                             UNIT(test_bytes_that_fold_alike_are_not_the_name),
                                             UNIT(test_subcommands),
                                             UNIT(test_rename_command),
                                             UNIT(test_order_of_checks),
                                             UNIT(test_long_unknown_commands_are_cut_as_in_redis),
                                             UNIT(test_statistics),
                                             UNIT(test_times_and_slow_log),
                                             UNIT(test_routes_on_one_worker),
                                             UNIT(test_routes_on_four_workers),
                                             UNIT(test_key_specifications),
                                             UNIT(test_full_memory_refuses_writes_only),
                                             UNIT(test_pipelines_and_protocol_errors),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/dispatch", tests);
}

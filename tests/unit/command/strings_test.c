/* strings_test.c: what the differential tests cannot show of the string commands: time, memory, accounting.
 * The replies themselves are compared with redis-server by tests/conformance. */
#include "engine.h"
#include "unit.h"

static struct engine *e;

static void test_set_with_ex_expires_on_time(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v PX 100", "+OK\r\n");
    engine_sleep(e, 99);
    EXPECT(e, "GET k", "$1\r\nv\r\n");
    EXPECT(e, "PTTL k", ":1\r\n");
    engine_sleep(e, 2);
    EXPECT(e, "GET k", "$-1\r\n");
    EXPECT(e, "SETEX k 10 v", "+OK\r\n");
    EXPECT(e, "PTTL k", ":10000\r\n");
    engine_free(e);
}

static void test_set_keepttl_and_plain_set(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v EX 10", "+OK\r\n");
    EXPECT(e, "SET k w KEEPTTL", "+OK\r\n");
    EXPECT(e, "TTL k", ":10\r\n");
    EXPECT(e, "SET k x", "+OK\r\n");
    EXPECT(e, "TTL k", ":-1\r\n");
    engine_free(e);
}

static void test_set_nx_sees_no_expired_key(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v PX 50", "+OK\r\n");
    EXPECT(e, "SET k w NX", "$-1\r\n");
    engine_sleep(e, 51);
    EXPECT(e, "SET k w XX", "$-1\r\n");
    EXPECT(e, "SET k w NX GET", "$-1\r\n");
    EXPECT(e, "GET k", "$1\r\nw\r\n");
    engine_free(e);
}

static void test_getex_with_past_time_deletes(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v", "+OK\r\n");
    EXPECT(e, "GETEX k PXAT 1699999999999", "$1\r\nv\r\n");
    EXPECT(e, "EXISTS k", ":0\r\n");
    engine_free(e);
}

static void test_reads_count_hits_and_misses_and_writes_do_not(void)
{
    e = engine_new(NULL);
    engine_cmd(e, "MSET k v n 1");
    EXPECT_HITS(e, "GET k", 1, 0);
    EXPECT_HITS(e, "GET none", 0, 1);
    EXPECT_HITS(e, "MGET k none n", 2, 1);
    EXPECT_HITS(e, "STRLEN k", 1, 0);
    EXPECT_HITS(e, "GETRANGE none 0 1", 0, 1);
    EXPECT_HITS(e, "LCS k none", 1, 1);
    EXPECT_HITS(e, "GETEX k", 1, 0);
    EXPECT_HITS(e, "SET k v GET", 1, 0);
    EXPECT_HITS(e, "GETSET none2 v", 0, 1);
    EXPECT_HITS(e, "SET k v", 0, 0);
    EXPECT_HITS(e, "SET k v NX", 0, 0);
    EXPECT_HITS(e, "SETNX k v", 0, 0);
    EXPECT_HITS(e, "MSETNX k v", 0, 0);
    EXPECT_HITS(e, "APPEND k v", 0, 0);
    EXPECT_HITS(e, "SETRANGE k 0 v", 0, 0);
    EXPECT_HITS(e, "INCR n", 0, 0);
    EXPECT_HITS(e, "INCRBYFLOAT n 1", 0, 0);
    EXPECT_HITS(e, "GETDEL k", 1, 0);
    engine_free(e);
}

static void test_client_no_touch_leaves_the_access_clock(void)
{
    e = engine_new(NULL);
    EXPECT(e, "SET k v", "+OK\r\n");
    engine_sleep(e, 100000);
    e->client->flags |= CLIENT_NO_TOUCH;
    EXPECT(e, "GET k", "$1\r\nv\r\n");
    EXPECT(e, "OBJECT IDLETIME k", ":100\r\n");
    e->client->flags &= ~(uint32_t)CLIENT_NO_TOUCH;
    EXPECT(e, "GET k", "$1\r\nv\r\n");
    EXPECT(e, "OBJECT IDLETIME k", ":0\r\n");
    engine_free(e);
}

static void test_limit_on_string_length(void)
{
    static const char too_long[] = "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n";
    e = engine_new("proto-max-bulk-len 1mb\n");
    EXPECT(e, "SETRANGE k 1048575 x", ":1048576\r\n");
    EXPECT(e, "APPEND k x", too_long);
    EXPECT(e, "SETRANGE k 1048576 x", too_long);
    EXPECT(e, "SETRANGE k 9223372036854775807 x", too_long);
    EXPECT(e, "STRLEN k", ":1048576\r\n");
    EXPECT(e, "SETBIT k 8388608 1", "-ERR bit offset is not an integer or out of range\r\n");
    EXPECT(e, "SET a x", "+OK\r\n");
    EXPECT(e, "LCS k a LEN",
           "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len\r\n");
    engine_free(e);
}

/* Runs a writing command until memory is refused. The key in question must be as before. */
static void test_writes_are_refused_when_full_and_change_nothing(void)
{
    static const char *const writes[] = {"SETRANGE k 3000000 x",
                                         "APPEND k 2",
                                         "SETBIT k 24000000 1",
                                         "BITFIELD k SET u8 24000000 1",
                                         "SET k v",
                                         "MSET k v other w",
                                         "GETSET k v",
                                         "SET k v GET",
                                         "INCRBYFLOAT k 1.5",
                                         "BITOP NOT k k"};
    e = engine_new("maxmemory 4mb\nmaxmemory-policy noeviction\n");
    EXPECT(e, "SET k 1", "+OK\r\n");
    for (int i = 0; i < 100000 && engine_cmd(e, "SETRANGE fill:%d 1000 x", i)[0] == ':'; i++)
        ;
    for (unsigned i = 0; i < sizeof writes / sizeof writes[0]; i++) {
        const char *reply = engine_cmd(e, "%s", writes[i]);
        if (reply[0] == '-')
            CU_ASSERT(engine_starts(reply, "-OOM command not allowed when used memory > 'maxmemory'."));
        if (reply[0] == '-')
            EXPECT(e, "GET k", "$1\r\n1\r\n");
        engine_cmd(e, "SET k 1");
    }
    EXPECT_STARTS(e, "SETRANGE k 3000000 x", "-OOM");
    EXPECT(e, "EXISTS other", ":0\r\n");
    EXPECT(e, "GET k", "$1\r\n1\r\n");
    engine_free(e);
}

static void test_commands_over_several_shards(void)
{
    e = engine_new("workers 4\n");
    EXPECT(e, "MSET a 1 b 2 c 3 d 4 e 5", "+OK\r\n");
    CU_ASSERT_EQUAL(e->request.route, ROUTE_ALL);
    EXPECT(e, "MGET a b c d e f", "*6\r\n$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n$1\r\n4\r\n$1\r\n5\r\n$-1\r\n");
    EXPECT(e, "MSETNX f 1 a 2", ":0\r\n");
    EXPECT(e, "LCS a b LEN", ":0\r\n");
    EXPECT(e, "DEL a b c x", ":3\r\n");
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_set_with_ex_expires_on_time),
                                             UNIT(test_set_keepttl_and_plain_set),
                                             UNIT(test_set_nx_sees_no_expired_key),
                                             UNIT(test_getex_with_past_time_deletes),
                                             UNIT(test_reads_count_hits_and_misses_and_writes_do_not),
                                             UNIT(test_client_no_touch_leaves_the_access_clock),
                                             UNIT(test_limit_on_string_length),
                                             UNIT(test_writes_are_refused_when_full_and_change_nothing),
                                             UNIT(test_commands_over_several_shards),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/strings", tests);
}

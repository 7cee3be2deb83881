/* connection_test.c: PING to CLIENT KILL. Replies as redis-server gives them. */
#include "engine.h"
#include "unit.h"

#include <stdio.h>

static void test_ping_echo_select(void)
{
    struct engine *e = engine_new("databases 16\n");
    if (!e)
        return;
    EXPECT(e, "PING", "+PONG\r\n");
    EXPECT(e, "ping 'a b'", "$3\r\na b\r\n");
    EXPECT(e, "ping a b", "-ERR wrong number of arguments for 'ping' command\r\n");
    EXPECT(e, "ECHO x", "$1\r\nx\r\n");
    EXPECT(e, "SELECT 15", "+OK\r\n");
    CU_ASSERT_EQUAL(e->client->db, 15);
    EXPECT(e, "SELECT 16", "-ERR DB index is out of range\r\n");
    EXPECT(e, "SELECT -1", "-ERR DB index is out of range\r\n");
    EXPECT(e, "SELECT x", "-ERR value is not an integer or out of range\r\n");
    EXPECT(e, "SELECT 99999999999",
           "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n");
    EXPECT(e, "QUIT", "+OK\r\n");
    CU_ASSERT(e->client->flags & CLIENT_CLOSE_AFTER_REPLY);
    engine_free(e);
}

static void test_cluster_is_disabled(void)
{
    static const char *const lines[] = {"READONLY", "READWRITE", "ASKING", "CLUSTER INFO", "CLUSTER SLOTS"};
    struct engine *e = engine_new(NULL);
    for (size_t i = 0; e && i < sizeof lines / sizeof *lines; i++)
        EXPECT(e, lines[i], "-ERR This instance has cluster support disabled\r\n");
    if (e)
        engine_free(e);
}

#define HELLO_2                                                                                              \
    "*14\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:2\r\n$"           \
    "2\r\nid\r\n"                                                                                            \
    ":1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"
#define HELLO_3                                                                                              \
    "%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n" \
    ":1\r\n$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n"

static void test_hello(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    EXPECT(e, "HELLO", HELLO_2);
    EXPECT(e, "HELLO 3", HELLO_3);
    EXPECT(e, "GET nokey", "_\r\n");
    EXPECT(e, "HELLO", HELLO_3);
    EXPECT(e, "HELLO 2 SETNAME me AUTH default any", HELLO_2);
    EXPECT(e, "CLIENT GETNAME", "$2\r\nme\r\n");
    EXPECT(e, "HELLO 4", "-NOPROTO unsupported protocol version\r\n");
    EXPECT(e, "HELLO x", "-ERR Protocol version is not an integer or out of range\r\n");
    EXPECT(e, "HELLO 3 foo", "-ERR Syntax error in HELLO option 'foo'\r\n");
    EXPECT(e, "HELLO 3 auth a", "-ERR Syntax error in HELLO option 'auth'\r\n");
    EXPECT(e, "HELLO 2 setname 'a b'",
           "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    CU_ASSERT_EQUAL(e->client->proto, 2);
    engine_free(e);
}

static void test_auth_without_password(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    EXPECT(
        e, "AUTH x",
        "-ERR AUTH <password> called without any password configured for the default user. Are you sure your "
        "configuration is correct?\r\n");
    EXPECT(e, "AUTH default x", "+OK\r\n");
    EXPECT(e, "AUTH foo x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    EXPECT(e, "AUTH a b c", "-ERR syntax error\r\n");
    engine_free(e);
}

#define NOAUTH "-NOAUTH Authentication required.\r\n"
#define WRONG  "-WRONGPASS invalid username-password pair or user is disabled.\r\n"

static void test_auth_with_password(void)
{
    struct engine *e = engine_new("requirepass secret\n");
    if (!e)
        return;
    EXPECT(e, "PING", NOAUTH);
    EXPECT_STARTS(e, "HELLO 3",
                  "-NOAUTH HELLO must be called with the client already authenticated, otherwise");
    EXPECT(e, "AUTH secre", WRONG);
    EXPECT(e, "AUTH secrets", WRONG);
    EXPECT(e, "AUTH ''", WRONG);
    EXPECT(e, "AUTH other secret", WRONG);
    EXPECT_STARTS(e, "HELLO 3 AUTH default wrong", WRONG);
    CU_ASSERT_EQUAL(e->client->proto, 2);
    EXPECT(e, "HELLO 3 AUTH default secret", HELLO_3);
    EXPECT(e, "PING", "+PONG\r\n");
    EXPECT(e, "AUTH wrong", WRONG); /* stays who it was */
    EXPECT(e, "PING", "+PONG\r\n");
    EXPECT(e, "RESET", "+RESET\r\n");
    EXPECT(e, "PING", NOAUTH);
    EXPECT(e, "AUTH default secret", "+OK\r\n");
    EXPECT(e, "PING", "+PONG\r\n");
    EXPECT(e, "QUIT", "+OK\r\n");
    CU_ASSERT_EQUAL(e->counters.v[COUNTER_auth_failures], 6);
    engine_free(e);
}

static void test_reset(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    engine_cmd(e, "HELLO 3 SETNAME me");
    engine_cmd(e, "SELECT 3");
    engine_cmd(e, "CLIENT NO-TOUCH ON");
    EXPECT(e, "RESET", "+RESET\r\n");
    EXPECT(e, "CLIENT GETNAME", "$-1\r\n");
    CU_ASSERT(e->client->db == 0 && e->client->proto == 2 && !(e->client->flags & CLIENT_NO_TOUCH));
    engine_free(e);
}

/* Each line of a pipeline, the replies as redis-server sends them. */
static void test_client_reply(void)
{
    static const char *const facts[][2] = {
        {"client reply off\r\nping\r\nfoo\r\nclient reply skip\r\nping\r\nclient reply on\r\nping\r\n",
         "+OK\r\n+PONG\r\n"},
        {"client reply skip\r\nping\r\nping\r\n", "+PONG\r\n"},
        {"client reply skip\r\nclient reply skip\r\nping\r\nping\r\n", "+PONG\r\n"},
        {"client reply off\r\nreset\r\nping\r\n", "+RESET\r\n+PONG\r\n"},
        {"client reply skip\r\nclient reply on\r\nping\r\n", "+OK\r\n+PONG\r\n"},
        {"client reply off\r\nhello 3\r\nclient reply on\r\nget nokey\r\nhello 2\r\nreset\r\n", NULL},
        {"client reply x\r\n", "-ERR syntax error\r\n"}};
    struct engine *e = engine_new(NULL);
    for (size_t i = 0; e && i < sizeof facts / sizeof *facts; i++) {
        const char *got = engine_feed(e, facts[i][0], strlen(facts[i][0]));
        CU_ASSERT(facts[i][1] ? engine_same(got, facts[i][1]) : engine_starts(got, "+OK\r\n_\r\n*14\r\n"));
    }
    if (e)
        engine_free(e);
}

static void test_names_and_library(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    EXPECT(e, "CLIENT ID", ":1\r\n");
    EXPECT(e, "CLIENT SETNAME one", "+OK\r\n");
    EXPECT(e, "CLIENT GETNAME", "$3\r\none\r\n");
    EXPECT(e, "CLIENT SETNAME ''", "+OK\r\n");
    EXPECT(e, "CLIENT GETNAME", "$-1\r\n");
    EXPECT(e, "CLIENT SETNAME \"a\\nb\"",
           "-ERR Client names cannot contain spaces, newlines or special characters.\r\n");
    EXPECT(e, "CLIENT SETINFO lib-name redis-py", "+OK\r\n");
    EXPECT(e, "CLIENT SETINFO LIB-VER 5.0", "+OK\r\n");
    EXPECT(e, "CLIENT SETINFO lib-ver 'a b'",
           "-ERR lib-ver cannot contain spaces, newlines or special characters.\r\n");
    EXPECT(e, "CLIENT SETINFO color red", "-ERR Unrecognized option 'color'\r\n");
    engine_free(e);
}

static void test_later_features_say_so(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    EXPECT_STARTS(e, "CLIENT TRACKING ON", "-ERR client side caching needs a connection");
    EXPECT_STARTS(e, "CLIENT CACHING yes", "-ERR CLIENT CACHING can be called only when");
    EXPECT(e, "CLIENT GETREDIR", ":-1\r\n");
    EXPECT(e, "CLIENT TRACKINGINFO",
           "*6\r\n$5\r\nflags\r\n*1\r\n$3\r\noff\r\n$8\r\nredirect\r\n:-1\r\n$8\r\nprefixes\r\n*0\r\n");
    EXPECT(e, "CLIENT PAUSE 100", "+OK\r\n");
    EXPECT(e, "CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range\r\n");
    EXPECT(e, "CLIENT PAUSE x", "-ERR timeout is not an integer or out of range\r\n");
    EXPECT(e, "CLIENT PAUSE -1", "-ERR timeout is negative\r\n");
    EXPECT(e, "CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL\r\n");
    EXPECT(e, "CLIENT PAUSE 1 ALL x",
           "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.\r\n");
    EXPECT(e, "CLIENT UNPAUSE", "+OK\r\n");
    EXPECT(e, "CLIENT UNBLOCK 7", ":0\r\n");
    EXPECT(e, "CLIENT UNBLOCK x", "-ERR value is not an integer or out of range\r\n");
    EXPECT(e, "CLIENT UNBLOCK 7 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n");
    EXPECT(e, "CLIENT NO-EVICT x", "-ERR syntax error\r\n");
    EXPECT_STARTS(e, "CLIENT HELP",
                  "*54\r\n+CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n");
    engine_free(e);
}

static void test_client_list_line(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    engine_cmd(e, "CLIENT SETNAME me");
    engine_cmd(e, "CLIENT SETINFO lib-name lib");
    engine_cmd(e, "CLIENT NO-EVICT on");
    engine_sleep(e, 61000);
    /* The running request counts as unread: 26 bytes, both times. */
    static const char line[] = "id=1 addr=127.0.77.1:50001 laddr=127.0.77.2:6379 fd=-1 name=me age=61 idle=0 "
                               "flags=e db=0 sub=0 psub=0 ssub=0 "
                               "multi=-1 watch=0 qbuf=26 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 "
                               "omem=0 tot-mem=0 events=r "
                               "cmd=client|%s user=default redir=-1 resp=%d lib-name=lib lib-ver=\n";
    char body[512], want[600];
    int n = snprintf(body, sizeof body, line, "info", 2);
    snprintf(want, sizeof want, "$%d\r\n%s\r\n", n, body);
    EXPECT(e, "CLIENT INFO", want);
    engine_cmd(e, "HELLO 3");
    n = snprintf(body, sizeof body, line, "list", 3);
    snprintf(want, sizeof want, "=%d\r\ntxt:%s\r\n", n + 4, body);
    EXPECT(e, "CLIENT LIST", want);
    engine_free(e);
}

static unsigned lines_of(const char *reply)
{
    unsigned n = 0;
    for (; *reply; reply++)
        n += *reply == '\n' && reply[-1] != '\r';
    return n;
}

static void test_client_list_filters(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    engine_connect(e);
    engine_connect(e)->flags |= CLIENT_INTERNAL;
    engine_connect(e);
    CU_ASSERT_EQUAL(lines_of(engine_cmd(e, "CLIENT LIST")), 3);
    CU_ASSERT_EQUAL(lines_of(engine_cmd(e, "CLIENT LIST TYPE normal")), 3);
    EXPECT(e, "CLIENT LIST TYPE pubsub", "$0\r\n\r\n");
    const char *reply = engine_cmd(e, "CLIENT LIST ID 4 99 1");
    CU_ASSERT_EQUAL(lines_of(reply), 2);
    CU_ASSERT_PTR_NOT_NULL(strstr(reply, "\r\nid=4 "));
    EXPECT(e, "CLIENT LIST ID", "-ERR syntax error\r\n");
    EXPECT(e, "CLIENT LIST ID x", "-ERR Invalid client ID\r\n");
    EXPECT(e, "CLIENT LIST TYPE x", "-ERR Unknown client type 'x'\r\n");
    EXPECT(e, "CLIENT LIST foo", "-ERR syntax error\r\n");
    EXPECT(e, "CLIENT LIST TYPE normal x", "-ERR syntax error\r\n");
    engine_free(e);
}

static void test_client_kill(void)
{
    struct engine *e = engine_new(NULL);
    if (!e)
        return;
    struct client *two = engine_connect(e), *three = engine_connect(e), *four = engine_connect(e);
    EXPECT(e, "CLIENT KILL 127.0.77.1:50002", "+OK\r\n");
    CU_ASSERT(two->flags & CLIENT_KILLED);
    EXPECT(e, "CLIENT KILL 127.0.77.1:50002", "-ERR No such client\r\n");
    EXPECT(e, "CLIENT KILL ID 99", ":0\r\n");
    EXPECT(e, "CLIENT KILL ID 3", ":1\r\n");
    CU_ASSERT(three->flags & CLIENT_KILLED);
    EXPECT(e, "CLIENT KILL TYPE pubsub", ":0\r\n");
    EXPECT(e, "CLIENT KILL LADDR 127.0.77.2:6379 TYPE normal USER default", ":1\r\n");
    CU_ASSERT(four->flags & CLIENT_KILLED);
    EXPECT(e, "CLIENT KILL ID 0", "-ERR client-id should be greater than 0\r\n");
    EXPECT(e, "CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'\r\n");
    EXPECT(e, "CLIENT KILL USER foo", "-ERR No such user 'foo'\r\n");
    EXPECT(e, "CLIENT KILL ADDR a LADDR", "-ERR syntax error\r\n");
    EXPECT(e, "CLIENT KILL SKIPME maybe", "-ERR syntax error\r\n");
    EXPECT(e, "CLIENT KILL ID 1", ":0\r\n"); /* oneself is skipped */
    EXPECT(e, "CLIENT KILL ID 1 SKIPME no", ":1\r\n");
    CU_ASSERT(e->client->flags & CLIENT_CLOSE_AFTER_REPLY);
    engine_free(e);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_ping_echo_select),
                                             UNIT(test_cluster_is_disabled),
                                             UNIT(test_hello),
                                             UNIT(test_auth_without_password),
                                             UNIT(test_auth_with_password),
                                             UNIT(test_reset),
                                             UNIT(test_client_reply),
                                             UNIT(test_names_and_library),
                                             UNIT(test_later_features_say_so),
                                             UNIT(test_client_list_line),
                                             UNIT(test_client_list_filters),
                                             UNIT(test_client_kill),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "command/connection", tests);
}

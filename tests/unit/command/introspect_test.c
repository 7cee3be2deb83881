/* introspect_test.c: COMMAND, ACL and MODULE. Replies as redis-server 7.0.15 gives them for the same rows. */
#include "engine.h"
#include "unit.h"

#include <stdio.h>

static struct engine *e;

static bool contains(const char *command, const char *part)
{
    const char *reply = engine_cmd(e, "%s", command);
    return strstr(reply, part) || engine_same(reply, part);
}

static void test_info(void)
{
    EXPECT(e, "COMMAND INFO get",
           "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n*2\r\n+readonly\r\n+fast\r\n:1\r\n:1\r\n:1\r\n*3\r\n+@read\r\n+@"
           "string\r\n"
           "+@fast\r\n*0\r\n*1\r\n*6\r\n$5\r\nflags\r\n*2\r\n+RO\r\n+access\r\n$12\r\nbegin_search\r\n*4\r\n$"
           "4\r\n"
           "type\r\n$5\r\nindex\r\n$4\r\nspec\r\n*2\r\n$5\r\nindex\r\n:1\r\n$9\r\nfind_keys\r\n*4\r\n$"
           "4\r\ntype\r\n"
           "$5\r\nrange\r\n$4\r\nspec\r\n*6\r\n$7\r\nlastkey\r\n:0\r\n$7\r\nkeystep\r\n:1\r\n$5\r\nlimit\r\n:"
           "0\r\n"
           "*0\r\n");
    EXPECT(e, "COMMAND INFO nope 'client|nope' 'get|x'", "*3\r\n$-1\r\n$-1\r\n$-1\r\n");
    CU_ASSERT(contains("COMMAND INFO mset", ":-3\r\n*2\r\n+write\r\n+denyoom\r\n:1\r\n:-1\r\n:2\r\n"));
    CU_ASSERT(contains("COMMAND INFO bitop", ":2\r\n:-1\r\n:1\r\n*3\r\n+@write\r\n+@bitmap\r\n+@slow\r\n"));
    CU_ASSERT(
        contains("COMMAND INFO 'client|kill'", "*1\r\n*10\r\n$11\r\nclient|kill\r\n:-3\r\n*4\r\n+admin\r\n"));
}

static void test_counts_agree(void)
{
    char want[32];
    snprintf(want, sizeof want, ":%u\r\n", command_count());
    EXPECT(e, "COMMAND COUNT", want);
    snprintf(want, sizeof want, "*%u\r\n*10\r\n", command_count());
    EXPECT_STARTS(e, "COMMAND", want);
    EXPECT_STARTS(e, "COMMAND INFO", want);
    snprintf(want, sizeof want, "*%u\r\n", 2 * command_count());
    EXPECT_STARTS(e, "COMMAND DOCS", want);
}

static void test_list(void)
{
    CU_ASSERT(contains("COMMAND LIST", "$11\r\nclient|kill\r\n"));
    EXPECT(e, "COMMAND LIST FILTERBY PATTERN 'bitfield*'", "*2\r\n$8\r\nbitfield\r\n$11\r\nbitfield_ro\r\n");
    EXPECT(e, "COMMAND LIST FILTERBY MODULE x", "*0\r\n");
    EXPECT(e, "COMMAND LIST FILTERBY ACLCAT nope", "*0\r\n");
    CU_ASSERT(contains("COMMAND LIST FILTERBY ACLCAT connection", "$4\r\nauth\r\n"));
    EXPECT(e, "COMMAND LIST foo", "-ERR syntax error\r\n");
    EXPECT(e, "COMMAND LIST FILTERBY x y", "-ERR syntax error\r\n");
}

static void test_getkeys(void)
{
    EXPECT(e, "COMMAND GETKEYS mset a b c d", "*2\r\n$1\r\na\r\n$1\r\nc\r\n");
    EXPECT(e, "COMMAND GETKEYS object encoding foo", "*1\r\n$3\r\nfoo\r\n");
    EXPECT(e, "COMMAND GETKEYS foo bar", "-ERR Invalid command specified\r\n");
    EXPECT(e, "COMMAND GETKEYS get a b", "-ERR Invalid number of arguments specified for command\r\n");
    EXPECT(e, "COMMAND GETKEYS client list", "-ERR The command has no key arguments\r\n");
    EXPECT(e, "COMMAND GETKEYSANDFLAGS set a b", "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+OW\r\n+update\r\n");
    EXPECT(e, "COMMAND GETKEYSANDFLAGS set a b get",
           "*1\r\n*2\r\n$1\r\na\r\n*3\r\n+RW\r\n+access\r\n+update\r\n");
    EXPECT(e, "COMMAND GETKEYSANDFLAGS bitfield a get u8 0",
           "*1\r\n*2\r\n$1\r\na\r\n*2\r\n+RO\r\n+access\r\n");
    EXPECT(e, "COMMAND GETKEYSANDFLAGS bitop and d s",
           "*2\r\n*2\r\n$1\r\nd\r\n*2\r\n+OW\r\n+update\r\n*2\r\n$1\r\ns\r\n*2\r\n+RO\r\n+access\r\n");
}

static void test_docs(void)
{
    EXPECT(e, "COMMAND DOCS echo",
           "*2\r\n$4\r\necho\r\n*10\r\n$7\r\nsummary\r\n$25\r\nReturns the given "
           "string.\r\n$5\r\nsince\r\n$5\r\n1.0.0\r\n"
           "$5\r\ngroup\r\n$10\r\nconnection\r\n$10\r\ncomplexity\r\n$4\r\nO(1)\r\n$9\r\narguments\r\n*1\r\n*"
           "4\r\n$4\r\n"
           "name\r\n$7\r\nmessage\r\n$4\r\ntype\r\n$6\r\nstring\r\n");
    EXPECT(e, "COMMAND DOCS nope", "*0\r\n");
    CU_ASSERT(
        contains("COMMAND DOCS quit", "$9\r\ndoc_flags\r\n*1\r\n+deprecated\r\n$16\r\ndeprecated_since\r\n"));
    CU_ASSERT(contains("COMMAND DOCS ttl", "$7\r\nhistory\r\n*1\r\n*2\r\n$5\r\n2.8.0\r\n$"));
    CU_ASSERT(contains("COMMAND DOCS acl", "$7\r\nhistory\r\n*2\r\n*2\r\n$5\r\n6.2.0\r\n$"));
    engine_cmd(e, "HELLO 3");
    CU_ASSERT(contains("COMMAND DOCS ttl", "$7\r\nhistory\r\n~1\r\n*2\r\n$5\r\n2.8.0\r\n$"));
    EXPECT_STARTS(e, "COMMAND DOCS client", "%1\r\n$6\r\nclient\r\n%5\r\n$7\r\nsummary\r\n");
    EXPECT_STARTS(e, "COMMAND INFO get", "*1\r\n*10\r\n$3\r\nget\r\n:2\r\n~2\r\n+readonly\r\n");
    EXPECT(e, "COMMAND DOCS nope", "%0\r\n");
    EXPECT(e, "COMMAND INFO nope", "*1\r\n_\r\n");
    engine_cmd(e, "HELLO 2");
}

static void test_acl_and_modules(void)
{
    EXPECT(e, "ACL WHOAMI", "$7\r\ndefault\r\n");
    EXPECT(e, "ACL USERS", "*1\r\n$7\r\ndefault\r\n");
    EXPECT(e, "ACL LIST", "*1\r\n$51\r\nuser default on nopass sanitize-payload ~* &* +@all\r\n");
    EXPECT_STARTS(e, "ACL GETUSER default", "*12\r\n$5\r\nflags\r\n*3\r\n$2\r\non\r\n$6\r\nnopass\r\n");
    EXPECT(e, "ACL GETUSER other", "$-1\r\n");
    EXPECT_STARTS(e, "ACL CAT", "*21\r\n$8\r\nkeyspace\r\n$4\r\nread\r\n");
    CU_ASSERT(contains("ACL CAT bitmap", "$5\r\nbitop\r\n"));
    EXPECT(e, "ACL CAT foo", "-ERR Unknown category 'foo'\r\n");
    EXPECT(e, "MODULE LIST", "*0\r\n");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_info), UNIT(test_counts_agree),    UNIT(test_list), UNIT(test_getkeys),
        UNIT(test_docs), UNIT(test_acl_and_modules), {NULL, NULL}};
    e = engine_new(NULL);
    if (!e)
        return 1;
    int status = unit_main(argc, argv, "command/introspect", tests);
    engine_free(e);
    return status;
}

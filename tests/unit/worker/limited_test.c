/* limited_test.c: GETs in rows (command/row.h) by a user who may not read every key: what comes back is what would come one by one. */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>

#define GET(key) "*2\r\n$3\r\nGET\r\n$2\r\n" key "\r\n"
#define DENIED_KEY "-NOPERM No permissions to access a key\r\n"
#define DENIED_GET "-NOPERM User u has no permissions to run the 'get' command\r\n"
#define A1 "$1\r\n1\r\n"

static struct box_rig rig;

static struct rig_client *user_with(const char *rules)
{
    char line[256];
    struct rig_client *admin = rig_connect(&rig, 0), *c = rig_connect(&rig, 2);
    CU_ASSERT(rig_says(&rig, admin, "SET a1 1\r\nSET b1 2\r\nSET c1 3\r\n", "+OK\r\n+OK\r\n+OK\r\n"));
    snprintf(line, sizeof line, "ACL SETUSER u on nopass %s\r\n", rules);
    CU_ASSERT(rig_says(&rig, admin, line, "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, c, "AUTH u x\r\n", "+OK\r\n"));
    return c;
}

static void a_key_of_others_in_a_row(void)
{
    struct rig_client *c = user_with("~a* +get (~c* +get)");
    CU_ASSERT(rig_says(&rig, c, GET("a1") GET("a1") GET("a1") GET("b1") GET("a1") GET("c1") GET("c1") GET("b1") GET("b1") GET("a2"),
                       A1 A1 A1 DENIED_KEY A1 "$1\r\n3\r\n$1\r\n3\r\n" DENIED_KEY DENIED_KEY "$-1\r\n"));
    CU_ASSERT(rig_says(&rig, c, GET("b1") GET("b1"), DENIED_KEY DENIED_KEY));
    CU_ASSERT(rig_says(&rig, c, GET("a1") GET("a1"), A1 A1));
}

static void who_may_not_get_at_all(void)
{
    struct rig_client *c = user_with("~a* +set");
    CU_ASSERT(rig_says(&rig, c, GET("a1") GET("a1") GET("b1"), DENIED_GET DENIED_GET DENIED_GET));
}

static void rights_that_go_between_two_of_them(void)
{
    struct rig_client *c = user_with("~a* +get +acl +@connection");
    CU_ASSERT(rig_says(&rig, c,
                       GET("a1") GET("a1") "*4\r\n$3\r\nACL\r\n$7\r\nSETUSER\r\n$1\r\nu\r\n$9\r\nresetkeys\r\n" GET("a1") GET("a1"),
                       A1 A1 "+OK\r\n" DENIED_KEY DENIED_KEY));
    CU_ASSERT(rig_says(&rig, c, GET("a1") "*4\r\n$3\r\nACL\r\n$7\r\nSETUSER\r\n$1\r\nu\r\n$3\r\n~b*\r\n" GET("b1") GET("b1") GET("a1"),
                       DENIED_KEY "+OK\r\n$1\r\n2\r\n$1\r\n2\r\n" DENIED_KEY));
    CU_ASSERT(rig_says(&rig, c, GET("b1") GET("b1") "*2\r\n$4\r\nAUTH\r\n$1\r\nx\r\n" GET("b1"), "$1\r\n2\r\n$1\r\n2\r\n"
                       "-ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration "
                       "is correct?\r\n$1\r\n2\r\n"));
}

/* In MULTI, with replies switched off, and while somebody looks on, it goes the long way. */
static void in_other_ways(void)
{
    struct rig_client *c = user_with("~a* +get +multi +exec +client");
    CU_ASSERT(rig_says(&rig, c, "MULTI\r\n" GET("a1") GET("b1") GET("a1") "EXEC\r\n",
                       "+OK\r\n+QUEUED\r\n" DENIED_KEY "+QUEUED\r\n"
                       "-EXECABORT Transaction discarded because of previous errors.\r\n"));
    CU_ASSERT(rig_says(&rig, c, "CLIENT REPLY SKIP\r\n" GET("a1") GET("a1") GET("b1"), A1 DENIED_KEY));
    CU_ASSERT(rig_says(&rig, &rig.client[0], "MONITOR\r\n", "+OK\r\n"));
    CU_ASSERT(rig_says(&rig, c, GET("a1") GET("b1") GET("a1"), A1 DENIED_KEY A1));
}

static void nothing_left(void)
{
}

#define EACH(name)                                                                                                     \
    static void test_##name(void)                                                                                      \
    {                                                                                                                  \
        CU_ASSERT_TRUE(rig_each_number_of_workers(&rig, name, nothing_left));                                          \
    }

EACH(a_key_of_others_in_a_row)
EACH(who_may_not_get_at_all)
EACH(rights_that_go_between_two_of_them)
EACH(in_other_ways)

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_key_of_others_in_a_row), UNIT(test_who_may_not_get_at_all),
                                             UNIT(test_rights_that_go_between_two_of_them), UNIT(test_in_other_ways),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/limited", tests);
}

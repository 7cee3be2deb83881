/* acl_certificate_test.c: whom a client certificate makes a client, and users that nobody becomes without
 * one. */
#include "engine.h"
#include "unit.h"

#include "command/acl.h"

#include <stdio.h>

static struct engine *e;

static void fresh(const char *directives)
{
    if (e)
        engine_free(e);
    e = engine_new(directives);
}

/* A handshake of the client has ended with these names; "cn:alice", "dns:...", "uri:..." */
static bool shows(const char *const names[])
{
    static const char *const kinds[] = {
        [CERTIFICATE_CN] = "cn:", [CERTIFICATE_DNS] = "dns:", [CERTIFICATE_URI] = "uri:"};
    struct acl_claim claim;
    acl_claim_begin(&claim, &e->env);
    for (bool on = true; on && *names; names++)
        for (unsigned k = 0; k < 3; k++)
            if (strncmp(*names, kinds[k], strlen(kinds[k])) == 0)
                on = acl_claim_name(&claim, (enum certificate_name)k, slice_str(*names + strlen(kinds[k])));
    return acl_claim_end(&claim, e->client);
}
#define SHOWS(...) shows((const char *const[]){__VA_ARGS__, NULL})

static void is(const char *name)
{
    char want[64];
    snprintf(want, sizeof want, "$%zu\r\n%s\r\n", strlen(name), name);
    EXPECT(e, "ACL WHOAMI", want);
}

static void test_the_directive_says_which_names_count(void)
{
    fresh("tls-auth-clients-user off\n");
    EXPECT(e, "ACL SETUSER alice on +@all", "+OK\r\n");
    CU_ASSERT_FALSE(SHOWS("cn:alice"));
    is("default");
    fresh("tls-auth-clients-user CN\n");
    EXPECT(e, "ACL SETUSER alice on +@all", "+OK\r\n");
    CU_ASSERT_FALSE(SHOWS("dns:alice", "uri:alice", "cn:bob"));
    CU_ASSERT(SHOWS("cn:alice"));
    is("alice");
}

static void test_the_order_of_the_directive_decides_then_that_of_the_certificate(void)
{
    fresh("tls-auth-clients-user URI CN\n");
    EXPECT(e, "ACL SETUSER alice on +@all", "+OK\r\n");
    EXPECT(e, "ACL SETUSER urn:app:1 on +@all", "+OK\r\n");
    EXPECT(e, "ACL SETUSER urn:app:2 on +@all", "+OK\r\n");
    CU_ASSERT(SHOWS("cn:alice", "uri:urn:app:0", "uri:urn:app:2", "uri:urn:app:1"));
    is("urn:app:2");
    CU_ASSERT(SHOWS("cn:alice", "uri:urn:app:0"));
    is("alice");
}

static void test_a_user_that_is_off_is_not_meant(void)
{
    fresh("tls-auth-clients-user CN\n");
    EXPECT(e, "ACL SETUSER alice off +@all", "+OK\r\n");
    CU_ASSERT_FALSE(SHOWS("cn:alice"));
    is("default");
}

static void test_it_is_logged_in_where_a_password_is_asked_for(void)
{
    fresh("tls-auth-clients-user CN\nrequirepass secret\n");
    EXPECT(e, "PING", "-NOAUTH Authentication required.\r\n");
    EXPECT(e, "AUTH secret", "+OK\r\n");
    EXPECT(e, "ACL SETUSER alice on +ping +acl +reset +auth ~a", "+OK\r\n");
    engine_cmd(e, "RESET");
    EXPECT(e, "PING", "-NOAUTH Authentication required.\r\n");
    CU_ASSERT(SHOWS("cn:alice"));
    EXPECT(e, "PING", "+PONG\r\n");
    EXPECT(e, "GET a", "-NOPERM User alice has no permissions to run the 'get' command\r\n");
    EXPECT(e, "AUTH secret", "+OK\r\n");
    is("default");
    EXPECT(e, "RESET", "+RESET\r\n"); /* begins anew: as the certificate says */
    is("alice");
}

static void test_nobody_becomes_a_certificate_only_user_by_a_password(void)
{
    static const char wrong[] = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
    fresh("tls-auth-clients-user CN\n");
    EXPECT(e, "ACL SETUSER alice on nopass certificate-only +@all", "+OK\r\n");
    EXPECT(e, "ACL SETUSER bob on >pw certificate-only +@all", "+OK\r\n");
    EXPECT(e, "AUTH alice x", wrong);
    EXPECT(e, "AUTH bob pw", wrong);
    EXPECT(e, "HELLO 2 AUTH bob pw", wrong);
    CU_ASSERT(SHOWS("cn:bob"));
    is("bob");
    EXPECT(e, "AUTH alice x", wrong);
    EXPECT(e, "AUTH bob pw", "+OK\r\n");
    EXPECT(e, "AUTH bob other", wrong);
    EXPECT(e, "ACL SETUSER alice no-certificate-only", "+OK\r\n");
    EXPECT(e, "AUTH alice x", "+OK\r\n");
}

static void test_the_default_user_may_be_certificate_only(void)
{
    fresh("tls-auth-clients-user CN\n");
    EXPECT(e, "ACL SETUSER admin on >pw +@all", "+OK\r\n");
    EXPECT(e, "ACL SETUSER default certificate-only", "+OK\r\n");
    e->client = engine_connect(e);
    EXPECT(e, "PING", "-NOAUTH Authentication required.\r\n");
    EXPECT(e, "AUTH default x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    CU_ASSERT(SHOWS("cn:default"));
    is("default");
}

static void test_the_rule_is_told_and_taken_back(void)
{
    fresh(NULL);
    EXPECT(e, "ACL SETUSER u on certificate-only", "+OK\r\n");
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "ACL LIST"), "user u on certificate-only sanitize-payload"));
    CU_ASSERT_PTR_NOT_NULL(strstr(engine_cmd(e, "ACL GETUSER u"), "certificate-only"));
    EXPECT(e, "ACL SETUSER u reset", "+OK\r\n");
    CU_ASSERT_PTR_NULL(strstr(engine_cmd(e, "ACL LIST"), "certificate-only"));
}

static void test_who_is_deleted_is_nobody_any_more(void)
{
    fresh("tls-auth-clients-user CN\n");
    EXPECT(e, "ACL SETUSER alice on +@all", "+OK\r\n");
    CU_ASSERT(SHOWS("cn:alice"));
    EXPECT(e, "AUTH default x", "+OK\r\n");
    EXPECT(e, "ACL DELUSER alice", ":1\r\n");
    EXPECT(e, "ACL SETUSER alice on certificate-only nopass +@all", "+OK\r\n");
    EXPECT(e, "RESET", "+RESET\r\n");
    is("default"); /* the new alice is another one */
    EXPECT(e, "AUTH alice x", "-WRONGPASS invalid username-password pair or user is disabled.\r\n");
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_the_directive_says_which_names_count),
        UNIT(test_the_order_of_the_directive_decides_then_that_of_the_certificate),
        UNIT(test_a_user_that_is_off_is_not_meant),
        UNIT(test_it_is_logged_in_where_a_password_is_asked_for),
        UNIT(test_nobody_becomes_a_certificate_only_user_by_a_password),
        UNIT(test_the_default_user_may_be_certificate_only),
        UNIT(test_the_rule_is_told_and_taken_back),
        UNIT(test_who_is_deleted_is_nobody_any_more),
        {NULL, NULL}};
    int result = unit_main(argc, argv, "command/acl_certificate", tests);
    if (e)
        engine_free(e);
    return result;
}

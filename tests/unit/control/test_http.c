/* test_http.c: what the management API over HTTPS takes and refuses, by head, token, role and source. */
#include "control/api.h"
#include "control/http.h"
#include "control/snapshot_keep.h"
#include "control/source.h"
#include "control/token.h"
#include "unit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char text[HTTP_HEAD_MAX + 64];
static struct http_head h;
static const char *why;

static int reads(const char *head)
{
    snprintf(text, sizeof text, "%s", head);
    return http_read(text, strlen(text), &h, &why);
}

#define HOST "Host: box\r\n"

static void test_a_request_line_names_the_operation(void)
{
    CU_ASSERT_EQUAL(reads("GET /v1/show/status HTTP/1.1\r\n" HOST "\r\n"), 0);
    CU_ASSERT_STRING_EQUAL(h.op, "show");
    CU_ASSERT_STRING_EQUAL(h.what, "status");
    CU_ASSERT(h.keep && h.method == HTTP_GET && !h.authorized);
    CU_ASSERT_EQUAL(reads("POST /v1/stop HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n"), 0);
    CU_ASSERT(strcmp(h.op, "stop") == 0 && !*h.what && !h.keep && h.method == HTTP_POST);
    CU_ASSERT_EQUAL(reads("GET /v1/show HTTP/1.0\r\n\r\n"), 0);
    CU_ASSERT_FALSE(h.keep);
}

static void test_paths_that_are_none(void)
{
    const char *const paths[] = {"/",          "/v1/",         "/v2/show/status", "/v1/show/status/x", "/v1//status",
                                 "/v1/../etc", "/v1/Show",     "/v1/show%2fx",    "http://box/v1/show", "*",
                                 "/v1/show/",  "/v1/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
    char line[256];
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        snprintf(line, sizeof line, "GET %s HTTP/1.1\r\n" HOST "\r\n", paths[i]);
        CU_ASSERT_EQUAL(reads(line), 404);
    }
}

static void test_what_parsers_disagree_about_is_refused(void)
{
    const struct {
        const char *fields;
        int status;
    } cases[] = {{"Content-Length: 1\r\nContent-Length: 1\r\n", 400},
                 {"Content-Length: +1\r\n", 400},
                 {"Content-Length: 1, 1\r\n", 400},
                 {"Content-Length: 99999999999999999999\r\n", 400},
                 {"Transfer-Encoding: chunked\r\n", 411},
                 {"Transfer-Encoding: identity\r\nContent-Length: 3\r\n", 411},
                 {"Content-Length : 1\r\n", 400},
                 {" folded: 1\r\n", 400},
                 {"a: 1\n", 400},
                 {"a\r\n", 400},
                 {"a: \x01\r\n", 400},
                 {"Host: other\r\n", 400},
                 {"Origin: https://evil.example\r\n", 403},
                 {"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n", 400}};
    char head[512];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(head, sizeof head, "POST /v1/config/set HTTP/1.1\r\n" HOST "%s\r\n", cases[i].fields);
        int status = reads(head);
        if (status != cases[i].status)
            printf("# %s-> %d\n", cases[i].fields, status);
        CU_ASSERT_EQUAL(status, cases[i].status);
    }
    CU_ASSERT_EQUAL(reads("GET /v1/show/status HTTP/1.1\r\n\r\n"), 400); /* no host */
    CU_ASSERT_EQUAL(reads("BREW /v1/show/status HTTP/1.1\r\n" HOST "\r\n"), 405);
    CU_ASSERT_EQUAL(reads("GET /v1/show/status HTTP/2.0\r\n" HOST "\r\n"), 505);
    CU_ASSERT_EQUAL(reads("GET  /v1/show/status HTTP/1.1\r\n" HOST "\r\n"), 400);
}

static void test_too_many_fields(void)
{
    struct text t = {0};
    text_add(&t, "GET /v1/show/status HTTP/1.1\r\n" HOST);
    for (unsigned i = 0; i < 2 * HTTP_FIELDS_MAX; i++)
        text_add(&t, "a: b\r\n");
    text_add(&t, "\r\n");
    CU_ASSERT_EQUAL(reads(t.p), 431);
    text_free(&t);
}

static void test_fields_that_matter(void)
{
    CU_ASSERT_EQUAL(reads("PUT /v1/session HTTP/1.1\r\n" HOST "authorization: bearer  abc \r\nCONTENT-LENGTH: 12\r\n"
                          "Expect: 100-continue\r\nConnection: keep-alive, upgrade\r\nUpgrade: sluice\r\n"
                          "Content-Type: application/json; charset=utf-8\r\n\r\n"),
                    0);
    CU_ASSERT(h.length == 12 && h.expects && h.upgrades && h.json && h.authorized);
    CU_ASSERT_STRING_EQUAL(h.token, "abc");
    CU_ASSERT_EQUAL(reads("GET /v1/show HTTP/1.1\r\n" HOST "Authorization: Basic abc\r\n\r\n"), 0);
    CU_ASSERT(h.authorized && !h.token);
}

static void test_the_query_has_the_types_of_the_operation(void)
{
    CU_ASSERT_EQUAL(reads("GET /v1/a/b?name=x%20y+z&limit=-5&authority&other=1 HTTP/1.1\r\n" HOST "\r\n"), 0);
    CU_ASSERT_EQUAL(h.queries, 4);
    CU_ASSERT_PTR_NULL(http_request(&h, NULL, "name #limit ?authority", &why)); /* other */
    json_t *j = http_request(&h, NULL, "name #limit ?authority other", &why);
    CU_ASSERT_PTR_NOT_NULL_FATAL(j);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "name")), "x y z");
    CU_ASSERT_EQUAL(json_integer_value(json_object_get(j, "limit")), -5);
    CU_ASSERT(json_is_true(json_object_get(j, "authority")));
    json_decref(j);
    CU_ASSERT_EQUAL(reads("GET /v1/a/b?limit=five HTTP/1.1\r\n" HOST "\r\n"), 0);
    CU_ASSERT_PTR_NULL(http_request(&h, NULL, "#limit", &why));
    CU_ASSERT_EQUAL(reads("GET /v1/a/b?op=stop&what= HTTP/1.1\r\n" HOST "\r\n"), 0);
    CU_ASSERT_PTR_NULL(http_request(&h, NULL, "#limit", &why)); /* op is the path's */
    CU_ASSERT_EQUAL(reads("GET /v1/a/b?x=%00 HTTP/1.1\r\n" HOST "\r\n"), 400);
    CU_ASSERT_EQUAL(reads("GET /v1/a/b?x=%4 HTTP/1.1\r\n" HOST "\r\n"), 400);
    json_t *body = json_pack("{s:s,s:s}", "op", "stop", "name", "n");
    CU_ASSERT_EQUAL(reads("POST /v1/a/b HTTP/1.1\r\n" HOST "\r\n"), 0);
    j = http_request(&h, body, "", &why);
    CU_ASSERT_STRING_EQUAL(json_string_value(json_object_get(j, "op")), "a"); /* nor the body's */
    json_decref(j);
    json_decref(body);
    CU_ASSERT_EQUAL(reads("POST /v1/snapshot/delete?name=old.rdb HTTP/1.1\r\n" HOST "\r\n"), 0);
    j = http_request(&h, NULL, operation_find("snapshot", "delete")->takes, &why); /* what it reads */
    CU_ASSERT_PTR_NOT_NULL(j);
    json_decref(j);
}

static void test_a_head_is_whole_at_its_empty_line(void)
{
    const char head[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
    for (size_t n = 0; n < sizeof head - 1; n++)
        CU_ASSERT_EQUAL(http_head_length(head, n), n < sizeof head - 5 ? 0 : sizeof head - 5);
}

static void test_delays_grow_and_are_forgotten(void)
{
    static struct sources all;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a000001)};
    unsigned seconds, n = 0;
    struct source *s = source_of(&all, (struct sockaddr *)&from, 1000000);
    CU_ASSERT_EQUAL(source_failed(s, 1000000), 250);
    CU_ASSERT_EQUAL(source_failed(s, 1000001), 500);
    for (unsigned i = 0; i < 30; i++)
        CU_ASSERT(source_failed(s, 1000002) <= SOURCE_DELAY_MAX_MS);
    CU_ASSERT_EQUAL(source_failed(s, 1000002), SOURCE_DELAY_MAX_MS);
    CU_ASSERT_EQUAL(source_failed(s, 1000002 + SOURCE_FORGETS_S * 1000 + 1), 250);
    while (source_may(s, 1000000, &seconds))
        n++;
    CU_ASSERT_EQUAL(n, SOURCE_BURST);
    CU_ASSERT(source_may(s, 1000100, &seconds)); /* 50 a second: five of them */
}

static void test_sources_are_few_and_those_in_use_stay(void)
{
    static struct sources all;
    struct sockaddr_in6 from = {.sin6_family = AF_INET6, .sin6_addr = {.s6_addr = {0x20, 1, 0xd, 0xb8}}};
    struct source *first = source_of(&all, (struct sockaddr *)&from, 1);
    first->connections = 1;
    from.sin6_addr.s6_addr[15] = 9; /* the same /64 */
    CU_ASSERT_PTR_EQUAL(source_of(&all, (struct sockaddr *)&from, 2), first);
    for (unsigned i = 1; i <= 3 * SOURCES_MAX; i++) {
        from.sin6_addr.s6_addr[6] = (uint8_t)(i >> 8);
        from.sin6_addr.s6_addr[7] = (uint8_t)i;
        CU_ASSERT_PTR_NOT_NULL(source_of(&all, (struct sockaddr *)&from, 2 + i));
    }
    CU_ASSERT_EQUAL(all.n, SOURCES_MAX);
    CU_ASSERT_EQUAL(first->connections, 1);
}

static void test_a_token_has_its_parts(void)
{
    char id[9], hash[65];
    const char good[] = "slt_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA_";
    CU_ASSERT(token_parse(good, id, hash));
    CU_ASSERT_STRING_EQUAL(id, "0123abcd");
    CU_ASSERT_FALSE(token_parse("slt_0123abcd_A", id, hash));
    CU_ASSERT_FALSE(token_parse("", id, hash));
    for (size_t i = 0; i < sizeof good - 1; i++) { /* a wrong byte anywhere, or an end */
        char bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[i] = '!';
        CU_ASSERT_FALSE(token_parse(bad, id, hash));
        bad[i] = 0;
        CU_ASSERT_FALSE(token_parse(bad, id, hash));
    }
}

static void test_a_damaged_file_of_tokens_lets_nobody_in(void)
{
    char folder[] = "/tmp/control-tokens-XXXXXX", path[64];
    struct token_view view;
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/tokens.json", folder);
    const char *const texts[] = {"", "{", "[1]", "[{\"id\":\"x\"}]", "{\"id\":\"0123abcd\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        FILE *f = fopen(path, "w");
        fputs(texts[i], f);
        fclose(f);
        struct tokens *t = tokens_open(folder);
        CU_ASSERT_FALSE(tokens_check(t, "slt_0123abcd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", 0, &view));
        tokens_close(t);
    }
    unlink(path);
    rmdir(folder);
}

/* -- roles -------------------------------------------------------------------------------------------- */

static struct settings *with_roles(const char *const *lines)
{
    struct settings *s = settings_defaults();
    char error[256];
    for (; *lines; lines++) {
        struct words w = {0};
        words_add(&w, must_copy(*lines));
        CU_ASSERT(settings_add(s, directive_find("management-role"), &w, error, sizeof error));
        words_free(&w);
    }
    return s;
}

static void test_the_first_line_that_fits_is_the_role(void)
{
    struct settings *s = with_roles((const char *const[]){"operator user 4711", "support group 12", "read-only user 4712",
                                                          "security certificate ops team", NULL});
    const gid_t twelve[] = {3, 12}, other[] = {4};
    struct words ops = {(char *[]){(char *)(uintptr_t) "x", (char *)(uintptr_t) "ops team"}, 2}, none = {0};
    CU_ASSERT_EQUAL(role_of_peer(s, 0, other, 1), ROLE_ADMIN);
    CU_ASSERT_EQUAL(role_of_peer(s, 4711, twelve, 2), ROLE_OPERATOR);
    CU_ASSERT_EQUAL(role_of_peer(s, 4712, twelve, 2), ROLE_SUPPORT);
    CU_ASSERT_EQUAL(role_of_peer(s, 4712, other, 1), ROLE_READ_ONLY);
    CU_ASSERT_EQUAL(role_of_peer(s, 4713, other, 1), ROLE_NONE);
    CU_ASSERT_EQUAL(role_of_certificate(s, &ops), ROLE_SECURITY);
    CU_ASSERT_EQUAL(role_of_certificate(s, &none), ROLE_NONE);
    settings_free(s);
}

static void test_lines_that_are_no_roles(void)
{
    const char *const bad[] = {"",           "admin",        "admin user",     "none user a",    "root user a", "admin uid 1",
                               "admin user ", "admin user a b", "admin  user a", "admin group \x01"};
    struct role_rule rule;
    const char *error;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CU_ASSERT_FALSE(role_rule_parse(bad[i], &rule, &error));
}

static void test_access_is_securitys_and_the_rest_the_operators(void)
{
    for (unsigned d = 0; d < directive_count(); d++) {
        bool security = role_may_set(ROLE_SECURITY, (int)d), operator= role_may_set(ROLE_OPERATOR, (int)d);
        CU_ASSERT(role_may_set(ROLE_ADMIN, (int)d));
        CU_ASSERT_FALSE(security && operator);
        CU_ASSERT_FALSE(role_may_set(ROLE_READ_ONLY, (int)d) || role_may_set(ROLE_SUPPORT, (int)d) ||
                        role_may_set(ROLE_NONE, (int)d));
        if (directives[d].flags & DIRECTIVE_SECRET)
            CU_ASSERT(security);
    }
    CU_ASSERT(role_may_set(ROLE_OPERATOR, directive_find("maxmemory")));
    CU_ASSERT(role_may_set(ROLE_SECURITY, directive_find("tls-cert-file")));
    /* What would make an operator or security admin: files that control reads, writes and hands out. */
    static const char *const admins[] = {"management-role",   "management-ca-cert-file", "management-socket", "dir", "dbfilename",
                                         "logfile",           "log-file",                "appenddirname",     "appendfilename",
                                         "state-dir",         "control-user",            "dataplane-user",    "dataplane-seccomp",
                                         "dataplane-socket"};
    for (size_t i = 0; i < sizeof admins / sizeof *admins; i++) {
        const int d = directive_find(admins[i]);
        CU_ASSERT_FATAL(d >= 0);
        CU_ASSERT_FALSE(role_may_set(ROLE_SECURITY, d) || role_may_set(ROLE_OPERATOR, d));
    }
}

static void test_only_a_snapshot_is_handed_out(void)
{
    char folder[] = "/tmp/control-kept-XXXXXX", error[600];
    uint64_t bytes;
    CU_ASSERT_FATAL(mkdtemp(folder) != NULL);
    int dir = open(folder, O_RDONLY | O_DIRECTORY);
    const struct {
        const char *name, *text;
        bool good;
    } files[] = {{"dump.rdb", "REDIS0011", true}, {"key.pem", "-----BEGIN", false}, {"short", "REDI", false}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        int fd = openat(dir, files[i].name, O_WRONLY | O_CREAT, 0600);
        CU_ASSERT(write(fd, files[i].text, strlen(files[i].text)) == (ssize_t)strlen(files[i].text));
        close(fd);
        fd = kept_open(folder, files[i].name, "", &bytes, error, sizeof error);
        CU_ASSERT_EQUAL(fd >= 0, files[i].good);
        if (fd >= 0)
            close(fd);
        unlinkat(dir, files[i].name, 0);
    }
    close(dir);
    rmdir(folder);
}

static void test_who_only_looks_changes_nothing(void)
{
    for (unsigned i = 0; i < operation_count(); i++) {
        const struct operation_row *o = operation_at(i);
        bool looks = o->roles & ROLE_SET(ROLE_READ_ONLY);
        bool report = strcmp(o->op, "config") == 0 && strcmp(o->what, "import") == 0; /* of a text that is sent along */
        CU_ASSERT(!looks || ((o->reads || report) && !o->audited));
        CU_ASSERT_PTR_EQUAL(operation_find(o->op, o->what), o); /* no two of a name */
        CU_ASSERT_FALSE(o->roles & ROLE_SET(ROLE_NONE));
    }
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_request_line_names_the_operation),
                           UNIT(test_paths_that_are_none),
                           UNIT(test_what_parsers_disagree_about_is_refused),
                           UNIT(test_too_many_fields),
                           UNIT(test_fields_that_matter),
                           UNIT(test_the_query_has_the_types_of_the_operation),
                           UNIT(test_a_head_is_whole_at_its_empty_line),
                           UNIT(test_delays_grow_and_are_forgotten),
                           UNIT(test_sources_are_few_and_those_in_use_stay),
                           UNIT(test_a_token_has_its_parts),
                           UNIT(test_a_damaged_file_of_tokens_lets_nobody_in),
                           UNIT(test_the_first_line_that_fits_is_the_role),
                           UNIT(test_lines_that_are_no_roles),
                           UNIT(test_access_is_securitys_and_the_rest_the_operators),
                           UNIT(test_only_a_snapshot_is_handed_out),
                           UNIT(test_who_only_looks_changes_nothing),
                           {NULL, NULL}};
    return unit_main(argc, argv, "control/http", tests);
}

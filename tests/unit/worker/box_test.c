/* box_test.c: the whole way of a request, from frames to frames, through a real worker. */
#include "box_rig.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;

static void test_commands_over_tcp(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(c->opened);
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n", "+OK\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", "$1\r\nv\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "*2\r\n$3\r\nGET\r\n$1\r\nx\r\n", "$-1\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "NOSUCH a\r\n",
                            "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static const char transcript[] =
    "*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$11\r\nhello\r\nworl\r\nGET key\r\n*2\r\n$6\r\nSTRLEN\r\n$3\r\nkey\r\n"
    "\r\n*0\r\n*3\r\n$6\r\nAPPEND\r\n$3\r\nkey\r\n$1\r\nd\r\nSET \"quoted key\" 'x'\r\nDEL key nokey\r\n";
static const char transcript_reply[] = "+OK\r\n$11\r\nhello\r\nworl\r\n:11\r\n:12\r\n+OK\r\n:1\r\n";

static void test_a_transcript_split_at_every_byte(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    size_t len = sizeof transcript - 1, want = sizeof transcript_reply - 1;
    for (size_t cut = 1; cut < len; cut++) {
        c->got_len = 0;
        rig_exchange(&rig, c, transcript, cut, 0);
        rig_run(&rig, 300);
        rig_exchange(&rig, c, transcript + cut, len - cut, want);
        if (c->got_len != want || memcmp(c->got, transcript_reply, want) != 0) {
            printf("# split at %zu: %.*s\n", cut, (int)c->got_len, (const char *)c->got);
            CU_FAIL("reply differs");
            break;
        }
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_one_byte_a_segment(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    for (size_t i = 0; i + 1 < sizeof transcript; i++)
        rig_exchange(&rig, c, transcript + i, 1, 0);
    rig_run(&rig, 100000);
    CU_ASSERT_EQUAL(c->got_len, sizeof transcript_reply - 1);
    CU_ASSERT_EQUAL(memcmp(c->got, transcript_reply, sizeof transcript_reply - 1), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* `n` times SET key:i value-of-i, then GETs; checks every reply byte. */
static void pipeline(struct rig_client *c, unsigned n, size_t value_len)
{
    size_t cap = n * (value_len + 128) + 64, len = 0, want = 0;
    char *request = calloc(1, cap), *reply = calloc(1, cap);
    for (unsigned i = 0; i < n; i++) {
        len += (size_t)sprintf(request + len, "*3\r\n$3\r\nSET\r\n$8\r\nkey:%04u\r\n$%zu\r\n", i, value_len);
        memset(request + len, 'a' + (int)(i % 26), value_len);
        len += value_len;
        len += (size_t)sprintf(request + len, "\r\n");
        want += (size_t)sprintf(reply + want, "+OK\r\n");
    }
    c->got_len = 0;
    rig_exchange(&rig, c, request, len, want);
    CU_ASSERT_EQUAL(c->got_len, want);
    CU_ASSERT_EQUAL(memcmp(c->got, reply, want), 0);
    len = want = 0;
    for (unsigned i = 0; i < n; i++) {
        len += (size_t)sprintf(request + len, "*2\r\n$3\r\nGET\r\n$8\r\nkey:%04u\r\n", i);
        want += (size_t)sprintf(reply + want, "$%zu\r\n", value_len);
        memset(reply + want, 'a' + (int)(i % 26), value_len);
        want += value_len;
        want += (size_t)sprintf(reply + want, "\r\n");
    }
    c->got_len = 0;
    rig_exchange(&rig, c, request, len, want);
    CU_ASSERT_EQUAL(c->got_len, want);
    CU_ASSERT_EQUAL(memcmp(c->got, reply, want < RIG_REPLY ? want : RIG_REPLY), 0);
    free(request);
    free(reply);
}

static void test_pipelines_of_all_sizes(void)
{
    static const struct {
        unsigned n;
        size_t value;
    } size[] = {{1, 0}, {32, 64}, {33, 1}, {1000, 64}, {100, 1400}, {50, 1447}, {10, 100000}, {2, 1000000}};
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    for (unsigned i = 0; i < sizeof size / sizeof *size; i++)
        pipeline(c, size[i].n, size[i].value);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_lossy_wire_loses_no_reply(void)
{
    const struct memwire_fault fault = {.loss = 20000,
                                        .duplicate = 10000,
                                        .corrupt = 5000,
                                        .reorder = 20000,
                                        .delay_us = 300,
                                        .jitter_us = 200};
    rig_start(&rig, NULL, &fault);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(c->opened);
    pipeline(c, 500, 64);
    pipeline(c, 20, 20000);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* More requests than replies fit anywhere: the box must go on reading, so that a client that writes all
 * before it reads does not wait for ever, and must deliver everything later. */
static void test_a_client_that_reads_late(void)
{
    enum { N = 2000, VALUE = 2000 };
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    pipeline(c, 1, VALUE);
    c->paused = true;
    c->got_len = 0;
    char *request = malloc(N * 32);
    size_t len = 0;
    for (unsigned i = 0; i < N; i++)
        len += (size_t)sprintf(request + len, "*2\r\n$3\r\nGET\r\n$8\r\nkey:0000\r\n");
    rig_exchange(&rig, c, request, len, 0);
    rig_run(&rig, 2000000);
    CU_ASSERT_TRUE(rig.worker->chunk_bytes > 1000000);
    c->paused = false;
    size_t want = (size_t)N * (VALUE + 9);
    rig_exchange(&rig, c, request, 0, want);
    CU_ASSERT_EQUAL(c->got_len, want);
    CU_ASSERT_EQUAL(rig.worker->chunk_bytes, 0);
    free(request);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_output_limit_disconnects(void)
{
    static const char *const pairs[] = {"client-output-buffer-limit", "normal 1mb 0 0", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *other;
    pipeline(c, 1, 100000);
    c->paused = true;
    char request[3200] = "";
    for (unsigned i = 0; i < 100; i++)
        strcat(request, "GET key:0000\r\n");
    rig_exchange(&rig, c, request, strlen(request), 0);
    rig_run(&rig, 500000);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_output_limit_closes], 1);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    other = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, other, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_query_limit_disconnects(void)
{
    static const char *const pairs[] = {"client-query-buffer-limit", "1mb", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    char *bytes = malloc(3 << 20);
    size_t len = (size_t)sprintf(bytes, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n");
    memset(bytes + len, 'x', (3 << 20) - len);
    rig_exchange(&rig, c, bytes, 3 << 20, 0);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_query_limit_closes], 1);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    free(bytes);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_quit_and_half_close(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "SET a 1\r\nQUIT\r\nSET a 2\r\n", "+OK\r\n+OK\r\n"));
    CU_ASSERT_TRUE(c->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    c = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, c, "GET a\r\n", "$1\r\n1\r\n"));
    tcp_close(c->conn, rig.now_us);
    c->conn = NULL;
    rig_run(&rig, 50000);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_protocol_error_after_good_requests(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n*1\r\n!4\r\nPING\r\n",
                            "+PONG\r\n-ERR Protocol error: expected '$', got '!'\r\n"));
    CU_ASSERT_TRUE(c->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->sessions, 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Their arguments lie apart from the frame. */
static void test_quoted_requests_in_one_pipeline(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_TRUE(
        rig_says(&rig, rig_connect(&rig, 0),
                 "SET a \"one\"\r\nSET b \"a longer value\"\r\nSET 'c' x\r\nGET \"a\"\r\nGET \"b\"\r\n",
                 "+OK\r\n+OK\r\n+OK\r\n$3\r\none\r\n$14\r\na longer value\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_maxclients(void)
{
    static const char *const pairs[] = {"maxclients", "2", NULL};
    rig_start(&rig, pairs, NULL);
    rig_connect(&rig, 0);
    rig_connect(&rig, 1);
    struct rig_client *third = rig_connect(&rig, 2);
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(third->got_len, strlen("-ERR max number of clients reached\r\n"));
    CU_ASSERT_TRUE(third->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->sessions, 2);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_protected_mode(void)
{
    static const char *const pairs[] = {"protected-mode", "yes", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(memcmp(c->got, "-DENIED ", 8), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_authentication_lifts_limits_within_one_pipeline(void)
{
    static const char *const pairs[] = {"requirepass", "secret", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "GET a\r\n", "-NOAUTH Authentication required.\r\n"));
    CU_ASSERT_TRUE(rig_says(
        &rig, c,
        "AUTH "
        "secret\r\n*13\r\n$3\r\nDEL\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n"
        "$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n$1\r\n1\r\n",
        "+OK\r\n:0\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_client_reply_modes(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT REPLY SKIP\r\nSET a 1\r\nGET a\r\n", "$1\r\n1\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT REPLY OFF\r\nSET a 2\r\nGET a\r\nCLIENT REPLY ON\r\nGET a\r\n",
                            "+OK\r\n$1\r\n2\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_command_with_very_many_arguments(void)
{
    enum { N = 5000 };
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    char *request = malloc(N * 40 + 64), expected[64];
    size_t len = (size_t)sprintf(request, "PING\r\n*%d\r\n$4\r\nMSET\r\n", 2 * N + 1);
    for (unsigned i = 0; i < N; i++)
        len += (size_t)sprintf(request + len, "$6\r\nk%05u\r\n$1\r\nx\r\n", i);
    len += (size_t)sprintf(request + len, "DBSIZE\r\n");
    sprintf(expected, "+PONG\r\n+OK\r\n:%d\r\n", N);
    rig_exchange(&rig, c, request, len, strlen(expected));
    CU_ASSERT_EQUAL(c->got_len, strlen(expected));
    CU_ASSERT_EQUAL(memcmp(c->got, expected, strlen(expected)), 0);
    free(request);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_client_kill_and_list(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, b, "CLIENT SETNAME victim\r\n", "+OK\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, a, "CLIENT KILL TYPE normal SKIPME yes\r\n", ":1\r\n"));
    rig_run(&rig, 5000);
    CU_ASSERT_TRUE(b->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->sessions, 1);
    CU_ASSERT_TRUE(rig_says(&rig, a, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_idle_clients_are_closed(void)
{
    static const char *const pairs[] = {"timeout", "1", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    rig.worker->live_sessions->client.last_ms -= 5000;
    rig_run(&rig, 200000);
    CU_ASSERT_TRUE(c->peer_closed);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_idle_closes], 1);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_commands_over_tcp),
        UNIT(test_a_transcript_split_at_every_byte),
        UNIT(test_one_byte_a_segment),
        UNIT(test_pipelines_of_all_sizes),
        UNIT(test_a_lossy_wire_loses_no_reply),
        UNIT(test_a_client_that_reads_late),
        UNIT(test_output_limit_disconnects),
        UNIT(test_query_limit_disconnects),
        UNIT(test_quit_and_half_close),
        UNIT(test_protocol_error_after_good_requests),
        UNIT(test_quoted_requests_in_one_pipeline),
        UNIT(test_maxclients),
        UNIT(test_protected_mode),
        UNIT(test_authentication_lifts_limits_within_one_pipeline),
        UNIT(test_client_reply_modes),
        UNIT(test_a_command_with_very_many_arguments),
        UNIT(test_client_kill_and_list),
        UNIT(test_idle_clients_are_closed),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker", tests);
}

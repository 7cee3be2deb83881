/* inspect_test.c: what control asks of the workers, on its way over one and two workers in virtual time. */
#include "box_rig.h"
#include "job.h"
#include "json.h"
#include "net/ping.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};
static char answer[1 << 20];
static unsigned long answer_rounds; /* rounds of worker 0 until the answer came */

/* The words of `question` are the arguments; the whole RESP reply in answer. */
static bool ask(const char *question)
{
    struct fabric *f = rig.box.fabric;
    struct slice argv[8];
    const char *error = "";
    char words[256], *state;
    int argc = 0;
    snprintf(words, sizeof words, "%s", question);
    for (char *w = strtok_r(words, " ", &state); w; w = strtok_r(NULL, " ", &state))
        argv[argc++] = slice_str(w);
    struct job *j = inspect_job(fabric_main(f), argc, argv, &error), *back = NULL;
    if (!j) {
        snprintf(answer, sizeof answer, "-%s\r\n", error);
        return false;
    }
    uint64_t before = count_read(rig.worker->counters, COUNTER_loop_rounds);
    if (!fabric_send(f, fabric_main(f), 0, j))
        abort();
    for (int i = 0; i < 100000 && !back; i++) {
        rig_run(&rig, 100);
        back = fabric_receive(f, fabric_main(f));
    }
    answer_rounds = count_read(rig.worker->counters, COUNTER_loop_rounds) - before;
    if (!back)
        return false;
    inspect_finish(back);
    struct slice reply = job_reply(back);
    snprintf(answer, sizeof answer, "%.*s", (int)reply.len, (const char *)reply.p);
    job_free(back);
    return *answer == '$';
}

static bool says(const char *text)
{
    if (strstr(answer, text))
        return true;
    printf("# no %s in: %.600s\n", text, answer);
    return false;
}

static void test_every_worker_is_visited_in_order(void)
{
    rig_start(&rig, two, NULL);
    rig_connect(&rig, 1);
    CU_ASSERT_TRUE(ask("workers"));
    CU_ASSERT_STRING_EQUAL(answer, "$84\r\n{\"worker\":0,\"connections\":0,\"sessions\":0}\n"
                                   "{\"worker\":1,\"connections\":1,\"sessions\":1}\n\r\n");
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_one_worker_is_first_and_last(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_TRUE(ask("workers"));
    CU_ASSERT_TRUE(says("{\"worker\":0,"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_an_unknown_question_is_refused(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_FALSE(ask("nonsense"));
    CU_ASSERT_TRUE(says("-ERR unknown inspection"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_no_client_can_ask(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "%INSPECT workers\r\n",
                            "-ERR unknown command '%INSPECT', with args beginning with: 'workers' \r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_connections_of_all_workers_and_their_totals(void)
{
    rig_start(&rig, two, NULL);
    for (unsigned i = 0; i < 5; i++)
        rig_connect(&rig, i);
    CU_ASSERT_TRUE(ask("connections 100"));
    CU_ASSERT_TRUE(
        says("{\"state\":\"ESTABLISHED\",\"local\":\"10.0.0.2:6379\",\"remote\":\"10.0.0.1:20000\","
             "\"worker\":0,\"recv_q\":0,\"send_q\":0}\n"));
    CU_ASSERT_TRUE(says("\"worker\":1,"));
    CU_ASSERT_TRUE(says("\"ESTABLISHED\":5,"));
    CU_ASSERT_TRUE(says("\"total\":5,\"shown\":5}"));
    CU_ASSERT_TRUE(ask("connections 2"));
    CU_ASSERT_TRUE(says("\"total\":5,\"shown\":2}"));
    CU_ASSERT_FALSE(ask("connections"));
    CU_ASSERT_FALSE(ask("connections many"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_connections_in_time_wait_are_counted(void)
{
    rig_start(&rig, two, NULL);
    rig_connect(&rig, 0);
    struct rig_client *c = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, c, "QUIT\r\n", "+OK\r\n"));
    tcp_close(c->conn, rig.now_us);
    rig_run(&rig, 10000);
    CU_ASSERT_TRUE(ask("connections 100"));
    CU_ASSERT_TRUE(says("\"TIME_WAIT\":1,"));
    CU_ASSERT_TRUE(says("\"total\":2,\"shown\":1}"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_connection_in_detail(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 1);
    rig_connect(&rig, 0);
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT SETNAME \"a\\xe9\\x22b\"\r\n",
                            "-ERR Client names cannot contain spaces, newlines or special characters.\r\n"));
    CU_ASSERT_TRUE(rig_says(&rig, c, "CLIENT SETNAME bee\r\n", "+OK\r\n"));
    char question[80], remote[ENDPOINT_TEXT];
    struct endpoint here, there;
    tcp_endpoints(c->conn, &here, &there);
    endpoint_format(&here, remote);
    snprintf(question, sizeof question, "connection %s", remote);
    CU_ASSERT_TRUE(ask(question));
    CU_ASSERT_TRUE(says("\"client_name\":\"bee\""));
    CU_ASSERT_TRUE(says("\"sack\":true"));
    CU_ASSERT_TRUE(says("\"ecn\":false"));
    CU_ASSERT_TRUE(says("\"mss\":1448"));
    CU_ASSERT_TRUE(says("\"sending\":\"open\""));
    CU_ASSERT_TRUE(says("\"total\":2,\"shown\":1}"));
    CU_ASSERT_TRUE(ask("connection 10.9.9.9:1"));
    CU_ASSERT_TRUE(says("\"shown\":0}"));
    CU_ASSERT_TRUE(ask("connection [fd00::1]:1"));
    static const char *const wrong[] = {
        "connection",      "connection 10.0.0.1",      "connection :1",
        "connection [",    "connection x:1",           "connection 1.1.1.1:",
        "connection []:1", "connection 1.1.1.1:65536", "connection 1.1.1.1:-1"};
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        CU_ASSERT_FALSE(ask(wrong[i]));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_long_walk_is_cut_into_slices(void)
{
    static const char *const pairs[] = {"maxclients", "2000", NULL};
    rig_start(&rig, pairs, NULL);
    struct endpoint local = {.port = 30000}, remote = {.port = 6379};
    ip_parse("10.0.0.1", &local.ip);
    ip_parse("10.0.0.2", &remote.ip);
    for (unsigned i = 0; i < 1500; i++, local.port++) {
        tcp_connect(rig.client_tcp, &local, &remote, rig.now_us);
        if (i % 8 == 7)
            rig_run(&rig, 400);
    }
    rig_run(&rig, 100000);
    CU_ASSERT_EQUAL(rig.worker->sessions, 1500);
    CU_ASSERT_TRUE(ask("connections 3"));
    CU_ASSERT_TRUE(says("\"ESTABLISHED\":1500,"));
    CU_ASSERT_TRUE(says("\"shown\":3}"));
    CU_ASSERT_TRUE(answer_rounds >= 3);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_neighbours_and_routes(void)
{
    rig_start(&rig, two, NULL);
    rig_connect(&rig, 0);
    CU_ASSERT_TRUE(ask("neighbors"));
    CU_ASSERT_TRUE(says("{\"address\":\"10.0.0.1\",\"mac\":\"02:00:00:00:00:03\",\"state\":\"reachable\","));
    CU_ASSERT_TRUE(ask("routes"));
    CU_ASSERT_TRUE(says("{\"kind\":\"connected\",\"destination\":\"10.0.0.0/24\"}"));
    CU_ASSERT_TRUE(ask("addresses"));
    CU_ASSERT_TRUE(says("{\"address\":\"10.0.0.2\",\"bits\":24,\"state\":\"preferred\"}"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_ping_reports_every_outcome(void)
{
    rig_start(&rig, two, NULL);
    CU_ASSERT_TRUE(ask("ping-start 10.0.0.1 3 56 20"));
    CU_ASSERT_TRUE(says("{\"ping\":1,\"from\":\"10.0.0.2\"}"));
    CU_ASSERT_TRUE(ask("ping-next 1 0"));
    CU_ASSERT_TRUE(says("{\"seq\":0,\"rtt_us\":"));
    CU_ASSERT_TRUE(says("\"bytes\":64,\"ttl\":64}"));
    CU_ASSERT_TRUE(ask("ping-next 1 1"));
    CU_ASSERT_TRUE(ask("ping-next 1 2"));
    CU_ASSERT_TRUE(says("\"done\":true,\"sent\":3,\"received\":3,"));
    CU_ASSERT_FALSE(ask("ping-next 1 3"));
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_net_pings_sent], 3);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_net_pings_answered], 3);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_ping_to_nobody_says_unreachable(void)
{
    rig_start(&rig, NULL, NULL);
    CU_ASSERT_TRUE(ask("ping-start 10.0.0.77 4 0 1000"));
    unsigned from = 0;
    char question[40];
    do {
        snprintf(question, sizeof question, "ping-next 1 %u", from);
        CU_ASSERT_TRUE_FATAL(ask(question));
        from++;
    } while (!strstr(answer, "\"done\":true"));
    CU_ASSERT_TRUE(says("\"failure\":\"unreachable\""));
    CU_ASSERT_TRUE(says("\"sent\":4,\"received\":0}"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_ping_is_bounded(void)
{
    static const char *const wrong[] = {
        "ping-start",
        "ping-start nowhere 1 56 1000",
        "ping-start 10.0.0.1 0 56 1000",
        "ping-start 10.0.0.1 65536 56 1000",
        "ping-start 10.0.0.1 1 1473 1000",
        "ping-start 10.0.0.1 1 -1 1000",
        "ping-start 10.0.0.1 1 56 19",
        "ping-start 10.0.0.1 1 56 5001",
        "ping-start 10.9.9.9 1 56 1000",
        "ping-start 10.0.0.2 1 56 1000",
        "ping-start ::1 1 56 1000",
        "ping-next 1 0",
        "ping-next x 0",
    };
    rig_start(&rig, NULL, NULL);
    for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (ask(wrong[i])) {
            printf("# %s\n", wrong[i]);
            CU_FAIL("was accepted");
        }
    for (unsigned i = 0; i < NET_PINGS; i++)
        CU_ASSERT_TRUE(ask("ping-start 10.0.0.1 1000 1472 1000"));
    CU_ASSERT_FALSE(ask("ping-start 10.0.0.1 1000 1472 1000"));
    CU_ASSERT_TRUE(says("too many"));
    rig_run(&rig, 11000000); /* nobody looks: they end */
    CU_ASSERT_TRUE(ask("ping-start 10.0.0.1 1 1472 1000"));
    CU_ASSERT_TRUE(ask("ping-next 5 0"));
    CU_ASSERT_TRUE(says("\"bytes\":1480"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static bool no_room(struct resp_writer *w)
{
    (void)w;
    return false;
}

static void test_json_is_escaped_and_bounded(void)
{
    static const struct resp_sink sink = {no_room};
    uint8_t room[256];
    for (size_t size = 0; size <= sizeof room; size += size < 100 ? 1 : 156) {
        struct resp_writer out;
        resp_writer_init(&out, &sink, 2);
        out.start = out.cur = room;
        out.end = room + size;
        struct json j = json_begin(&out);
        json_text(&j, "a", "q\"\\\n\xe9z");
        json_u64(&j, "n", UINT64_MAX);
        json_bool(&j, "b", false);
        json_text(&j, "e", "");
        json_end(&j);
        static const char want[] = "{\"a\":\"q\\u0022\\u005c\\u000a\\u00e9z\",\"n\":18446744073709551615,"
                                   "\"b\":false,\"e\":\"\"}\n";
        size_t len = sizeof want - 1;
        CU_ASSERT_EQUAL(out.failed, size < len);
        if (!out.failed)
            CU_ASSERT(resp_written(&out) == len && memcmp(room, want, len) == 0);
    }
}

/* What clients of both workers ask for is in the rows of both. */
static void test_hot_keys_of_all_workers(void)
{
    static const char get[] = "*2\r\n$3\r\nGET\r\n$3\r\nh\0\n\r\n";
    rig_start(&rig, two, NULL);
    for (unsigned i = 0; i < 4; i++)
        rig_connect(&rig, i);
    for (unsigned k = 0; k < 200; k++)
        for (unsigned i = 0; i < 4; i++) {
            rig_exchange(&rig, &rig.client[i], get, sizeof get - 1, rig.client[i].got_len + 5);
            rig_run(&rig, 30000);
        }
    rig_says(&rig, &rig.client[0], "SET other 1\r\n", "+OK\r\n");
    CU_ASSERT(ask("hotkeys 5"));
    CU_ASSERT(says("{\"limit\":5}\n"));
    CU_ASSERT(says("\"key\":\"h\\u005cx00\\u005cn\",\"key_bytes\":3,\"cut\":false,\"db\":0"));
    CU_ASSERT_FALSE(ask("hotkeys"));
    CU_ASSERT(says("-ERR say how many"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_big_keys_of_all_workers(void)
{
    char key[2][16], text[64], line[256];
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 1);
    for (unsigned i = 0; i < 2; i++) {
        snprintf(key[i], sizeof key[i], "%s", rig_key(&rig, i, 0));
        snprintf(line, sizeof line, "SETRANGE %s %u x\r\n", key[i], 5000 * (i + 1) - 1);
        snprintf(text, sizeof text, ":%u\r\n", 5000 * (i + 1));
        CU_ASSERT(rig_says(&rig, c, line, text));
    }
    CU_ASSERT(ask("bigkeys 5"));
    for (unsigned i = 0; i < 2; i++) {
        snprintf(text, sizeof text, "\"key\":\"%s\",", key[i]);
        CU_ASSERT(says(text));
        snprintf(text, sizeof text, "\"elements\":%u,", 5000 * (i + 1));
        CU_ASSERT(says(text));
    }
    CU_ASSERT(says("\"type\":\"string\",\"encoding\":\"raw\""));
    rig_says(&rig, c, "FLUSHALL\r\n", "+OK\r\n");
    CU_ASSERT(ask("bigkeys 5"));
    CU_ASSERT(!strstr(answer, "key\""));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_every_worker_is_visited_in_order),
        UNIT(test_one_worker_is_first_and_last),
        UNIT(test_an_unknown_question_is_refused),
        UNIT(test_no_client_can_ask),
        UNIT(test_connections_of_all_workers_and_their_totals),
        UNIT(test_connections_in_time_wait_are_counted),
        UNIT(test_a_connection_in_detail),
        UNIT(test_a_long_walk_is_cut_into_slices),
        UNIT(test_neighbours_and_routes),
        UNIT(test_ping_reports_every_outcome),
        UNIT(test_ping_to_nobody_says_unreachable),
        UNIT(test_ping_is_bounded),
        UNIT(test_json_is_escaped_and_bounded),
        UNIT(test_hot_keys_of_all_workers),
        UNIT(test_big_keys_of_all_workers),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/inspect", tests);
}

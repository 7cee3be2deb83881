/* many_test.c: two workers in virtual time: hops, stops of all, questions to control, and the memory that
 * clients may hold. */
#undef _FORTIFY_SOURCE /* formats that leave out arguments (%2$s alone) end a program with it */
#include "box_rig.h"
#include "job.h"
#include "unit.h"

#include <rte_mbuf.h>

#include <stdio.h>
#include <stdlib.h>

static struct box_rig rig;
static const char *const two[] = {"workers", "2", NULL};

/* format has %s for a key of the first shard, then one of the second. */
static bool says(struct rig_client *c, const char *format, const char *expected)
{
    char request[512];
    snprintf(request, sizeof request, format, rig_key(&rig, 0, 0), rig_key(&rig, 1, 0));
    return rig_says(&rig, c, request, expected);
}

static void test_replies_of_hops_stay_in_order(void)
{
    rig_start(&rig, two, NULL);
    for (unsigned i = 0; i < 2; i++) {
        struct rig_client *c = rig_connect(&rig, i);
        CU_ASSERT_TRUE(says(c, "SET %1$s a\r\nSET %2$s b\r\nGET %1$s\r\nGET %2$s\r\nPING\r\nGET %2$s\r\n",
                            "+OK\r\n+OK\r\n$1\r\na\r\n$1\r\nb\r\n+PONG\r\n$1\r\nb\r\n"));
        CU_ASSERT_TRUE(
            says(c, "MSET %s 1 %s 2\r\nDBSIZE\r\nFLUSHALL\r\nDBSIZE\r\n", "+OK\r\n:2\r\n+OK\r\n:0\r\n"));
    }
    CU_ASSERT_TRUE(rig.counters.v[COUNTER_hops_sent] > 0);
    CU_ASSERT_TRUE(rig.second_counters.v[COUNTER_barriers] > 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_client_keeps_its_state_over_hops(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_TRUE(
        says(c, "SELECT 1\r\nSET %1$s a\r\nSET %2$s b\r\nSELECT 0\r\nGET %2$s\r\nSELECT 1\r\nGET %2$s\r\n",
             "+OK\r\n+OK\r\n+OK\r\n+OK\r\n$-1\r\n+OK\r\n$1\r\nb\r\n"));
    CU_ASSERT_TRUE(says(c, "CLIENT REPLY SKIP\r\nGET %1$s\r\nGET %1$s\r\n", "$1\r\na\r\n"));
    CU_ASSERT_TRUE(says(c, "CLIENT REPLY SKIP\r\nGET %2$s\r\nGET %2$s\r\n", "$1\r\nb\r\n"));
    CU_ASSERT_TRUE(
        says(c, "CLIENT REPLY OFF\r\nGET %1$s\r\nGET %2$s\r\nDBSIZE\r\nCLIENT REPLY ON\r\n", "+OK\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_client_kill_spares_its_own_client(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *d = rig_connect(&rig, 2);
    CU_ASSERT_TRUE(rig_says(&rig, a, "CLIENT KILL TYPE normal\r\n", ":2\r\n"));
    rig_run(&rig, 5000);
    CU_ASSERT_TRUE(b->peer_closed && d->peer_closed && !a->peer_closed);
    CU_ASSERT_TRUE(rig_says(&rig, a, "CLIENT KILL TYPE normal SKIPME no\r\n", ":1\r\n"));
    CU_ASSERT_TRUE(a->peer_closed);
    CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_client_list_and_slowlog_know_the_name(void)
{
    static const char *const pairs[] = {"workers", "2", "slowlog-log-slower-than", "0", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, b, "CLIENT SETNAME bee\r\n", "+OK\r\n"));
    CU_ASSERT_TRUE(says(b, "GET %s\r\n", "$-1\r\n"));
    a->got_len = 0;
    rig_exchange(&rig, a, "CLIENT LIST\r\n", 13, 200);
    a->got[a->got_len] = 0;
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)a->got, "name=bee"));
    CU_ASSERT_PTR_NOT_NULL(strstr((char *)a->got, "cmd=client|list"));
    a->got_len = 0;
    rig_exchange(&rig, a, "SLOWLOG GET\r\n", 13, 40);
    rig_run(&rig, 5000);
    a->got[a->got_len] = 0;
    char *at = strstr((char *)a->got, "GET\r\n$2\r\nk");
    CU_ASSERT_PTR_NOT_NULL(at);
    CU_ASSERT_TRUE(at && strstr(at, "$3\r\nbee\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_more_hops_than_the_ring_holds(void)
{
    rig_start(&rig, two, NULL);
    char request[64];
    struct rig_client *c[RIG_CLIENTS];
    size_t len = (size_t)sprintf(request, "INCR %1$s\r\nINCR %1$s\r\n", rig_key(&rig, 1, 0));
    for (unsigned i = 0; i < RIG_CLIENTS; i++) {
        c[i] = rig_connect(&rig, i);
        c[i]->to_send = (const uint8_t *)request;
        c[i]->to_send_len = len;
    }
    rig_run(&rig, 100000);
    for (unsigned i = 0; i < RIG_CLIENTS; i++)
        CU_ASSERT_TRUE(c[i]->got_len >= 8);
    sprintf(request, ":%d\r\n", 2 * RIG_CLIENTS + 1);
    CU_ASSERT_TRUE(says(c[0], "INCR %2$s\r\n", request));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_client_vanishes_while_its_request_is_away(void)
{
    rig_start(&rig, two, NULL);
    for (unsigned us = 0; us < 1000; us += 100) {
        struct rig_client *c = rig_connect(&rig, 0);
        char request[64];
        size_t len = (size_t)sprintf(request, "SET %1$s x\r\nDBSIZE\r\nGET %1$s\r\n", rig_key(&rig, 1, 0));
        c->to_send = (const uint8_t *)request;
        c->to_send_len = len;
        rig_run(&rig, us + 100);
        tcp_abort(c->conn, rig.now_us);
        c->conn = NULL;
        rig_run(&rig, 5000);
        CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- control: the test is main and control in one */

static struct job *asked(void)
{
    return fabric_receive(rig.box.fabric, fabric_main(rig.box.fabric));
}

static void answer(struct job *j, struct slice resp)
{
    job_set_reply(j, resp);
    CU_ASSERT_TRUE(fabric_send(rig.box.fabric, fabric_main(rig.box.fabric), j->home, j));
    rig_run(&rig, 2000);
}

static struct job *ask(struct rig_client *c)
{
    static const char request[] = "CONFIG SET maxmemory 1mb\r\nPING\r\n";
    c->got_len = 0;
    rig_exchange(&rig, c, request, sizeof request - 1, 0);
    rig_run(&rig, 2000);
    CU_ASSERT_EQUAL(c->got_len, 0);
    return asked();
}

static void test_a_question_to_control_stalls_only_its_client(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, a, "CONFIG SET maxmemory 1mb\r\n",
                            "-ERR control plane is not reachable, configuration not changed\r\n"));
    atomic_store(&rig.box.control_present, true);
    struct job *j = ask(a);
    CU_ASSERT_TRUE(rig_says(&rig, b, "PING\r\n", "+PONG\r\n"));
    answer(j, SLICE_LIT("+OK\r\n"));
    CU_ASSERT_EQUAL(a->got_len, 12);
    CU_ASSERT_TRUE(a->got_len == 12 && memcmp(a->got, "+OK\r\n+PONG\r\n", 12) == 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_an_answer_may_come_too_late_or_never(void)
{
    rig_start(&rig, two, NULL);
    atomic_store(&rig.box.control_present, true);
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1), *c = rig_connect(&rig, 2);
    struct job *late = ask(a);
    CU_ASSERT_TRUE(rig_says(&rig, b, "CLIENT KILL TYPE normal\r\n", ":2\r\n"));
    rig_run(&rig, 2000);
    CU_ASSERT_TRUE(a->peer_closed && c->peer_closed);
    answer(late, SLICE_LIT("+OK\r\n"));
    CU_ASSERT_EQUAL(a->got_len, 0);
    job_free(ask(b)); /* main forgets it at shutdown: nobody looks at it again */
    rig.box.worker[1]->live_sessions->job = NULL;
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_reply_that_is_not_whole_closes_its_client(void)
{
    rig_start(&rig, two, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    char *request = malloc(200000);
    size_t len = (size_t)sprintf(request, "*3\r\n$3\r\nSET\r\n$2\r\n%s\r\n$100000\r\n", rig_key(&rig, 1, 0));
    memset(request + len, 'x', 100000);
    memcpy(request + len + 100000, "\r\n", 2);
    rig_exchange(&rig, c, request, len + 100002, 5);
    free(request);
    rig.worker->pending_max = 50000;
    CU_ASSERT_TRUE(says(c, "GET %2$s\r\nPING\r\n", ""));
    CU_ASSERT_TRUE(c->peer_closed);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_output_limit_closes], 1);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- memory and time */

static void ask_and_read_nothing(struct rig_client *c, unsigned n)
{
    static char request[3200];
    request[0] = 0;
    for (unsigned i = 0; i < n; i++)
        strcat(request, "GET big\r\n");
    c->paused = true;
    rig_exchange(&rig, c, request, strlen(request), 0);
    rig_run(&rig, 200000);
}

static void test_the_client_that_holds_most_is_given_up(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *small = rig_connect(&rig, 0), *large = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, small, "SETRANGE big 99999 x\r\n", ":100000\r\n"));
    rig.worker->pending_max = 4 << 20;
    ask_and_read_nothing(small, 15);
    ask_and_read_nothing(large, 30);
    CU_ASSERT_EQUAL(rig.worker->sessions, 2);
    small->got_len = 0;
    ask_and_read_nothing(small, 10);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_memory_closes], 1);
    CU_ASSERT_EQUAL(rig.worker->sessions, 1);
    small->paused = false;
    rig_run(&rig, 1000000);
    CU_ASSERT_EQUAL(small->got_len, 25 * 100011);
    CU_ASSERT_EQUAL(rig.worker->chunk_bytes, 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_unfinished_requests_count_too(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *other;
    char *bytes = calloc(1, 3 << 20);
    rig.worker->pending_max = 1 << 20;
    sprintf(bytes, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n");
    rig_exchange(&rig, c, bytes, 3 << 20, 0);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_memory_closes], 1);
    CU_ASSERT_EQUAL(rig.worker->query_bytes, 0);
    other = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, other, "PING\r\n", "+PONG\r\n"));
    free(bytes);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_the_start_of_a_request_holds_little(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    static const char start[] = "*2\r\n$4\r\nEC";
    rig_exchange(&rig, c, start, sizeof start - 1, 0);
    rig_run(&rig, 10000);
    CU_ASSERT_EQUAL(rig.worker->query_bytes, sizeof start - 1);
    CU_ASSERT_TRUE(rig.worker->live_sessions->query_cap <= 1024);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Bytes of both are held: the one that came first stands behind, and is found. */
static void test_the_one_that_holds_most_is_closed_at_once(void)
{
    rig_start(&rig, NULL, NULL);
    static char most[200000], less[80000];
    struct rig_client *a = rig_connect(&rig, 0), *b = rig_connect(&rig, 1);
    memset(most, 'x', sizeof most);
    memset(less, 'x', sizeof less);
    memcpy(most, "*1\r\n$500000\r\n", 14);
    memcpy(less, "*1\r\n$500000\r\n", 14);
    rig_exchange(&rig, a, most, sizeof most, 0);
    rig_run(&rig, 200000);
    rig.worker->pending_max = 250000;
    rig_exchange(&rig, b, less, sizeof less, 0);
    rig_run(&rig, 20000);
    CU_ASSERT_EQUAL(rig.counters.v[COUNTER_client_memory_closes], 1);
    CU_ASSERT_EQUAL(rig.worker->doomed, 0);
    CU_ASSERT_TRUE(a->peer_closed);
    CU_ASSERT_FALSE(b->peer_closed);
    CU_ASSERT_EQUAL(rig.worker->query_bytes, sizeof less);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_clock_set_back_makes_nobody_idle(void)
{
    static const char *const pairs[] = {"timeout", "1", NULL};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    rig_run(&rig, 1000);
    rig.worker->live_sessions->client.last_ms += 3600000;
    rig_run(&rig, 300000);
    CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_tiny_packet_pool_recovers(void)
{
    struct box_rig probe = {0};
    rig_start(&probe, NULL, NULL); /* EAL is up from here on */
    CU_ASSERT_TRUE(rig_stop(&probe));
    struct rte_mempool *tiny =
        rte_pktmbuf_pool_create("tiny", 127, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    CU_ASSERT_PTR_NOT_NULL_FATAL(tiny);
    rig_start_as(&rig, NULL, NULL, tiny);
    struct rig_client *c[8];
    static char many[70000];
    for (unsigned i = 0; i < 8; i++)
        c[i] = rig_connect(&rig, i);
    CU_ASSERT_TRUE(rig_says(&rig, c[0], "SETRANGE big 99999 x\r\n", ":100000\r\n"));
    for (unsigned i = 0; i < 8; i++)
        ask_and_read_nothing(c[i], 10);
    memset(many, 'x', sizeof many); /* one inline request that never ends holds received frames */
    for (unsigned i = 0; i < 8; i++) {
        c[i]->to_send = (const uint8_t *)many;
        c[i]->to_send_len = i < 4 ? 60000 : 0;
        c[i]->sent = 0;
    }
    rig_run(&rig, 3000000);
    for (unsigned i = 0; i < 8; i++)
        c[i]->paused = false;
    rig_run(&rig, 60000000);
    for (unsigned i = 4; i < 8; i++)
        CU_ASSERT_EQUAL(c[i]->got_len, 10 * 100011);
    struct rig_client *fresh = rig_connect(&rig, 8);
    CU_ASSERT_TRUE(rig_says(&rig, fresh, "PING\r\n", "+PONG\r\n"));
    CU_ASSERT_TRUE(rig.counters.v[COUNTER_tcp_share_waits] > 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
    CU_ASSERT_EQUAL(rte_mempool_avail_count(tiny), 127);
    rte_mempool_free(tiny);
}

/* What closed clients left undelivered must not leave a frame a round trip to those who come after them. */
static void test_killed_clients_leave_the_frames_to_others(void)
{
    struct box_rig probe = {0};
    rig_start(&probe, NULL, NULL); /* EAL is up from here on */
    CU_ASSERT_TRUE(rig_stop(&probe));
    struct rte_mempool *small =
        rte_pktmbuf_pool_create("small", 1023, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    CU_ASSERT_PTR_NOT_NULL_FATAL(small);
    rig_start_as(&rig, NULL, NULL, small);
    struct rig_client *c[8];
    for (unsigned i = 0; i < 8; i++)
        c[i] = rig_connect(&rig, i);
    CU_ASSERT_TRUE(rig_says(&rig, c[7], "SETRANGE big 99999 x\r\n", ":100000\r\n"));
    for (unsigned i = 0; i < 7; i++)
        ask_and_read_nothing(c[i], 10);
    CU_ASSERT_TRUE(rig_says(&rig, c[7], "CLIENT KILL TYPE normal\r\n", ":7\r\n"));
    rig_run(&rig, 1000000);
    uint64_t before = rig.now_us;
    for (unsigned i = 0; i < 5; i++)
        rig_exchange(&rig, c[7], "GET big\r\n", 9, c[7]->got_len + 100011);
    CU_ASSERT_TRUE(rig.now_us - before < 500000);
    CU_ASSERT_TRUE(rig_stop(&rig));
    CU_ASSERT_EQUAL(rte_mempool_avail_count(small), 1023);
    rte_mempool_free(small);
}

/* A client a millisecond away must not wait a millisecond more than that. */
static void test_sleeps_begin_short(void)
{
    static const char *const pairs[] = {"idle-policy", "adaptive", NULL};
    static const unsigned naps[] = {50, 100, 200, 400, 800, 1000, 1000};
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    for (unsigned again = 0; again < 2; again++) {
        CU_ASSERT_TRUE(rig_says(&rig, c, "PING\r\n", "+PONG\r\n"));
        for (rig_slept_us = 0; rig_slept_us == 0;)
            rig_run(&rig, 1);
        for (unsigned i = 0; i < sizeof naps / sizeof *naps; i++, rig_run(&rig, 1))
            CU_ASSERT_EQUAL(rig_slept_us, naps[i]);
    }
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_a_new_generation_reaches_every_worker(void)
{
    static const char *const more[] = {"workers", "2", "maxmemory", "1gb", NULL};
    rig_start(&rig, two, NULL);
    uint64_t before = rig.worker->pending_max;
    rig_reconfigure(&rig, more);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(rig.box.worker[i]->pending_max, (1u << 30) / 8);
    rig_reconfigure(&rig, two);
    CU_ASSERT_EQUAL(rig.worker->pending_max, before);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Reading stops at a request for another worker, and goes on however that request ends. */
static void test_a_pipeline_is_read_on_behind_what_goes_elsewhere(void)
{
    static const char *const pairs[] = {"workers", "2", NULL};
    char request[4096], expected[4096];
    rig_start(&rig, pairs, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *other = rig_connect(&rig, 2);
    const char *here = rig_key(&rig, 0, 0), *there = rig_key(&rig, 1, 0);
    /* Queued by a MULTI that stands before it in the same bytes: it does not go. */
    snprintf(request, sizeof request,
             "SET %s 1\r\nMULTI\r\nINCR %s\r\nINCR %s\r\nEXEC\r\nGET %s\r\nMGET %s %s\r\nPING\r\n", there,
             there, here, there, here, there);
    CU_ASSERT(rig_says(&rig, c, request,
                       "+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:1\r\n$1\r\n2\r\n*2\r\n$1\r\n1\r\n$"
                       "1\r\n2\r\n+PONG\r\n"));
    /* Behind a command that blocks; and what comes first of all is for another worker. */
    snprintf(request, sizeof request, "BLPOP {%s}list 0\r\nGET %s\r\nGET %s\r\n", here, there, here);
    rig_send(c, request);
    rig_run(&rig, 5000);
    c->got_len = 0;
    snprintf(request, sizeof request, "GET %s\r\nRPUSH {%s}list x\r\n", there, here);
    CU_ASSERT(rig_says(&rig, other, request, "$1\r\n2\r\n:1\r\n"));
    snprintf(expected, sizeof expected, "*2\r\n$%zu\r\n{%s}list\r\n$1\r\nx\r\n$1\r\n2\r\n$1\r\n1\r\n",
             strlen(here) + 6, here);
    CU_ASSERT(c->got_len == strlen(expected) && memcmp(c->got, expected, c->got_len) == 0);
    /* A paused client, whose next request is for another worker. */
    snprintf(request, sizeof request, "CLIENT PAUSE 20\r\nSET %s 5\r\nGET %s\r\n", there, there);
    CU_ASSERT(rig_says(&rig, c, request, "+OK\r\n+OK\r\n$1\r\n5\r\n"));
    CU_ASSERT(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_replies_of_hops_stay_in_order),
        UNIT(test_a_client_keeps_its_state_over_hops),
        UNIT(test_client_kill_spares_its_own_client),
        UNIT(test_client_list_and_slowlog_know_the_name),
        UNIT(test_more_hops_than_the_ring_holds),
        UNIT(test_a_client_vanishes_while_its_request_is_away),
        UNIT(test_a_question_to_control_stalls_only_its_client),
        UNIT(test_an_answer_may_come_too_late_or_never),
        UNIT(test_a_reply_that_is_not_whole_closes_its_client),
        UNIT(test_the_client_that_holds_most_is_given_up),
        UNIT(test_unfinished_requests_count_too),
        UNIT(test_the_start_of_a_request_holds_little),
        UNIT(test_the_one_that_holds_most_is_closed_at_once),
        UNIT(test_a_clock_set_back_makes_nobody_idle),
        UNIT(test_a_tiny_packet_pool_recovers),
        UNIT(test_killed_clients_leave_the_frames_to_others),
        UNIT(test_sleeps_begin_short),
        UNIT(test_a_new_generation_reaches_every_worker),
        UNIT(test_a_pipeline_is_read_on_behind_what_goes_elsewhere),
        {NULL, NULL},
    };
    return unit_main(argc, argv, "worker/many", tests);
}

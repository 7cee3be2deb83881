/* filter_test.c: packet filter and connection rates on whole workers: what a client meets, what happens to
 * connections that stand when the rules change, and what `show filters` is told. */
#include "box_rig.h"
#include "job.h"
#include "unit.h"

#include <rte_mbuf.h>

#include <stdio.h>

static struct box_rig rig;

static uint64_t counted(enum counter c)
{
    return count_read(&rig.counters, c) + count_read(&rig.second_counters, c);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

static bool served(unsigned i)
{
    struct rig_client *c = rig_connect(&rig, i);
    return c->opened && rig_says(&rig, c, "PING\r\n", "+PONG\r\n");
}

static void test_denied_clients_get_nothing(void)
{
    rig_start(&rig, PAIRS("filter", "deny tcp from 10.0.0.1 port 6379"), NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_FALSE(c->opened);
    CU_ASSERT_FALSE(c->closed); /* not a word, so it still tries */
    CU_ASSERT_TRUE(counted(COUNTER_filter_denied) >= 1);
    CU_ASSERT_EQUAL(counted(COUNTER_tcp_resets_out), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_rejected_clients_are_told_at_once(void)
{
    rig_start(&rig, PAIRS("filter", "reject tcp from 10.0.0.0/24 port 1-6379"), NULL);
    struct rig_client *c = rig_connect(&rig, 0);
    CU_ASSERT_FALSE(c->opened);
    CU_ASSERT_TRUE(c->closed);
    CU_ASSERT_EQUAL(counted(COUNTER_filter_rejected), 1);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

static void test_the_first_match_decides(void)
{
    rig_start(&rig, PAIRS("filter", "permit tcp from 10.0.0.1 to 10.0.0.2", "filter", "deny"), NULL);
    CU_ASSERT_TRUE(served(0));
    CU_ASSERT_TRUE(rig_stop(&rig));
    rig_start(&rig, PAIRS("filter", "deny from 10.0.0.9", "filter-default", "deny"), NULL);
    CU_ASSERT_FALSE(rig_connect(&rig, 0)->opened);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* Two workers: each ends its own. */
static void test_a_change_ends_what_is_denied_now(void)
{
    rig_start(&rig, PAIRS("workers", "2"), NULL);
    for (unsigned i = 0; i < 6; i++)
        CU_ASSERT_TRUE(served(i));
    rig_reconfigure(&rig, PAIRS("workers", "2", "filter", "deny from 10.0.0.7"));
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 6);
    rig_reconfigure(&rig, PAIRS("workers", "2", "filter", "deny from 10.0.0.1"));
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
    CU_ASSERT_EQUAL(counted(COUNTER_filter_ended), 6);
    for (unsigned i = 0; i < 6; i++)
        CU_ASSERT_TRUE(rig.client[i].closed);
    CU_ASSERT_EQUAL(tcp_conn_count(rig.box.worker[0]->tcp) + tcp_conn_count(rig.box.worker[1]->tcp), 0);
    rig_reconfigure(&rig, PAIRS("workers", "2"));
    CU_ASSERT_TRUE(served(7));
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* With bytes on their way in both directions, and orphans that deliver the rest. */
static void test_a_change_in_the_middle_of_traffic(void)
{
    rig_start(&rig, NULL, NULL);
    struct rig_client *c = rig_connect(&rig, 0), *d = rig_connect(&rig, 1);
    CU_ASSERT_TRUE(rig_says(&rig, c, "SETRANGE k 1000000 x\r\n", ":1000001\r\n"));
    c->paused = d->paused = true;
    c->got_len = d->got_len = 0;
    rig_exchange(&rig, c, "GET k\r\nGET k\r\n", 14, 100);
    rig_exchange(&rig, d, "GET k\r\nQUIT\r\n", 13, 100);
    rig_reconfigure(&rig, PAIRS("filter", "reject from 10.0.0.0/8"));
    rig_run(&rig, 5000);
    CU_ASSERT_EQUAL(tcp_conn_count(rig.worker->tcp), 0);
    CU_ASSERT_EQUAL(atomic_load(&rig.box.clients), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- echo --------------------------------------------------------------------------------------------- */

static struct rte_mbuf *echo_frame(void)
{
    static const uint8_t head[14] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 3, 8, 0};
    static const uint8_t ip[20] = {0x45, 0, 0, 36, 0, 0, 0, 0, 64, 1, 0x66, 0xd7, 10, 0, 0, 1, 10, 0, 0, 2};
    static const uint8_t icmp[16] = {8, 0, 0xf7, 0xff};
    struct rte_mbuf *m = rte_pktmbuf_alloc(rig.pool);
    memcpy(rte_pktmbuf_append(m, 14), head, 14);
    memcpy(rte_pktmbuf_append(m, 20), ip, 20);
    memcpy(rte_pktmbuf_append(m, 16), icmp, 16);
    return m;
}

/* What comes back to one echo request: type * 256 + code, -1 if nothing. */
static int echo_answer(void)
{
    struct rte_mbuf *m = echo_frame(), *back;
    struct net_packet p;
    int answer = -1;
    rig_run(&rig, 1000);
    net_input(rig.worker->nif, m, &p, rig.now_us);
    net_flush(rig.worker->nif);
    memwire_set_time(rig.wire, rig.now_us + 1000000);
    while (memwire_receive(rig.wire, 1, &back, 1)) {
        const uint8_t *b = rte_pktmbuf_mtod(back, const uint8_t *);
        if (b[12] == 8 && b[13] == 0 && b[23] == 1)
            answer = b[34] * 256 + b[35];
        if (answer > 0) { /* an error quotes the packet, from its IP header */
            CU_ASSERT_EQUAL(back->pkt_len, 14 + 20 + 8 + 36);
            CU_ASSERT_EQUAL(memcmp(b + 42 + 12, "\x0a\0\0\1\x0a\0\0\2\x08", 9), 0);
        }
        rte_pktmbuf_free(back);
    }
    return answer;
}

static void test_echo_requests_are_filtered(void)
{
    rig_start(&rig, PAIRS("filter", "deny tcp"), NULL);
    rig_run(&rig, 100000);
    CU_ASSERT_EQUAL(echo_answer(), 0);
    rig_reconfigure(&rig, PAIRS("filter", "deny icmp from 10.0.0.1"));
    CU_ASSERT_EQUAL(echo_answer(), -1);
    CU_ASSERT_TRUE(served(0));
    rig_reconfigure(&rig, PAIRS("filter", "reject icmp"));
    CU_ASSERT_EQUAL(echo_answer(), 3 * 256 + 13);
    CU_ASSERT_EQUAL(counted(COUNTER_filter_rejected), 1);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- rates -------------------------------------------------------------------------------------------- */

static void test_connections_beyond_the_rate_wait(void)
{
    rig_start(&rig, PAIRS("connection-rate-limit", "10", "connection-rate-burst", "2"), NULL);
    CU_ASSERT_TRUE(rig_connect(&rig, 0)->opened);
    CU_ASSERT_TRUE(rig_connect(&rig, 1)->opened);
    CU_ASSERT_FALSE(rig_connect(&rig, 2)->opened); /* for 200 ms; its SYN comes again after a second */
    CU_ASSERT_EQUAL(counted(COUNTER_connection_rate_drops), 1);
    rig_run(&rig, 1000000);
    CU_ASSERT_TRUE(rig.client[2].opened);
    rig_reconfigure(&rig, NULL);
    for (unsigned i = 3; i < 10; i++)
        CU_ASSERT_TRUE(rig_connect(&rig, i)->opened);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

/* -- what control is told ----------------------------------------------------------------------------- */

static bool told(const char *expected)
{
    struct fabric *f = rig.box.fabric;
    struct slice argv[] = {SLICE_LIT("filters")};
    const char *error = "";
    struct job *j = inspect_job(fabric_main(f), 1, argv, &error), *back = NULL;
    CU_ASSERT_TRUE_FATAL(j && fabric_send(f, fabric_main(f), 0, j));
    for (int i = 0; i < 1000 && !back; i++) {
        rig_run(&rig, 100);
        back = fabric_receive(f, fabric_main(f));
    }
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    inspect_finish(back);
    struct slice reply = job_reply(back);
    char text[512] = "";
    snprintf(text, sizeof text, "%.*s", (int)reply.len, (const char *)reply.p);
    bool same = strstr(text, expected) != NULL;
    if (!same)
        printf("# %s\n", text);
    job_free(back);
    return same;
}

static void test_hits_are_told_and_survive_other_changes(void)
{
    static const char *const pairs[] = {
        "workers",   "2",    "filter", "deny from 10.0.0.9", "filter", "permit port 6379",
        "maxmemory", "10mb", NULL};
    rig_start(&rig, pairs, NULL);
    CU_ASSERT_TRUE(served(0));
    CU_ASSERT_TRUE(served(1));
    CU_ASSERT_TRUE(told("{\"rule\":1,\"text\":\"deny from 10.0.0.9/32\",\"hits\":0}\n"
                        "{\"rule\":2,\"text\":\"permit tcp port 6379\",\"hits\":2}\n"
                        "{\"rule\":\"default\",\"text\":\"permit\",\"hits\":0}\n"));
    rig_reconfigure(&rig,
                    PAIRS("workers", "2", "filter", "deny from 10.0.0.9", "filter", "permit port 6379"));
    CU_ASSERT_TRUE(told("\"hits\":2}"));
    rig_reconfigure(&rig, PAIRS("workers", "2", "filter", "permit port 6379"));
    CU_ASSERT_TRUE(told("{\"rule\":1,\"text\":\"permit tcp port 6379\",\"hits\":0}"));
    CU_ASSERT_EQUAL(counted(COUNTER_filter_ended), 0);
    CU_ASSERT_TRUE(rig_stop(&rig));
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_denied_clients_get_nothing),
                                             UNIT(test_rejected_clients_are_told_at_once),
                                             UNIT(test_the_first_match_decides),
                                             UNIT(test_a_change_ends_what_is_denied_now),
                                             UNIT(test_a_change_in_the_middle_of_traffic),
                                             UNIT(test_echo_requests_are_filtered),
                                             UNIT(test_connections_beyond_the_rate_wait),
                                             UNIT(test_hits_are_told_and_survive_other_changes),
                                             {NULL, NULL}};
    return unit_main(argc, argv, "worker/filter", tests);
}

/* test_network.c: what control and the CLI make of the dataplane's inspections: connections, neighbours,
 * routes, drops, ping; with a fake dataplane's answers. */
#include "box_of_control.h"

#include <string.h>

static void run(const char *command, int code)
{
    int got = sh("%s %s 2>&1", cli, command);
    CU_ASSERT_EQUAL(got, code);
    if (got != code)
        printf("# %s: status %d: %.300s\n", command, got, output);
}

static void test_connections_as_a_table_and_as_json(void)
{
    start_box();
    run("show connections", 0);
    CU_ASSERT(says("connections 3: ESTABLISHED 2, TIME_WAIT 1\n"));
    CU_ASSERT(says("state        recv-q  send-q  local            remote        worker\n"));
    CU_ASSERT(says("ESTABLISHED       0      17  127.0.77.2:6379  127.0.0.1:50       1\n"));
    CU_ASSERT(says("2 of 3 are shown; --limit N shows more"));
    run("show connections --json --limit 7", 0);
    CU_ASSERT(says("\"send_q\": 17"));
    CU_ASSERT(says("\"total\": 3"));
    run("show connections --limit x", 2);
    run("show connections --limit -1", 2);
    run("show connections --limit 100001", 1);
    CU_ASSERT(says("limit: choose 0 to 100000"));
    stop_box();
}

static void test_one_connection_in_detail(void)
{
    start_box();
    run("show connections --detail 127.0.0.1:50", 0);
    CU_ASSERT(says("srtt_us                  120\n"));
    CU_ASSERT(says("sack                     yes\n"));
    run("show connections --detail 127.0.0.1:51", 1);
    CU_ASSERT(says("sluice: there is no connection with this remote address and port\n"));
    stop_box();
}

static void test_neighbors_arp_and_routes(void)
{
    start_box();
    run("show neighbors", 0);
    CU_ASSERT(says("10.0.0.1  02:00:00:00:00:01  reachable   1.5s       0\n"));
    CU_ASSERT(says("fe80::1   -                  failed     2m05s       1\n"));
    run("show arp", 0);
    CU_ASSERT(says("10.0.0.1"));
    CU_ASSERT_PTR_NULL(strstr(output, "fe80::1"));
    run("show routes", 0);
    CU_ASSERT(says("10.0.0.0/24  -         connected\n"));
    CU_ASSERT(says("0.0.0.0/0    10.0.0.1  default\n"));
    stop_box();
}

static void test_listeners_are_those_that_there_are(void)
{
    start_box();
    run("config set save '' port 7000",
        0); /* the fake one makes no snapshots; the port is another from its next start on */
    run("show listeners", 0);
    CU_ASSERT(says("data        redis    tcp        127.0.77.2"));
    CU_ASSERT(says(" 6379  listening  -     -\n") && !strstr(output, "7000"));
    CU_ASSERT(says("management  sluice   unix") && says("management  metrics  tcp        127.0.0.1"));
    run("restart dataplane", 0);
    CU_ASSERT(until("show listeners", " 7000  listening  -     -\n"));
    CU_ASSERT(!strstr(output, "6379"));
    stop_box();
}

static void test_drops_name_the_reason_and_sum_workers(void)
{
    start_box();
    run("show drops", 0);
    CU_ASSERT(says("reason "));
    CU_ASSERT(says("TCP segments with a wrong checksum"));
    char *first = strchr(output, '\n');
    CU_ASSERT(first && strncmp(first + 1, "tcp_drop_checksum", 17) == 0);
    run("show drops --json", 0);
    CU_ASSERT(says("\"name\": \"tcp_drop_checksum\",\n    \"total\": 5"));
    CU_ASSERT(says("\"workers\": [\n      2,\n      3\n    ]"));
    stop_box();
}

static void test_latency_has_quantiles_of_all_workers(void)
{
    start_box();
    run("show latency", 0);
    CU_ASSERT(says("family  stage  count    mean    p50     p90     p99   p99.9     max\n"));
    CU_ASSERT(says("string  total   1000  26.0us  2.0us  50.0us  50.0us  50.0us  50.0us\n"));
    run("show latency --json", 0);
    CU_ASSERT(says("\"p50_ns\": 2047"));
    CU_ASSERT(says("\"max_ns\": 50000"));
    stop_box();
}

static void test_ping_prints_each_outcome_and_a_summary(void)
{
    start_box();
    run("ping 10.0.0.1 --count 2 --interval 20 --size 56", 0);
    CU_ASSERT(says("ping 10.0.0.1 from 10.0.0.2\n"
                   "64 bytes from 10.0.0.1: seq=0 ttl=64 time=0.250 ms\n"
                   "no answer: seq=1\n"
                   "--- 10.0.0.1: 2 sent, 1 received, 50% lost\n"
                   "rtt min/avg/max = 0.250/0.250/0.250 ms\n"));
    run("ping 10.0.0.1 --json", 0);
    CU_ASSERT(says("\"failure\": \"timeout\""));
    CU_ASSERT(says("\"received\": 1"));
    run("ping 10.0.0.9", 1);
    CU_ASSERT(says("unreachable, no neighbor answers: seq=0\n--- 10.0.0.9: 1 sent, 0 received, 100% lost\n"));
    run("ping nowhere", 1);
    CU_ASSERT(says("sluice: ping: the address is neither IPv4 nor IPv6\n"));
    run("ping", 2);
    run("ping 10.0.0.1 --count 1x", 2);
    run("ping 10.0.0.1 --socket /nonexistent", 3);
    stop_box();
}

static void test_answers_that_are_no_rows_are_an_error(void)
{
    start_box();
    run("show connections --limit 13", 1);
    CU_ASSERT(says("cannot be read"));
    run("show connections --limit 14", 1);
    CU_ASSERT(says("cannot be read"));
    stop_box();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_connections_as_a_table_and_as_json),
                                             UNIT(test_one_connection_in_detail),
                                             UNIT(test_neighbors_arp_and_routes),
                                             UNIT(test_listeners_are_those_that_there_are),
                                             UNIT(test_drops_name_the_reason_and_sum_workers),
                                             UNIT(test_latency_has_quantiles_of_all_workers),
                                             UNIT(test_ping_prints_each_outcome_and_a_summary),
                                             UNIT(test_answers_that_are_no_rows_are_an_error),
                                             {NULL, NULL}};
    return box_main(argc, argv, "control/network", tests);
}

/* test_box.c: generations, supervision, wire requests, management API and stats endpoint of a control with a
 * fake dataplane. */
#include "box_of_control.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* -- tests -------------------------------------------------------------------------------------------- */

static void test_the_box_serves_and_the_cli_shows_it(void)
{
    start_box();
    CU_ASSERT(until("show status", "health                   ok"));
    CU_ASSERT(says("127.0.77.2:6379"));
    CU_ASSERT_EQUAL(sh("%s show clients", cli), 0);
    CU_ASSERT(says("127.0.0.1:6"));
    CU_ASSERT_EQUAL(sh("%s show clients --json --match addr", cli), 0);
    CU_ASSERT_EQUAL(sh("%s show log --match GREETS", cli), 0);
    CU_ASSERT(says("the fake dataplane greets"));
    CU_ASSERT_EQUAL(sh("%s show links", cli), 0);
    CU_ASSERT(says("slu0"));
    CU_ASSERT_EQUAL(sh("%s sh ver", cli), 0);
    CU_ASSERT_EQUAL(sh("%s show stats", cli), 0);
    CU_ASSERT(says("keyspace_hits                    7"));
    CU_ASSERT_EQUAL(sh("%s show config requirepass", cli), 0);
    CU_ASSERT(says("requirepass \"\""));
    stop_box();
}

/* The placement of a machine that this one is not: a tree with two nodes, its NIC on the second. */
static void test_the_plan_of_another_machine(void)
{
    char tree[200];
    snprintf(tree, sizeof tree, "%s/machine", folder);
    write_conf("");
    CU_ASSERT_EQUAL(sh("set -e; d=%s/sys/devices/system; b=%s/sys/bus/pci/devices/0000:81:00.0; mkdir -p "
                       "$d/cpu $d/node/node0 "
                       "$d/node/node1 $b; echo 0-7 >$d/cpu/online; echo 0-1 >$d/node/online; echo 0-3 "
                       ">$d/node/node0/cpulist; "
                       "echo 4-7 >$d/node/node1/cpulist; echo 0x020000 >$b/class; echo 1 >$b/numa_node",
                       tree, tree),
                    0);
    CU_ASSERT_EQUAL(
        sh("$SLUICE_CONTROL --plan %s --inventory %s --workers 2 --link-type pci --link-name 0000:81:00.0",
           conf, tree),
        0);
    CU_ASSERT(says("\"cpus\": \"6-7\"") && says("\"node_is_links\": true") &&
              says("isolcpus=managed_irq,domain,6-7"));
    CU_ASSERT_EQUAL(sh("$SLUICE_CONTROL --plan %s --inventory %s --workers 5 --link-type pci --link-name "
                       "0000:81:00.0 2>&1",
                       conf, tree),
                    1);
    CU_ASSERT(
        says("node 1, where 0000:81:00.0 is, has 4 CPUs for workers; say workers 4, or cross-node yes"));
    CU_ASSERT_EQUAL(sh("$SLUICE_CONTROL --plan %s --inventory %s --cross-node perhaps 2>&1", conf, tree), 1);
    /* Hugepages that are taken: by others, or by the box that runs. */
    CU_ASSERT_EQUAL(sh("set -e; h=%s/sys/devices/system/node/node1/hugepages/hugepages-2048kB; mkdir -p $h; "
                       "echo 1000 >$h/nr_hugepages; echo 3 >$h/free_hugepages",
                       tree),
                    0);
#define PLAN "$SLUICE_CONTROL --plan %s --inventory %s --link-type pci --link-name 0000:81:00.0 --hugepages yes"
    CU_ASSERT_EQUAL(sh(PLAN " 2>&1", conf, tree), 1);
    CU_ASSERT(says("hugepages yes: node 1 has 3 free of"));
    CU_ASSERT_EQUAL(sh(PLAN " --running yes", conf, tree), 0);
#undef PLAN
    CU_ASSERT(says("\"hugepages\": 1000"));
    CU_ASSERT_EQUAL(sh("rm -r %s", tree), 0);
    start_box();
    CU_ASSERT_EQUAL(sh("%s show topology", cli), 0);
    CU_ASSERT(says("hugepages"));
    CU_ASSERT_EQUAL(sh("%s show plan", cli), 0);
    CU_ASSERT(says("CPUs of workers") && says("kernel argument"));
    CU_ASSERT_EQUAL(sh("%s show plan --json", cli), 0);
    CU_ASSERT(says("\"most_workers\""));
    stop_box();
}

static void test_cli_errors_have_their_exit_codes(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s show nonsense 2>&1", cli), 2);
    CU_ASSERT_EQUAL(sh("%s config get 2>&1", cli), 2);
    CU_ASSERT_EQUAL(sh("%s config get maxmemroy 2>&1", cli), 1);
    CU_ASSERT(says("did you mean maxmemory"));
    CU_ASSERT_EQUAL(sh("%s config set timeout x 2>&1", cli), 1);
    CU_ASSERT_EQUAL(sh("%s config set timeout 2>&1", cli), 2);
    CU_ASSERT_EQUAL(sh("%s show status --socket /nonexistent 2>&1", cli), 3);
    CU_ASSERT(says("start sluice-control"));
    CU_ASSERT_EQUAL(sh("echo bad 1 >%s/bad; %s config check %s/bad 2>&1; s=$?; rm %s/bad; exit $s", folder,
                       cli, folder, folder),
                    1);
    CU_ASSERT(says("bad:1: bad: unknown directive"));
    stop_box();
}

static void test_a_change_is_running_only_when_the_dataplane_has_it(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s config set maxmemory 1gb timeout 7 2>&1", cli), 0);
    CU_ASSERT(order("get maxmemory"));
    CU_ASSERT_STRING_EQUAL(output, "1073741824");
    CU_ASSERT_EQUAL(sh("%s config set timeout 9 maxmemory-samples 13 2>&1", cli), 1);
    CU_ASSERT(says("bad luck"));
    CU_ASSERT(order("get timeout"));
    CU_ASSERT_STRING_EQUAL(output, "7");
    sh("%s config get timeout", cli);
    CU_ASSERT(says("timeout 7"));
    CU_ASSERT_EQUAL(sh("%s config set save '' 2>&1", cli), 0); /* the fake one makes no snapshots */
    CU_ASSERT_EQUAL(sh("%s config set workers 3 2>&1", cli), 0);
    CU_ASSERT(says("waits for `sluice restart dataplane`: workers"));
    CU_ASSERT_EQUAL(sh("%s show version --json | jq -es '.[0] | .restart_loses == \"workers is another one then\" and .restarting == false'", cli), 0);
    order("get workers"); /* fixed at its start */
    CU_ASSERT_STRING_EQUAL(output, "2");
    CU_ASSERT_EQUAL(sh("%s restart dataplane", cli), 0);
    CU_ASSERT(until("show status", "workers                  3"));
    CU_ASSERT_EQUAL(sh("%s show version --json | jq -es '.[0] | has(\"restart_loses\") and .restart_loses == null'", cli), 0);
    stop_box();
}

static void test_all_values_given_replace_a_list(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s config set filter 'deny from 10.0.0.1' timeout 8 filter 'PERMIT any' 2>&1", cli),
                    0);
    sh("%s config get filter", cli);
    CU_ASSERT_STRING_EQUAL(output, "filter deny from 10.0.0.1\nfilter permit any\n");
    CU_ASSERT_EQUAL(sh("%s config set filter 'deny icmp' filter 'deny udp' timeout 9 2>&1", cli), 1);
    CU_ASSERT(says("'filter') - udp: not expected here"));
    sh("%s config get filter", cli); /* all or none */
    CU_ASSERT_STRING_EQUAL(output, "filter deny from 10.0.0.1\nfilter permit any\n");
    CU_ASSERT_EQUAL(sh("%s config set timeout 1 timeout 2 2>&1", cli), 1);
    CU_ASSERT(says("'timeout') - duplicate parameter"));
    CU_ASSERT_EQUAL(sh("%s config rewrite && [ $(grep -c '^filter' %s) = 2 ]", cli, conf), 0);
    CU_ASSERT_EQUAL(sh("%s config set filter '' && %s config rewrite && ! grep '^filter' %s", cli, cli, conf),
                    0);
    stop_box();
}

static void test_what_redis_clients_ask(void)
{
    start_box();
    CU_ASSERT(order("ask CONFIG SET maxmemory 5mb timeout 3"));
    CU_ASSERT_STRING_EQUAL(output, "+OK\r\n");
    order("get maxmemory");
    CU_ASSERT_STRING_EQUAL(output, "5242880");
    order("ask config set maxmemory lots");
    CU_ASSERT_STRING_EQUAL(output, "-ERR CONFIG SET failed (possibly related to argument 'maxmemory') - "
                                   "argument must be a memory value\r\n");
    order("ask config set maxmemory-samples 13");
    CU_ASSERT_STRING_EQUAL(output, "-ERR CONFIG SET failed (possibly related to argument "
                                   "'maxmemory-samples') - maxmemory-samples 13 brings bad luck\r\n");
    order("ask config set workers 4");
    CU_ASSERT_STRING_EQUAL(
        output,
        "-ERR CONFIG SET failed (possibly related to argument 'workers') - can't set immutable config\r\n");
    order("ask config set");
    CU_ASSERT_STRING_EQUAL(output, "-ERR wrong number of arguments for 'config|set' command\r\n");
    order("ask config set a b c");
    CU_ASSERT_STRING_EQUAL(output, "-ERR syntax error\r\n");
    order("ask bgsave");
    CU_ASSERT(says("-ERR"));
    order("ask config rewrite");
    CU_ASSERT_STRING_EQUAL(output, "+OK\r\n");
    CU_ASSERT_EQUAL(sh("grep -x 'maxmemory 5mb' %s && ls %s/state/revisions", conf, folder), 0);
    CU_ASSERT(says("000001.conf"));
    stop_box();
}

static void test_shutdown_from_the_wire_stops_for_good_until_restart(void)
{
    start_box();
    order("ask shutdown abort");
    CU_ASSERT_STRING_EQUAL(output, "-ERR No shutdown in progress.\r\n");
    CU_ASSERT(last_order("ask shutdown nosave"));
    CU_ASSERT(until("show status", "stopped by SHUTDOWN from user default at 10.0.0.1:1234"));
    CU_ASSERT(until("show status", "dataplane                stopped"));
    CU_ASSERT(http("/healthz") && says(" 503 "));
    CU_ASSERT(http("/metrics") && says("redis_up 0\n"));
    CU_ASSERT_EQUAL(sh("%s show clients 2>&1", cli), 1);
    CU_ASSERT_EQUAL(sh("%s restart dataplane", cli), 0);
    CU_ASSERT(until("show status", "serving"));
    CU_ASSERT(last_order("ask shutdown nosave"));
    CU_ASSERT(until("show status", "dataplane                stopped"));
    stop_box(); /* with nothing left to stop but control: it still answers */
}

static void test_a_dataplane_that_dies_is_started_again_with_backoff(void)
{
    start_box();
    long old = dataplane_pid();
    CU_ASSERT(last_order("die"));
    CU_ASSERT(until("show log", "was killed by signal 9"));
    CU_ASSERT(says("starting it again at once"));
    CU_ASSERT(until("show status", "serving"));
    CU_ASSERT(dataplane_pid() != old);
    CU_ASSERT(last_order("exit 3"));
    CU_ASSERT(until("show log", "exited with status 3: fake: told to exit; starting it again in 0.2 s"));
    CU_ASSERT(until("show status", "serving"));
    CU_ASSERT(http("/metrics") && says("sluice_dataplane_restarts_total 2\n"));
    stop_box();
}

static void test_control_may_die_and_comes_back_to_the_same_dataplane(void)
{
    start_box();
    long pid = dataplane_pid();
    CU_ASSERT_EQUAL(sh("%s config set timeout 7 workers 3 2>&1", cli), 0);
    CU_ASSERT_EQUAL(sh("%s config rewrite 2>&1", cli), 0);
    end_control(SIGKILL);
    CU_ASSERT(order("get timeout"));
    CU_ASSERT_STRING_EQUAL(output, "7"); /* it serves with the last committed generation */
    CU_ASSERT(order("ask config set timeout 1"));
    CU_ASSERT_STRING_EQUAL(output, "-no control");
    start_control();
    CU_ASSERT_EQUAL(dataplane_pid(), pid);
    CU_ASSERT(until("show log", "Attached to the running dataplane"));
    CU_ASSERT(
        until("show status",
              "waits for a restart      workers")); /* it still knows what the dataplane was started with */
    CU_ASSERT(order("ask config set timeout 1"));
    CU_ASSERT_STRING_EQUAL(output, "+OK\r\n");
    CU_ASSERT_EQUAL(end_control(SIGTERM), 0);
    CU_ASSERT(order("get timeout"));
    CU_ASSERT_STRING_EQUAL(output, "1");
    start_control();
    CU_ASSERT_EQUAL(dataplane_pid(), pid);
    stop_box();
}

/* One with another state-dir, whose socket has been bound in this one's place. */
static void test_the_socket_of_another_control_stays(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct stat there;
    start_box();
    snprintf(where.sun_path, sizeof where.sun_path, "%s/m.sock", folder);
    int other = socket(AF_UNIX, SOCK_STREAM, 0);
    CU_ASSERT_EQUAL(unlink(where.sun_path), 0);
    CU_ASSERT_EQUAL(bind(other, (struct sockaddr *)&where, sizeof where), 0);
    CU_ASSERT_EQUAL(end_control(SIGTERM), 0);
    CU_ASSERT_EQUAL(lstat(where.sun_path, &there), 0);
    close(other);
    start_control(); /* takes the place of what nobody listens to */
    stop_box();
    CU_ASSERT_EQUAL(lstat(where.sun_path, &there), -1); /* its own goes with it */
}

static void test_a_second_control_on_the_state_dir_says_so(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s %s 2>&1", getenv("SLUICE_CONTROL"), conf), 1);
    CU_ASSERT(says("another sluice-control runs on state-dir"));
    CU_ASSERT(order("get workers"));
    stop_box();
}

static void test_a_bad_file_keeps_the_good_configuration(void)
{
    start_box();
    write_conf("timeout 4\nmaxmemroy 1gb\nport x\n");
    CU_ASSERT_EQUAL(sh("%s config load 2>&1", cli), 1);
    CU_ASSERT(says("box.conf:9: maxmemroy: unknown directive; did you mean maxmemory?"));
    CU_ASSERT(says("box.conf:10: port: 'x'"));
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "0");
    write_conf("timeout 4\n");
    kill(control, SIGHUP);
    CU_ASSERT(until("config get timeout", "timeout 4"));
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "4");
    stop_box();
}

/* A histogram's samples have names that begin with its own. */
static bool is_sample_of(const char *name, const char *metric)
{
    static const char *const endings[] = {"", "_bucket", "_sum", "_count"};
    size_t n = strlen(metric);
    for (unsigned i = 0; strncmp(name, metric, n) == 0 && i < sizeof endings / sizeof *endings; i++)
        if (strcmp(name + n, endings[i]) == 0)
            return true;
    return false;
}

static void test_metrics_have_help_type_and_values(void)
{
    static const char *const lines[] = {
        "redis_up 1\n",
        "redis_connected_clients 2\n",
        "redis_memory_used_bytes 123456\n",
        "redis_keyspace_hits_total 7\n",
        "redis_db_keys{db=\"db0\"} 5\n",
        "redis_db_keys_expiring{db=\"db0\"} 1\n",
        "redis_commands_total{cmd=\"get\"} 3\n",
        "redis_commands_duration_seconds_total{cmd=\"get\"} 0.0015\n",
        "redis_instance_info{",
        "sluice_keyspace_hits_total{worker=\"1\"} 0\n",
        "sluice_link_up 1\n",
        "sluice_request_seconds_bucket{family=\"string\",stage=\"total\",le=\"1.536e-06\"} 0\n",
        "sluice_request_seconds_bucket{family=\"string\",stage=\"total\",le=\"2.048e-06\"} 500\n",
        "sluice_request_seconds_count{family=\"string\",stage=\"total\"} 1000\n",
        "sluice_request_seconds_sum{family=\"string\",stage=\"total\"} 0.026000000\n",
        "sluice_loop_seconds_count 0\n",
        "sluice_worker_stalled{worker=\"1\"} 0\n"};
    start_box();
    CU_ASSERT(until("show status", "health                   ok"));
    CU_ASSERT(http("/metrics"));
    for (unsigned i = 0; i < sizeof lines / sizeof lines[0]; i++)
        CU_ASSERT(says(lines[i]));
    /* Every sample line follows the HELP and TYPE of its own name, and no name comes twice. */
    char *state, *names = strdup("\n"), *body = strstr(output, "\r\n\r\n") + 4;
    char current[128] = "", name[128];
    for (char *line = strtok_r(body, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
        if (sscanf(line, "# HELP %127s", current) == 1) {
            char key[140];
            snprintf(key, sizeof key, "\n%s\n", current);
            CU_ASSERT_PTR_NULL(strstr(names, key));
            names = realloc(names, strlen(names) + strlen(current) + 2);
            strcat(strcat(names, current), "\n");
        } else if (*line == '#') {
            CU_ASSERT(sscanf(line, "# TYPE %127s", name) == 1 && strcmp(name, current) == 0);
        } else {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(line, "{ "), line);
            char *end;
            strtod(strrchr(line, ' ') + 1, &end);
            CU_ASSERT(is_sample_of(name, current) && *end == 0);
        }
    }
    free(names);
    CU_ASSERT(http("/stats.json") && says("\"connected_clients\":2"));
    CU_ASSERT(http("/other") && says(" 404 "));
    stop_box();
}

static void test_healthz_answers_while_a_worker_hangs(void)
{
    start_box();
    CU_ASSERT(until("show status", "health                   ok"));
    CU_ASSERT(http("/healthz") && says(" 200 "));
    CU_ASSERT(order("hang"));
    CU_ASSERT(until("show status", "worker 0 has not moved"));
    CU_ASSERT(http("/healthz") && says(" 503 ") && says("worker 0 has not moved"));
    CU_ASSERT(http("/metrics") && says("sluice_worker_stalled{worker=\"0\"} 1"));
    stop_box();
}

/* -- the management API's socket ---------------------------------------------------------------------- */

static int api_connect(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    struct timeval wait = {.tv_sec = 5};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    snprintf(where.sun_path, sizeof where.sun_path, "%s/m.sock", folder);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    CU_ASSERT(connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    return fd;
}

static void api_send(int fd, const char *body, uint32_t len)
{
    uint32_t head = htonl(len);
    (void)!send(fd, &head, sizeof head, MSG_NOSIGNAL);
    (void)!send(fd, body, strlen(body), MSG_NOSIGNAL);
}

static bool api_receive(int fd)
{
    uint32_t len;
    size_t used = 0;
    output[0] = 0;
    if (recv(fd, &len, sizeof len, MSG_WAITALL) != sizeof len || (len = ntohl(len)) >= sizeof output)
        return false;
    while (used < len) {
        ssize_t n = recv(fd, output + used, len - used, 0);
        if (n <= 0)
            return false;
        used += (size_t)n;
    }
    output[used] = 0;
    return true;
}

static void test_malformed_requests_get_an_error_and_harm_nobody(void)
{
    static const char *const bad[] = {"{",
                                      "[]",
                                      "1",
                                      "\"x\"",
                                      "{\"op\":1}",
                                      "{\"op\":\"show\"}",
                                      "{\"op\":\"show\",\"what\":\"x\"}",
                                      "{\"op\":\"config\",\"what\":\"set\"}",
                                      "{\"op\":\"config\",\"what\":\"set\",\"set\":{\"a\":1}}",
                                      "{\"op\":\"config\",\"what\":\"set\",\"set\":[]}",
                                      "{\"a\":1,\"a\":2}",
                                      "\xff\xfe",
                                      "{\"op\":\"show\",\"what\":\"log\",\"level\":\"x\"}"};
    start_box();
    int fd = api_connect();
    for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        api_send(fd, bad[i], (uint32_t)strlen(bad[i]));
        CU_ASSERT(api_receive(fd) && says("\"ok\":false"));
    }
    static const char version[] = "{\"id\":\"x\",\"op\":\"show\",\"what\":\"version\"}";
    api_send(fd, version, sizeof version - 1);
    CU_ASSERT(api_receive(fd) && says("\"id\":\"x\"") && says("\"ok\":true"));
    close(fd);
    for (unsigned i = 0; i < 2; i++) { /* lengths that cannot be: an error, then the end of the connection */
        fd = api_connect();
        api_send(fd, "x", i ? 0x7fffffff : 0);
        CU_ASSERT(api_receive(fd) && says("bad-request"));
        CU_ASSERT_FALSE(api_receive(fd));
        close(fd);
    }
    stop_box();
}

static void test_slow_and_vanishing_clients_block_nobody(void)
{
    int idle[8];
    start_box();
    for (unsigned i = 0; i < 8; i++) { /* half a request each */
        idle[i] = api_connect();
        api_send(idle[i], "{\"op\":", 1000);
    }
    for (unsigned i = 0; i < 20; i++) { /* asks, and goes before the answer */
        static const char clients[] = "{\"op\":\"show\",\"what\":\"clients\"}";
        int fd = api_connect();
        api_send(fd, clients, sizeof clients - 1);
        close(fd);
    }
    int greedy = api_connect(); /* asks and never reads */
    for (unsigned i = 0; i < 2000; i++) {
        static const char text[] = "{\"op\":\"show\",\"what\":\"config\"}";
        uint32_t head = htonl(sizeof text - 1);
        if (send(greedy, &head, 4, MSG_NOSIGNAL | MSG_DONTWAIT) != 4 ||
            send(greedy, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
            break;
    }
    CU_ASSERT(until("show status", "health                   ok"));
    for (unsigned i = 0; i < 8; i++)
        close(idle[i]);
    close(greedy);
    stop_box();
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_the_box_serves_and_the_cli_shows_it),
                                             UNIT(test_the_plan_of_another_machine),
                                             UNIT(test_cli_errors_have_their_exit_codes),
                                             UNIT(test_a_change_is_running_only_when_the_dataplane_has_it),
                                             UNIT(test_all_values_given_replace_a_list),
                                             UNIT(test_what_redis_clients_ask),
                                             UNIT(test_shutdown_from_the_wire_stops_for_good_until_restart),
                                             UNIT(test_a_dataplane_that_dies_is_started_again_with_backoff),
                                             UNIT(test_control_may_die_and_comes_back_to_the_same_dataplane),
                                             UNIT(test_the_socket_of_another_control_stays),
                                             UNIT(test_a_second_control_on_the_state_dir_says_so),
                                             UNIT(test_a_bad_file_keeps_the_good_configuration),
                                             UNIT(test_metrics_have_help_type_and_values),
                                             UNIT(test_healthz_answers_while_a_worker_hangs),
                                             UNIT(test_malformed_requests_get_an_error_and_harm_nobody),
                                             UNIT(test_slow_and_vanishing_clients_block_nobody),
                                             {NULL, NULL}};
    return box_main(argc, argv, "control/box", tests);
}

/* test_configure.c: configuration mode over the real CLI and control: the candidate and its lock, commits and
 * those that go back, revisions, import; health and alarms. */
#include "box_of_control.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

/* Lines typed into configuration mode, as `ssh admin@box <script` gives them. The exit code. */
static int edit(const char *lines)
{
    return sh("printf '%%s\\n' configure %s | %s 2>&1", lines, cli);
}

static void test_a_commit_runs_and_is_written(void)
{
    start_box();
    CU_ASSERT_EQUAL(
        edit("'set maxmemory 64mb' 'set save 900 1 300 10' 'set workers 3' 'show | compare' 'commit comment "
             "\"more workers\"' exit"),
        0);
    CU_ASSERT(says("- maxmemory 0\n+ maxmemory 64mb\n"));
    CU_ASSERT(
        says("takes effect when the dataplane is started again, which closes all connections: workers"));
    CU_ASSERT(says("is running, and written to"));
    CU_ASSERT(order("get maxmemory"));
    CU_ASSERT_STRING_EQUAL(output, "67108864");
    CU_ASSERT_EQUAL(
        sh("grep -x 'maxmemory 64mb' %s && grep -x 'save 900 1 300 10' %s && grep -x 'workers 3' %s", conf,
           conf, conf),
        0);
    CU_ASSERT_EQUAL(sh("%s show history", cli), 0);
    CU_ASSERT(says("commit by ") && says(": more workers") && says("start by sluice-control"));
    CU_ASSERT_EQUAL(sh("%s show history --json | jq -es '.[0] | .[0].back == 0 and .[0].way == \"commit\" "
                       "and .[1].way == "
                       "\"start\"'",
                       cli),
                    0);
    CU_ASSERT_EQUAL(sh("%s show configuration '|' compare 1", cli), 0);
    CU_ASSERT(says("+ maxmemory 64mb") && says("+ workers 3"));
    CU_ASSERT_EQUAL(sh("%s show configuration revision 1 '|' match workers", cli), 0);
    CU_ASSERT_STRING_EQUAL(output, "workers 2\n");
    stop_box();
}

static void test_mistakes_end_a_script_and_change_nothing(void)
{
    start_box();
    CU_ASSERT_EQUAL(edit("'set maxmemory lots' commit"), 1);
    CU_ASSERT(says("maxmemory: argument must be a memory value; "));
    CU_ASSERT_EQUAL(edit("'set maxmemroy 1gb' commit"), 1);
    CU_ASSERT(says("did you mean maxmemory"));
    CU_ASSERT_EQUAL(edit("'set timeout 5' exit"), 1);
    CU_ASSERT(says("not committed"));
    CU_ASSERT_EQUAL(edit("'set maxmemory-samples 13' commit"), 1); /* the dataplane's word */
    CU_ASSERT(says("maxmemory-samples: maxmemory-samples 13 brings bad luck"));
    CU_ASSERT_EQUAL(edit("commit"), 1);
    CU_ASSERT(says("nothing has been changed"));
    CU_ASSERT_EQUAL(sh("%s set timeout 5 2>&1", cli), 2); /* not without configure */
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "0");
    CU_ASSERT_EQUAL(sh("printf 'port 1\\ntimeout x\\nnonsense 1\\n' >%s/bad", folder), 0);
    char line[256];
    snprintf(line, sizeof line, "'load %s/bad' commit", folder);
    CU_ASSERT_EQUAL(edit(line), 1);
    CU_ASSERT(says("bad:2: timeout") && says("bad:3: nonsense"));
    CU_ASSERT_EQUAL(sh("printf 'include /etc/passwd\\n' >%s/bad", folder), 0);
    CU_ASSERT_EQUAL(edit(line), 1);
    CU_ASSERT(says("bad:1: include: not possible here"));
    stop_box();
}

static void test_lists_are_edited_value_by_value(void)
{
    start_box();
    CU_ASSERT_EQUAL(
        edit("'set filter deny from 10.0.0.1' 'set filter permit any' 'insert filter 1 permit from 10.0.0.9' "
             "commit 'delete filter deny from 10.0.0.1' 'show | compare' commit 'show filter'"),
        0);
    CU_ASSERT(says("- filter deny from 10.0.0.1\n"));
    CU_ASSERT(says("filter permit from 10.0.0.9\nfilter permit any\n"));
    CU_ASSERT_EQUAL(edit("'delete filter deny from 10.0.0.1'"), 1);
    CU_ASSERT(says("filter: has no such value"));
    CU_ASSERT_EQUAL(edit("'delete filter' commit 'show filter'"), 0);
    CU_ASSERT(!strstr(output, "\nfilter permit"));
    stop_box();
}

static void test_one_session_edits_and_its_end_frees_the_lock(void)
{
    start_box();
    /* The other asks when this one has shown that it edits: who comes first is not left to the scheduler. */
    CU_ASSERT_EQUAL(
        sh("cd %s && mkfifo hold && { timeout 60 %s <hold >held 2>&1 & } && exec 7>hold && printf "
           "'configure\\nset timeout 9\\nshow timeout\\n' >&7 && "
           "timeout 30 sh -c 'until grep \"timeout 9\" held; do sleep 0.02; done' && "
           "! echo configure | timeout 30 %s 2>locked && cat locked; exec 7>&-; wait; rm hold",
           folder, cli, cli),
        0);
    CU_ASSERT(says("edits the configuration, for"));
    double end = now() + 60;
    while (edit("'set timeout 3' commit") != 0 && now() < end)
        ;
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "3");
    stop_box();
}

static void test_rollback_takes_a_revision(void)
{
    start_box();
    CU_ASSERT_EQUAL(edit("'set timeout 1' commit 'set timeout 2' commit 'set timeout 3' commit"), 0);
    CU_ASSERT_EQUAL(edit("'rollback 2' 'show | compare' commit"), 0);
    CU_ASSERT(says("- timeout 3\n+ timeout 1\n"));
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "1");
    CU_ASSERT_EQUAL(edit("'rollback 77'"), 1);
    CU_ASSERT(says("there is no revision 77"));
    stop_box();
}

static void test_what_clients_set_is_a_revision_and_stays(void)
{
    start_box();
    CU_ASSERT(order("ask CONFIG SET maxclients 77"));
    CU_ASSERT_EQUAL(sh("%s show history '|' match 'config set by user' '|' count", cli), 0);
    CU_ASSERT_STRING_EQUAL(output, "1\n");
    CU_ASSERT(until("show health", "unsaved"));
    CU_ASSERT_EQUAL(edit("'set timeout 4' 'save'"), 0);
    CU_ASSERT_EQUAL(sh("grep -x 'maxclients 77' %s && ! grep timeout %s", conf, conf), 0);
    /* Only what was edited is committed: what a client sets in between stays. */
    FILE *session = NULL;
    char command[700];
    snprintf(command, sizeof command, "%s >%s/said 2>&1", cli, folder);
    session = popen(command, "w");
    fputs("configure\nset timeout 6\nset maxclients 80\ndelete maxclients\nshow timeout\n", session);
    fflush(session);
    for (double end = now() + 60; now() < end && sh("grep 'timeout 6' %s/said", folder) != 0;)
        ;
    CU_ASSERT(order("ask CONFIG SET tcp-keepalive 99"));
    fputs("commit\nexit\n", session);
    CU_ASSERT_EQUAL(pclose(session), 0);
    order("get tcp-keepalive");
    CU_ASSERT_STRING_EQUAL(output, "99");
    order("get maxclients");
    CU_ASSERT_STRING_EQUAL(output, "10000");
    stop_box();
}

static void test_an_unconfirmed_commit_goes_back(void)
{
    start_box();
    CU_ASSERT_EQUAL(edit("'set timeout 5' commit"), 0);
    CU_ASSERT_EQUAL(edit("'set timeout 8' 'commit confirmed 5'"), 0);
    CU_ASSERT(says("it goes back at"));
    CU_ASSERT(until("show health", "unconfirmed"));
    order("get timeout");
    CU_ASSERT_STRING_EQUAL(output, "8");
    CU_ASSERT_EQUAL(sh("grep -x 'timeout 5' %s", conf), 0); /* the file has the one before */
    order("ask config rewrite");
    CU_ASSERT(says("a commit waits for its confirmation"));
    CU_ASSERT_EQUAL(end_control(SIGKILL), SIGKILL); /* nobody is there to confirm it */
    start_control();
    CU_ASSERT(until("show log", "Control ended while a commit waited"));
    for (double end = now() + 60; now() < end && order("get timeout") && strcmp(output, "5") != 0;)
        ;
    CU_ASSERT_STRING_EQUAL(output, "5");
    /* And one that is confirmed stays. */
    CU_ASSERT_EQUAL(edit("'set timeout 8' 'commit confirmed'"), 0);
    CU_ASSERT_EQUAL(edit("commit"), 0);
    CU_ASSERT(says("confirmed"));
    CU_ASSERT_EQUAL(sh("grep -x 'timeout 8' %s", conf), 0);
    stop_box();
}

static void test_a_redis_conf_is_imported(void)
{
    start_box();
    CU_ASSERT_EQUAL(
        sh("printf 'bind 127.0.0.1\\nmaxmemory 2gb   # two\\ndaemonize yes\\nsave 900 1\\nsave 300 10\\n"
           "requirepass geheim\\nrename-command CONFIG \"\"\\nlogfile /var/log/redis/redis.log\\n' "
           ">%s/redis.conf",
           folder),
        0);
    CU_ASSERT_EQUAL(sh("%s config import %s/redis.conf", cli, folder), 0);
    CU_ASSERT(says("mapped") && says("ignored") && says("0 errors") && says("+ maxmemory 2gb") &&
              says("the box starts, watches and stops its own programs") && !strstr(output, "geheim"));
    char line[256];
    snprintf(line, sizeof line, "'import %s/redis.conf' commit", folder);
    CU_ASSERT_EQUAL(edit(line), 0);
    CU_ASSERT_EQUAL(
        sh("grep -x 'save 900 1 300 10' %s && grep -x 'requirepass geheim' %s && grep -x 'maxmemory 2gb' %s",
           conf, conf, conf),
        0);
    CU_ASSERT_EQUAL(
        sh("%s config import -- redis-server --requirepass x --save 900 1 --save 300 10 --nonsense 2>&1",
           cli),
        1);
    CU_ASSERT(says("unknown directive") && says("1 errors"));
    stop_box();
}

/* Three nodes of a cluster on one machine, a file each as the guide has them: the box is all three. The last of two lines holds. */
static void test_nodes_of_a_cluster_are_imported(void)
{
    static const char *const nodes[] = {"7002", "7001", "7003"}; /* in any order, as long as they follow one another */
    start_box();
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_EQUAL(sh("cat >%s/redis-%s.conf <<E\nmaxmemory 32mb\nport %s\ncluster-enabled yes\ncluster-config-file nodes.conf\n"
                           "cluster-node-timeout 15000\nmaxmemory-policy allkeys-lru\nmaxmemory 64mb\nE", folder, nodes[i], nodes[i]), 0);
    CU_ASSERT_EQUAL(sh("printf 'configure\nimport %s/redis-7002.conf\nimport %s/redis-7001.conf\nimport %s/redis-7003.conf\nshow' | %s", folder,
                       folder, folder, cli), 0);
    CU_ASSERT(says("worker 0 is the node at this port") && says("worker 2 is the node at this port"));
    CU_ASSERT(says("\nworkers 3\n") && says("\ncluster-view workers\n") && says("\ncluster-view-port 7001\n") && says("maxmemory 192mb\n"));
    CU_ASSERT_EQUAL(sh("printf 'configure\nimport %s/redis-7001.conf\nimport %s/redis-7001.conf\nimport %s/redis-7003.conf' | %s 2>&1", folder,
                       folder, folder, cli), 1);
    CU_ASSERT(says("must follow one another: those there are have 7001 to 7001"));
    stop_box();
}

/* The lines that the set-up guides give (S1, S2), and S1's arguments of a container. */
static void test_the_guides_lines_are_imported(void)
{
    start_box();
    CU_ASSERT_EQUAL(
        sh("cat >%s/s1.conf <<'E'\nbind 127.0.0.1 ::1 172.17.0.1\nrequirepass <STRONG_RANDOM_PASSWORD>\n"
           "protected-mode no\nsupervised systemd\nmaxmemory 512mb\nappendonly yes\nappendfsync everysec\n"
           "rename-command FLUSHDB \"\"\nrename-command FLUSHALL \"\"\nrename-command CONFIG \"\"\n"
           "rename-command SHUTDOWN SHUTDOWN_SECRET_NAME\nE\n"
           "%s config import %s/s1.conf --json | jq -es '.[0] | .errors == 0 and .taken + .mapped == 10 and "
           ".ignored "
           "== 1'",
           folder, cli, folder),
        0);
    CU_ASSERT_EQUAL(
        sh("cat >%s/s2.conf <<'E'\nsave 900 1      # Save after 900 seconds if at least 1 key changed\n"
           "save 300 10     # Save after 300 seconds if at least 10 keys changed\n"
           "save 60 10000   # Save after 60 seconds if at least 10000 keys changed\nmaxmemory 2gb\n"
           "maxmemory-policy allkeys-lru  # Evict least recently used keys\nE\n%s config import %s/s2.conf",
           folder, cli, folder),
        0);
    CU_ASSERT(says("the comment after the value was taken off") && says("+ save 900 1 300 10 60 10000") &&
              says("+ maxmemory-policy allkeys-lru") && says("arena-size is set to"));
    CU_ASSERT_EQUAL(
        sh("%s config import -- redis-server --requirepass esab_redis_password '|' match requirepass", cli),
        0);
    CU_ASSERT(says("taken") && !strstr(output, "esab"));
    stop_box();
}

static void test_pipes_and_the_login_shell(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s show version '|' except control '|' first 1", cli), 0);
    CU_ASSERT(says("dataplane"));
    CU_ASSERT_EQUAL(sh("%s show stats '|' match keyspace '|' last 1 '|' count", cli), 0);
    CU_ASSERT_STRING_EQUAL(output, "1\n");
    CU_ASSERT_EQUAL(sh("%s show version '|' wc 2>&1", cli), 2);
    CU_ASSERT(says("cannot stand behind a bar"));
    CU_ASSERT_EQUAL(sh("%s show version '|' 2>&1", cli), 2);
    CU_ASSERT_EQUAL(
        sh("SLUICE_SOCKET=%s/m.sock $SLUICE_CLI -c 'show status | json' | jq -es '.[0].health.ok'", folder),
        0);
    CU_ASSERT_EQUAL(sh("SLUICE_SOCKET=%s/m.sock $SLUICE_CLI -c 'bash' 2>&1", folder), 2);
    CU_ASSERT_EQUAL(sh("SLUICE_SOCKET=/nonexistent $SLUICE_CLI -c 'show status | json' 2>&1"), 3);
    CU_ASSERT_EQUAL(sh("$SLUICE_CLI </dev/null 2>&1"), 2);
    stop_box();
}

static void test_health_tells_what_healthz_tells(void)
{
    start_box();
    CU_ASSERT_EQUAL(
        sh("%s show health --json | jq -es '.[0] | .serves and (.clock | has(\"synchronized\"))'", cli), 0);
    CU_ASSERT(http("/healthz") && says(" 200 ") && says("ok\n"));
    CU_ASSERT_EQUAL(sh("%s config set workers 5 timeout 3", cli), 0);
    CU_ASSERT(until("show health", "waits for `restart dataplane`: workers"));
    CU_ASSERT(until("show alarms --match restart-waits", "raised"));
    CU_ASSERT(http("/healthz") && says(" 200 ") && says("restart dataplane"));
    CU_ASSERT(http("/metrics") && says("sluice_alarm{alarm=\"restart-waits\",severity=\"notice\"} 1"));
    CU_ASSERT_EQUAL(sh("%s config set workers 2", cli), 0);
    CU_ASSERT(until("show alarms --match restart-waits", "cleared"));
    CU_ASSERT(order("hang"));
    for (double end = now() + 60; now() < end && sh("%s show health", cli) == 0;)
        ;
    CU_ASSERT(says("worker-stalled"));
    CU_ASSERT_EQUAL(sh("%s show health 2>&1", cli), 1);
    sh("kill -9 $(cat %s/state/dataplane.pid)", folder);
    CU_ASSERT(until("show health", "health                   degraded"));
    stop_box();
}

static void test_the_log_by_time_and_as_it_comes(void)
{
    start_box();
    CU_ASSERT_EQUAL(sh("%s show log --since '1 hour ago' --level err --until tomorrow 2>&1", cli), 2);
    CU_ASSERT(says("'tomorrow' is no time"));
    CU_ASSERT_EQUAL(sh("%s show log --since '1 hour ago' '|' match 'fake dataplane greets' '|' count", cli),
                    0);
    CU_ASSERT_STRING_EQUAL(output, "1\n");
    CU_ASSERT_EQUAL(sh("%s show log --until yesterday '|' count", cli), 0);
    CU_ASSERT_STRING_EQUAL(output, "0\n");
    CU_ASSERT_EQUAL(sh("%s show log --lines 2 '|' count", cli), 0);
    CU_ASSERT_STRING_EQUAL(output, "2\n");
    char command[700];
    snprintf(command, sizeof command, "%s show log --follow --json --since 1s", cli);
    FILE *f = popen(command, "r");
    CU_ASSERT_EQUAL(sh("%s config set timeout 7", cli), 0);
    while (fgets(output, sizeof output, f) && !strstr(output, "timeout=7"))
        ;
    CU_ASSERT(says("\"level\":\"notice\""));
    stop_box(); /* ends the stream */
    while (fgets(output, sizeof output, f))
        ;
    pclose(f);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {UNIT(test_a_commit_runs_and_is_written),
                                             UNIT(test_mistakes_end_a_script_and_change_nothing),
                                             UNIT(test_lists_are_edited_value_by_value),
                                             UNIT(test_one_session_edits_and_its_end_frees_the_lock),
                                             UNIT(test_rollback_takes_a_revision),
                                             UNIT(test_what_clients_set_is_a_revision_and_stays),
                                             UNIT(test_an_unconfirmed_commit_goes_back),
                                             UNIT(test_a_redis_conf_is_imported),
                                             UNIT(test_nodes_of_a_cluster_are_imported),
                                             UNIT(test_the_guides_lines_are_imported),
                                             UNIT(test_pipes_and_the_login_shell),
                                             UNIT(test_the_log_by_time_and_as_it_comes),
                                             UNIT(test_health_tells_what_healthz_tells),
                                             {NULL, NULL}};
    return box_main(argc, argv, "control/configure", tests);
}

/* test_oracle.c: the directive table and CONFIG SET against Debian's redis-server: names, defaults, error
 * texts. */
#include "control/commit.h"
#include "unit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/control-oracle-XXXXXX";
static pid_t server;
static int fd = -1;

/* -- the oracle --------------------------------------------------------------------------------------- */

static bool start_oracle(void)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    snprintf(where.sun_path, sizeof where.sun_path, "%s/r.sock", folder);
    server = fork();
    if (server == 0) {
        if (!freopen("/dev/null", "w", stdout))
            _exit(1);
        execlp("redis-server", "redis-server", "--port", "0", "--unixsocket", where.sun_path, "--dir", folder,
               (char *)NULL);
        _exit(127);
    }
    for (unsigned i = 0; i < 3000; i++) {
        fd = socket(AF_UNIX, SOCK_STREAM, 0);
        if (connect(fd, (struct sockaddr *)&where, sizeof where) == 0)
            return true;
        close(fd);
        fd = -1;
        if (waitpid(server, NULL, WNOHANG) == server)
            break;
        poll(NULL, 0, 20);
    }
    return false;
}

static void stop_oracle(void)
{
    char file[96];
    if (fd >= 0)
        close(fd);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    snprintf(file, sizeof file, "%s/r.sock", folder);
    unlink(file);
    rmdir(folder);
}

/* Sends a command; the reply as raw RESP until `lines` line ends have come. */
static void oracle(const struct words *argv, char *reply, size_t size, unsigned lines)
{
    struct text t = {0};
    size_t used = 0;
    text_printf(&t, "*%u\r\n", argv->n);
    for (unsigned i = 0; i < argv->n; i++)
        text_printf(&t, "$%zu\r\n%s\r\n", strlen(argv->p[i]), argv->p[i]);
    (void)!write(fd, t.p, t.len);
    text_free(&t);
    reply[0] = 0;
    while (lines) {
        ssize_t n = read(fd, reply + used, size - 1 - used);
        if (n <= 0)
            return;
        for (ssize_t i = 0; i < n; i++)
            lines -= lines && reply[used + (size_t)i] == '\n';
        used += (size_t)n;
        reply[used] = 0;
    }
}

/* -- tests -------------------------------------------------------------------------------------------- */

/* Where the test itself, the build or Sluice's nature sets another value. */
static bool differs(const char *name)
{
    static const char *const names[] = {"port", "unixsocket", "dir", "bind", NULL};
    for (const char *const *n = names; *n; n++)
        if (strcmp(*n, name) == 0)
            return true;
    return false;
}

static void test_every_directive_of_the_oracle_is_known_with_its_default(void)
{
    static char reply[1 << 16];
    struct words get = {0};
    struct settings *s = settings_defaults();
    words_add(&get, must_copy("CONFIG"));
    words_add(&get, must_copy("GET"));
    words_add(&get, must_copy("*"));
    oracle(&get, reply, sizeof reply, 1);
    unsigned items = (unsigned)atoi(reply + 1);
    CU_ASSERT(items > 300);
    size_t used = strlen(reply); /* the rest: two line ends an item */
    unsigned want = 1 + 2 * items, have = 0;
    for (size_t i = 0; i < used; i++)
        have += reply[i] == '\n';
    while (have < want) {
        ssize_t n = read(fd, reply + used, sizeof reply - 1 - used);
        if (n <= 0)
            break;
        for (ssize_t i = 0; i < n; i++)
            have += reply[used + (size_t)i] == '\n';
        used += (size_t)n;
    }
    reply[used] = 0;
    char *line = strchr(reply, '\n') + 1, *name = NULL;
    for (unsigned i = 0; i < items; i++) {
        char *text = strchr(line, '\n') + 1;
        size_t len = (size_t)atoi(line + 1);
        text[len] = 0;
        line = text + len + 2;
        if (i % 2 == 0) {
            name = text;
            continue;
        }
        if (directive_find(name) < 0)
            printf("# unknown: %s\n", name);
        else if (!differs(name) && strcmp(settings_get(s, name), text) != 0)
            printf("# %s: ours '%s', the oracle's '%s'\n", name, settings_get(s, name), text);
        CU_ASSERT(directive_find(name) >= 0);
        CU_ASSERT(differs(name) || strcmp(settings_get(s, name), text) == 0);
    }
    settings_free(s);
    words_free(&get);
}

static void ignore_change(void *ctx, const struct settings *s)
{
    (void)ctx, (void)s;
}

static void note(void *ctx, const char *error)
{
    snprintf(ctx, 2048, "%s%s", error ? "-" : "+OK", error ? error : "");
}

/* Not among the cases, because Sluice differs on purpose: `port` (fixed at the dataplane's start) and a size
 * beyond 64 bits (Redis takes it as the largest). */
static const char *const config_sets[] = {"foo bar",
                                          "maxmemory abc",
                                          "maxmemory -5",
                                          "maxmemory 1mb",
                                          "maxmemory 1mb foo bar",
                                          "databases 4",
                                          "maxmemory-policy foo",
                                          "maxmemory-policy ALLKEYS-LRU",
                                          "appendonly maybe",
                                          "timeout -1",
                                          "timeout 0x10",
                                          "timeout +5",
                                          "timeout 007",
                                          "timeout ''",
                                          "maxclients 0",
                                          "timeout 1 timeout 2",
                                          "dir /tmp",
                                          "dbfilename x.rdb",
                                          "lfu-log-factor 99999999999",
                                          "hz abc",
                                          "save abc",
                                          "save '900 1 300'",
                                          "save '900 1 300 10'",
                                          "save ''",
                                          "loglevel foo",
                                          "client-output-buffer-limit foo",
                                          "client-output-buffer-limit 'normal 1 2 3'",
                                          "client-output-buffer-limit 'nobody 1 2 3'",
                                          "client-output-buffer-limit 'normal x 2 3'",
                                          "notify-keyspace-events ZZZ",
                                          "notify-keyspace-events KEA",
                                          "maxmemory-samples 0",
                                          "tcp-keepalive 99999999999999999999",
                                          "logfile x",
                                          "client-query-buffer-limit 5",
                                          "proto-max-bulk-len 10",
                                          "unixsocketperm 999",
                                          "oom-score-adj-values 1",
                                          "oom-score-adj-values '1 2 x'",
                                          "slowlog-log-slower-than -2",
                                          "active-defrag-threshold-lower 1001",
                                          "maxmemory-clients 101%",
                                          "maxmemory-clients x%",
                                          "list-max-listpack-size x",
                                          "enable-debug-command yes",
                                          "daemonize yes",
                                          "databases 4 maxmemory abc",
                                          "maxmemory abc databases 4",
                                          "active-expire-effort 11",
                                          "latency-tracking-info-percentiles 200",
                                          "latency-tracking-info-percentiles x",
                                          "auto-aof-rewrite-percentage -1",
                                          "appendfsync often",
                                          "oom-score-adj maybe",
                                          "shutdown-on-sigint foo",
                                          "propagation-error-behavior foo",
                                          "sanitize-dump-payload x",
                                          "tls-auth-clients x",
                                          "cluster-preferred-endpoint-type x",
                                          "repl-diskless-load x",
                                          "acl-pubsub-default x",
                                          "io-threads 4",
                                          "replicaof 'a b'",
                                          "slaveof 'a b'",
                                          "rename-command 'a b'",
                                          "include x",
                                          "user x",
                                          "loadmodule x",
                                          "lua-time-limit -1",
                                          "repl-backlog-size 0",
                                          "requirepass ''",
                                          "TIMEOUT 5",
                                          "maxmemory 5tb",
                                          "set-max-intset-entries -1",
                                          "syslog-facility x",
                                          NULL};

static void test_config_set_answers_as_the_oracle(void)
{
    struct event_base *base = event_base_new();
    static const struct link_ops no_ops;
    static const struct commit_options options = {.path = "", .state_dir = ""};
    struct link *link = link_new(base, &no_ops, NULL);
    struct commit *c = commit_new(base, link, &options, settings_defaults(), ignore_change, NULL);
    for (const char *const *line = config_sets; *line; line++) {
        struct words w = {0};
        char *comment, theirs[2048], ours[2060] = "";
        struct change change[8];
        words_add(&w, must_copy("CONFIG"));
        words_add(&w, must_copy("SET"));
        CU_ASSERT(line_split(*line, &w, ~0u, &comment));
        for (unsigned i = 0; i + 1 < w.n - 1; i += 2)
            change[i / 2] = (struct change){w.p[i + 2], w.p[i + 3]};
        oracle(&w, theirs, sizeof theirs, 1);
        theirs[strcspn(theirs, "\r")] = 0;
        commit_set(c, change, (w.n - 2) / 2, true, "test", note, ours);
        if (strcmp(ours, theirs) != 0)
            printf("# %s\n#   ours   %s\n#   theirs %s\n", *line, ours, theirs);
        CU_ASSERT_STRING_EQUAL(ours, theirs);
        words_free(&w);
    }
    commit_free(c);
    link_free(link);
    event_base_free(base);
}

int main(int argc, char **argv)
{
    static const struct unit_test tests[] = {
        UNIT(test_every_directive_of_the_oracle_is_known_with_its_default),
        UNIT(test_config_set_answers_as_the_oracle),
        {NULL, NULL}};
    if (!mkdtemp(folder))
        return 2;
    alarm(60);
    if (!start_oracle()) {
        puts("1..0 # SKIP redis-server is not installed");
        stop_oracle();
        return 0;
    }
    int result = unit_main(argc, argv, "control/oracle", tests);
    stop_oracle();
    return result;
}

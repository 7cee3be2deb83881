/* directives.c: the table. Names, defaults and bounds are those that Redis 7.2 documents and CONFIG GET *
 * prints. */
#include "control/directives.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define MB         (1024 * 1024)

/* One row each: name, alias, default, what else. */
#define BOOL(n, a, def, ...)                                                                                 \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_BOOL, .fallback = def, __VA_ARGS__                               \
    }
#define ENUM(n, a, def, words, ...)                                                                          \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_ENUM, .fallback = def, .choices = words, __VA_ARGS__             \
    }
#define INT(n, a, def, lo, hi, ...)                                                                          \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_INT, .fallback = def, .min = lo, .max = hi, __VA_ARGS__          \
    }
#define MEM(n, a, def, lo, hi, ...)                                                                          \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_MEMORY, .fallback = def, .min = lo, .max = hi, __VA_ARGS__       \
    }
#define TEXT(n, a, def, ...)                                                                                 \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_STRING, .fallback = def, __VA_ARGS__                             \
    }
#define LIST(n, a, def, ...)                                                                                 \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_LIST, .fallback = def, __VA_ARGS__                               \
    }
#define CHECKED(n, a, def, fn, ...)                                                                          \
    {                                                                                                        \
        .name = n, .alias = a, .kind = KIND_CHECKED, .fallback = def, .check = fn, __VA_ARGS__               \
    }
#define FIXED          .flags = DIRECTIVE_IMMUTABLE
#define KEPT           .flags = DIRECTIVE_KEPT
#define FIXED_KEPT     .flags = DIRECTIVE_IMMUTABLE | DIRECTIVE_KEPT
#define AT_START       .flags = DIRECTIVE_IMMUTABLE, .apply = APPLY_DATAPLANE
#define OURS           .flags = DIRECTIVE_OURS
#define OURS_FIXED     .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE
#define OURS_DATAPLANE .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE, .apply = APPLY_DATAPLANE
#define OURS_CONTROL   .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE, .apply = APPLY_CONTROL

static const char *const no_yes_local[] = {"no", "yes", "local", NULL};
static const char *const exit_flags[] = {"default", "save", "nosave", "now", "force", NULL};

const struct directive directives[] = {
    /* -- general -- */
    BOOL("daemonize", NULL, "no", FIXED_KEPT),
    ENUM("supervised", NULL, "no", WORDS("upstart", "systemd", "auto", "no"), FIXED_KEPT),
    TEXT("pidfile", NULL, "", FIXED_KEPT),
    ENUM("loglevel", "log-level", "notice", WORDS("debug", "verbose", "notice", "warning")),
    TEXT("logfile", "log-file", "", FIXED),
    BOOL("syslog-enabled", NULL, "no", FIXED_KEPT),
    TEXT("syslog-ident", NULL, "redis", FIXED_KEPT),
    ENUM("syslog-facility", NULL, "local0",
         WORDS("user", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"),
         FIXED),
    CHECKED("log-remote", NULL, NULL, check_log_remote,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .max = 8),
    TEXT("log-remote-ca-cert-file", NULL, "", OURS_FIXED),
    CHECKED("system-name-server", NULL, NULL, check_name_server,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .max = 3),
    BOOL("crash-log-enabled", NULL, "yes", KEPT),
    BOOL("crash-memcheck-enabled", NULL, "yes", KEPT),
    INT("databases", NULL, "16", 1, INT_MAX, AT_START),
    BOOL("always-show-logo", NULL, "no", FIXED_KEPT),
    BOOL("set-proc-title", NULL, "yes", FIXED_KEPT),
    TEXT("proc-title-template", NULL, "{title} {listen-addr} {server-mode}", KEPT),
    TEXT("locale-collate", NULL, "", KEPT),
    BOOL("disable-thp", NULL, "yes", FIXED_KEPT),
    TEXT("ignore-warnings", NULL, ""),
    INT("hz", NULL, "10", 0, INT_MAX, KEPT),
    BOOL("dynamic-hz", NULL, "yes", KEPT),
    ENUM("enable-protected-configs", NULL, "no", no_yes_local, FIXED),
    ENUM("enable-debug-command", NULL, "no", no_yes_local, FIXED),
    ENUM("enable-module-command", NULL, "no", no_yes_local, FIXED_KEPT),
    INT("io-threads", NULL, "1", 1, 128, FIXED_KEPT),
    BOOL("io-threads-do-reads", NULL, "no", FIXED_KEPT),
    TEXT("server-cpulist", "server_cpulist", "", FIXED_KEPT),
    TEXT("bio-cpulist", "bio_cpulist", "", FIXED_KEPT),
    TEXT("aof-rewrite-cpulist", "aof_rewrite_cpulist", "", FIXED_KEPT),
    TEXT("bgsave-cpulist", "bgsave_cpulist", "", FIXED_KEPT),
    BOOL("jemalloc-bg-thread", NULL, "yes", KEPT),
    LIST("loadmodule", NULL, NULL, .flags = DIRECTIVE_REPEATED | DIRECTIVE_KEPT | DIRECTIVE_IMMUTABLE),
    CHECKED("rename-command", NULL, NULL, check_rename, .flags = DIRECTIVE_REPEATED | DIRECTIVE_IMMUTABLE,
            .apply = APPLY_DATAPLANE),

    /* -- network -- */
    INT("port", NULL, "6379", 0, 65535, AT_START),
    CHECKED("bind", NULL, "* -::*", check_words, KEPT),
    TEXT("bind-source-addr", NULL, "", KEPT),
    TEXT("unixsocket", NULL, "", FIXED_KEPT),
    {.name = "unixsocketperm", .kind = KIND_OCTAL, .fallback = "0", .max = 0777, FIXED_KEPT},
    INT("tcp-backlog", NULL, "511", 0, INT_MAX, AT_START),
    INT("tcp-keepalive", NULL, "300", 0, INT_MAX),
    INT("timeout", NULL, "0", 0, INT_MAX),
    BOOL("protected-mode", NULL, "yes"),
    INT("maxclients", NULL, "10000", 1, UINT_MAX),
    INT("socket-mark-id", NULL, "0", 0, UINT_MAX, FIXED_KEPT),
    MEM("proto-max-bulk-len", NULL, "536870912", MB, LLONG_MAX),
    MEM("client-query-buffer-limit", NULL, "1073741824", MB, LLONG_MAX),
    CHECKED("client-output-buffer-limit", NULL,
            "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", check_output_limits,
            .flags = DIRECTIVE_GATHERED),
    {.name = "maxmemory-clients", .kind = KIND_PERCENT, .fallback = "0", .max = LLONG_MAX},

    /* -- TLS -- */
    INT("tls-port", NULL, "0", 0, 65535, AT_START),
    BOOL("tls-cluster", NULL, "no"),
    BOOL("tls-replication", NULL, "no"),
    ENUM("tls-auth-clients", NULL, "yes", WORDS("no", "yes", "optional")),
    CHECKED("tls-auth-clients-user", NULL, "off", check_certificate_names, OURS),
    BOOL("tls-prefer-server-ciphers", NULL, "no"),
    BOOL("tls-session-caching", NULL, "yes"),
    INT("tls-session-cache-size", NULL, "20480", 0, INT_MAX),
    INT("tls-session-cache-timeout", NULL, "300", 0, INT_MAX),
    TEXT("tls-cert-file", NULL, ""),
    TEXT("tls-key-file", NULL, ""),
    TEXT("tls-key-file-pass", NULL, "", .flags = DIRECTIVE_SECRET),
    TEXT("tls-client-cert-file", NULL, ""),
    TEXT("tls-client-key-file", NULL, ""),
    TEXT("tls-client-key-file-pass", NULL, "", .flags = DIRECTIVE_SECRET),
    TEXT("tls-dh-params-file", NULL, ""),
    TEXT("tls-ca-cert-file", NULL, ""),
    TEXT("tls-ca-cert-dir", NULL, ""),
    TEXT("tls-protocols", NULL, ""),
    TEXT("tls-ciphers", NULL, ""),
    TEXT("tls-ciphersuites", NULL, ""),

    /* -- security -- */
    TEXT("requirepass", NULL, "", .flags = DIRECTIVE_SECRET),
    TEXT("aclfile", NULL, "", FIXED),
    INT("acllog-max-len", NULL, "128", 0, LONG_MAX),
    ENUM("acl-pubsub-default", NULL, "resetchannels", WORDS("allchannels", "resetchannels")),
    LIST("user", NULL, NULL,
         .flags = DIRECTIVE_REPEATED | DIRECTIVE_SECRET | DIRECTIVE_HASH_WORDS | DIRECTIVE_IMMUTABLE),
    ENUM("sanitize-dump-payload", NULL, "no", WORDS("no", "yes", "clients")),

    /* -- memory -- */
    MEM("maxmemory", NULL, "0", 0, ULLONG_MAX),
    ENUM("maxmemory-policy", NULL, "noeviction",
         WORDS("volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru",
               "allkeys-lfu", "allkeys-random", "noeviction")),
    INT("maxmemory-samples", NULL, "5", 1, INT_MAX),
    INT("maxmemory-eviction-tenacity", NULL, "10", 0, 100),
    INT("lfu-log-factor", NULL, "10", 0, INT_MAX),
    INT("lfu-decay-time", NULL, "1", 0, INT_MAX),
    INT("active-expire-effort", NULL, "1", 1, 10),
    BOOL("activerehashing", NULL, "yes", KEPT),
    BOOL("lazyfree-lazy-eviction", NULL, "no", KEPT),
    BOOL("lazyfree-lazy-expire", NULL, "no", KEPT),
    BOOL("lazyfree-lazy-server-del", NULL, "no", KEPT),
    BOOL("lazyfree-lazy-user-del", NULL, "no", KEPT),
    BOOL("lazyfree-lazy-user-flush", NULL, "no", KEPT),
    BOOL("activedefrag", NULL, "no", KEPT),
    MEM("active-defrag-ignore-bytes", NULL, "104857600", 1, LLONG_MAX, KEPT),
    INT("active-defrag-threshold-lower", NULL, "10", 0, 1000, KEPT),
    INT("active-defrag-threshold-upper", NULL, "100", 0, 1000, KEPT),
    INT("active-defrag-cycle-min", NULL, "1", 1, 99, KEPT),
    INT("active-defrag-cycle-max", NULL, "25", 1, 99, KEPT),
    INT("active-defrag-max-scan-fields", NULL, "1000", 1, LONG_MAX, KEPT),
    ENUM("oom-score-adj", NULL, "no", WORDS("no", "yes", "relative", "absolute"), KEPT),
    CHECKED("oom-score-adj-values", NULL, "0 200 800", check_oom_values, KEPT),
    INT("tracking-table-max-keys", NULL, "1000000", 0, LONG_MAX),

    /* -- encodings -- */
    INT("hash-max-listpack-entries", "hash-max-ziplist-entries", "512", 0, LONG_MAX),
    MEM("hash-max-listpack-value", "hash-max-ziplist-value", "64", 0, LONG_MAX),
    INT("list-max-listpack-size", "list-max-ziplist-size", "-2", INT_MIN, INT_MAX),
    INT("list-compress-depth", NULL, "0", 0, INT_MAX),
    INT("set-max-intset-entries", NULL, "512", 0, LONG_MAX),
    INT("set-max-listpack-entries", NULL, "128", 0, LONG_MAX),
    INT("set-max-listpack-value", NULL, "64", 0, LONG_MAX),
    INT("zset-max-listpack-entries", "zset-max-ziplist-entries", "128", 0, LONG_MAX),
    MEM("zset-max-listpack-value", "zset-max-ziplist-value", "64", 0, LONG_MAX),
    MEM("hll-sparse-max-bytes", NULL, "3000", 0, LONG_MAX),
    MEM("stream-node-max-bytes", NULL, "4096", 0, LONG_MAX),
    INT("stream-node-max-entries", NULL, "100", 0, LLONG_MAX),

    /* -- snapshot and log -- */
    CHECKED("save", NULL, "3600 1 300 100 60 10000", check_save, .flags = DIRECTIVE_GATHERED),
    CHECKED("dir", NULL, "/var/lib/sluice", check_dir, .flags = DIRECTIVE_PROTECTED),
    CHECKED("dbfilename", NULL, "dump.rdb", check_file_name, .flags = DIRECTIVE_PROTECTED),
    CHECKED("snapshot-schedule", NULL, "off", check_schedule, OURS),
    INT("snapshot-keep", NULL, "7", 0, INT_MAX, OURS),
    BOOL("rdbcompression", NULL, "yes"),
    BOOL("rdbchecksum", NULL, "yes", FIXED),
    BOOL("rdb-del-sync-files", NULL, "no"),
    BOOL("rdb-save-incremental-fsync", NULL, "yes"),
    BOOL("stop-writes-on-bgsave-error", NULL, "yes"),
    BOOL("appendonly", NULL, "no"),
    TEXT("appendfilename", NULL, "appendonly.aof", FIXED),
    TEXT("appenddirname", NULL, "appendonlydir", FIXED),
    ENUM("appendfsync", NULL, "everysec", WORDS("everysec", "always", "no")),
    BOOL("no-appendfsync-on-rewrite", NULL, "no"),
    INT("auto-aof-rewrite-percentage", NULL, "100", 0, INT_MAX),
    MEM("auto-aof-rewrite-min-size", NULL, "67108864", 0, LLONG_MAX),
    BOOL("aof-load-truncated", NULL, "yes"),
    BOOL("aof-use-rdb-preamble", NULL, "yes"),
    BOOL("aof-timestamp-enabled", NULL, "no"),
    BOOL("aof-rewrite-incremental-fsync", NULL, "yes"),
    BOOL("aof-disable-auto-gc", NULL, "no"),
    INT("shutdown-timeout", NULL, "10", 0, INT_MAX),
    ENUM("shutdown-on-sigint", NULL, "default", exit_flags),
    ENUM("shutdown-on-sigterm", NULL, "default", exit_flags),

    /* -- replication -- */
    CHECKED("replicaof", "slaveof", "", check_replicaof, FIXED),
    TEXT("masteruser", NULL, ""),
    TEXT("masterauth", NULL, "", .flags = DIRECTIVE_SECRET),
    BOOL("replica-serve-stale-data", "slave-serve-stale-data", "yes"),
    BOOL("replica-read-only", "slave-read-only", "yes"),
    BOOL("replica-lazy-flush", "slave-lazy-flush", "no"),
    BOOL("replica-ignore-maxmemory", "slave-ignore-maxmemory", "yes"),
    BOOL("replica-announced", NULL, "yes"),
    TEXT("replica-announce-ip", "slave-announce-ip", ""),
    INT("replica-announce-port", "slave-announce-port", "0", 0, 65535),
    INT("replica-priority", "slave-priority", "100", 0, INT_MAX),
    BOOL("replica-ignore-disk-write-errors", NULL, "no"),
    BOOL("repl-disable-tcp-nodelay", NULL, "no"),
    BOOL("repl-diskless-sync", NULL, "yes"),
    INT("repl-diskless-sync-delay", NULL, "5", 0, INT_MAX),
    INT("repl-diskless-sync-max-replicas", NULL, "0", 0, INT_MAX),
    ENUM("repl-diskless-load", NULL, "disabled", WORDS("disabled", "on-empty-db", "swapdb")),
    INT("repl-ping-replica-period", "repl-ping-slave-period", "10", 1, INT_MAX),
    INT("repl-timeout", NULL, "60", 1, INT_MAX),
    MEM("repl-backlog-size", NULL, "1048576", 1, LLONG_MAX),
    INT("repl-backlog-ttl", NULL, "3600", 0, LONG_MAX),
    INT("min-replicas-to-write", "min-slaves-to-write", "0", 0, INT_MAX),
    INT("min-replicas-max-lag", "min-slaves-max-lag", "10", 0, INT_MAX),
    ENUM("propagation-error-behavior", NULL, "ignore", WORDS("ignore", "panic", "panic-on-replicas")),

    /* -- cluster -- */
    BOOL("cluster-enabled", NULL, "no", AT_START),
    TEXT("cluster-config-file", NULL, "nodes.conf", FIXED),
    INT("cluster-node-timeout", NULL, "15000", 0, LLONG_MAX),
    INT("cluster-port", NULL, "0", 0, 65535, FIXED),
    TEXT("cluster-announce-ip", NULL, ""),
    TEXT("cluster-announce-hostname", NULL, ""),
    TEXT("cluster-announce-human-nodename", NULL, ""),
    INT("cluster-announce-port", NULL, "0", 0, 65535),
    INT("cluster-announce-tls-port", NULL, "0", 0, 65535),
    INT("cluster-announce-bus-port", NULL, "0", 0, 65535),
    ENUM("cluster-preferred-endpoint-type", NULL, "ip", WORDS("ip", "hostname", "unknown-endpoint")),
    BOOL("cluster-require-full-coverage", NULL, "yes"),
    BOOL("cluster-allow-reads-when-down", NULL, "no"),
    BOOL("cluster-allow-pubsubshard-when-down", NULL, "yes"),
    BOOL("cluster-allow-replica-migration", NULL, "yes"),
    INT("cluster-migration-barrier", NULL, "1", 0, INT_MAX),
    BOOL("cluster-replica-no-failover", "cluster-slave-no-failover", "no"),
    INT("cluster-replica-validity-factor", "cluster-slave-validity-factor", "10", 0, INT_MAX),
    MEM("cluster-link-sendbuf-limit", NULL, "0", 0, ULLONG_MAX),

    /* -- scripts, events, latency, slow log -- */
    INT("busy-reply-threshold", "lua-time-limit", "5000", 0, LONG_MAX),
    CHECKED("notify-keyspace-events", NULL, "", check_events),
    INT("slowlog-log-slower-than", NULL, "10000", -1, LLONG_MAX),
    INT("slowlog-max-len", NULL, "128", 0, LONG_MAX),
    INT("latency-monitor-threshold", NULL, "0", 0, LLONG_MAX),
    BOOL("latency-tracking", NULL, "yes"),
    CHECKED("latency-tracking-info-percentiles", NULL, "50 99 99.9", check_percentiles),

    /* -- ours: workers and memory of the dataplane -- */
    INT("workers", NULL, "1", 1, 64, OURS_DATAPLANE),
    CHECKED("worker-cores", NULL, "auto", check_cores, OURS_DATAPLANE),
    ENUM("cluster-view", NULL, "none", WORDS("none", "workers"), OURS_DATAPLANE),
    INT("cluster-view-port", NULL, "7000", 1, 65535, OURS_DATAPLANE),
    ENUM("cross-node", NULL, "no", WORDS("no", "socket", "yes"), OURS_DATAPLANE),
    ENUM("tcp-congestion-control", NULL, "cubic", WORDS("cubic", "newreno"), OURS),
    BOOL("tcp-ecn", NULL, "yes", OURS),
    MEM("tcp-send-buffer", NULL, "4194304", 262144, 64 * MB, OURS),
    MEM("tcp-receive-buffer", NULL, "262144", 65536, 64 * MB, OURS_DATAPLANE),
    ENUM("idle-policy", NULL, "adaptive", WORDS("adaptive", "busy"), OURS),
    BOOL("tcp-syn-cookies", NULL, "yes", OURS),
    INT("tcp-user-timeout", NULL, "0", 0, INT_MAX, OURS),
    MEM("arena-size", NULL, "268435456", MB, LLONG_MAX, OURS_DATAPLANE),
    ENUM("hugepages", NULL, "auto", WORDS("auto", "yes", "no"), OURS_DATAPLANE),
    BOOL("warm-restart", NULL, "yes", OURS_DATAPLANE),
    MEM("script-memory-limit", NULL, "134217728", 2 * MB, LLONG_MAX, OURS),
    INT("mbuf-count", NULL, "0", 0, INT_MAX, OURS_DATAPLANE),

    /* -- ours: the data link -- */
    ENUM("link-type", NULL, "tap", WORDS("tap", "af_packet", "vhost", "virtio-user", "memif", "pci"),
         OURS_DATAPLANE),
    TEXT("link-name", NULL, "slu0", OURS_DATAPLANE),
    TEXT("link-path", NULL, "", OURS_DATAPLANE),
    TEXT("link-peer", NULL, "", OURS_DATAPLANE),
    TEXT("link-role", NULL, "", OURS_DATAPLANE),
    TEXT("link-options", NULL, "", OURS_DATAPLANE),
    CHECKED("link-mac", NULL, "", check_mac, OURS_DATAPLANE),
    INT("link-mtu", NULL, "1500", 576, 9600, OURS_DATAPLANE),
    INT("link-vlan", NULL, "0", 0, 4094, OURS_DATAPLANE),
    INT("link-queue-size", NULL, "1024", 32, 32768, OURS_DATAPLANE),
    ENUM("link-offload", NULL, "auto", WORDS("auto", "off"), OURS_DATAPLANE),
    CHECKED("link-address", NULL, NULL, check_address,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .apply = APPLY_DATAPLANE),
    CHECKED("link-gateway", NULL, NULL, check_gateway,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .apply = APPLY_DATAPLANE),

    CHECKED("link-route", NULL, NULL, check_route,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .apply = APPLY_DATAPLANE),
    BOOL("link-dad", NULL, "yes", OURS_DATAPLANE),

    /* -- ours: who may use the data port; of a repeated directive, max is how many. Not for its clients to
       change: immutable for them -- */
    CHECKED("listener", NULL, NULL, check_listener,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .max = 16),
    CHECKED("filter", NULL, NULL, check_filter,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .max = 1024),
    ENUM("filter-default", NULL, "permit", WORDS("permit", "deny"), OURS_FIXED),
    INT("connection-rate-limit", NULL, "0", 0, 1000000, OURS_FIXED),
    INT("connection-rate-burst", NULL, "0", 0, 1000000, OURS_FIXED),
    CHECKED("connection-rate-prefix", NULL, "32 64", check_rate_prefix, OURS_FIXED),

    /* -- ours: control -- */
    TEXT("stats-address", NULL, "127.0.0.1", OURS_CONTROL),
    INT("stats-port", NULL, "9121", 0, 65535, OURS_CONTROL),
    TEXT("management-socket", NULL, "/run/sluice/management.sock", OURS_CONTROL),
    TEXT("management-socket-group", NULL, "", OURS_CONTROL),
    CHECKED("management-role", NULL, NULL, check_management_role,
            .flags = DIRECTIVE_OURS | DIRECTIVE_IMMUTABLE | DIRECTIVE_REPEATED, .max = 256),
    TEXT("management-bind", NULL, "127.0.0.1", OURS_CONTROL),
    INT("management-port", NULL, "0", 0, 65535, OURS_CONTROL),
    TEXT("management-certificate", NULL, "management", OURS_CONTROL),
    TEXT("management-ca-cert-file", NULL, "", OURS_CONTROL),
    TEXT("dataplane-socket", NULL, "/run/sluice/dataplane.sock", OURS_CONTROL),
    TEXT("state-dir", NULL, "/var/lib/sluice", OURS_CONTROL),
    TEXT("control-user", NULL, "", OURS_CONTROL),
    TEXT("dataplane-user", NULL, "sluice-dataplane", OURS_CONTROL),
    ENUM("dataplane-seccomp", NULL, "enforce", WORDS("enforce", "log", "off"), OURS_CONTROL),
};

unsigned directive_count(void)
{
    return sizeof directives / sizeof directives[0];
}

int directive_find(const char *name)
{
    for (unsigned i = 0; i < directive_count(); i++)
        if (strcasecmp(directives[i].name, name) == 0 ||
            (directives[i].alias && strcasecmp(directives[i].alias, name) == 0))
            return (int)i;
    return -1;
}

bool directive_obsolete(const char *name)
{
    static const char *const gone[] = {"list-max-ziplist-entries", "list-max-ziplist-value",
                                       "lua-replicate-commands", NULL};
    for (const char *const *g = gone; *g; g++)
        if (strcasecmp(*g, name) == 0)
            return true;
    return false;
}

enum { NAME_MAX_LEN = 48 };

/* Edit distance of two short names (Levenshtein, two rows). */
static unsigned distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    unsigned row[NAME_MAX_LEN + 1];
    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
        return UINT_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        unsigned corner = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = corner + ((a[i - 1] | 0x20) != (b[j - 1] | 0x20));
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            corner = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *directive_nearest(const char *name)
{
    const char *found = NULL;
    unsigned best = strlen(name) / 3 + 1; /* more edits than that is another word */
    for (unsigned i = 0; i < directive_count(); i++) {
        unsigned d = distance(name, directives[i].name);
        if (d < best) {
            best = d;
            found = directives[i].name;
        }
    }
    return found;
}

/* persist_table.c: rows of the commands about what outlives this process or box: snapshots, the log, replicas; as Redis 7.2 answers
 * them in COMMAND INFO and COMMAND DOCS. https://redis.io/docs/latest/operate/oss_and_stack/management/persistence/ */
#include "command/server.h"

enum {
    ANYTIME = CMD_LOADING | CMD_STALE,
    SAVES = CMD_ADMIN | CMD_NOSCRIPT | CMD_NO_ASYNC_LOADING,
    REPLICATES = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE | CMD_NO_ASYNC_LOADING
};

static const char *const nondeterministic[] = {"nondeterministic_output", NULL};
static const char *const shards_min[] = {"request_policy:all_shards", "response_policy:agg_min", NULL};

#define PURE(n, t)                                                                                           \
    {                                                                                                        \
        .name = n, .type = "pure-token", .token = t                                                          \
    }
#define OPTIONAL_PURE(n, t, s)                                                                               \
    {                                                                                                        \
        .name = n, .type = "pure-token", .token = t, .since = s, .flags = ARG_OPTIONAL                       \
    }

static const struct command_arg save_selectors[] = {PURE("nosave", "NOSAVE"), PURE("save", "SAVE"), {NULL}};
static const struct command_arg shutdown_args[] = {
    {.name = "save-selector", .type = "oneof", .flags = ARG_OPTIONAL, .sub = save_selectors},
    OPTIONAL_PURE("now", "NOW", "7.0.0"),
    OPTIONAL_PURE("force", "FORCE", "7.0.0"),
    OPTIONAL_PURE("abort", "ABORT", "7.0.0"),
    {NULL}};
static const struct command_arg bgsave_args[] = {OPTIONAL_PURE("schedule", "SCHEDULE", "3.2.2"), {NULL}};

static const struct command_arg host_port[] = {
    {.name = "host", .type = "string"}, {.name = "port", .type = "integer"}, {NULL}};
static const struct command_arg no_one[] = {PURE("no", "NO"), PURE("one", "ONE"), {NULL}};
static const struct command_arg masters[] = {{.name = "host-port", .type = "block", .sub = host_port},
                                             {.name = "no-one", .type = "block", .sub = no_one},
                                             {NULL}};
static const struct command_arg replicaof_args[] = {{.name = "args", .type = "oneof", .sub = masters},
                                                    {NULL}};
static const struct command_arg failover_target[] = {{.name = "host", .type = "string"},
                                                     {.name = "port", .type = "integer"},
                                                     OPTIONAL_PURE("force", "FORCE", NULL),
                                                     {NULL}};
static const struct command_arg failover_args[] = {
    {.name = "target", .type = "block", .token = "TO", .flags = ARG_OPTIONAL, .sub = failover_target},
    OPTIONAL_PURE("abort", "ABORT", NULL),
    {.name = "milliseconds", .type = "integer", .token = "TIMEOUT", .flags = ARG_OPTIONAL},
    {NULL}};
static const struct command_arg wait_args[] = {
    {.name = "numreplicas", .type = "integer"}, {.name = "timeout", .type = "integer"}, {NULL}};
static const struct command_arg waitaof_args[] = {{.name = "numlocal", .type = "integer"},
                                                  {.name = "numreplicas", .type = "integer"},
                                                  {.name = "timeout", .type = "integer"},
                                                  {NULL}};

struct command commands_persist[] = {
    {.name = "role",
     .run = role_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | ANYTIME | CMD_FAST,
     .acl = ACL_ADMIN | ACL_DANGEROUS,
     .summary = "Returns the replication role.",
     .since = "2.8.12",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "replicaof",
     .run = replicaof_run,
     .arity = 3,
     .flags = REPLICATES | CMD_AUDITED,
     .args = replicaof_args,
     .summary = "Configures a server as replica of another, or promotes it to a master.",
     .since = "5.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "slaveof",
     .run = replicaof_run,
     .arity = 3,
     .flags = REPLICATES | CMD_AUDITED,
     .args = replicaof_args,
     .summary = "Sets a Redis server as a replica of another, or promotes it to being a master.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)",
     .deprecated_since = "5.0.0",
     .replaced_by = "`REPLICAOF`"},
    {.name = "failover",
     .run = failover_run,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_STALE | CMD_AUDITED,
     .args = failover_args,
     .summary = "Starts a coordinated failover from a server to one of its replicas.",
     .since = "6.2.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "wait",
     .run = wait_run,
     .arity = 3,
     .flags = CMD_BLOCKING,
     .acl = ACL_CONNECTION,
     .args = wait_args,
     .summary = "Blocks until the asynchronous replication of all preceding write commands sent by the "
                "connection is "
                "completed.",
     .since = "3.0.0",
     .group = "generic",
     .complexity = "O(1)",
     .tips = shards_min},
    {.name = "waitaof",
     .run = waitaof_run,
     .arity = 4,
     .flags = CMD_BLOCKING,
     .acl = ACL_CONNECTION,
     .args = waitaof_args,
     .summary = "Blocks until all of the preceding write commands sent by the connection are written to the "
                "append-only file of the master and/or replicas.",
     .since = "7.2.0",
     .group = "generic",
     .complexity = "O(1)",
     .tips = shards_min},
    {.name = "lastsave",
     .run = lastsave_run,
     .arity = 1,
     .flags = ANYTIME | CMD_FAST,
     .acl = ACL_ADMIN | ACL_DANGEROUS,
     .summary = "Returns the Unix timestamp of the last successful save to disk.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)",
     .tips = nondeterministic},
    {.name = "save",
     .run = save_run,
     .arity = 1,
     .flags = SAVES | CMD_NO_MULTI,
     .summary = "Synchronously saves the database(s) to disk.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) where N is the total number of keys in all databases"},
    {.name = "bgsave",
     .run = bgsave_run,
     .arity = -1,
     .flags = SAVES,
     .args = bgsave_args,
     .summary = "Asynchronously saves the database(s) to disk.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "bgrewriteaof",
     .run = bgrewriteaof_run,
     .arity = 1,
     .flags = SAVES,
     .summary = "Asynchronously rewrites the append-only file to disk.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(1)"},
    {.name = "shutdown",
     .run = shutdown_run,
     .arity = -1,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | ANYTIME | CMD_NO_MULTI | CMD_ALLOW_BUSY,
     .args = shutdown_args,
     .summary = "Synchronously saves the database(s) to disk and shuts down the Redis server.",
     .since = "1.0.0",
     .group = "server",
     .complexity = "O(N) when saving, where N is the total number of keys in all databases when saving data, "
                   "otherwise O(1)"},
    {NULL}};

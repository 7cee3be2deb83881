/* cluster_table.c: rows of the cluster commands as Redis 7.2 answers them in COMMAND INFO and COMMAND DOCS.
 * https://redis.io/docs/latest/commands/?group=cluster */
#include "command/cluster.h"

enum { ADMIN = CMD_ADMIN | CMD_STALE, CHANGE = CMD_ADMIN | CMD_STALE | CMD_NO_ASYNC_LOADING };

static const char *const nondeterministic[] = {"nondeterministic_output", NULL};

static const struct command_arg slots_args[] = {{.name = "slot", .type = "integer", .flags = ARG_MULTIPLE},
                                                {NULL}};
static const struct command_arg range[] = {
    {.name = "start-slot", .type = "integer"}, {.name = "end-slot", .type = "integer"}, {NULL}};
static const struct command_arg ranges_args[] = {
    {.name = "start-slot_end-slot", .type = "block", .flags = ARG_MULTIPLE, .sub = range}, {NULL}};
static const struct command_arg node_args[] = {{.name = "node-id", .type = "string"}, {NULL}};
static const struct command_arg slot_args[] = {{.name = "slot", .type = "integer"}, {NULL}};
static const struct command_arg slot_count_args[] = {
    {.name = "slot", .type = "integer"}, {.name = "count", .type = "integer"}, {NULL}};
static const struct command_arg key_args[] = {{.name = "key", .type = "string"}, {NULL}};
static const struct command_arg epoch_args[] = {{.name = "config-epoch", .type = "integer"}, {NULL}};
static const struct command_arg failover_options[] = {
    {.name = "force", .type = "pure-token", .token = "FORCE"},
    {.name = "takeover", .type = "pure-token", .token = "TAKEOVER"},
    {NULL}};
static const struct command_arg failover_args[] = {
    {.name = "options", .type = "oneof", .flags = ARG_OPTIONAL, .sub = failover_options}, {NULL}};
static const struct command_arg meet_args[] = {
    {.name = "ip", .type = "string"},
    {.name = "port", .type = "integer"},
    {.name = "cluster-bus-port", .type = "integer", .flags = ARG_OPTIONAL, .since = "4.0.0"},
    {NULL}};
static const struct command_arg reset_kinds[] = {{.name = "hard", .type = "pure-token", .token = "HARD"},
                                                 {.name = "soft", .type = "pure-token", .token = "SOFT"},
                                                 {NULL}};
static const struct command_arg reset_args[] = {
    {.name = "reset-type", .type = "oneof", .flags = ARG_OPTIONAL, .sub = reset_kinds}, {NULL}};
static const struct command_arg setslot_whats[] = {
    {.name = "importing", .type = "string", .token = "IMPORTING"},
    {.name = "migrating", .type = "string", .token = "MIGRATING"},
    {.name = "node", .type = "string", .token = "NODE"},
    {.name = "stable", .type = "pure-token", .token = "STABLE"},
    {NULL}};
static const struct command_arg setslot_args[] = {
    {.name = "slot", .type = "integer"},
    {.name = "subcommand", .type = "oneof", .sub = setslot_whats},
    {NULL}};

#define EACH_SLOT "O(N) where N is the total number of hash slot arguments"
#define EACH_RANGE                                                                                           \
    "O(N) where N is the total number of the slots between the start slot and end slot arguments."
#define EACH_NODE "O(N) where N is the total number of Cluster nodes"
#define ROW(name_, run_, arity_, flags_, since_, complexity_, summary_)                                      \
    .name = name_, .run = run_, .arity = arity_, .flags = flags_, .since = since_,                           \
    .complexity = complexity_, .summary = summary_, .group = "cluster"
#define FIXED(name_, arity_, since_, complexity_, summary_)                                                  \
    ROW(name_, cluster_fixed_run, arity_, CHANGE, since_, complexity_, summary_)

static const struct command subs[] = {
    {FIXED("addslots", -3, "3.0.0", EACH_SLOT, "Assigns new hash slots to a node."), .args = slots_args},
    {FIXED("addslotsrange", -4, "7.0.0", EACH_RANGE, "Assigns new hash slot ranges to a node."),
     .args = ranges_args},
    {FIXED("bumpepoch", 2, "3.0.0", "O(1)", "Advances the cluster config epoch."), .tips = nondeterministic},
    {ROW("count-failure-reports", cluster_failure_reports_run, 3, ADMIN, "3.0.0",
         "O(N) where N is the number of failure reports",
         "Returns the number of active failure reports active for a node."),
     .tips = nondeterministic, .args = node_args},
    {ROW("countkeysinslot", cluster_countkeysinslot_run, 3, CMD_STALE | CMD_WHOLE | CMD_ALL_KEYS, "3.0.0",
         "O(1)", "Returns the number of keys in a hash slot."),
     .args = slot_args},
    {FIXED("delslots", -3, "3.0.0", EACH_SLOT, "Sets hash slots as unbound for a node."), .args = slots_args},
    {FIXED("delslotsrange", -4, "7.0.0", EACH_RANGE, "Sets hash slot ranges as unbound for a node."),
     .args = ranges_args},
    {FIXED("failover", -2, "3.0.0", "O(1)", "Forces a replica to perform a manual failover of its master."),
     .args = failover_args},
    {FIXED("flushslots", 2, "3.0.0", "O(1)", "Deletes all slots information from a node.")},
    {FIXED("forget", 3, "3.0.0", "O(1)", "Removes a node from the nodes table."), .args = node_args},
    {ROW("getkeysinslot", cluster_getkeysinslot_run, 4, CMD_STALE | CMD_WHOLE | CMD_ALL_KEYS, "3.0.0",
         "O(N) where N is the number of requested keys", "Returns the key names in a hash slot."),
     .tips = nondeterministic, .args = slot_count_args},
    {ROW("help", cluster_help_run, 2, CMD_LOADING | CMD_STALE, "5.0.0", "O(1)",
         "Returns helpful text about the different subcommands.")},
    {ROW("info", cluster_info_run, 2, CMD_STALE, "3.0.0", "O(1)",
         "Returns information about the state of a node."),
     .tips = nondeterministic},
    {ROW("keyslot", cluster_keyslot_run, 3, CMD_STALE, "3.0.0",
         "O(N) where N is the number of bytes in the key", "Returns the hash slot for a key."),
     .args = key_args},
    {ROW("links", cluster_links_run, 2, CMD_STALE, "7.0.0", EACH_NODE,
         "Returns a list of all TCP links to and from peer nodes."),
     .tips = nondeterministic},
    {FIXED("meet", -4, "3.0.0", "O(1)", "Forces a node to handshake with another node."), .args = meet_args},
    {ROW("myid", cluster_myid_run, 2, CMD_STALE, "3.0.0", "O(1)", "Returns the ID of a node.")},
    {ROW("myshardid", cluster_myshardid_run, 2, CMD_STALE, "7.2.0", "O(1)",
         "Returns the shard ID of a node."),
     .tips = nondeterministic},
    {ROW("nodes", cluster_nodes_run, 2, CMD_STALE, "3.0.0", EACH_NODE,
         "Returns the cluster configuration for a node."),
     .tips = nondeterministic},
    {ROW("replicas", cluster_replicas_run, 3, ADMIN, "5.0.0", "O(1)",
         "Lists the replica nodes of a master node."),
     .tips = nondeterministic, .args = node_args},
    {FIXED("replicate", 3, "3.0.0", "O(1)", "Configure a node as replica of a master node."),
     .args = node_args},
    {ROW("reset", cluster_fixed_run, -2, ADMIN | CMD_NOSCRIPT, "3.0.0",
         "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side effect.",
         "Resets a node."),
     .args = reset_args},
    {ROW("saveconfig", cluster_saveconfig_run, 2, CHANGE, "3.0.0", "O(1)",
         "Forces a node to save the cluster configuration to disk.")},
    {FIXED("set-config-epoch", 3, "3.0.0", "O(1)", "Sets the configuration epoch for a new node."),
     .args = epoch_args},
    {FIXED("setslot", -4, "3.0.0", "O(1)", "Binds a hash slot to a node."), .args = setslot_args},
    {ROW("shards", cluster_shards_run, 2, CMD_STALE, "7.0.0",
         "O(N) where N is the total number of cluster nodes",
         "Returns the mapping of cluster slots to shards."),
     .tips = nondeterministic},
    {ROW("slaves", cluster_replicas_run, 3, ADMIN, "3.0.0", "O(1)",
         "Lists the replica nodes of a master node."),
     .deprecated_since = "5.0.0", .replaced_by = "`CLUSTER REPLICAS`", .tips = nondeterministic,
     .args = node_args},
    {ROW("slots", cluster_slots_run, 2, CMD_STALE, "3.0.0", EACH_NODE,
         "Returns the mapping of cluster slots to nodes."),
     .deprecated_since = "7.0.0", .replaced_by = "`CLUSTER SHARDS`", .tips = nondeterministic},
    {0}};

struct command commands_cluster[] = {
    {ROW("readonly", readonly_run, 1, CMD_LOADING | CMD_STALE | CMD_FAST, "3.0.0", "O(1)",
         "Enables read-only queries for a connection to a Redis Cluster replica node."),
     .acl = ACL_CONNECTION},
    {ROW("readwrite", readwrite_run, 1, CMD_LOADING | CMD_STALE | CMD_FAST, "3.0.0", "O(1)",
         "Enables read-write queries for a connection to a Redis Cluster replica node."),
     .acl = ACL_CONNECTION},
    {ROW("asking", asking_run, 1, CMD_FAST, "3.0.0", "O(1)",
         "Signals that a cluster client is following an -ASK redirect."),
     .acl = ACL_CONNECTION},
    {ROW("cluster", NULL, -2, 0, "3.0.0", "Depends on subcommand.",
         "A container for Redis Cluster commands."),
     .sub = subs},
    {0}};

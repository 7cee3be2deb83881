/* hyperloglog_table.c: rows of the HyperLogLog commands.
 * https://redis.io/docs/latest/commands/?group=hyperloglog Facts as COMMAND and COMMAND DOCS of Redis 7.2
 * tell them. */
#include "command/hyperloglog.h"
#include "command/key_rows.h"

static const struct command_arg pfadd_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "element", .type = "string", .flags = ARG_OPTIONAL | ARG_MULTIPLE},
    {0},
};

static const struct command_arg pfcount_args[] = {
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {0},
};

static const struct command_arg pfmerge_args[] = {
    {.name = "destkey", .type = "key", .key_spec = 1},
    {.name = "sourcekey", .type = "key", .flags = ARG_OPTIONAL | ARG_MULTIPLE, .key_spec = 2},
    {0},
};

static const struct command_arg pfdebug_args[] = {
    {.name = "subcommand", .type = "string"},
    {.name = "key", .type = "key", .key_spec = 1},
    {0},
};

struct command commands_hyperloglog[] = {
    {.name = "pfadd",
     .run = pfadd_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_HYPERLOGLOG,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Adds elements to a HyperLogLog key. Creates the key if it doesn't exist.",
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "O(1) to add every element.",
     .args = pfadd_args},
    {.name = "pfcount",
     .run = pfcount_command,
     .arity = -2,
     .flags = CMD_READONLY | CMD_MAY_REPLICATE,
     .acl = ACL_HYPERLOGLOG,
     .key = {KEY_NOTED(1, -1, 1, KEY_RW | KEY_ACCESS,
                       "RW because it may change the internal representation of the key, and propagate to "
                       "replicas")},
     .summary = "Returns the approximated cardinality of the set(s) observed by the HyperLogLog key(s).",
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity =
         "O(1) with a very small average constant time when called with a single key. O(N) with N being "
         "the number of keys, and much bigger constant times, when called with multiple keys.",
     .args = pfcount_args},
    {.name = "pfmerge",
     .run = pfmerge_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_HYPERLOGLOG,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_INSERT), KEY_RANGE(2, -1, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Merges one or more HyperLogLog values into a single key.",
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "O(N) to merge N HyperLogLogs, but with high constant times.",
     .args = pfmerge_args},
    {.name = "pfdebug",
     .run = pfdebug_command,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_ADMIN | CMD_SYSCMD,
     .acl = ACL_HYPERLOGLOG,
     .key = {KEY_AT(2, KEY_RW | KEY_ACCESS)},
     .summary = "Internal commands for debugging HyperLogLog values.",
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "N/A",
     .args = pfdebug_args},
    {.name = "pfselftest",
     .run = pfselftest_command,
     .arity = 1,
     .flags = CMD_ADMIN | CMD_SYSCMD,
     .acl = ACL_HYPERLOGLOG,
     .summary = "An internal command for testing HyperLogLog values.",
     .since = "2.8.9",
     .group = "hyperloglog",
     .complexity = "N/A"},
    {0},
};

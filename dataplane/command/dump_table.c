/* dump_table.c: rows of DUMP and RESTORE. https://redis.io/docs/latest/commands/?group=generic
 * Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/generic.h"
#include "command/key_rows.h"

static const char *const tips_random[] = {"nondeterministic_output", NULL};

static const struct command_arg dump_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {0},
};

static const struct command_arg restore_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "ttl", .type = "integer"},
    {.name = "serialized-value", .type = "string"},
    {.name = "replace", .type = "pure-token", .token = "REPLACE", .since = "3.0.0", .flags = ARG_OPTIONAL},
    {.name = "absttl", .type = "pure-token", .token = "ABSTTL", .since = "5.0.0", .flags = ARG_OPTIONAL},
    {.name = "seconds", .type = "integer", .token = "IDLETIME", .since = "5.0.0", .flags = ARG_OPTIONAL},
    {.name = "frequency", .type = "integer", .token = "FREQ", .since = "5.0.0", .flags = ARG_OPTIONAL},
    {0},
};

static const char restore_cost[] = "O(1) to create the new key and additional O(N*M) to reconstruct the "
                                   "serialized value, where N is the number of "
                                   "Redis objects composing the value and M their average size. For small "
                                   "string values the time complexity is thus "
                                   "O(1)+O(1*M) where M is small, so simply O(1). However for sorted set "
                                   "values the complexity is O(N*M*log(N)) "
                                   "because inserting values into sorted sets is O(log(N)).";

struct command commands_dump[] = {
    {.name = "dump",
     .run = dump_command,
     .arity = 2,
     .flags = CMD_READONLY,
     .acl = ACL_KEYSPACE,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns a serialized representation of the value stored at a key.",
     .since = "2.6.0",
     .group = "generic",
     .complexity =
         "O(1) to access the key and additional O(N*M) to serialize it, where N is the number of Redis "
         "objects composing the value and M their average size. For small string values the time complexity "
         "is thus O(1)+O(1*M) where M is small, so simply O(1).",
     .tips = tips_random,
     .args = dump_args},
    {.name = "restore",
     .run = restore_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_KEYSPACE | ACL_DANGEROUS,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE)},
     .summary = "Creates a key from the serialized representation of a value.",
     .since = "2.6.0",
     .group = "generic",
     .complexity = restore_cost,
     .args = restore_args},
    {.name = "restore-asking",
     .run = restore_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_ASKING | CMD_SYSCMD,
     .acl = ACL_KEYSPACE | ACL_DANGEROUS,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE)},
     .summary = "An internal command for migrating keys in a cluster.",
     .since = "3.0.0",
     .group = "server",
     .complexity = restore_cost,
     .args = restore_args},
    {0},
};

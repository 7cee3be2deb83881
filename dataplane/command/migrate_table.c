/* migrate_table.c: the row of MIGRATE. https://redis.io/docs/latest/commands/migrate/
 * Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/generic.h"
#include "command/key_rows.h"

static const char *const tips_random[] = {"nondeterministic_output", NULL};

static const struct command_arg key_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "empty_string", .type = "pure-token", .token = ""},
    {0},
};

static const struct command_arg user_args[] = {
    {.name = "username", .type = "string"},
    {.name = "password", .type = "string"},
    {0},
};

static const struct command_arg authentication_args[] = {
    {.name = "password", .type = "string", .token = "AUTH", .since = "4.0.7"},
    {.name = "username_password", .type = "block", .token = "AUTH2", .since = "6.0.0", .sub = user_args},
    {0},
};

static const struct command_arg migrate_args[] = {
    {.name = "host", .type = "string"},
    {.name = "port", .type = "integer"},
    {.name = "key_or_empty_string", .type = "oneof", .sub = key_args},
    {.name = "destination-db", .type = "integer"},
    {.name = "timeout", .type = "integer"},
    {.name = "copy", .type = "pure-token", .token = "COPY", .since = "3.0.0", .flags = ARG_OPTIONAL},
    {.name = "replace", .type = "pure-token", .token = "REPLACE", .since = "3.0.0", .flags = ARG_OPTIONAL},
    {.name = "authentication", .type = "oneof", .flags = ARG_OPTIONAL, .sub = authentication_args},
    {.name = "key",
     .type = "key",
     .token = "KEYS",
     .since = "3.0.6",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE,
     .key_spec = 2},
    {0},
};

struct command commands_migrate[] = {
    {.name = "migrate",
     .run = migrate_command,
     .arity = -6,
     .flags = CMD_WRITE | CMD_MOVABLE_KEYS | CMD_REMOTE,
     .acl = ACL_KEYSPACE | ACL_DANGEROUS,
     .key = {KEY_AT(3, KEY_RW | KEY_ACCESS | KEY_DELETE),
             {.flags = KEY_RW | KEY_ACCESS | KEY_DELETE | KEY_INCOMPLETE,
              .begin = KEYS_AT_KEYWORD,
              .keyword = "KEYS",
              .index = -2,
              .find = KEYS_RANGE,
              .last = -1,
              .step = 1}},
     .getkeys = migrate_getkeys,
     .summary = "Atomically transfers a key from one Redis instance to another.",
     .since = "2.6.0",
     .group = "generic",
     .complexity = "This command actually executes a DUMP+DEL in the source instance, and a RESTORE in the "
                   "target instance. See the pages of these commands for time complexity. Also an O(N) data "
                   "transfer between the two instances is performed.",
     .tips = tips_random,
     .args = migrate_args},
    {0},
};

/* blocking_table.c: rows of the commands that wait for lists and sorted sets.
 * https://redis.io/docs/latest/commands/blpop/ and its kin. Facts as COMMAND and COMMAND DOCS of Redis 7.2
 * tell them. */
#include "command/key_rows.h"
#include "command/lists.h"
#include "command/zset_commands.h"

static const struct command_arg pop_args[] = {
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "timeout", .type = "double"},
    {0},
};

static const struct command_arg end_args[] = {
    {.name = "left", .type = "pure-token", .token = "LEFT"},
    {.name = "right", .type = "pure-token", .token = "RIGHT"},
    {0},
};

static const struct command_arg move_args[] = {
    {.name = "source", .type = "key", .key_spec = 1},
    {.name = "destination", .type = "key", .key_spec = 2},
    {.name = "wherefrom", .type = "oneof", .sub = end_args},
    {.name = "whereto", .type = "oneof", .sub = end_args},
    {.name = "timeout", .type = "double"},
    {0},
};

static const struct command_arg brpoplpush_args[] = {
    {.name = "source", .type = "key", .key_spec = 1},
    {.name = "destination", .type = "key", .key_spec = 2},
    {.name = "timeout", .type = "double"},
    {0},
};

static const struct command_arg blmpop_args[] = {
    {.name = "timeout", .type = "double"},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "where", .type = "oneof", .sub = end_args},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg score_args[] = {
    {.name = "min", .type = "pure-token", .token = "MIN"},
    {.name = "max", .type = "pure-token", .token = "MAX"},
    {0},
};

static const struct command_arg bzmpop_args[] = {
    {.name = "timeout", .type = "double"},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "where", .type = "oneof", .sub = score_args},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

struct command commands_blocking[] = {
    {.name = "blpop",
     .run = blpop_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING,
     .acl = ACL_LIST,
     .key = {KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Removes and returns the first element in a list. Blocks until an element is available "
                "otherwise. Deletes the list if the last element was popped.",
     .since = "2.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of provided keys.",
     .args = pop_args},
    {.name = "brpop",
     .run = brpop_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING,
     .acl = ACL_LIST,
     .key = {KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Removes and returns the last element in a list. Blocks until an element is available "
                "otherwise. Deletes the list if the last element was popped.",
     .since = "2.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of provided keys.",
     .args = pop_args},
    {.name = "blmove",
     .run = blmove_command,
     .arity = 6,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_NOSCRIPT | CMD_BLOCKING,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT)},
     .summary = "Pops an element from a list, pushes it to another list and returns it. Blocks until an "
                "element is available otherwise. Deletes the list if the last element was moved.",
     .since = "6.2.0",
     .group = "list",
     .complexity = "O(1)",
     .args = move_args},
    {.name = "brpoplpush",
     .run = brpoplpush_command,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_NOSCRIPT | CMD_BLOCKING,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT)},
     .summary = "Pops an element from a list, pushes it to another list and returns it. Block until an "
                "element is available otherwise. Deletes the list if the last element was popped.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(1)",
     .deprecated_since = "6.2.0",
     .replaced_by = "`BLMOVE` with the `RIGHT` and `LEFT` arguments",
     .args = brpoplpush_args},
    {.name = "blmpop",
     .run = blmpop_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .acl = ACL_LIST,
     .key = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE,
              .begin = KEYS_AT_INDEX,
              .index = 2,
              .find = KEYS_NUM,
              .limit = 1,
              .step = 1}},
     .summary = "Pops the first element from one of multiple lists. Blocks until an element is available "
                "otherwise. Deletes the list if the last element was popped.",
     .since = "7.0.0",
     .group = "list",
     .complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
     .args = blmpop_args},
    {.name = "bzpopmin",
     .run = bzpopmin_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary =
         "Removes and returns the member with the lowest score from one or more sorted sets. Blocks until a "
         "member is available otherwise. Deletes the sorted set if the last element was popped.",
     .since = "5.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
     .args = pop_args},
    {.name = "bzpopmax",
     .run = bzpopmax_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_NOSCRIPT | CMD_BLOCKING | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_RANGE(1, -2, 1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Removes and returns the member with the highest score from one or more sorted sets. Blocks "
                "until a member available otherwise.  Deletes the sorted set if the last element was popped.",
     .since = "5.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
     .args = pop_args},
    {.name = "bzmpop",
     .run = bzmpop_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE,
              .begin = KEYS_AT_INDEX,
              .index = 2,
              .find = KEYS_NUM,
              .limit = 1,
              .step = 1}},
     .summary = "Removes and returns a member by score from one or more sorted sets. Blocks until a member "
                "is available otherwise. Deletes the sorted set if the last element was popped.",
     .since = "7.0.0",
     .group = "sorted-set",
     .complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of "
                   "elements in the sorted set, and M being the number of elements popped.",
     .args = bzmpop_args},
    {0},
};

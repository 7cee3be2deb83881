/* sort_table.c: rows of SORT and SORT_RO. https://redis.io/docs/latest/commands/sort/, sort_ro/ Facts as
 * COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/sort.h"
#include "command/key_rows.h"

static const struct command_arg sort_offset_count_args[] = {
    {.name = "offset", .type = "integer"},
    {.name = "count", .type = "integer"},
    {0},
};

static const struct command_arg sort_order_args[] = {
    {.name = "asc", .type = "pure-token", .token = "ASC"},
    {.name = "desc", .type = "pure-token", .token = "DESC"},
    {0},
};

static const struct command_arg sort_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "pattern", .type = "pattern", .token = "BY", .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = sort_offset_count_args},
    {.name = "pattern",
     .type = "pattern",
     .token = "GET",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE | ARG_MULTIPLE_TOKEN},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = sort_order_args},
    {.name = "sorting", .type = "pure-token", .token = "ALPHA", .flags = ARG_OPTIONAL},
    {.name = "destination", .type = "key", .token = "STORE", .flags = ARG_OPTIONAL, .key_spec = 3},
    {0},
};

static const struct command_arg sort_ro_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "pattern", .type = "pattern", .token = "BY", .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = sort_offset_count_args},
    {.name = "pattern",
     .type = "pattern",
     .token = "GET",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE | ARG_MULTIPLE_TOKEN},
    {.name = "order", .type = "oneof", .flags = ARG_OPTIONAL, .sub = sort_order_args},
    {.name = "sorting", .type = "pure-token", .token = "ALPHA", .flags = ARG_OPTIONAL},
    {0},
};

struct command commands_sort[] = {
    {.name = "sort",
     .run = sort_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_SET | ACL_SORTEDSET | ACL_LIST | ACL_DANGEROUS,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS),
             {.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_UNKNOWN,
              .find = KEYS_FIND_UNKNOWN,
              .notes = "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive "
                       "from the content of the key we sort"},
             {.flags = KEY_OW | KEY_UPDATE,
              .begin = KEYS_UNKNOWN,
              .find = KEYS_FIND_UNKNOWN,
              .notes = "For the optional STORE keyword. It is marked 'unknown' because the keyword can "
                       "appear anywhere in the argument array"}},
     .summary = "Sorts the elements in a list, a set, or a sorted set, optionally storing the result.",
     .since = "1.0.0",
     .group = "generic",
     .complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the "
                   "number of returned elements. When the elements are not sorted, complexity is O(N).",
     .args = sort_args,
     .getkeys = sort_getkeys,
     .reaches = sort_reaches},
    {.name = "sort_ro",
     .run = sort_ro_command,
     .arity = -2,
     .flags = CMD_READONLY | CMD_MOVABLE_KEYS,
     .acl = ACL_SET | ACL_SORTEDSET | ACL_LIST | ACL_DANGEROUS,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS),
             {.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_UNKNOWN,
              .find = KEYS_FIND_UNKNOWN,
              .notes = "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive "
                       "from the content of the key we sort"}},
     .summary = "Returns the sorted elements of a list, a set, or a sorted set.",
     .since = "7.0.0",
     .group = "generic",
     .complexity = "O(N+M*log(M)) where N is the number of elements in the list or set to sort, and M the "
                   "number of returned elements. When the elements are not sorted, complexity is O(N).",
     .args = sort_ro_args,
     .getkeys = sort_ro_getkeys,
     .reaches = sort_reaches},
    {0},
};

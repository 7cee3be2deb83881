/* zset_table_more.c: rows of the sorted set commands that pop, draw and combine.
 * https://redis.io/docs/latest/commands/?group=sorted-set Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell
 * them. */
#include "command/zset_commands.h"
#include "command/key_rows.h"

static const char *const tips_random[] = {"nondeterministic_output", NULL};

static const struct command_arg zpopmin_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "count", .type = "integer", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zmpop_where_args[] = {
    {.name = "min", .type = "pure-token", .token = "MIN"},
    {.name = "max", .type = "pure-token", .token = "MAX"},
    {0},
};

static const struct command_arg zmpop_args[] = {
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "where", .type = "oneof", .sub = zmpop_where_args},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zrandmember_options_args[] = {
    {.name = "count", .type = "integer"},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zrandmember_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "options", .type = "block", .flags = ARG_OPTIONAL, .sub = zrandmember_options_args},
    {0},
};

static const struct command_arg zscan_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "cursor", .type = "integer"},
    {.name = "pattern", .type = "pattern", .token = "MATCH", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zunion_aggregate_args[] = {
    {.name = "sum", .type = "pure-token", .token = "SUM"},
    {.name = "min", .type = "pure-token", .token = "MIN"},
    {.name = "max", .type = "pure-token", .token = "MAX"},
    {0},
};

static const struct command_arg zunion_args[] = {
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "weight", .type = "integer", .token = "WEIGHTS", .flags = ARG_OPTIONAL | ARG_MULTIPLE},
    {.name = "aggregate",
     .type = "oneof",
     .token = "AGGREGATE",
     .flags = ARG_OPTIONAL,
     .sub = zunion_aggregate_args},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zdiff_args[] = {
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zintercard_args[] = {
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "limit", .type = "integer", .token = "LIMIT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zunionstore_args[] = {
    {.name = "destination", .type = "key", .key_spec = 1},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 2},
    {.name = "weight", .type = "integer", .token = "WEIGHTS", .flags = ARG_OPTIONAL | ARG_MULTIPLE},
    {.name = "aggregate",
     .type = "oneof",
     .token = "AGGREGATE",
     .flags = ARG_OPTIONAL,
     .sub = zunion_aggregate_args},
    {0},
};

static const struct command_arg zdiffstore_args[] = {
    {.name = "destination", .type = "key", .key_spec = 1},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 2},
    {0},
};

struct command commands_zset_more[] = {
    {.name = "zpopmin",
     .run = zpopmin_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Returns the lowest-scoring members from a sorted set after removing them. Deletes the "
                "sorted set if the last member was popped.",
     .since = "5.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the "
                   "number of elements popped.",
     .args = zpopmin_args},
    {.name = "zpopmax",
     .run = zpopmax_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Returns the highest-scoring members from a sorted set after removing them. Deletes the "
                "sorted set if the last member was popped.",
     .since = "5.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)*M) with N being the number of elements in the sorted set, and M being the "
                   "number of elements popped.",
     .args = zpopmin_args},
    {.name = "zmpop",
     .run = zmpop_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Returns the highest- or lowest-scoring members from one or more sorted sets after removing "
                "them. Deletes the sorted set if the last member was popped.",
     .since = "7.0.0",
     .group = "sorted-set",
     .complexity = "O(K) + O(M*log(N)) where K is the number of provided keys, N being the number of "
                   "elements in the sorted set, and M being the number of elements popped.",
     .args = zmpop_args},
    {.name = "zrandmember",
     .run = zrandmember_command,
     .arity = -2,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns one or more random members from a sorted set.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(N) where N is the number of elements returned",
     .tips = tips_random,
     .args = zrandmember_args},
    {.name = "zscan",
     .run = zscan_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Iterates over members and scores of a sorted set.",
     .since = "2.8.0",
     .group = "sorted-set",
     .complexity = "O(1) for every call. O(N) for a complete iteration, including enough command calls for "
                   "the cursor to return back to 0. N is the number of elements inside the collection..",
     .tips = tips_random,
     .args = zscan_args},
    {.name = "zunion",
     .run = zunion_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Returns the union of multiple sorted sets.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(N)+O(M*log(M)) with N being the sum of the sizes of the input sorted sets, and M being "
                   "the number of elements in the resulting sorted set.",
     .args = zunion_args},
    {.name = "zinter",
     .run = zinter_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Returns the intersect of multiple sorted sets.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity =
         "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of "
         "input sorted sets and M being the number of elements in the resulting sorted set.",
     .args = zunion_args},
    {.name = "zdiff",
     .run = zdiff_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Returns the difference between multiple sorted sets.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N "
                   "is the size of the first set, and K is the size of the result set.",
     .args = zdiff_args},
    {.name = "zintercard",
     .run = zintercard_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Returns the number of members of the intersect of multiple sorted sets.",
     .since = "7.0.0",
     .group = "sorted-set",
     .complexity = "O(N*K) worst case with N being the smallest input sorted set, K being the number of "
                   "input sorted sets.",
     .args = zintercard_args},
    {.name = "zunionstore",
     .run = zunionstore_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE),
             {.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 2,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Stores the union of multiple sorted sets in a key.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity = "O(N)+O(M log(M)) with N being the sum of the sizes of the input sorted sets, and M being "
                   "the number of elements in the resulting sorted set.",
     .args = zunionstore_args},
    {.name = "zinterstore",
     .run = zinterstore_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE),
             {.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 2,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Stores the intersect of multiple sorted sets in a key.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity =
         "O(N*K)+O(M*log(M)) worst case with N being the smallest input sorted set, K being the number of "
         "input sorted sets and M being the number of elements in the resulting sorted set.",
     .args = zunionstore_args},
    {.name = "zdiffstore",
     .run = zdiffstore_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_MOVABLE_KEYS,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE),
             {.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_INDEX,
              .index = 2,
              .find = KEYS_NUM,
              .last = 0,
              .step = 1,
              .limit = 1}},
     .summary = "Stores the difference of multiple sorted sets in a key.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(L + (N-K)log(N)) worst case where L is the total number of elements in all the sets, N "
                   "is the size of the first set, and K is the size of the result set.",
     .args = zdiffstore_args},
    {0},
};

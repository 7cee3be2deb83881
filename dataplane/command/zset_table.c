/* zset_table.c: rows of the sorted set commands on one key.
 * https://redis.io/docs/latest/commands/?group=sorted-set Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell
 * them. */
#include "command/zset_commands.h"
#include "command/key_rows.h"

static const struct command_arg zadd_condition_args[] = {
    {.name = "nx", .type = "pure-token", .token = "NX"},
    {.name = "xx", .type = "pure-token", .token = "XX"},
    {0},
};

static const struct command_arg zadd_comparison_args[] = {
    {.name = "gt", .type = "pure-token", .token = "GT"},
    {.name = "lt", .type = "pure-token", .token = "LT"},
    {0},
};

static const struct command_arg zadd_score_member_args[] = {
    {.name = "score", .type = "double"},
    {.name = "member", .type = "string"},
    {0},
};

static const struct command_arg zadd_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "condition",
     .type = "oneof",
     .since = "3.0.2",
     .flags = ARG_OPTIONAL,
     .sub = zadd_condition_args},
    {.name = "comparison",
     .type = "oneof",
     .since = "6.2.0",
     .flags = ARG_OPTIONAL,
     .sub = zadd_comparison_args},
    {.name = "change", .type = "pure-token", .token = "CH", .since = "3.0.2", .flags = ARG_OPTIONAL},
    {.name = "increment", .type = "pure-token", .token = "INCR", .since = "3.0.2", .flags = ARG_OPTIONAL},
    {.name = "score_member", .type = "block", .flags = ARG_MULTIPLE, .sub = zadd_score_member_args},
    {0},
};

static const struct command_arg zincrby_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "increment", .type = "integer"},
    {.name = "member", .type = "string"},
    {0},
};

static const struct command_arg zrem_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg zcard_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {0},
};

static const struct command_arg zscore_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string"},
    {0},
};

static const struct command_arg zrank_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "member", .type = "string"},
    {.name = "withscore",
     .type = "pure-token",
     .token = "WITHSCORE",
     .since = "7.2.0",
     .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zcount_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "min", .type = "double"},
    {.name = "max", .type = "double"},
    {0},
};

static const struct command_arg zlexcount_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "min", .type = "string"},
    {.name = "max", .type = "string"},
    {0},
};

static const struct command_arg zrange_sortby_args[] = {
    {.name = "byscore", .type = "pure-token", .token = "BYSCORE"},
    {.name = "bylex", .type = "pure-token", .token = "BYLEX"},
    {0},
};

static const struct command_arg zrange_offset_count_args[] = {
    {.name = "offset", .type = "integer"},
    {.name = "count", .type = "integer"},
    {0},
};

static const struct command_arg zrange_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "start", .type = "string"},
    {.name = "stop", .type = "string"},
    {.name = "sortby", .type = "oneof", .since = "6.2.0", .flags = ARG_OPTIONAL, .sub = zrange_sortby_args},
    {.name = "rev", .type = "pure-token", .token = "REV", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .since = "6.2.0",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zrangestore_args[] = {
    {.name = "dst", .type = "key", .key_spec = 1},
    {.name = "src", .type = "key", .key_spec = 2},
    {.name = "min", .type = "string"},
    {.name = "max", .type = "string"},
    {.name = "sortby", .type = "oneof", .flags = ARG_OPTIONAL, .sub = zrange_sortby_args},
    {.name = "rev", .type = "pure-token", .token = "REV", .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {0},
};

static const struct command_arg zrevrange_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "start", .type = "integer"},
    {.name = "stop", .type = "integer"},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg zrangebyscore_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "min", .type = "double"},
    {.name = "max", .type = "double"},
    {.name = "withscores",
     .type = "pure-token",
     .token = "WITHSCORES",
     .since = "2.0.0",
     .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {0},
};

static const struct command_arg zrevrangebyscore_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "max", .type = "double"},
    {.name = "min", .type = "double"},
    {.name = "withscores", .type = "pure-token", .token = "WITHSCORES", .flags = ARG_OPTIONAL},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {0},
};

static const struct command_arg zrangebylex_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "min", .type = "string"},
    {.name = "max", .type = "string"},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {0},
};

static const struct command_arg zrevrangebylex_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "max", .type = "string"},
    {.name = "min", .type = "string"},
    {.name = "offset_count",
     .type = "block",
     .token = "LIMIT",
     .flags = ARG_OPTIONAL,
     .sub = zrange_offset_count_args},
    {0},
};

static const struct command_arg zremrangebyrank_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "start", .type = "integer"},
    {.name = "stop", .type = "integer"},
    {0},
};

struct command commands_zset[] = {
    {.name = "zadd",
     .run = zadd_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)},
     .summary = "Adds one or more members to a sorted set, or updates their scores. Creates the key if it "
                "doesn't exist.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)) for each item added, where N is the number of elements in the sorted set.",
     .args = zadd_args},
    {.name = "zincrby",
     .run = zincrby_command,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE)},
     .summary = "Increments the score of a member in a sorted set.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)) where N is the number of elements in the sorted set.",
     .args = zincrby_args},
    {.name = "zrem",
     .run = zrem_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary =
         "Removes one or more members from a sorted set. Deletes the sorted set if all members were removed.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(M*log(N)) with N being the number of elements in the sorted set and M the number of "
                   "elements to be removed.",
     .args = zrem_args},
    {.name = "zcard",
     .run = zcard_command,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO)},
     .summary = "Returns the number of members in a sorted set.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(1)",
     .args = zcard_args},
    {.name = "zscore",
     .run = zscore_command,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the score of a member in a sorted set.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(1)",
     .args = zscore_args},
    {.name = "zmscore",
     .run = zmscore_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the score of one or more members in a sorted set.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(N) where N is the number of members being requested.",
     .args = zrem_args},
    {.name = "zrank",
     .run = zrank_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the index of a member in a sorted set ordered by ascending scores.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N))",
     .args = zrank_args},
    {.name = "zrevrank",
     .run = zrevrank_command,
     .arity = -3,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the index of a member in a sorted set ordered by descending scores.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N))",
     .args = zrank_args},
    {.name = "zcount",
     .run = zcount_command,
     .arity = 4,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the count of members in a sorted set that have scores within a range.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
     .args = zcount_args},
    {.name = "zlexcount",
     .run = zlexcount_command,
     .arity = 4,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the number of members in a sorted set within a lexicographical range.",
     .since = "2.8.9",
     .group = "sorted-set",
     .complexity = "O(log(N)) with N being the number of elements in the sorted set.",
     .args = zlexcount_args},
    {.name = "zrange",
     .run = zrange_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a range of indexes.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements returned.",
     .args = zrange_args},
    {.name = "zrangestore",
     .run = zrangestore_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_OW | KEY_UPDATE), KEY_AT(2, KEY_RO | KEY_ACCESS)},
     .summary = "Stores a range of members from sorted set in a key.",
     .since = "6.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements stored into the destination key.",
     .args = zrangestore_args},
    {.name = "zrevrange",
     .run = zrevrange_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a range of indexes in reverse order.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements returned.",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` argument",
     .args = zrevrange_args},
    {.name = "zrangebyscore",
     .run = zrangebyscore_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a range of scores.",
     .since = "1.0.5",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements being returned. If M is constant (e.g. always asking for the first 10 elements "
                   "with LIMIT), you can consider it O(log(N)).",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `BYSCORE` argument",
     .args = zrangebyscore_args},
    {.name = "zrevrangebyscore",
     .run = zrevrangebyscore_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a range of scores in reverse order.",
     .since = "2.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements being returned. If M is constant (e.g. always asking for the first 10 elements "
                   "with LIMIT), you can consider it O(log(N)).",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` and `BYSCORE` arguments",
     .args = zrevrangebyscore_args},
    {.name = "zrangebylex",
     .run = zrangebylex_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a lexicographical range.",
     .since = "2.8.9",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements being returned. If M is constant (e.g. always asking for the first 10 elements "
                   "with LIMIT), you can consider it O(log(N)).",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `BYLEX` argument",
     .args = zrangebylex_args},
    {.name = "zrevrangebylex",
     .run = zrevrangebylex_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns members in a sorted set within a lexicographical range in reverse order.",
     .since = "2.8.9",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements being returned. If M is constant (e.g. always asking for the first 10 elements "
                   "with LIMIT), you can consider it O(log(N)).",
     .deprecated_since = "6.2.0",
     .replaced_by = "`ZRANGE` with the `REV` and `BYLEX` arguments",
     .args = zrevrangebylex_args},
    {.name = "zremrangebyrank",
     .run = zremrangebyrank_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary = "Removes members in a sorted set within a range of indexes. Deletes the sorted set if all "
                "members were removed.",
     .since = "2.0.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements removed by the operation.",
     .args = zremrangebyrank_args},
    {.name = "zremrangebyscore",
     .run = zremrangebyscore_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary = "Removes members in a sorted set within a range of scores. Deletes the sorted set if all "
                "members were removed.",
     .since = "1.2.0",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements removed by the operation.",
     .args = zcount_args},
    {.name = "zremrangebylex",
     .run = zremrangebylex_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_SORTEDSET,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary = "Removes members in a sorted set within a lexicographical range. Deletes the sorted set if "
                "all members were removed.",
     .since = "2.8.9",
     .group = "sorted-set",
     .complexity = "O(log(N)+M) with N being the number of elements in the sorted set and M the number of "
                   "elements removed by the operation.",
     .args = zlexcount_args},
    {0},
};

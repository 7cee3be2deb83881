/* stream_table.c: rows of the stream commands on entries.
 * https://redis.io/docs/latest/commands/?group=stream Facts as COMMAND and COMMAND DOCS of Redis tell them.
 */
#include "command/stream_commands.h"
#include "command/key_rows.h"

static const char *const tips_nondeterministic_output[] = {"nondeterministic_output", NULL};

static const struct command_arg xadd_trim_strategy_args[] = {
    {.name = "maxlen", .type = "pure-token", .token = "MAXLEN"},
    {.name = "minid", .type = "pure-token", .token = "MINID", .since = "6.2.0"},
    {0},
};

static const struct command_arg xadd_trim_operator_args[] = {
    {.name = "equal", .type = "pure-token", .token = "="},
    {.name = "approximately", .type = "pure-token", .token = "~"},
    {0},
};

static const struct command_arg xadd_trim_args[] = {
    {.name = "strategy", .type = "oneof", .sub = xadd_trim_strategy_args},
    {.name = "operator", .type = "oneof", .flags = ARG_OPTIONAL, .sub = xadd_trim_operator_args},
    {.name = "threshold", .type = "string"},
    {.name = "count", .type = "integer", .token = "LIMIT", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xadd_id_or_auto_args[] = {
    {.name = "auto_id", .type = "pure-token", .token = "*"},
    {.name = "id", .type = "string"},
    {0},
};

static const struct command_arg xadd_field_value_args[] = {
    {.name = "field", .type = "string"},
    {.name = "value", .type = "string"},
    {0},
};

static const struct command_arg xadd_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "nomkstream",
     .type = "pure-token",
     .token = "NOMKSTREAM",
     .since = "6.2.0",
     .flags = ARG_OPTIONAL},
    {.name = "trim", .type = "block", .flags = ARG_OPTIONAL, .sub = xadd_trim_args},
    {.name = "id_or_auto", .type = "oneof", .sub = xadd_id_or_auto_args},
    {.name = "field_value", .type = "block", .flags = ARG_MULTIPLE, .sub = xadd_field_value_args},
    {0},
};

static const struct command_arg xlen_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {0},
};

static const struct command_arg xrange_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "start", .type = "string"},
    {.name = "end", .type = "string"},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xrevrange_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "end", .type = "string"},
    {.name = "start", .type = "string"},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xdel_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "id", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg xtrim_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "trim", .type = "block", .sub = xadd_trim_args},
    {0},
};

static const struct command_arg xread_streams_args[] = {
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "id", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg xread_args[] = {
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {.name = "milliseconds", .type = "integer", .token = "BLOCK", .flags = ARG_OPTIONAL},
    {.name = "streams", .type = "block", .token = "STREAMS", .sub = xread_streams_args},
    {0},
};

static const struct command_arg xsetid_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "last-id", .type = "string"},
    {.name = "entries_added",
     .type = "integer",
     .token = "ENTRIESADDED",
     .since = "7.0.0",
     .flags = ARG_OPTIONAL},
    {.name = "max_deleted_entry_id",
     .type = "string",
     .token = "MAXDELETEDID",
     .since = "7.0.0",
     .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xinfo_consumers_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "groupname", .type = "string"},
    {0},
};

static const struct command_arg xinfo_stream_full_args[] = {
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xinfo_stream_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "full", .type = "block", .token = "FULL", .flags = ARG_OPTIONAL, .sub = xinfo_stream_full_args},
    {0},
};

static const struct command xinfo_sub[] = {
    {.name = "consumers",
     .run = xinfo_consumers_command,
     .arity = 4,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "List the consumers in a consumer group",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .tips = tips_nondeterministic_output,
     .args = xinfo_consumers_args},
    {.name = "groups",
     .run = xinfo_groups_command,
     .arity = 3,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "List the consumer groups of a stream",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xlen_args},
    {.name = "help",
     .run = xinfo_help_command,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .acl = ACL_STREAM,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)"},
    {.name = "stream",
     .run = xinfo_stream_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Get information about a stream",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xinfo_stream_args},
    {0},
};

struct command commands_streams[] = {
    {.name = "xadd",
     .run = xadd_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_NOTED(1, 0, 1, KEY_RW | KEY_UPDATE,
                       "UPDATE instead of INSERT because of the optional trimming feature")},
     .summary = "Appends a new entry to a stream",
     .since = "5.0.0",
     .group = "stream",
     .complexity =
         "O(1) when adding a new entry, O(N) when trimming where N being the number of entries evicted.",
     .tips = tips_nondeterministic_output,
     .args = xadd_args},
    {.name = "xlen",
     .run = xlen_command,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RO)},
     .summary = "Return the number of entries in a stream",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xlen_args},
    {.name = "xrange",
     .run = xrange_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Return a range of elements in a stream, with IDs matching the specified IDs interval",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(N) with N being the number of elements being returned. If N is constant (e.g. always "
                   "asking for the first 10 elements with COUNT), you can consider it O(1).",
     .args = xrange_args},
    {.name = "xrevrange",
     .run = xrevrange_command,
     .arity = -4,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Return a range of elements in a stream, with IDs matching the specified IDs interval, in "
                "reverse order (from greater to smaller IDs) compared to XRANGE",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(N) with N being the number of elements returned. If N is constant (e.g. always asking "
                   "for the first 10 elements with COUNT), you can consider it O(1).",
     .args = xrevrange_args},
    {.name = "xdel",
     .run = xdel_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_DELETE)},
     .summary =
         "Removes the specified entries from the stream. Returns the number of items actually deleted, that "
         "may be different from the number of IDs passed in case certain IDs do not exist.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1) for each single item to delete in the stream, regardless of the stream size.",
     .args = xdel_args},
    {.name = "xtrim",
     .run = xtrim_command,
     .arity = -4,
     .flags = CMD_WRITE,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_DELETE)},
     .summary = "Trims the stream to (approximately if '~' is passed) a certain size",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(N), with N being the number of evicted entries. Constant times are very small however, "
                   "since entries are organized in macro nodes containing multiple entries that can be "
                   "released with a single deallocation.",
     .tips = tips_nondeterministic_output,
     .args = xtrim_args},
    {.name = "xread",
     .run = xread_command,
     .arity = -4,
     .flags = CMD_READONLY | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .acl = ACL_STREAM,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_KEYWORD,
              .index = 1,
              .keyword = "STREAMS",
              .find = KEYS_RANGE,
              .last = -1,
              .step = 1,
              .limit = 2}},
     .summary = "Return never seen elements in multiple streams, with IDs greater than the ones reported by "
                "the caller for each stream. Can block.",
     .since = "5.0.0",
     .group = "stream",
     .complexity =
         "For each stream mentioned: O(N) with N being the number of elements being returned, it means that "
         "XREAD-ing with a fixed COUNT is O(1). Note that when the BLOCK option is used, XADD will pay O(M) "
         "time in order to serve the M clients blocked on the stream getting new data.",
     .args = xread_args},
    {.name = "xsetid",
     .run = xsetid_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_UPDATE)},
     .summary = "An internal command for replicating stream values",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xsetid_args},
    {.name = "xinfo",
     .arity = -2,
     .flags = 0,
     .summary = "A container for stream introspection commands",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "Depends on subcommand.",
     .sub = xinfo_sub},
    {0},
};

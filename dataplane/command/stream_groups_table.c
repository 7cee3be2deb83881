/* stream_groups_table.c: rows of the stream commands on consumer groups.
 * https://redis.io/docs/latest/commands/?group=stream Facts as COMMAND and COMMAND DOCS of Redis tell them.
 */
#include "command/stream_commands.h"
#include "command/key_rows.h"

static const struct command_arg xreadgroup_group_consumer_args[] = {
    {.name = "group", .type = "string"},
    {.name = "consumer", .type = "string"},
    {0},
};

static const struct command_arg xreadgroup_streams_args[] = {
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "id", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg xreadgroup_args[] = {
    {.name = "group_consumer", .type = "block", .token = "GROUP", .sub = xreadgroup_group_consumer_args},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {.name = "milliseconds", .type = "integer", .token = "BLOCK", .flags = ARG_OPTIONAL},
    {.name = "noack", .type = "pure-token", .token = "NOACK", .flags = ARG_OPTIONAL},
    {.name = "streams", .type = "block", .token = "STREAMS", .sub = xreadgroup_streams_args},
    {0},
};

static const struct command_arg xgroup_create_id_args[] = {
    {.name = "id", .type = "string"},
    {.name = "new_id", .type = "pure-token", .token = "$"},
    {0},
};

static const struct command_arg xgroup_create_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "groupname", .type = "string"},
    {.name = "id", .type = "oneof", .sub = xgroup_create_id_args},
    {.name = "mkstream", .type = "pure-token", .token = "MKSTREAM", .flags = ARG_OPTIONAL},
    {.name = "entries_read", .type = "integer", .token = "ENTRIESREAD", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xgroup_createconsumer_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "groupname", .type = "string"},
    {.name = "consumername", .type = "string"},
    {0},
};

static const struct command_arg xgroup_destroy_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "groupname", .type = "string"},
    {0},
};

static const struct command_arg xgroup_setid_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "groupname", .type = "string"},
    {.name = "id", .type = "oneof", .sub = xgroup_create_id_args},
    {.name = "entries_read", .type = "integer", .token = "ENTRIESREAD", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command xgroup_sub[] = {
    {.name = "create",
     .run = xgroup_create_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RW | KEY_INSERT)},
     .summary = "Create a consumer group.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xgroup_create_args},
    {.name = "createconsumer",
     .run = xgroup_createconsumer_command,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RW | KEY_INSERT)},
     .summary = "Create a consumer in a consumer group.",
     .since = "6.2.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xgroup_createconsumer_args},
    {.name = "delconsumer",
     .run = xgroup_delconsumer_command,
     .arity = 5,
     .flags = CMD_WRITE,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RW | KEY_DELETE)},
     .summary = "Delete a consumer from a consumer group.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xgroup_createconsumer_args},
    {.name = "destroy",
     .run = xgroup_destroy_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RW | KEY_DELETE)},
     .summary = "Destroy a consumer group.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(N) where N is the number of entries in the group's pending entries list (PEL).",
     .args = xgroup_destroy_args},
    {.name = "help",
     .run = xgroup_help_command,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .acl = ACL_STREAM,
     .summary = "Show helpful text about the different subcommands",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)"},
    {.name = "setid",
     .run = xgroup_setid_command,
     .arity = -5,
     .flags = CMD_WRITE,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(2, 0, 1, KEY_RW | KEY_UPDATE)},
     .summary = "Set a consumer group to an arbitrary last delivered ID value.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1)",
     .args = xgroup_setid_args},
    {0},
};

static const struct command_arg xack_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "group", .type = "string"},
    {.name = "id", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const char *const tips_nondeterministic_output[] = {"nondeterministic_output", NULL};

static const struct command_arg xpending_filters_args[] = {
    {.name = "min-idle-time", .type = "integer", .token = "IDLE", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {.name = "start", .type = "string"},
    {.name = "end", .type = "string"},
    {.name = "count", .type = "integer"},
    {.name = "consumer", .type = "string", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xpending_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "group", .type = "string"},
    {.name = "filters", .type = "block", .flags = ARG_OPTIONAL, .sub = xpending_filters_args},
    {0},
};

static const struct command_arg xclaim_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "group", .type = "string"},
    {.name = "consumer", .type = "string"},
    {.name = "min-idle-time", .type = "string"},
    {.name = "id", .type = "string", .flags = ARG_MULTIPLE},
    {.name = "ms", .type = "integer", .token = "IDLE", .flags = ARG_OPTIONAL},
    {.name = "unix-time-milliseconds", .type = "unix-time", .token = "TIME", .flags = ARG_OPTIONAL},
    {.name = "count", .type = "integer", .token = "RETRYCOUNT", .flags = ARG_OPTIONAL},
    {.name = "force", .type = "pure-token", .token = "FORCE", .flags = ARG_OPTIONAL},
    {.name = "justid", .type = "pure-token", .token = "JUSTID", .flags = ARG_OPTIONAL},
    {.name = "id", .type = "string", .token = "LASTID", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg xautoclaim_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "group", .type = "string"},
    {.name = "consumer", .type = "string"},
    {.name = "min-idle-time", .type = "string"},
    {.name = "start", .type = "string"},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {.name = "justid", .type = "pure-token", .token = "JUSTID", .flags = ARG_OPTIONAL},
    {0},
};

struct command commands_stream_groups[] = {
    {.name = "xreadgroup",
     .run = xreadgroup_command,
     .arity = -7,
     .flags = CMD_WRITE | CMD_BLOCKING | CMD_MOVABLE_KEYS,
     .acl = ACL_STREAM,
     .key = {{.flags = KEY_RO | KEY_ACCESS,
              .begin = KEYS_AT_KEYWORD,
              .index = 4,
              .keyword = "STREAMS",
              .find = KEYS_RANGE,
              .last = -1,
              .step = 1,
              .limit = 2}},
     .summary = "Return new entries from a stream using a consumer group, or access the history of the "
                "pending entries for a given consumer. Can block.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "For each stream mentioned: O(M) with M being the number of elements returned. If M is "
                   "constant (e.g. always asking for the first 10 elements with COUNT), you can consider it "
                   "O(1). On the other side when XREADGROUP blocks, XADD will pay the O(N) time in order to "
                   "serve the N clients blocked on the stream getting new data.",
     .args = xreadgroup_args},
    {.name = "xgroup",
     .arity = -2,
     .flags = 0,
     .summary = "A container for consumer groups commands",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "Depends on subcommand.",
     .sub = xgroup_sub},
    {.name = "xack",
     .run = xack_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_UPDATE)},
     .summary = "Marks a pending message as correctly processed, effectively removing it from the pending "
                "entries list of the consumer group. Return value of the command is the number of messages "
                "successfully acknowledged, that is, the IDs we were actually able to resolve in the PEL.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(1) for each message ID processed.",
     .args = xack_args},
    {.name = "xpending",
     .run = xpending_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Return information and entries from a stream consumer group pending entries list, that are "
                "messages fetched but never acknowledged.",
     .since = "5.0.0",
     .group = "stream",
     .complexity =
         "O(N) with N being the number of elements returned, so asking for a small fixed number of entries "
         "per call is O(1). O(M), where M is the total number of entries scanned when used with the IDLE "
         "filter. When the command returns just the summary and the list of consumers is small, it runs in "
         "O(1) time; otherwise, an additional O(N) time for iterating every consumer.",
     .tips = tips_nondeterministic_output,
     .args = xpending_args},
    {.name = "xclaim",
     .run = xclaim_command,
     .arity = -6,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_UPDATE)},
     .summary = "Changes (or acquires) ownership of a message in a consumer group, as if the message was "
                "delivered to the specified consumer.",
     .since = "5.0.0",
     .group = "stream",
     .complexity = "O(log N) with N being the number of messages in the PEL of the consumer group.",
     .tips = tips_nondeterministic_output,
     .args = xclaim_args},
    {.name = "xautoclaim",
     .run = xautoclaim_command,
     .arity = -6,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_STREAM,
     .key = {KEY_RANGE(1, 0, 1, KEY_RW | KEY_DELETE)},
     .summary = "Changes (or acquires) ownership of messages in a consumer group, as if the messages were "
                "delivered to the specified consumer.",
     .since = "6.2.0",
     .group = "stream",
     .complexity = "O(1) if COUNT is small.",
     .tips = tips_nondeterministic_output,
     .args = xautoclaim_args},
    {0},
};

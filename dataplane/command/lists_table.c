/* lists_table.c: rows of the list commands. https://redis.io/docs/latest/commands/?group=list Facts as
 * COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/lists.h"
#include "command/key_rows.h"

static const struct command_arg lpush_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "element", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg lpop_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "count", .type = "integer", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg llen_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {0},
};

static const struct command_arg lindex_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "index", .type = "integer"},
    {0},
};

static const struct command_arg lset_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "index", .type = "integer"},
    {.name = "element", .type = "string"},
    {0},
};

static const struct command_arg lrange_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "start", .type = "integer"},
    {.name = "stop", .type = "integer"},
    {0},
};

static const struct command_arg lpos_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "element", .type = "string"},
    {.name = "rank", .type = "integer", .token = "RANK", .flags = ARG_OPTIONAL},
    {.name = "num-matches", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {.name = "len", .type = "integer", .token = "MAXLEN", .flags = ARG_OPTIONAL},
    {0},
};

static const struct command_arg linsert_where_args[] = {
    {.name = "before", .type = "pure-token", .token = "BEFORE"},
    {.name = "after", .type = "pure-token", .token = "AFTER"},
    {0},
};

static const struct command_arg linsert_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "where", .type = "oneof", .sub = linsert_where_args},
    {.name = "pivot", .type = "string"},
    {.name = "element", .type = "string"},
    {0},
};

static const struct command_arg lrem_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "count", .type = "integer"},
    {.name = "element", .type = "string"},
    {0},
};

static const struct command_arg lmove_wherefrom_args[] = {
    {.name = "left", .type = "pure-token", .token = "LEFT"},
    {.name = "right", .type = "pure-token", .token = "RIGHT"},
    {0},
};

static const struct command_arg lmove_args[] = {
    {.name = "source", .type = "key", .key_spec = 1},
    {.name = "destination", .type = "key", .key_spec = 2},
    {.name = "wherefrom", .type = "oneof", .sub = lmove_wherefrom_args},
    {.name = "whereto", .type = "oneof", .sub = lmove_wherefrom_args},
    {0},
};

static const struct command_arg rpoplpush_args[] = {
    {.name = "source", .type = "key", .key_spec = 1},
    {.name = "destination", .type = "key", .key_spec = 2},
    {0},
};

static const struct command_arg lmpop_args[] = {
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1},
    {.name = "where", .type = "oneof", .sub = lmove_wherefrom_args},
    {.name = "count", .type = "integer", .token = "COUNT", .flags = ARG_OPTIONAL},
    {0},
};

struct command commands_lists[] = {
    {.name = "lpush",
     .run = lpush_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Prepends one or more elements to a list. Creates the key if it doesn't exist.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with "
                   "multiple arguments.",
     .args = lpush_args},
    {.name = "rpush",
     .run = rpush_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Appends one or more elements to a list. Creates the key if it doesn't exist.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with "
                   "multiple arguments.",
     .args = lpush_args},
    {.name = "lpushx",
     .run = lpushx_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Prepends one or more elements to a list only when the list exists.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with "
                   "multiple arguments.",
     .args = lpush_args},
    {.name = "rpushx",
     .run = rpushx_command,
     .arity = -3,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Appends an element to a list only when the list exists.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(1) for each element added, so O(N) to add N elements when the command is called with "
                   "multiple arguments.",
     .args = lpush_args},
    {.name = "lpop",
     .run = lpop_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Returns the first elements in a list after removing it. Deletes the list if the last "
                "element was popped.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of elements returned",
     .args = lpop_args},
    {.name = "rpop",
     .run = rpop_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary =
         "Returns and removes the last elements of a list. Deletes the list if the last element was popped.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of elements returned",
     .args = lpop_args},
    {.name = "llen",
     .run = llen_command,
     .arity = 2,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RO)},
     .summary = "Returns the length of a list.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(1)",
     .args = llen_args},
    {.name = "lindex",
     .run = lindex_command,
     .arity = 3,
     .flags = CMD_READONLY,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns an element from a list by its index.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of elements to traverse to get to the element at index. This "
                   "makes asking for the first or the last element of the list O(1).",
     .args = lindex_args},
    {.name = "lset",
     .run = lset_command,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)},
     .summary = "Sets the value of an element in a list by its index.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) where N is the length of the list. Setting either the first or the last element of "
                   "the list is O(1).",
     .args = lset_args},
    {.name = "lrange",
     .run = lrange_command,
     .arity = 4,
     .flags = CMD_READONLY,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns a range of elements from a list.",
     .since = "1.0.0",
     .group = "list",
     .complexity =
         "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end (HEAD "
         "or TAIL) for large lists; and N is the number of elements in the specified range.",
     .args = lrange_args},
    {.name = "ltrim",
     .run = ltrim_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary = "Removes elements from both ends a list. Deletes the list if all elements were trimmed.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N) where N is the number of elements to be removed by the operation.",
     .args = lrange_args},
    {.name = "lpos",
     .run = lpos_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns the index of matching elements in a list.",
     .since = "6.0.6",
     .group = "list",
     .complexity = "O(N) where N is the number of elements in the list, for the average case. When searching "
                   "for elements near the head or the tail of the list, or when the MAXLEN option is "
                   "provided, the command may run in constant time.",
     .args = lpos_args},
    {.name = "linsert",
     .run = linsert_command,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_INSERT)},
     .summary = "Inserts an element before or after another element in a list.",
     .since = "2.2.0",
     .group = "list",
     .complexity = "O(N) where N is the number of elements to traverse before seeing the value pivot. This "
                   "means that inserting somewhere on the left end on the list (head) can be considered O(1) "
                   "and inserting somewhere on the right end (tail) is O(N).",
     .args = linsert_args},
    {.name = "lrem",
     .run = lrem_command,
     .arity = 4,
     .flags = CMD_WRITE,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_DELETE)},
     .summary = "Removes elements from a list. Deletes the list if the last element was removed.",
     .since = "1.0.0",
     .group = "list",
     .complexity = "O(N+M) where N is the length of the list and M is the number of elements removed.",
     .args = lrem_args},
    {.name = "lmove",
     .run = lmove_command,
     .arity = 5,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT)},
     .summary = "Returns an element after popping it from one list and pushing it to another. Deletes the "
                "list if the last element was moved.",
     .since = "6.2.0",
     .group = "list",
     .complexity = "O(1)",
     .args = lmove_args},
    {.name = "rpoplpush",
     .run = rpoplpush_command,
     .arity = 3,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_LIST,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE), KEY_AT(2, KEY_RW | KEY_INSERT)},
     .summary = "Returns the last element of a list after removing and pushing it to another list. Deletes "
                "the list if the last element was popped.",
     .since = "1.2.0",
     .group = "list",
     .complexity = "O(1)",
     .deprecated_since = "6.2.0",
     .replaced_by = "`LMOVE` with the `RIGHT` and `LEFT` arguments",
     .args = rpoplpush_args},
    {.name = "lmpop",
     .run = lmpop_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_MOVABLE_KEYS,
     .acl = ACL_LIST,
     .key = {{.flags = KEY_RW | KEY_ACCESS | KEY_DELETE,
              .begin = KEYS_AT_INDEX,
              .index = 1,
              .find = KEYS_NUM,
              .limit = 1,
              .step = 1}},
     .summary = "Returns multiple elements from a list after removing them. Deletes the list if the last "
                "element was popped.",
     .since = "7.0.0",
     .group = "list",
     .complexity = "O(N+M) where N is the number of provided keys and M is the number of elements returned.",
     .args = lmpop_args},
    {0},
};

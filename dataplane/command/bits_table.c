/* bits_table.c: rows of the bitmap commands. https://redis.io/docs/latest/commands/?group=bitmap
 * Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/bits.h"
#include "command/key_rows.h"

static const struct command_arg setbit_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "offset", .type = "integer"},
    {.name = "value", .type = "integer"},
    {0},
};

static const struct command_arg getbit_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "offset", .type = "integer"},
    {0},
};

static const struct command_arg bitcount_unit_args[] = {
    {.name = "byte", .type = "pure-token", .token = "BYTE"},
    {.name = "bit", .type = "pure-token", .token = "BIT"},
    {0},
};

static const struct command_arg bitcount_range_args[] = {
    {.name = "start", .type = "integer"},
    {.name = "end", .type = "integer"},
    {.name = "unit", .type = "oneof", .since = "7.0.0", .flags = ARG_OPTIONAL, .sub = bitcount_unit_args},
    {0},
};

static const struct command_arg bitcount_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "range", .type = "block", .flags = ARG_OPTIONAL, .sub = bitcount_range_args},
    {0},
};

static const struct command_arg bitpos_end_unit_block_args[] = {
    {.name = "end", .type = "integer"},
    {.name = "unit", .type = "oneof", .since = "7.0.0", .flags = ARG_OPTIONAL, .sub = bitcount_unit_args},
    {0},
};

static const struct command_arg bitpos_range_args[] = {
    {.name = "start", .type = "integer"},
    {.name = "end-unit-block", .type = "block", .flags = ARG_OPTIONAL, .sub = bitpos_end_unit_block_args},
    {0},
};

static const struct command_arg bitpos_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "bit", .type = "integer"},
    {.name = "range", .type = "block", .flags = ARG_OPTIONAL, .sub = bitpos_range_args},
    {0},
};

static const struct command_arg bitop_operation_args[] = {
    {.name = "and", .type = "pure-token", .token = "AND"},
    {.name = "or", .type = "pure-token", .token = "OR"},
    {.name = "xor", .type = "pure-token", .token = "XOR"},
    {.name = "not", .type = "pure-token", .token = "NOT"},
    {0},
};

static const struct command_arg bitop_args[] = {
    {.name = "operation", .type = "oneof", .sub = bitop_operation_args},
    {.name = "destkey", .type = "key", .key_spec = 1},
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 2},
    {0},
};

static const struct command_arg bitfield_get_block_args[] = {
    {.name = "encoding", .type = "string"},
    {.name = "offset", .type = "integer"},
    {0},
};

static const struct command_arg bitfield_overflow_block_args[] = {
    {.name = "wrap", .type = "pure-token", .token = "WRAP"},
    {.name = "sat", .type = "pure-token", .token = "SAT"},
    {.name = "fail", .type = "pure-token", .token = "FAIL"},
    {0},
};

static const struct command_arg bitfield_set_block_args[] = {
    {.name = "encoding", .type = "string"},
    {.name = "offset", .type = "integer"},
    {.name = "value", .type = "integer"},
    {0},
};

static const struct command_arg bitfield_increment_block_args[] = {
    {.name = "encoding", .type = "string"},
    {.name = "offset", .type = "integer"},
    {.name = "increment", .type = "integer"},
    {0},
};

static const struct command_arg bitfield_write_operation_args[] = {
    {.name = "set-block", .type = "block", .token = "SET", .sub = bitfield_set_block_args},
    {.name = "increment-block", .type = "block", .token = "INCRBY", .sub = bitfield_increment_block_args},
    {0},
};

static const struct command_arg bitfield_write_args[] = {
    {.name = "overflow-block",
     .type = "oneof",
     .token = "OVERFLOW",
     .flags = ARG_OPTIONAL,
     .sub = bitfield_overflow_block_args},
    {.name = "write-operation", .type = "oneof", .sub = bitfield_write_operation_args},
    {0},
};

static const struct command_arg bitfield_operation_args[] = {
    {.name = "get-block", .type = "block", .token = "GET", .sub = bitfield_get_block_args},
    {.name = "write", .type = "block", .sub = bitfield_write_args},
    {0},
};

static const struct command_arg bitfield_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "operation",
     .type = "oneof",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE,
     .sub = bitfield_operation_args},
    {0},
};

static const struct command_arg bitfield_ro_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "get-block",
     .type = "block",
     .token = "GET",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE | ARG_MULTIPLE_TOKEN,
     .sub = bitfield_get_block_args},
    {0},
};

struct command commands_bits[] = {
    {.name = "setbit",
     .run = setbit_command,
     .arity = 4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_UPDATE)},
     .summary = "Sets or clears the bit at offset of the string value. Creates the key if it doesn't exist.",
     .since = "2.2.0",
     .group = "bitmap",
     .complexity = "O(1)",
     .args = setbit_args},
    {.name = "getbit",
     .run = getbit_command,
     .arity = 3,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Returns a bit value by offset.",
     .since = "2.2.0",
     .group = "bitmap",
     .complexity = "O(1)",
     .args = getbit_args},
    {.name = "bitcount",
     .run = bitcount_command,
     .arity = -2,
     .flags = CMD_READONLY,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Counts the number of set bits (population counting) in a string.",
     .since = "2.6.0",
     .group = "bitmap",
     .complexity = "O(N)",
     .args = bitcount_args},
    {.name = "bitpos",
     .run = bitpos_command,
     .arity = -3,
     .flags = CMD_READONLY,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Finds the first set (1) or clear (0) bit in a string.",
     .since = "2.8.7",
     .group = "bitmap",
     .complexity = "O(N)",
     .args = bitpos_args},
    {.name = "bitop",
     .run = bitop_command,
     .arity = -4,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(2, KEY_OW | KEY_UPDATE), KEY_RANGE(3, -1, 1, KEY_RO | KEY_ACCESS)},
     .summary = "Performs bitwise operations on multiple strings, and stores the result.",
     .since = "2.6.0",
     .group = "bitmap",
     .complexity = "O(N)",
     .args = bitop_args},
    {.name = "bitfield",
     .run = bitfield_command,
     .arity = -2,
     .flags = CMD_WRITE | CMD_DENYOOM,
     .acl = ACL_BITMAP,
     .key = {KEY_NOTED(1, 0, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE | KEY_VARIABLE,
                       "This command allows both access and modification of the key")},
     .summary = "Performs arbitrary bitfield integer operations on strings.",
     .since = "3.2.0",
     .group = "bitmap",
     .complexity = "O(1) for each subcommand specified",
     .args = bitfield_args},
    {.name = "bitfield_ro",
     .run = bitfield_ro_command,
     .arity = -2,
     .flags = CMD_READONLY | CMD_FAST,
     .acl = ACL_BITMAP,
     .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)},
     .summary = "Performs arbitrary read-only bitfield integer operations on strings.",
     .since = "6.0.0",
     .group = "bitmap",
     .complexity = "O(1) for each subcommand specified",
     .args = bitfield_ro_args},
    {0},
};

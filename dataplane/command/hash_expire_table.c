/* hash_expire_table.c: rows of the commands on fields of hashes that expire. Facts as the documentation of Redis 7.4 and
 * 8.0 tells them. https://redis.io/docs/latest/commands/?group=hash */
#include "command/hash_commands.h"
#include "command/key_rows.h"

static const struct command_arg fields_block[] = {
    {.name = "numfields", .type = "integer"},
    {.name = "field", .type = "string", .flags = ARG_MULTIPLE},
    {0},
};

static const struct command_arg fields_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "fields", .type = "block", .token = "FIELDS", .sub = fields_block},
    {0},
};

static const struct command_arg condition_words[] = {
    {.name = "nx", .type = "pure-token", .token = "NX"},
    {.name = "xx", .type = "pure-token", .token = "XX"},
    {.name = "gt", .type = "pure-token", .token = "GT"},
    {.name = "lt", .type = "pure-token", .token = "LT"},
    {0},
};

#define EXPIRE_ARGS(time_name, time_type)                                                                    \
    {                                                                                                        \
        {.name = "key", .type = "key", .key_spec = 1},                                                       \
        {.name = (time_name), .type = (time_type)},                                                          \
        {.name = "condition", .type = "oneof", .flags = ARG_OPTIONAL, .sub = condition_words},               \
        {.name = "fields", .type = "block", .token = "FIELDS", .sub = fields_block},                         \
        {0},                                                                                                 \
    }

static const struct command_arg hexpire_args[] = EXPIRE_ARGS("seconds", "integer");
static const struct command_arg hpexpire_args[] = EXPIRE_ARGS("milliseconds", "integer");
static const struct command_arg hexpireat_args[] = EXPIRE_ARGS("unix-time-seconds", "unix-time");
static const struct command_arg hpexpireat_args[] = EXPIRE_ARGS("unix-time-milliseconds", "unix-time");

#define LIFE_WORDS                                                                                           \
    {.name = "seconds", .type = "integer", .token = "EX"},                                                   \
        {.name = "milliseconds", .type = "integer", .token = "PX"},                                          \
        {.name = "unix-time-seconds", .type = "unix-time", .token = "EXAT"},                                 \
        {.name = "unix-time-milliseconds", .type = "unix-time", .token = "PXAT"}

static const struct command_arg hgetex_life[] = {
    LIFE_WORDS,
    {.name = "persist", .type = "pure-token", .token = "PERSIST"},
    {0},
};

static const struct command_arg hgetex_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "expiration", .type = "oneof", .flags = ARG_OPTIONAL, .sub = hgetex_life},
    {.name = "fields", .type = "block", .token = "FIELDS", .sub = fields_block},
    {0},
};

static const struct command_arg hsetex_condition[] = {
    {.name = "fnx", .type = "pure-token", .token = "FNX"},
    {.name = "fxx", .type = "pure-token", .token = "FXX"},
    {0},
};

static const struct command_arg hsetex_life[] = {
    LIFE_WORDS,
    {.name = "keepttl", .type = "pure-token", .token = "KEEPTTL"},
    {0},
};

static const struct command_arg hsetex_data[] = {
    {.name = "field", .type = "string"},
    {.name = "value", .type = "string"},
    {0},
};

static const struct command_arg hsetex_fields[] = {
    {.name = "numfields", .type = "integer"},
    {.name = "data", .type = "block", .flags = ARG_MULTIPLE, .sub = hsetex_data},
    {0},
};

static const struct command_arg hsetex_args[] = {
    {.name = "key", .type = "key", .key_spec = 1},
    {.name = "condition", .type = "oneof", .flags = ARG_OPTIONAL, .sub = hsetex_condition},
    {.name = "expiration", .type = "oneof", .flags = ARG_OPTIONAL, .sub = hsetex_life},
    {.name = "fields", .type = "block", .token = "FIELDS", .sub = hsetex_fields},
    {0},
};

static const char *const tips_nondeterministic_output[] = {"nondeterministic_output", NULL};

#define EACH_FIELD "O(N) where N is the number of specified fields"

#define EXPIRE_ROW(word, text)                                                                               \
    {                                                                                                        \
        .name = #word, .run = word##_command, .arity = -6, .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,      \
        .acl = ACL_HASH, .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)}, .summary = (text), .since = "7.4.0",       \
        .group = "hash", .complexity = EACH_FIELD, .args = word##_args                                       \
    }

#define TIME_ROW(word, tips_, text)                                                                          \
    {                                                                                                        \
        .name = #word, .run = word##_command, .arity = -5, .flags = CMD_READONLY | CMD_FAST,                 \
        .acl = ACL_HASH, .key = {KEY_AT(1, KEY_RO | KEY_ACCESS)}, .summary = (text), .since = "7.4.0",       \
        .group = "hash", .complexity = EACH_FIELD, .tips = (tips_), .args = fields_args                      \
    }

struct command commands_hash_expire[] = {
    EXPIRE_ROW(hexpire, "Set expiry for hash field using relative time to expire (seconds)"),
    EXPIRE_ROW(hpexpire, "Set expiry for hash field using relative time to expire (milliseconds)"),
    EXPIRE_ROW(hexpireat, "Set expiry for hash field using an absolute Unix timestamp (seconds)"),
    EXPIRE_ROW(hpexpireat, "Set expiry for hash field using an absolute Unix timestamp (milliseconds)"),
    TIME_ROW(httl, tips_nondeterministic_output, "Returns the TTL in seconds of a hash field."),
    TIME_ROW(hpttl, tips_nondeterministic_output, "Returns the TTL in milliseconds of a hash field."),
    TIME_ROW(hexpiretime, NULL,
             "Returns the expiration time of a hash field as a Unix timestamp, in seconds."),
    TIME_ROW(hpexpiretime, NULL,
             "Returns the expiration time of a hash field as a Unix timestamp, in msec."),
    {.name = "hpersist",
     .run = hpersist_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_HASH,
     .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)},
     .summary = "Removes the expiration time for each specified field",
     .since = "7.4.0",
     .group = "hash",
     .complexity = EACH_FIELD,
     .args = fields_args},
    {.name = "hgetdel",
     .run = hgetdel_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_HASH,
     .key = {KEY_AT(1, KEY_RW | KEY_ACCESS | KEY_DELETE)},
     .summary = "Returns the value of a field and deletes it from the hash.",
     .since = "8.0.0",
     .group = "hash",
     .complexity = EACH_FIELD,
     .args = fields_args},
    {.name = "hgetex",
     .run = hgetex_command,
     .arity = -5,
     .flags = CMD_WRITE | CMD_FAST,
     .acl = ACL_HASH,
     .key = {KEY_NOTED(1, 0, 1, KEY_RW | KEY_ACCESS | KEY_UPDATE, "RW and UPDATE because it changes the TTL")},
     .summary = "Get the value of one or more fields of a given hash key, and optionally set their expiration.",
     .since = "8.0.0",
     .group = "hash",
     .complexity = EACH_FIELD,
     .args = hgetex_args},
    {.name = "hsetex",
     .run = hsetex_command,
     .arity = -6,
     .flags = CMD_WRITE | CMD_DENYOOM | CMD_FAST,
     .acl = ACL_HASH,
     .key = {KEY_AT(1, KEY_RW | KEY_UPDATE)},
     .summary = "Set the value of one or more fields of a given hash key, and optionally set their expiration.",
     .since = "8.0.0",
     .group = "hash",
     .complexity = "O(N) where N is the number of fields being set.",
     .args = hsetex_args},
    {0},
};

/* script_table.c: rows of the scripting commands. https://redis.io/docs/latest/commands/?group=scripting
 * Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell them. CMD_WHOLE: a script may name any key. */
#include "script/eval.h"

enum {
    RUNS = CMD_NOSCRIPT | CMD_STALE | CMD_SKIP_MONITOR | CMD_NO_MANDATORY_KEYS | CMD_MOVABLE_KEYS | CMD_WHOLE,
    CHANGES = RUNS | CMD_MAY_REPLICATE,
    READS = RUNS | CMD_READONLY
};

#define DEPENDS "Depends on the script that is executed."
#define DECLARED(flags_, notes_)                                                                             \
    {                                                                                                        \
        {                                                                                                    \
            .flags = (flags_), .begin = KEYS_AT_INDEX, .index = 2, .find = KEYS_NUM, .limit = 1, .step = 1,  \
            .notes = (notes_)                                                                                \
        }                                                                                                    \
    }

static const char *const nodes_succeeded[] = {"request_policy:all_nodes", "response_policy:all_succeeded",
                                              NULL};
static const char *const shards_and[] = {"request_policy:all_shards", "response_policy:agg_logical_and",
                                         NULL};
static const char *const shards_one[] = {"request_policy:all_shards", "response_policy:one_succeeded", NULL};

static const struct command_arg eval_args[] = {
    {.name = "script", .type = "string"},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_OPTIONAL | ARG_MULTIPLE, .key_spec = 1},
    {.name = "arg", .type = "string", .flags = ARG_OPTIONAL | ARG_MULTIPLE},
    {0}};
static const struct command_arg evalsha_args[] = {
    {.name = "sha1", .type = "string"},
    {.name = "numkeys", .type = "integer"},
    {.name = "key", .type = "key", .flags = ARG_OPTIONAL | ARG_MULTIPLE, .key_spec = 1},
    {.name = "arg", .type = "string", .flags = ARG_OPTIONAL | ARG_MULTIPLE},
    {0}};
static const struct command_arg exists_args[] = {{.name = "sha1", .type = "string", .flags = ARG_MULTIPLE},
                                                 {0}};
static const struct command_arg load_args[] = {{.name = "script", .type = "string"}, {0}};
static const struct command_arg debug_modes[] = {{.name = "yes", .type = "pure-token", .token = "YES"},
                                                 {.name = "sync", .type = "pure-token", .token = "SYNC"},
                                                 {.name = "no", .type = "pure-token", .token = "NO"},
                                                 {0}};
static const struct command_arg debug_args[] = {{.name = "mode", .type = "oneof", .sub = debug_modes}, {0}};
static const struct command_arg flush_modes[] = {{.name = "async", .type = "pure-token", .token = "ASYNC"},
                                                 {.name = "sync", .type = "pure-token", .token = "SYNC"},
                                                 {0}};
static const struct command_arg flush_args[] = {
    {.name = "async", .type = "oneof", .since = "6.2.0", .flags = ARG_OPTIONAL, .sub = flush_modes}, {0}};

static const struct command script_subs[] = {
    {.name = "debug",
     .run = script_debug,
     .arity = 3,
     .flags = CMD_NOSCRIPT,
     .acl = ACL_SCRIPTING,
     .summary = "Sets the debug mode of server-side Lua scripts.",
     .since = "3.2.0",
     .group = "scripting",
     .complexity = "O(1)",
     .args = debug_args},
    {.name = "exists",
     .run = script_exists,
     .arity = -3,
     .flags = CMD_NOSCRIPT,
     .acl = ACL_SCRIPTING,
     .summary = "Determines whether server-side Lua scripts exist in the script cache.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the number of scripts to check (so checking a single script is an O(1) "
                   "operation).",
     .tips = shards_and,
     .args = exists_args},
    {.name = "flush",
     .run = script_flush,
     .arity = -2,
     .flags = CMD_NOSCRIPT | CMD_ROUTE_ALL,
     .acl = ACL_SCRIPTING,
     .summary = "Removes all server-side Lua scripts from the script cache.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the number of scripts in cache",
     .tips = nodes_succeeded,
     .args = flush_args},
    {.name = "help",
     .run = script_help,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .acl = ACL_SCRIPTING,
     .summary = "Returns helpful text about the different subcommands.",
     .since = "5.0.0",
     .group = "scripting",
     .complexity = "O(1)"},
    {.name = "kill",
     .run = script_kill,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_ALLOW_BUSY,
     .acl = ACL_SCRIPTING,
     .summary = "Terminates a server-side Lua script during execution.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(1)",
     .tips = shards_one},
    {.name = "load",
     .run = script_load,
     .arity = 3,
     .flags = CMD_NOSCRIPT | CMD_STALE | CMD_ROUTE_ALL,
     .acl = ACL_SCRIPTING,
     .summary = "Loads a server-side Lua script to the script cache.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "O(N) with N being the length in bytes of the script body.",
     .tips = nodes_succeeded,
     .args = load_args},
    {0}};

struct command commands_script[] = {
    {.name = "eval",
     .run = eval_command,
     .reads = eval_reads,
     .arity = -3,
     .flags = CHANGES,
     .acl = ACL_SCRIPTING,
     .key = DECLARED(KEY_RW | KEY_ACCESS | KEY_UPDATE,
                     "We cannot tell how the keys will be used so we assume the worst, RW and UPDATE"),
     .summary = "Executes a server-side Lua script.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = DEPENDS,
     .args = eval_args},
    {.name = "evalsha",
     .run = evalsha_command,
     .reads = evalsha_reads,
     .arity = -3,
     .flags = CHANGES,
     .acl = ACL_SCRIPTING,
     .key = DECLARED(KEY_RW | KEY_ACCESS | KEY_UPDATE, NULL),
     .summary = "Executes a server-side Lua script by SHA1 digest.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = DEPENDS,
     .args = evalsha_args},
    {.name = "eval_ro",
     .run = eval_ro_command,
     .arity = -3,
     .flags = READS,
     .acl = ACL_SCRIPTING,
     .key = DECLARED(KEY_RO | KEY_ACCESS,
                     "We cannot tell how the keys will be used so we assume the worst, RO and ACCESS"),
     .summary = "Executes a read-only server-side Lua script.",
     .since = "7.0.0",
     .group = "scripting",
     .complexity = DEPENDS,
     .args = eval_args},
    {.name = "evalsha_ro",
     .run = evalsha_ro_command,
     .arity = -3,
     .flags = READS,
     .acl = ACL_SCRIPTING,
     .key = DECLARED(KEY_RO | KEY_ACCESS, NULL),
     .summary = "Executes a read-only server-side Lua script by SHA1 digest.",
     .since = "7.0.0",
     .group = "scripting",
     .complexity = DEPENDS,
     .args = evalsha_args},
    {.name = "script",
     .arity = -2,
     .summary = "A container for Lua scripts management commands.",
     .since = "2.6.0",
     .group = "scripting",
     .complexity = "Depends on subcommand.",
     .sub = script_subs},
    {0}};

/* connection_table.c: rows of the connection commands.
 * https://redis.io/docs/latest/commands/?group=connection Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell
 * them. */
#include "command/connection.h"

static const struct command_arg auth_args[] = {
    {.name = "username", .type = "string", .since = "6.0.0", .flags = ARG_OPTIONAL},
    {.name = "password", .type = "string"},
    {0}};

static const struct command_arg echo_args[] = {{.name = "message", .type = "string"}, {0}};

static const struct command_arg hello_args_arguments_username_password[] = {
    {.name = "username", .type = "string"}, {.name = "password", .type = "string"}, {0}};

static const struct command_arg hello_args_arguments[] = {
    {.name = "protover", .type = "integer"},
    {.name = "username_password",
     .type = "block",
     .token = "AUTH",
     .flags = ARG_OPTIONAL,
     .sub = hello_args_arguments_username_password},
    {.name = "clientname", .type = "string", .token = "SETNAME", .flags = ARG_OPTIONAL},
    {0}};

static const struct command_arg hello_args[] = {
    {.name = "arguments", .type = "block", .flags = ARG_OPTIONAL, .sub = hello_args_arguments}, {0}};

static const char *const tips_request_policy_all_shards_response_policy_all_succeeded[] = {
    "request_policy:all_shards", "response_policy:all_succeeded", NULL};

static const struct command_arg ping_args[] = {{.name = "message", .type = "string", .flags = ARG_OPTIONAL},
                                               {0}};

static const struct command_arg select_args[] = {{.name = "index", .type = "integer"}, {0}};

struct command commands_connection[] = {
    {.name = "auth",
     .run = auth_run,
     .arity = -2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = ACL_CONNECTION,
     .summary = "Authenticates the connection.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of passwords defined for the user",
     .args = auth_args},
    {.name = "echo",
     .run = echo_run,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .acl = ACL_CONNECTION,
     .summary = "Returns the given string.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = echo_args},
    {.name = "hello",
     .run = hello_run,
     .arity = -1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY,
     .acl = ACL_CONNECTION,
     .summary = "Handshakes with the Redis server.",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = hello_args},
    {.name = "ping",
     .run = ping_run,
     .arity = -1,
     .flags = CMD_FAST,
     .acl = ACL_CONNECTION,
     .summary = "Returns the server's liveliness response.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .tips = tips_request_policy_all_shards_response_policy_all_succeeded,
     .args = ping_args},
    {.name = "quit",
     .run = quit_run,
     .arity = -1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_NOT_QUEUED,
     .acl = ACL_CONNECTION,
     .summary = "Closes the connection.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .deprecated_since = "7.2.0",
     .replaced_by = "just closing the connection"},
    {.name = "reset",
     .run = reset_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_NO_AUTH | CMD_ALLOW_BUSY | CMD_NOT_QUEUED,
     .acl = ACL_CONNECTION,
     .summary = "Resets the connection.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "select",
     .run = select_run,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE | CMD_FAST,
     .acl = ACL_CONNECTION,
     .summary = "Changes the selected database.",
     .since = "1.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = select_args},
    {.name = "client",
     .arity = -2,
     .summary = "A container for client connection commands.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "Depends on subcommand.",
     .sub = client_subs},
    {0}};

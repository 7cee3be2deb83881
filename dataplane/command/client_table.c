/* client_table.c: rows of the sub-commands of CLIENT. https://redis.io/docs/latest/commands/client/
 * Facts as COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/connection.h"

static const struct command_arg client_caching_args_mode[] = {
    {.name = "yes", .type = "pure-token", .token = "YES"},
    {.name = "no", .type = "pure-token", .token = "NO"},
    {0}};

static const struct command_arg client_caching_args[] = {
    {.name = "mode", .type = "oneof", .sub = client_caching_args_mode}, {0}};

static const char *const tips_nondeterministic_output[] = {"nondeterministic_output", NULL};

static const struct command_arg client_kill_args_filter_new_format_type[] = {
    {.name = "normal", .type = "pure-token", .token = "NORMAL"},
    {.name = "master", .type = "pure-token", .token = "MASTER", .since = "3.2.0"},
    {.name = "slave", .type = "pure-token", .token = "SLAVE"},
    {.name = "replica", .type = "pure-token", .token = "REPLICA", .since = "5.0.0"},
    {.name = "pubsub", .type = "pure-token", .token = "PUBSUB"},
    {0}};

static const struct command_arg client_kill_args_filter_new_format[] = {
    {.name = "client-id", .type = "integer", .token = "ID", .since = "2.8.12", .flags = ARG_OPTIONAL},
    {.name = "normal_master_slave_pubsub",
     .type = "oneof",
     .token = "TYPE",
     .since = "2.8.12",
     .flags = ARG_OPTIONAL,
     .sub = client_kill_args_filter_new_format_type},
    {.name = "username", .type = "string", .token = "USER", .flags = ARG_OPTIONAL},
    {.name = "ip:port", .type = "string", .token = "ADDR", .flags = ARG_OPTIONAL},
    {.name = "ip:port", .type = "string", .token = "LADDR", .since = "6.2.0", .flags = ARG_OPTIONAL},
    {.name = "yes/no", .type = "string", .token = "SKIPME", .flags = ARG_OPTIONAL},
    {0}};

static const struct command_arg client_kill_args_filter[] = {
    {.name = "ip:port", .type = "string", .deprecated_since = "2.8.12"},
    {.name = "new-format", .type = "oneof", .flags = ARG_MULTIPLE, .sub = client_kill_args_filter_new_format},
    {0}};

static const struct command_arg client_kill_args[] = {
    {.name = "filter", .type = "oneof", .sub = client_kill_args_filter}, {0}};

static const struct command_arg client_list_args_normal_master_replica_pubsub[] = {
    {.name = "normal", .type = "pure-token", .token = "NORMAL"},
    {.name = "master", .type = "pure-token", .token = "MASTER"},
    {.name = "replica", .type = "pure-token", .token = "REPLICA"},
    {.name = "pubsub", .type = "pure-token", .token = "PUBSUB"},
    {0}};

static const struct command_arg client_list_args_id[] = {
    {.name = "client-id", .type = "integer", .flags = ARG_MULTIPLE}, {0}};

static const struct command_arg client_list_args[] = {{.name = "normal_master_replica_pubsub",
                                                       .type = "oneof",
                                                       .token = "TYPE",
                                                       .since = "5.0.0",
                                                       .flags = ARG_OPTIONAL,
                                                       .sub = client_list_args_normal_master_replica_pubsub},
                                                      {.name = "id",
                                                       .type = "block",
                                                       .token = "ID",
                                                       .since = "6.2.0",
                                                       .flags = ARG_OPTIONAL,
                                                       .sub = client_list_args_id},
                                                      {0}};

static const struct command_arg client_no_evict_args_enabled[] = {
    {.name = "on", .type = "pure-token", .token = "ON"},
    {.name = "off", .type = "pure-token", .token = "OFF"},
    {0}};

static const struct command_arg client_no_evict_args[] = {
    {.name = "enabled", .type = "oneof", .sub = client_no_evict_args_enabled}, {0}};

static const struct command_arg client_no_touch_args_enabled[] = {
    {.name = "on", .type = "pure-token", .token = "ON"},
    {.name = "off", .type = "pure-token", .token = "OFF"},
    {0}};

static const struct command_arg client_no_touch_args[] = {
    {.name = "enabled", .type = "oneof", .sub = client_no_touch_args_enabled}, {0}};

static const struct command_arg client_pause_args_mode[] = {
    {.name = "write", .type = "pure-token", .token = "WRITE"},
    {.name = "all", .type = "pure-token", .token = "ALL"},
    {0}};

static const struct command_arg client_pause_args[] = {
    {.name = "timeout", .type = "integer"},
    {.name = "mode", .type = "oneof", .since = "6.2.0", .flags = ARG_OPTIONAL, .sub = client_pause_args_mode},
    {0}};

static const struct command_arg client_reply_args_on_off_skip[] = {
    {.name = "on", .type = "pure-token", .token = "ON"},
    {.name = "off", .type = "pure-token", .token = "OFF"},
    {.name = "skip", .type = "pure-token", .token = "SKIP"},
    {0}};

static const struct command_arg client_reply_args[] = {
    {.name = "on_off_skip", .type = "oneof", .sub = client_reply_args_on_off_skip}, {0}};

static const char *const tips_request_policy_all_nodes_response_policy_all_succeeded[] = {
    "request_policy:all_nodes", "response_policy:all_succeeded", NULL};

static const struct command_arg client_setinfo_args_attr[] = {
    {.name = "libname", .type = "string", .token = "LIB-NAME"},
    {.name = "libver", .type = "string", .token = "LIB-VER"},
    {0}};

static const struct command_arg client_setinfo_args[] = {
    {.name = "attr", .type = "oneof", .sub = client_setinfo_args_attr}, {0}};

static const struct command_arg client_setname_args[] = {{.name = "connection-name", .type = "string"}, {0}};

static const struct command_arg client_tracking_args_status[] = {
    {.name = "on", .type = "pure-token", .token = "ON"},
    {.name = "off", .type = "pure-token", .token = "OFF"},
    {0}};

static const struct command_arg client_tracking_args[] = {
    {.name = "status", .type = "oneof", .sub = client_tracking_args_status},
    {.name = "client-id", .type = "integer", .token = "REDIRECT", .flags = ARG_OPTIONAL},
    {.name = "prefix",
     .type = "string",
     .token = "PREFIX",
     .flags = ARG_OPTIONAL | ARG_MULTIPLE | ARG_MULTIPLE_TOKEN},
    {.name = "bcast", .type = "pure-token", .token = "BCAST", .flags = ARG_OPTIONAL},
    {.name = "optin", .type = "pure-token", .token = "OPTIN", .flags = ARG_OPTIONAL},
    {.name = "optout", .type = "pure-token", .token = "OPTOUT", .flags = ARG_OPTIONAL},
    {.name = "noloop", .type = "pure-token", .token = "NOLOOP", .flags = ARG_OPTIONAL},
    {0}};

static const struct command_arg client_unblock_args_timeout_error[] = {
    {.name = "timeout", .type = "pure-token", .token = "TIMEOUT"},
    {.name = "error", .type = "pure-token", .token = "ERROR"},
    {0}};

static const struct command_arg client_unblock_args[] = {{.name = "client-id", .type = "integer"},
                                                         {.name = "timeout_error",
                                                          .type = "oneof",
                                                          .flags = ARG_OPTIONAL,
                                                          .sub = client_unblock_args_timeout_error},
                                                         {0}};

const struct command client_subs[] = {
    {.name = "caching",
     .run = client_caching_run,
     .arity = 3,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Instructs the server whether to track the keys in the next request.",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_caching_args},
    {.name = "getname",
     .run = client_getname_run,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns the name of the connection.",
     .since = "2.6.9",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "getredir",
     .run = client_getredir_run,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns the client ID to which the connection's tracking notifications are redirected.",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "help",
     .run = client_help_run,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns helpful text about the different subcommands.",
     .since = "5.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "id",
     .run = client_id_run,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns the unique client ID of the connection.",
     .since = "5.0.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "info",
     .run = client_info_run,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns information about the connection.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(1)",
     .tips = tips_nondeterministic_output},
    {.name = "kill",
     .run = client_kill_run,
     .arity = -3,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL | CMD_AUDITED,
     .acl = ACL_CONNECTION,
     .summary = "Terminates open connections.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of client connections",
     .args = client_kill_args},
    {.name = "list",
     .run = client_list_run,
     .arity = -2,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL,
     .acl = ACL_CONNECTION,
     .summary = "Lists open connections.",
     .since = "2.4.0",
     .group = "connection",
     .complexity = "O(N) where N is the number of client connections",
     .tips = tips_nondeterministic_output,
     .args = client_list_args},
    {.name = "no-evict",
     .run = client_no_evict_run,
     .arity = 3,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Sets the client eviction mode of the connection.",
     .since = "7.0.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_no_evict_args},
    {.name = "no-touch",
     .run = client_no_touch_run,
     .arity = 3,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.",
     .since = "7.2.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_no_touch_args},
    {.name = "pause",
     .run = client_pause_run,
     .arity = -3,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL | CMD_AUDITED,
     .acl = ACL_CONNECTION,
     .summary = "Suspends commands processing.",
     .since = "2.9.50",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_pause_args},
    {.name = "reply",
     .run = client_reply_run,
     .arity = 3,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Instructs the server whether to reply to commands.",
     .since = "3.2.0",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_reply_args},
    {.name = "setinfo",
     .run = client_setinfo_run,
     .arity = 4,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Sets information specific to the client or connection.",
     .since = "7.2.0",
     .group = "connection",
     .complexity = "O(1)",
     .tips = tips_request_policy_all_nodes_response_policy_all_succeeded,
     .args = client_setinfo_args},
    {.name = "setname",
     .run = client_setname_run,
     .arity = 3,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Sets the connection name.",
     .since = "2.6.9",
     .group = "connection",
     .complexity = "O(1)",
     .args = client_setname_args},
    {.name = "tracking",
     .run = client_tracking_run,
     .arity = -3,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL,
     .acl = ACL_CONNECTION,
     .summary = "Controls server-assisted client-side caching for the connection.",
     .since = "6.0.0",
     .group = "connection",
     .complexity = "O(1). Some options may introduce additional complexity.",
     .args = client_tracking_args},
    {.name = "trackinginfo",
     .run = client_trackinginfo_run,
     .arity = 2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
     .acl = ACL_CONNECTION,
     .summary = "Returns information about server-assisted client-side caching for the connection.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(1)"},
    {.name = "unblock",
     .run = client_unblock_run,
     .arity = -3,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL,
     .acl = ACL_CONNECTION,
     .summary = "Unblocks a client blocked by a blocking command from a different connection.",
     .since = "5.0.0",
     .group = "connection",
     .complexity = "O(log N) where N is the number of client connections",
     .args = client_unblock_args},
    {.name = "unpause",
     .run = client_unpause_run,
     .arity = 2,
     .flags = CMD_ADMIN | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL | CMD_AUDITED,
     .acl = ACL_CONNECTION,
     .summary = "Resumes processing commands from paused clients.",
     .since = "6.2.0",
     .group = "connection",
     .complexity = "O(N) Where N is the number of paused clients"},
    {0}};

/* transaction_table.c: rows of the transaction commands.
 * https://redis.io/docs/latest/commands/?group=transactions Facts as COMMAND and COMMAND DOCS of Redis 7.2
 * tell them. */
#include "command/key_rows.h"
#include "command/transaction_commands.h"

static const struct command_arg watch_args[] = {
    {.name = "key", .type = "key", .flags = ARG_MULTIPLE, .key_spec = 1}, {0}};

struct command commands_transactions[] = {
    {.name = "discard",
     .run = discard_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY | CMD_NOT_QUEUED,
     .acl = ACL_TRANSACTION,
     .summary = "Discards a transaction.",
     .since = "2.0.0",
     .group = "transactions",
     .complexity = "O(N), when N is the number of queued commands"},
    {.name = "exec",
     .run = exec_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_SKIP_SLOWLOG | CMD_NOT_QUEUED | CMD_WHOLE,
     .acl = ACL_TRANSACTION,
     .summary = "Executes all commands in a transaction.",
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "Depends on commands in the transaction"},
    {.name = "multi",
     .run = multi_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY | CMD_NOT_QUEUED,
     .acl = ACL_TRANSACTION,
     .summary = "Starts a transaction.",
     .since = "1.2.0",
     .group = "transactions",
     .complexity = "O(1)"},
    {.name = "unwatch",
     .run = unwatch_run,
     .arity = 1,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY,
     .acl = ACL_TRANSACTION,
     .summary = "Forgets about watched keys of a transaction.",
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(1)"},
    {.name = "watch",
     .run = watch_run,
     .arity = -2,
     .flags = CMD_NOSCRIPT | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_ALLOW_BUSY | CMD_NOT_QUEUED,
     .acl = ACL_TRANSACTION,
     .key = {KEY_RANGE(1, -1, 1, KEY_RO)},
     .summary = "Monitors changes to keys to determine the execution of a transaction.",
     .since = "2.2.0",
     .group = "transactions",
     .complexity = "O(1) for every key.",
     .args = watch_args},
    {0}};

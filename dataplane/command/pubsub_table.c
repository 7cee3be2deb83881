/* pubsub_table.c: rows of the Pub/Sub commands. https://redis.io/docs/latest/commands/?group=pubsub Facts as
 * COMMAND and COMMAND DOCS of Redis 7.2 tell them. */
#include "command/key_rows.h"
#include "command/pubsub_commands.h"

enum {
    TAKES = CMD_PUBSUB | CMD_NOSCRIPT | CMD_LOADING | CMD_STALE,
    POSTS = CMD_PUBSUB | CMD_LOADING | CMD_STALE | CMD_FAST | CMD_MAY_REPLICATE,
    TELLS = CMD_PUBSUB | CMD_LOADING | CMD_STALE | CMD_ROUTE_ALL
};

static const struct command_arg channels[] = {{.name = "channel", .type = "string", .flags = ARG_MULTIPLE},
                                              {0}};
static const struct command_arg any_channels[] = {
    {.name = "channel", .type = "string", .flags = ARG_OPTIONAL | ARG_MULTIPLE}, {0}};
static const struct command_arg shardchannels[] = {
    {.name = "shardchannel", .type = "string", .flags = ARG_MULTIPLE}, {0}};
static const struct command_arg any_shardchannels[] = {
    {.name = "shardchannel", .type = "string", .flags = ARG_OPTIONAL | ARG_MULTIPLE}, {0}};
static const struct command_arg pattern[] = {{.name = "pattern", .type = "pattern"}, {0}};
static const struct command_arg patterns[] = {
    {.name = "pattern", .type = "block", .flags = ARG_MULTIPLE, .sub = pattern}, {0}};
static const struct command_arg any_patterns[] = {
    {.name = "pattern", .type = "pattern", .flags = ARG_OPTIONAL | ARG_MULTIPLE}, {0}};
static const struct command_arg any_pattern[] = {
    {.name = "pattern", .type = "pattern", .flags = ARG_OPTIONAL}, {0}};
static const struct command_arg publish_args[] = {
    {.name = "channel", .type = "string"}, {.name = "message", .type = "string"}, {0}};
static const struct command_arg spublish_args[] = {
    {.name = "shardchannel", .type = "string"}, {.name = "message", .type = "string"}, {0}};

static const struct command pubsub_subs[] = {
    {.name = "channels",
     .run = pubsub_channels_run,
     .arity = -2,
     .flags = TELLS,
     .summary = "Returns the active channels.",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of active channels, and assuming constant time pattern "
                   "matching (relatively "
                   "short channels and patterns)",
     .args = any_pattern},
    {.name = "help",
     .run = pubsub_help_run,
     .arity = 2,
     .flags = CMD_LOADING | CMD_STALE,
     .summary = "Returns helpful text about the different subcommands.",
     .since = "6.2.0",
     .group = "pubsub",
     .complexity = "O(1)"},
    {.name = "numpat",
     .run = pubsub_numpat_run,
     .arity = 2,
     .flags = TELLS,
     .summary = "Returns a count of unique pattern subscriptions.",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(1)"},
    {.name = "numsub",
     .run = pubsub_numsub_run,
     .arity = -2,
     .flags = TELLS,
     .summary = "Returns a count of subscribers to channels.",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "O(N) for the NUMSUB subcommand, where N is the number of requested channels",
     .args = any_channels},
    {.name = "shardchannels",
     .run = pubsub_shardchannels_run,
     .arity = -2,
     .flags = TELLS,
     .summary = "Returns the active shard channels.",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity =
         "O(N) where N is the number of active shard channels, and assuming constant time pattern matching "
         "(relatively short shard channels).",
     .args = any_pattern},
    {.name = "shardnumsub",
     .run = pubsub_shardnumsub_run,
     .arity = -2,
     .flags = TELLS,
     .summary = "Returns the count of subscribers of shard channels.",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) for the SHARDNUMSUB subcommand, where N is the number of requested shard channels",
     .args = any_shardchannels},
    {0}};

struct command commands_pubsub[] = {
    {.name = "psubscribe",
     .run = psubscribe_run,
     .arity = -2,
     .flags = TAKES,
     .summary = "Listens for messages published to channels that match one or more patterns.",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of patterns to subscribe to.",
     .args = patterns},
    {.name = "publish",
     .run = publish_run,
     .arity = 3,
     .flags = POSTS,
     .summary = "Posts a message to a channel.",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity =
         "O(N+M) where N is the number of clients subscribed to the receiving channel and M is the total "
         "number of subscribed patterns (by any client).",
     .args = publish_args},
    {.name = "pubsub",
     .arity = -2,
     .summary = "A container for Pub/Sub commands.",
     .since = "2.8.0",
     .group = "pubsub",
     .complexity = "Depends on subcommand.",
     .sub = pubsub_subs},
    {.name = "punsubscribe",
     .run = punsubscribe_run,
     .arity = -1,
     .flags = TAKES,
     .summary = "Stops listening to messages published to channels that match one or more patterns.",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of patterns to unsubscribe.",
     .args = any_patterns},
    {.name = "spublish",
     .run = spublish_run,
     .arity = 3,
     .flags = POSTS,
     .key = {KEY_AT(1, KEY_NOT_KEY)},
     .summary = "Post a message to a shard channel",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of clients subscribed to the receiving shard channel.",
     .args = spublish_args},
    {.name = "ssubscribe",
     .run = ssubscribe_run,
     .arity = -2,
     .flags = TAKES,
     .key = {KEY_RANGE(1, -1, 1, KEY_NOT_KEY)},
     .summary = "Listens for messages published to shard channels.",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels to subscribe to.",
     .args = shardchannels},
    {.name = "subscribe",
     .run = subscribe_run,
     .arity = -2,
     .flags = TAKES,
     .summary = "Listens for messages published to channels.",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels to subscribe to.",
     .args = channels},
    {.name = "sunsubscribe",
     .run = sunsubscribe_run,
     .arity = -1,
     .flags = TAKES,
     .key = {KEY_RANGE(1, -1, 1, KEY_NOT_KEY)},
     .summary = "Stops listening to messages posted to shard channels.",
     .since = "7.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of shard channels to unsubscribe.",
     .args = any_shardchannels},
    {.name = "unsubscribe",
     .run = unsubscribe_run,
     .arity = -1,
     .flags = TAKES,
     .summary = "Stops listening to messages posted to channels.",
     .since = "2.0.0",
     .group = "pubsub",
     .complexity = "O(N) where N is the number of channels to unsubscribe.",
     .args = any_channels},
    {0}};

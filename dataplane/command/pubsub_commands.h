/* pubsub_commands.h: handlers of the Pub/Sub commands, for their rows. */
#pragma once
#include "command/command.h"

command_handler subscribe_run, unsubscribe_run, psubscribe_run, punsubscribe_run, ssubscribe_run,
    sunsubscribe_run, publish_run, spublish_run;
command_handler pubsub_channels_run, pubsub_numsub_run, pubsub_numpat_run, pubsub_shardchannels_run,
    pubsub_shardnumsub_run, pubsub_help_run;

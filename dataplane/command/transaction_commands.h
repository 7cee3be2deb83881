/* transaction_commands.h: handlers of the transaction commands, for their rows. */
#pragma once
#include "command/command.h"

command_handler discard_run, exec_run, multi_run, unwatch_run, watch_run;

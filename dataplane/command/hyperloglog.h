/* hyperloglog.h: handlers of the HyperLogLog commands. */
#pragma once
#include "command/command.h"

command_handler pfadd_command, pfcount_command, pfmerge_command, pfdebug_command, pfselftest_command;

/* set_commands.h: handlers of the set commands. */
#pragma once
#include "command/command.h"

command_handler sadd_command, srem_command, sismember_command, smismember_command, scard_command,
    smembers_command, spop_command, srandmember_command, smove_command, sscan_command, sinter_command,
    sintercard_command, sinterstore_command, sunion_command, sunionstore_command, sdiff_command,
    sdiffstore_command;

/* hash_commands.h: handlers of the hash commands. */
#pragma once
#include "command/command.h"

command_handler hset_command, hsetnx_command, hmset_command, hget_command, hmget_command, hdel_command,
    hlen_command, hstrlen_command, hexists_command, hkeys_command, hvals_command, hgetall_command,
    hincrby_command, hincrbyfloat_command, hrandfield_command, hscan_command;

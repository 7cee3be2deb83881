/* hash_commands.h: handlers of the hash commands. */
#pragma once
#include "command/command.h"

command_handler hset_command, hsetnx_command, hmset_command, hget_command, hmget_command, hdel_command,
    hlen_command, hstrlen_command, hexists_command, hkeys_command, hvals_command, hgetall_command,
    hincrby_command, hincrbyfloat_command, hrandfield_command, hscan_command;
command_handler hexpire_command, hpexpire_command, hexpireat_command, hpexpireat_command, hpersist_command,
    httl_command, hpttl_command, hexpiretime_command, hpexpiretime_command, hgetdel_command, hgetex_command,
    hsetex_command;

/* The length of the longest argument from this one on. */
size_t hash_longest_argument(const struct request *rq, int from);

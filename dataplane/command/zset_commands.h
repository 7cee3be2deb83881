/* zset_commands.h: sorted set handlers. */
#pragma once
#include "command/command.h"

command_handler zadd_command, zincrby_command, zrem_command, zcard_command, zscore_command, zmscore_command,
    zrank_command, zrevrank_command, zcount_command, zlexcount_command, zrange_command, zrangestore_command,
    zrevrange_command, zrangebyscore_command, zrevrangebyscore_command, zrangebylex_command,
    zrevrangebylex_command, zremrangebyrank_command, zremrangebyscore_command, zremrangebylex_command,
    zpopmin_command, zpopmax_command, zmpop_command, zrandmember_command, zscan_command, zunion_command,
    zinter_command, zdiff_command, zintercard_command, zunionstore_command, zinterstore_command,
    zdiffstore_command, bzpopmin_command, bzpopmax_command, bzmpop_command;

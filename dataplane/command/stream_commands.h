/* stream_commands.h: handlers of the stream commands. */
#pragma once
#include "command/command.h"

command_handler xadd_command, xlen_command, xrange_command, xrevrange_command, xdel_command, xtrim_command,
    xread_command, xreadgroup_command, xgroup_destroy_command, xgroup_create_command,
    xgroup_delconsumer_command, xgroup_createconsumer_command, xgroup_setid_command, xgroup_help_command,
    xack_command, xpending_command, xclaim_command, xautoclaim_command, xinfo_stream_command,
    xinfo_groups_command, xinfo_help_command, xinfo_consumers_command, xsetid_command;

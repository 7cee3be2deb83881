/* geo_commands.h: geospatial handlers. */
#pragma once
#include "command/command.h"

command_handler geoadd_command, geopos_command, geodist_command, geohash_command, geosearch_command,
    geosearchstore_command, georadius_command, georadius_ro_command, georadiusbymember_command,
    georadiusbymember_ro_command;

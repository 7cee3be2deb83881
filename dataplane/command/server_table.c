/* server_table.c: rows of the server commands. Placeholder until the family is there. */
#include "command/command.h"

struct command commands_server[] = {{0}};

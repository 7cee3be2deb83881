/* connection_table.c: rows of the connection commands. */
#include "command/command.h"

struct command commands_connection[] = {{0}};

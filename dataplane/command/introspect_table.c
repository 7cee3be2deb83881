/* introspect_table.c: rows of the COMMAND family. */
#include "command/command.h"

struct command commands_introspect[] = {{0}};

/* generic_table.c: rows of the generic commands. Placeholder until the family is there. */
#include "command/command.h"

struct command commands_generic[] = {{0}};

/* strings_table.c: rows of the strings commands. Placeholder until the family is there. */
#include "command/command.h"

struct command commands_strings[] = {{0}};

/* bits_table.c: rows of the bits commands. Placeholder until the family is there. */
#include "command/command.h"

struct command commands_bits[] = {{0}};

/* user_line.h: users of the configuration as people see them: who may what, without what opens the door. */
#pragma once
#include "control/text.h"

/* Adds the value of a `user` directive with a mark of each password in its place, "#9f86d081...": whoever compares two
 * revisions sees that it is another one, and has nothing to try words against, for the mark is made with a key that only
 * this process has. What cannot be read is "(secret)" as a whole. */
void user_line_shown(struct text *out, const char *value);

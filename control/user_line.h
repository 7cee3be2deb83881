/* user_line.h: users of the configuration as people see them: who may what, without what opens the door. */
#pragma once
#include "control/text.h"

/* Adds the value of a `user` directive with each password as the beginning of its SHA-256, "#9f86d081...", as the audit
 * log has it: whoever compares two revisions sees that it is another one, and has nothing to try words against but
 * 32 bits. What cannot be read is "(secret)" as a whole. */
void user_line_shown(struct text *out, const char *value);

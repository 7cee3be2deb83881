/* child.h: children of control that do not exec: they end with it, and hold nothing of it but what they are told. */
#pragma once

/* In the child, first of all: it dies with its parent, whose pid is given, and closes every descriptor but the standard ones, that
 * of the log, and those in keep, whose order it changes. */
void child_begins(int parent, int *keep, unsigned n);

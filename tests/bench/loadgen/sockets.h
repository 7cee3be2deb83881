/* sockets.h: a script's requests over the kernel's TCP: what a server behind the kernel is measured with. */
#pragma once
#include "load.h"

/* Runs the rows of work->script, checks every reply, fills l->part. False and one line in error if that was
 * not possible or a reply was wrong. */
bool sockets_run(struct load *l, struct workload *work, char *error, size_t size);

/* aof_items.h: a log wherever it lies, for `sluice snapshot import`: a file of commands, one with an RDB in front, or the folder of several
 * files of redis-server 7 (or its manifest). Read, never changed. */
#pragma once
#include <stdbool.h>

/* `sluice-control --log PATH`: its items (channel/messages.h) to stdout, for sluice-replay. may_cut (--log-cut): a log whose last command or
 * transaction is not whole ends before it. What is wrong the last item says. The exit code: 0 if there is such an item. */
int aof_items_print(const char *path, bool may_cut);

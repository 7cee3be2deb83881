/* rdb_stream.h: the records of an RDB file as the stream of items that the dataplane loads
 * (channel/messages.h). */
#pragma once
#include <stdbool.h>

/* Reads all of `file` and writes items to `to`, the last of which says how it ended. Returns when it has, or
 * when nobody reads any more (false). Runs in a process of its own. */
bool rdb_stream(int file, int to);

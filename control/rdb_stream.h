/* rdb_stream.h: the records of an RDB file as the stream of items that the dataplane loads
 * (channel/messages.h). */
#pragma once
#include <stdbool.h>

/* Reads all of `file` and writes items to `to`, the last of which says how it ended. Returns when it has, or
 * when nobody reads any more (false). Runs in a process of its own. */
bool rdb_stream(int file, int to);

/* The same with the files of a log: a base, in either form, and increments. */
struct aof_source {
    int file;
    char name[512];
    bool may_cut; /* a command that is cut short at the end of the last file is taken off */
    bool spares;  /* ... or only passed over: the file stays as it is */
};
bool rdb_stream_log(const struct aof_source *source, unsigned n, int to);
/* Of what cannot even be opened: nothing but the reason. */
bool rdb_stream_failed(const char *why, int to);

/* dataplane_log.h: the file that a dataplane's stdout and stderr go to. */
#pragma once
#include <stddef.h>

/* For appending; one that dies again and again must not fill the disk: beyond 1 MB it begins anew. -1 and errno. */
int dataplane_log_open(const char *path);
/* The last line in it: usually it says why the dataplane ended. "" if there is none. */
void dataplane_log_last(const char *path, char *line, size_t size);
/* How a dataplane ended, in a line; status as of wait(2), NULL: nobody knows. */
void dataplane_log_end(const char *path, long pid, const int *status, char *why, size_t size);

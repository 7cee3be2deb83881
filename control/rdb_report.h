/* rdb_report.h: what is in an RDB file, as JSON: for `sluice snapshot verify` and `show`. */
#pragma once
#include <jansson.h>

/* Reads all of the file. {"file","size","version","checksum","keys","types":{...},...}; with "error" and
 * "offset" if it is damaged, and then the counts are those before the damage. Never NULL. */
json_t *rdb_report(const char *path);
/* `sluice-control --snapshot FILE`: prints it. Returns the exit status. */
int rdb_report_print(const char *path);

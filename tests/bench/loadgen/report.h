/* report.h: what a run found, as one JSON object and as a line for people. */
#pragma once
#include "load.h"

struct echo_result {
    double seconds;
    uint64_t sent, received, lost, bursts_in, foreign;
};

/* Writes to path (NULL = standard output) and the line to standard error. False if the file cannot be
 * written. error: "" or why the run did not come to its end. */
bool report_load(const struct load *l, const struct client *cl, const char *error, const char *path);
/* The parts alone, of a script over sockets. */
bool report_parts(const struct load *l, const char *error, const char *path);
bool report_echo(const struct options *o, const struct echo_result *r, const char *path);

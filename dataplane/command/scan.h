/* scan.h: what SCAN, HSCAN, SSCAN and ZSCAN read and reply in common.
 * https://redis.io/docs/latest/commands/scan/ */
#pragma once
#include "command/command.h"

struct scan_options {
    const struct slice *pattern, *type; /* NULL: all; the pattern "*" is NULL */
    int64_t count;
    struct turn *turn; /* the request's */
};

/* A cursor as Redis' strtoul reads it. False after replying the error. */
bool request_cursor(struct request *rq, int i, uint64_t *cursor);
/* MATCH, COUNT and, for SCAN alone, TYPE from argument i on. False after replying the error. */
bool request_scan_options(struct request *rq, int i, bool with_type, struct scan_options *o);
/* True if a name passes MATCH. Takes a turn. */
bool scan_matches(const struct scan_options *o, struct slice name);
/* Is it too much to pass so many of a collection's elements in one go? */
bool scan_is_long(const struct request *rq, const struct scan_options *o, uint64_t elements);
/* SCAN with a large COUNT: nobody changes a key meanwhile. */
bool scan_reaches(int argc, const struct slice *argv);
/* The two-element reply up to the cursor; an array must follow. */
void reply_scan(struct resp_writer *out, uint64_t cursor);
